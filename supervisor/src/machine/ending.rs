//! How the supervisor ends: children one after the other in reverse start order, or together (dynamic ones and equal ones), or killed.

use std::time::Duration;

use super::stopping::Stopping;
use super::supervisor::{Activity, DeadlinePurpose};
use super::{
    AdminError, ChildKey, Command, ExitCause, Machine, Reason, Shutdown, Status, Strategy,
};

impl<H, R: Reason> Machine<H, R> {
    /// Stops everything in order. What the supervisor is doing is given up; a child that is being started or stopped
    /// just now ends first.
    pub(super) fn begin_shutdown(&mut self, cause: ExitCause<R>, now: Duration) {
        let busy_with = match self.activity {
            Activity::StopAll { .. } | Activity::StopTogether { .. } | Activity::Ended => return,
            Activity::NotBegun | Activity::Idle => None,
            Activity::StartAll { starting } | Activity::StartGroup { starting } => Some(starting),
            Activity::RestartOne { child } => Some(child),
            Activity::StopGroup { stopping, .. } => Some(stopping),
            Activity::StartForCall { call, child, .. }
            | Activity::TerminateForCall { call, child } => {
                self.reply(call, Err(AdminError::ShuttingDown));
                Some(child)
            }
        };
        self.refuse_waiting_calls();
        if self.flags.strategy == Strategy::Dynamic || self.flags.stop_together {
            return self.stop_together(cause, now);
        }
        let last = self.children.last();
        if let Some(stopping) = busy_with
            && self.stop(stopping, now) == Stopping::Waits
        {
            self.activity = Activity::StopAll {
                cause,
                stopping,
                next: last,
            };
            return;
        }
        self.stop_all_from(last, cause, now);
    }

    pub(super) fn stop_all_from(
        &mut self,
        next: Option<ChildKey>,
        cause: ExitCause<R>,
        now: Duration,
    ) {
        let mut next = next;
        while let Some(key) = next {
            next = self.children.earlier(key);
            if self.stop(key, now) == Stopping::Waits {
                self.activity = Activity::StopAll {
                    cause,
                    stopping: key,
                    next,
                };
                return;
            }
            self.children.set_status(key, Status::Stopped);
        }
        self.end(cause);
    }

    /// OTP's `terminate_dynamic_children/1`: all at once, under the longest of their deadlines.
    fn stop_together(&mut self, cause: ExitCause<R>, now: Duration) {
        self.clear_deadline();
        let mut left = 0;
        let mut longest: Option<Duration> = None;
        let mut next = self.children.first();
        while let Some(key) = next {
            next = self.children.later(key);
            let Some(child) = self.visit(key) else {
                continue;
            };
            let (status, shutdown) = (child.status(), child.spec.shutdown);
            if !status.is_live() {
                self.stop(key, now);
                self.children.set_status(key, Status::Stopped);
                continue;
            }
            left += 1;
            if let Shutdown::Timeout(after) = shutdown {
                longest = Some(longest.map_or(after, |longest| longest.max(after)));
            }
            if status != Status::Stopping {
                self.order_to_end(key);
            }
        }
        match longest {
            Some(after) if left > 0 => self.set_deadline(DeadlinePurpose::Stop, after, now),
            None if left > 0 => self.expect_end_of_killed(now),
            _ => {}
        }
        self.activity = Activity::StopTogether { cause, left };
        self.end_if_all_ended();
    }

    pub(super) fn end_if_all_ended(&mut self) {
        if let Activity::StopTogether { left: 0, cause } = &self.activity {
            let cause = cause.clone();
            self.end(cause);
        }
    }

    /// Kills all children together.
    pub(super) fn begin_kill(&mut self, now: Duration) {
        match self.activity {
            Activity::Ended
            | Activity::StopTogether {
                cause: ExitCause::Killed,
                ..
            } => return,
            Activity::StartForCall { call, .. } | Activity::TerminateForCall { call, .. } => {
                self.reply(call, Err(AdminError::ShuttingDown));
            }
            _ => {}
        }
        self.refuse_waiting_calls();
        self.clear_deadline();
        let mut left = 0;
        let mut next = self.children.first();
        while let Some(key) = next {
            next = self.children.later(key);
            if self
                .visit(key)
                .is_some_and(|child| child.status().is_live())
            {
                left += 1;
                self.children.set_status(key, Status::Stopping);
                self.kill(key);
            } else {
                self.stop(key, now);
                self.children.set_status(key, Status::Stopped);
            }
        }
        self.expect_end_of_killed(now);
        self.activity = Activity::StopTogether {
            cause: ExitCause::Killed,
            left,
        };
        self.end_if_all_ended();
    }

    pub(super) fn end(&mut self, cause: ExitCause<R>) {
        self.clear_deadline();
        self.activity = Activity::Ended;
        self.command(Command::Exit(cause));
    }
}
