use std::time::Instant;

use super::*;
use crate::testing::{ms, secs};

#[test]
fn the_last_good_answer_is_given_with_its_age_until_it_is_too_old() {
    let last = LastGoodConfig::new(secs(10)).build().unwrap();
    let now = Instant::now();
    assert_eq!(last.get(now), None);
    last.store("first", now);
    let stale = |value, age| {
        Some(Answer {
            value,
            source: Source::Stale { age },
        })
    };
    assert_eq!(last.get(now), stale("first", secs(0)));
    assert_eq!(last.get(now + secs(10)), stale("first", secs(10)));
    assert_eq!(last.get(now + ms(10_001)), None);
    last.store("second", now + secs(20));
    last.store("late", now + secs(19));
    assert_eq!(last.get(now + secs(21)), stale("second", secs(1)));
}

/// The primary's and the fallback's outcome, whether the error may be covered up, and what comes out.
#[track_caller]
fn check(
    primary: Result<u32, &'static str>,
    coverable: bool,
    fallback: Result<u32, &'static str>,
    expected: Result<(u32, Source), &'static str>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let outcome = runtime.block_on(or_else(
        async { primary },
        |_| coverable,
        || async { fallback },
    ));
    assert_eq!(
        outcome.map(|answer| (answer.value, answer.source)),
        expected
    );
}

#[test]
fn the_fallback_answers_only_for_errors_that_may_be_covered_up_and_says_so() {
    check(Ok(1), true, Ok(2), Ok((1, Source::Primary)));
    check(Err("down"), true, Ok(2), Ok((2, Source::Fallback)));
    check(Err("wrong password"), false, Ok(2), Err("wrong password"));
    check(Err("down"), true, Err("down too"), Err("down"));
}

#[tokio::test(start_paused = true)]
async fn the_shell_remembers_what_was_good_and_gives_it_when_the_primary_is_down() {
    let last = LastGoodConfig::new(secs(10)).build().unwrap();
    let ask = async |outcome: Result<u32, &'static str>| {
        last.or_last_good(|error| *error == "down", async { outcome })
            .await
    };
    assert_eq!(ask(Err("down")).await, Err("down"));
    assert!(!ask(Ok(1)).await.unwrap().is_degraded());
    tokio::time::sleep(secs(3)).await;
    let stale = Answer {
        value: 1,
        source: Source::Stale { age: secs(3) },
    };
    assert_eq!(ask(Err("down")).await, Ok(stale));
    assert!(stale.is_degraded());
    assert_eq!(ask(Err("wrong password")).await, Err("wrong password"));
    tokio::time::sleep(secs(8)).await;
    assert_eq!(ask(Err("down")).await, Err("down"));
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    for age_max in [ms(0), secs(30 * 24 * 3600 + 1)] {
        let error = LastGoodConfig::new(age_max).build::<()>().unwrap_err();
        assert_eq!((error.policy, error.field), ("fallback", "age_max"));
    }
}
