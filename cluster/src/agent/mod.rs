//! The membership machine on tokio: a UDP socket, the clock, and a handle for the application.
//!
//! [`Agent::start`] opens the socket and spawns one task, which alone owns the machine. The application holds an [`AgentHandle`]: it reads
//! the members without waiting for the task, subscribes to events through a bounded queue that never slows the task down, and sends
//! commands. The task ends when the member has left, on [`AgentHandle::shutdown`], or when the last handle is dropped; in the last two
//! cases the others find this node unreachable, as after a crash.
//!
//! Beside the socket it listens with TCP on the same port, so that others can speak with it when datagrams do not get through.
//!
//! What is not here: links and remote references, and the decisions, which are those of [`membership`](crate::membership).

mod config;
mod error;
mod handle;
mod lease;
mod log;
mod run;
mod seeds;
mod streams;
mod transport;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{broadcast, mpsc};

use lease::LeaseDesk;
pub(crate) use streams::Incoming;
use streams::Streams;

use crate::datagram::{Courier, OVERHEAD_BYTES_MAX};
use crate::membership::{BootUid, Identity, Machine, NodeId, NodeName};

pub use config::{AgentConfig, Preset, Rejoin, Security};
pub use error::{AgentError, CallError};
pub use handle::{AgentHandle, AgentStats, Events, Notices};
pub use seeds::{ResolveFuture, Resolver, Seed, SeedError, SystemResolver, seeds_from_env};
pub use transport::DatagramTransport;

/// Commands that wait for the task before callers have to.
const COMMANDS_WAITING_MAX: usize = 64;

/// How often a port that the system chose for datagrams may turn out to be taken for streams.
const PORT_ATTEMPTS_MAX: usize = 16;

/// Starts membership agents.
#[derive(Debug)]
pub struct Agent;

impl Agent {
    /// Opens the socket and begins to look for the cluster. Does not wait until others are found: [`Event::Joined`] tells.
    ///
    /// Has to be called within a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`AgentError`]; nothing is left running.
    ///
    /// [`Event::Joined`]: crate::membership::Event::Joined
    pub async fn start(config: AgentConfig) -> Result<AgentHandle, AgentError> {
        let (socket, listener) = bind(config.bind).await?;
        Self::start_with(socket, Incoming::Listener(listener), config)
    }

    /// The same on a transport that is open already, for example one that a test can disturb. It can then not be called over streams.
    ///
    /// # Errors
    /// [`AgentError`]; nothing is left running.
    pub fn start_on<T: DatagramTransport>(
        transport: T,
        config: AgentConfig,
    ) -> Result<AgentHandle, AgentError> {
        Self::start_with(transport, Incoming::None, config)
    }

    /// The same, and callable over streams: `listener` has to be where others look for it, at the transport's address.
    ///
    /// # Errors
    /// [`AgentError`]; nothing is left running.
    pub fn start_on_both<T: DatagramTransport>(
        transport: T,
        listener: TcpListener,
        config: AgentConfig,
    ) -> Result<AgentHandle, AgentError> {
        Self::start_with(transport, Incoming::Listener(listener), config)
    }

    pub(crate) fn start_with<T: DatagramTransport>(
        transport: T,
        incoming: Incoming,
        config: AgentConfig,
    ) -> Result<AgentHandle, AgentError> {
        let name = NodeName::new(&config.node).map_err(AgentError::Name)?;
        if config.policy.needs_lease() && config.lease.is_none() {
            return Err(AgentError::LeaseNeeded);
        }
        let local = transport.local_addr().map_err(|source| AgentError::Bind {
            addr: config.bind,
            source,
        })?;
        let advertised = advertised(&config, local)?;
        let id = NodeId {
            name,
            boot: fresh_boot(BootUid(0))?,
        };
        let identity = Identity {
            id: id.clone(),
            addr: advertised,
            metadata: config.metadata,
        };
        let mut membership = config.membership;
        let peers_max = membership.members_max.saturating_mul(2);
        let courier = match config.security {
            Security::Keyring(keyring) => {
                membership.packet_bytes_max = membership
                    .packet_bytes_max
                    .saturating_sub(OVERHEAD_BYTES_MAX);
                Some(Courier::new(
                    &config.cluster,
                    id.boot,
                    keyring,
                    Box::new(fill_random),
                    peers_max,
                ))
            }
            Security::PlaintextForLoopback => None,
        };
        let clock = run::Clock::start();
        let mut machine = Machine::new(
            clock.now(),
            membership,
            identity,
            config.policy,
            random_u64()?,
        )
        .map_err(AgentError::Settings)?;
        let known: Vec<SocketAddr> = config.seeds.iter().filter_map(Seed::addr).collect();
        machine
            .join(clock.now(), &known)
            .map_err(AgentError::Settings)?;

        let (commands, inbox) = mpsc::channel(COMMANDS_WAITING_MAX);
        let (events, _) = broadcast::channel(config.events_waiting_max.max(1));
        let (notices, _) = broadcast::channel(config.events_waiting_max.max(1));
        let changing: Vec<Seed> = config
            .seeds
            .into_iter()
            .filter(|seed| seed.addr().is_none())
            .collect();
        if !changing.is_empty() {
            tokio::spawn(seeds::look_again_and_again(
                changing,
                config.resolver,
                config.resolve_interval,
                commands.downgrade(),
            ));
        }
        let streams = Streams::start(
            incoming,
            &config.cluster,
            machine.config().packet_bytes_max,
            commands.downgrade(),
        );
        let conduct = run::Conduct {
            streams,
            rejoin: config.rejoin,
            lease: LeaseDesk {
                lease: config.lease,
                timeout: config.lease_timeout,
                commands: commands.downgrade(),
            },
        };
        let handle = AgentHandle::new(
            commands,
            events.downgrade(),
            notices.downgrade(),
            &machine,
            advertised,
        );
        let shell = run::Shell::new(
            transport,
            machine,
            courier,
            clock,
            (events, notices),
            handle.view(),
            conduct,
        );
        tokio::spawn(shell.run(inbox));
        Ok(handle)
    }
}

/// One port for datagrams and streams.
async fn bind(addr: SocketAddr) -> Result<(UdpSocket, TcpListener), AgentError> {
    let attempts_max = if addr.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    let mut attempt = 1;
    loop {
        let from_bind = |source| AgentError::from_bind(addr, source);
        let socket = UdpSocket::bind(addr).await.map_err(from_bind)?;
        let both = socket.local_addr().map_err(from_bind)?;
        match TcpListener::bind(both).await {
            Ok(listener) => return Ok((socket, listener)),
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse && attempt < attempts_max =>
            {
                attempt += 1;
            }
            Err(source) => return Err(from_bind(source)),
        }
    }
}

/// Where others reach this node.
fn advertised(config: &AgentConfig, local: SocketAddr) -> Result<SocketAddr, AgentError> {
    match config.advertise {
        Some(addr) if addr.port() == 0 => Ok(SocketAddr::new(addr.ip(), local.port())),
        Some(addr) => Ok(addr),
        None if local.ip().is_unspecified() => {
            Err(AgentError::AdvertiseNeeded { bind: config.bind })
        }
        None => Ok(local),
    }
}

/// A boot greater than `before` and, by the wall clock, than those of earlier processes: microseconds, so that of two that start one right
/// after the other the first counts as the older, with room for them until the year 2112, and twelve random bits.
fn fresh_boot(before: BootUid) -> Result<BootUid, AgentError> {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let by_clock = (since_1970.as_micros() as u64) << 12 | random_u64()? >> 52;
    Ok(BootUid(by_clock.max(before.0.saturating_add(1))))
}

fn random_u64() -> Result<u64, AgentError> {
    getrandom::u64().map_err(|_| AgentError::Randomness)
}

/// Nonces. The operating system's source was there at the start and does not fail later on any system that is supported; should it all
/// the same, going on would risk the key, so the task ends.
fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness, as it did at the start");
}
