//! The index: the run of index files and the keys that wait to be put into them (Java
//! `IndexService`). Appends only leave their keys here; [`Index::apply`] puts many at once, and a
//! query does so first.

use crate::checkpoint::{Checkpoint, Mark};
use crate::commit_log::CommitLog;
use crate::disk::{Allocation, Disk, Listed};
use crate::in_the_way::{SUFFIX, move_aside};
use crate::index_entries::IndexEntries;
use crate::index_file::{FileView, Header, IndexFile, Shape, Staged, empty};
use crate::index_gaps::{Span, ends_with_its_record, first_gap, has_wrong_header, true_end};
use crate::marks::index_hash;
use crate::{Error, Settings};
use message::hash::{java_hash, java_hash_from};
use message::ids::Civil;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use crate::index_file::IndexKey;

/// Keys that may wait; an append that makes it more puts them itself. A list that has grown to 2^20
/// has room for these and what one append adds.
const PENDING_MAX: usize = 1_000_000;
/// Keys that are put together at most: each takes 28 bytes meanwhile.
const AT_ONCE: usize = 1 << 18;

/// Keys of the newest files that are looked at one by one after a clean stop: 5 MiB are read, and
/// the slots of their files.
const LINKED: i32 = 1 << 18;
/// Called before a file goes: a start that is killed then leaves one that may come back.
pub(crate) type Before<'a> = &'a dyn Fn() -> Result<(), Error>;

/// The index of a store.
pub(crate) struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    shape: Shape,
    utc_offset_ms: i64,
    /// Lock after `files` when both are held.
    pending: Mutex<Vec<IndexKey>>,
    files: Mutex<Files>,
    /// Keys were lost at the start.
    damaged: AtomicBool,
}

/// What became of a file at the start.
enum Checked {
    /// It has all that it had.
    Sound,
    /// It has room, or nothing at all: there can be no file behind it.
    Cut,
    /// It cannot be used, and this is why.
    Damaged(&'static str),
}

#[derive(Default)]
struct Files {
    all: Vec<IndexFile>,
    /// Keys being put; kept to reuse its space.
    taken: Vec<IndexKey>,
    /// The same for what they become.
    staged: Staged,
}

/// What a query by key found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Log offsets, ascending, of records that may have the key: the hash is the same.
    pub(crate) log_offsets: Vec<i64>,
    /// Store time of the newest indexed record.
    pub(crate) last_time: i64,
    /// Log offset of the newest indexed record.
    pub(crate) last_offset: i64,
}

impl Index {
    /// The index of `settings`, not yet loaded.
    pub(crate) fn new(disk: Arc<dyn Disk>, settings: &Settings) -> Self {
        let shape = Shape { slots: settings.index_slots, entries: settings.index_entries };
        let (dir, utc_offset_ms) = (settings.root.join("index"), settings.utc_offset_ms);
        let (pending, files, damaged) = Default::default();
        Self { disk, dir, shape, utc_offset_ms, pending, files, damaged }
    }

    /// Opens the files. After an unclean stop those that were not durable are repaired from their
    /// entries. One that cannot be used at all is removed with those behind it, as they are only
    /// derived: recovery makes them anew.
    pub(crate) fn load(
        &self,
        clean: bool,
        (checkpoint, durable_to): (&Checkpoint, Option<i64>),
        before: Before<'_>,
    ) -> Result<(), Error> {
        let mut files = self.files.lock();
        files.all = self.open_files(clean, before)?;
        // Names say when; a clock that was set back puts them out of order. One whose first number
        // is wrong keeps its place, so that those behind it are not called strays.
        files.all.sort_by_key(|file| {
            let Header { begin_offset, end_offset, .. } = file.header;
            (begin_offset.min(end_offset), end_offset)
        });
        let first_linked = first_linked(&files.all);
        for at in 0..files.all.len() {
            let is_last = at + 1 == files.all.len();
            let checked =
                match self.check(&mut files.all[at], is_last, clean, (checkpoint, durable_to))? {
                    // Java's files have keys of records that it cut, and it is not told where.
                    Checked::Sound
                        if clean && at >= first_linked && checkpoint.durable_to().is_some() =>
                    {
                        linked(&files.all[at])
                    }
                    checked => checked,
                };
            let first_bad = match checked {
                Checked::Sound => continue,
                Checked::Cut if is_last => break,
                Checked::Cut => at + 1,
                Checked::Damaged(why) => {
                    self.tell_damaged(&files.all[at].path, why, files.all.len() - at - 1);
                    at
                }
            };
            self.damaged.store(true, Ordering::Release);
            self.remove_from(&mut files.all, first_bad, before)?;
            break;
        }
        if let Some(empty) = files.all.pop_if(|last| last.is_empty()) {
            self.remove_for_good(&empty.path, before)?;
        }
        let durable_to = checkpoint.get(Mark::IndexTime);
        let last_time = files.all.last().map_or(0, |file| file.header.end_time);
        if durable_to > last_time && !self.damaged.swap(true, Ordering::AcqRel) {
            let what = match files.all.is_empty() {
                true => "there are no index files any more: they are made anew from the whole log",
                false => "index files lack their newest keys, which are put anew from the log",
            };
            tracing::error!(dir = %self.dir.display(), last_time, durable_to, "{what}");
        }
        Ok(())
    }

    /// The files that can be used at all, in the order of their names, without those that hold
    /// nothing; those behind one that cannot be used are removed with it.
    fn open_files(&self, clean: bool, before: Before<'_>) -> Result<Vec<IndexFile>, Error> {
        let listed = self.list(before)?;
        let mut opened = Vec::with_capacity(listed.len());
        for (at, one) in listed.iter().enumerate() {
            let path = self.dir.join(&one.name);
            let file = match one.len == self.shape.file_bytes() {
                true => self.open(path.clone())?.ok_or("cannot be read"),
                false => Err("wrong size"),
            };
            let is_empty = |file: &IndexFile| file.header.count <= 1;
            let file = file.and_then(|it| match is_empty(&it) {
                true if it.header.used_slots > 0 => Err("its header contradicts itself"),
                true if clean => Err("it is empty"),
                _ => Ok(it),
            });
            match file {
                Ok(file) if is_empty(&file) => {
                    // Its keys were not durable: they are put again.
                    self.remove_for_good(&path, before)?;
                }
                Ok(file) => opened.push(file),
                Err(why) => {
                    self.tell_damaged(&path, why, listed.len() - at - 1);
                    self.damaged.store(true, Ordering::Release);
                    let mut later = listed[at..].iter().rev();
                    later.try_for_each(|one| {
                        self.remove_for_good(&self.dir.join(&one.name), before)
                    })?;
                    break;
                }
            }
        }
        Ok(opened)
    }

    /// Lists the files, in the order of their names, and clears away what is none.
    fn list(&self, before: Before<'_>) -> Result<Vec<Listed>, Error> {
        let all = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let (mut all, strange): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|listed| listed.is_file() && is_name(listed));
        for listed in strange {
            let path = self.dir.join(&listed.name);
            if is_name(&listed) && !listed.is_file() {
                self.damaged.store(true, Ordering::Release);
                let what = "its keys, and those of later files, are put anew from the log";
                move_aside(&*self.disk, &path, what)?;
                let later = all.extract_if(.., |file| file.name > listed.name);
                let later: Vec<_> = later.map(|file| self.dir.join(file.name)).collect();
                later.iter().rev().try_for_each(|path| self.remove_for_good(path, before))?;
            } else if !listed.name.contains(SUFFIX) {
                tracing::warn!(
                    path = %path.display(),
                    "what lies here is no index file and is passed over; remove it when nobody \
                     misses it"
                );
            }
        }
        Ok(all)
    }

    /// Opens a file that has the right size; `None` when it cannot be read.
    fn open(&self, path: PathBuf) -> Result<Option<IndexFile>, Error> {
        let file = self.disk.open(&path, self.shape.file_bytes(), Allocation::Scattered);
        let file = file.map_err(Error::io("open", &path))?;
        Ok(IndexFile::load(path, file, self.shape).ok())
    }

    /// Looks whether a file can be believed, and repairs one that was not durable.
    fn check(
        &self,
        file: &mut IndexFile,
        is_last: bool,
        clean: bool,
        (checkpoint, durable_to): (&Checkpoint, Option<i64>),
    ) -> Result<Checked, Error> {
        if clean || !is_last && is_durable(file, checkpoint) {
            return Ok(match file.is_sound() {
                true => Checked::Sound,
                false => Checked::Damaged("its header contradicts its entries"),
            });
        }
        let Header { end_offset, count, .. } = file.header;
        match file.repair(i64::MAX, is_last, durable_to.unwrap_or(0)) {
            Err(Error::Io { op: "read", .. }) => return Ok(Checked::Damaged("cannot be read")),
            // Its own blocks are room for the next one, and keys can wait.
            Err(Error::Full { .. }) => {
                let why = "the disk has no room for what its repair writes";
                return Ok(Checked::Damaged(why));
            }
            repaired => repaired?,
        }
        let is_same = (file.header.end_offset, file.header.count) == (end_offset, count);
        if !is_last && !is_same && !file.is_empty() && checkpoint.durable_to().is_some() {
            tracing::error!(
                path = %file.path.display(),
                end_offset,
                count,
                "the header of an index file is damaged: it is made anew from the file's entries"
            );
        }
        // A file is filled, and made durable, before the next one is made.
        Ok(match (file.is_empty(), file.room()) {
            (true, _) if !is_last => Checked::Damaged("it is empty and has others behind it"),
            (false, 0) => Checked::Sound,
            _ => Checked::Cut,
        })
    }

    fn tell_damaged(&self, path: &Path, why: &str, later_files: usize) {
        tracing::error!(
            path = %path.display(),
            why,
            later_files,
            "an index file is damaged: it and later ones are made anew from the log"
        );
    }

    /// Removes the files from number `first` on, the last one first.
    fn remove_from(
        &self,
        files: &mut Vec<IndexFile>,
        first: usize,
        before: Before<'_>,
    ) -> Result<(), Error> {
        while files.len() > first
            && let Some(last) = files.pop()
        {
            self.remove_for_good(&last.path, before)?;
        }
        Ok(())
    }

    /// Removes the files from the first one on whose header is not that of its records, or that
    /// does not go on where the one before it, or the log, ends: what is missing there is only
    /// derived, and recovery makes it anew. Headers are looked at where the last broker was ours,
    /// for Java cuts its log but not its index; after a clean stop of ours the `newest` time of a
    /// key is noted.
    pub(crate) fn drop_wrong(
        &self,
        log: &CommitLog,
        (own_mark, newest): (bool, Option<i64>),
        before: Before<'_>,
    ) -> Result<(), Error> {
        let mut files = self.files.lock();
        let last = files.all.len().wrapping_sub(1);
        let is_ahead = |(at, file): (usize, &IndexFile)| {
            // The noted time has no sum: where the record says what the file does, it is wrong.
            at == last
                && newest.is_some_and(|newest| file.header.end_time > newest)
                && !ends_with_its_record(log, file)
        };
        let wrong = files
            .all
            .iter()
            .enumerate()
            .position(|one| own_mark && (has_wrong_header(log, one.1) || is_ahead(one)));
        if let Some(at) = wrong {
            let why = "its header is not that of its records";
            self.tell_damaged(&files.all[at].path, why, files.all.len() - at - 1);
            self.damaged.store(true, Ordering::Release);
            self.remove_from(&mut files.all, at, before)?;
        }
        let spans = files.all.iter().map(|file| {
            let (begin, end) = (file.header.begin_offset, file.header.end_offset);
            Span { begin, end, first_hash: file.first_hash() }
        });
        if let Some(at) = first_gap(log, &spans.collect::<Vec<_>>()) {
            tracing::error!(
                path = %files.all[at].path.display(),
                files = files.all.len() - at,
                "index files are missing before this one, or stand there twice: it and later ones \
                 are made anew from the log"
            );
            self.damaged.store(true, Ordering::Release);
            self.remove_from(&mut files.all, at, before)?;
        }
        // After a clean stop the header says where the index ends, and not its entries.
        let last = files.all.last_mut().filter(|_| own_mark && newest.is_none());
        let Some((last, end)) = last.and_then(|it| true_end(log, it).map(|end| (it, end))) else {
            return Ok(());
        };
        match last.repair(end, false, i64::MAX) {
            // Its own blocks are room for the next one.
            Err(Error::Full { .. }) => {
                let at = files.all.len() - 1;
                self.remove_from(&mut files.all, at, before)
            }
            repaired => repaired,
        }
    }

    /// Removes a file durably: one that came back would pass for keys of the records that were put
    /// in the place of those it knew, or hide that files before it are gone.
    fn remove_for_good(&self, path: &Path, before: Before<'_>) -> Result<(), Error> {
        before()?;
        self.disk.remove(path).map_err(Error::io("remove", path))?;
        self.disk.sync_all(&self.dir).map_err(Error::io("sync", &self.dir))
    }

    /// Whether keys were lost at the start that the log may still have, from
    /// [`Self::indexed_to`] on.
    pub(crate) fn was_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// The log offset of the newest indexed record, if there is one: from there on records have to
    /// be put again after an unclean stop.
    pub(crate) fn indexed_to(&self) -> Option<i64> {
        self.files.lock().all.last().map(|file| file.header.end_offset)
    }

    /// The log offset of the newest indexed record, and the hashes of its keys that are there.
    pub(crate) fn newest(&self) -> Option<(i64, Vec<i32>)> {
        let files = self.files.lock();
        let newest = files.all.last()?.header.end_offset;
        let mut hashes = Vec::new();
        for file in files.all.iter().rev() {
            let before = hashes.len();
            hashes.extend(file.last_entries_of(newest).map(|entry| entry.hash));
            if hashes.len() - before + 1 < file.header.count as usize {
                break;
            }
        }
        Some((newest, hashes))
    }

    /// What the files hold of records that begin at `from` or behind it.
    pub(crate) fn entries_from(&self, from: i64) -> IndexEntries {
        IndexEntries::from(&self.files.lock().all, from)
    }

    /// Cuts off keys of records at or behind `log_end`, which were lost.
    pub(crate) fn truncate(&self, log_end: i64, before: Before<'_>) -> Result<(), Error> {
        let mut files = self.files.lock();
        while let Some(last) = files.all.last_mut() {
            if last.header.end_offset < log_end {
                break;
            }
            if last.header.begin_offset < log_end {
                return last.repair(log_end, false, i64::MAX);
            }
            let path = last.path.clone();
            self.remove_for_good(&path, before)?;
            files.all.pop();
        }
        Ok(())
    }

    /// Leaves keys to be put; takes them out of `keys`.
    pub(crate) fn push(&self, keys: &mut Vec<IndexKey>) {
        self.pending.lock().append(keys);
    }

    /// Whether so many keys wait that they should be put now.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending.lock().len() >= PENDING_MAX
    }

    /// Puts the keys that wait; after an error they wait on.
    pub(crate) fn apply(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let mut files = self.files.lock();
        let files = &mut *files;
        files.all.iter_mut().try_for_each(|file| file.write_staged().map(drop))?;
        let mut taken = std::mem::take(&mut files.taken);
        std::mem::swap(&mut taken, &mut *self.pending.lock());
        let mut done = 0;
        let put = self.put(files, &taken, &mut done, checkpoint);
        if put.is_err() {
            self.pending.lock().splice(..0, taken.drain(done..));
        }
        let used = taken.len();
        files.staged.empty(used.min(AT_ONCE));
        empty(&mut taken, used);
        files.taken = taken;
        put
    }

    /// Puts keys into the last file and those after it; counts in `done` those that a file took.
    fn put(
        &self,
        files: &mut Files,
        keys: &[IndexKey],
        done: &mut usize,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        while let Some(first) = keys.get(*done) {
            let staged = std::mem::take(&mut files.staged);
            let file = self.last_with_room(files, first.store_timestamp, checkpoint)?;
            let count = file.room().min(keys.len() - *done).min(AT_ONCE);
            file.stage(&keys[*done..*done + count], staged)?;
            *done += count;
            files.staged = file.write_staged()?;
        }
        Ok(())
    }

    /// The last file, or a new one, named by `now`, when it is full; the full one is made durable
    /// first.
    fn last_with_room<'a>(
        &self,
        files: &'a mut Files,
        now: i64,
        checkpoint: &Checkpoint,
    ) -> Result<&'a mut IndexFile, Error> {
        let before = match files.all.last_mut() {
            Some(last) if last.room() > 0 => None,
            Some(full) => {
                full.sync()?;
                // Files that are made anew do not undo what was known to be there.
                let known = checkpoint.get(Mark::IndexTime);
                checkpoint.set(Mark::IndexTime, known.max(full.header.end_time));
                checkpoint.sync()?;
                Some(full.header)
            }
            None => Some(Header::default()),
        };
        if let Some(before) = before {
            let mut file = self.create(now)?;
            file.follow(&before);
            files.all.push(file);
        }
        Ok(files.all.last_mut().expect("a file was there or was made"))
    }

    fn create(&self, now: i64) -> Result<IndexFile, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let names = listed.iter().filter(|listed| is_name(listed));
        let newest = names.filter_map(|file| file.name.parse().ok()).max();
        let path = self.dir.join(next_name(now + self.utc_offset_ms, newest));
        let file = self.disk.open(&path, self.shape.file_bytes(), Allocation::Scattered);
        IndexFile::load(path.clone(), file.map_err(Error::io("open", &path))?, self.shape)
    }

    /// Finds records by key among those stored in `times` (ms since the epoch, both ends count). A
    /// chain may be as long as the file: nobody waits while it is followed.
    pub(crate) fn query(&self, topic: &str, key: &str, times: (i64, i64), max: usize) -> Found {
        let hash = index_hash(java_hash_from(java_hash(topic), "#"), key);
        let mut found = Found::default();
        let files: Vec<_> = {
            let files = self.files.lock();
            if let Some(Header { end_time, end_offset, .. }) = files.all.last().map(|it| it.header)
            {
                (found.last_time, found.last_offset) = (end_time, end_offset);
            }
            files.all.iter().rev().map(IndexFile::chains).collect()
        };
        for file in files {
            if file.overlaps(times) {
                file.find(hash, times, max, &mut found.log_offsets);
            }
            // The one before it may have later times, when the clock was set back in between.
            if found.log_offsets.len() >= max {
                break;
            }
        }
        found.log_offsets.sort_unstable();
        found.log_offsets.dedup();
        found
    }

    /// The file behind that of this path and end, as a file that is gone had; without one the
    /// first. And how many keys of its first record stand in the file before it.
    pub(crate) fn file_behind(&self, done: Option<&(PathBuf, i64)>) -> Option<(FileView, usize)> {
        let files = self.files.lock();
        let is_behind = |(path, end): &(PathBuf, i64)| {
            let at = files.all.iter().position(|file| file.path == *path);
            at.map_or_else(
                || files.all.partition_point(|file| file.header.end_offset <= *end),
                |at| at + 1,
            )
        };
        let at = done.map_or(0, is_behind);
        let file = files.all.get(at)?;
        let before = at.checked_sub(1).and_then(|at| files.all.get(at));
        let begin = file.header.begin_offset;
        Some((file.view(), before.map_or(0, |before| before.last_entries_of(begin).count())))
    }

    /// The header of the last file, as far as it is written.
    pub(crate) fn last_header(&self) -> Option<Header> {
        self.files.lock().all.last().map(|file| file.view().header)
    }

    /// The number of the next entry of a file; `None` when it is gone.
    pub(crate) fn count(&self, path: &Path) -> Option<i32> {
        let files = self.files.lock();
        files.all.iter().find(|file| file.path == *path).map(|file| file.header.count)
    }

    /// Links the entries of a file anew; false when it is gone.
    pub(crate) fn relink(&self, path: &Path) -> Result<bool, Error> {
        let mut files = self.files.lock();
        let Files { all, staged, .. } = &mut *files;
        let Some(file) = all.iter_mut().find(|file| file.path == *path) else { return Ok(false) };
        *staged = file.write_staged()?;
        file.relink().map(|()| true)
    }

    /// Store time of the newest indexed record, ms since the epoch; 0 when there is none.
    pub(crate) fn last_time(&self) -> i64 {
        self.files.lock().all.last().map_or(0, |file| file.header.end_time)
    }

    /// Makes what was put durable. The files can be used meanwhile.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let dirty: Vec<_> =
            self.files.lock().all.iter_mut().filter_map(IndexFile::take_dirty).collect();
        dirty.iter().try_for_each(|(path, file)| {
            file.sync(0..self.shape.file_bytes()).map_err(Error::io("sync", path))
        })
    }

    /// What the files take on the disk, at most: each key touches one page of slots.
    pub(crate) fn disk_bytes(&self) -> u64 {
        const PAGE: u64 = 4096;
        let files = self.files.lock();
        let of = |file: &IndexFile| {
            let count = u64::try_from(file.header.count).unwrap_or(0);
            self.shape.entry_at(0).min((count + 1) * PAGE) + self.shape.entry_bytes(count)
        };
        files.all.iter().map(of).sum()
    }

    /// Removes files all of whose records lie before `log_min`, never the last one.
    pub(crate) fn expire(&self, log_min: i64) -> Result<usize, Error> {
        let mut files = self.files.lock();
        let mut removed = 0;
        while files.all.len() > 1 && files.all[0].header.end_offset < log_min {
            let path = files.all[0].path.clone();
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
            files.all.remove(0);
            removed += 1;
        }
        Ok(removed)
    }
}

/// The first of the newest files that are read whole at a clean start.
fn first_linked(files: &[IndexFile]) -> usize {
    let mut left = LINKED;
    let newest = files.iter().rev().take_while(|file| {
        let count = file.header.count.max(0);
        left -= count;
        left >= 0
    });
    files.len() - newest.count()
}

/// What the entries of a file say of each other and of its slots.
fn linked(file: &IndexFile) -> Checked {
    match file.is_linked() {
        Ok(true) => Checked::Sound,
        Ok(false) => Checked::Damaged("its slots and entries contradict each other"),
        Err(_) => Checked::Damaged("cannot be read"),
    }
}

/// Whether a file has the name of an index file.
fn is_name(listed: &Listed) -> bool {
    listed.name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether everything in a full file was durable once: our own checkpoint says so by log offset.
/// Another broker's says it by time, and of full files alone.
fn is_durable(file: &IndexFile, checkpoint: &Checkpoint) -> bool {
    file.room() == 0
        && match checkpoint.durable_to() {
            Some(to) => file.header.end_offset < to,
            None => file.header.end_time <= checkpoint.get(Mark::IndexTime),
        }
}

/// The name of a file made at a local time: behind that of the newest file, read as a number, for
/// Java takes them in the order of their names.
fn next_name(local: i64, newest: Option<u64>) -> String {
    let name = file_name(local);
    match newest.map_or(String::new(), |newest| format!("{:017}", newest.saturating_add(1))) {
        next if next.len() == name.len() && next > name => next,
        _ => name,
    }
}

/// `yyyyMMddHHmmssSSS` of a local time in ms since the epoch.
fn file_name(local: i64) -> String {
    let Civil { date: (year, month, day), time: (hours, minutes, seconds, ms) } = Civil::of(local);
    format!("{year:04}{month:02}{day:02}{hours:02}{minutes:02}{seconds:02}{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_local_time() {
        assert_eq!(file_name(0), "19700101000000000");
        assert_eq!(file_name(1_709_251_199_999), "20240229235959999");
        assert_eq!(file_name(1_763_720_029_005), "20251121101349005");
        assert_eq!(next_name(0, None), "19700101000000000");
        assert_eq!(next_name(0, Some(20_251_121_101_349_005)), "20251121101349006");
        assert_eq!(
            next_name(1_763_720_029_005, Some(19_700_101_000_000_000)),
            file_name(1_763_720_029_005)
        );
    }
}
