//! A supervision tree inside a web service that has its own `main`, runtime and signals.
//!
//! The service counts visits. The count is an actor and a reporter is a task, both supervised: a crash of either costs
//! what it had in its hands, and the service goes on. Nothing else changes for the service: no macro around `main`, no
//! runtime, no signal handler, no logger comes with the tree.
//!
//! At the end the order matters: first no new requests, then those in flight are finished, with the actor still there to
//! answer them, then the tree is stopped in reverse start order, so that the reporter can ask the actor a last time.

use std::{io, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use tokio::{net::TcpListener, time::sleep};
use treewarden::{prelude::*, supervisor::ShutdownReport};

/// How long a request may wait for the count.
const COUNT_TIME_MAX: Duration = Duration::from_secs(1);

/// How long a slow request takes.
const SLOW: Duration = Duration::from_secs(1);

/// How often the reporter reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Counts visits.
struct Visits {
    count: u64,
}

enum VisitsMsg {
    /// Counts one more, and tells how many that makes.
    Visit(Reply<u64>),
    /// Tells how many there were.
    Count(Reply<u64>),
    /// Crashes.
    Crash,
}

impl Actor for Visits {
    type Msg = VisitsMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: VisitsMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            VisitsMsg::Visit(reply) => {
                self.count += 1;
                reply.send(self.count);
            }
            VisitsMsg::Count(reply) => reply.send(self.count),
            VisitsMsg::Crash => return Err(Failure::msg("somebody asked for a crash")),
        }
        Ok(())
    }
}

/// Says now and then how many visits there were, and once more when it is stopped.
async fn report(cx: TaskContext) -> Result<(), Failure> {
    let visits = cx.system().registry().lookup::<VisitsMsg>("visits")?;
    cx.ready();
    loop {
        let is_last = tokio::select! {
            () = sleep(REPORT_INTERVAL) => false,
            () = cx.cancelled() => true,
        };
        let count = visits.ask(VisitsMsg::Count).timeout(COUNT_TIME_MAX).await?;
        println!("{count} visits");
        if is_last {
            return Ok(());
        }
    }
}

/// What the requests need.
#[derive(Clone)]
struct App {
    system: System,
    visits: ActorRef<VisitsMsg>,
}

async fn visit(State(app): State<App>) -> Result<String, (StatusCode, String)> {
    let visit = app.visits.ask(VisitsMsg::Visit).timeout(COUNT_TIME_MAX);
    match visit.await {
        Ok(count) => Ok(format!("visit {count}\n")),
        // An actor that cannot answer in time is no reason to let requests pile up.
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))),
    }
}

async fn slow(state: State<App>) -> Result<String, (StatusCode, String)> {
    println!("a slow request begins");
    sleep(SLOW).await;
    visit(state).await
}

async fn crash(State(app): State<App>) -> StatusCode {
    match app.visits.try_tell(VisitsMsg::Crash) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn tree(State(app): State<App>) -> String {
    app.system.snapshot().to_string()
}

/// Serves on `listener` until `stop` resolves, and ends in order.
///
/// | request | |
/// |---|---|
/// | `GET /` | counts a visit |
/// | `GET /slow` | counts a visit, a second later |
/// | `POST /crash` | crashes the actor that counts; its supervisor restarts it, from 0 |
/// | `GET /tree` | the tree as it is |
///
/// # Errors
///
/// If the tree cannot be started, or the listener fails. The tree is stopped then.
pub async fn serve(
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<ShutdownReport, Failure> {
    let system = System::new("embed");
    let tree = Supervisor::one_for_one("app")
        .intensity(5, Duration::from_secs(10))
        .child(Child::actor("visits", |init| async move {
            // Found by name, also by those who do not know the tree. The name stays with the address.
            if init.incarnation() == 1 {
                init.system()
                    .registry()
                    .register("visits", &init.myself())?;
            }
            Ok(Visits { count: 0 })
        }))
        .child(Child::task("reporter", report).restart(Restart::Transient))
        .start(&system)
        .await?;
    let app = App {
        visits: tree.actor("visits")?,
        system,
    };
    let router = Router::new()
        .route("/", get(visit))
        .route("/slow", get(slow))
        .route("/crash", post(crash))
        .route("/tree", get(self::tree))
        .with_state(app);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async {
            stop.await;
            println!("stopping: no new requests");
        })
        .await;
    println!("all requests are answered");
    let report = tree.shutdown().await;
    println!("the tree {report}");
    served
        .map_err(|error: io::Error| error.into())
        .map(|()| report)
}
