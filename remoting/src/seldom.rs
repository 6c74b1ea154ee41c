//! Lines of the log that a client, or a want of the system, could cause without end.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// No two lines of a kind are nearer.
const APART: Duration = Duration::from_secs(10);

/// When a kind of line was last written, and how often it was not since.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Counts one; where a line is due, for how many it stands.
    pub(crate) fn tell(&self) -> Option<u64> {
        self.tell_at(Instant::now())
    }

    fn tell_at(&self, now: Instant) -> Option<u64> {
        let (last, times) = &mut *self.0.lock();
        *times += 1;
        if last.is_some_and(|last| now.saturating_duration_since(last) < APART) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_how_many_there_were() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.tell_at(start), Some(1));
        for ms in 0..1_000 {
            assert_eq!(seldom.tell_at(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(seldom.tell_at(start + APART), Some(1_001));
        assert_eq!(seldom.tell_at(start + APART), None);
    }
}
