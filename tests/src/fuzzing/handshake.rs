//! The handshake of links, whose other end is an input. Real links, over a transport in memory and in virtual time.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use treewarden_cluster::membership::{BootUid, NodeId, NodeName};
use treewarden_cluster::remote::frame::HANDSHAKE_FRAME_BYTES_MAX;
use treewarden_cluster::remote::{
    Directory, LinkConfig, LinkCount, LinkIdentity, LinkKeys, Links, Location, Refusal,
    RemoteMessage,
};
use treewarden_cluster::transport::{Arriving, BINDING_BYTES, Boxed, Connection, Transport};

/// The first byte says whether the input calls (even) or is called (odd), and whether it then hangs up (its second bit) or is silent; the second
/// where what it says is cut in two. It gets no link, is counted once, and is told no more than a handshake has.
pub fn handshake(data: &[u8]) {
    let [how, cut, says @ ..] = data else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (is_called, hangs_up) = (how & 1 == 1, how & 2 == 2);
    let (head, tail) = says.split_at(usize::from(*cut).min(says.len()));
    let stranger = Stranger {
        says: [head.to_vec(), tail.to_vec()].into(),
        hangs_up,
    };
    runtime.block_on(meet(stranger, is_called));
}

async fn meet(stranger: Stranger, is_called: bool) {
    let heard = Arc::new(AtomicUsize::new(0));
    let transport = InMemory {
        stranger: Mutex::new(Some(stranger)),
        is_called,
        heard: heard.clone(),
    };
    let identity = LinkIdentity {
        id: id("b"),
        cluster: "c".into(),
        keys: LinkKeys::derive([[1; 32]]),
    };
    let links = Links::start(
        transport,
        identity,
        LinkConfig::default(),
        Arc::new(Everywhere),
    )
    .expect("good settings");
    if is_called {
        let nobody = links.remote::<Word>(&id("a"), "nobody");
        nobody.try_tell(Word).expect("there is room");
    }
    // In virtual time: longer than everything that a handshake may take.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let counters = links.counters();
    let refusals = Refusal::ALL.map(|why| counters.refused(why) + counters.was_refused(why));
    let refusals: u64 = refusals.iter().sum();
    assert_eq!(counters.count(LinkCount::LinksAccepted), 0);
    assert_eq!(counters.count(LinkCount::LinksDialed), 0);
    if is_called {
        assert_eq!(counters.count(LinkCount::DialsFailed), 1);
        assert!(refusals <= 1);
    } else {
        let lost = counters.count(LinkCount::CallsLost);
        assert_eq!(refusals + lost, 1, "{counters:?}");
    }
    let heard = heard.load(Ordering::Relaxed);
    assert!(heard <= 2 * HANDSHAKE_FRAME_BYTES_MAX, "it heard {heard}");
    links.shutdown().await;
}

#[derive(Debug, Serialize, Deserialize)]
struct Word;

impl RemoteMessage for Word {
    const NAME: &'static str = "fuzzing/word";
    const VERSION: u32 = 1;
}

fn id(name: &str) -> NodeId {
    NodeId {
        name: NodeName::new(name).expect("a name"),
        boot: BootUid(1),
    }
}

const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7946);

struct Everywhere;

impl Directory for Everywhere {
    fn locate(&self, _: &NodeId) -> Location {
        Location::At(ADDR)
    }
}

/// Says what it has to say in pieces; then hangs up, or is silent for ever.
#[derive(Debug)]
struct Stranger {
    says: VecDeque<Vec<u8>>,
    hangs_up: bool,
}

impl AsyncRead for Stranger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(mut piece) = self.says.pop_front() {
            if piece.is_empty() {
                continue;
            }
            let fits = piece.len().min(into.remaining());
            into.put_slice(&piece[..fits]);
            piece.drain(..fits);
            self.says.push_front(piece);
            return Poll::Ready(Ok(()));
        }
        match self.hangs_up {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

/// Counts what is said to the stranger.
struct Ear(Arc<AtomicUsize>);

impl AsyncWrite for Ear {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Where one stranger calls, or is called.
#[derive(Debug)]
struct InMemory {
    stranger: Mutex<Option<Stranger>>,
    is_called: bool,
    heard: Arc<AtomicUsize>,
}

impl InMemory {
    fn connection(&self) -> Option<Connection> {
        let stranger = self.stranger.lock().ok()?.take()?;
        Some(Connection {
            reader: Box::new(stranger),
            writer: Box::new(Ear(self.heard.clone())),
            identity: None,
            binding: [0; BINDING_BYTES],
        })
    }
}

impl Transport for InMemory {
    fn dial(&self, _: SocketAddr) -> Boxed<'_, io::Result<Connection>> {
        Box::pin(async { self.connection().ok_or(io::ErrorKind::NotConnected.into()) })
    }

    fn accept(&self) -> Boxed<'_, io::Result<Box<dyn Arriving>>> {
        Box::pin(async {
            if !self.is_called
                && let Some(connection) = self.connection()
            {
                return Ok(Box::new(AtTheDoor(connection)) as Box<dyn Arriving>);
            }
            std::future::pending().await
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(ADDR)
    }
}

struct AtTheDoor(Connection);

impl Arriving for AtTheDoor {
    fn establish(self: Box<Self>) -> Boxed<'static, io::Result<Connection>> {
        Box::pin(std::future::ready(Ok(self.0)))
    }

    fn turn_away(self: Box<Self>, _: &[u8]) {}
}
