//! What tasks share, and how they hear of each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Locks, also what somebody held who panicked: nothing here is left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands on whatever comes, or how many came too fast to be read; ends with what it listens to, or when nothing is taken
/// any more.
pub(crate) async fn for_each<T: Clone>(mut all: Receiver<T>, take: impl Fn(Result<T, u64>) -> Option<()>) {
    loop {
        let taken = match all.recv().await {
            Ok(item) => take(Ok(item)),
            Err(RecvError::Lagged(count)) => take(Err(count)),
            Err(RecvError::Closed) => None,
        };
        if taken.is_none() {
            return;
        }
    }
}
