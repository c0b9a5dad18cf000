//! A feature: whether it is on, and who says so.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Degradation;

/// How much a feature matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Never switched off by pressure.
    Core,
    /// Off at this level and above.
    NonCore {
        /// Counted from 1.
        off_at: u8,
    },
}

/// What an operator says about a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Switch {
    /// Nothing: the level decides.
    #[default]
    Auto,
    /// On at every level.
    On,
    /// Off at every level, also if it is core.
    Off,
}

/// One feature. Cheap to clone; asking costs two loads.
#[derive(Clone, Debug)]
pub struct Feature {
    pub(super) degradation: Degradation,
    pub(super) index: usize,
}

impl Feature {
    /// Whether to do it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let state = &self.degradation.features()[self.index];
        match (state.switch(), state.importance) {
            (Switch::On, _) => true,
            (Switch::Off, _) => false,
            (Switch::Auto, Importance::Core) => true,
            (Switch::Auto, Importance::NonCore { off_at }) => self.degradation.level() < off_at,
        }
    }

    /// Sets the operator's switch.
    pub fn switch(&self, switch: Switch) {
        let value = match switch {
            Switch::Auto => 0,
            Switch::On => 1,
            Switch::Off => 2,
        };
        let state = &self.degradation.features()[self.index];
        state.switch.store(value, Ordering::Relaxed);
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.degradation.features()[self.index].name
    }
}

/// What is kept of each feature.
#[derive(Debug)]
pub(super) struct FeatureState {
    pub(super) name: &'static str,
    pub(super) importance: Importance,
    pub(super) switch: AtomicU8,
}

impl FeatureState {
    fn switch(&self) -> Switch {
        match self.switch.load(Ordering::Relaxed) {
            0 => Switch::Auto,
            1 => Switch::On,
            // No other value is ever written.
            _ => Switch::Off,
        }
    }
}

/// No feature of this name was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeature {
    /// The name.
    pub name: String,
}

impl fmt::Display for UnknownFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        write!(
            f,
            "no feature is named {name:?}: give it to DegradationConfig::feature"
        )
    }
}

impl std::error::Error for UnknownFeature {}
