//! The systems that are compared, and how a measuring process of each is started.
//!
//! Every Rust system has one file of the same shape: its actors (counter, relay, idle, fragile), then its [`Peer`]
//! implementation. Who has read one has read all.
//!
//! [`Peer`]: crate::peer::Peer

use std::process::Command;
use std::{env, io};

use crate::measure::measure;
use crate::workload::{Measurement, RuntimeKind, Scale, Workload};

mod actix;
pub(crate) mod erlang;
mod kameo;
mod ractor;
mod ractor_supervisor;
mod tokio_channel;
mod treewarden;
mod xtra;

/// A system under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Treewarden,
    /// Treewarden with all that can be seen of handlers switched on: a subscriber for the spans, a recorder for the metrics.
    TreewardenObserved,
    Ractor,
    /// ractor with the supervisor of the crate ractor-supervisor, for what needs one.
    RactorSupervisor,
    Kameo,
    /// actix with its actors in another arbiter than their clients, where the runtime is `multi`.
    Actix,
    /// actix with everything in one arbiter.
    ActixOne,
    Xtra,
    Tokio,
    /// Bare Erlang processes.
    Erlang,
    /// Erlang's `gen_server`.
    ErlangGen,
}

impl System {
    /// In the order in which they are measured.
    pub(crate) const ALL: [System; 11] = [
        System::Treewarden,
        System::TreewardenObserved,
        System::Ractor,
        System::RactorSupervisor,
        System::Kameo,
        System::Actix,
        System::ActixOne,
        System::Xtra,
        System::Tokio,
        System::Erlang,
        System::ErlangGen,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Treewarden => "treewarden",
            System::TreewardenObserved => "observed",
            System::Ractor => "ractor",
            System::RactorSupervisor => "ractor-sup",
            System::Kameo => "kameo",
            System::Actix => "actix",
            System::ActixOne => "actix-one",
            System::Xtra => "xtra",
            System::Tokio => "tokio",
            System::Erlang => "erlang",
            System::ErlangGen => "erlang-gen",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<System> {
        System::ALL.into_iter().find(|system| system.name() == name)
    }

    pub(crate) fn is_erlang(self) -> bool {
        self.erlang_variant().is_some()
    }

    fn erlang_variant(self) -> Option<erlang::Variant> {
        match self {
            System::Erlang => Some(erlang::Variant::Bare),
            System::ErlangGen => Some(erlang::Variant::GenServer),
            _ => None,
        }
    }

    /// Whether there is anything to measure.
    pub(crate) fn has(self, measurement: Measurement, kind: RuntimeKind) -> bool {
        match self {
            // On `current` it is what `actix` is.
            System::ActixOne if kind == RuntimeKind::Current => false,
            // A panic is the end of the actor, of actix's whole arbiter: neither restarts it.
            System::Actix | System::ActixOne | System::Xtra => !measurement.is_of_supervision(),
            // Their crashes are measured with a loop that starts the next one, which is no supervisor.
            System::Tokio | System::Erlang => {
                !matches!(measurement, Measurement::Restart | Measurement::Family)
            }
            System::RactorSupervisor => measurement.is_of_supervision(),
            // What the observation costs a message does not depend on the workload.
            System::TreewardenObserved => {
                matches!(measurement, Measurement::Tell1 | Measurement::Ask1)
            }
            _ => true,
        }
    }

    /// The process that runs one measurement; it prints lines of a workload's name and its figure.
    pub(crate) fn command(
        self,
        measurement: Measurement,
        kind: RuntimeKind,
        scale: Scale,
        erlang: Option<&erlang::Compiled>,
    ) -> io::Result<Command> {
        if let (Some(variant), Some(erlang)) = (self.erlang_variant(), erlang) {
            return Ok(erlang.command(variant, measurement, kind, scale));
        }
        let mut command = Command::new(env::current_exe()?);
        // Whoever wants backtraces elsewhere does not want to measure them here.
        command.env("RUST_BACKTRACE", "0");
        command.args([
            "--measure",
            self.name(),
            measurement.name(),
            kind.name(),
            scale.name(),
        ]);
        Ok(command)
    }

    /// Runs one measurement in this process.
    pub(crate) fn measure(
        self,
        measurement: Measurement,
        kind: RuntimeKind,
        scale: Scale,
    ) -> Option<Vec<(Workload, f64)>> {
        match self {
            System::Treewarden => {
                measure::<treewarden::Treewarden<false>>(measurement, kind, scale)
            }
            System::TreewardenObserved => {
                treewarden::observe();
                measure::<treewarden::Treewarden<true>>(measurement, kind, scale)
            }
            System::Ractor => measure::<ractor::Ractor>(measurement, kind, scale),
            System::RactorSupervisor => {
                ractor_supervisor::measure(measurement, kind, scale.crashes, scale.children)
            }
            System::Kameo => measure::<kameo::Kameo>(measurement, kind, scale),
            System::Actix => measure::<actix::Actix<2>>(measurement, kind, scale),
            System::ActixOne => measure::<actix::Actix<1>>(measurement, kind, scale),
            System::Xtra => measure::<xtra::Xtra>(measurement, kind, scale),
            System::Tokio => measure::<tokio_channel::TokioChannel>(measurement, kind, scale),
            System::Erlang | System::ErlangGen => None,
        }
    }
}
