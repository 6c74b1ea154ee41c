//! How long appends took: Java's two histograms of the last whole minute (`StoreStatsService`),
//! a coarse one that is printed and a fine one for percentiles.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds of the coarse histogram (ms, exclusive but for the first) and the names Java prints.
const COARSE: [(i64, &str); 13] = [
    (1, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1_000, "[500ms~1s]"),
    (2_000, "[1~2s]"),
    (3_000, "[2~3s]"),
    (4_000, "[3~4s]"),
    (5_000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (i64::MAX, "[10s~]"),
];

/// Width (ms) and number of the fine histogram's buckets; one more takes what is longer.
const FINE: [(i64, usize); 7] =
    [(1, 20), (2, 15), (5, 10), (10, 10), (50, 6), (100, 5), (1_000, 9)];
const FINE_LEN: usize = 76;

/// The inclusive upper bound of every fine bucket, ms.
const FINE_BOUNDS: [i64; FINE_LEN] = {
    let (mut bounds, mut next, mut bound, mut run) = ([i64::MAX; FINE_LEN], 0, 0, 0);
    while run < FINE.len() {
        let mut n = 0;
        while n < FINE[run].1 {
            bound += FINE[run].0;
            bounds[next] = bound;
            next += 1;
            n += 1;
        }
        run += 1;
    }
    bounds
};

#[derive(Debug)]
struct Minute {
    coarse: [AtomicU64; COARSE.len()],
    fine: [AtomicU64; FINE_LEN],
}

impl Default for Minute {
    fn default() -> Self {
        Self {
            coarse: [const { AtomicU64::new(0) }; COARSE.len()],
            fine: [const { AtomicU64::new(0) }; FINE_LEN],
        }
    }
}

/// The histograms of this minute, which fill, and of the last one, which are shown.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    minutes: [Minute; 2],
    current: AtomicU64,
    longest_ms: AtomicU64,
}

impl Latencies {
    /// Notes appends that took the same time.
    pub(super) fn note(&self, appends: u64, took_ms: i64) {
        let minute = &self.minutes[self.current()];
        let coarse = COARSE.partition_point(|(bound, _)| *bound <= took_ms).min(COARSE.len() - 1);
        minute.coarse[coarse].fetch_add(appends, Ordering::Relaxed);
        let fine = FINE_BOUNDS.partition_point(|bound| *bound < took_ms);
        minute.fine[fine].fetch_add(appends, Ordering::Relaxed);
        self.longest_ms.fetch_max(took_ms.max(0) as u64, Ordering::Relaxed);
    }

    /// The longest append since the start, ms.
    pub(super) fn longest_ms(&self) -> u64 {
        self.longest_ms.load(Ordering::Relaxed)
    }

    /// Starts a new minute. An append noted just now may fall into either; Java's do too.
    pub(super) fn turn(&self) {
        let next = 1 - self.current();
        let minute = &self.minutes[next];
        for bucket in minute.coarse.iter().chain(&minute.fine) {
            bucket.store(0, Ordering::Relaxed);
        }
        self.current.store(next as u64, Ordering::Relaxed);
    }

    /// The coarse histogram of the last minute as Java prints it.
    pub(super) fn distribution(&self) -> String {
        let mut text = String::with_capacity(256);
        let last = &self.minutes[1 - self.current()];
        for ((_, name), count) in COARSE.iter().zip(&last.coarse) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}:{} ", count.load(Ordering::Relaxed));
        }
        text
    }

    /// The time that this share of the last minute's appends did not exceed, ms, interpolated
    /// within its bucket.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let last = &self.minutes[1 - self.current()];
        let counts = last.fine.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let rank = (counts.iter().sum::<u64>() as f64 * share) as u64;
        let (mut passed, mut lower) = (0, 0);
        for (count, upper) in counts.into_iter().zip(FINE_BOUNDS) {
            if rank <= passed + count {
                let into = if count == 0 { 0.0 } else { (rank - passed) as f64 / count as f64 };
                return lower as f64 + (upper - lower) as f64 * into;
            }
            passed += count;
            lower = upper;
        }
        lower as f64
    }

    fn current(&self) -> usize {
        usize::from(self.current.load(Ordering::Relaxed) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fine_bounds_are_javas() {
        assert_eq!(FINE_BOUNDS[..3], [1, 2, 3]);
        assert_eq!(FINE_BOUNDS[19..22], [20, 22, 24]);
        assert_eq!(FINE_BOUNDS[FINE_LEN - 3..], [9_000, 10_000, i64::MAX]);
    }

    #[test]
    fn the_last_whole_minute_is_shown() {
        let latencies = Latencies::default();
        for took in [0, 0, 9, 10, 499, 500, 60_000] {
            latencies.note(1, took);
        }
        assert!(latencies.distribution().starts_with("[<=0ms]:0 [0~10ms]:0 "));
        latencies.turn();
        assert_eq!(
            latencies.distribution(),
            "[<=0ms]:2 [0~10ms]:1 [10~50ms]:1 [50~100ms]:0 [100~200ms]:0 [200~500ms]:1 \
             [500ms~1s]:1 [1~2s]:0 [2~3s]:0 [3~4s]:0 [4~5s]:0 [5~10s]:0 [10s~]:1 "
        );
        assert_eq!(latencies.longest_ms(), 60_000);
        latencies.turn();
        assert!(latencies.distribution().starts_with("[<=0ms]:0 "));
    }

    #[test]
    fn percentiles_interpolate_as_java_does() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentile(0.99), 0.0);
        for took in 1..=100 {
            latencies.note(1, took);
        }
        latencies.turn();
        assert_eq!(latencies.percentile(0.99), 99.0);
        assert_eq!(latencies.percentile(0.5), 50.0);
    }
}
