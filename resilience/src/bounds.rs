//! What a policy refuses to be built from, and the few checks that find it.

use std::fmt::{self, Debug};
use std::ops::RangeInclusive;

/// A value given to a builder lies outside its bounds. Nothing was built; correct the named field and build again.
///
/// ```
/// use treewarden_resilience::backoff::BackoffConfig;
///
/// let error = BackoffConfig::default().factor(0.5).build().unwrap_err();
/// assert_eq!((error.policy, error.field), ("backoff", "factor"));
/// assert_eq!(error.to_string(), "backoff: factor is 0.5, but must lie between 1.0 and 100.0; nothing was built");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The policy that was to be built, by the name of its module.
    pub policy: &'static str,
    /// The builder's method that was given the value.
    pub field: &'static str,
    /// The value, as text.
    pub got: String,
    /// What the value must be, so that "must ..." reads as a sentence.
    pub bound: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} is {}, but must {}; nothing was built",
            self.policy, self.field, self.got, self.bound
        )
    }
}

impl std::error::Error for ConfigError {}

/// The checks of one policy's builder.
#[derive(Clone, Copy)]
pub(crate) struct Bounds(pub(crate) &'static str);

impl Bounds {
    /// `value`, if it lies in `range`; not-a-number lies in none.
    pub(crate) fn within<T: PartialOrd + Debug>(
        self,
        field: &'static str,
        value: T,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError> {
        if range.contains(&value) {
            return Ok(value);
        }
        let bound = format!("lie between {:?} and {:?}", range.start(), range.end());
        Err(self.refuse(field, &value, bound))
    }

    /// The error itself, for bounds that are no range. `bound` continues "must ...".
    pub(crate) fn refuse(
        self,
        field: &'static str,
        value: &dyn Debug,
        bound: impl Into<String>,
    ) -> ConfigError {
        ConfigError {
            policy: self.0,
            field,
            got: format!("{value:?}"),
            bound: bound.into(),
        }
    }
}
