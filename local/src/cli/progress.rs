//! Says on stderr what takes so long, once it has taken a second.
//!
//! On a terminal that is one line, in which the seconds are counted; elsewhere one line when it begins to take long, and
//! one at its end.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Work that takes less is not shown. The line of what takes longer is written again each time that this has passed.
const PERIOD: Duration = Duration::from_secs(1);

/// Waits for `work`; `what` is the line's beginning, such as `compiling the component`.
pub async fn shown<T>(what: &str, work: impl Future<Output = T>) -> T {
    let stderr = io::stderr();
    let in_place = stderr.is_terminal();
    shown_on(Line { to: stderr, in_place, open: false }, what, work).await
}

async fn shown_on<T>(mut line: Line<impl Write>, what: &str, work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut work = pin!(work);
    loop {
        match timeout(PERIOD, &mut work).await {
            Ok(result) => {
                line.end(what, begin.elapsed());
                return result;
            }
            Err(_) => line.go_on(what, begin.elapsed()),
        }
    }
}

/// The line that tells. Where it can't be written nobody reads it.
struct Line<W: Write> {
    to: W,
    in_place: bool,
    /// Whether something was told, and not yet its end.
    open: bool,
}

impl<W: Write> Line<W> {
    fn go_on(&mut self, what: &str, elapsed: Duration) {
        if self.in_place {
            _ = write!(self.to, "\r{what} … {} s", elapsed.as_secs()).and_then(|()| self.to.flush());
        } else if !self.open {
            _ = writeln!(self.to, "{what} …");
        }
        self.open = true;
    }

    fn end(&mut self, what: &str, elapsed: Duration) {
        if self.open {
            // Longer than what it is written over.
            let back = if self.in_place { "\r" } else { "" };
            _ = writeln!(self.to, "{back}{what}: {:.1} s", elapsed.as_secs_f64());
        }
        self.open = false;
    }
}

impl<W: Write> Drop for Line<W> {
    /// What is given up on ends its line, so that the next one begins on its own.
    fn drop(&mut self) {
        if self.open && self.in_place {
            _ = writeln!(self.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{sleep, timeout};

    async fn told(in_place: bool, takes: Duration, patience: Duration) -> String {
        let mut told = Vec::new();
        let line = Line { to: &mut told, in_place, open: false };
        _ = timeout(patience, shown_on(line, "counting", sleep(takes))).await;
        String::from_utf8(told).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_is_not_told() {
        assert_eq!(told(true, Duration::from_millis(900), LONG).await, "");
        assert_eq!(told(false, Duration::from_millis(900), LONG).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_is_told_once_and_at_its_end() {
        assert_eq!(told(false, Duration::from_millis(3200), LONG).await, "counting …\ncounting: 3.2 s\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_counts_the_seconds_in_one_line() {
        let line = told(true, Duration::from_millis(2200), LONG).await;
        assert_eq!(line, "\rcounting … 1 s\rcounting … 2 s\rcounting: 2.2 s\n");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_on_ends_its_line() {
        let line = told(true, LONG, Duration::from_millis(1500)).await;
        assert_eq!(line, "\rcounting … 1 s\n");
        assert_eq!(told(true, LONG, Duration::from_millis(500)).await, "");
    }
}
