//! Counters of the store. Only numbers; who prints them is not known here.

use crate::SetAside;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Upper bounds, ms, of the classes in which times of appends are counted (Java
/// `StoreStatsService`, `putMessageDistributeTime`).
pub const APPEND_TIME_BOUNDS_MS: [u64; 12] =
    [1, 10, 50, 100, 200, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000];

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    messages: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
    refused: AtomicU64,
    slowest_ms: AtomicU64,
    set_aside_ranges: AtomicU64,
    set_aside_bytes: AtomicU64,
    records_set_aside: AtomicU64,
    scrubbed_bytes: AtomicU64,
    scrubbed_records: AtomicU64,
    scrub_passes: AtomicU64,
    scrub_damage: AtomicU64,
    scrub_passed_ms: AtomicI64,
    index_mended: AtomicU64,
    units_mended: AtomicU64,
    units_skipped: AtomicU64,
    times: [AtomicU64; APPEND_TIME_BOUNDS_MS.len() + 1],
}

impl Stats {
    /// Messages stored.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Bytes written to the commit log.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes to the commit log; each may hold many messages.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Appends that were refused or failed.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Ranges of the commit log that hold no readable record though readable ones follow.
    pub fn set_aside_ranges(&self) -> u64 {
        self.set_aside_ranges.load(Ordering::Relaxed)
    }

    /// Bytes in those ranges.
    pub fn set_aside_bytes(&self) -> u64 {
        self.set_aside_bytes.load(Ordering::Relaxed)
    }

    /// Damaged queue units that were made anew from the log.
    pub fn units_mended(&self) -> u64 {
        self.units_mended.load(Ordering::Relaxed)
    }

    /// Queue units that lead to no readable record, passed over by a reader.
    pub fn units_skipped(&self) -> u64 {
        self.units_skipped.load(Ordering::Relaxed)
    }

    /// Bytes of complete log files that were read again and checked.
    pub fn scrubbed_bytes(&self) -> u64 {
        self.scrubbed_bytes.load(Ordering::Relaxed)
    }

    /// Records that were read again and are sound.
    pub fn scrubbed_records(&self) -> u64 {
        self.scrubbed_records.load(Ordering::Relaxed)
    }

    /// How often all complete log files were read again.
    pub fn scrub_passes(&self) -> u64 {
        self.scrub_passes.load(Ordering::Relaxed)
    }

    /// Damaged ranges that were found in doing so.
    pub fn scrub_damaged_ranges(&self) -> u64 {
        self.scrub_damage.load(Ordering::Relaxed)
    }

    /// When the last such pass ended, ms since the epoch; 0 when none has.
    pub fn scrub_passed_ms(&self) -> i64 {
        self.scrub_passed_ms.load(Ordering::Relaxed)
    }

    /// The slowest append that [`Self::record_time`] was told, ms.
    pub fn slowest_ms(&self) -> u64 {
        self.slowest_ms.load(Ordering::Relaxed)
    }

    /// Counts the time that a caller's append took, ms.
    pub fn record_time(&self, ms: u64) {
        let class = APPEND_TIME_BOUNDS_MS.partition_point(|bound| *bound <= ms);
        let class = if ms == 0 { 0 } else { class };
        self.times[class].fetch_add(1, Ordering::Relaxed);
        self.slowest_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// How many appends fell into each class: 0 ms, below each bound, and above the last one.
    pub fn times(&self) -> [u64; APPEND_TIME_BOUNDS_MS.len() + 1] {
        std::array::from_fn(|class| self.times[class].load(Ordering::Relaxed))
    }

    pub(crate) fn appended(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what is set aside of the commit log by now.
    pub(crate) fn set_aside(&self, aside: &SetAside) {
        self.set_aside_ranges.store(aside.ranges().len() as u64, Ordering::Relaxed);
        self.set_aside_bytes.store(aside.bytes(), Ordering::Relaxed);
    }

    /// Counts a record that a reader set aside, and says how many there were.
    pub(crate) fn record_set_aside(&self) -> u64 {
        self.records_set_aside.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn scrubbed(&self, bytes: u64, records: u64) {
        self.scrubbed_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.scrubbed_records.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn scrub_damage(&self) {
        self.scrub_damage.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn scrub_pass(&self, now: i64) {
        self.scrub_passes.fetch_add(1, Ordering::Relaxed);
        self.scrub_passed_ms.store(now, Ordering::Relaxed);
    }

    /// Index entries and links between them that were put right beside the work.
    pub fn index_entries_mended(&self) -> u64 {
        self.index_mended.load(Ordering::Relaxed)
    }

    pub(crate) fn index_mended(&self, entries: u64) {
        self.index_mended.fetch_add(entries, Ordering::Relaxed);
    }

    pub(crate) fn mended(&self, units: u64) {
        self.units_mended.fetch_add(units, Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.units_skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, appends: u64) {
        self.refused.fetch_add(appends, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_classes() {
        let stats = Stats::default();
        for ms in [0, 1, 9, 10, 9_999, 10_000, 60_000] {
            stats.record_time(ms);
        }
        assert_eq!(stats.times(), [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(stats.slowest_ms(), 60_000);
    }
}
