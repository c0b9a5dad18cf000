//! The handshake: two nodes find out that they want each other, and that both have the key.
//!
//! ```text
//! dialer                                  acceptor
//!   Hello { protocols, cluster, who, whom,
//!           number, lane, limit,
//!           challenge }                 ->
//!                                       <-  Welcome { protocol, limit, challenge } + proof, or Refuse
//!   Confirm { proof }, or Refuse        ->
//!                                       <-  nothing, or Refuse
//! ```
//!
//! The frames are bounded to [`HANDSHAKE_FRAME_BYTES_MAX`], the whole takes at most the
//! [`connect_timeout`](super::LinkConfig::connect_timeout). Each refusal is sent to the other side as far as that is
//! possible, and is counted by both. Refusals are not authenticated: who can forge them could cut the connection as well.
//!
//! Under TLS each side's certificate has to speak for the node that the side says to be, and the proofs cover the TLS session, so that they
//! hold for this connection alone. In the clear a stranger who listens or calls learns the names of cluster and nodes from `Hello` and
//! `Welcome`, and no more. See [`auth`](super::auth) for what the proofs are worth.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    auth::{LinkKeys, Side, random},
    error::LinkError,
    frame::{self, Decoder, Frame, HANDSHAKE_FRAME_BYTES_MAX, Hello, Refusal, Welcome},
    lane::Lane,
};
use crate::{
    membership::{BootUid, NodeId, NodeName},
    transport::{BINDING_BYTES, Connection, Identity, Reader, Writer},
};

/// The protocol that this code speaks.
pub const PROTOCOL: u8 = 1;
/// The oldest that it understands.
pub const PROTOCOL_MIN: u8 = 1;

/// What a node says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) id: NodeId,
    pub(crate) cluster: String,
    pub(crate) keys: LinkKeys,
    pub(crate) message_bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// A connection whose two ends know each other.
pub(crate) struct Greeted {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// May have bytes that came behind the handshake.
    pub(crate) decoder: Decoder,
    /// The longest message or answer that the other side takes, in bytes.
    pub(crate) message_bytes_max: usize,
}

/// The caller, as it has proven itself.
pub(crate) struct Caller {
    pub(crate) id: NodeId,
    pub(crate) call: Call,
}

impl Caller {
    /// By what its link is known.
    pub(crate) fn key(&self) -> (NodeId, Lane) {
        (self.id.clone(), self.call.lane)
    }
}

/// Which link between two boots it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) lane: Lane,
    /// The number of the link among those of the dialing boot.
    pub(crate) link: u64,
}

/// The dialer's side.
pub(crate) async fn dial(
    connection: Connection,
    local: &Local,
    to: &NodeId,
    call: Call,
) -> Result<Greeted, LinkError> {
    within(local.timeout, dial_untimed(connection, local, to, call)).await
}

/// The acceptor's side. `judge` says whether a caller with the right key is welcome.
pub(crate) async fn accept(
    connection: Connection,
    local: &Local,
    judge: impl Fn(&Caller) -> Result<(), Refusal>,
) -> Result<(Greeted, Caller), LinkError> {
    within(local.timeout, accept_untimed(connection, local, judge)).await
}

async fn within<T>(
    limit: Duration,
    handshake: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    match timeout(limit, handshake).await {
        Ok(result) => result,
        Err(_) => Err(LinkError::Refused(Refusal::TooSlow)),
    }
}

async fn dial_untimed(
    mut connection: Connection,
    local: &Local,
    to: &NodeId,
    call: Call,
) -> Result<Greeted, LinkError> {
    let named = speaks_for(
        connection.identity.as_ref(),
        &local.cluster,
        to.name.as_str(),
    );
    if let Err(reason) = named {
        return Err(refuse(connection.writer, reason).await);
    }
    let hello = Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL,
        cluster: &local.cluster,
        from_name: local.id.name.as_str(),
        from_boot: local.id.boot.0,
        to_name: to.name.as_str(),
        to_boot: to.boot.0,
        link: call.link,
        lane: call.lane,
        message_bytes_max: local.message_bytes_max as u32,
        challenge: random()?,
    };
    let said = encoded(&hello);
    send(&mut connection.writer, &Frame::Hello(hello)).await?;

    let mut decoder = Decoder::new();
    let answer = match receive(&mut connection.reader, &mut decoder).await? {
        Frame::Welcome { body, proof } => {
            let transcript = transcript(&connection.binding, &said, body);
            match postcard::from_bytes::<Welcome>(body) {
                Err(_) => Err(Refusal::NotAHandshake),
                Ok(_) if !local.keys.verify(Side::Acceptor, &transcript, proof) => {
                    Err(Refusal::WrongKey)
                }
                Ok(welcome) if !(PROTOCOL_MIN..=PROTOCOL).contains(&welcome.protocol) => {
                    Err(Refusal::WrongProtocol)
                }
                Ok(welcome) => Ok((welcome, transcript)),
            }
        }
        Frame::Refuse { reason } => return Err(LinkError::WasRefused(reason)),
        _ => Err(Refusal::NotAHandshake),
    };
    let (welcome, transcript) = match answer {
        Ok(answer) => answer,
        Err(reason) => return Err(refuse(connection.writer, reason).await),
    };
    let proof = local.keys.prove(Side::Dialer, &transcript, random()?);
    send(&mut connection.writer, &Frame::Confirm { proof: &proof }).await?;
    Ok(Greeted {
        reader: connection.reader,
        writer: connection.writer,
        decoder,
        message_bytes_max: welcome.message_bytes_max as usize,
    })
}

async fn accept_untimed(
    mut connection: Connection,
    local: &Local,
    judge: impl Fn(&Caller) -> Result<(), Refusal>,
) -> Result<(Greeted, Caller), LinkError> {
    let mut decoder = Decoder::new();
    let judged = match receive(&mut connection.reader, &mut decoder).await {
        Ok(Frame::Hello(hello)) => judge_hello(&hello, local, connection.identity.as_ref())
            .map(|caller| (caller, encoded(&hello), hello.message_bytes_max as usize)),
        Ok(_) | Err(LinkError::Frame(_)) => Err(Refusal::NotAHandshake),
        Err(error) => return Err(error),
    };
    let (caller, said, message_bytes_max) = match judged {
        Ok(judged) => judged,
        Err(reason) => return Err(refuse(connection.writer, reason).await),
    };

    let welcome = Welcome {
        protocol: PROTOCOL,
        message_bytes_max: local.message_bytes_max as u32,
        challenge: random()?,
    };
    let body = encoded(&welcome);
    let transcript = transcript(&connection.binding, &said, &body);
    let proof = local.keys.prove(Side::Acceptor, &transcript, random()?);
    let frame = Frame::Welcome {
        body: &body,
        proof: &proof,
    };
    send(&mut connection.writer, &frame).await?;

    let confirmed = match receive(&mut connection.reader, &mut decoder).await {
        Ok(Frame::Confirm { proof }) => {
            if local.keys.verify(Side::Dialer, &transcript, proof) {
                judge(&caller)
            } else {
                Err(Refusal::WrongKey)
            }
        }
        Ok(Frame::Refuse { reason }) => return Err(LinkError::WasRefused(reason)),
        Ok(_) | Err(LinkError::Frame(_)) => Err(Refusal::NotAHandshake),
        Err(error) => return Err(error),
    };
    if let Err(reason) = confirmed {
        return Err(refuse(connection.writer, reason).await);
    }
    let greeted = Greeted {
        reader: connection.reader,
        writer: connection.writer,
        decoder,
        message_bytes_max,
    };
    Ok((greeted, caller))
}

/// What can be said of a caller before it has proven anything.
fn judge_hello(
    hello: &Hello<'_>,
    local: &Local,
    identity: Option<&Identity>,
) -> Result<Caller, Refusal> {
    if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL_MIN {
        return Err(Refusal::WrongProtocol);
    }
    if hello.cluster != local.cluster {
        return Err(Refusal::WrongCluster);
    }
    if hello.to_name != local.id.name.as_str() || hello.to_boot != local.id.boot.0 {
        return Err(Refusal::WrongNode);
    }
    speaks_for(identity, &local.cluster, hello.from_name)?;
    let name = NodeName::new(hello.from_name).map_err(|_| Refusal::NotAHandshake)?;
    Ok(Caller {
        id: NodeId {
            name,
            boot: BootUid(hello.from_boot),
        },
        call: Call {
            lane: hello.lane,
            link: hello.link,
        },
    })
}

/// The connection, and everything that both sides have said on it. The first part that can be long has its length in front, so that the
/// seam cannot be moved.
fn transcript(binding: &[u8; BINDING_BYTES], hello: &[u8], welcome: &[u8]) -> Vec<u8> {
    let length = (hello.len() as u64).to_le_bytes();
    [binding.as_slice(), &length, hello, welcome].concat()
}

/// Whether the certificate of the other end, if there are certificates, speaks for the node that it says to be.
fn speaks_for(identity: Option<&Identity>, cluster: &str, node: &str) -> Result<(), Refusal> {
    match identity {
        Some(identity) if identity.cluster != cluster || identity.node != node => {
            Err(Refusal::WrongCertificate)
        }
        _ => Ok(()),
    }
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("handshakes are plain data")
}

/// Tells the other side, if it listens, and is the error to return.
pub(crate) async fn refuse(mut writer: Writer, reason: Refusal) -> LinkError {
    // The outcome is known already: whether the other side can be told changes nothing.
    if send(&mut writer, &Frame::Refuse { reason }).await.is_ok() {
        let _ = writer.shutdown().await;
    }
    LinkError::Refused(reason)
}

async fn send(writer: &mut Writer, frame: &Frame<'_>) -> Result<(), LinkError> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, frame);
    writer.write_all(&bytes).await?;
    Ok(writer.flush().await?)
}

async fn receive<'d>(
    reader: &mut Reader,
    decoder: &'d mut Decoder,
) -> Result<Frame<'d>, LinkError> {
    while !decoder.is_ready(HANDSHAKE_FRAME_BYTES_MAX)? {
        if decoder.read_from(reader).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
    let frame = decoder.next(HANDSHAKE_FRAME_BYTES_MAX)?;
    Ok(frame.expect("it was ready"))
}
