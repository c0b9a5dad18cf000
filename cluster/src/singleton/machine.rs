//! Who does the work of a singleton, decided from one member's view. Pure: `now` comes in.
//!
//! Order of calls: [`Machine::observe`] whenever the view has changed and at [`Machine::poll_timeout`]; do what it says; [`Machine::stopped`] when the work
//! has been stopped.

use std::collections::HashMap;
use std::time::Duration;

use crate::membership::{DownReason, NodeId, State};

/// How a singleton is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingletonConfig {
    /// Only members with this role do the work; `None`: all.
    pub role: Option<String>,
    /// How long after an older member was declared down the next one waits before it begins, so that the old one has stopped. Not waited for when the
    /// old one has left in order, because then it has stopped before.
    pub margin: Duration,
    /// How long a member waits after it has joined, or is in touch with the others again, so that it has heard of all older ones.
    pub settling: Duration,
    /// For how long a member goes on that is not in touch with more than half of the others (see
    /// [`is_in_touch`](crate::membership::Machine::is_in_touch)), or that did not run. Shorter than the margin by the time that the work takes
    /// to stop: then it has stopped before anybody else begins.
    pub contact: Duration,
}

impl SingletonConfig {
    /// For any member, with this margin; settles for as long, and goes on without contact for three quarters of it.
    #[must_use]
    pub fn new(margin: Duration) -> Self {
        Self {
            role: None,
            margin,
            settling: margin,
            contact: margin * 3 / 4,
        }
    }

    /// Only members with this role do the work.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }
}

impl Default for SingletonConfig {
    /// For any member, with a margin of 2 s, which fits the timing of a LAN.
    fn default() -> Self {
        Self::new(Duration::from_secs(2))
    }
}

/// A member with the role, as this machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Which process.
    pub id: NodeId,
    /// What is believed of it.
    pub state: State,
}

/// One time in office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Greater than that of every earlier term, as far as the clocks of the members agree.
    pub epoch: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Begin the work.
    Begin(Term),
    /// Stop the work, as fast as it can be stopped, and say so with [`Machine::stopped`].
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Working,
    Stopping,
}

/// One member's part in one singleton.
#[derive(Debug)]
pub struct Machine {
    config: SingletonConfig,
    phase: Phase,
    /// Since when this boot can hear of others.
    joined_at: Option<Duration>,
    me: Option<NodeId>,
    is_leaving: bool,
    /// Older members that were declared down, and when this one heard of it.
    fell_at: HashMap<NodeId, Duration>,
    last_epoch: u64,
    wake_at: Option<Duration>,
}

impl Machine {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(config: SingletonConfig) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            joined_at: None,
            me: None,
            is_leaving: false,
            fell_at: HashMap::new(),
            last_epoch: 0,
            wake_at: None,
        }
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &SingletonConfig {
        &self.config
    }

    /// Whether the work is being done here.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.phase == Phase::Working
    }

    /// This member is about to leave: it gives the work up, and does not begin it again.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// The work has been stopped.
    pub fn stopped(&mut self) {
        if self.phase == Phase::Stopping {
            self.phase = Phase::Idle;
        }
    }

    /// When to [`observe`](Self::observe) again though nothing has changed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.wake_at
    }

    /// Looks at the view. `me` and `my_state` are this member, `has_role` whether it has the role, `in_touch` whether it has joined the cluster (or
    /// founds it) and has not lost touch with it since; `others` are the other members with the role, those that are down included as long as they
    /// are remembered. `clock_ms` is the wall clock in milliseconds, for the epoch.
    pub fn observe(
        &mut self,
        now: Duration,
        clock_ms: u64,
        (me, my_state): (&NodeId, State),
        (has_role, in_touch): (bool, bool),
        others: &[Voter],
    ) -> Option<Verdict> {
        self.note_boot(now, me, in_touch);
        self.note_fallen(now, me, others);
        self.wake_at = None;
        let may_work = my_state == State::Alive && has_role && !self.is_leaving;
        let is_eldest = others
            .iter()
            .filter(|other| !other.state.is_down())
            .all(|other| age(&other.id) > age(me));
        match self.phase {
            Phase::Working if may_work && is_eldest && in_touch => None,
            Phase::Working => {
                self.phase = Phase::Stopping;
                Some(Verdict::Stop)
            }
            Phase::Idle if may_work && is_eldest => self.begin_when_safe(now, clock_ms),
            Phase::Idle | Phase::Stopping => None,
        }
    }

    fn note_boot(&mut self, now: Duration, me: &NodeId, in_touch: bool) {
        if self.me.as_ref() != Some(me) {
            // Another boot knows nothing yet.
            self.me = Some(me.clone());
            self.joined_at = None;
        }
        match in_touch {
            true => drop(self.joined_at.get_or_insert(now)),
            // Meanwhile it may have been declared down, and another have begun.
            false => self.joined_at = None,
        }
    }

    /// Remembers when this member heard that an older one is down. One that left in order has stopped before.
    fn note_fallen(&mut self, now: Duration, me: &NodeId, others: &[Voter]) {
        for other in others {
            let may_work_on = match other.state {
                State::Down(DownReason::Left) => false,
                State::Down(_) => age(&other.id) < age(me),
                _ => false,
            };
            if may_work_on {
                self.fell_at.entry(other.id.clone()).or_insert(now);
            }
        }
        let margin = self.config.margin;
        let is_remembered = |id: &NodeId| others.iter().any(|other| other.id == *id);
        self.fell_at
            .retain(|id, fell_at| *fell_at + margin > now || is_remembered(id));
    }

    fn begin_when_safe(&mut self, now: Duration, clock_ms: u64) -> Option<Verdict> {
        let settled_at = self.joined_at? + self.config.settling;
        let stopped_at = self.fell_at.values().map(|at| *at + self.config.margin);
        let safe_at = stopped_at.fold(settled_at, Duration::max);
        if safe_at > now {
            self.wake_at = Some(safe_at);
            return None;
        }
        self.phase = Phase::Working;
        self.last_epoch = clock_ms.max(self.last_epoch + 1);
        Some(Verdict::Begin(Term {
            epoch: self.last_epoch,
        }))
    }
}

/// By age: a smaller boot is an older process.
fn age(id: &NodeId) -> (u64, &str) {
    (id.boot.0, id.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{BootUid, NodeName};

    const S: Duration = Duration::from_secs(1);
    const MARGIN: Duration = Duration::from_secs(3);

    fn id(boot: u64) -> NodeId {
        NodeId {
            name: NodeName::new(&format!("n{boot}")).unwrap(),
            boot: BootUid(boot),
        }
    }

    /// Member 5, and what it sees of others.
    struct Member(Machine);

    impl Member {
        fn new() -> Self {
            Self(Machine::new(SingletonConfig::new(MARGIN)))
        }

        fn sees(&mut self, at_s: u32, others: &[(u64, State)]) -> Option<Verdict> {
            self.is(at_s, State::Alive, others)
        }

        fn is(&mut self, at_s: u32, my_state: State, others: &[(u64, State)]) -> Option<Verdict> {
            let others: Vec<_> = others
                .iter()
                .map(|(boot, state)| Voter {
                    id: id(*boot),
                    state: *state,
                })
                .collect();
            let me = (&id(5), my_state);
            self.0
                .observe(S * at_s, u64::from(at_s) * 1000, me, (true, true), &others)
        }
    }

    const ALIVE: State = State::Alive;
    const LOST: State = State::Unreachable;
    const DOWN: State = State::Down(DownReason::Policy);
    const LEFT: State = State::Down(DownReason::Left);

    fn begin(epoch: u64) -> Option<Verdict> {
        Some(Verdict::Begin(Term { epoch }))
    }

    #[test]
    fn the_oldest_works_when_it_has_heard_of_all_others() {
        let mut member = Member::new();
        assert_eq!(member.sees(0, &[]), None);
        assert_eq!(member.0.poll_timeout(), Some(MARGIN));
        assert_eq!(member.sees(2, &[(7, ALIVE)]), None);
        assert_eq!(member.sees(3, &[(7, ALIVE)]), begin(3000));
        assert_eq!(member.sees(4, &[(7, ALIVE), (8, ALIVE)]), None, "once");
    }

    #[test]
    fn an_unreachable_elder_is_waited_for_and_one_that_is_down_for_the_margin() {
        let mut member = Member::new();
        assert_eq!(member.sees(0, &[(1, ALIVE)]), None);
        assert_eq!(member.sees(10, &[(1, LOST)]), None);
        assert_eq!(member.sees(1000, &[(1, LOST)]), None, "however long");
        assert_eq!(member.sees(1001, &[(1, DOWN)]), None);
        assert_eq!(member.0.poll_timeout(), Some(S * 1001 + MARGIN));
        assert_eq!(member.sees(1003, &[(1, DOWN)]), None);
        assert_eq!(member.sees(1004, &[(1, DOWN)]), begin(1_004_000));
    }

    #[test]
    fn the_margin_counts_from_the_last_that_fell() {
        let mut member = Member::new();
        member.sees(0, &[(1, ALIVE), (2, ALIVE)]);
        member.sees(10, &[(1, DOWN), (2, ALIVE)]);
        member.sees(20, &[(1, DOWN), (2, DOWN)]);
        assert_eq!(member.sees(22, &[(1, DOWN), (2, DOWN)]), None);
        // That the first is forgotten meanwhile changes nothing.
        assert_eq!(member.sees(23, &[(2, DOWN)]), begin(23_000));
    }

    #[test]
    fn an_elder_that_left_in_order_has_stopped_before() {
        let mut member = Member::new();
        member.sees(0, &[(1, ALIVE)]);
        assert_eq!(member.sees(10, &[(1, LEFT)]), begin(10_000));
    }

    #[test]
    fn who_is_down_leaves_or_finds_an_elder_stops_and_begins_again_only_when_it_has_stopped() {
        for end in ["down", "leave", "elder"] {
            let mut member = Member::new();
            member.sees(0, &[]);
            assert_eq!(member.sees(3, &[]), begin(3000));
            let verdict = match end {
                "down" => member.is(4, DOWN, &[]),
                "leave" => {
                    member.0.leave();
                    member.sees(4, &[])
                }
                _ => member.sees(4, &[(1, ALIVE)]),
            };
            assert_eq!(verdict, Some(Verdict::Stop), "{end}");
            assert_eq!(member.sees(5, &[(1, LEFT)]), None, "it has not stopped");
            member.0.stopped();
            let again = member.sees(6, &[(1, LEFT)]);
            assert_eq!(
                again,
                if end == "leave" { None } else { begin(6000) },
                "{end}"
            );
        }
    }

    #[test]
    fn who_loses_touch_stops_at_once_and_settles_before_it_begins_again() {
        let mut member = Member::new();
        member.sees(0, &[]);
        assert_eq!(member.sees(3, &[(7, ALIVE)]), begin(3000));
        let others = [Voter {
            id: id(7),
            state: ALIVE,
        }];
        let mut touches = |at_s: u32, in_touch| {
            let clock_ms = u64::from(at_s) * 1000;
            let me = (&id(5), ALIVE);
            let verdict = member
                .0
                .observe(S * at_s, clock_ms, me, (true, in_touch), &others);
            member.0.stopped();
            verdict
        };
        assert_eq!(touches(4, false), Some(Verdict::Stop));
        assert_eq!(touches(5, true), None);
        assert_eq!(touches(7, true), None);
        assert_eq!(touches(8, true), begin(8000));
    }

    #[test]
    fn another_boot_settles_anew_and_epochs_rise_even_if_the_clock_does_not() {
        let mut member = Member::new();
        member.sees(0, &[]);
        assert_eq!(member.sees(3, &[]), begin(3000));
        member.is(4, DOWN, &[]);
        member.0.stopped();
        let reborn = (&id(9), ALIVE);
        let observe =
            |machine: &mut Machine, at_s| machine.observe(S * at_s, 0, reborn, (true, true), &[]);
        assert_eq!(observe(&mut member.0, 5), None);
        assert_eq!(observe(&mut member.0, 8), begin(3001));
    }
}
