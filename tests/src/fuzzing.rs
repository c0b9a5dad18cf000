//! What the fuzz targets do with bytes. The targets in `fuzz/` call these functions, and so does a plain test with the stored corpus, so
//! that what a fuzzer once found is tried by everybody.
//!
//! Each function panics when a promise does not hold. None has state from one input to the next.

mod handshake;

use std::net::SocketAddr;
use std::time::Duration;

use treewarden_cluster::datagram::{
    Courier, Key, Keyring, Line, NONCE_BYTES, OPENING_BYTES, Opened, opening, read_opening,
};
use treewarden_cluster::fuzzing::Choices;
use treewarden_cluster::membership::wire::{Packet, PacketWriter};
use treewarden_cluster::membership::{
    BootUid, Config, Identity, Machine, Metadata, NodeId, NodeName, Rng, State,
};
use treewarden_cluster::partition::KeepMajority;
use treewarden_cluster::remote::frame::{
    Decoder, FRAME_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX, encode,
};

pub use handshake::handshake;

/// What one target does with an input.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of the folder of their corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("packet", packet),
    ("courier", courier),
    ("line", line),
    ("frames", frames),
    ("handshake", handshake),
    ("machine", machine),
    ("groups", groups),
];

/// Decodes a membership packet. What can be read says the same after it was written anew.
pub fn packet(data: &[u8]) {
    let Ok(read) = Packet::decode(data) else {
        return;
    };
    let mut writer = PacketWriter::new(&read.header, &read.body, usize::from(u16::MAX));
    let fits = read.updates.iter().all(|update| writer.push(update))
        && read.notices.iter().all(|notice| writer.push_notice(notice));
    if fits {
        assert_eq!(Packet::decode(&writer.finish()), Ok(read));
    }
}

/// Reads a stream of frames in two pieces, once with the bounds of a handshake and once with those of a link. What can be read says the
/// same after it was written anew.
pub fn frames(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else {
        return;
    };
    for bytes_max in [HANDSHAKE_FRAME_BYTES_MAX, FRAME_BYTES_MAX] {
        let (head, tail) = stream.split_at(usize::from(*cut).min(stream.len()));
        let mut decoder = Decoder::new();
        for piece in [head, tail] {
            decoder.feed(piece);
            while let Ok(Some(frame)) = decoder.next(bytes_max) {
                let mut again = Vec::new();
                encode(&mut again, &frame);
                let mut copy = Decoder::new();
                copy.feed(&again);
                assert_eq!(copy.next(usize::MAX), Ok(Some(frame)));
            }
        }
        assert!(decoder.capacity() <= 4 * (stream.len() + FRAME_BYTES_MAX));
    }
}

/// A copy of the directory of names and groups, to which others tell anything, well formed or not. It keeps its own entries, finds nobody who is
/// no member, and says nothing that another copy would refuse.
pub fn groups(data: &[u8]) {
    treewarden_cluster::fuzzing::groups(data);
}

/// One end of a stream, to which the other end, or somebody who has no key, says anything. What is opened is what was sealed, each packet
/// once and in its place.
pub fn line(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut words = [0; OPENING_BYTES];
    words.fill_with(|| choices.byte());
    if let Ok(nonce) = read_opening(&words, true) {
        assert_eq!(opening(true, &nonce), words);
    }
    let new_line = |is_caller| {
        let keyring = Keyring::new(Key::from_bytes([1; 32]));
        Line::new(
            Some(keyring),
            "c",
            &[1; NONCE_BYTES],
            &[2; NONCE_BYTES],
            is_caller,
        )
    };
    let (mut caller, mut answerer) = (new_line(true), new_line(false));
    let mut said: u64 = 0;
    for _ in 0..64 {
        if choices.is_empty() {
            break;
        }
        match choices.byte() % 4 {
            0 => {
                assert!(answerer.open(&choices.chunk()).is_err());
                said += 1;
                let _ = caller.seal(&[], [0; 24]); // its place is taken
            }
            1 => {
                let packet = choices.chunk();
                let mut sealed = caller.seal(&packet, [said as u8; 24]);
                let at = usize::from(choices.byte());
                let change = choices.byte();
                let changed = change != 0 && at < sealed.len();
                if changed {
                    sealed[at] ^= change;
                }
                let opened = answerer.open(&sealed);
                assert_eq!(opened.is_ok(), !changed);
                assert!(opened.is_err() || opened == Ok(packet));
                said += 1;
            }
            2 => {
                let packet = choices.chunk();
                let _ = caller.seal(&packet, [said as u8; 24]); // lost: whatever comes in its place is refused
                assert!(answerer.open(&caller.seal(&packet, [9; 24])).is_err());
                let _ = answerer.open(&[]);
                said += 2;
            }
            _ => {
                let sealed = caller.seal(&[3], [4; 24]);
                assert_eq!(answerer.open(&sealed), Ok(vec![3]));
                assert!(answerer.open(&sealed).is_err(), "said twice");
                let _ = caller.seal(&[], [0; 24]);
                said += 2;
            }
        }
    }
}

fn addr(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 7946).into()
}

fn new_courier(boot: u64) -> Courier {
    let mut rng = Rng::new(boot);
    let entropy = Box::new(move |bytes: &mut [u8]| bytes.fill_with(|| rng.next_u64() as u8));
    Courier::new(
        "c",
        BootUid(boot),
        Keyring::new(Key::from_bytes([1; 32])),
        entropy,
        4,
    )
}

/// Two couriers, and somebody between them who keeps, repeats, damages and invents datagrams and lies about where they come from. A payload
/// comes out at most once and as it was put in, and a stranger is never sent more than it sent.
pub fn courier(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (mut a, mut b) = (new_courier(10), new_courier(20));
    let (mut sealed, mut opened): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    // Datagrams that were seen on the way, and whether they go to b.
    let mut seen: Vec<(Vec<u8>, bool)> = Vec::new();
    let mut now = Duration::from_secs(1);
    while !choices.is_empty() && seen.len() < 64 {
        now += Duration::from_millis(u64::from(choices.byte()));
        let (datagram, to_b, from) = match choices.byte() % 5 {
            0 => {
                // Numbered, so that each is another one.
                let payload = [&[sealed.len() as u8][..], &choices.chunk()].concat();
                sealed.push(payload.clone());
                (a.seal(now, addr(2), payload), true, addr(1))
            }
            1 if !seen.is_empty() => {
                let (datagram, to_b) = seen[usize::from(choices.byte()) % seen.len()].clone();
                (datagram, to_b, addr(if to_b { 1 } else { 2 }))
            }
            2 if !seen.is_empty() => {
                let (mut datagram, to_b) = seen[usize::from(choices.byte()) % seen.len()].clone();
                let at = usize::from(choices.byte());
                let change = choices.byte().max(1);
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= change;
                }
                (datagram, to_b, addr(if to_b { 1 } else { 2 }))
            }
            3 if !seen.is_empty() => {
                let (datagram, to_b) = seen[usize::from(choices.byte()) % seen.len()].clone();
                (datagram, to_b, addr(choices.byte()))
            }
            _ => (
                choices.chunk(),
                choices.byte().is_multiple_of(2),
                addr(choices.byte()),
            ),
        };
        let receiver = if to_b { &mut b } else { &mut a };
        let is_hello = datagram.first().is_some_and(|first| first & 0x0f == 0);
        let answers = match receiver.open(now, from, &datagram) {
            Ok(Opened::Payload(payload)) => {
                opened.push(payload);
                Vec::new()
            }
            Ok(Opened::Answer(answers)) => {
                let bytes: usize = answers.iter().map(Vec::len).sum();
                assert!(
                    !is_hello || bytes <= datagram.len(),
                    "a stranger gets more than it sent"
                );
                answers
            }
            Err((_, answer)) => {
                let bytes = answer.as_ref().map_or(0, Vec::len);
                assert!(bytes <= datagram.len(), "a stranger gets more than it sent");
                answer.into_iter().collect()
            }
        };
        seen.push((datagram, to_b));
        seen.extend(answers.into_iter().map(|answer| (answer, !to_b)));
    }
    for payload in opened {
        let at = sealed.iter().position(|put_in| *put_in == payload);
        let at = at.expect("what came out was put in, and has not come out before");
        sealed.swap_remove(at);
    }
}

/// A machine to which anything may happen: packets of any content, jumps of time, commands. It stays within its bounds, writes only packets
/// that can be read, never takes its incarnation back, and has a timer as long as it lives.
pub fn machine(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut now = Duration::from_secs(1);
    let config = Config::local();
    let (bytes_max, members_max) = (config.packet_bytes_max, config.members_max);
    let identity = Identity {
        id: NodeId {
            name: NodeName::new("me").expect("a name"),
            boot: BootUid(5),
        },
        addr: addr(1),
        metadata: Metadata::default(),
    };
    let policy = Box::new(KeepMajority::new(Duration::from_secs(1)));
    let mut machine = Machine::new(now, config, identity, policy, 7).expect("good settings");
    let mut before = (machine.id().clone(), machine.incarnation());
    for _ in 0..256 {
        if choices.is_empty() {
            break;
        }
        match choices.byte() % 8 {
            // Packets are a header that can be read more often than chance would have it, and a tail of anything.
            0..=2 => {
                let way = choices.byte();
                let from = addr(way % 8);
                if way < 128 {
                    let _ = machine.handle_packet(now, from, &choices.chunk());
                } else if let Ok(said) = machine.handle_stream(now, from, &choices.chunk()) {
                    for packet in said {
                        assert!(packet.len() <= bytes_max, "a packet that is too long");
                        Packet::decode(&packet).expect("what it says can be read");
                    }
                }
            }
            3 => now += Duration::from_millis(u64::from(choices.byte())),
            4 => now += Duration::from_secs(u64::from(choices.byte())),
            5 => now = machine.poll_timeout().map_or(now, |due| due.max(now)),
            6 => {
                let seeds = [addr(choices.byte() % 8), addr(choices.byte() % 8)];
                let _ = machine.join(now, &seeds);
            }
            _ => {
                let boot = BootUid(u64::from(choices.byte()));
                // Refusals are among what may happen.
                let _ = match choices.byte() % 5 {
                    0 => machine.leave(now),
                    1 => machine.rejoin(now, boot),
                    2 => machine.set_metadata(now, Metadata::default()),
                    3 => machine.post(now, "k", &choices.chunk()).map(|_| ()),
                    _ => {
                        let first = machine.members().next();
                        first.map_or(Ok(()), |row| machine.down(now, &row.id.name))
                    }
                };
            }
        }
        if machine.poll_timeout().is_some_and(|due| due <= now) {
            machine.handle_timeout(now);
        }
        while machine.poll_event().is_some() {}
        while machine.poll_notice().is_some() {}
        assert!(machine.notices_waiting().0 <= 512, "too many notices");
        while let Some(call) = machine.poll_call() {
            Packet::decode(&call.packet).expect("what it says can be read");
        }
        while let Some(transmit) = machine.poll_transmit() {
            assert!(
                transmit.bytes.len() <= bytes_max,
                "a packet that is too long"
            );
            Packet::decode(&transmit.bytes).expect("what it writes can be read");
        }
        assert!(machine.members().count() <= members_max, "too many members");
        let after = (machine.id().clone(), machine.incarnation());
        assert!(after >= before, "{before:?} became {after:?}");
        before = after;
        if machine.state() == State::Alive {
            assert!(
                machine.poll_timeout().is_some(),
                "one that lives has a timer"
            );
        }
    }
}
