//! The fuzz targets over their stored corpus, and over every change of a single byte of it.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use treewarden_tests::fuzzing::{TARGETS, Target};

/// The inputs in `fuzz/corpus/NAME`, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(name: &str, target: Target) {
    let inputs = corpus(name);
    assert!(
        inputs.len() > 10,
        "the corpus of {name} was read: {}",
        inputs.len()
    );
    for input in inputs {
        target(&input);
        for at in 0..input.len().min(256) {
            let mut changed = input.clone();
            changed[at] ^= 1 << (at % 8);
            target(&changed);
            target(&input[..at]);
        }
    }
}

#[test]
fn no_stored_input_breaks_a_promise_of_its_target() {
    for (name, target) in TARGETS {
        run(name, target);
    }
}
