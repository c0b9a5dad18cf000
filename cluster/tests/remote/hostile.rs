//! Who does not mean well: refused or cut off, with a reason that is counted, in bounded time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{broadcast, oneshot},
};
use treewarden_cli::certs::Authority;
use treewarden_cluster::remote::{
    LinkConfig, LinkCount, Location, PROTOCOL, Refusal, RemoteRef,
    frame::{self, FRAME_BYTES_MAX, Frame, HANDSHAKE_FRAME_BYTES_MAX, Hello},
};
use treewarden_runtime::AskError;

use crate::{
    handshake::{Stranger, hello},
    support::*,
    tls::credentials_of,
};

fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, frame);
    bytes
}

/// A wire to a node that remembers what the dialer says, and on which somebody else can say something as well, in both directions.
struct Tap {
    said: Arc<Mutex<Vec<u8>>>,
    others: broadcast::Sender<Vec<u8>>,
    to_dialer: broadcast::Sender<Vec<u8>>,
}

impl Tap {
    async fn on(node: &Node) -> Self {
        let behind = node.links.local_addr();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        node.world
            .place(&node.id, Location::At(listener.local_addr().unwrap()));
        let tap = Self {
            said: Arc::default(),
            others: broadcast::Sender::new(16),
            to_dialer: broadcast::Sender::new(16),
        };
        let (said, others) = (tap.said.clone(), tap.others.clone());
        let to_dialer = tap.to_dialer.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(behind).await.unwrap();
                let (mut near_reader, mut near_writer) = near.into_split();
                let (mut far_reader, mut far_writer) = far.into_split();
                let (said, mut others) = (said.clone(), others.subscribe());
                let mut to_dialer = to_dialer.subscribe();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 64 * 1024];
                    loop {
                        let next = tokio::select! {
                            read = far_reader.read(&mut bytes) => match read {
                                Ok(read) if read > 0 => bytes[..read].to_vec(),
                                _ => return,
                            },
                            Ok(other) = to_dialer.recv() => other,
                        };
                        if near_writer.write_all(&next).await.is_err() {
                            return;
                        }
                    }
                });
                tokio::spawn(async move {
                    let mut bytes = vec![0; 64 * 1024];
                    loop {
                        let next = tokio::select! {
                            read = near_reader.read(&mut bytes) => match read {
                                Ok(read) if read > 0 => bytes[..read].to_vec(),
                                _ => return,
                            },
                            // Nothing: the wire is cut.
                            Ok(other) = others.recv() => match other.is_empty() {
                                true => return,
                                false => {
                                    if far_writer.write_all(&other).await.is_err() {
                                        return;
                                    }
                                    continue;
                                }
                            },
                        };
                        said.lock().unwrap().extend_from_slice(&next);
                        if far_writer.write_all(&next).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        tap
    }

    fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap().clone()
    }

    fn inject(&self, bytes: Vec<u8>) {
        self.others.send(bytes).unwrap();
    }
}

/// What was noted, asked until there is a link.
async fn works_again(r: &RemoteRef<Msg>) -> Vec<u64> {
    soon(async {
        loop {
            if let Ok(noted) = r.ask(Msg::Noted).await {
                return noted;
            }
        }
    })
    .await
}

/// Announces a long message.
fn announce(channel: u32, bytes: u32) -> Vec<u8> {
    bytes_of(&Frame::TellBegin {
        channel,
        bytes,
        context: None,
    })
}

/// What a stranger does at the door.
enum Act {
    /// Says this, and waits.
    Say(Vec<u8>),
    /// Says this a byte at a time, for ever.
    Trickle(Vec<u8>),
    /// Says this and hangs up.
    HangUp(Vec<u8>),
    /// Says hello, and this to whoever answers.
    Answer(Vec<u8>),
    /// Says hello, and the answer back.
    Reflect,
}

/// What is counted of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counted {
    Refused(Refusal),
    CallLost,
}

fn counted(node: &Node) -> Vec<(Counted, u64)> {
    let refusals = Refusal::ALL.map(|why| {
        let times = node.links.counters().refused(why);
        (Counted::Refused(why), times)
    });
    let lost = (Counted::CallLost, node.count(LinkCount::CallsLost));
    refusals.into_iter().chain([lost]).collect()
}

/// Acts, and reads until the other side closes. Returns how much it was sent.
async fn act(node: &Node, act: Act) -> usize {
    let mut stranger = Stranger::at(node).await;
    match act {
        Act::Say(bytes) => stranger.0.write_all(&bytes).await.unwrap(),
        Act::Trickle(bytes) => {
            for byte in bytes.iter().cycle() {
                // It is closed some time.
                if stranger.0.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Act::HangUp(bytes) => {
            stranger.0.write_all(&bytes).await.unwrap();
            return 0;
        }
        Act::Answer(bytes) => {
            stranger.say(&Frame::Hello(hello(node))).await;
            stranger.0.write_all(&bytes).await.unwrap();
        }
        Act::Reflect => {
            stranger.say(&Frame::Hello(hello(node))).await;
            let mut welcome = vec![0; HANDSHAKE_FRAME_BYTES_MAX];
            let read = stranger.0.read(&mut welcome).await.unwrap();
            // The proof is the end of the frame: a length of one byte, a nonce and a tag.
            let proof = &welcome[read - 40..read];
            stranger.say(&Frame::Confirm { proof }).await;
        }
    }
    let mut all = Vec::new();
    // A reset is an end as well.
    let _ = stranger.0.read_to_end(&mut all).await;
    all.len()
}

#[tokio::test]
async fn what_a_stranger_does_is_refused_or_ends_and_is_counted_once() {
    let world = World::default();
    let impatient = Spec {
        config: LinkConfig {
            connect_timeout: Duration::from_millis(400),
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let a = Node::start(&world, "a").await;
    let b = Node::start_with(&world, id("b", 1), impatient).await;
    b.expose("r", Recorder::default());
    let tap = Tap::on(&b).await;
    let r = a.remote(&b, "r");
    soon(r.tell(Msg::Note(1))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![1]));
    let recorded = tap.said();

    let say_hello = |change: &dyn Fn(&mut Hello<'_>)| {
        let mut hello = hello(&b);
        change(&mut hello);
        Act::Say(bytes_of(&Frame::Hello(hello)))
    };
    let whole = bytes_of(&Frame::Hello(hello(&b)));
    let half = whole[..whole.len() / 2].to_vec();
    let frame_of = |bytes: u32| [&bytes.to_le_bytes()[..], &[1; 64]].concat();
    let tell = Frame::Tell {
        channel: 0,
        payload: b"let me in",
    };
    use Refusal::*;
    let table = [
        ("nothing", Act::Say(vec![]), Counted::Refused(TooSlow)),
        (
            "half a hello",
            Act::Say(half.clone()),
            Counted::Refused(TooSlow),
        ),
        (
            "a byte now and then",
            Act::Trickle([&1000_u32.to_le_bytes()[..], &[1, 0]].concat()),
            Counted::Refused(TooSlow),
        ),
        (
            "a hello and no more",
            Act::Say(whole.clone()),
            Counted::Refused(TooSlow),
        ),
        ("hangs up", Act::HangUp(vec![]), Counted::CallLost),
        ("hangs up in a hello", Act::HangUp(half), Counted::CallLost),
        (
            "hangs up on a welcome",
            Act::HangUp(whole.clone()),
            Counted::CallLost,
        ),
        (
            "a frame that is a little too long",
            Act::Say(frame_of(HANDSHAKE_FRAME_BYTES_MAX as u32 + 1)),
            Counted::Refused(NotAHandshake),
        ),
        (
            "the longest frame",
            Act::Say(frame_of(u32::MAX)),
            Counted::Refused(NotAHandshake),
        ),
        (
            "another protocol altogether",
            Act::Say(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
            Counted::Refused(NotAHandshake),
        ),
        (
            "a message",
            Act::Say(bytes_of(&tell)),
            Counted::Refused(NotAHandshake),
        ),
        (
            "another cluster",
            say_hello(&|hello| hello.cluster = "other"),
            Counted::Refused(WrongCluster),
        ),
        (
            "another node",
            say_hello(&|hello| hello.to_name = "c"),
            Counted::Refused(WrongNode),
        ),
        (
            "another boot",
            say_hello(&|hello| hello.to_boot = 9),
            Counted::Refused(WrongNode),
        ),
        (
            "a protocol to come",
            say_hello(&|hello| hello.protocol_min = PROTOCOL + 1),
            Counted::Refused(WrongProtocol),
        ),
        (
            "a name that is none",
            say_hello(&|hello| hello.from_name = ""),
            Counted::Refused(NotAHandshake),
        ),
        (
            "hello twice",
            Act::Answer(whole),
            Counted::Refused(NotAHandshake),
        ),
        (
            "a guess",
            Act::Answer(bytes_of(&Frame::Confirm { proof: &[0; 40] })),
            Counted::Refused(WrongKey),
        ),
        (
            "no proof at all",
            Act::Answer(bytes_of(&Frame::Confirm { proof: &[] })),
            Counted::Refused(WrongKey),
        ),
        (
            "the proof of the other side",
            Act::Reflect,
            Counted::Refused(WrongKey),
        ),
        (
            "what a member once said",
            Act::Say(recorded),
            Counted::Refused(WrongKey),
        ),
    ];
    for (what, does, expected) in table {
        let before = counted(&b);
        let was_sent = soon(act(&b, does)).await;
        until(|| counted(&b) != before).await;
        let changed: Vec<_> = counted(&b)
            .into_iter()
            .zip(before)
            .filter_map(|((what, now), (_, then))| (now > then).then_some((what, now - then)))
            .collect();
        assert_eq!(changed, [(expected, 1)], "{what}");
        assert!(
            was_sent <= 2 * HANDSHAKE_FRAME_BYTES_MAX,
            "{what}: {was_sent}"
        );
    }
    assert_eq!(b.count(LinkCount::LinksAccepted), 1);
    // The link that there was has noticed nothing, and nothing was handled twice.
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![1]));
}

#[tokio::test]
async fn what_is_no_frame_or_has_no_place_ends_the_link_is_counted_and_the_next_message_dials_again()
 {
    let world = World::default();
    let a = Node::start(&world, "a").await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    let tap = Tap::on(&b).await;
    let r = a.remote(&b, "r");
    /// What is said, given the channel that is open on the link.
    type Says = fn(u32) -> Vec<u8>;
    let table: [(&str, Says); 12] = [
        ("a frame that is too long", |_| {
            (FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec()
        }),
        ("the longest frame", |_| u32::MAX.to_le_bytes().to_vec()),
        ("another framing", |_| vec![2, 0, 0, 0, 9, 17]),
        ("an unknown kind", |_| vec![2, 0, 0, 0, 1, 200]),
        ("an empty frame", |_| vec![0, 0, 0, 0]),
        ("a frame with something behind it", |_| {
            vec![3, 0, 0, 0, 1, 17, 0]
        }),
        ("a frame of the handshake", |_| {
            bytes_of(&Frame::Confirm { proof: &[0; 40] })
        }),
        ("a frame of the other side", |channel| {
            bytes_of(&Frame::Closed { channel })
        }),
        ("a message on no channel", |channel| {
            let channel = channel + 1;
            bytes_of(&Frame::Tell {
                channel,
                payload: b"to whom?",
            })
        }),
        ("a message that is longer than any", |channel| {
            announce(channel, u32::MAX)
        }),
        ("a long message that is short", |channel| {
            announce(channel, 1)
        }),
        ("a part of no message", |channel| {
            bytes_of(&Frame::Fragment {
                channel,
                payload: b"a part of nothing",
            })
        }),
    ];
    for (place, (what, says)) in (0..).zip(table) {
        works_again(&r).await;
        // Each link has one channel, and no number is used twice.
        tap.inject(says(place));
        let broken = u64::from(place) + 1;
        until(|| b.count(LinkCount::RulesBroken) == broken).await;
        until(|| b.count(LinkCount::LinksLost) == broken).await;
        until(|| a.count(LinkCount::LinksLost) == broken).await;
        assert_eq!(a.count(LinkCount::RulesBroken), 0, "{what}");
    }
    let broken = b.count(LinkCount::RulesBroken);
    works_again(&r).await;
    let message = bytes_of(&Frame::Tell {
        channel: 0,
        payload: &[0; 100],
    });
    tap.inject(message[..50].to_vec());
    tap.inject(Vec::new());
    until(|| b.count(LinkCount::LinksLost) == broken + 1).await;
    assert_eq!(
        b.count(LinkCount::RulesBroken),
        broken,
        "half a frame is no frame"
    );
    assert!(works_again(&r).await.is_empty(), "nothing was handled");
}

/// A node that gives a frame 300 ms from its first byte to its last.
fn who_waits_for_no_frame() -> Spec {
    Spec {
        config: LinkConfig {
            frame_timeout: Duration::from_millis(300),
            // No byte comes so late.
            silence_max: Duration::from_secs(600),
            ..Spec::default().config
        },
        ..Spec::default()
    }
}

/// Says it byte by byte, in real time: what is looked at is a socket.
async fn trickle(to: &broadcast::Sender<Vec<u8>>, bytes: Vec<u8>) {
    for byte in bytes {
        // Nobody listens once the link is closed.
        let _ = to.send(vec![byte]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_member_that_trickles_a_frame_is_cut_off_when_its_time_is_over_and_is_counted() {
    let world = World::default();
    let a = Node::start(&world, "a").await;
    let b = Node::start_with(&world, id("b", 1), who_waits_for_no_frame()).await;
    b.expose("r", Recorder::default());
    let tap = Tap::on(&b).await;
    let r = a.remote(&b, "r");
    works_again(&r).await;
    let frame = bytes_of(&Frame::Tell {
        channel: 0,
        payload: &[0; FRAME_BYTES_MAX / 2],
    });
    tokio::select! {
        () = trickle(&tap.others, frame) => panic!("the frame is whole"),
        () = until(|| b.count(LinkCount::FramesTooSlow) == 1) => {}
    }
    until(|| b.count(LinkCount::LinksLost) == 1).await;
    until(|| a.count(LinkCount::LinksLost) == 1).await;
    assert_eq!(b.count(LinkCount::RulesBroken), 0);
    assert!(works_again(&r).await.is_empty(), "nothing was handled");
}

#[tokio::test]
async fn a_member_that_trickles_an_answer_is_hung_up_on_when_its_time_is_over_and_is_counted() {
    let world = World::default();
    let a = Node::start_with(&world, id("a", 1), who_waits_for_no_frame()).await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    let tap = Tap::on(&b).await;
    let r = a.remote(&b, "r");
    works_again(&r).await;
    let frame = bytes_of(&Frame::Reply {
        number: u64::MAX,
        payload: &[0; FRAME_BYTES_MAX / 2],
    });
    tokio::select! {
        biased;
        // It is on its way before the first byte of that frame.
        held = r.ask(Msg::Hold) => {
            assert_eq!(held, Err(AskError::Disconnected.into()), "who waits on that link is told");
        }
        () = trickle(&tap.to_dialer, frame) => panic!("the frame is whole"),
    }
    until(|| a.count(LinkCount::FramesTooSlow) == 1).await;
    until(|| a.count(LinkCount::LinksLost) == 1).await;
    until(|| b.count(LinkCount::LinksLost) == 1).await;
    assert_eq!(a.count(LinkCount::RulesBroken), 0);
    assert_eq!(a.count(LinkCount::RepliesLate), 0, "no answer was taken");
    works_again(&r).await;
    assert_eq!(a.count(LinkCount::LinksDialed), 2);
}

#[tokio::test]
async fn a_listener_that_trickles_its_half_of_the_handshake_is_given_up_in_time_and_counted() {
    let world = World::default();
    let impatient = Spec {
        config: LinkConfig {
            connect_timeout: Duration::from_millis(400),
            // Nobody dials again while this looks.
            backoff_min: Duration::from_secs(600),
            backoff_max: Duration::from_secs(600),
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), impatient).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let b = id("b", 1);
    world.place(&b, Location::At(listener.local_addr().unwrap()));
    let (dialer_hung_up, hung_up) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        tokio::spawn(async move {
            let mut all = Vec::new();
            // A reset is an end as well.
            let _ = reader.read_to_end(&mut all).await;
            let _ = dialer_hung_up.send(());
        });
        // A frame of the handshake that never ends.
        let begun = [&1000_u32.to_le_bytes()[..], &[1, 1]].concat();
        for byte in begun.into_iter().chain(std::iter::repeat(0)) {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let r: RemoteRef<Msg> = a.links.remote(&b, "r");
    let asked = soon(r.ask(Msg::Noted)).await;
    assert_eq!(asked, Err(AskError::Disconnected.into()));
    soon(hung_up).await.unwrap();
    assert_eq!(a.links.counters().refused(Refusal::TooSlow), 1);
    assert_eq!(a.count(LinkCount::DialsFailed), 1);
    assert_eq!(a.count(LinkCount::LinksDialed), 0);
}

#[tokio::test]
async fn under_tls_what_was_said_on_the_way_once_is_not_heard_twice() {
    let (world, authority) = (World::default(), Authority::generate("test", 1).unwrap());
    let spec = |name| Spec {
        credentials: Some(credentials_of(&authority, "test", name)),
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec("a")).await;
    let b = Node::start_with(&world, id("b", 1), spec("b")).await;
    b.expose("r", Recorder::default());
    let tap = Tap::on(&b).await;
    let r = a.remote(&b, "r");
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    let before = tap.said().len();
    soon(r.tell(Msg::Note(7))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![7]));
    let message = tap.said()[before..].to_vec();
    tap.inject(message);
    until(|| b.count(LinkCount::LinksLost) == 1).await;
    until(|| a.count(LinkCount::LinksLost) == 1).await;
    assert_eq!(works_again(&r).await, [7]);
}
