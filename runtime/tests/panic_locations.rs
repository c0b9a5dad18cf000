//! The panic hook belongs to the whole process, so it is tested in a process of its own.
#![allow(missing_docs)]

mod common;

use common::{Msg, Puppet, soon, system};
use treewarden_runtime::ExitReason;

#[tokio::test(start_paused = true)]
async fn the_place_of_a_panic_is_known_if_it_was_asked_for() {
    treewarden_runtime::record_panic_locations();
    let actor = system().spawn(Puppet::default());
    actor.try_tell(Msg::PanicWith("here")).unwrap();
    let ExitReason::Panicked(panic) = soon(actor.closed()).await else {
        panic!("it panicked");
    };
    assert_eq!(panic.message(), "here");
    assert!(panic.location().unwrap().contains("common/mod.rs:"));
}
