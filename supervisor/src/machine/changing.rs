//! Other settings and other specifications at run time, without touching what runs (OTP: `supervisor:code_change/3`).
//!
//! A child whose id is in the new list gets the new specification, which counts from its next end on; one that is new is added without an
//! instance; one that is not in the list stays as it is. The start order is that of the list, with those that are not in it behind, in
//! their old order. (OTP turns the order of those around; that looks like an oversight, and is not copied.)

use std::sync::Arc;

use super::{ChildKey, ChildSpec, Flags, Machine, Reason, SpecError, Strategy};

/// What a change found, and what is left to do for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Children that have a new specification now.
    pub changed: Vec<Arc<str>>,
    /// Ids of the list that no child has yet: to be [added](Machine::add), and then put in their place by
    /// [`Machine::reorder`].
    pub missing: Vec<Arc<str>>,
    /// Children that are not in the list, and stay as they were.
    pub kept: Vec<Arc<str>>,
}

impl<H, R: Reason> Machine<H, R> {
    /// Gives the supervisor other settings, and its children other specifications. To be called while it [is idle](Machine::is_idle): a
    /// restart that is under way is finished by the rules that it began with.
    ///
    /// The log of restarts is kept, and measured by the new limit from the next restart on.
    ///
    /// # Errors
    ///
    /// What is wrong with the list; nothing was changed.
    pub fn change(&mut self, flags: Flags, specs: &[ChildSpec]) -> Result<Changed, SpecError> {
        let is_dynamic = |flags: &Flags| flags.strategy == Strategy::Dynamic;
        if is_dynamic(&flags) != is_dynamic(&self.flags) {
            return Err(SpecError::DynamicForEver);
        }
        for (index, spec) in specs.iter().enumerate() {
            spec.check(flags.auto_shutdown)?;
            if specs[..index].iter().any(|earlier| earlier.id == spec.id) {
                return Err(SpecError::DuplicateId {
                    id: spec.id.clone(),
                });
            }
        }
        // Those that stay as they are have to fit the new settings as well.
        let listed = |id: &Arc<str>| specs.iter().any(|spec| spec.id == *id);
        let kept: Vec<_> = self
            .children
            .iter_in_start_order()
            .map(|(_, child)| &child.spec)
            .filter(|spec| !listed(&spec.id))
            .cloned()
            .collect();
        for spec in &kept {
            spec.check(flags.auto_shutdown)?;
        }

        let mut outcome = Changed {
            kept: kept.into_iter().map(|spec| spec.id).collect(),
            ..Changed::default()
        };
        self.restart_log.set_intensity(flags.intensity);
        self.flags = flags;
        for spec in specs {
            match self.children.by_id(&spec.id) {
                Some(key) => {
                    self.children.set_spec(key, spec.clone());
                    outcome.changed.push(spec.id.clone());
                }
                None => outcome.missing.push(spec.id.clone()),
            }
        }
        Ok(outcome)
    }

    /// Puts the children in this start order; those that are not named follow in their old order.
    pub fn reorder(&mut self, order: &[ChildKey]) {
        self.children.reorder(order);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::{
        AutoShutdown, Command, Event, ExitClass, Intensity, Restart, Shutdown, Status,
    };

    impl Reason for &'static str {
        fn class(&self) -> ExitClass {
            match *self {
                "normal" => ExitClass::Normal,
                _ => ExitClass::Failure,
            }
        }
    }

    type TestMachine = Machine<(), &'static str>;

    /// A supervisor whose children run.
    fn running(ids: &[&str]) -> TestMachine {
        let mut machine = TestMachine::new(Flags::new(Strategy::OneForOne), 0);
        for id in ids {
            machine.add(ChildSpec::worker(*id), ()).unwrap();
        }
        machine.handle(Event::Begin, Duration::ZERO);
        while let Some(command) = machine.poll_command() {
            if let Command::Start { child, generation } = command {
                machine.handle(Event::Started { child, generation }, Duration::ZERO);
            }
        }
        machine
    }

    fn ids(machine: &TestMachine) -> String {
        let ids = machine.children_in_start_order();
        ids.map(|(_, child)| &*child.spec.id)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What the machine wants done when this child ends normally.
    fn starts_again(machine: &mut TestMachine, id: &str) -> bool {
        let child = machine.child_by_id(id).unwrap();
        let generation = machine.child(child).unwrap().generation();
        let ended = Event::Exited {
            child,
            generation,
            reason: "normal",
        };
        machine.handle(ended, Duration::from_secs(1));
        let mut starts = false;
        while let Some(command) = machine.poll_command() {
            starts |= matches!(command, Command::Start { .. });
        }
        starts
    }

    #[test]
    fn a_new_specification_counts_from_the_next_end_on_and_nothing_that_runs_is_touched() {
        let mut machine = running(&["a", "b"]);
        let specs = [ChildSpec {
            restart: Restart::Transient,
            shutdown: Shutdown::BrutalKill,
            ..ChildSpec::worker("b")
        }];
        let outcome = machine.change(Flags::new(Strategy::OneForOne), &specs);
        let names = |ids: &[&str]| ids.iter().map(|id| Arc::from(*id)).collect();
        let expected = Changed {
            changed: names(&["b"]),
            missing: Vec::new(),
            kept: names(&["a"]),
        };
        assert_eq!(outcome, Ok(expected));
        assert!(machine.poll_command().is_none(), "nothing is done");
        let running =
            |(_, child): (_, &super::super::Child<_, _>)| child.status() == Status::Running;
        assert!(machine.children_in_start_order().all(running));
        assert!(starts_again(&mut machine, "a"), "it is permanent still");
        assert!(!starts_again(&mut machine, "b"), "it is transient now");
    }

    #[test]
    fn the_order_is_that_of_the_list_with_the_others_behind() {
        let mut machine = running(&["a", "b", "c", "d"]);
        let specs = ["d", "x", "b"].map(ChildSpec::worker);
        let outcome = machine
            .change(Flags::new(Strategy::RestForOne), &specs)
            .unwrap();
        assert_eq!(outcome.missing, [Arc::from("x")]);
        machine.add(specs[1].clone(), ()).unwrap();
        let order: Vec<_> = specs
            .iter()
            .filter_map(|spec| machine.child_by_id(&spec.id))
            .collect();
        machine.reorder(&order);
        assert_eq!(ids(&machine), "d x b a c");
        let x = machine.child_by_id("x").unwrap();
        assert_eq!(machine.child(x).unwrap().status(), Status::Stopped);
    }

    #[test]
    fn the_restarts_that_were_count_by_the_new_limit() {
        let mut machine = running(&["a"]);
        let limit = |limit| Flags {
            intensity: Intensity {
                limit,
                ..Intensity::default()
            },
            ..Flags::new(Strategy::OneForOne)
        };
        machine.change(limit(2), &[]).unwrap();
        for _ in 0..2 {
            assert!(starts_again(&mut machine, "a"));
            let a = machine.child_by_id("a").unwrap();
            let generation = machine.child(a).unwrap().generation();
            machine.handle(
                Event::Started {
                    child: a,
                    generation,
                },
                Duration::from_secs(1),
            );
        }
        machine.change(limit(1), &[]).unwrap();
        assert!(!starts_again(&mut machine, "a"), "it was two already");
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let one = |spec: ChildSpec| vec![spec];
        let significant = ChildSpec {
            significant: true,
            restart: Restart::Transient,
            ..ChildSpec::worker("a")
        };
        let flags = Flags::new(Strategy::OneForAll);
        for (flags, specs) in [
            (Flags::new(Strategy::Dynamic), vec![]),
            (flags.clone(), one(significant.clone())),
            (flags, vec![ChildSpec::worker("a"), ChildSpec::worker("a")]),
        ] {
            let mut machine = running(&["a", "b"]);
            assert!(machine.change(flags, &specs).is_err());
            assert_eq!(machine.flags().strategy, Strategy::OneForOne);
            assert_eq!(ids(&machine), "a b");
        }
        // One that stays as it is would not fit any more.
        let mut machine = running(&["a", "b"]);
        let any = Flags {
            auto_shutdown: AutoShutdown::AnySignificant,
            ..Flags::new(Strategy::OneForOne)
        };
        machine.change(any, &[significant]).unwrap();
        let never = Flags::new(Strategy::OneForOne);
        assert!(machine.change(never, &[ChildSpec::worker("b")]).is_err());
    }
}
