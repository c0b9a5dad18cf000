//! Timers, in paused time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use treewarden_runtime::host::{HostSpec, Life, Observer};
use treewarden_runtime::{
    Actor, ActorRef, AddressState, Context, DeadLetterReason, Failure, Init, Mailbox, MissedTicks,
    SpawnOptions, System, Timer,
};

const SECOND: Duration = Duration::from_secs(1);

type Set = Box<dyn FnOnce(&mut Context<Clock>) -> Option<Timer> + Send>;

enum Msg {
    /// Sets a timer, and keeps its handle.
    Set(Set),
    /// Cancels the timer that was set last, and tells what that said.
    Cancel,
    Tick(&'static str),
    Busy(Duration),
    Fail,
}

/// Tells what it handles, and when, in seconds since the test began.
struct Clock {
    began: Instant,
    told: mpsc::UnboundedSender<String>,
    timer: Option<Timer>,
}

impl Clock {
    fn tell(&self, what: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let _ = self.told.send(format!("{what}@{seconds:.1}")); // the test may have ended
    }
}

impl Actor for Clock {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Set(set) => self.timer = set(cx),
            Msg::Cancel => {
                let cancelled = self.timer.as_ref().is_some_and(Timer::cancel);
                self.tell(if cancelled { "cancelled" } else { "too late" });
            }
            Msg::Tick(name) => self.tell(name),
            Msg::Busy(time) => tokio::time::sleep(time).await,
            Msg::Fail => return Err(Failure::msg("told to")),
        }
        Ok(())
    }
}

struct Told(mpsc::UnboundedReceiver<String>);

impl Told {
    /// What was told within so much time from now.
    async fn within(&mut self, time: Duration) -> String {
        tokio::time::sleep(time).await;
        let mut all = Vec::new();
        while let Ok(one) = self.0.try_recv() {
            all.push(one);
        }
        all.join(" ")
    }
}

fn clock(system: &System) -> (ActorRef<Msg>, Told) {
    let (told, receiver) = mpsc::unbounded_channel();
    let clock = Clock {
        began: Instant::now(),
        told,
        timer: None,
    };
    // As small as can be: timers need no room.
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(1));
    let clock = system.spawn_with(options, clock).expect("no name to clash");
    (clock, Told(receiver))
}

fn set(set: impl FnOnce(&mut Context<Clock>) -> Timer + Send + 'static) -> Msg {
    Msg::Set(Box::new(|cx| Some(set(cx))))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_when_its_delay_has_passed_and_not_after_it_was_cancelled() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    let once = || set(|cx| cx.send_after(2 * SECOND, Msg::Tick("tick")));
    clock.tell(once()).await.unwrap();
    assert_eq!(told.within(3 * SECOND).await, "tick@2.0");
    clock.tell(Msg::Cancel).await.unwrap();
    assert_eq!(told.within(SECOND).await, "too late@3.0");
    clock.tell(once()).await.unwrap();
    assert_eq!(told.within(SECOND).await, "");
    clock.tell(Msg::Cancel).await.unwrap();
    assert_eq!(told.within(10 * SECOND).await, "cancelled@5.0");
    assert_eq!(system.dead_letters().total(), 0);
    clock
        .tell(set(|cx| {
            cx.send_at(Instant::now() - SECOND, Msg::Tick("past"))
        }))
        .await
        .unwrap();
    assert_eq!(told.within(SECOND).await, "past@15.0");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_in_the_mailbox_is_not_handled_once_its_timer_is_cancelled() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    let (hand, handle) = std::sync::mpsc::channel();
    clock
        .tell(set(move |cx| {
            let timer = cx.send_after(SECOND, Msg::Tick("tick"));
            hand.send(timer.clone()).expect("the test waits");
            timer
        }))
        .await
        .unwrap();
    clock.tell(Msg::Busy(3 * SECOND)).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    let timer = handle.recv().expect("it was set");
    assert!(timer.is_active() && timer.cancel() && !timer.cancel());
    assert_eq!(told.within(10 * SECOND).await, "");
    assert_eq!(system.dead_letters().count(DeadLetterReason::Stale), 1);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_come_while_one_waits_are_skipped_made_up_for_or_delayed() {
    let table = [
        // Busy from 1.5 to 4.7.
        (MissedTicks::Skip, "t@1.0 t@4.7 t@5.0 t@6.0"),
        (MissedTicks::Burst, "t@1.0 t@4.7 t@4.7 t@4.7 t@5.0 t@6.0"),
        (MissedTicks::Delay, "t@1.0 t@4.7 t@5.7 t@6.7"),
    ];
    for (missed, expected) in table {
        let system = System::new("test");
        let (clock, mut told) = clock(&system);
        clock
            .tell(set(move |cx| {
                cx.send_every(SECOND, missed, || Msg::Tick("t"))
            }))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        clock
            .tell(Msg::Busy(Duration::from_millis(3200)))
            .await
            .unwrap();
        assert_eq!(
            told.within(Duration::from_millis(5250)).await,
            expected,
            "{missed:?}"
        );
        clock.tell(Msg::Cancel).await.unwrap();
        assert!(told.within(SECOND).await.starts_with("cancelled"));
        assert_eq!(told.within(10 * SECOND).await, "", "{missed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_timeout_counts_from_the_last_handler_and_comes_again() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    clock
        .tell(set(|cx| cx.idle_timeout(3 * SECOND, || Msg::Tick("idle"))))
        .await
        .unwrap();
    tokio::time::sleep(SECOND).await;
    clock.tell(Msg::Busy(4 * SECOND)).await.unwrap(); // until 5
    assert_eq!(told.within(6 * SECOND).await, ""); // 7
    clock.tell(Msg::Tick("message")).await.unwrap();
    assert_eq!(
        told.within(8 * SECOND).await, // 15
        "message@7.0 idle@10.0 idle@13.0"
    );
    clock.tell(Msg::Cancel).await.unwrap();
    assert_eq!(told.within(10 * SECOND).await, "cancelled@15.0");
}

#[tokio::test(start_paused = true)]
async fn a_receive_timeout_comes_unless_another_message_does() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    let timeout = || set(|cx| cx.receive_timeout(3 * SECOND, Msg::Tick("timeout")));
    clock.tell(timeout()).await.unwrap();
    assert_eq!(told.within(10 * SECOND).await, "timeout@3.0");
    clock.tell(timeout()).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    clock.tell(Msg::Tick("message")).await.unwrap();
    assert_eq!(told.within(10 * SECOND).await, "message@12.0");
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_no_time_keep_nobody_from_running() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    for timeout in [
        set(|cx| cx.receive_timeout(Duration::ZERO, Msg::Tick("late"))),
        set(|cx| cx.idle_timeout(Duration::ZERO, || Msg::Tick("idle"))),
        set(|cx| {
            cx.send_every(Duration::from_nanos(1), MissedTicks::Burst, || {
                Msg::Tick("t")
            })
        }),
    ] {
        clock.tell(timeout).await.unwrap();
        clock.tell(Msg::Busy(SECOND)).await.unwrap();
        tokio::time::sleep(2 * SECOND).await;
        clock.tell(Msg::Cancel).await.unwrap();
        tokio::time::sleep(SECOND).await;
    }
    let told = told.within(SECOND).await;
    assert!(
        told.contains("idle@") && told.ends_with("cancelled@8.0"),
        "{told}"
    );
}

/// Passes the lives of a hosted address on.
struct Lives(mpsc::UnboundedSender<Life>);

impl Observer for Lives {
    fn on_life(&self, life: Life) {
        let _ = self.0.send(life);
    }
}

#[tokio::test(start_paused = true)]
async fn timers_end_with_their_incarnation_also_those_whose_message_waits() {
    let system = System::new("test");
    let (told, receiver) = mpsc::unbounded_channel();
    let mut told_by = Told(receiver);
    let (lives, mut life) = mpsc::unbounded_channel();
    let began = Instant::now();
    let make = move |_: Init<Msg>| {
        let clock = Clock {
            began,
            told: told.clone(),
            timer: None,
        };
        async move { Ok(Some(clock)) }
    };
    let (clock, host) = system
        .host::<Clock, _, _>(
            HostSpec::new("/clock"),
            make,
            std::sync::Arc::new(Lives(lives)),
        )
        .expect("a thread is not needed");
    host.start();
    life.recv().await.expect("it starts");
    for delay in [1, 2, 5] {
        let timer = set(move |cx| cx.send_after(delay * SECOND, Msg::Tick("old")));
        clock.tell(timer).await.unwrap();
    }
    clock
        .tell(set(|cx| {
            cx.send_every(SECOND, MissedTicks::Burst, || Msg::Tick("old"))
        }))
        .await
        .unwrap();
    // Those that are due meanwhile wait behind the failure.
    clock
        .tell(Msg::Busy(Duration::from_millis(2500)))
        .await
        .unwrap();
    clock.tell(Msg::Fail).await.unwrap();
    life.recv().await.expect("it ends");
    host.mark(AddressState::Restarting);
    host.start();
    life.recv().await.expect("it starts again");
    assert_eq!(told_by.within(20 * SECOND).await, "");
    assert_eq!(system.dead_letters().count(DeadLetterReason::Stale), 3);
    // The next incarnation has timers of its own.
    clock
        .tell(set(|cx| cx.send_after(SECOND, Msg::Tick("new"))))
        .await
        .unwrap();
    assert_eq!(told_by.within(2 * SECOND).await, "new@23.5");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_ends_its_timer_and_nothing_else() {
    let system = System::new("test");
    let (clock, mut told) = clock(&system);
    let mut left = 2;
    let make = move || {
        left -= 1;
        assert!(left >= 0, "enough");
        Msg::Tick("t")
    };
    clock
        .tell(set(move |cx| {
            cx.send_every(SECOND, MissedTicks::Skip, make)
        }))
        .await
        .unwrap();
    assert_eq!(told.within(10 * SECOND).await, "t@1.0 t@2.0");
    clock.tell(Msg::Cancel).await.unwrap();
    assert_eq!(told.within(SECOND).await, "too late@10.0");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_timers_fire_each_in_its_time() {
    const TIMERS: u64 = 100_000;
    struct Many {
        began: Instant,
        fired: u64,
        done: Option<tokio::sync::oneshot::Sender<u64>>,
    }
    impl Actor for Many {
        type Msg = u64;
        type Error = Failure;
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
            for number in 0..TIMERS {
                // In an order that is not theirs.
                let due_ms = (number * 7919) % TIMERS;
                cx.send_after(Duration::from_millis(due_ms), due_ms);
            }
            Ok(())
        }
        async fn handle(&mut self, due_ms: u64, _: &mut Context<Self>) -> Result<(), Failure> {
            let now_ms = self.began.elapsed().as_millis() as u64;
            assert!(
                (due_ms..=due_ms + 1).contains(&now_ms),
                "{due_ms} at {now_ms}"
            );
            self.fired += 1;
            if self.fired == TIMERS
                && let Some(done) = self.done.take()
            {
                let _ = done.send(self.fired);
            }
            Ok(())
        }
    }
    let (done, fired) = tokio::sync::oneshot::channel();
    System::new("test").spawn(Many {
        began: Instant::now(),
        fired: 0,
        done: Some(done),
    });
    assert_eq!(fired.await, Ok(TIMERS));
}
