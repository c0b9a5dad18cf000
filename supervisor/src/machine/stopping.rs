//! How children end on the supervisor's orders: one after the other in reverse start order, or together (dynamic).

use std::time::Duration;

use super::planted::PlantedBug;
use super::supervisor::{Activity, AfterGroupStop, Deadline, DeadlinePurpose};
use super::{
    AdminError, Answer, ChildKey, Command, ExitCause, ExitClass, Machine, Mark, Reason, Report,
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

    fn order_to_end(&mut self, key: ChildKey) {
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

    fn kill(&mut self, key: ChildKey) {
        let Some(child) = self.visit(key) else { return };
        let generation = child.generation;
        self.command(Command::Kill {
            child: key,
            generation,
        });
    }

    fn expect_end_of_killed(&mut self, now: Duration) {
        if let Some(after) = self.flags.hung_after {
            self.set_deadline(DeadlinePurpose::Hung, after, now);
        }
    }

    fn report_stop(&mut self, key: ChildKey, reason: R) {
        let Some(child) = self.children.get(key) else {
            return;
        };
        let (id, generation) = (child.spec.id.clone(), child.generation);
        let as_ordered = child
            .spec
            .shutdown
            .is_expected(reason.class(), child.spec.restart);
        self.report(
            key,
            match as_ordered {
                true => Report::Stopped { id, generation },
                false => Report::StoppedBadly {
                    id,
                    generation,
                    reason,
                },
            },
        );
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

    // Group restarts.

    /// Stops the siblings that fall with `origin`, in reverse start order.
    pub(super) fn stop_group(&mut self, origin: ChildKey, then: AfterGroupStop, now: Duration) {
        let last = self.children.last();
        self.stop_group_from(last, origin, then, now);
    }

    fn stop_group_from(
        &mut self,
        next: Option<ChildKey>,
        origin: ChildKey,
        then: AfterGroupStop,
        now: Duration,
    ) {
        let mut next = next;
        while let Some(key) = next {
            next = self
                .children
                .earlier(key)
                .filter(|_| !self.is_group_end(key, origin));
            if key == origin {
                // It has failed already. While its backoff runs it keeps saying that it is restarting.
                if then == AfterGroupStop::Start {
                    self.children.set_status(key, Status::AwaitingGroup);
                }
                continue;
            }
            let had_just_ended = self
                .visit(key)
                .is_some_and(|child| child.status() == Status::Ended);
            match self.stop(key, now) {
                Stopping::Waits => {
                    self.activity = Activity::StopGroup {
                        origin,
                        then,
                        stopping: key,
                    };
                    return;
                }
                Stopping::Done if had_just_ended => self.leave_in_group(key),
                // It was without an instance anyway; the group restart starts it all the same, as in OTP.
                Stopping::Done => self.await_group(key),
            }
        }
        match then {
            AfterGroupStop::Start => {
                let first = match self.flags.strategy {
                    _ if self.has_bug(PlantedBug::GroupStartsInReverse) => self.children.last(),
                    Strategy::RestForOne => Some(origin),
                    _ => self.children.first(),
                };
                self.start_group_from(first, now);
            }
            AfterGroupStop::Wait => self.activity = Activity::Idle,
        }
    }

    /// Whether the group of `origin` reaches back no further than `key`.
    fn is_group_end(&self, key: ChildKey, origin: ChildKey) -> bool {
        self.flags.strategy == Strategy::RestForOne && key == origin
    }

    /// A victim of a group restart has ended.
    fn leave_in_group(&mut self, key: ChildKey) {
        self.await_group(key);
        if self.visit(key).is_some() {
            self.command(Command::Mark {
                child: key,
                mark: Mark::Restarting,
            });
            self.discard_queue_if(key, |spec| spec.queue_on_group_restart);
        }
    }

    /// Temporary children are not started again, so they leave; the others wait for their turn.
    fn await_group(&mut self, key: ChildKey) {
        let leaves = self
            .visit(key)
            .is_some_and(|child| child.spec.restart == Restart::Temporary);
        if leaves && !self.has_bug(PlantedBug::TemporaryVictimsStay) {
            self.remove_child(key);
        } else {
            self.children.set_status(key, Status::AwaitingGroup);
        }
    }

    // terminate_child.

    pub(super) fn terminate_for_call(&mut self, call: super::CallId, key: ChildKey, now: Duration) {
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

    /// The restart of a group is cancelled: siblings that it had not reached stay without an instance, as in OTP.
    fn leave_group_stopped(&mut self, origin: ChildKey) {
        let mut next = match self.flags.strategy {
            Strategy::RestForOne => Some(origin),
            _ => self.children.first(),
        };
        while let Some(key) = next {
            next = self.children.later(key);
            if self
                .visit(key)
                .is_some_and(|child| child.status() == Status::AwaitingGroup)
            {
                self.children.set_status(key, Status::Stopped);
                self.command(Command::Mark {
                    child: key,
                    mark: Mark::Stopped,
                });
            }
        }
    }

    // The end of the supervisor.

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
        if self.flags.strategy == Strategy::Dynamic {
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

    fn stop_all_from(&mut self, next: Option<ChildKey>, cause: ExitCause<R>, now: Duration) {
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

    fn end_if_all_ended(&mut self) {
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

    fn end(&mut self, cause: ExitCause<R>) {
        self.clear_deadline();
        self.activity = Activity::Ended;
        self.command(Command::Exit(cause));
    }

    // Deadlines.

    pub(super) fn handle_deadline(&mut self, timer: super::Timer, now: Duration) {
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
