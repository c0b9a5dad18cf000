//! Rounds: each system in turn, each with a server process of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::Plan;
use crate::report::Row;
use crate::systems::{Client, Session, System};

const LARGE_BYTES: usize = 64 * 1024 * 1024;
const ASK_BYTES: usize = 16;

/// What one system was found to do in one workload, over all rounds.
#[derive(Default)]
struct Found {
    rates: Vec<f64>,
    latencies_us: Vec<f64>,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut found: BTreeMap<(usize, usize, System), Found> = BTreeMap::new();
    for round in 1..=plan.rounds {
        for system in System::ALL {
            if !system.is_there() {
                if round == 1 {
                    eprintln!("{} is not there, and is left out", system.name());
                }
                continue;
            }
            eprintln!(
                "round {round} of {}: {}{}",
                plan.rounds,
                system.name(),
                if system.tls() { " (TLS)" } else { "" }
            );
            for (place, workload) in crate::cli::WORKLOADS.into_iter().enumerate() {
                if plan.only.as_ref().is_some_and(|only| only != workload) {
                    continue;
                }
                let sizes: &[usize] = match workload {
                    "tell" => &[16, 100, 1024, 64 * 1024],
                    _ => &[ASK_BYTES],
                };
                for (size_place, &bytes) in sizes.iter().enumerate() {
                    let key = (place * 10 + size_place, bytes, system);
                    measure(system, workload, bytes, plan, found.entry(key).or_default())?;
                }
            }
        }
    }
    Ok(found.into_iter().filter_map(row).collect())
}

fn row(((place, bytes, system), mut found): ((usize, usize, System), Found)) -> Option<Row> {
    let workload = crate::cli::WORKLOADS[place / 10];
    found.rates.sort_by(f64::total_cmp);
    found.latencies_us.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = found.latencies_us.len().checked_sub(1)?;
        Some(found.latencies_us[(last as f64 * share) as usize])
    };
    let (median, unit) = match found.rates.get(found.rates.len() / 2) {
        Some(rate) => (*rate, "messages/s"),
        None => (at(0.5)?, "us"),
    };
    Some(Row {
        workload: workload.to_owned(),
        system: system.name(),
        tls: system.tls(),
        size_bytes: bytes,
        unit,
        median,
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
    })
}

fn measure(
    system: System,
    workload: &str,
    bytes: usize,
    plan: &Plan,
    found: &mut Found,
) -> Result<(), Box<dyn Error>> {
    let time = Duration::from_millis(if plan.quick { 500 } else { 1500 });
    if let System::Erlang = system {
        return crate::systems::erlang::measure(
            workload,
            bytes,
            time,
            |rate| found.rates.push(rate),
            |us| found.latencies_us.push(us),
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let session = Session::start(system)?;
    runtime.block_on(async {
        let client = session.connect().await?;
        // Everything has been used once before it counts.
        client.ask(ASK_BYTES).await;
        client.tell_all(bytes, 100).await;
        match workload {
            "tell" => found.rates.push(rate_of(&*client, bytes, time).await),
            "ask-1" => found.latencies_us.extend(latencies(&*client, time).await),
            "ask-64" => found.latencies_us.extend(of_many(&client, 64, time).await),
            _ => found.latencies_us.extend(beside_large(&client, time).await),
        }
        client.close().await;
        Ok(())
    })
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

async fn beside_large(client: &Arc<dyn Client>, time: Duration) -> Vec<f64> {
    let is_over = Arc::new(AtomicBool::new(false));
    let large = tokio::spawn({
        let (client, is_over) = (client.clone(), is_over.clone());
        async move {
            while !is_over.load(Ordering::Relaxed) {
                client.send_large(LARGE_BYTES).await;
            }
        }
    });
    let all = latencies(&**client, time).await;
    is_over.store(true, Ordering::Relaxed);
    let _ = large.await;
    all
}
