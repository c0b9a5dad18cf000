//! The seam to the network.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

/// Something that sends and receives datagrams without waiting.
pub trait DatagramTransport: Send + Sync + 'static {
    /// Waits until there may be something to receive. Cancel safe.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Takes a datagram that has arrived; longer ones than the buffer are cut, and then refused by whoever reads them.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none.
    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram, or loses it.
    ///
    /// # Errors
    /// Why it was lost.
    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize>;

    /// Whether streams to this address may be tried: not while a drill cuts this node off from there.
    fn is_open(&self, _to: SocketAddr) -> bool {
        true
    }

    /// Where it receives.
    ///
    /// # Errors
    /// When the transport does not know.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl DatagramTransport for UdpSocket {
    async fn readable(&self) -> io::Result<()> {
        UdpSocket::readable(self).await
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        UdpSocket::try_recv_from(self, buffer)
    }

    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        UdpSocket::try_send_to(self, datagram, to)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        UdpSocket::local_addr(self)
    }
}
