//! [`FaultPlan`]: what goes wrong, and what did.

use std::{
    fmt,
    future::Future,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex},
    time::Duration,
};

use treewarden_runtime::{Actor, Failure, Init};

use super::{faulty::Faulty, when::When};
use crate::{
    random::{mix, share},
    sync_ext::MutexExt,
};

/// How an injected crash ends the incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// With a panic.
    Panic,
    /// With an error from the handler.
    Error,
}

/// What was done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It waited for so long before it was handled, and those behind it waited as well.
    Delayed(Duration),
    /// It was dropped, and never reached the actor. If it was an ask, its asker was told that there is no reply.
    Dropped,
    /// It was taken away, and never reached the actor. If it was an ask, nobody told its asker.
    Lost,
    /// It was handled twice.
    Duplicated,
    /// The incarnation crashed on it, before the actor saw it.
    Crashed(Crash),
    /// The incarnation crashed on it, after the actor had handled it.
    CrashedAfter(Crash),
    /// It was no message, but a start that failed.
    StartFailed,
    /// It was sent on through [`FaultPlan::between`], but its target did not accept it.
    NotAccepted,
}

/// One fault that was injected.
#[derive(Clone, Debug)]
pub struct Injected {
    /// What was done.
    pub fault: Fault,
    /// To which message, of all that went through the plan, counted from 1; or to which start.
    pub nth: u64,
    /// What [`Actor::label`] says of it.
    pub label: &'static str,
    /// At which address.
    pub path: Arc<str>,
    /// At which incarnation.
    pub incarnation: u64,
}

/// What goes wrong with the messages of an actor, and a record of what did.
///
/// A clone is the same plan. The incarnations of an actor share it, so that an nth message is the nth of the address, and
/// the restart after a crash does not crash on the same number again. Nothing that it takes away is lost in silence:
/// [`injected`](Self::injected) lists it.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{Actor, Context, Failure, Reply, System};
/// use treewarden_supervisor::{Child, Supervisor};
/// use treewarden_testkit::{Crash, Fault, FaultPlan, When};
///
/// struct Counter(u64);
///
/// #[derive(Clone)]
/// struct Add(u64);
///
/// impl Actor for Counter {
///     type Msg = Add;
///     type Error = Failure;
///
///     async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> Result<(), Failure> {
///         self.0 += n;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Failure> {
/// let plan = FaultPlan::seeded(7)
///     .delay(When::every(10), Duration::from_millis(5))
///     .duplicate(When::chance(0.1))
///     .drop(When::nth(2).of(|Add(n)| *n > 1))
///     .crash(When::nth(3), Crash::Panic);
///
/// let tree = Supervisor::one_for_one("app")
///     .child(Child::actor("counter", plan.factory(|_| async { Ok(Counter(0)) })))
///     .start(&System::new("test"))
///     .await?;
/// let counter = tree.actor::<Add>("counter")?;
/// for n in 0..30 {
///     counter.tell(Add(n)).await?;
/// }
/// treewarden_testkit::settle().await;
/// tokio::time::sleep(Duration::from_secs(1)).await;
///
/// assert_eq!(counter.incarnation(), 2);
/// assert_eq!(plan.count(|fault| *fault == Fault::Crashed(Crash::Panic)), 1);
/// assert_eq!(plan.count(|fault| *fault == Fault::Dropped), 1);
/// # Ok(())
/// # }
/// ```
pub struct FaultPlan<M> {
    shared: Arc<Mutex<Shared<M>>>,
}

struct Shared<M> {
    seed: u64,
    rules: Vec<Rule<M>>,
    /// First and last.
    failing_starts: Vec<(u64, u64)>,
    starts: u64,
    messages: u64,
    injected: Vec<Injected>,
    lost: Vec<M>,
}

struct Rule<M> {
    when: When<M>,
    deed: Deed<M>,
    /// How many messages fitted so far.
    fitted: u64,
}

enum Deed<M> {
    Delay(Duration),
    Jitter(Duration),
    Drop,
    Lose,
    Duplicate(fn(&M) -> M),
    Crash(Crash),
    CrashAfter(Crash),
}

/// What is to happen to one message. Everything that befalls it, in the order of the fields.
pub(super) struct Fate<M> {
    pub(super) nth: u64,
    pub(super) delay: Option<Duration>,
    pub(super) crash: Option<Crash>,
    pub(super) is_dropped: bool,
    pub(super) is_lost: bool,
    pub(super) duplicate: Option<M>,
    pub(super) crash_after: Option<Crash>,
}

impl<M: Send + 'static> FaultPlan<M> {
    /// A plan without faults; those with a [chance](When::chance) will follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                seed,
                rules: Vec::new(),
                failing_starts: Vec::new(),
                starts: 0,
                messages: 0,
                injected: Vec::new(),
                lost: Vec::new(),
            })),
        }
    }

    /// Holds messages up for `time`, and with them those behind them, so that their order stays.
    ///
    /// The actor counts as handling them: a stop waits, a kill does not.
    pub fn delay(self, when: When<M>, time: Duration) -> Self {
        self.rule(when, Deed::Delay(time))
    }

    /// Like [`delay`](Self::delay), for a time that follows from the seed, below `time_max`.
    pub fn jitter(self, when: When<M>, time_max: Duration) -> Self {
        self.rule(when, Deed::Jitter(time_max))
    }

    /// Drops messages. Asks among them are told that there is no reply.
    pub fn drop(self, when: When<M>) -> Self {
        self.rule(when, Deed::Drop)
    }

    /// Takes messages away without anybody hearing of it, as a network does: asks among them wait for their deadline. The
    /// plan keeps them, see [`take_lost`](Self::take_lost).
    pub fn lose(self, when: When<M>) -> Self {
        self.rule(when, Deed::Lose)
    }

    /// Lets messages be handled twice, one after the other.
    pub fn duplicate(self, when: When<M>) -> Self
    where
        M: Clone,
    {
        self.rule(when, Deed::Duplicate(M::clone))
    }

    /// Crashes the incarnation on messages that its actor does not get to see.
    pub fn crash(self, when: When<M>, crash: Crash) -> Self {
        self.rule(when, Deed::Crash(crash))
    }

    /// Crashes the incarnation when its actor has handled a message: what it did is done, what it knew is gone.
    pub fn crash_after(self, when: When<M>, crash: Crash) -> Self {
        self.rule(when, Deed::CrashAfter(crash))
    }

    /// Fails these starts, counted from 1: `2..=3` the first two restarts, `2..` all of them.
    pub fn fail_starts(self, starts: impl RangeBounds<u64>) -> Self {
        let first = match starts.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 1,
        };
        let last = match starts.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(after) => after.saturating_sub(1),
            Bound::Unbounded => u64::MAX,
        };
        self.shared.locked().failing_starts.push((first, last));
        self
    }

    /// `actor`, with its messages going through this plan first.
    pub fn wrap<A: Actor<Msg = M>>(&self, actor: A) -> Faulty<A> {
        Faulty::new(actor, self.clone())
    }

    /// The factory of a child, with the messages of each incarnation going through this plan first.
    pub fn factory<A, F, Fut>(
        &self,
        mut factory: F,
    ) -> impl FnMut(Init<M>) -> FaultyStart<A> + Send + 'static
    where
        A: Actor<Msg = M>,
        F: FnMut(Init<M>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, A::Error>> + Send + 'static,
    {
        let plan = self.clone();
        move |init| {
            let (plan, making) = (plan.clone(), factory(init));
            Box::pin(async move {
                let actor = making.await.map_err(Into::into)?;
                Ok(plan.wrap(actor))
            })
        }
    }

    /// All that was done so far, in order.
    pub fn injected(&self) -> Vec<Injected> {
        self.shared.locked().injected.clone()
    }

    /// How many of the faults that were injected so far are of a kind.
    pub fn count(&self, mut is_counted: impl FnMut(&Fault) -> bool) -> usize {
        let shared = self.shared.locked();
        let faults = shared.injected.iter().map(|injected| &injected.fault);
        faults.filter(|fault| is_counted(fault)).count()
    }

    /// How many messages went through the plan, whatever was done to them.
    pub fn messages(&self) -> u64 {
        self.shared.locked().messages
    }

    /// The messages that were [lost](Self::lose) since the last time. They can still be sent to their actor, late.
    pub fn take_lost(&self) -> Vec<M> {
        std::mem::take(&mut self.shared.locked().lost)
    }

    fn rule(self, when: When<M>, deed: Deed<M>) -> Self {
        self.shared.locked().rules.push(Rule {
            when,
            deed,
            fitted: 0,
        });
        self
    }

    pub(super) fn fate_of(&self, message: &M) -> Fate<M> {
        let shared = &mut *self.shared.locked();
        shared.messages += 1;
        let mut fate = Fate {
            nth: shared.messages,
            delay: None,
            crash: None,
            is_dropped: false,
            is_lost: false,
            duplicate: None,
            crash_after: None,
        };
        for (number, rule) in (1..).zip(&mut shared.rules) {
            if !rule.when.fits(message) {
                continue;
            }
            rule.fitted += 1;
            // Each rule has dice of its own.
            let seed = mix(shared.seed ^ mix(number));
            if !rule.when.is_turn_of(rule.fitted, seed) {
                continue;
            }
            match rule.deed {
                Deed::Delay(time) => *fate.delay.get_or_insert_default() += time,
                Deed::Jitter(time_max) => {
                    let random = mix(!seed ^ mix(rule.fitted));
                    *fate.delay.get_or_insert_default() += time_max.mul_f64(share(random));
                }
                Deed::Drop => fate.is_dropped = true,
                Deed::Lose => fate.is_lost = true,
                Deed::Duplicate(clone) => fate.duplicate = Some(clone(message)),
                Deed::Crash(crash) => fate.crash = Some(crash),
                Deed::CrashAfter(crash) => fate.crash_after = Some(crash),
            }
        }
        fate
    }

    /// Which start this is, if it is to fail.
    pub(super) fn failing_start(&self) -> Option<u64> {
        let mut shared = self.shared.locked();
        shared.starts += 1;
        let start = shared.starts;
        let mut failing = shared.failing_starts.iter();
        failing
            .any(|(first, last)| (*first..=*last).contains(&start))
            .then_some(start)
    }

    pub(super) fn record(&self, injected: Injected) {
        self.shared.locked().injected.push(injected);
    }

    pub(super) fn keep_lost(&self, message: M) {
        self.shared.locked().lost.push(message);
    }
}

/// The future of a factory that [`FaultPlan::factory`] made.
pub type FaultyStart<A> =
    std::pin::Pin<Box<dyn Future<Output = Result<Faulty<A>, Failure>> + Send>>;

impl<M> Clone for FaultPlan<M> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<M> fmt::Debug for FaultPlan<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.locked();
        f.debug_struct("FaultPlan")
            .field("seed", &shared.seed)
            .field("messages", &shared.messages)
            .field("injected", &shared.injected)
            .finish_non_exhaustive()
    }
}
