//! The coordinator with nodes that are systems of this process: the workers are real, the network is not.

use std::{path::PathBuf, sync::Arc};

use treewarden::runtime::System;

use super::*;
use crate::wordcount::{
    chaos::Chaos,
    ledger::HOME,
    plain,
    scratch::Scratch,
    worker::{Foreman, Worker},
};

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
    crew: Crew,
}

impl Node {
    fn new() -> Self {
        let system = System::new("node");
        let foreman = system.spawn(Foreman::new(WORKERS));
        let workers = (0..WORKERS).map(|_| system.spawn(Worker)).collect();
        Self {
            system,
            crew: Crew::Here { foreman, workers },
        }
    }

    fn kill(&self) {
        let Crew::Here { foreman, workers } = &self.crew else {
            unreachable!("all nodes are in this process");
        };
        foreman.kill();
        workers.iter().for_each(|worker| worker.kill());
    }
}

struct Ran {
    result: Result<(), Failure>,
    tally: Tally,
    moved: Vec<usize>,
    counted: Option<(u64, u64)>,
    kills: Vec<usize>,
}

/// Runs a job on three nodes. The one that is to be killed is killed, and reported lost if `is_reported`.
async fn run_job(files: &[PathBuf], chaos: Chaos, is_reported: bool) -> Ran {
    let nodes: Arc<Vec<Node>> = Arc::new((0..3).map(|_| Node::new()).collect());
    let (peers, heard) = mpsc::channel(16);
    for (index, node) in nodes.iter().enumerate() {
        let news = News::Joined {
            name: format!("node-{}", index + 1),
            crew: node.crew.clone(),
        };
        let node = NodeIndex(index);
        peers.send(Peer { node, news }).await.unwrap();
    }
    let (sender, mut told) = mpsc::unbounded_channel();
    let bytes = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let job = Job::new(files, bytes, 3, chaos);
    let sink: EventSink = Arc::new(move |event| sender.send(event).unwrap());
    let running = tokio::spawn(run(job, heard, sink));
    let mut ran = Ran {
        result: Ok(()),
        tally: Tally::default(),
        moved: vec![],
        counted: None,
        kills: vec![],
    };
    while let Some(event) = told.recv().await {
        match event {
            Event::Kill { name, chunks } => {
                assert_ne!(name, "node-1", "the coordinator's own");
                ran.kills.push(chunks);
                let index = usize::from(name == "node-3") + 1;
                nodes[index].kill();
                if is_reported {
                    let node = NodeIndex(index);
                    let news = News::Lost;
                    // The job may be done before.
                    let _ = peers.send(Peer { node, news }).await;
                }
            }
            Event::Moved { chunks, .. } => ran.moved.push(chunks),
            Event::Counted {
                chunks,
                redeliveries,
                ..
            } => ran.counted = Some((chunks, redeliveries)),
            Event::Result(piece) => ran.tally.absorb(&piece).unwrap(),
            _ => {}
        }
    }
    ran.result = running.await.unwrap();
    for node in nodes.iter() {
        node.system.shutdown().await;
    }
    ran
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
        assert_eq!(ran.kills.len(), 1);
        assert!(ran.kills[0] >= 1, "with a chunk in hand");
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
    assert_eq!((ran.kills, ran.counted), (vec![1], Some((1, 1))));
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
    let node = Node::new();
    let news = News::Joined {
        name: "node-1".into(),
        crew: node.crew.clone(),
    };
    peers.send(Peer { node: HOME, news }).await.unwrap();
    std::fs::remove_file(gone).unwrap();
    let job = Job::new(&files, 100, 1, Chaos::None);
    let error = run(job, heard, Arc::new(drop)).await.unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}
