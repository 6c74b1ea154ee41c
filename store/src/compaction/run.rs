//! The files of one compacted queue in order, and what is put at their end. Between two files there
//! may be a gap: compacted ones are fewer than those they stand for, and begin where these did.

use super::piece::{Known, Piece};
use super::shape::{Dirs, Shape, start_of};
use crate::Error;
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit, Unit};
use crate::disk::{Disk, File};
use message::record::{self, BLANK_LEN, MAGIC_BLANK};
use std::sync::Arc;

/// A record that goes to the end.
pub(super) struct New<'a> {
    /// As it lies in the commit log, or in another compacted one.
    pub(super) record: &'a [u8],
    pub(super) queue_offset: i64,
    pub(super) tags_code: i64,
    /// ms since the epoch.
    pub(super) store_timestamp: i64,
}

/// The files.
pub(super) struct Run {
    disk: Arc<dyn Disk>,
    pub(super) dirs: Dirs,
    shape: Shape,
    /// Where the first file begins when there is none.
    pub(super) begins_at: i64,
    pub(super) pieces: Vec<Piece>,
    /// Files are missing in `pieces`: others were to take their places, and some did.
    pub(super) is_broken: bool,
    /// Records that are not written yet, and their units.
    log: Vec<u8>,
    units: Vec<u8>,
    /// The first and last queue offset among them.
    waiting: Option<(i64, i64)>,
    /// The queue offset behind everything that was there when the files were opened, kept or not.
    pub(super) was_to: i64,
}

impl Run {
    /// No files; nothing is touched on the disk.
    pub(super) fn empty(disk: Arc<dyn Disk>, dirs: Dirs, shape: Shape) -> Self {
        let (pieces, log, units) = Default::default();
        let (begins_at, was_to) = (0, 0);
        let (is_broken, waiting) = (false, None);
        Self { disk, dirs, shape, begins_at, pieces, is_broken, log, units, waiting, was_to }
    }

    /// Opens the files that are there, of which the last one is as `known` says.
    pub(super) fn load(&mut self, mut known: Known) -> Result<(), Error> {
        let listed = self.disk.list(&self.dirs.log).map_err(Error::io("list", &self.dirs.log))?;
        let files = listed.iter().filter(|file| file.is_file());
        let mut files: Vec<_> =
            files.filter_map(|file| Some((start_of(&file.name)?, file.len))).collect();
        if let Some((start, _)) = files.pop_if(|(_, len)| *len == 0) {
            let path = self.dirs.log_file(start);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        for (start, len) in files.into_iter().rev() {
            self.check_sizes(start, len)?;
            let mut piece = Piece::open(&*self.disk, &self.dirs, self.shape, start)?;
            self.was_to = self.was_to.max(piece.load(&self.dirs, known)?);
            known.may_be_torn = false;
            if piece.count > 0 {
                known.limit = piece.first;
            }
            self.pieces.insert(0, piece);
        }
        self.remove_stray_units()
    }

    fn check_sizes(&self, start: i64, len: u64) -> Result<(), Error> {
        let path = self.dirs.log_file(start);
        let units = self.dirs.units_file(start);
        let listed = self.disk.list(&self.dirs.units).map_err(Error::io("list", &units))?;
        let name = super::shape::name(start);
        let unit_len = listed.iter().find(|file| file.name == name).map(|file| file.len);
        if unit_len == Some(0) {
            self.disk.remove(&units).map_err(Error::io("remove", &units))?;
        }
        let fits = unit_len.is_none_or(|len| len == 0 || len == self.shape.unit_bytes);
        if len == self.shape.log_bytes && fits {
            return Ok(());
        }
        let why = format!(
            "the file has {len} bytes and its units {}, but by the settings every file of the \
             compacted log has {} bytes and its units {}: set compactionMappedFileSize and \
             compactionCqMappedFileSize as the store was made with",
            unit_len.unwrap_or(0),
            self.shape.log_bytes,
            self.shape.unit_bytes
        );
        Err(Error::Corrupt { path, why })
    }

    /// Units that lead to no file: a stock broker would not start.
    fn remove_stray_units(&self) -> Result<(), Error> {
        let dir = &self.dirs.units;
        for file in self.disk.list(dir).map_err(Error::io("list", dir))? {
            let Some(start) = start_of(&file.name).filter(|_| file.is_file()) else { continue };
            if !self.pieces.iter().any(|piece| piece.start == start) {
                let path = dir.join(&file.name);
                tracing::warn!(path = %path.display(), "has no log file: these units are removed");
                self.disk.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The first queue offset; `None` where there is no record.
    pub(super) fn first(&self) -> Option<i64> {
        self.pieces.iter().find(|piece| piece.count > 0).map(|piece| piece.first)
    }

    /// The queue offset behind the last record.
    pub(super) fn next(&self) -> i64 {
        let waiting = self.waiting.map(|(_, last)| last + 1);
        let written = || self.pieces.iter().rev().find(|piece| piece.count > 0);
        waiting.or_else(|| written().map(|piece| piece.last + 1)).unwrap_or(0)
    }

    /// The log offset behind the last record.
    pub(super) fn log_end(&self) -> i64 {
        self.pieces.last().map_or(self.begins_at, |piece| piece.end)
    }

    /// What the files take on the disk: what was written of them.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::disk_bytes).sum()
    }

    /// The file that holds the first record at or behind a queue offset.
    pub(super) fn find(&self, offset: i64) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.count > 0 && piece.last >= offset)
    }

    /// Takes a record, if it comes behind all that are there; [`Self::write`] writes it.
    pub(super) fn push(&mut self, new: &New<'_>) -> Result<(), Error> {
        let size = new.record.len() as u64;
        if !self.follows(new) {
            return Ok(());
        }
        if !self.shape.holds(size) {
            tracing::warn!(
                queue_offset = new.queue_offset,
                size,
                "a message is larger than a file of the compacted log and is not taken over: \
                 compactionMappedFileSize is too small"
            );
            return Ok(());
        }
        if !self.fits(size) {
            self.roll()?;
        }
        let at = self.log_end() + self.log.len() as i64;
        let from = self.log.len();
        self.log.extend_from_slice(new.record);
        let place = from + record::at::LOG_OFFSET;
        self.log[place..place + 8].copy_from_slice(&at.to_be_bytes());
        let size = i32::try_from(size).expect("a file is below 2 GiB");
        let unit = Unit { log_offset: at, size, tags_code: new.tags_code };
        let (store_timestamp, base) = (new.store_timestamp, new.queue_offset);
        let unit = BatchUnit { unit, store_timestamp, base, count: 1 };
        self.units.extend_from_slice(&unit.encode());
        self.waiting = Some((self.waiting.map_or(base, |(first, _)| first), base));
        Ok(())
    }

    /// Whether [`Self::push`] would end a file for a record and begin the next one.
    pub(super) fn begins_file(&self, new: &New<'_>) -> bool {
        let size = new.record.len() as u64;
        let takes = self.follows(new) && self.shape.holds(size);
        takes && !self.pieces.is_empty() && !self.fits(size)
    }

    /// Whether a record comes behind all that are there.
    fn follows(&self, new: &New<'_>) -> bool {
        new.queue_offset >= self.next() && new.record.len() >= record::at::BORN_HOST
    }

    fn fits(&self, size: u64) -> bool {
        let Some(last) = self.pieces.last().filter(|last| !last.is_ended) else { return false };
        let units = last.count + (self.units.len() / BATCH_UNIT_LEN) as u64;
        let end = (last.end - last.start) as u64 + self.log.len() as u64;
        units < self.shape.units() && end + size + BLANK_LEN as u64 <= self.shape.log_bytes
    }

    /// Writes the records that wait, and then their units. After an error they are forgotten, and
    /// may be taken once more.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let (log, units) = (std::mem::take(&mut self.log), std::mem::take(&mut self.units));
        let waiting = self.waiting.take();
        let (Some((first, last)), Some(piece)) = (waiting, self.pieces.last_mut()) else {
            return Ok(());
        };
        let at = (piece.end - piece.start) as u64;
        piece.is_dirty = true;
        let written = piece.log.write_at(at, &log);
        written.map_err(Error::io("write", &self.dirs.log_file(piece.start)))?;
        let written = piece.units.write_at(piece.count * BATCH_UNIT_LEN as u64, &units);
        written.map_err(Error::io("write", &self.dirs.units_file(piece.start)))?;
        if piece.count == 0 {
            piece.first = first;
        }
        piece.last = last;
        piece.end += log.len() as i64;
        piece.count += (units.len() / BATCH_UNIT_LEN) as u64;
        Ok(())
    }

    /// Ends the last file, makes it durable, and begins the next one.
    fn roll(&mut self) -> Result<(), Error> {
        self.end_last()?;
        let (log_bytes, dirs) = (self.shape.log_bytes as i64, &self.dirs);
        let start = match self.pieces.last_mut() {
            None => self.begins_at,
            Some(last) => {
                last.sync(dirs)?;
                last.start + log_bytes
            }
        };
        self.pieces.push(Piece::open(&*self.disk, &self.dirs, self.shape, start)?);
        Ok(())
    }

    /// Writes what waits, and says in the last file that nothing follows in it.
    pub(super) fn end_last(&mut self) -> Result<(), Error> {
        self.write()?;
        let Some(last) = self.pieces.last_mut().filter(|last| !last.is_ended) else {
            return Ok(());
        };
        last.is_dirty = true;
        let at = last.count * BATCH_UNIT_LEN as u64;
        if at < self.shape.unit_bytes {
            let written = last.units.write_at(at, &END);
            written.map_err(Error::io("write", &self.dirs.units_file(last.start)))?;
        }
        let at = (last.end - last.start) as u64;
        let left = i32::try_from(self.shape.log_bytes - at).unwrap_or(i32::MAX);
        let mut blank = [0; BLANK_LEN];
        blank[..4].copy_from_slice(&left.to_be_bytes());
        blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
        if at + BLANK_LEN as u64 <= self.shape.log_bytes {
            let written = last.log.write_at(at, &blank);
            written.map_err(Error::io("write", &self.dirs.log_file(last.start)))?;
        }
        last.is_ended = true;
        Ok(())
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.pieces.iter_mut().try_for_each(|piece| piece.sync(&self.dirs))
    }

    /// Notes that a piece was made durable as it was; what was written to it since is not.
    pub(super) fn set_synced(&mut self, synced: &Piece) {
        let of = |piece: &Piece| (piece.start, piece.count, piece.end, piece.is_ended);
        let is_same = |piece: &&mut Piece| of(piece) == of(synced);
        if let Some(piece) = self.pieces.iter_mut().find(is_same) {
            piece.is_dirty = false;
        }
    }

    /// Opens the files of some pieces again, which lie elsewhere now.
    pub(super) fn open_moved(&self, moved: &[Piece]) -> Result<Vec<Piece>, Error> {
        let open = |piece: &Piece| {
            let opened = Piece::open(&*self.disk, &self.dirs, self.shape, piece.start)?;
            let Piece { log, patched_log, units, .. } = opened;
            Ok(Piece { log, patched_log, units, ..piece.clone() })
        };
        moved.iter().map(open).collect()
    }
}

/// What stands behind the last unit of a file that is complete (Java
/// `SparseConsumeQueue.putEndPositionInfo`): -1 for both places, else zeros.
const END: [u8; BATCH_UNIT_LEN] = {
    let mut end = [0; BATCH_UNIT_LEN];
    let mut at = 0;
    while at < BATCH_UNIT_LEN {
        if at < 8 || 38 <= at && at < 42 {
            end[at] = 0xFF;
        }
        at += 1;
    }
    end
};
