//! Who kills what is left when this process dies without a chance to do it itself: by `SIGKILL`, by the kernel, by an abort.
//!
//! A shell that reads a pipe whose other end this process alone holds. It is told of each process group that begins and ends. When the pipe
//! closes, however that comes about, it kills the groups that are left, and ends. It is in a process group of its own, so that what a terminal
//! sends does not reach it.
//!
//! Between the start of a process and the moment in which the reaper has heard of it, nobody stands in. (`PR_SET_PDEATHSIG` would leave no such
//! moment, but it exists on Linux alone, dies with the thread that started the child, and does not reach grandchildren.)

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::Pid;

use crate::sync::MutexExt;

const SCRIPT: &str = r#"
left=" "
while read -r what group; do
    case $what in
        +) left="$left$group " ;;
        -) left="${left%% $group *} ${left#* $group }" ;;
    esac
done
for group in $left; do
    kill -s KILL -- "-$group" 2>/dev/null
done
"#;

/// The reaper of one child, over all its incarnations. Begins with the first, ends when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Reaper(Mutex<Option<Child>>);

impl Reaper {
    /// Sees to it that it runs. Without one the process is started all the same.
    pub(super) fn prepare(&self) {
        let mut shell = self.0.locked();
        let runs = shell
            .as_mut()
            .is_some_and(|shell| matches!(shell.try_wait(), Ok(None)));
        if runs {
            return;
        }
        let started = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "treewarden-reaper"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match started {
            Ok(started) => *shell = Some(started),
            Err(error) => tracing::warn!(
                %error,
                "there is no reaper: should this process be killed, its children go on"
            ),
        }
    }

    /// A group has begun.
    pub(super) fn watch(&self, leader: Pid) {
        self.tell('+', leader);
    }

    /// A group has ended.
    pub(super) fn forget(&self, leader: Pid) {
        self.tell('-', leader);
    }

    fn tell(&self, what: char, leader: Pid) {
        if let Some(stdin) = self
            .0
            .locked()
            .as_mut()
            .and_then(|shell| shell.stdin.as_mut())
        {
            let line = format!("{what} {}\n", leader.as_raw_nonzero());
            if let Err(error) = stdin.write_all(line.as_bytes()) {
                tracing::warn!(%error, "the reaper has ended: should this process be killed, its children go on");
            }
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(mut shell) = self.0.locked().take() {
            // The end of its input is its end; it takes no time worth mentioning.
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }
}
