//! [`Failure`]: the error that ends an incarnation.
//!
//! It plays the part that `anyhow::Error` plays elsewhere: anything that is a standard error converts into it with `?`.
//! It differs in being cheap to clone, because one failure is seen by many: the supervisor, the monitors, the history
//! of the child, the log. It does not implement [`std::error::Error`] itself; that is what makes the conversion possible.

use std::{backtrace::Backtrace, error::Error, fmt, panic::Location, sync::Arc};

/// Why something failed: an error, its chain of causes, and where it entered Treewarden.
///
/// Cloning costs one increment. A backtrace is captured when the standard library's own switch asks for it
/// (`RUST_BACKTRACE` or `RUST_LIB_BACKTRACE`), and costs nothing otherwise.
///
/// ```
/// use treewarden_runtime::Failure;
///
/// fn parse(text: &str) -> Result<u32, Failure> {
///     Ok(text.parse()?)
/// }
///
/// let failure = parse("twelve").unwrap_err();
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// ```
#[derive(Clone)]
pub struct Failure {
    inner: Arc<Inner>,
}

struct Inner {
    error: Box<dyn Error + Send + Sync>,
    location: &'static Location<'static>,
    backtrace: Backtrace,
}

impl Failure {
    /// A failure that is no more than a sentence.
    #[track_caller]
    pub fn msg(text: impl Into<String>) -> Self {
        Self::boxed(text.into().into())
    }

    /// A failure from an error that is boxed already.
    #[track_caller]
    pub fn boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        Self {
            inner: Arc::new(Inner {
                error,
                location: Location::caller(),
                backtrace: Backtrace::capture(),
            }),
        }
    }

    /// The error itself, for example to look for a type with [`downcast_ref`](Self::downcast_ref).
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.inner.error
    }

    /// The error as a value of type `E`, if that is what it is.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.inner.error.downcast_ref()
    }

    /// The line at which the error became a failure: the `?` or the call of [`Failure::msg`].
    pub fn location(&self) -> &'static Location<'static> {
        self.inner.location
    }

    /// The backtrace; its status says whether one was asked for.
    pub fn backtrace(&self) -> &Backtrace {
        &self.inner.backtrace
    }

    /// The error and its causes, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = &*self.inner.error;
        std::iter::successors(Some(first), |&error| error.source())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::boxed(Box::new(error))
    }
}

impl fmt::Display for Failure {
    /// The outermost error; with `{:#}` the whole chain on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner.error)?;
        if f.alternate() {
            for cause in self.chain().skip(1) {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#} (at {})", self.inner.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_chain_of_causes_and_the_line_of_the_question_mark() {
        fn read() -> Result<(), Failure> {
            let source = std::io::Error::other("disk on fire");
            Err(std::io::Error::other(source))?
        }
        let failure = read().unwrap_err();
        assert!(failure.location().file().ends_with("failure.rs"));
        assert_eq!(format!("{failure}"), "disk on fire");
        assert!(failure.downcast_ref::<std::io::Error>().is_some());
        assert!(failure.chain().count() >= 1);
    }

    #[test]
    fn a_clone_is_the_same_failure() {
        let failure = Failure::msg("no");
        assert!(std::ptr::eq(failure.clone().error(), failure.error()));
    }
}
