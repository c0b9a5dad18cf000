//! The signals that end a program, in a process of its own: this one.
#![cfg(unix)]

use std::future::Future;
use std::process::Command;
use std::time::Duration;

use treewarden_supervisor::{Signal, terminated};

#[tokio::test]
async fn a_signal_resolves_what_waits_for_it_and_ends_nothing_by_itself() {
    for (name, expected) in [("TERM", Signal::Terminate), ("INT", Signal::Interrupt)] {
        let mut waiting = Box::pin(terminated());
        // From its first poll on it is listened to.
        std::future::poll_fn(|cx| {
            assert!(waiting.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        let sent = Command::new("kill")
            .args(["-s", name, &std::process::id().to_string()])
            .status();
        assert!(sent.expect("there is a kill").success());
        let came = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert_eq!(came.expect("it comes").expect("it is handled"), expected);
    }
}
