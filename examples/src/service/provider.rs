//! What is out of our hands: a payment provider that takes its time, and that can be made to fail.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A payment provider. It knows the number of each order, and charges it once.
#[derive(Debug)]
pub struct Provider {
    takes: Duration,
    is_down: AtomicBool,
    charged: Mutex<HashMap<u64, u64>>,
}

impl Provider {
    /// One that needs so long for a charge.
    #[must_use]
    pub fn new(takes: Duration) -> Self {
        Self {
            takes,
            is_down: AtomicBool::new(false),
            charged: Mutex::default(),
        }
    }

    /// Makes every charge fail, or work again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// How many orders it has charged, and how much in all.
    #[must_use]
    pub fn charged(&self) -> (usize, u64) {
        let charged = self
            .charged
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        (charged.len(), charged.values().sum())
    }

    pub(super) async fn charge(&self, order: u64, cents: u64) -> Result<(), ProviderDown> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(ProviderDown);
        }
        {
            let charged = self.charged.lock();
            let mut charged = charged.unwrap_or_else(|poisoned| poisoned.into_inner());
            charged.entry(order).or_insert(cents);
        }
        // The answer takes longer than the charge: who gives up waiting does not know that it happened.
        tokio::time::sleep(self.takes).await;
        Ok(())
    }
}

/// It refused to do anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProviderDown;
