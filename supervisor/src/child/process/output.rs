//! What a process writes, line by line, as events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Readiness;

/// Of a longer line the rest is left out, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// How long to read on when the process has ended: what it had written is there, and nothing else can come.
const REST: Duration = Duration::from_millis(500);

/// The readers of one process. Dropping them ends them.
pub(super) struct Lines {
    readers: JoinSet<()>,
    was_ready: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Lines {
    /// Reads what of the output comes through pipes.
    pub(super) fn of(child: &mut Child, path: &Arc<str>, ready_when: Option<Readiness>) -> Self {
        let was_ready = Arc::new(Notify::new());
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            let told = (ready_when.clone(), was_ready.clone());
            readers.spawn(read(stdout, Stream::Stdout, path.clone(), told));
        }
        if let Some(stderr) = child.stderr.take() {
            let told = (ready_when, was_ready.clone());
            readers.spawn(read(stderr, Stream::Stderr, path.clone(), told));
        }
        Lines { readers, was_ready }
    }

    /// Resolves when a line has said that the process is ready.
    pub(super) async fn ready(&self) {
        self.was_ready.notified().await;
    }

    /// Reads what is left when the process has ended. Whether a line among it, or one that nobody has heard of yet, says that the
    /// process was ready.
    pub(super) async fn finish(&mut self) -> bool {
        let all = async { while self.readers.join_next().await.is_some() {} };
        // Whoever has got hold of a pipe and left the group may keep it open.
        let _ = tokio::time::timeout(REST, all).await;
        self.ready().now_or_never().is_some()
    }
}

async fn read(
    stream: impl AsyncRead + Unpin,
    which: Stream,
    path: Arc<str>,
    (ready_when, was_ready): (Option<Readiness>, Arc<Notify>),
) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(Some(cut)) = next_line(&mut stream, &mut line).await {
        let text = String::from_utf8_lossy(&line);
        match which {
            Stream::Stdout => tracing::info!(%path, cut_bytes = cut, "{text}"),
            Stream::Stderr => tracing::warn!(%path, cut_bytes = cut, "{text}"),
        }
        if ready_when.as_ref().is_some_and(|is_ready| is_ready(&text)) {
            was_ready.notify_one();
        }
    }
}

/// The next line without its end, as far as it fits, and how many bytes of it did not; `None` at the end of the stream.
async fn next_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<Option<usize>> {
    line.clear();
    let (mut cut, mut any) = (0, false);
    loop {
        let buffer = stream.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(any.then_some(cut));
        }
        any = true;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let fits = part.len().min(LINE_BYTES_MAX - line.len());
        line.extend_from_slice(&part[..fits]);
        cut += part.len() - fits;
        let used = part.len() + usize::from(end.is_some());
        stream.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some(cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_found_and_bounded() {
        let long = "x".repeat(3 * LINE_BYTES_MAX);
        let text = format!("one\r\n\n{long}\nlast without an end");
        // Small reads, so that lines are put together.
        let mut stream = BufReader::with_capacity(7, text.as_bytes());
        let (mut line, mut found) = (Vec::new(), Vec::new());
        while let Some(cut) = next_line(&mut stream, &mut line).await.unwrap() {
            found.push((line.len(), cut));
        }
        let last = "last without an end".len();
        let expected = [
            (3, 0),
            (0, 0),
            (LINE_BYTES_MAX, 2 * LINE_BYTES_MAX),
            (last, 0),
        ];
        assert_eq!(found, expected);
    }
}
