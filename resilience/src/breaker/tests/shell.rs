//! The shell, in paused time.

use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::config;
use crate::breaker::{Breaker, CallError, State};
use crate::testing::{ms, secs};

async fn fail(breaker: &Breaker) -> Result<(), CallError<&'static str>> {
    breaker.call(async { Err("down") }).await
}

#[tokio::test(start_paused = true)]
async fn calls_fail_then_are_rejected_then_probe_then_pass() {
    let breaker = config().build().unwrap();
    for _ in 0..4 {
        assert_eq!(fail(&breaker).await, Err(CallError::Failed("down")));
    }
    let unreachable = async { unreachable!("the call was made") };
    let rejected = breaker.call::<(), &str>(unreachable).await;
    assert!(
        matches!(rejected, Err(CallError::Rejected(_))),
        "{rejected:?}"
    );
    sleep(secs(1)).await;
    for _ in 0..3 {
        assert_eq!(breaker.call(async { Ok::<_, ()>(7) }).await, Ok(7));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_counts_as_not_made_and_frees_its_probe() {
    let breaker = config().build().unwrap();
    let hang = || breaker.call::<(), ()>(std::future::pending());
    for _ in 0..20 {
        assert!(timeout(ms(10), hang()).await.is_err());
    }
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..4 {
        let _ = fail(&breaker).await;
    }
    sleep(secs(1)).await;
    for _ in 0..20 {
        assert!(timeout(ms(10), hang()).await.is_err());
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.call(async { Ok::<_, ()>(7) }).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_the_callers_fault_does_not_count() {
    let breaker = config().build().unwrap();
    for _ in 0..20 {
        let blame = |outcome: &Result<(), &str>| *outcome != Err("bad request");
        let outcome = breaker.call_with(blame, async { Err("bad request") }).await;
        assert_eq!(outcome, Err(CallError::Failed("bad request")));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_measured_by_tokios_clock() {
    let breaker = Arc::new(config().slow_calls(secs(2), 0.5).build().unwrap());
    for _ in 0..4 {
        let breaker = breaker.clone();
        let task = tokio::spawn(async move {
            let slow = async {
                sleep(secs(2)).await;
                Ok::<_, ()>(())
            };
            breaker.call(slow).await
        });
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(breaker.state(), State::Open);
}
