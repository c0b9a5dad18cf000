//! A node that is started by hand: it joins the others, greets them, and says what it sees.
//!
//! Every node has a supervised actor that answers greetings, and greets each node that joins. A greeting is an ask that
//! goes to another process and back; the code is the same as for an actor in this process.

use std::{ffi::OsString, fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use treewarden::{
    cluster::{
        Node, NodeConfig, NodeError,
        membership::{DownReason, Event, NodeId},
        node::{Key, Preset},
        remote::RemoteMessage,
    },
    prelude::*,
};

/// What `--help` prints.
pub const HELP: &str = "\
Starts one node of a cluster, and prints what it sees of the others.

usage: node [--listen ADDRESS] [--seed ADDRESS...] [--name NAME]

  --listen ADDRESS  where to listen, UDP and TCP, on loopback (default 127.0.0.1:7001)
  --seed ADDRESS    a node that is there already; can be given several times
  --name NAME       its name in the cluster (default: made from the port)
  --help            print this

exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 the node failed, 2 bad input
";

/// The key of these nodes. It is no secret, as it stands here; therefore they listen on loopback only.
const KEY: [u8; 32] = *b"treewarden example: not a secret";

/// The name under which greeters are exposed.
const GREETER: &str = "greeter";

/// How long a greeting may take.
const GREETING_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait before a node is greeted again that could not be.
const GREETING_RETRY: Duration = Duration::from_millis(50);

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Nodes that are there already.
    pub seeds: Vec<SocketAddr>,
    /// The name in the cluster.
    pub name: Option<String>,
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Start it.
    Run(Options),
    /// Print [`HELP`].
    Help,
}

/// Why no node was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum BadInput {
    /// There is no such flag, or its value is missing or no address.
    Syntax(lexopt::Error),
    /// The address is not on loopback.
    NotLoopback(SocketAddr),
    /// The node cannot be started with these settings: the port is in use, for example.
    Node(NodeError),
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{error}; see --help"),
            Self::NotLoopback(address) => write!(
                f,
                "{address} is not on loopback, and the key of this example is no secret: use 127.0.0.1"
            ),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BadInput {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            Self::Node(error) => Some(error),
            Self::NotLoopback(_) => None,
        }
    }
}

impl From<lexopt::Error> for BadInput {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}

/// Reads what was typed behind the name of the program.
///
/// # Errors
///
/// The first thing that makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, BadInput> {
    use lexopt::prelude::*;

    let mut options = Options {
        listen: ([127, 0, 0, 1], 7001).into(),
        seeds: Vec::new(),
        name: None,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = parser.value()?.parse()?,
            Long("seed") => options.seeds.push(parser.value()?.parse()?),
            Long("name") => options.name = Some(parser.value()?.string()?),
            Long("help") | Short('h') => return Ok(Request::Help),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if !options.listen.ip().is_loopback() {
        return Err(BadInput::NotLoopback(options.listen));
    }
    Ok(Request::Run(options))
}

/// Answers greetings.
struct Greeter {
    name: String,
}

#[derive(Serialize, Deserialize)]
enum GreeterMsg {
    /// `from` says hello.
    Hello { from: String, reply: Reply<String> },
}

impl RemoteMessage for GreeterMsg {
    const NAME: &'static str = "by-hand/greeter";
    const VERSION: u32 = 1;
}

impl Actor for Greeter {
    type Msg = GreeterMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: GreeterMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        let GreeterMsg::Hello { from, reply } = msg;
        reply.send(format!("hello {from}, this is {}", self.name));
        Ok(())
    }
}

/// Runs a node until `stop` resolves.
///
/// # Errors
///
/// [`BadInput`] in the failure if the node cannot be started as the options say; else what went wrong later.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let name = options.name.unwrap_or_else(|| match options.listen.port() {
        0 => format!("node-{}", std::process::id()),
        port => format!("node-{port}"),
    });
    let system = System::new(name.clone());
    let config = NodeConfig::new("by-hand", name.clone())
        .listen(options.listen)
        .seeds(options.seeds)
        .key(Key::from_bytes(KEY))
        .plaintext_links_on_loopback()
        .preset(Preset::Local);
    let node = Node::start(&system, config).await.map_err(BadInput::Node)?;
    let mut membership = node.events();

    let greeter_name = name.clone();
    let tree = Supervisor::one_for_one("app")
        .child(Child::actor(GREETER, move |_init| {
            let name = greeter_name.clone();
            async { Ok(Greeter { name }) }
        }))
        .start(&system)
        .await?;
    node.expose(GREETER, &tree.actor::<GreeterMsg>(GREETER)?)?;

    let here = node.local_addr();
    let other = SocketAddr::new(here.ip(), here.port().checked_add(1).unwrap_or(7001));
    println!("{name} listens on {here}; in another terminal:");
    println!("  cargo run --example node -- --listen {other} --seed {here}");
    let watch = async {
        while let Some(event) = membership.next().await {
            tell(&node, &name, event).await;
        }
    };
    tokio::select! {
        () = watch => println!("membership ended"),
        () = stop => println!("stopping: saying goodbye"),
    }
    tree.shutdown().await;
    node.shutdown().await;
    Ok(())
}

/// Says what happened to another node, and shows the tree as it is now.
async fn tell(node: &Node, name: &str, event: Event) {
    match event {
        Event::MemberJoined(member) => {
            println!("{} joined, at {}", member.id, member.record.addr);
            greet(node, name, &member.id).await;
        }
        Event::MemberSuspected { id, accuser } => println!("{id} does not answer {accuser}"),
        Event::SuspicionRefuted { id } => println!("{id} answers after all"),
        Event::MemberUnreachable { id, .. } => println!("{id} is unreachable, and may come back"),
        Event::MemberReachable { id } => println!("{id} is back"),
        Event::MemberDown {
            id,
            reason: DownReason::Left,
            ..
        } => println!("{id} left"),
        Event::MemberDown { id, decider, .. } => println!("{id} is down, says {decider}"),
        Event::SelfDown { decider, .. } => println!("this node was declared down by {decider}"),
        Event::Rejoined { id } => println!("this node is back, as {id}"),
        _ => return,
    }
    println!("{}", node.system().snapshot());
}

/// A node that has just joined may not have exposed its greeter yet; whatever surely was not handled is asked again.
async fn greet(node: &Node, name: &str, other: &NodeId) {
    let greeter = node.remote::<GreeterMsg>(other, GREETER);
    let deadline = Instant::now() + GREETING_TIME_MAX;
    let answer = loop {
        let from = name.to_string();
        let answer = greeter
            .ask(|reply| GreeterMsg::Hello { from, reply })
            .deadline(deadline)
            .await;
        match answer {
            Err(error) if error.is_safe_to_retry() && Instant::now() < deadline => {
                sleep(GREETING_RETRY).await;
            }
            answer => break answer,
        }
    };
    match answer {
        Ok(greeting) => println!("  {}: {greeting}", other.name),
        Err(error) => println!("  {} was not greeted: {error}", other.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Request, BadInput> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn flags_are_read() {
        let line = "--listen 127.0.0.1:7003 --seed 127.0.0.1:7001 --seed [::1]:7 --name x";
        let expected = Options {
            listen: "127.0.0.1:7003".parse().unwrap(),
            seeds: vec![
                "127.0.0.1:7001".parse().unwrap(),
                "[::1]:7".parse().unwrap(),
            ],
            name: Some("x".into()),
        };
        assert_eq!(typed(line).unwrap(), Request::Run(expected));
        assert_eq!(typed("--help").unwrap(), Request::Help);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_one_line() {
        let check = |line: &str, expected: &str| {
            let text = typed(line).unwrap_err().to_string();
            assert!(text.contains(expected), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        };
        check("--listen here", "here");
        check("--listen", "--listen");
        check("--listen 0.0.0.0:7001", "not on loopback");
        check("--seed 127.0.0.1", "127.0.0.1");
        check("--nonsense", "--nonsense");
    }
}
