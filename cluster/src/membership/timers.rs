//! The machine's time: every timer by name, and a clock that stands still while the process does not run.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use super::table::Slot;

/// A moment of running time in half the space of a `Duration`: a table has several for each member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl From<Duration> for Moment {
    fn from(time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX); // 584 years
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        Self::from_nanos(moment.0.get() - 1)
    }
}

/// Timers of which there is one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Next step of the probe in progress, or the next probe.
    Probe,
    /// Next round of gossip.
    Gossip,
    /// Next attempt to reach the dead and the seeds.
    Contact,
    /// Next look at the partition policy.
    Policy,
    /// End of leaving.
    Leave,
}

const TIMERS: [Timer; 5] = [
    Timer::Probe,
    Timer::Gossip,
    Timer::Contact,
    Timer::Policy,
    Timer::Leave,
];

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Timer(Timer),
    Suspicion(Slot),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    single: [Option<Duration>; TIMERS.len()],
    suspicions: BTreeSet<(Duration, Slot)>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Duration) {
        self.single[timer as usize] = Some(at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.single[timer as usize] = None;
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Duration> {
        self.single[timer as usize]
    }

    pub(super) fn add_suspicion(&mut self, at: Duration, slot: Slot) {
        self.suspicions.insert((at, slot));
    }

    pub(super) fn remove_suspicion(&mut self, at: Duration, slot: Slot) {
        self.suspicions.remove(&(at, slot));
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::default();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        let single = self.single.iter().flatten().min().copied();
        let suspicion = self.suspicions.first().map(|(at, _)| *at);
        [single, suspicion].into_iter().flatten().min()
    }

    /// Takes the earliest of what is due; at the same time, suspicions last, so that whatever could refute them comes first.
    pub(super) fn pop(&mut self, now: Duration) -> Option<(Duration, Due)> {
        let single = TIMERS
            .into_iter()
            .filter_map(|timer| Some((self.get(timer)?, timer)))
            .min_by_key(|(at, _)| *at);
        let suspicion = self.suspicions.first().copied();
        match (single, suspicion) {
            (Some((at, timer)), other)
                if at <= now && other.is_none_or(|(suspicion_at, _)| at <= suspicion_at) =>
            {
                self.clear(timer);
                Some((at, Due::Timer(timer)))
            }
            (_, Some((at, slot))) if at <= now => {
                self.remove_suspicion(at, slot);
                Some((at, Due::Suspicion(slot)))
            }
            _ => None,
        }
    }
}

/// Turns the shell's time into running time: the same, less the pauses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningClock {
    lost: Duration,
    latest: Duration,
}

impl RunningClock {
    /// Running time at the shell's `now`. When the earliest timer, due at `due`, is handled more than `threshold` late, the process did
    /// not run: the clock is set to shortly before that timer, so that there is a `grace` to work off packets which arrived meanwhile
    /// before any deadline counts. Returns how late it was in that case.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        due: Option<Duration>,
        threshold: Duration,
        grace: Duration,
    ) -> (Duration, Option<Duration>) {
        let running = now.saturating_sub(self.lost);
        let late = due
            .map(|due| running.saturating_sub(due))
            .filter(|late| *late > threshold);
        match (late, due) {
            (Some(late), Some(due)) => {
                self.latest = self.latest.max(due.saturating_sub(grace));
                self.lost = now.saturating_sub(self.latest);
                (self.latest, Some(late))
            }
            _ => {
                self.latest = self.latest.max(running);
                (self.latest, None)
            }
        }
    }

    pub(super) fn shell_time(&self, running: Duration) -> Duration {
        running + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_pause_does_not_count_as_running_time() {
        let mut clock = RunningClock::default();
        assert_eq!(
            clock.observe(MS * 100, Some(MS * 110), MS * 50, MS * 5),
            (MS * 100, None)
        );
        assert_eq!(
            clock.observe(MS * 150, Some(MS * 110), MS * 50, MS * 5),
            (MS * 150, None)
        );
        assert_eq!(
            clock.observe(MS * 5000, Some(MS * 200), MS * 50, MS * 5),
            (MS * 195, Some(MS * 4800))
        );
        assert_eq!(clock.shell_time(MS * 200), MS * 5005);
        assert_eq!(
            clock.observe(MS * 5005, Some(MS * 200), MS * 50, MS * 5),
            (MS * 200, None)
        );
    }

    #[test]
    fn running_time_never_goes_back() {
        let mut clock = RunningClock::default();
        clock.observe(MS * 100, None, MS * 50, MS);
        assert_eq!(clock.observe(MS * 90, None, MS * 50, MS).0, MS * 100);
    }

    #[test]
    fn at_the_same_time_suspicions_come_last() {
        let mut timers = Timers::default();
        let mut table = super::super::table::Table::new();
        let update = super::super::claim::Update {
            name: super::super::identity::NodeName::new("a").unwrap(),
            boot: super::super::identity::BootUid(1),
            incarnation: 0,
            claim: super::super::claim::Claim::Alive,
            record: None,
            unknown: [].into(),
        };
        let record = super::super::metadata::Record {
            version: 0,
            addr: "127.0.0.1:1".parse().unwrap(),
            metadata: Default::default(),
            versions: super::super::wire::Versions::FIRST,
            unknown: [].into(),
        };
        let slot = table.insert(&update, record.into(), MS);
        timers.add_suspicion(MS * 10, slot);
        timers.set(Timer::Gossip, MS * 10);
        assert_eq!(timers.pop(MS * 9), None);
        assert_eq!(
            timers.pop(MS * 10),
            Some((MS * 10, Due::Timer(Timer::Gossip)))
        );
        assert_eq!(timers.pop(MS * 10), Some((MS * 10, Due::Suspicion(slot))));
        assert_eq!(timers.next(), None);
    }
}
