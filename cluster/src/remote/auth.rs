//! Proofs that a node has the key of the cluster, without the key going over the wire. Pure.
//!
//! Each side sends 32 random bytes; each answers with a tag over everything that both have said, made with the key. The
//! tag is that of XChaCha20-Poly1305 over an empty text, with the transcript as associated data and a random nonce: the
//! cipher of the datagrams, so that one dependency and one kind of key serve both. The two sides prove under different
//! labels, so that a proof cannot be sent back to its maker; the transcript has both challenges, so that no proof can be
//! used twice, and the limits and the protocol, so that nobody can talk the two sides down.
//!
//! What this does not do: encrypt or authenticate the frames that follow. That is the [transport](crate::transport)'s work; in the clear,
//! who can change packets on their way can take over a link after its handshake.

use std::fmt;

use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};

/// Bytes of the key of a cluster.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Under this fixed nonce, which no datagram has but by a chance of 2^-192, the key of links is derived.
const DERIVATION: &[u8; NONCE_BYTES] = b"treewarden link key, v1.";

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one who opened the connection.
    Dialer,
    /// The one who was called.
    Acceptor,
}

impl Side {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Dialer => b"treewarden link proof of the dialer, v1",
            Self::Acceptor => b"treewarden link proof of the acceptor, v1",
        }
    }
}

/// The keys of links, derived from those of the cluster.
#[derive(Clone)]
pub struct LinkKeys(Vec<XChaCha20Poly1305>);

impl LinkKeys {
    /// Derives them from the secrets of the cluster, of which there is one but while it is being exchanged. The first
    /// proves, all verify.
    ///
    /// No secrets at all: nothing can be proven or verified, so that no link comes about.
    pub fn derive(secrets: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Self {
        let derive = |secret: [u8; KEY_BYTES]| {
            let cipher = XChaCha20Poly1305::new(&secret.into());
            let mut key = cipher
                .encrypt(&(*DERIVATION).into(), [0; KEY_BYTES].as_slice())
                .expect("32 bytes are far below what the cipher can encrypt");
            key.truncate(KEY_BYTES);
            XChaCha20Poly1305::new_from_slice(&key).expect("it was made 32 bytes long")
        };
        Self(secrets.into_iter().map(derive).collect())
    }

    /// The proof that `side` has the first key; `nonce` has to be random.
    pub fn prove(&self, side: Side, transcript: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let mut proof = nonce.to_vec();
        if let Some(cipher) = self.0.first() {
            let said = said(side, transcript);
            let empty = Payload {
                msg: &[],
                aad: &said,
            };
            let tag = cipher
                .encrypt(&nonce.into(), empty)
                .expect("a transcript is far below what the cipher can authenticate");
            proof.extend_from_slice(&tag);
        }
        proof
    }

    /// Whether `proof` was made by `side`, with any of the keys.
    pub fn verify(&self, side: Side, transcript: &[u8], proof: &[u8]) -> bool {
        let Some((nonce, tag)) = proof.split_first_chunk::<NONCE_BYTES>() else {
            return false;
        };
        if tag.len() != TAG_BYTES {
            return false;
        }
        let said = said(side, transcript);
        self.0.iter().any(|cipher| {
            let payload = Payload {
                msg: tag,
                aad: &said,
            };
            cipher.decrypt(&(*nonce).into(), payload).is_ok()
        })
    }
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKeys({})", self.0.len())
    }
}

fn said(side: Side, transcript: &[u8]) -> Vec<u8> {
    [side.label(), transcript].concat()
}

/// Random bytes from the operating system.
///
/// # Errors
///
/// That it has none to give.
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[u8]) -> LinkKeys {
        LinkKeys::derive(secrets.iter().map(|&byte| [byte; KEY_BYTES]))
    }

    #[test]
    fn a_proof_holds_for_its_key_its_side_and_its_transcript_alone() {
        let proof = keys(&[1]).prove(Side::Dialer, b"said", [9; NONCE_BYTES]);
        assert_eq!(proof.len(), NONCE_BYTES + TAG_BYTES);
        let check = |secrets: &[u8], side, transcript: &[u8], holds| {
            assert_eq!(
                keys(secrets).verify(side, transcript, &proof),
                holds,
                "{secrets:?} {side:?} {transcript:?}"
            );
        };
        check(&[1], Side::Dialer, b"said", true);
        check(&[2], Side::Dialer, b"said", false);
        check(&[1], Side::Acceptor, b"said", false);
        check(&[1], Side::Dialer, b"Said", false);
        check(&[2, 1], Side::Dialer, b"said", true);
        check(&[], Side::Dialer, b"said", false);
    }

    #[test]
    fn a_damaged_proof_does_not_hold() {
        let proof = keys(&[1]).prove(Side::Acceptor, b"said", [9; NONCE_BYTES]);
        for bit in 0..proof.len() * 8 {
            let mut damaged = proof.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys(&[1]).verify(Side::Acceptor, b"said", &damaged));
        }
        for length in 0..proof.len() {
            assert!(!keys(&[1]).verify(Side::Acceptor, b"said", &proof[..length]));
        }
        let longer = [proof.as_slice(), &[0]].concat();
        assert!(!keys(&[1]).verify(Side::Acceptor, b"said", &longer));
    }
}
