//! Parcels between nodes: some told once, some delivered until they are acknowledged. Every end of one is said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use treewarden::cluster::Node;
use treewarden::cluster::membership::NodeId;
use treewarden::cluster::remote::{RemoteMessage, RemoteRef};
use treewarden::prelude::*;

use super::said::{Parcel, Said, say};

const NAME: &str = "parcels";
/// The group that all counters join.
pub(super) const GROUP: &str = "lab";
/// For how long a parcel is delivered again and again.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(15);
/// How many deliveries of a node may be under way.
const DELIVERIES_MAX: usize = 512;

#[derive(Serialize, Deserialize)]
struct Envelope(Parcel);

impl RemoteMessage for Envelope {
    const NAME: &'static str = "lab/parcel";
    const VERSION: u32 = 1;
}

struct Counter;

impl Actor for Counter {
    type Msg = Envelope;
    type Error = Failure;

    async fn handle(&mut self, msg: Envelope, _: &mut Context<Self>) -> Result<(), Failure> {
        // Said before it is acknowledged.
        say(Said::Handled(msg.0));
        Ok(())
    }
}

pub(super) fn start(system: &System, node: &Arc<Node>, per_s: u32) -> Result<(), Failure> {
    let counter = system.spawn(Counter);
    node.expose(NAME, &counter)?;
    node.groups().join(GROUP, &counter)?;
    tokio::spawn(send(node.clone(), per_s));
    Ok(())
}

/// What goes to one boot of another node.
struct Line {
    to: RemoteRef<Envelope>,
    number: u64,
}

async fn send(node: Arc<Node>, per_s: u32) {
    let me = (node.id().name.to_string(), node.id().boot.0);
    let under_way = Arc::new(Semaphore::new(DELIVERIES_MAX));
    // Kept for ever: a boot that is not seen for a while goes on with the next number.
    let mut lines: HashMap<NodeId, Line> = HashMap::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_s);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let members = node.members();
        for member in members {
            if member.state.is_down() {
                continue;
            }
            let line = lines.entry(member.id.clone()).or_insert_with(|| Line {
                to: node.remote(&member.id, NAME),
                number: 0,
            });
            line.number += 1;
            let parcel = Parcel {
                acknowledged: false,
                from: me.clone(),
                to: (member.id.name.to_string(), member.id.boot.0),
                number: line.number,
            };
            // Refused while a link is full: what is not sent need not arrive.
            let _ = line.to.try_tell(Envelope(parcel.clone()));
            if let Ok(permit) = under_way.clone().try_acquire_owned() {
                let (to, acknowledged) = (line.to.clone(), true);
                let parcel = Parcel {
                    acknowledged,
                    ..parcel
                };
                tokio::spawn(async move {
                    let delivery = to.deliver(Envelope(parcel.clone()));
                    if delivery.timeout(DELIVERY_TIME_MAX).await.is_ok() {
                        say(Said::Acknowledged(parcel));
                    }
                    drop(permit);
                });
            }
        }
    }
}
