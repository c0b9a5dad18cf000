use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};
use treewarden_cluster::remote::{
    Lane, LinkConfig, LinkCount, Location, PROTOCOL, Refusal,
    frame::{self, Decoder, Frame, HANDSHAKE_FRAME_BYTES_MAX, Hello},
};
use treewarden_runtime::AskError;

use crate::support::*;

/// Lets `caller` ask a node of the default kind, and expects a refusal that both sides count.
async fn check(caller: Spec, why: Refusal, refused_by_the_dialer: bool) {
    let world = World::default();
    let a = Node::start_with(&world, id("a", 1), caller).await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    let answer = soon(a.remote(&b, "r").ask(Msg::Noted)).await;
    assert_eq!(answer, Err(AskError::Disconnected.into()));
    let (refuses, is_refused) = if refused_by_the_dialer {
        (&a, &b)
    } else {
        (&b, &a)
    };
    until(|| refuses.links.counters().refused(why) == 1).await;
    until(|| is_refused.links.counters().was_refused(why) == 1).await;
    assert_eq!(a.count(LinkCount::LinksDialed), 0);
    assert_eq!(b.count(LinkCount::LinksAccepted), 0);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    let other = Spec {
        cluster: "other",
        ..Spec::default()
    };
    check(other, Refusal::WrongCluster, false).await;
}

#[tokio::test]
async fn a_node_with_another_key_is_refused() {
    let other = Spec {
        secret: 2,
        ..Spec::default()
    };
    // The acceptor proves first, so it is the dialer who finds out.
    check(other, Refusal::WrongKey, true).await;
}

#[tokio::test]
async fn a_node_that_was_declared_down_is_refused_until_it_has_a_new_boot() {
    let world = World::default();
    let a = Node::start(&world, "a").await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    world.place(&a.id, Location::Down);
    assert!(soon(a.remote(&b, "r").ask(Msg::Noted)).await.is_err());
    until(|| b.links.counters().refused(Refusal::DialerDown) == 1).await;
    let again = Node::start_with(&world, id("a", 2), Spec::default()).await;
    assert_eq!(
        soon(again.remote(&b, "r").ask(Msg::Noted)).await,
        Ok(vec![])
    );
}

/// A stranger at the door of `node`.
pub(crate) struct Stranger(pub(crate) TcpStream, Decoder);

impl Stranger {
    pub(crate) async fn at(node: &Node) -> Self {
        let stream = TcpStream::connect(node.links.local_addr()).await.unwrap();
        Self(stream, Decoder::new())
    }

    pub(crate) async fn say(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, frame);
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The reason of the refusal that comes next; `None` if something else comes.
    async fn refusal(&mut self) -> Option<Refusal> {
        soon(async {
            loop {
                match self.1.next(HANDSHAKE_FRAME_BYTES_MAX).unwrap() {
                    Some(Frame::Refuse { reason }) => return Some(reason),
                    Some(_) => return None,
                    None => {}
                }
                if self.1.read_from(&mut self.0).await.unwrap() == 0 {
                    return None;
                }
            }
        })
        .await
    }
}

pub(crate) fn hello(to: &Node) -> Hello<'_> {
    Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        cluster: "test",
        from_name: "stranger",
        from_boot: 1,
        to_name: to.id.name.as_str(),
        to_boot: to.id.boot.0,
        link: 1,
        lane: Lane::Data,
        message_bytes_max: 1 << 20,
        challenge: [0; 32],
    }
}

#[tokio::test]
async fn a_stranger_gets_no_further_than_the_handshake() {
    let world = World::default();
    let impatient = Spec {
        config: LinkConfig {
            connect_timeout: Duration::from_millis(1500),
            handshakes_max: 2,
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let b = Node::start_with(&world, id("b", 1), impatient).await;
    let refused = |why| b.links.counters().refused(why);

    let mut newer = Stranger::at(&b).await;
    newer
        .say(&Frame::Hello(Hello {
            protocol_min: PROTOCOL + 1,
            protocol_max: PROTOCOL + 2,
            ..hello(&b)
        }))
        .await;
    assert_eq!(newer.refusal().await, Some(Refusal::WrongProtocol));

    let mut astray = Stranger::at(&b).await;
    astray
        .say(&Frame::Hello(Hello {
            to_boot: 7,
            ..hello(&b)
        }))
        .await;
    assert_eq!(astray.refusal().await, Some(Refusal::WrongNode));

    let mut guessing = Stranger::at(&b).await;
    guessing.say(&Frame::Hello(hello(&b))).await;
    assert_eq!(guessing.refusal().await, None, "it is welcomed");
    guessing.say(&Frame::Confirm { proof: &[0; 40] }).await;
    assert_eq!(guessing.refusal().await, Some(Refusal::WrongKey));

    let mut rude = Stranger::at(&b).await;
    rude.say(&Frame::Ping).await;
    assert_eq!(rude.refusal().await, Some(Refusal::NotAHandshake));

    let mut lost = Stranger::at(&b).await;
    lost.0.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(lost.refusal().await, Some(Refusal::NotAHandshake));

    let _slow = (Stranger::at(&b).await, Stranger::at(&b).await);
    let mut late = Stranger::at(&b).await;
    assert_eq!(late.refusal().await, Some(Refusal::Busy));
    until(|| refused(Refusal::TooSlow) == 2).await;
    assert_eq!(b.count(LinkCount::LinksAccepted), 0);
    for why in [
        Refusal::WrongProtocol,
        Refusal::WrongNode,
        Refusal::WrongKey,
        Refusal::Busy,
    ] {
        assert_eq!(refused(why), 1, "{why}");
    }
    assert_eq!(refused(Refusal::NotAHandshake), 2);
}
