//! One datagram: its bytes, and what they are bound to.

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Payload};

use super::courier::Refusal;
use super::keyring::Keyring;
use crate::membership::BootUid;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 1 + 8 + 8 + 24;
const TAG_BYTES: usize = 16;
/// Size of a challenge's cookie.
pub(super) const COOKIE_BYTES: usize = 16;

/// By how much a datagram is larger than its payload, at most.
pub const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES + TAG_BYTES + COOKIE_BYTES;

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    Challenge,
    Proof,
    Payload,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Self> {
        [Self::Hello, Self::Challenge, Self::Proof, Self::Payload]
            .into_iter()
            .find(|kind| *kind as u8 == bits)
    }
}

/// The readable part, which is authenticated with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) kind: Kind,
    pub(super) sender: BootUid,
    /// 0 when the sender does not know it.
    pub(super) receiver: BootUid,
    pub(super) sequence: u64,
}

fn bound_to(cluster: &str, header: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + cluster.len() + header.len());
    bytes.extend_from_slice(&(cluster.len() as u64).to_le_bytes());
    bytes.extend_from_slice(cluster.as_bytes());
    bytes.extend_from_slice(header);
    bytes
}

/// Seals a payload. `random` must never repeat for one sequence number of one boot; it is 128 bits from the operating system.
pub(super) fn seal(
    keyring: &Keyring,
    cluster: &str,
    envelope: Envelope,
    random: [u8; 16],
    payload: &[u8],
) -> Vec<u8> {
    let key = keyring.sealing();
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&envelope.sequence.to_le_bytes());
    nonce[8..].copy_from_slice(&random);
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len() + TAG_BYTES);
    out.push(VERSION << 4 | envelope.kind as u8);
    out.push(key.id);
    out.extend_from_slice(&envelope.sender.0.to_le_bytes());
    out.extend_from_slice(&envelope.receiver.0.to_le_bytes());
    out.extend_from_slice(&nonce);
    let aad = bound_to(cluster, &out);
    let sealed = key.cipher.encrypt(
        &XNonce::from(nonce),
        Payload {
            msg: payload,
            aad: &aad,
        },
    );
    out.extend_from_slice(&sealed.expect("payloads are far below the cipher's limit of 256 GiB"));
    out
}

/// Opens a datagram with whichever key fits.
pub(super) fn open(
    keyring: &Keyring,
    cluster: &str,
    datagram: &[u8],
) -> Result<(Envelope, Vec<u8>), Refusal> {
    if datagram.len() < HEADER_BYTES + TAG_BYTES {
        return Err(Refusal::Malformed);
    }
    let (header, sealed) = datagram
        .split_at_checked(HEADER_BYTES)
        .ok_or(Refusal::Malformed)?;
    if header[0] >> 4 != VERSION {
        return Err(Refusal::Version);
    }
    let kind = Kind::from_bits(header[0] & 0x0f).ok_or(Refusal::Malformed)?;
    let word = |at: usize| {
        header[at..]
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .unwrap_or_default()
    };
    let envelope = Envelope {
        kind,
        sender: BootUid(word(2)),
        receiver: BootUid(word(10)),
        sequence: word(18),
    };
    let nonce: [u8; 24] = header[18..]
        .first_chunk()
        .copied()
        .ok_or(Refusal::Malformed)?;
    let aad = bound_to(cluster, header);
    let payload = keyring
        .with_id(header[1])
        .find_map(|key| {
            key.cipher
                .decrypt(
                    &XNonce::from(nonce),
                    Payload {
                        msg: sealed,
                        aad: &aad,
                    },
                )
                .ok()
        })
        .ok_or(Refusal::Unauthentic)?;
    Ok((envelope, payload))
}
