//! Turning a caught panic into a [`Panic`], and the hook that knows where it happened.
//!
//! The hook is installed only by [`record_panic_locations`]; without it a panic has its message alone.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    panic,
    sync::Once,
};

use crate::exit::Panic;

struct Place {
    location: String,
    backtrace: Option<Backtrace>,
}

thread_local! {
    static LAST: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Records where each panic of this process happens, so that exit reasons can tell.
///
/// This installs a panic hook, which is process-wide, in front of the one that is there: that one is still called, so
/// what is printed does not change. Calling it again does nothing. Backtraces are captured only if the standard
/// library's own switch (`RUST_BACKTRACE`) asks for them.
pub fn record_panic_locations() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let backtrace = Backtrace::capture();
            let place = info.location().map(|location| Place {
                location: location.to_string(),
                backtrace: (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace),
            });
            // A panic while the thread's locals are torn down has no actor to tell.
            let _ = LAST.try_with(|last| last.replace(place));
            next(info);
        }));
    });
}

/// Describes a payload that was caught on this thread just now.
pub(crate) fn describe(payload: Box<dyn Any + Send>) -> Panic {
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is no text)");
    let place = LAST.try_with(RefCell::take).ok().flatten();
    let (location, backtrace) = match place {
        Some(place) => (Some(place.location), place.backtrace),
        None => (None, None),
    };
    let panic = Panic::new(message.to_owned(), location, backtrace);
    // A payload's own drop may panic; that must not reach the run loop.
    let _ = panic::catch_unwind(panic::AssertUnwindSafe(move || drop(payload)));
    panic
}
