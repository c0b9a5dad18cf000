//! Packets sealed for one stream: the same keys as for datagrams, bound to this very conversation.
//!
//! ```text
//! caller   -> answerer   "TWMS" version:u8 sealed:u8 nonce:[u8;16]
//! answerer -> caller     nonce:[u8;16]
//! both                   length:u16 key_id:u8 nonce:[u8;24] ciphertext tag:[u8;16]   (an empty packet ends a turn)
//! ```
//!
//! Each packet is bound to the cluster's name, both nonces, the direction and its number. So nothing that was recorded can be said again, in
//! another conversation or in this one, and nothing can be left out or moved. All integers are little-endian.

use std::fmt;

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};

use super::courier::Refusal;
use super::keyring::Keyring;

/// What a conversation of membership begins with. As the length of a frame of links it would be far too large, and TLS begins otherwise, so
/// all can share a port.
pub const GREETING: [u8; 4] = *b"TWMS";
/// Bytes of the caller's first words.
pub const OPENING_BYTES: usize = 4 + 1 + 1 + NONCE_BYTES;
/// Bytes that each end contributes against replay.
pub const NONCE_BYTES: usize = 16;
/// By how much a sealed packet is longer.
pub const SEAL_BYTES: usize = 1 + 24 + 16;

const VERSION: u8 = 1;

/// The caller's first words, with a nonce from the operating system's randomness.
pub fn opening(sealed: bool, nonce: &[u8; NONCE_BYTES]) -> [u8; OPENING_BYTES] {
    let mut bytes = [0; OPENING_BYTES];
    bytes[..4].copy_from_slice(&GREETING);
    bytes[4] = VERSION;
    bytes[5] = u8::from(sealed);
    bytes[6..].copy_from_slice(nonce);
    bytes
}

/// Reads the caller's first words: its nonce.
///
/// # Errors
/// [`Refusal`] when they are no opening, of another version, or not sealed (or sealed) where it has to be otherwise.
pub fn read_opening(
    bytes: &[u8; OPENING_BYTES],
    sealed: bool,
) -> Result<[u8; NONCE_BYTES], Refusal> {
    if bytes[..4] != GREETING {
        return Err(Refusal::Malformed);
    }
    if bytes[4] != VERSION {
        return Err(Refusal::Version);
    }
    if bytes[5] != u8::from(sealed) {
        return Err(Refusal::Unauthentic);
    }
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&bytes[6..]);
    Ok(nonce)
}

/// One end of a conversation: seals what it says and opens what it hears.
pub struct Line {
    /// Absent where the network protects by itself.
    keyring: Option<Keyring>,
    bound_to: Vec<u8>,
    is_caller: bool,
    said: u64,
    heard: u64,
}

impl Line {
    /// An end, once both nonces are known. `keyring` is none where datagrams are in the clear, too.
    pub fn new(
        keyring: Option<Keyring>,
        cluster: &str,
        callers: &[u8; NONCE_BYTES],
        answerers: &[u8; NONCE_BYTES],
        is_caller: bool,
    ) -> Self {
        let mut bound_to = Vec::with_capacity(64 + cluster.len());
        bound_to.extend_from_slice(&GREETING);
        bound_to.push(VERSION);
        bound_to.extend_from_slice(callers);
        bound_to.extend_from_slice(answerers);
        bound_to.extend_from_slice(cluster.as_bytes());
        Self {
            keyring,
            bound_to,
            is_caller,
            said: 0,
            heard: 0,
        }
    }

    fn bound(&self, by_caller: bool, number: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + self.bound_to.len());
        bytes.push(u8::from(by_caller));
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&self.bound_to);
        bytes
    }

    /// Seals a packet. `nonce` comes from the operating system's randomness.
    pub fn seal(&mut self, packet: &[u8], nonce: [u8; 24]) -> Vec<u8> {
        let bound = self.bound(self.is_caller, self.said);
        self.said += 1;
        let Some(keyring) = &self.keyring else {
            return packet.to_vec();
        };
        let key = keyring.sealing();
        let mut out = Vec::with_capacity(packet.len() + SEAL_BYTES);
        out.push(key.id);
        out.extend_from_slice(&nonce);
        let sealed = key.cipher.encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: packet,
                aad: &bound,
            },
        );
        out.extend_from_slice(
            &sealed.expect("packets are far below the cipher's limit of 256 GiB"),
        );
        out
    }

    /// Opens the next packet from the other end.
    ///
    /// # Errors
    /// [`Refusal`] for anything else than exactly that. The conversation is over then.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
        let bound = self.bound(!self.is_caller, self.heard);
        self.heard += 1;
        let Some(keyring) = &self.keyring else {
            return Ok(sealed.to_vec());
        };
        if sealed.len() < SEAL_BYTES {
            return Err(Refusal::Malformed);
        }
        let (head, ciphertext) = sealed.split_at(1 + 24);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&head[1..]);
        let opened = keyring.with_id(head[0]).find_map(|key| {
            key.cipher
                .decrypt(
                    &XNonce::from(nonce),
                    Payload {
                        msg: ciphertext,
                        aad: &bound,
                    },
                )
                .ok()
        });
        opened.ok_or(Refusal::Unauthentic)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("said", &self.said)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyring::Key;
    use super::*;

    fn ring(byte: u8) -> Option<Keyring> {
        Some(Keyring::new(Key::from_bytes([byte; 32])))
    }

    fn ends(cluster: [&str; 2], keys: [u8; 2], callers: u8) -> (Line, Line) {
        let (caller, answerer) = ([callers; NONCE_BYTES], [2; NONCE_BYTES]);
        (
            Line::new(ring(keys[0]), cluster[0], &caller, &answerer, true),
            Line::new(ring(keys[1]), cluster[1], &caller, &answerer, false),
        )
    }

    #[test]
    fn what_one_end_says_the_other_hears_in_order() {
        let (mut caller, mut answerer) = ends(["c", "c"], [7, 7], 1);
        for number in 0..3u8 {
            let sealed = caller.seal(&[number; 5], [number; 24]);
            assert_eq!(sealed.len(), 5 + SEAL_BYTES);
            assert_eq!(answerer.open(&sealed), Ok(vec![number; 5]));
            let sealed = answerer.seal(&[], [number; 24]);
            assert_eq!(caller.open(&sealed), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_packet_counts_once_in_its_place_in_its_own_conversation() {
        let (mut caller, mut answerer) = ends(["c", "c"], [7, 7], 1);
        let [first, second] = [caller.seal(b"1", [1; 24]), caller.seal(b"2", [2; 24])];
        let refused = Err(Refusal::Unauthentic);
        assert_eq!(answerer.open(&second), refused, "out of order");
        let (_, mut answerer) = ends(["c", "c"], [7, 7], 1);
        assert_eq!(answerer.open(&first), Ok(b"1".to_vec()));
        assert_eq!(answerer.open(&first), refused, "said again");
        let (_, mut other) = ends(["c", "c"], [7, 7], 9);
        assert_eq!(other.open(&first), refused, "in another conversation");
        let (mut own, _) = ends(["c", "c"], [7, 7], 1);
        assert_eq!(own.open(&first), refused, "sent back to who said it");
    }

    #[test]
    fn another_cluster_or_key_hears_nothing_and_no_change_passes() {
        for (clusters, keys) in [(["c", "d"], [7, 7]), (["c", "c"], [7, 8])] {
            let (mut caller, mut answerer) = ends(clusters, keys, 1);
            let sealed = caller.seal(b"1", [1; 24]);
            assert_eq!(answerer.open(&sealed), Err(Refusal::Unauthentic));
        }
        let (mut caller, _) = ends(["c", "c"], [7, 7], 1);
        let sealed = caller.seal(b"packet", [1; 24]);
        for at in 0..sealed.len() {
            let (_, mut answerer) = ends(["c", "c"], [7, 7], 1);
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(answerer.open(&changed).is_err(), "byte {at}");
            assert!(answerer.open(&sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_opening_says_whether_the_rest_is_sealed() {
        let words = opening(true, &[5; NONCE_BYTES]);
        assert_eq!(read_opening(&words, true), Ok([5; NONCE_BYTES]));
        assert_eq!(read_opening(&words, false), Err(Refusal::Unauthentic));
        let mut other = words;
        other[4] = 9;
        assert_eq!(read_opening(&other, true), Err(Refusal::Version));
        other[0] = 0;
        assert_eq!(read_opening(&other, true), Err(Refusal::Malformed));
    }
}
