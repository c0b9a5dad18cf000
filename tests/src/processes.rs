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
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
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
    /// Its output, line by line, read by a thread.
    lines: mpsc::Receiver<Vec<u8>>,
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
        let output = child.stdout.take().expect("the output is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                // Nobody has to read to the end.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, mark, lines }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads its output until a line holds `text`, and returns that line.
    ///
    /// # Panics
    ///
    /// If there is no such line, or not within a minute.
    pub fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut before = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} after\n{before}");
            };
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(text) {
                return line;
            }
            before.push_str(&line);
            before.push('\n');
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
        for line in &self.lines {
            stdout.extend_from_slice(&line);
            stdout.push(b'\n');
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
