//! Treewarden's links, without membership around them: what two nodes that know each other do.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::TcpListener;
use treewarden_cli::certs::{Authority, Issued};
use treewarden_cluster::membership::{BootUid, NodeId, NodeName};
use treewarden_cluster::remote::{
    Directory, Lane, LinkConfig, LinkIdentity, LinkKeys, Links, Location, RemoteMessage, RemoteRef,
};
use treewarden_cluster::transport::{Credentials, Identity, Tcp, Tls};
use treewarden_runtime::{Actor, Context, Failure, Reply, System};

use super::{Client, Fut};

const CLUSTER: &str = "bench";

/// Bytes that are encoded as such, not one by one.
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Owned;
        impl Visitor<'_> for Owned {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Owned)
    }
}

#[derive(Serialize, Deserialize)]
enum Msg {
    Take(Bytes),
    Echo(Bytes, Reply<Bytes>),
    Count(Reply<u64>),
}

impl RemoteMessage for Msg {
    const NAME: &'static str = "bench/msg";
    const VERSION: u32 = 1;
}

struct Sink(u64);

impl Actor for Sink {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Take(_) => self.0 += 1,
            Msg::Echo(bytes, reply) => reply.send(bytes),
            Msg::Count(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

/// The other node is where its process said.
struct There(NodeId, SocketAddr);

impl Directory for There {
    fn locate(&self, node: &NodeId) -> Location {
        match *node == self.0 {
            true => Location::At(self.1),
            false => Location::Unknown,
        }
    }
}

fn id(name: &str) -> Result<NodeId, Box<dyn Error>> {
    Ok(NodeId {
        name: NodeName::new(name)?,
        boot: BootUid(1),
    })
}

/// What the server tells the client, on one line.
#[derive(Serialize, Deserialize)]
struct Hello {
    addr: SocketAddr,
    authority: (String, String),
}

async fn links(
    name: &str,
    there: There,
    authority: Option<&Authority>,
) -> Result<Links, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let identity = LinkIdentity {
        id: id(name)?,
        cluster: CLUSTER.into(),
        keys: LinkKeys::derive([[1; 32]]),
    };
    let (config, directory) = (LinkConfig::default(), Arc::new(there));
    Ok(match authority {
        None => Links::start(Tcp::new(listener), identity, config, directory)?,
        Some(authority) => {
            let issued = authority.issue(&Identity::new(CLUSTER, name)?, 1)?;
            let credentials = Credentials::from_pem(
                authority.issued().certificate.as_bytes(),
                issued.certificate.as_bytes(),
                issued.key.as_bytes(),
            )?;
            let transport = Tls::new(listener, credentials);
            Links::start(transport, identity, config, directory)?
        }
    })
}

pub(crate) async fn serve(tls: bool) -> Result<(), Box<dyn Error>> {
    let authority = Authority::generate(CLUSTER, 1)?;
    let nobody = There(id("client")?, SocketAddr::from(([127, 0, 0, 1], 1)));
    let links = links("server", nobody, tls.then_some(&authority)).await?;
    let system = System::new("server");
    let (sink, bulk) = (system.spawn(Sink(0)), system.spawn(Sink(0)));
    links.expose("sink", &sink)?;
    links.expose("bulk", &bulk)?;
    let Issued { certificate, key } = authority.issued().clone();
    let hello = Hello {
        addr: links.local_addr(),
        authority: (certificate, key),
    };
    println!("{}", serde_json::to_string(&hello)?);
    super::until_the_input_ends().await;
    Ok(())
}

pub(crate) async fn connect(hello: &str, tls: bool) -> Result<Arc<dyn Client>, Box<dyn Error>> {
    let Hello { addr, authority } = serde_json::from_str(hello)?;
    let authority = Authority::from_pem(Issued {
        certificate: authority.0,
        key: authority.1,
    })?;
    let server = id("server")?;
    let links = links(
        "client",
        There(server.clone(), addr),
        tls.then_some(&authority),
    )
    .await?;
    Ok(Arc::new(Connected {
        sink: links.remote(&server, "sink"),
        bulk: links.remote::<Msg>(&server, "bulk").on(Lane::Bulk),
        links,
    }))
}

struct Connected {
    sink: RemoteRef<Msg>,
    bulk: RemoteRef<Msg>,
    links: Links,
}

const FAILED: &str = "the link works";

impl Client for Connected {
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()> {
        Box::pin(async move {
            let before: u64 = self.sink.ask(Msg::Count).await.expect(FAILED);
            for _ in 0..count {
                let message = Msg::Take(Bytes(vec![7; bytes]));
                self.sink.tell(message).await.expect(FAILED);
            }
            let after: u64 = self.sink.ask(Msg::Count).await.expect(FAILED);
            assert_eq!(after - before, count, "all were handled");
        })
    }

    fn ask(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let echo = |reply| Msg::Echo(Bytes(vec![7; bytes]), reply);
            let answer = self.sink.ask(echo).await.expect(FAILED);
            assert_eq!(answer.0.len(), bytes);
        })
    }

    fn send_large(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let message = Msg::Take(Bytes(vec![7; bytes - 64]));
            self.bulk.tell(message).await.expect(FAILED);
            self.bulk.ask(Msg::Count).await.expect(FAILED);
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(self.links.shutdown())
    }
}
