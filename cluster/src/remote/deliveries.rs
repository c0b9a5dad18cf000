//! What this boot of this node remembers of acknowledged messages, so that one that comes again is not handled again. Pure: `now` comes in.
//!
//! A delivery has a number that its sender uses for all its attempts, beside the boot under which it began: a process that was taken for dead
//! goes on as another boot, and its attempts go on with it. It is *in hands* from its arrival until its receipt says what became of it. Handled: it is remembered until no further attempt can come, and each that comes is acknowledged at once.
//! Not handled: it is forgotten, and the next attempt is a fresh one.
//!
//! Bounds: so many deliveries for each sending node, whatever boots it names; more are refused until some expire. A sender that is down for
//! ever is forgotten as its deliveries expire.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, hash_map::Entry},
    time::Duration,
};

use tokio::time::Instant;

use crate::membership::{BootUid, NodeName};

/// Deliveries of one sending node that are remembered at once.
const REMEMBERED_MAX: usize = 65_536;

/// How long after its deadline a delivery is remembered: the last attempt may have been on its way for as long as a link may be silent.
const REMEMBERED_AFTER: Duration = Duration::from_secs(60);

/// Which delivery of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeliveryId {
    /// The boot under which it began.
    pub(crate) boot: BootUid,
    pub(crate) number: u64,
}

/// What to do with an attempt that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Hand it to the mailbox.
    Fresh,
    /// An earlier attempt is in the mailbox or in the handler; this one will be told what becomes of that.
    InHands,
    /// An earlier attempt was handled: acknowledge.
    Handled,
    /// Too many are remembered of this sender.
    Refused,
}

/// Deliveries of all senders. `W` is where the newest attempt waits to be told.
#[derive(Debug)]
pub(crate) struct Deliveries<W> {
    of_senders: HashMap<NodeName, OfSender<W>>,
}

#[derive(Debug)]
struct OfSender<W> {
    /// `Some`: in hands; `None`: handled.
    deliveries: HashMap<DeliveryId, Option<W>>,
    /// When to forget which.
    expiry: BinaryHeap<Reverse<(Instant, DeliveryId)>>,
}

impl<W> Default for Deliveries<W> {
    fn default() -> Self {
        Self {
            of_senders: HashMap::new(),
        }
    }
}

impl<W> Deliveries<W> {
    /// An attempt arrived, of which none can follow after `deadline`.
    pub(crate) fn arrive(
        &mut self,
        now: Instant,
        sender: &NodeName,
        id: DeliveryId,
        deadline: Instant,
        waits: W,
    ) -> Attempt {
        let of_sender = self
            .of_senders
            .entry(sender.clone())
            .or_insert_with(|| OfSender {
                deliveries: HashMap::new(),
                expiry: BinaryHeap::new(),
            });
        of_sender.expire(now);
        let remembered = of_sender.deliveries.len();
        match of_sender.deliveries.entry(id) {
            Entry::Occupied(mut known) => match known.get_mut() {
                None => Attempt::Handled,
                Some(waiting) => {
                    *waiting = waits;
                    Attempt::InHands
                }
            },
            Entry::Vacant(_) if remembered >= REMEMBERED_MAX => Attempt::Refused,
            Entry::Vacant(vacant) => {
                vacant.insert(Some(waits));
                let forget_at = deadline + REMEMBERED_AFTER;
                of_sender.expiry.push(Reverse((forget_at, id)));
                Attempt::Fresh
            }
        }
    }

    /// What became of a delivery that was in hands. Returns who waits to be told.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        sender: &NodeName,
        id: DeliveryId,
        handled: bool,
    ) -> Option<W> {
        let of_sender = self.of_senders.get_mut(sender)?;
        let waiting = match handled {
            true => of_sender.deliveries.get_mut(&id)?.take(),
            false => of_sender.deliveries.remove(&id)?,
        };
        of_sender.expire(now);
        if of_sender.deliveries.is_empty() && of_sender.expiry.is_empty() {
            self.of_senders.remove(sender);
        }
        waiting
    }
}

impl<W> OfSender<W> {
    /// Forgets what is past. What is in hands then stays until it is settled, but for its expiry: it can not come again.
    fn expire(&mut self, now: Instant) {
        while let Some(Reverse((at, id))) = self.expiry.peek().copied() {
            if at > now {
                return;
            }
            self.expiry.pop();
            if let Some(None) = self.deliveries.get(&id) {
                self.deliveries.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn id(number: u64) -> DeliveryId {
        let boot = BootUid(1);
        DeliveryId { boot, number }
    }

    #[test]
    fn a_delivery_is_handed_over_once_until_it_is_known_not_to_have_been_handled() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        let deadline = now + Duration::from_secs(10);
        let me = sender("a");
        let arrive = |deliveries: &mut Deliveries<u32>, n, waits| {
            deliveries.arrive(now, &me, id(n), deadline, waits)
        };
        assert_eq!(arrive(&mut deliveries, 7, 1), Attempt::Fresh);
        assert_eq!(arrive(&mut deliveries, 7, 2), Attempt::InHands);
        assert_eq!(
            deliveries.settle(now, &sender("a"), id(7), false),
            Some(2),
            "the newest attempt is told"
        );
        assert_eq!(arrive(&mut deliveries, 7, 3), Attempt::Fresh);
        assert_eq!(deliveries.settle(now, &sender("a"), id(7), true), Some(3));
        assert_eq!(arrive(&mut deliveries, 7, 4), Attempt::Handled);
        assert_eq!(arrive(&mut deliveries, 8, 5), Attempt::Fresh);
        let of_another_boot = DeliveryId {
            boot: BootUid(2),
            number: 7,
        };
        let other = deliveries.arrive(now, &me, of_another_boot, deadline, 6);
        assert_eq!(other, Attempt::Fresh, "another boot has numbers of its own");
        let other = deliveries.arrive(now, &sender("b"), id(7), deadline, 6);
        assert_eq!(other, Attempt::Fresh, "and so has another node");
    }

    #[test]
    fn it_is_remembered_until_no_attempt_can_come_and_then_forgotten() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        let deadline = now + Duration::from_secs(10);
        deliveries.arrive(now, &sender("a"), id(7), deadline, ());
        deliveries.settle(now, &sender("a"), id(7), true);
        let later = deadline + REMEMBERED_AFTER - Duration::from_millis(1);
        let again = deliveries.arrive(later, &sender("a"), id(7), later, ());
        assert_eq!(again, Attempt::Handled);
        let long_after = deadline + REMEMBERED_AFTER;
        let again = deliveries.arrive(long_after, &sender("a"), id(7), long_after, ());
        assert_eq!(again, Attempt::Fresh);
        deliveries.settle(long_after, &sender("a"), id(7), false);
        deliveries.arrive(
            long_after + REMEMBERED_AFTER * 2,
            &sender("a"),
            id(9),
            now,
            (),
        );
        deliveries.settle(
            long_after + REMEMBERED_AFTER * 3,
            &sender("a"),
            id(9),
            false,
        );
        assert!(deliveries.of_senders.is_empty(), "{deliveries:?}");
    }

    #[test]
    fn a_sender_has_so_many_at_once_and_no_more() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        for number in 0..REMEMBERED_MAX as u64 {
            let arrived = deliveries.arrive(now, &sender("a"), id(number), now, ());
            assert_eq!(arrived, Attempt::Fresh);
        }
        assert_eq!(
            deliveries.arrive(now, &sender("a"), id(u64::MAX), now, ()),
            Attempt::Refused
        );
        assert_eq!(
            deliveries.arrive(now, &sender("b"), id(u64::MAX), now, ()),
            Attempt::Fresh,
            "others have theirs"
        );
    }
}
