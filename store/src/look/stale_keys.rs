//! What Java leaves in its index when it cuts its log: entries that lead to records that are gone,
//! and no keys of the records in their place. It is one row from the cut on, and a start of ours
//! makes the index anew from there; anything that looks otherwise is damage.

use super::damage::{Kind, Place, Tally};

/// Such a row, as far as a walk has come.
#[derive(Default)]
pub(super) struct StaleKeys {
    /// The log offsets of its first and last piece.
    row: Option<(i64, i64)>,
    entries: u64,
    records: u64,
    /// Behind the row the index agrees with the log again.
    is_over: bool,
    /// There is more than one row, or records in it have some of their keys.
    is_mixed: bool,
    damage: Tally,
}

impl StaleKeys {
    /// An entry that leads to no record with its key.
    pub(super) fn entry(&mut self, place: Place, why: String) {
        self.entries += 1;
        self.piece(Kind::IndexEntry, place, why);
    }

    /// A record of which the index has `some` keys or none.
    pub(super) fn record(&mut self, place: Place, some: bool, why: String) {
        self.records += 1;
        self.is_mixed |= some;
        self.piece(Kind::KeyMissing, place, why);
    }

    /// A record that has all its keys.
    pub(super) fn whole(&mut self) {
        self.is_over |= self.row.is_some();
    }

    fn piece(&mut self, kind: Kind, place: Place, why: String) {
        let at = place.log_offset.unwrap_or(0);
        let (from, to) = self.row.unwrap_or((at, at));
        self.row = Some((from.min(at), to.max(at)));
        self.is_mixed |= self.is_over;
        self.damage.add(kind, place, || why);
    }

    /// What is worth a word, when a start that reads the log from `read_from` on mends it all; else
    /// the damage. Entries alone are believed only where `is_cut` is known otherwise: the log may
    /// have lost its last record.
    pub(super) fn judge(self, read_from: i64, is_cut: bool) -> Result<Option<String>, Tally> {
        let Some((from, to)) = self.row else { return Ok(None) };
        // A start that meets a row goes back to where it begins.
        if self.is_mixed || to < read_from || self.records == 0 && !is_cut {
            return Err(self.damage);
        }
        Ok(Some(format!(
            "from {from} on the index lacks the keys of {} records, and {} of its entries lead to \
             records that are gone: another broker cut the log, but not its index. The next start \
             of Rockhopper makes it anew from there",
            self.records, self.entries
        )))
    }
}
