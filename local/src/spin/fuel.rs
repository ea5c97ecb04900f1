//! How much work the guest does, whatever the machine: wasmtime's fuel, about one unit for an instruction.

use std::sync::{Arc, Mutex, PoisonError};

/// What every instance used that has ended, in the order in which they did. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FuelMeter(Arc<Mutex<Vec<u64>>>);

impl FuelMeter {
    /// Takes what was noted so far out of it.
    pub fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note(&self, used: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(used);
    }
}
