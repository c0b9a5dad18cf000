//! The case `tree`: supervisors under supervisors, and what a restart of a subtree keeps.

use std::time::Duration;

use treewarden_runtime::{Actor, ActorRef, Context, Failure, System};
use treewarden_supervisor::{Child, Supervisor, Tree};

struct Worker;

impl Actor for Worker {
    type Msg = ();
    type Error = Failure;

    async fn handle(&mut self, (): (), _cx: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::msg("abnormal"))
    }
}

fn worker(id: &str) -> Child {
    Child::actor(id, |_| async { Ok(Worker) })
}

/// A worker that never starts a second time.
fn mortal(id: &str) -> Child {
    Child::actor(id, |init: treewarden_runtime::Init<()>| async move {
        if init.incarnation() > 1 {
            Err(Failure::msg("error"))
        } else {
            Ok(Worker)
        }
    })
}

async fn counts(tree: &Tree) -> [usize; 4] {
    let counts = tree.count_children().await.expect("it runs");
    [
        counts.specs,
        counts.active,
        counts.supervisors,
        counts.workers,
    ]
}

async fn fail(worker: &ActorRef<()>) {
    worker.tell(()).await.expect("it runs");
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn tree() {
    let hour = Duration::from_secs(3600);
    let first = Supervisor::one_for_one("sup1")
        .intensity(4, hour)
        .child(worker("child1"))
        .child(worker("child2"));
    let second = Supervisor::one_for_one("sup2").intensity(4, hour);
    let top = Supervisor::one_for_all("top")
        .intensity(4, hour)
        .child(first)
        .child(second);
    let top = top
        .start(&System::new("test"))
        .await
        .expect("the tree starts");
    let (sup1, sup2) = (
        top.supervisor("sup1").expect("there"),
        top.supervisor("sup2").expect("there"),
    );
    assert_eq!(
        (counts(&top).await, counts(&sup1).await, counts(&sup2).await),
        ([2, 2, 2, 0], [2, 2, 0, 2], [0; 4])
    );

    let child3 = sup2.start_child(mortal("child3")).await.expect("it starts");
    let child4 = sup2.start_child(worker("child4")).await.expect("it starts");
    let child3: ActorRef<()> = child3.actor().expect("an actor");
    let child4: ActorRef<()> = child4.actor().expect("an actor");
    let child1: ActorRef<()> = top.actor("sup1/child1").expect("an actor");
    assert_eq!(counts(&sup2).await, [2, 2, 0, 2]);

    // Only the child that dies is restarted.
    fail(&child4).await;
    assert_eq!(
        (
            child1.incarnation(),
            child3.incarnation(),
            child4.incarnation()
        ),
        (1, 1, 2)
    );
    assert_eq!(
        (counts(&sup1).await, counts(&sup2).await),
        ([2, 2, 0, 2], [2, 2, 0, 2])
    );

    // The second supervisor gives up and takes the first along; the tree comes back, but not the dynamic children.
    fail(&child3).await;
    assert_eq!(
        (counts(&top).await, counts(&sup1).await, counts(&sup2).await),
        ([2, 2, 2, 0], [2, 2, 0, 2], [0; 4])
    );
    assert_eq!(child1.incarnation(), 2);
    assert!(child3.is_gone() && child4.is_gone());
}
