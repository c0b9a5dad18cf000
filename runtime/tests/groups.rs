//! Groups and topics.
#![allow(missing_docs)]

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use treewarden_runtime::{
    Actor, ActorRef, Context, DeadLetterReason, Failure, GroupChange, LookupError, Mailbox,
    Published, SlowSubscriber, SpawnOptions, System,
};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what it is told, and waits in the handler if that is `wait`.
struct Listener {
    name: &'static str,
    log: Log,
    gate: Arc<Notify>,
}

impl Actor for Listener {
    type Msg = String;
    type Error = Failure;

    async fn handle(&mut self, text: String, _: &mut Context<Self>) -> Result<(), Failure> {
        if text == "wait" {
            self.gate.notified().await;
        }
        let mut log = self.log.lock().expect("nobody panics");
        log.push(format!("{}:{text}", self.name));
        Ok(())
    }
}

struct Other;

impl Actor for Other {
    type Msg = u64;
    type Error = Failure;

    async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

struct Scene {
    system: System,
    log: Log,
    gate: Arc<Notify>,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            system: System::new("test"),
            log: Log::default(),
            gate: Arc::default(),
        }
    }

    fn listener(&self, name: &'static str) -> ActorRef<String> {
        let listener = Listener {
            name,
            log: self.log.clone(),
            gate: self.gate.clone(),
        };
        let options = SpawnOptions::new().mailbox(Mailbox::bounded(1));
        self.system
            .spawn_with(options, listener)
            .expect("no name to clash")
    }

    fn log(&self) -> String {
        std::mem::take(&mut *self.log.lock().expect("nobody panics")).join(" ")
    }
}

#[tokio::test(start_paused = true)]
async fn members_join_and_leave_and_whoever_listens_hears_of_it() {
    let scene = Scene::new();
    let groups = scene.system.groups();
    let mut events = groups.subscribe("all");
    let (a, b) = (scene.listener("a"), scene.listener("b"));
    assert_eq!(groups.join("all", &a), Ok(true));
    assert_eq!(groups.join("all", &a), Ok(false), "once");
    assert_eq!(groups.join("all", &b), Ok(true));
    assert_eq!(groups.members("all").unwrap(), [a.clone(), b.clone()]);
    assert!(groups.leave("all", &a) && !groups.leave("all", &a));
    b.stop();
    b.closed().await;
    settle().await;
    assert!(groups.members::<String>("all").unwrap().is_empty());
    assert!(groups.names().is_empty());
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        assert_eq!(&*event.group, "all");
        heard.push((event.member, event.change));
    }
    let expected = [
        (a.id(), GroupChange::Joined),
        (b.id(), GroupChange::Joined),
        (a.id(), GroupChange::Left),
        (b.id(), GroupChange::Left),
    ];
    assert_eq!(heard, expected);
    // Who is gone cannot join any more.
    assert_eq!(groups.join("all", &b), Ok(true));
    assert!(groups.members::<String>("all").unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_and_a_topic_have_one_type_of_messages_and_say_so() {
    let scene = Scene::new();
    let groups = scene.system.groups();
    groups.join("all", &scene.listener("a")).unwrap();
    let other = scene.system.spawn(Other);
    let expected = LookupError::OtherType {
        name: "all".into(),
        expected: "u64",
        found: "alloc::string::String",
    };
    assert_eq!(groups.join("all", &other), Err(expected.clone()));
    assert_eq!(groups.members::<u64>("all"), Err(expected.clone()));
    assert_eq!(
        expected.to_string(),
        "\"all\" does not take messages of type u64: it is alloc::string::String"
    );
    scene.system.topic::<String>("all").unwrap();
    assert_eq!(scene.system.topic::<u64>("all").err(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn an_actor_outside_any_tree_is_found_by_its_path() {
    let system = System::new("test");
    let named = system.spawn_named("other", Other).unwrap();
    let nameless = system.spawn(Other);
    assert_eq!(system.actor::<u64>("/other"), Ok(named));
    assert_eq!(system.actor::<u64>(&nameless.path()), Ok(nameless));
    assert!(matches!(
        system.actor::<String>("/other"),
        Err(LookupError::OtherType { found: "u64", .. })
    ));
    assert!(matches!(
        system.actor::<u64>("/nobody"),
        Err(LookupError::NotFound { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn every_subscriber_of_a_topic_is_told_until_it_is_unsubscribed_or_gone() {
    let scene = Scene::new();
    let news = scene.system.topic::<String>("news").unwrap();
    let (a, b) = (scene.listener("a"), scene.listener("b"));
    let first = news.subscribe(a.recipient(), SlowSubscriber::Miss);
    news.subscribe(b.recipient(), SlowSubscriber::Wait);
    let published = news.publish("1".to_owned()).await;
    assert_eq!(published.delivered, 2);
    settle().await;
    assert!(first.unsubscribe() && !first.unsubscribe());
    let same = scene.system.topic::<String>("news").unwrap();
    same.publish("2".to_owned()).await;
    settle().await;
    assert_eq!(scene.log(), "a:1 b:1 b:2");
    b.stop();
    b.closed().await;
    let published = news.publish("3".to_owned()).await;
    let expected = Published {
        delivered: 0,
        missed: 0,
        unsubscribed: 1,
    };
    assert_eq!(published, expected);
    assert_eq!(news.subscribers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_waited_for_misses_messages_or_is_unsubscribed() {
    let table = [
        (SlowSubscriber::Wait, (3, 0, 0), "s:wait s:1 s:2", 0),
        (SlowSubscriber::Miss, (2, 1, 0), "s:wait s:1", 1),
        (SlowSubscriber::Unsubscribe, (2, 0, 1), "s:wait s:1", 1),
    ];
    for (slow, expected, log, missed) in table {
        let scene = Scene::new();
        let news = scene.system.topic::<String>("news").unwrap();
        let listener = scene.listener("s");
        let subscription = news.subscribe(listener.recipient(), slow);
        let publish = tokio::spawn({
            let news = news.clone();
            async move {
                let mut sum = (0, 0, 0);
                for text in ["wait", "1", "2"] {
                    let published = news.publish(text.to_owned()).await;
                    sum.0 += published.delivered;
                    sum.1 += published.missed;
                    sum.2 += published.unsubscribed;
                    settle().await;
                }
                sum
            }
        });
        for _ in 0..10 {
            settle().await;
        }
        assert_eq!(publish.is_finished(), slow != SlowSubscriber::Wait);
        scene.gate.notify_one();
        assert_eq!(publish.await.unwrap(), expected, "{slow:?}");
        settle().await;
        assert_eq!(scene.log(), log, "{slow:?}");
        assert_eq!(subscription.missed(), missed);
        let dead_letters = scene.system.dead_letters();
        assert_eq!(dead_letters.count(DeadLetterReason::SlowSubscriber), missed);
        let unsubscribed = usize::from(slow == SlowSubscriber::Unsubscribe);
        assert_eq!(news.subscribers(), 1 - unsubscribed);
    }
}
