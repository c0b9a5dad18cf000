//! Treewarden's links, without membership around them: what two nodes that know each other do.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use treewarden_cli::certs::{Authority, Issued};
use treewarden_cluster::membership::{BootUid, NodeId, NodeName};
use treewarden_cluster::remote::{
    Directory, Lane, LinkConfig, LinkIdentity, LinkKeys, Links, Location, RemoteMessage, RemoteRef,
    SharedBytes,
};
use treewarden_cluster::transport::{Credentials, Identity, Tcp, Tls};
use treewarden_runtime::{Actor, Context, Failure, Reply, System};

use crate::load::{Client, Fut};

const CLUSTER: &str = "bench";

#[derive(Serialize, Deserialize)]
enum Msg {
    Take(SharedBytes),
    Echo(Bytes, Reply<Bytes>),
    Count(Reply<u64>),
    /// How large the server's process is.
    Resident(Reply<u64>),
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
            Msg::Resident(reply) => reply.send(crate::memory::resident_bytes()),
        }
        Ok(())
    }
}

/// Takes its time for everything.
struct Slow;

impl Actor for Slow {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, _: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        tokio::time::sleep(SLOW).await;
        Ok(())
    }
}

/// For each message of the slow actor.
const SLOW: Duration = Duration::from_millis(10);
/// Who sends to it, and how much at a time.
const SLOW_SENDERS: usize = 64;
const SLOW_BYTES: usize = 1024;

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
    links.expose("slow", &system.spawn(Slow))?;
    let Issued { certificate, key } = authority.issued().clone();
    let hello = Hello {
        addr: links.local_addr(),
        authority: (certificate, key),
    };
    println!("{}", serde_json::to_string(&hello)?);
    crate::server::until_the_input_ends().await;
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
        slow: links.remote(&server, "slow"),
        links,
    }))
}

struct Connected {
    sink: RemoteRef<Msg>,
    bulk: RemoteRef<Msg>,
    slow: RemoteRef<Msg>,
    links: Links,
}

const FAILED: &str = "the link works";

impl Client for Connected {
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()> {
        Box::pin(async move {
            let before: u64 = self.sink.ask(Msg::Count).await.expect(FAILED);
            let content = SharedBytes::from(vec![7; bytes]);
            for _ in 0..count {
                let message = Msg::Take(content.clone());
                self.sink.tell(message).await.expect(FAILED);
            }
            let after: u64 = self.sink.ask(Msg::Count).await.expect(FAILED);
            assert_eq!(after - before, count, "all were handled");
        })
    }

    fn ask(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let echo = |reply| Msg::Echo(vec![7; bytes].into(), reply);
            let answer = self.sink.ask(echo).await.expect(FAILED);
            assert_eq!(answer.len(), bytes);
        })
    }

    fn send_large(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let message = Msg::Take(vec![7; bytes - 64].into());
            self.bulk.tell(message).await.expect(FAILED);
            self.bulk.ask(Msg::Count).await.expect(FAILED);
        })
    }

    fn burden(&self) -> Option<Fut<'_, ()>> {
        let slow = self.slow.clone();
        Some(Box::pin(async move {
            let mut senders = JoinSet::new();
            for _ in 0..SLOW_SENDERS {
                let slow = slow.clone();
                senders.spawn(async move {
                    loop {
                        let message = Msg::Take(vec![7; SLOW_BYTES].into());
                        slow.tell(message).await.expect(FAILED);
                    }
                });
            }
            while senders.join_next().await.is_some() {}
        }))
    }

    fn resident_bytes(&self) -> Fut<'_, (u64, u64)> {
        Box::pin(async move {
            let theirs = self.sink.ask(Msg::Resident).await.expect(FAILED);
            (crate::memory::resident_bytes(), theirs)
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(self.links.shutdown())
    }
}
