use std::time::{Duration, Instant};

use super::*;
use crate::testing::{for_seeds, ms, secs};

#[test]
fn a_deadline_is_over_from_its_instant_on_and_what_is_left_is_never_negative() {
    let now = Instant::now();
    let deadline = Deadline::after(ms(10), now);
    assert!(!deadline.is_over(now + ms(9)) && deadline.is_over(now + ms(10)));
    assert_eq!(deadline.remaining(now + ms(3)), ms(7));
    assert_eq!(deadline.remaining(now + ms(30)), ms(0));
    assert_eq!(Deadline::at(now).remaining(now), ms(0));
}

#[test]
fn steps_only_ever_bring_it_forward() {
    for_seeds(200, |random| {
        let mut now = Instant::now();
        let first = Deadline::after(ms(random.below(5000)), now);
        let mut deadline = first;
        for _ in 0..50 {
            now += ms(random.below(100));
            let earlier = deadline
                .at_most(ms(random.below(3000)), now)
                .keep_back(ms(random.below(20)));
            assert!(earlier <= deadline && deadline <= first);
            deadline = earlier;
        }
    });
}

#[test]
fn absurd_durations_do_no_harm() {
    let now = Instant::now();
    let far = Deadline::after(Duration::MAX, now);
    assert!(!far.is_over(now + secs(3600)));
    assert_eq!(far.at_most(Duration::MAX, now), far);
    assert!(Deadline::at(now).keep_back(Duration::MAX).is_over(now));
}

#[tokio::test(start_paused = true)]
async fn the_shell_gives_the_output_or_says_whether_the_work_had_begun() {
    let deadline = |duration| Deadline::after(duration, tokio::time::Instant::now().into_std());
    let work = async || {
        tokio::time::sleep(ms(20)).await;
        7
    };
    assert_eq!(deadline(ms(21)).run(work()).await, Ok(7));
    assert_eq!(
        deadline(ms(19)).run(work()).await,
        Err(DeadlineOver { begun: true })
    );
    let not_polled = async { panic!("was polled") };
    let over: Result<(), _> = deadline(ms(0)).run(not_polled).await;
    assert_eq!(over, Err(DeadlineOver { begun: false }));
}
