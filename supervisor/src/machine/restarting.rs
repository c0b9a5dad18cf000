//! What follows when a child ended by itself: OTP's `do_restart/3` and `restart/2`.

use std::time::Duration;

use super::command::TimerSubject;
use super::supervisor::{Activity, AfterGroupStop};
use super::{
    ChildKey, Command, ExitCause, ExitClass, Limit, Machine, Mark, QueueFate, Reason, Report,
    Status, Strategy, Verdict,
};

impl<H, R: Reason> Machine<H, R> {
    /// Applies the policy to a child that ended by itself.
    pub(super) fn decide_about_exit(&mut self, key: ChildKey, now: Duration) {
        let Some(child) = self.visit(key) else { return };
        let Some(reason) = child.ended_with.take() else {
            return;
        };
        let class = reason.class();
        let verdict = child.spec.restart.verdict(class);
        if verdict == Verdict::Restart || !matches!(class, ExitClass::Normal | ExitClass::Shutdown)
        {
            child.record_failure(now, reason.clone());
        }
        let (id, generation, significant) = (
            child.spec.id.clone(),
            child.generation,
            child.spec.significant,
        );
        self.report(
            key,
            Report::Exited {
                id: id.clone(),
                generation,
                reason,
            },
        );
        match verdict {
            Verdict::Restart => {
                self.note_failure_after_running(key, now);
                self.children.set_status(key, Status::Restarting);
                self.command(Command::Mark {
                    child: key,
                    mark: Mark::Restarting,
                });
                self.discard_queue_if(key, |spec| spec.queue_on_own_restart);
                self.restart_or_give_up(key, now);
                return;
            }
            Verdict::Stay if self.flags.strategy != Strategy::Dynamic => {
                self.children.set_status(key, Status::Stopped);
                self.command(Command::Mark {
                    child: key,
                    mark: Mark::Stopped,
                });
            }
            Verdict::Stay | Verdict::Remove => self.remove_child(key),
        }
        let significant_left = self.children.significant_present();
        if self
            .flags
            .auto_shutdown
            .ends_with(significant, significant_left)
        {
            self.report(key, Report::AutoShutdown { id: id.clone() });
            self.begin_shutdown(ExitCause::AutoShutdown { id }, now);
        }
    }

    /// Counts one more restart; then restarts at once, after the backoff, or never again.
    pub(super) fn restart_or_give_up(&mut self, key: ChildKey, now: Duration) {
        let within_intensity = self.restart_log.admits(now);
        let random = self.random.next();
        let Some(child) = self.visit(key) else { return };
        let failures_in_a_row = child.failures_in_a_row;
        let failing_for = now.saturating_sub(child.failing_since.unwrap_or(now));
        let backoff = child.spec.backoff.clone();
        let most_in_a_row = backoff.as_ref().and_then(|backoff| backoff.max_consecutive);
        let longest = backoff.as_ref().and_then(|backoff| backoff.give_up_after);
        if !within_intensity {
            return self.give_up(key, Limit::Intensity, now);
        }
        if most_in_a_row.is_some_and(|most| failures_in_a_row > most) {
            return self.give_up(key, Limit::Consecutive, now);
        }
        if longest.is_some_and(|longest| failing_for >= longest) {
            return self.give_up(key, Limit::Time, now);
        }
        let delay = backoff.map_or(Duration::ZERO, |backoff| {
            backoff.delay(failures_in_a_row, random)
        });
        let id = self.id_of(key);
        self.report(
            key,
            Report::Restarting {
                id,
                after: delay,
                failures_in_a_row,
            },
        );
        if delay.is_zero() {
            return self.attempt_restart(key, now);
        }
        let timer = self.set_timer(TimerSubject::Backoff(key), now.saturating_add(delay));
        if let Some(child) = self.visit(key) {
            child.backoff_timer = Some(timer);
        }
        if self.flags.strategy.restarts_siblings() {
            // The group is down as a whole while the delay runs: nobody works with half of it.
            self.stop_group(key, AfterGroupStop::Wait, now);
        }
    }

    /// One attempt to start the child again, with the siblings that the strategy names.
    pub(super) fn attempt_restart(&mut self, key: ChildKey, now: Duration) {
        self.cancel_backoff(key);
        match self.flags.strategy {
            Strategy::OneForOne | Strategy::Dynamic => {
                self.activity = Activity::RestartOne { child: key };
                if let Some(child) = self.visit(key) {
                    child.restarts += 1;
                }
                self.start(key, now);
            }
            Strategy::OneForAll | Strategy::RestForOne => {
                self.stop_group(key, AfterGroupStop::Start, now)
            }
        }
    }

    fn give_up(&mut self, key: ChildKey, limit: Limit, now: Duration) {
        let Some(child) = self.visit(key) else { return };
        let id = child.spec.id.clone();
        let Some(reason) = child.failures().last().map(|failed| failed.reason.clone()) else {
            return;
        };
        self.children.set_status(key, Status::Stopped);
        self.report(
            key,
            Report::Escalated {
                id: id.clone(),
                limit,
                reason: reason.clone(),
            },
        );
        self.begin_shutdown(ExitCause::Escalated { id, limit, reason }, now);
    }

    /// Whether the child had been healthy decides whether this failure is the first in a row.
    fn note_failure_after_running(&mut self, key: ChildKey, now: Duration) {
        let intensity_period = self.flags.intensity.period;
        let Some(child) = self.visit(key) else { return };
        let ran_for = now.saturating_sub(child.started_at);
        let healthy = child
            .spec
            .backoff
            .as_ref()
            .map_or(intensity_period, |backoff| backoff.reset_after);
        if ran_for >= healthy {
            child.failures_in_a_row = 0;
            child.failing_since = None;
        }
        child.failing_since.get_or_insert(now);
        child.failures_in_a_row = child.failures_in_a_row.saturating_add(1);
    }

    pub(super) fn discard_queue_if(
        &mut self,
        key: ChildKey,
        fate: impl FnOnce(&super::ChildSpec) -> QueueFate,
    ) {
        if self
            .visit(key)
            .is_some_and(|child| fate(&child.spec) == QueueFate::DeadLetters)
        {
            self.command(Command::DiscardQueue { child: key });
        }
    }

    pub(super) fn cancel_backoff(&mut self, key: ChildKey) {
        if let Some(timer) = self.visit(key).and_then(|child| child.backoff_timer.take()) {
            self.command(Command::CancelTimer { timer });
        }
    }

    pub(super) fn id_of(&mut self, key: ChildKey) -> std::sync::Arc<str> {
        self.visit(key)
            .map_or_else(|| "".into(), |child| child.spec.id.clone())
    }
}
