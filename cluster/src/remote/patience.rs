//! How long the reader of a link waits: for anything at all, and for the rest of a frame that has begun.
//!
//! Any byte ends silence. So somebody who says a byte now and then would hold a link, and what has come of his frame, for ever, if a frame that has
//! begun had no time of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{config::LinkConfig, error::LinkError};

/// Pure: what was read and `now` in, a time and a verdict out.
#[derive(Debug)]
pub(crate) struct Patience {
    silence_max: Duration,
    frame_timeout: Duration,
    heard_at: Instant,
    /// Since when a frame has been there in part.
    begun_at: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(config: &LinkConfig, now: Instant) -> Self {
        Self {
            silence_max: config.silence_max,
            frame_timeout: config.frame_timeout,
            heard_at: now,
            begun_at: None,
        }
    }

    /// Something was read. `has_whole`: there were whole frames in it; `has_part`: behind them is a part of one.
    pub(crate) fn heard(&mut self, now: Instant, has_whole: bool, has_part: bool) {
        self.heard_at = now;
        self.begun_at = match (has_part, self.begun_at) {
            (false, _) => None,
            (true, Some(begun_at)) if !has_whole => Some(begun_at),
            (true, _) => Some(now),
        };
    }

    /// For so long nothing was read, for reasons of this side. That is nothing to blame the other for.
    pub(crate) fn looked_away(&mut self, length: Duration) {
        self.heard_at += length;
        if let Some(begun_at) = &mut self.begun_at {
            *begun_at += length;
        }
    }

    /// When it ends, if nothing is read until then.
    pub(crate) fn ends_at(&self) -> Instant {
        let silent_at = self.heard_at + self.silence_max;
        match self.begun_at {
            Some(begun_at) => silent_at.min(begun_at + self.frame_timeout),
            None => silent_at,
        }
    }

    /// Why it ends then.
    pub(crate) fn end(&self) -> LinkError {
        let silent_at = self.heard_at + self.silence_max;
        match self.begun_at {
            Some(begun_at) if begun_at + self.frame_timeout <= silent_at => LinkError::FrameTooSlow,
            _ => LinkError::Silent,
        }
    }

    /// What has come may have come too late. Whoever has something to say all the time does not let a reader wait until [`ends_at`](Self::ends_at).
    pub(crate) fn check(&self, now: Instant) -> Result<(), LinkError> {
        match now >= self.ends_at() {
            true => Err(self.end()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(now: Instant) -> Patience {
        let config = LinkConfig {
            silence_max: 10 * SECOND,
            frame_timeout: 30 * SECOND,
            ..LinkConfig::default()
        };
        Patience::new(&config, now)
    }

    /// What becomes of a link on which each second a read brings this, if nothing else ends it.
    fn ends_after(reads: impl Iterator<Item = (bool, bool)>) -> Option<(u32, LinkError)> {
        let began = Instant::now();
        let mut patience = patience(began);
        for (second, (has_whole, has_part)) in (1..).zip(reads) {
            let now = began + second * SECOND;
            patience.heard(now, has_whole, has_part);
            if let Err(why) = patience.check(now) {
                return Some((second, why));
            }
        }
        None
    }

    #[test]
    fn a_frame_that_trickles_ends_the_link_when_its_time_is_over() {
        let trickle = std::iter::repeat((false, true));
        let (second, why) = ends_after(trickle).unwrap();
        assert_eq!(second, 31, "30 s after its first byte");
        assert!(matches!(why, LinkError::FrameTooSlow), "{why}");
    }

    #[test]
    fn a_long_message_on_a_slow_link_takes_as_long_as_it_takes() {
        // A fragment each 25 seconds, for an hour and more.
        let fragment = std::iter::repeat_n((false, true), 24).chain([(true, true)]);
        let message = std::iter::repeat_n(fragment, 200).flatten();
        assert!(ends_after(message).is_none());
        let whole_frames = std::iter::repeat_n((true, false), 5000);
        assert!(ends_after(whole_frames).is_none());
    }

    #[test]
    fn silence_ends_it_sooner_than_a_frame_that_has_begun() {
        let now = Instant::now();
        let mut patience = patience(now);
        assert_eq!(patience.ends_at(), now + 10 * SECOND);
        patience.heard(now + SECOND, false, true);
        assert_eq!(patience.ends_at(), now + 11 * SECOND);
        let silent = patience.check(now + 11 * SECOND);
        assert!(matches!(silent, Err(LinkError::Silent)));
        for second in [10, 20, 29] {
            patience.heard(now + second * SECOND, false, true);
        }
        assert_eq!(patience.ends_at(), now + 31 * SECOND);
        assert!(matches!(patience.end(), LinkError::FrameTooSlow));
    }

    #[test]
    fn what_this_side_does_not_read_is_not_held_against_the_other() {
        let now = Instant::now();
        let mut patience = patience(now);
        patience.heard(now, false, true);
        patience.looked_away(60 * SECOND);
        assert!(patience.check(now + 69 * SECOND).is_ok());
        assert!(patience.check(now + 70 * SECOND).is_err());
    }
}
