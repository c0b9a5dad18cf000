//! Streams into actors, and actors as sinks.
#![allow(missing_docs)]

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use futures_util::{SinkExt, Stream, StreamExt, stream};
use tokio::sync::{Notify, mpsc};
use treewarden_runtime::host::{HostSpec, Life, Observer};
use treewarden_runtime::{
    Actor, AddressState, Attachment, Context, DeadLetterReason, Failure, Init, Mailbox, Overflow,
    Recipient, SpawnOptions, System, TellError, of_receiver,
};

type Attach = Box<dyn FnOnce(&mut Context<Pool>) -> Attachment + Send>;

enum Msg {
    Attach(Attach),
    Detach,
    Item(u64),
    End,
    Wait(Arc<Notify>),
    Fail,
}

impl From<u64> for Msg {
    fn from(n: u64) -> Msg {
        Msg::Item(n)
    }
}

type Log = Arc<Mutex<Vec<String>>>;

struct Pool {
    log: Log,
    attachment: Option<Attachment>,
}

impl Pool {
    fn new(log: &Log) -> Pool {
        Pool {
            log: log.clone(),
            attachment: None,
        }
    }

    fn note(&self, line: impl Into<String>) {
        self.log.lock().expect("nobody panics").push(line.into());
    }
}

impl Actor for Pool {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Attach(attach) => self.attachment = Some(attach(cx)),
            Msg::Detach => {
                let attachment = self.attachment.as_ref().expect("there is one");
                assert!(attachment.is_active());
                attachment.detach();
            }
            Msg::Item(n) => self.note(n.to_string()),
            Msg::End => self.note("end"),
            Msg::Wait(until) => until.notified().await,
            Msg::Fail => return Err(Failure::msg("told to")),
        }
        Ok(())
    }
}

fn attach(stream: impl Stream<Item = u64> + Send + 'static) -> Msg {
    Msg::Attach(Box::new(|cx| {
        cx.attach(stream, |item| item.map_or(Msg::End, Msg::Item))
    }))
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn taken(log: &Log) -> String {
    std::mem::take(&mut *log.lock().expect("nobody panics")).join(" ")
}

/// Counts how many items were taken from it.
struct Counted {
    taken: Arc<AtomicU64>,
}

impl Stream for Counted {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<u64>> {
        Poll::Ready(Some(self.taken.fetch_add(1, Ordering::SeqCst)))
    }
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_stream_and_its_end_become_messages_in_order() {
    let log = Log::default();
    let pool = System::new("test").spawn(Pool::new(&log));
    pool.tell(attach(stream::iter(1..=4))).await.unwrap();
    settle().await;
    assert_eq!(taken(&log), "1 2 3 4 end");
    let (sender, receiver) = mpsc::channel(2);
    pool.tell(attach(of_receiver(receiver))).await.unwrap();
    for n in 5..=9 {
        sender.send(n).await.unwrap();
    }
    settle().await;
    assert_eq!(taken(&log), "5 6 7 8 9");
    drop(sender);
    settle().await;
    assert_eq!(taken(&log), "end");
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_holds_the_stream_back() {
    let log = Log::default();
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(4));
    let pool = System::new("test")
        .spawn_with(options, Pool::new(&log))
        .expect("no name to clash");
    let count = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        taken: count.clone(),
    };
    let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    pool.tell(attach(counted)).await.unwrap();
    pool.tell(Msg::Wait(first.clone())).await.unwrap();
    settle().await;
    // Four in the mailbox, one that waits for room.
    assert_eq!(count.load(Ordering::SeqCst), 5);
    let detach = pool.tell(Msg::Detach);
    first.notify_one();
    detach.await.unwrap();
    pool.tell(Msg::Wait(second.clone())).await.unwrap();
    settle().await;
    let before = count.load(Ordering::SeqCst);
    second.notify_one();
    settle().await;
    assert_eq!(count.load(Ordering::SeqCst), before, "it was detached");
    assert!(!taken(&log).contains("end"));
}

#[tokio::test(start_paused = true)]
async fn items_that_a_mailbox_refuses_or_drops_are_dead_letters() {
    for overflow in [Overflow::Refuse, Overflow::DropNewest] {
        let (system, log) = (System::new("test"), Log::default());
        let mailbox = Mailbox::bounded(2).overflow(overflow);
        let pool = system
            .spawn_with(SpawnOptions::new().mailbox(mailbox), Pool::new(&log))
            .expect("no name to clash");
        let gate = Arc::new(Notify::new());
        pool.tell(attach(stream::iter(1..=5))).await.unwrap();
        pool.tell(Msg::Wait(gate.clone())).await.unwrap();
        settle().await;
        gate.notify_one();
        settle().await;
        // Two have found room behind the one that waits; three items and the end have not.
        assert_eq!(taken(&log), "1 2", "{overflow:?}");
        assert_eq!(
            system.dead_letters().count(DeadLetterReason::DroppedNewest),
            4,
            "{overflow:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_has_ended() {
    let log = Log::default();
    let pool = System::new("test").spawn(Pool::new(&log));
    let stream = stream::iter(1..).map(|n| {
        assert!(n < 3, "enough");
        n
    });
    pool.tell(attach(stream)).await.unwrap();
    settle().await;
    assert_eq!(taken(&log), "1 2 end");
}

struct Lives(mpsc::UnboundedSender<Life>);

impl Observer for Lives {
    fn on_life(&self, life: Life) {
        let _ = self.0.send(life);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_incarnation_and_what_it_queued_is_not_handled_by_the_next() {
    let system = System::new("test");
    let log = Log::default();
    let for_pool = log.clone();
    let make = move |_: Init<Msg>| {
        let pool = Pool::new(&for_pool);
        async move { Ok(Some(pool)) }
    };
    let (sender, mut lives) = mpsc::unbounded_channel();
    let (pool, host) = system
        .host::<Pool, _, _>(HostSpec::new("/pool"), make, Arc::new(Lives(sender)))
        .expect("no thread is needed");
    host.start();
    lives.recv().await.expect("it starts");
    let (items, receiver) = mpsc::channel(10);
    let gate = Arc::new(Notify::new());
    pool.tell(attach(of_receiver(receiver))).await.unwrap();
    pool.tell(Msg::Wait(gate.clone())).await.unwrap();
    pool.tell(Msg::Fail).await.unwrap();
    settle().await;
    items.send(1).await.unwrap();
    items.send(2).await.unwrap();
    settle().await;
    gate.notify_one();
    lives.recv().await.expect("it ends");
    host.mark(AddressState::Restarting);
    host.start();
    settle().await;
    assert!(items.is_closed(), "the stream has been dropped");
    assert_eq!(taken(&log), "");
    assert_eq!(system.dead_letters().count(DeadLetterReason::Stale), 2);
}

#[tokio::test(start_paused = true)]
async fn an_actor_is_a_sink_that_waits_for_room_and_hands_back_what_it_cannot_take() {
    let log = Log::default();
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(2));
    let pool = System::new("test")
        .spawn_with(options, Pool::new(&log))
        .expect("no name to clash");
    let mut sink = pool.sink(Msg::Item);
    sink.send_all(&mut stream::iter(1..=5_u64).map(Ok))
        .await
        .unwrap();
    sink.close().await.unwrap();
    settle().await;
    assert_eq!(taken(&log), "1 2 3 4 5");
    pool.stop();
    pool.closed().await;
    let error = sink.send(6_u64).await.unwrap_err();
    assert!(matches!(error, TellError::Gone(Msg::Item(6))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_a_recipient_like_an_actor() {
    let log = Log::default();
    let pool = System::new("test").spawn(Pool::new(&log));
    let (sender, mut receiver) = mpsc::channel::<u64>(1);
    let recipients: [Recipient<u64>; 2] = [pool.recipient(), sender.into()];
    for recipient in &recipients {
        recipient.tell(7).await.unwrap();
    }
    settle().await;
    assert_eq!(taken(&log), "7");
    assert_eq!(recipients[1].try_tell(8), Err(TellError::Full(())));
    assert_eq!(receiver.recv().await, Some(7));
    assert!(recipients[1] == recipients[1].clone() && recipients[0] != recipients[1]);
    drop(receiver);
    assert_eq!(recipients[1].tell(9).await, Err(TellError::Gone(())));
}
