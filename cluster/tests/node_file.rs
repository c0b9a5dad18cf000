//! Settings of a node from a file: the same as in code, and complaints that name file, field and bound.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use treewarden_cli::certs;
use treewarden_cluster::{
    NodeConfig,
    datagram::Key,
    membership::{Config, Metadata},
    node::{NodeFileError, Preset, Rejoin, Seed, Wrong},
    partition::{KeepMajority, KeepOldest, OfTwo, Patience, Restless, StaticQuorum},
    remote::LinkConfig,
    transport::Credentials,
};

/// A folder with the key and the certificates of the nodes a and b, that goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("treewarden-file-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let plan = certs::Plan {
            dir: dir.join("certs"),
            cluster: Some("prod".to_owned()),
            nodes: vec!["a".to_owned(), "b".to_owned()],
            days: 1,
        };
        certs::write(&plan).unwrap();
        Self(dir)
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.join("node.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The example in the documents.
fn example() -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (_, rest) = docs.split_once("```toml\n").expect("there is an example");
    rest.split_once("```").expect("it ends").0.to_owned()
}

#[test]
fn the_example_in_the_documents_is_valid() {
    let folder = Folder::new("example");
    NodeConfig::from_file(folder.file(&example())).unwrap();
}

#[test]
fn the_example_in_the_documents_shows_every_field() {
    let example = example();
    for (section, needed) in [
        ("", ""),
        ("metadata", ""),
        ("membership", ""),
        ("membership.lifeguard", ""),
        ("links", ""),
        ("partition", ""),
        ("partition", "policy = \"static_quorum\"\nsize = 2"),
        ("partition", "policy = \"keep_oldest\""),
        ("partition", "policy = \"lease_majority\""),
    ] {
        let header = match section {
            "" => String::new(),
            section => format!("[{section}]"),
        };
        let text =
            format!("cluster = \"prod\"\nnode = \"a\"\n{header}\nno-such-field = 1\n{needed}");
        let error = NodeConfig::from_toml(&text).unwrap_err();
        let Wrong::Unknown { known } = &error.wrong else {
            panic!("{section}: {error}");
        };
        for field in known {
            let is_shown = example.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ']);
                let name = line.split([' ', '=']).next().unwrap_or_default();
                name == *field
                    || line.starts_with(&format!("[{field}]"))
                    || line.ends_with(&format!(".{field}]"))
            });
            assert!(is_shown, "{section}: {field} is not in the example");
        }
    }
}

#[test]
fn the_example_in_the_documents_tells_the_defaults() {
    let folder = Folder::new("defaults");
    let example = example();
    let told: String = example
        .lines()
        .map(|line| {
            let is_no_default = ["alone", "not with", "instead of"];
            let line = match is_no_default.iter().any(|words| line.contains(words)) {
                true => line,
                false => line.trim_start_matches("# "),
            };
            format!("{line}\n")
        })
        .collect();
    assert!(told.contains("\nprobe_interval"), "{told}");
    let [silent, told] =
        [example, told].map(|text| NodeConfig::from_file(folder.file(&text)).unwrap());
    // Whether the default is said or left to the node.
    let silent = format!("{silent:?}").replace("rejoin: None", "rejoin: Some(Automatically)");
    assert_eq!(format!("{told:?}"), silent);
}

#[test]
fn a_file_says_what_the_builder_says() {
    let folder = Folder::new("same");
    let key = fs::read_to_string(folder.0.join("certs/gossip.key")).unwrap();
    let head = "cluster = \"prod\"\nnode = \"a\"\n";
    let plain =
        || NodeConfig::new("prod", "a").policy(KeepMajority::new(Preset::Lan.stable_after()));
    let cases = [
        ("", plain().membership(Config::lan())),
        (
            "preset = \"local\"\nlisten = \"127.0.0.1:7\"\nadvertise = \"127.0.0.1:0\"\nrejoin = \"never\"",
            NodeConfig::new("prod", "a")
                .preset(Preset::Local)
                .membership(Config::local())
                .policy(KeepMajority::new(Preset::Local.stable_after()))
                .listen("127.0.0.1:7".parse().unwrap())
                .advertise("127.0.0.1:0".parse().unwrap())
                .rejoin(Rejoin::Never),
        ),
        (
            "seeds = [\"10.0.0.1:1\", \"seed.example:2\", \"file:list\", \"file:/etc/list\"]",
            plain().membership(Config::lan()).seeds([
                Seed::Addr("10.0.0.1:1".parse().unwrap()),
                Seed::Host("seed.example:2".to_owned()),
                Seed::File(folder.0.join("list")),
                Seed::File("/etc/list".into()),
            ]),
        ),
        (
            "key_file = \"certs/gossip.key\"\nplaintext_links_on_loopback = true",
            plain()
                .membership(Config::lan())
                .key(Key::from_hex(&key).unwrap())
                .plaintext_links_on_loopback(),
        ),
        (
            "listen = \"10.0.0.1:7946\"\ncerts = \"certs\"",
            plain()
                .membership(Config::lan())
                .listen("10.0.0.1:7946".parse().unwrap())
                .credentials(Credentials::from_dir(folder.0.join("certs"), "a").unwrap()),
        ),
        (
            "[metadata]\nzone = \"z\"\nroles = [\"x\", \"y\"]\nhealth_percent = 50\nvalues = { version = \"3\" }",
            plain().membership(Config::lan()).metadata(Metadata {
                zone: "z".to_owned(),
                roles: vec!["x".to_owned(), "y".to_owned()],
                health_percent: 50,
                values: [("version".to_owned(), "3".to_owned())].into(),
                ..Metadata::default()
            }),
        ),
        (
            "[membership]\nprobe_interval = \"2s\"\ngossip_fanout = 4\nsuspicion_alpha = 3\n[membership.lifeguard]\nbuddy = false",
            plain().membership({
                let mut config = Config::lan();
                config.probe_interval = Duration::from_secs(2);
                config.gossip_fanout = 4;
                config.suspicion_alpha = 3.0;
                config.lifeguard.buddy = false;
                config
            }),
        ),
        (
            "[links]\nwindow_messages = 8\nsilence_max = \"1m\"",
            plain().membership(Config::lan()).links({
                let mut links = LinkConfig::default();
                links.window.messages = 8;
                links.silence_max = Duration::from_secs(60);
                links
            }),
        ),
        (
            "[partition]\nstable_after = \"9s\"\nrestless = \"down_all\"\nrole = \"r\"\nof_two = \"keep_oldest\"",
            NodeConfig::new("prod", "a")
                .membership(Config::lan())
                .policy(
                    KeepMajority::new(Patience {
                        stable_after: Duration::from_secs(9),
                        restless: Restless::DownAll,
                    })
                    .of_two(OfTwo::KeepOldest)
                    .role("r"),
                ),
        ),
        (
            "[partition]\npolicy = \"static_quorum\"\nsize = 3",
            plain()
                .membership(Config::lan())
                .policy(StaticQuorum::new(3, Preset::Lan.stable_after())),
        ),
        (
            "[partition]\npolicy = \"keep_oldest\"\neven_if_alone = true",
            plain()
                .membership(Config::lan())
                .policy(KeepOldest::new(Preset::Lan.stable_after()).even_if_alone()),
        ),
    ];
    for (text, expected) in cases {
        let found = NodeConfig::from_file(folder.file(&format!("{head}{text}")))
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_file_field_and_bound() {
    let folder = Folder::new("wrong");
    fs::write(folder.0.join("short.key"), "abc").unwrap();
    let head = "cluster = \"prod\"\nnode = \"a\"\n";
    let long = format!("[metadata]\nzone = \"{}\"", "z".repeat(256));
    let large = format!("[metadata]\nroles = [\"{0}\", \"{0}\"]", "r".repeat(250));
    for (text, field, bound) in [
        // Not TOML at all, and not what a field is.
        ("= 3", "", "line 3"),
        ("node = \"b\"", "", "line 3"),
        (
            "listen = 7946",
            "listen",
            "it has to be a text, and is integer",
        ),
        ("seeds = \"10.0.0.1:1\"", "seeds", "a list of texts"),
        ("seeds = [1]", "seeds", "a list of texts"),
        ("links = 3", "links", "a table"),
        (
            "plaintext_links_on_loopback = 1",
            "plaintext_links_on_loopback",
            "true or false",
        ),
        (
            "[links]\nasks_max = \"many\"",
            "links.asks_max",
            "a whole number",
        ),
        (
            "[membership]\nsuspicion_beta = \"2\"",
            "membership.suspicion_beta",
            "a number",
        ),
        (
            "[links]\nping_interval = 2",
            "links.ping_interval",
            "\"500ms\" or \"2s\"",
        ),
        (
            "[metadata]\nvalues = { a = 1 }",
            "metadata.values",
            "a table of texts",
        ),
        // Fields that there are not.
        (
            "listens = \"10.0.0.1:1\"",
            "listens",
            "there are: advertise, certs, cluster",
        ),
        ("[link]", "link", "links"),
        ("[links]\nping = \"1s\"", "links.ping", "ping_interval"),
        (
            "[membership.lifeguard]\nbudy = true",
            "membership.lifeguard.budy",
            "buddy",
        ),
        ("[partition]\nsize = 3", "partition.size", "of_two"),
        (
            "[partition]\npolicy = \"down_all\"\nrole = \"r\"",
            "partition.role",
            "stable_after",
        ),
        // Values outside their bounds.
        ("listen = \"10.0.0.1\"", "listen", "an address with a port"),
        ("advertise = \"host:1\"", "advertise", "\"host:1\""),
        (
            "seeds = [\"10.0.0.1:1\", \"x\"]",
            "seeds",
            "\"x\"; it has to be address:port, host:port or file:path",
        ),
        ("preset = \"moon\"", "preset", "one of local, lan, wan"),
        (
            "rejoin = \"maybe\"",
            "rejoin",
            "one of automatically, never",
        ),
        (
            "[links]\nmessage_bytes_max = 1",
            "links.message_bytes_max",
            "from 4096 to 1073741824",
        ),
        ("[links]\nasks_max = 0", "links.asks_max", "from 1 to"),
        (
            "[links]\nwindow_messages = -1",
            "links.window_messages",
            "-1; it has to be from 1 to",
        ),
        (
            "[links]\nping_interval = \"2 weeks\"",
            "links.ping_interval",
            "from 1ms to 30d",
        ),
        (
            "[links]\nping_interval = \"0s\"",
            "links.ping_interval",
            "from 1ms to 30d",
        ),
        (
            "[links]\nclose_timeout = \"31d\"",
            "links.close_timeout",
            "from 1ms to 30d",
        ),
        (
            "[membership]\ngossip_fanout = 0",
            "membership.gossip_fanout",
            "from 1 to 255",
        ),
        (
            "[membership]\npacket_bytes_max = 1000",
            "membership.packet_bytes_max",
            "to 65000",
        ),
        (
            "[membership]\nsuspicion_beta = 0.5",
            "membership.suspicion_beta",
            "from 1 to 1000",
        ),
        (
            "[membership]\nsuspicion_alpha = nan",
            "membership.suspicion_alpha",
            "NaN",
        ),
        (
            "[metadata]\nhealth_percent = 101",
            "metadata.health_percent",
            "from 0 to 100",
        ),
        (&long, "metadata", "at most 255 bytes"),
        (&large, "metadata", "at most 512"),
        (
            "[partition]\npolicy = \"none\"",
            "partition.policy",
            "one of keep_majority, static_quorum",
        ),
        (
            "[partition]\npolicy = \"static_quorum\"",
            "partition.size",
            "needed",
        ),
        (
            "[partition]\npolicy = \"static_quorum\"\nsize = 0",
            "partition.size",
            "from 1 to",
        ),
        (
            "[partition]\nof_two = \"x\"",
            "partition.of_two",
            "ask_operator",
        ),
        // Values that do not fit together.
        (
            "[membership]\nprobe_timeout = \"1s\"",
            "membership",
            "probe_timeout has to be below probe_interval",
        ),
        (
            "[links]\nsilence_max = \"2s\"",
            "links",
            "silence_max has to be above ping_interval",
        ),
        (
            "[links]\nbackoff_max = \"1ms\"",
            "links",
            "backoff_max is below backoff_min",
        ),
        (
            "plaintext_links_on_loopback = true\nlisten = \"10.0.0.1:1\"",
            "plaintext_links_on_loopback",
            "10.0.0.1:1 is not there",
        ),
        (
            "plaintext_links_on_loopback = true\ncerts = \"certs\"",
            "plaintext_links_on_loopback",
            "together with certs",
        ),
        // Files that are not there, or have something else in them.
        ("key_file = \"no.key\"", "key_file", "no.key"),
        ("key_file = \"short.key\"", "key_file", "short.key"),
        ("certs = \"nowhere\"", "certs", "ca.pem"),
    ] {
        complains(&folder, &format!("{head}{text}"), field, bound);
    }
    for (text, field, bound) in [
        ("node = \"a\"", "cluster", "needed"),
        ("cluster = \"prod\"", "node", "needed"),
        ("cluster = \"\"\nnode = \"a\"", "cluster", "a name"),
        ("cluster = \"prod\"\nnode = \"\"", "node", "1 to 64 bytes"),
        (
            "cluster = \"test\"\nnode = \"a\"\ncerts = \"certs\"",
            "certs",
            "treewarden://prod/a",
        ),
        (
            "cluster = \"prod\"\nnode = \"c\"\ncerts = \"certs\"",
            "certs",
            "c.pem",
        ),
    ] {
        complains(&folder, text, field, bound);
    }
}

fn complains(folder: &Folder, text: &str, field: &str, bound: &str) {
    let file = folder.file(text);
    let error = match NodeConfig::from_file(&file) {
        Ok(_) => panic!("{text}: taken"),
        Err(error) => error,
    };
    assert_eq!(error.file.as_ref(), Some(&file), "{text}");
    assert_eq!(error.field, field, "{text}: {error}");
    let said = error.to_string();
    let head = match field {
        "" => format!("{}: ", file.display()),
        field => format!("{}: {field}: ", file.display()),
    };
    assert!(said.starts_with(&head), "{text}: {said}");
    assert!(said.contains(bound), "{text}: {said}");
    assert!(!said.contains('\n'), "{text}: {said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error: NodeFileError = NodeConfig::from_file("/nowhere/node.toml").unwrap_err();
    assert!(matches!(error.wrong, Wrong::Unreadable { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere/node.toml"), "{error}");
}
