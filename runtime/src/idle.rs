//! Giving back the memory of mailboxes that have become idle.
//!
//! A mailbox takes its first block at its first message and keeps it between messages, because an actor that is asked one
//! question after the other would otherwise allocate for each. An actor that parks with a block gets on the list of its
//! system. Every [`SWEEP_INTERVAL`] the list is gone through: who has handled nothing since the sweep before is told to
//! give its memory back, and leaves the list. There is a sweeping task only while there is a list.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::runtime::Handle;

use crate::{
    cell::{Cell, order},
    sync_ext::MutexExt,
};

/// Who was idle at two sweeps gives its memory back: after one to two intervals.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The actors of one system that may have memory to give back.
#[derive(Default)]
pub(crate) struct IdleList {
    state: Mutex<IdleState>,
}

#[derive(Default)]
struct IdleState {
    listed: Vec<Listed>,
    is_swept: bool,
}

struct Listed {
    mailbox: Weak<dyn Trimmed>,
    /// How many messages had been handled at the last sweep.
    handled: u64,
}

trait Trimmed: Send + Sync {
    fn handled(&self) -> u64;
    /// It is off the list, and on it again when it next parks with memory.
    fn trim(&self);
}

impl<M: Send + 'static> Trimmed for Cell<M> {
    fn handled(&self) -> u64 {
        self.core.handled()
    }

    fn trim(&self) {
        self.core.set_listed(false);
        self.core.give_order(order::TRIM);
        self.queue.signal().wake();
    }
}

impl IdleList {
    /// Puts an actor on the list. The caller has made sure that it is not on it. Outside a tokio runtime nobody sweeps.
    pub(crate) fn add<M: Send + 'static>(self: &Arc<Self>, cell: &Arc<Cell<M>>) {
        let mailbox: Weak<dyn Trimmed> = Arc::downgrade(cell) as Weak<dyn Trimmed>;
        let mut state = self.state.locked();
        state.listed.push(Listed {
            mailbox,
            handled: cell.core.handled(),
        });
        if !state.is_swept
            && let Ok(runtime) = Handle::try_current()
        {
            state.is_swept = true;
            // A runtime that shuts down drops the task at once, and the sweeper's drop takes the lock.
            drop(state);
            let sweeper = Sweeper {
                list: Arc::downgrade(self),
            };
            runtime.spawn(sweeper.run());
        }
    }

    /// True: somebody is still on the list.
    fn sweep(&self) -> bool {
        let mut idle = Vec::new();
        let goes_on = {
            let mut state = self.state.locked();
            state.listed.retain_mut(|listed| {
                let Some(mailbox) = listed.mailbox.upgrade() else {
                    return false;
                };
                let handled = mailbox.handled();
                if handled == listed.handled {
                    idle.push(mailbox);
                    return false;
                }
                listed.handled = handled;
                true
            });
            if state.listed.is_empty() {
                state.listed = Vec::new();
                state.is_swept = false;
            }
            state.is_swept
        };
        // Outside the lock: waking is the executor's code.
        for mailbox in idle {
            mailbox.trim();
        }
        goes_on
    }
}

/// The sweeping task. If its runtime is dropped, the next actor that gets on the list starts another one.
struct Sweeper {
    list: Weak<IdleList>,
}

impl Sweeper {
    async fn run(self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let Some(list) = self.list.upgrade() else {
                return;
            };
            if !list.sweep() {
                return;
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(list) = self.list.upgrade() {
            let mut state = list.state.locked();
            if !state.listed.is_empty() {
                state.is_swept = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Actor, Context, Failure, System};

    struct Idle;

    impl Actor for Idle {
        type Msg = ();
        type Error = Failure;

        async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_actor_that_parks_while_its_runtime_shuts_down_gets_on_the_list_and_goes_on() {
        let system = System::new("test");
        let actor = system.spawn(Idle);
        // From outside, as on a thread of its own: a runtime cannot be dropped inside another one.
        let added = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("one thread");
            let handle = runtime.handle().clone();
            drop(runtime);
            let _entered = handle.enter();
            system.idle_list().add(&actor.cell);
            let state = system.idle_list().state.locked();
            (state.listed.len(), state.is_swept)
        });
        assert_eq!(added.join().expect("no panic"), (1, false));
    }
}
