//! What the owner asks of the machine.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Life, Machine};
use crate::membership::broadcasts::Subject;
use crate::membership::claim::{Claim, DownReason, Update};
use crate::membership::config::ConfigError;
use crate::membership::event::{Event, MemberInfo};
use crate::membership::health::LocalHealth;
use crate::membership::identity::{BootUid, NodeName};
use crate::membership::metadata::{Metadata, MetadataError, RECORD_BYTES_MAX, Record};
use crate::membership::notice::NoticeError;
use crate::membership::table::Group;
use crate::membership::timers::Timer;
use crate::membership::wire::record_bytes;

/// Why a command was refused. The state is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// Settings do not fit together.
    Config(ConfigError),
    /// Metadata is out of bounds.
    Metadata(MetadataError),
    /// A notice is out of bounds, or has to wait.
    Notice(NoticeError),
    /// No member of that name is known.
    UnknownMember,
    /// A member declares itself down by leaving.
    Myself,
    /// The member is down already.
    AlreadyDown,
    /// This machine has left or was declared down; it takes no commands but [`rejoin`](Machine::rejoin).
    NotUp,
    /// Only a machine that was declared down can rejoin.
    NotDown,
    /// The new boot has to be greater than every earlier one of this name.
    BootNotGreater,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Metadata(error) => error.fmt(f),
            Self::Notice(error) => error.fmt(f),
            Self::UnknownMember => {
                write!(f, "no member of that name is known; nothing was changed")
            }
            Self::Myself => write!(f, "a member cannot declare itself down; it can leave"),
            Self::AlreadyDown => write!(f, "the member is down already"),
            Self::NotUp => write!(
                f,
                "this member has left or was declared down; it has to rejoin first"
            ),
            Self::NotDown => write!(
                f,
                "this member was not declared down, so there is nothing to rejoin"
            ),
            Self::BootNotGreater => write!(f, "a rejoin needs a boot greater than the one before"),
        }
    }
}

impl std::error::Error for CommandError {}

/// Checks what the author of a record may put into it.
pub(crate) fn check_record(record: &Record) -> Result<(), MetadataError> {
    let metadata = &record.metadata;
    let texts = metadata
        .roles
        .iter()
        .chain(metadata.values.keys())
        .chain(metadata.values.values());
    if metadata.health_percent > 100 {
        return Err(MetadataError::HealthAbove100);
    }
    let counts_fit = metadata.roles.len() <= 255 && metadata.values.len() <= 255;
    if !counts_fit || texts.chain([&metadata.zone]).any(|text| text.len() > 255) {
        return Err(MetadataError::TooLong);
    }
    match record_bytes(record) {
        bytes if bytes > RECORD_BYTES_MAX => Err(MetadataError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

impl Machine {
    /// Adds addresses through which the cluster may be found, and tries them at once. They are tried for as long as no member is known
    /// at them: for ever, if need be. Can be repeated.
    ///
    /// # Errors
    /// [`CommandError::NotUp`]; the addresses are kept for a rejoin all the same.
    pub fn join(&mut self, now: Duration, seeds: &[SocketAddr]) -> Result<(), CommandError> {
        self.observe(now);
        self.contacts.add(seeds);
        match self.life {
            Life::Up => {
                self.timers.set(Timer::Contact, self.now);
                Ok(())
            }
            _ => Err(CommandError::NotUp),
        }
    }

    /// Takes over members that are known from elsewhere, as living and without an event for each: for experiments with many members, which
    /// share the memory of names and records then. Names that are known already, or this member's own, are left as they are, and so is
    /// whatever exceeds [`members_max`](crate::membership::Config::members_max).
    ///
    /// # Errors
    /// [`CommandError::NotUp`].
    pub fn take_over(&mut self, now: Duration, members: &[MemberInfo]) -> Result<(), CommandError> {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return Err(CommandError::NotUp);
        }
        let mut slots = Vec::with_capacity(members.len());
        self.table.reserve(members.len());
        for info in members {
            let known = info.id.name == self.id.name || self.table.find(&info.id.name).is_some();
            if known || self.table.len() >= self.config.members_max {
                continue;
            }
            let update = Update {
                name: info.id.name.clone(),
                boot: info.id.boot,
                incarnation: info.incarnation,
                claim: Claim::Alive,
                record: None,
                unknown: [].into(),
            };
            slots.push(self.table.insert(&update, info.record.clone(), self.now));
        }
        self.probes.add_all(slots, &mut self.rng);
        self.sync.view_changed(self.now);
        Ok(())
    }

    /// Says good-bye. [`Event::LeaveComplete`] tells when the word is spread; until then the machine has to be driven on.
    ///
    /// # Errors
    /// [`CommandError::NotUp`] when there is nothing to leave.
    pub fn leave(&mut self, now: Duration) -> Result<(), CommandError> {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return Err(CommandError::NotUp);
        }
        self.life = Life::Leaving;
        self.timers.clear_all();
        self.probes.stop();
        self.relays.clear();
        self.broadcasts.add(Subject::Myself, false);
        self.arm_gossip();
        let linger = if self.table.group(Group::Live).is_empty() {
            Duration::ZERO
        } else {
            self.config.leave_linger
        };
        self.timers.set(Timer::Leave, self.now + linger);
        Ok(())
    }

    /// Replaces what others know of this member.
    ///
    /// # Errors
    /// [`CommandError::Metadata`] when it is out of bounds, [`CommandError::NotUp`] when nobody would hear of it.
    pub fn set_metadata(&mut self, now: Duration, metadata: Metadata) -> Result<(), CommandError> {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return Err(CommandError::NotUp);
        }
        let record = Record {
            version: self.record.version + 1,
            metadata,
            ..Record::clone(&self.record)
        };
        check_record(&record)?;
        self.record = Arc::new(record);
        self.sync.view_changed(self.now);
        self.broadcast(Subject::Myself, true);
        Ok(())
    }

    /// Declares a member down, for good as far as its boot is concerned. For operators; policies have their own way.
    ///
    /// # Errors
    /// [`CommandError`] when there is no such member, it is this one, it is down already, or this machine is not up.
    pub fn down(&mut self, now: Duration, name: &NodeName) -> Result<(), CommandError> {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return Err(CommandError::NotUp);
        }
        if *name == self.id.name {
            return Err(CommandError::Myself);
        }
        let slot = self.table.find(name).ok_or(CommandError::UnknownMember)?;
        let member = self.table.get(slot).ok_or(CommandError::UnknownMember)?;
        if member.state().is_down() {
            return Err(CommandError::AlreadyDown);
        }
        let (incarnation, addr) = (member.incarnation, member.record.addr);
        let claim = Claim::Down {
            reason: DownReason::Operator,
            decider: self.id.name.clone(),
        };
        self.apply_claim(slot, incarnation, claim);
        self.send_gossip(addr, Some(slot)); // it shall hear it from here
        Ok(())
    }

    /// Begins a new life after [`Event::SelfDown`], under a greater boot. What was known of others is forgotten but for their addresses:
    /// through these it is learnt anew.
    ///
    /// # Errors
    /// [`CommandError::NotDown`] and [`CommandError::BootNotGreater`].
    pub fn rejoin(&mut self, now: Duration, boot: BootUid) -> Result<(), CommandError> {
        self.observe(now);
        let Life::Downed(downed) = &self.life else {
            return Err(CommandError::NotDown);
        };
        if boot <= self.id.boot.max(downed.boot_seen) {
            return Err(CommandError::BootNotGreater);
        }
        let first = downed.reached_through;
        self.electorate = downed.electorate;
        self.keep_addresses();
        self.forget_everybody();
        self.id.boot = boot;
        self.incarnation = 0;
        self.life = Life::Up;
        // What it held against itself came from being cut off; it would be slow to find others dead for the best part of a minute.
        self.health = LocalHealth::new(self.config.health_max, self.config.lifeguard.local_health);
        self.events.push_back(Event::Rejoined {
            id: self.id.clone(),
        });
        self.timers.set(
            Timer::Probe,
            self.now + self.rng.duration_below(self.config.probe_interval),
        );
        self.timers
            .set(Timer::Contact, self.now + self.config.contact_interval);
        if let Some(addr) = first {
            self.introduce_to(addr, None);
        }
        Ok(())
    }

    pub(super) fn complete_leave(&mut self) {
        self.life = Life::Left;
        self.timers.clear_all();
        self.drop_notices();
        self.events.push_back(Event::LeaveComplete);
    }
}
