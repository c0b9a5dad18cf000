//! The machine itself: its state, and what its owner calls. What each part does lies in the files beside this one.

mod commands;
mod contact;
mod gossip;
mod merge;
mod notices;
mod probing;
mod receive;
mod restless;
mod streams;
mod sync;
mod touch;
mod verdicts;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::broadcasts::Broadcasts;
use super::claim::{Claim, DownReason, State, Update};
use super::config::{Config, ConfigError};
use super::event::{Event, MemberInfo, Stats, StreamCall, Transmit};
use super::health::{LocalHealth, Sign};
use super::identity::{Identity, NodeId, NodeName};
use super::metadata::{MetadataError, Record};
use super::notices::Notices;
use super::rng::Rng;
use super::table::{Group, Table};
use super::timers::{Due, RunningClock, Timer, Timers};
use super::wire::Versions;
use crate::partition::PartitionPolicy;

pub use commands::CommandError;
#[cfg(feature = "file")]
pub(crate) use commands::check_record;
use contact::{Contacts, Downed};
use probing::{Probes, Relay};
use streams::Conversation;
use sync::Sync;
use touch::Questions;
use verdicts::Lease;

/// In which part of its life this machine is.
#[derive(Debug)]
enum Life {
    Up,
    Leaving,
    Left,
    Downed(Downed),
}

/// One member of a cluster. See the [module](super) for the order of calls.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    policy: Box<dyn PartitionPolicy>,
    rng: Rng,
    clock: RunningClock,
    /// Running time of the call in progress.
    now: Duration,

    id: NodeId,
    incarnation: u64,
    record: Arc<Record>,
    life: Life,

    table: Table,
    broadcasts: Broadcasts,
    notices: Notices,
    health: LocalHealth,
    timers: Timers,
    probes: Probes,
    relays: Vec<Relay>,
    contacts: Contacts,
    sync: Sync,
    gossiped_at: Option<Duration>,
    unreachable_changed_at: Duration,
    lease: Lease,
    questions: Questions,
    /// How many members the last view before a rejoin had, until more than half of so many are known again.
    electorate: usize,

    transmits: VecDeque<Transmit>,
    calls: VecDeque<StreamCall>,
    conversation: Option<Conversation>,
    /// From where the packet comes that is being handled, and which versions its sender reads.
    speaker: Option<(SocketAddr, Versions)>,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Machine {
    /// A member that knows nobody yet and lives from `now` on. `seed` decides every random choice.
    ///
    /// # Errors
    /// [`CommandError`] when settings or metadata are out of bounds.
    pub fn new(
        now: Duration,
        config: Config,
        identity: Identity,
        policy: Box<dyn PartitionPolicy>,
        seed: u64,
    ) -> Result<Self, CommandError> {
        config.validate()?;
        let record = Record {
            version: 0,
            addr: identity.addr,
            metadata: identity.metadata,
            versions: config.versions(),
            unknown: [].into(),
        };
        commands::check_record(&record)?;
        let mut rng = Rng::new(seed);
        let mut timers = Timers::default();
        timers.set(
            Timer::Probe,
            now + rng.duration_below(config.probe_interval),
        );
        timers.set(
            Timer::Contact,
            now + rng.duration_below(config.contact_interval),
        );
        Ok(Self {
            clock: RunningClock::default(),
            now,
            id: identity.id,
            incarnation: 0,
            record: record.into(),
            life: Life::Up,
            table: Table::new(),
            broadcasts: Broadcasts::default(),
            notices: Notices::default(),
            health: LocalHealth::new(config.health_max, config.lifeguard.local_health),
            timers,
            probes: Probes::new(&mut rng),
            relays: Vec::new(),
            contacts: Contacts::default(),
            sync: Sync::default(),
            gossiped_at: None,
            unreachable_changed_at: now,
            lease: Lease::default(),
            questions: Questions::default(),
            electorate: 0,
            transmits: VecDeque::new(),
            calls: VecDeque::new(),
            conversation: None,
            speaker: None,
            events: VecDeque::new(),
            stats: Stats::default(),
            config,
            policy,
            rng,
        })
    }

    // Getters.

    /// Which process of which node this is.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// Its own counter.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Its address and metadata as others see them.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// What this machine knows of its own boot.
    pub fn state(&self) -> State {
        match &self.life {
            Life::Up => State::Alive,
            Life::Leaving | Life::Left => State::Down(DownReason::Left),
            Life::Downed(downed) => State::Down(downed.reason),
        }
    }

    /// The other members, with those that are down and not yet forgotten. The order means nothing.
    pub fn members(&self) -> impl Iterator<Item = MemberInfo> {
        self.table.iter().map(|(_, member)| member.info())
    }

    /// The row of a name.
    pub fn member(&self, name: &NodeName) -> Option<MemberInfo> {
        Some(self.table.get(self.table.find(name)?)?.info())
    }

    /// How many members work as far as is known, this one included.
    pub fn live_count(&self) -> usize {
        self.table.group(Group::Live).len() + 1
    }

    /// How many members are unreachable.
    pub fn unreachable_count(&self) -> usize {
        self.table.group(Group::Unreachable).len()
    }

    /// Fingerprint of the whole view: equal views have equal ones.
    pub fn digest(&self) -> u64 {
        self.buckets().iter().fold(0, |sum, bucket| sum ^ bucket)
    }

    /// Local health: 0 is healthy; timeouts are multiplied by one more than this.
    pub fn health_counter(&self) -> u32 {
        self.health.counter()
    }

    /// News that wait to be sent: how many, and how often the oldest of them was sent.
    pub fn broadcasts_waiting(&self) -> (usize, u32) {
        (self.broadcasts.len(), self.broadcasts.transmits_max())
    }

    /// Notices that wait to be sent: how many, and how often the oldest of them was sent.
    pub fn notices_waiting(&self) -> (usize, u32) {
        (self.notices.len(), self.notices.sent_max())
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // Time.

    /// Runs everything that is due. To be called at [`poll_timeout`](Self::poll_timeout), after the packets that have arrived.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.observe(now);
        while let Some((_, due)) = self.timers.pop(self.now) {
            match due {
                Due::Timer(Timer::Probe) => self.advance_probe(),
                Due::Timer(Timer::Gossip) => self.gossip(),
                Due::Timer(Timer::Contact) => self.contact(),
                Due::Timer(Timer::Policy) => self.ask_policy(),
                Due::Timer(Timer::Leave) => self.complete_leave(),
                Due::Suspicion(slot) => self.end_suspicion(slot),
            }
        }
        self.run_relays();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, on the owner's clock; `None` when only a packet or command can change
    /// anything.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_due().map(|due| self.clock.shell_time(due))
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next change to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_due(&self) -> Option<Duration> {
        let relay = self.relays.iter().map(Relay::due).min();
        [self.timers.next(), relay].into_iter().flatten().min()
    }

    /// Takes in the time; must be the first thing that every entry does.
    fn observe(&mut self, now: Duration) {
        let grace = self.config.probe_timeout / 4;
        let (running, late) =
            self.clock
                .observe(now, self.next_due(), self.config.pause_threshold, grace);
        self.now = running;
        if let Some(late) = late {
            self.health.note(Sign::Paused);
            self.stats.pauses += 1;
            self.events.push_back(Event::Paused { late });
        }
    }

    // What several parts need.

    fn takes_part(&self) -> bool {
        matches!(self.life, Life::Up | Life::Leaving)
    }

    /// What this member says of itself.
    fn own_update(&self, with_record: bool) -> Update {
        let claim = match &self.life {
            Life::Leaving | Life::Left => Claim::Down {
                reason: DownReason::Left,
                decider: self.id.name.clone(),
            },
            Life::Downed(downed) => Claim::Down {
                reason: downed.reason,
                decider: downed.decider.clone(),
            },
            Life::Up => Claim::Alive,
        };
        Update {
            name: self.id.name.clone(),
            boot: self.id.boot,
            incarnation: self.incarnation,
            claim,
            record: with_record.then(|| self.record.clone()),
            unknown: [].into(),
        }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<MetadataError> for CommandError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}
