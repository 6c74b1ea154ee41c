//! One index file: a hash table with chains from the hash of `topic#key` to log offsets (Java
//! `IndexFile`). Reached by positional reads and writes only: the file is 420 MB with holes, and is
//! neither allocated nor held in memory.
//!
//! ```text
//! header 40 bytes | slots: i32 newest entry of the chain | entries: i32 hash, i64 log offset,
//!                                                          i32 seconds since begin, i32 previous
//! header: i64 begin time, i64 end time, i64 begin log offset, i64 end log offset,
//!         i32 used slots, i32 entry count + 1
//! ```

use crate::Error;
use crate::disk::File;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) const HEADER: usize = 40;
pub(crate) const SLOT: usize = 4;
pub(crate) const ENTRY: usize = 20;
/// Where in an entry the number of the previous one lies.
const PREVIOUS: usize = 16;
/// Slots that are read and written together when keys fall close to each other.
const BLOCK_SLOTS: usize = 1024;
/// Entries that repair reads at once.
const REPAIR_ENTRIES: usize = 50_000;
/// What a disk writes or loses at once, bytes.
const SECTOR: usize = 512;

/// A key to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexKey {
    /// Hash of `topic#key`, not negative.
    pub(crate) hash: i32,
    /// The record.
    pub(crate) log_offset: i64,
    /// The record's store time, ms since the epoch.
    pub(crate) store_timestamp: i64,
}

/// How many slots and entries a file has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) slots: u32,
    pub(crate) entries: u32,
}

impl Shape {
    /// The bytes of a file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.entry_at(self.entries as usize)
    }

    pub(crate) fn slot_at(&self, slot: usize) -> u64 {
        (HEADER + slot * SLOT) as u64
    }

    pub(crate) fn entry_at(&self, number: usize) -> u64 {
        self.slot_at(self.slots as usize) + (number * ENTRY) as u64
    }

    /// The bytes of so many entries.
    pub(crate) fn entry_bytes(&self, count: u64) -> u64 {
        count * ENTRY as u64
    }
}

/// The header of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) begin_time: i64,
    pub(crate) end_time: i64,
    pub(crate) begin_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) used_slots: i32,
    /// The number of the next entry; entry 0 is never used.
    pub(crate) count: i32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&self.begin_time.to_be_bytes());
        out[8..16].copy_from_slice(&self.end_time.to_be_bytes());
        out[16..24].copy_from_slice(&self.begin_offset.to_be_bytes());
        out[24..32].copy_from_slice(&self.end_offset.to_be_bytes());
        out[32..36].copy_from_slice(&self.used_slots.to_be_bytes());
        out[36..].copy_from_slice(&self.count.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Self {
        let long = |at: usize| i64::from_be_bytes(*bytes[at..].first_chunk().expect("in bounds"));
        let int = |at: usize| i32::from_be_bytes(*bytes[at..].first_chunk().expect("in bounds"));
        Self {
            begin_time: long(0),
            end_time: long(8),
            begin_offset: long(16),
            end_offset: long(24),
            used_slots: int(32),
            count: int(36).max(1),
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) hash: i32,
    pub(crate) log_offset: i64,
    pub(crate) seconds: i32,
    pub(crate) previous: i32,
}

impl IndexEntry {
    pub(crate) fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..4].copy_from_slice(&self.hash.to_be_bytes());
        out[4..12].copy_from_slice(&self.log_offset.to_be_bytes());
        out[12..16].copy_from_slice(&self.seconds.to_be_bytes());
        out[PREVIOUS..].copy_from_slice(&self.previous.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; ENTRY]) -> Self {
        let int = |at: usize| i32::from_be_bytes(*bytes[at..].first_chunk().expect("in bounds"));
        let log_offset = i64::from_be_bytes(*bytes[4..].first_chunk().expect("in bounds"));
        Self { hash: int(0), log_offset, seconds: int(12), previous: int(16) }
    }
}

/// Which slot leads to which of the keys that are put together: the slot in the high half, the
/// key's place in the low one, as one number is sorted with half the steps of two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link(u64);

impl Link {
    fn slot(self) -> usize {
        (self.0 >> 32) as usize
    }

    fn place(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn shares_block(&self, other: &Self) -> bool {
        self.slot() / BLOCK_SLOTS == other.slot() / BLOCK_SLOTS
    }
}

/// Writes numbers into the slots of these links, `slots` being those from the first link's on, and
/// tells of each place in turn which entry its slot led to before.
fn link(links: &[Link], first: i32, slots: &mut [u8], mut led: impl FnMut(usize, Option<i32>)) {
    let low = links[0].slot();
    for link in links {
        let bytes = &mut slots[(link.slot() - low) * SLOT..][..SLOT];
        let number = first + link.place() as i32;
        let newest = i32::from_be_bytes(*bytes.first_chunk().expect("a slot has 4 bytes"));
        led(link.place(), (newest > 0 && newest < number).then_some(newest));
        bytes.copy_from_slice(&number.to_be_bytes());
    }
}

/// Keys for which a list keeps its room, however few there are.
const KEPT: usize = 1 << 12;

/// Empties a list that had `used` entries, and keeps room for twice as many: the next ones are
/// about as many, and what a burst took goes when it is over. It is made smaller and not given back
/// whole: glibc takes what is large and freed for a reason to keep as much in each thread's heap.
pub(crate) fn empty<T>(list: &mut Vec<T>, used: usize) {
    list.clear();
    list.shrink_to(2 * used.max(KEPT));
}

/// What is to be written: 28 bytes for each key.
#[derive(Default)]
pub(crate) struct Staged {
    /// The number of the first entry.
    first: i32,
    /// The entries as they lie in the file.
    entries: Vec<u8>,
    /// In the order of the slots and then of arrival.
    links: Vec<Link>,
}

impl Staged {
    fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// See [`empty`].
    pub(crate) fn empty(&mut self, used: usize) {
        empty(&mut self.entries, used * ENTRY);
        empty(&mut self.links, used);
    }
}

/// One open index file.
pub(crate) struct IndexFile {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) shape: Shape,
    pub(crate) header: Header,
    /// Written since the last sync.
    dirty: bool,
    staged: Staged,
}

impl IndexFile {
    /// A file with what its header says.
    pub(crate) fn load(path: PathBuf, file: Arc<dyn File>, shape: Shape) -> Result<Self, Error> {
        let mut bytes = [0; HEADER];
        file.read_at(0, &mut bytes).map_err(Error::io("read", &path))?;
        Ok(Self {
            path,
            file,
            shape,
            header: Header::decode(&bytes),
            dirty: false,
            staged: Staged::default(),
        })
    }

    /// Presets the header of a new file with where the one before it ended.
    pub(crate) fn follow(&mut self, before: &Header) {
        if before.end_offset > 0 {
            (self.header.begin_offset, self.header.end_offset) =
                (before.end_offset, before.end_offset);
        }
        if before.end_time > 0 {
            (self.header.begin_time, self.header.end_time) = (before.end_time, before.end_time);
        }
    }

    /// Whether nothing was put yet, or none of it counts.
    pub(crate) fn is_empty(&self) -> bool {
        self.header.count <= 1 || self.header.begin_time <= 0
    }

    /// How many more keys fit.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(i64::from(self.shape.entries) - i64::from(self.header.count)).unwrap_or(0)
    }

    /// Takes keys in their order, at most [`Self::room`], for [`Self::write_staged`] to write; into
    /// `staged`, which is empty.
    pub(crate) fn stage(&mut self, keys: &[IndexKey], mut staged: Staged) -> Result<(), Error> {
        assert!(keys.len() <= self.room(), "the caller splits what does not fit");
        assert!(self.staged.is_empty(), "the slots are linked one time after the other");
        staged.first = self.header.count;
        let Staged { first, entries, links } = &mut staged;
        self.fill(links, keys);
        entries.reserve_exact(keys.len() * ENTRY);
        for (number, key) in (*first..).zip(keys) {
            entries.extend_from_slice(&self.entry(number, key).encode());
        }
        let mut block = [0; BLOCK_SLOTS * SLOT];
        for group in links.chunk_by(Link::shares_block) {
            let (_, slots) = self.read_slots(group, &mut block)?;
            link(group, *first, slots, |place, newest| match newest {
                Some(newest) => {
                    let entry = &mut entries[place * ENTRY..][..ENTRY];
                    entry[PREVIOUS..].copy_from_slice(&newest.to_be_bytes());
                }
                None => self.header.used_slots += 1,
            });
        }
        self.header.count += keys.len() as i32;
        self.staged = staged;
        Ok(())
    }

    /// Writes what was staged, and gives its room back. What a full disk refuses stays staged, and
    /// the next call writes it as it is: to link the same keys again would find some slots changed
    /// already.
    ///
    /// Entries are written first, then the slots that lead to them, then the header: whoever reads
    /// the file after a crash in between finds no slot that leads nowhere within the header's
    /// count.
    pub(crate) fn write_staged(&mut self) -> Result<Staged, Error> {
        let mut staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(staged);
        }
        if let Err(error) = self.write_all(&staged) {
            self.staged = staged;
            return Err(error);
        }
        staged.entries.clear();
        staged.links.clear();
        Ok(staged)
    }

    fn write_all(&mut self, staged: &Staged) -> Result<(), Error> {
        let Staged { first, entries, links } = staged;
        self.write(self.shape.entry_at(*first as usize), entries)?;
        let mut block = [0; BLOCK_SLOTS * SLOT];
        for group in links.chunk_by(Link::shares_block) {
            let (at, slots) = match group {
                // All of it is overwritten.
                [only] => (self.shape.slot_at(only.slot()), &mut block[..SLOT]),
                // Once more: the blocks that many keys fall into take 20 MB.
                _ => self.read_slots(group, &mut block)?,
            };
            link(group, *first, slots, |_, _| {});
            self.write(at, slots)?;
        }
        self.write_header()
    }

    /// Makes the links of keys, in the order of the slots and then of arrival.
    fn fill(&self, links: &mut Vec<Link>, keys: &[IndexKey]) {
        let slots = u64::from(self.shape.slots);
        let slot = |key: &IndexKey| u64::from(key.hash.cast_unsigned()) % slots;
        links.reserve_exact(keys.len());
        links.extend((0..).zip(keys).map(|(place, key)| Link(slot(key) << 32 | place)));
        links.sort_unstable();
    }

    /// Reads the slots from the first of these links to the last, which share a block, and says
    /// where they are.
    fn read_slots<'a>(
        &self,
        links: &[Link],
        block: &'a mut [u8],
    ) -> Result<(u64, &'a mut [u8]), Error> {
        let (low, high) = (links[0].slot(), links[links.len() - 1].slot());
        let (at, slots) = (self.shape.slot_at(low), &mut block[..(high - low + 1) * SLOT]);
        self.file.read_at(at, slots).map_err(Error::io("read", &self.path))?;
        Ok((at, slots))
    }

    /// The entry of a key; the first key of a file sets where the file begins.
    fn entry(&mut self, number: i32, key: &IndexKey) -> IndexEntry {
        let header = &mut self.header;
        let seconds = match header.begin_time {
            ..=0 => 0,
            begin => {
                (key.store_timestamp.saturating_sub(begin) / 1_000).clamp(0, i32::MAX.into()) as i32
            }
        };
        if number <= 1 {
            (header.begin_time, header.begin_offset) = (key.store_timestamp, key.log_offset);
        }
        // A clock that was set back does not make the file end before it begins.
        header.end_time = header.end_time.max(key.store_timestamp);
        header.end_offset = key.log_offset;
        IndexEntry { hash: key.hash, log_offset: key.log_offset, seconds, previous: 0 }
    }

    /// The file as far as it is written.
    pub(crate) fn view(&self) -> FileView {
        let mut header = self.header;
        if !self.staged.is_empty() {
            header.count = self.staged.first;
        }
        FileView { path: self.path.clone(), file: self.file.clone(), shape: self.shape, header }
    }

    /// What a query needs, to be used without holding up those who put keys.
    pub(crate) fn chains(&self) -> Chains {
        Chains {
            file: self.file.clone(),
            shape: self.shape,
            begin_time: self.header.begin_time,
            end_time: self.header.end_time,
        }
    }

    /// Whether header and last entry agree: what can be seen without reading the whole file.
    pub(crate) fn is_sound(&self) -> bool {
        let Header { begin_time, end_time, begin_offset, end_offset, used_slots, count } =
            self.header;
        let entries = count - 1;
        let in_bounds = count as u32 <= self.shape.entries
            && (0..=entries).contains(&used_slots)
            && begin_time > 0
            && end_time > 0
            && (0..=end_offset).contains(&begin_offset);
        in_bounds && self.read_entry(entries).is_some_and(|last| last.log_offset == end_offset)
    }

    /// Whether each entry names the one before it in its slot, and each slot leads to its newest
    /// entry. What an entry says of its record is not known here.
    pub(crate) fn is_linked(&self) -> Result<bool, Error> {
        let mut slots = vec![0_i32; self.shape.slots as usize];
        let begin = Header { count: 1, end_offset: self.header.begin_offset, ..self.header };
        let (mut header, mut chunk) = (begin, Vec::new());
        while header.count < self.header.count {
            self.read_entries((header.count, self.header.count), &mut chunk)?;
            for bytes in chunk.as_chunks::<ENTRY>().0 {
                if !accept(&mut header, &mut slots, IndexEntry::decode(bytes), i64::MAX) {
                    return Ok(false);
                }
            }
        }
        for (at, slots) in (0..).step_by(REPAIR_ENTRIES).zip(slots.chunks(REPAIR_ENTRIES)) {
            chunk.resize(slots.len() * SLOT, 0);
            let read = self.file.read_at(self.shape.slot_at(at), &mut chunk);
            read.map_err(Error::io("read", &self.path))?;
            let there = chunk.as_chunks::<SLOT>().0.iter().map(|slot| i32::from_be_bytes(*slot));
            // One that no entry is in may lead anywhere: its chain has no key that is asked for.
            if slots.iter().zip(there).any(|(slot, there)| *slot != 0 && *slot != there) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes slots and chains anew from the entries, all of which must have been written.
    pub(crate) fn relink(&mut self) -> Result<(), Error> {
        let mut slots = vec![0_i32; self.shape.slots as usize];
        let (mut number, mut used_slots, mut chunk) = (1, 0, Vec::new());
        while number < self.header.count {
            self.read_entries((number, self.header.count), &mut chunk)?;
            let (first, mut is_same) = (number, true);
            for bytes in chunk.as_chunks_mut::<ENTRY>().0 {
                let entry = IndexEntry::decode(bytes);
                let newest = &mut slots[entry.hash as usize % self.shape.slots as usize];
                used_slots += i32::from(*newest == 0);
                is_same &= entry.previous == *newest;
                bytes[PREVIOUS..].copy_from_slice(&newest.to_be_bytes());
                *newest = number;
                number += 1;
            }
            if !is_same {
                self.write(self.shape.entry_at(first as usize), &chunk)?;
            }
        }
        self.header.used_slots = used_slots;
        self.write_slots(&slots)?;
        self.write_header()
    }

    /// Reads the entries from number `from` on, but not `to`, as many as repair reads at once.
    fn read_entries(&self, (from, to): (i32, i32), into: &mut Vec<u8>) -> Result<(), Error> {
        into.resize((to - from).unsigned_abs().min(REPAIR_ENTRIES as u32) as usize * ENTRY, 0);
        let at = self.shape.entry_at(from as usize);
        self.file.read_at(at, into).map_err(Error::io("read", &self.path))
    }

    /// After an unclean stop: keeps the entries up to the first one that cannot be right, and makes
    /// slots and header anew from them. Records from the header's end offset on have to be put
    /// again. Of the newest file, which `may_be_torn`, an entry in two sectors may be there in
    /// part. Entries of records from `durable_to` on may be in memory alone and are written again.
    pub(crate) fn repair(
        &mut self,
        log_end: i64,
        may_be_torn: bool,
        durable_to: i64,
    ) -> Result<(), Error> {
        let old = self.header;
        let mut slots = vec![0_i32; self.shape.slots as usize];
        let mut header = Header { end_time: old.begin_time, used_slots: 0, count: 1, ..old };
        header.end_offset = old.begin_offset;
        let mut chunk = Vec::new();
        // The last entry that was taken, what was before it, and whether it may be wrong.
        let mut last: Option<(Header, IndexEntry, bool)> = None;
        let mut durable_count = header.count;
        'all: while header.count < self.shape.entries as i32 {
            self.read_entries((header.count, self.shape.entries as i32), &mut chunk)?;
            for bytes in chunk.as_chunks::<ENTRY>().0 {
                let (entry, before) = (IndexEntry::decode(bytes), header);
                let (first, second) = self.parts(header.count, bytes);
                if may_be_torn && is_zero(first) && !second.is_empty()
                    || !accept(&mut header, &mut slots, entry, log_end)
                {
                    // Of two that stand in the wrong order either may be the wrong one.
                    if let Some((before, _, is_doubtful)) = &mut last {
                        *is_doubtful |= !is_zero(bytes)
                            && (before.end_offset..header.end_offset).contains(&entry.log_offset);
                    }
                    break 'all;
                }
                if entry.log_offset < durable_to {
                    durable_count = header.count;
                }
                let is_doubtful = may_be_torn && is_zero(second) && !second.is_empty();
                last = Some((before, entry, is_doubtful));
            }
        }
        if let Some((before, entry, true)) = last {
            slots[entry.hash as usize % self.shape.slots as usize] = entry.previous;
            header = before;
        }
        if header.count == old.count {
            header.end_time = old.end_time;
        }
        self.header = header;
        self.write_again(durable_count)?;
        self.write_slots(&slots)?;
        self.write_header()?;
        self.zero_behind()?;
        self.sync()
    }

    /// Writes the entries from `first` on as they are: what a sync that failed left in memory is
    /// clean there, and no other sync writes it.
    fn write_again(&mut self, first: i32) -> Result<(), Error> {
        let (mut number, mut bytes) = (first, Vec::new());
        while number < self.header.count {
            self.read_entries((number, self.header.count), &mut bytes)?;
            self.write(self.shape.entry_at(number as usize), &bytes)?;
            number += (bytes.len() / ENTRY) as i32;
        }
        Ok(())
    }

    /// What of an entry's bytes is in its first sector, and in the next one.
    fn parts<'a>(&self, number: i32, bytes: &'a [u8; ENTRY]) -> (&'a [u8], &'a [u8]) {
        let at = self.shape.entry_at(number as usize) as usize;
        bytes.split_at((SECTOR - at % SECTOR).min(ENTRY))
    }

    /// Makes everything behind the last entry zeros, so that a later repair does not take old
    /// entries for new ones. What reads as zeros may do so in memory alone.
    fn zero_behind(&self) -> Result<(), Error> {
        let range = self.shape.entry_at(self.header.count as usize)..self.shape.file_bytes();
        self.file.zero(range).map_err(Error::io("zero", &self.path))
    }

    /// Makes everything durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        let Some((path, file)) = self.take_dirty() else { return Ok(()) };
        let synced = file.sync(0..self.shape.file_bytes()).map_err(Error::io("sync", &path));
        self.dirty = synced.is_err();
        synced
    }

    /// The file when it was written since the last time, for the caller to sync.
    pub(crate) fn take_dirty(&mut self) -> Option<(PathBuf, Arc<dyn File>)> {
        std::mem::take(&mut self.dirty).then(|| (self.path.clone(), self.file.clone()))
    }

    /// The hash of the first key, when it can be read.
    pub(crate) fn first_hash(&self) -> Option<i32> {
        self.read_entry(1).map(|entry| entry.hash)
    }

    /// The entries of a record that stand at the end, the last one first.
    pub(crate) fn last_entries_of(&self, log_offset: i64) -> impl Iterator<Item = IndexEntry> {
        let entries = (1..self.header.count).rev().map_while(|number| self.read_entry(number));
        entries.take_while(move |entry| entry.log_offset == log_offset)
    }

    /// The entry of that number, when it can be read.
    pub(crate) fn read_entry(&self, number: i32) -> Option<IndexEntry> {
        self.chains().read_entry(number)
    }

    fn write_slots(&mut self, slots: &[i32]) -> Result<(), Error> {
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_be_bytes()).collect();
        self.write(self.shape.slot_at(0), &bytes)
    }

    fn write_header(&mut self) -> Result<(), Error> {
        let bytes = self.header.encode();
        self.write(0, &bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.dirty = true;
        self.file.write_at(at, bytes).map_err(Error::io("write", &self.path))
    }
}

/// A file to be looked at beside those who put keys.
pub(crate) struct FileView {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) shape: Shape,
    pub(crate) header: Header,
}

/// The chains of a file: an entry never changes once a slot leads to it.
pub(crate) struct Chains {
    file: Arc<dyn File>,
    shape: Shape,
    begin_time: i64,
    end_time: i64,
}

impl Chains {
    /// Whether the file may hold keys stored from `begin` to `end` (ms since the epoch).
    pub(crate) fn overlaps(&self, (begin, end): (i64, i64)) -> bool {
        begin <= self.end_time && end >= self.begin_time
    }

    /// The log offsets under `hash` stored from `begin` to `end`, newest first, appended to `found`
    /// until it has `max`.
    pub(crate) fn find(
        &self,
        hash: i32,
        (begin, end): (i64, i64),
        max: usize,
        found: &mut Vec<i64>,
    ) {
        let slot = hash as usize % self.shape.slots as usize;
        let mut slot_bytes = [0; SLOT];
        if self.file.read_at(self.shape.slot_at(slot), &mut slot_bytes).is_err() {
            return;
        }
        let mut number = i32::from_be_bytes(slot_bytes);
        // Numbers only fall along a chain, so it ends. It may begin with keys that are put now.
        while number > 0 && number.cast_unsigned() < self.shape.entries && found.len() < max {
            let Some(entry) = self.read_entry(number) else { return };
            let time = self.begin_time.saturating_add(i64::from(entry.seconds) * 1_000);
            if entry.hash == hash && (begin..=end).contains(&time) {
                found.push(entry.log_offset);
            }
            if entry.seconds < 0 || entry.previous >= number || time < begin {
                return;
            }
            number = entry.previous;
        }
    }

    fn read_entry(&self, number: i32) -> Option<IndexEntry> {
        let mut bytes = [0; ENTRY];
        self.file.read_at(self.shape.entry_at(number as usize), &mut bytes).ok()?;
        Some(IndexEntry::decode(&bytes))
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Takes one entry over into a header and slots that are made anew. The previous entry that it
/// names must be the one that its slot leads to, which no stale or torn entry gets right by chance.
fn accept(header: &mut Header, slots: &mut [i32], entry: IndexEntry, log_end: i64) -> bool {
    let is_entry = entry.hash >= 0
        && entry.seconds >= 0
        && (header.end_offset..log_end).contains(&entry.log_offset)
        && entry != (IndexEntry { hash: 0, log_offset: 0, seconds: 0, previous: 0 });
    if !is_entry {
        return false;
    }
    let slot = entry.hash as usize % slots.len();
    if entry.previous != slots[slot] {
        return false;
    }
    header.used_slots += i32::from(slots[slot] == 0);
    slots[slot] = header.count;
    header.count += 1;
    header.end_offset = entry.log_offset;
    let time = header.begin_time.saturating_add(i64::from(entry.seconds) * 1_000);
    header.end_time = header.end_time.max(time);
    true
}
