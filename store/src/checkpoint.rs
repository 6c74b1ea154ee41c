//! The checkpoint file: up to which times log, queues and index are durable (Java
//! `StoreCheckpoint`, 4096 bytes). Bytes that nobody here knows are kept as they are.

use crate::Error;
use crate::disk::{Allocation, Disk, File, peek};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const SIZE: usize = 4096;

/// A field: its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Store time of the newest durable record.
    LogTime = 0,
    /// Store time of the newest record whose queue unit is durable.
    QueueTime = 8,
    /// Store time of the newest record whose index entries are durable. Java sets it only when a
    /// file is full, and after a crash deletes every file that ends later.
    IndexTime = 16,
    /// Log offset where the last record begins that Java found at its last start (5.1.1 on).
    Confirmed = 32,
    /// Log offset up to which queue units are durable (Java 5.5.0 on).
    QueuesTo = 40,
    /// [`Mark::OwnLogMin`] once more: what both say is true, whatever bit flipped.
    OwnLogMinAgain = 4032,
    /// Where the log began, and 1: only what is removed by intent makes it begin later. Not under
    /// the checksum.
    OwnLogMin = 4040,
    /// Checksum of Rockhopper's own mark, all bytes behind this one.
    OwnSeal = 4048,
    /// The bytes of every commit-log file.
    OwnFileBytes = 4056,
    /// Rockhopper's own mark, in bytes that Java leaves alone: [`OWN_MAGIC`].
    OwnMagic = 4064,
    /// Log offset up to which log, queues and index are durable.
    DurableTo = 4072,
    /// [`Mark::LogTime`] and [`Mark::QueueTime`] when the own mark was made: a broker that knows it
    /// not has changed them since.
    OwnLogTime = 4080,
    OwnQueueTime = 4088,
}

/// Says that the own mark was made at all.
pub(crate) const OWN_MAGIC: i64 = i64::from_be_bytes(*b"rockhop1");

/// The bytes of a checkpoint.
pub(crate) struct Fields(Box<[u8; SIZE]>);

impl Fields {
    /// Those of a file, which another process may be writing, or how many bytes there are instead.
    pub(crate) fn peek(disk: &dyn Disk, path: &Path) -> Result<Result<Self, usize>, Error> {
        let mut bytes = Box::new([0; SIZE]);
        let there = peek(disk, path, 0, &mut bytes[..])?;
        Ok(if there == SIZE { Ok(Self(bytes)) } else { Err(there) })
    }

    /// Whether nothing was written yet, or a disk lost it.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// One field.
    pub(crate) fn get(&self, mark: Mark) -> i64 {
        let field = self.0[mark as usize..].first_chunk();
        i64::from_be_bytes(*field.expect("fields lie inside the file"))
    }

    /// What the own mark's checksum must be.
    pub(crate) fn seal(&self) -> i64 {
        crc32fast::hash(&self.0[Mark::OwnFileBytes as usize..]).into()
    }

    /// As [`Checkpoint::durable_to`].
    pub(crate) fn durable_to(&self) -> Option<i64> {
        let own = self.get(Mark::OwnMagic) == OWN_MAGIC
            && self.get(Mark::OwnSeal) == self.seal()
            && self.get(Mark::DurableTo) >= 0
            && self.get(Mark::OwnLogTime) == self.get(Mark::LogTime)
            && self.get(Mark::OwnQueueTime) == self.get(Mark::QueueTime);
        own.then(|| self.get(Mark::DurableTo))
    }

    /// The fields with the one bit changed that makes the own mark whole again; `None` when it is,
    /// or when no bit does: then another broker was here, which sets both times.
    pub(crate) fn with_bit_mended(&self) -> Option<Self> {
        if self.durable_to().is_some() {
            return None;
        }
        let times = Mark::LogTime as usize * 8..Mark::IndexTime as usize * 8;
        times.chain(Mark::OwnSeal as usize * 8..SIZE * 8).find_map(|bit| {
            let mut near = Self(self.0.clone());
            near.0[bit / 8] ^= 1 << (bit % 8);
            near.durable_to().is_some().then_some(near)
        })
    }

    /// As [`Checkpoint::newest_time`].
    pub(crate) fn newest_time(&self) -> i64 {
        self.get(Mark::LogTime).max(self.get(Mark::QueueTime))
    }

    /// As [`Checkpoint::safe_time`].
    pub(crate) fn safe_time(&self) -> i64 {
        self.get(Mark::LogTime).min(self.get(Mark::QueueTime)).saturating_sub(3_000).max(0)
    }
}

/// The checkpoint, held in memory and written by [`Checkpoint::sync`].
pub(crate) struct Checkpoint {
    path: PathBuf,
    file: Arc<dyn File>,
    state: Mutex<State>,
}

struct State {
    fields: Fields,
    changed: bool,
}

impl Checkpoint {
    /// Opens the file, or makes one of zeros; one of another size, or one that cannot be read, is
    /// replaced, because everything in it can be found again.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf) -> Result<Self, Error> {
        let open = || disk.open(&path, SIZE as u64, Allocation::Sparse);
        let mut bytes = Box::new([0; SIZE]);
        let read = |bytes: &mut [u8; SIZE]| {
            let file = open()?;
            file.read_at(0, bytes)?;
            std::io::Result::Ok(file)
        };
        let file = match read(&mut bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => {
                tracing::error!(path = %path.display(), %error, "an empty checkpoint replaces it");
                disk.remove(&path).map_err(Error::io("remove", &path))?;
                *bytes = [0; SIZE];
                open()
            }
            opened => opened,
        };
        let file = file.map_err(Error::io("open", &path))?;
        let mut state = State { fields: Fields(bytes), changed: false };
        if let Some(fields) = state.fields.with_bit_mended() {
            tracing::error!(path = %path.display(), "a bit of it was wrong; check the disk");
            state = State { fields, changed: true };
        }
        Ok(Self { path, file, state: Mutex::new(state) })
    }

    /// One field.
    pub(crate) fn get(&self, mark: Mark) -> i64 {
        self.state.lock().fields.get(mark)
    }

    /// Sets one field in memory.
    pub(crate) fn set(&self, mark: Mark, value: i64) {
        let at = mark as usize;
        let mut state = self.state.lock();
        let State { fields, changed } = &mut *state;
        let field = &mut fields.0[at..at + 8];
        *changed |= field != value.to_be_bytes();
        field.copy_from_slice(&value.to_be_bytes());
    }

    /// Notes that log, queues and index are durable up to log offset `end`, the newest record being
    /// of `time`, in files of `file_bytes` each.
    pub(crate) fn set_durable(&self, end: i64, time: i64, file_bytes: i64) {
        for mark in [Mark::LogTime, Mark::QueueTime, Mark::OwnLogTime, Mark::OwnQueueTime] {
            self.set(mark, time);
        }
        self.set(Mark::QueuesTo, end);
        self.set_own(end, file_bytes);
    }

    /// Makes the mark ours, where another broker's was, or none: log, queues and index are durable
    /// up to log offset `end`, and what is behind that is ours.
    pub(crate) fn take_over(&self, end: i64, file_bytes: i64) {
        let (log_time, queue_time) = (self.get(Mark::LogTime), self.get(Mark::QueueTime));
        self.set(Mark::OwnLogTime, log_time);
        self.set(Mark::OwnQueueTime, queue_time);
        self.forget_log_min();
        self.set_own(end, file_bytes);
    }

    /// Knows no more where the log began: it begins anew.
    pub(crate) fn forget_log_min(&self) {
        [Mark::OwnLogMin, Mark::OwnLogMinAgain].into_iter().for_each(|mark| self.set(mark, 0));
    }

    /// Notes that the log begins at `log_min`, or is about to.
    pub(crate) fn note_log_min(&self, log_min: i64) {
        let noted = (log_min + 1).max(self.get(Mark::OwnLogMin));
        self.set(Mark::OwnLogMin, noted);
        self.set(Mark::OwnLogMinAgain, noted);
    }

    /// Where the log began, when that was noted and no other broker was here since.
    pub(crate) fn noted_log_min(&self) -> Option<i64> {
        self.durable_to()?;
        Some(self.get(Mark::OwnLogMin) - 1).filter(|noted| *noted >= 0)
    }

    /// As [`Self::noted_log_min`], when it is noted twice: everything before is gone, by intent or
    /// lost.
    pub(crate) fn sure_log_min(&self) -> Option<i64> {
        let is_sure = self.get(Mark::OwnLogMin) == self.get(Mark::OwnLogMinAgain);
        self.noted_log_min().filter(|_| is_sure)
    }

    fn set_own(&self, end: i64, file_bytes: i64) {
        self.set(Mark::DurableTo, end);
        self.set(Mark::OwnFileBytes, file_bytes);
        self.set(Mark::OwnMagic, OWN_MAGIC);
        let seal = self.state.lock().fields.seal();
        self.set(Mark::OwnSeal, seal);
    }

    /// The log offset up to which log, queues and index are durable, when the last broker on the
    /// directory noted it.
    pub(crate) fn durable_to(&self) -> Option<i64> {
        self.state.lock().fields.durable_to()
    }

    /// Store time of the newest record that the checkpoint knows of.
    pub(crate) fn newest_time(&self) -> i64 {
        self.state.lock().fields.newest_time()
    }

    /// Records stored before this time are durable, with their queue units: three seconds before
    /// the older of the two marks.
    pub(crate) fn safe_time(&self) -> i64 {
        self.state.lock().fields.safe_time()
    }

    /// Writes the fields and makes them durable, when they changed since the last time.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.changed {
            self.file.write_at(0, &state.fields.0[..]).map_err(Error::io("write", &self.path))?;
            self.file.sync(0..SIZE as u64).map_err(Error::io("sync", &self.path))?;
            state.changed = false;
        }
        Ok(())
    }
}
