//! Certificates and keys for a cluster: its own authority, a certificate for each node, and the key of the gossip.
//!
//! | file in the folder | what | who needs it |
//! |---|---|---|
//! | `cluster` | the name of the cluster | this command, when nodes are added |
//! | `ca.pem` | the authority's certificate | every node |
//! | `ca-key.pem` | the authority's private key | whoever issues certificates; no node |
//! | `NODE.pem`, `NODE-key.pem` | a node's certificate and private key | that node alone |
//! | `gossip.key` | the key that seals datagrams, in hexadecimal | every node |
//!
//! Nothing that exists is overwritten: run again with further nodes, it adds those. Private files are readable by their owner alone (on
//! Unix). The authority is meant for development and for small clusters; a larger one issues certificates of the same form (one URI
//! `treewarden://CLUSTER/NODE`, client and server authentication) from where it keeps its secrets.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use treewarden_cluster::{
    datagram::{Key, KeyError},
    transport::{Identity, IdentityError},
};

/// A certificate and its private key, both in PEM encoding.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key. Secret.
    pub key: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued")
    }
}

/// The authority of one cluster.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    issued: Issued,
}

/// How far back certificates are valid, for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::hours(1);

impl Authority {
    /// A new authority, valid for `days`.
    ///
    /// # Errors
    ///
    /// That the operating system gives no randomness.
    pub fn generate(cluster: &str, days: u32) -> Result<Self, CertsError> {
        let key = KeyPair::generate().map_err(CertsError::Issue)?;
        let mut params = params(&format!("treewarden cluster {cluster}"), days);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(CertsError::Issue)?;
        let issued = Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        };
        Ok(Self {
            issuer: Issuer::new(params, key),
            issued,
        })
    }

    /// An authority that was made before.
    ///
    /// # Errors
    ///
    /// That this is not a certificate and its key.
    pub fn from_pem(issued: Issued) -> Result<Self, CertsError> {
        let key = KeyPair::from_pem(&issued.key).map_err(CertsError::Issue)?;
        let issuer =
            Issuer::from_ca_cert_pem(&issued.certificate, key).map_err(CertsError::Issue)?;
        Ok(Self { issuer, issued })
    }

    /// Its certificate and key.
    #[must_use]
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// A certificate that speaks for a node, valid for `days`.
    ///
    /// # Errors
    ///
    /// That the operating system gives no randomness.
    pub fn issue(&self, identity: &Identity, days: u32) -> Result<Issued, CertsError> {
        let key = KeyPair::generate().map_err(CertsError::Issue)?;
        let mut params = params(&identity.node, days);
        let uri = identity.uri().try_into().map_err(CertsError::Issue)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A node dials and is dialed.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(CertsError::Issue)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(common_name: &str, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(days.into());
    params
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where; made if it is not there.
    pub dir: PathBuf,
    /// The name of the cluster; `None`: the one that the folder is for, or `dev`.
    pub cluster: Option<String>,
    /// For which nodes.
    pub nodes: Vec<String>,
    /// For how long certificates are valid, from now on. The authority's is so for ten times as long.
    pub days: u32,
}

/// The name of a cluster if none was said.
const CLUSTER_DEFAULT: &str = "dev";

/// Makes what of a [`Plan`] is not there yet, and returns the files that it has written.
///
/// # Errors
///
/// See [`CertsError`]. What was written before stays, and is not written again.
pub fn write(plan: &Plan) -> Result<Vec<PathBuf>, CertsError> {
    let in_dir = |name: &str| plan.dir.join(name);
    let existing = read_if_there(&in_dir("cluster"))?.map(|name| name.trim().to_owned());
    let cluster = match (&existing, &plan.cluster) {
        (Some(existing), Some(wanted)) if existing != wanted => {
            return Err(CertsError::OtherCluster {
                existing: existing.clone(),
                wanted: wanted.clone(),
            });
        }
        (Some(cluster), _) | (None, Some(cluster)) => cluster.clone(),
        (None, None) => CLUSTER_DEFAULT.to_owned(),
    };
    // All names are checked before the first file is written.
    let identities: Vec<Identity> = plan
        .nodes
        .iter()
        .map(|node| match node.as_str() {
            "ca" => Err(CertsError::ReservedName),
            node => Identity::new(&cluster, node).map_err(CertsError::Name),
        })
        .collect::<Result<_, _>>()?;

    fs::create_dir_all(&plan.dir).map_err(|source| CertsError::Write {
        path: plan.dir.clone(),
        source,
    })?;
    let mut written = Vec::new();
    let mut put = |name: &str, text: &str, access| -> Result<(), CertsError> {
        let path = in_dir(name);
        create(&path, text, access).map_err(|source| CertsError::Write {
            path: path.clone(),
            source,
        })?;
        written.push(path);
        Ok(())
    };

    let known = match read_if_there(&in_dir("ca.pem"))? {
        Some(certificate) => Some(Issued {
            certificate,
            key: read(&in_dir("ca-key.pem"))?,
        }),
        None => None,
    };
    let authority = match known {
        Some(issued) => Authority::from_pem(issued)?,
        None => {
            let authority = Authority::generate(&cluster, plan.days.saturating_mul(10))?;
            put("ca-key.pem", &authority.issued().key, Access::Owner)?;
            put("ca.pem", &authority.issued().certificate, Access::Everybody)?;
            authority
        }
    };
    if existing.is_none() {
        put("cluster", &format!("{cluster}\n"), Access::Everybody)?;
    }
    if !in_dir("gossip.key").exists() {
        let key = Key::generate().map_err(CertsError::Key)?;
        put("gossip.key", &format!("{}\n", key.to_hex()), Access::Owner)?;
    }
    for identity in identities {
        let node = &identity.node;
        if in_dir(&format!("{node}.pem")).exists() {
            continue;
        }
        let issued = authority.issue(&identity, plan.days)?;
        put(&format!("{node}-key.pem"), &issued.key, Access::Owner)?;
        put(
            &format!("{node}.pem"),
            &issued.certificate,
            Access::Everybody,
        )?;
    }
    Ok(written)
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Owner,
    Everybody,
}

/// Writes a file that must not be there yet.
fn create(path: &Path, text: &str, access: Access) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(match access {
            Access::Owner => 0o600,
            Access::Everybody => 0o644,
        });
    }
    #[cfg(not(unix))]
    let _ = access;
    options.open(path)?.write_all(text.as_bytes())
}

fn read(path: &Path) -> Result<String, CertsError> {
    fs::read_to_string(path).map_err(|source| CertsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_if_there(path: &Path) -> Result<Option<String>, CertsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Why not everything was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertsError {
    /// A name cannot stand in a certificate. Nothing was written.
    Name(IdentityError),
    /// A node cannot be named `ca`: its files would be those of the authority. Nothing was written.
    ReservedName,
    /// The folder is for another cluster. Nothing was written.
    OtherCluster {
        /// For which.
        existing: String,
        /// For which it was to be.
        wanted: String,
    },
    /// A file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate cannot be made, or the authority's cannot be used.
    Issue(rcgen::Error),
    /// There is no randomness for the gossip key.
    Key(KeyError),
}

impl fmt::Display for CertsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::ReservedName => f.write_str(
                "a node cannot be named \"ca\", because its files would be those of the authority",
            ),
            Self::OtherCluster { existing, wanted } => write!(
                f,
                "this folder is for the cluster {existing:?}, not {wanted:?}: use another folder"
            ),
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Write { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Self::Issue(error) => write!(f, "cannot make a certificate: {error}"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CertsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            Self::Issue(error) => Some(error),
            Self::Key(error) => Some(error),
            Self::ReservedName | Self::OtherCluster { .. } => None,
        }
    }
}
