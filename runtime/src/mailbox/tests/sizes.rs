//! What a mailbox costs an idle actor, and what may cross threads.

use crate::mailbox::signal::Signal;
use std::mem::size_of;

use super::super::fifo::Fifo;
use super::*;

#[test]
fn a_queue_is_small_whatever_the_message() {
    println!(
        "bytes: Queue {}, Fifo {}, Signal {}",
        size_of::<Queue<u64>>(),
        size_of::<Fifo<u64>>(),
        size_of::<Signal>()
    );
    assert!(size_of::<Queue<u64>>() <= 168);
    assert_eq!(size_of::<Queue<u64>>(), size_of::<Queue<[u64; 100]>>());
}

#[test]
fn ends_of_the_fifo_never_share_a_cache_line() {
    let (senders_end, consumer_begins) = Fifo::<u64>::hot_fields();
    assert!(
        consumer_begins - senders_end >= 63,
        "{senders_end} to {consumer_begins}"
    );
}

#[test]
fn queues_cross_threads_if_their_messages_do() {
    fn check<T: Send + Sync>() {}
    check::<Queue<u64>>();
    check::<Queue<std::cell::Cell<u64>>>();
    check::<Mailbox>();

    // Chosen only if `Queue<T>` is not `Sync`; ambiguous, and so an error, if it is.
    trait IfNotSync<A> {
        fn stands() {}
    }
    impl<T: ?Sized> IfNotSync<()> for T {}
    impl<T: ?Sized + Sync> IfNotSync<u8> for T {}
    <Queue<std::rc::Rc<u64>> as IfNotSync<_>>::stands();
}
