//! Which node a certificate speaks for: a URI among its subject alternative names, `treewarden://CLUSTER/NODE`.
//!
//! A URI, and not a DNS name, because a node is not a host: it keeps its name when it moves, and several live on one machine. (SPIFFE names
//! workloads in the same way.)

use std::fmt;

use rustls_pki_types::CertificateDer;

const SCHEME: &str = "treewarden://";

/// A node of a cluster, as a certificate names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The name of the cluster.
    pub cluster: String,
    /// The name of the node.
    pub node: String,
}

impl Identity {
    /// Checks that both names can stand in a URI: 1 to 64 bytes of letters, digits and `-._~` each (the unreserved characters of RFC 3986).
    ///
    /// # Errors
    ///
    /// Which of them cannot.
    pub fn new(cluster: &str, node: &str) -> Result<Self, IdentityError> {
        for (what, name) in [("cluster", cluster), ("node", node)] {
            let is_unreserved = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_unreserved) {
                return Err(IdentityError::Name {
                    what,
                    name: name.to_owned(),
                });
            }
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
        })
    }

    /// The URI that stands in a certificate.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.cluster, self.node)
    }

    fn from_uri(uri: &str) -> Option<Self> {
        let (cluster, node) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        Self::new(cluster, node).ok()
    }

    /// The one node that a certificate names. Its chain has to be checked elsewhere.
    ///
    /// # Errors
    ///
    /// That it is not a certificate, or does not name exactly one node.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let certificate =
            webpki::EndEntityCert::try_from(certificate).map_err(|_| IdentityError::Malformed)?;
        let mut nodes = certificate.valid_uri_names().filter_map(Self::from_uri);
        match (nodes.next(), nodes.next()) {
            (Some(node), None) => Ok(node),
            _ => Err(IdentityError::NotOneNode),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

/// Why there is no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// A name that cannot stand in a certificate.
    Name {
        /// `cluster` or `node`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// What should be a certificate is none.
    Malformed,
    /// The certificate has no URI `treewarden://CLUSTER/NODE` among its subject alternative names, or several.
    NotOneNode,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { what, name } => write!(
                f,
                "{name:?} cannot be the name of a {what} in a certificate: use 1 to 64 letters, digits and -._~"
            ),
            Self::Malformed => f.write_str("what should be a certificate cannot be read as one"),
            Self::NotOneNode => f.write_str(
                "the certificate does not name one node: it needs one URI treewarden://CLUSTER/NODE among its subject alternative names",
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_uri_and_a_uri_an_identity() {
        let identity = Identity::new("prod", "orders-1").unwrap();
        assert_eq!(identity.uri(), "treewarden://prod/orders-1");
        assert_eq!(Identity::from_uri(&identity.uri()), Some(identity));
        for foreign in [
            "https://prod/orders-1",
            "treewarden://prod",
            "treewarden:///a",
            "treewarden://prod/a/b",
            "treewarden://prod/a b",
        ] {
            assert_eq!(Identity::from_uri(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_uri_is_refused() {
        for name in ["", "a/b", "a b", "\u{e4}", &"n".repeat(65)] {
            assert!(Identity::new("prod", name).is_err(), "{name:?}");
            assert!(Identity::new(name, "node").is_err(), "{name:?}");
        }
    }
}
