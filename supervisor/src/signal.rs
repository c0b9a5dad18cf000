//! The signals with which people and service managers end a program (feature `signal`). Nothing is installed before it is asked for.

use std::io;

/// Which signal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Ctrl-C at a terminal (`SIGINT`).
    Interrupt,
    /// What service managers send (`SIGTERM`; on other systems than Unix it never comes).
    Terminate,
}

/// Resolves at the next `SIGTERM` or Ctrl-C. From the first call on, and for the rest of the life of the process, these do not end it by
/// themselves: whoever calls this has to end it. A second signal ends nothing unless somebody waits for it, as here:
///
/// ```no_run
/// # async fn run(tree: treewarden_supervisor::Tree) -> std::io::Result<()> {
/// use treewarden_supervisor::terminated;
///
/// let signal = terminated().await?;
/// println!("{signal:?}: shutting down; once more, and everything is killed");
/// tokio::select! {
///     report = tree.shutdown() => println!("{report}"),
///     Ok(_) = terminated() => {
///         tree.kill();
///         println!("ended: {}", tree.wait().await);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// A kill lands at the next await; code that blocks its thread is waited for even so, unless the program ends with `std::process::exit`.
///
/// # Errors
///
/// If the operating system does not let the signals be handled.
///
/// # Panics
///
/// Outside a tokio runtime with I/O.
pub async fn terminated() -> io::Result<Signal> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Signal::Interrupt),
            _ = terminate.recv() => Ok(Signal::Terminate),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.map(|()| Signal::Interrupt)
    }
}
