//! When a store is full: the marks of Java's ratios, two absolute bounds of our own, and a disk
//! that took no more. What is removed to make room stands in `retain`.

use crate::disk::Space;
use crate::segments::Segment;
use crate::{AppendError, Error, Lack, Store};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the disk has no room for all holes of the last log file, one part in so many of it is left
/// to queues, index and all else.
const KEPT: u64 = 8;
/// One part in so many of the file is the least that is taken for it then.
const LEAST: u64 = 64;

/// Why no messages are taken though nothing failed, for the sender and the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Full {
    /// The directory or file that is meant.
    pub path: PathBuf,
    /// What was reached.
    pub bound: Bound,
}

/// What a full store has reached. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// `diskSpaceWarningLevelRatio`.
    Ratio {
        /// Percent of the file system in use.
        used: f64,
        /// The setting, percent.
        limit: u8,
    },
    /// `storeBytesMax`.
    StoreBytes {
        /// What the store takes, with the next log file that it needs.
        used: u64,
        /// The setting.
        limit: u64,
    },
    /// `diskFreeBytesMin`.
    FreeBytes {
        /// What is free, less the next log file where one is needed.
        free: u64,
        /// The setting.
        limit: u64,
    },
    /// The file system, a quota or the process's limit of file sizes gave no more.
    NoRoom {
        /// Used bytes of the file system.
        used: u64,
        /// All bytes of it that may be used.
        limit: u64,
    },
    /// The system allows no more open files, or has no memory for them.
    OpenFiles,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.bound {
            Bound::Ratio { used, limit } => write!(
                f,
                "the disk of {path} is full: {used:.1} % used, limit {limit} % \
                 (setting diskSpaceWarningLevelRatio)"
            ),
            Bound::StoreBytes { used, limit } => write!(
                f,
                "the store in {path} is full: {used} bytes used or needed next, limit {limit} \
                 (setting storeBytesMax)"
            ),
            Bound::FreeBytes { free, limit } => write!(
                f,
                "the disk of {path} is full: {free} bytes free or left by the next file, limit \
                 {limit} (setting diskFreeBytesMin)"
            ),
            Bound::NoRoom { used, limit } => write!(
                f,
                "the system has no room for {path}: {used} bytes used, limit {limit} of the file \
                 system, or a quota or file size limit before it (setting \
                 diskSpaceWarningLevelRatio would refuse earlier)"
            ),
            Bound::OpenFiles => write!(
                f,
                "the system lets {path} not be opened: too many open files, or no memory for them; \
                 raise the limit (ulimit -n, LimitNOFILE) or close connections"
            ),
        }
    }
}

/// What [`Store::retain`] and the append need to know of the disks at one time.
#[derive(Clone, Copy)]
pub(crate) struct Spaces {
    log: Space,
    root: Space,
}

impl Spaces {
    /// The used part of the fuller disk, percent.
    pub(crate) fn used_percent(&self) -> f64 {
        self.log.used_ratio().max(self.root.used_ratio()) * 100.0
    }
}

impl Store {
    /// Why no messages are taken now though nothing failed.
    pub fn full(&self) -> Option<Full> {
        let unwritten = || self.waits_for_room.load(Ordering::Acquire);
        let measured = self.full.lock().clone();
        let lacks = |what: &AtomicBool| what.load(Ordering::Acquire);
        let lacking = || lacks(&self.lacks_segment) || lacks(&self.lacks_end) || unwritten();
        measured.or_else(|| if lacking() { self.no_room.lock().clone() } else { None })
    }

    /// Looks how full the disks are and takes or refuses messages from now on. Cheap; call it
    /// every second.
    ///
    /// # Errors
    /// When the file system cannot be asked; the store is not fenced.
    pub fn measure(&self) -> Result<(), Error> {
        let spaces = self.spaces()?;
        let full = self
            .ratio_hit(self.log.segments.dir(), spaces.log)
            .or_else(|| self.ratio_hit(&self.settings.root, spaces.root))
            .or_else(|| self.bound_hit(spaces, 0));
        let mut known = self.full.lock();
        match (&*known, &full) {
            (None, Some(why)) => {
                tracing::error!(
                    %why, "no messages are taken until there is room again; free or add some"
                );
                self.log.moved.tell();
            }
            (Some(_), None) => {
                tracing::warn!("there is room on the disk again, messages are taken")
            }
            _ => {}
        }
        self.disk_full.store(full.is_some(), Ordering::Release);
        *known = full;
        Ok(())
    }

    fn ratio_hit(&self, path: &Path, space: Space) -> Option<Full> {
        let (used, limit) = (space.used_ratio() * 100.0, self.live().disk_refuse_percent);
        let bound = Bound::Ratio { used, limit };
        (used > f64::from(limit)).then(|| Full { path: path.into(), bound })
    }

    /// What a copy of so many bytes beside the queues would pass, if anything.
    pub(crate) fn copy_bound(&self, bytes: u64) -> Result<Option<Full>, Error> {
        let (Space { total, free, available }, root) = (self.root_space()?, &self.settings.root);
        if available < bytes {
            let used = total.saturating_sub(free);
            let bound = Bound::NoRoom { used, limit: used + available };
            return Ok(Some(Full { path: root.clone(), bound }));
        }
        let left = Space { total, free: free.saturating_sub(bytes), available: available - bytes };
        let hit = self.ratio_hit(root, left);
        // The log may lie on the same file system.
        Ok(hit.or_else(|| self.bound_hit(Spaces { log: left, root: left }, bytes)))
    }

    pub(crate) fn spaces(&self) -> Result<Spaces, Error> {
        Ok(Spaces { log: self.log_space()?, root: self.root_space()? })
    }

    /// The absolute bound that `more` bytes would pass, if any.
    pub(crate) fn bound_hit(&self, spaces: Spaces, more: u64) -> Option<Full> {
        let settings = self.live();
        let limit = settings.store_bytes_max;
        if limit > 0 {
            let used = self.store_bytes() + more;
            let bound = Bound::StoreBytes { used, limit };
            if used > limit {
                return Some(Full { path: self.settings.root.clone(), bound });
            }
        }
        let limit = settings.disk_free_bytes_min;
        let dirs = [
            (self.log.segments.dir(), spaces.log.available.saturating_sub(more)),
            (&*self.settings.root, spaces.root.available),
        ];
        let (path, free) = dirs.into_iter().find(|(_, free)| *free < limit)?;
        Some(Full { path: path.into(), bound: Bound::FreeBytes { free, limit } })
    }

    /// Bytes of the next log file when it is not made yet.
    pub(crate) fn next_file_bytes(&self) -> u64 {
        let segments = &self.log.segments;
        if segments.is_ahead() { 0 } else { segments.file_bytes().unsigned_abs() }
    }

    /// What the next log file would pass, if anything. A file for which there is no room is not
    /// tried: the system would take all that is left, for a moment, from everybody.
    pub(crate) fn next_file_bound(&self) -> Option<Full> {
        let (spaces, bytes) = (self.spaces().ok()?, self.log.segments.file_bytes().unsigned_abs());
        let Space { total, free, available } = spaces.log;
        if available < bytes {
            let used = total.saturating_sub(free);
            let next = self.log.segments.last().map_or(0, |last| last.end());
            let bound = Bound::NoRoom { used, limit: used + available };
            return Some(Full { path: self.log.segments.path(next), bound });
        }
        self.bound_hit(spaces, bytes)
    }

    /// What the store takes on the disk: the log's files whole, with those that were moved aside,
    /// of queues and index what was written. Configuration files and what a file system adds are
    /// not counted.
    pub fn store_bytes(&self) -> u64 {
        let log = self.log.segments.bytes_with_spare() + self.log.moved.bytes();
        let queues: u64 = self.queues.all().iter().map(|queue| queue.disk_bytes()).sum();
        let queues = queues + self.compactions.disk_bytes();
        log + queues + self.index.as_ref().map_or(0, crate::index::Index::disk_bytes)
    }

    /// Gives the last log file the room that it will need: Java's have holes. What the disk has no
    /// room for is no failure then, nor is it tried: appends are taken as far as there is some, and
    /// refused from there on until there is more.
    pub(crate) fn reserve_end(&self) {
        let Some(last) = self.log.segments.last() else { return };
        let path = self.log.segments.path(last.start);
        let lacks = match self.reserve(&last, &path).map_err(Error::io("reserve", &path)) {
            Ok(to) => {
                self.reserved_to.store(to, Ordering::Release);
                false
            }
            Err(Error::Full { path, lack }) => {
                self.note_no_room(&path, lack);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the room for what comes cannot be reserved");
                false
            }
        };
        let lacked = self.lacks_end.swap(lacks, Ordering::AcqRel);
        let path = path.display();
        match (lacked, lacks) {
            (false, true) => tracing::error!(%path, "no messages are taken until there is room"),
            (true, false) => tracing::warn!(%path, "there is room again, messages are taken"),
            _ => {}
        }
    }

    /// What the disk has not is not asked for: the system would take all that is left. Returns up
    /// to which log offset there is room.
    fn reserve(&self, last: &Segment, path: &Path) -> io::Result<i64> {
        let len = last.file.len();
        let holes = self.disk.holes(path, len)?;
        let available = if holes > 0 { self.disk.space(path)?.available } else { 0 };
        if holes <= available {
            self.disk.reserve(path, len)?;
            return Ok(i64::MAX);
        }
        let part = available.saturating_sub(len / KEPT);
        let written = (self.log.written_to() - last.start).unsigned_abs();
        let to = (written + part).min(len);
        if part < len / LEAST || self.disk.holes(path, to)? > available {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.disk.reserve(path, to)?;
        tracing::warn!(
            path = %path.display(), holes, available, part,
            "the disk has no room for all that the last log file lacks: messages are taken as far \
             as it goes; free or add some"
        );
        Ok(last.start + to as i64)
    }

    /// Refuses appends until a flush has found more room for the last log file.
    pub(crate) fn lack_end(&self) -> AppendError {
        if let Some(last) = self.log.segments.last()
            && !self.lacks_end.swap(true, Ordering::AcqRel)
        {
            let path = self.log.segments.path(last.start);
            self.note_no_room(&path, Lack::Room);
            tracing::error!(path = %path.display(), "no messages are taken until there is room");
        }
        AppendError::DiskFull
    }

    /// Notes that the system gave no room for `path`, or let it not be opened.
    pub(crate) fn note_no_room(&self, path: &Path, lack: Lack) {
        if lack == Lack::Files {
            *self.no_room.lock() = Some(Full { path: path.into(), bound: Bound::OpenFiles });
            return;
        }
        let space = self.disk.space(path).unwrap_or(Space { total: 0, free: 0, available: 0 });
        let used = space.total.saturating_sub(space.free);
        let bound = Bound::NoRoom { used, limit: used + space.available };
        *self.no_room.lock() = Some(Full { path: path.into(), bound });
    }
}
