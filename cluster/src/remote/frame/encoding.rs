//! One frame as bytes, and back.

use super::{FRAMING, Frame, FrameError, KINDS, LENGTH_BYTES};

/// Appends the bytes of `frame` to `out`.
///
/// # Panics
///
/// If the frame has 4 GiB or more. Payloads are checked against the limit of the link before.
pub fn encode(out: &mut Vec<u8>, frame: &Frame<'_>) {
    let begin = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.push(FRAMING);
    postcard::serialize_with_flavor(frame, Appending(out))
        .expect("frames are plain data, and a vector takes any number of bytes");
    let length = u32::try_from(out.len() - begin - LENGTH_BYTES)
        .expect("payloads are bounded before they are framed");
    out[begin..begin + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Number of the kind of which there are most.
const TELL: u8 = 7;
const FRAGMENT: u8 = 20;
const REPLY_FRAGMENT: u8 = 22;

/// Longest beginning of a frame of a number and a payload, in bytes: length, framing, kind, and two numbers.
const HEAD_BYTES_MAX: usize = LENGTH_BYTES + 2 + 10 + 10;

/// Appends what comes before the payload in a [`Frame::Tell`]: the payload has to follow. The encoding of frames that are many or long is
/// written out.
///
/// # Panics
///
/// As [`encode`].
pub(crate) fn encode_tell_head(out: &mut Vec<u8>, channel: u32, payload_bytes: usize) {
    encode_head(out, TELL, channel.into(), payload_bytes);
}

/// As [`encode_tell_head`], for a [`Frame::Fragment`].
pub(crate) fn encode_fragment_head(out: &mut Vec<u8>, channel: u32, payload_bytes: usize) {
    encode_head(out, FRAGMENT, channel.into(), payload_bytes);
}

/// As [`encode_tell_head`], for a [`Frame::ReplyFragment`].
pub(crate) fn encode_reply_fragment_head(out: &mut Vec<u8>, number: u64, payload_bytes: usize) {
    encode_head(out, REPLY_FRAGMENT, number, payload_bytes);
}

fn encode_head(out: &mut Vec<u8>, kind: u8, number: u64, payload_bytes: usize) {
    let mut head = [0; HEAD_BYTES_MAX];
    head[LENGTH_BYTES] = FRAMING;
    head[LENGTH_BYTES + 1] = kind;
    let mut end = LENGTH_BYTES + 2;
    for mut value in [number, payload_bytes as u64] {
        while value >= 0x80 {
            head[end] = value as u8 | 0x80;
            value >>= 7;
            end += 1;
        }
        head[end] = value as u8;
        end += 1;
    }
    let length = u32::try_from(end - LENGTH_BYTES + payload_bytes)
        .expect("payloads are bounded before they are framed");
    head[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&head[..end]);
}

/// The body of a [`Frame::Tell`] as it is usually written; `None`: whoever reads every frame has to look.
fn decode_tell(body: &[u8]) -> Option<Frame<'_>> {
    let (&TELL, mut rest) = body.split_first()? else {
        return None;
    };
    let mut values = [0_u64; 2];
    for value in &mut values {
        for shift in [0, 7, 14, 21] {
            let (&byte, others) = rest.split_first()?;
            rest = others;
            *value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            if shift == 21 {
                return None;
            }
        }
    }
    let [channel, payload_bytes] = values;
    (rest.len() as u64 == payload_bytes).then_some(Frame::Tell {
        channel: channel as u32,
        payload: rest,
    })
}

/// The body of a frame, without its length.
pub(super) fn decode(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (&framing, body) = bytes.split_first().ok_or(FrameError::TooShort)?;
    if framing != FRAMING {
        return Err(FrameError::Framing { found: framing });
    }
    if let Some(tell) = decode_tell(body) {
        return Ok(tell);
    }
    let &kind = body.first().ok_or(FrameError::TooShort)?;
    if kind >= KINDS {
        return Err(FrameError::UnknownKind { kind });
    }
    match postcard::take_from_bytes(body) {
        Ok((frame, [])) => Ok(frame),
        Ok(_) | Err(_) => Err(FrameError::Malformed { kind }),
    }
}

/// Appends to a vector.
struct Appending<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
