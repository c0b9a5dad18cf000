//! The other process of a measurement: this program once more, as a server.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server process. It ends with this.
pub(crate) struct Server {
    process: Child,
    /// What it said of itself.
    pub(crate) hello: String,
}

impl Server {
    /// Starts this program with `args`, and waits for its first line.
    pub(crate) fn start(args: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the server has no output")?;
        let mut hello = String::new();
        BufReader::new(stdout).read_line(&mut hello)?;
        Ok(Self {
            process,
            hello: hello.trim().to_owned(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where both sides run: two workers each, whatever the machine has.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Resolves when the standard input has ended: the one who started this process is gone.
pub(crate) async fn until_the_input_ends() {
    let _ =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await;
}
