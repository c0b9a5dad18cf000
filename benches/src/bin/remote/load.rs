//! What every system is put through, and how it is looked at from here. The peers that live in a package of their own use this file as well.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) const LARGE_BYTES: usize = 64 * 1024 * 1024;
pub(crate) const ASK_BYTES: usize = 16;

/// Into how many turns the asks with and without something beside them are cut, so that a machine that becomes slower does so for both.
const TURNS: u32 = 4;

pub(crate) type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One end of a connection to the server.
pub(crate) trait Client: Send + Sync {
    /// Sends so many messages of so many bytes, and resolves when the server has handled all.
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()>;
    /// One round trip with so many bytes each way.
    fn ask(&self, bytes: usize) -> Fut<'_, ()>;
    /// Sends one large message, beside whatever else goes on, and resolves when the server has handled it.
    fn send_large(&self, bytes: usize) -> Fut<'_, ()>;
    /// Many senders who tell a slow actor of the server as fast as they may, until this is dropped. `None`: that is not measured here.
    fn burden(&self) -> Option<Fut<'_, ()>> {
        None
    }
    /// Resident bytes of this process, and of the server's.
    fn resident_bytes(&self) -> Fut<'_, (u64, u64)> {
        Box::pin(std::future::ready((0, 0)))
    }
    /// Ends the connection in order.
    fn close(&self) -> Fut<'_, ()>;
}

/// What was measured once.
#[derive(Debug)]
pub(crate) enum Figure {
    /// Messages for each second.
    Rate(f64),
    /// A round trip, in microseconds.
    Latency(f64),
    /// A round trip with nothing beside it, in a workload that is about what is beside it.
    LatencyAlone(f64),
    /// By how much the senders' process has grown under a burden, in bytes.
    SenderBytes(f64),
    /// And the receiver's.
    ReceiverBytes(f64),
}

/// Puts one workload on a connection, from tasks of the runtime: that is where users of any of the systems are.
pub(crate) async fn measure(
    client: &Arc<dyn Client>,
    workload: &str,
    bytes: usize,
    time: Duration,
) -> Result<Vec<Figure>, tokio::task::JoinError> {
    let (client, workload) = (client.clone(), workload.to_owned());
    let measuring = async move {
        // Everything has been used once before it counts.
        client.ask(ASK_BYTES).await;
        client.tell_all(bytes, 100).await;
        let latency = |all: Vec<f64>| all.into_iter().map(Figure::Latency).collect();
        match &*workload {
            "tell" => vec![Figure::Rate(rate_of(&*client, bytes, time).await)],
            "ask-1" => latency(latencies(&*client, time).await),
            "ask-64" => latency(of_many(&client, 64, time).await),
            "slow-actor" => beside_slow(&client, time).await,
            _ => beside_large(&client, time).await,
        }
    };
    tokio::spawn(measuring).await
}

/// Messages handled for each second.
async fn rate_of(client: &dyn Client, bytes: usize, time: Duration) -> f64 {
    // As many at a time as keep it busy for a while, found by doubling.
    let mut count = 1000_u64.min((256 << 20) / bytes as u64).max(16);
    loop {
        let since = Instant::now();
        client.tell_all(bytes, count).await;
        let took = since.elapsed();
        if took >= time {
            return count as f64 / took.as_secs_f64();
        }
        count *= if took * 8 < time { 8 } else { 2 };
    }
}

async fn latencies(client: &dyn Client, time: Duration) -> Vec<f64> {
    let mut all = Vec::new();
    let since = Instant::now();
    while since.elapsed() < time {
        let asked = Instant::now();
        client.ask(ASK_BYTES).await;
        all.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    all
}

async fn of_many(client: &Arc<dyn Client>, clients: usize, time: Duration) -> Vec<f64> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let client = client.clone();
        tasks.spawn(async move { latencies(&*client, time).await });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn beside_large(client: &Arc<dyn Client>, time: Duration) -> Vec<Figure> {
    client.send_large(LARGE_BYTES).await;
    let mut all = Vec::new();
    for _ in 0..TURNS {
        let alone = latencies(&**client, time / TURNS).await;
        all.extend(alone.into_iter().map(Figure::LatencyAlone));
        let is_over = Arc::new(AtomicBool::new(false));
        let large = tokio::spawn({
            let (client, is_over) = (client.clone(), is_over.clone());
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    client.send_large(LARGE_BYTES).await;
                }
            }
        });
        let beside = latencies(&**client, time / TURNS).await;
        all.extend(beside.into_iter().map(Figure::Latency));
        is_over.store(true, Ordering::Relaxed);
        let _ = large.await;
    }
    all
}

async fn beside_slow(client: &Arc<dyn Client>, time: Duration) -> Vec<Figure> {
    let mut all = Vec::new();
    if client.burden().is_none() {
        return all;
    }
    latencies(&**client, time / TURNS).await;
    let before = client.resident_bytes().await;
    for _ in 0..TURNS {
        let alone = latencies(&**client, time / TURNS).await;
        all.extend(alone.into_iter().map(Figure::LatencyAlone));
        let burden = tokio::spawn({
            let client = client.clone();
            async move {
                if let Some(burden) = client.burden() {
                    burden.await;
                }
            }
        });
        let beside = latencies(&**client, time / TURNS).await;
        all.extend(beside.into_iter().map(Figure::Latency));
        let now = client.resident_bytes().await;
        let grown = |now: u64, before: u64| now.saturating_sub(before) as f64;
        all.push(Figure::SenderBytes(grown(now.0, before.0)));
        all.push(Figure::ReceiverBytes(grown(now.1, before.1)));
        burden.abort();
        let _ = burden.await;
    }
    all
}
