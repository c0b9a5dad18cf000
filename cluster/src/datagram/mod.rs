//! Datagrams that only holders of the group's key can write or read: a pure machine between membership and socket.
//!
//! Every datagram is sealed with XChaCha20-Poly1305 under a key of the [`Keyring`]. What it is bound to, besides its bytes, is the
//! cluster's name, the sender's boot, the receiver's boot and a sequence number:
//!
//! ```text
//! datagram = version_and_kind:u8 key_id:u8 sender_boot:u64 receiver_boot:u64 nonce(sequence:u64 random:[u8;16]) ciphertext tag:[u8;16]
//! ```
//!
//! A receiver accepts payloads only if they are bound to its own boot, come from an address that has answered a challenge, and have a
//! sequence number that it has not seen. So a datagram that was recorded can be replayed neither to another member, nor to a restarted
//! one, nor to the same one again; and an address that cannot receive cannot make a member send more than it was sent.
//!
//! First contact, or contact after a restart:
//!
//! ```text
//! A -> B  hello                        "my boot is a"; as long as the answer
//! B -> A  challenge (echo, cookie)     bound to a; B keeps nothing
//! A -> B  proof (cookie) payload       bound to a and b; B opens a session
//! A -> B  payload ...                  once B has answered with a payload of its own, without the cookie
//! ```
//!
//! Where no datagram gets through, members speak over streams ([`Line`]), under the same keys.
//!
//! What is not here: identity. The group's key proves membership alone; a member can speak in the name of another one.

mod courier;
mod keyring;
mod line;
mod seal;

pub use courier::{Courier, Entropy, Opened, Refusal, Refusals};
pub use keyring::{Key, KeyError, Keyring};
pub use line::{GREETING, Line, NONCE_BYTES, OPENING_BYTES, SEAL_BYTES, opening, read_opening};
pub use seal::OVERHEAD_BYTES_MAX;
