//! A disk that dies after so many changes, or that cannot read some places: around any other one.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use store::Disk;
use store::disk::{Allocation, File, Listed, Lock, Space};

/// What a system says of a sector that cannot be read.
const EIO: i32 = 5;
/// What it says when the process has too many files open.
const EMFILE: i32 = 24;

/// The disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct BadDisk {
    inner: Arc<dyn Disk>,
    state: Arc<State>,
}

type Hook = Arc<dyn Fn(&Path) + Send + Sync>;
type Once = Box<dyn FnOnce() + Send>;

struct State {
    /// Changes that still happen.
    changes_left: AtomicU64,
    /// No file can be opened.
    no_files: AtomicBool,
    /// Places that cannot be read.
    unreadable: Mutex<Vec<(PathBuf, Range<u64>)>>,
    /// Places that are not in memory.
    cold: Mutex<Vec<(PathBuf, Range<u64>)>>,
    /// What was read, one entry a read.
    reads: Mutex<Vec<PathBuf>>,
    /// What was written, one entry a write.
    writes: Mutex<Vec<(PathBuf, Range<u64>)>>,
    /// What is done before a file is made durable.
    before_sync: Mutex<Option<Hook>>,
    /// What is done once, before a file under a directory is read.
    before_read: Mutex<Option<(PathBuf, Once)>>,
    /// Directories that are links to other disks.
    links: Mutex<Vec<PathBuf>>,
    /// The numbers of the disks that were asked for.
    asked: Mutex<BTreeSet<u64>>,
}

impl State {
    fn change(&self) -> io::Result<()> {
        let left = |left: u64| left.checked_sub(1);
        let taken = self.changes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        taken.map(drop).map_err(|_| io::Error::other("the disk is dead"))
    }

    fn before_sync(&self, path: &Path) {
        let hook = self.before_sync.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(path);
        }
    }

    fn read(&self, path: &Path, range: Range<u64>) -> io::Result<()> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(path.into());
        let mut before = self.before_read.lock().unwrap_or_else(PoisonError::into_inner);
        let here = before.take_if(|(dir, _)| path.starts_with(dir));
        drop(before);
        if let Some((_, hook)) = here {
            hook();
        }
        if touches(&self.unreadable, path, &range) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    /// A bad place that is written as a whole can be read again; in part it cannot be written.
    fn overwrite(&self, path: &Path, range: Range<u64>) -> io::Result<()> {
        let mut bad = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        bad.retain(|(at, place)| at != path || place.start < range.start || range.end < place.end);
        drop(bad);
        if touches(&self.unreadable, path, &range) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

fn touches(places: &Mutex<Vec<(PathBuf, Range<u64>)>>, path: &Path, range: &Range<u64>) -> bool {
    let places = places.lock().unwrap_or_else(PoisonError::into_inner);
    let mut here = places.iter().filter(|(at, _)| at == path);
    here.any(|(_, place)| place.start < range.end && range.start < place.end)
}

impl BadDisk {
    pub(crate) fn new(inner: Arc<dyn Disk>) -> Self {
        let changes_left = AtomicU64::new(u64::MAX);
        let (no_files, unreadable, cold) = Default::default();
        let (reads, writes, before_sync, before_read, links, asked) = Default::default();
        let state = State {
            changes_left,
            no_files,
            unreadable,
            cold,
            reads,
            writes,
            before_sync,
            before_read,
            links,
            asked,
        };
        Self { inner, state: Arc::new(state) }
    }

    /// One, and the same as the disk of a store.
    pub(crate) fn around(inner: Arc<dyn Disk>) -> (Self, Arc<dyn Disk>) {
        let bad = Self::new(inner);
        (bad.clone(), Arc::new(bad))
    }

    /// Lets `count` more changes of any kind happen.
    pub(crate) fn die_after(&self, count: u64) {
        self.state.changes_left.store(count, Ordering::SeqCst);
    }

    /// Whether it has refused a change, or would refuse the next one.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.changes_left.load(Ordering::SeqCst) == 0
    }

    /// Lets no file be opened, or all again.
    pub(crate) fn refuse_files(&self, refuse: bool) {
        self.state.no_files.store(refuse, Ordering::SeqCst);
    }

    /// From here on `dir` is a link to a disk of its own.
    pub(crate) fn link(&self, dir: &str) {
        self.state.links.lock().unwrap().push(dir.into());
    }

    /// The numbers of the disks that were asked for: 0 is the store's, the links count from 1 on.
    pub(crate) fn asked(&self) -> Vec<u64> {
        self.state.asked.lock().unwrap().iter().copied().collect()
    }

    /// Calls `hook` whenever a file is about to be made durable.
    pub(crate) fn before_sync(&self, hook: impl Fn(&Path) + Send + Sync + 'static) {
        *self.state.before_sync.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Calls `hook` when a file under `dir` is read the next time.
    pub(crate) fn before_read(&self, dir: &Path, hook: impl FnOnce() + Send + 'static) {
        *self.state.before_read.lock().unwrap() = Some((dir.into(), Box::new(hook)));
    }

    pub(crate) fn make_cold(&self, path: &Path, range: Range<u64>) {
        self.state.cold.lock().unwrap().push((path.into(), range));
    }

    /// How often something under `dir` was read.
    pub(crate) fn reads_under(&self, dir: &Path) -> usize {
        self.state.reads.lock().unwrap().iter().filter(|path| path.starts_with(dir)).count()
    }

    /// Which ranges of a file were written, in order.
    pub(crate) fn writes_to(&self, path: &Path) -> Vec<Range<u64>> {
        let writes = self.state.writes.lock().unwrap();
        writes.iter().filter(|(at, _)| at == path).map(|(_, range)| range.clone()).collect()
    }

    /// Everything can be read again.
    pub(crate) fn heal(&self) {
        self.state.unreadable.lock().unwrap().clear();
    }

    pub(crate) fn make_unreadable(&self, path: &Path, range: Range<u64>) {
        self.state.unreadable.lock().unwrap().push((path.into(), range));
    }
}

impl Disk for BadDisk {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        if self.state.no_files.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let dir = path.parent().unwrap();
        let is_there = |listed: &Listed| path.ends_with(&listed.name);
        if !self.inner.list(dir)?.iter().any(is_there) {
            self.state.change()?;
        }
        let inner = self.inner.open(path, size, space)?;
        Ok(Arc::new(BadFile { inner, path: path.into(), state: self.state.clone() }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        // Only root may look into what a file system has at its top.
        if dir.ends_with("lost+found") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.inner.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state.change()?;
        self.inner.rename(from, to)?;
        let mut bad = self.state.unreadable.lock().unwrap();
        bad.iter_mut().filter(|(path, _)| path == from).for_each(|(path, _)| *path = to.into());
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state.change()?;
        self.state.unreadable.lock().unwrap().retain(|(bad, _)| bad != path);
        self.inner.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        self.state.change()?;
        self.state.before_sync(path);
        self.inner.replace(path, content, backup)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = self.inner.read(path)?;
        self.state.read(path, 0..bytes.len() as u64)?;
        Ok(bytes)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.state.before_sync(dir);
        self.inner.sync_all(dir)
    }
    fn file_system(&self, dir: &Path) -> io::Result<u64> {
        let links = self.state.links.lock().unwrap();
        let place = links.iter().position(|link| dir.starts_with(link));
        let number = place.map_or(0, |place| place as u64 + 1);
        self.state.asked.lock().unwrap().insert(number);
        Ok(number)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, content)
    }
}

struct BadFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    state: Arc<State>,
}

impl File for BadFile {
    fn len(&self) -> u64 {
        self.inner.len()
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state.change()?;
        let range = offset..offset + data.len() as u64;
        self.state.overwrite(&self.path, range.clone())?;
        self.state.writes.lock().unwrap().push((self.path.clone(), range));
        self.inner.write_at(offset, data)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.state.read(&self.path, offset..offset + out.len() as u64)?;
        self.inner.read_at(offset, out)
    }
    fn read_cached(&self, offset: u64, out: &mut [u8]) -> io::Result<bool> {
        if touches(&self.state.cold, &self.path, &(offset..offset + out.len() as u64)) {
            return Ok(false);
        }
        self.read_at(offset, out).map(|()| true)
    }
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        // A mapping is lent without looking; whoever reads a bad place of it is killed.
        let bytes = self.inner.slice(range.clone())?;
        self.state.read(&self.path, range).expect("SIGBUS");
        Ok(bytes)
    }
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.state.read(&self.path, range.clone())?;
        self.inner.is_zero(range)
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.state.change()?;
        self.state.overwrite(&self.path, range.clone())?;
        self.inner.zero(range)
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.state.change()?;
        self.state.before_sync(&self.path);
        self.inner.sync(range)
    }
}
