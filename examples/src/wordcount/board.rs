//! The live view of a cluster in a terminal, and what keys do: [`Board`].
//!
//! Pure: events and keys go in, [`Act`]s and text come out. Who draws and who obeys is in [`console`](super::console) and
//! [`launcher`](super::launcher).

use std::{collections::BTreeMap, fmt::Write};

use super::{
    protocol::{Event, Standing},
    report::Bytes,
};

/// How many lines of the story are shown.
const LINES_SHOWN: usize = 12;

/// What a key asks for. Nodes are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Kill the node's process (SIGKILL).
    Kill(usize),
    /// Stop it (SIGSTOP), or have it go on (SIGCONT).
    Pause(usize, bool),
    /// Cut the node off from the others.
    Cut(usize),
    /// Heal the cut.
    Heal,
    /// Crash a worker of the node, by its number from 1.
    Crash(usize, u32),
    /// Stop everything.
    Quit,
}

/// How a process is, as far as the launcher has seen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Running,
    Stopped,
    Killed,
}

/// One node.
#[derive(Debug)]
struct Row {
    process: Process,
    is_cut: bool,
    /// What it thinks of others, if it thinks anything.
    sees: BTreeMap<String, Standing>,
    /// Its workers that were restarted: how often.
    restarts: BTreeMap<String, u64>,
}

/// What is shown.
#[derive(Debug)]
pub struct Board {
    rows: Vec<Row>,
    workers: u32,
    selected: usize,
    next_crash: u32,
    coordinator: Option<usize>,
    counted: u64,
    is_done: bool,
    input_bytes: u64,
}

impl Board {
    /// A cluster of so many nodes and workers for each, none of which has said anything.
    pub fn new(nodes: u32, workers: u32, input_bytes: u64) -> Self {
        let row = |_| Row {
            process: Process::Running,
            is_cut: false,
            sees: BTreeMap::new(),
            restarts: BTreeMap::new(),
        };
        Self {
            rows: (0..nodes).map(row).collect(),
            workers: workers.max(1),
            selected: 0,
            next_crash: 1,
            coordinator: None,
            counted: 0,
            is_done: false,
            input_bytes,
        }
    }

    /// A node said something.
    pub fn on_event(&mut self, node: usize, event: &Event) {
        let Some(row) = self.rows.get_mut(node) else {
            return;
        };
        match event {
            Event::Member { name, standing } => {
                row.sees.insert(name.clone(), *standing);
            }
            Event::Restarted { worker, .. } => {
                *row.restarts.entry(worker.clone()).or_default() += 1
            }
            Event::Begun { .. } => self.coordinator = Some(node),
            Event::Progress { bytes } => self.counted = *bytes,
            Event::Done => self.is_done = true,
            _ => {}
        }
    }

    /// A node's process has ended.
    pub fn on_end(&mut self, node: usize) {
        if let Some(row) = self.rows.get_mut(node) {
            row.process = Process::Killed;
        }
    }

    /// A key was pressed. Returns what it asks for, if that can be done.
    pub fn on_key(&mut self, key: u8) -> Option<Act> {
        let node = self.selected;
        let process = self.rows.get(node)?.process;
        let act = match key.to_ascii_lowercase() {
            digit @ b'1'..=b'9' => {
                self.select(usize::from(digit - b'1'));
                return None;
            }
            // The arrows of a terminal end in these letters, behind an escape and a bracket.
            b'+' | b'j' | b'\t' => {
                self.select((node + 1) % self.rows.len());
                return None;
            }
            b'-' => {
                self.select((node + self.rows.len() - 1) % self.rows.len());
                return None;
            }
            b'k' if process != Process::Killed => Act::Kill(node),
            b's' if process == Process::Running => Act::Pause(node, true),
            b'c' if process == Process::Stopped => Act::Pause(node, false),
            b'p' if process != Process::Killed && !self.rows.iter().any(|row| row.is_cut) => {
                Act::Cut(node)
            }
            b'h' if self.rows.iter().any(|row| row.is_cut) => Act::Heal,
            b'x' if process == Process::Running => Act::Crash(node, self.next_crash),
            b'q' => Act::Quit,
            _ => return None,
        };
        match act {
            Act::Kill(node) => self.rows[node].process = Process::Killed,
            Act::Pause(node, true) => self.rows[node].process = Process::Stopped,
            Act::Pause(node, false) => self.rows[node].process = Process::Running,
            Act::Cut(node) => self.rows[node].is_cut = true,
            Act::Heal => self.rows.iter_mut().for_each(|row| row.is_cut = false),
            Act::Crash(..) => self.next_crash = self.next_crash % self.workers + 1,
            Act::Quit => {}
        }
        Some(act)
    }

    fn select(&mut self, node: usize) {
        if node < self.rows.len() {
            self.selected = node;
        }
    }

    /// The whole view, with the last lines of `story`. Lines end with a line feed; nothing is coloured.
    pub fn draw(&self, story: &[String]) -> String {
        let mut text = String::new();
        let share = (self.counted.saturating_mul(100))
            .checked_div(self.input_bytes)
            .unwrap_or(100);
        let state = if self.is_done { "done" } else { "counting" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{state}: {share}% of {}\n", Bytes(self.input_bytes));
        let _ = writeln!(
            text,
            "  node      process  sees the others as                tree"
        );
        for (node, row) in self.rows.iter().enumerate() {
            let mark = if node == self.selected { '>' } else { ' ' };
            let name = format!("node-{}", node + 1);
            let process = match (row.process, row.is_cut) {
                (Process::Killed, _) => "killed",
                (Process::Stopped, _) => "stopped",
                (Process::Running, true) => "cut off",
                (Process::Running, false) => "running",
            };
            let _ = writeln!(
                text,
                "{mark} {name:<9} {process:<8} {:<33} {}",
                self.sees(node),
                self.tree(node)
            );
        }
        let _ = writeln!(text);
        for line in story.iter().rev().take(LINES_SHOWN).rev() {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(
            text,
            "\n1-9 + - select   k kill   s stop   c continue   p cut off   h heal   x crash a worker   q quit"
        );
        text
    }

    /// One letter for each other node: `.` up, `?` unreachable, `x` down, `-` left, blank unknown.
    fn sees(&self, node: usize) -> String {
        let letter = |other: usize| {
            if other == node {
                return 'o';
            }
            match self.rows[node].sees.get(&format!("node-{}", other + 1)) {
                None => ' ',
                Some(Standing::Joined | Standing::Back) => '.',
                Some(Standing::Unreachable) => '?',
                Some(Standing::Down) => 'x',
                Some(Standing::Left) => '-',
            }
        };
        (0..self.rows.len()).map(letter).collect()
    }

    fn tree(&self, node: usize) -> String {
        let restarts = &self.rows[node].restarts;
        let worker = |number: u32| {
            let name = super::messages::worker_name(number);
            match restarts.get(&name) {
                None => name,
                Some(times) => format!("{name} (restarted {times}x)"),
            }
        };
        let mut tree: Vec<String> = (1..=self.workers).map(worker).collect();
        if self.coordinator == Some(node) {
            tree.push("coordinator".into());
        }
        tree.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(board: &mut Board, keys: &str) -> Vec<Act> {
        keys.bytes().filter_map(|key| board.on_key(key)).collect()
    }

    #[test]
    fn keys_act_on_the_node_that_is_selected_and_only_if_it_can_be_done() {
        let mut board = Board::new(3, 2, 100);
        assert_eq!(
            pressed(&mut board, "2sscc"),
            [Act::Pause(1, true), Act::Pause(1, false)]
        );
        assert_eq!(pressed(&mut board, "3pph"), [Act::Cut(2), Act::Heal]);
        let crashes = [Act::Crash(2, 1), Act::Crash(2, 2), Act::Crash(2, 1)];
        assert_eq!(pressed(&mut board, "xxX"), crashes);
        assert_eq!(pressed(&mut board, "kkscxp"), [Act::Kill(2)]);
        assert_eq!(
            pressed(&mut board, "+k"),
            [Act::Kill(0)],
            "after the last the first"
        );
        assert_eq!(
            pressed(&mut board, "-9k"),
            [],
            "the last is dead, and there is no ninth"
        );
        assert_eq!(
            pressed(&mut board, "h?q"),
            [Act::Quit],
            "nothing is cut off"
        );
    }

    #[test]
    fn the_view_shows_processes_members_trees_and_the_last_of_the_story() {
        let mut board = Board::new(3, 2, 200);
        let member = |name: &str, standing| Event::Member {
            name: name.into(),
            standing,
        };
        board.on_event(0, &member("node-2", Standing::Joined));
        board.on_event(0, &member("node-3", Standing::Unreachable));
        board.on_event(1, &member("node-1", Standing::Down));
        board.on_event(
            1,
            &Event::Begun {
                workers: 4,
                found: Some(3),
            },
        );
        board.on_event(1, &Event::Progress { bytes: 50 });
        board.on_event(
            0,
            &Event::Restarted {
                worker: "worker-2".into(),
                incarnation: 2,
                reason: "panicked".into(),
            },
        );
        board.on_end(2);
        pressed(&mut board, "2s");
        let story: Vec<String> = (0..20).map(|line| format!("line {line}")).collect();
        let expected = "\
counting: 25% of 200 B

  node      process  sees the others as                tree
  node-1    running  o.?                               worker-1, worker-2 (restarted 1x)
> node-2    stopped  xo                                worker-1, worker-2, coordinator
  node-3    killed     o                               worker-1, worker-2

";
        let text = board.draw(&story);
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains("line 7\n"), "{text}");
        assert!(
            text.contains("line 8\n") && text.contains("line 19\n"),
            "{text}"
        );
    }
}
