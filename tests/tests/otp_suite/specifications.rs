//! Cases about specifications: `sup_start_map`, `sup_start_map_faulty_specs`, `child_specs_map`, `sup_flags`,
//! `do_not_save_start_parameters_for_temporary_children`.

use std::sync::Arc;
use std::time::Duration;

use treewarden_runtime::System;
use treewarden_supervisor::machine::script::Outcome;
use treewarden_supervisor::machine::{ChildSpec, Flags, Intensity, Machine, Strategy};
use treewarden_supervisor::{
    AutoShutdown, Child, ChildRole, Restart, Shutdown, SpecError, StartError, Supervisor,
};

fn pending(id: &str) -> Child {
    Child::future(id, std::future::pending)
}

#[test]
fn sup_start_map() {
    let worker = ChildSpec::worker("child1");
    assert_eq!(
        (worker.restart, worker.role),
        (Restart::Permanent, ChildRole::Worker)
    );
    assert_eq!(
        worker.shutdown,
        Shutdown::Timeout(Duration::from_millis(5000))
    );
    assert_eq!(
        (worker.significant, worker.backoff, worker.start_timeout),
        (false, None, None)
    );
    let supervisor = ChildSpec::supervisor("child3");
    assert_eq!(
        (supervisor.restart, supervisor.role),
        (Restart::Permanent, ChildRole::Supervisor)
    );
    assert_eq!(supervisor.shutdown, Shutdown::Infinity);
    let flags = Flags::default();
    assert_eq!(
        (flags.strategy, flags.auto_shutdown),
        (Strategy::OneForOne, AutoShutdown::Never)
    );
    assert_eq!(
        (flags.intensity.limit, flags.intensity.period),
        (1, Duration::from_secs(5))
    );
}

#[tokio::test(start_paused = true)]
async fn sup_start_map_faulty_specs() {
    let twins = Supervisor::one_for_one("app")
        .child(pending("a"))
        .child(pending("a"));
    let error = twins
        .start(&System::new("test"))
        .await
        .expect_err("two children have one id");
    assert!(
        matches!(
            error,
            StartError::Invalid {
                error: SpecError::DuplicateId { .. },
                ..
            }
        ),
        "{error}"
    );
}

/// All combinations of what OTP checks: which are refused, and why.
#[test]
fn child_specs_map() {
    for auto_shutdown in [
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ] {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            for significant in [false, true] {
                for shutdown in [Shutdown::BrutalKill, Shutdown::WORKER, Shutdown::Infinity] {
                    for role in [ChildRole::Worker, ChildRole::Supervisor] {
                        let flags = Flags {
                            auto_shutdown,
                            ..Flags::default()
                        };
                        let spec = ChildSpec {
                            restart,
                            significant,
                            shutdown,
                            role,
                            ..ChildSpec::worker("a")
                        };
                        let added = Machine::<(), Outcome>::new(flags, 0).add(spec.clone(), ());
                        let id = spec.id.clone();
                        let expected = match (significant, auto_shutdown, restart) {
                            (true, AutoShutdown::Never, _) => {
                                Some(SpecError::SignificantWithoutAutoShutdown { id })
                            }
                            (true, _, Restart::Permanent) => {
                                Some(SpecError::SignificantAndPermanent { id })
                            }
                            _ => None,
                        };
                        assert_eq!(added.err(), expected, "{spec:?} under {auto_shutdown:?}");
                    }
                }
            }
        }
    }
}

/// What OTP refuses at run time (an unknown strategy, an intensity below zero) cannot be written here; what is left are
/// the extremes.
#[tokio::test(start_paused = true)]
async fn sup_flags() {
    for (limit, period) in [
        (0, Duration::ZERO),
        (u32::MAX, Duration::MAX),
        (1, Duration::from_nanos(1)),
    ] {
        let supervisor = Supervisor::one_for_one("app")
            .intensity(limit, period)
            .child(pending("a"));
        let tree = supervisor
            .start(&System::new("test"))
            .await
            .expect("every limit is one");
        assert!(tree.shutdown().await.is_clean());
    }
    let mut machine = Machine::<(), Outcome>::new(
        Flags {
            intensity: Intensity {
                period: Duration::MAX,
                ..Intensity::default()
            },
            ..Flags::default()
        },
        0,
    );
    machine
        .add(ChildSpec::worker("a"), ())
        .expect("it is the first");
    machine.handle(treewarden_supervisor::machine::Event::Begin, Duration::MAX);
    assert!(machine.poll_command().is_some());
}

#[tokio::test(start_paused = true)]
async fn do_not_save_start_parameters_for_temporary_children() {
    let tree = Supervisor::dynamic("app")
        .start(&System::new("test"))
        .await
        .expect("the tree starts");
    let parameters = Arc::new(());
    for restart in [Restart::Temporary, Restart::Transient] {
        let captured = parameters.clone();
        let child = Child::future("a", move || {
            let _parameters = captured.clone();
            async {}
        });
        tree.start_child(child.restart(restart))
            .await
            .expect("it starts");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&parameters), 1, "{restart:?}");
    }
}
