//! The handshake: two nodes find out that they want each other, and that both have the key.
//!
//! ```text
//! dialer                                  acceptor
//!   Hello { protocols, cluster, who, whom,
//!           number, limit, challenge }  ->
//!                                       <-  Welcome { protocol, limit, challenge } + proof, or Refuse
//!   Confirm { proof }, or Refuse        ->
//!                                       <-  nothing, or Refuse
//! ```
//!
//! The frames are bounded to [`HANDSHAKE_FRAME_BYTES_MAX`], the whole takes at most the
//! [`connect_timeout`](super::LinkConfig::connect_timeout). Each refusal is sent to the other side as far as that is
//! possible, and is counted by both. Refusals are not authenticated: who can forge them could cut the connection as well.
//!
//! `Hello` and `Welcome` go in the clear, so that a stranger who listens or calls learns the names of cluster and nodes,
//! and no more. See [`auth`](super::auth) for what the proofs are worth.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    auth::{LinkKeys, Side, random},
    error::LinkError,
    frame::{self, Decoder, Frame, HANDSHAKE_FRAME_BYTES_MAX, Hello, Refusal, Welcome},
};
use crate::membership::{BootUid, NodeId, NodeName};

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
    pub(crate) frame_bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// A connection whose two ends know each other.
pub(crate) struct Greeted {
    pub(crate) stream: TcpStream,
    /// May have bytes that came behind the handshake.
    pub(crate) decoder: Decoder,
    /// The longest frame that the other side reads.
    pub(crate) frame_bytes_max: usize,
}

/// The caller, as it has proven itself.
pub(crate) struct Caller {
    pub(crate) id: NodeId,
    /// The number of the link among those of this boot.
    pub(crate) link: u64,
}

/// The dialer's side.
pub(crate) async fn dial(
    stream: TcpStream,
    local: &Local,
    to: &NodeId,
    link: u64,
) -> Result<Greeted, LinkError> {
    within(local.timeout, dial_untimed(stream, local, to, link)).await
}

/// The acceptor's side. `judge` says whether a caller with the right key is welcome.
pub(crate) async fn accept(
    stream: TcpStream,
    local: &Local,
    judge: impl Fn(&Caller) -> Result<(), Refusal>,
) -> Result<(Greeted, Caller), LinkError> {
    within(local.timeout, accept_untimed(stream, local, judge)).await
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
    mut stream: TcpStream,
    local: &Local,
    to: &NodeId,
    link: u64,
) -> Result<Greeted, LinkError> {
    let hello = Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL,
        cluster: &local.cluster,
        from_name: local.id.name.as_str(),
        from_boot: local.id.boot.0,
        to_name: to.name.as_str(),
        to_boot: to.boot.0,
        link,
        frame_bytes_max: local.frame_bytes_max as u32,
        challenge: random()?,
    };
    let said = encoded(&hello);
    send(&mut stream, &Frame::Hello(hello)).await?;

    let mut decoder = Decoder::new();
    let answer = match receive(&mut stream, &mut decoder).await? {
        Frame::Welcome { body, proof } => {
            let transcript = transcript(&said, body);
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
        Err(reason) => return Err(refuse(stream, reason).await),
    };
    let proof = local.keys.prove(Side::Dialer, &transcript, random()?);
    send(&mut stream, &Frame::Confirm { proof: &proof }).await?;
    Ok(Greeted {
        stream,
        decoder,
        frame_bytes_max: welcome.frame_bytes_max as usize,
    })
}

async fn accept_untimed(
    mut stream: TcpStream,
    local: &Local,
    judge: impl Fn(&Caller) -> Result<(), Refusal>,
) -> Result<(Greeted, Caller), LinkError> {
    let mut decoder = Decoder::new();
    let judged = match receive(&mut stream, &mut decoder).await {
        Ok(Frame::Hello(hello)) => judge_hello(&hello, local)
            .map(|caller| (caller, encoded(&hello), hello.frame_bytes_max as usize)),
        Ok(_) | Err(LinkError::Frame(_)) => Err(Refusal::NotAHandshake),
        Err(error) => return Err(error),
    };
    let (caller, said, frame_bytes_max) = match judged {
        Ok(judged) => judged,
        Err(reason) => return Err(refuse(stream, reason).await),
    };

    let welcome = Welcome {
        protocol: PROTOCOL,
        frame_bytes_max: local.frame_bytes_max as u32,
        challenge: random()?,
    };
    let body = encoded(&welcome);
    let transcript = transcript(&said, &body);
    let proof = local.keys.prove(Side::Acceptor, &transcript, random()?);
    let frame = Frame::Welcome {
        body: &body,
        proof: &proof,
    };
    send(&mut stream, &frame).await?;

    let confirmed = match receive(&mut stream, &mut decoder).await {
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
        return Err(refuse(stream, reason).await);
    }
    let greeted = Greeted {
        stream,
        decoder,
        frame_bytes_max,
    };
    Ok((greeted, caller))
}

/// What can be said of a caller before it has proven anything.
fn judge_hello(hello: &Hello<'_>, local: &Local) -> Result<Caller, Refusal> {
    if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL_MIN {
        return Err(Refusal::WrongProtocol);
    }
    if hello.cluster != local.cluster {
        return Err(Refusal::WrongCluster);
    }
    if hello.to_name != local.id.name.as_str() || hello.to_boot != local.id.boot.0 {
        return Err(Refusal::WrongNode);
    }
    let name = NodeName::new(hello.from_name).map_err(|_| Refusal::NotAHandshake)?;
    Ok(Caller {
        id: NodeId {
            name,
            boot: BootUid(hello.from_boot),
        },
        link: hello.link,
    })
}

/// Everything that both sides have said. The first part has its length in front, so that the seam cannot be moved.
fn transcript(hello: &[u8], welcome: &[u8]) -> Vec<u8> {
    let length = (hello.len() as u64).to_le_bytes();
    [&length, hello, welcome].concat()
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("handshakes are plain data")
}

/// Tells the other side, if it listens, and is the error to return.
pub(crate) async fn refuse(mut stream: TcpStream, reason: Refusal) -> LinkError {
    // The outcome is known already: whether the other side can be told changes nothing.
    if send(&mut stream, &Frame::Refuse { reason }).await.is_ok() {
        let _ = stream.shutdown().await;
    }
    LinkError::Refused(reason)
}

async fn send(stream: &mut TcpStream, frame: &Frame<'_>) -> Result<(), LinkError> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, frame);
    Ok(stream.write_all(&bytes).await?)
}

async fn receive<'d>(
    stream: &mut TcpStream,
    decoder: &'d mut Decoder,
) -> Result<Frame<'d>, LinkError> {
    while !decoder.is_ready(HANDSHAKE_FRAME_BYTES_MAX)? {
        if stream.read_buf(decoder.space()).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
    let frame = decoder.next(HANDSHAKE_FRAME_BYTES_MAX)?;
    Ok(frame.expect("it was ready"))
}
