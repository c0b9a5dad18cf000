//! How a message becomes bytes and bytes a message: postcard, unless its type says otherwise.

use std::{cell::Cell, fmt, io};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::shared_bytes::{UNCOPIED_BYTES, leaving};

/// A message as bytes. What of it is long and lies elsewhere stays there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    /// Before which of the `bytes` each belongs, in order.
    pieces: Vec<(usize, Bytes)>,
}

impl Encoded {
    pub(crate) fn len(&self) -> usize {
        let pieces = self.pieces.iter().map(|(_, piece)| piece.len());
        self.bytes.len() + pieces.sum::<usize>()
    }

    /// The bytes, and what has to be put in between.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<(usize, Bytes)>) {
        (self.bytes, self.pieces)
    }

    /// All in one place.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        if self.pieces.is_empty() {
            return self.bytes;
        }
        let mut all = Vec::with_capacity(self.len());
        let mut begin = 0;
        for (at, piece) in &self.pieces {
            all.extend_from_slice(&self.bytes[begin..*at]);
            all.extend_from_slice(piece);
            begin = *at;
        }
        all.extend_from_slice(&self.bytes[begin..]);
        all
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            pieces: Vec::new(),
        }
    }
}

/// Where a message is encoded to. It takes no more than a message may have.
#[derive(Debug)]
pub struct Payload {
    encoded: Encoded,
    /// How many more fit.
    left: usize,
    bytes_max: usize,
    is_full: bool,
}

impl Payload {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            encoded: spare().into(),
            left: bytes_max,
            bytes_max,
            is_full: false,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError::TooLarge`] when they do not fit; the message is then handed back to its sender.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.make_room(bytes.len())?;
        self.encoded.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends bytes that lie elsewhere. From 8 KiB on they are not copied, in a message of at most 128 KiB.
    ///
    /// # Errors
    ///
    /// As [`extend`](Self::extend).
    pub fn extend_shared(&mut self, bytes: Bytes) -> Result<(), CodecError> {
        if bytes.len() < UNCOPIED_BYTES {
            return self.extend(&bytes);
        }
        self.make_room(bytes.len())?;
        let at = self.encoded.bytes.len();
        self.encoded.pieces.push((at, bytes));
        Ok(())
    }

    #[inline]
    fn make_room(&mut self, bytes: usize) -> Result<(), CodecError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.is_full = true;
                Err(CodecError::TooLarge {
                    bytes_max: self.bytes_max,
                })
            }
        }
    }

    /// Appends a value in postcard's encoding.
    ///
    /// # Errors
    ///
    /// [`CodecError`]: it does not fit, or its `Serialize` failed.
    pub fn postcard(&mut self, value: &impl Serialize) -> Result<(), CodecError> {
        postcard::serialize_with_flavor(value, Appending(self)).map_err(|error| match error {
            postcard::Error::SerializeBufferFull => CodecError::TooLarge {
                bytes_max: self.bytes_max,
            },
            error => CodecError::Failed(error.to_string()),
        })
    }

    pub(crate) fn into_encoded(self) -> Result<Encoded, CodecError> {
        // Whatever its encoder made of the refusal.
        match self.is_full {
            true => Err(CodecError::TooLarge {
                bytes_max: self.bytes_max,
            }),
            false => Ok(self.encoded),
        }
    }
}

/// For encoders that want a writer.
impl io::Write for Payload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.extend(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(io::Error::new(io::ErrorKind::FileTooLarge, error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A longer buffer is not kept for the next message, in bytes.
const SPARE_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// The buffer of the last message that was sent from this thread: most messages need none of their own.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn spare() -> Vec<u8> {
    // A thread that ends has none.
    SPARE.try_with(Cell::take).unwrap_or_default()
}

/// Keeps the buffer of a message that was copied to where it is written from.
pub(crate) fn recycle(mut bytes: Vec<u8>) {
    if bytes.capacity() <= SPARE_BYTES_MAX {
        bytes.clear();
        let _ = SPARE.try_with(|spare| spare.set(bytes));
    }
}

/// Reads a value in postcard's encoding, which has to be all of `bytes`.
///
/// # Errors
///
/// [`CodecError::Failed`].
pub fn from_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((value, rest)) => {
            drop(value);
            Err(CodecError::Failed(format!("{} bytes too many", rest.len())))
        }
        Err(error) => Err(CodecError::Failed(error.to_string())),
    }
}

/// Why a message did not become bytes, or bytes no message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// It has more bytes than are allowed. How many is not known: encoding ended at the limit.
    TooLarge {
        /// What is allowed.
        bytes_max: usize,
    },
    /// The encoder or decoder says why.
    Failed(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => write!(f, "more than the {bytes_max} bytes allowed"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CodecError {}

struct Appending<'p>(&'p mut Payload);

impl postcard::ser_flavors::Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let shared = match bytes.len() < UNCOPIED_BYTES {
            true => None,
            false => leaving(bytes),
        };
        let extended = match shared {
            Some(shared) => self.0.extend_shared(shared),
            None => self.0.extend(bytes),
        };
        extended.map_err(|_| postcard::Error::SerializeBufferFull)
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
