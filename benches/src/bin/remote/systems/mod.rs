//! The systems, each as a client here and a server in another process.

pub(crate) mod erlang;
mod raw_tcp;
mod treewarden;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

pub(crate) type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Treewarden,
    TreewardenTls,
    RawTcp,
    Erlang,
}

/// One end of a connection to the server.
pub(crate) trait Client: Send + Sync {
    /// Sends so many messages of so many bytes, and resolves when the server has handled all.
    fn tell_all(&self, bytes: usize, count: u64) -> Fut<'_, ()>;
    /// One round trip with so many bytes each way.
    fn ask(&self, bytes: usize) -> Fut<'_, ()>;
    /// Sends one large message, beside whatever else goes on, and resolves when the server has handled it.
    fn send_large(&self, bytes: usize) -> Fut<'_, ()>;
    fn close(&self) -> Fut<'_, ()>;
}

impl System {
    pub(crate) const ALL: [Self; 4] = [
        Self::Treewarden,
        Self::TreewardenTls,
        Self::RawTcp,
        Self::Erlang,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Treewarden | Self::TreewardenTls => "treewarden",
            Self::RawTcp => "tcp",
            Self::Erlang => "erlang",
        }
    }

    pub(crate) fn tls(self) -> bool {
        self == Self::TreewardenTls
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Treewarden => "treewarden",
            Self::TreewardenTls => "treewarden-tls",
            Self::RawTcp => "tcp",
            Self::Erlang => "erlang",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.flag() == name)
    }

    pub(crate) fn is_there(self) -> bool {
        self != Self::Erlang || erlang::is_there()
    }
}

/// Runs the server, says where, and serves until the standard input ends.
pub(crate) fn serve(system: System) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match system {
            System::Treewarden => treewarden::serve(false).await,
            System::TreewardenTls => treewarden::serve(true).await,
            System::RawTcp => raw_tcp::serve().await,
            System::Erlang => Ok(()),
        }
    })
}

/// Resolves when the standard input has ended: the one who started this process is gone.
pub(crate) async fn until_the_input_ends() {
    let _ =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await;
}

/// A server process.
pub(crate) struct Session {
    system: System,
    server: Child,
    /// What the server said of itself.
    hello: String,
}

impl Session {
    pub(crate) fn start(system: System) -> Result<Self, Box<dyn Error>> {
        let mut server = Command::new(std::env::current_exe()?)
            .args(["--serve", system.flag()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = server.stdout.take().ok_or("the server has no output")?;
        let mut hello = String::new();
        BufReader::new(stdout).read_line(&mut hello)?;
        Ok(Self {
            system,
            server,
            hello: hello.trim().to_owned(),
        })
    }

    pub(crate) async fn connect(&self) -> Result<Arc<dyn Client>, Box<dyn Error>> {
        Ok(match self.system {
            System::Treewarden => treewarden::connect(&self.hello, false).await?,
            System::TreewardenTls => treewarden::connect(&self.hello, true).await?,
            System::RawTcp => raw_tcp::connect(&self.hello).await?,
            System::Erlang => return Err("Erlang measures itself".into()),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
