//! What the host tells of itself, kept in memory.

use std::sync::Mutex;
use std::time::Duration;

/// Keeps every write, and how much fuel every instance used.
#[derive(Debug, Default)]
pub struct Recorder {
    writes: Mutex<Vec<Vec<u8>>>,
    fuel: Mutex<Vec<u64>>,
    ended: tokio::sync::Notify,
}

impl host::Observer for Recorder {
    fn wrote(&self, bytes: &[u8]) {
        self.writes.lock().expect("nobody panics here").push(bytes.to_owned());
    }

    fn ended(&self, fuel: u64) {
        self.fuel.lock().expect("nobody panics here").push(fuel);
        self.ended.notify_one();
    }
}

impl Recorder {
    /// All writes so far, in order.
    pub fn writes(&self) -> Vec<Vec<u8>> {
        self.writes.lock().expect("nobody panics here").clone()
    }

    /// All writes so far as one text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.writes().concat()).into_owned()
    }

    /// Forgets what was written so far.
    pub fn clear(&self) {
        self.writes.lock().expect("nobody panics here").clear();
    }

    /// The fuel of the one instance that ran since the last time, once it has ended: it may work on when it has answered.
    ///
    /// # Panics
    /// When there was another number of instances than one, or it doesn't end.
    pub async fn fuel(&self) -> u64 {
        let ended = tokio::time::timeout(Duration::from_secs(10), self.ended.notified());
        ended.await.expect("the instance ends");
        let fuel = std::mem::take(&mut *self.fuel.lock().expect("nobody panics here"));
        assert_eq!(fuel.len(), 1, "one event is one instance");
        fuel[0]
    }
}
