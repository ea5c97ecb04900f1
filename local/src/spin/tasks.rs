//! Tasks that somebody owns.
//!
//! A spawned task would outlive whoever spawned it. These end with their
//! owner: when the last clone is dropped, or when [`Tasks::finish`] gives up
//! waiting.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

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

    /// Does `work` where it is awaited; given up there before its end, it goes on as one of these tasks.
    pub(super) fn outlive<T: 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Outliving<T> {
        Outliving { tasks: self.clone(), work: Some(Box::pin(work)) }
    }

    /// Waits for all tasks, until `deadline` at most, and ends those left.
    pub(super) async fn finish(&self, deadline: Instant) {
        let mut running = std::mem::take(&mut *self.running());
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            running.shutdown().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that doesn't end with whoever awaits it.
pub(super) struct Outliving<T: 'static> {
    tasks: Tasks,
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T: 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let work = self.work.as_mut().expect("it is not awaited again");
        let done = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(done)
    }
}

impl<T: 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        // Without a runtime there is nowhere to go on.
        if let (Some(work), Ok(_)) = (self.work.take(), Handle::try_current()) {
            self.tasks.spawn(async { drop(work.await) });
        }
    }
}
