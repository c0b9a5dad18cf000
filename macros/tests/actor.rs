//! What the written code does.
#![allow(missing_docs)]
// A user with strict lints sees none in what is written.
#![deny(warnings, clippy::all, unreachable_pub)]

use std::{collections::HashMap, hash::Hash, num::ParseIntError, sync::mpsc, time::Duration};

use tokio::time::sleep;
use treewarden::{
    prelude::*,
    runtime::{Monitor, Tell},
};

#[derive(Debug, PartialEq)]
struct DivideError;

struct Counter {
    total: u64,
    waiting: Vec<Reply<u64>>,
}

#[treewarden::actor]
impl Counter {
    #[tell]
    fn add(&mut self, n: u64) {
        self.total += n;
        for reply in self.waiting.drain(..) {
            reply.send(self.total);
        }
    }

    #[tell]
    async fn add_slowly(&mut self, n: u64) {
        sleep(Duration::from_millis(10)).await;
        self.total += n;
    }

    #[tell]
    #[rustfmt::skip]
    fn parse(&mut self, text: String) -> Result<(), ParseIntError> { // the line that a failure names
        self.total += text.parse::<u64>()?;
        Ok(())
    }

    #[tell]
    fn stop(&mut self, cx: &mut Context<Self>) {
        cx.stop();
    }

    #[ask]
    fn total(&self) -> u64 {
        self.total
    }

    #[ask]
    async fn total_slowly(&mut self, cx: &mut Context<Self>) -> (u64, u64) {
        sleep(Duration::from_millis(10)).await;
        (self.total, cx.incarnation())
    }

    #[ask]
    fn divide(&mut self, by: u64) -> Result<u64, DivideError> {
        self.total = self.total.checked_div(by).ok_or(DivideError)?;
        Ok(self.total)
    }

    #[ask(fails)]
    async fn take(&mut self, n: u64) -> Result<u64, Failure> {
        self.total = self
            .total
            .checked_sub(n)
            .ok_or(Failure::msg("less than nothing"))?;
        Ok(self.total)
    }

    /// Answers after the next change.
    #[ask]
    fn changed(&mut self, reply: Reply<u64>) {
        self.waiting.push(reply);
    }

    #[ask]
    fn changed_from(&mut self, reply: Reply<u64>, old: u64) -> Result<(), Failure> {
        if old > self.total {
            return Err(Failure::msg("from the future"));
        }
        if old == self.total {
            self.waiting.push(reply);
        } else {
            reply.send(self.total);
        }
        Ok(())
    }

    #[ask]
    fn reset(&mut self) {
        self.total = 0;
    }
}

fn spawn() -> CounterClient {
    let counter = Counter {
        total: 0,
        waiting: Vec::new(),
    };
    System::new("test").spawn(counter).into()
}

/// How the actor ended.
async fn end(mut monitor: Monitor) -> ExitReason {
    monitor.next().await.unwrap().reason().clone()
}

#[tokio::test(start_paused = true)]
async fn a_tell_is_a_message_and_an_ask_has_an_answer() {
    let counter = spawn();
    counter.add(3).await.unwrap();
    counter.try_add(4).unwrap();
    counter.add_slowly(5).await.unwrap();
    counter.parse("6".into()).await.unwrap();
    assert_eq!(counter.total().await, Ok(18));
    assert_eq!(counter.total_slowly().await, Ok((18, 1)));
    assert_eq!(counter.reset().await, Ok(()));
    assert_eq!(counter.total().await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_tell_and_an_ask_are_those_of_the_reference() {
    let counter = spawn();
    let telling: Tell<'_, CounterMsg> = counter.add(1);
    assert!(telling.cancel().is_none());
    let asking = counter.total_slowly().timeout(Duration::from_millis(1));
    assert_eq!(asking.await, Err(AskError::Timeout));
    assert_eq!(counter.actor_ref().ask(CounterMsg::Total).await, Ok(1));
    counter.stop().await.unwrap();
    counter.actor_ref().closed().await;
    let TellError::Gone(CounterMsg::Add(7)) = counter.try_add(7).unwrap_err() else {
        panic!("the message comes back");
    };
}

#[tokio::test(start_paused = true)]
async fn a_result_is_an_answer_and_not_a_crash() {
    let counter = spawn();
    counter.add(6).await.unwrap();
    assert_eq!(counter.divide(0).await, Ok(Err(DivideError)));
    assert_eq!(counter.divide(2).await, Ok(Ok(3)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_tell_fails_the_actor_at_the_line_of_the_method() {
    let counter = spawn();
    let monitor = counter.actor_ref().monitor();
    counter.parse("six".into()).await.unwrap();
    let ExitReason::Failed(failure) = end(monitor).await else {
        panic!("it has failed");
    };
    assert!(failure.downcast_ref::<ParseIntError>().is_some());
    let line = include_str!("actor.rs")
        .lines()
        .position(|line| line.ends_with("// the line that a failure names"));
    assert!(failure.location().file().ends_with("actor.rs"));
    assert_eq!(failure.location().line() as usize, line.unwrap() + 1);
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_fails_answers_with_the_value_and_crashes_with_the_error() {
    let counter = spawn();
    let monitor = counter.actor_ref().monitor();
    counter.add(6).await.unwrap();
    assert_eq!(counter.take(2).await, Ok(4));
    assert_eq!(counter.take(5).await, Err(AskError::CrashedWhileHandling));
    let reason = end(monitor).await;
    assert_eq!(reason.to_string(), "failed: less than nothing");
}

#[tokio::test(start_paused = true)]
async fn a_client_outlives_a_restart() {
    let child = Child::actor("counter", |_| async {
        Ok(Counter {
            total: 0,
            waiting: Vec::new(),
        })
    });
    let system = System::new("test");
    let supervisor = Supervisor::one_for_one("app").child(child);
    let tree = supervisor.start(&system).await.unwrap();
    let counter = CounterClient::from(tree.actor::<CounterMsg>("counter").unwrap());
    counter.parse("six".into()).await.unwrap();
    counter.add(1).await.unwrap();
    assert_eq!(counter.total_slowly().await, Ok((1, 2)));
    tree.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_can_be_kept_and_sent_later() {
    let counter = spawn();
    let (changed, ()) = tokio::join!(counter.changed(), async {
        sleep(Duration::from_secs(1)).await;
        counter.add(2).await.unwrap();
    });
    assert_eq!(changed, Ok(2));
    assert_eq!(counter.changed_from(1).await, Ok(2));
    let future = counter.changed_from(9).await;
    assert_eq!(future, Err(AskError::CrashedWhileHandling));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_a_reference() {
    let counter = spawn();
    let other = counter.clone();
    counter.add(1).await.unwrap();
    assert_eq!(other.total().await, Ok(1));
    assert_eq!(Counter::label(&CounterMsg::Add(1)), "Add");
    let name = counter.actor_ref().path();
    assert_eq!(format!("{counter:?}"), format!("ActorRef({name})"));
    let actor: ActorRef<CounterMsg> = counter.into();
    assert!(actor == *other.actor_ref());
}

struct Hooked(mpsc::Sender<String>);

#[treewarden::actor]
impl Hooked {
    #[tell]
    fn panics(&mut self) {
        panic!("as it was told");
    }

    #[tell]
    fn nothing(&mut self) {}

    #[hook]
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.note(format!("started {}", cx.incarnation()))
    }

    /// It need not be async.
    #[hook]
    fn stopped(&mut self, reason: &ExitReason, _cx: &mut Context<Self>) {
        self.note(format!("stopped {reason}")).unwrap();
    }

    #[hook]
    fn label(msg: &HookedMsg) -> &'static str {
        match msg {
            HookedMsg::Panics => "bang",
            HookedMsg::Nothing => "nothing",
        }
    }

    /// Not a hook: without a mark it stays what it is.
    fn note(&self, line: String) -> Result<(), Failure> {
        Ok(self.0.send(line)?)
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_are_methods_of_the_trait() {
    let (notes, noted) = mpsc::channel();
    let system = System::new("test");
    let hooked = HookedClient::from(system.spawn(Hooked(notes.clone())));
    hooked.nothing().await.unwrap();
    hooked.actor_ref().drain();
    hooked.actor_ref().closed().await;
    let hooked = HookedClient::from(system.spawn(Hooked(notes)));
    let monitor = hooked.actor_ref().monitor();
    hooked.panics().await.unwrap();
    assert_eq!(end(monitor).await.kind(), "panicked");
    assert_eq!(Hooked::label(&HookedMsg::Panics), "bang");
    let noted: Vec<_> = noted.try_iter().collect();
    assert_eq!(noted, ["started 1", "stopped normal", "started 1"]);
}

struct Cache<K, V, F, const N: usize> {
    known: HashMap<K, [V; N]>,
    load: F,
}

#[treewarden::actor]
impl<K, V: Clone + PartialEq, F, const N: usize> Cache<K, V, F, N>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static + for<'a> From<&'a K>,
    F: Fn(&K, V) -> V + Send + 'static,
    [V; N]: Default,
{
    #[ask]
    fn get(&mut self, key: K) -> [V; N] {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut values = <[V; N]>::default();
        for value in &mut values {
            *value = (self.load)(&key, V::from(&key));
        }
        self.known.insert(key, values.clone());
        values
    }

    #[tell]
    fn forget(&mut self, which: Box<dyn Fn(&K) -> bool + Send>) {
        self.known.retain(|key, _| !which(key));
    }

    #[ask]
    fn len(&self) -> usize {
        self.known.len()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Text(String);

impl From<&u8> for Text {
    fn from(n: &u8) -> Self {
        Self(n.to_string())
    }
}

/// From code that is generic itself.
async fn fetch<K, V>(cache: &CacheClient<K, V, 2>, key: K) -> [V; 2]
where
    K: Hash + Eq + Send + 'static,
    V: Clone + PartialEq + Send + 'static + for<'a> From<&'a K>,
    [V; 2]: Default,
{
    cache.get(key).await.unwrap()
}

impl Default for Text {
    fn default() -> Self {
        Self("none".into())
    }
}

#[tokio::test(start_paused = true)]
async fn generics_go_along_where_the_messages_name_them() {
    let cache = Cache {
        known: HashMap::new(),
        load: |_: &u8, Text(text)| Text(text + "!"),
    };
    let cache: CacheClient<u8, Text, 2> = System::new("test").spawn(cache).into();
    let seven = Text("7!".into());
    assert_eq!(fetch(&cache, 7).await, [seven.clone(), seven]);
    cache.forget(Box::new(|key| *key == 7)).await.unwrap();
    assert_eq!(cache.len().await, Ok(0));
}

/// None of its parameters is named by a message.
struct Sink<W>(W);

#[treewarden::actor]
impl<W: std::io::Write + Send + 'static> Sink<W> {
    #[tell]
    fn write(&mut self, line: Vec<u8>) -> std::io::Result<()> {
        self.0.write_all(&line)
    }

    /// `Self` in a message is the actor.
    #[tell]
    fn fork(&mut self, other: Option<Box<SinkIn<W>>>) {
        let _ = other;
    }
}

type SinkIn<W> = (Sink<W>, u8);

struct Tree {
    depth: usize,
}

#[treewarden::actor]
impl Tree {
    #[ask]
    fn grow(&mut self, other: Vec<Self>) -> Option<Self> {
        let deepest = other.into_iter().map(|tree| tree.depth).max()?;
        Some(Self {
            depth: self.depth + deepest,
        })
    }

    #[ask]
    #[allow(clippy::needless_arbitrary_self_type)]
    fn depth(self: &Self) -> usize {
        self.depth
    }

    #[tell]
    fn skip(&mut self, past: <Self as Iterator>::Item) {
        self.depth = past;
    }
}

impl Iterator for Tree {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        Some(self.depth)
    }
}

#[tokio::test(start_paused = true)]
async fn self_in_a_message_is_the_actor() {
    let tree = TreeClient::from(System::new("test").spawn(Tree { depth: 1 }));
    let grown = tree.grow(vec![Tree { depth: 4 }]).await.unwrap();
    assert_eq!(grown.map(|tree| tree.depth), Some(5));
    assert_eq!(tree.depth().await, Ok(1));
    tree.skip(7).await.unwrap();
    assert_eq!(tree.depth().await, Ok(7));
    let sink = SinkClient::from(System::new("test").spawn(Sink(Vec::new())));
    sink.write(vec![1]).await.unwrap();
    sink.fork(None::<Box<SinkIn<Vec<u8>>>>).await.unwrap();
}

/// One implementation of a generic type.
struct Of<T>(T);

#[treewarden::actor(message = OfU8Msg, client = OfU8)]
impl Of<u8> {
    #[ask]
    fn get(&self) -> u8 {
        self.0
    }
}

mod inner {
    //! Names that are taken, words that are reserved, and visibility.
    #![allow(dead_code, non_camel_case_types)]

    pub(crate) use treewarden as elsewhere;

    struct Result;
    struct Option;
    struct Actor;
    struct Reply;
    struct Tell;
    struct Clone;
    struct From;

    #[derive(Debug)]
    pub(crate) struct Broken;

    impl core::convert::From<Broken> for elsewhere::runtime::Failure {
        fn from(broken: Broken) -> Self {
            Self::msg(format!("{broken:?}"))
        }
    }

    pub(crate) struct Odd;

    #[treewarden::actor(
        message = Words,
        client = Speaker,
        error = Broken,
        vis = pub(crate),
        derive(Debug, PartialEq),
        crate = crate::inner::elsewhere,
    )]
    impl Odd {
        #[tell]
        pub(super) fn reply(&mut self, reply: u8, msg: u8, cx: u8, mut f: u8) {
            f += 1;
            let _ = (reply, msg, cx, f);
        }

        #[tell]
        pub(super) fn r#type(&mut self, r#fn: u8) {
            let _ = r#fn;
        }

        #[tell]
        pub(crate) fn breaks(&mut self) -> core::result::Result<(), Broken> {
            Err(Broken)
        }

        #[tell]
        #[cfg(any())]
        fn never(&mut self, what: NoSuchType) {}

        #[deprecated]
        #[tell]
        fn handle(&mut self, _unused: u8) {}
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_taken_do_no_harm() {
    let odd = inner::Speaker::from(System::new("test").spawn(inner::Odd));
    let monitor = odd.actor_ref().monitor();
    odd.reply(1, 2, 3, 4).await.unwrap();
    odd.r#type(1).await.unwrap();
    odd.try_type(1).unwrap();
    assert_eq!(inner::Words::Type(1), inner::Words::Type(1));
    odd.breaks().await.unwrap();
    assert_eq!(end(monitor).await.to_string(), "failed: Broken");
}

#[tokio::test(start_paused = true)]
async fn a_block_for_one_type_of_a_generic_actor_has_no_parameters() {
    let of = OfU8::from(System::new("test").spawn(Of(7)));
    assert_eq!(of.get().await, Ok(7));
}
