//! The disk of the operating system: positional writes, mapped reads, `fallocate`, `fdatasync`.
//! The only unsafe code of the workspace.
//!
//! Writes never go through a mapping, so a full or failing disk is an error value and not a signal.
//! What is lent to readers is a mapping of the whole file; the page cache keeps both in step.

#![allow(clippy::disallowed_methods, reason = "this is the one place that reaches files")]

use super::first_failure::FirstFailure;
use super::lasting::{self, Calls, System, make_dirs, parent, sync_dir};
use super::open_files::{OpenFile, instead};
use super::{Allocation, Disk, File, Listed, Lock, Space};
use bytes::Bytes;
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;
use rustix::fs::{
    Advice, FallocateFlags, FlockOperation, SeekFrom, fadvise, fallocate, fcntl_lock, flock, seek,
    statvfs, syncfs,
};
use rustix::io::{Errno, retry_on_intr};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

/// Reads of so many bytes are not read ahead of.
const LONG_READ: usize = 1 << 20;

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        let file = match instead(|| options.open(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                instead(|| create(&System, path, size, space))?
            }
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        if len != size {
            let text = format!("the file has {len} bytes, expected {size}");
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        let file = OpenFile::new(path.to_owned(), file, advice_for(space));
        Ok(Arc::new(OsFile::new(file, len, space)))
    }

    fn open_existing(
        &self,
        path: &Path,
        size: u64,
        space: Allocation,
    ) -> io::Result<Option<Arc<dyn File>>> {
        let open = || fs::OpenOptions::new().read(true).write(true).open(path);
        let file = match instead(open) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let len = file.metadata()?.len();
        if len != size {
            return Ok(None);
        }
        let file = OpenFile::new(path.to_owned(), file, advice_for(space));
        Ok(Some(Arc::new(OsFile::new(file, len, space))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is no text is none of the store's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            // There may be tens of thousands of directories, and nobody asks when they changed.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                all.push(Listed { name, len: 0, is_dir: true, is_other: false, modified: 0 });
                continue;
            }
            // A symbolic link counts as what it points to: operators move directories that way.
            let meta = match fs::metadata(entry.path()) {
                Err(_) if kind.is_symlink() => {
                    all.push(Listed { name, len: 0, is_dir: false, is_other: true, modified: 0 });
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                meta => meta?,
            };
            let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let len = if meta.is_dir() { 0 } else { meta.len() };
            let modified = i64::try_from(modified.as_millis()).unwrap_or(i64::MAX);
            let is_other = !meta.is_dir() && !meta.is_file();
            all.push(Listed { name, len, is_dir: meta.is_dir(), is_other, modified });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        lasting::rename(&System, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// A link to a directory goes, and what it leads to stays, empty and durably so: nobody finds
    /// that again to sync it.
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(dir)?.is_symlink() {
            return fs::remove_dir(dir);
        }
        if fs::read_dir(dir)?.next().is_some() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        fs::File::open(dir)?.sync_all()?;
        fs::remove_file(dir)
    }

    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        lasting::replace(&System, path, content, backup)
    }

    fn extend(&self, path: &Path, from: u64, len: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        assert!(from <= len && file.metadata()?.len() <= len, "files only grow");
        reserve(&file, len)?;
        file.sync_all()
    }

    fn holes(&self, path: &Path, len: u64) -> io::Result<u64> {
        const BLOCK: u64 = 512;
        Ok(len.saturating_sub(fs::metadata(path)?.blocks() * BLOCK))
    }

    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        reserve(&fs::OpenOptions::new().read(true).write(true).open(path)?, len)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn peek(&self, path: &Path, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        super::peek::peek(&fs::File::open(path)?, offset, out)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let held = held_open(instead(|| fs::File::open(dir))?)?;
        held.failure.sync(|| Ok(retry_on_intr(|| syncfs(&held.dir))?))
    }

    fn file_system(&self, dir: &Path) -> io::Result<u64> {
        let device = fs::metadata(dir)?.dev();
        if !HELD.lock().contains_key(&device) {
            held_open(instead(|| fs::File::open(dir))?)?;
        }
        Ok(device)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = path.ancestors().find(|dir| dir.exists()).unwrap_or_else(|| Path::new("."));
        let stat = statvfs(found)?;
        let bytes = |blocks| blocks * stat.f_frsize;
        Ok(Space {
            total: bytes(stat.f_blocks),
            free: bytes(stat.f_bfree),
            available: bytes(stat.f_bavail),
        })
    }

    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        make_dirs(&System, parent(path))?;
        let mut options = fs::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        // The record lock is the one that Java's broker takes. It does not hold within a process,
        // nor when somebody removes the file and another one is made, as the directory's does. On
        // NFS a second lock of another kind on the same file would be refused because of the first.
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(held)?;
        let dir = lock_dir(parent(path))?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(Box::new(OsLock { _file: Some(file), _dir: dir }))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        make_dirs(&System, dir)?;
        Ok(Some(Box::new(OsLock { _file: None, _dir: lock_dir(dir)? })))
    }
}

/// Each file system that is in use, by its device number, as long as the process runs.
static HELD: Mutex<BTreeMap<u64, Arc<Held>>> = Mutex::new(BTreeMap::new());

/// A file system.
struct Held {
    /// A directory of it, which stays open.
    dir: fs::File,
    failure: FirstFailure,
}

/// The descriptor that stands for the file system of `dir`: the same one each time. Linux tells
/// `syncfs` of a failed writeback once for each descriptor (from 5.8 on, by the superblock's
/// `s_wb_err`), and one that was opened since only where no other has been told: that may have been
/// another process's. Who shares it shares what it was told.
fn held_open(dir: fs::File) -> io::Result<Arc<Held>> {
    let device = dir.metadata()?.dev();
    let new = || Arc::new(Held { dir, failure: FirstFailure::default() });
    Ok(HELD.lock().entry(device).or_insert_with(new).clone())
}

/// Some network file systems lock no directories.
fn lock_dir(dir: &Path) -> io::Result<fs::File> {
    // From the start on, so that no error is missed. The lock has its own: it ends with that.
    held_open(fs::File::open(dir)?)?;
    let dir = fs::File::open(dir)?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Err(error @ Errno::AGAIN) => Err(held(error)),
        _ => Ok(dir),
    }
}

fn held(error: Errno) -> io::Error {
    match error {
        Errno::AGAIN | Errno::ACCESS => ErrorKind::WouldBlock.into(),
        error => error.into(),
    }
}

/// The locks end with the file descriptor.
struct OsLock {
    _file: Option<fs::File>,
    _dir: fs::File,
}

impl Lock for OsLock {}

/// Where a few bytes are written here and there, what was read ahead costs at each write: the page
/// cache then has pieces of up to 2 MiB, and ext4 (Linux 6.18) looks at each block of a piece.
fn advice_for(space: Allocation) -> Advice {
    match space {
        Allocation::Reserved | Allocation::Sparse => Advice::Normal,
        Allocation::Scattered => Advice::Random,
    }
}

fn create(calls: &impl Calls, path: &Path, size: u64, space: Allocation) -> io::Result<fs::File> {
    let dir = parent(path);
    match space.is_reserved() {
        // What is sparse can be made anew from the log; its name need not be durable.
        false => fs::create_dir_all(dir)?,
        true => make_dirs(calls, dir)?,
    }
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path)?;
    let sized = match space.is_reserved() {
        false => file.set_len(size),
        true => reserve(&file, size)
            .and_then(|()| calls.sync(&file, path))
            .and_then(|()| sync_dir(calls, dir)),
    };
    if let Err(error) = sized {
        // A file of the wrong size would refuse the next start.
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(file)
}

/// Takes all blocks at once, where the file system can; else the file is sparse.
fn reserve(file: &fs::File, size: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => lengthen(file, size),
        reserved => Ok(reserved?),
    }
}

/// What is reserved may be a part of the file.
fn lengthen(file: &fs::File, size: u64) -> io::Result<()> {
    if file.metadata()?.len() < size { file.set_len(size) } else { Ok(()) }
}

struct OsFile {
    file: Arc<OpenFile>,
    len: u64,
    space: Allocation,
    /// The whole file as readers see it, mapped at the first use.
    view: OnceLock<Bytes>,
    /// Somebody made the file shorter: to touch what is mapped behind its end would end the
    /// process.
    is_short: AtomicBool,
    failure: FirstFailure,
}

impl OsFile {
    fn new(file: Arc<OpenFile>, len: u64, space: Allocation) -> Self {
        let (view, is_short, failure) = Default::default();
        Self { file, len, space, view, is_short, failure }
    }

    fn check(&self, range: &Range<u64>) -> io::Result<()> {
        if range.start <= range.end && range.end <= self.len {
            return Ok(());
        }
        let text = format!("bytes {range:?} are outside of a file of {} bytes", self.len);
        Err(io::Error::new(ErrorKind::InvalidInput, text))
    }

    fn is_zero_where_data(&self, range: Range<u64>) -> io::Result<bool> {
        let mut chunk = vec![0; 64 << 10];
        let mut at = range.start;
        // Little at first: a queue's file has a page of data and then a hole to its end.
        let mut len = 4 << 10;
        while let Some(from) = self.next_data(at)?.filter(|from| *from < range.end) {
            // To a page's end: a page that is read in part would count as data from then on.
            let end = (from + 1).next_multiple_of(len).min(range.end);
            let part = &mut chunk[..(end - from) as usize];
            self.read_at(from, part)?;
            if part.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at = end;
            len = (len * 2).min(chunk.len() as u64);
        }
        Ok(true)
    }

    /// The first place at or behind `from` that is not a hole.
    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        match seek(self.file.get()?, SeekFrom::Data(from)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // A file system that cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((from < self.len).then_some(from)),
            Err(error) => Err(error.into()),
        }
    }

    fn view(&self) -> io::Result<&Bytes> {
        if let Some(view) = self.view.get() {
            return Ok(view);
        }
        let map = MmapOptions::new().map_raw_read_only(&*self.file.get()?)?;
        Ok(self.view.get_or_init(|| Bytes::from_owner(View { map })))
    }
}

impl File for OsFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(&(offset..offset.saturating_add(data.len() as u64)))?;
        self.file.get()?.write_all_at(data, offset)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(&(offset..offset.saturating_add(out.len() as u64)))?;
        let file = self.file.get()?;
        if out.len() < LONG_READ {
            return file.read_exact_at(out, offset);
        }
        // As long as what would be read ahead, which is not wanted: see `is_zero`.
        fadvise(&file, 0, None, Advice::Random)?;
        let read = file.read_exact_at(out, offset);
        fadvise(&file, 0, None, self.file.advice())?;
        read
    }

    fn read_cached(&self, offset: u64, mut out: &mut [u8]) -> io::Result<bool> {
        self.check(&(offset..offset.saturating_add(out.len() as u64)))?;
        let (file, end) = (self.file.get()?, offset + out.len() as u64);
        while !out.is_empty() {
            match super::peek::cached(&file, end - out.len() as u64, out)? {
                None | Some(0) => return Ok(false),
                Some(len) => out = &mut out[len..],
            }
        }
        Ok(true)
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.check(&range)?;
        let (view, from, to) = (self.view()?, range.start as usize, range.end as usize);
        if to <= view.len() && !self.is_short.load(Ordering::Relaxed) {
            return Ok(view.slice(from..to));
        }
        // Somebody made the file shorter; what was written since is there.
        let mut bytes = vec![0; to - from];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes.into())
    }

    fn look_at_len(&self) {
        let len = self.file.get().and_then(|file| Ok(file.metadata()?.len()));
        let is_short = len.is_ok_and(|len| len < self.len);
        if is_short && !self.is_short.swap(true, Ordering::Relaxed) {
            tracing::error!(
                path = %self.file.path().display(),
                expected = self.len,
                "somebody made this file shorter while it is in use: what it lacks is lost"
            );
        }
    }

    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.check(&range)?;
        // Without this, reading ahead fills the page cache with zeros of places that were never
        // written, which then count as data, and so on to the file's end.
        let file = self.file.get()?;
        fadvise(&file, 0, None, Advice::Random)?;
        let is_zero = self.is_zero_where_data(range);
        fadvise(&file, 0, None, self.file.advice())?;
        is_zero
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.check(&range)?;
        if range.is_empty() {
            return Ok(());
        }
        let how = match self.space.is_reserved() {
            true => FallocateFlags::ZERO_RANGE,
            false => FallocateFlags::PUNCH_HOLE,
        } | FallocateFlags::KEEP_SIZE;
        match fallocate(self.file.get()?, how, range.start, range.end - range.start) {
            // With holes in the range it takes room.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => {
                zero_written_parts(self, range)
            }
            zeroed => Ok(zeroed?),
        }
    }

    fn sync(&self, _range: Range<u64>) -> io::Result<()> {
        let file = self.file.get()?;
        self.failure.sync(|| file.sync_data())
    }
}

/// Writes zeros where there are none yet, so that holes stay holes.
fn zero_written_parts(file: &OsFile, range: Range<u64>) -> io::Result<()> {
    const CHUNK: usize = 64 << 10;
    const BLOCK: usize = 4 << 10;
    let (zeros, mut chunk) = ([0; BLOCK], vec![0; CHUNK]);
    let mut at = range.start;
    while at < range.end {
        let part = &mut chunk[..CHUNK.min((range.end - at) as usize)];
        file.read_at(at, part)?;
        // A block begins with the file, a chunk may not.
        let first = (BLOCK - (at % BLOCK as u64) as usize).min(part.len());
        let (first, rest) = part.split_at(first);
        for block in std::iter::once(first).chain(rest.chunks(BLOCK)) {
            if block.iter().any(|byte| *byte != 0) {
                file.write_at(at, &zeros[..block.len()])?;
            }
            at += block.len() as u64;
        }
    }
    Ok(())
}

/// A mapping that readers borrow from; it is unmapped when the last of them is gone.
struct View {
    map: MmapRaw,
}

impl AsRef<[u8]> for View {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the pointer and length are those of a live read-only mapping that `self` owns.
        // The process changes the mapped bytes only by positional writes to places that nobody has
        // been lent (`File::slice` lends what is never written again), and never shortens the file.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr(), self.map.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lasting::tests::{Written, fresh};
    use super::*;

    #[test]
    fn what_is_reserved_is_durable_and_so_is_its_name() {
        let root = fresh("create");
        let (calls, path) = (Written::new(&root, 0), root.join("commitlog/0"));
        create(&calls, &path, 3, Allocation::Reserved).unwrap();
        let all = ["sync : names", "sync commitlog/0: \0\0\0", "sync commitlog: names"];
        assert_eq!(calls.into_calls(), all);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn one_descriptor_stands_for_a_file_system() {
        let root = fresh("held");
        let other = root.join("other");
        fs::create_dir_all(&other).unwrap();
        let held = |dir: &Path| held_open(fs::File::open(dir).unwrap()).unwrap();
        drop(lock_dir(&root).unwrap());
        let first = held(&root);
        OsDisk.sync_all(&other).unwrap();
        assert!(Arc::ptr_eq(&first, &held(&other)));
        let proc = held(Path::new("/proc"));
        assert!(!Arc::ptr_eq(&first, &proc) && Arc::ptr_eq(&first, &held(&root)));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_to_a_directory_goes_when_that_is_empty() {
        let root = fresh("link");
        let (there, link) = (root.join("there"), root.join("link"));
        fs::create_dir_all(there.join("in")).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        let kind = OsDisk.remove_dir(&link).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::DirectoryNotEmpty));
        OsDisk.remove_dir(&link.join("in")).unwrap();
        OsDisk.remove_dir(&link).unwrap();
        assert!(there.is_dir() && !link.exists());
        assert_eq!(OsDisk.remove_dir(&link).unwrap_err().kind(), ErrorKind::NotFound);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn room_for_a_part_leaves_a_file_its_length_where_none_can_be_reserved() {
        let path = std::env::temp_dir().join(format!("rockhopper-part-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        for (asked, len) in [(100, 100), (10, 100), (200, 200)] {
            lengthen(&file, asked).unwrap();
            assert_eq!(file.metadata().unwrap().len(), len);
        }
        fs::remove_file(path).unwrap();
    }
}
