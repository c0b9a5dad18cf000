//! Singletons in the simulated network, with the default settings for a LAN: never do two members work at the same time, whatever is cut and
//! whoever dies, as long as no process is stopped.
//!
//! `TREEWARDEN_SEED=N` runs one history; `TREEWARDEN_SEEDS=N` says how many are run (default 200).

use std::time::Duration;

use treewarden_cluster::agent::Preset;
use treewarden_cluster::membership::{Config, NodeName, Rng, State};
use treewarden_cluster::singleton::{Machine, SingletonConfig, Verdict, Voter};
use treewarden_tests::sim::truth::differences;
use treewarden_tests::sim::{Fault, Latency, Network, World, WorldConfig, keep_majority};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How often members look at their view.
const TICK: Duration = Duration::from_millis(50);
const NODES: usize = 5;

/// What happens to the member that works, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It dies, and its host says so.
    Killed,
    /// It dies with its host.
    Died,
    /// It and perhaps others are cut off.
    Split,
    /// The same, by a firewall that refuses instead of dropping: each side takes the other for gone.
    Refused,
    /// What it and perhaps others send is lost, or what is sent to them.
    OneWay,
}

const TROUBLES: [Trouble; 5] = [
    Trouble::Killed,
    Trouble::Died,
    Trouble::Split,
    Trouble::Refused,
    Trouble::OneWay,
];

/// A member's part in the singleton, as its shell does it.
struct Part {
    machine: Machine,
    in_touch: bool,
    look_at: Duration,
}

struct History {
    seed: u64,
    world: World,
    parts: Vec<Part>,
    config: SingletonConfig,
    /// Whom each side of a refusing firewall takes for gone.
    refusing: Option<[Vec<usize>; 2]>,
    killed: Option<usize>,
    log: String,
}

impl History {
    fn new(seed: u64) -> Self {
        let config = WorldConfig {
            membership: Config::lan(),
            stable_after: Preset::Lan.stable_after(),
            policy: keep_majority,
            nodes: NODES,
            seeds: 2,
            check_every: 10,
            trace: true,
        };
        let latency = Latency {
            least: MS / 10,
            tail_mean: MS / 5,
        };
        let mut world = World::new(config, Network::new(latency), seed);
        for node in 0..NODES {
            world.schedule(SECOND + MS * 10 * node as u32, Fault::Start(node));
        }
        let config = SingletonConfig::default();
        let part = |_| Part {
            machine: Machine::new(config.clone()),
            in_touch: true,
            look_at: Duration::ZERO,
        };
        Self {
            seed,
            world,
            parts: (0..NODES).map(part).collect(),
            config,
            refusing: None,
            killed: None,
            log: String::new(),
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!(
            "seed {}: {what}\n{}\n{}\nreplay: TREEWARDEN_SEED={} cargo test -p treewarden-tests --test singleton_simulation",
            self.seed, self.world.trace, self.log, self.seed
        )
    }

    fn working(&self) -> Vec<usize> {
        let exists = |node: &usize| self.world.processes[*node].condition.exists();
        let all = (0..NODES).filter(exists);
        all.filter(|node| self.parts[*node].machine.is_working())
            .collect()
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.world.now() + span;
        while self.world.now() < end {
            let next = self.world.now() + TICK;
            if let Err(broken) = self.world.run_until(next) {
                self.fail(&broken.to_string());
            }
            for node in 0..NODES {
                self.tell_who_is_gone(node);
                self.look(node);
            }
            if self.working().len() > 1 {
                self.fail(&format!("{:?} work at the same time", self.working()));
            }
        }
    }

    /// A host that is there refuses connections to a process that is not.
    fn seen_gone_by(&self, node: usize) -> Vec<NodeName> {
        let mut gone: Vec<usize> = self.killed.into_iter().collect();
        if let Some([one, other]) = &self.refusing {
            let there = if one.contains(&node) { other } else { one };
            gone.extend(there);
        }
        let name = |node: usize| self.world.processes[node].name.clone();
        gone.into_iter().map(name).collect()
    }

    /// Whoever suspects such a process finds out.
    fn tell_who_is_gone(&mut self, node: usize) {
        for name in self.seen_gone_by(node) {
            self.world.ask(node, |machine, now| {
                let suspect = machine.member(&name);
                if let Some(suspect) = suspect.filter(|member| member.state == State::Suspect) {
                    machine.handle_refused(now, &suspect.id);
                }
            });
        }
    }

    fn look(&mut self, node: usize) {
        let gone = self.seen_gone_by(node);
        let (contact, part) = (self.config.contact, &mut self.parts[node]);
        let (looks, look_at) = (self.world.now() >= part.look_at, &mut part.look_at);
        let seen = self.world.ask(node, |machine, now| {
            let members: Vec<Voter> = machine
                .members()
                .map(|member| Voter {
                    id: member.id,
                    state: member.state,
                })
                .collect();
            let me = machine.id().clone();
            let is_first = members
                .iter()
                .all(|other| other.state.is_down() || other.id.boot > me.boot);
            let mut older = members
                .iter()
                .filter(|other| !other.state.is_down() && other.id.boot < me.boot);
            if let (Some(host), None) = (older.next(), older.next())
                && machine.is_silent(now, &host.id, contact / 2)
                && gone.contains(&host.id.name)
            {
                machine.handle_refused(now, &host.id);
            }
            let in_touch = (is_first && looks).then(|| {
                *look_at = now + contact / 6;
                machine.is_in_touch(now, contact)
            });
            (me, machine.state(), is_first, in_touch, members)
        });
        let Some((me, state, is_first, in_touch, members)) = seen else {
            return;
        };
        part.in_touch = match is_first {
            true => in_touch.unwrap_or(part.in_touch),
            false => true,
        };
        let now = self.world.now();
        let clock_ms = now.as_millis() as u64;
        let mine = (true, part.in_touch && !members.is_empty());
        let verdict = part
            .machine
            .observe(now, clock_ms, (&me, state), mine, &members);
        if let Some(verdict) = verdict {
            self.log += &format!("{now:?} n{node}: {verdict:?}\n");
        }
        if verdict == Some(Verdict::Stop) {
            part.machine.stopped();
        }
    }

    /// Runs on until everybody sees the same and one works.
    fn run_until_whole(&mut self, when: &str) -> usize {
        for _ in 0..90 {
            self.run_for(SECOND);
            if let ([host], true) = (
                &self.working()[..],
                differences(&self.world.processes).is_empty(),
            ) {
                return *host;
            }
        }
        let found = differences(&self.world.processes).join("\n");
        self.fail(&format!("{when}: {:?} work\n{found}", self.working()))
    }

    fn commit(&mut self, trouble: Trouble, host: usize, rng: &mut Rng) {
        let mut others: Vec<usize> = (0..NODES).filter(|node| *node != host).collect();
        rng.shuffle(&mut others);
        let there = others.split_off(rng.below(NODES - 1));
        let mut here = others;
        here.push(host);
        match trouble {
            Trouble::Killed | Trouble::Died => {
                self.world.commit(Fault::Crash(host));
                self.killed = (trouble == Trouble::Killed).then_some(host);
            }
            Trouble::Split => self.world.commit(Fault::split(&here, &there)),
            Trouble::Refused => {
                self.world.commit(Fault::split(&here, &there));
                self.refusing = Some([here, there]);
            }
            Trouble::OneWay if rng.chance(0.5) => self.world.commit(Fault::one_way(&here, &there)),
            Trouble::OneWay => self.world.commit(Fault::one_way(&there, &here)),
        }
    }

    fn heal(&mut self) {
        self.world.commit(Fault::Heal);
        (self.killed, self.refusing) = (None, None);
        for node in 0..NODES {
            if !self.world.processes[node].condition.exists() {
                self.parts[node].machine = Machine::new(self.config.clone());
                self.world.commit(Fault::Start(node));
            }
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} has to be a number, not {text:?}")))
}

#[test]
fn no_two_members_work_at_the_same_time_whatever_is_cut_and_whoever_dies() {
    let (first, count) = match number("TREEWARDEN_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("TREEWARDEN_SEEDS").unwrap_or(200)),
    };
    for seed in first..first + count {
        let mut rng = Rng::new(seed ^ 0x51e6_1e70);
        let mut history = History::new(seed);
        let host = history.run_until_whole("at the start");
        let trouble = TROUBLES[seed as usize % TROUBLES.len()];
        history.commit(trouble, host, &mut rng);
        // From a moment to long after the other side has taken over.
        history.run_for(rng.duration_below(SECOND * 40));
        history.heal();
        history.run_until_whole("after the heal");
    }
}

/// How long it takes in a hundred histories, the shortest first.
fn times_until_begun_elsewhere(trouble: Trouble) -> Vec<Duration> {
    let mut times = Vec::new();
    for seed in 0..100 {
        let mut history = History::new(seed);
        let host = history.run_until_whole("at the start");
        history.run_for(TICK * (seed as u32 % 40));
        history.world.commit(Fault::Crash(host));
        history.killed = (trouble == Trouble::Killed).then_some(host);
        let killed_at = history.world.now();
        while history.working().is_empty() {
            history.run_for(TICK);
            if history.world.now() - killed_at > SECOND * 60 {
                history.fail("nobody works");
            }
        }
        times.push(history.world.now() - killed_at);
    }
    times.sort();
    println!(
        "{trouble:?}: after {:?} (median), {:?} (slowest)",
        times[50], times[99]
    );
    times
}

#[test]
fn the_work_of_a_process_that_is_known_to_be_gone_is_begun_elsewhere_within_five_seconds() {
    let times = times_until_begun_elsewhere(Trouble::Killed);
    assert!(times[99] < SECOND * 5, "{:?}", times[99]);
}

#[test]
fn the_work_of_a_process_that_died_with_its_host_is_begun_elsewhere_within_a_quarter_minute() {
    let times = times_until_begun_elsewhere(Trouble::Died);
    assert!(times[99] < SECOND * 15, "{:?}", times[99]);
}
