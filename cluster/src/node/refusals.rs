//! Looks whether a suspected process is gone: its host says so, if it is there itself.
//!
//! A process holds its port as long as it lives. So a host that refuses a connection there tells that the process has ended, and nobody has to
//! wait until it does not answer for long enough. Looked at is who is suspected, and by its heir the host of a singleton that does not answer. A host that is cut off, dead or asleep says nothing, and the suspicion takes its course.

use std::io;
use std::sync::Weak;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Inner;
use crate::agent::{AgentHandle, Events};
use crate::membership::{Event, NodeId};

/// A host that is there answers sooner.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// Until the node or its agent ends.
pub(super) async fn watch(node: Weak<Inner>, mut events: Events) {
    while let Some(event) = events.next().await {
        let Some(node) = node.upgrade() else {
            return;
        };
        if let Event::MemberSuspected { id, .. } = event {
            tokio::spawn(look(node.agent.clone(), id));
        }
    }
}

/// Tells the agent if the host of that boot refuses connections to it. Takes a second at most.
pub(crate) async fn look(agent: AgentHandle, id: NodeId) {
    let member = agent.member(id.name.as_str());
    let Some(member) = member.filter(|member| member.id == id) else {
        return;
    };
    let Some(addr) = member.record.metadata.stream_addr else {
        return;
    };
    let connected = timeout(ANSWER_TIME_MAX, TcpStream::connect(addr)).await;
    if matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused) {
        agent.note_refused(id).await;
    }
}
