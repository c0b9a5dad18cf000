//! What holds whatever happens: the machine in a world that answers late, out of order, never, or twice.
//!
//! `TREEWARDEN_SEED=N` begins with another seed, `TREEWARDEN_WORLDS=N` runs more of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use treewarden_supervisor::machine::script::Outcome;
use treewarden_supervisor::machine::{
    AutoShutdown, Backoff, CallId, ChildKey, ChildSpec, Command, Event, Flags, Intensity, Machine,
    Report, Request, Restart, Shutdown, Strategy, Target, Timer,
};

type Happening = Event<(), Outcome>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn remove<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        (!from.is_empty()).then(|| from.swap_remove(self.below(from.len() as u64) as usize))
    }
}

/// What an observer of the commands knows of a child.
#[derive(Default)]
struct Seen {
    generation: u64,
    is_live: bool,
    is_told_to_end: bool,
}

struct World {
    random: Random,
    machine: Machine<(), Outcome>,
    flags: Flags,
    now: Duration,
    children: HashMap<ChildKey, Seen>,
    removed: HashSet<ChildKey>,
    /// Answers of children that are under way.
    under_way: Vec<Happening>,
    /// Everything that has been said before, to be said again when it is out of date.
    said: Vec<Happening>,
    timers: BTreeMap<(Duration, u64), Timer>,
    old_timers: Vec<Timer>,
    restarts: Vec<Duration>,
    calls: HashSet<u64>,
    calls_made: u64,
    was_killed: bool,
    has_ended: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        let flags = Flags {
            intensity: Intensity {
                limit: random.below(6) as u32,
                period: Duration::from_millis(random.below(5000)),
                ..Intensity::default()
            },
            auto_shutdown: random.pick(&[
                AutoShutdown::Never,
                AutoShutdown::AnySignificant,
                AutoShutdown::AllSignificant,
            ]),
            hung_after: random.pick(&[None, Some(Duration::from_millis(50))]),
            max_children: random.pick(&[None, Some(8)]),
            ..Flags::new(random.pick(&[
                Strategy::OneForOne,
                Strategy::OneForAll,
                Strategy::RestForOne,
                Strategy::Dynamic,
            ]))
        };
        let mut world = World {
            machine: Machine::new(flags.clone(), seed),
            random,
            flags,
            now: Duration::from_secs(1),
            children: HashMap::new(),
            removed: HashSet::new(),
            under_way: Vec::new(),
            said: Vec::new(),
            timers: BTreeMap::new(),
            old_timers: Vec::new(),
            restarts: Vec::new(),
            calls: HashSet::new(),
            calls_made: 0,
            was_killed: false,
            has_ended: false,
        };
        for number in 0..world.random.below(7) {
            let spec = world.spec(number);
            // A combination that is refused leaves the machine as it was.
            let _ = world.machine.add(spec, ());
        }
        world
    }

    fn spec(&mut self, number: u64) -> ChildSpec {
        let random = &mut self.random;
        let ms = Duration::from_millis;
        let restart = random.pick(&[
            Restart::Permanent,
            Restart::Permanent,
            Restart::Transient,
            Restart::Temporary,
        ]);
        ChildSpec {
            restart,
            shutdown: random.pick(&[
                Shutdown::BrutalKill,
                Shutdown::Timeout(ms(20)),
                Shutdown::Timeout(ms(90)),
            ]),
            significant: random.one_in(3),
            start_timeout: Some(ms(200)),
            backoff: random.pick(&[
                None,
                None,
                Some(Arc::new(Backoff::exponential(ms(10), ms(300)).jitter(0.5))),
                Some(Arc::new(Backoff::constant(ms(40)).max_consecutive(3))),
            ]),
            ..ChildSpec::worker(format!("child{number}"))
        }
    }

    fn step(&mut self) {
        let event = match self.random.below(20) {
            0..=8 => self.random.remove(&mut self.under_way),
            9..=11 => self.spontaneous_exit(),
            12 => self.stale(),
            13..=15 => self.call(),
            _ => None,
        };
        match event {
            Some(event) => self.tell(event),
            None => self.pass(),
        }
    }

    /// A child that runs ends by itself.
    fn spontaneous_exit(&mut self) -> Option<Happening> {
        let mut live: Vec<_> = self
            .children
            .iter()
            .filter(|(_, seen)| seen.is_live)
            .map(|(key, _)| *key)
            .collect();
        live.sort_unstable();
        let child = self.random.remove(&mut live)?;
        let generation = self.children[&child].generation;
        // It will not say anything else.
        self.under_way
            .retain(|event| incarnation(event) != Some((child, generation)));
        Some(Event::Exited {
            child,
            generation,
            reason: self.random.pick(&Outcome::ALL),
        })
    }

    /// Something that was true once.
    fn stale(&mut self) -> Option<Happening> {
        if self.random.one_in(2) && !self.old_timers.is_empty() {
            return Some(Event::TimerFired {
                timer: self.random.pick(&self.old_timers),
            });
        }
        let is_stale = |event: &&Happening| {
            let Some((child, generation)) = incarnation(event) else {
                return false;
            };
            self.children
                .get(&child)
                .is_none_or(|seen| seen.generation > generation || !seen.is_live)
        };
        let stale: Vec<_> = self.said.iter().filter(is_stale).cloned().collect();
        (!stale.is_empty()).then(|| self.random.pick(&stale))
    }

    fn call(&mut self) -> Option<Happening> {
        self.calls_made += 1;
        let call = CallId(self.calls_made);
        let number = self.random.below(9);
        let mut keys: Vec<_> = self.children.keys().copied().collect();
        keys.sort_unstable();
        let target = match self.flags.strategy {
            Strategy::Dynamic if !keys.is_empty() => Target::Key(self.random.pick(&keys)),
            _ => Target::Id(format!("child{number}").into()),
        };
        let request = match self.random.below(6) {
            0 | 1 => Request::StartChild {
                spec: Box::new(self.spec(number)),
                handle: (),
            },
            2 => Request::TerminateChild(target),
            3 => Request::RestartChild(target),
            4 => Request::DeleteChild(target),
            _ => self
                .random
                .pick(&[Request::WhichChildren, Request::CountChildren]),
        };
        self.calls.insert(call.0);
        Some(Event::Call { call, request })
    }

    fn pass(&mut self) {
        match self.timers.pop_first() {
            Some(((at, _), timer)) => {
                self.now = self.now.max(at);
                self.old_timers.push(timer);
                self.tell(Event::TimerFired { timer });
            }
            None => self.now += Duration::from_millis(self.random.below(400)),
        }
    }

    fn tell(&mut self, event: Happening) {
        if let Event::Exited {
            child, generation, ..
        }
        | Event::StartFailed {
            child, generation, ..
        } = &event
            && let Some(seen) = self.children.get_mut(child)
            && seen.generation == *generation
        {
            seen.is_live = false;
        }
        if let Event::Ignored { child, generation } = &event
            && let Some(seen) = self.children.get_mut(child)
            && seen.generation == *generation
        {
            seen.is_live = false;
        }
        self.was_killed |= matches!(event, Event::Kill);
        if incarnation(&event).is_some() {
            self.said.push(event.clone());
        }
        self.machine.handle(event, self.now);
        while let Some(command) = self.machine.poll_command() {
            assert!(!self.has_ended, "nothing follows the end: {command:?}");
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command<(), Outcome>) {
        match command {
            Command::Start { child, generation } => {
                assert!(
                    !self.removed.contains(&child),
                    "a removed child is not started"
                );
                let seen = self.children.entry(child).or_default();
                assert!(!seen.is_live, "no child is started twice");
                assert_eq!(
                    generation,
                    seen.generation + 1,
                    "generations follow one another"
                );
                *seen = Seen {
                    generation,
                    is_live: true,
                    is_told_to_end: false,
                };
                let reason = Outcome::Error;
                match self.random.below(10) {
                    0 => self.under_way.push(Event::StartFailed {
                        child,
                        generation,
                        reason,
                    }),
                    1 => self.under_way.push(Event::Ignored { child, generation }),
                    // It hangs, and its deadline will end it.
                    2 => {}
                    _ => self.under_way.push(Event::Started { child, generation }),
                }
            }
            Command::Stop { child, generation } => {
                self.told_to_end(child, generation);
                if !self.random.one_in(4) {
                    let reason =
                        self.random
                            .pick(&[Outcome::Shutdown, Outcome::Shutdown, Outcome::Panic]);
                    self.answer_end(child, generation, reason);
                }
            }
            Command::Kill { child, generation } => {
                self.told_to_end(child, generation);
                self.answer_end(child, generation, Outcome::Killed);
            }
            Command::SetTimer { timer } => {
                self.timers.insert((timer.at, timer.sequence), timer);
            }
            Command::CancelTimer { timer } => {
                self.timers.remove(&(timer.at, timer.sequence));
                self.old_timers.push(timer);
            }
            Command::Remove { child, .. } => {
                assert!(
                    self.children.get(&child).is_none_or(|seen| !seen.is_live),
                    "no child is removed while it runs"
                );
                self.removed.insert(child);
            }
            Command::Reply { call, .. } => {
                assert!(self.calls.remove(&call.0), "a call is answered once")
            }
            Command::Report {
                report: Report::Restarting { .. },
                ..
            } => self.note_restart(),
            Command::Exit(_) => {
                assert!(
                    self.children.values().all(|seen| !seen.is_live),
                    "no child outlives its supervisor"
                );
                self.has_ended = true;
            }
            Command::Mark { .. }
            | Command::DiscardQueue { .. }
            | Command::Ready
            | Command::Report { .. } => {}
        }
    }

    fn told_to_end(&mut self, child: ChildKey, generation: u64) {
        let in_order = self.flags.strategy != Strategy::Dynamic && !self.was_killed;
        let seen = &self.children[&child];
        assert!(
            seen.is_live && seen.generation == generation,
            "only what lives is told to end"
        );
        if in_order {
            let ending = |(key, seen): (&ChildKey, &Seen)| {
                *key != child && seen.is_live && seen.is_told_to_end
            };
            assert!(
                !self.children.iter().any(ending),
                "one child is stopped at a time"
            );
        }
        if let Some(seen) = self.children.get_mut(&child) {
            seen.is_told_to_end = true;
        }
    }

    fn answer_end(&mut self, child: ChildKey, generation: u64, reason: Outcome) {
        // It may still say that it has started, before; or not.
        if self.random.one_in(2) {
            self.under_way
                .retain(|event| incarnation(event) != Some((child, generation)));
        } else {
            self.under_way.retain(|event| {
                incarnation(event) != Some((child, generation))
                    || matches!(event, Event::Started { .. })
            });
        }
        self.under_way.push(Event::Exited {
            child,
            generation,
            reason,
        });
    }

    fn note_restart(&mut self) {
        let Intensity { limit, period, .. } = self.flags.intensity;
        self.restarts.push(self.now);
        let window = self.now.saturating_sub(period);
        let recent = self.restarts.iter().filter(|at| **at >= window).count();
        assert!(
            recent <= limit as usize,
            "{recent} restarts within {period:?}, limit {limit}"
        );
    }

    /// Lets everything come to its end.
    fn end(&mut self) {
        if !self.has_ended {
            let kill = self.random.one_in(4);
            self.tell(if kill { Event::Kill } else { Event::Shutdown });
        }
        let mut patience = 10_000;
        while !self.has_ended {
            patience -= 1;
            assert!(patience > 0, "the end comes");
            match self.random.remove(&mut self.under_way) {
                Some(event) => self.tell(event),
                None => self.pass(),
            }
        }
        assert_eq!(self.calls.len(), 0, "all calls are answered");
        self.calls_made += 1;
        self.calls.insert(self.calls_made);
        self.has_ended = false;
        self.tell(Event::Call {
            call: CallId(self.calls_made),
            request: Request::CountChildren,
        });
        assert_eq!(self.calls.len(), 0, "also those that come too late");
    }
}

fn incarnation(event: &Happening) -> Option<(ChildKey, u64)> {
    match event {
        Event::Started { child, generation }
        | Event::Ignored { child, generation }
        | Event::StartFailed {
            child, generation, ..
        }
        | Event::Exited {
            child, generation, ..
        } => Some((*child, *generation)),
        _ => None,
    }
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[test]
fn whatever_happens() {
    let worlds = number_from_environment("TREEWARDEN_WORLDS", 3000);
    let first = number_from_environment("TREEWARDEN_SEED", 1);
    for seed in first..first.saturating_add(worlds) {
        let ran = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.tell(Event::Begin);
            let steps = world.random.below(200);
            for _ in 0..steps {
                if world.has_ended {
                    break;
                }
                world.step();
            }
            world.end();
        });
        if let Err(panic) = ran {
            println!("TREEWARDEN_SEED={seed} TREEWARDEN_WORLDS=1");
            std::panic::resume_unwind(panic);
        }
    }
}
