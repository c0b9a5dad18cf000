//! The process group of one incarnation: signals to all of it, and its end.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use tokio::process::Child;

use super::reaper::Reaper;

/// How long a group that is dropped with its runtime is waited for, so that no zombie stays: so many times so long.
const DROP_WAITS: u32 = 100;
const DROP_WAIT: Duration = Duration::from_millis(1);

/// A process group whose leader has not been waited for. Dropping it kills it.
pub(super) struct Group {
    /// `None` when the group has ended.
    leader: Option<Pid>,
    reaper: Option<Arc<Reaper>>,
}

impl Group {
    /// The group that `child` leads.
    pub(super) fn of(child: &Child, reaper: Option<Arc<Reaper>>) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(Pid::from_raw);
        if let (Some(leader), Some(reaper)) = (leader, &reaper) {
            reaper.watch(leader);
        }
        Group { leader, reaper }
    }

    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The leader has ended and has been waited for: what is left of its group is killed.
    pub(super) fn end(&mut self) {
        self.kill();
        if let (Some(leader), Some(reaper)) = (self.leader.take(), &self.reaper) {
            reaper.forget(leader);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // Nobody there any more is no error: that is what was wanted.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    /// Its runtime is being dropped: there is nobody to wait for the end but this thread, so it waits a moment.
    fn drop(&mut self) {
        let Some(leader) = self.leader else {
            return;
        };
        self.kill();
        for _ in 0..DROP_WAITS {
            match waitpid(Some(leader), WaitOptions::NOHANG) {
                Ok(None) => std::thread::sleep(DROP_WAIT),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        self.end();
    }
}
