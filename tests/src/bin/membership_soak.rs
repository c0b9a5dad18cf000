//! Random histories of the membership layer in the simulated network, one after the other, until so many events have been simulated.
//!
//! ```sh
//! cargo run --release -p treewarden-tests --bin membership_soak -- --events 1e9
//! ```
//!
//! An event is a step of a machine: a packet, a timer or a command. After each of them all invariants are checked, and at the end of each
//! history all views have to be true. The first history that breaks anything ends the run, with its trace and the command that replays it
//! alone. What is not here: the histories, which are `sim::Scenario`, and the planted bugs, which are `tests/planted`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use treewarden_tests::sim::Scenario;

const HELP: &str = "\
Simulates histories of the membership layer until so many events have happened.

usage: membership_soak [options]

  --events N         how many, over all seeds; 1e9 is understood (default 1e7)
  --seed N           the first seed; the others follow it (default 0)
  --threads N        histories at a time (default: as many as processors)

Exit code 1 when a history broke an invariant or did not come to rest: its trace and a command that replays it are printed.
";

/// Progress is printed this often.
const EVERY: Duration = Duration::from_secs(10);

struct Plan {
    events: u64,
    seed: u64,
    threads: usize,
}

fn main() -> ExitCode {
    match parse() {
        Ok(Some(plan)) => run(&plan),
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("membership_soak: {error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<Option<Plan>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut plan = Plan {
        events: 10_000_000,
        seed: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("events") => plan.events = events(&args.value()?.string()?)?,
            Long("seed") => plan.seed = args.value()?.parse()?,
            Long("threads") => plan.threads = args.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    if !(1..=1024).contains(&plan.threads) {
        return Err("--threads lies between 1 and 1024".into());
    }
    Ok(Some(plan))
}

/// A whole number, or one such as 1e9.
fn events(text: &str) -> Result<u64, lexopt::Error> {
    let plain: Result<u64, _> = text.replace('_', "").parse();
    let number = plain.ok().or_else(|| {
        let (digits, zeros) = text.split_once('e')?;
        let (digits, zeros): (u64, u32) = (digits.parse().ok()?, zeros.parse().ok()?);
        digits.checked_mul(10u64.checked_pow(zeros)?)
    });
    match number {
        Some(number) if number > 0 => Ok(number),
        _ => Err(format!("--events is a whole number from 1 to 1e19, not {text:?}").into()),
    }
}

fn run(plan: &Plan) -> ExitCode {
    let begun = Instant::now();
    let (next, events, histories) = (
        AtomicU64::new(plan.seed),
        AtomicU64::new(0),
        AtomicU64::new(0),
    );
    let over = AtomicBool::new(false);
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let told_at = Mutex::new(begun);
    let work = || {
        while !over.load(Ordering::SeqCst) && events.load(Ordering::SeqCst) < plan.events {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            match Scenario::from_seed(seed).run() {
                Ok(outcome) => {
                    let sum = events.fetch_add(outcome.steps, Ordering::SeqCst) + outcome.steps;
                    let count = histories.fetch_add(1, Ordering::SeqCst) + 1;
                    let mut told_at = told_at.lock().expect("nobody panics with it");
                    if told_at.elapsed() >= EVERY {
                        *told_at = Instant::now();
                        println!(
                            "{sum} events in {count} histories after {:.0} s",
                            begun.elapsed().as_secs_f64()
                        );
                    }
                }
                Err(report) => {
                    over.store(true, Ordering::SeqCst);
                    let mut failure = failure.lock().expect("nobody panics with it");
                    failure.get_or_insert(report);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(work);
        }
    });
    let (events, histories) = (events.into_inner(), histories.into_inner());
    let last = next.into_inner();
    println!(
        "{events} events in {histories} histories (seeds {} to {}), {:.0} s",
        plan.seed,
        last.saturating_sub(1),
        begun.elapsed().as_secs_f64()
    );
    match failure.into_inner().expect("nobody panics with it") {
        None => {
            println!("no invariant was broken, and every history came to rest");
            ExitCode::SUCCESS
        }
        Some(report) => {
            println!("{report}");
            ExitCode::from(1)
        }
    }
}
