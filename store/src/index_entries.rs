//! The entries of the index in the order of their records, from a log offset on: for a start that
//! compares them with the log, because another broker left them.

use crate::disk::File;
use crate::index_file::{ENTRY, IndexEntry, IndexFile, Shape};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries that are read at once.
const AT_ONCE: i32 = 10_000;

/// A place in the index.
pub(crate) struct IndexEntries {
    files: VecDeque<FileEntries>,
}

/// A place in one file.
struct FileEntries {
    begin_time: i64,
    file: Arc<dyn File>,
    shape: Shape,
    next: i32,
    /// The number behind the last entry.
    count: i32,
    /// What was read ahead: from this entry on.
    ahead: (i32, Vec<u8>),
}

/// How the index and a record agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Every key of the record is there, and nothing else was passed.
    Whole,
    /// An entry leads to no such record, or the record lacks keys. From this log offset on the
    /// index cannot be believed.
    StaleFrom(i64),
}

impl IndexEntries {
    /// Those of `files`, oldest first, whose records begin at `from` or behind it.
    pub(crate) fn from(files: &[IndexFile], from: i64) -> Self {
        let files = files.iter().filter(|file| file.header.end_offset >= from);
        let files = files.map(|file| {
            let count = file.header.count.min(i32::try_from(file.shape.entries).unwrap_or(0));
            let (begin_time, ahead) = (file.header.begin_time, (0, Vec::new()));
            let (file, shape) = (file.file.clone(), file.shape);
            FileEntries { begin_time, file, shape, next: 1, count, ahead }
        });
        let mut files: VecDeque<_> = files.collect();
        files.iter_mut().for_each(|file| file.seek(from));
        Self { files }
    }

    /// Goes on behind a record of this place and store time with these keys, of which the first
    /// `required` must be there. `is_gap` says where no record can be expected.
    pub(crate) fn agree(
        &mut self,
        (log_offset, stored): (i64, i64),
        (hashes, required): (&[i32], usize),
        is_gap: &dyn Fn(i64) -> bool,
    ) -> Agreement {
        let mut found = vec![false; hashes.len()];
        while let Some(entry) = self.peek().filter(|entry| entry.log_offset <= log_offset) {
            if entry.log_offset < log_offset {
                if !is_gap(entry.log_offset) {
                    return Agreement::StaleFrom(entry.log_offset);
                }
            } else {
                let mut is_key = false;
                for (hash, found) in hashes.iter().zip(&mut found) {
                    is_key |= *hash == entry.hash;
                    *found |= *hash == entry.hash;
                }
                if !is_key || !self.is_of(&entry, stored) {
                    return Agreement::StaleFrom(log_offset);
                }
            }
            self.pass();
        }
        match found[..required].iter().all(|found| *found) {
            true => Agreement::Whole,
            false => Agreement::StaleFrom(log_offset),
        }
    }

    /// Whether the next entry says this store time. The first of a file may count from the file
    /// before.
    fn is_of(&self, entry: &IndexEntry, stored: i64) -> bool {
        self.files.front().is_none_or(|file| {
            let seconds = stored.saturating_sub(file.begin_time) / 1_000;
            file.next == 1
                || file.begin_time <= 0
                || i64::from(entry.seconds) == seconds.clamp(0, i32::MAX.into())
        })
    }

    fn peek(&mut self) -> Option<IndexEntry> {
        while let Some(file) = self.files.front_mut() {
            if let Some(entry) = file.peek() {
                return Some(entry);
            }
            self.files.pop_front();
        }
        None
    }

    fn pass(&mut self) {
        if let Some(file) = self.files.front_mut() {
            file.next += 1;
        }
    }
}

impl FileEntries {
    /// Goes to the first entry whose record begins at `from` or behind it.
    fn seek(&mut self, from: i64) {
        let (mut low, mut high) = (1, self.count.max(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let mut bytes = [0; ENTRY];
            let at = self.shape.entry_at(middle.unsigned_abs() as usize);
            let is_before = self.file.read_at(at, &mut bytes).is_ok()
                && IndexEntry::decode(&bytes).log_offset < from;
            if is_before { low = middle + 1 } else { high = middle }
        }
        self.next = low;
    }

    /// The next entry; none at the end of the file, or where it cannot be read.
    fn peek(&mut self) -> Option<IndexEntry> {
        if self.next >= self.count {
            return None;
        }
        let (first, bytes) = &mut self.ahead;
        let has_it = (*first..*first + (bytes.len() / ENTRY) as i32).contains(&self.next);
        if !has_it {
            let count = (self.count - self.next).min(AT_ONCE).unsigned_abs() as usize;
            bytes.resize(count * ENTRY, 0);
            *first = self.next;
            let at = self.shape.entry_at(self.next.unsigned_abs() as usize);
            self.file.read_at(at, bytes).ok()?;
        }
        let at = (self.next - *first).unsigned_abs() as usize;
        bytes.as_chunks::<ENTRY>().0.get(at).map(IndexEntry::decode)
    }
}
