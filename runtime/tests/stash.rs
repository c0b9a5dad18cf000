//! Messages that are set aside.
#![allow(missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use treewarden_runtime::host::{HostHandle, HostSpec, Life, Observer};
use treewarden_runtime::{
    Actor, ActorRef, AddressState, AskError, Context, DeadLetterReason, Failure, Init,
    MessageContext, Reply, Stash, System,
};

enum Msg {
    Open,
    Close,
    /// Handled when open, stashed before.
    Note(u32),
    Ask(u32, Reply<u32>),
    Fail,
    Stop,
    Drain,
}

type Log = Arc<Mutex<Vec<String>>>;

struct Door {
    is_open: bool,
    stash: Stash,
    log: Log,
}

impl Door {
    fn note(&self, line: String) {
        self.log.lock().expect("nobody panics").push(line);
    }
}

impl Actor for Door {
    type Msg = Msg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        cx.set_stash(self.stash);
        Ok(())
    }

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Open => {
                self.is_open = true;
                cx.unstash();
            }
            Msg::Close => self.is_open = false,
            early @ (Msg::Note(_) | Msg::Ask(..)) if !self.is_open => {
                if let Err(full) = cx.stash(early) {
                    self.note(format!("{full}"));
                }
            }
            // Closes the door behind it.
            Msg::Note(n) if n >= 100 => {
                self.is_open = false;
                self.note(format!("note {n}"));
            }
            Msg::Note(n) => self.note(format!("note {n}")),
            Msg::Ask(n, reply) => reply.send(2 * n),
            Msg::Fail => return Err(Failure::msg("told to")),
            Msg::Stop => cx.stop(),
            Msg::Drain => cx.drain(),
        }
        Ok(())
    }
}

struct Lives(mpsc::UnboundedSender<Life>);

impl Observer for Lives {
    fn on_life(&self, life: Life) {
        let _ = self.0.send(life);
    }
}

struct Scene {
    system: System,
    door: ActorRef<Msg>,
    host: HostHandle,
    lives: mpsc::UnboundedReceiver<Life>,
    log: Log,
}

impl Scene {
    async fn new(stash: Stash) -> Scene {
        let system = System::new("test");
        let log = Log::default();
        let for_door = log.clone();
        let (sender, lives) = mpsc::unbounded_channel();
        let make = move |_: Init<Msg>| {
            let door = Door {
                is_open: false,
                stash,
                log: for_door.clone(),
            };
            async move { Ok(Some(door)) }
        };
        let (door, host) = system
            .host::<Door, _, _>(HostSpec::new("/door"), make, Arc::new(Lives(sender)))
            .expect("no thread is needed");
        let mut scene = Scene {
            system,
            door,
            host,
            lives,
            log,
        };
        scene.start().await;
        scene
    }

    async fn start(&mut self) {
        self.host.start();
        assert!(matches!(
            self.lives.recv().await,
            Some(Life::Started { .. })
        ));
    }

    async fn restart(&mut self) {
        assert!(matches!(self.lives.recv().await, Some(Life::Exited { .. })));
        self.host.mark(AddressState::Restarting);
        self.start().await;
    }

    async fn tell(&self, messages: impl IntoIterator<Item = Msg>) {
        for message in messages {
            self.door.tell(message).await.expect("it runs");
        }
        settle().await;
    }

    fn log(&self) -> String {
        std::mem::take(&mut *self.log.lock().expect("nobody panics")).join(", ")
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stashed_is_handled_in_order_before_what_waits() {
    let scene = Scene::new(Stash::default()).await;
    scene
        .tell([Msg::Note(1), Msg::Note(2), Msg::Open, Msg::Note(3)])
        .await;
    assert_eq!(scene.log(), "note 1, note 2, note 3");
    // One of them closes the door again: those behind it are stashed once more, and keep their order.
    scene
        .tell([
            Msg::Close,
            Msg::Note(4),
            Msg::Note(100),
            Msg::Note(5),
            Msg::Note(6),
            Msg::Open,
            Msg::Note(7),
        ])
        .await;
    assert_eq!(scene.log(), "note 4, note 100");
    scene.tell([Msg::Open]).await;
    assert_eq!(scene.log(), "note 5, note 6, note 7");
}

#[tokio::test(start_paused = true)]
async fn a_full_stash_hands_the_message_back() {
    let scene = Scene::new(Stash::bounded(2)).await;
    scene.tell((1..=3).map(Msg::Note)).await;
    assert_eq!(
        scene.log(),
        "the stash is full with 2 messages; the message was not stashed"
    );
    scene.tell([Msg::Open]).await;
    assert_eq!(scene.log(), "note 1, note 2");
}

#[tokio::test(start_paused = true)]
async fn a_stash_ends_with_its_incarnation_or_is_kept_by_choice() {
    for (stash, dead, expected) in [
        (Stash::default(), 2, "note 3"),
        (
            Stash::default().kept_across_restarts(),
            0,
            "note 1, note 2, note 3",
        ),
    ] {
        let mut scene = Scene::new(stash).await;
        scene.tell([Msg::Note(1), Msg::Note(2), Msg::Fail]).await;
        scene.restart().await;
        settle().await;
        assert_eq!(scene.log(), "", "it is not open");
        scene.tell([Msg::Note(3), Msg::Open]).await;
        assert_eq!(scene.log(), expected);
        let dead_letters = scene.system.dead_letters();
        assert_eq!(dead_letters.count(DeadLetterReason::Stashed), dead);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_stashed_is_answered_later_or_told_that_there_will_be_no_answer() {
    let mut scene = Scene::new(Stash::default()).await;
    let ask = |n: u32| {
        let door = scene.door.clone();
        tokio::spawn(async move { door.ask(|reply| Msg::Ask(n, reply)).await })
    };
    let first = ask(1);
    settle().await;
    scene.tell([Msg::Open]).await;
    assert_eq!(first.await.unwrap(), Ok(2));
    scene.tell([Msg::Close]).await;
    let second = ask(2);
    settle().await;
    scene.tell([Msg::Fail]).await;
    assert_eq!(second.await.unwrap(), Err(AskError::CrashedWhileHandling));
    scene.restart().await;
    // A deadline goes on while it waits.
    let door = scene.door.clone();
    let third = tokio::spawn(async move {
        let ask = door.ask(|reply| Msg::Ask(3, reply));
        ask.timeout(Duration::from_secs(1)).await
    });
    settle().await;
    assert_eq!(third.await.unwrap(), Err(AskError::Timeout));
    scene.tell([Msg::Open]).await;
    let dead_letters = scene.system.dead_letters();
    assert_eq!(dead_letters.count(DeadLetterReason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_told_when_the_stashed_message_has_been_handled() {
    let scene = Scene::new(Stash::default()).await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let receipt = treewarden_runtime::Receipt::new(move |handled| {
        let _ = sender.send(handled);
    });
    let context = MessageContext::new().with_receipt(receipt);
    scene.door.tell_with(Msg::Note(1), context).await.unwrap();
    settle().await;
    assert!(told.try_recv().is_err(), "it has only been set aside");
    scene.tell([Msg::Open]).await;
    assert_eq!(told.try_recv(), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_the_stash_to_the_dead_letters_and_a_drain_handles_what_was_unstashed() {
    let scene = Scene::new(Stash::default()).await;
    scene.tell([Msg::Note(1), Msg::Note(2), Msg::Stop]).await;
    let dead_letters = scene.system.dead_letters();
    assert_eq!(dead_letters.count(DeadLetterReason::Stashed), 2);
    let scene = Scene::new(Stash::default()).await;
    scene
        .tell([Msg::Note(1), Msg::Note(2), Msg::Drain, Msg::Open])
        .await;
    assert_eq!(scene.log(), "note 1, note 2");
}

#[tokio::test(start_paused = true)]
async fn a_group_restart_and_the_end_of_the_address_discard_what_is_kept() {
    let mut scene = Scene::new(Stash::default().kept_across_restarts()).await;
    scene.tell([Msg::Note(1), Msg::Fail]).await;
    assert!(matches!(
        scene.lives.recv().await,
        Some(Life::Exited { .. })
    ));
    scene.host.mark(AddressState::Restarting);
    scene.host.discard_queue(DeadLetterReason::GroupRestart);
    scene.start().await;
    let dead_letters = scene.system.dead_letters();
    assert_eq!(dead_letters.count(DeadLetterReason::GroupRestart), 1);
    scene.tell([Msg::Note(2), Msg::Stop]).await;
    assert!(matches!(
        scene.lives.recv().await,
        Some(Life::Exited { .. })
    ));
    scene.host.retire();
    settle().await;
    assert_eq!(dead_letters.count(DeadLetterReason::Gone), 1);
}
