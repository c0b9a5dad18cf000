//! Notices: small messages of the application that travel with the gossip.
//!
//! A notice is sent `2 * ceil(retransmit_factor * max(1, log10(n + 1)))` times by each member that has it: twice as often as an update, because
//! no anti-entropy repairs what was missed. It takes whatever room the updates have left in any packet, and rounds of gossip go on while one
//! waits; so membership news never wait for notices. Only members that read a version with notices are sent any, and a round in which some of
//! those chosen do not is made up for by others that do.
//!
//! Best effort: a member that is cut off while a notice travels, or comes later, never hears of it. Whoever hears it hears it once in its
//! boot, unless a copy were on its way for longer than [`tombstone_for`](crate::membership::Config::tombstone_for). No order is kept.

use std::sync::Arc;
use std::time::Duration;

use super::{Life, Machine};
use crate::membership::CommandError;
use crate::membership::notice::{NOTICE_BYTES_MAX, NOTICE_NAME_BYTES_MAX, Notice, NoticeError};
use crate::membership::notices::{Arrival, GaveWay};
use crate::membership::table::{Group, Slot};
use crate::membership::wire::{PacketWriter, VERSION_OF_NOTICES};

/// No notice is shorter.
const NOTICE_BYTES_LEAST: usize = 15;
/// After so many notices that did not fit, a packet counts as full.
const MISFITS_MAX: usize = 3;

impl Machine {
    /// Tells all other members something, and returns the notice's number. It goes out at once if nothing was told lately, and otherwise with
    /// the next round of gossip; while there is nobody to hear it, it waits. A notice of the same name that still waits gives way to it; an
    /// empty name replaces nothing. This member is not told its own notices.
    ///
    /// # Errors
    /// [`CommandError::NotUp`], and [`CommandError::Notice`] when a bound is exceeded; nothing was posted.
    pub fn post(&mut self, now: Duration, name: &str, payload: &[u8]) -> Result<u64, CommandError> {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return Err(CommandError::NotUp);
        }
        if name.len() > NOTICE_NAME_BYTES_MAX {
            let bytes = name.len();
            return Err(NoticeError::NameTooLong { bytes }.into());
        }
        if payload.len() > NOTICE_BYTES_MAX {
            let bytes = payload.len();
            return Err(NoticeError::PayloadTooLarge { bytes }.into());
        }
        if !self.config.versions().contain(VERSION_OF_NOTICES) {
            return Err(NoticeError::VersionPinned.into());
        }
        let name: Arc<str> = name.into();
        if !self.notices.has_room(&self.id, &name) {
            return Err(NoticeError::TooManyWaiting.into());
        }
        let (number, gave_way) = self.notices.post(&self.id, name, payload.into());
        self.stats.notices_posted += 1;
        self.count(gave_way);
        self.arm_gossip();
        Ok(number)
    }

    /// The next notice that has arrived. Of those that are not taken the oldest are given up, and counted.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.take()
    }

    /// Takes in a notice of somebody else, and passes it on if it is news.
    pub(super) fn hear(&mut self, notice: &Notice) {
        if notice.origin.name == self.id.name {
            return; // its own, or of an earlier process of its name
        }
        let (arrival, gave_way) = self.notices.arrive(self.now, notice);
        self.count(gave_way);
        let counter = match arrival {
            Arrival::New => &mut self.stats.notices_arrived,
            Arrival::Repeated => &mut self.stats.notices_repeated,
            Arrival::Superseded => &mut self.stats.notices_superseded,
            Arrival::NoRoom => &mut self.stats.notices_refused,
        };
        *counter += 1;
        if arrival == Arrival::New {
            self.arm_gossip();
        }
    }

    fn count(&mut self, gave_way: GaveWay) {
        self.stats.notices_replaced += gave_way.replaced;
        self.stats.notices_cut_short += gave_way.cut_short;
        self.stats.notices_unread += gave_way.unread;
    }

    /// This boot has no part in the cluster any more.
    pub(super) fn drop_notices(&mut self) {
        self.stats.notices_cut_short += self.notices.clear_waiting();
    }

    pub(super) fn forget_silent_origins(&mut self) {
        if let Some(before) = self.now.checked_sub(self.config.tombstone_for) {
            self.notices.forget_silent(before);
        }
    }

    pub(super) fn fill_with_notices(&mut self, packet: &mut PacketWriter) {
        if self.notices.is_empty() || !packet.has_notices() {
            return;
        }
        let allowed = self.config.notice_transmits(self.live_count());
        let mut misfits = 0;
        for (rank, notice) in self.notices.first(packet.room() / NOTICE_BYTES_LEAST) {
            if packet.push_notice(&notice) {
                self.notices.sent(rank, allowed);
            } else {
                misfits += 1;
            }
            if misfits == MISFITS_MAX {
                break;
            }
        }
    }

    /// Whether a notice waits that somebody could hear.
    pub(super) fn has_notices_to_send(&self) -> bool {
        let live = || self.table.group(Group::Live).iter();
        !self.notices.is_empty() && live().any(|slot| self.can_hear(*slot))
    }

    /// Whether a notice waits that this member could hear.
    pub(super) fn has_notices_for(&self, slot: Slot) -> bool {
        !self.notices.is_empty() && self.can_hear(slot)
    }

    fn can_hear(&self, slot: Slot) -> bool {
        let ours = self.config.versions();
        self.table
            .get(slot)
            .is_some_and(|member| ours.to_speak_with(member.record.versions) >= VERSION_OF_NOTICES)
    }

    /// To whom a round of gossip goes. While notices wait and some of those chosen cannot hear them, others go with them that can.
    pub(super) fn choose_for_gossip(&mut self) -> Vec<Slot> {
        let mut chosen = self.choose_live(self.config.gossip_fanout, None);
        let hearers = chosen.iter().filter(|slot| self.can_hear(**slot)).count();
        if self.notices.is_empty() || hearers == chosen.len() {
            return chosen;
        }
        let live = self.table.group(Group::Live).iter().copied();
        let mut others: Vec<Slot> = live
            .filter(|slot| self.can_hear(*slot) && !chosen.contains(slot))
            .collect();
        self.rng.shuffle(&mut others);
        others.truncate(self.config.gossip_fanout.saturating_sub(hearers));
        chosen.extend(others);
        chosen
    }
}

impl From<NoticeError> for CommandError {
    fn from(error: NoticeError) -> Self {
        Self::Notice(error)
    }
}
