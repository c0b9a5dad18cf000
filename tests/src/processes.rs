//! Programs that are run by tests: [`Run`].
//!
//! A run is marked by an environment variable, which all processes inherit that it starts. So a test can tell whether
//! any of them is left, whoever their parent is by now. This reads `/proc`, and is for Linux.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The variable that marks the processes of a run.
const MARK: &str = "TREEWARDEN_TEST_RUN";

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs, with all the processes that it starts. Dropping it kills the program.
#[derive(Debug)]
pub struct Run {
    child: Child,
    mark: String,
    lines: Option<BufReader<std::process::ChildStdout>>,
}

impl Run {
    /// Starts `program`. Its output is kept for the test.
    pub fn start<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let mut child = Command::new(program)
            .args(arguments)
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        let lines = child.stdout.take().map(BufReader::new);
        Self { child, mark, lines }
    }

    /// Reads its output until a line holds `text`, and returns that line.
    pub fn line_with(&mut self, text: &str) -> String {
        let lines = self.lines.as_mut().expect("the output is piped");
        let mut line = String::new();
        loop {
            line.clear();
            let read = lines.read_line(&mut line).expect("the output is text");
            assert!(read > 0, "the program ended without a line with {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends it a signal, by name: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Waits until it has ended, and returns its status and the rest of its output.
    pub fn finish(mut self) -> Output {
        let mut errors = self.child.stderr.take().expect("the errors are piped");
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            text
        });
        let mut stdout = Vec::new();
        if let Some(lines) = &mut self.lines {
            lines.read_to_end(&mut stdout).expect("a pipe can be read");
        }
        Output {
            status: self.wait(),
            stdout,
            stderr: errors.join().expect("reading does not panic"),
        }
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the child is ours")
    }

    /// Its mark, to ask for [`survivors`] when it is gone.
    pub fn mark(&self) -> String {
        self.mark.clone()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes with this mark that run: their ids.
pub fn survivors(mark: &str) -> Vec<u32> {
    let entry = format!("{MARK}={mark}");
    let is_marked = |process: &Path| {
        // Processes of others cannot be read, and are not ours.
        fs::read(process.join("environ")).is_ok_and(|variables| {
            variables
                .split(|&byte| byte == 0)
                .any(|v| v == entry.as_bytes())
        })
    };
    fs::read_dir("/proc")
        .expect("/proc can be read")
        .flatten()
        .filter(|process| is_marked(&process.path()))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it takes more than a minute; with what `what` says.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
