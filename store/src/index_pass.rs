//! Comparing the index with the log beside the work, a little at a time: no checksum covers an
//! index file, and an entry that leads astray is not missed by a query, which just finds nothing.
//! Entries are looked at in the order of their records, up to where the index ended when the pass
//! began: what was put since then was in memory a moment ago. What is wrong is put right in its
//! place: nobody waits for the walk, and who asks meanwhile finds what he found before.
//!
//! Left alone: keys that no entry has and for which there is no place, as those of messages that
//! were stored while `messageIndexEnable` was off, or of tags before 5.5 (`store verify` names
//! them); and what leads to records that the log has no more.

use crate::index::Index;
use crate::index_file::{ENTRY, FileView, Header, IndexEntry, SLOT};
use crate::index_gaps::stored;
use crate::log_reader::LogReader;
use crate::look::{LogWalk, Step};
use crate::marks::Marks;
use crate::{Error, Store};
use message::record::{Entry, Record};
use std::path::PathBuf;

/// Bytes of the log that one step reads, and the record that goes beyond.
const STEP_BYTES: i64 = 1 << 20;
/// Entries, or slots, that are read at once.
const AT_ONCE: usize = 10_000;

/// The pass under way.
#[derive(Default)]
pub(crate) struct IndexPass {
    /// When it began, ms since the epoch; `None` when there was none yet.
    began_ms: Option<i64>,
    /// The header that the last file had then; `None` when the pass is over.
    end: Option<Header>,
    /// The file that is compared.
    open: Option<Comparison>,
    /// The one before it.
    done: Option<(PathBuf, i64)>,
}

/// What is known of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It leads to a record with its key, or to a place of which nothing is known any more.
    Possible,
    Wrong,
}

/// One file, compared as far as `next`.
struct Comparison {
    view: FileView,
    /// The log offset of the next record.
    at: i64,
    /// So many keys of the first record stand in the file before this one.
    before: usize,
    /// The number of the next entry.
    next: i32,
    /// As the entries so far make them.
    slots: Vec<i32>,
    /// The entry before it.
    last: Option<IndexEntry>,
    /// Entries that were read ahead, from this number on.
    ahead: (i32, Vec<u8>),
    /// The entry that was found possible last: it is asked about again for each key that it is not.
    possible: i32,
    reader: LogReader,
    /// Entries that were put anew, and links that lead astray.
    wrong: (u64, u64),
}

impl Store {
    /// Compares the index with about a megabyte of the log and says how many bytes were read; 0
    /// when there is nothing to do at `now`.
    pub(crate) fn scrub_index(&self, pass: &mut IndexPass, now: i64, every_ms: i64) -> u64 {
        let Some(index) = &self.index else { return 0 };
        let is_early = |began| (0..every_ms).contains(&now.saturating_sub(began));
        if pass.open.is_none() {
            if pass.end.is_none() {
                if pass.began_ms.is_some_and(is_early) {
                    return 0;
                }
                let (began_ms, end) = (Some(now), index.last_header());
                *pass = IndexPass { began_ms, end, ..IndexPass::default() };
            }
            pass.open = self.next_file(index, pass);
        }
        let Some(open) = &mut pass.open else {
            pass.end = None;
            return 0;
        };
        let from = open.at;
        let compared = open.step(self).and_then(|is_over| match is_over {
            true => open.finish(index.count(&open.view.path)).map(|()| true),
            false => Ok(false),
        });
        let read = (open.at - from).unsigned_abs();
        let is_over = compared.unwrap_or_else(|error| {
            tracing::error!(%error, "the index cannot be compared with the log here");
            true
        });
        if !is_over {
            return read.max(1);
        }
        let slots = u64::from(open.view.shape.slots) * SLOT as u64;
        self.mend_index(open);
        pass.done = Some((open.view.path.clone(), open.view.header.end_offset));
        pass.open = None;
        read + slots
    }

    fn next_file(&self, index: &Index, pass: &IndexPass) -> Option<Comparison> {
        let end = pass.end?;
        let (mut view, before) = index.file_behind(pass.done.as_ref())?;
        if view.header.begin_offset == end.begin_offset {
            view.header = end;
        }
        let is_of_pass = view.header.begin_offset <= end.begin_offset;
        is_of_pass.then(|| Comparison::begin(view, before, self.log.min()))
    }

    /// Tells what was wrong with a file, and links its entries anew.
    fn mend_index(&self, compared: &Comparison) {
        let (entries, links) = compared.wrong;
        let (Some(index), true) = (&self.index, entries + links > 0) else { return };
        let path = &compared.view.path;
        self.stats.index_mended(entries + links);
        match index.relink(path) {
            Ok(true) => tracing::error!(
                path = %path.display(),
                entries,
                links,
                "an index file contradicted the log: its wrong entries are put anew, and all are \
                 linked anew; queries by key may have missed messages until now"
            ),
            Ok(false) => {}
            Err(error) => tracing::error!(
                path = %path.display(),
                entries,
                links,
                %error,
                "an index file contradicts the log and cannot be mended: queries by key may miss \
                 messages; remove it and those behind it while the broker is stopped, and they are \
                 made anew"
            ),
        }
    }
}

impl Comparison {
    fn begin(view: FileView, before: usize, log_min: i64) -> Self {
        Self {
            at: view.header.begin_offset.max(log_min),
            before,
            next: 1,
            slots: vec![0; view.shape.slots as usize],
            last: None,
            ahead: (0, Vec::new()),
            possible: 0,
            reader: LogReader::default(),
            wrong: (0, 0),
            view,
        }
    }

    /// Goes through about a megabyte of the log; says whether the file is behind.
    fn step(&mut self, store: &Store) -> Result<bool, Error> {
        let aside = store.aside.ranges().iter().map(|range| (range.from, range.to)).collect();
        let run = store.log.segments.run();
        let mut walk = LogWalk::new(&*store.disk, run, aside, STEP_BYTES as usize);
        self.at = self.at.max(store.log.min());
        walk.jump(self.at);
        let to = self.at + STEP_BYTES;
        while self.at < to {
            if self.next >= self.view.header.count || self.at > self.view.header.end_offset {
                return Ok(true);
            }
            match walk.step()? {
                Step::Record => {
                    let Some(record) = walk.record() else { return Ok(true) };
                    self.take(store, &record)?;
                }
                Step::Gap(_) => {}
                Step::End { .. } => return Ok(true),
            }
            self.at = walk.at();
        }
        Ok(false)
    }

    /// Passes the entries of a record.
    fn take(&mut self, store: &Store, record: &Record<'_>) -> Result<(), Error> {
        let marks = Marks::read(record.properties);
        let is_first = record.log_offset == self.view.header.begin_offset;
        let before = if is_first { self.before } else { 0 };
        for hash in marks.index_hashes(record.topic, record.sys_flag).skip(before) {
            while let Some(entry) = self.entry()? {
                let seconds = self.seconds(record.store_timestamp);
                let log_offset = record.log_offset;
                let is_it = (entry.hash, entry.log_offset) == (hash, log_offset)
                    && seconds.is_none_or(|seconds| seconds == entry.seconds);
                if is_it {
                    self.pass(&entry);
                    break;
                }
                let is_wrong = is_one_bit_off(store, &entry, (hash, log_offset))
                    || self.verdict(store, &entry) == Verdict::Wrong;
                if is_wrong {
                    let seconds = seconds.unwrap_or(0);
                    self.put(IndexEntry { hash, log_offset, seconds, previous: 0 })?;
                    break;
                }
                if entry.log_offset > log_offset {
                    // The record's key has no entry.
                    break;
                }
                // It stands there twice, or its record is lost.
                self.pass(&entry);
            }
        }
        Ok(())
    }

    /// What the next entry says of the time of a record that was stored then; `None` where it
    /// may say anything: the first one counts from the file before.
    fn seconds(&self, stored: i64) -> Option<i32> {
        let begin = self.view.header.begin_time;
        let seconds = stored.saturating_sub(begin).clamp(0, i64::from(i32::MAX) * 1_000) / 1_000;
        (self.next > 1 && begin > 0).then_some(seconds as i32)
    }

    /// What the log says of the next entry.
    fn verdict(&mut self, store: &Store, entry: &IndexEntry) -> Verdict {
        if self.possible == self.next {
            return Verdict::Possible;
        }
        let verdict = match self.is_in_order(entry) {
            true => self.asked(store, entry),
            false => Verdict::Wrong,
        };
        if verdict == Verdict::Possible {
            self.possible = self.next;
        }
        verdict
    }

    fn is_in_order(&self, entry: &IndexEntry) -> bool {
        let begin = self.last.map_or(self.view.header.begin_offset, |last| last.log_offset);
        entry.hash >= 0
            && entry.seconds >= 0
            && (begin..=self.view.header.end_offset).contains(&entry.log_offset)
    }

    fn asked(&mut self, store: &Store, entry: &IndexEntry) -> Verdict {
        let at = entry.log_offset;
        let Some(segment) = store.log.segments.find(at) else { return Verdict::Possible };
        if store.aside.overlaps(at, at + 1) {
            return Verdict::Possible;
        }
        let mut reader = std::mem::take(&mut self.reader);
        let is_of = |record: &Record<'_>| {
            let marks = Marks::read(record.properties);
            record.log_offset == at
                && self
                    .seconds(record.store_timestamp)
                    .is_none_or(|seconds| seconds == entry.seconds)
                && marks.index_hashes(record.topic, record.sys_flag).any(|hash| hash == entry.hash)
        };
        let verdict = match reader.entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) if is_of(&record) => Verdict::Possible,
            _ => Verdict::Wrong,
        };
        self.reader = reader;
        verdict
    }

    /// Goes on behind an entry.
    fn pass(&mut self, entry: &IndexEntry) {
        let slot = entry.hash as usize % self.slots.len();
        self.wrong.1 += u64::from(entry.previous != self.slots[slot]);
        self.slots[slot] = self.next;
        self.last = Some(*entry);
        self.next += 1;
    }

    /// Writes the next entry anew and goes on behind it.
    fn put(&mut self, mut entry: IndexEntry) -> Result<(), Error> {
        entry.previous = self.slots[entry.hash as usize % self.slots.len()];
        let at = self.view.shape.entry_at(self.next.unsigned_abs() as usize);
        let written = self.view.file.write_at(at, &entry.encode());
        written.map_err(Error::io("write", &self.view.path))?;
        self.wrong.0 += 1;
        self.pass(&entry);
        Ok(())
    }

    /// The next entry; none behind the last one.
    fn entry(&mut self) -> Result<Option<IndexEntry>, Error> {
        let (count, next) = (self.view.header.count, self.next);
        if next >= count {
            return Ok(None);
        }
        let (first, bytes) = &mut self.ahead;
        let place = usize::try_from(next - *first).unwrap_or(usize::MAX);
        if let Some(bytes) = bytes.as_chunks::<ENTRY>().0.get(place) {
            return Ok(Some(IndexEntry::decode(bytes)));
        }
        let len = AT_ONCE.min((count - next).unsigned_abs() as usize) * ENTRY;
        (*first, *bytes) = (next, vec![0; len]);
        let at = self.view.shape.entry_at(next.unsigned_abs() as usize);
        self.view.file.read_at(at, bytes).map_err(Error::io("read", &self.view.path))?;
        Ok(bytes.first_chunk().map(IndexEntry::decode))
    }

    /// Passes the entries behind the log's last record, and looks at the slots. The file has
    /// entries up to the number `end` by now.
    fn finish(&mut self, end: Option<i32>) -> Result<(), Error> {
        while let Some(entry) = self.entry()? {
            match (self.is_in_order(&entry), self.last) {
                (true, _) => self.pass(&entry),
                // Nothing is known of it: the one before it stands there twice.
                (false, Some(last)) => self.put(last)?,
                (false, None) => self.next += 1,
            }
        }
        let mut bytes = Vec::new();
        let (count, shape) = (self.view.header.count, self.view.shape);
        let later = count..end.unwrap_or(count);
        for (at, slots) in (0..).step_by(AT_ONCE).zip(self.slots.chunks(AT_ONCE)) {
            bytes.resize(slots.len() * SLOT, 0);
            let read = self.view.file.read_at(shape.slot_at(at), &mut bytes);
            read.map_err(Error::io("read", &self.view.path))?;
            let there = bytes.as_chunks::<SLOT>().0.iter().map(|slot| i32::from_be_bytes(*slot));
            // One that no entry is in may lead anywhere.
            let is_wrong = |(slot, there): &(&i32, i32)| {
                **slot != 0 && **slot != *there && !later.contains(there)
            };
            self.wrong.1 += slots.iter().zip(there).filter(is_wrong).count() as u64;
        }
        Ok(())
    }
}

/// Whether an entry leads into what was set aside, but to no record there, and by one bit to the
/// record at a log offset that has its key.
fn is_one_bit_off(store: &Store, entry: &IndexEntry, (hash, log_offset): (i32, i64)) -> bool {
    let at = entry.log_offset;
    (entry.hash, (at ^ log_offset).count_ones()) == (hash, 1)
        && store.aside.overlaps(at, at + 1)
        && stored(&store.log, at).is_none()
}
