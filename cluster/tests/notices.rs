//! Notices and versions of the protocol on real sockets of the loopback interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use treewarden_cluster::agent::{
    Agent, AgentConfig, AgentHandle, CallError, Notices, Preset, Seed,
};
use treewarden_cluster::datagram::Key;
use treewarden_cluster::membership::wire::VERSION_MIN;
use treewarden_cluster::membership::{
    CommandError, NOTICE_BYTES_MAX, NOTICE_NAME_BYTES_MAX, Notice, NoticeError, State,
};

const LIMIT: Duration = Duration::from_secs(30);

fn config(node: &str, seeds: &[&AgentHandle]) -> AgentConfig {
    let bind = (Ipv4Addr::LOCALHOST, 0).into();
    let key = Key::from_bytes([1; 32]);
    let mut config = AgentConfig::new("test", node, bind, key, Preset::Local);
    config.seeds = seeds.iter().map(|node| Seed::Addr(node.addr())).collect();
    config
}

async fn start(config: AgentConfig) -> AgentHandle {
    Agent::start(config).await.expect("the agent starts")
}

async fn until_all_know_each_other(nodes: &[&AgentHandle]) {
    let all_know = || {
        nodes.iter().all(|node| {
            let members = node.members();
            let alive = members.iter().filter(|row| row.state == State::Alive);
            alive.count() == nodes.len() - 1
        })
    };
    let wait = async {
        while !all_know() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .expect("all know each other in time");
}

async fn next(notices: &mut Notices) -> Notice {
    let notice = tokio::time::timeout(LIMIT, notices.next()).await;
    notice.expect("a notice in time").expect("the agent runs")
}

#[tokio::test]
async fn a_notice_arrives_once_at_every_other_node_and_old_ones_hear_none_and_stay() {
    let a = start(config("a", &[])).await;
    let b = start(config("b", &[&a])).await;
    let mut old = config("c", &[&a]);
    old.membership.wire_version_max = VERSION_MIN;
    let c = start(old).await;
    let d = start(config("d", &[&a])).await;
    let nodes = [&a, &b, &c, &d];
    until_all_know_each_other(&nodes).await;
    let mut heard = [b.notices(), d.notices()];
    for number in 1..=20u8 {
        assert_eq!(a.post("", &[number]).await, Ok(number.into()));
    }
    for notices in &mut heard {
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let notice = next(notices).await;
            assert_eq!((notice.origin, &*notice.name), (a.id(), ""));
            assert_eq!(notice.payload[..], [notice.number as u8]);
            numbers.push(notice.number);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    }
    let pinned = CommandError::Notice(NoticeError::VersionPinned);
    assert_eq!(c.post("", b"x").await, Err(CallError::Refused(pinned)));
    for node in nodes {
        let stats = node.stats().await.unwrap().membership;
        assert_eq!(stats.versions_refused, 0, "{}", node.id());
        let expected = if node.id() == b.id() || node.id() == d.id() {
            20
        } else {
            0
        };
        assert_eq!(stats.notices_arrived, expected, "{}", node.id());
        let alive = |row: &treewarden_cluster::membership::MemberInfo| row.state == State::Alive;
        assert!(node.members().iter().all(alive), "{}", node.id());
    }
}

#[tokio::test]
async fn a_notice_that_is_too_large_is_refused_with_its_size() {
    let a = start(config("a", &[])).await;
    let bytes = NOTICE_BYTES_MAX + 1;
    let refused = a.post("", &vec![0; bytes]).await;
    let error = CommandError::Notice(NoticeError::PayloadTooLarge { bytes });
    assert_eq!(refused, Err(CallError::Refused(error)));
    let bytes = NOTICE_NAME_BYTES_MAX + 1;
    let refused = a.post(&"n".repeat(bytes), b"").await;
    let error = CommandError::Notice(NoticeError::NameTooLong { bytes });
    assert_eq!(refused, Err(CallError::Refused(error)));
    assert_eq!(a.stats().await.unwrap().membership.notices_posted, 0);
}

#[tokio::test]
async fn a_subscriber_that_sleeps_misses_notices_and_knows_how_many_and_holds_nobody_up() {
    let a = start(config("a", &[])).await;
    let mut narrow = config("b", &[&a]);
    narrow.events_waiting_max = 16;
    let b = start(narrow).await;
    until_all_know_each_other(&[&a, &b]).await;
    let (mut asleep, mut awake) = (b.notices(), b.notices());
    for number in 1..=40u8 {
        a.post("", &[number]).await.expect("few wait");
        next(&mut awake).await;
    }
    let mut left = 0;
    while left + asleep.missed() < 40 {
        next(&mut asleep).await;
        left += 1;
    }
    assert_eq!((left, asleep.missed()), (16, 24));
    assert_eq!(awake.missed(), 0);
}
