//! One compaction of a queue (Java `CompactionLog.compactAndReplace`): of all complete files the
//! records are kept that no newer one with the same key follows, unless they have no body; the file
//! that is written last is left alone. Queue offsets stay what they are.
//!
//! A record that cannot be read is taken from the commit log once more, as long as that has it.
//! Else the others go on without it, and the file that holds it is not removed but moved aside.

use super::Compacted;
use super::piece::Piece;
use super::run::{New, Run};
use super::settle::{DAMAGED, DELETE, clear, named, put_aside, remove, rename};
use crate::Error;
use crate::commit_log::is_lasting;
use crate::consume_queue::BatchUnit;
use bytes::Bytes;
use message::record::{self, Entry};
use message::{Record, property};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// What a key takes in memory besides its text.
const KEY_BYTES: usize = 64;

/// One compaction.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) compacted: &'a Compacted,
    /// Whether it shall go on.
    pub(super) goes_on: &'a dyn Fn() -> bool,
    /// The record of a queue offset, where the commit log still has it.
    pub(super) stored: &'a dyn Fn(i64) -> Option<Bytes>,
}

/// What some files become.
pub(super) struct Kept {
    run: Run,
    /// How many messages newer ones replace.
    pub(super) dropped: u64,
    pub(super) lost: Lost,
}

/// What cannot be read.
#[derive(Default)]
pub(super) struct Lost {
    /// How many records, and places where some may have been.
    pub(super) places: u64,
    /// Queue offsets between which they lie.
    pub(super) between: Option<(i64, i64)>,
    /// The files that hold them, by where these begin.
    starts: BTreeSet<i64>,
}

impl Lost {
    fn note(&mut self, start: i64, (above, below): (i64, i64)) {
        self.places += 1;
        self.between = Some((self.between.map_or(above, |(first, _)| first), below));
        self.starts.insert(start);
    }
}

/// One place of a file.
struct Place<'a> {
    /// Where the file begins.
    start: i64,
    unit: Option<&'a BatchUnit>,
    /// `None` where it is damaged.
    record: Option<Record<'a>>,
    /// Queue offsets between which that of the record lies.
    between: (i64, i64),
    /// No unit leads to what stands before the record.
    has_stray: bool,
}

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
        pass: Pass<'_>,
        pieces: &[Piece],
        (seen, room): (i64, usize),
    ) -> Result<Option<Self>, Error> {
        let goes_on = pass.goes_on;
        let (mut newest, mut left) = (Self { offsets: HashMap::new(), last: seen }, room);
        let whole = pass.each(pieces, |place| {
            let Some(unit) = place.unit.filter(|unit| unit.base > seen) else { return goes_on() };
            if let Some(key) = place.record.as_ref().and_then(key_of) {
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

impl Pass<'_> {
    /// Calls `f` with each place until it says that it is enough; returns whether it never did.
    fn each(self, pieces: &[Piece], mut f: impl FnMut(Place<'_>) -> bool) -> Result<bool, Error> {
        for piece in pieces {
            let path = self.compacted.dirs.log_file(piece.start);
            let (mut at, mut above, mut behind) = (0, piece.first - 1, piece.start);
            while at < piece.count {
                let units = piece.units_from(at).map_err(Error::io("read", &path))?;
                for unit in units {
                    at += 1;
                    let unit = unit.map_err(Error::io("read", &path))?;
                    let below = piece.first_from(at).map_err(Error::io("read", &path))?;
                    let between = (above, below);
                    let (bytes, has_stray) = self
                        .bytes_of(piece, unit.as_ref(), (between, behind))
                        .map_err(Error::io("read", &path))?;
                    let entry = bytes.as_deref().map(|bytes| record::decode(bytes, false));
                    let record = match entry {
                        Some(Ok(Entry::Message(record))) => Some(record),
                        _ => None,
                    };
                    match (&unit, &record) {
                        (Some(unit), Some(_)) => {
                            (above, behind) = (unit.base, unit.unit.log_end());
                        }
                        // It is told already.
                        _ => behind = i64::MAX,
                    }
                    let unit = unit.as_ref();
                    if !f(Place { start: piece.start, unit, record, between, has_stray }) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// The bytes of a unit's record, those in the commit log where they cannot be read here; and
    /// whether something lies before it to which no unit leads.
    fn bytes_of(
        self,
        piece: &Piece,
        unit: Option<&BatchUnit>,
        ((above, below), behind): ((i64, i64), i64),
    ) -> std::io::Result<(Option<Bytes>, bool)> {
        let Some(unit) = unit else { return Ok((None, false)) };
        match piece.record(unit) {
            Err(error) if !is_lasting(&error) => return Err(error),
            Ok(Some(bytes)) if record::decode(&bytes, false).is_ok() => {
                return Ok((Some(bytes), piece.has_bytes(behind, unit.unit.log_offset)?));
            }
            _ => {}
        }
        // What the unit says is damaged where its neighbours say something else.
        let is_its_own = above < unit.base && unit.base < below;
        Ok((if is_its_own { (self.stored)(unit.base) } else { None }, false))
    }
}

/// Writes what is kept of `pieces` to the directories `compacting`, durably. `None` when it is told
/// to stop; then, and after an error, nothing is left there.
pub(super) fn rewrite(
    pass: Pass<'_>,
    pieces: &[Piece],
    newest: &Newest,
) -> Result<Option<Kept>, Error> {
    let compacted = pass.compacted;
    let dirs = compacted.dirs.compacting();
    clear(&*compacted.disk, &dirs)?;
    let written = write_kept(pass, pieces, newest);
    if !matches!(written, Ok(Some(_)))
        && let Err(error) = clear(&*compacted.disk, &dirs)
    {
        tracing::warn!(%error, "what a compaction left is removed by the next one");
    }
    written
}

fn write_kept(pass: Pass<'_>, pieces: &[Piece], newest: &Newest) -> Result<Option<Kept>, Error> {
    let Pass { compacted, goes_on, .. } = pass;
    let dirs = compacted.dirs.compacting();
    let mut run = Run::empty(compacted.disk.clone(), dirs, compacted.shape);
    // They take the places of these, which need not be the first ones of the queue.
    run.begins_at = pieces.first().map_or(0, |piece| piece.start);
    let (mut failed, mut dropped, mut waiting) = (None, 0, 0);
    let mut lost = Lost::default();
    let whole = pass.each(pieces, |place| {
        let Place { start, unit, record, between, has_stray } = place;
        if has_stray || record.is_none() {
            lost.note(start, between);
        }
        let Some((unit, record)) = unit.zip(record) else { return goes_on() };
        if !newest.keeps(unit, &record) {
            dropped += 1;
            return goes_on();
        }
        let new = New {
            record: record.raw,
            queue_offset: unit.base,
            tags_code: unit.unit.tags_code,
            store_timestamp: unit.store_timestamp,
        };
        waiting += record.raw.len();
        let mut put = run.push(&new);
        if waiting >= WRITE_BYTES {
            waiting = 0;
            put = put.and_then(|()| run.write());
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
    run.end_last()?;
    run.sync()?;
    Ok(Some(Kept { run, dropped, lost }))
}

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Puts the files of `kept` in the place of some that follow one another. Where that breaks off the
/// queue is broken: some files may have their places and some not. Returns where those of the old
/// ones are now that hold what cannot be read.
pub(super) fn replace(
    compacted: &Compacted,
    old: &[Piece],
    kept: Kept,
) -> Result<Vec<PathBuf>, Error> {
    let Kept { run: kept, lost, .. } = kept;
    let (disk, dirs) = (&*compacted.disk, &compacted.dirs);
    // Who reads waits; nobody writes to these files.
    let files = compacted.files.write();
    compacted.run.write().is_broken = true;
    let count = old.len();
    let old: Vec<i64> = old.iter().map(|piece| piece.start).collect();
    let (from, new) = (kept.dirs.clone(), kept.pieces.clone());
    drop(kept);
    let doom = |path: PathBuf, suffix| rename(disk, &path, &named(&path, suffix));
    let suffix = |start: &i64| if lost.starts.contains(start) { DAMAGED } else { DELETE };
    old.iter().try_for_each(|start| doom(dirs.log_file(*start), suffix(start)))?;
    old.iter().try_for_each(|start| doom(dirs.units_file(*start), DELETE))?;
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
    let aside: Result<Vec<_>, _> =
        lost.starts.iter().map(|start| put_aside(disk, dirs, *start)).collect();
    let doomed = |path: PathBuf| named(&path, DELETE);
    old.iter().try_for_each(|start| remove(disk, &doomed(dirs.units_file(*start))))?;
    old.iter().try_for_each(|start| remove(disk, &doomed(dirs.log_file(*start))))?;
    clear(disk, &from)?;
    aside
}
