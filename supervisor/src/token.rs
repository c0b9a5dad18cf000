//! `CancellationToken` of tokio-util, in both directions (feature `cancellation`): a task hands one on to code that knows nothing of supervisors,
//! and the token of an application ends a tree.

use tokio_util::sync::CancellationToken;

use crate::child::TaskContext;
use crate::report::ShutdownReport;
use crate::tree::Tree;

impl TaskContext {
    /// A token that is cancelled when the task is to stop, for code that takes one. It costs a small task of its own, which ends with the
    /// incarnation.
    ///
    /// ```
    /// use treewarden_supervisor::Child;
    /// # async fn serve(_: tokio_util::sync::CancellationToken) -> std::io::Result<()> { Ok(()) }
    ///
    /// let child = Child::task("http", |cx| serve(cx.cancellation_token()));
    /// ```
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        let token = CancellationToken::new();
        let (orders, cancelled) = (self.orders_only(), token.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = orders.cancelled() => cancelled.cancel(),
                () = cancelled.cancelled() => {}
            }
        });
        token
    }
}

impl Tree {
    /// Shuts the tree down when `token` is cancelled, and resolves when it has ended, whoever ended it; `None` if it was not the token.
    ///
    /// ```
    /// # use tokio_util::sync::CancellationToken;
    /// # use treewarden_runtime::System;
    /// # use treewarden_supervisor::Supervisor;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = CancellationToken::new();
    /// let tree = Supervisor::one_for_one("app").start(&System::new("demo")).await?;
    /// let ended = tokio::spawn({
    ///     let (tree, app) = (tree.clone(), app.child_token());
    ///     async move { tree.shutdown_when(&app).await }
    /// });
    /// app.cancel();
    /// assert!(ended.await?.is_some_and(|report| report.is_clean()));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown_when(&self, token: &CancellationToken) -> Option<ShutdownReport> {
        tokio::select! {
            () = token.cancelled() => Some(self.shutdown().await),
            _ = self.wait() => None,
        }
    }
}
