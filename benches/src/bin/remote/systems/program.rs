//! A program that measures itself and prints a line for each figure.

use std::error::Error;
use std::process::{Command, Stdio};

use crate::load::Figure;

pub(crate) fn figures_of(command: &mut Command) -> Result<Vec<Figure>, Box<dyn Error>> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let output = String::from_utf8(output.stdout)?;
    let figures: Vec<_> = output.lines().filter_map(figure).collect();
    match figures.is_empty() {
        false => Ok(figures),
        true => Err(format!("{:?} says: {output}", command.get_program()).into()),
    }
}

/// What one line says.
fn figure(line: &str) -> Option<Figure> {
    let (kind, value) = line.split_once(' ')?;
    let value = value.trim().parse().ok()?;
    match kind {
        "rate" => Some(Figure::Rate(value)),
        "us" => Some(Figure::Latency(value)),
        "us-alone" => Some(Figure::LatencyAlone(value)),
        "sender-bytes" => Some(Figure::SenderBytes(value)),
        "receiver-bytes" => Some(Figure::ReceiverBytes(value)),
        _ => None,
    }
}
