//! A run of files of one fixed size, each named by the offset of its first byte: the shape that the
//! commit log and every consume queue share. What is in the files is not known here.

use crate::Error;
use crate::disk::{Allocation, Disk, File, Listed};
use crate::in_the_way::{move_out, move_rest_out, put_out, remove_half_segment};
use crate::look::{Run, RunFile};
use parking_lot::{Mutex, RwLock};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More files than this are not missing between two that are there: one of them is none.
const MISSING_MAX: i64 = 64;

/// What becomes of a file of the log that is missing.
const UNREADABLE: &str = "a file of the commit log belongs there, and the messages of that file \
                          cannot be read. If it is elsewhere, stop the broker, put it back and \
                          start";
/// What becomes of any other file.
const REBUILT: &str = "the file that belongs there is made anew from the log";

/// Bytes that are asked for at a time whether they are zeros.
const ZEROS: u64 = 64 << 10;

/// One file of a run.
#[derive(Clone)]
pub(crate) struct Segment {
    /// The offset of its first byte.
    pub(crate) start: i64,
    /// The file.
    pub(crate) file: Arc<dyn File>,
}

/// How a start takes bytes from the end of runs.
#[derive(Clone, Copy)]
pub(crate) struct Cutting<'a> {
    /// Called before any go.
    pub(crate) before: &'a dyn Fn() -> Result<(), Error>,
    /// A start before this one ended while it cut: what reads as zeros may do so in memory alone.
    pub(crate) again: bool,
}

impl Segment {
    /// The offset behind its last byte.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.file.len() as i64)
    }
}

/// The files of a run in order. Reading needs no more than a short shared lock.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_bytes: i64,
    /// What is written at a time, where all is of one length.
    unit_bytes: usize,
    space: Allocation,
    files: RwLock<Vec<Segment>>,
    /// The file after the last one, made before it is needed. Lock before `files`.
    spare: Mutex<Option<Segment>>,
    /// Files that had expired may lie before the first one: nobody has looked.
    has_unseen: AtomicBool,
}

/// The first file of a commit log, by their beginnings and lengths, that refuses the start, and
/// why: its size is not that of the settings, and it cannot be told from damage. `noted` is the
/// size that all files had at the last checkpoint.
pub(crate) fn wrong_log_file(
    files: &[(i64, u64)],
    file_bytes: i64,
    noted: Option<i64>,
) -> Option<(i64, String)> {
    let is_known = noted == Some(file_bytes) || noted.is_none() && files.len() > 1;
    let is_wrong = |(start, len): &&(i64, u64)| {
        *len > file_bytes as u64
            || *start % file_bytes != 0
            || *len < file_bytes as u64 && !is_known
    };
    let (start, len) = files.iter().find(is_wrong)?;
    let why = format!(
        "the file has {len} bytes and begins at {start}, but the settings say that every file has \
         {file_bytes} bytes (mappedFileSizeCommitLog): set the size that the store was made with. \
         If that is the size of all other files, something was appended to this one: copy it, \
         shorten it to that size and start again"
    );
    Some((*start, why))
}

impl Segments {
    /// A run without files; nothing is touched on the disk.
    pub(crate) fn empty(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        file_bytes: u64,
        space: Allocation,
    ) -> Self {
        let file_bytes = i64::try_from(file_bytes).expect("settings bound the file sizes");
        let (files, spare) = (RwLock::default(), Mutex::default());
        let (unit_bytes, has_unseen) = (1, AtomicBool::new(false));
        Self { disk, dir, file_bytes, unit_bytes, space, files, spare, has_unseen }
    }

    /// The same run, all of whose units have this length.
    pub(crate) fn of_units(self, unit_bytes: usize) -> Self {
        Self { unit_bytes, ..self }
    }

    /// Moves files of the commit log aside that had been removed before, as all in front of
    /// `log_min`, and that power loss brought back in part: those in front of a missing one. The
    /// others are whole and expire again. Nothing is removed: a file may have been lost, and put
    /// back since.
    pub(crate) fn move_expired_aside(&self, log_min: i64) -> Result<(), Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let starts: Vec<i64> = listed.iter().filter_map(start_of).collect();
        let is_gap = |two: &[i64]| two[0] + self.file_bytes < two[1] && two[1] <= log_min;
        let Some(last) = starts.windows(2).rposition(is_gap) else { return Ok(()) };
        let (from, to) = (starts[0], starts[last] + self.file_bytes);
        let mut dir = None;
        for start in &starts[..=last] {
            let moved = move_out(&*self.disk, &self.path(*start))?;
            dir = moved.parent().map(Path::to_owned);
        }
        self.disk.sync_all(&self.dir).map_err(Error::io("sync", &self.dir))?;
        tracing::error!(
            from,
            to,
            log_min,
            files = last + 1,
            to_dir = %dir.unwrap_or_default().display(),
            "log files that had expired, or were lost, are back, and a file behind them is not: \
             they were moved aside, for a Java broker does not start beside them. They go as \
             expired files do, the first ones when the disk is full: copy what you miss elsewhere, \
             or remove them"
        );
        Ok(())
    }

    /// Opens the files of the commit log. A zero-length last file is removed as in Java
    /// (`MappedFileQueue.doLoad`); any other that is too short gets its length, and the bytes that
    /// it lacks are returned, from and to, with those of files that are missing. `noted` is the
    /// size that all files had at the last checkpoint; without it, and with one file alone, nobody
    /// knows whether the file or the setting is wrong. Calls `before_mending` before a file gets
    /// its length.
    pub(crate) fn load_log(
        &self,
        noted: Option<i64>,
        before_mending: &dyn Fn(),
    ) -> Result<Vec<(i64, i64)>, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        listed.iter().for_each(|file| remove_half_segment(&*self.disk, &self.dir, file));
        move_rest_out(&*self.disk, &self.dir, &listed);
        for file in listed.iter().filter(|file| is_in_the_way(file)) {
            before_mending();
            put_out(&*self.disk, &self.dir.join(&file.name), UNREADABLE)?;
        }
        let mut listed: Vec<(i64, Listed)> =
            listed.into_iter().filter_map(|file| Some((start_of(&file)?, file))).collect();
        if let Some((_, last)) = listed.pop_if(|(_, last)| last.len == 0) {
            let path = self.dir.join(&last.name);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        let lens: Vec<_> = listed.iter().map(|(start, file)| (*start, file.len)).collect();
        if let Some((start, why)) = wrong_log_file(&lens, self.file_bytes, noted) {
            let why = format!("{}: {why}", self.path(start).display());
            return Err(Error::Setting { name: "mappedFileSizeCommitLog", why });
        }
        let (mut gaps, mut files, mut end) = (Vec::new(), Vec::with_capacity(listed.len()), None);
        for (start, file) in &listed {
            if let Some(end) = end.filter(|end| end < start) {
                gaps.push((end, *start));
            }
            end = Some(start + self.file_bytes);
            let (path, len) = (self.dir.join(&file.name), file.len);
            if len < self.file_bytes as u64 {
                tracing::error!(
                    path = %path.display(),
                    len,
                    expected = self.file_bytes,
                    "a commit log file is too short: it gets its length, what it lacks reads as \
                     zeros; if the settings name a wrong size, correct mappedFileSizeCommitLog"
                );
                before_mending();
                let extended = self.disk.extend(&path, len, self.file_bytes as u64);
                extended.map_err(Error::io("extend", &path))?;
                gaps.push((start + len as i64, start + self.file_bytes));
            }
            files.push(self.open(*start)?);
        }
        *self.files.write() = files;
        Ok(gaps)
    }

    /// Opens the files of a run that can be made anew. One of a wrong length gets the right one,
    /// with the bytes that it has; one that is missing between others is made, unless the one
    /// before it `has_expired`: then those in front were removed once, and power loss brought them
    /// back; those that cannot belong to the run are removed. Returns the first offset that is not
    /// as it was. Calls `before_mending` before anything that was not removed once is changed.
    pub(crate) fn load_derived(
        &self,
        has_expired: &dyn Fn(&Segment) -> bool,
        before_mending: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Option<i64>, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        listed.iter().for_each(|file| remove_half_segment(&*self.disk, &self.dir, file));
        let mut moved = None;
        for file in listed.iter().filter(|file| is_in_the_way(file)) {
            before_mending()?;
            put_out(&*self.disk, &self.dir.join(&file.name), REBUILT)?;
            moved = moved.or_else(|| file.name.parse().ok());
        }
        let listed: Vec<(i64, Listed)> =
            listed.into_iter().filter_map(|file| Some((start_of(&file)?, file))).collect();
        let (mut files, mut mended, mut end) = (Vec::<Segment>::new(), None, None::<i64>);
        for (at, (start, file)) in listed.iter().enumerate() {
            let is_behind_gap = end.is_some_and(|end| end < *start);
            if is_behind_gap && files.last().is_some_and(has_expired) {
                files.drain(..).try_for_each(|front| self.remove(&front))?;
                (mended, end) = (None, None);
            }
            let missing = end.map_or(0, |end| (start - end) / self.file_bytes);
            let is_stray = start % self.file_bytes != 0 || missing > MISSING_MAX;
            if is_stray || missing > 0 || file.len != self.file_bytes as u64 {
                before_mending()?;
                mended = mended.or_else(|| Some(end.map_or(*start, |end| end.min(*start))));
            }
            if is_stray {
                self.remove_stray(&listed[at..])?;
                break;
            }
            while let Some(next) = end.filter(|end| end < start) {
                files.push(self.open(next)?);
                end = Some(next + self.file_bytes);
            }
            if file.len != self.file_bytes as u64 {
                self.resize(file)?;
            }
            files.push(self.open(*start)?);
            end = Some(start + self.file_bytes);
        }
        *self.files.write() = files;
        self.has_unseen.store(false, Ordering::Release);
        Ok(mended.into_iter().chain(moved).min())
    }

    /// Opens the file that begins at `start` as the only one of the run, where it is there and has
    /// the right length. Those behind it are not looked for; those before it, which have expired,
    /// when a file or the run is to go.
    pub(crate) fn load_only(&self, start: i64) -> Result<Option<Segment>, Error> {
        let segment = self.open_only(start)?;
        if let Some(segment) = &segment {
            *self.files.write() = vec![segment.clone()];
            self.has_unseen.store(start > 0, Ordering::Release);
        }
        Ok(segment)
    }

    /// The file that begins at `start`, where it is there and has the right length, also of a run
    /// that is not loaded.
    pub(crate) fn open_only(&self, start: i64) -> Result<Option<Segment>, Error> {
        let path = self.path(start);
        match self.disk.open_existing(&path, self.file_bytes as u64, self.space) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(None),
            file => {
                let file = file.map_err(Error::io("open", &path))?;
                Ok(file.map(|file| Segment { start, file }))
            }
        }
    }

    /// Removes the files before the first one that nobody has looked for.
    pub(crate) fn remove_unseen(&self) -> Result<(), Error> {
        if !self.has_unseen.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.first().map_or(0, |first| first.start);
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        for start in listed.iter().filter_map(start_of).filter(|start| *start < first) {
            let path = self.path(start);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        self.has_unseen.store(false, Ordering::Release);
        Ok(())
    }

    /// Opens the files of a run that nothing is made anew of: those of the right name and length.
    /// Others go, and it says whether there were none.
    pub(crate) fn load_whole(&self) -> Result<bool, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        let (mut files, mut all) = (Vec::new(), true);
        for file in listed.iter().filter(|file| is_name(&file.name)) {
            let path = self.dir.join(&file.name);
            match start_of(file).filter(|start| start % self.file_bytes == 0) {
                Some(start) if file.len == self.file_bytes as u64 => files.push(self.open(start)?),
                Some(_) | None if file.is_file() => {
                    all = false;
                    tracing::error!(
                        path = %path.display(),
                        len = file.len,
                        expected = self.file_bytes,
                        "a file of another size or place than its settings say is removed"
                    );
                    self.disk.remove(&path).map_err(Error::io("remove", &path))?;
                }
                _ => {
                    all = false;
                    put_out(&*self.disk, &path, "what a file there would hold is in the log")?;
                }
            }
        }
        *self.files.write() = files;
        Ok(all)
    }

    /// Gives a file the right length, with the bytes that it has.
    fn resize(&self, file: &Listed) -> Result<(), Error> {
        let (path, len, expected) = (self.dir.join(&file.name), file.len, self.file_bytes);
        tracing::error!(
            path = %path.display(),
            len,
            expected,
            "a consume queue file has the wrong size: it gets the expected one, with the \
             bytes that it has, and what it lacks is made anew from the commit log"
        );
        let mut content = vec![0; self.file_bytes as usize];
        let kept = len.min(content.len() as u64) as usize;
        // Of a unit that is there in part its rest would be taken for zeros that it says.
        let kept = kept - kept % self.unit_bytes;
        let file = self.disk.open(&path, len, self.space);
        let read = file.and_then(|file| file.read_at(0, &mut content[..kept]));
        if let Err(error) = read {
            tracing::error!(
                path = %path.display(),
                %error,
                "the bytes of a consume queue file cannot be read: it begins empty and is \
                 made anew from the commit log. Check the disk (dmesg, SMART)"
            );
        }
        self.disk.replace(&path, &content, None).map_err(Error::io("write", &path))
    }

    fn remove_stray(&self, files: &[(i64, Listed)]) -> Result<(), Error> {
        for (_, file) in files.iter().rev() {
            let path = self.dir.join(&file.name);
            tracing::error!(
                path = %path.display(),
                "a consume queue file that does not follow on those before it is removed: what it \
                 should hold is made anew from the commit log"
            );
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Makes the files from the one that holds `offset` up to the first one that is there.
    pub(crate) fn make_before(&self, offset: i64) -> Result<(), Error> {
        let end = self.first().map_or(0, |first| first.start);
        let starts = (self.start_for(offset)..end).step_by(self.file_bytes as usize);
        let made = starts.map(|start| self.open(start)).collect::<Result<Vec<_>, _>>()?;
        self.files.write().splice(..0, made);
        Ok(())
    }

    /// The segment that holds `offset`.
    pub(crate) fn find(&self, offset: i64) -> Option<Segment> {
        let files = self.files.read();
        let after = files.partition_point(|file| file.start <= offset);
        let file = files.get(after.checked_sub(1)?)?;
        (offset < file.end()).then(|| file.clone())
    }

    /// The segment that holds `offset`, or the first one behind it.
    pub(crate) fn find_from(&self, offset: i64) -> Option<Segment> {
        let files = self.files.read();
        files.get(files.partition_point(|file| file.end() <= offset)).cloned()
    }

    /// All segments in order.
    pub(crate) fn all(&self) -> Vec<Segment> {
        self.files.read().clone()
    }

    /// The first segment.
    pub(crate) fn first(&self) -> Option<Segment> {
        self.files.read().first().cloned()
    }

    /// The last segment.
    pub(crate) fn last(&self) -> Option<Segment> {
        self.files.read().last().cloned()
    }

    /// All files that end at or before `end`, but not the last one, as they can be looked at.
    pub(crate) fn complete(&self, end: i64) -> Run {
        let files = self.files.read();
        let before = files.split_last().map_or(&[][..], |(_, before)| before);
        self.run_of(before.iter().filter(|file| file.end() <= end))
    }

    /// All files as they can be looked at.
    pub(crate) fn run(&self) -> Run {
        self.run_of(self.files.read().iter())
    }

    fn run_of<'a>(&self, files: impl IntoIterator<Item = &'a Segment>) -> Run {
        let file =
            |file: &Segment| RunFile { start: file.start, len: file.file.len(), modified: 0 };
        let files = files.into_iter().map(file).collect();
        Run { dir: self.dir.clone(), files, strangers: Vec::new() }
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bytes of every file.
    pub(crate) fn file_bytes(&self) -> i64 {
        self.file_bytes
    }

    /// The start of the segment that holds or would hold `offset`.
    pub(crate) fn start_for(&self, offset: i64) -> i64 {
        offset - offset % self.file_bytes
    }

    /// The segment for writing at `offset`, making it when it is the next one.
    pub(crate) fn for_append(&self, offset: i64) -> Result<Segment, Error> {
        if let Some(segment) = self.find(offset) {
            return Ok(segment);
        }
        let start = self.start_for(offset);
        let mut spare = self.spare.lock();
        let segment = match spare.take() {
            Some(segment) if segment.start == start => segment,
            _ => self.open(start)?,
        };
        let mut files = self.files.write();
        assert!(files.last().is_none_or(|last| last.end() <= start), "segments are made in order");
        files.push(segment.clone());
        Ok(segment)
    }

    /// Makes the file after the last one, or the first one, ready, so that rolling need not wait
    /// for it.
    pub(crate) fn make_spare(&self) -> Result<(), Error> {
        let mut spare = self.spare.lock();
        if spare.is_none() {
            *spare = Some(self.open(self.next_start())?);
        }
        Ok(())
    }

    /// Writes bytes at `at`, into as many files as that takes.
    pub(crate) fn write_at(&self, mut at: i64, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let segment = self.for_append(at)?;
            let (now, later) = bytes.split_at(bytes.len().min((segment.end() - at) as usize));
            let written = segment.file.write_at((at - segment.start) as u64, now);
            written.map_err(Error::io("write", &self.path(segment.start)))?;
            at += now.len() as i64;
            bytes = later;
        }
        Ok(())
    }

    /// Makes the files durable that have bytes from `from` to `to`.
    pub(crate) fn sync(&self, Range { start: from, end: to }: Range<i64>) -> Result<(), Error> {
        for segment in self.all() {
            if segment.start < to && segment.end() > from {
                let synced = segment.file.sync(0..segment.file.len());
                synced.map_err(Error::io("sync", &self.path(segment.start)))?;
            }
        }
        Ok(())
    }

    /// Whether a file is missing between two, the first of which ends before `offset`.
    pub(crate) fn has_gap_before(&self, offset: i64) -> bool {
        let files = self.files.read();
        files.windows(2).any(|two| two[0].end() < two[1].start.min(offset))
    }

    /// About where the bytes behind `from` end that are not zeros, by bisection: files are made
    /// whole, and the last one, or two, are mostly empty. No more than an estimate, for a few reads
    /// whatever the files hold: zeros that lie within the data may be taken for its end.
    pub(crate) fn filled_to(&self, from: i64) -> i64 {
        let files = self.files.read();
        for segment in files.iter().rev().take_while(|segment| segment.end() > from) {
            let len = segment.file.len();
            let first = (from - segment.start).max(0).unsigned_abs();
            let is_filled = |at: u64| {
                let is_zero = segment.file.is_zero(at..len.min(at + ZEROS));
                !is_zero.unwrap_or(false)
            };
            if !is_filled(first) {
                continue;
            }
            let (mut filled, mut empty) = (0, (len - first).div_ceil(ZEROS));
            while empty - filled > 1 {
                let middle = filled + (empty - filled) / 2;
                match is_filled(first + middle * ZEROS) {
                    true => filled = middle,
                    false => empty = middle,
                }
            }
            return segment.start + len.min(first + empty * ZEROS) as i64;
        }
        from
    }

    /// Where the file after the last one begins, or the first one.
    pub(crate) fn next_start(&self) -> i64 {
        self.last().map_or(0, |last| last.end())
    }

    /// Whether the file behind the written ones is made already.
    pub(crate) fn is_ahead(&self) -> bool {
        self.spare.lock().is_some()
    }

    /// Whether `offset` can be written without making a file.
    pub(crate) fn is_ready(&self, offset: i64) -> bool {
        let start = self.start_for(offset);
        let is_spare = || self.spare.lock().as_ref().is_some_and(|spare| spare.start == start);
        self.find(offset).is_some() || is_spare()
    }

    /// The bytes of all files, the one made ready included.
    pub(crate) fn bytes_with_spare(&self) -> u64 {
        let spare = usize::from(self.is_ahead());
        (self.files.read().len() + spare) as u64 * self.file_bytes.unsigned_abs()
    }

    /// Removes the file that was made ready and not needed.
    pub(crate) fn remove_spare(&self) -> Result<(), Error> {
        match self.spare.lock().take() {
            Some(segment) => self.remove(&segment),
            None => Ok(()),
        }
    }

    /// Removes the first file.
    pub(crate) fn remove_first(&self) -> Result<(), Error> {
        let Some(first) = self.first() else { return Ok(()) };
        self.remove(&first)?;
        self.files.write().remove(0);
        Ok(())
    }

    /// Ends the run at `end`: later files are removed, and in the file that holds `end` everything
    /// from there on is made zeros, durably, so that old bytes can never be taken for new ones.
    pub(crate) fn truncate(&self, end: i64, cutting: Cutting<'_>) -> Result<(), Error> {
        if self.remove_behind(end, cutting)? {
            // One that came back would pass for what was written in its place since.
            self.disk.sync_all(&self.dir).map_err(Error::io("sync", &self.dir))?;
        }
        let Some(last) = self.zero_behind(end, cutting)? else { return Ok(()) };
        let range = (end - last.start) as u64..last.file.len();
        last.file.sync(range).map_err(Error::io("sync", &self.path(last.start)))
    }

    /// The first half of [`Self::truncate`], not durable: removes the files that begin behind
    /// `end`. Says whether there were any.
    pub(crate) fn remove_behind(&self, end: i64, cutting: Cutting<'_>) -> Result<bool, Error> {
        let mut removed = false;
        while let Some(last) = self.last().filter(|last| last.start > end) {
            (cutting.before)()?;
            self.remove(&last)?;
            self.files.write().pop();
            removed = true;
        }
        Ok(removed)
    }

    /// The other half, not durable: makes zeros of what the file that holds `end` has from there
    /// on. Returns the file when something was written.
    pub(crate) fn zero_behind(
        &self,
        end: i64,
        cutting: Cutting<'_>,
    ) -> Result<Option<Segment>, Error> {
        let Some(last) = self.find(end) else { return Ok(None) };
        let path = self.path(last.start);
        let range = (end - last.start) as u64..last.file.len();
        let is_zero = || last.file.is_zero(range.clone()).map_err(Error::io("read", &path));
        if !cutting.again && is_zero()? {
            return Ok(None);
        }
        (cutting.before)()?;
        last.file.zero(range).map_err(Error::io("zero", &path))?;
        Ok(Some(last))
    }

    /// Removes all files.
    pub(crate) fn remove_all(&self) -> Result<(), Error> {
        self.remove_unseen()?;
        self.remove_spare()?;
        let files = std::mem::take(&mut *self.files.write());
        files.iter().try_for_each(|segment| self.remove(segment))
    }

    /// The file's path.
    pub(crate) fn path(&self, start: i64) -> PathBuf {
        self.dir.join(format!("{start:020}"))
    }

    /// When the file was last modified, ms since the epoch.
    pub(crate) fn modified(&self) -> Result<Vec<(i64, i64)>, Error> {
        let listed = self.disk.list(&self.dir).map_err(Error::io("list", &self.dir))?;
        Ok(listed.iter().filter_map(|file| Some((start_of(file)?, file.modified))).collect())
    }

    fn open(&self, start: i64) -> Result<Segment, Error> {
        let path = self.path(start);
        let open = || self.disk.open(&path, self.file_bytes as u64, self.space);
        let file = match open() {
            // Only files that are needed are looked for, so that this is not known earlier.
            Err(error)
                if [ErrorKind::IsADirectory, ErrorKind::AlreadyExists].contains(&error.kind()) =>
            {
                put_out(&*self.disk, &path, "a new file stands there now")?;
                open()
            }
            file => file,
        };
        Ok(Segment { start, file: file.map_err(Error::io("open", &path))? })
    }

    fn remove(&self, segment: &Segment) -> Result<(), Error> {
        let path = self.path(segment.start);
        self.disk.remove(&path).map_err(Error::io("remove", &path))
    }
}

/// The offset in a segment's name, when it is one.
fn start_of(file: &Listed) -> Option<i64> {
    if file.is_file() && is_name(&file.name) { file.name.parse().ok() } else { None }
}

/// Whether something that is no file has the name of a segment.
fn is_in_the_way(file: &Listed) -> bool {
    !file.is_file() && is_name(&file.name)
}

fn is_name(name: &str) -> bool {
    name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())
}
