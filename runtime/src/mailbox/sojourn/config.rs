//! [`Shedding`]: which discipline, and its two times.

use std::time::Duration;

/// How a mailbox gives messages up when more comes in than its actor handles; for [`Mailbox::shed`](crate::Mailbox::shed).
///
/// `docs/OVERLOAD.md` has the figures of each, and says when not to use it.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{Mailbox, Shedding};
///
/// let front_door = Mailbox::bounded(4096).shed(Shedding::adaptive());
/// let patient = Mailbox::bounded(4096).shed(Shedding::adaptive().interval(Duration::from_millis(500)));
/// # let _ = (front_door, patient);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shedding {
    pub(super) discipline: Discipline,
    pub(super) target: Duration,
    pub(super) interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Discipline {
    Codel,
    Adaptive,
}

impl Shedding {
    /// The time that a message may wait in a queue that is doing well, if nothing else is said. RFC 8289, section 4.3.
    pub const DEFAULT_TARGET: Duration = Duration::from_millis(5);
    /// The time for which it may be exceeded, if nothing else is said. RFC 8289, section 4.4.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

    /// For a service under an open load, with deadlines and classes: the recommended one.
    ///
    /// Each class of [`Criticality`](crate::Criticality) has a line of its own. The more critical line is served first, always.
    /// A line *stands* when its oldest message has waited longer than the target for a whole interval. A line that does
    /// not stand is served in the order of arrival. In one that stands
    ///
    /// - the newest message is served first (its sender still waits for it),
    /// - what has waited longer than half the interval is shed (so its sender hears of it before its deadline),
    /// - messages of every *less* critical class are refused on arrival: they would not be reached.
    ///
    /// A full mailbox sheds its oldest message of the least critical class below the newcomer's. If there is none, a
    /// newcomer whose line stands replaces the oldest there, and any other is refused.
    ///
    /// Order: that of the sender within one class, while that class does not stand. Monitor messages come before all
    /// others.
    ///
    /// Source: the detection of CoDel (RFC 8289); "controlled delay" and "adaptive LIFO" in Maurer, "Fail at Scale" (ACM
    /// Queue 13:8, 2015); criticality in "Site Reliability Engineering", chapter 21.
    pub fn adaptive() -> Self {
        Self::of(Discipline::Adaptive)
    }

    /// CoDel as published: for senders that slow down when they are refused.
    ///
    /// First in, first out. Once each message has waited longer than the target for an interval, one is shed, and more
    /// and more often while that lasts. It knows no classes. A full mailbox refuses what arrives.
    ///
    /// Source: RFC 8289, section 5, with the parts that concern packets left out.
    pub fn codel() -> Self {
        Self::of(Discipline::Codel)
    }

    fn of(discipline: Discipline) -> Self {
        Self {
            discipline,
            target: Self::DEFAULT_TARGET,
            interval: Self::DEFAULT_INTERVAL,
        }
    }

    /// The time that a message may wait in a queue that is doing well: a few times that of a slow handler, so that one of
    /// those is no overload. At least one microsecond.
    #[must_use]
    pub fn target(mut self, target: Duration) -> Self {
        self.target = target.max(Duration::from_micros(1));
        self
    }

    /// The time for which the target may be exceeded: about the deadline of the requests. Under
    /// [`adaptive`](Self::adaptive) half of it is the longest wait in a line that stands. At least one microsecond.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_micros(1));
        self
    }
}
