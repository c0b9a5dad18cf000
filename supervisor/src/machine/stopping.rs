//! How one child ends on the supervisor's orders, and what goes on when it has.

use std::time::Duration;

use super::supervisor::{Activity, DeadlinePurpose};
use super::{
    Answer, CallId, ChildKey, Command, ExitCause, ExitClass, Machine, Mark, Reason, Report,
    Restart, Shutdown, Status, Strategy,
};

/// Whether a child that is to be stopped has to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    /// Its exit will be an event.
    Waits,
    /// It has no incarnation (any more).
    Done,
}

impl<H, R: Reason> Machine<H, R> {
    /// Asks a child to stop or kills it, as its spec says, and sets the deadline.
    pub(super) fn stop(&mut self, key: ChildKey, now: Duration) -> Stopping {
        let Some(child) = self.visit(key) else {
            return Stopping::Done;
        };
        let shutdown = child.spec.shutdown;
        match child.status() {
            Status::Starting | Status::Running => {
                self.clear_deadline();
                self.order_to_end(key);
                match shutdown {
                    Shutdown::Timeout(after) => {
                        self.set_deadline(DeadlinePurpose::Stop, after, now)
                    }
                    Shutdown::BrutalKill => self.expect_end_of_killed(now),
                    Shutdown::Infinity => {}
                }
                Stopping::Waits
            }
            Status::Stopping => Stopping::Waits,
            Status::Ended => {
                // It died before it was its turn: that death is this stop, and is not handled again.
                if let Some(reason) = child.ended_with.take() {
                    self.report_stop(key, reason);
                }
                Stopping::Done
            }
            Status::Restarting => {
                self.cancel_backoff(key);
                Stopping::Done
            }
            Status::Stopped | Status::AwaitingGroup => Stopping::Done,
        }
    }

    pub(super) fn order_to_end(&mut self, key: ChildKey) {
        let Some(child) = self.visit(key) else { return };
        let generation = child.generation;
        let command = match child.spec.shutdown {
            Shutdown::BrutalKill => Command::Kill {
                child: key,
                generation,
            },
            Shutdown::Timeout(_) | Shutdown::Infinity => Command::Stop {
                child: key,
                generation,
            },
        };
        self.children.set_status(key, Status::Stopping);
        self.command(command);
    }

    pub(super) fn kill(&mut self, key: ChildKey) {
        let Some(child) = self.visit(key) else { return };
        let generation = child.generation;
        self.command(Command::Kill {
            child: key,
            generation,
        });
    }

    pub(super) fn expect_end_of_killed(&mut self, now: Duration) {
        if let Some(after) = self.flags.hung_after {
            self.set_deadline(DeadlinePurpose::Hung, after, now);
        }
    }

    fn report_stop(&mut self, key: ChildKey, reason: R) {
        let Some(child) = self.children.get(key) else {
            return;
        };
        let (id, generation) = (child.spec.id.clone(), child.generation);
        let is_killed_with_all = matches!(
            self.activity,
            Activity::StopTogether {
                cause: ExitCause::Killed,
                ..
            }
        );
        let is_expected = child
            .spec
            .shutdown
            .is_expected(reason.class(), child.spec.restart);
        let report = match is_expected || is_killed_with_all {
            true => Report::Stopped { id, generation },
            false => Report::StoppedBadly {
                id,
                generation,
                reason,
            },
        };
        self.report(key, report);
    }

    /// A child that had been told to stop has ended.
    pub(super) fn handle_stopped(&mut self, key: ChildKey, reason: R, now: Duration) {
        if reason.class() == ExitClass::Failure
            && let Some(child) = self.visit(key)
        {
            child.record_failure(now, reason.clone());
        }
        self.report_stop(key, reason);
        self.proceed_after_stop(key, now);
    }

    /// A child that had been told to stop declined to start instead.
    pub(super) fn handle_stopped_without_reason(&mut self, key: ChildKey, now: Duration) {
        let Some(child) = self.visit(key) else { return };
        let (id, generation) = (child.spec.id.clone(), child.generation);
        self.report(key, Report::Stopped { id, generation });
        self.proceed_after_stop(key, now);
    }

    fn proceed_after_stop(&mut self, key: ChildKey, now: Duration) {
        self.children.set_status(key, Status::Stopped);
        if let Activity::StopTogether { left, .. } = &mut self.activity {
            *left = left.saturating_sub(1);
            return self.end_if_all_ended();
        }
        match self.activity.clone() {
            Activity::StopGroup {
                origin,
                then,
                stopping,
            } if stopping == key => {
                self.clear_deadline();
                let next = self.children.earlier(key);
                self.leave_in_group(key);
                self.stop_group_from(next, origin, then, now);
            }
            Activity::TerminateForCall { call, child } if child == key => {
                self.clear_deadline();
                self.activity = Activity::Idle;
                self.settle_terminated(key);
                self.reply(call, Ok(Answer::Done));
            }
            Activity::StopAll {
                cause,
                stopping,
                next,
            } if stopping == key => {
                self.clear_deadline();
                self.stop_all_from(next, cause, now);
            }
            _ => {}
        }
    }

    pub(super) fn terminate_for_call(&mut self, call: CallId, key: ChildKey, now: Duration) {
        let Some(status) = self.visit(key).map(|child| child.status()) else {
            return;
        };
        match self.stop(key, now) {
            Stopping::Waits => self.activity = Activity::TerminateForCall { call, child: key },
            Stopping::Done => {
                if status == Status::Restarting && self.flags.strategy.restarts_siblings() {
                    self.leave_group_stopped(key);
                }
                if status != Status::Stopped {
                    self.settle_terminated(key);
                }
                self.reply(call, Ok(Answer::Done));
            }
        }
    }

    fn settle_terminated(&mut self, key: ChildKey) {
        let Some(child) = self.visit(key) else { return };
        if child.spec.restart == Restart::Temporary || self.flags.strategy == Strategy::Dynamic {
            return self.remove_child(key);
        }
        self.children.set_status(key, Status::Stopped);
        self.command(Command::Mark {
            child: key,
            mark: Mark::Stopped,
        });
    }
}
