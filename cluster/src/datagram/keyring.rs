//! The group's keys: one to seal with, and all to open with.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// A secret of 32 bytes that all members share.
#[derive(Clone)]
pub struct Key {
    pub(super) cipher: XChaCha20Poly1305,
    pub(super) id: u8,
    bytes: [u8; 32],
}

impl Key {
    /// A key of 32 bytes, which should come from a source of randomness.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(&bytes.into());
        let mut key = Self {
            cipher,
            id: 0,
            bytes,
        };
        // A byte by which receivers find the key; it tells nothing about the rest of it.
        key.id = key.keystream([0xff; 24])[0];
        key
    }

    /// A key written as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(KeyError::Length {
                digits: digits.len(),
            });
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(KeyError::Digit);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self::from_bytes(bytes))
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when there is none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The key as [`from_hex`](Self::from_hex) reads it. Secret.
    pub fn to_hex(&self) -> String {
        self.bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// For deriving other keys. Secret.
    pub(crate) fn to_bytes(&self) -> [u8; 32] {
        self.bytes
    }

    /// The cipher as a pseudo-random function: 16 bytes that only holders of the key can compute from `input`.
    pub(super) fn keystream(&self, input: [u8; 24]) -> [u8; 16] {
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(input), [0u8; 16].as_slice())
            .unwrap_or_default();
        sealed.first_chunk().copied().unwrap_or_default()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(id {:02x})", self.id)
    }
}

/// Why a key was refused. The keyring is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 digits.
    Length {
        /// How many.
        digits: usize,
    },
    /// Not a hexadecimal digit.
    Digit,
    /// The operating system gave no randomness.
    Randomness,
    /// The key is not in the keyring.
    Unknown,
    /// The key in use for sealing cannot be removed.
    InUse,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { digits } => {
                write!(f, "a key has 64 hexadecimal digits, this one has {digits}")
            }
            Self::Digit => write!(f, "a key has only the digits 0-9 and a-f"),
            Self::Randomness => write!(f, "the operating system gave no randomness"),
            Self::Unknown => write!(f, "the key is not in the keyring; add it first"),
            Self::InUse => write!(f, "the key is in use; use another one first"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The keys of a group. To rotate without downtime: add the new key everywhere, then use it everywhere, then remove the old one everywhere.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<Key>,
    in_use: usize,
}

impl Keyring {
    /// A keyring that seals and opens with one key.
    pub fn new(key: Key) -> Self {
        Self {
            keys: vec![key],
            in_use: 0,
        }
    }

    /// Opens with `key` too from now on.
    pub fn add(&mut self, key: Key) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// Seals with `key` from now on.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    pub fn use_key(&mut self, key: &Key) -> Result<(), KeyError> {
        self.in_use = self
            .keys
            .iter()
            .position(|held| held == key)
            .ok_or(KeyError::Unknown)?;
        Ok(())
    }

    /// No longer opens with `key`.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] and [`KeyError::InUse`].
    pub fn remove(&mut self, key: &Key) -> Result<(), KeyError> {
        let position = self
            .keys
            .iter()
            .position(|held| held == key)
            .ok_or(KeyError::Unknown)?;
        if position == self.in_use {
            return Err(KeyError::InUse);
        }
        self.keys.remove(position);
        self.in_use -= usize::from(position < self.in_use);
        Ok(())
    }

    /// All keys, the one that seals first.
    pub(crate) fn sealing_first(&self) -> impl Iterator<Item = &Key> {
        let others = self.keys.iter().filter(|key| *key != self.sealing());
        std::iter::once(self.sealing()).chain(others)
    }

    pub(crate) fn sealing(&self) -> &Key {
        &self.keys[self.in_use]
    }

    pub(super) fn with_id(&self, id: u8) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_bytes([byte; 32])
    }

    #[test]
    fn keys_are_written_in_hexadecimal() {
        assert_eq!(Key::from_hex(&key(0xa7).to_hex()), Ok(key(0xa7)));
        assert_eq!(Key::from_hex("abc"), Err(KeyError::Length { digits: 3 }));
        assert_eq!(Key::from_hex(&"g".repeat(64)), Err(KeyError::Digit));
        assert!(!format!("{:?}", key(0xa7)).contains("a7a7"));
    }

    #[test]
    fn the_key_in_use_stays_while_others_come_and_go() {
        let mut ring = Keyring::new(key(1));
        ring.add(key(2));
        assert_eq!(ring.remove(&key(1)), Err(KeyError::InUse));
        assert_eq!(ring.use_key(&key(3)), Err(KeyError::Unknown));
        assert_eq!(ring.use_key(&key(2)), Ok(()));
        assert_eq!(ring.remove(&key(1)), Ok(()));
        assert_eq!(ring.sealing(), &key(2));
        assert_eq!(ring.remove(&key(1)), Err(KeyError::Unknown));
    }
}
