//! The launcher: starts the node processes, kills one if it is told to, and compares the result.
//!
//! It is no node and counts nothing itself, but for the plain count at the end. Bad input is found before any process
//! is started.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep_until,
};

use treewarden::cluster::transport::Identity;
use treewarden_cli::certs::Authority;

use super::{
    board::{Act, Board},
    cli::{self, Options, Request},
    console::{Console, Lines, Prompt},
    hosts::Hosts,
    input::{Input, InputError},
    node::CLUSTER,
    output::Output,
    plain,
    processes::{Fleet, Heard, NodeCommand},
    progress::{Order, Progress, Victim},
    protocol::{Control, Job, Secrets, Settings},
    report::{Bytes, Counted, Grouped, Report},
    story::Story,
    tally::Tally,
};

/// How many workers a node has.
const WORKERS: u32 = 2;

/// How much longer a worker takes for a chunk when a person is to see it.
const SLOW: Duration = Duration::from_millis(1500);

/// How many of the most frequent words are shown.
const TOP_SHOWN: usize = 10;

/// Exit code for bad input.
const EXIT_BAD_INPUT: u8 = 2;

/// Exit code after Ctrl-C: 128 and the number of the signal, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

/// Does what the arguments of this process say. `command` starts a node.
///
/// The exit code is 0 if the count is exact, 1 if it is not or the job failed, 2 for bad input, 130 after Ctrl-C.
pub fn main(command: &NodeCommand) -> ExitCode {
    let (options, input, output) = match prepare() {
        Ok(Some((options, ..))) if options.interactive && !is_terminal() => {
            complain(&"--interactive needs a terminal on standard input and output");
            return ExitCode::from(EXIT_BAD_INPUT);
        }
        Ok(Some(prepared)) => prepared,
        Ok(None) => {
            let _ = io::stdout().write_all(cli::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&*error);
            return ExitCode::from(EXIT_BAD_INPUT);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let launched = match runtime {
        Ok(runtime) => runtime.block_on(launch(command, &options, &input, output)),
        Err(error) => Err(error.into()),
    };
    match launched {
        Ok(End::Exact) => ExitCode::SUCCESS,
        Ok(End::NotExact) => ExitCode::FAILURE,
        Ok(End::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Where the story goes.
type Out = Box<dyn Write>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn complain(error: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "cluster: {error}");
}

/// Everything that can be wrong with what the user wants, before anything is started. `None` is a call for help.
fn prepare() -> Result<Option<(Options, Input, Option<Output>)>, BoxError> {
    let options = match cli::parse(std::env::args_os().skip(1))? {
        Request::Run(options) => options,
        Request::Help => return Ok(None),
    };
    if let Some(missing) = options.hosts.missing() {
        return Err(format!("--hosts netns needs {missing}").into());
    }
    let input = if options.input.is_empty() {
        Input::find(&repository()?)?
    } else {
        Input::find(&options.input)?
    };
    let open = |path| Output::open(path, &input.files);
    let output = options.output.as_deref().map(open).transpose()?;
    Ok(Some((options, input, output)))
}

/// The sources and documents of this repository, or of the folder in which this runs if the repository has moved away.
fn repository() -> Result<Vec<PathBuf>, InputError> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let root = root.canonicalize().unwrap_or_else(|_| ".".into());
    Input::repository(&root)
}

/// How a job ended that did not fail.
enum End {
    Exact,
    NotExact,
    Interrupted,
}

/// The signals that ask a process to end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn launch(
    command: &NodeCommand,
    options: &Options,
    input: &Input,
    output: Option<Output>,
) -> Result<End, BoxError> {
    let mut signals = Signals::new()?;
    let lines = Lines::default();
    let mut story: Story<Out> = match options.interactive {
        true => Story::new(Box::new(lines.clone()), false, std::time::Instant::now()),
        false => Story::on_stdout(),
    };
    story.tell(format_args!(
        "{} to count {} in {}; chaos: {}",
        Counted(options.nodes.into(), "node"),
        Bytes(input.bytes),
        Counted(input.files.len() as u64, "file"),
        options.chaos
    ));
    // Dropped after the fleet, so that nobody lives in them any more when they are removed.
    let mut hosts = Hosts::new(options.hosts, options.nodes)?;
    let commands = (0..options.nodes as usize).map(|node| hosts.command(node, command));
    let mut fleet = Fleet::start(commands)?;
    let mut progress = Progress::new(story, options.nodes, input.bytes);
    let mut desk = match options.interactive {
        true => Some(Desk {
            console: Console::open(lines)?,
            board: Board::new(options.nodes, WORKERS, input.bytes),
        }),
        false => None,
    };
    let ran = tokio::select! {
        ran = run((&mut fleet, &mut hosts), &mut progress, &mut desk, options, input) => Some(ran),
        () = signals.any() => None,
    };
    if desk.take().is_some() {
        // What follows is read below the last view.
        progress.tell_on(Story::on_stdout());
    }
    if ran.is_none() {
        progress.story().tell("interrupted: stopping the nodes");
    }
    let late_word = |node, event| {
        // What is said from now on is told, and orders nothing.
        let _ = progress.on_event(node, event);
    };
    let killed = tokio::select! {
        killed = fleet.stop(late_word) => killed,
        // Whoever insists gets it: dropping the fleet kills what is left.
        () = signals.any() => return Ok(End::Interrupted),
    };
    drop(hosts);
    if killed > 0 {
        let story = progress.story();
        story.tell(format_args!(
            "{} did not stop in time, and was killed",
            Counted(killed as u64, "node")
        ));
    }
    match ran {
        None => Ok(End::Interrupted),
        // A person may quit before the result is there.
        Some(Ok(())) if !progress.is_done() => Ok(End::Interrupted),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => {
            let files = input.files.clone();
            let count = tokio::task::spawn_blocking(move || plain::count(&files));
            let plain = tokio::select! {
                plain = count => plain??,
                // The count cannot be stopped, and the runtime would wait for it.
                () = signals.any() => std::process::exit(EXIT_INTERRUPTED.into()),
            };
            conclude(progress, options, input, output, &plain)
        }
    }
}

/// What a person sees and does.
struct Desk {
    console: Console,
    board: Board,
}

impl Desk {
    /// The next key that asks for something; draws meanwhile. Never, if nobody sits there. Cancel safe.
    async fn next(desk: &mut Option<Self>) -> Act {
        let Some(desk) = desk else {
            return std::future::pending().await;
        };
        loop {
            match desk.console.next().await {
                Prompt::Draw => desk.console.draw(&desk.board),
                Prompt::Key(key) => {
                    if let Some(act) = desk.board.on_key(key) {
                        return act;
                    }
                }
            }
        }
    }
}

/// Drives the nodes until the result is there and, if one was killed or cut off, that was noticed; or, if a person breaks
/// things, until that one quits.
async fn run(
    (fleet, hosts): (&mut Fleet, &mut Hosts),
    progress: &mut Progress<Out>,
    desk: &mut Option<Desk>,
    options: &Options,
    input: &Input,
) -> Result<(), BoxError> {
    let Options { nodes, chaos, .. } = *options;
    let job = Job::new(&input.files, input.bytes, nodes, chaos);
    let secrets = secrets(nodes as usize)?;
    let addresses: Vec<_> = (0..nodes as usize).map(|node| hosts.listen(node)).collect();
    let settings = |node: usize, seeds: Vec<SocketAddr>| Settings {
        name: Progress::<Out>::name(node),
        listen: addresses[node],
        seeds,
        secrets: secrets[node].clone(),
        is_plaintext: options.plaintext,
        pace: if options.interactive {
            SLOW
        } else {
            Duration::ZERO
        },
        workers: WORKERS,
        job: job.clone(),
    };
    fleet.tell(0, &settings(0, vec![])).await?;
    while options.interactive || !progress.is_complete() {
        let deadline = progress.deadline();
        let (node, heard) = tokio::select! {
            heard = fleet.hear() => heard,
            act = Desk::next(desk) => {
                if act == Act::Quit {
                    break;
                }
                obey(act, (fleet, hosts), progress).await?;
                continue;
            }
            () = sleep_until(deadline), if !options.interactive => {
                if let Some(nodes) = progress.heal() {
                    hosts.heal(nodes, fleet).await?;
                } else if !progress.is_complete() {
                    return Err(progress.overdue().into());
                }
                continue;
            }
        };
        let order = match heard {
            Heard::Event(event) => {
                if let Some(desk) = desk {
                    desk.board.on_event(node, &event);
                }
                progress.on_event(node, event)?
            }
            Heard::Nonsense(error) => {
                return Err(format!("{}: {error}", Progress::<Out>::name(node)).into());
            }
            Heard::Ended => {
                if let Some(desk) = desk {
                    desk.board.on_end(node);
                }
                let status = fleet.exit_status(node).await;
                progress.on_end(node, status)?;
                Order::Nothing
            }
        };
        match order {
            Order::Nothing => {}
            Order::Invite(seed) => {
                for node in 1..nodes as usize {
                    fleet.tell(node, &settings(node, vec![seed])).await?;
                }
            }
            Order::Kill { node, chunks } => kill(node, chunks, fleet, progress).await?,
            Order::Cut { node, chunks } => {
                hosts
                    .cut(node, progress.on_cut(node, chunks), fleet)
                    .await?
            }
        }
    }
    Ok(())
}

async fn kill(
    node: usize,
    chunks: usize,
    fleet: &mut Fleet,
    progress: &mut Progress<Out>,
) -> Result<(), BoxError> {
    let pid = fleet.pid(node);
    let killed_at = fleet.kill(node).await?;
    progress.on_kill(node, pid, chunks, killed_at);
    Ok(())
}

/// Does what a person asks for.
async fn obey(
    act: Act,
    (fleet, hosts): (&mut Fleet, &mut Hosts),
    progress: &mut Progress<Out>,
) -> Result<(), BoxError> {
    match act {
        Act::Kill(node) => kill(node, 0, fleet, progress).await?,
        Act::Pause(node, is_paused) => {
            fleet.pause(node, is_paused);
            let how = if is_paused { "stopped" } else { "goes on" };
            let name = Progress::<Out>::name(node);
            progress.story().tell(format_args!("{name} {how}"));
        }
        Act::Cut(node) => hosts.cut(node, progress.on_cut(node, 0), fleet).await?,
        Act::Heal => {
            if let Some(nodes) = progress.heal_now() {
                hosts.heal(nodes, fleet).await?;
            }
        }
        Act::Crash(node, worker) => fleet.tell(node, &Control::Crash(worker)).await?,
        Act::Quit => {}
    }
    Ok(())
}

/// Compares the result with the plain count, writes it, and says what came of it.
fn conclude(
    mut progress: Progress<Out>,
    options: &Options,
    input: &Input,
    output: Option<Output>,
    plain: &Tally,
) -> Result<End, BoxError> {
    let totals = progress.totals().ok_or("the coordinator gave no totals")?;
    let longest = |after: fn(&Victim) -> Option<Duration>| {
        let longest = progress.victims().iter().filter_map(after).max();
        longest.map(|after| after.as_millis() as u64)
    };
    let tally = progress.tally();
    let report = Report {
        nodes: options.nodes,
        files: input.files.len(),
        bytes: totals.bytes,
        words: tally.words(),
        distinct: tally.distinct(),
        exact: tally == plain,
        actor_restarts: progress.restarts(),
        nodes_killed: progress.victims().len() as u32,
        partitions: progress.partitions(),
        node_down_detected_ms: longest(|victim| victim.down_after),
        node_unreachable_ms: longest(|victim| victim.unreachable_after),
        chunks: totals.chunks,
        chunks_redelivered: totals.redeliveries,
        coordinators: progress.coordinators(),
        chunks_taken_over: totals.taken_over,
        elapsed_ms: totals.elapsed.as_millis() as u64,
    };
    if let Some(output) = output {
        output.write(tally)?;
    }
    let top: Vec<_> = tally
        .top(TOP_SHOWN)
        .into_iter()
        .map(|(word, count)| format!("{} {}", word.escape_ascii(), Grouped(count)))
        .collect();
    let story = progress.story();
    story.say("");
    if options.chaos.kills_a_node() && report.nodes_killed == 0 {
        story.say("no node was killed: there was no chunk that it could have had in hand");
    }
    if !top.is_empty() {
        story.say(format_args!("most frequent: {}", top.join(", ")));
    }
    story.say(&report);
    if options.json {
        story.say(report.to_json());
    }
    Ok(if report.exact {
        End::Exact
    } else {
        End::NotExact
    })
}

/// Makes an authority and a gossip key for this cluster alone, and a certificate for each node. They live in memory.
fn secrets(nodes: usize) -> Result<Vec<Secrets>, BoxError> {
    let mut gossip_key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut gossip_key)?;
    let authority = Authority::generate(CLUSTER, 1)?;
    (0..nodes)
        .map(|node| {
            let identity = Identity::new(CLUSTER, &Progress::<Out>::name(node))?;
            let issued = authority.issue(&identity, 1)?;
            Ok(Secrets {
                gossip_key,
                authority: authority.issued().certificate.clone(),
                certificate: issued.certificate,
                private_key: issued.key,
            })
        })
        .collect()
}
