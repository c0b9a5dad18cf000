//! The short examples, run as a user runs them.
#![cfg(target_os = "linux")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use treewarden_tests::processes::{Run, wait_until};

#[test]
fn hello_counts_on_after_a_crash() {
    let output = Run::start(env!("CARGO_BIN_EXE_hello"), [""; 0]).finish();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "3 in incarnation 2\n"
    );
}

#[test]
fn hello_is_the_example_in_the_readme() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../examples/examples/01_hello.rs");
    let code: Vec<_> = example
        .lines()
        .skip_while(|line| line.starts_with("//!"))
        .collect();
    assert!(readme.contains(&code.join("\n")), "they differ");
}

#[test]
fn the_macro_writes_an_actor_that_does_the_same() {
    let output = Run::start(env!("CARGO_BIN_EXE_macro_example"), [""; 0]).finish();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "incarnation 1 begins at 0\nincarnation 2 begins at 0\n3 in incarnation 2\n"
    );
}

#[test]
fn placed_actors_outlive_the_death_and_the_leave_of_their_nodes() {
    let output = Run::start(env!("CARGO_BIN_EXE_placement_example"), [""; 0]).finish();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hello from a, hello from c\n\
         a is gone: hello from b, hello from c\n\
         c is drained, 0 left there: hello from b, hello from d\n"
    );
}

/// One request to a web service; the whole answer.
fn request(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_crash_in_the_tree_of_a_web_service_costs_no_request() {
    let mut app = Run::start(env!("CARGO_BIN_EXE_embed"), ["127.0.0.1:0"]);
    let line = app.line_with("serving on http://");
    let address = line.trim().rsplit('/').next().unwrap();
    assert!(request(address, "GET /").unwrap().ends_with("visit 1\n"));
    assert!(request(address, "POST /crash").unwrap().contains("202"));
    // The count began anew; the service did not.
    assert!(request(address, "GET /").unwrap().ends_with("visit 1\n"));
    let tree = request(address, "GET /tree").unwrap();
    assert!(tree.contains("1 restart,"), "{tree}");
}

#[test]
fn sigterm_drains_a_web_service_before_its_tree_stops() {
    let mut app = Run::start(env!("CARGO_BIN_EXE_embed"), ["127.0.0.1:0"]);
    let line = app.line_with("serving on http://");
    let address = line.trim().rsplit('/').next().unwrap().to_string();
    let slow = {
        let address = address.clone();
        thread::spawn(move || request(&address, "GET /slow"))
    };
    app.line_with("a slow request begins");
    app.signal("TERM");
    app.line_with("no new requests");
    wait_until("it takes no new connections", || {
        TcpStream::connect(&address).is_err()
    });
    let answer = slow.join().unwrap().unwrap();
    assert!(answer.ends_with("visit 1\n"), "{answer}");
    let output = app.finish();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    let places: Vec<_> = [
        "all requests are answered",
        "1 visits",
        "the tree ended (shutdown)",
    ]
    .iter()
    .map(|line| {
        text.find(line)
            .unwrap_or_else(|| panic!("{line} in {text}"))
    })
    .collect();
    assert!(places.is_sorted(), "{text}");
}

/// Starts a node by hand on a port that the system chooses; the node, its address, and the command for the next one.
fn node(arguments: &[&str]) -> (Run, String, String) {
    let all = ["--listen", "127.0.0.1:0"].iter().chain(arguments);
    let mut node = Run::start(env!("CARGO_BIN_EXE_node"), all);
    let line = node.line_with(" listens on ");
    let address = line.split([' ', ';']).nth(3).unwrap().to_string();
    let command = node.line_with("cargo run --example node");
    (node, address, command)
}

#[test]
fn two_nodes_that_are_started_by_hand_greet_each_other_and_see_each_other_go() {
    let (mut first, address, command) = node(&["--name", "first"]);
    assert!(command.contains(&format!("--seed {address}")), "{command}");
    let (mut second, ..) = node(&["--name", "second", "--seed", &address]);
    first.line_with("hello first, this is second");
    second.line_with("hello second, this is first");
    second.line_with("greeter [actor] running");
    second.signal("TERM");
    assert!(second.finish().status.success());
    first.line_with(" left");

    let (mut third, ..) = node(&["--name", "third", "--seed", &address]);
    first.line_with("hello first, this is third");
    third.signal("KILL");
    third.wait();
    first.line_with(" is unreachable");
    first.signal("INT");
    assert!(first.finish().status.success());
}

#[test]
fn a_node_that_cannot_be_started_says_why_in_one_line() {
    let (_running, address, _) = node(&[]);
    let check = |arguments: &[&str], expected: &str| {
        let output = Run::start(env!("CARGO_BIN_EXE_node"), arguments).finish();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    check(&["--listen", &address], "is in use");
    check(&["--listen", "somewhere"], "somewhere");
    check(&["--listen", "0.0.0.0:0"], "not on loopback");
    check(&["--name", "", "--listen", "127.0.0.1:0"], "name");
    check(&["--unknown"], "--unknown");
}

#[test]
fn overload_serves_every_checkout_at_ten_times_the_load() {
    let output = Run::start(env!("CARGO_BIN_EXE_overload_example"), [""; 0]).finish();
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("Critical: 500 served, 0 refused at once, 0 shed, 0 too late"),
        "{printed}"
    );
}
