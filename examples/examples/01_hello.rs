//! A supervised actor: it crashes, its supervisor restarts it, and its address stays good.
use treewarden::prelude::*;

struct Counter(u64);

enum Msg {
    Add(u64),
    Total(Reply<u64>),
}

impl Actor for Counter {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Add(n) => self.0 = self.0.checked_add(n).ok_or(Failure::msg("overflow"))?,
            Msg::Total(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let system = System::new("hello");
    let counter = Child::actor("counter", |_init| async { Ok(Counter(0)) });
    let tree = Supervisor::one_for_one("app")
        .child(counter)
        .start(&system)
        .await?;

    let counter: ActorRef<Msg> = tree.actor("counter")?;
    counter.tell(Msg::Add(2)).await?;
    counter.tell(Msg::Add(u64::MAX)).await?; // fails: the counter begins again from 0
    counter.tell(Msg::Add(3)).await?;
    let total = counter.ask(Msg::Total).await?;
    println!("{total} in incarnation {}", counter.incarnation());

    tree.shutdown().await;
    Ok(())
}
