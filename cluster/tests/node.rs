//! What a node promises: membership and links, joined. Real sockets on loopback.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use treewarden_cli::certs::Authority;
use treewarden_cluster::datagram::{NONCE_BYTES, opening};
use treewarden_cluster::transport::{Credentials, Identity};
use treewarden_cluster::{
    Node, NodeConfig, NodeError,
    membership::{Event, NodeId},
    node::{Key, Preset, Protocol},
    remote::{RemoteAskError, RemoteMessage, RemoteRef, RemoteTellError},
};
use treewarden_runtime::{
    Actor, AskError, Context, ExitReason, Failure, MonitorEvent, Reply, System,
};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(SAFETY_NET, what.into_future())
        .await
        .expect("it takes much longer than it may")
}

#[derive(Debug, Serialize, Deserialize)]
enum Greet {
    Name(Reply<String>),
    Note(u64),
    Hold(Reply<()>),
}

impl RemoteMessage for Greet {
    const NAME: &'static str = "test/greet";
    const VERSION: u32 = 1;
}

struct Greeter(String, Vec<Reply<()>>);

impl Actor for Greeter {
    type Msg = Greet;
    type Error = Failure;

    async fn handle(&mut self, msg: Greet, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Greet::Name(reply) => reply.send(self.0.clone()),
            Greet::Note(_) => {}
            Greet::Hold(reply) => self.1.push(reply),
        }
        Ok(())
    }
}

fn config(name: &str) -> NodeConfig {
    NodeConfig::new("test", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
}

/// A node that exposes a greeter, and has found `seeds`.
async fn start(name: &str, seeds: &[&Node]) -> Node {
    let system = System::new(name);
    let addrs = seeds.iter().map(|seed| seed.local_addr());
    let node = Node::start(&system, config(name).seeds(addrs))
        .await
        .unwrap();
    let greeter = system.spawn(Greeter(name.into(), Vec::new()));
    node.expose("greeter", &greeter).unwrap();
    for seed in seeds {
        knows(&node, seed.id().name.as_str()).await;
        knows(seed, name).await;
    }
    node
}

/// Waits until `node` believes that a member of that name works.
async fn knows(node: &Node, name: &str) -> NodeId {
    let mut events = node.events();
    soon(async {
        loop {
            match node.member(name) {
                Some(member) if member.state.is_reachable() => return member.id,
                _ => drop(events.next().await),
            }
        }
    })
    .await
}

fn greeter(from: &Node, on: &NodeId) -> RemoteRef<Greet> {
    from.remote(on, "greeter")
}

/// The reason of the last event.
async fn gone(monitor: &mut treewarden_cluster::remote::RemoteMonitor) -> ExitReason {
    loop {
        match soon(monitor.next()).await {
            Some(MonitorEvent::Gone { reason, .. }) => return reason,
            Some(_) => {}
            None => panic!("a monitor ends with an event"),
        }
    }
}

#[tokio::test]
async fn nodes_find_each_other_and_their_actors_talk() {
    let a = start("a", &[]).await;
    let b = start("b", &[&a]).await;
    let (to_b, to_a) = (greeter(&a, &b.id()), greeter(&b, &a.id()));
    assert_eq!(soon(to_b.ask(Greet::Name)).await, Ok("b".into()));
    assert_eq!(soon(to_a.ask(Greet::Name)).await, Ok("a".into()));
    let to_itself = greeter(&a, &a.id());
    assert_eq!(soon(to_itself.ask(Greet::Name)).await, Ok("a".into()));

    let snapshot = a.system().snapshot();
    let seen = snapshot
        .find("/node:a/b")
        .expect("members are in the picture");
    assert_eq!(&*seen.state, "alive");
    soon(a.shutdown()).await;
    soon(b.shutdown()).await;
}

#[tokio::test]
async fn a_node_that_shuts_down_is_down_for_the_monitors_and_references_of_others() {
    let a = start("a", &[]).await;
    let b = start("b", &[&a]).await;
    let to_b = greeter(&a, &b.id());
    let mut monitor = to_b.monitor();
    assert_eq!(soon(to_b.ask(Greet::Name)).await, Ok("b".into()));
    soon(b.shutdown()).await;
    assert!(matches!(gone(&mut monitor).await, ExitReason::NodeDown));
    assert!(matches!(
        to_b.try_tell(Greet::Note(1)),
        Err(RemoteTellError::NodeDown(Greet::Note(1)))
    ));
    assert_eq!(
        soon(to_b.ask(Greet::Name)).await,
        Err(RemoteAskError::NodeDown)
    );
    assert!(matches!(
        greeter(&b, &a.id()).try_tell(Greet::Note(1)),
        Err(RemoteTellError::ShutDown(_))
    ));
}

#[tokio::test]
async fn a_node_that_dies_is_found_and_declared_down() {
    let a = start("a", &[]).await;
    let b = start("b", &[&a]).await;
    let c = start("c", &[&a, &b]).await;
    let to_c = greeter(&a, &c.id());
    let mut monitor = to_c.monitor();
    assert_eq!(soon(to_c.ask(Greet::Name)).await, Ok("c".into()));
    let asking = tokio::spawn({
        let to_c = to_c.clone();
        async move { to_c.ask(Greet::Hold).await }
    });
    assert_eq!(soon(to_c.ask(Greet::Name)).await, Ok("c".into()));
    // Without a word to the cluster.
    drop(c);
    assert_eq!(
        soon(asking).await.unwrap(),
        Err(AskError::Disconnected.into())
    );
    assert!(matches!(
        soon(monitor.next()).await,
        Some(MonitorEvent::Down {
            reason: ExitReason::Unreachable,
            ..
        })
    ));
    assert!(matches!(gone(&mut monitor).await, ExitReason::NodeDown));
}

#[tokio::test]
async fn a_reference_belongs_to_a_boot_and_a_restarted_node_needs_a_new_one() {
    let a = start("a", &[]).await;
    let b = start("b", &[&a]).await;
    let earlier = b.id();
    let to_b = greeter(&a, &earlier);
    assert_eq!(soon(to_b.ask(Greet::Name)).await, Ok("b".into()));
    let mut events = a.events();
    drop(b);
    let b = start("b", &[&a]).await;
    soon(async {
        loop {
            if let Some(Event::MemberJoined(info)) = events.next().await
                && info.id == b.id()
            {
                break;
            }
        }
    })
    .await;
    assert!(b.id().boot > earlier.boot);
    assert_eq!(
        soon(greeter(&a, &b.id()).ask(Greet::Name)).await,
        Ok("b".into())
    );
    soon(async {
        while !matches!(to_b.ask(Greet::Name).await, Err(RemoteAskError::NodeDown)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_shutdown_of_a_system_ends_its_node_in_order() {
    let a = start("a", &[]).await;
    let b = start("b", &[&a]).await;
    let mut events = a.events();
    soon(b.system().shutdown()).await;
    let left = soon(async {
        loop {
            match events.next().await {
                Some(Event::MemberDown { id, reason, .. }) if id == b.id() => return reason,
                Some(_) => {}
                None => panic!("the agent ended"),
            }
        }
    })
    .await;
    assert_eq!(left, treewarden_cluster::membership::DownReason::Left);
    // Its port is free again.
    TcpListener::bind(b.local_addr()).await.unwrap();
    UdpSocket::bind(b.local_addr()).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_address_and_protocol() {
    let system = System::new("test");
    let try_at = |addr: SocketAddr| Node::start(&system, config("a").listen(addr));
    let check = |result: Result<Node, NodeError>, at: SocketAddr, by: Protocol| match result {
        Err(NodeError::AddressInUse { addr, protocol }) => assert_eq!((addr, protocol), (at, by)),
        other => panic!("{other:?}"),
    };
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = tcp.local_addr().unwrap();
    check(try_at(at).await, at, Protocol::Tcp);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = udp.local_addr().unwrap();
    let refused = try_at(at).await;
    assert!(
        refused
            .as_ref()
            .is_err_and(|error| error.to_string().contains(&at.to_string()))
    );
    check(refused, at, Protocol::Udp);
}

#[tokio::test]
async fn a_node_does_not_start_without_a_key() {
    let system = System::new("test");
    let refused = Node::start(&system, NodeConfig::new("test", "a")).await;
    assert!(matches!(refused, Err(NodeError::KeyNeeded)));
}

#[tokio::test]
async fn a_node_does_not_start_before_it_was_said_how_its_links_are_protected() {
    let system = System::new("test");
    let plain = || NodeConfig::new("test", "a").key(Key::from_bytes([7; 32]));
    let refused = Node::start(&system, plain()).await;
    assert!(matches!(refused, Err(NodeError::LinkSecurityNeeded)));

    let everywhere = "0.0.0.0:0".parse().unwrap();
    let beyond = plain().plaintext_links_on_loopback().listen(everywhere);
    let refused = Node::start(&system, beyond).await;
    assert!(
        matches!(refused, Err(NodeError::PlaintextBeyondLoopback { addr }) if addr == everywhere)
    );

    let authority = Authority::generate("test", 1).unwrap();
    let of_b = authority
        .issue(&Identity::new("test", "b").unwrap(), 1)
        .unwrap();
    let credentials = Credentials::from_pem(
        authority.issued().certificate.as_bytes(),
        of_b.certificate.as_bytes(),
        of_b.key.as_bytes(),
    )
    .unwrap();
    let refused = Node::start(&system, plain().credentials(credentials)).await;
    assert!(matches!(refused, Err(NodeError::WrongCredentials { .. })));
}

#[tokio::test]
async fn membership_is_spoken_with_on_the_port_of_links() {
    let node = start("a", &[]).await;
    let mut stream = TcpStream::connect(node.local_addr()).await.unwrap();
    stream
        .write_all(&opening(true, &[1; NONCE_BYTES]))
        .await
        .unwrap();
    let mut answer = [0; NONCE_BYTES];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_ne!(answer, [0; NONCE_BYTES]);
    node.shutdown().await;
}
