//! The level, and how pressure moves it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::feature::FeatureState;
use super::{DegradationConfig, Feature, UnknownFeature};
use crate::sync_ext::MutexExt;

/// The level of degradation, and the features that depend on it. Cheap to clone; clones share it. Built by
/// [`DegradationConfig::build`].
#[derive(Clone, Debug)]
pub struct Degradation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: DegradationConfig,
    features: Vec<FeatureState>,
    /// Written under the lock of `observed`.
    level: AtomicU8,
    observed: Mutex<Observed>,
}

#[derive(Debug)]
struct Observed {
    /// For level 1, 2, ...: since when pressure has been high enough for it.
    high_since: Vec<Option<Instant>>,
    /// Since when pressure has been low enough to leave the present level.
    low_since: Option<Instant>,
    fixed: bool,
}

/// The level changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// The level before; 0 is everything on.
    pub from: u8,
    /// The level after.
    pub to: u8,
}

impl Degradation {
    pub(super) fn new(config: DegradationConfig) -> Self {
        let feature = |&(name, importance)| FeatureState {
            name,
            importance,
            switch: AtomicU8::new(0),
        };
        Self(Arc::new(Shared {
            features: config.features.iter().map(feature).collect(),
            level: AtomicU8::new(0),
            observed: Mutex::new(Observed {
                high_since: vec![None; config.levels.len()],
                low_since: None,
                fixed: false,
            }),
            config,
        }))
    }

    /// The level at present; 0 is everything on.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.0.level.load(Ordering::Relaxed)
    }

    /// A feature by its name. Look it up once and keep it.
    pub fn feature(&self, name: &str) -> Result<Feature, UnknownFeature> {
        let index = self
            .0
            .features
            .iter()
            .position(|feature| feature.name == name);
        let index = index.ok_or_else(|| UnknownFeature {
            name: name.to_owned(),
        })?;
        Ok(Feature {
            degradation: self.clone(),
            index,
        })
    }

    /// Takes note of the pressure at `now`; the change of level, if it caused one. Not-a-number is no observation.
    ///
    /// Observe at least a few times in each hold: what happens between two observations is not seen.
    pub fn observe(&self, pressure: f64, now: Instant) -> Option<LevelChange> {
        if pressure.is_nan() {
            return None;
        }
        let config = &self.0.config;
        let mut observed = self.0.observed.locked();
        for (since, level) in observed.high_since.iter_mut().zip(&config.levels) {
            *since = match *since {
                _ if pressure < level.enter => None,
                None => Some(now),
                since => since,
            };
        }
        if observed.fixed {
            return None;
        }
        let held = |since: Option<Instant>, hold| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= hold)
        };
        let from = self.level();
        let highest = observed
            .high_since
            .iter()
            .rposition(|since| held(*since, config.hold_up));
        let highest = highest.map_or(0, |index| index as u8 + 1);
        if highest > from {
            observed.low_since = None;
            return Some(self.change(from, highest));
        }
        let below = from.checked_sub(1)?;
        if pressure >= config.levels[usize::from(below)].leave {
            observed.low_since = None;
            return None;
        }
        let low_since = *observed.low_since.get_or_insert(now);
        if !held(Some(low_since), config.hold_down) {
            return None;
        }
        // The next level down waits for its own hold.
        observed.low_since = None;
        Some(self.change(from, below))
    }

    /// Fixes the level, whatever the pressure, until [`release`](Degradation::release). A level above the highest is the highest.
    pub fn fix(&self, level: u8) -> Option<LevelChange> {
        let mut observed = self.0.observed.locked();
        observed.fixed = true;
        let (from, to) = (self.level(), level.min(self.0.config.levels.len() as u8));
        (from != to).then(|| self.change(from, to))
    }

    /// Lets pressure move the level again, from where it is.
    pub fn release(&self) {
        let mut observed = self.0.observed.locked();
        observed.fixed = false;
        observed.low_since = None;
    }

    pub(super) fn features(&self) -> &[FeatureState] {
        &self.0.features
    }

    fn change(&self, from: u8, to: u8) -> LevelChange {
        self.0.level.store(to, Ordering::Relaxed);
        LevelChange { from, to }
    }
}
