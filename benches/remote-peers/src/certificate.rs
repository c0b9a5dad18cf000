//! A certificate that both ends trust and show: mutual TLS, as Treewarden's links have it.

use std::error::Error;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// For whom it speaks.
pub(crate) const NAME: &str = "localhost";

/// A certificate and its key, in PEM encoding.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        })
    }

    /// On one line, as a process tells it to another.
    pub(crate) fn to_line(&self) -> String {
        format!("{}|{}", self.certificate, self.key).replace('\n', "\\")
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (certificate, key) = line.split_once('|')?;
        Some(Self {
            certificate: certificate.replace('\\', "\n"),
            key: key.replace('\\', "\n"),
        })
    }

    fn parts(
        &self,
    ) -> Result<
        (
            Arc<RootCertStore>,
            CertificateDer<'static>,
            PrivateKeyDer<'static>,
        ),
        Box<dyn Error>,
    > {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        Ok((Arc::new(roots), certificate, key))
    }

    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
        let (roots, certificate, key) = self.parts()?;
        let verifier = WebPkiClientVerifier::builder(roots).build()?;
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)?;
        Ok(Arc::new(config))
    }

    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
        let (roots, certificate, key) = self.parts()?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Arc::new(config))
    }
}
