//! How a message becomes bytes and bytes a message: postcard, unless its type says otherwise.

use std::{cell::Cell, fmt, io};

use serde::{Serialize, de::DeserializeOwned};

/// Where a message is encoded to. It takes no more than a message may have.
#[derive(Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl Payload {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: spare(),
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
        if self.bytes_max - self.bytes.len() < bytes.len() {
            self.is_full = true;
            return Err(CodecError::TooLarge {
                bytes_max: self.bytes_max,
            });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
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

    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, CodecError> {
        // Whatever its encoder made of the refusal.
        match self.is_full {
            true => Err(CodecError::TooLarge {
                bytes_max: self.bytes_max,
            }),
            false => Ok(self.bytes),
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
        self.0
            .extend(bytes)
            .map_err(|_| postcard::Error::SerializeBufferFull)
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
