//! Where the cluster may be found: addresses, names, and files with both. What names and files stand for changes, so they are looked at again
//! and again.
//!
//! What is not here: joining. The machine tries seeds for ever, as long as it knows no member at their address.

use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::run::Command;

/// More addresses than these are not taken from one look at names and files.
const ADDRS_MAX: usize = 1024;
/// Longer files of seeds are not read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// An address, a name with a port, or a file with a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// A fixed address.
    Addr(SocketAddr),
    /// `host:port`. A name may stand for many addresses, as that of a headless service of Kubernetes does: all of them are tried.
    Host(String),
    /// A file of seeds, written as `file:PATH`: separated by commas or white space, `#` begins a comment. It is read anew at each
    /// [`resolve_interval`](super::AgentConfig::resolve_interval), at most 256 KiB of it, and need not exist yet. It cannot name other files.
    File(PathBuf),
}

impl Seed {
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Addr(addr) => Some(*addr),
            Self::Host(_) | Self::File(_) => None,
        }
    }
}

/// Addresses that are still to come.
pub type ResolveFuture<'r> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'r>>;

/// Turns the names among the seeds into addresses. The seam for service discovery of another kind, and for tests.
pub trait Resolver: Debug + Send + Sync {
    /// All addresses that `host_and_port` stands for at this moment. An error is counted in
    /// [`seeds_failed`](super::AgentStats::seeds_failed), and the name is asked for again after the next interval.
    fn resolve<'r>(&'r self, host_and_port: &'r str) -> ResolveFuture<'r>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'r>(&'r self, host_and_port: &'r str) -> ResolveFuture<'r> {
        Box::pin(async move { Ok(tokio::net::lookup_host(host_and_port).await?.collect()) })
    }
}

impl From<SocketAddr> for Seed {
    fn from(addr: SocketAddr) -> Self {
        Self::Addr(addr)
    }
}

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::Addr(addr));
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        match text.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok() =>
            {
                Ok(Self::Host(text.to_owned()))
            }
            _ => Err(SeedError {
                text: text.to_owned(),
            }),
        }
    }
}

/// A text that is none of `address:port`, `host:port` and `file:path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedError {
    /// The text.
    pub text: String,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a seed is written as address:port, host:port or file:path, not {:?}",
            self.text
        )
    }
}

impl std::error::Error for SeedError {}

/// Seeds from an environment variable, separated by commas or white space; none if it is not set.
///
/// # Errors
/// [`SeedError`] for the first that cannot be read.
pub fn seeds_from_env(variable: &str) -> Result<Vec<Seed>, SeedError> {
    parse_list(&std::env::var(variable).unwrap_or_default())
}

fn parse_list(text: &str) -> Result<Vec<Seed>, SeedError> {
    parts(text).map(str::parse).collect()
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split_once('#').map_or(line, |(before, _)| before))
        .flat_map(|line| line.split(|c: char| c == ',' || c.is_whitespace()))
        .filter(|part| !part.is_empty())
}

/// What one look at names and files has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addrs: Vec<SocketAddr>,
    /// Names that could not be resolved, files that could not be read, and what was no seed in them.
    pub(super) failed: u64,
}

impl Found {
    fn note(&mut self, seed: &dyn fmt::Display, problem: &dyn fmt::Display) {
        tracing::debug!(%seed, %problem, "a seed stands for no address at the moment");
        self.failed += 1;
    }

    fn extend(&mut self, addrs: impl IntoIterator<Item = SocketAddr>) {
        for addr in addrs {
            if self.addrs.len() < ADDRS_MAX && !self.addrs.contains(&addr) {
                self.addrs.push(addr);
            }
        }
    }
}

async fn look(seeds: &[Seed], resolver: &dyn Resolver) -> Found {
    let mut found = Found::default();
    for seed in seeds {
        match seed {
            Seed::Addr(addr) => found.extend([*addr]),
            Seed::Host(host) => look_up(host, resolver, &mut found).await,
            Seed::File(path) => match read_list(path).await {
                Ok(text) => {
                    for part in parts(&text) {
                        match part.parse() {
                            Ok(Seed::Addr(addr)) => found.extend([addr]),
                            Ok(Seed::Host(host)) => look_up(&host, resolver, &mut found).await,
                            Ok(Seed::File(_)) => {
                                found.note(&part, &"a file of seeds cannot name another")
                            }
                            Err(error) => found.note(&path.display(), &error),
                        }
                    }
                }
                Err(error) => found.note(&path.display(), &error),
            },
        }
    }
    found
}

async fn look_up(host: &str, resolver: &dyn Resolver, found: &mut Found) {
    match resolver.resolve(host).await {
        Ok(addrs) => found.extend(addrs),
        Err(error) => found.note(&host, &error),
    }
}

async fn read_list(path: &std::path::Path) -> io::Result<String> {
    let path = path.to_owned();
    let read = move || {
        use io::Read;
        let mut text = String::new();
        let length = std::fs::File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)?;
        if length as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "longer than 256 KiB",
            ));
        }
        Ok(text)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// Looks at names and files at once and then after each interval, until the agent has ended. What failed is tried again.
pub(super) async fn look_again_and_again(
    seeds: Vec<Seed>,
    resolver: Arc<dyn Resolver>,
    interval: Duration,
    commands: mpsc::WeakSender<Command>,
) {
    loop {
        let found = look(&seeds, &*resolver).await;
        let Some(commands) = commands.upgrade() else {
            return;
        };
        if commands.send(Command::Seeds(found)).await.is_err() {
            return;
        }
        drop(commands);
        tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_addresses_or_names_with_a_port() {
        let check = |text: &str, expected: Option<Seed>| {
            assert_eq!(text.parse().ok(), expected, "{text:?}")
        };
        check(
            "10.0.0.1:7946",
            Some(Seed::Addr("10.0.0.1:7946".parse().unwrap())),
        );
        check(
            "[::1]:7946",
            Some(Seed::Addr("[::1]:7946".parse().unwrap())),
        );
        check(
            "nodes.internal:7946",
            Some(Seed::Host("nodes.internal:7946".into())),
        );
        check("file:/etc/seeds", Some(Seed::File("/etc/seeds".into())));
        check("file:", None);
        check("nodes.internal", None);
        check("10.0.0.1", None);
        check("::1", None);
        check(":1", None);
        check("host:99999", None);
    }

    #[test]
    fn a_list_is_separated_by_commas_or_white_space() {
        assert_eq!(
            parse_list(" a:1, b:2 # not d:4\nc:3 ").map(|seeds| seeds.len()),
            Ok(3)
        );
        assert_eq!(parse_list(""), Ok(vec![]));
        assert_eq!(parse_list("a:1,b"), Err(SeedError { text: "b".into() }));
    }

    /// Knows one name, which stands for several addresses.
    #[derive(Debug)]
    struct Headless;

    impl Resolver for Headless {
        fn resolve<'r>(&'r self, host_and_port: &'r str) -> ResolveFuture<'r> {
            Box::pin(async move {
                match host_and_port {
                    "headless:7946" => Ok(vec![addr(1), addr(2), addr(3)]),
                    _ => Err(io::ErrorKind::NotFound.into()),
                }
            })
        }
    }

    fn addr(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 7946).into()
    }

    #[tokio::test]
    async fn a_name_stands_for_all_its_addresses_and_one_that_fails_spoils_no_other() {
        let seeds = [
            "nowhere:1",
            "headless:7946",
            "10.0.0.3:7946",
            "10.0.0.4:7946",
        ];
        let seeds: Vec<Seed> = seeds.iter().map(|text| text.parse().unwrap()).collect();
        let found = look(&seeds, &Headless).await;
        assert_eq!(
            found.addrs,
            [addr(1), addr(2), addr(3), addr(4)],
            "each once"
        );
        assert_eq!(found.failed, 1);
    }

    #[tokio::test]
    async fn a_file_has_addresses_and_names_and_what_is_neither_is_counted() {
        let path = std::env::temp_dir().join(format!("treewarden-seeds-{}", std::process::id()));
        let seeds = [Seed::File(path.clone())];
        let missing = look(&seeds, &Headless).await;
        assert_eq!(
            missing,
            Found {
                addrs: vec![],
                failed: 1
            }
        );
        let text = "# the first rack\n10.0.0.9:7946, headless:7946\nnonsense file:other\n";
        std::fs::write(&path, text).unwrap();
        let found = look(&seeds, &Headless).await;
        std::fs::write(&path, "x".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        let too_long = look(&seeds, &Headless).await;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found.addrs, [addr(9), addr(1), addr(2), addr(3)]);
        assert_eq!(found.failed, 2);
        assert_eq!(
            too_long,
            Found {
                addrs: vec![],
                failed: 1
            }
        );
    }
}
