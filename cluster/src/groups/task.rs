//! The shell: carries what copies of the directory tell each other, over links, and what membership says.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use treewarden_runtime::{Actor, ActorRef, Context};

use super::{entry::Standing, gossip::Gossip, handle::Hall};
use crate::{
    agent::Events,
    membership::{MemberInfo, Metadata, NodeId},
    remote::Lane,
};

/// Under which name a node takes what others tell of the directory.
pub(crate) const TARGET: &str = "~groups";

/// How often, about, a copy compares itself with another one.
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Takes what other nodes tell.
pub(crate) struct Clerk(pub(crate) Arc<Hall>);

impl Actor for Clerk {
    type Msg = Gossip;
    type Error = Infallible;

    async fn handle(&mut self, gossip: Gossip, _: &mut Context<Self>) -> Result<(), Infallible> {
        self.0.with(|state| state.replica.receive(gossip));
        self.0.wake.notify_one();
        Ok(())
    }
}

/// What membership believes, asked anew each time. `None`: the node has ended.
pub(crate) trait Look: Send + 'static {
    /// This boot and its metadata, and the other members.
    fn look(&self) -> Option<(NodeId, Metadata, Vec<MemberInfo>)>;
}

/// Runs until the node ends.
pub(crate) async fn run(
    hall: Arc<Hall>,
    clerk: ActorRef<Gossip>,
    mut events: Events,
    members: impl Look,
) {
    let began = Instant::now();
    while let Some((me, metadata, members)) = members.look() {
        let (transmits, differs) = hall.with(|state| {
            let replica = &mut state.replica;
            replica.begin_boot(me);
            let alive = members.into_iter().filter(|member| !member.state.is_down());
            let alive = alive.map(|member| {
                let is_reachable = member.state.is_reachable();
                let standing = Standing::new(is_reachable, &member.record.metadata);
                (member.id, standing)
            });
            let differs = replica.observe(Standing::new(true, &metadata), alive);
            replica.handle_timeout(began.elapsed());
            let transmits = std::iter::from_fn(|| replica.poll_transmit()).collect::<Vec<_>>();
            (transmits, differs)
        });
        if differs {
            hall.touch();
        }
        if let Some(links) = hall.links() {
            for (to, gossip) in transmits {
                let there = links.remote::<Gossip>(&to, TARGET).on(Lane::Control);
                // What cannot be sent now is made good by the next comparison.
                if let Err(error) = there.try_tell(gossip) {
                    tracing::debug!(%to, %error, "an update of the directory was not sent");
                }
            }
        }
        let due = hall.with(|state| state.replica.poll_timeout());
        tokio::select! {
            event = events.next() => if event.is_none() {
                break;
            },
            () = hall.wake.notified() => {}
            () = sleep_until(began + due.unwrap_or(SYNC_INTERVAL)) => {}
        }
    }
    clerk.stop();
}
