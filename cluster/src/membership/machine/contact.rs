//! Finding the first members, and finding lost ones again, for ever.
//!
//! Seeds without a known member, unreachable members and members that others declared down are tried again and again, so that any
//! partition heals however long it lasted. The rate falls with the number of live members, who share the work. A member that was declared
//! down itself uses the same contacts to learn when it can rejoin.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::claim::{DownReason, State};
use crate::membership::event::Event;
use crate::membership::identity::{BootUid, NodeName};
use crate::membership::table::{Group, Slot};
use crate::membership::timers::Timer;
use crate::membership::wire::{Body, Packet, Phase};

/// More addresses than this are not kept.
const ADDRESSES_MAX: usize = 1024;
/// How many are tried at a time while nobody is known.
const BURST_ALONE: usize = 4;
/// How many are tried at a time by one that was declared down.
const BURST_DOWNED: usize = 8;
/// Attempts for each lost member and interval, by all live members together.
const ATTEMPTS_TOGETHER: f64 = 3.0;
/// A downed member that answered counts for at least so many intervals.
const HEARD_INTERVALS: u32 = 10;

/// Addresses at which the cluster may be found.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    addresses: Vec<SocketAddr>,
    spoke_with_somebody: bool,
}

impl Contacts {
    pub(super) fn add(&mut self, addresses: &[SocketAddr]) {
        for addr in addresses {
            if !self.addresses.contains(addr) && self.addresses.len() < ADDRESSES_MAX {
                self.addresses.push(*addr);
            }
        }
    }

    /// True the first time.
    pub(super) fn note_first(&mut self) -> bool {
        !std::mem::replace(&mut self.spoke_with_somebody, true)
    }
}

/// What one that was declared down remembers.
#[derive(Debug)]
pub(super) struct Downed {
    pub(super) reason: DownReason,
    /// Who decided it.
    pub(super) decider: NodeName,
    /// How many members its last view had.
    electorate: usize,
    /// The greatest boot of its own name that it heard of.
    pub(super) boot_seen: BootUid,
    /// Other downed members that answered, and when.
    heard: BTreeMap<NodeName, Duration>,
    /// Where the cluster was found.
    pub(super) reached_through: Option<SocketAddr>,
    announced_at: Option<Duration>,
}

impl Downed {
    pub(super) fn new(
        reason: DownReason,
        decider: NodeName,
        electorate: usize,
        boot: BootUid,
    ) -> Self {
        Self {
            reason,
            decider,
            electorate,
            boot_seen: boot,
            heard: BTreeMap::new(),
            reached_through: None,
            announced_at: None,
        }
    }
}

impl Machine {
    /// The contact timer fired.
    pub(super) fn contact(&mut self) {
        self.forget_the_departed();
        let downed = matches!(self.life, Life::Downed(_));
        let mut lost = self.lost_addresses(downed);
        let live = self.table.group(Group::Live).len();
        let attempts = match (downed, live) {
            (true, _) => BURST_DOWNED,
            (false, 0) => BURST_ALONE,
            (false, live) => usize::from(
                self.rng
                    .chance(ATTEMPTS_TOGETHER * lost.len() as f64 / live as f64),
            ),
        };
        for _ in 0..attempts.min(lost.len()) {
            let (addr, slot) = lost.swap_remove(self.rng.below(lost.len()));
            self.introduce_to(addr, slot);
        }
        let jitter = self.rng.duration_below(self.config.contact_interval / 4);
        self.timers.set(
            Timer::Contact,
            self.now + self.config.contact_interval + jitter,
        );
    }

    /// Addresses at which no live member is known; one that was declared down itself trusts no row and tries all.
    fn lost_addresses(&self, all: bool) -> Vec<(SocketAddr, Option<Slot>)> {
        let mut tried: BTreeSet<SocketAddr> = BTreeSet::from([self.record.addr]);
        let mut lost = Vec::new();
        if !all {
            tried.extend(
                self.table
                    .group(Group::Live)
                    .iter()
                    .filter_map(|slot| Some(self.table.get(*slot)?.record.addr)),
            );
        }
        let groups = [Group::Live, Group::Unreachable, Group::Down];
        for slot in groups
            .iter()
            .skip(usize::from(!all))
            .flat_map(|group| self.table.group(*group))
        {
            let Some(member) = self.table.get(*slot) else {
                continue;
            };
            let departed = matches!(member.state(), State::Down(DownReason::Left));
            if !departed && tried.insert(member.record.addr) {
                lost.push((member.record.addr, Some(*slot)));
            }
        }
        lost.extend(
            self.contacts
                .addresses
                .iter()
                .filter(|addr| tried.insert(**addr))
                .map(|addr| (*addr, None)),
        );
        lost
    }

    /// Pings an address, tells it who asks, and asks who it is.
    pub(super) fn introduce_to(&mut self, addr: SocketAddr, slot: Option<Slot>) {
        let seq = self.next_seq();
        self.send(
            addr,
            slot,
            &Body::Ping { seq },
            Extras {
                introduce: true,
                own_record: self.takes_part(),
            },
        );
    }

    fn forget_the_departed(&mut self) {
        let now = self.now;
        let over = |since: Duration| since + self.config.tombstone_for <= now;
        let crowded = self.table.group(Group::Down).len() > self.config.members_max / 2;
        let forgotten: Vec<Slot> = self
            .table
            .group(Group::Down)
            .iter()
            .filter(|slot| {
                self.table.get(**slot).is_some_and(|member| {
                    let for_good = matches!(
                        member.state(),
                        State::Down(DownReason::Left | DownReason::Replaced)
                    );
                    over(member.since) && (for_good || crowded)
                })
            })
            .copied()
            .collect();
        for slot in forgotten {
            if let Some(member) = self.table.get(slot) {
                self.events.push_back(Event::MemberForgotten {
                    id: member.id.clone(),
                });
            }
            self.table.forget(slot);
            self.probes.remove(slot);
            self.broadcasts
                .remove(crate::membership::broadcasts::Subject::Member(slot));
        }
    }

    /// Whoever was declared down answers pings, and listens for a chance to come back.
    pub(super) fn receive_while_down(&mut self, from: SocketAddr, packet: &Packet) {
        let sender = &packet.header.from;
        if sender.name == self.id.name {
            self.be_replaced(sender);
            return;
        }
        let intervals = HEARD_INTERVALS + self.table.len() as u32 / 4;
        let heard_since = self
            .now
            .saturating_sub(self.config.contact_interval * intervals);
        let Life::Downed(downed) = &mut self.life else {
            return;
        };
        for update in packet
            .updates
            .iter()
            .filter(|update| update.name == self.id.name)
        {
            downed.boot_seen = downed.boot_seen.max(update.boot);
        }
        let chance = match packet.header.phase {
            Phase::Up => packet.header.quorate,
            Phase::Leaving => false,
            Phase::Downed => {
                downed.heard.insert(sender.name.clone(), self.now);
                downed.heard.retain(|_, at| *at >= heard_since);
                (downed.heard.len() + 1) * 2 > downed.electorate
            }
        };
        let announced_lately = downed
            .announced_at
            .is_some_and(|at| at + self.config.contact_interval > self.now);
        if chance && !announced_lately {
            downed.announced_at = Some(self.now);
            downed.reached_through = Some(from);
            self.events.push_back(Event::RejoinPossible);
        }
        if let Body::Ping { seq } = packet.body {
            self.send(from, None, &Body::Ack { seq }, Extras::default());
        }
    }

    /// Keeps where everybody was, for a new life.
    pub(super) fn keep_addresses(&mut self) {
        let addresses: Vec<SocketAddr> = self
            .table
            .iter()
            .map(|(_, member)| member.record.addr)
            .collect();
        self.contacts.add(&addresses);
    }

    pub(super) fn forget_everybody(&mut self) {
        self.table = crate::membership::table::Table::new();
        self.broadcasts.clear();
        self.timers.clear_all();
        self.probes.clear();
        self.relays.clear();
        self.sync = super::Sync::default();
        self.contacts.spoke_with_somebody = false;
        self.gossiped_at = None;
    }
}
