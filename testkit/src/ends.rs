//! Expecting that something ends, or is lost.

use std::{fmt, future::Future, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};
use treewarden_runtime::{ActorRef, DeadLetter, DeadLetterReason, ExitReason, System};

use crate::place::{Place, in_time, shown};

/// How the next incarnation at this address ends, from the call on; or, if the address is gone already, how it ended.
///
/// The monitor is made by the call, so whatever ends the actor may come between the call and the await.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{Actor, Context, ExitReason, Failure, System};
/// use treewarden_testkit::expect_end;
///
/// struct Fragile;
///
/// impl Actor for Fragile {
///     type Msg = ();
///     type Error = Failure;
///
///     async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), Failure> {
///         Err(Failure::msg("it broke"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let actor = System::new("test").spawn(Fragile);
/// let end = expect_end(&actor, Duration::from_secs(1));
/// actor.tell(()).await.unwrap();
/// assert_eq!(end.await.to_string(), "failed: it broke");
/// # }
/// ```
///
/// # Panics
///
/// If it does not end `within` this time, counted from the await on.
#[track_caller]
pub fn expect_end<M: Send + 'static>(
    subject: &ActorRef<M>,
    within: Duration,
) -> impl Future<Output = ExitReason> + use<M> {
    let place = Place::here();
    let (mut monitor, subject) = (subject.monitor(), subject.clone());
    async move {
        match in_time(within, monitor.next()).await.flatten() {
            Some(event) => event.reason().clone(),
            None => {
                let (path, state) = (subject.path(), subject.state().kind());
                let queued = subject.queue_depth();
                place.fail(
                    &format!("{path} did not end within {within:?}; it is {state}, with {queued} messages queued"),
                    &[],
                )
            }
        }
    }
}

/// Sees the dead letters of a system from when it was made.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{DeadLetterReason, System};
/// use treewarden_testkit::{DeadLetterProbe, Probe};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let system = System::new("test");
/// let mut dead = DeadLetterProbe::new(&system);
/// let actor = Probe::spawn(&system, "actor").actor_ref();
/// actor.tell("never handled").await.unwrap();
/// actor.kill();
///
/// let letter = dead.expect(Duration::from_secs(1), DeadLetterReason::Gone).await;
/// assert_eq!(&*letter.path, "/actor");
/// # }
/// ```
pub struct DeadLetterProbe {
    feed: Receiver<DeadLetter>,
}

impl DeadLetterProbe {
    /// Begins to watch.
    pub fn new(system: &System) -> Self {
        Self {
            feed: system.dead_letters().subscribe(),
        }
    }

    /// The next dead letter with this reason. Those with others are passed over.
    ///
    /// # Panics
    ///
    /// If none comes `within` this time.
    #[track_caller]
    pub fn expect(
        &mut self,
        within: Duration,
        reason: DeadLetterReason,
    ) -> impl Future<Output = DeadLetter> {
        let place = Place::here();
        async move {
            let deadline = Instant::now() + within;
            let mut passed_over = Vec::new();
            while let Some(letter) = self.next(deadline - Instant::now()).await {
                if letter.reason == reason {
                    return letter;
                }
                passed_over.push(shown(&letter));
            }
            place.fail(
                &format!("no dead letter with the reason {reason} within {within:?}"),
                &passed_over,
            )
        }
    }

    /// That there is no dead letter for this time, of whatever reason.
    ///
    /// # Panics
    ///
    /// If there is one.
    #[track_caller]
    pub fn expect_nothing(&mut self, during: Duration) -> impl Future<Output = ()> {
        let place = Place::here();
        async move {
            if let Some(letter) = self.next(during).await {
                place.fail("a dead letter where none was expected", &[shown(&letter)]);
            }
        }
    }

    async fn next(&mut self, within: Duration) -> Option<DeadLetter> {
        let next = async {
            loop {
                match self.feed.recv().await {
                    Ok(letter) => return Some(letter),
                    // It misses only what is older than the 1024 newest.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        in_time(within, next).await.flatten()
    }
}

impl fmt::Debug for DeadLetterProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterProbe")
            .field("waiting", &self.feed.len())
            .finish()
    }
}

/// Lets everything happen that follows without time passing, and one millisecond of timers.
///
/// Under a paused clock the clock moves only when no task has anything to do, so this returns when all is quiet.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
