//! What came of a job: [`Report`], as text and as JSON.

use std::fmt;

use serde::Serialize;

/// What came of a job. As JSON it is one line, with these names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many node processes were started.
    pub nodes: u32,
    /// How many files were counted.
    pub files: usize,
    /// How long they are together.
    pub bytes: u64,
    /// How many words there are, with repetitions.
    pub words: u64,
    /// How many different words there are.
    pub distinct: usize,
    /// Whether every count is that of a plain single-threaded count.
    pub exact: bool,
    /// How often a worker crashed and was restarted by its supervisor.
    pub actor_restarts: u64,
    /// How many node processes were killed.
    pub nodes_killed: u32,
    /// How often a node was cut off from the others.
    pub partitions: u32,
    /// From the kill until the first survivor declared the node down, in milliseconds; of several the longest.
    pub node_down_detected_ms: Option<u64>,
    /// From the kill until the first survivor could not reach the node any more, in milliseconds; of several the longest.
    pub node_unreachable_ms: Option<u64>,
    /// In how many chunks the input was cut.
    pub chunks: u64,
    /// How many deliveries of the last coordinator were not the first of their chunk.
    pub chunks_redelivered: u64,
    /// How many coordinators there were, one after the other.
    pub coordinators: u32,
    /// How many chunks had been counted for a coordinator before the last one.
    pub chunks_taken_over: u64,
    /// From the start of the processes until the last chunk was counted, in milliseconds.
    pub elapsed_ms: u64,
}

impl Report {
    /// One line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and truth values have a JSON form")
    }
}

impl fmt::Display for Report {
    /// A few lines, the last without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            words, distinct, ..
        } = self;
        writeln!(
            f,
            "{}, {} different, in {} of {} together",
            Counted(*words, "word"),
            Grouped(*distinct as u64),
            Counted(self.files as u64, "file"),
            Bytes(self.bytes),
        )?;
        writeln!(
            f,
            "{}, {} delivered again, {} taken over; {}; {} restarted, {} killed, {}; {:.1} s",
            Counted(self.chunks, "chunk"),
            Grouped(self.chunks_redelivered),
            Grouped(self.chunks_taken_over),
            Counted(self.coordinators.into(), "coordinator"),
            Counted(self.actor_restarts, "worker"),
            Counted(self.nodes_killed.into(), "node"),
            Counted(self.partitions.into(), "partition"),
            self.elapsed_ms as f64 / 1000.0,
        )?;
        f.write_str(if self.exact {
            "exact: a plain single-threaded count gives the same"
        } else {
            "NOT EXACT: a plain single-threaded count gives something else"
        })
    }
}

/// A length in bytes, for people.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ ..1_000 => write!(f, "{bytes} B"),
            bytes @ ..1_000_000 => write!(f, "{:.1} kB", bytes as f64 / 1e3),
            bytes @ ..1_000_000_000 => write!(f, "{:.1} MB", bytes as f64 / 1e6),
            bytes => write!(f, "{:.1} GB", bytes as f64 / 1e9),
        }
    }
}

/// A number and what it counts, `1 node` or `2 nodes`.
pub struct Counted(pub u64, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(f, "{} {noun}{plural}", Grouped(*number))
    }
}

/// A number with its thousands apart.
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            nodes: 3,
            files: 1200,
            bytes: 52_300_000,
            words: 8_000_001,
            distinct: 400,
            exact: true,
            actor_restarts: 12,
            nodes_killed: 1,
            partitions: 1,
            node_down_detected_ms: Some(800),
            node_unreachable_ms: None,
            chunks: 400,
            chunks_redelivered: 17,
            coordinators: 2,
            chunks_taken_over: 120,
            elapsed_ms: 3456,
        }
    }

    #[test]
    fn json_is_one_line_with_the_documented_names() {
        assert_eq!(
            report().to_json(),
            r#"{"nodes":3,"files":1200,"bytes":52300000,"words":8000001,"distinct":400,"exact":true,"actor_restarts":12,"nodes_killed":1,"partitions":1,"node_down_detected_ms":800,"node_unreachable_ms":null,"chunks":400,"chunks_redelivered":17,"coordinators":2,"chunks_taken_over":120,"elapsed_ms":3456}"#
        );
    }

    #[test]
    fn people_read_grouped_numbers() {
        assert_eq!(
            report().to_string(),
            "8,000,001 words, 400 different, in 1,200 files of 52.3 MB together\n\
             400 chunks, 17 delivered again, 120 taken over; 2 coordinators; 12 workers restarted, 1 node killed, 1 partition; 3.5 s\n\
             exact: a plain single-threaded count gives the same"
        );
        assert_eq!(Grouped(100).to_string(), "100");
        assert_eq!(Bytes(999).to_string(), "999 B");
        assert_eq!(Bytes(2_500_000_000).to_string(), "2.5 GB");
    }

    #[test]
    fn an_inexact_count_is_said_aloud() {
        let report = Report {
            exact: false,
            ..report()
        };
        assert!(report.to_string().contains("NOT EXACT"));
    }
}
