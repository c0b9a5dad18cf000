//! Agents on real sockets of the loopback interface. Waits end as soon as what they wait for is there; their limits are generous because
//! machines are busy.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use treewarden_cluster::agent::{
    Agent, AgentConfig, AgentError, AgentHandle, CallError, DatagramTransport, Events, Preset,
    ResolveFuture, Resolver, Security, Seed,
};
use treewarden_cluster::datagram::{Key, NONCE_BYTES, opening};
use treewarden_cluster::membership::{CommandError, DownReason, Event, Metadata, NodeName, State};

const LIMIT: Duration = Duration::from_secs(30);

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn config(node: &str, seeds: &[&AgentHandle]) -> AgentConfig {
    let mut config = AgentConfig::new("test", node, any_port(), key(1), Preset::Local);
    config.seeds = seeds
        .iter()
        .map(|handle| Seed::Addr(handle.addr()))
        .collect();
    config
}

async fn start(config: AgentConfig) -> AgentHandle {
    Agent::start(config).await.expect("the agent starts")
}

/// Three nodes that know each other.
async fn three() -> [AgentHandle; 3] {
    let a = start(config("a", &[])).await;
    let b = start(config("b", &[&a])).await;
    let c = start(config("c", &[&a])).await;
    let nodes = [a, b, c];
    until("all know each other", || {
        nodes.iter().all(|node| alive(node) == 2)
    })
    .await;
    nodes
}

fn alive(node: &AgentHandle) -> usize {
    node.members()
        .iter()
        .filter(|member| member.state == State::Alive)
        .count()
}

fn state_of(node: &AgentHandle, name: &str) -> Option<State> {
    node.member(name).map(|member| member.state)
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(LIMIT, wait).await.is_ok(),
        "waited in vain until {what}"
    );
}

/// Waits until a counter of an agent is not zero.
async fn until_counted(
    what: &str,
    node: &AgentHandle,
    count: impl Fn(treewarden_cluster::agent::AgentStats) -> u64,
) {
    let wait = async {
        while count(node.stats().await.expect("the agent runs")) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(LIMIT, wait).await.is_ok(),
        "waited in vain until {what} was counted"
    );
}

/// The first event that `select` picks something from.
async fn first<R>(events: &mut Events, select: impl Fn(Event) -> Option<R>) -> R {
    let wait = async {
        loop {
            if let Some(found) = select(events.next().await.expect("the agent runs")) {
                return found;
            }
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .expect("waited in vain for an event")
}

#[tokio::test]
async fn three_nodes_find_each_other_through_one_seed() {
    let [a, b, c] = three().await;
    assert_eq!(b.member("c").unwrap().id, c.id());
    assert_eq!(c.member("b").unwrap().record.addr, b.addr());
    assert_eq!(a.state(), State::Alive);
}

#[tokio::test]
async fn a_node_that_ends_without_a_word_is_found_unreachable_and_then_down() {
    let [a, b, c] = three().await;
    let mut events = a.subscribe();
    c.shutdown().await;
    let unreachable = |event| match event {
        Event::MemberUnreachable { id, .. } => Some(id),
        _ => None,
    };
    assert_eq!(first(&mut events, unreachable).await, c.id());
    let down = |event| match event {
        Event::MemberDown { id, reason, .. } => Some((id, reason)),
        _ => None,
    };
    assert_eq!(first(&mut events, down).await, (c.id(), DownReason::Policy));
    until("b knows as well", || {
        state_of(&b, "c") == Some(State::Down(DownReason::Policy))
    })
    .await;
}

#[tokio::test]
async fn a_node_that_leaves_is_down_at_once_for_that_reason() {
    let [a, b, c] = three().await;
    let mut events = a.subscribe();
    c.leave().await.unwrap();
    let gone = |event| match event {
        Event::MemberUnreachable { id, .. } => panic!("{id} was suspected"),
        Event::MemberDown { id, reason, .. } => Some((id, reason)),
        _ => None,
    };
    assert_eq!(first(&mut events, gone).await, (c.id(), DownReason::Left));
    until("b knows as well", || {
        state_of(&b, "c") == Some(State::Down(DownReason::Left))
    })
    .await;
    assert_eq!(c.leave().await, Err(CallError::Stopped));
}

#[tokio::test]
async fn a_node_that_an_operator_declared_down_learns_of_it_and_stays_down() {
    let [a, b, c] = three().await;
    let mut events = c.subscribe();
    a.down(&NodeName::new("c").unwrap()).await.unwrap();
    let end = |event| match event {
        Event::SelfDown { reason, decider } => Some((reason, decider.to_string())),
        _ => None,
    };
    assert_eq!(
        first(&mut events, end).await,
        (DownReason::Operator, "a".to_owned())
    );
    assert_eq!(c.state(), State::Down(DownReason::Operator));
    assert_eq!(
        c.set_metadata(Metadata::default()).await,
        Err(CallError::Refused(CommandError::NotUp))
    );
    let unknown = NodeName::new("z").unwrap();
    assert_eq!(
        b.down(&unknown).await,
        Err(CallError::Refused(CommandError::UnknownMember))
    );
}

#[tokio::test]
async fn a_process_that_takes_the_place_of_another_replaces_it() {
    let [a, b, c] = three().await;
    let (before, addr) = (c.id(), c.addr());
    c.shutdown().await;
    let mut again = config("c", &[&a]);
    again.bind = addr;
    let c = start(again).await;
    assert!(c.id() > before);
    until("both know the new process", || {
        [&a, &b].iter().all(|node| {
            node.member("c")
                .is_some_and(|row| row.id == c.id() && row.state == State::Alive)
        })
    })
    .await;
}

#[tokio::test]
async fn metadata_reaches_everybody() {
    let [a, b, c] = three().await;
    let metadata = Metadata {
        health_percent: 7,
        roles: vec!["worker".into()],
        ..Metadata::default()
    };
    a.set_metadata(metadata.clone()).await.unwrap();
    until("b and c know it", || {
        [&b, &c].iter().all(|node| {
            node.member("a")
                .is_some_and(|row| row.record.metadata == metadata)
        })
    })
    .await;
    let too_much = Metadata {
        zone: "z".repeat(300),
        ..Metadata::default()
    };
    assert!(matches!(
        a.set_metadata(too_much).await,
        Err(CallError::Refused(CommandError::Metadata(_)))
    ));
}

#[tokio::test]
async fn a_datagram_with_a_wrong_key_is_counted_and_ignored() {
    let a = start(config("a", &[])).await;
    let mut stranger = config("b", &[&a]);
    stranger.security = Security::Keyring(treewarden_cluster::datagram::Keyring::new(key(2)));
    let _stranger = start(stranger).await;
    until_counted("a wrong key", &a, |stats| stats.refusals.unauthentic).await;
    assert!(a.members().is_empty());
}

#[tokio::test]
async fn a_node_of_another_cluster_is_counted_and_ignored() {
    let a = start(config("a", &[])).await;
    let mut stranger = config("b", &[&a]);
    stranger.cluster = "other".into();
    let _stranger = start(stranger).await;
    until_counted("another cluster", &a, |stats| stats.refusals.unauthentic).await;
    assert!(a.members().is_empty());
}

/// Sends every datagram twice.
struct Twice(UdpSocket);

impl DatagramTransport for Twice {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.readable()
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buffer)
    }

    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.try_send_to(datagram, to)?;
        self.0.try_send_to(datagram, to)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn a_replayed_datagram_is_counted_and_ignored() {
    let a = start(config("a", &[])).await;
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    let b = Agent::start_on(Twice(socket), config("b", &[&a])).unwrap();
    until("they know each other", || alive(&a) == 1 && alive(&b) == 1).await;
    until_counted("a replay", &a, |stats| stats.refusals.replayed).await;
    assert_eq!((alive(&a), alive(&b)), (1, 1));
}

#[tokio::test]
async fn noise_is_counted_and_ignored() {
    let a = start(config("a", &[])).await;
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    for length in 0..200 {
        socket
            .send_to(&vec![length as u8; length], a.addr())
            .await
            .unwrap();
    }
    until_counted("noise", &a, |stats| stats.refusals.malformed).await;
    assert!(a.members().is_empty());
}

#[tokio::test]
async fn keys_rotate_while_the_cluster_runs() {
    let nodes = three().await;
    let mut events = nodes[0].subscribe();
    for node in &nodes {
        node.add_key(key(9)).await.unwrap();
    }
    for node in &nodes {
        node.use_key(key(9)).await.unwrap();
    }
    for node in &nodes {
        node.remove_key(key(1)).await.unwrap();
    }
    assert!(matches!(
        nodes[0].use_key(key(1)).await,
        Err(CallError::Key(_))
    ));
    nodes[1]
        .set_metadata(Metadata {
            health_percent: 3,
            ..Metadata::default()
        })
        .await
        .unwrap();
    let updated = |event| match event {
        Event::MemberUnreachable { id, .. } => panic!("{id} was lost"),
        Event::MemberUpdated(info) => Some(info.record.metadata.health_percent),
        _ => None,
    };
    assert_eq!(first(&mut events, updated).await, 3);
}

#[tokio::test]
async fn plaintext_works_where_it_was_asked_for() {
    let plain = |mut config: AgentConfig| {
        config.security = Security::PlaintextForLoopback;
        config
    };
    let a = start(plain(config("a", &[]))).await;
    let b = start(plain(config("b", &[&a]))).await;
    until("they know each other", || alive(&a) == 1 && alive(&b) == 1).await;
    assert_eq!(a.add_key(key(2)).await, Err(CallError::NoKeyring));
}

#[tokio::test]
async fn a_seed_can_be_a_name() {
    let a = start(config("a", &[])).await;
    let mut named = config("b", &[]);
    named.seeds = vec![format!("localhost:{}", a.addr().port()).parse().unwrap()];
    let b = start(named).await;
    until("they know each other", || alive(&a) == 1 && alive(&b) == 1).await;
}

/// A name whose addresses change, as those of a headless service do.
#[derive(Debug, Default)]
struct Headless(Mutex<Vec<SocketAddr>>);

impl Resolver for Headless {
    fn resolve<'r>(&'r self, host_and_port: &'r str) -> ResolveFuture<'r> {
        Box::pin(async move {
            assert_eq!(host_and_port, "nodes.svc:7946");
            match self.0.lock().unwrap().clone() {
                addrs if addrs.is_empty() => Err(io::ErrorKind::NotFound.into()),
                addrs => Ok(addrs),
            }
        })
    }
}

#[tokio::test]
async fn a_name_that_stands_for_many_addresses_is_resolved_until_one_answers() {
    let service = Arc::new(Headless::default());
    let mut named = config("b", &[]);
    named.seeds = vec!["nodes.svc:7946".parse().unwrap()];
    named.resolver = service.clone();
    named.resolve_interval = Duration::from_millis(100);
    let b = start(named).await;
    until_counted("an unknown name", &b, |stats| stats.seeds_failed).await;
    let a = start(config("a", &[])).await;
    let gone = UdpSocket::bind(any_port()).await.unwrap();
    *service.0.lock().unwrap() = vec![gone.local_addr().unwrap(), b.addr(), a.addr()];
    until("they know each other", || alive(&a) == 1 && alive(&b) == 1).await;
}

#[tokio::test]
async fn a_file_of_seeds_is_read_again_when_it_changes() {
    let path = std::env::temp_dir().join(format!("treewarden-agent-seeds-{}", std::process::id()));
    let mut by_file = config("b", &[]);
    by_file.seeds = vec![Seed::File(path.clone())];
    by_file.resolve_interval = Duration::from_millis(100);
    let b = start(by_file).await;
    until_counted("a missing file", &b, |stats| stats.seeds_failed).await;
    let a = start(config("a", &[])).await;
    std::fs::write(&path, format!("# written late\n{}\n", a.addr())).unwrap();
    until("they know each other", || alive(&a) == 1 && alive(&b) == 1).await;
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_slow_subscriber_misses_events_and_is_told_how_many() {
    let mut short = config("a", &[]);
    short.events_waiting_max = 1;
    let a = start(short).await;
    let mut events = a.subscribe();
    let b = start(config("b", &[&a])).await;
    until("it knows b", || alive(&a) == 1).await;
    b.leave().await.unwrap();
    until("b has left", || {
        state_of(&a, "b") == Some(State::Down(DownReason::Left))
    })
    .await;
    a.shutdown().await;
    while events.next().await.is_some() {}
    assert!(events.missed() > 0);
}

#[tokio::test]
async fn a_port_in_use_is_a_typed_error() {
    let a = start(config("a", &[])).await;
    let mut second = config("b", &[]);
    second.bind = a.addr();
    let error = Agent::start(second).await.unwrap_err();
    assert!(
        matches!(error, AgentError::AddressInUse { addr } if addr == a.addr()),
        "{error}"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_typed_errors() {
    let mut unspecified = config("a", &[]);
    unspecified.bind = (Ipv4Addr::UNSPECIFIED, 0).into();
    assert!(matches!(
        Agent::start(unspecified).await.unwrap_err(),
        AgentError::AdvertiseNeeded { .. }
    ));
    assert!(matches!(
        Agent::start(config("", &[])).await.unwrap_err(),
        AgentError::Name(_)
    ));
    let mut small = config("a", &[]);
    small.membership.packet_bytes_max = 500;
    assert!(matches!(
        Agent::start(small).await.unwrap_err(),
        AgentError::Settings(CommandError::Config(_))
    ));
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_agent() {
    let a = start(config("a", &[])).await;
    let (addr, mut events) = (a.addr(), a.subscribe());
    drop(a);
    while events.next().await.is_some() {}
    assert!(UdpSocket::bind(addr).await.is_ok(), "its port is free");
}

/// A socket whose datagrams something on the way begins to drop, in both directions.
struct Muffled(UdpSocket, Arc<AtomicBool>);

impl DatagramTransport for Muffled {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.readable()
    }

    fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.0.try_recv_from(buffer)?;
        match self.1.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(received),
        }
    }

    fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self.1.load(Ordering::SeqCst) {
            true => Ok(datagram.len()),
            false => self.0.try_send_to(datagram, to),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn a_node_whose_datagrams_are_dropped_is_probed_over_tcp_and_not_accused() {
    let a = start(config("a", &[])).await;
    let b = start(config("b", &[&a])).await;
    let muffled = Arc::new(AtomicBool::new(false));
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    let listener = TcpListener::bind(socket.local_addr().unwrap())
        .await
        .unwrap();
    let transport = Muffled(socket, muffled.clone());
    let c = Agent::start_on_both(transport, listener, config("c", &[&a])).unwrap();
    let nodes = [&a, &b, &c];
    until("all know each other", || {
        nodes.iter().all(|node| alive(node) == 2)
    })
    .await;
    let mut events = nodes.map(AgentHandle::subscribe);
    muffled.store(true, Ordering::SeqCst);
    for (node, events) in nodes.iter().zip(&mut events) {
        for _ in 0..10 {
            first(events, |event| match event {
                Event::AnsweredByStreamAlone { .. } => Some(()),
                Event::MemberUnreachable { id, .. } => panic!("{} lost {id}", node.id()),
                _ => None,
            })
            .await;
        }
        assert!(node.stats().await.unwrap().membership.stream_answers >= 10);
    }
    // News reach it, too.
    let metadata = Metadata {
        zone: "z".into(),
        ..Metadata::default()
    };
    a.set_metadata(metadata).await.unwrap();
    until("c heard of it", || {
        c.member("a")
            .is_some_and(|row| row.record.metadata.zone == "z")
    })
    .await;
}

#[tokio::test]
async fn strangers_are_not_spoken_with_over_tcp() {
    let a = start(config("a", &[])).await;
    for words in [
        [&opening(true, &[1; NONCE_BYTES])[..], &[255; 64]].concat(), // a length that is out of bounds
        [&opening(true, &[1; NONCE_BYTES])[..], &[48, 0], &[7; 48]].concat(), // no key
        opening(false, &[1; NONCE_BYTES]).to_vec(),                   // in the clear
        b"GET / HTTP/1.1\r\n\r\n\r\n\r\n".to_vec(),
    ] {
        let refused = a.stats().await.unwrap().streams_refused;
        let mut stream = TcpStream::connect(a.addr()).await.unwrap();
        stream.write_all(&words).await.unwrap();
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        let closed = tokio::time::timeout(LIMIT, closed).await;
        assert!(closed.is_ok(), "it is closed");
        assert!(answer.len() <= NONCE_BYTES, "{answer:?}");
        until_counted("a refused conversation", &a, |stats| {
            stats.streams_refused - refused
        })
        .await;
    }
    assert_eq!(a.stats().await.unwrap().membership.packets_received, 0);
}
