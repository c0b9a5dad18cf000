//! What the launcher and a node process say to each other, through the node's standard input and output.
//!
//! In: one [`Settings`], and then [`Control`]s. The end of the input, however it comes about, is the order to stop, so a node
//! never outlives its launcher. Out: [`Event`]s. Everything is a frame: four bytes of length, the lowest first, and that
//! many bytes of postcard.
//!
//! This is not how nodes talk to each other; see [`messages`](super::messages) for that.

use std::{
    fmt,
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{blob::Blob, chaos::Chaos};

/// The longest frame. Only a word that long would need a longer one.
const FRAME_BYTES_MAX: u32 = 1 << 30;

/// What a node is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Its name in the cluster.
    pub name: String,
    /// Where it listens, UDP and TCP.
    pub listen: SocketAddr,
    /// Nodes that it asks to let it in.
    pub seeds: Vec<SocketAddr>,
    /// What keeps the cluster private.
    pub secrets: Secrets,
    /// Links are not encrypted.
    pub is_plaintext: bool,
    /// How long a worker takes for a chunk beyond what it needs.
    pub pace: Duration,
    /// How many workers it has.
    pub workers: u32,
    /// What it coordinates while it is its turn.
    pub job: Job,
}

/// What a node is told while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// It is cut off from the nodes that listen at these addresses, besides those of before.
    Cut(Vec<SocketAddr>),
    /// It is cut off from nobody any more.
    Heal,
    /// One of its workers is to crash, by its number from 1.
    Crash(u32),
}

/// What keeps a cluster private. It goes to a node over its standard input, and is written nowhere.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// The secret that all nodes of the cluster share.
    pub gossip_key: [u8; 32],
    /// The certificate of the cluster's authority, in PEM encoding.
    pub authority: String,
    /// The certificate of the node.
    pub certificate: String,
    /// The private key of the node.
    pub private_key: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// What a coordinator is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    files: Vec<Blob>,
    /// How long the files are together.
    pub input_bytes: u64,
    /// How many nodes to wait for, its own included.
    pub nodes: u32,
    /// What is broken meanwhile.
    pub chaos: Chaos,
}

impl Job {
    /// To count the words of `files`.
    pub fn new(files: &[PathBuf], input_bytes: u64, nodes: u32, chaos: Chaos) -> Self {
        let files = files
            .iter()
            .map(|path| path.as_os_str().as_bytes().to_vec());
        Self {
            files: files.map(Blob::from).collect(),
            input_bytes,
            nodes,
            chaos,
        }
    }

    /// The files to count. They travel as bytes, because a path need not be UTF-8.
    pub fn files(&self) -> Vec<PathBuf> {
        let path = |bytes: &Blob| std::ffi::OsString::from_vec(bytes.to_vec()).into();
        self.files.iter().map(path).collect()
    }
}

/// What one node thinks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It takes part from now on.
    Joined,
    /// It can be reached again.
    Back,
    /// It cannot be reached, and might still be alive.
    Unreachable,
    /// It is declared dead, for good.
    Down,
    /// It left in order.
    Left,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joined => "joined",
            Self::Back => "back",
            Self::Unreachable => "unreachable",
            Self::Down => "down",
            Self::Left => "left",
        })
    }
}

/// What happened on a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// It listens, and can be a seed for others.
    Listening(SocketAddr),
    /// It sees another node in a new light.
    Member {
        /// The name of the other node.
        name: String,
        /// What is thought of it now.
        standing: Standing,
    },
    /// One of its workers crashed, and was restarted.
    Restarted {
        /// The name of the worker.
        worker: String,
        /// Which incarnation began.
        incarnation: u64,
        /// How the one before ended.
        reason: String,
    },
    /// A coordinator begins to work: the first when all nodes are there, one that follows with those that are left.
    Begun {
        /// How many workers there are.
        workers: u32,
        /// How many chunks the nodes had counted for another coordinator before; `None` for the first.
        found: Option<u64>,
    },
    /// The coordinator: so much of the input is counted.
    Progress {
        /// Of the input.
        bytes: u64,
    },
    /// The coordinator: now is the time to kill this node.
    Kill {
        /// Its name.
        name: String,
        /// How many chunks are on it.
        chunks: usize,
    },
    /// The coordinator: now is the time to cut this node off from the others.
    Cut {
        /// Its name.
        name: String,
        /// How many chunks are on it.
        chunks: usize,
    },
    /// The coordinator: chunks of a dead node go to others.
    Moved {
        /// Its name.
        name: String,
        /// How many they are.
        chunks: usize,
    },
    /// The coordinator: everything is counted; what follows is the result.
    Counted {
        /// How many chunks there were.
        chunks: u64,
        /// How many deliveries of this coordinator were not the first of their chunk.
        redeliveries: u64,
        /// How many chunks had been counted for a coordinator before.
        taken_over: u64,
        /// How long the input was.
        bytes: u64,
    },
    /// The coordinator: part of the result, as [`Tally::encode`](super::tally::Tally::encode) makes it.
    Result(Blob),
    /// The coordinator: that was the result.
    Done,
    /// The node could not do what it was to do, and ends.
    Failed(String),
}

/// Where the parts of a node say what happened.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// The other side said something that makes no sense, or cannot be heard any more. Nothing of the frame was taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Reading or writing failed, or the stream ended within a frame.
    Io(io::Error),
    /// A frame is longer than is allowed.
    TooLong(u32),
    /// A frame does not hold what it should.
    Malformed(postcard::Error),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the stream broke: {error}"),
            Self::TooLong(bytes) => write!(f, "a frame of {bytes} bytes is longer than is allowed"),
            Self::Malformed(error) => write!(f, "a frame cannot be decoded: {error}"),
        }
    }
}

impl std::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed(error) => Some(error),
            Self::TooLong(_) => None,
        }
    }
}

impl From<io::Error> for ProtocolError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One message as a frame.
///
/// # Errors
///
/// If it is too long.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ProtocolError> {
    let body = postcard::to_allocvec(message).map_err(ProtocolError::Malformed)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(ProtocolError::TooLong(length));
    }
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Writes one frame, and blocks until the other side has taken enough.
///
/// # Errors
///
/// If the message is too long, or nobody listens any more.
pub fn write<T: Serialize>(out: &mut impl Write, message: &T) -> Result<(), ProtocolError> {
    out.write_all(&encode(message)?)?;
    Ok(out.flush()?)
}

/// Reads one frame, and blocks until it is there.
///
/// # Errors
///
/// If the stream ends, or what comes is no frame.
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> Result<T, ProtocolError> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = checked_length(length)?;
    let mut body = Vec::new();
    Read::take(input, length.into()).read_to_end(&mut body)?;
    decode(length, &body)
}

/// Reads one frame; `None` at the end of the stream. Not cancel safe: part of a frame may have been taken.
///
/// # Errors
///
/// If the stream ends within a frame, or what comes is no frame.
pub async fn read_async<T: DeserializeOwned>(
    input: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, ProtocolError> {
    let mut length = [0; 4];
    if input.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[1..]).await?;
    let length = checked_length(length)?;
    let mut body = Vec::new();
    input.take(length.into()).read_to_end(&mut body).await?;
    decode(length, &body).map(Some)
}

fn checked_length(length: [u8; 4]) -> Result<u32, ProtocolError> {
    match u32::from_le_bytes(length) {
        length @ ..=FRAME_BYTES_MAX => Ok(length),
        length => Err(ProtocolError::TooLong(length)),
    }
}

fn decode<T: DeserializeOwned>(length: u32, body: &[u8]) -> Result<T, ProtocolError> {
    if body.len() != length as usize {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    postcard::from_bytes(body).map_err(ProtocolError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_with_paths_that_are_not_utf8() {
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/a/\xff".to_vec()));
        let job = Job::new(std::slice::from_ref(&odd), 7, 3, Chaos::All);
        let settings = Settings {
            name: "node-1".into(),
            listen: "127.0.0.1:0".parse().unwrap(),
            seeds: vec![],
            secrets: Secrets::default(),
            is_plaintext: false,
            pace: Duration::ZERO,
            workers: 2,
            job,
        };
        let frame = encode(&settings).unwrap();
        let again: Settings = read(&mut &frame[..]).unwrap();
        assert_eq!(again.job.files(), [odd]);
        assert_eq!(again.listen, settings.listen);
    }

    #[tokio::test]
    async fn events_follow_one_another_until_the_end_of_the_stream() {
        let mut stream = Vec::new();
        write(&mut stream, &Event::Progress { bytes: 1 }).unwrap();
        write(&mut stream, &Event::Result(vec![1, 2, 3].into())).unwrap();
        let mut input = &stream[..];
        let first = read_async(&mut input).await.unwrap();
        assert!(matches!(first, Some(Event::Progress { bytes: 1 })));
        let second = read_async(&mut input).await.unwrap();
        assert!(matches!(second, Some(Event::Result(blob)) if *blob == [1, 2, 3]));
        assert!(read_async::<Event>(&mut input).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_or_is_no_stream_of_frames_is_an_error() {
        let frame = encode(&Event::Progress { bytes: 300 }).unwrap();
        for cut in 1..frame.len() {
            let mut input = &frame[..cut];
            assert!(read_async::<Event>(&mut input).await.is_err(), "{cut}");
            assert!(read::<Event>(&mut &frame[..cut]).is_err(), "{cut}");
        }
        let error = read::<Event>(&mut &b"what is this?"[..]).unwrap_err();
        assert!(matches!(error, ProtocolError::TooLong(_)), "{error}");
        let error = read::<Event>(&mut &[1, 0, 0, 0, 99][..]).unwrap_err();
        assert!(matches!(error, ProtocolError::Malformed(_)), "{error}");
    }
}
