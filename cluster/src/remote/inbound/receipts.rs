//! Messages that are to be acknowledged: which attempt is the first, and who is told what became of it.

use std::sync::Weak;

use tokio::time::Instant;
use treewarden_runtime::Receipt;

use super::Answering;
use crate::{
    membership::BootUid,
    remote::{
        counters::LinkCount,
        deliveries::{Attempt, DeliveryId},
        frame::{Frame, NoAnswer, WireDelivery},
        sync_ext::MutexExt,
    },
};

/// Where an attempt at a delivery waits for its acknowledgement: on which link, and under which number.
#[derive(Debug)]
pub(crate) struct Awaited {
    answering: Weak<Answering>,
    number: u64,
}

impl Awaited {
    fn tell(&self, handled: bool) {
        if let Some(answering) = self.answering.upgrade() {
            answering.acknowledge(self.number, handled);
        }
    }
}

impl Answering {
    /// An attempt at a delivery arrived. Returns the receipt for its message, if that is to be handed to the mailbox.
    pub(crate) fn receive(&self, attempt: WireDelivery, deadline: Instant) -> Option<Receipt> {
        let WireDelivery {
            boot,
            delivery,
            number,
        } = attempt;
        let id = DeliveryId {
            boot: BootUid(boot),
            number: delivery,
        };
        let awaited = Awaited {
            answering: self.myself.clone(),
            number,
        };
        let now = Instant::now();
        let arrived =
            self.deliveries
                .locked()
                .arrive(now, &self.caller.name, id, deadline, awaited);
        match arrived {
            Attempt::Fresh => {
                let (deliveries, sender) = (self.deliveries.clone(), self.caller.name.clone());
                return Some(Receipt::new(move |handled| {
                    let now = Instant::now();
                    let awaited = deliveries.locked().settle(now, &sender, id, handled);
                    if let Some(awaited) = awaited {
                        awaited.tell(handled);
                    }
                }));
            }
            Attempt::InHands => self.counters.add(LinkCount::DuplicatesDropped, 1),
            Attempt::Handled => {
                self.counters.add(LinkCount::DuplicatesDropped, 1);
                self.acknowledge(number, true);
            }
            Attempt::Refused => {
                self.pipe.push(&Frame::ReplyError {
                    number,
                    error: NoAnswer::Refused,
                });
            }
        }
        None
    }

    fn acknowledge(&self, number: u64, handled: bool) {
        self.pipe.push(&match handled {
            true => Frame::Reply {
                number,
                payload: &[],
            },
            false => Frame::ReplyError {
                number,
                error: NoAnswer::NoReply,
            },
        });
    }
}
