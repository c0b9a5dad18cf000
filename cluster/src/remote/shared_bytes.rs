//! [`SharedBytes`]: bytes inside of a message that go out from the memory where they lie, and stay in the memory into which they were read.

use std::{cell::RefCell, fmt, ops::Deref};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// From this length on bytes are worth the trouble. Shorter ones are copied.
pub(crate) const UNCOPIED_BYTES: usize = 8 * 1024;

/// Bytes that are not copied on their way to another node, as far as that is possible: in a message in the usual encoding, from
/// 8 KiB to 128 KiB, they are written to the link from where they lie, and the receiver keeps the memory into which the
/// link's reader had read them. For any other serializer they are bytes like others, and on the wire they always are: a
/// node whose message has a `Vec<u8>` under `serde_bytes`, or a [`Bytes`], in the same place understands them.
///
/// What is received keeps at most twice its own length alive.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SharedBytes(pub Bytes);

thread_local! {
    /// What is just being serialized on this thread.
    static LEAVING: RefCell<Option<Bytes>> = const { RefCell::new(None) };
    /// What is just being deserialized on this thread.
    static ARRIVED: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

type Place = std::thread::LocalKey<RefCell<Option<Bytes>>>;

fn with<R>(place: &'static Place, bytes: Bytes, run: impl FnOnce() -> R) -> R {
    struct Restore(&'static Place, Option<Bytes>);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.replace(self.1.take());
        }
    }
    let _restore = Restore(place, place.replace(Some(bytes)));
    run()
}

/// The memory behind a slice, if it is known on this thread. `share_min`: which part of that memory it has to be at least.
fn owner_of(slice: &[u8], place: &'static Place, share_min: usize) -> Option<Bytes> {
    if slice.len() < UNCOPIED_BYTES {
        return None;
    }
    place.with_borrow(|owner| {
        let owner = owner.as_ref()?;
        let (within, all) = (slice.as_ptr_range(), owner.as_ptr_range());
        let is_within = all.start <= within.start && within.end <= all.end;
        (is_within && slice.len() >= owner.len() / share_min).then(|| owner.slice_ref(slice))
    })
}

/// While `decode` runs, what it borrows from `payload` can be kept.
pub(crate) fn decoding<R>(payload: Bytes, decode: impl FnOnce() -> R) -> R {
    with(&ARRIVED, payload, decode)
}

/// The bytes that are just being serialized on this thread, if these are they.
pub(crate) fn leaving(bytes: &[u8]) -> Option<Bytes> {
    owner_of(bytes, &LEAVING, 1)
}

impl Serialize for SharedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() < UNCOPIED_BYTES {
            return serializer.serialize_bytes(&self.0);
        }
        with(&LEAVING, self.0.clone(), || {
            serializer.serialize_bytes(&self.0)
        })
    }
}

impl<'de> Deserialize<'de> for SharedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Receiving;
        impl<'de> Visitor<'de> for Receiving {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                let kept = owner_of(bytes, &ARRIVED, 2);
                Ok(kept.unwrap_or_else(|| Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(bytes.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes.into())
            }
        }
        deserializer.deserialize_bytes(Receiving).map(Self)
    }
}

impl Deref for SharedBytes {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for SharedBytes {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_stays_where_it_was_read_and_what_is_short_or_a_small_part_is_copied() {
        let wire = Bytes::from(postcard::to_allocvec(&(1, vec![7_u8; UNCOPIED_BYTES])).unwrap());
        let arrived = |all: &Bytes, part: &[u8]| {
            let (_, bytes): (i32, SharedBytes) =
                decoding(all.clone(), || postcard::from_bytes(part)).unwrap();
            assert_eq!(bytes[..], [7; UNCOPIED_BYTES]);
            all.as_ptr_range().contains(&bytes.as_ptr())
        };
        assert!(arrived(&wire, &wire));
        let elsewhere = wire.to_vec();
        assert!(!arrived(&wire, &elsewhere));
        let mut longer = wire.to_vec();
        longer.resize(3 * UNCOPIED_BYTES, 0);
        let longer = Bytes::from(longer);
        assert!(!arrived(&longer, &longer[..wire.len()]), "a third of it");

        let short = Bytes::from(postcard::to_allocvec(&vec![7_u8; 100]).unwrap());
        let bytes: SharedBytes = decoding(short.clone(), || postcard::from_bytes(&short)).unwrap();
        assert!(!short.as_ptr_range().contains(&bytes.as_ptr()));
        let (_, outside): (i32, SharedBytes) = postcard::from_bytes(&wire).unwrap();
        assert!(!wire.as_ptr_range().contains(&outside.as_ptr()));
    }

    #[test]
    fn it_is_written_as_bytes_are_and_read_from_whatever_is_bytes_elsewhere() {
        #[derive(Deserialize)]
        struct Holder {
            bytes: SharedBytes,
        }
        let holder: Holder = toml::from_str("bytes = [1, 2, 3]").unwrap();
        assert_eq!(holder.bytes, vec![1, 2, 3].into());
        let written = postcard::to_allocvec(&holder.bytes).unwrap();
        assert_eq!(written, [3, 1, 2, 3]);
    }
}
