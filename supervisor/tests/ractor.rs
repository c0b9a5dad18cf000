//! Actors of the ractor crate under a tree: the real crate, not a stand-in.
#![allow(missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::mpsc;
use treewarden_runtime::{ExitReason, System};
use treewarden_supervisor::{Child, Restart, Shutdown, Supervisor, Tree};

pub(crate) enum Msg {
    Note(u32),
    Panic,
    Fail,
    Stop,
    Hang,
}

type Lines = mpsc::UnboundedSender<String>;

/// Does what it is told, and says so.
struct Puppet;

impl Actor for Puppet {
    type Msg = Msg;
    type State = Lines;
    type Arguments = (Lines, bool);

    async fn pre_start(
        &self,
        _: ActorRef<Msg>,
        (lines, fails): (Lines, bool),
    ) -> Result<Lines, ActorProcessingErr> {
        if fails {
            return Err("no database".into());
        }
        lines.send("started".to_owned())?;
        Ok(lines)
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        msg: Msg,
        lines: &mut Lines,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Note(n) => lines.send(format!("note {n}"))?,
            Msg::Panic => panic!("ouch"),
            Msg::Fail => return Err("no luck".into()),
            Msg::Stop => myself.stop(None),
            Msg::Hang => {
                lines.send("hanging".to_owned())?;
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Msg>,
        lines: &mut Lines,
    ) -> Result<(), ActorProcessingErr> {
        lines.send("stopped".to_owned())?;
        Ok(())
    }
}

struct World {
    tree: Tree,
    lines: mpsc::UnboundedReceiver<String>,
    newest: Arc<Mutex<Option<ActorRef<Msg>>>>,
}

impl World {
    async fn with(shape: impl FnOnce(Child) -> Child) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let newest = Arc::new(Mutex::new(None));
        let place = newest.clone();
        let child = Child::ractor("puppet", move |parent: ActorCell| {
            let (sender, place) = (sender.clone(), place.clone());
            async move {
                let (actor, _) =
                    Puppet::spawn_linked(None, Puppet, (sender, false), parent).await?;
                *place.lock().unwrap() = Some(actor.clone());
                Ok::<_, SpawnErr>(actor.get_cell())
            }
        });
        let tree = Supervisor::one_for_one("app")
            .intensity(3, Duration::from_secs(5))
            .child(shape(child))
            .start(&System::new("test"))
            .await
            .unwrap();
        let mut world = Self {
            tree,
            lines,
            newest,
        };
        assert_eq!(world.next().await, "started");
        world
    }

    fn tell(&self, msg: Msg) {
        let actor = self.newest.lock().unwrap().clone().unwrap();
        actor.cast(msg).unwrap();
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(60), self.lines.recv())
            .await
            .expect("it happens soon")
            .unwrap()
    }

    fn last_exit(&self) -> Option<ExitReason> {
        let node = self.tree.system().snapshot();
        node.find("/app/puppet")?.last_exits.last().cloned()
    }
}

#[tokio::test]
async fn a_crash_is_a_failure_with_its_text_and_is_restarted() {
    for (msg, text) in [(Msg::Panic, "ouch"), (Msg::Fail, "no luck")] {
        let mut world = World::with(|child| child).await;
        world.tell(msg);
        assert_eq!(world.next().await, "started");
        world.tell(Msg::Note(1));
        assert_eq!(world.next().await, "note 1");
        let exit = world.last_exit().unwrap();
        assert_eq!(exit.kind(), "failed");
        assert!(exit.to_string().contains(text), "{exit}");
        assert!(world.tree.shutdown().await.is_clean());
    }
}

#[tokio::test]
async fn a_normal_end_is_normal() {
    let mut world = World::with(|child| child.restart(Restart::Permanent)).await;
    world.tell(Msg::Stop);
    assert_eq!(world.next().await, "stopped");
    assert_eq!(world.next().await, "started");
    assert_eq!(world.last_exit().unwrap().kind(), "normal");
    assert!(world.tree.shutdown().await.is_clean());
}

#[tokio::test]
async fn a_shutdown_lets_it_clean_up_and_drains_by_choice() {
    for drain in [false, true] {
        let mut world = World::with(|child| child.drain(drain)).await;
        world.tell(Msg::Note(1));
        assert!(world.tree.shutdown().await.is_clean());
        let mut rest = Vec::new();
        while let Ok(line) = world.lines.try_recv() {
            rest.push(line);
        }
        assert_eq!(rest.last().map(String::as_str), Some("stopped"));
        if drain {
            assert_eq!(rest, ["note 1", "stopped"]);
        }
    }
}

#[tokio::test]
async fn one_that_does_not_stop_is_killed_at_its_deadline() {
    let deadline = Shutdown::Timeout(Duration::from_millis(50));
    let mut world = World::with(|child| child.shutdown(deadline)).await;
    world.tell(Msg::Hang);
    assert_eq!(world.next().await, "hanging");
    let report = world.tree.shutdown().await;
    assert!(!report.is_clean(), "{report}");
    assert!(
        world.lines.try_recv().is_err(),
        "it had no time to clean up"
    );
}

#[tokio::test]
async fn a_start_that_fails_fails_the_tree() {
    let (sender, _lines) = mpsc::unbounded_channel();
    let child = Child::ractor("puppet", move |parent: ActorCell| {
        let sender: Lines = sender.clone();
        async move {
            let (actor, _) = Puppet::spawn_linked(None, Puppet, (sender, true), parent).await?;
            Ok::<_, SpawnErr>(actor.get_cell())
        }
    });
    let tree = Supervisor::one_for_one("app").child(child);
    let error = tree.start(&System::new("test")).await.unwrap_err();
    assert!(format!("{error:#}").contains("puppet"), "{error}");
}
