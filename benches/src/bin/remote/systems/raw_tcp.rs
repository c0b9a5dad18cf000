//! Plain TCP: a length, a kind, the bytes. The limit for anything that does more.
//!
//! Frames are gathered until 64 KiB are there or nothing more is to be sent, and then written at once. The reader counts, and echoes what asks.

use std::error::Error;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::load::{Client, Fut};

const TAKE: u8 = 0;
const ECHO: u8 = 1;
const COUNT: u8 = 2;
const BUFFER_BYTES: usize = 64 * 1024;

type Io<T> = std::io::Result<T>;

async fn put(writer: &mut BufWriter<OwnedWriteHalf>, kind: u8, bytes: &[u8]) -> Io<()> {
    writer.write_u32_le(bytes.len() as u32).await?;
    writer.write_u8(kind).await?;
    writer.write_all(bytes).await
}

async fn get(reader: &mut BufReader<OwnedReadHalf>, bytes: &mut Vec<u8>) -> Io<u8> {
    let length = reader.read_u32_le().await? as usize;
    let kind = reader.read_u8().await?;
    bytes.resize(length, 0);
    reader.read_exact(bytes).await?;
    Ok(kind)
}

fn halves(stream: TcpStream) -> Io<(BufReader<OwnedReadHalf>, BufWriter<OwnedWriteHalf>)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok((
        BufReader::with_capacity(BUFFER_BYTES, reader),
        BufWriter::with_capacity(BUFFER_BYTES, writer),
    ))
}

pub(crate) async fn serve() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    crate::server::until_the_input_ends().await;
    Ok(())
}

async fn answer(stream: TcpStream) -> Io<()> {
    let (mut reader, mut writer) = halves(stream)?;
    let (mut bytes, mut taken) = (Vec::new(), 0_u64);
    loop {
        match get(&mut reader, &mut bytes).await? {
            TAKE => taken += 1,
            ECHO => {
                put(&mut writer, ECHO, &bytes).await?;
                writer.flush().await?;
            }
            _ => {
                put(&mut writer, COUNT, &taken.to_le_bytes()).await?;
                writer.flush().await?;
            }
        }
    }
}

pub(crate) async fn connect(addr: &str) -> Result<Arc<dyn Client>, Box<dyn Error>> {
    let small = Mutex::new(halves(TcpStream::connect(addr).await?)?);
    let large = Mutex::new(halves(TcpStream::connect(addr).await?)?);
    Ok(Arc::new(Connected { small, large }))
}

type Halves = (BufReader<OwnedReadHalf>, BufWriter<OwnedWriteHalf>);

/// Two connections: what is large has its own. Round trips of several clients take turns, for there is nothing that would tell answers apart.
struct Connected {
    small: Mutex<Halves>,
    large: Mutex<Halves>,
}

const FAILED: &str = "the connection works";

async fn round_trip((reader, writer): &mut Halves, kind: u8, bytes: &[u8]) {
    put(writer, kind, bytes).await.expect(FAILED);
    writer.flush().await.expect(FAILED);
    get(reader, &mut Vec::new()).await.expect(FAILED);
}

impl Client for Connected {
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()> {
        Box::pin(async move {
            let mut halves = self.small.lock().await;
            let message = vec![7; bytes];
            for _ in 0..count {
                put(&mut halves.1, TAKE, &message).await.expect(FAILED);
            }
            round_trip(&mut halves, COUNT, &[]).await;
        })
    }

    fn ask(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let mut halves = self.small.lock().await;
            round_trip(&mut halves, ECHO, &vec![7; bytes]).await;
        })
    }

    fn send_large(&self, bytes: usize) -> Fut<'_, ()> {
        Box::pin(async move {
            let mut halves = self.large.lock().await;
            put(&mut halves.1, TAKE, &vec![7; bytes])
                .await
                .expect(FAILED);
            round_trip(&mut halves, COUNT, &[]).await;
        })
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
