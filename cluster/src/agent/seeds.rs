//! Where the cluster may be found: addresses, and names that are resolved again and again, since what they stand for changes.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio::sync::mpsc;

use super::run::Command;

/// An address, or a name with a port. A name may stand for many addresses (for example a headless service of Kubernetes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// A fixed address.
    Addr(SocketAddr),
    /// `host:port`.
    Host(String),
}

impl Seed {
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Addr(addr) => Some(*addr),
            Self::Host(_) => None,
        }
    }

    pub(super) fn into_host(self) -> Option<String> {
        match self {
            Self::Addr(_) => None,
            Self::Host(host) => Some(host),
        }
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

/// A text that is neither `address:port` nor `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedError {
    /// The text.
    pub text: String,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a seed is written as address:port or host:port, not {:?}",
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
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect()
}

/// Resolves names at once and then after each interval, until the agent has ended. A name that cannot be resolved is tried again.
pub(super) async fn resolve_again_and_again(
    hosts: Vec<String>,
    interval: Duration,
    commands: mpsc::WeakSender<Command>,
) {
    loop {
        let mut found = Vec::new();
        for host in &hosts {
            if let Ok(addrs) = tokio::net::lookup_host(host).await {
                found.extend(addrs);
            }
        }
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
        check("nodes.internal", None);
        check("10.0.0.1", None);
        check("::1", None);
        check(":1", None);
        check("host:99999", None);
    }

    #[test]
    fn a_list_is_separated_by_commas_or_white_space() {
        assert_eq!(
            parse_list(" a:1, b:2\nc:3 ").map(|seeds| seeds.len()),
            Ok(3)
        );
        assert_eq!(parse_list(""), Ok(vec![]));
        assert_eq!(parse_list("a:1,b"), Err(SeedError { text: "b".into() }));
    }
}
