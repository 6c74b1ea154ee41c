//! Compacted queues at a glance, and their records one by one.

use super::compacted_walk::{Queue, queues};
use super::files::Run;
use super::{Dumped, Look};
use crate::Error;
use crate::compaction::{DIR, POSITIONS, damaged, offset_in};
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit};
use crate::disk::peek;
use serde::Serialize;
use std::path::Path;

const UNIT: u64 = BATCH_UNIT_LEN as u64;
/// Units that are read at once.
const CHUNK: usize = 1 << 12;

/// A compacted queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompactedView {
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub id: i32,
    /// Pairs of files.
    pub files: usize,
    /// Messages that are kept.
    pub messages: u64,
    /// The queue offset of the first one; -1 where there is none.
    pub first: i64,
    /// That of the last one.
    pub last: i64,
    /// Bytes of the log that hold records.
    pub bytes: u64,
    /// Up to which queue offset it was compacted; -1 before the first time.
    pub compacted_to: i64,
    /// Log files that a compaction could not read and moved aside.
    pub damaged_files: usize,
    /// Their bytes.
    pub damaged_bytes: u64,
}

/// The units of a pair of files.
struct Units {
    start: i64,
    count: u64,
    run: Run,
}

impl Look<'_> {
    /// All compacted queues.
    pub(super) fn compacted(&self) -> Result<Vec<CompactedView>, Error> {
        let text = self.disk.read(&self.path(DIR).join(POSITIONS)).unwrap_or_default();
        let damaged = damaged(self.disk, &self.path(DIR))?;
        let mut all = Vec::new();
        for queue in queues(self.disk, &self.settings.root)? {
            let of_queue =
                damaged.iter().filter(|it| (&it.topic, it.id) == (&queue.topic, queue.id));
            let compacted_to = offset_in(&text, &queue.topic, queue.id).unwrap_or(-1);
            let pieces = self.units_of(&queue)?;
            let mut view = CompactedView {
                files: pieces.len(),
                messages: 0,
                first: -1,
                last: -1,
                bytes: 0,
                compacted_to,
                damaged_files: of_queue.clone().count(),
                damaged_bytes: of_queue.map(|it| it.bytes).sum(),
                topic: queue.topic,
                id: queue.id,
            };
            for piece in pieces.iter().filter(|piece| piece.count > 0) {
                let last = self.unit(piece, piece.count - 1)?;
                if view.first < 0 {
                    view.first = self.unit(piece, 0)?.map_or(-1, |unit| unit.base);
                }
                view.last = last.map_or(view.last, |unit| unit.base);
                view.messages += piece.count;
                let end = last.map_or(piece.start, |unit| unit.unit.log_end());
                view.bytes += (end - piece.start).unsigned_abs();
            }
            all.push(view);
        }
        Ok(all)
    }

    /// Up to `count` records that are kept of a compacted queue, from a queue offset on.
    ///
    /// # Errors
    /// When the directory is no store, cannot be listed, or has no such queue.
    pub fn dump_compacted(
        &self,
        (topic, id): (&str, i32),
        from: Option<i64>,
        mut count: u64,
        show: &mut dyn FnMut(Dumped),
    ) -> Result<(), Error> {
        self.refuse_nothing()?;
        let all = queues(self.disk, &self.settings.root)?;
        let queue = all.into_iter().find(|it| (it.topic.as_str(), it.id) == (topic, id));
        let queue = queue.ok_or_else(|| Error::Corrupt {
            path: self.path(DIR),
            why: "there is no such compacted queue; rockhopper store inspect lists those that are \
                  there"
                .into(),
        })?;
        let log = Run::list(self.disk, &queue.dirs.log)?;
        for piece in self.units_of(&queue)? {
            for place in 0..piece.count {
                let Some(unit) = self.unit(&piece, place)? else { continue };
                if unit.base < from.unwrap_or(0) {
                    continue;
                }
                if count == 0 {
                    return Ok(());
                }
                count -= 1;
                let mut found = self.at(&log, unit.unit.log_offset);
                found.unit = Some((unit.base, unit.unit));
                show(found);
            }
        }
        Ok(())
    }

    fn units_of(&self, queue: &Queue) -> Result<Vec<Units>, Error> {
        let run = Run::list(self.disk, &queue.dirs.units)?;
        let mut all = Vec::new();
        for file in &run.files {
            let count = self.units_end(&run.path(file.start), file.len / UNIT)?;
            all.push(Units { start: file.start, count, run: run.clone() });
        }
        Ok(all)
    }

    /// The place behind the last of so many that holds a unit; others may be damaged.
    fn units_end(&self, path: &Path, places: u64) -> Result<u64, Error> {
        let mut chunk = vec![0; CHUNK * BATCH_UNIT_LEN];
        let mut end = places;
        while end > 0 {
            let from = end.saturating_sub(CHUNK as u64);
            let bytes = &mut chunk[..((end - from) * UNIT) as usize];
            let there = peek(self.disk, path, from * UNIT, bytes)?;
            let mut units = bytes[..there].chunks_exact(BATCH_UNIT_LEN);
            if let Some(at) = units.rposition(|unit| BatchUnit::decode(unit).is_some()) {
                return Ok(from + at as u64 + 1);
            }
            end = from;
        }
        Ok(0)
    }

    fn unit(&self, units: &Units, place: u64) -> Result<Option<BatchUnit>, Error> {
        let mut bytes = [0; BATCH_UNIT_LEN];
        let there = peek(self.disk, &units.run.path(units.start), place * UNIT, &mut bytes)?;
        Ok(if there == bytes.len() { BatchUnit::decode(&bytes) } else { None })
    }
}
