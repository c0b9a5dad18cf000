//! Sessions with other addresses: what is sealed for whom, and what is believed from whom.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::keyring::{Key, Keyring};
use super::seal::{COOKIE_BYTES, Envelope, Kind, open, seal};
use crate::membership::BootUid;
use crate::window::Window;

/// Payloads kept for an address until it has answered.
const WAITING_MAX: usize = 2;
/// Payload of a hello: as long as that of a challenge, so that the answer is never longer than the question.
const HELLO_BYTES: usize = COOKIE_BYTES + 8;
/// A session that was silent for this long can be taken over by a smaller boot.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// Why a datagram was refused. It had no effect but on the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Too short, or not a datagram of ours.
    Malformed,
    /// Of another version.
    Version,
    /// Sealed with no key of this keyring, for another cluster, or changed on the way.
    Unauthentic,
    /// Its sequence number has been seen.
    Replayed,
    /// Bound to another boot than this one, or from an address that has yet to prove itself: it was challenged.
    Unproven,
    /// A challenge that this node has not asked for.
    Unasked,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a datagram of this protocol",
            Self::Version => "a datagram of another version",
            Self::Unauthentic => {
                "sealed with an unknown key, for another cluster, or changed on the way"
            }
            Self::Replayed => "a sequence number that was seen before",
            Self::Unproven => "not bound to this boot, or from an unproven address",
            Self::Unasked => "a challenge that was not asked for",
        })
    }
}

impl std::error::Error for Refusal {}

/// How many datagrams were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// See [`Refusal::Malformed`] and [`Refusal::Version`].
    pub malformed: u64,
    /// See [`Refusal::Unauthentic`].
    pub unauthentic: u64,
    /// See [`Refusal::Replayed`].
    pub replayed: u64,
    /// See [`Refusal::Unproven`] and [`Refusal::Unasked`].
    pub unproven: u64,
}

/// What came of a datagram that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Something for the machine above.
    Payload(Vec<u8>),
    /// Nothing for above; these datagrams go back to where it came from. Perhaps none.
    Answer(Vec<Vec<u8>>),
}

/// What is known of an address.
#[derive(Debug)]
struct Peer {
    /// The boot that answered there.
    boot: Option<BootUid>,
    /// Sent along until the peer has shown that it knows this node.
    cookie: Option<[u8; COOKIE_BYTES]>,
    /// Present when the address is proven: what it has sent.
    received: Option<Window>,
    /// Sequence number of the last datagram sent there; a challenge has to name a later one than the last challenge did.
    sent_last: u64,
    challenged_last: u64,
    waiting: VecDeque<Vec<u8>>,
    heard_at: Duration,
    used_at: Duration,
}

/// Fills a buffer with unpredictable bytes.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// Seals and opens the datagrams of one process. Has no socket and no timer: whoever sends again, knocks again.
pub struct Courier {
    cluster: String,
    boot: BootUid,
    keyring: Keyring,
    cookie_key: Key,
    entropy: Entropy,
    next_sequence: u64,
    peers: HashMap<SocketAddr, Peer>,
    peers_max: usize,
    refusals: Refusals,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier")
            .field("cluster", &self.cluster)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

impl Courier {
    /// A courier without sessions. `peers_max` bounds its memory: about 300 bytes for each address.
    pub fn new(
        cluster: &str,
        boot: BootUid,
        keyring: Keyring,
        mut entropy: Entropy,
        peers_max: usize,
    ) -> Self {
        let mut secret = [0; 32];
        entropy(&mut secret);
        Self {
            cluster: cluster.to_owned(),
            boot,
            keyring,
            cookie_key: Key::from_bytes(secret),
            entropy,
            next_sequence: 1,
            peers: HashMap::new(),
            peers_max: peers_max.max(1),
            refusals: Refusals::default(),
        }
    }

    /// The keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The keys, to be rotated.
    pub fn keyring_mut(&mut self) -> &mut Keyring {
        &mut self.keyring
    }

    /// What was refused so far.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Begins a new boot: all sessions end, and are opened anew by what is sent next.
    pub fn begin_boot(&mut self, boot: BootUid) {
        self.boot = boot;
        self.peers.clear();
    }

    /// The datagram to send so that `payload` arrives. To an address that has not answered yet this is a hello; the payload waits for
    /// the answer, and the oldest of those that wait is dropped when there are more than two.
    #[must_use]
    pub fn seal(&mut self, now: Duration, to: SocketAddr, payload: Vec<u8>) -> Vec<u8> {
        self.make_room(to, now);
        let peer = self.peers.entry(to).or_insert_with(|| Peer::unknown(now));
        peer.used_at = now;
        if peer.boot.is_some() {
            return self.seal_for_known(to, &payload);
        }
        if peer.waiting.len() == WAITING_MAX {
            peer.waiting.pop_front();
        }
        peer.waiting.push_back(payload);
        self.seal_as(to, Kind::Hello, BootUid(0), &[0; HELLO_BYTES])
    }

    /// Opens what arrived from `from`.
    ///
    /// # Errors
    /// [`Refusal`], which has been counted. With [`Refusal::Unproven`] comes a challenge to send back, no longer than what arrived.
    pub fn open(
        &mut self,
        now: Duration,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<Opened, (Refusal, Option<Vec<u8>>)> {
        self.try_open(now, from, datagram)
            .inspect_err(|(refusal, _)| match refusal {
                Refusal::Malformed | Refusal::Version => self.refusals.malformed += 1,
                Refusal::Unauthentic => self.refusals.unauthentic += 1,
                Refusal::Replayed => self.refusals.replayed += 1,
                Refusal::Unproven | Refusal::Unasked => self.refusals.unproven += 1,
            })
    }

    fn try_open(
        &mut self,
        now: Duration,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<Opened, (Refusal, Option<Vec<u8>>)> {
        let (envelope, payload) =
            open(&self.keyring, &self.cluster, datagram).map_err(|refusal| (refusal, None))?;
        if envelope.kind == Kind::Hello {
            return match payload.len() {
                HELLO_BYTES => Ok(Opened::Answer(vec![self.challenge(from, envelope)])),
                _ => Err((Refusal::Malformed, None)),
            };
        }
        if envelope.receiver != self.boot {
            let answer = if envelope.kind == Kind::Challenge {
                None
            } else {
                self.challenge_in_proportion(from, envelope, &payload)
            };
            return Err((Refusal::Unproven, answer));
        }
        match envelope.kind {
            Kind::Hello => Err((Refusal::Malformed, None)),
            Kind::Challenge => self
                .take_challenge(now, from, envelope, &payload)
                .map_err(|refusal| (refusal, None)),
            Kind::Proof => {
                let (cookie, rest) = payload
                    .split_first_chunk()
                    .ok_or((Refusal::Malformed, None))?;
                if *cookie != self.cookie_for(from, envelope.sender) {
                    return Err((
                        Refusal::Unproven,
                        self.challenge_in_proportion(from, envelope, rest),
                    ));
                }
                self.admit(now, from, envelope)
                    .map_err(|refusal| (refusal, None))?;
                Ok(Opened::Payload(rest.to_vec()))
            }
            Kind::Payload => {
                let session = self
                    .peers
                    .get_mut(&from)
                    .filter(|peer| peer.boot == Some(envelope.sender));
                let Some(window) = session.and_then(|peer| {
                    peer.heard_at = now;
                    peer.cookie = None; // it knows this node: no need to prove it any longer
                    peer.received.as_mut()
                }) else {
                    return Err((
                        Refusal::Unproven,
                        self.challenge_in_proportion(from, envelope, &payload),
                    ));
                };
                if window.accept(envelope.sequence) {
                    Ok(Opened::Payload(payload))
                } else {
                    Err((Refusal::Replayed, None))
                }
            }
        }
    }

    /// A proof was right: the address belongs to that boot.
    fn admit(
        &mut self,
        now: Duration,
        from: SocketAddr,
        envelope: Envelope,
    ) -> Result<(), Refusal> {
        self.make_room(from, now);
        let peer = self.peers.entry(from).or_insert_with(|| Peer::unknown(now));
        match peer.boot {
            Some(boot) if boot == envelope.sender => {
                peer.heard_at = now;
                let fresh = match &mut peer.received {
                    Some(window) => window.accept(envelope.sequence),
                    none => {
                        *none = Some(Window::starting_with(envelope.sequence));
                        true
                    }
                };
                if !fresh {
                    return Err(Refusal::Replayed);
                }
            }
            // An earlier process at the same address is history: its proofs were recorded.
            Some(boot)
                if boot > envelope.sender && now.saturating_sub(peer.heard_at) < STALE_AFTER =>
            {
                return Err(Refusal::Replayed);
            }
            _ => {
                peer.boot = Some(envelope.sender);
                peer.received = Some(Window::starting_with(envelope.sequence));
                peer.cookie = None;
                peer.heard_at = now;
            }
        }
        Ok(())
    }

    /// Somebody wants this node to prove its address.
    fn take_challenge(
        &mut self,
        now: Duration,
        from: SocketAddr,
        envelope: Envelope,
        payload: &[u8],
    ) -> Result<Opened, Refusal> {
        let (echo, cookie) = payload.split_first_chunk().ok_or(Refusal::Malformed)?;
        let (echo, cookie) = (
            u64::from_le_bytes(*echo),
            cookie
                .first_chunk::<COOKIE_BYTES>()
                .ok_or(Refusal::Malformed)?,
        );
        let peer = self.peers.get_mut(&from).ok_or(Refusal::Unasked)?;
        if echo <= peer.challenged_last || echo > peer.sent_last {
            return Err(Refusal::Unasked);
        }
        peer.challenged_last = echo;
        peer.cookie = Some(*cookie);
        peer.heard_at = now;
        if peer.boot != Some(envelope.sender) || peer.received.is_none() {
            // It has echoed what was sent to this address, so it is there, and as fresh as the echo.
            peer.boot = Some(envelope.sender);
            peer.received = Some(Window::starting_with(envelope.sequence));
        }
        let waiting = std::mem::take(&mut peer.waiting);
        Ok(Opened::Answer(
            waiting
                .into_iter()
                .map(|payload| self.seal_for_known(from, &payload))
                .collect(),
        ))
    }

    fn seal_for_known(&mut self, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let (boot, cookie) = self.peers.get(&to).map_or((BootUid(0), None), |peer| {
            (peer.boot.unwrap_or(BootUid(0)), peer.cookie)
        });
        match cookie {
            None => self.seal_as(to, Kind::Payload, boot, payload),
            Some(cookie) => self.seal_as(to, Kind::Proof, boot, &[&cookie[..], payload].concat()),
        }
    }

    /// Asks for a proof. Keeps nothing about the asker.
    fn challenge(&mut self, to: SocketAddr, asked: Envelope) -> Vec<u8> {
        let cookie = self.cookie_for(to, asked.sender);
        self.seal_as(
            to,
            Kind::Challenge,
            asked.sender,
            &[&asked.sequence.to_le_bytes()[..], &cookie[..]].concat(),
        )
    }

    /// A challenge, unless it would be longer than what it answers.
    fn challenge_in_proportion(
        &mut self,
        to: SocketAddr,
        asked: Envelope,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        (payload.len() >= HELLO_BYTES).then(|| self.challenge(to, asked))
    }

    /// What only a node at `addr` can know, once it was sent there.
    fn cookie_for(&self, addr: SocketAddr, boot: BootUid) -> [u8; COOKIE_BYTES] {
        let mut input = [0; 24];
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        input[..16].copy_from_slice(&ip);
        input[16..18].copy_from_slice(&addr.port().to_le_bytes());
        input[18..].copy_from_slice(&boot.0.to_le_bytes()[..6]);
        self.cookie_key.keystream(input)
    }

    fn seal_as(
        &mut self,
        to: SocketAddr,
        kind: Kind,
        receiver: BootUid,
        payload: &[u8],
    ) -> Vec<u8> {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.sent_last = sequence;
        }
        let mut random = [0; 16];
        (self.entropy)(&mut random);
        seal(
            &self.keyring,
            &self.cluster,
            Envelope {
                kind,
                sender: self.boot,
                receiver,
                sequence,
            },
            random,
            payload,
        )
    }

    /// Forgets the address that has been of no use for longest if there are too many.
    fn make_room(&mut self, newcomer: SocketAddr, now: Duration) {
        if self.peers.len() < self.peers_max || self.peers.contains_key(&newcomer) {
            return;
        }
        let oldest = self
            .peers
            .iter()
            .min_by_key(|(addr, peer)| (peer.heard_at.max(peer.used_at).min(now), **addr))
            .map(|(addr, _)| *addr);
        oldest.map(|addr| self.peers.remove(&addr));
    }
}

impl Peer {
    fn unknown(now: Duration) -> Self {
        Self {
            boot: None,
            cookie: None,
            received: None,
            sent_last: 0,
            challenged_last: 0,
            waiting: VecDeque::new(),
            heard_at: now,
            used_at: now,
        }
    }
}

#[cfg(test)]
mod tests;
