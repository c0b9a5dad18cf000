//! What a node sees of the others: membership, told to the launcher and to the coordinator.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc;
use treewarden::cluster::{
    Node,
    agent::Events,
    membership::{DownReason, Event as Membership, MemberInfo, NodeId, State},
};

use super::{
    crew::Crew,
    ledger::{HOME, NodeIndex},
    peers::{News, Peer},
    protocol::{Event, EventSink, Standing},
};

/// Who is told what becomes of the other nodes.
#[derive(Clone, Copy)]
pub enum Listener<'a> {
    /// The launcher.
    Launcher(&'a EventSink),
    /// The coordinator of this node, which has this crew.
    Coordinator {
        /// Where it hears of nodes.
        peers: &'a mpsc::Sender<Peer>,
        /// Its own crew; it is told last of those that are there at the beginning.
        home: &'a Crew,
    },
}

/// Tells what becomes of the other nodes, until membership ends. `membership` is a subscription from before.
pub async fn watch(node: &Arc<Node>, mut membership: Events, listener: Listener<'_>) {
    let mut neighbours = Neighbours {
        node,
        known: HashMap::new(),
        listener,
    };
    for member in node.members() {
        neighbours.joined(&member).await;
        if member.state == State::Unreachable {
            neighbours.is(&member.id, Standing::Unreachable).await;
        }
    }
    if let Listener::Coordinator { home, .. } = listener {
        let news = News::Joined {
            name: node.id().name.to_string(),
            crew: home.clone(),
        };
        neighbours.news(HOME, news).await;
    }
    while let Some(event) = membership.next().await {
        match event {
            Membership::MemberJoined(member) => neighbours.joined(&member).await,
            Membership::MemberReachable { id } => neighbours.is(&id, Standing::Back).await,
            Membership::MemberUnreachable { id, .. } => {
                neighbours.is(&id, Standing::Unreachable).await;
            }
            Membership::MemberDown { id, reason, .. } => {
                let standing = match reason {
                    DownReason::Left => Standing::Left,
                    _ => Standing::Down,
                };
                neighbours.is(&id, standing).await;
            }
            // Suspicions of nodes that live are refuted all the time, and change nothing.
            _ => {}
        }
    }
}

struct Neighbours<'a> {
    node: &'a Arc<Node>,
    /// Every boot that was ever seen, by its number; a boot that is down never comes back.
    known: HashMap<NodeId, NodeIndex>,
    listener: Listener<'a>,
}

impl Neighbours<'_> {
    async fn joined(&mut self, member: &MemberInfo) {
        if self.known.contains_key(&member.id) || matches!(member.state, State::Down(_)) {
            return;
        }
        let index = NodeIndex(HOME.0 + 1 + self.known.len());
        self.known.insert(member.id.clone(), index);
        self.tell(&member.id, Standing::Joined);
        let crew = Crew::There {
            here: self.node.clone(),
            there: member.id.clone(),
        };
        let name = member.id.name.to_string();
        self.news(index, News::Joined { name, crew }).await;
    }

    async fn is(&self, id: &NodeId, standing: Standing) {
        let Some(&index) = self.known.get(id) else {
            return;
        };
        self.tell(id, standing);
        match standing {
            Standing::Joined => {}
            Standing::Back => self.news(index, News::Reachable).await,
            Standing::Unreachable => self.news(index, News::Unreachable).await,
            Standing::Down | Standing::Left => self.news(index, News::Lost).await,
        }
    }

    fn tell(&self, id: &NodeId, standing: Standing) {
        if let Listener::Launcher(events) = self.listener {
            events(Event::Member {
                name: id.name.to_string(),
                standing,
            });
        }
    }

    async fn news(&self, node: NodeIndex, news: News) {
        if let Listener::Coordinator { peers, .. } = self.listener {
            // Nobody hears it when the job is done.
            let _ = peers.send(Peer { node, news }).await;
        }
    }
}
