//! The settings of a machine, three presets, and the formulas that follow the size of the cluster.
//!
//! All members should have the same settings. Different ones work, but the most impatient member sets the rate of false suspicions.

use std::fmt;
use std::time::Duration;

use super::wire::{VERSION_MAX, VERSION_MIN, Versions};

/// Smallest allowed [`Config::packet_bytes_max`]: any header and body leave room for the largest record.
pub const PACKET_BYTES_MIN: usize = 1100;

/// The parts of Lifeguard (Dadgar, Phillips and Currey, 2018), which experiments switch off one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifeguard {
    /// LHA-Probe: a member that doubts itself probes slower and waits longer.
    pub local_health: bool,
    /// LHA-Suspicion: a suspicion starts long and shortens with each independent confirmation.
    pub dynamic_suspicion: bool,
    /// Buddy system: whoever is accused hears it first, in every packet sent to it.
    pub buddy: bool,
}

impl Lifeguard {
    /// Everything on: the default.
    pub const ALL: Self = Self {
        local_health: true,
        dynamic_suspicion: true,
        buddy: true,
    };
    /// Everything off: plain SWIM with suspicion.
    pub const NONE: Self = Self {
        local_health: false,
        dynamic_suspicion: false,
        buddy: false,
    };
}

/// Settings of the membership machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between the starts of two probes, at full health.
    pub probe_interval: Duration,
    /// Time until a direct probe counts as unanswered and others are asked, at full health. Shorter than the interval.
    pub probe_timeout: Duration,
    /// How many members are asked to probe indirectly.
    pub indirect_probes: usize,
    /// Whether a probe that nobody answers is repeated over a stream, beside the indirect ones.
    pub stream_fallback: bool,
    /// Least time between two rounds of gossip.
    pub gossip_interval: Duration,
    /// How many members each round is sent to.
    pub gossip_fanout: usize,
    /// Each update is sent `ceil(retransmit_factor * max(1, log10(n + 1)))` times by each member at most: three quarters of that if it is a
    /// refutation or a verdict, and in one round of gossip if it only confirms a suspicion.
    pub retransmit_factor: u32,
    /// Alpha: a confirmed suspicion lasts `alpha * max(1, log10 n)` probe intervals.
    pub suspicion_alpha: f64,
    /// Beta: an unconfirmed suspicion lasts beta times as long.
    pub suspicion_beta: f64,
    /// K: how many independent confirmations bring a suspicion down to its least length.
    pub suspicion_confirmations: usize,
    /// Greatest value of the local health counter; intervals and timeouts grow by up to one more than this.
    pub health_max: u32,
    /// Which parts of Lifeguard are used.
    pub lifeguard: Lifeguard,
    /// Least time between two exchanges of anti-entropy that this member starts.
    pub sync_interval: Duration,
    /// At most so many packets are sent in answer to one request of anti-entropy.
    pub sync_packets_max: usize,
    /// Time between two attempts to reach the dead and the seeds. Who knows nobody tries once in each probe interval, who was declared
    /// down five times as often.
    pub contact_interval: Duration,
    /// A timer that is handled later than this tells that the process did not run.
    pub pause_threshold: Duration,
    /// How long a departed member is remembered.
    pub tombstone_for: Duration,
    /// How long a leaving member stays to spread the word.
    pub leave_linger: Duration,
    /// Greatest size of a packet, in bytes.
    pub packet_bytes_max: usize,
    /// More rows than this are not taken into the table.
    pub members_max: usize,
    /// The newest [version](super::wire) of the protocol that is read and written: a member of an older build in every respect. Each two members
    /// speak the newest that both read, so this need not be set for a rolling upgrade; whoever pins it to the old version meanwhile can go
    /// back without the new one ever having been spoken. From [`VERSION_MIN`] to [`VERSION_MAX`], which is the default.
    pub wire_version_max: u8,
}

impl Config {
    /// For processes on one machine: a killed process is found unreachable within about a second.
    pub fn local() -> Self {
        Self {
            probe_interval: Duration::from_millis(130),
            probe_timeout: Duration::from_millis(60),
            gossip_interval: Duration::from_millis(40),
            suspicion_alpha: 3.0,
            suspicion_beta: 4.0,
            sync_interval: Duration::from_millis(500),
            contact_interval: Duration::from_millis(500),
            pause_threshold: Duration::from_millis(120),
            leave_linger: Duration::from_millis(250),
            ..Self::lan()
        }
    }

    /// For machines in one data centre.
    pub fn lan() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_probes: 3,
            stream_fallback: true,
            gossip_interval: Duration::from_millis(200),
            gossip_fanout: 3,
            retransmit_factor: 4,
            suspicion_alpha: 1.5,
            suspicion_beta: 16.0,
            suspicion_confirmations: 3,
            health_max: 8,
            lifeguard: Lifeguard::ALL,
            sync_interval: Duration::from_secs(5),
            sync_packets_max: 8,
            contact_interval: Duration::from_secs(5),
            pause_threshold: Duration::from_millis(500),
            tombstone_for: Duration::from_secs(3600),
            leave_linger: Duration::from_secs(1),
            packet_bytes_max: 1400,
            members_max: 65_536,
            wire_version_max: VERSION_MAX,
        }
    }

    /// For data centres that talk over long lines.
    pub fn wan() -> Self {
        Self {
            probe_interval: Duration::from_secs(3),
            probe_timeout: Duration::from_millis(1500),
            gossip_interval: Duration::from_millis(500),
            gossip_fanout: 4,
            suspicion_alpha: 2.0,
            suspicion_beta: 12.0,
            sync_interval: Duration::from_secs(15),
            contact_interval: Duration::from_secs(15),
            pause_threshold: Duration::from_millis(1500),
            leave_linger: Duration::from_secs(3),
            ..Self::lan()
        }
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// [`ConfigError`] names the first that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let intervals = [
            self.probe_interval,
            self.probe_timeout,
            self.gossip_interval,
            self.sync_interval,
            self.contact_interval,
        ];
        if intervals
            .iter()
            .any(|interval| *interval < Duration::from_millis(1))
        {
            return Err(ConfigError::TooShort);
        }
        if self.probe_timeout >= self.probe_interval {
            return Err(ConfigError::TimeoutNotBelowInterval);
        }
        if !(PACKET_BYTES_MIN..=65_000).contains(&self.packet_bytes_max) {
            return Err(ConfigError::PacketSize {
                bytes: self.packet_bytes_max,
            });
        }
        if !(self.suspicion_alpha.is_finite()
            && self.suspicion_alpha > 0.0
            && self.suspicion_beta.is_finite()
            && self.suspicion_beta >= 1.0)
        {
            return Err(ConfigError::Suspicion);
        }
        if self.retransmit_factor == 0
            || self.gossip_fanout == 0
            || self.sync_packets_max == 0
            || self.members_max == 0
        {
            return Err(ConfigError::Zero);
        }
        if !(VERSION_MIN..=VERSION_MAX).contains(&self.wire_version_max) {
            return Err(ConfigError::WireVersion {
                version: self.wire_version_max,
            });
        }
        Ok(())
    }

    /// Which versions of the protocol a machine with these settings reads and writes.
    pub fn versions(&self) -> Versions {
        Versions::up_to(self.wire_version_max)
    }

    /// How often one member sends one notice in a cluster of `members`: twice as often as an update, because nothing repairs what gossip missed.
    pub fn notice_transmits(&self, members: usize) -> u32 {
        self.retransmits(members) * 2
    }

    /// How often one member sends one update in a cluster of `members`.
    pub fn retransmits(&self, members: usize) -> u32 {
        let digits = ((members + 1) as f64).log10();
        (f64::from(self.retransmit_factor) * digits.max(1.0)).ceil() as u32
    }

    /// Least and greatest length of a suspicion in a cluster of `members`.
    pub fn suspicion_bounds(&self, members: usize) -> (Duration, Duration) {
        let scale = (members.max(1) as f64).log10().max(1.0);
        let least = self.probe_interval.mul_f64(self.suspicion_alpha * scale);
        let beta = if self.lifeguard.dynamic_suspicion {
            self.suspicion_beta
        } else {
            1.0
        };
        (least, least.mul_f64(beta))
    }

    /// How many confirmations a suspicion waits for in a cluster of `members`. Where fewer members than K could confirm, a suspicion has
    /// its least length from the start (as in HashiCorp's memberlist): nobody could shorten it. Never for all that could confirm: the
    /// slowest of them would decide.
    pub fn confirmations(&self, members: usize) -> usize {
        let could_confirm = members.saturating_sub(2);
        if could_confirm < self.suspicion_confirmations {
            0
        } else {
            self.suspicion_confirmations.min(could_confirm - 1)
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::lan()
    }
}

/// Settings that do not fit together. Nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An interval or timeout is below a millisecond.
    TooShort,
    /// The probe timeout leaves no time for indirect probes.
    TimeoutNotBelowInterval,
    /// The packet size is outside [`PACKET_BYTES_MIN`] to 65 000.
    PacketSize {
        /// The size asked for.
        bytes: usize,
    },
    /// Alpha is not above 0, or beta is below 1.
    Suspicion,
    /// A count that has to be at least one is zero.
    Zero,
    /// The version of the protocol is outside [`VERSION_MIN`] to [`VERSION_MAX`].
    WireVersion {
        /// The version asked for.
        version: u8,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(
                f,
                "every membership interval has to be at least a millisecond"
            ),
            Self::TimeoutNotBelowInterval => write!(
                f,
                "probe_timeout has to be below probe_interval, or no time is left for indirect probes"
            ),
            Self::PacketSize { bytes } => write!(
                f,
                "packet_bytes_max is {bytes}; it has to lie between {PACKET_BYTES_MIN} and 65000"
            ),
            Self::Suspicion => write!(
                f,
                "suspicion_alpha has to be above 0 and suspicion_beta at least 1"
            ),
            Self::Zero => write!(
                f,
                "retransmit_factor, gossip_fanout, sync_packets_max and members_max have to be at least 1"
            ),
            Self::WireVersion { version } => write!(
                f,
                "wire_version_max is {version}; this build speaks the versions {VERSION_MIN} to {VERSION_MAX}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_valid() {
        for config in [Config::local(), Config::lan(), Config::wan()] {
            assert_eq!(config.validate(), Ok(()));
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let check = |change: fn(&mut Config), expected| {
            let mut config = Config::lan();
            change(&mut config);
            assert_eq!(config.validate(), Err(expected));
        };
        check(
            |c| c.probe_timeout = c.probe_interval,
            ConfigError::TimeoutNotBelowInterval,
        );
        check(
            |c| c.gossip_interval = Duration::ZERO,
            ConfigError::TooShort,
        );
        check(
            |c| c.packet_bytes_max = 100,
            ConfigError::PacketSize { bytes: 100 },
        );
        check(|c| c.suspicion_beta = 0.5, ConfigError::Suspicion);
        check(|c| c.suspicion_alpha = f64::NAN, ConfigError::Suspicion);
        check(|c| c.gossip_fanout = 0, ConfigError::Zero);
        for version in [0, VERSION_MAX + 1] {
            let config = Config {
                wire_version_max: version,
                ..Config::lan()
            };
            assert_eq!(config.validate(), Err(ConfigError::WireVersion { version }));
        }
    }

    #[test]
    fn retransmits_and_suspicion_grow_with_the_logarithm_of_the_cluster() {
        let config = Config {
            suspicion_alpha: 4.0,
            suspicion_beta: 6.0,
            ..Config::lan()
        };
        let check = |members, retransmits, least_s: f64, most_s: f64| {
            assert_eq!(
                config.retransmits(members),
                retransmits,
                "retransmits at {members}"
            );
            let (least, most) = config.suspicion_bounds(members);
            assert!(
                (least.as_secs_f64() - least_s).abs() < 0.05,
                "least at {members}: {least:?}"
            );
            assert!(
                (most.as_secs_f64() - most_s).abs() < 0.1,
                "most at {members}: {most:?}"
            );
        };
        // Suspicions as HashiCorp's LAN defaults give them.
        check(1, 4, 4.0, 24.0);
        check(10, 5, 4.0, 24.0);
        check(128, 9, 8.4, 50.6);
        check(1000, 13, 12.0, 72.0);
        check(10_000, 17, 16.0, 96.0);
    }

    #[test]
    fn a_cluster_too_small_to_confirm_does_not_wait_for_confirmations() {
        let config = Config::lan();
        assert_eq!(config.confirmations(3), 0);
        assert_eq!(config.confirmations(4), 0);
        assert_eq!(config.confirmations(5), 2);
        assert_eq!(config.confirmations(6), 3);
        assert_eq!(config.confirmations(500), 3);
    }
}
