//! `DataVersion`: which state of a table a side holds. Time comes in from outside.

use std::cmp::Ordering;

super::bodies! {
    /// The version of a table: equal only if all three agree, ordered by `stateVersion`, then
    /// `counter`, then `timestamp` (ms since the epoch).
    #[derive(Copy, Eq, Hash)]
    DataVersion {
        counter: i64,
        state_version: i64,
        timestamp: i64,
    }
}

impl DataVersion {
    /// The version of a new table.
    pub const fn new(now: i64) -> Self {
        Self { counter: 0, state_version: 0, timestamp: now }
    }

    /// Counts a change. The state version is that of the store's controller, 0 without one.
    pub const fn advance(&mut self, state_version: i64, now: i64) {
        self.counter += 1;
        self.state_version = state_version;
        self.timestamp = now;
    }
}

impl Ord for DataVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |version: &Self| (version.state_version, version.counter, version.timestamp);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for DataVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_version_outranks_the_counter() {
        let mut version = DataVersion::new(9);
        version.advance(0, 5);
        assert!(version > DataVersion::new(10));
        assert!(version < DataVersion { counter: 0, state_version: 1, timestamp: 0 });
    }
}
