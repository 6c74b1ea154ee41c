//! The index files beside the log: their entries stand in the order of the log, so that a walk
//! through the log meets each entry once. Of one file at a time the slots are in memory, made anew
//! from the entries to compare with those on the disk.

use super::damage::{Kind, Place, Tally};
use super::marks::Unsettled;
use super::stale_keys::StaleKeys;
use super::window::Window;
use crate::disk::peek;
use crate::index_file::{ENTRY, HEADER, Header, IndexEntry, SLOT, Shape};
use crate::{Disk, Error};
use std::collections::VecDeque;
use std::path::PathBuf;

/// Bytes of entries, and of slots, that are read at once.
const CHUNK: usize = 1 << 20;

/// What a record says of its index entries.
pub(super) struct Indexed<'a> {
    pub(super) log_offset: i64,
    /// ms since the epoch.
    pub(super) store_timestamp: i64,
    /// Under these it must be found.
    pub(super) hashes: &'a [i32],
    /// Under this it may be found: older brokers do not index tags.
    pub(super) tags: Option<i32>,
    /// Whether the entries must be there by now.
    pub(super) settled: bool,
    pub(super) place: Place,
}

impl Indexed<'_> {
    /// Which of the keys an entry is of: one that has none yet, where several have the same hash.
    fn place(&self, hash: i32, found: u64) -> Option<usize> {
        let of_it = |at: &usize| self.hashes[*at] == hash;
        let all = || (0..self.hashes.len()).filter(of_it);
        all().find(|at| found & 1 << (*at).min(63) == 0).or_else(|| all().next())
    }
}

/// All index files, oldest first.
pub(super) struct IndexWalk<'a> {
    disk: &'a dyn Disk,
    shape: Shape,
    dir: PathBuf,
    waiting: VecDeque<String>,
    open: Option<OpenFile<'a>>,
    /// Whether a broker may write meanwhile.
    live: bool,
    /// What another broker may have left, when one was the last.
    pub(super) stale: Option<StaleKeys>,
    /// Log offsets of the files that are behind, as their headers say.
    covered: Vec<(i64, i64)>,
    pub(super) files: u64,
    pub(super) entries: u64,
    pub(super) pending: Unsettled,
    /// Records that no file is for, and that have keys.
    pub(super) uncovered: Unsettled,
    pub(super) damage: Tally,
}

struct OpenFile<'a> {
    path: PathBuf,
    header: Header,
    window: Window<'a>,
    /// The number of the next entry.
    next: i32,
    /// As the entries so far make them.
    slots: Vec<i32>,
    last_offset: i64,
}

impl<'a> IndexWalk<'a> {
    /// Over the files `names` of `dir` with their lengths.
    pub(super) fn new(
        disk: &'a dyn Disk,
        dir: PathBuf,
        names: Vec<(String, u64)>,
        shape: Shape,
        live: bool,
    ) -> Self {
        let mut walk = Self {
            disk,
            shape,
            dir,
            waiting: VecDeque::new(),
            open: None,
            live,
            stale: None,
            covered: Vec::new(),
            files: names.len() as u64,
            entries: 0,
            pending: Unsettled::default(),
            uncovered: Unsettled::default(),
            damage: Tally::default(),
        };
        for (name, len) in names {
            if len == shape.file_bytes() {
                walk.waiting.push_back(name);
            } else {
                let place = Place::at(&walk.dir.join(&name), len);
                walk.damage.add(Kind::IndexFile, place, || {
                    let expected = shape.file_bytes();
                    format!(
                        "the file has {len} bytes, expected {expected}; if all have, look again \
                         with -c broker.conf, which says maxHashSlotNum and maxIndexNum"
                    )
                });
            }
        }
        walk
    }

    /// Takes the next record of the log.
    pub(super) fn take(
        &mut self,
        record: &Indexed<'_>,
        unknown: impl Fn(i64) -> bool,
    ) -> Result<(), Error> {
        let mut found: u64 = 0;
        while let Some((number, entry)) = self.peek_entry()? {
            if entry.log_offset > record.log_offset {
                break;
            }
            let is_ours = entry.log_offset == record.log_offset;
            let at = record.place(entry.hash, found);
            let (path, place) = self.entry_place(number);
            let place = Place::at(&path, place).log(entry.log_offset);
            if !is_ours {
                if !unknown(entry.log_offset) {
                    let what = "where no record begins";
                    self.leads_to(place, format!("entry {number} leads to {what}"));
                }
            } else if !record.settled {
                // What is being written may have been read in part.
                found |= at.map_or(0, |at| 1 << at.min(63));
            } else if at.is_none() && record.tags != Some(entry.hash) {
                let what = "a record without its key";
                self.leads_to(place, format!("entry {number} leads to {what}"));
            } else if let Some(why) = self.wrong_time(number, &entry, record.store_timestamp) {
                self.leads_to(place, why);
                // It is the entry of a record that stood here before.
                found |= at.filter(|_| self.stale.is_none()).map_or(0, |at| 1 << at.min(63));
            } else {
                found |= at.map_or(0, |at| 1 << at.min(63));
            }
            self.pass(number, &entry);
        }
        let lacks = (0..record.hashes.len().min(63)).any(|at| found & 1 << at == 0);
        if lacks {
            self.lacks(record, found > 0);
        } else if let Some(stale) = self.stale.as_mut().filter(|_| found > 0) {
            stale.whole();
        }
        Ok(())
    }

    /// Notes an entry that does not lead to a record with its key.
    fn leads_to(&mut self, place: Place, why: String) {
        match &mut self.stale {
            Some(stale) => stale.entry(place, why),
            None => self.damage.add(Kind::IndexEntry, place, || why),
        }
    }

    fn lacks(&mut self, record: &Indexed<'_>, has_some: bool) {
        let range = |header: &Header| (header.begin_offset, header.end_offset);
        let open = self.open.as_ref().map(|open| range(&open.header));
        let mut ranges = self.covered.iter().copied().chain(open);
        let covered = ranges.any(|(from, to)| (from..=to).contains(&record.log_offset));
        match (record.settled, covered) {
            (true, true) => {
                let why = "a key of the record is not in the index file of its time".to_owned();
                match &mut self.stale {
                    Some(stale) => stale.record(record.place.clone(), has_some, why),
                    None => self.damage.add(Kind::KeyMissing, record.place.clone(), || why),
                }
            }
            (true, false) => self.uncovered.note(record.log_offset),
            (false, _) => self.pending.note(record.log_offset),
        }
    }

    fn wrong_time(&self, number: i32, entry: &IndexEntry, stored: i64) -> Option<String> {
        let begin = self.open.as_ref()?.header.begin_time;
        // The first entry counts from the file before.
        let seconds = stored.saturating_sub(begin).clamp(0, i64::from(i32::MAX) * 1_000) / 1_000;
        let wrong = number > 1 && begin > 0 && i64::from(entry.seconds) != seconds;
        wrong.then(|| {
            format!(
                "entry {number} says {} s after the file's begin, its record {seconds} s",
                entry.seconds
            )
        })
    }

    /// Looks at what is left when the walk through the log is over at `log_end`.
    pub(super) fn finish(
        &mut self,
        log_end: i64,
        unknown: impl Fn(i64) -> bool,
    ) -> Result<(), Error> {
        while let Some((number, entry)) = self.peek_entry()? {
            let (path, place) = self.entry_place(number);
            let behind = entry.log_offset >= log_end;
            if behind && self.live {
                self.pending.note(entry.log_offset);
            } else if !unknown(entry.log_offset) {
                let place = Place::at(&path, place).log(entry.log_offset);
                let what = if behind { "behind the log's end" } else { "where no record begins" };
                self.leads_to(place, format!("entry {number} leads to {what}"));
            }
            self.pass(number, &entry);
        }
        Ok(())
    }

    fn entry_place(&self, number: i32) -> (PathBuf, u64) {
        let path = self.open.as_ref().map_or_else(PathBuf::new, |open| open.path.clone());
        (path, self.shape.entry_at(number.unsigned_abs() as usize))
    }

    /// The next entry that can be one, of whichever file.
    fn peek_entry(&mut self) -> Result<Option<(i32, IndexEntry)>, Error> {
        loop {
            if self.open.is_none() {
                let Some(name) = self.waiting.pop_front() else { return Ok(None) };
                self.open_file(&name)?;
                continue;
            }
            let Some(open) = &mut self.open else { continue };
            if open.next >= open.header.count {
                self.close_file()?;
                continue;
            }
            let number = open.next;
            let entry = open.entry(&self.shape, number)?;
            let after = match number + 1 < open.header.count {
                true => open.entry(&self.shape, number + 1)?,
                false => None,
            };
            let fits = |entry: &IndexEntry| {
                entry.hash >= 0 && entry.seconds >= 0 && entry.log_offset >= open.last_offset
            };
            let ordered = |entry: &IndexEntry| {
                after.is_none_or(|after| {
                    after.log_offset >= entry.log_offset || after.log_offset < open.last_offset
                })
            };
            match entry.filter(|entry| fits(entry) && ordered(entry)) {
                Some(entry) => return Ok(Some((number, entry))),
                None => self.bad_entry(number, entry),
            }
        }
    }

    fn bad_entry(&mut self, number: i32, entry: Option<IndexEntry>) {
        let (path, place) = self.entry_place(number);
        let why = format!("entry {number} is out of order or none");
        self.damage.add(Kind::IndexEntry, Place::at(&path, place), || why);
        let Some(open) = &mut self.open else { return };
        match entry {
            // The places of its chain are believed, so that not every later entry looks wrong.
            Some(entry) if entry.hash >= 0 && entry != EMPTY => open.link(number, entry.hash),
            _ => {}
        }
        open.next += 1;
    }

    /// Notes that an entry was seen, and checks its chain.
    fn pass(&mut self, number: i32, entry: &IndexEntry) {
        let (path, place) = self.entry_place(number);
        let Some(open) = &mut self.open else { return };
        let slot = entry.hash as usize % open.slots.len();
        let expected = open.slots[slot];
        if entry.previous != expected {
            let place = Place::at(&path, place).log(entry.log_offset);
            let previous = entry.previous;
            self.damage.add(Kind::IndexEntry, place, || {
                format!("entry {number} names {previous} as the one before it, not {expected}")
            });
        }
        open.link(number, entry.hash);
        open.last_offset = entry.log_offset;
        open.next += 1;
        self.entries += 1;
    }

    fn open_file(&mut self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        let mut bytes = [0; HEADER];
        if peek(self.disk, &path, 0, &mut bytes)? < HEADER {
            return Ok(());
        }
        let header = Header::decode(&bytes);
        let full = i64::from(header.count) > i64::from(self.shape.entries);
        let backwards = header.count > 1
            && (header.begin_time > header.end_time || header.begin_offset > header.end_offset);
        let sound = header.begin_offset >= 0 && header.used_slots >= 0 && !full && !backwards;
        // Java counts the slot before the entry.
        if !sound || header.used_slots >= header.count.max(1) && !self.live {
            self.damage.add(Kind::IndexFile, Place::at(&path, 0), || {
                let (begin, end) = (header.begin_offset, header.end_offset);
                format!(
                    "the header cannot be: records stored from {} to {}, at log offsets {begin} \
                     to {end}, {} slots in use, {} as the number of the next entry",
                    header.begin_time, header.end_time, header.used_slots, header.count
                )
            });
            if !sound {
                return Ok(());
            }
        }
        let mut window = Window::new(self.disk, CHUNK);
        window.open(path.clone());
        let slots = vec![0; self.shape.slots as usize];
        let last_offset = header.begin_offset;
        self.open = Some(OpenFile { path, header, window, next: 1, slots, last_offset });
        Ok(())
    }

    /// Compares the slots and lets the file go.
    fn close_file(&mut self) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let header = open.header;
        if !self.live && header.count > 1 && open.last_offset != header.end_offset {
            let (last, end) = (open.last_offset, header.end_offset);
            self.damage.add(Kind::IndexFile, Place::at(&open.path, 24), || {
                format!("the header says that the last record is at {end}, the last entry {last}")
            });
        }
        if header.count > 1 {
            self.covered.push((header.begin_offset, header.end_offset));
        }
        let mut slot = 0;
        while slot < open.slots.len() {
            let at = self.shape.slot_at(slot);
            let bytes = open.window.bytes(at, SLOT).map_err(Error::io("read", &open.path))?;
            let (bytes, _) = bytes.as_chunks::<SLOT>();
            let there = bytes.len().min(open.slots.len() - slot);
            if there == 0 {
                break;
            }
            for bytes in &bytes[..there] {
                let (found, expected) = (i32::from_be_bytes(*bytes), open.slots[slot]);
                // Java takes a slot that leads behind the last entry for an empty one.
                let newer = found >= header.count && (self.live || expected == 0);
                if found != expected && !newer && (found > 0 || expected != 0) {
                    let place = Place::at(&open.path, self.shape.slot_at(slot));
                    self.damage.add(Kind::IndexSlot, place, || {
                        format!("slot {slot} leads to entry {found}, not {expected}")
                    });
                }
                slot += 1;
            }
        }
        Ok(())
    }
}

const EMPTY: IndexEntry = IndexEntry { hash: 0, log_offset: 0, seconds: 0, previous: 0 };

impl OpenFile<'_> {
    fn link(&mut self, number: i32, hash: i32) {
        let slot = hash as usize % self.slots.len();
        self.slots[slot] = number;
    }

    fn entry(&mut self, shape: &Shape, number: i32) -> Result<Option<IndexEntry>, Error> {
        let at = shape.entry_at(number.unsigned_abs() as usize);
        let bytes = self.window.bytes(at, ENTRY).map_err(Error::io("read", &self.path))?;
        Ok(bytes.first_chunk().map(IndexEntry::decode))
    }
}
