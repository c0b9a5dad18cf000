//! The coordinator with nodes that are systems of this process: the workers are real, the network is not.
//!
//! A coordinator that asks to be killed is dropped, its node is killed, and the next one begins on the next node.

use std::{path::PathBuf, sync::Arc};

use treewarden::{runtime::System, supervisor::Tree};

use super::*;
use crate::wordcount::{chaos::Chaos, crew::Crew, node, plain, scratch::Scratch, tally::Tally};

const WORKERS: u32 = 2;

fn input(scratch: &Scratch, files: usize, words: usize) -> Vec<PathBuf> {
    let text = |file: usize| -> String {
        (0..words)
            .map(|word| format!("w{}\n", word * (file + 1) % 97))
            .collect()
    };
    (0..files)
        .map(|file| scratch.file(&file.to_string(), text(file).as_bytes()))
        .collect()
}

/// A node in this process.
struct Node {
    system: System,
    tree: Tree,
    crew: Crew,
}

impl Node {
    async fn new() -> Self {
        let system = System::new("node");
        let events: EventSink = Arc::new(drop);
        let (tree, crew) = node::start(&system, WORKERS, Duration::ZERO, &events)
            .await
            .unwrap();
        Self { system, tree, crew }
    }
}

struct Ran {
    result: Result<Outcome, Failure>,
    tally: Tally,
    moved: Vec<usize>,
    counted: Option<(u64, u64)>,
    taken_over: u64,
    /// Which nodes were killed, from 0, and how many chunks they had.
    kills: Vec<(usize, usize)>,
    cuts: usize,
    coordinators: u64,
}

fn name(index: usize) -> String {
    format!("node-{}", index + 1)
}

/// The nodes as the one with index `home` numbers them; those in `dead` are not there. Home is told last.
async fn tell_of(
    nodes: &[Node],
    dead: &[usize],
    home: usize,
) -> (mpsc::Sender<Peer>, mpsc::Receiver<Peer>, Vec<usize>) {
    let (peers, heard) = mpsc::channel(16);
    let others = (0..nodes.len()).filter(|index| *index != home && !dead.contains(index));
    let numbered: Vec<usize> = std::iter::once(home).chain(others).collect();
    for (number, &index) in numbered.iter().enumerate().rev() {
        let news = News::Joined {
            name: name(index),
            crew: nodes[index].crew.clone(),
        };
        let node = NodeIndex(number);
        peers.send(Peer { node, news }).await.unwrap();
    }
    (peers, heard, numbered)
}

/// Runs a job on some nodes. Those that are to be killed are killed, and reported lost if `is_reported`.
async fn run_job_on(count: usize, files: &[PathBuf], chaos: Chaos, is_reported: bool) -> Ran {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::new().await);
    }
    let bytes = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let job = Job::new(files, bytes, count as u32, chaos);
    let mut ran = Ran {
        result: Ok(Outcome::Counted),
        tally: Tally::default(),
        moved: vec![],
        counted: None,
        taken_over: 0,
        kills: vec![],
        cuts: 0,
        coordinators: 0,
    };
    let mut dead = Vec::new();
    loop {
        let home = (0..count).find(|index| !dead.contains(index)).unwrap();
        let (peers, heard, numbered) = tell_of(&nodes, &dead, home).await;
        let (sender, mut told) = mpsc::unbounded_channel();
        // Whoever was killed has nothing to tell.
        let sink: EventSink = Arc::new(move |event| drop(sender.send(event)));
        ran.coordinators += 1;
        let running = tokio::spawn(run(job.clone(), ran.coordinators, heard, sink));
        let mut is_killed = false;
        while let Some(event) = told.recv().await {
            match event {
                Event::Kill { name, chunks } => {
                    let index = (0..count).find(|&index| self::name(index) == name).unwrap();
                    ran.kills.push((index, chunks));
                    nodes[index].tree.kill();
                    dead.push(index);
                    if index == home {
                        is_killed = true;
                        running.abort();
                        break;
                    }
                    if is_reported {
                        let number = numbered.iter().position(|&i| i == index).unwrap();
                        let node = NodeIndex(number);
                        let news = News::Lost;
                        // The job may be done before.
                        let _ = peers.send(Peer { node, news }).await;
                    }
                }
                // It cannot be reached for a while.
                Event::Cut { name, .. } => {
                    let index = (0..count).find(|&index| self::name(index) == name).unwrap();
                    let number = numbered.iter().position(|&i| i == index).unwrap();
                    let node = NodeIndex(number);
                    for news in [News::Unreachable, News::Reachable] {
                        let _ = peers.send(Peer { node, news }).await;
                    }
                    ran.cuts += 1;
                }
                Event::Moved { chunks, .. } => ran.moved.push(chunks),
                Event::Counted {
                    chunks,
                    redeliveries,
                    taken_over,
                    ..
                } => {
                    ran.counted = Some((chunks, redeliveries));
                    ran.taken_over = taken_over;
                }
                Event::Result(piece) => ran.tally.absorb(&piece).unwrap(),
                _ => {}
            }
        }
        if !is_killed {
            ran.result = running.await.unwrap();
            break;
        }
    }
    for node in &nodes {
        node.system.shutdown().await;
    }
    ran
}

/// The same on three nodes.
async fn run_job(files: &[PathBuf], chaos: Chaos, is_reported: bool) -> Ran {
    run_job_on(3, files, chaos, is_reported).await
}

#[tokio::test]
async fn the_result_is_that_of_a_plain_count() {
    let scratch = Scratch::new("coordinator-plain");
    let files = input(&scratch, 5, 20_000);
    let ran = run_job(&files, Chaos::None, true).await;
    ran.result.unwrap();
    assert_eq!(ran.tally, plain::count(&files).unwrap());
    let (chunks, redeliveries) = ran.counted.unwrap();
    assert!(chunks >= 50, "{chunks}");
    assert_eq!((redeliveries, ran.kills.len()), (0, 0));
}

#[tokio::test]
async fn what_a_killed_node_had_in_hand_is_counted_by_others() {
    for is_reported in [true, false] {
        let scratch = Scratch::new(&format!("coordinator-kill-{is_reported}"));
        let files = input(&scratch, 5, 20_000);
        let ran = run_job(&files, Chaos::Node, is_reported).await;
        ran.result.unwrap();
        assert_eq!(ran.tally, plain::count(&files).unwrap());
        assert!(
            matches!(ran.kills[..], [(1..=2, 1..)]),
            "with a chunk in hand: {:?}",
            ran.kills
        );
        assert!(ran.counted.unwrap().1 >= 1, "delivered again");
    }
}

#[tokio::test]
async fn a_single_chunk_survives_the_node_that_has_it() {
    let scratch = Scratch::new("coordinator-single");
    let files = [scratch.file("one", b"a few words, and no more: a few")];
    let ran = run_job(&files, Chaos::Node, true).await;
    ran.result.unwrap();
    assert_eq!(ran.tally, plain::count(&files).unwrap());
    assert_eq!(ran.kills, [(1, 1)]);
    assert_eq!(ran.counted, Some((1, 1)));
}

#[tokio::test]
async fn when_the_coordinator_is_killed_the_next_one_takes_over_what_the_others_have_counted() {
    let scratch = Scratch::new("coordinator-own");
    let files = input(&scratch, 5, 20_000);
    let ran = run_job(&files, Chaos::Coordinator, true).await;
    assert_eq!(ran.result.unwrap(), Outcome::Counted);
    assert_eq!(ran.tally, plain::count(&files).unwrap());
    assert_eq!((ran.kills[0].0, ran.coordinators), (0, 2));
    let (chunks, _) = ran.counted.unwrap();
    assert!(
        (1..chunks).contains(&ran.taken_over),
        "{} of {chunks}",
        ran.taken_over
    );
}

#[tokio::test]
async fn of_five_nodes_two_can_be_killed_the_coordinators_included() {
    for is_reported in [true, false] {
        let scratch = Scratch::new(&format!("coordinator-two-{is_reported}"));
        let files = input(&scratch, 5, 20_000);
        let ran = run_job_on(5, &files, Chaos::All, is_reported).await;
        ran.result.unwrap();
        assert_eq!(ran.tally, plain::count(&files).unwrap());
        assert_eq!((ran.kills.len(), ran.kills[1].0), (2, 0));
    }
}

#[tokio::test]
async fn what_a_node_that_is_cut_off_had_in_hand_is_counted_by_others() {
    let scratch = Scratch::new("coordinator-cut");
    let files = input(&scratch, 5, 20_000);
    let ran = run_job(&files, Chaos::Partition, true).await;
    ran.result.unwrap();
    assert_eq!(ran.tally, plain::count(&files).unwrap());
    assert_eq!((ran.cuts, ran.kills.len()), (1, 0));
    assert!(ran.counted.unwrap().1 >= 1, "delivered again");
}

#[tokio::test]
async fn a_single_chunk_survives_the_coordinator() {
    let scratch = Scratch::new("coordinator-single-own");
    let files = [scratch.file("one", b"a few words, and no more: a few")];
    let ran = run_job(&files, Chaos::Coordinator, true).await;
    ran.result.unwrap();
    assert_eq!(ran.tally, plain::count(&files).unwrap());
    assert_eq!(ran.coordinators, 2);
}

#[tokio::test]
async fn a_coordinator_ends_when_a_younger_one_is_in_office() {
    let scratch = Scratch::new("coordinator-superseded");
    let files = input(&scratch, 1, 100);
    let node = Node::new().await;
    node.crew.enlist(7).await.unwrap().unwrap();
    let (_peers, heard, _) = tell_of(&[node], &[], 0).await;
    let job = Job::new(&files, 100, 1, Chaos::None);
    let ended = run(job, 6, heard, Arc::new(drop)).await;
    assert_eq!(ended.unwrap(), Outcome::Superseded);
}

#[tokio::test]
async fn a_word_that_is_too_long_to_travel_is_counted_at_home() {
    let scratch = Scratch::new("coordinator-long");
    let mut text = vec![b'x'; 3 * TRAVELLING_BYTES_MAX];
    text.extend_from_slice(b" short words behind it");
    let files = [scratch.file("long", &text)];
    let ran = run_job(&files, Chaos::None, true).await;
    ran.result.unwrap();
    assert_eq!(ran.tally, plain::count(&files).unwrap());
}

#[tokio::test]
async fn no_input_is_counted_at_once() {
    let scratch = Scratch::new("coordinator-empty");
    let files = [scratch.file("empty", b"")];
    let ran = run_job(&files, Chaos::All, true).await;
    ran.result.unwrap();
    assert_eq!((ran.tally.words(), ran.counted), (0, Some((0, 0))));
    assert!(ran.kills.is_empty());
}

#[tokio::test]
async fn a_file_that_went_away_fails_the_job() {
    let scratch = Scratch::new("coordinator-gone");
    let mut files = input(&scratch, 1, 100);
    let gone = scratch.file("gone", b"x");
    files.push(gone.clone());
    let (peers, heard) = mpsc::channel(1);
    let node = Node::new().await;
    let news = News::Joined {
        name: "node-1".into(),
        crew: node.crew.clone(),
    };
    peers.send(Peer { node: HOME, news }).await.unwrap();
    std::fs::remove_file(gone).unwrap();
    let job = Job::new(&files, 100, 1, Chaos::None);
    let error = run(job, 1, heard, Arc::new(drop)).await.unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}
