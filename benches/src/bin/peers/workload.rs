//! What is measured: the names, units and sizes of the workloads, and the processes that yield them.
//!
//! A [`Workload`] is a row of the report. A [`Measurement`] is what one process runs; most yield one workload, two yield
//! several (the life of idle actors gives spawn, bytes and stop; crashes give two percentiles).
//!
//! This module knows no actor runtime and runs nothing.

use std::fmt;
use std::time::Duration;

/// A row of the report. Every figure is a cost: lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Workload {
    Tell1,
    Tell4,
    Tell1Wide,
    Tell4Wide,
    Ask1,
    Ask64,
    PingPong,
    Ring,
    FanOut,
    Spawn,
    Stop,
    Bytes,
    CrashP50,
    CrashP99,
    Restart,
    ChildStart,
    ChildStop,
    ChildBytes,
    PeakMemory,
}

impl Workload {
    /// In the order of the report.
    pub(crate) const ALL: [Workload; 19] = [
        Workload::Tell1,
        Workload::Tell4,
        Workload::Tell1Wide,
        Workload::Tell4Wide,
        Workload::Ask1,
        Workload::Ask64,
        Workload::PingPong,
        Workload::Ring,
        Workload::FanOut,
        Workload::Spawn,
        Workload::Stop,
        Workload::Bytes,
        Workload::CrashP50,
        Workload::CrashP99,
        Workload::Restart,
        Workload::ChildStart,
        Workload::ChildStop,
        Workload::ChildBytes,
        Workload::PeakMemory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Tell1 => "tell-1",
            Workload::Tell4 => "tell-4",
            Workload::Tell1Wide => "tell-1-64b",
            Workload::Tell4Wide => "tell-4-64b",
            Workload::Ask1 => "ask-1",
            Workload::Ask64 => "ask-64",
            Workload::PingPong => "ping-pong",
            Workload::Ring => "ring",
            Workload::FanOut => "fan-out",
            Workload::Spawn => "spawn",
            Workload::Stop => "stop",
            Workload::Bytes => "bytes",
            Workload::CrashP50 => "crash-p50",
            Workload::CrashP99 => "crash-p99",
            Workload::Restart => "restart",
            Workload::ChildStart => "child-start",
            Workload::ChildStop => "child-stop",
            Workload::ChildBytes => "child-bytes",
            Workload::PeakMemory => "peak-memory",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Workload::Bytes | Workload::ChildBytes => "bytes",
            Workload::CrashP50 | Workload::CrashP99 => "us",
            Workload::PeakMemory => "MB",
            _ => "ns",
        }
    }

    /// One line for the head of the table.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Workload::Tell1 => "one sender, u64 messages; time for each message",
            Workload::Tell4 => "four senders, u64 messages; time for each message",
            Workload::Tell1Wide => "one sender, 64-byte messages; time for each message",
            Workload::Tell4Wide => "four senders, 64-byte messages; time for each message",
            Workload::Ask1 => "one client, one question after the other; time for each answer",
            Workload::Ask64 => {
                "64 clients, each one question after the other; time for each answer"
            }
            Workload::PingPong => "two actors, one message between them; time for each hop",
            Workload::Ring => "1000 actors in a ring, one message in it; time for each hop",
            Workload::FanOut => {
                "one message to each of 10 000 idle actors, round after round; time for each message"
            }
            Workload::Spawn => "idle actors; time for each until all have started",
            Workload::Stop => "idle actors; time for each until all have stopped",
            Workload::Bytes => {
                "idle actors; resident memory of each, the state's 8 bytes and its reference's target included"
            }
            Workload::CrashP50 => {
                "from the crash of a supervised actor until its next incarnation has answered; median"
            }
            Workload::CrashP99 => {
                "from the crash of a supervised actor until its next incarnation has answered; 99th percentile"
            }
            Workload::Restart => {
                "one supervised actor that returns an error as soon as it has started, again and again; time for each restart"
            }
            Workload::ChildStart => {
                "children of one supervisor; time for each until all have started"
            }
            Workload::ChildStop => {
                "the end of their supervisor; time for each child until all have been dropped"
            }
            Workload::ChildBytes => "idle children of one supervisor; resident memory of each",
            Workload::PeakMemory => {
                "one fast sender to an actor that needs 500 ns a message; resident memory above the start"
            }
        }
    }

    pub(crate) fn measurement(self) -> Measurement {
        match self {
            Workload::Tell1 => Measurement::Tell1,
            Workload::Tell4 => Measurement::Tell4,
            Workload::Tell1Wide => Measurement::Tell1Wide,
            Workload::Tell4Wide => Measurement::Tell4Wide,
            Workload::Ask1 => Measurement::Ask1,
            Workload::Ask64 => Measurement::Ask64,
            Workload::PingPong => Measurement::PingPong,
            Workload::Ring => Measurement::Ring,
            Workload::FanOut => Measurement::FanOut,
            Workload::Spawn | Workload::Stop | Workload::Bytes => Measurement::Lives,
            Workload::CrashP50 | Workload::CrashP99 => Measurement::Crash,
            Workload::Restart => Measurement::Restart,
            Workload::ChildStart | Workload::ChildStop | Workload::ChildBytes => {
                Measurement::Family
            }
            Workload::PeakMemory => Measurement::PeakMemory,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What one process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measurement {
    Tell1,
    Tell4,
    Tell1Wide,
    Tell4Wide,
    Ask1,
    Ask64,
    PingPong,
    Ring,
    FanOut,
    /// Spawn, bytes and stop of idle actors.
    Lives,
    /// Both percentiles.
    Crash,
    Restart,
    /// Start, bytes and stop of the children of one supervisor.
    Family,
    PeakMemory,
}

impl Measurement {
    pub(crate) const ALL: [Measurement; 14] = [
        Measurement::Tell1,
        Measurement::Tell4,
        Measurement::Tell1Wide,
        Measurement::Tell4Wide,
        Measurement::Ask1,
        Measurement::Ask64,
        Measurement::PingPong,
        Measurement::Ring,
        Measurement::FanOut,
        Measurement::Lives,
        Measurement::Crash,
        Measurement::Restart,
        Measurement::Family,
        Measurement::PeakMemory,
    ];

    /// Whether it needs a supervisor.
    pub(crate) fn is_of_supervision(self) -> bool {
        matches!(
            self,
            Measurement::Crash | Measurement::Restart | Measurement::Family
        )
    }

    /// The name on the command line of the measuring process.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measurement::Tell1 => "tell-1",
            Measurement::Tell4 => "tell-4",
            Measurement::Tell1Wide => "tell-1-64b",
            Measurement::Tell4Wide => "tell-4-64b",
            Measurement::Ask1 => "ask-1",
            Measurement::Ask64 => "ask-64",
            Measurement::PingPong => "ping-pong",
            Measurement::Ring => "ring",
            Measurement::FanOut => "fan-out",
            Measurement::Lives => "lives",
            Measurement::Crash => "crash",
            Measurement::Restart => "restart",
            Measurement::Family => "family",
            Measurement::PeakMemory => "peak-memory",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Measurement> {
        Measurement::ALL
            .into_iter()
            .find(|measurement| measurement.name() == name)
    }
}

/// The tokio runtime that a measurement runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuntimeKind {
    /// `multi_thread` with [`WORKERS`] workers.
    Multi,
    /// `current_thread`.
    Current,
}

impl RuntimeKind {
    pub(crate) const ALL: [RuntimeKind; 2] = [RuntimeKind::Multi, RuntimeKind::Current];

    pub(crate) fn name(self) -> &'static str {
        match self {
            RuntimeKind::Multi => "multi",
            RuntimeKind::Current => "current",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<RuntimeKind> {
        RuntimeKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Workers of the `multi` runtime.
pub(crate) const WORKERS: usize = 2;
/// Messages that a bounded mailbox holds, for every system that has bounded mailboxes.
pub(crate) const CAPACITY: usize = 1024;
/// Clients of `ask-64`.
pub(crate) const CLIENTS: u64 = 64;
/// Actors of `ring`.
pub(crate) const RING: usize = 1000;
/// Actors of `fan-out`.
pub(crate) const FAN: usize = 10_000;
/// Time that the slow actor of `peak-memory` computes for each message.
pub(crate) const SLOW_WORK: Duration = Duration::from_nanos(500);

/// How much of each workload a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Time that a measurement which repeats one operation takes, about.
    pub(crate) budget: Duration,
    /// Actors of spawn, bytes and stop.
    pub(crate) idle_actors: usize,
    /// Crashes that the percentiles are taken from, and restarts.
    pub(crate) crashes: usize,
    /// Children of one supervisor.
    pub(crate) children: usize,
    /// Messages to the slow actor.
    pub(crate) slow_messages: u64,
    /// A process that runs longer has failed.
    pub(crate) limit: Duration,
}

impl Scale {
    /// Figures for the record.
    pub(crate) const FULL: Scale = Scale {
        budget: Duration::from_millis(1500),
        idle_actors: 1_000_000,
        crashes: 20_000,
        children: 100_000,
        slow_messages: 10_000_000,
        limit: Duration::from_secs(300),
    };

    /// Figures within minutes.
    pub(crate) const QUICK: Scale = Scale {
        budget: Duration::from_millis(300),
        idle_actors: 100_000,
        crashes: 3_000,
        children: 20_000,
        slow_messages: 1_000_000,
        limit: Duration::from_secs(30),
    };

    pub(crate) fn name(self) -> &'static str {
        if self == Scale::QUICK {
            "quick"
        } else {
            "full"
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Scale> {
        [Scale::QUICK, Scale::FULL]
            .into_iter()
            .find(|scale| scale.name() == name)
    }
}
