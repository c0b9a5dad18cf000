//! A service that gets ten times its load, and keeps serving: what it cannot do, it refuses or sheds, the least critical first.
//!
//! `cargo run --example overload`. Time is simulated, so two seconds of load take a moment.

use std::time::Duration;

use tokio::time::sleep;
use treewarden::prelude::*;
use treewarden::runtime::{Criticality, MessageContext, Shedding};

/// Renders a page in two milliseconds, one after the other: 500 a second.
struct Pages;

/// Which page, and where the answer goes.
struct Render(u64, Reply<String>);

impl Actor for Pages {
    type Msg = Render;
    type Error = Failure;

    async fn handle(
        &mut self,
        Render(page, reply): Render,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        sleep(Duration::from_millis(2)).await;
        reply.send(format!("page {page}"));
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    tokio::time::pause();
    let system = System::new("shop");
    let tree = Supervisor::one_for_one("shop")
        .child(
            Child::actor("pages", |_| async { Ok(Pages) })
                .mailbox(Mailbox::bounded(1024).shed(Shedding::adaptive())),
        )
        .start(&system)
        .await?;
    let pages: ActorRef<Render> = tree.actor("pages")?;

    // 5000 requests a second for two seconds. Of twenty, one is a checkout, five are pages, fourteen are prefetched.
    let mut requests = Vec::new();
    for number in 0..10_000_u64 {
        let criticality = match number % 20 {
            0 => Criticality::Critical,
            1..=5 => Criticality::Default,
            _ => Criticality::Sheddable,
        };
        let pages = pages.clone();
        requests.push(tokio::spawn(async move {
            let asking = pages
                .ask(|reply| Render(number, reply))
                .context(MessageContext::new().with_criticality(criticality))
                .timeout(Duration::from_millis(100));
            (criticality, asking.await)
        }));
        if number % 5 == 4 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    let mut outcomes = Vec::new();
    for request in requests {
        outcomes.push(request.await?);
    }
    for class in [
        Criticality::Critical,
        Criticality::Default,
        Criticality::Sheddable,
    ] {
        let of_class = outcomes
            .iter()
            .filter(|(criticality, _)| *criticality == class);
        let count = |wanted: fn(&Result<String, AskError>) -> bool| {
            of_class
                .clone()
                .filter(|(_, outcome)| wanted(outcome))
                .count()
        };
        let served = count(Result::is_ok);
        let refused = count(|outcome| matches!(outcome, Err(AskError::Refused)));
        let shed = count(|outcome| matches!(outcome, Err(AskError::Shed)));
        let late = count(|outcome| matches!(outcome, Err(AskError::Timeout | AskError::Expired)));
        println!(
            "{class:?}: {served} served, {refused} refused at once, {shed} shed, {late} too late"
        );
    }
    print!("{}", system.snapshot());
    tree.shutdown().await;
    Ok(())
}
