//! One remote actor, as its references see it: a channel of its peer.

use std::{fmt, sync::Arc};

use super::{Peer, state::Slot};
use crate::remote::{
    lane::Lane,
    message::Outgoing,
    place::{Place, Unsent, Waiting},
    sync_ext::MutexExt,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    pub(crate) name: Arc<str>,
    pub(crate) message: &'static str,
    pub(crate) version: u32,
}

/// What all references to one remote actor share.
pub(crate) struct Target {
    pub(crate) peer: Arc<Peer>,
    pub(crate) key: TargetKey,
    pub(super) slot: Slot,
}

impl Target {
    /// The same actor on another lane.
    pub(crate) fn on(self: &Arc<Self>, lane: Lane) -> Arc<Self> {
        if lane == self.peer.lane {
            return self.clone();
        }
        self.peer.on(lane).target(self.key.clone())
    }

    /// Sends if that is possible at once.
    pub(crate) fn try_send(&self, outgoing: Outgoing) -> Result<(), (Unsent, Outgoing)> {
        let peer = &self.peer;
        let mut state = peer.state.locked();
        if let Err(unsent) = state.can_send(self.slot, &outgoing, &peer.config) {
            return Err((unsent, outgoing));
        }
        state.send(self.slot, outgoing);
        peer.want_link(&mut state);
        Ok(())
    }

    /// Sends, or waits in the channel's line. `None`: it was sent.
    pub(crate) fn send(
        &self,
        outgoing: Outgoing,
    ) -> Result<Option<Arc<Place>>, (Unsent, Outgoing)> {
        let peer = &self.peer;
        let mut state = peer.state.locked();
        let place = match state.can_send(self.slot, &outgoing, &peer.config) {
            Ok(()) => {
                state.send(self.slot, outgoing);
                None
            }
            Err(Unsent::Full) => {
                let place = Place::new();
                let waiting = Waiting {
                    place: place.clone(),
                    outgoing,
                };
                state.channel(self.slot).line.push_back(waiting);
                state.note_waiting(self.slot);
                Some(place)
            }
            Err(unsent) => return Err((unsent, outgoing)),
        };
        peer.want_link(&mut state);
        Ok(place)
    }

    /// Gives up a place in the line. False: it is not there any more.
    pub(crate) fn cancel(&self, place: &Arc<Place>) -> bool {
        let mut state = self.peer.state.locked();
        let line = &mut state.channel(self.slot).line;
        let position = line
            .iter()
            .position(|waiting| Arc::ptr_eq(&waiting.place, place));
        let taken = position.and_then(|position| line.remove(position));
        drop(state);
        let is_taken = taken.is_some();
        if let Some(waiting) = taken {
            waiting.outgoing.disarm();
        }
        is_taken
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let me = std::ptr::from_ref(self);
        self.peer.state.locked().detach(self.slot, me);
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({} on {})", self.key.name, self.peer.id)
    }
}
