//! An actor that does what it is told, and an observer that can be awaited.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use treewarden_runtime::{
    Actor, Context, ExitReason, Failure, MonitorEvent, Reply, System,
    host::{Life, Observer},
};

/// What the puppet saw, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Does what it is told and writes down what it did.
#[derive(Default)]
pub struct Puppet {
    pub log: Log,
    pub fail_start: Option<&'static str>,
    pub panic_in_stopped: bool,
    pub panic_in_drop: bool,
    pub total: u64,
}

pub enum Msg {
    Note(u64),
    Add(u64),
    Total(Reply<u64>),
    /// Drops the reply and goes on.
    Ignore(Reply<u64>),
    /// Drops the reply and then fails.
    IgnoreAndFail(Reply<u64>),
    PanicWith(&'static str),
    AskedToPanic(Reply<u64>),
    Fail(&'static str),
    /// Suspends until notified.
    Wait(Arc<Notify>),
    AskedToWait(Arc<Notify>, Reply<u64>),
    Stop,
    Drain,
    Incarnation(Reply<u64>),
    SelfAsk(Reply<String>),
    Seen(MonitorEvent),
    Boom(PanicsInDrop),
}

pub struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in the drop of a message");
    }
}

impl From<u64> for Msg {
    fn from(n: u64) -> Self {
        Msg::Note(n)
    }
}

impl Puppet {
    pub fn logging(log: &Log) -> Self {
        Self::that(|puppet| puppet.log = log.clone())
    }

    pub fn that(change: impl FnOnce(&mut Self)) -> Self {
        let mut puppet = Self::default();
        change(&mut puppet);
        puppet
    }
}

impl Actor for Puppet {
    type Msg = Msg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Some(why) = self.fail_start {
            return Err(Failure::msg(why));
        }
        self.log.push(format!("started {}", cx.incarnation()));
        Ok(())
    }

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Note(n) => self.log.push(format!("note {n}")),
            Msg::Add(n) => self.total += n,
            Msg::Total(reply) => reply.send(self.total),
            Msg::Ignore(reply) => drop(reply),
            Msg::IgnoreAndFail(reply) => {
                drop(reply);
                return Err(Failure::msg("ignored"));
            }
            Msg::PanicWith(text) => panic!("{text}"),
            Msg::AskedToPanic(_reply) => panic!("asked to"),
            Msg::Fail(text) => return Err(Failure::msg(text)),
            Msg::Wait(until) => {
                self.log.push("waiting");
                until.notified().await;
                self.log.push("waited");
            }
            Msg::AskedToWait(until, reply) => {
                until.notified().await;
                reply.send(self.total);
            }
            Msg::Stop => cx.stop(),
            Msg::Drain => cx.drain(),
            Msg::Incarnation(reply) => reply.send(cx.incarnation()),
            Msg::SelfAsk(reply) => {
                let answer = cx.myself().ask(Msg::Total).await;
                reply.send(format!("{answer:?}"));
            }
            Msg::Seen(event) => self.log.push(format!("seen {}", describe(&event))),
            Msg::Boom(boom) => std::mem::forget(boom),
        }
        Ok(())
    }

    async fn stopped(&mut self, reason: &ExitReason, _cx: &mut Context<Self>) {
        self.log.push(format!("stopped {}", reason.kind()));
        if self.panic_in_stopped {
            panic!("in stopped");
        }
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::PanicWith(_) => "PanicWith",
            Msg::Fail(_) => "Fail",
            Msg::Wait(_) => "Wait",
            _ => "other",
        }
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.log.push("dropped");
        if self.panic_in_drop && !std::thread::panicking() {
            panic!("in drop");
        }
    }
}

pub fn describe(event: &MonitorEvent) -> String {
    match event {
        MonitorEvent::Down {
            incarnation,
            reason,
            restart_follows,
            missed,
        } => format!(
            "down {incarnation} {} restart:{restart_follows} missed:{missed}",
            reason.kind()
        ),
        MonitorEvent::Gone { reason, missed } => format!("gone {} missed:{missed}", reason.kind()),
        _ => "unknown".to_owned(),
    }
}

/// Fails instead of hanging. The time is paused time in most tests, so it costs nothing.
pub async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it happens soon")
}

pub fn system() -> System {
    System::new("test")
}

/// Passes the events of a hosted address on to a channel.
pub struct Events(mpsc::UnboundedSender<Life>);

impl Observer for Events {
    fn on_life(&self, event: Life) {
        let _ = self.0.send(event);
    }
}

pub fn events() -> (Arc<Events>, mpsc::UnboundedReceiver<Life>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(Events(sender)), receiver)
}

pub fn life(event: &Life) -> String {
    match event {
        Life::Started { incarnation } => format!("started {incarnation}"),
        Life::Ignored { incarnation } => format!("ignored {incarnation}"),
        Life::StartFailed {
            incarnation,
            reason,
        } => format!("start failed {incarnation}: {reason}"),
        Life::Exited {
            incarnation,
            reason,
            suspect,
        } => match suspect {
            Some(suspect) => format!(
                "exited {incarnation}: {reason}, suspect #{} {}",
                suspect.sequence, suspect.label
            ),
            None => format!("exited {incarnation}: {reason}"),
        },
        Life::Overran {
            incarnation,
            overrun,
        } => format!("overran {incarnation}: {overrun}"),
    }
}
