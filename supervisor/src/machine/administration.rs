//! The calls with which people change and inspect the children at run time, with OTP's errors.

use std::time::Duration;

use super::supervisor::Activity;
use super::{
    AdminError, Answer, CallId, ChildInfo, ChildKey, ChildSpec, Machine, Reason, Request, Status,
    Strategy, Target,
};

impl<H, R: Reason> Machine<H, R> {
    pub(super) fn handle_request(&mut self, call: CallId, request: Request<H>, now: Duration) {
        match request {
            Request::StartChild { spec, handle } => match self.admit(*spec, handle) {
                Ok(child) => {
                    self.activity = Activity::StartForCall {
                        call,
                        child,
                        added: true,
                    };
                    self.start(child, now);
                }
                Err(error) => self.reply(call, Err(error)),
            },
            Request::TerminateChild(target) => match self.find(&target) {
                Ok(child) => self.terminate_for_call(call, child, now),
                // A dynamic child that is gone has been terminated already.
                Err(AdminError::NotFound) if self.is_dynamic() => {
                    self.reply(call, Ok(Answer::Done))
                }
                Err(error) => self.reply(call, Err(error)),
            },
            Request::RestartChild(target) => match self.find_without_instance(&target) {
                Ok(child) => {
                    self.activity = Activity::StartForCall {
                        call,
                        child,
                        added: false,
                    };
                    self.start(child, now);
                }
                Err(error) => self.reply(call, Err(error)),
            },
            Request::DeleteChild(target) => {
                let result = self.find_without_instance(&target).map(|child| {
                    self.remove_child(child);
                    Answer::Done
                });
                self.reply(call, result);
            }
            Request::WhichChildren => {
                let children = self
                    .children
                    .iter_in_start_order()
                    .map(|(key, child)| ChildInfo {
                        id: child.spec.id.clone(),
                        key,
                        status: child.status(),
                        role: child.spec.role,
                    });
                let children = Answer::Children(children.collect());
                self.reply(call, Ok(children));
            }
            Request::CountChildren => {
                let counts = self.children.counts();
                self.reply(call, Ok(Answer::Counts(counts)));
            }
        }
    }

    fn is_dynamic(&self) -> bool {
        self.flags.strategy == Strategy::Dynamic
    }

    fn admit(&mut self, spec: ChildSpec, handle: H) -> Result<ChildKey, AdminError<R>> {
        spec.check(self.flags.auto_shutdown)
            .map_err(AdminError::Invalid)?;
        if let Some(present) = self.children.by_id(&spec.id) {
            let status = self.visit(present).map(|child| child.status());
            return Err(match status {
                Some(Status::Stopped | Status::AwaitingGroup | Status::Restarting) | None => {
                    AdminError::AlreadyPresent
                }
                Some(_) => AdminError::AlreadyStarted(present),
            });
        }
        if self
            .flags
            .max_children
            .is_some_and(|most| self.children.len() >= most)
        {
            return Err(AdminError::MaxChildren);
        }
        // The only other cause to refuse is that a table of u32::MAX children is full.
        self.children
            .push(spec, handle)
            .ok_or(AdminError::MaxChildren)
    }

    fn find(&mut self, target: &Target) -> Result<ChildKey, AdminError<R>> {
        match target {
            Target::Id(_) if self.is_dynamic() => Err(AdminError::Dynamic),
            Target::Id(id) => self.children.by_id(id).ok_or(AdminError::NotFound),
            Target::Key(key) => self.visit(*key).map(|_| *key).ok_or(AdminError::NotFound),
        }
    }

    /// The child to restart or delete: one that does not run and is not about to.
    fn find_without_instance(&mut self, target: &Target) -> Result<ChildKey, AdminError<R>> {
        if self.is_dynamic() {
            return Err(AdminError::Dynamic);
        }
        let key = self.find(target)?;
        match self.visit(key).map(|child| child.status()) {
            None => Err(AdminError::NotFound),
            Some(Status::Stopped | Status::AwaitingGroup) => Ok(key),
            Some(Status::Restarting) => Err(AdminError::Restarting),
            Some(Status::Starting | Status::Running | Status::Stopping | Status::Ended) => {
                Err(AdminError::Running)
            }
        }
    }
}
