//! A disk in memory that crashes: what was synced stays, of the pages written since then a seeded
//! choice. Names of files are durable at once; that a name can be lost is not simulated here.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::disk::{Allocation, Disk, File, Listed, Lock, Space};

const PAGE: usize = 4096;

/// The disk; clones are the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<State>);

struct State {
    files: Mutex<BTreeMap<PathBuf, Arc<SimFile>>>,
    random: Mutex<u64>,
    locked: Arc<AtomicBool>,
    /// Writes that still succeed; `u64::MAX` means all.
    writes_left: Arc<Mutex<u64>>,
    /// No page is left for files that have not taken theirs yet.
    full: Arc<AtomicBool>,
}

struct SimFile {
    image: Mutex<Image>,
    reserved: bool,
    writes_left: Arc<Mutex<u64>>,
    full: Arc<AtomicBool>,
}

/// Pages that were never written are not kept: index files are large and hollow.
#[derive(Default)]
struct Image {
    len: u64,
    live: BTreeMap<u64, Box<[u8; PAGE]>>,
    durable: BTreeMap<u64, Box<[u8; PAGE]>>,
    /// Pages written since the last sync.
    dirty: BTreeMap<u64, ()>,
}

impl SimDisk {
    /// An empty disk; what a crash loses comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(State {
            files: Mutex::default(),
            random: Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            locked: Arc::default(),
            writes_left: Arc::new(Mutex::new(u64::MAX)),
            full: Arc::default(),
        }))
    }

    /// Takes all free pages, or gives them back.
    pub fn fill(&self, full: bool) {
        self.0.full.store(full, Ordering::SeqCst);
    }

    /// Power loss: every page written since its last sync is kept or lost by a coin.
    pub fn crash(&self) {
        self.0.locked.store(false, Ordering::SeqCst);
        *self.0.writes_left.lock() = u64::MAX;
        for file in self.0.files.lock().values() {
            let mut image = file.image.lock();
            let Image { live, durable, dirty, .. } = &mut *image;
            for (page, ()) in std::mem::take(dirty) {
                if self.coin() {
                    copy(live, durable, page);
                } else {
                    copy(durable, live, page);
                }
            }
        }
    }

    /// Lets `count` more writes succeed.
    pub fn fail_writes_after(&self, count: u64) {
        *self.0.writes_left.lock() = count;
    }

    fn coin(&self) -> bool {
        let mut random = self.0.random.lock();
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random >> 33 & 1 == 1
    }

    fn new_file(&self, content: &[u8], len: u64, reserved: bool) -> Arc<SimFile> {
        let file = SimFile {
            image: Mutex::new(Image { len, ..Image::default() }),
            reserved,
            writes_left: Arc::new(Mutex::new(u64::MAX)),
            full: Arc::default(),
        };
        file.write_at(0, content).expect("a new file takes its content");
        file.sync(0..len).expect("a new file is inside its bounds");
        Arc::new(SimFile {
            image: Mutex::new(file.image.into_inner()),
            reserved,
            writes_left: self.0.writes_left.clone(),
            full: self.0.full.clone(),
        })
    }
}

fn copy(from: &BTreeMap<u64, Box<[u8; PAGE]>>, to: &mut BTreeMap<u64, Box<[u8; PAGE]>>, page: u64) {
    match from.get(&page) {
        Some(bytes) => to.insert(page, bytes.clone()),
        None => to.remove(&page),
    };
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        let mut files = self.0.files.lock();
        if !files.contains_key(path) {
            if self.0.full.load(Ordering::SeqCst) {
                return Err(ErrorKind::StorageFull.into());
            }
            let reserved = space == Allocation::Reserved;
            files.insert(path.into(), self.new_file(&[], size, reserved));
        }
        let file = files[path].clone();
        if file.len() != size {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Arc::new(Shared(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let mut all: BTreeMap<String, Listed> = BTreeMap::new();
        for (path, file) in &*self.0.files.lock() {
            let Ok(below) = path.strip_prefix(dir) else { continue };
            let mut parts = below.iter();
            let Some(name) = parts.next() else { continue };
            let (name, is_dir) = (name.to_string_lossy().into_owned(), parts.next().is_some());
            let len = if is_dir { 0 } else { file.len() };
            all.insert(name.clone(), Listed { name, len, is_dir, modified: 0 });
        }
        Ok(all.into_values().collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.0.files.lock().remove(path);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        let file = self.new_file(content, content.len() as u64, true);
        let former = self.0.files.lock().insert(path.into(), file);
        if let (Some(former), Some(backup)) = (former, backup) {
            self.0.files.lock().insert(backup.into(), former);
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.0.files.lock().get(path).cloned().ok_or(ErrorKind::NotFound)?;
        let mut bytes = vec![0; file.len() as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let files = self.0.files.lock();
        files.values().try_for_each(|file| file.sync(0..file.len()))
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { total: 1 << 40, free: 1 << 39, available: 1 << 39 })
    }

    fn lock(&self, _: &Path, _: &[u8]) -> io::Result<Box<dyn Lock>> {
        if self.0.locked.swap(true, Ordering::SeqCst) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock(self.0.locked.clone())))
    }
}

struct SimLock(Arc<AtomicBool>);

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct Shared(Arc<SimFile>);

impl File for Shared {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.0.slice(range)
    }
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.0.is_zero(range)
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.0.zero(range)
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.0.sync(range)
    }
}

impl SimFile {
    /// The pages of a range: page, first byte in it, length.
    fn pages(&self, range: Range<u64>) -> io::Result<Vec<(u64, usize, usize)>> {
        if range.start > range.end || range.end > self.len() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut all = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (page, from) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let len = (PAGE - from).min((range.end - at) as usize);
            all.push((page, from, len));
            at += len as u64;
        }
        Ok(all)
    }
}

impl File for SimFile {
    fn len(&self) -> u64 {
        self.image.lock().len
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let pages = self.pages(offset..offset + data.len() as u64)?;
        let mut left = self.writes_left.lock();
        *left = left.checked_sub(1).ok_or(ErrorKind::Other)?;
        let mut image = self.image.lock();
        let needs_room = pages.iter().any(|(page, ..)| !image.live.contains_key(page));
        if needs_room && !self.reserved && self.full.load(Ordering::SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        let mut rest = data;
        for (page, from, len) in pages {
            let (now, later) = rest.split_at(len);
            let bytes = image.live.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            bytes[from..from + len].copy_from_slice(now);
            image.dirty.insert(page, ());
            rest = later;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let pages = self.pages(offset..offset + out.len() as u64)?;
        let image = self.image.lock();
        let mut rest = out;
        for (page, from, len) in pages {
            let (now, later) = rest.split_at_mut(len);
            match image.live.get(&page) {
                Some(bytes) => now.copy_from_slice(&bytes[from..from + len]),
                None => now.fill(0),
            }
            rest = later;
        }
        Ok(())
    }

    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes.into())
    }

    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        let pages = self.pages(range)?;
        let image = self.image.lock();
        Ok(pages.iter().all(|(page, from, len)| {
            let bytes = image.live.get(page);
            bytes.is_none_or(|bytes| bytes[*from..from + len].iter().all(|byte| *byte == 0))
        }))
    }

    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        for (page, from, len) in self.pages(range)? {
            let mut image = self.image.lock();
            if let Some(bytes) = image.live.get_mut(&page) {
                bytes[from..from + len].fill(0);
                image.dirty.insert(page, ());
            }
        }
        Ok(())
    }

    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        for (page, ..) in self.pages(range)? {
            let mut image = self.image.lock();
            let Image { live, durable, dirty, .. } = &mut *image;
            if dirty.remove(&page).is_some() {
                copy(live, durable, page);
            }
        }
        Ok(())
    }
}
