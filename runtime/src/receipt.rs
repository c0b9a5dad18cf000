//! [`Receipt`]: hears whether a message was handled.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use crate::sync_ext::MutexExt;

/// Travels with a message, and is told once what became of it: whether its handler returned `Ok`.
///
/// For those who acknowledge messages, such as links to other nodes. It says *handled* when the handler has returned `Ok`; whatever else
/// becomes of the message (it is dropped from the queue, expires, its handler fails, panics or is killed) says *not handled*. It is called on
/// whatever thread that happens, and must not block.
pub struct Receipt(Mutex<Option<Tell>>);

type Tell = Box<dyn FnOnce(bool) + Send>;

impl Receipt {
    /// `tell` is called with true if the message was handled, with false if it will not be.
    #[must_use]
    pub fn new(tell: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(tell))))
    }

    /// Only the first word counts.
    pub(crate) fn settle(&self, handled: bool) {
        let tell = self.0.locked().take();
        if let Some(tell) = tell
            && catch_unwind(AssertUnwindSafe(|| tell(handled))).is_err()
        {
            tracing::error!("a receipt panicked");
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.settle(false);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}
