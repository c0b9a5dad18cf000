//! The program of a node process: [`main`].
//!
//! It reads its settings and controls from its standard input, does what they say, and writes events to its standard output until its
//! input ends. The input is read on a thread of its own, so that even a node whose runtime is stuck ends.

use std::{
    io,
    process::{self, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    node,
    protocol::{self, Control, Event, EventSink, Settings},
};

/// How long a node may take to stop in order after its input has ended.
const STOP_TIME_MAX: Duration = Duration::from_secs(4);

/// How long work on other threads may take after everything else has ended.
const THREADS_TIME_MAX: Duration = Duration::from_millis(500);

/// Controls that may wait before their sender does.
const CONTROLS_WAITING_MAX: usize = 16;

/// Threads for the tasks of a node. Several nodes share one machine.
const THREADS: usize = 2;

/// Runs a node until standard input ends.
///
/// The exit code is 0 after an order to stop, and 1 if the node could not go on.
pub fn main() -> ExitCode {
    let settings: Settings = match protocol::read(&mut io::stdin().lock()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("node: no settings on standard input: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (controls, stop) = listen_to_input();
    keep_quiet_about_chaos();
    let events = events_to_stdout();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let ran = match runtime {
        Ok(runtime) => {
            let ran = runtime.block_on(node::run(settings, events.clone(), controls, stop));
            runtime.shutdown_timeout(THREADS_TIME_MAX);
            ran
        }
        Err(error) => Err(error.into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            events(Event::Failed(format!("{failure:#}")));
            ExitCode::FAILURE
        }
    }
}

/// What comes on the input; the second resolves at its end. If the process has not ended some time after that, it is ended.
fn listen_to_input() -> (mpsc::Receiver<Control>, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel();
    let (controls, heard) = mpsc::channel(CONTROLS_WAITING_MAX);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        // An error is as good as an end: nobody can order anything any more.
        while let Ok(control) = protocol::read(&mut input) {
            if controls.blocking_send(control).is_err() {
                break;
            }
        }
        let _ = io::copy(&mut input, &mut io::sink());
        let _ = sender.send(());
        thread::sleep(STOP_TIME_MAX);
        process::exit(1);
    });
    (heard, receiver)
}

/// Events go out one after the other. If nobody listens any more the input has ended, too, or soon will.
fn events_to_stdout() -> EventSink {
    let out = Mutex::new(io::stdout());
    Arc::new(move |event| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = protocol::write(&mut *out, &event);
    })
}

/// Panics that were ordered are told as events; printing them, too, would only be noise.
fn keep_quiet_about_chaos() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_ordered = info
            .payload_as_str()
            .is_some_and(|message| message.starts_with("chaos:"));
        if !is_ordered {
            print(info);
        }
    }));
}
