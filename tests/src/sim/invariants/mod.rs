//! What has to hold after every step of every machine. One property, one file, one source.

mod accusations_are_refuted;
mod answers_are_bounded;
mod down_is_terminal;
mod down_needs_a_verdict;
mod incarnation_never_decreases;
mod newest_boot_stays;
mod nobody_accuses_itself;
mod notices_are_bounded;
mod notices_arrive_once;
mod only_the_subject_raises_its_incarnation;
mod packets_fit;
mod pauses_are_real;
mod retransmits_are_bounded;
mod timers_lie_ahead;
mod versions_are_understood;

use std::fmt::Debug;
use std::time::Duration;

use treewarden_cluster::membership::wire::Packet;
use treewarden_cluster::membership::{Event, Machine, MemberInfo, Notice, Transmit};

use super::truth::Truth;

/// What a machine has just done.
#[derive(Debug)]
pub struct Step<'a> {
    /// When.
    pub now: Duration,
    /// Whose machine, by index.
    pub node: usize,
    /// Whether the process was ever stopped or slow.
    pub disturbed: bool,
    /// The machine, afterwards.
    pub machine: &'a Machine,
    /// Its table, afterwards.
    pub rows: &'a [MemberInfo],
    /// The packet that it handled, if that was the step.
    pub received: Option<&'a Packet>,
    /// What it sent.
    pub sent: &'a [Transmit],
    /// What it told.
    pub events: &'a [Event],
    /// The notices that arrived.
    pub notices: &'a [Notice],
    /// What is the case.
    pub truth: &'a Truth,
}

/// A property of every step.
pub trait Invariant: Debug + Send {
    /// Its name, that of its file.
    fn name(&self) -> &'static str;
    /// Looks at a step.
    ///
    /// # Errors
    /// What was seen, when the property does not hold.
    fn check(&mut self, step: &Step<'_>) -> Result<(), String>;
}

/// All of them, with nothing seen so far.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(accusations_are_refuted::AccusationsAreRefuted),
        Box::new(answers_are_bounded::AnswersAreBounded),
        Box::new(down_is_terminal::DownIsTerminal::default()),
        Box::new(down_needs_a_verdict::DownNeedsAVerdict),
        Box::new(incarnation_never_decreases::IncarnationNeverDecreases::default()),
        Box::new(newest_boot_stays::NewestBootStays::default()),
        Box::new(nobody_accuses_itself::NobodyAccusesItself),
        Box::new(notices_arrive_once::NoticesArriveOnce::default()),
        Box::new(notices_are_bounded::NoticesAreBounded),
        Box::new(only_the_subject_raises_its_incarnation::OnlyTheSubjectRaisesItsIncarnation),
        Box::new(packets_fit::PacketsFit),
        Box::new(pauses_are_real::PausesAreReal),
        Box::new(retransmits_are_bounded::RetransmitsAreBounded),
        Box::new(timers_lie_ahead::TimersLieAhead::default()),
        Box::new(versions_are_understood::VersionsAreUnderstood),
    ]
}
