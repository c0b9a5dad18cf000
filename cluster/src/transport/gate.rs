//! [`Gate`]: a network that can be cut between two nodes, for drills.
//!
//! A node that has a gate loses every datagram to and from an address that is cut, and everything stands still on the links that it
//! has dialed to there: what was sent does not arrive, and nobody is told. To part two nodes as a network does, cut them from each other on
//! both sides. What is not like a network: a link that ends while it is cut is seen to be closed by the other side.

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Arriving, Boxed, Connection, Transport};
use crate::agent::DatagramTransport;

/// Which addresses a node is cut off from. Clones share it; an open one costs a load for each datagram and each read.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_any_cut: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: BTreeSet<SocketAddr>,
    /// Who waits for a cut to be healed.
    waiting: Vec<Waker>,
}

impl Gate {
    /// A gate that is open for all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts this node off from the one that listens at `addr`.
    pub fn cut(&self, addr: SocketAddr) {
        self.change(|cut| {
            cut.insert(addr);
        });
    }

    /// Lets traffic with `addr` pass again. What was held up goes on.
    pub fn heal(&self, addr: SocketAddr) {
        self.change(|cut| {
            cut.remove(&addr);
        });
    }

    /// Lets all traffic pass again.
    pub fn heal_all(&self) {
        self.change(BTreeSet::clear);
    }

    /// Whether this node is cut off from `addr`.
    #[must_use]
    pub fn is_cut(&self, addr: SocketAddr) -> bool {
        self.0.is_any_cut.load(Ordering::Acquire) && self.locked().cut.contains(&addr)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<SocketAddr>)) {
        let mut state = self.locked();
        change(&mut state.cut);
        self.0
            .is_any_cut
            .store(!state.cut.is_empty(), Ordering::Release);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready when this node is not cut off from `addr`.
    fn poll_open(&self, addr: SocketAddr, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.is_any_cut.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut state = self.locked();
        if !state.cut.contains(&addr) {
            return Poll::Ready(());
        }
        if !state
            .waiting
            .iter()
            .any(|other| other.will_wake(cx.waker()))
        {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Links behind a gate.
#[derive(Debug)]
pub(crate) struct GatedLinks<T> {
    inner: T,
    gate: Gate,
}

impl<T> GatedLinks<T> {
    pub(crate) fn new(inner: T, gate: Gate) -> Self {
        Self { inner, gate }
    }
}

impl<T: Transport> Transport for GatedLinks<T> {
    fn dial(&self, addr: SocketAddr) -> Boxed<'_, io::Result<Connection>> {
        Box::pin(async move {
            poll_fn(|cx| self.gate.poll_open(addr, cx)).await;
            let Connection {
                reader,
                writer,
                identity,
                binding,
            } = self.inner.dial(addr).await?;
            let gate = self.gate.clone();
            Ok(Connection {
                reader: Box::new(Half {
                    addr,
                    gate: gate.clone(),
                    stream: reader,
                }),
                writer: Box::new(Half {
                    addr,
                    gate,
                    stream: writer,
                }),
                identity,
                binding,
            })
        })
    }

    fn accept(&self) -> Boxed<'_, io::Result<Box<dyn Arriving>>> {
        self.inner.accept()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// One half of a link behind a gate.
struct Half<S> {
    addr: SocketAddr,
    gate: Gate,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Half<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(self.addr, cx));
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Half<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.gate.poll_open(self.addr, cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.gate.poll_open(self.addr, cx));
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A link that ends is not held up.
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Datagrams behind a gate.
pub(crate) struct GatedDatagrams<T> {
    inner: T,
    gate: Gate,
}

impl<T> GatedDatagrams<T> {
    pub(crate) fn new(inner: T, gate: Gate) -> Self {
        Self { inner, gate }
    }
}

impl<T: DatagramTransport> DatagramTransport for GatedDatagrams<T> {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.inner.readable()
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let (length, from) = self.inner.try_recv_from(buffer)?;
            if !self.gate.is_cut(from) {
                return Ok((length, from));
            }
        }
    }

    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self.gate.is_cut(to) {
            // A network does not say what it loses.
            true => Ok(datagram.len()),
            false => self.inner.try_send_to(datagram, to),
        }
    }

    fn is_open(&self, to: SocketAddr) -> bool {
        !self.gate.is_cut(to)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
