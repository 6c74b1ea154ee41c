//! `config/timerslots`, Rockhopper's own: which slots something waits in, as of one place of the
//! timer's log, so that a start reads no more of the log than what was written since. Replaced as a
//! whole; without it, or where it does not fit the log, the whole log is read.

use super::TimerCounts;
use super::log::Log;
use super::start::tell_damaged;
use super::wheel::Slot;
use crate::Error;
use crate::disk::{Disk, Listed};
use crate::in_the_way::move_aside;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: i64 = i64::from_be_bytes(*b"rhslots1");
/// What is done without it.
const READ_ANEW: &str = "the timer's log is read from its beginning, and a new one is written soon";
/// Before the slots: seven numbers of 8 bytes.
const HEAD: usize = 56;
/// One slot: time, first and last entry, messages, entries.
const SLOT: usize = 32;
/// One topic's number of messages.
const COUNT: usize = 12;
/// No file is longer: all slots of a wheel, and a million topics.
const BYTES_MAX: u64 = 64 << 20;

/// What waits, as of a place of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// How far apart slots are, ms.
    pub(super) precision_ms: i64,
    /// Every entry before this place of the log is counted in.
    pub(super) log_to: i64,
    /// The last of these, -1 for none, and where its message begins in the commit log.
    pub(super) last: (i64, i64),
    /// Everything in slots before this one was delivered, ms since the epoch.
    pub(super) read_ms: i64,
    /// The slots that something waits in, by their time.
    pub(super) slots: BTreeMap<i64, Slot>,
    /// How many messages wait, by topic.
    pub(super) counts: TimerCounts,
}

impl Mark {
    pub(super) fn encode(&self) -> Vec<u8> {
        let len = HEAD + self.slots.len() * SLOT + self.counts.len() * COUNT + 4;
        let mut out = Vec::with_capacity(len);
        let sizes = (self.slots.len() as i64) << 32 | self.counts.len() as i64;
        let (place, log_offset) = self.last;
        let head = [MAGIC, self.precision_ms, self.log_to, place, log_offset, self.read_ms, sizes];
        head.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
        for (slot_ms, slot) in &self.slots {
            [*slot_ms, slot.first, slot.last]
                .iter()
                .for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
            out.extend_from_slice(&slot.count.to_be_bytes());
            out.extend_from_slice(&slot.entries.to_be_bytes());
        }
        for (hash, count) in &self.counts {
            out.extend_from_slice(&hash.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        if u32::from_be_bytes(*sum) != crc32fast::hash(content) {
            return None;
        }
        let i64_at = |bytes: &[u8], at: usize| {
            bytes.get(at..)?.first_chunk().map(|number| i64::from_be_bytes(*number))
        };
        let i32_at = |bytes: &[u8], at: usize| {
            bytes.get(at..)?.first_chunk().map(|number| i32::from_be_bytes(*number))
        };
        let head = |at: usize| i64_at(content, at * 8);
        let sizes = head(6)?;
        let slots = usize::try_from(sizes >> 32).ok()?.checked_mul(SLOT)?;
        let counts = (sizes & 0xffff_ffff) as usize * COUNT;
        if head(0)? != MAGIC || content.len() != HEAD.checked_add(slots)?.checked_add(counts)? {
            return None;
        }
        let (slots, counts) = content[HEAD..].split_at(slots);
        let slot = |at: &[u8]| {
            let (first, last) = (i64_at(at, 8)?, i64_at(at, 16)?);
            let (count, entries) = (i32_at(at, 24)?, i32_at(at, 28)?);
            Some((i64_at(at, 0)?, Slot { first, last, count, entries }))
        };
        Some(Self {
            precision_ms: head(1)?,
            log_to: head(2)?,
            last: (head(3)?, head(4)?),
            read_ms: head(5)?,
            slots: slots.chunks_exact(SLOT).map(slot).collect::<Option<_>>()?,
            counts: counts
                .chunks_exact(COUNT)
                .map(|at| Some((i32_at(at, 0)?, i64_at(at, 4)?)))
                .collect::<Option<_>>()?,
        })
    }
}

/// The file.
pub(super) struct MarkFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl MarkFile {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk, path: root.join("config").join("timerslots") }
    }

    /// What it says, if that fits the precision, the timer's log, and the end of the commit log;
    /// one that does not is removed, so that it never will. `is_due` says that there must be one.
    pub(super) fn load(
        &self,
        log: &Log,
        (precision_ms, log_end): (i64, i64),
        is_due: bool,
    ) -> Result<Option<Mark>, Error> {
        let dir = self.path.parent().unwrap_or(&self.path);
        let listed = self.disk.list(dir).map_err(Error::io("list", dir))?;
        let Some(there) = listed.iter().find(|file| self.path.ends_with(&file.name)) else {
            if is_due {
                tell_damaged(&self.path, "it is missing", READ_ANEW);
            }
            return Ok(None);
        };
        if !there.is_file() {
            let why = "what waits for its time is read from the timer's log";
            move_aside(&*self.disk, &self.path, why)?;
            return Ok(None);
        }
        let fits = |mark: &Mark| -> Result<bool, Error> {
            let (place, log_offset) = mark.last;
            let last = log.unit(place)?;
            let is_there = match place {
                0.. => last.is_some_and(|unit| unit.log_offset == log_offset),
                _ => mark.log_to == 0,
            };
            let is_right = mark.precision_ms == precision_ms && log_offset < log_end.max(1);
            Ok(is_right && is_there && place < mark.log_to.max(0))
        };
        match self.read(there) {
            Ok(mark) if fits(&mark)? => return Ok(Some(mark)),
            // It is older than what became of the timer's log, which has its own line.
            Ok(_) => {}
            Err(why) => tell_damaged(&self.path, &why, READ_ANEW),
        }
        self.remove()?;
        Ok(None)
    }

    /// What it says, or why that is nothing.
    fn read(&self, there: &Listed) -> Result<Mark, String> {
        if there.len > BYTES_MAX {
            return Err(format!("it has {} bytes", there.len));
        }
        let bytes = self.disk.read(&self.path);
        let bytes = bytes.map_err(|error| format!("it cannot be read: {error}"))?;
        Mark::decode(&bytes).ok_or_else(|| "it does not match its checksum".to_owned())
    }

    /// Replaces it, durably.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.disk.replace(&self.path, bytes, None);
        written.map_err(Error::io("replace", &self.path))
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        self.disk.remove(&self.path).map_err(Error::io("remove", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_seen() {
        let slot = Slot { first: 0, last: 520, count: -1, entries: 3 };
        let mark = Mark {
            precision_ms: 1_000,
            log_to: 572,
            last: (520, 77),
            read_ms: 4_000,
            slots: [(5_000, slot), (9_000, Slot { first: 52, ..slot })].into(),
            counts: [(-7, 1), (9, -3)].into(),
        };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            assert_eq!(Mark::decode(&flipped), None, "{at}");
            assert_eq!(Mark::decode(&bytes[..at]), None, "{at}");
        }
        assert_eq!(Mark::decode(&Mark::default().encode()), Some(Mark::default()));
    }
}
