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
    assert!(tree.contains("1 restarts"), "{tree}");
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
    wait_until("it refuses new requests", || {
        request(&address, "GET /").is_err()
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
