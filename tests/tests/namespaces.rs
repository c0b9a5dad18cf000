//! Nodes as processes, most of them in network namespaces: each has its own card, addresses and links, as machines have. That needs root and
//! iproute2, and is skipped without.

use std::time::Duration;

use treewarden_tests::netns::Lab;
use treewarden_tests::nodes::{Cluster, Hosts, Record, Said};

const LIMIT: Duration = Duration::from_secs(60);
const NODES: usize = 5;

/// Five nodes that know each other; none where there are no namespaces.
fn five(name: &str) -> Option<Cluster> {
    if let Some(missing) = Lab::missing() {
        println!("skipped, for want of {missing}");
        return None;
    }
    let hosts = Hosts::Netns(Lab::new(NODES).expect("namespaces can be made"));
    let command = vec![env!("CARGO_BIN_EXE_lab_node").to_owned()];
    let mut cluster = Cluster::new(hosts, command, name).expect("certificates can be made");
    for node in 0..NODES {
        cluster.start(node).expect("a node can be started");
        let is_up =
            |record: &Record| record.node == node && matches!(record.said, Said::Started { .. });
        assert!(cluster.watch_until(LIMIT, |log| log.iter().any(is_up)));
    }
    all_agree(&mut cluster, "at the start");
    Some(cluster)
}

fn all_agree(cluster: &mut Cluster, when: &str) {
    if let Err(views) = cluster.watch_until_all_agree(LIMIT) {
        panic!("{when}, not within {LIMIT:?}:\n{views}");
    }
}

#[test]
fn five_nodes_join_by_address_are_cut_and_agree_again_when_it_heals() {
    let Some(mut cluster) = five("namespaces-cut") else {
        return;
    };
    let minority = [3, 4];
    let lab = cluster.hosts().lab().expect("they are in namespaces");
    lab.part(&minority).expect("the switch obeys");
    let begun = cluster.log().len();
    // The three declare the two down, and the two themselves.
    let decided = cluster.watch_until(LIMIT, |log| {
        let since = &log[begun..];
        let by_the_others = (0..3).all(|node| {
            minority.iter().all(|lost| {
                since.iter().any(|r| {
                    r.node == node
                        && matches!(&r.said, Said::Down { node, .. } if *node == format!("n{lost:02}"))
                })
            })
        });
        let by_themselves = minority.iter().all(|lost| {
            let mut said = since.iter().filter(|r| r.node == *lost);
            said.any(|r| r.said == Said::SelfDown)
        });
        by_the_others && by_themselves
    });
    assert!(decided, "{:#?}", &cluster.log()[begun..]);
    let lab = cluster.hosts().lab().expect("they are in namespaces");
    lab.join(&minority).expect("the switch obeys");
    all_agree(&mut cluster, "after the heal");
    for lost in minority {
        let mut since = cluster.log()[begun..].iter().filter(|r| r.node == lost);
        assert!(since.any(|r| matches!(r.said, Said::Rejoined { .. })));
    }
}

#[test]
fn a_node_whose_cable_is_pulled_and_one_that_is_killed_are_found_and_come_back() {
    let Some(mut cluster) = five("namespaces-cable") else {
        return;
    };
    let begun = cluster.log().len();
    let lab = cluster.hosts().lab().expect("they are in namespaces");
    lab.set_cable(2, false).expect("the switch obeys");
    cluster.kill(4).expect("it runs");
    let both_are_down = cluster.watch_until(LIMIT, |log| {
        ["n02", "n04"].iter().all(|lost| {
            [0, 1, 3].iter().all(|by| {
                log[begun..].iter().any(|r| {
                    r.node == *by && matches!(&r.said, Said::Down { node, .. } if node == lost)
                })
            })
        })
    });
    assert!(both_are_down, "{:#?}", &cluster.log()[begun..]);
    let lab = cluster.hosts().lab().expect("they are in namespaces");
    lab.set_cable(2, true).expect("the switch obeys");
    cluster.start(4).expect("a node can be started");
    all_agree(&mut cluster, "after they are back");
}

/// The host of a killed process refuses connections to it: nobody has to wait for the suspicion to end.
#[test]
fn on_loopback_a_killed_node_is_known_to_be_gone_and_its_work_is_begun_elsewhere() {
    let command = vec![env!("CARGO_BIN_EXE_lab_node").to_owned()];
    let hosts = Hosts::Loopback { nodes: 3 };
    let mut cluster = Cluster::new(hosts, command, "killed").expect("certificates can be made");
    for node in 0..3 {
        cluster.start(node).expect("a node can be started");
    }
    all_agree(&mut cluster, "at the start");
    let has_begun = |record: &Record| matches!(record.said, Said::Begun { .. });
    assert!(cluster.watch_until(LIMIT, |log| log.iter().any(has_begun)));
    let host = cluster.log().iter().rfind(|record| has_begun(record));
    let host = host.expect("one has begun").node;
    let begun = cluster.log().len();
    cluster.kill(host).expect("it runs");
    let elsewhere = |record: &Record| record.node != host && has_begun(record);
    assert!(cluster.watch_until(LIMIT, |log| log[begun..].iter().any(elsewhere)));
    // A suspicion lasts a second and a half at least.
    let name = format!("n{host:02}");
    // The nodes' lines arrive in any order.
    let first = |is: &dyn Fn(&Said) -> bool| {
        let since = cluster.log()[begun..].iter();
        let times = since.filter(|r| is(&r.said)).map(|r| r.at_us);
        times.min().expect("it was said")
    };
    let suspected_us = first(&|said| matches!(said, Said::Suspected { node } if *node == name));
    let lost_us = first(&|said| matches!(said, Said::Unreachable { node } if *node == name));
    assert!(
        lost_us.saturating_sub(suspected_us) < 1_400_000,
        "{:#?}",
        &cluster.log()[begun..]
    );
}
