//! One compaction of a queue (Java `CompactionLog.compactAndReplace`): of all complete files the
//! records are kept that no newer one with the same key follows, unless they have no body; the file
//! that is written last is left alone. Queue offsets stay what they are.

use super::Compacted;
use super::piece::Piece;
use super::run::{New, Run};
use super::settle::{clear, doomed, remove, rename};
use crate::Error;
use crate::consume_queue::BatchUnit;
use message::record::{self, Entry};
use message::{Record, property};
use std::collections::HashMap;

/// What a key takes in memory besides its text.
const KEY_BYTES: usize = 64;

/// The newest record of each key among those that no compaction has seen yet.
pub(super) struct Newest {
    offsets: HashMap<Box<str>, i64>,
    /// The last one that was looked at; where the memory was too small not the last one there is.
    pub(super) last: i64,
}

/// The key of a record: all of its property at once, and none where that is blank.
pub(super) fn key_of<'a>(record: &Record<'a>) -> Option<&'a str> {
    record.property(property::KEYS).filter(|key| !key.trim().is_empty())
}

impl Newest {
    /// Looks at the records behind the queue offset `seen`, as far as `room` bytes of memory go.
    pub(super) fn of(
        compacted: &Compacted,
        pieces: &[Piece],
        (seen, room): (i64, usize),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, Error> {
        let (mut newest, mut left) = (Self { offsets: HashMap::new(), last: seen }, room);
        let whole = each(compacted, pieces, |unit, record| {
            let Some(unit) = unit.filter(|unit| unit.base > seen) else { return goes_on() };
            if let Some(key) = record.as_ref().and_then(key_of) {
                if let Some(offset) = newest.offsets.get_mut(key) {
                    *offset = unit.base;
                } else {
                    let takes = key.len() + KEY_BYTES;
                    if takes > left && !newest.offsets.is_empty() {
                        return false;
                    }
                    left = left.saturating_sub(takes);
                    newest.offsets.insert(key.into(), unit.base);
                }
            }
            newest.last = unit.base;
            goes_on()
        })?;
        let was_stopped = !whole && !goes_on();
        Ok((newest.last > seen && !was_stopped).then_some(newest))
    }

    /// Java `CompactionLog.shouldRetainMsg`.
    fn keeps(&self, unit: &BatchUnit, record: &Record<'_>) -> bool {
        if unit.base > self.last {
            return true;
        }
        let is_newest = |key: &str| self.offsets.get(key).is_none_or(|newest| unit.base >= *newest);
        key_of(record).is_some_and(is_newest) && !record.body.is_empty()
    }
}

/// Calls `f` with each unit and its record, `None` for what is damaged, until it says that it
/// is enough; returns whether it never did.
fn each(
    compacted: &Compacted,
    pieces: &[Piece],
    mut f: impl FnMut(Option<&BatchUnit>, Option<Record<'_>>) -> bool,
) -> Result<bool, Error> {
    for piece in pieces {
        let path = compacted.dirs.log_file(piece.start);
        let mut at = 0;
        while at < piece.count {
            let units = piece.units_from(at).map_err(Error::io("read", &path))?;
            at += units.len() as u64;
            for unit in units {
                let unit = unit.map_err(Error::io("read", &path))?;
                let bytes = unit.as_ref().map_or(Ok(None), |unit| piece.record(unit));
                let bytes = bytes.map_err(Error::io("read", &path))?;
                let entry = bytes.as_deref().map(|bytes| record::decode(bytes, false));
                let record = match entry {
                    Some(Ok(Entry::Message(record))) => Some(record),
                    _ => None,
                };
                if !f(unit.as_ref(), record) {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// Writes what is kept of `pieces` to the directories `compacting`, durably. `None` when it is told
/// to stop; then, and after an error, nothing is left there. Returns how many records were left out
/// besides.
pub(super) fn rewrite(
    compacted: &Compacted,
    pieces: &[Piece],
    newest: &Newest,
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<(Run, u64)>, Error> {
    let dirs = compacted.dirs.compacting();
    clear(&*compacted.disk, &dirs)?;
    let written = write_kept(compacted, pieces, newest, goes_on);
    if !matches!(written, Ok(Some(_)))
        && let Err(error) = clear(&*compacted.disk, &dirs)
    {
        tracing::warn!(%error, "what a compaction left is removed by the next one");
    }
    written
}

fn write_kept(
    compacted: &Compacted,
    pieces: &[Piece],
    newest: &Newest,
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<(Run, u64)>, Error> {
    let dirs = compacted.dirs.compacting();
    let mut kept = Run::empty(compacted.disk.clone(), dirs, compacted.shape);
    // They take the places of these, which need not be the first ones of the queue.
    kept.begins_at = pieces.first().map_or(0, |piece| piece.start);
    let (mut failed, mut dropped, mut waiting) = (None, 0, 0);
    let whole = each(compacted, pieces, |unit, record| {
        let kept_one = unit.zip(record).filter(|(unit, record)| newest.keeps(unit, record));
        let Some((unit, record)) = kept_one else {
            dropped += 1;
            return goes_on();
        };
        let new = New {
            record: record.raw,
            queue_offset: unit.base,
            tags_code: unit.unit.tags_code,
            store_timestamp: unit.store_timestamp,
        };
        waiting += record.raw.len();
        let mut put = kept.push(&new);
        if waiting >= WRITE_BYTES {
            waiting = 0;
            put = put.and_then(|()| kept.write());
        }
        failed = put.err();
        failed.is_none() && goes_on()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !whole {
        return Ok(None);
    }
    kept.end_last()?;
    kept.sync()?;
    Ok(Some((kept, dropped)))
}

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Puts the files of `kept` in the place of some that follow one another. Where that breaks off the
/// queue is broken: some files may have their places and some not.
pub(super) fn replace(compacted: &Compacted, old: &[Piece], kept: Run) -> Result<(), Error> {
    let (disk, dirs) = (&*compacted.disk, &compacted.dirs);
    // Who reads waits; nobody writes to these files.
    let files = compacted.files.write();
    compacted.run.write().is_broken = true;
    let count = old.len();
    let old: Vec<i64> = old.iter().map(|piece| piece.start).collect();
    let (from, new) = (kept.dirs.clone(), kept.pieces.clone());
    drop(kept);
    let doom = |path: std::path::PathBuf| rename(disk, &path, &doomed(&path));
    old.iter().try_for_each(|start| doom(dirs.log_file(*start)))?;
    old.iter().try_for_each(|start| doom(dirs.units_file(*start)))?;
    for piece in &new {
        rename(disk, &from.log_file(piece.start), &dirs.log_file(piece.start))?;
    }
    for piece in &new {
        rename(disk, &from.units_file(piece.start), &dirs.units_file(piece.start))?;
    }
    let mut run = compacted.run.write();
    let moved = run.open_moved(&new)?;
    let at = run.pieces.partition_point(|piece| piece.start < old[0]);
    run.pieces.splice(at..at + count, moved);
    run.is_broken = false;
    drop((run, files));
    old.iter().try_for_each(|start| remove(disk, &doomed(&dirs.units_file(*start))))?;
    old.iter().try_for_each(|start| remove(disk, &doomed(&dirs.log_file(*start))))?;
    clear(disk, &from)
}
