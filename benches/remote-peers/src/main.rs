//! tonic and ractor_cluster under the workloads of the `remote` benchmark, which builds and runs this program.
//!
//! `remote-peers measure SYSTEM WORKLOAD BYTES MILLIS` starts `remote-peers serve SYSTEM` as its other process and prints a line for each
//! figure. SYSTEM is `tonic`, `tonic-tls`, `ractor` or `ractor-tls`.

mod certificate;
mod grpc;
#[path = "../../src/bin/remote/load.rs"]
mod load;
mod ractor_node;
#[path = "../../src/bin/remote/server.rs"]
mod server;

use std::error::Error;
use std::time::Duration;

use load::Figure;
use server::Server;

const USAGE: &str =
    "remote-peers measure SYSTEM WORKLOAD BYTES MILLIS; the benchmark `remote` calls this";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", system] => serve(system),
        ["measure", system, workload, bytes, millis] => measure(
            system,
            workload,
            bytes.parse()?,
            Duration::from_millis(millis.parse()?),
        ),
        _ => Err(USAGE.into()),
    }
}

fn serve(system: &str) -> Result<(), Box<dyn Error>> {
    server::runtime()?.block_on(async {
        match system {
            "tonic" => grpc::serve(false).await,
            "tonic-tls" => grpc::serve(true).await,
            "ractor" => ractor_node::serve(false).await,
            "ractor-tls" => ractor_node::serve(true).await,
            _ => Err(USAGE.into()),
        }
    })
}

fn measure(
    system: &str,
    workload: &str,
    bytes: usize,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let server = Server::start(&["serve", system])?;
    let figures = server::runtime()?.block_on(async {
        let client = match system {
            "tonic" | "tonic-tls" => grpc::connect(&server.hello).await?,
            _ => ractor_node::connect(&server.hello).await?,
        };
        let figures = load::measure(&client, workload, bytes, time).await?;
        client.close().await;
        Ok::<_, Box<dyn Error>>(figures)
    })?;
    let mut lines = String::new();
    for figure in figures {
        lines += &match figure {
            Figure::Rate(rate) => format!("rate {rate}\n"),
            Figure::Latency(us) => format!("us {us}\n"),
            Figure::LatencyAlone(us) => format!("us-alone {us}\n"),
            Figure::SenderBytes(bytes) => format!("sender-bytes {bytes}\n"),
            Figure::ReceiverBytes(bytes) => format!("receiver-bytes {bytes}\n"),
        };
    }
    print!("{lines}");
    Ok(())
}
