//! Hashes of keys and of workers: the same in every process and with every release of Rust, so that two routers over the same
//! workers send a key to the same one.

use std::hash::{Hash, Hasher};

use super::policy::mix;

/// The hash of a key, or of what stays the same about a candidate: the same in every process and with every release.
pub fn of<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = Fnv::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// FNV-1a, with the bits spread at the end, and numbers written the same way on every machine.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_never_changes() {
        assert_eq!(of("a"), of(&String::from("a")));
        assert_ne!(of("a"), of("b"));
        // These values are a promise: keys would move if they changed.
        assert_eq!(of("/app/pool/0"), 0x78BE_A48A_FD05_C1BA);
        assert_eq!(of(&7_u64), 0xFE79_3E3C_E142_343A);
        assert_eq!(of(&7_usize), of(&7_u64));
    }
}
