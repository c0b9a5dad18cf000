//! A link that this node dials: from the wish to the end.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    config::LinkConfig,
    counters::{LinkCount, LinkCounters},
    directory::Location,
    error::LinkError,
    frame::{Decoder, FRAME_BYTES_MAX},
    handshake::{self, Call, Greeted},
    links::Shared,
    patience::Patience,
    peer::Peer,
    pipe::{self, stopped},
    place::Unsent,
};
use crate::transport::Reader;

/// Dials after `pause`, and serves the link until it ends. The peer then knows that it has none.
pub(crate) async fn drive(peer: Arc<Peer>, links: Arc<Shared>, pause: Duration) {
    let mut stop = peer.stop_receiver();
    let dialed = tokio::select! {
        dialed = dial(&peer, &links, pause) => dialed,
        why = stopped(&mut stop) => Err(why),
    };
    let opened = dialed.and_then(|greeted| {
        peer.opened(greeted.message_bytes_max)?;
        Ok(greeted)
    });
    let why = match opened {
        Err(why) => {
            links.counters.add(LinkCount::DialsFailed, 1);
            why
        }
        Ok(greeted) => {
            links.counters.add(LinkCount::LinksDialed, 1);
            let room_for = peer.clone();
            let has_room = move || room_for.has_room();
            let reading = async {
                match receive(&peer, greeted.reader, greeted.decoder, &links.config).await {
                    Err(why) => why,
                }
            };
            let pipe = peer.pipe();
            let why = pipe::run(
                &pipe,
                greeted.writer,
                &links.config,
                has_room,
                &mut stop,
                reading,
            )
            .await;
            note_end(&links.counters, &why);
            why
        }
    };
    match why {
        LinkError::Refused(reason) => links.counters.note_refused(reason),
        LinkError::WasRefused(reason) => links.counters.note_was_refused(reason),
        LinkError::NodeDown => peer.end(Unsent::NodeDown),
        _ => {}
    }
    peer.lost(&why);
}

async fn dial(peer: &Peer, links: &Shared, pause: Duration) -> Result<Greeted, LinkError> {
    sleep(pause).await;
    let addr = match links.directory.locate(&peer.id) {
        Location::At(addr) => addr,
        Location::Unknown => return Err(LinkError::Unlocated),
        Location::Down => return Err(LinkError::NodeDown),
    };
    let transport = links.transport().ok_or(LinkError::ShutDown)?;
    let connection = timeout(links.config.connect_timeout, transport.dial(addr))
        .await
        .map_err(|_| LinkError::Silent)??;
    let call = Call {
        lane: peer.lane,
        link: links.next_link(),
    };
    handshake::dial(connection, &links.local(), &peer.id, call).await
}

/// Reads answers. Nothing here waits for anything but the socket.
async fn receive(
    peer: &Peer,
    mut half: Reader,
    mut decoder: Decoder,
    config: &LinkConfig,
) -> Result<std::convert::Infallible, LinkError> {
    let mut patience = Patience::new(config, Instant::now());
    loop {
        let mut has_whole = false;
        while let Some(frame) = decoder.next(FRAME_BYTES_MAX)? {
            has_whole = true;
            peer.handle(frame)?;
        }
        let now = Instant::now();
        patience.heard(now, has_whole, decoder.has_part());
        patience.check(now)?;
        match timeout_at(patience.ends_at(), decoder.read_from(&mut half)).await {
            Ok(Ok(0)) => {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(patience.end()),
        }
    }
}

/// Counts a link that ended otherwise than in order.
pub(crate) fn note_end(counters: &LinkCounters, why: &LinkError) {
    match why {
        LinkError::Goodbye | LinkError::ShutDown | LinkError::NodeDown | LinkError::Replaced => {}
        LinkError::Frame(_) | LinkError::Rules(_) => {
            tracing::warn!(%why, "a link was closed");
            counters.add(LinkCount::RulesBroken, 1);
            counters.add(LinkCount::LinksLost, 1);
        }
        LinkError::FrameTooSlow => {
            tracing::warn!(%why, "a link was closed");
            counters.add(LinkCount::FramesTooSlow, 1);
            counters.add(LinkCount::LinksLost, 1);
        }
        _ => counters.add(LinkCount::LinksLost, 1),
    }
}
