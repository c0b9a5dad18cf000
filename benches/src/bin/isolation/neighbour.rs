//! The neighbour: an actor that answers at once, asked every millisecond by a thread outside.

use std::thread;
use std::time::{Duration, Instant};

use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply};

pub(crate) struct Neighbour;

impl Actor for Neighbour {
    type Msg = Reply<()>;
    type Error = Failure;

    async fn handle(&mut self, reply: Reply<()>, _: &mut Context<Self>) -> Result<(), Failure> {
        reply.send(());
        Ok(())
    }
}

const PERIOD: Duration = Duration::from_millis(1);

/// How long an answer takes, at most, in 99 of 100 cases; in microseconds. Has the thread that calls it for itself.
///
/// Questions that fall due while one is unanswered get their answers with it, and count from when they were due; so a stall
/// is felt by all that fell into it.
pub(crate) async fn p99_us(neighbour: &ActorRef<Reply<()>>, over: Duration) -> f64 {
    let begin = Instant::now();
    let (mut due, end) = (begin, begin + over);
    let mut latencies_us = Vec::new();
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // The thread's own oversleeping is not the neighbour's.
        let asked = Instant::now();
        let answer = neighbour.ask(|reply| reply).await;
        answer.expect("the neighbour answers");
        let answered = Instant::now();
        latencies_us.push((answered - asked).as_secs_f64() * 1e6);
        due = asked + PERIOD;
        while due < answered && due < end {
            latencies_us.push((answered - due).as_secs_f64() * 1e6);
            due += PERIOD;
        }
    }
    latencies_us.sort_unstable_by(f64::total_cmp);
    latencies_us[(latencies_us.len() * 99).div_ceil(100) - 1]
}
