//! How the siblings of a failed child fall and rise with it: stopped in reverse start order, started in start order
//! (OTP: `restart_multiple_children/3`).

use std::time::Duration;

use super::planted::PlantedBug;
use super::stopping::Stopping;
use super::supervisor::{Activity, AfterGroupStop};
use super::{ChildKey, Command, Machine, Mark, Reason, Restart, Status, Strategy};

impl<H, R: Reason> Machine<H, R> {
    /// Stops the siblings that fall with `origin`, in reverse start order.
    pub(super) fn stop_group(&mut self, origin: ChildKey, then: AfterGroupStop, now: Duration) {
        let last = self.children.last();
        self.stop_group_from(last, origin, then, now);
    }

    pub(super) fn stop_group_from(
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
    pub(super) fn leave_in_group(&mut self, key: ChildKey) {
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

    /// The restart of a group is cancelled: siblings that it had not reached stay without an instance, as in OTP.
    pub(super) fn leave_group_stopped(&mut self, origin: ChildKey) {
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
}
