//! Anti-entropy: repairing what gossip missed.
//!
//! Every packet carries a fingerprint of its sender's view. Where two differ and news have had time to settle, one member asks: it sends a
//! digest for each of 64 buckets of names, gets the rows of those that differ, and sends back its own rows of those that still do. The
//! digests have a fixed size; rows travel only for buckets that differ, in a bounded number of packets, from a random place on, so that
//! repeated exchanges bring everything however large the table is.

use std::net::SocketAddr;
use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::claim::Update;
use crate::membership::table::{Slot, bucket_of, row_digest};
use crate::membership::wire::{BUCKETS, Body, PacketWriter};

/// News settle for so many rounds of gossip before a difference counts.
const SETTLE_ROUNDS: u32 = 3;
/// A view that never settles is compared all the same after so many intervals.
const OVERDUE_INTERVALS: u32 = 5;

#[derive(Debug)]
pub(super) struct Sync {
    /// No whole exchange since the start: everything is new, and nothing has to wait.
    fresh: bool,
    next_at: Duration,
    started_at: Duration,
    view_changed_at: Duration,
    changes: u64,
    changes_at_request: u64,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            fresh: true,
            next_at: Duration::ZERO,
            started_at: Duration::ZERO,
            view_changed_at: Duration::ZERO,
            changes: 0,
            changes_at_request: 0,
        }
    }
}

impl Sync {
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(super) fn view_changed(&mut self, now: Duration) {
        self.view_changed_at = now;
        self.changes += 1;
    }
}

impl Machine {
    /// Fingerprints of the view by bucket, this member's own row included.
    pub(super) fn buckets(&self) -> [u64; BUCKETS] {
        let mut buckets = *self.table.buckets();
        if matches!(self.life, Life::Up) {
            buckets[bucket_of(&self.id.name)] ^=
                row_digest(&self.id, self.incarnation, false, self.record.version);
        }
        buckets
    }

    /// A packet from a member shows whether its view differs; if so, and if it is time, an exchange begins.
    pub(super) fn compare_digests(&mut self, slot: Slot, digest: u32) {
        if !matches!(self.life, Life::Up) {
            return;
        }
        let agrees = digest == self.digest() as u32;
        let now = self.now;
        if agrees && let Some(member) = self.table.get_mut(slot) {
            member.agreed_at = Some(now.into());
        }
        if now < self.sync.next_at {
            return;
        }
        if agrees {
            self.sync.fresh = false;
            return;
        }
        let settled =
            self.sync.view_changed_at + self.config.gossip_interval * SETTLE_ROUNDS <= self.now;
        let overdue =
            self.sync.started_at + self.config.sync_interval * OVERDUE_INTERVALS <= self.now;
        if !(settled || overdue || self.sync.fresh) {
            return;
        }
        if let Some(addr) = self
            .table
            .get(slot)
            .filter(|member| member.state().is_reachable())
            .map(|member| member.record.addr)
        {
            let talking = self.conversation.as_ref().map(|talk| talk.with);
            self.request_sync(talking.unwrap_or(addr));
        }
    }

    fn request_sync(&mut self, to: SocketAddr) {
        // A fresh member's request may be lost like any other packet: it tries again sooner.
        let interval = if self.sync.fresh {
            self.config.probe_timeout
        } else {
            self.config.sync_interval
        };
        self.sync.next_at = self.now + interval;
        self.sync.started_at = self.now;
        self.sync.changes_at_request = self.sync.changes;
        self.stats.syncs_started += 1;
        let buckets = Box::new(self.buckets().map(|digest| digest as u32));
        self.send(
            to,
            None,
            &Body::SyncRequest { buckets },
            Extras {
                own_record: self.sync.fresh,
                ..Extras::default()
            },
        );
    }

    pub(super) fn answer_sync(&mut self, to: SocketAddr, theirs: &[u32; BUCKETS]) {
        let ours = self.buckets().map(|digest| digest as u32);
        let differs: [bool; BUCKETS] = std::array::from_fn(|bucket| ours[bucket] != theirs[bucket]);
        let differing = (0..BUCKETS).fold(0u64, |bits, bucket| {
            bits | u64::from(differs[bucket]) << bucket
        });
        let digests = (0..BUCKETS)
            .filter(|bucket| differs[*bucket])
            .map(|bucket| ours[bucket])
            .collect();
        let all_sent = self.send_rows(to, &differs);
        self.send(
            to,
            None,
            &Body::SyncReply {
                differing,
                digests,
                more: !all_sent,
            },
            Extras::default(),
        );
    }

    pub(super) fn finish_sync(
        &mut self,
        to: SocketAddr,
        differing: u64,
        digests: &[u32],
        more: bool,
    ) {
        if !matches!(self.life, Life::Up) {
            return;
        }
        if more && self.sync.changes != self.sync.changes_at_request {
            self.request_sync(to);
            return;
        }
        self.sync.fresh &= more;
        let ours = self.buckets().map(|digest| digest as u32);
        let mut theirs = digests.iter();
        let differs: [bool; BUCKETS] = std::array::from_fn(|bucket| {
            differing & 1 << bucket != 0
                && theirs.next().is_some_and(|digest| *digest != ours[bucket])
        });
        if differs.contains(&true) {
            self.send_rows(to, &differs);
        }
    }

    /// Sends the rows of some buckets; false if they did not all fit in the packets allowed.
    fn send_rows(&mut self, to: SocketAddr, wanted: &[bool; BUCKETS]) -> bool {
        let mut rows: Vec<Update> = self
            .table
            .iter()
            .filter(|(_, member)| wanted[bucket_of(&member.id.name)])
            .map(|(_, member)| member.update(true))
            .collect();
        if wanted[bucket_of(&self.id.name)] {
            rows.push(self.own_update(true));
        }
        if rows.is_empty() {
            return true;
        }
        let start = self.rng.below(rows.len());
        rows.rotate_left(start);
        let header = self.header(self.version_for(to, None), false);
        let new_packet = || PacketWriter::new(&header, &Body::Gossip, self.config.packet_bytes_max);
        let (mut full, mut packet, mut sent) = (Vec::new(), new_packet(), 0);
        for row in &rows {
            if !packet.push(row) {
                full.push(std::mem::replace(&mut packet, new_packet()));
                if full.len() == self.config.sync_packets_max {
                    break;
                }
                packet.push(row);
            }
            sent += 1;
        }
        if packet.updates() > 0 {
            full.push(packet);
        }
        for packet in full {
            self.transmit(to, packet);
        }
        sent == rows.len()
    }
}
