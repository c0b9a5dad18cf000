//! TCP under mutual TLS 1.3: each end shows a certificate of the cluster's authority, or there is no connection.
//!
//! Whether the certificate names the node that was wanted is looked at after the TLS handshake, before the first byte of a link, in the same
//! way on both ends: nodes have names of their own, not host names, so the usual check of the host name has nothing to check.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncRead, BufReader, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, TlsStream,
    rustls::{
        self, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_cert_signed_by_trust_anchor,
        },
        crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
        server::ParsedCertificate,
    },
};

use super::{
    Arriving, BINDING_BYTES, Boxed, Connection, SharedPort, Transport,
    credentials::Credentials,
    identity::{Identity, IdentityError},
};

/// Label of the exporter of RFC 9266.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What the client says that it wants to speak with, where TLS insists on a host name. Nobody looks at it.
const SERVER_NAME: &str = "node.treewarden.invalid";

/// Mutual TLS over TCP.
#[derive(Debug)]
pub struct Tls {
    listener: TcpListener,
    credentials: Credentials,
    shared: Option<SharedPort>,
}

impl Tls {
    /// Takes connections on `listener`, and proves itself with `credentials` in both directions.
    #[must_use]
    pub fn new(listener: TcpListener, credentials: Credentials) -> Self {
        Self {
            listener,
            credentials,
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

impl Transport for Tls {
    fn dial(&self, addr: SocketAddr) -> Boxed<'_, io::Result<Connection>> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
            let connector = TlsConnector::from(self.credentials.client.clone());
            let stream = connector.connect(name, read_ahead(stream)).await?;
            connection(TlsStream::Client(stream))
        })
    }

    fn accept(&self) -> Boxed<'_, io::Result<Box<dyn Arriving>>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            let acceptor = TlsAcceptor::from(self.credentials.server.clone());
            let shared = self.shared.clone();
            Ok(Box::new(Unproven {
                stream,
                acceptor,
                shared,
            }) as Box<dyn Arriving>)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Somebody who has shown no certificate yet.
struct Unproven {
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Option<SharedPort>,
}

impl Arriving for Unproven {
    fn establish(self: Box<Self>) -> Boxed<'static, io::Result<Connection>> {
        Box::pin(async move {
            self.stream.set_nodelay(true)?;
            let stream = match self.shared {
                Some(port) => port.sort(self.stream).await?,
                None => self.stream,
            };
            connection(TlsStream::Server(
                self.acceptor.accept(read_ahead(stream)).await?,
            ))
        })
    }

    fn turn_away(self: Box<Self>, _goodbye: &[u8]) {
        // Nothing can be said before the handshake; the caller sees the connection closed.
    }
}

/// How much is read from the socket at once, in bytes. TLS itself would read 4 KiB at a time, a quarter of a record.
const READ_AHEAD_BYTES: usize = 64 * 1024;

type ReadAhead = BufReader<TcpStream>;

fn read_ahead(stream: TcpStream) -> ReadAhead {
    BufReader::with_capacity(READ_AHEAD_BYTES, stream)
}

/// Reads all records that are there, and not one at a time.
struct Records<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Records<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            let so_far = buf.filled().len();
            let polled = Pin::new(&mut self.0).poll_read(cx, buf);
            let (has_read, has_more) = (so_far > before, buf.filled().len() > so_far);
            match polled {
                Poll::Ready(Ok(())) if has_more && buf.remaining() > 0 => {}
                // The end, or an error, will be there the next time as well.
                _ if has_read => return Poll::Ready(Ok(())),
                polled => return polled,
            }
        }
    }
}

fn connection(stream: TlsStream<ReadAhead>) -> io::Result<Connection> {
    let (_, session) = stream.get_ref();
    let certificate = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or(rustls::Error::NoCertificatesPresented)
        .map_err(io::Error::other)?;
    let identity = Identity::of_certificate(certificate).map_err(io::Error::other)?;
    let binding = match &stream {
        TlsStream::Client(end) => {
            let (_, session) = end.get_ref();
            session.export_keying_material([0; BINDING_BYTES], EXPORTER_LABEL, None)
        }
        TlsStream::Server(end) => {
            let (_, session) = end.get_ref();
            session.export_keying_material([0; BINDING_BYTES], EXPORTER_LABEL, None)
        }
    }
    .map_err(io::Error::other)?;
    let (reader, writer) = tokio::io::split(stream);
    Ok(Connection {
        reader: Box::new(Records(reader)),
        writer: Box::new(writer),
        identity: Some(identity),
        binding,
    })
}

/// Whose certificate a connection failed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The other side's is missing, foreign, expired or for no node; or it does not speak TLS at all.
    Them,
    /// The other side says so of ours.
    Us,
}

/// Whether, and for whose certificate, a connection failed.
pub(crate) fn blames(error: &io::Error) -> Option<Blame> {
    let inner = error.get_ref()?;
    if inner.is::<IdentityError>() {
        return Some(Blame::Them);
    }
    match inner.downcast_ref::<rustls::Error>()? {
        // What was said was changed on its way, or said again: that is nobody's certificate.
        rustls::Error::DecryptError
        | rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac) => None,
        rustls::Error::AlertReceived(_) => Some(Blame::Us),
        _ => Some(Blame::Them),
    }
}

/// Checks that a certificate comes from the authority of the cluster, and nothing else. For which node it speaks is looked at later.
#[derive(Debug)]
pub(super) struct AnyNodeOfTheCluster {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl AnyNodeOfTheCluster {
    pub(super) fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider }
    }
}

impl ServerCertVerifier for AnyNodeOfTheCluster {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
