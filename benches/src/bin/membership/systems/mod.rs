//! The systems that are compared, behind one small trait.

use std::str::FromStr;
use std::time::Duration;

use treewarden_cluster::membership::{Config, Lifeguard, MemberInfo};

pub(crate) mod foca;
pub(crate) mod treewarden;

/// What a member tells. Members are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It believes that this one has failed: unreachable for Treewarden, down for foca.
    Lost(usize),
}

/// One member of one system. Has no socket and no clock.
pub(crate) trait Member {
    fn join(&mut self, now: Duration, seed: usize);
    /// This member as others would know it, if that can be told them without packets.
    fn info(&self) -> Option<MemberInfo> {
        None
    }
    /// Takes over what others would know.
    fn take_over(&mut self, _now: Duration, _members: &[MemberInfo]) {}
    fn handle_packet(&mut self, now: Duration, from: usize, bytes: &[u8]);
    fn handle_timeout(&mut self, now: Duration);
    fn poll_timeout(&self) -> Option<Duration>;
    fn poll_transmit(&mut self) -> Option<(usize, Vec<u8>)>;
    /// A conversation over a stream that it wants: with whom, what to say, and for how long it matters.
    fn poll_call(&mut self) -> Option<(usize, Vec<u8>, Duration)> {
        None
    }
    /// Takes in a packet from a stream, and says what to answer there.
    fn handle_stream(&mut self, _now: Duration, _from: usize, _bytes: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn poll_news(&mut self) -> Option<News>;
    /// What the bytes of one of its packets are for.
    fn split(&self, bytes: &[u8]) -> Vec<(&'static str, usize)>;
    /// How many members it believes to work, itself included.
    fn live_count(&self) -> usize;
}

/// Which system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Treewarden,
    Swim,
    LhaProbe,
    LhaSuspicion,
    Buddy,
    Foca,
    /// With the settings for one machine.
    Local,
    /// With the settings for long lines.
    Wan,
}

impl System {
    pub(crate) const ALL: [Self; 6] = [
        Self::Treewarden,
        Self::Swim,
        Self::LhaProbe,
        Self::LhaSuspicion,
        Self::Buddy,
        Self::Foca,
    ];
    /// Where the parts of Lifeguard are not of interest.
    pub(crate) const MAIN: [Self; 3] = [Self::Treewarden, Self::Swim, Self::Foca];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Treewarden => "treewarden",
            Self::Swim => "swim",
            Self::LhaProbe => "lha-probe",
            Self::LhaSuspicion => "lha-suspicion",
            Self::Buddy => "buddy",
            Self::Foca => "foca",
            Self::Local => "treewarden-local",
            Self::Wan => "treewarden-wan",
        }
    }

    /// Which parts of Lifeguard are on; `None` for another system.
    fn lifeguard(self) -> Option<Lifeguard> {
        let none = Lifeguard::NONE;
        match self {
            Self::Treewarden | Self::Local | Self::Wan => Some(Lifeguard::ALL),
            Self::Swim => Some(none),
            Self::LhaProbe => Some(Lifeguard {
                local_health: true,
                ..none
            }),
            Self::LhaSuspicion => Some(Lifeguard {
                dynamic_suspicion: true,
                ..none
            }),
            Self::Buddy => Some(Lifeguard {
                buddy: true,
                ..none
            }),
            Self::Foca => None,
        }
    }

    /// Makes a member of a cluster of `nodes`.
    pub(crate) fn member(
        self,
        now: Duration,
        index: usize,
        nodes: usize,
        seed: u64,
    ) -> Box<dyn Member> {
        let settings = match self {
            Self::Local => Config::local(),
            Self::Wan => Config::wan(),
            _ => Config::lan(),
        };
        match self.lifeguard() {
            Some(lifeguard) => {
                let config = Config {
                    lifeguard,
                    ..settings
                };
                Box::new(treewarden::TreewardenMember::new(now, index, config, seed))
            }
            None => Box::new(foca::FocaMember::new(now, index, nodes, seed)),
        }
    }
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .chain([Self::Local, Self::Wan])
            .find(|system| system.name() == text)
            .ok_or_else(|| format!("unknown system {text:?}"))
    }
}
