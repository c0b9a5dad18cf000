//! The levels, and what is switched off at each.

use std::time::Duration;

use super::{Degradation, Importance};
use crate::bounds::{Bounds, ConfigError};

/// Builds a [`Degradation`].
#[derive(Clone, Debug, PartialEq)]
pub struct DegradationConfig {
    /// Of level 1, 2, ...
    pub(super) levels: Vec<Level>,
    pub(super) hold_up: Duration,
    pub(super) hold_down: Duration,
    pub(super) features: Vec<(&'static str, Importance)>,
}

/// The pressures between which a level lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) enter: f64,
    pub(super) leave: f64,
}

impl Default for DegradationConfig {
    /// Level 1 from 0.8 to below 0.6, level 2 from 0.95 to below 0.8; up after 1 s, down after 10 s; no features.
    fn default() -> Self {
        Self::new().level(0.8, 0.6).level(0.95, 0.8)
    }
}

impl DegradationConfig {
    /// No levels and no features; up after 1 s, down after 10 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            levels: Vec::new(),
            hold_up: Duration::from_secs(1),
            hold_down: Duration::from_secs(10),
            features: Vec::new(),
        }
    }

    /// Another level above the last: entered at the pressure `enter` (above 0, up to 1000, above that of the level below), left below
    /// `leave` (0 to `enter`, not below that of the level below). At most 16.
    #[must_use]
    pub fn level(mut self, enter: f64, leave: f64) -> Self {
        self.levels.push(Level { enter, leave });
        self
    }

    /// How long pressure must be high before a level is entered: up to an hour.
    #[must_use]
    pub fn hold_up(mut self, hold_up: Duration) -> Self {
        self.hold_up = hold_up;
        self
    }

    /// How long pressure must be low before a level is left: up to an hour.
    #[must_use]
    pub fn hold_down(mut self, hold_down: Duration) -> Self {
        self.hold_down = hold_down;
        self
    }

    /// A feature, by a name of its own.
    #[must_use]
    pub fn feature(mut self, name: &'static str, importance: Importance) -> Self {
        self.features.push((name, importance));
        self
    }

    /// Level 0 with everything on, if every value lies in its bounds.
    pub fn build(self) -> Result<Degradation, ConfigError> {
        let bounds = Bounds("degradation");
        bounds.within("level (how many)", self.levels.len(), 1..=16)?;
        let (mut enter_below, mut leave_below) = (0.0, 0.0);
        for Level { enter, leave } in &self.levels {
            bounds.within("level(enter)", *enter, f64::MIN_POSITIVE..=1000.0)?;
            if *enter <= enter_below {
                let bound = format!("be above {enter_below:?}, where the level below begins");
                return Err(bounds.refuse("level(enter)", enter, bound));
            }
            bounds.within("level(leave)", *leave, leave_below..=*enter)?;
            (enter_below, leave_below) = (*enter, *leave);
        }
        let hour = Duration::from_secs(3600);
        bounds.within("hold_up", self.hold_up, Duration::ZERO..=hour)?;
        bounds.within("hold_down", self.hold_down, Duration::ZERO..=hour)?;
        for (index, (name, importance)) in self.features.iter().enumerate() {
            if self.features[..index]
                .iter()
                .any(|(other, _)| other == name)
            {
                return Err(bounds.refuse("feature(name)", name, "be given once"));
            }
            if let Importance::NonCore { off_at } = importance {
                let levels = 1..=self.levels.len() as u8;
                bounds.within("feature(off_at)", *off_at, levels)?;
            }
        }
        Ok(Degradation::new(self))
    }
}
