//! Cases about many children: `scale_start_stop_many_children`, `scale_mass_exit_children`.
//!
//! OTP's suite measures time; here the children that the machine looks at are counted, which does not depend on the
//! computer.

use std::borrow::Cow;
use std::time::Duration;

use treewarden_runtime::host::Life;
use treewarden_runtime::{ExitReason, System};
use treewarden_supervisor::machine::script::Outcome;
use treewarden_supervisor::machine::{
    ChildKey, ChildSpec, Command, Event, Flags, Intensity, Machine, Strategy,
};
use treewarden_supervisor::{Child, ChildKind, ChildPlace, Supervisor};

const NOW: Duration = Duration::ZERO;
const MANY: usize = 100_000;

type Counting = Machine<(), Outcome>;

/// Lets children obey at once, and counts the commands.
fn obey(machine: &mut Counting, running: &mut Vec<(ChildKey, u64)>) -> u64 {
    let mut commands = 0;
    while let Some(command) = machine.poll_command() {
        commands += 1;
        let event = match command {
            Command::Start { child, generation } => {
                running.push((child, generation));
                Event::Started { child, generation }
            }
            Command::Stop { child, generation } => Event::Exited {
                child,
                generation,
                reason: Outcome::Shutdown,
            },
            _ => continue,
        };
        machine.handle(event, NOW);
    }
    commands
}

fn start(strategy: Strategy, children: usize) -> (Counting, Vec<(ChildKey, u64)>) {
    let intensity = Intensity {
        limit: u32::MAX,
        ..Intensity::default()
    };
    let mut machine = Counting::new(
        Flags {
            intensity,
            ..Flags::new(strategy)
        },
        0,
    );
    for number in 0..children {
        machine
            .add(ChildSpec::worker(format!("child{number}")), ())
            .expect("the ids differ");
    }
    let mut running = Vec::new();
    machine.handle(Event::Begin, NOW);
    obey(&mut machine, &mut running);
    assert_eq!(running.len(), children);
    (machine, running)
}

/// How many children are looked at, and how many commands given, for each child.
fn cost_of(
    strategy: Strategy,
    children: usize,
    act: impl FnOnce(&mut Counting, Vec<(ChildKey, u64)>) -> u64,
) -> (f64, f64) {
    let (mut machine, running) = start(strategy, children);
    let before = machine.children_visited();
    let commands = act(&mut machine, running);
    let each = |total: u64| total as f64 / children as f64;
    (each(machine.children_visited() - before), each(commands))
}

fn mass_exit(machine: &mut Counting, running: Vec<(ChildKey, u64)>) -> u64 {
    for (child, generation) in running {
        machine.handle(
            Event::Exited {
                child,
                generation,
                reason: Outcome::Error,
            },
            NOW,
        );
    }
    let mut restarted = Vec::new();
    obey(machine, &mut restarted)
}

fn stop(machine: &mut Counting, _running: Vec<(ChildKey, u64)>) -> u64 {
    machine.handle(Event::Shutdown, NOW);
    let commands = obey(machine, &mut Vec::new());
    assert!(machine.has_ended());
    commands
}

#[test]
fn scale_start_stop_many_children() {
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
        Strategy::Dynamic,
    ] {
        let (few, many) = (
            cost_of(strategy, MANY / 5, stop),
            cost_of(strategy, MANY, stop),
        );
        assert!(
            many.0 <= few.0 * 1.01 && many.1 <= few.1 * 1.01,
            "{strategy:?}: {few:?} each, then {many:?}"
        );
        assert!(many.0 < 10.0, "{strategy:?}: {many:?} each");
    }
}

#[test]
fn scale_mass_exit_children() {
    for strategy in [Strategy::OneForOne, Strategy::Dynamic] {
        let (few, many) = (
            cost_of(strategy, MANY / 5, mass_exit),
            cost_of(strategy, MANY, mass_exit),
        );
        assert!(
            many.0 <= few.0 * 1.01 && many.1 <= few.1 * 1.01,
            "{strategy:?}: {few:?} each, then {many:?}"
        );
        assert!(many.0 < 20.0, "{strategy:?}: {many:?} each");
    }
}

/// A group restart looks at its group a fixed number of times, and not at the rest.
#[test]
fn the_cost_of_a_group_restart_is_that_of_the_group() {
    let restart_tail = |machine: &mut Counting, running: Vec<(ChildKey, u64)>| {
        let (child, generation) = running[running.len() - 10];
        machine.handle(
            Event::Exited {
                child,
                generation,
                reason: Outcome::Error,
            },
            NOW,
        );
        obey(machine, &mut Vec::new())
    };
    let (visits, _) = cost_of(Strategy::RestForOne, MANY, restart_tail);
    assert!(
        visits * MANY as f64 <= 10.0 * 20.0,
        "{} visits",
        visits * MANY as f64
    );
}

/// A child that does as it is told, without a task.
struct Light(ChildPlace, u64);

impl ChildKind for Light {
    fn kind(&self) -> Cow<'static, str> {
        "light".into()
    }

    fn start(&mut self, incarnation: u64) {
        self.1 = incarnation;
        self.0.observer().on_life(Life::Started { incarnation });
    }

    fn stop(&mut self) {
        let reason = ExitReason::Shutdown;
        self.0.observer().on_life(Life::Exited {
            incarnation: self.1,
            reason,
            suspect: None,
        });
    }

    fn kill(&mut self) {
        self.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn scale_start_stop_many_children_for_real() {
    let children = (0..MANY).map(|number| {
        Child::custom(format!("child{number}"), |place| {
            Ok(Box::new(Light(place, 0)))
        })
    });
    let supervisor = Supervisor::one_for_one("app").children(children);
    let tree = supervisor
        .start(&System::new("test"))
        .await
        .expect("the tree starts");
    assert_eq!(tree.count_children().await.expect("it runs").active, MANY);
    assert!(tree.shutdown().await.is_clean());
}
