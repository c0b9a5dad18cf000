//! What the refusals of the other policies mean for a repetition: they are made on this side, so that nothing was handled.

use super::{Class, Failed};
use crate::breaker::Rejected;
use crate::bulkhead::Full;
use crate::limiter::Saturated;
use crate::rate::Limited;
use crate::throttle::Throttled;
use crate::timeout::DeadlineOver;

impl From<Rejected> for Failed {
    /// Safe to repeat, not before the breaker probes.
    fn from(rejected: Rejected) -> Self {
        Failed {
            class: Class::NotHandled,
            retry_after: rejected.retry_after,
        }
    }
}

impl From<Saturated> for Failed {
    /// Safe to repeat.
    fn from(_: Saturated) -> Self {
        Class::NotHandled.into()
    }
}

impl From<Throttled> for Failed {
    /// Not repeated: repeating what was held back defeats the holding back.
    fn from(_: Throttled) -> Self {
        Class::Permanent.into()
    }
}

impl From<Limited> for Failed {
    /// Safe to repeat when the permits are there; never, if there are never so many.
    fn from(limited: Limited) -> Self {
        match limited {
            Limited::NotYet { retry_after } => Class::NotHandled.after(retry_after),
            Limited::TooHeavy { .. } => Class::Permanent.into(),
        }
    }
}

impl From<Full> for Failed {
    /// Safe to repeat; not, if it is too heavy for ever.
    fn from(full: Full) -> Self {
        match full {
            Full::NoRoom { .. } | Full::TimedOut => Class::NotHandled.into(),
            Full::TooHeavy { .. } => Class::Permanent.into(),
        }
    }
}

impl From<DeadlineOver> for Failed {
    /// The deadline of a step: it may have been handled, if it had begun.
    fn from(over: DeadlineOver) -> Self {
        match over.begun {
            true => Class::MaybeHandled.into(),
            false => Class::NotHandled.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::breaker::BreakerConfig;

    #[test]
    fn a_refusal_on_this_side_is_safe_to_repeat_unless_it_is_for_ever() {
        let wait = Duration::from_secs(5);
        let breaker = BreakerConfig::default()
            .min_calls(1)
            .open_for(wait)
            .build()
            .unwrap();
        let now = Instant::now();
        breaker.try_acquire(now).unwrap().failure(now);
        let rejected = breaker.try_acquire(now).map(drop).unwrap_err();
        let table: [(Failed, Failed); 9] = [
            (rejected.into(), Class::NotHandled.after(wait)),
            (
                Saturated {
                    in_flight: 9,
                    limit: 9,
                }
                .into(),
                Class::NotHandled.into(),
            ),
            (
                Throttled { probability: 0.5 }.into(),
                Class::Permanent.into(),
            ),
            (
                Limited::NotYet { retry_after: wait }.into(),
                Class::NotHandled.after(wait),
            ),
            (
                Limited::TooHeavy {
                    weight: 2,
                    burst: 1,
                }
                .into(),
                Class::Permanent.into(),
            ),
            (Full::TimedOut.into(), Class::NotHandled.into()),
            (
                Full::TooHeavy {
                    weight: 2,
                    weight_max: 1,
                }
                .into(),
                Class::Permanent.into(),
            ),
            (
                DeadlineOver { begun: false }.into(),
                Class::NotHandled.into(),
            ),
            (
                DeadlineOver { begun: true }.into(),
                Class::MaybeHandled.into(),
            ),
        ];
        for (index, (got, expected)) in table.into_iter().enumerate() {
            assert_eq!(got, expected, "row {index}");
        }
    }
}
