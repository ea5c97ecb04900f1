//! Tasks that somebody owns.
//!
//! A spawned task would outlive whoever spawned it. These end with their
//! owner: when the last clone is dropped, or when [`Tasks::finish`] gives up
//! waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

/// A set of running tasks. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Runs `task` until it ends or the set does.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        running.spawn(task);
    }

    /// Waits for all tasks, for `patience` at most, and ends those left.
    pub(super) async fn finish(&self, patience: Duration) {
        let mut running = std::mem::take(&mut *self.running());
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, drained).await.is_err() {
            running.shutdown().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
