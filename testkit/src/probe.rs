//! [`Probe`]: an actor in the hands of a test.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Recipient, System};

use crate::place::{Place, in_time, shown};

/// An actor that keeps what it is sent until the test asks for it.
///
/// Give its [`actor_ref`](Self::actor_ref) or a [`recipient`](Self::recipient) to whatever is tested. An ask is answered
/// by taking its message and using the [`Reply`](treewarden_runtime::Reply) in it.
///
/// What is not expected in time panics, with the line of the test and what came instead. Time is tokio's: under a paused
/// clock, waiting for what never comes takes no time at all.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{Reply, System};
/// use treewarden_testkit::Probe;
///
/// const SECOND: Duration = Duration::from_secs(1);
///
/// #[derive(Debug)]
/// enum Store {
///     Put(u64),
///     Get(Reply<u64>),
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let system = System::new("test");
/// let mut store = Probe::spawn(&system, "store");
///
/// // What is tested would do this:
/// let user = store.actor_ref();
/// let asking = tokio::spawn(async move {
///     user.tell(Store::Put(7)).await.unwrap();
///     user.ask(Store::Get).await
/// });
///
/// store.expect_where(SECOND, |msg| matches!(msg, Store::Put(7))).await;
/// let reply = store
///     .expect_map(SECOND, |msg| match msg {
///         Store::Get(reply) => Ok(reply),
///         other => Err(other),
///     })
///     .await;
/// reply.send(7);
/// assert_eq!(asking.await.unwrap(), Ok(7));
/// store.expect_nothing(SECOND).await;
/// # }
/// ```
pub struct Probe<M> {
    reference: ActorRef<M>,
    inbox: mpsc::UnboundedReceiver<M>,
}

struct Ear<M>(mpsc::UnboundedSender<M>);

impl<M: Send + 'static> Actor for Ear<M> {
    type Msg = M;
    type Error = Failure;

    async fn handle(&mut self, message: M, cx: &mut Context<Self>) -> Result<(), Failure> {
        if self.0.send(message).is_err() {
            // The probe has been dropped, and its actor goes with it, so that senders hear of it.
            cx.stop();
        }
        Ok(())
    }
}

impl<M: Send + 'static> Probe<M> {
    /// A probe with a name in the system; its path is then `/name`.
    ///
    /// # Panics
    ///
    /// If the name is taken, and outside a tokio runtime.
    #[track_caller]
    pub fn spawn(system: &System, name: impl Into<Arc<str>>) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        match system.spawn_named(name, Ear(sender)) {
            Ok(reference) => Self { reference, inbox },
            Err(error) => panic!("{error}"),
        }
    }

    /// A probe without a name.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[track_caller]
    pub fn nameless(system: &System) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let reference = system.spawn(Ear(sender));
        Self { reference, inbox }
    }

    /// A reference to it.
    pub fn actor_ref(&self) -> ActorRef<M> {
        self.reference.clone()
    }

    /// The probe as something that takes a `T`.
    pub fn recipient<T: Send + 'static>(&self) -> Recipient<T>
    where
        M: From<T>,
    {
        self.reference.recipient()
    }

    /// The next message, if one is there.
    pub fn take(&mut self) -> Option<M> {
        self.inbox.try_recv().ok()
    }
}

impl<M: fmt::Debug + Send + 'static> Probe<M> {
    /// The next message.
    ///
    /// # Panics
    ///
    /// If none comes `within` this time.
    #[track_caller]
    pub fn expect(&mut self, within: Duration) -> impl Future<Output = M> {
        let place = Place::here();
        async move {
            match self.next(within).await {
                Some(message) => message,
                None => place.fail(
                    &self.failed(format_args!("got no message within {within:?}")),
                    &[],
                ),
            }
        }
    }

    /// The next message that `fits`. Those before it are passed over.
    ///
    /// # Panics
    ///
    /// If none comes `within` this time.
    #[track_caller]
    pub fn expect_where(
        &mut self,
        within: Duration,
        mut fits: impl FnMut(&M) -> bool,
    ) -> impl Future<Output = M> {
        self.expect_map(within, move |message| match fits(&message) {
            true => Ok(message),
            false => Err(message),
        })
    }

    /// What `part` takes out of the next message from which it takes anything. It hands back, as an error, those that it
    /// does not want; they are passed over.
    ///
    /// # Panics
    ///
    /// If none comes `within` this time.
    #[track_caller]
    pub fn expect_map<T>(
        &mut self,
        within: Duration,
        mut part: impl FnMut(M) -> Result<T, M>,
    ) -> impl Future<Output = T> {
        let place = Place::here();
        async move {
            let deadline = Instant::now() + within;
            let mut passed_over = Vec::new();
            while let Some(message) = self.next(deadline - Instant::now()).await {
                match part(message) {
                    Ok(wanted) => return wanted,
                    Err(message) => passed_over.push(shown(&message)),
                }
            }
            let what = self.failed(format_args!("got no message that fits within {within:?}"));
            place.fail(&what, &passed_over)
        }
    }

    /// Exactly these messages, in this order, with no other between.
    ///
    /// # Panics
    ///
    /// If another comes, or not all of them `within` this time.
    #[track_caller]
    pub fn expect_in_order(
        &mut self,
        within: Duration,
        wanted: impl IntoIterator<Item = M>,
    ) -> impl Future<Output = ()>
    where
        M: PartialEq,
    {
        let place = Place::here();
        async move {
            let deadline = Instant::now() + within;
            let mut seen = Vec::new();
            for (number, wanted) in wanted.into_iter().enumerate() {
                let message = self.next(deadline - Instant::now()).await;
                seen.extend(message.as_ref().map(shown));
                if message.as_ref() != Some(&wanted) {
                    let what = format_args!(
                        "got something else than {wanted:?} as message {} of a series, or nothing within {within:?}",
                        number + 1
                    );
                    place.fail(&self.failed(what), &seen);
                }
            }
        }
    }

    /// That no message comes for this time.
    ///
    /// # Panics
    ///
    /// If one does.
    #[track_caller]
    pub fn expect_nothing(&mut self, during: Duration) -> impl Future<Output = ()> {
        let place = Place::here();
        async move {
            if let Some(message) = self.next(during).await {
                let what = self.failed(format_args!("got a message where none was expected"));
                place.fail(&what, &[shown(&message)]);
            }
        }
    }

    async fn next(&mut self, within: Duration) -> Option<M> {
        in_time(within, self.inbox.recv()).await.flatten()
    }

    fn failed(&self, what: fmt::Arguments<'_>) -> String {
        format!("the probe {} {what}", self.reference.path())
    }
}

impl<M> fmt::Debug for Probe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("path", &self.reference.path())
            .field("waiting", &self.inbox.len())
            .finish()
    }
}
