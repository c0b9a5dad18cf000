//! What follows when a child has not started, stopped or died in time.

use std::time::Duration;

use super::supervisor::{Activity, Deadline, DeadlinePurpose};
use super::{ChildKey, ExitCause, Machine, Reason, Report, Shutdown, Status, Timer};

impl<H, R: Reason> Machine<H, R> {
    pub(super) fn handle_deadline(&mut self, timer: Timer, now: Duration) {
        let Some(deadline) = self.deadline.filter(|deadline| deadline.timer == timer) else {
            return;
        };
        self.deadline = None;
        match self.activity.clone() {
            Activity::StartAll { starting: key }
            | Activity::StartGroup { starting: key }
            | Activity::StartForCall { child: key, .. }
            | Activity::RestartOne { child: key }
            | Activity::StopGroup { stopping: key, .. }
            | Activity::TerminateForCall { child: key, .. } => {
                self.overdue(key, deadline, false, now)
            }
            Activity::StopAll {
                cause,
                stopping,
                next,
            } => {
                let abandon = self.flags.abandon_hung;
                self.overdue(stopping, deadline, abandon, now);
                if abandon && deadline.purpose == DeadlinePurpose::Hung {
                    self.stop_all_from(next, cause, now);
                }
            }
            Activity::StopTogether { cause, .. } => self.overdue_together(cause, deadline, now),
            Activity::NotBegun | Activity::Idle | Activity::Ended => {}
        }
    }

    /// One child has not started, stopped or died in time.
    fn overdue(&mut self, key: ChildKey, deadline: Deadline, abandon: bool, now: Duration) {
        self.kill_overdue(key, deadline, abandon);
        if deadline.purpose != DeadlinePurpose::Hung {
            self.expect_end_of_killed(now);
        }
    }

    fn kill_overdue(&mut self, key: ChildKey, deadline: Deadline, abandon: bool) {
        let Some(child) = self.visit(key) else { return };
        let (id, generation) = (child.spec.id.clone(), child.generation);
        let starting = match deadline.purpose {
            DeadlinePurpose::Hung => {
                if abandon {
                    self.children.set_status(key, Status::Stopped);
                }
                return self.report(
                    key,
                    Report::Hung {
                        id,
                        generation,
                        abandoned: abandon,
                    },
                );
            }
            DeadlinePurpose::Start => {
                child.is_start_overdue = true;
                true
            }
            DeadlinePurpose::Stop => false,
        };
        self.report(
            key,
            Report::Stalled {
                id,
                generation,
                waited: deadline.waited,
                starting,
            },
        );
        self.kill(key);
    }

    /// Children that were stopped together have not ended in time.
    fn overdue_together(&mut self, cause: ExitCause<R>, deadline: Deadline, now: Duration) {
        let is_hung = deadline.purpose == DeadlinePurpose::Hung;
        let abandon = self.flags.abandon_hung && is_hung;
        let mut left = 0;
        let mut next = self.children.first();
        while let Some(key) = next {
            next = self.children.later(key);
            let Some(child) = self.visit(key).filter(|child| child.status().is_live()) else {
                continue;
            };
            left += 1;
            // Those that have all the time they need do not fall under the deadline of the others.
            if matches!(cause, ExitCause::Killed) || child.spec.shutdown != Shutdown::Infinity {
                self.kill_overdue(key, deadline, abandon);
                left -= usize::from(abandon);
            }
        }
        if !is_hung {
            self.expect_end_of_killed(now);
        }
        self.activity = Activity::StopTogether { cause, left };
        self.end_if_all_ended();
    }
}
