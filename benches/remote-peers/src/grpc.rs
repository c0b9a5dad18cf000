//! tonic: a stream of messages for tells, a unary call for asks, a connection of its own for what is large. What is written here by hand is
//! what its generator would write.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::server::{ClientStreamingService, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{
    Certificate as Pem, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::certificate::{Certificate, NAME};
use crate::load::{Client, Fut};

const TELL: &str = "/bench.Sink/Tell";
const ECHO: &str = "/bench.Sink/Echo";

/// What may be on its way: as much as Treewarden's window, and more for the connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// As many as Treewarden's window has.
const QUEUED_MAX: usize = 1024;

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Count {
    #[prost(uint64, tag = "1")]
    count: u64,
}

type Codec<E, D> = ProstCodec<E, D>;

#[derive(Clone)]
struct Sink;

impl NamedService for Sink {
    const NAME: &'static str = "bench.Sink";
}

struct Tell;

impl ClientStreamingService<Payload> for Tell {
    type Response = Count;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Count>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Payload>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut count = 0;
            while let Some(_message) = messages.message().await? {
                count += 1;
            }
            Ok(Response::new(Count { count }))
        })
    }
}

struct Echo;

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = std::future::Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_inner())))
    }
}

impl Service<http::Request<Body>> for Sink {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                TELL => {
                    let mut grpc = tonic::server::Grpc::new(Codec::<Count, Payload>::default())
                        .max_decoding_message_size(MESSAGE_BYTES_MAX);
                    grpc.client_streaming(Tell, request).await
                }
                _ => {
                    let mut grpc = tonic::server::Grpc::new(Codec::<Payload, Payload>::default())
                        .max_decoding_message_size(MESSAGE_BYTES_MAX);
                    grpc.unary(Echo, request).await
                }
            })
        })
    }
}

pub(crate) async fn serve(tls: bool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let mut server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let mut hello = addr.to_string();
    if tls {
        let certificate = Certificate::new()?;
        let identity = Identity::from_pem(&certificate.certificate, &certificate.key);
        let config = ServerTlsConfig::new()
            .identity(identity)
            .client_ca_root(Pem::from_pem(&certificate.certificate));
        server = server.tls_config(config)?;
        hello += &format!(" {}", certificate.to_line());
    }
    let serving = server
        .add_service(Sink)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(serving);
    println!("{hello}");
    crate::server::until_the_input_ends().await;
    Ok(())
}

pub(crate) async fn connect(hello: &str) -> Result<Arc<dyn Client>, Box<dyn Error>> {
    let (addr, certificate) = match hello.split_once(' ') {
        Some((addr, line)) => (addr, Certificate::from_line(line)),
        None => (hello, None),
    };
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{addr}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if let Some(Certificate { certificate, key }) = certificate {
        let config = ClientTlsConfig::new()
            .ca_certificate(Pem::from_pem(&certificate))
            .identity(Identity::from_pem(&certificate, &key))
            .domain_name(NAME);
        endpoint = endpoint.tls_config(config)?;
    }
    Ok(Arc::new(Connected {
        small: endpoint.connect().await?,
        large: endpoint.connect().await?,
    }))
}

struct Connected {
    small: Channel,
    large: Channel,
}

const FAILED: &str = "the call works";

async fn echo(channel: &Channel, bytes: usize) {
    let mut grpc =
        tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.expect(FAILED);
    let message = Payload {
        bytes: vec![7; bytes].into(),
    };
    let answer: Response<Payload> = grpc
        .unary(
            Request::new(message),
            http::uri::PathAndQuery::from_static(ECHO),
            Codec::<Payload, Payload>::default(),
        )
        .await
        .expect(FAILED);
    assert_eq!(answer.get_ref().bytes.len(), bytes);
}

/// Each message is handed over by a call of its own, as a tell is: through a queue, from which the stream takes them.
async fn tell(channel: &Channel, bytes: usize, count: u64) {
    let (queue, messages) = mpsc::channel(QUEUED_MAX);
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect(FAILED);
    let call = tokio::spawn(async move {
        grpc.client_streaming(
            Request::new(ReceiverStream::new(messages)),
            http::uri::PathAndQuery::from_static(TELL),
            Codec::<Payload, Count>::default(),
        )
        .await
    });
    let content = Bytes::from(vec![7; bytes]);
    for _ in 0..count {
        let message = Payload {
            bytes: content.clone(),
        };
        queue.send(message).await.expect(FAILED);
    }
    drop(queue);
    let answer: Response<Count> = call.await.expect(FAILED).expect(FAILED);
    assert_eq!(answer.get_ref().count, count);
}

impl Client for Connected {
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()> {
        Box::pin(tell(&self.small, bytes, count))
    }

    fn ask(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(echo(&self.small, bytes))
    }

    fn send_large(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(tell(&self.large, bytes, 1))
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
