//! A node's settings from a TOML file, with the same checks as in code, and each complaint at its field.
//!
//! What is not said has the value that it has in [`NodeConfig`]. What a program has to bring itself cannot be said: a lease, a gate, a
//! partition policy of one's own. Secrets are not in the file but in those that it names, and paths in it begin at the folder it lies in.
//!
//! | file | subject |
//! |---|---|
//! | `section` | one table, field by field, with types and bounds |
//! | `error` | what can be wrong |

mod error;
mod section;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::Table;

pub use error::{NodeFileError, Wrong};
use section::Section;

use super::NodeConfig;
use crate::{
    agent::{Preset, Rejoin, Seed},
    datagram::{Key, OVERHEAD_BYTES_MAX},
    membership::{
        Config, Metadata, MetadataError, NodeName, PACKET_BYTES_MIN, RECORD_BYTES_MAX, Record,
        check_record,
        wire::{VERSION_MAX, VERSION_MIN, Versions},
    },
    partition::{
        DownAfter, DownAll, KeepMajority, KeepOldest, LeaseMajority, OfTwo, Patience, Restless,
        StaticQuorum,
    },
    remote::LinkConfig,
    transport::Credentials,
};

/// What an address looks like.
const ADDR: &str = "an address with a port, as \"10.0.0.1:7946\"";
const MILLISECOND: Duration = Duration::from_millis(1);

impl NodeConfig {
    /// Reads settings from a TOML file. `docs/OPERATIONS.md` shows one with all fields.
    ///
    /// The file has to say `cluster` and `node`. A key or the protection of links may be missing, for a program that adds them; [`Node::start`](super::Node::start)
    /// checks that they are there in the end. Files that it names (`key_file`, `certs`) are read now.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong: [`NodeFileError`] says the file, the field, and what it may be.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, NodeFileError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| {
            let path = path.to_owned();
            NodeFileError::new("", Wrong::Unreadable { path, source })
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        read(&text, folder).map_err(|error| error.in_file(path))
    }

    /// The same from a text. Paths in it begin at the folder that the process runs in.
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file).
    pub fn from_toml(text: &str) -> Result<Self, NodeFileError> {
        read(text, Path::new(""))
    }
}

fn read(text: &str, folder: &Path) -> Result<NodeConfig, NodeFileError> {
    let table: Table = text.parse().map_err(|error| syntax(text, &error))?;
    let mut whole = Section::whole(table);

    let cluster = whole.needed("cluster")?;
    if cluster.is_empty() {
        return Err(value(&whole, "cluster", "\"\"", "a name"));
    }
    let node = whole.needed("node")?;
    if let Err(error) = NodeName::new(&node) {
        let bound = format!("1 to 64 bytes without control characters ({error})");
        return Err(value(&whole, "node", &format!("{node:?}"), &bound));
    }
    let presets = [
        ("local", Preset::Local),
        ("lan", Preset::Lan),
        ("wan", Preset::Wan),
    ];
    let preset = whole.word("preset", &presets)?.unwrap_or(Preset::Lan);
    let mut config = NodeConfig::new(cluster, node).preset(preset);
    if let Some(addr) = whole.parsed::<SocketAddr>("listen", ADDR)? {
        config = config.listen(addr);
    }
    config.advertise = whole.parsed("advertise", ADDR)?;
    let seeds = "address:port, host:port or file:path";
    config.seeds = whole
        .parsed_list("seeds", seeds)?
        .into_iter()
        .map(|seed| match seed {
            Seed::File(path) => Seed::File(folder.join(path)),
            other => other,
        })
        .collect();
    let rejoin = [
        ("automatically", Rejoin::Automatically),
        ("never", Rejoin::Never),
    ];
    config.rejoin = whole.word("rejoin", &rejoin)?;
    config = secrets(config, &mut whole, folder)?;
    config.metadata = metadata(whole.section("metadata")?)?;
    config.membership = Some(membership(
        whole.section("membership")?,
        preset.membership(),
    )?);
    config.links = links(whole.section("links")?)?;
    config = partition(config, whole.section("partition")?)?;
    whole.end()?;
    Ok(config)
}

fn value(section: &Section, name: &str, found: &str, bound: &str) -> NodeFileError {
    let (found, bound) = (found.to_owned(), bound.to_owned());
    section.wrong(name, Wrong::Value { found, bound })
}

fn syntax(text: &str, error: &toml::de::Error) -> NodeFileError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.unwrap_or_default().matches('\n').count() + 1;
    let message = error.message().to_owned();
    NodeFileError::new("", Wrong::Syntax { line, message })
}

/// The key of the gossip, and how links are protected.
fn secrets(
    mut config: NodeConfig,
    whole: &mut Section,
    folder: &Path,
) -> Result<NodeConfig, NodeFileError> {
    if let Some(path) = whole.text("key_file")? {
        let path: PathBuf = folder.join(path);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => {
                return Err(whole.wrong("key_file", Wrong::Unreadable { path, source }));
            }
        };
        config = match Key::from_hex(&text) {
            Ok(key) => config.key(key),
            Err(source) => return Err(whole.wrong("key_file", Wrong::Key { path, source })),
        };
    }
    let mut field = "plaintext_links_on_loopback";
    let mut is_plaintext = false;
    whole.is(field, &mut is_plaintext)?;
    if is_plaintext {
        config = config.plaintext_links_on_loopback();
    }
    if let Some(certs) = whole.text("certs")? {
        if is_plaintext {
            return Err(whole.wrong(field, Wrong::Conflict { other: "certs" }));
        }
        field = "certs";
        let credentials = Credentials::from_dir(folder.join(certs), &config.name)
            .map_err(|error| whole.wrong(field, Wrong::Credentials(error)))?;
        config = config.credentials(credentials);
    }
    if config.security.is_some() {
        config
            .checked_security()
            .map_err(|error| whole.wrong(field, Wrong::Node(error)))?;
    }
    Ok(config)
}

fn metadata(mut section: Section) -> Result<Metadata, NodeFileError> {
    let mut metadata = Metadata {
        zone: section.text("zone")?.unwrap_or_default(),
        roles: section.parsed_list("roles", "a text")?,
        values: section.pairs("values")?,
        ..Metadata::default()
    };
    section.count("health_percent", &mut metadata.health_percent, 0..=100)?;
    // With the longest addresses that a node can have.
    let addr = SocketAddr::from(([0xffff; 8], u16::MAX));
    let record = Record {
        version: u64::MAX,
        addr,
        metadata: Metadata {
            stream_addr: Some(addr),
            ..metadata.clone()
        },
        versions: Versions::up_to(VERSION_MAX),
        unknown: Box::default(),
    };
    if let Err(error) = check_record(&record) {
        let (found, bound) = match error {
            MetadataError::TooLarge { bytes } => (
                format!("{bytes} bytes with the node's addresses"),
                format!("at most {RECORD_BYTES_MAX}"),
            ),
            MetadataError::TooLong => (
                "too much".to_owned(),
                "texts of at most 255 bytes, and at most 255 roles and values".to_owned(),
            ),
            MetadataError::HealthAbove100 => unreachable!("its bounds were checked"),
        };
        return Err(NodeFileError::new(
            "metadata",
            Wrong::Value { found, bound },
        ));
    }
    section.end()?;
    Ok(metadata)
}

fn membership(mut section: Section, mut config: Config) -> Result<Config, NodeFileError> {
    let c = &mut config;
    section.time("probe_interval", &mut c.probe_interval, MILLISECOND)?;
    section.time("probe_timeout", &mut c.probe_timeout, MILLISECOND)?;
    section.count("indirect_probes", &mut c.indirect_probes, 0..=255)?;
    section.is("stream_fallback", &mut c.stream_fallback)?;
    section.time("gossip_interval", &mut c.gossip_interval, MILLISECOND)?;
    section.count("gossip_fanout", &mut c.gossip_fanout, 1..=255)?;
    section.count("retransmit_factor", &mut c.retransmit_factor, 1..=255)?;
    section.factor("suspicion_alpha", &mut c.suspicion_alpha, 0.001..=1000.0)?;
    section.factor("suspicion_beta", &mut c.suspicion_beta, 1.0..=1000.0)?;
    section.count(
        "suspicion_confirmations",
        &mut c.suspicion_confirmations,
        0..=255,
    )?;
    section.count("health_max", &mut c.health_max, 0..=255)?;
    section.time("sync_interval", &mut c.sync_interval, MILLISECOND)?;
    section.count("sync_packets_max", &mut c.sync_packets_max, 1..=65_536)?;
    section.time("contact_interval", &mut c.contact_interval, MILLISECOND)?;
    section.time("pause_threshold", &mut c.pause_threshold, MILLISECOND)?;
    section.time("tombstone_for", &mut c.tombstone_for, Duration::ZERO)?;
    section.time("leave_linger", &mut c.leave_linger, Duration::ZERO)?;
    let packet_bytes_min = PACKET_BYTES_MIN + OVERHEAD_BYTES_MAX;
    section.count(
        "packet_bytes_max",
        &mut c.packet_bytes_max,
        packet_bytes_min..=65_000,
    )?;
    section.count("members_max", &mut c.members_max, 1..=1 << 24)?;
    section.count(
        "wire_version_max",
        &mut c.wire_version_max,
        VERSION_MIN..=VERSION_MAX,
    )?;
    let mut lifeguard = section.section("lifeguard")?;
    lifeguard.is("local_health", &mut c.lifeguard.local_health)?;
    lifeguard.is("dynamic_suspicion", &mut c.lifeguard.dynamic_suspicion)?;
    lifeguard.is("buddy", &mut c.lifeguard.buddy)?;
    lifeguard.end()?;
    section.end()?;
    config
        .validate()
        .map_err(|error| NodeFileError::new("membership", Wrong::Membership(error)))?;
    Ok(config)
}

fn links(mut section: Section) -> Result<LinkConfig, NodeFileError> {
    /// A gibibyte, and most of anything that is counted.
    const MANY: usize = 1 << 30;
    let mut links = LinkConfig::default();
    let l = &mut links;
    section.count("message_bytes_max", &mut l.message_bytes_max, 4096..=MANY)?;
    section.count("window_messages", &mut l.window.messages, 1..=1 << 30)?;
    section.count("window_bytes", &mut l.window.bytes, 1..=1 << 30)?;
    section.count("queue_bytes_max", &mut l.queue_bytes_max, 1..=MANY)?;
    section.count("asks_max", &mut l.asks_max, 1..=MANY)?;
    section.count("channels_max", &mut l.channels_max, 1..=MANY)?;
    section.time("connect_timeout", &mut l.connect_timeout, MILLISECOND)?;
    section.count("handshakes_max", &mut l.handshakes_max, 1..=MANY)?;
    section.time("ping_interval", &mut l.ping_interval, MILLISECOND)?;
    section.time("silence_max", &mut l.silence_max, MILLISECOND)?;
    section.time("frame_timeout", &mut l.frame_timeout, MILLISECOND)?;
    section.time("backoff_min", &mut l.backoff_min, MILLISECOND)?;
    section.time("backoff_max", &mut l.backoff_max, MILLISECOND)?;
    section.time("close_timeout", &mut l.close_timeout, MILLISECOND)?;
    section.end()?;
    links
        .validate()
        .map_err(|error| NodeFileError::new("links", Wrong::Links(error)))?;
    Ok(links)
}

/// Which of the policies that come with the crate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    KeepMajority,
    StaticQuorum,
    KeepOldest,
    LeaseMajority,
    DownAll,
    DownAfter,
}

/// A section with fields of all policies: what does not belong to the chosen one is unknown.
fn partition(config: NodeConfig, mut section: Section) -> Result<NodeConfig, NodeFileError> {
    let policies = [
        ("keep_majority", Policy::KeepMajority),
        ("static_quorum", Policy::StaticQuorum),
        ("keep_oldest", Policy::KeepOldest),
        ("lease_majority", Policy::LeaseMajority),
        ("down_all", Policy::DownAll),
        ("down_after", Policy::DownAfter),
    ];
    let policy = section
        .word("policy", &policies)?
        .unwrap_or(Policy::KeepMajority);
    let mut patience = Patience::new(config.preset.stable_after());
    section.time("stable_after", &mut patience.stable_after, MILLISECOND)?;
    let restless = [
        ("decide", Restless::Decide),
        ("down_all", Restless::DownAll),
    ];
    patience.restless = section
        .word("restless", &restless)?
        .unwrap_or(patience.restless);
    let role = match policy {
        Policy::DownAll | Policy::DownAfter => None,
        _ => section.text("role")?,
    };
    // Whatever follows the `match` has the role, if there is one.
    macro_rules! with_role {
        ($policy:expr) => {
            match role {
                Some(role) => $policy.role(role),
                None => $policy,
            }
        };
    }
    let config = match policy {
        Policy::KeepMajority => {
            let choices = [
                ("ask_operator", OfTwo::AskOperator),
                ("keep_oldest", OfTwo::KeepOldest),
                ("both_go_on", OfTwo::BothGoOn),
                ("both_yield", OfTwo::BothYield),
            ];
            let of_two = section.word("of_two", &choices)?.unwrap_or_default();
            config.policy(with_role!(KeepMajority::new(patience).of_two(of_two)))
        }
        Policy::StaticQuorum => {
            let mut size = 0;
            section.count("size", &mut size, 1..=1 << 24)?;
            if size == 0 {
                return Err(section.wrong("size", Wrong::Missing));
            }
            config.policy(with_role!(StaticQuorum::new(size, patience)))
        }
        Policy::KeepOldest => {
            let mut even_if_alone = false;
            section.is("even_if_alone", &mut even_if_alone)?;
            let policy = with_role!(KeepOldest::new(patience));
            config.policy(match even_if_alone {
                true => policy.even_if_alone(),
                false => policy,
            })
        }
        Policy::LeaseMajority => {
            let mut minority_waits = Duration::from_secs(2);
            section.time("minority_waits", &mut minority_waits, MILLISECOND)?;
            let policy = LeaseMajority::new(patience).minority_waits(minority_waits);
            config.policy(with_role!(policy))
        }
        Policy::DownAll => config.policy(DownAll::new(patience)),
        Policy::DownAfter => config.policy(DownAfter::new(patience)),
    };
    section.end()?;
    Ok(config)
}
