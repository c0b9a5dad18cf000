//! A packet is in a version that whoever it is meant for reads: the member that is known at its address, or the sender of the packet that it
//! answers. Where neither is known it is in the first.
//!
//! Source: what the machine promises about members of two versions side by side.

use treewarden_cluster::membership::wire::VERSION_MIN;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct VersionsAreUnderstood;

impl Invariant for VersionsAreUnderstood {
    fn name(&self) -> &'static str {
        "versions_are_understood"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let newer = step.sent.iter().filter(|sent| sent.bytes[0] > VERSION_MIN);
        for transmit in newer {
            let version = transmit.bytes[0];
            let at_address = step
                .rows
                .iter()
                .filter(|row| row.record.addr == transmit.to);
            let asked = step.received.map(|packet| &packet.header.from);
            let meant = at_address.map(|row| &row.id).chain(asked);
            let reads = |id| step.truth.reads.get(id).copied().unwrap_or(VERSION_MIN);
            if !meant.map(reads).any(|newest| newest >= version) {
                return Err(format!("version {version} to {}", transmit.to));
            }
        }
        Ok(())
    }
}
