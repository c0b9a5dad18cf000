//! No packet is larger than the setting, and every packet can be read.
//!
//! Source: The bounds that the configuration promises.

use treewarden_cluster::membership::wire::Packet;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct PacketsFit;

impl Invariant for PacketsFit {
    fn name(&self) -> &'static str {
        "packets_fit"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let allowed = step.machine.config().packet_bytes_max;
        for transmit in step.sent {
            if transmit.bytes.len() > allowed {
                return Err(format!("{} bytes of {allowed}", transmit.bytes.len()));
            }
            if let Err(error) = Packet::decode(&transmit.bytes) {
                return Err(format!("a packet of its own that it cannot read: {error}"));
            }
        }
        Ok(())
    }
}
