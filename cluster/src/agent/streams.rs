//! Conversations of membership over TCP: the machine's way out when datagrams do not get through.
//!
//! The two ends take turns. In a turn an end says packets, and an empty one to end it; the conversation is over when an end has nothing to
//! say. What bounds it: [`CALLS_MAX`] and [`ANSWERED_MAX`] at a time, [`TURNS_MAX`] turns of [`PACKETS_MAX`] packets, packets no longer than
//! datagrams, and a time limit. All packets are sealed with the keys of the datagrams; see [`Line`]. What fails here is only counted: a
//! member that cannot be reached in this way either is accused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::run::Command;
use crate::datagram::{
    Keyring, Line, NONCE_BYTES, OPENING_BYTES, SEAL_BYTES, opening, read_opening,
};
use crate::membership::StreamCall;

/// More conversations than this are not begun at a time.
const CALLS_MAX: usize = 16;
/// More conversations than this are not answered at a time.
const ANSWERED_MAX: usize = 32;
/// An end that has said nothing new after so many turns has nothing to say.
const TURNS_MAX: usize = 16;
/// Packets of one turn.
const PACKETS_MAX: usize = 64;
/// How long an answered conversation may last.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// After an error of the listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where conversations come from.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nowhere: this node is not called.
    None,
    /// A port of its own.
    Listener(TcpListener),
    /// A port that is shared with something else, which hands on what begins with [`GREETING`](crate::datagram::GREETING).
    Handed(mpsc::Receiver<TcpStream>),
}

impl Incoming {
    async fn next(&mut self) -> Option<TcpStream> {
        match self {
            Self::None => None,
            Self::Handed(streams) => streams.recv().await,
            Self::Listener(listener) => loop {
                match listener.accept().await {
                    Ok((stream, _)) => return Some(stream),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            },
        }
    }
}

/// What all conversations of an agent share.
#[derive(Clone, Debug)]
struct Terms {
    cluster: Arc<str>,
    packet_bytes_max: usize,
    /// Weak, so that a conversation does not keep the agent alive.
    commands: mpsc::WeakSender<Command>,
    refused: Arc<AtomicU64>,
}

/// The conversations of an agent. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Streams {
    terms: Terms,
    calls: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Streams {
    pub(super) fn start(
        incoming: Incoming,
        cluster: &str,
        packet_bytes_max: usize,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        let terms = Terms {
            cluster: cluster.into(),
            packet_bytes_max,
            commands,
            refused: Arc::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_all(incoming, terms.clone()));
        Self {
            terms,
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            tasks,
        }
    }

    /// Begins a conversation, unless too many are under way.
    pub(super) fn call(&mut self, call: StreamCall, keyring: Option<Keyring>) {
        while self.tasks.try_join_next().is_some() {}
        let Ok(permit) = self.calls.clone().try_acquire_owned() else {
            return;
        };
        let terms = self.terms.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let within = call.within;
            if let Ok(Err(error)) = timeout(within, place(call, keyring, &terms)).await {
                tracing::trace!(%error, "a member was not reached over a stream");
            }
        });
    }

    /// How many could not be answered so far.
    pub(super) fn refused(&self) -> u64 {
        self.terms.refused.load(Ordering::Relaxed)
    }

    /// Ends all conversations and closes the port.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn answer_all(mut incoming: Incoming, terms: Terms) {
    let permits = Arc::new(Semaphore::new(ANSWERED_MAX));
    let mut tasks = JoinSet::new();
    while let Some(stream) = incoming.next().await {
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            terms.refused.fetch_add(1, Ordering::Relaxed);
            continue; // closed unheard; the caller has other ways
        };
        let terms = terms.clone();
        tasks.spawn(async move {
            let _permit = permit;
            if let Ok(Err(error)) = timeout(ANSWER_WITHIN, answer(stream, &terms)).await {
                terms.refused.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a conversation of membership failed");
            }
        });
    }
}

/// The caller's end.
async fn place(call: StreamCall, keyring: Option<Keyring>, terms: &Terms) -> io::Result<()> {
    let mut stream = TcpStream::connect(call.to).await?;
    stream.set_nodelay(true)?;
    let mine = nonce::<NONCE_BYTES>()?;
    stream.write_all(&opening(keyring.is_some(), &mine)).await?;
    let mut theirs = [0; NONCE_BYTES];
    stream.read_exact(&mut theirs).await?;
    let mut line = Line::new(keyring, &terms.cluster, &mine, &theirs, true);
    let mut to_say = vec![call.packet];
    for _ in 0..TURNS_MAX {
        say(&mut stream, &mut line, &to_say).await?;
        let heard = hear(&mut stream, &mut line, terms).await?;
        to_say = consult(terms, call.to, heard).await?;
        if to_say.is_empty() {
            break;
        }
    }
    Ok(())
}

/// The other one.
async fn answer(mut stream: TcpStream, terms: &Terms) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let from = stream.peer_addr()?;
    let mut words = [0; OPENING_BYTES];
    stream.read_exact(&mut words).await?;
    let keyring = ask(terms, Command::Keyring).await?;
    let theirs = read_opening(&words, keyring.is_some()).map_err(io::Error::other)?;
    let mine = nonce::<NONCE_BYTES>()?;
    stream.write_all(&mine).await?;
    let mut line = Line::new(keyring, &terms.cluster, &theirs, &mine, false);
    for _ in 0..TURNS_MAX {
        let heard = match hear(&mut stream, &mut line, terms).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            heard => heard?,
        };
        let to_say = consult(terms, from, heard).await?;
        say(&mut stream, &mut line, &to_say).await?;
        if to_say.is_empty() {
            break;
        }
    }
    Ok(())
}

async fn say(stream: &mut TcpStream, line: &mut Line, packets: &[Vec<u8>]) -> io::Result<()> {
    let mut bytes = Vec::new();
    let end: &[u8] = &[];
    let packets = packets.iter().take(PACKETS_MAX).map(Vec::as_slice);
    for packet in packets.chain([end]) {
        let sealed = line.seal(packet, nonce()?);
        let length = u16::try_from(sealed.len()).map_err(io::Error::other)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sealed);
    }
    stream.write_all(&bytes).await
}

async fn hear(stream: &mut TcpStream, line: &mut Line, terms: &Terms) -> io::Result<Vec<Vec<u8>>> {
    let mut packets = Vec::new();
    while packets.len() <= PACKETS_MAX {
        let length = usize::from(stream.read_u16_le().await?);
        if length > terms.packet_bytes_max + SEAL_BYTES {
            return Err(io::Error::other("a packet that is longer than allowed"));
        }
        let mut sealed = vec![0; length];
        stream.read_exact(&mut sealed).await?;
        let packet = line.open(&sealed).map_err(io::Error::other)?;
        if packet.is_empty() {
            return Ok(packets);
        }
        packets.push(packet);
    }
    Err(io::Error::other("more packets than a turn has"))
}

/// Hands what was heard to the machine, and returns what it says to that.
async fn consult(
    terms: &Terms,
    from: SocketAddr,
    packets: Vec<Vec<u8>>,
) -> io::Result<Vec<Vec<u8>>> {
    ask(terms, |answer| Command::Heard(from, packets, answer)).await
}

async fn ask<R>(
    terms: &Terms,
    command: impl FnOnce(oneshot::Sender<R>) -> Command,
) -> io::Result<R> {
    let ended = || io::Error::other("the agent has ended");
    let (answer, answered) = oneshot::channel();
    let commands = terms.commands.upgrade().ok_or_else(ended)?;
    commands.send(command(answer)).await.map_err(|_| ended())?;
    drop(commands);
    answered.await.map_err(|_| ended())
}

fn nonce<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}
