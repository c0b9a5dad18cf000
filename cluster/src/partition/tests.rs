//! The decisions as tables. The model is Pekko's `SplitBrainResolverSpec`: a cluster falls apart in some way, and each policy is asked on
//! each side.

use std::net::SocketAddr;
use std::time::Duration;

use super::{
    DownAfter, DownAll, KeepMajority, KeepOldest, LeaseAnswer, LeaseMajority, OfTwo,
    PartitionPolicy, Patience, Peer, Restless, StaticQuorum, Undecided, Unreachable, Verdict, View,
};
use crate::membership::{BootUid, Metadata, NodeId, NodeName, Record};

const STABLE_AFTER: Duration = Duration::from_secs(5);

/// A member named after its boot. Odd ones have the role `core`.
fn peer(boot: u64) -> Peer {
    let roles = match boot % 2 {
        1 => vec!["core".to_owned()],
        _ => Vec::new(),
    };
    Peer {
        id: NodeId {
            name: NodeName::new(&format!("n{boot}")).unwrap(),
            boot: BootUid(boot),
        },
        record: Record {
            version: 0,
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            metadata: Metadata {
                roles,
                ..Metadata::default()
            },
            versions: crate::membership::wire::Versions::FIRST,
            unknown: [].into(),
        }
        .into(),
    }
}

fn peers(boots: &[u64]) -> Vec<Peer> {
    boots.iter().copied().map(peer).collect()
}

/// The unreachable ones are so for as long as the view is stable.
fn view(reachable: &[u64], silent: &[u64], unreachable: &[u64], stable_for: Duration) -> View {
    let lost = |boot: &u64| Unreachable {
        peer: peer(*boot),
        refused: false,
        for_duration: stable_for,
    };
    View {
        reachable: peers(reachable),
        silent: peers(silent),
        newcomers: Vec::new(),
        unreachable: unreachable.iter().map(lost).collect(),
        witnessed: true,
        stable_for,
        lease: None,
    }
}

/// `1 2 | 3`: the boots of each side.
fn sides(split: &str) -> Vec<Vec<u64>> {
    let boots = |side: &str| {
        side.split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect()
    };
    split.split('|').map(boots).collect()
}

/// What each side of a split does.
fn outcomes(policy: &dyn PartitionPolicy, split: &str) -> String {
    let sides = sides(split);
    let outcome = |here: &Vec<u64>| {
        let others = sides.iter().filter(|side| *side != here);
        let lost: Vec<u64> = others.flatten().copied().collect();
        word(policy.decide(&view(here, &[], &lost, STABLE_AFTER)))
    };
    sides.iter().map(outcome).collect::<Vec<_>>().join(" | ")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::WaitFor(_) => "wait",
        Verdict::Ask => "ask",
        Verdict::AskLease => "lease",
        Verdict::DownUnreachable => "stay",
        Verdict::DownMyself => "yield",
        Verdict::Undecided(_) => "undecided",
    }
}

fn check(policy: &dyn PartitionPolicy, table: &[(&str, &str)]) {
    for (split, expected) in table {
        assert_eq!(outcomes(policy, split), *expected, "{policy:?} of {split}");
    }
}

#[test]
fn keep_majority() {
    check(
        &KeepMajority::new(STABLE_AFTER),
        &[
            ("1 2 | 3", "stay | yield"),
            ("1 | 2 3", "yield | stay"),
            ("1 2 3 | 4 5", "stay | yield"),
            // An even split: the side with the oldest.
            ("1 4 | 2 3", "stay | yield"),
            ("2 3 | 1 4", "yield | stay"),
            // No side has more than half.
            ("1 2 | 3 4 | 5", "yield | yield | yield"),
            ("1 2 | 3 | 4", "stay | yield | yield"),
            // Of two nodes somebody else has to decide.
            ("1 | 2", "undecided | undecided"),
        ],
    );
}

#[test]
fn keep_majority_of_two_does_what_was_chosen() {
    for (of_two, expected) in [
        (OfTwo::AskOperator, "undecided | undecided"),
        (OfTwo::KeepOldest, "stay | yield"),
        (OfTwo::BothGoOn, "stay | stay"),
        (OfTwo::BothYield, "yield | yield"),
    ] {
        let policy = KeepMajority::new(STABLE_AFTER).of_two(of_two);
        check(&policy, &[("1 | 2", expected), ("1 2 | 3", "stay | yield")]);
    }
    let policy = KeepMajority::new(STABLE_AFTER);
    assert_eq!(
        policy.decide(&view(&[1], &[], &[2], STABLE_AFTER)),
        Verdict::Undecided(Undecided::TwoNodes)
    );
}

#[test]
fn keep_majority_of_a_role_counts_only_those_who_have_it() {
    check(
        &KeepMajority::new(STABLE_AFTER).role("core"),
        &[
            ("1 3 | 2 4 5", "stay | yield"),
            ("1 2 4 6 | 3 5", "yield | stay"),
            // One side has none of them, and nothing is lost for the other.
            ("1 3 | 2 4", "stay | yield"),
        ],
    );
}

#[test]
fn static_quorum() {
    check(
        &StaticQuorum::new(3, STABLE_AFTER),
        &[
            ("1 2 3 | 4 5", "stay | yield"),
            ("1 2 | 3 4 5", "yield | stay"),
            ("1 2 | 3 4 | 5", "yield | yield | yield"),
            ("1 2 3 | 4", "stay | yield"),
            ("1 2 | 3 4", "yield | yield"),
            ("1 2 | 3", "yield | yield"),
            // More members than one quorum can rule: nobody stays.
            ("1 2 3 4 | 5 6", "yield | yield"),
        ],
    );
    check(
        &StaticQuorum::new(2, STABLE_AFTER).role("core"),
        &[("1 3 | 2 4 5 6 8", "stay | yield")],
    );
    check(
        &StaticQuorum::new(0, STABLE_AFTER),
        &[("1 | 2", "yield | yield")],
    );
}

#[test]
fn keep_oldest() {
    check(
        &KeepOldest::new(STABLE_AFTER),
        &[
            ("1 2 | 3 4 5", "stay | yield"),
            ("1 | 2 3 4 5", "yield | stay"),
            ("1 | 2 3", "yield | stay"),
            ("1 | 2", "stay | yield"),
            // The oldest is alone, but not the only one that is lost.
            ("1 | 2 3 | 4", "yield | yield | yield"),
        ],
    );
    check(
        &KeepOldest::new(STABLE_AFTER).even_if_alone(),
        &[("1 | 2 3 4 5", "stay | yield"), ("1 2 | 3", "stay | yield")],
    );
    check(
        &KeepOldest::new(STABLE_AFTER).role("core"),
        &[
            ("2 4 | 1 3 6", "yield | stay"),
            ("2 3 5 | 1 4", "stay | yield"),
        ],
    );
}

#[test]
fn down_all_and_down_after() {
    check(&DownAll::new(STABLE_AFTER), &[("1 2 | 3", "yield | yield")]);
    check(&DownAfter::new(STABLE_AFTER), &[("1 2 | 3", "stay | stay")]);
}

#[test]
fn lease_majority_asks_for_the_lease_the_minority_later_and_does_what_was_answered() {
    let policy = LeaseMajority::new(STABLE_AFTER);
    check(
        &policy,
        &[("1 2 | 3", "lease | wait"), ("1 2 | 3 4", "lease | wait")],
    );
    let asked_at = |stable_s| {
        let view = view(&[3], &[], &[1, 2], Duration::from_secs(stable_s));
        policy.decide(&view)
    };
    assert_eq!(asked_at(6), Verdict::WaitFor(Duration::from_secs(1)));
    assert_eq!(asked_at(7), Verdict::AskLease);
    for (answer, expected) in [
        (LeaseAnswer::Granted, Verdict::DownUnreachable),
        (LeaseAnswer::Refused, Verdict::DownMyself),
    ] {
        let mut answered = view(&[3], &[], &[1, 2], STABLE_AFTER);
        answered.lease = Some(answer);
        assert_eq!(policy.decide(&answered), expected);
    }
    assert!(policy.needs_lease());
}

#[test]
fn a_member_that_was_not_heard_from_lends_no_vote() {
    let majority = KeepMajority::new(STABLE_AFTER);
    let quorum = StaticQuorum::new(3, STABLE_AFTER);
    let oldest = KeepOldest::new(STABLE_AFTER);
    type Row<'r> = (
        &'r dyn PartitionPolicy,
        &'r [u64],
        &'r [u64],
        &'r [u64],
        &'r str,
    );
    let table: &[Row<'_>] = &[
        (&majority, &[1, 2], &[3], &[4, 5], "ask"),
        (&majority, &[1, 2, 3], &[], &[4, 5], "stay"),
        (&majority, &[1, 2, 3], &[4], &[5], "stay"),
        (&majority, &[1], &[2], &[3, 4, 5], "yield"),
        (&majority, &[1, 2], &[3], &[4], "stay"),
        (&majority, &[2, 3], &[1], &[4], "ask"),
        (&majority, &[2], &[1], &[3, 4], "ask"),
        (&majority, &[2], &[3], &[1, 4], "yield"),
        (&quorum, &[1, 2], &[3], &[4, 5], "ask"),
        (&quorum, &[1, 2, 3], &[4], &[5], "stay"),
        (&quorum, &[1], &[2], &[3, 4, 5], "yield"),
        (&oldest, &[2, 3], &[1], &[4], "ask"),
        (&oldest, &[1], &[2], &[3, 4], "ask"),
        (&oldest, &[1, 2], &[3], &[4, 5], "stay"),
        (&oldest, &[2, 3], &[4], &[1], "ask"),
        (&oldest, &[2, 3], &[4], &[1, 5], "yield"),
    ];
    for (policy, reachable, silent, unreachable, expected) in table {
        let verdict = policy.decide(&view(reachable, silent, unreachable, STABLE_AFTER));
        assert_eq!(
            word(verdict),
            *expected,
            "{policy:?}: {reachable:?} and perhaps {silent:?} without {unreachable:?}"
        );
    }
}

#[test]
fn who_joined_after_the_first_loss_has_no_vote() {
    let mut split = view(&[1, 2], &[], &[3, 4, 5], STABLE_AFTER);
    split.newcomers = peers(&[6, 7]);
    for policy in [
        &KeepMajority::new(STABLE_AFTER) as &dyn PartitionPolicy,
        &StaticQuorum::new(3, STABLE_AFTER),
    ] {
        assert_eq!(policy.decide(&split), Verdict::DownMyself, "{policy:?}");
    }
}

#[test]
fn who_met_the_lost_as_lost_leaves_the_decision_to_others_for_four_times_as_long() {
    for policy in [
        &KeepMajority::new(STABLE_AFTER) as &dyn PartitionPolicy,
        &StaticQuorum::new(2, STABLE_AFTER),
        &KeepOldest::new(STABLE_AFTER),
    ] {
        let decide = |stable_for| {
            let mut split = view(&[2, 3, 4], &[], &[1], stable_for);
            split.witnessed = false;
            policy.decide(&split)
        };
        let left = Verdict::WaitFor(STABLE_AFTER * 3);
        assert_eq!(decide(STABLE_AFTER), left, "{policy:?}");
        let decides = |verdict| matches!(verdict, Verdict::DownUnreachable | Verdict::DownMyself);
        assert!(decides(decide(STABLE_AFTER * 4)), "{policy:?}");
    }
}

#[test]
fn every_policy_waits_until_the_view_has_settled_longer_in_greater_clusters() {
    let policies: [&dyn PartitionPolicy; 6] = [
        &KeepMajority::new(STABLE_AFTER),
        &StaticQuorum::new(600, STABLE_AFTER),
        &KeepOldest::new(STABLE_AFTER),
        &LeaseMajority::new(STABLE_AFTER),
        &DownAll::new(STABLE_AFTER),
        &DownAfter::new(STABLE_AFTER),
    ];
    for policy in policies {
        for (members, wait_s) in [(3, 5), (10, 5), (100, 10), (1000, 15)] {
            let here: Vec<u64> = (1..members).collect();
            let decide = |stable_for| policy.decide(&view(&here, &[], &[members], stable_for));
            assert_eq!(
                decide(Duration::ZERO),
                Verdict::WaitFor(Duration::from_secs(wait_s)),
                "{policy:?} of {members}"
            );
            let settled = word(decide(Duration::from_secs(wait_s)));
            assert_ne!(settled, "wait", "{policy:?} of {members}");
        }
    }
}

#[test]
fn members_whose_hosts_say_that_they_are_gone_are_waited_for_a_twentieth_of_the_time() {
    let policy = KeepMajority::new(STABLE_AFTER);
    let decide = |stable_for_ms, refused: [bool; 2]| {
        let stable_for = Duration::from_millis(stable_for_ms);
        let mut view = view(&[1, 2, 3], &[], &[4, 5], stable_for);
        for (lost, refused) in view.unreachable.iter_mut().zip(refused) {
            lost.refused = refused;
        }
        policy.decide(&view)
    };
    let soon = Duration::from_millis(50);
    assert_eq!(decide(200, [true, true]), Verdict::WaitFor(soon));
    assert_eq!(decide(250, [true, true]), Verdict::DownUnreachable);
    // One that only does not answer may be on the other side of a split.
    assert_eq!(word(decide(250, [true, false])), "wait");
}

#[test]
fn a_view_that_never_settles_is_decided_upon_in_the_end_or_ends_all_by_choice() {
    let down_all = Patience {
        restless: Restless::DownAll,
        ..Patience::new(STABLE_AFTER)
    };
    for (patience, in_the_end) in [
        (Patience::new(STABLE_AFTER), Verdict::DownUnreachable),
        (down_all, Verdict::DownMyself),
    ] {
        let policy = KeepMajority::new(patience);
        let mut restless = view(&[1, 2], &[], &[3], Duration::from_secs(1));
        restless.unreachable[0].for_duration = Duration::from_secs(19);
        assert_eq!(
            policy.decide(&restless),
            Verdict::WaitFor(Duration::from_secs(1))
        );
        restless.unreachable[0].for_duration = Duration::from_secs(20);
        assert_eq!(policy.decide(&restless), in_the_end);
    }
}

/// Every way in which seven members can fall into two sides, one of them, or the members of both, perhaps not heard from.
#[test]
fn no_two_sides_of_any_split_stay_under_a_policy_that_chooses_one() {
    let policies: [&dyn PartitionPolicy; 3] = [
        &KeepMajority::new(STABLE_AFTER),
        &StaticQuorum::new(4, STABLE_AFTER),
        &KeepOldest::new(STABLE_AFTER),
    ];
    let all: Vec<u64> = (1..=7).collect();
    for members in 2..=all.len() {
        for split in 1..(1u32 << members) - 1 {
            let (here, there): (Vec<u64>, Vec<u64>) = all[..members]
                .iter()
                .partition(|boot| split & (1 << (*boot - 1)) != 0);
            for policy in policies {
                let stays = |mine: &[u64], others: &[u64]| {
                    (0..mine.len()).any(|silent| {
                        let (silent, heard) = mine.split_at(silent);
                        let view = view(heard, silent, others, STABLE_AFTER);
                        policy.decide(&view) == Verdict::DownUnreachable
                    })
                };
                assert!(
                    !(stays(&here, &there) && stays(&there, &here)),
                    "{policy:?} lets {here:?} and {there:?} both go on"
                );
            }
        }
    }
}
