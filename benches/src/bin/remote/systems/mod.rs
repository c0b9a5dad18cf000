//! The systems: those of this program as a client here and a server in another process, the others as programs that measure themselves.

pub(crate) mod erlang;
mod program;
mod raw_tcp;
pub(crate) mod rust_peers;
mod treewarden;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::load::{self, Client, Figure};
use crate::server::{self, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Treewarden,
    TreewardenTls,
    RawTcp,
    Erlang,
    Tonic,
    TonicTls,
    Ractor,
    RactorTls,
}

impl System {
    pub(crate) const ALL: [Self; 8] = [
        Self::Treewarden,
        Self::TreewardenTls,
        Self::RawTcp,
        Self::Erlang,
        Self::Tonic,
        Self::TonicTls,
        Self::Ractor,
        Self::RactorTls,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Treewarden | Self::TreewardenTls => "treewarden",
            Self::RawTcp => "tcp",
            Self::Erlang => "erlang",
            Self::Tonic | Self::TonicTls => "tonic",
            Self::Ractor | Self::RactorTls => "ractor_cluster",
        }
    }

    pub(crate) fn tls(self) -> bool {
        matches!(self, Self::TreewardenTls | Self::TonicTls | Self::RactorTls)
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Treewarden | Self::TreewardenTls)
    }

    /// How it is called on command lines.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Treewarden => "treewarden",
            Self::TreewardenTls => "treewarden-tls",
            Self::RawTcp => "tcp",
            Self::Erlang => "erlang",
            Self::Tonic => "tonic",
            Self::TonicTls => "tonic-tls",
            Self::Ractor => "ractor",
            Self::RactorTls => "ractor-tls",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.flag() == name)
    }

    /// What has to be there before it can be measured.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub(crate) fn prepare(self) -> Result<(), String> {
        match self {
            Self::Treewarden | Self::TreewardenTls | Self::RawTcp => Ok(()),
            Self::Erlang => erlang::prepare(),
            Self::Tonic | Self::TonicTls | Self::Ractor | Self::RactorTls => rust_peers::prepare(),
        }
    }

    /// One measurement, with a server process of its own.
    pub(crate) fn measure(
        self,
        workload: &str,
        bytes: usize,
        time: Duration,
    ) -> Result<Vec<Figure>, Box<dyn Error>> {
        match self {
            Self::Erlang => return erlang::measure(workload, bytes, time),
            Self::Tonic | Self::TonicTls | Self::Ractor | Self::RactorTls => {
                return rust_peers::measure(self.flag(), workload, bytes, time);
            }
            Self::Treewarden | Self::TreewardenTls | Self::RawTcp => {}
        }
        let server = Server::start(&["--serve", self.flag()])?;
        server::runtime()?.block_on(async {
            let client: Arc<dyn Client> = match self {
                Self::RawTcp => raw_tcp::connect(&server.hello).await?,
                _ => treewarden::connect(&server.hello, self.tls()).await?,
            };
            let figures = load::measure(&client, workload, bytes, time).await?;
            client.close().await;
            Ok(figures)
        })
    }
}

/// Runs the server, says where, and serves until the standard input ends.
pub(crate) fn serve(system: System) -> Result<(), Box<dyn Error>> {
    server::runtime()?.block_on(async {
        match system {
            System::RawTcp => raw_tcp::serve().await,
            _ => treewarden::serve(system.tls()).await,
        }
    })
}
