//! Settings of links.

use std::{fmt, time::Duration};

use super::credit::Window;

/// Settings of the links of one node. The defaults suit one data centre.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Longest message or answer that is taken, in bytes of its encoding. Default 64 MiB.
    pub message_bytes_max: usize,
    /// How much one other node may have waiting at one mailbox of this node. Default 4096 messages, 1 MiB.
    pub window: Window,
    /// Bytes that may wait to be written to one link before senders wait; exceeded by at most one message. Default 1 MiB.
    pub queue_bytes_max: usize,
    /// Asks to one node that may be unanswered at once; more are refused. Default 65 536.
    pub asks_max: usize,
    /// Channels, and monitors, that one other node may have open here; above it the link is closed. Default 65 536.
    pub channels_max: usize,
    /// Time to connect, and again time for the handshake. Default 5 s.
    pub connect_timeout: Duration,
    /// Handshakes that callers may have going on at once; more are refused. Default 64.
    pub handshakes_max: usize,
    /// Time between signs of life on an idle link. Default 2 s.
    pub ping_interval: Duration,
    /// A link on which nothing is heard, or nothing can be written, for so long is given up. Default 10 s.
    pub silence_max: Duration,
    /// A link on which a frame that has begun is not whole after so long is given up, however often something is heard. A frame has at most
    /// 129 KiB, so 4.4 KB in a second are enough; longer messages are many frames. Default 30 s.
    pub frame_timeout: Duration,
    /// Wait before the second attempt to connect; it doubles with each failure. Default 50 ms.
    pub backoff_min: Duration,
    /// Longest wait between two attempts. Default 2 s.
    pub backoff_max: Duration,
    /// Time that an orderly close may take. Default 2 s.
    pub close_timeout: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * 1024 * 1024,
            window: Window {
                messages: 4096,
                bytes: 1024 * 1024,
            },
            queue_bytes_max: 1024 * 1024,
            asks_max: 65_536,
            channels_max: 65_536,
            connect_timeout: Duration::from_secs(5),
            handshakes_max: 64,
            ping_interval: Duration::from_secs(2),
            silence_max: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// Smallest and largest [`LinkConfig::message_bytes_max`].
const MESSAGE_BYTES: std::ops::RangeInclusive<usize> = 4096..=1 << 30;

impl LinkConfig {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    ///
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), LinkConfigError> {
        if !MESSAGE_BYTES.contains(&self.message_bytes_max) {
            return Err(LinkConfigError::MessageBytes {
                bytes: self.message_bytes_max,
            });
        }
        let counts = [
            (self.queue_bytes_max, "queue_bytes_max"),
            (self.asks_max, "asks_max"),
            (self.channels_max, "channels_max"),
            (self.handshakes_max, "handshakes_max"),
        ];
        if let Some((_, field)) = counts.iter().find(|(count, _)| *count == 0) {
            return Err(LinkConfigError::Zero { field });
        }
        let times = [
            (self.connect_timeout, "connect_timeout"),
            (self.ping_interval, "ping_interval"),
            (self.silence_max, "silence_max"),
            (self.frame_timeout, "frame_timeout"),
            (self.backoff_min, "backoff_min"),
            (self.close_timeout, "close_timeout"),
        ];
        if let Some((_, field)) = times.iter().find(|(time, _)| time.is_zero()) {
            return Err(LinkConfigError::Zero { field });
        }
        if self.silence_max <= self.ping_interval {
            return Err(LinkConfigError::SilenceNotAbovePing);
        }
        if self.backoff_max < self.backoff_min {
            return Err(LinkConfigError::BackoffMaxBelowMin);
        }
        Ok(())
    }

    /// How long to wait after so many failures in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self
                .backoff_min
                .saturating_mul(1 << (n - 1).min(20))
                .min(self.backoff_max),
        }
    }
}

/// Settings that make no sense. Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkConfigError {
    /// The longest message is outside 4096 bytes to 1 GiB.
    MessageBytes {
        /// What was asked for.
        bytes: usize,
    },
    /// Something is zero that cannot be.
    Zero {
        /// The field.
        field: &'static str,
    },
    /// `silence_max` is not above `ping_interval`: every idle link would be given up.
    SilenceNotAbovePing,
    /// `backoff_max` is below `backoff_min`.
    BackoffMaxBelowMin,
}

impl fmt::Display for LinkConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MessageBytes { bytes } => write!(
                f,
                "message_bytes_max is {bytes}; it has to lie between {} and {}",
                MESSAGE_BYTES.start(),
                MESSAGE_BYTES.end()
            ),
            Self::Zero { field } => write!(f, "{field} has to be above zero"),
            Self::SilenceNotAbovePing => {
                f.write_str("silence_max has to be above ping_interval, or idle links are given up")
            }
            Self::BackoffMaxBelowMin => f.write_str("backoff_max is below backoff_min"),
        }
    }
}

impl std::error::Error for LinkConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_settings_that_make_no_sense_are_named() {
        let check = |change: fn(&mut LinkConfig), expected| {
            let mut config = LinkConfig::default();
            change(&mut config);
            assert_eq!(config.validate(), expected);
        };
        check(|_| {}, Ok(()));
        check(
            |c| c.message_bytes_max = 1,
            Err(LinkConfigError::MessageBytes { bytes: 1 }),
        );
        check(
            |c| c.asks_max = 0,
            Err(LinkConfigError::Zero { field: "asks_max" }),
        );
        check(
            |c| c.frame_timeout = Duration::ZERO,
            Err(LinkConfigError::Zero {
                field: "frame_timeout",
            }),
        );
        check(
            |c| c.silence_max = c.ping_interval,
            Err(LinkConfigError::SilenceNotAbovePing),
        );
        check(
            |c| c.backoff_max = Duration::from_millis(1),
            Err(LinkConfigError::BackoffMaxBelowMin),
        );
    }

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let config = LinkConfig::default();
        let ms = [0, 1, 2, 3, 6, 7, 100].map(|n| config.backoff(n).as_millis());
        assert_eq!(ms, [0, 50, 100, 200, 1600, 2000, 2000]);
    }
}
