//! The terminal of a person who breaks things: keys one by one, and a view that is drawn anew.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Read, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};

use super::board::Board;

/// How often the view is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(150);

/// How many lines of the story are kept.
const LINES_MAX: usize = 100;

/// Keys that may wait to be heard.
const KEYS_WAITING_MAX: usize = 16;

/// A terminal whose keys come one by one, without an echo. Dropping it makes the terminal what it was.
pub struct Console {
    before: Termios,
    keys: mpsc::Receiver<u8>,
    lines: Lines,
    ticks: Interval,
}

/// What happens next at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A key was pressed.
    Key(u8),
    /// It is time to draw.
    Draw,
}

impl Console {
    /// The terminal of this process. Has to be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If standard input or output are no terminal; nothing has changed then.
    pub fn open(lines: Lines) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "--interactive needs a terminal on standard input and output",
            ));
        }
        let before = tcgetattr(io::stdin())?;
        let mut single = before.clone();
        // Ctrl-C stays what it is.
        single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Now, &single)?;
        let (sender, keys) = mpsc::channel(KEYS_WAITING_MAX);
        // It ends with the process: a thread that reads a terminal cannot be stopped.
        thread::spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.blocking_send(key).is_err() {
                    break;
                }
            }
        });
        let mut ticks = interval(DRAW_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            before,
            keys,
            lines,
            ticks,
        })
    }

    /// Waits for a key, or until it is time to draw. Cancel safe.
    pub async fn next(&mut self) -> Prompt {
        tokio::select! {
            Some(key) = self.keys.recv() => Prompt::Key(key),
            _ = self.ticks.tick() => Prompt::Draw,
        }
    }

    /// Draws the view over the one before.
    pub fn draw(&self, board: &Board) {
        let text = board.draw(&self.lines.last());
        // To the corner; each line clears what is left of the old one, and the end what is below. A reader who went away is no reason
        // to fail.
        let text = text.replace('\n', "\x1b[K\n");
        let mut out = io::stdout();
        let _ = write!(out, "\x1b[H{text}\x1b[J");
        let _ = out.flush();
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The last lines of a story, instead of a stream of them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    /// The beginning of a line whose end is not written yet.
    begun: String,
}

impl Lines {
    fn last(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.iter().cloned().collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { lines, begun } = &mut *kept;
        for piece in text.split_inclusive('\n') {
            begun.push_str(piece.trim_end_matches('\n'));
            if piece.ends_with('\n') && !begun.is_empty() {
                lines.push_back(std::mem::take(begun));
            }
        }
        let over = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_story_are_kept() {
        let lines = Lines::default();
        for number in 0..LINES_MAX + 3 {
            writeln!(lines.clone(), "line {number}").unwrap();
        }
        let last = lines.last();
        assert_eq!(last.len(), LINES_MAX);
        assert_eq!(last[0], "line 3");
    }

    #[tokio::test]
    async fn what_is_no_terminal_is_refused() {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            return;
        }
        let refused = Console::open(Lines::default()).map(drop).unwrap_err();
        assert!(refused.to_string().contains("needs a terminal"));
    }
}
