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
/// And so many times as often as by others.
const DOWNED_TRY_MORE_OFTEN: u32 = 5;
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
    pub(super) electorate: usize,
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
        self.forget_silent_origins();
        let downed = matches!(self.life, Life::Downed(_));
        let live = self.table.group(Group::Live).len();
        match (downed, live) {
            (true, _) => self.try_some(BURST_DOWNED),
            (false, 0) => self.try_some(BURST_ALONE),
            (false, live) => self.try_one_by_chance(live),
        }
        // Whoever has no part in the cluster has nothing else to do.
        let interval = match (downed, live) {
            (true, _) => self.config.contact_interval / DOWNED_TRY_MORE_OFTEN,
            (false, 0) => self.config.probe_interval.min(self.config.contact_interval),
            (false, _) => self.config.contact_interval,
        };
        let jitter = self.rng.duration_below(interval / 4);
        self.timers
            .set(Timer::Contact, self.now + interval + jitter);
    }

    /// Who has no part in the cluster trusts no row, and tries any address.
    fn try_some(&mut self, attempts: usize) {
        let mut all = self.addresses(&[Group::Live, Group::Unreachable, Group::Down]);
        for _ in 0..attempts.min(all.len()) {
            let (addr, slot) = all.swap_remove(self.rng.below(all.len()));
            self.introduce_to(addr, slot);
        }
    }

    /// At most one address is tried: one at which no live member is known. Where few of many are lost, one is drawn first and only that one
    /// looked at, so that this is cheap in large clusters.
    fn try_one_by_chance(&mut self, live: usize) {
        let mut candidates = self.addresses(&[Group::Unreachable, Group::Down]);
        let probability = |count: usize| ATTEMPTS_TOGETHER * count as f64 / live as f64;
        let many = probability(candidates.len()) >= 1.0;
        if many {
            let taken: BTreeSet<SocketAddr> = self.live_addresses().collect();
            candidates.retain(|(addr, _)| !taken.contains(addr));
        }
        if candidates.is_empty() || !self.rng.chance(probability(candidates.len())) {
            return;
        }
        let (addr, slot) = candidates[self.rng.below(candidates.len())];
        if many || !self.live_addresses().any(|taken| taken == addr) {
            self.introduce_to(addr, slot);
        }
    }

    fn live_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let live = self.table.group(Group::Live).iter();
        live.filter_map(|slot| Some(self.table.get(*slot)?.record.addr))
    }

    /// Where members of these groups are or were, and the seeds, each once. Not where somebody has left.
    fn addresses(&self, groups: &[Group]) -> Vec<(SocketAddr, Option<Slot>)> {
        let mut seen: BTreeSet<SocketAddr> = BTreeSet::from([self.record.addr]);
        let mut found = Vec::new();
        for slot in groups.iter().flat_map(|group| self.table.group(*group)) {
            let Some(member) = self.table.get(*slot) else {
                continue;
            };
            let departed = matches!(member.state(), State::Down(DownReason::Left));
            if !departed && seen.insert(member.record.addr) {
                found.push((member.record.addr, Some(*slot)));
            }
        }
        let seeds = self.contacts.addresses.iter();
        found.extend(
            seeds
                .filter(|addr| seen.insert(**addr))
                .map(|addr| (*addr, None)),
        );
        found
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
                ..Extras::default()
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
                    over(member.since.into()) && (for_good || crowded)
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
