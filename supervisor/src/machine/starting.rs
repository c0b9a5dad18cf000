//! How children start: one after the other, each only when the one before has started or declined.

use std::time::Duration;

use super::planted::PlantedBug;
use super::supervisor::{Activity, DeadlinePurpose};
use super::{
    AdminError, Answer, ChildKey, Command, ExitCause, Machine, Mark, Reason, Report, Restart,
    Status, Strategy,
};

impl<H, R: Reason> Machine<H, R> {
    pub(super) fn begin_starting_all(&mut self, now: Duration) {
        let first = self.children.first();
        self.start_all_from(first, now);
    }

    fn start_all_from(&mut self, next: Option<ChildKey>, now: Duration) {
        match next {
            Some(starting) => {
                self.activity = Activity::StartAll { starting };
                self.start(starting, now);
            }
            None => {
                self.activity = Activity::Idle;
                self.command(Command::Ready);
            }
        }
    }

    /// Starts the group of a failed child, from this child on, in start order.
    pub(super) fn start_group_from(&mut self, next: Option<ChildKey>, now: Duration) {
        match next {
            Some(starting) => {
                self.activity = Activity::StartGroup { starting };
                if self.has_bug(PlantedBug::GroupCountsForEachChild) {
                    self.restart_log.admits(now);
                }
                if let Some(child) = self.visit(starting) {
                    child.restarts += u64::from(child.generation > 0);
                }
                self.start(starting, now);
            }
            None => self.activity = Activity::Idle,
        }
    }

    fn next_in_group(&self, key: ChildKey) -> Option<ChildKey> {
        match self.has_bug(PlantedBug::GroupStartsInReverse) {
            true => self.children.earlier(key),
            false => self.children.later(key),
        }
    }

    /// Commands the start of the next incarnation.
    pub(super) fn start(&mut self, key: ChildKey, now: Duration) {
        self.children.set_status(key, Status::Starting);
        let Some(child) = self.visit(key) else { return };
        child.generation += 1;
        child.is_start_overdue = false;
        let (generation, timeout) = (child.generation, child.spec.start_timeout);
        self.command(Command::Start {
            child: key,
            generation,
        });
        if let Some(timeout) = timeout {
            self.set_deadline(DeadlinePurpose::Start, timeout, now);
        }
    }

    pub(super) fn handle_started(&mut self, key: ChildKey, generation: u64, now: Duration) {
        let Some(child) = self.visit(key) else { return };
        // A child that was told to end while it started may still say that it has started. Its exit follows.
        if child.generation != generation
            || child.status() != Status::Starting
            || child.is_start_overdue
        {
            return;
        }
        child.started_at = now;
        let id = child.spec.id.clone();
        self.children.set_status(key, Status::Running);
        self.clear_deadline();
        self.report(key, Report::Started { id, generation });
        match self.activity {
            Activity::StartAll { .. } => self.start_all_from(self.children.later(key), now),
            Activity::StartGroup { .. } => self.start_group_from(self.next_in_group(key), now),
            Activity::StartForCall { call, .. } => {
                self.activity = Activity::Idle;
                self.reply(call, Ok(Answer::Started(key)));
            }
            Activity::RestartOne { .. } => self.activity = Activity::Idle,
            _ => {}
        }
    }

    /// The child declined. Its spec is kept, unless it could never be started again anyway.
    pub(super) fn handle_ignored(&mut self, key: ChildKey, generation: u64, now: Duration) {
        let Some(child) = self
            .visit(key)
            .filter(|child| child.generation == generation)
        else {
            return;
        };
        match child.status() {
            Status::Starting => {}
            // It was told to stop while it started; then this is how it ended.
            Status::Stopping => return self.handle_stopped_without_reason(key, now),
            _ => return,
        }
        let (id, restart) = (child.spec.id.clone(), child.spec.restart);
        let later = self.children.later(key);
        self.children.set_status(key, Status::Stopped);
        self.clear_deadline();
        self.report(key, Report::Ignored { id, generation });
        if restart == Restart::Temporary || self.flags.strategy == Strategy::Dynamic {
            self.remove_child(key);
        } else {
            self.command(Command::Mark {
                child: key,
                mark: Mark::Stopped,
            });
        }
        match self.activity {
            Activity::StartAll { .. } => self.start_all_from(later, now),
            Activity::StartGroup { .. } => self.start_group_from(later, now),
            Activity::StartForCall { call, .. } => {
                self.activity = Activity::Idle;
                self.reply(call, Ok(Answer::Ignored));
            }
            Activity::RestartOne { .. } => self.activity = Activity::Idle,
            _ => {}
        }
    }

    pub(super) fn handle_start_failed(&mut self, key: ChildKey, reason: R, now: Duration) {
        self.clear_deadline();
        self.children.set_status(key, Status::Stopped);
        let Some(child) = self.visit(key) else { return };
        child.record_failure(now, reason.clone());
        child.failures_in_a_row = child.failures_in_a_row.saturating_add(1);
        let (id, generation) = (child.spec.id.clone(), child.generation);
        self.report(
            key,
            Report::StartFailed {
                id: id.clone(),
                generation,
                reason: reason.clone(),
            },
        );
        match self.activity {
            // There is no retry at this level: those already started are stopped again.
            Activity::StartAll { .. } => {
                self.begin_shutdown(ExitCause::StartFailed { id, reason }, now)
            }
            Activity::StartForCall { call, added, .. } => {
                self.activity = Activity::Idle;
                if added {
                    self.remove_child(key);
                } else {
                    self.command(Command::Mark {
                        child: key,
                        mark: Mark::Stopped,
                    });
                }
                self.reply(call, Err(AdminError::StartFailed(reason)));
            }
            // Siblings of the group that have been started again keep running until the next attempt.
            Activity::RestartOne { .. } | Activity::StartGroup { .. } => {
                self.activity = Activity::Idle;
                self.children.set_status(key, Status::Restarting);
                self.command(Command::Mark {
                    child: key,
                    mark: Mark::Restarting,
                });
                self.try_again_later(key, generation);
            }
            _ => {}
        }
    }
}
