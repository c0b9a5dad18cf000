//! Faults at mailboxes.
#![allow(missing_docs)]

use std::time::Duration;

use tokio::time::Instant;
use treewarden_runtime::{
    Actor, ActorRef, AskError, Context, ExitReason, Failure, Recipient, Reply, System,
};
use treewarden_supervisor::{Child, Supervisor, Tree};
use treewarden_testkit::{Crash, Fault, FaultPlan, Probe, When, expect_end, settle};

const SECOND: Duration = Duration::from_secs(1);

/// Tells a probe of everything that happens to it.
struct Talker(Recipient<String>);

#[derive(Debug)]
enum Msg {
    Say(u32),
    Ask(Reply<u32>),
    Stop,
}

impl Clone for Msg {
    fn clone(&self) -> Self {
        match self {
            Msg::Say(n) => Msg::Say(*n),
            Msg::Ask(_) | Msg::Stop => Msg::Stop,
        }
    }
}

impl Actor for Talker {
    type Msg = Msg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.0.tell(format!("+{}", cx.incarnation())).await?;
        Ok(())
    }

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Say(n) => self.0.tell(n.to_string()).await?,
            Msg::Ask(reply) => reply.send(7),
            Msg::Stop => cx.stop(),
        }
        Ok(())
    }

    async fn stopped(&mut self, reason: &ExitReason, _: &mut Context<Self>) {
        let _ = self.0.tell(format!("-{}", reason.kind())).await;
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Say(_) => "say",
            Msg::Ask(_) => "ask",
            Msg::Stop => "stop",
        }
    }
}

/// A tree with one talker, whose messages go through `plan`, and what it said since its start.
async fn tree(plan: &FaultPlan<Msg>) -> (Tree, ActorRef<Msg>, Probe<String>) {
    let system = System::new("test");
    let mut probe = Probe::<String>::spawn(&system, "probe");
    let ear = probe.recipient();
    let factory = plan.factory(move |_| {
        let ear = ear.clone();
        async move { Ok(Talker(ear)) }
    });
    let tree = Supervisor::one_for_one("app")
        .intensity(10, SECOND)
        .child(Child::actor("talker", factory))
        .start(&system)
        .await
        .expect("the tree starts");
    let talker = tree.actor("talker").expect("it is there");
    probe
        .expect_where(SECOND, |line| line.starts_with('+'))
        .await;
    (tree, talker, probe)
}

async fn say(talker: &ActorRef<Msg>, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        talker.tell(Msg::Say(n)).await.expect("it is there");
    }
    settle().await;
}

fn said(probe: &mut Probe<String>) -> String {
    let lines: Vec<_> = std::iter::from_fn(|| probe.take()).collect();
    lines.join(" ")
}

/// What a talker says to the messages 1 to 6 under this plan, and which faults befell which message.
async fn check(plan: FaultPlan<Msg>, expected: &str, faults: &[(u64, Fault)]) {
    let (_tree, talker, mut probe) = tree(&plan).await;
    say(&talker, 1..=6).await;
    assert_eq!(said(&mut probe), expected);
    let injected: Vec<_> = plan
        .injected()
        .iter()
        .map(|injected| (injected.nth, injected.fault))
        .collect();
    assert_eq!(injected, faults);
    assert_eq!(plan.messages(), 6);
}

fn plan() -> FaultPlan<Msg> {
    FaultPlan::seeded(7)
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_faults_changes_nothing() {
    check(plan(), "1 2 3 4 5 6", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn each_fault_befalls_its_message() {
    use Fault::{Crashed, CrashedAfter, Dropped, Duplicated, Lost};
    let third = || When::nth(3);
    check(plan().drop(third()), "1 2 4 5 6", &[(3, Dropped)]).await;
    check(plan().lose(third()), "1 2 4 5 6", &[(3, Lost)]).await;
    check(
        plan().duplicate(third()),
        "1 2 3 3 4 5 6",
        &[(3, Duplicated)],
    )
    .await;
    // The restart after it does not crash again, and the queue is kept.
    let panics = plan().crash(third(), Crash::Panic);
    check(panics, "1 2 +2 4 5 6", &[(3, Crashed(Crash::Panic))]).await;
    let fails = plan().crash(third(), Crash::Error);
    check(fails, "1 2 -failed +2 4 5 6", &[(3, Crashed(Crash::Error))]).await;
    let after = plan().crash_after(third(), Crash::Panic);
    check(after, "1 2 3 +2 4 5 6", &[(3, CrashedAfter(Crash::Panic))]).await;
}

#[tokio::test(start_paused = true)]
async fn what_befalls_a_message_can_depend_on_it() {
    let even = || When::every(2).of(|msg| matches!(msg, Msg::Say(n) if n % 2 == 0));
    check(plan().drop(even()), "1 2 3 5 6", &[(4, Fault::Dropped)]).await;
    let both = plan().drop(even()).duplicate(When::every(3));
    let faults = [
        (3, Fault::Duplicated),
        (4, Fault::Dropped),
        (6, Fault::Duplicated),
    ];
    check(both, "1 2 3 3 5 6 6", &faults).await;
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_up_those_behind_it_and_keeps_the_order() {
    let plan = plan().delay(When::nth(2), SECOND);
    let (_tree, talker, mut probe) = tree(&plan).await;
    let began = Instant::now();
    say(&talker, 1..=3).await;
    assert_eq!(said(&mut probe), "1");
    probe
        .expect_in_order(2 * SECOND, ["2".into(), "3".into()])
        .await;
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(plan.injected()[0].fault, Fault::Delayed(SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_to_chance_follows_from_the_seed() {
    async fn faults(seed: u64) -> Vec<(u64, Fault)> {
        let plan = FaultPlan::seeded(seed)
            .drop(When::chance(0.3))
            .jitter(When::chance(0.5), SECOND)
            .crash(When::chance(0.02), Crash::Error);
        let (_tree, talker, _probe) = tree(&plan).await;
        say(&talker, 0..200).await;
        tokio::time::sleep(200 * SECOND).await;
        assert_eq!(plan.messages(), 200);
        let dropped = plan.count(|fault| *fault == Fault::Dropped);
        assert!((30..90).contains(&dropped), "{dropped}");
        let injected = plan.injected();
        injected.iter().map(|one| (one.nth, one.fault)).collect()
    }
    assert_eq!(faults(1).await, faults(1).await);
    assert_ne!(faults(1).await, faults(2).await);
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_hears_of_a_drop_and_waits_after_a_loss() {
    let plan = plan().drop(When::nth(1)).lose(When::nth(2));
    let (_tree, talker, _probe) = tree(&plan).await;
    assert_eq!(talker.ask(Msg::Ask).await, Err(AskError::NoReply));
    let began = Instant::now();
    let lost = talker.ask(Msg::Ask).timeout(SECOND).await;
    assert_eq!((lost, began.elapsed()), (Err(AskError::Timeout), SECOND));
    // It can come late.
    let [late] = &mut plan.take_lost()[..] else {
        panic!("one was lost")
    };
    assert!(matches!(late, Msg::Ask(reply) if reply.is_abandoned()));
    assert_eq!(talker.ask(Msg::Ask).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_crash_names_the_message_and_tells_its_asker() {
    let plan = plan().crash(When::nth(1), Crash::Panic);
    let (tree, talker, _probe) = tree(&plan).await;
    let mut events = tree.events();
    let end = expect_end(&talker, SECOND);
    let error = talker.ask(Msg::Ask).await.expect_err("it crashed");
    assert_eq!(error, AskError::CrashedWhileHandling);
    assert_eq!(end.await.to_string(), "panicked: injected at message 1");
    let suspect = loop {
        if let Some(suspect) = events.recv().await.expect("it runs").suspect {
            break suspect;
        }
    };
    assert_eq!((suspect.sequence, suspect.label), (1, "ask"));
    let [injected] = &plan.injected()[..] else {
        panic!("one fault")
    };
    assert_eq!(
        (&*injected.path, injected.incarnation, injected.label),
        ("/app/talker", 1, "ask")
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_can_fail() {
    let plan = plan().crash(When::nth(1), Crash::Panic).fail_starts(2..3);
    let (_tree, talker, mut probe) = tree(&plan).await;
    say(&talker, 1..=2).await;
    assert_eq!(said(&mut probe), "+3 2");
    assert_eq!(plan.count(|fault| *fault == Fault::StartFailed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_actor_inside_has_its_own_context() {
    let (_tree, talker, mut probe) = tree(&plan()).await;
    let end = expect_end(&talker, SECOND);
    talker.tell(Msg::Stop).await.expect("it is there");
    assert!(matches!(end.await, ExitReason::Normal));
    settle().await;
    assert_eq!(said(&mut probe), "-normal +2");
}

#[tokio::test(start_paused = true)]
async fn faults_can_lie_on_the_way_to_an_actor() {
    let system = System::new("test");
    let mut probe = Probe::spawn(&system, "probe");
    let plan = FaultPlan::seeded(7)
        .drop(When::nth(2))
        .duplicate(When::nth(3));
    let way = plan.between(&system, &probe.actor_ref());
    way.tell_all(1..=4).await.expect("it is there");
    probe.expect_in_order(SECOND, [1, 3, 3, 4]).await;
    probe.actor_ref().stop();
    settle().await;
    way.tell(5).await.expect("the way is still there");
    settle().await;
    assert_eq!(plan.count(|fault| *fault == Fault::NotAccepted), 1);
}
