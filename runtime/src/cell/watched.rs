//! An address whose handlers are watched: how a run loop for it is made, the first and those that follow one that was given up.

use std::{
    future::Future,
    sync::{Arc, Mutex, mpsc},
};

use tokio::runtime::Handle;

use super::{Cell, run::host, starter::Factory};
use crate::{
    actor::Actor,
    context::Init,
    exit::{ExitReason, Suspect},
    host::Life,
    sync_ext::MutexExt,
    watchdog::{Guarded, Overrun, Post},
};

pub(crate) struct WatchedAddress<A: Actor, F> {
    cell: Arc<Cell<A::Msg>>,
    factory: Arc<Mutex<F>>,
    post: Arc<Post>,
    runtime: Handle,
}

impl<A, F, Fut> WatchedAddress<A, F>
where
    A: Actor,
    F: FnMut(Init<A::Msg>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<A>, A::Error>> + Send + 'static,
{
    pub(crate) fn new(
        cell: Arc<Cell<A::Msg>>,
        factory: F,
        post: Arc<Post>,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            cell,
            factory: Arc::new(Mutex::new(factory)),
            post,
            runtime,
        })
    }

    /// The run loop of the current generation.
    pub(crate) fn host(&self) -> impl Future<Output = ()> + Send + use<A, F, Fut> {
        // Shared, because one run loop after the other may need it.
        let factory = self.factory.clone();
        let factory = Factory(move |init| (factory.locked())(init));
        host::<A, _, _>(self.cell.clone(), factory, self.post.take())
    }
}

impl<A, F, Fut> Guarded for WatchedAddress<A, F>
where
    A: Actor,
    F: FnMut(Init<A::Msg>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<A>, A::Error>> + Send + 'static,
{
    fn path(&self) -> Arc<str> {
        self.cell.core.path()
    }

    fn report(&self, overrun: Overrun) {
        let core = &self.cell.core;
        let incarnation = core.incarnation();
        self.cell.core.report(Life::Overran {
            incarnation,
            overrun,
        });
    }

    fn wake(&self) {
        self.cell.queue.signal().wake();
    }

    fn rescue(&self, overrun: &Overrun, take: &dyn Fn() -> bool) -> bool {
        // The thread comes first: an address that was taken and is served by nobody would be lost.
        type Serve = Box<dyn FnOnce() + Send>;
        let (send, receive) = mpsc::sync_channel::<Serve>(1);
        let spawned = std::thread::Builder::new()
            .name(self.path().to_string())
            .spawn(move || {
                if let Ok(serve) = receive.recv() {
                    serve();
                }
            });
        if spawned.is_err() || !take() {
            return false;
        }
        let core = &self.cell.core;
        let incarnation = core.incarnation();
        core.no_longer_runs();
        core.set_last_exit(incarnation, ExitReason::Hung);
        self.cell.settle_stash();
        let (runtime, host) = (self.runtime.clone(), self.host());
        // The thread waits for it.
        let _ = send.send(Box::new(move || runtime.block_on(host)));
        self.report(overrun.clone());
        core.report(Life::Exited {
            incarnation,
            reason: ExitReason::Hung,
            suspect: Some(Suspect {
                sequence: core.handled(),
                label: overrun.label,
                context: None,
            }),
        });
        true
    }
}
