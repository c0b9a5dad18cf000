//! What links run over: streams of bytes between two nodes, behind a trait.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`Transport`], the seam: dial, accept, and what a connection is |
//! | `tcp` | TCP in the clear, for loopback |
//! | `tls` | TCP under mutual TLS |
//! | `credentials` | certificates and keys: read from files, checked, turned into settings of TLS |
//! | `shared` | a port that links share with conversations of membership |
//! | `gate` | a network that can be cut, for drills |
//! | `identity` | which node a certificate speaks for |
//!
//! A transport moves bytes and says for whom the other end's certificate speaks. Who may link with whom, and whether the other end has the
//! key of the cluster, is decided by the handshake of [`remote`](crate::remote), which is bound to the connection by
//! [`binding`](Connection::binding).
//!
//! What is not here: names, frames, time-outs. Whoever calls bounds the time.

mod credentials;
mod gate;
mod identity;
mod shared;
mod tcp;
mod tls;

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin};

use tokio::io::{AsyncRead, AsyncWrite};

pub use credentials::{Credentials, CredentialsError, Part};
pub use gate::Gate;
pub(crate) use gate::{GatedDatagrams, GatedLinks};
pub use identity::{Identity, IdentityError};
pub(crate) use shared::SharedPort;
pub use tcp::Tcp;
pub use tls::Tls;
pub(crate) use tls::{Blame, blames};

/// A future in a box: transports are called a few times in the life of a connection.
pub type Boxed<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

/// Opens connections to other nodes and takes theirs.
///
/// Cancel safe: dropping a future of it drops the connection that was in the making, and nothing else.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Connects to the node that listens at `addr`.
    fn dial(&self, addr: SocketAddr) -> Boxed<'_, io::Result<Connection>>;

    /// The next one that knocks. It has not been spoken with yet.
    fn accept(&self) -> Boxed<'_, io::Result<Box<dyn Arriving>>>;

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Somebody at the door.
pub trait Arriving: Send {
    /// Lets it in: whatever has to be exchanged before the first byte of a link.
    fn establish(self: Box<Self>) -> Boxed<'static, io::Result<Connection>>;

    /// Turns it away at once, with these bytes if they can be said without waiting.
    fn turn_away(self: Box<Self>, goodbye: &[u8]);
}

/// The reading half of a connection.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half of a connection.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Bytes of a [`Connection::binding`].
pub const BINDING_BYTES: usize = 32;

/// A stream of bytes in both directions.
pub struct Connection {
    /// What comes.
    pub reader: Reader,
    /// What goes.
    pub writer: Writer,
    /// For which node the certificate of the other end speaks; `None` where there are no certificates.
    pub identity: Option<Identity>,
    /// Something that only the two ends of this very connection know (RFC 9266, `tls-exporter`), so that what is proven on it is not
    /// proven on another; zeros in the clear.
    pub binding: [u8; BINDING_BYTES],
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
