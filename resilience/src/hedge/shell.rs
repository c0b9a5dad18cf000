//! Polls the attempts side by side, in the caller's task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use super::Hedge;
use crate::retry::Idempotency;

/// What happened first.
enum Event<R> {
    Ended(usize, R),
    HedgeDue,
}

impl Hedge {
    /// Begins `attempt`s, numbered from 1, and returns the first success, or the last error when all have failed.
    ///
    /// Cancel safety: dropping this future drops all attempts; so does the first success to the others.
    pub async fn run<T, E, F>(
        &self,
        idempotency: Idempotency,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut race = self.begin(idempotency, Instant::now().into_std());
        let mut running: Vec<(u32, Pin<Box<F>>)> = vec![(1, Box::pin(attempt(1)))];
        loop {
            let hedge_at = race.hedge_at().map(Instant::from_std);
            let mut hedge_due = pin!(async move {
                match hedge_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            });
            // Attempts first: an answer that is there needs no hedge.
            let event = poll_fn(|context| {
                for (index, (_, future)) in running.iter_mut().enumerate() {
                    if let Poll::Ready(outcome) = future.as_mut().poll(context) {
                        return Poll::Ready(Event::Ended(index, outcome));
                    }
                }
                hedge_due.as_mut().poll(context).map(|()| Event::HedgeDue)
            });
            match event.await {
                Event::HedgeDue => {
                    if let Some(number) = race.hedge(Instant::now().into_std()) {
                        running.push((number, Box::pin(attempt(number))));
                    }
                }
                Event::Ended(_, Ok(value)) => {
                    race.succeeded(Instant::now().into_std());
                    return Ok(value);
                }
                Event::Ended(index, Err(error)) => {
                    let (number, _) = running.remove(index);
                    if race.failed(number) {
                        return Err(error);
                    }
                }
            }
        }
    }
}
