//! The counter of `hello`, with the enum, the dispatch and a typed client written by the macro.
//!
//! `cargo run --example macro`.

use std::time::Duration;

use treewarden::prelude::*;

struct Counter(u64);

#[treewarden::actor]
impl Counter {
    /// Adds `n`. If there is no room for the sum, the counter crashes.
    #[tell]
    fn add(&mut self, n: u64) -> Result<(), Failure> {
        self.0 = self.0.checked_add(n).ok_or(Failure::msg("overflow"))?;
        Ok(())
    }

    /// The total, and in which incarnation it was reached.
    #[ask]
    async fn total(&mut self, cx: &mut Context<Self>) -> (u64, u64) {
        (self.0, cx.incarnation())
    }

    #[hook]
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        println!("incarnation {} begins at {}", cx.incarnation(), self.0);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let system = System::new("macro");
    let counter = Child::actor("counter", |_init| async { Ok(Counter(0)) });
    let tree = Supervisor::one_for_one("app")
        .child(counter)
        .start(&system)
        .await?;

    let counter = CounterClient::from(tree.actor("counter")?);
    counter.add(2).await?;
    counter.add(u64::MAX).await?; // fails: the counter begins again from 0
    counter.add(3).await?;
    let (total, incarnation) = counter.total().timeout(Duration::from_secs(1)).await?;
    println!("{total} in incarnation {incarnation}");

    tree.shutdown().await;
    Ok(())
}
