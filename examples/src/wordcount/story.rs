//! What a person sees while a job runs: [`Story`].
//!
//! One line for each thing that happens, with the time since the start; below them, on a terminal, a bar that is drawn
//! anew. Elsewhere the bar is a line for every tenth of the work. A reader who went away is no reason to fail.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use super::report::Bytes;

/// How wide the bar is, in characters.
const BAR_WIDTH: u64 = 30;

/// Writes the story of one job.
pub struct Story<W> {
    out: W,
    redraws: bool,
    began: Instant,
    bar: String,
    tenths_told: u64,
}

impl Story<Box<dyn Write>> {
    /// A story on standard output.
    pub fn on_stdout() -> Self {
        let out = io::stdout();
        let redraws = out.is_terminal();
        Self::new(Box::new(out), redraws, Instant::now())
    }
}

impl<W: Write> Story<W> {
    /// A story that began at `began`. `redraws` says whether `out` is a terminal.
    pub fn new(out: W, redraws: bool, began: Instant) -> Self {
        Self {
            out,
            redraws,
            began,
            bar: String::new(),
            tenths_told: 0,
        }
    }

    /// The rest of the story goes to where `other` would go.
    pub fn go_on_as(&mut self, other: Self) {
        let began = self.began;
        *self = Self { began, ..other };
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Something happened.
    pub fn tell(&mut self, text: impl std::fmt::Display) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.put(&format!("{seconds:7.2}s  {text}\n"));
    }

    /// Something to say after the end, without a time.
    pub fn say(&mut self, text: impl std::fmt::Display) {
        self.bar.clear();
        self.put(&format!("{text}\n"));
    }

    /// So much of the work is done.
    pub fn progress(&mut self, done_bytes: u64, all_bytes: u64) {
        let share = |parts: u64| match all_bytes {
            0 => parts,
            _ => (u128::from(done_bytes) * u128::from(parts) / u128::from(all_bytes)) as u64,
        };
        let text = format!(
            "{:3}%  {} of {} counted",
            share(100),
            Bytes(done_bytes),
            Bytes(all_bytes)
        );
        if self.redraws {
            let full = share(BAR_WIDTH).min(BAR_WIDTH) as usize;
            let empty = BAR_WIDTH as usize - full;
            self.bar = format!("  [{}{}] {text}", "#".repeat(full), ".".repeat(empty));
            self.put("");
        } else if share(10) > self.tenths_told {
            self.tenths_told = share(10);
            self.tell(text);
        }
    }

    /// Writes `lines` where the bar is, and the bar below them.
    fn put(&mut self, lines: &str) {
        let clear = if self.redraws { "\r\x1b[2K" } else { "" };
        let _ = write!(self.out, "{clear}{lines}{}", self.bar);
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(redraws: bool, tell: impl FnOnce(&mut Story<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        tell(&mut Story::new(&mut out, redraws, Instant::now()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_has_its_time_and_every_tenth_a_line() {
        let text = story(false, |story| {
            story.tell("it begins");
            (0..=100).for_each(|done| story.progress(done, 100));
            story.say("the end");
        });
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("s  it begins"), "{text}");
        assert!(lines[1].contains(" 10%  10 B of 100 B"), "{text}");
        assert_eq!(lines.len(), 12, "{text}");
        assert_eq!(lines[11], "the end");
    }

    #[test]
    fn on_a_terminal_the_bar_stays_below_the_lines() {
        let text = story(true, |story| {
            story.progress(50, 100);
            story.tell("a crash");
            story.say("the end");
        });
        let bar = format!("[{}{}]  50%", "#".repeat(15), ".".repeat(15));
        assert_eq!(text.matches(&bar).count(), 2, "{text}");
        assert!(text.ends_with("\r\x1b[2Kthe end\n"), "{text}");
    }

    #[test]
    fn no_work_is_all_done() {
        let text = story(false, |story| story.progress(0, 0));
        assert!(text.contains("100%"), "{text}");
    }
}
