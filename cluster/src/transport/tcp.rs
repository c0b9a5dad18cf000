//! TCP in the clear: whoever is on the way reads along. So it stays on loopback.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::{Arriving, BINDING_BYTES, Boxed, Connection, SharedPort, Transport};

/// Plain TCP, between processes of one machine.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    shared: Option<SharedPort>,
}

impl Tcp {
    /// Takes connections on `listener`, and dials addresses of loopback alone.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            shared: None,
        }
    }

    pub(crate) fn on_shared_port(self, port: SharedPort) -> Self {
        Self {
            shared: Some(port),
            ..self
        }
    }
}

impl Transport for Tcp {
    fn dial(&self, addr: SocketAddr) -> Boxed<'_, io::Result<Connection>> {
        Box::pin(async move {
            if !addr.ip().is_loopback() {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!(
                        "{addr} is on another machine, and links in the clear stay on this one"
                    ),
                ));
            }
            connection(TcpStream::connect(addr).await?)
        })
    }

    fn accept(&self) -> Boxed<'_, io::Result<Box<dyn Arriving>>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            let shared = self.shared.clone();
            Ok(Box::new(Plain { stream, shared }) as Box<dyn Arriving>)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Plain {
    stream: TcpStream,
    shared: Option<SharedPort>,
}

impl Arriving for Plain {
    fn establish(self: Box<Self>) -> Boxed<'static, io::Result<Connection>> {
        Box::pin(async move {
            match self.shared {
                Some(port) => connection(port.sort(self.stream).await?),
                None => connection(self.stream),
            }
        })
    }

    fn turn_away(self: Box<Self>, goodbye: &[u8]) {
        // A fresh connection has room for so little; if it has not, the caller sees it closed.
        let _ = self.stream.try_write(goodbye);
    }
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    // Frames are batched already; waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok(Connection {
        reader: Box::new(reader),
        writer: Box::new(writer),
        identity: None,
        binding: [0; BINDING_BYTES],
    })
}
