//! A port that links share with conversations of membership: what arrives is told apart by its first bytes.

use std::io;

use tokio::{net::TcpStream, sync::mpsc};

use crate::datagram::GREETING;

/// Where conversations of membership go.
#[derive(Clone, Debug)]
pub(crate) struct SharedPort(pub(crate) mpsc::Sender<TcpStream>);

impl SharedPort {
    /// Looks at the first bytes, which both kinds of caller send at once and unasked, and takes nothing out. Returns a stream that is not for
    /// membership.
    ///
    /// # Errors
    ///
    /// When it was for membership and has been handed on, or dropped because too many wait; and what the operating system says.
    pub(super) async fn sort(&self, stream: TcpStream) -> io::Result<TcpStream> {
        let mut first = [0; GREETING.len()];
        let length = stream.peek(&mut first).await?;
        if first[..length] != GREETING {
            return Ok(stream);
        }
        let said = match self.0.try_send(stream) {
            Ok(()) => "it is a conversation of membership",
            Err(_) => "it is a conversation of membership, and too many wait",
        };
        Err(io::Error::other(said))
    }
}
