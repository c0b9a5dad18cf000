//! One suspicion: it starts long, and each independent confirmation shortens it (Lifeguard, section IV-B).
//!
//! With C confirmations of the K that are wanted, it ends at
//! `max(least, most - (most - least) * ln(C + 1) / ln(K + 1))` after its start.

use std::time::Duration;

use super::identity::NodeName;

#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    started: Duration,
    least: Duration,
    most: Duration,
    confirmations_wanted: usize,
    /// When it ends, if nothing more is heard.
    ends_at: Duration,
    /// The first accuser, and those who confirmed; at most one more than wanted.
    accusers: Vec<NodeName>,
}

impl Suspicion {
    pub(super) fn new(
        started: Duration,
        bounds: (Duration, Duration),
        confirmations_wanted: usize,
        accuser: NodeName,
    ) -> Self {
        let (least, most) = bounds;
        let accusers = vec![accuser];
        let mut suspicion = Self {
            started,
            least,
            most,
            confirmations_wanted,
            ends_at: started,
            accusers,
        };
        suspicion.ends_at = suspicion.end_by_formula();
        suspicion
    }

    /// Counts an accuser; true if it is a new one that matters, which is then worth passing on.
    pub(super) fn confirm(&mut self, now: Duration, accuser: &NodeName) -> bool {
        let news =
            self.accusers.len() <= self.confirmations_wanted && !self.accusers.contains(accuser);
        if news {
            self.accusers.push(accuser.clone());
            // A late confirmation may put the end into the past: then it ends now, which is no delay of anybody's.
            self.ends_at = self.end_by_formula().max(now);
        }
        news
    }

    /// Somebody else's suspicion has ended: this one needs no more than its least length.
    pub(super) fn hasten(&mut self, now: Duration) {
        self.ends_at = self.ends_at.min(self.started + self.least).max(now);
    }

    /// Whether the accused had time enough to be heard here.
    pub(super) fn is_ripe(&self, now: Duration) -> bool {
        now >= self.started + self.least
    }

    pub(super) fn ends_at(&self) -> Duration {
        self.ends_at
    }

    fn end_by_formula(&self) -> Duration {
        if self.confirmations_wanted == 0 {
            return self.started + self.least;
        }
        let confirmed = self.accusers.len() as f64; // the first accuser is no confirmation: this is C + 1
        let share = confirmed.ln() / ((self.confirmations_wanted + 1) as f64).ln();
        let shortened = self
            .most
            .saturating_sub((self.most - self.least).mul_f64(share));
        self.started + shortened.max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(index: usize) -> NodeName {
        NodeName::new(&format!("n{index}")).unwrap()
    }

    #[test]
    fn each_confirmation_shortens_the_suspicion() {
        let second = Duration::from_secs(1);
        let mut suspicion = Suspicion::new(second, (second * 10, second * 60), 3, who(0));
        let mut check = |accuser, news, deadline_s: f64| {
            assert_eq!(
                suspicion.confirm(second, &who(accuser)),
                news,
                "accuser {accuser}"
            );
            let deadline = suspicion.ends_at().as_secs_f64();
            assert!(
                (deadline - deadline_s).abs() < 0.01,
                "deadline {deadline} after accuser {accuser}"
            );
        };
        check(0, false, 61.0);
        check(1, true, 36.0);
        check(1, false, 36.0);
        check(2, true, 21.38);
        check(3, true, 11.0);
        check(4, false, 11.0);
    }

    #[test]
    fn a_confirmation_that_comes_late_ends_the_suspicion_now_and_not_in_the_past() {
        let second = Duration::from_secs(1);
        let mut suspicion = Suspicion::new(Duration::ZERO, (second * 10, second * 60), 3, who(0));
        assert!(suspicion.confirm(second * 50, &who(1)));
        assert_eq!(suspicion.ends_at(), second * 50);
    }

    #[test]
    fn without_anybody_to_confirm_it_has_its_least_length() {
        let suspicion = Suspicion::new(
            Duration::ZERO,
            (Duration::from_secs(4), Duration::from_secs(24)),
            0,
            who(0),
        );
        assert_eq!(suspicion.ends_at(), Duration::from_secs(4));
    }
}
