//! What a node needs to speak TLS: the authority of its cluster, its own certificate, and its private key.
//!
//! There is no public key infrastructure of the web in it: only certificates of the cluster's own authority count, and a certificate speaks for
//! the one node that its URI names. Revocation is not checked: let certificates be short-lived, or change the authority.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::{
    identity::{Identity, IdentityError},
    tls::AnyNodeOfTheCluster,
};

/// Certificates and a key, checked against each other.
#[derive(Clone)]
pub struct Credentials {
    identity: Identity,
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl Credentials {
    /// Reads `ca.pem`, `NODE.pem` and `NODE-key.pem` from a folder, as `treewarden certs` makes them.
    ///
    /// # Errors
    ///
    /// See [`CredentialsError`].
    pub fn from_dir(dir: impl AsRef<Path>, node: &str) -> Result<Self, CredentialsError> {
        let dir = dir.as_ref();
        Self::from_files(
            &dir.join("ca.pem"),
            &dir.join(format!("{node}.pem")),
            &dir.join(format!("{node}-key.pem")),
        )
    }

    /// Reads PEM files: the certificates of the authority (several while one is exchanged for another), the node's certificate with what
    /// links it to the authority, and the node's private key.
    ///
    /// # Errors
    ///
    /// See [`CredentialsError`].
    pub fn from_files(
        authority: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, CredentialsError> {
        let parts = [authority, certificate, key];
        let [authority, certificate, key] = parts.map(read);
        Self::from_pem(&authority?, &certificate?, &key?).map_err(|error| match error {
            CredentialsError::Pem { part } => CredentialsError::PemFile {
                path: parts[part as usize].to_owned(),
                part,
            },
            error => error,
        })
    }

    /// From what such files have in them.
    ///
    /// # Errors
    ///
    /// See [`CredentialsError`].
    pub fn from_pem(
        authority: &[u8],
        certificate: &[u8],
        key: &[u8],
    ) -> Result<Self, CredentialsError> {
        let certificates = |pem, part| {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            match found {
                Ok(found) if !found.is_empty() => Ok(found),
                _ => Err(CredentialsError::Pem { part }),
            }
        };
        let authority = certificates(authority, Part::Authority)?;
        let chain = certificates(certificate, Part::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| CredentialsError::Pem { part: Part::Key })?;
        Self::new(authority, chain, key)
    }

    /// From certificates and a key in DER encoding.
    ///
    /// # Errors
    ///
    /// See [`CredentialsError`].
    pub fn new(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialsError> {
        let own = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let identity = Identity::of_certificate(own).map_err(CredentialsError::Identity)?;
        let mut roots = RootCertStore::empty();
        for certificate in authority {
            roots.add(certificate).map_err(CredentialsError::Tls)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let client = client_config(&provider, &roots, &chain, &key)?;
        let server = server_config(&provider, &roots, chain, key)?;
        Ok(Self {
            identity,
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// For which node they speak.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<ClientConfig, CredentialsError> {
    let verifier = AnyNodeOfTheCluster::new(roots.clone(), provider.clone());
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(CredentialsError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain.to_vec(), key.clone_key())
        .map_err(CredentialsError::Tls)
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, CredentialsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| CredentialsError::Authority(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(CredentialsError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(CredentialsError::Tls)?;
    // A link lives long, so that resuming one saves nothing, and the tickets would only be more to keep secret.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path).map_err(|source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.identity)
    }
}

/// One of the parts that credentials are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificates of the authority.
    Authority,
    /// The certificate of the node.
    Certificate,
    /// Its private key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "certificate of an authority",
            Self::Certificate => "certificate of a node",
            Self::Key => "private key",
        })
    }
}

/// Why there are no credentials.
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should be PEM does not have what it should.
    Pem {
        /// Which part.
        part: Part,
    },
    /// A file does not have what it should.
    PemFile {
        /// Which.
        path: PathBuf,
        /// What it should have.
        part: Part,
    },
    /// There is no certificate of the node.
    NoCertificate,
    /// The certificate speaks for no node.
    Identity(IdentityError),
    /// The authority cannot be used.
    Authority(String),
    /// The certificate and the key cannot be used, or do not belong together.
    Tls(tokio_rustls::rustls::Error),
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Pem { part } => write!(f, "there is no {part} in PEM encoding"),
            Self::PemFile { path, part } => {
                write!(f, "{} has no {part} in PEM encoding", path.display())
            }
            Self::NoCertificate => f.write_str("there is no certificate of the node"),
            Self::Identity(error) => error.fmt(f),
            Self::Authority(error) => write!(f, "the certificate of the authority: {error}"),
            Self::Tls(error) => write!(f, "certificate or key: {error}"),
        }
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Identity(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Pem { .. } | Self::PemFile { .. } | Self::NoCertificate | Self::Authority(_) => {
                None
            }
        }
    }
}
