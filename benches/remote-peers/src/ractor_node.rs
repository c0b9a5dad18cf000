//! ractor_cluster: an actor in a group, found by the other node, `cast` and `call`. It has one connection for everything between two nodes.

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, pg};
use ractor_cluster::{IncomingEncryptionMode, NodeServer, NodeServerMessage, RactorClusterMessage};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificate::{Certificate, NAME};
use crate::load::{Client, Fut};

const GROUP: &str = "sink";
const FRAME_BYTES_MAX: u64 = 128 * 1024 * 1024;

#[derive(RactorClusterMessage)]
enum Msg {
    Take(Vec<u8>),
    #[rpc]
    Echo(Vec<u8>, RpcReplyPort<Vec<u8>>),
    #[rpc]
    Count(RpcReplyPort<u64>),
}

struct Sink;

impl Actor for Sink {
    type Msg = Msg;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Msg>,
        msg: Msg,
        taken: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Take(_) => *taken += 1,
            Msg::Echo(bytes, reply) => reply.send(bytes)?,
            Msg::Count(reply) => reply.send(*taken)?,
        }
        Ok(())
    }
}

/// A node on a port that was free a moment ago.
async fn node(
    name: &str,
    mode: Option<IncomingEncryptionMode>,
) -> Result<(ActorRef<NodeServerMessage>, u16), Box<dyn Error>> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let server = NodeServer::new(
        port,
        "bench".into(),
        name.into(),
        "localhost".into(),
        mode,
        None,
    )
    .with_listen_addr(Ipv4Addr::LOCALHOST.into())
    .with_max_inbound_frame_size(FRAME_BYTES_MAX);
    let (node, _) = Actor::spawn(None, server, ()).await?;
    Ok((node, port))
}

pub(crate) async fn serve(tls: bool) -> Result<(), Box<dyn Error>> {
    let certificate = if tls { Some(Certificate::new()?) } else { None };
    let mode = match &certificate {
        None => None,
        Some(certificate) => {
            let acceptor = TlsAcceptor::from(certificate.server()?);
            Some(IncomingEncryptionMode::Tls(acceptor))
        }
    };
    let (sink, _) = Actor::spawn(None, Sink, ()).await?;
    pg::join(GROUP.into(), vec![sink.get_cell()]);
    let (_node, port) = node("server", mode).await?;
    match certificate {
        None => println!("{port}"),
        Some(certificate) => println!("{port} {}", certificate.to_line()),
    }
    crate::server::until_the_input_ends().await;
    Ok(())
}

pub(crate) async fn connect(hello: &str) -> Result<Arc<dyn Client>, Box<dyn Error>> {
    let (node, _) = node("client", None).await?;
    match hello.split_once(' ') {
        None => {
            let port: u16 = hello.parse()?;
            ractor_cluster::client_connect(&node, (Ipv4Addr::LOCALHOST, port)).await?;
        }
        Some((port, line)) => {
            let port: u16 = port.parse()?;
            let certificate = Certificate::from_line(line).ok_or("a certificate was expected")?;
            let connector = TlsConnector::from(certificate.client()?);
            let name = ServerName::try_from(NAME)?;
            let addr = (Ipv4Addr::LOCALHOST, port);
            ractor_cluster::client_connect_enc(&node, addr, connector, name).await?;
        }
    }
    for _ in 0..1000 {
        if let Some(sink) = pg::get_members(&GROUP.to_owned()).into_iter().next() {
            let sink = ActorRef::from(sink);
            return Ok(Arc::new(Connected { sink, node }));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the nodes do not find each other's actors".into())
}

struct Connected {
    sink: ActorRef<Msg>,
    node: ActorRef<NodeServerMessage>,
}

const FAILED: &str = "the node is connected";

impl Client for Connected {
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()> {
        Box::pin(async move {
            let before = call!(self.sink, Msg::Count).expect(FAILED);
            for sent in 0..count {
                self.sink.cast(Msg::Take(vec![7; bytes])).expect(FAILED);
                // Nothing here ever waits: without this its own tasks would get no turn.
                if sent % 256 == 255 {
                    tokio::task::yield_now().await;
                }
            }
            let after = call!(self.sink, Msg::Count).expect(FAILED);
            assert_eq!(after - before, count, "all were handled");
        })
    }

    fn ask(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let answer = call!(self.sink, Msg::Echo, vec![7; bytes]).expect(FAILED);
            assert_eq!(answer.len(), bytes);
        })
    }

    fn send_large(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            self.sink.cast(Msg::Take(vec![7; bytes])).expect(FAILED);
            call!(self.sink, Msg::Count).expect(FAILED);
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            let _ = self.node.stop_and_wait(None, None).await;
        })
    }
}
