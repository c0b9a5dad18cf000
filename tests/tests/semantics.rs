//! Every promise in docs/SEMANTICS.md names a test, and every test that it names exists.
#![allow(missing_docs)]

use std::{fs, path::Path};

/// The `file::name` references of a page, each with the folder that the heading above it gives.
fn promised_tests(page: &str) -> Vec<(String, String, String)> {
    let mut folders: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for line in page.lines() {
        if line.starts_with("## ") {
            folders = code_spans(line);
        } else if line.starts_with('|') {
            for span in code_spans(line.rsplit('|').nth(1).unwrap_or("")) {
                let (file, name) = span
                    .split_once("::")
                    .unwrap_or_else(|| panic!("{span:?} is not of the form file::name"));
                let folder = folders
                    .iter()
                    .find(|folder| source_of(folder, file).is_some())
                    .unwrap_or_else(|| panic!("no file {file} in {folders:?} (for {name})"));
                found.push((folder.clone(), file.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

fn code_spans(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The text of `folder/file.rs`, or of all files of `folder/file/`.
fn source_of(folder: &str, file: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    if let Ok(text) = fs::read_to_string(root.join(file).with_extension("rs")) {
        return Some(text);
    }
    let mut text = String::new();
    for entry in fs::read_dir(root.join(file)).ok()? {
        text += &fs::read_to_string(entry.ok()?.path()).unwrap_or_default();
    }
    Some(text)
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SEMANTICS.md");
    let promised = promised_tests(&fs::read_to_string(page).unwrap());
    assert!(promised.len() > 20, "the page was read: {}", promised.len());
    let missing: Vec<_> = promised
        .into_iter()
        .filter(|(folder, file, name)| {
            let source = source_of(folder, file).unwrap_or_default();
            !source.contains(&format!("fn {name}("))
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn the_example_of_the_readme_is_the_first_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let example = fs::read_to_string(root.join("examples/examples/01_hello.rs")).unwrap();
    let code = example.split_once('\n').map(|(_title, code)| code.trim());
    assert!(
        readme.contains(code.unwrap()),
        "README.md shows another program than 01_hello.rs"
    );
}
