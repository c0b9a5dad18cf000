//! Round trips, hostile bytes, and what an older version keeps of a newer one's additions.

use std::sync::Arc;

use super::primitives::put_varint;
use super::*;
use crate::membership::{
    BootUid, Claim, DownReason, Metadata, NOTICE_BYTES_MAX, NOTICE_NAME_BYTES_MAX, NodeId,
    NodeName, Notice, RECORD_BYTES_MAX, Record, Rng, Update,
};

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn header() -> Header {
    let from = NodeId {
        name: name("sender"),
        boot: BootUid(7),
    };
    Header {
        version: VERSION_MAX,
        versions: Versions::up_to(VERSION_MAX),
        from,
        phase: Phase::Up,
        introduce: true,
        quorate: false,
        digest: 0x0123_4567,
    }
}

fn record() -> Arc<Record> {
    let metadata = Metadata {
        stream_addr: Some("[2001:db8::1]:4000".parse().unwrap()),
        health_percent: 42,
        zone: "z1".into(),
        roles: vec!["worker".into(), "seed".into()],
        values: [("version".into(), "1.2.3".into())].into(),
    };
    Arc::new(Record {
        version: 3,
        addr: "192.0.2.1:7946".parse().unwrap(),
        metadata,
        versions: Versions::up_to(VERSION_MAX),
        unknown: [].into(),
    })
}

fn notice(name_bytes: usize, payload_bytes: usize) -> Notice {
    Notice {
        origin: NodeId {
            name: name("origin"),
            boot: BootUid(9),
        },
        number: 300,
        name: "k".repeat(name_bytes).into(),
        payload: vec![7; payload_bytes].into(),
        unknown: [].into(),
    }
}

fn update(claim: Claim, record: Option<Arc<Record>>) -> Update {
    Update {
        name: name("subject"),
        boot: BootUid(u64::MAX),
        incarnation: 300,
        claim,
        record,
        unknown: [].into(),
    }
}

fn all_claims() -> Vec<Claim> {
    let decider = name("b");
    let mut claims = vec![
        Claim::Alive,
        Claim::Suspect { accuser: name("b") },
        Claim::Unreachable { accuser: name("b") },
    ];
    for reason in [
        DownReason::Left,
        DownReason::Policy,
        DownReason::Operator,
        DownReason::Replaced,
    ] {
        claims.push(Claim::Down {
            reason,
            decider: decider.clone(),
        });
    }
    claims
}

fn all_bodies() -> Vec<Body> {
    let target = NodeId {
        name: name("t"),
        boot: BootUid(1),
    };
    vec![
        Body::Ping { seq: 0 },
        Body::Ack { seq: u64::MAX },
        Body::PingRequest {
            seq: 128,
            target,
            nack_after_ms: 400,
        },
        Body::Nack { seq: 1 },
        Body::RelayedAck { seq: 2 },
        Body::Gossip,
        Body::SyncRequest {
            buckets: Box::new(std::array::from_fn(|index| index as u32)),
        },
        Body::SyncReply {
            differing: 0b1010,
            digests: vec![5, 6],
            more: true,
        },
    ]
}

fn packet(body: &Body, updates: &[Update]) -> Vec<u8> {
    let mut writer = PacketWriter::new(&header(), body, 1400);
    for update in updates {
        assert!(writer.push(update));
    }
    writer.finish()
}

#[test]
fn packets_come_back_as_they_were() {
    let updates: Vec<Update> = all_claims()
        .into_iter()
        .flat_map(|claim| [update(claim.clone(), None), update(claim, Some(record()))])
        .collect();
    for body in all_bodies() {
        for phase in [Phase::Up, Phase::Leaving, Phase::Downed] {
            for version in VERSION_MIN..=VERSION_MAX {
                let header = Header {
                    phase,
                    version,
                    ..header()
                };
                let notices = match version >= VERSION_OF_NOTICES {
                    true => vec![notice(0, 0), notice(3, 100)],
                    false => Vec::new(),
                };
                let mut writer = PacketWriter::new(&header, &body, 2000);
                updates
                    .iter()
                    .for_each(|update| assert!(writer.push(update)));
                notices
                    .iter()
                    .for_each(|notice| assert!(writer.push_notice(notice)));
                let expected = Packet {
                    header,
                    body: body.clone(),
                    updates: updates.clone(),
                    notices,
                };
                assert_eq!(Packet::decode(&writer.finish()), Ok(expected));
            }
        }
    }
}

#[test]
fn an_update_that_does_not_fit_leaves_the_packet_as_it_was() {
    let mut writer = PacketWriter::new(&header(), &Body::Gossip, 100);
    while writer.push(&update(Claim::Alive, None)) {}
    let before = writer.updates();
    assert!(!writer.push(&update(Claim::Alive, Some(record()))));
    let bytes = writer.finish();
    assert!(bytes.len() <= 100);
    assert_eq!(Packet::decode(&bytes).unwrap().updates.len(), before);
}

#[test]
fn every_truncation_is_refused_or_shorter() {
    let whole = packet(
        &Body::SyncReply {
            differing: 1,
            digests: vec![9],
            more: false,
        },
        &[update(Claim::Alive, Some(record()))],
    );
    for length in 0..whole.len() {
        if let Ok(packet) = Packet::decode(&whole[..length]) {
            assert!(packet.updates.is_empty(), "cut to {length} bytes");
        }
    }
}

#[test]
fn random_bytes_and_random_changes_never_panic() {
    let mut rng = Rng::new(1);
    let updates: Vec<Update> = all_claims()
        .into_iter()
        .map(|claim| update(claim, Some(record())))
        .collect();
    let seeds: Vec<Vec<u8>> = all_bodies()
        .iter()
        .map(|body| {
            let mut writer = PacketWriter::new(&header(), body, 2000);
            assert!(writer.push_notice(&notice(3, 20)));
            updates
                .iter()
                .for_each(|update| assert!(writer.push(update)));
            writer.finish()
        })
        .collect();
    for _ in 0..200_000 {
        let mut bytes = seeds[rng.below(seeds.len())].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len());
            bytes[at] = rng.next_u64() as u8;
        }
        bytes.truncate(1 + rng.below(bytes.len()));
        if let Ok(packet) = Packet::decode(&bytes) {
            assert!(packet.updates.len() <= bytes.len());
        }
        let noise: Vec<u8> = (0..rng.below(64)).map(|_| rng.next_u64() as u8).collect();
        let _ = Packet::decode(&noise);
    }
}

#[test]
fn what_is_read_can_be_written_and_read_again() {
    let mut rng = Rng::new(2);
    let mut writer = PacketWriter::new(&header(), &Body::Gossip, 2000);
    assert!(writer.push_notice(&notice(3, 20)));
    assert!(writer.push(&update(
        Claim::Suspect { accuser: name("b") },
        Some(record()),
    )));
    let seed = writer.finish();
    let mut understood = 0;
    for _ in 0..100_000 {
        let mut bytes = seed.clone();
        let at = rng.below(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
        let Ok(read) = Packet::decode(&bytes) else {
            continue;
        };
        understood += 1;
        let mut writer = PacketWriter::new(&read.header, &read.body, 2000);
        read.updates
            .iter()
            .for_each(|update| assert!(writer.push(update)));
        read.notices
            .iter()
            .for_each(|notice| assert!(writer.push_notice(notice)));
        assert_eq!(Packet::decode(&writer.finish()), Ok(read));
    }
    assert!(understood > 1000);
}

#[test]
fn refusals_say_why() {
    let good = packet(&Body::Ping { seq: 1 }, &[]);
    let check = |change: &dyn Fn(&mut Vec<u8>), expected| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(Packet::decode(&bytes), Err(expected));
    };
    check(&|bytes| bytes[0] = 9, PacketError::Version { version: 9 });
    check(&|bytes| bytes[1] = 0x21, PacketError::Value);
    check(&|bytes| bytes[2] = 0xf0, PacketError::Kind(15));
    check(&|bytes| bytes[2] |= 3, PacketError::Value);
    check(&|bytes| bytes[3] = 0, PacketError::Name);
    check(&|bytes| bytes[4] = 0xff, PacketError::Text);
    check(&|bytes| bytes.truncate(10), PacketError::Truncated);
    check(&|bytes| bytes.clear(), PacketError::Truncated);
    check(&|bytes| put_varint(bytes, 1 << 40), PacketError::TooLong);
}

#[test]
fn what_a_newer_version_appends_is_kept_and_passed_on() {
    let record = Arc::new(Record {
        unknown: [1, 2, 3].into(),
        ..Record::clone(&record())
    });
    let newer = Update {
        unknown: [4, 5].into(),
        ..update(Claim::Alive, Some(record))
    };
    let mut bytes = packet(&Body::Gossip, std::slice::from_ref(&newer));
    bytes.extend_from_slice(&[0, 0xfe, 0xff]); // the end of the updates, and a field after it
    let read = Packet::decode(&bytes).unwrap();
    assert_eq!(read.updates, [newer]);
    assert_eq!(
        Packet::decode(&packet(&read.body, &read.updates))
            .unwrap()
            .updates,
        read.updates
    );
}

#[test]
fn a_claim_that_only_a_newer_version_knows_is_skipped_alone() {
    let known = update(Claim::Alive, None);
    let mut bytes = packet(&Body::Gossip, &[update(Claim::Alive, None), known.clone()]);
    let tag_of_the_first = bytes.len() - 2 * known_length(&known) + 1 + 1 + "subject".len() + 8;
    bytes[tag_of_the_first] = 0x7f;
    assert_eq!(Packet::decode(&bytes).unwrap().updates, [known]);
}

fn known_length(update: &Update) -> usize {
    packet(&Body::Gossip, std::slice::from_ref(update)).len() - packet(&Body::Gossip, &[]).len()
}

#[test]
fn the_largest_record_fits_in_the_smallest_packet() {
    let zone = "z".repeat(250);
    let mut metadata = Metadata {
        zone,
        ..Metadata::default()
    };
    metadata.values.insert("k".into(), "v".repeat(240));
    let record = Arc::new(Record {
        metadata,
        ..Record::clone(&record())
    });
    assert!(
        (500..=RECORD_BYTES_MAX).contains(&record_bytes(&record)),
        "{}",
        record_bytes(&record)
    );
    let large = Update {
        name: name(&"n".repeat(64)),
        ..update(
            Claim::Suspect {
                accuser: name(&"a".repeat(64)),
            },
            Some(record),
        )
    };
    let mut writer = PacketWriter::new(
        &header(),
        &Body::Ping { seq: u64::MAX },
        crate::membership::PACKET_BYTES_MIN,
    );
    assert!(writer.push(&large));
    let header = Header {
        from: NodeId {
            name: name(&"n".repeat(64)),
            boot: BootUid(0),
        },
        ..header()
    };
    let request = Body::SyncRequest {
        buckets: Box::new([0; BUCKETS]),
    };
    let mut writer = PacketWriter::new(&header, &request, crate::membership::PACKET_BYTES_MIN);
    assert!(
        writer.push(&large),
        "a request of anti-entropy has room for one"
    );
}

#[test]
fn a_packet_of_version_2_without_notices_has_the_bytes_of_version_1_but_for_the_first() {
    let of = |version| {
        let header = Header {
            version,
            ..header()
        };
        let mut writer = PacketWriter::new(&header, &Body::Ping { seq: 1 }, 1400);
        assert!(writer.push(&update(Claim::Alive, Some(record()))));
        writer.finish()
    };
    assert_eq!((of(1)[0], of(2)[0]), (1, 2));
    assert_eq!(of(1)[1..], of(2)[1..]);
}

#[test]
fn version_1_has_no_notices_to_write_and_refuses_to_read_one() {
    let old = Header {
        version: 1,
        ..header()
    };
    let mut writer = PacketWriter::new(&old, &Body::Gossip, 1400);
    let empty = writer.room();
    assert!(!writer.push_notice(&notice(3, 20)));
    assert_eq!(writer.room(), empty);
    let mut writer = PacketWriter::new(&header(), &Body::Gossip, 1400);
    assert!(writer.push_notice(&notice(3, 20)));
    let mut bytes = writer.finish();
    let refused = Packet::decode_in(Versions::FIRST, &bytes);
    assert_eq!(refused, Err(PacketError::Version { version: 2 }));
    bytes[0] = 1; // as if the old one had got it all the same
    assert_eq!(Packet::decode(&bytes), Err(PacketError::Name));
}

#[test]
fn a_record_that_says_nothing_of_versions_is_that_of_one_that_reads_the_first() {
    let of = |versions, unknown: &[u8]| {
        Arc::new(Record {
            versions,
            unknown: unknown.into(),
            ..Record::clone(&record())
        })
    };
    let first = of(Versions::FIRST, &[]);
    assert_eq!(
        record_bytes(&first) + 1,
        record_bytes(&of(Versions::up_to(VERSION_MAX), &[]))
    );
    for record in [first, of(Versions::FIRST, &[1, 2])] {
        let bytes = packet(&Body::Gossip, &[update(Claim::Alive, Some(record.clone()))]);
        let read = Packet::decode(&bytes).unwrap();
        assert_eq!(read.updates[0].record, Some(record));
    }
}

#[test]
fn the_largest_notice_fits_in_the_smallest_packet_and_a_larger_one_is_refused() {
    let long = NodeId {
        name: name(&"n".repeat(64)),
        boot: BootUid(u64::MAX),
    };
    let header = Header {
        from: long.clone(),
        ..header()
    };
    let write = |name_bytes, payload_bytes, bytes_max| {
        let largest = Notice {
            origin: long.clone(),
            number: u64::MAX,
            ..notice(name_bytes, payload_bytes)
        };
        let mut writer = PacketWriter::new(&header, &Body::Ping { seq: u64::MAX }, bytes_max);
        assert!(writer.push_notice(&largest));
        writer.finish()
    };
    let (name_bytes, bytes) = (NOTICE_NAME_BYTES_MAX, NOTICE_BYTES_MAX);
    let smallest = crate::membership::PACKET_BYTES_MIN;
    assert!(Packet::decode(&write(name_bytes, bytes, smallest)).is_ok());
    for larger in [
        write(name_bytes + 1, bytes, 2000),
        write(name_bytes, bytes + 1, 2000),
    ] {
        assert_eq!(Packet::decode(&larger), Err(PacketError::TooLong));
    }
}
