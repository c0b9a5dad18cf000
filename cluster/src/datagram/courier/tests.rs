//! What sessions promise.

use super::*;

const NOW: Duration = Duration::from_secs(1);

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn courier_with(cluster: &str, boot: u64, key_byte: u8) -> Courier {
    let mut rng = crate::membership::Rng::new(boot);
    let entropy = Box::new(move |bytes: &mut [u8]| bytes.fill_with(|| rng.next_u64() as u8));
    Courier::new(
        cluster,
        BootUid(boot),
        Keyring::new(key(key_byte)),
        entropy,
        8,
    )
}

fn courier(boot: u64) -> Courier {
    courier_with("c", boot, 1)
}

/// Everything that goes to and fro until nothing more does; the payloads that arrived at the second.
fn converse(a: &mut Courier, b: &mut Courier, first: Vec<u8>) -> Vec<Vec<u8>> {
    let (mut to_b, mut to_a, mut arrived) = (vec![first], Vec::new(), Vec::new());
    while !to_b.is_empty() || !to_a.is_empty() {
        for datagram in std::mem::take(&mut to_b) {
            match b.open(NOW, addr(1), &datagram) {
                Ok(Opened::Payload(payload)) => arrived.push(payload),
                Ok(Opened::Answer(answers)) => to_a.extend(answers),
                Err((_, answer)) => to_a.extend(answer),
            }
        }
        for datagram in std::mem::take(&mut to_a) {
            match a.open(NOW, addr(2), &datagram) {
                Ok(Opened::Payload(_)) => {}
                Ok(Opened::Answer(answers)) => to_b.extend(answers),
                Err((_, answer)) => to_b.extend(answer),
            }
        }
    }
    arrived
}

fn acquainted() -> (Courier, Courier) {
    let (mut a, mut b) = (courier(10), courier(20));
    let hello = a.seal(NOW, addr(2), b"first".to_vec());
    assert_eq!(converse(&mut a, &mut b, hello), [b"first".to_vec()]);
    (a, b)
}

#[test]
fn a_payload_arrives_after_a_challenge() {
    let (mut a, mut b) = acquainted();
    let back = b.seal(NOW, addr(1), b"back".to_vec());
    assert_eq!(
        a.open(NOW, addr(2), &back),
        Ok(Opened::Payload(b"back".to_vec()))
    );
    let plain = a.seal(NOW, addr(2), b"second".to_vec());
    assert_eq!(
        plain.len() + COOKIE_BYTES,
        crate::datagram::OVERHEAD_BYTES_MAX + b"second".len(),
        "the cookie is no longer sent"
    );
    assert_eq!(
        b.open(NOW, addr(1), &plain),
        Ok(Opened::Payload(b"second".to_vec()))
    );
}

#[test]
fn a_replayed_datagram_is_counted_and_ignored() {
    let (mut a, mut b) = acquainted();
    let datagram = a.seal(NOW, addr(2), b"once".to_vec());
    assert!(matches!(
        b.open(NOW, addr(1), &datagram),
        Ok(Opened::Payload(_))
    ));
    assert_eq!(
        b.open(NOW, addr(1), &datagram),
        Err((Refusal::Replayed, None))
    );
    assert_eq!(b.refusals().replayed, 1);
}

#[test]
fn whoever_lacks_the_key_or_belongs_to_another_cluster_is_ignored() {
    let mut b = courier(20);
    for mut stranger in [courier_with("c", 10, 2), courier_with("d", 10, 1)] {
        let hello = stranger.seal(NOW, addr(2), b"x".to_vec());
        assert_eq!(
            b.open(NOW, addr(1), &hello),
            Err((Refusal::Unauthentic, None))
        );
    }
    assert_eq!(b.refusals().unauthentic, 2);
}

#[test]
fn a_changed_bit_anywhere_is_noticed() {
    let (mut a, mut b) = acquainted();
    let datagram = a.seal(NOW, addr(2), b"whole".to_vec());
    for position in 0..datagram.len() {
        let mut changed = datagram.clone();
        changed[position] ^= 1;
        let outcome = b.open(NOW, addr(1), &changed);
        assert!(
            matches!(
                outcome,
                Err((
                    Refusal::Unauthentic | Refusal::Malformed | Refusal::Version,
                    None
                ))
            ),
            "{position}: {outcome:?}"
        );
    }
    for length in 0..datagram.len() {
        assert!(b.open(NOW, addr(1), &datagram[..length]).is_err());
    }
}

#[test]
fn what_was_recorded_is_worthless_after_a_restart_of_the_receiver() {
    let (mut a, _) = acquainted();
    let recorded = a.seal(NOW, addr(2), vec![7; 60]);
    let mut restarted = courier(30);
    let outcome = restarted.open(NOW, addr(1), &recorded);
    assert!(
        matches!(outcome, Err((Refusal::Unproven, Some(_)))),
        "{outcome:?}"
    );
    // But the sender learns of the restart by that, and what it sends next arrives.
    let (_, answer) = outcome.unwrap_err();
    assert_eq!(
        a.open(NOW, addr(2), &answer.unwrap()),
        Ok(Opened::Answer(vec![]))
    );
    let next = a.seal(NOW, addr(2), b"new".to_vec());
    assert_eq!(
        restarted.open(NOW, addr(1), &next),
        Ok(Opened::Payload(b"new".to_vec()))
    );
}

#[test]
fn what_was_recorded_is_worthless_elsewhere() {
    let (mut a, _) = acquainted();
    let recorded = a.seal(NOW, addr(2), vec![7; 60]);
    let mut c = courier(40);
    assert!(matches!(
        c.open(NOW, addr(1), &recorded),
        Err((Refusal::Unproven, Some(_)))
    ));
    let (_, mut b) = acquainted();
    assert!(
        b.open(NOW, addr(9), &recorded).is_err(),
        "from another address"
    );
}

#[test]
fn a_restarted_sender_is_known_again_and_its_old_proofs_are_not() {
    let (mut a, mut b) = (courier(10), courier(20));
    let hello = a.seal(NOW, addr(2), b"1".to_vec());
    let Ok(Opened::Answer(challenge)) = b.open(NOW, addr(1), &hello) else {
        panic!("no challenge")
    };
    let Ok(Opened::Answer(proof)) = a.open(NOW, addr(2), &challenge[0]) else {
        panic!("no proof")
    };
    assert!(matches!(
        b.open(NOW, addr(1), &proof[0]),
        Ok(Opened::Payload(_))
    ));
    a.begin_boot(BootUid(11));
    let hello = a.seal(NOW, addr(2), b"2".to_vec());
    assert_eq!(converse(&mut a, &mut b, hello), [b"2".to_vec()]);
    assert_eq!(
        b.open(NOW, addr(1), &proof[0]),
        Err((Refusal::Replayed, None))
    );
}

#[test]
fn an_unproven_address_gets_no_more_than_it_sent() {
    let (mut a, mut b) = acquainted();
    let back = b.seal(NOW, addr(1), b"back".to_vec());
    assert!(
        a.open(NOW, addr(2), &back).is_ok(),
        "from here on it sends no cookie"
    );
    let hello = courier(50).seal(NOW, addr(2), vec![0; 1000]);
    let Ok(Opened::Answer(answers)) = b.open(NOW, addr(7), &hello) else {
        panic!("no challenge")
    };
    assert!(answers.iter().map(Vec::len).sum::<usize>() <= hello.len());
    let tiny = a.seal(NOW, addr(2), vec![0; 24]);
    let Err((Refusal::Unproven, Some(answer))) = b.open(NOW, addr(7), &tiny) else {
        panic!("no challenge")
    };
    assert!(answer.len() <= tiny.len());
    let tinier = a.seal(NOW, addr(2), vec![0; 23]);
    assert_eq!(
        b.open(NOW, addr(7), &tinier),
        Err((Refusal::Unproven, None))
    );
}

#[test]
fn a_challenge_nobody_asked_for_changes_nothing() {
    let (mut a, mut b) = (courier(10), courier(20));
    let hello = a.seal(NOW, addr(2), b"1".to_vec());
    let Ok(Opened::Answer(challenge)) = b.open(NOW, addr(1), &hello) else {
        panic!("no challenge")
    };
    assert!(a.open(NOW, addr(2), &challenge[0]).is_ok());
    assert_eq!(
        a.open(NOW, addr(2), &challenge[0]),
        Err((Refusal::Unasked, None)),
        "a replay"
    );
    assert_eq!(
        a.open(NOW, addr(3), &challenge[0]),
        Err((Refusal::Unasked, None)),
        "from elsewhere"
    );
}

#[test]
fn keys_rotate_without_a_gap() {
    let (mut a, mut b) = acquainted();
    let talk = |a: &mut Courier, b: &mut Courier| {
        let datagram = a.seal(NOW, addr(2), b"x".to_vec());
        assert!(matches!(
            b.open(NOW, addr(1), &datagram),
            Ok(Opened::Payload(_))
        ));
        let datagram = b.seal(NOW, addr(1), b"y".to_vec());
        assert!(matches!(
            a.open(NOW, addr(2), &datagram),
            Ok(Opened::Payload(_))
        ));
    };
    let new = key(9);
    a.keyring_mut().add(new.clone());
    talk(&mut a, &mut b);
    b.keyring_mut().add(new.clone());
    a.keyring_mut().use_key(&new).unwrap();
    talk(&mut a, &mut b);
    b.keyring_mut().use_key(&new).unwrap();
    a.keyring_mut().remove(&key(1)).unwrap();
    talk(&mut a, &mut b);
    b.keyring_mut().remove(&key(1)).unwrap();
    talk(&mut a, &mut b);
}

#[test]
fn memory_is_bounded_whoever_knocks() {
    let mut a = courier(10);
    for port in 1..1000 {
        (0..3).for_each(|_| drop(a.seal(NOW, addr(port), vec![0; 10])));
    }
    assert!(a.peers.len() <= 8);
    assert!(
        a.peers
            .values()
            .all(|peer| peer.waiting.len() <= WAITING_MAX)
    );
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = crate::membership::Rng::new(3);
    let mut b = courier(20);
    for _ in 0..20_000 {
        let mut noise: Vec<u8> = (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect();
        if let Some(first) = noise.first_mut() {
            *first = 0x10 | *first & 3;
        }
        assert!(b.open(NOW, addr(1), &noise).is_err());
    }
}
