//! After the first failed sync nothing is acknowledged or shown any more, and no sync is tried
//! again, not even by those who waited for the one that failed.

use crate::support::*;
use bytes::Bytes;
use simulator::SimDisk;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::JoinHandle;
use store::disk::{Allocation, File, Listed, Lock, Space};
use store::{Append, AppendError, Disk, Error, FlushMode, Settings, Store};

/// A disk whose first sync of a log file fails; what follows would succeed.
struct FailsOnce {
    inner: SimDisk,
    syncs: Arc<Syncs>,
}

#[derive(Default)]
struct Syncs {
    count: AtomicUsize,
    /// Asks for a sync while the first one is under way.
    other: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct LogFile(Arc<dyn File>, Arc<Syncs>);

impl File for LogFile {
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
        if self.1.count.fetch_add(1, Ordering::SeqCst) > 0 {
            return self.0.sync(range);
        }
        self.1.other.get().unwrap()();
        Err(io::Error::from_raw_os_error(5))
    }
}

impl Disk for FailsOnce {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(path, size, space)?;
        let is_log = path.parent().is_some_and(|dir| dir.ends_with("commitlog"));
        Ok(if is_log { Arc::new(LogFile(file, self.syncs.clone())) } else { file })
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        self.inner.list(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        self.inner.replace(path, content, backup)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_all(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, content)
    }
}

/// A thread that syncs as soon as the first sync is under way.
fn waiter(store: &Arc<Store>, syncs: &Syncs) -> JoinHandle<Result<i64, Error>> {
    let begun = Arc::new(Barrier::new(2));
    let (theirs, other) = (begun.clone(), store.clone());
    let waiter = std::thread::spawn(move || {
        theirs.wait();
        other.sync()
    });
    let ask = move || {
        begun.wait();
        // It looks at the fence, then waits for its turn.
        (0..10_000).for_each(|_| std::thread::yield_now());
    };
    assert!(syncs.other.set(Box::new(ask)).is_ok());
    waiter
}

#[test]
fn those_who_wait_for_a_sync_that_fails_fail_with_it() {
    for flush_mode in [FlushMode::Sync, FlushMode::Async] {
        let syncs = Arc::<Syncs>::default();
        let disk: Arc<dyn Disk> =
            Arc::new(FailsOnce { inner: SimDisk::new(3), syncs: syncs.clone() });
        let settings = Settings { flush_mode, ..small(Path::new("/store")) };
        let store = Arc::new(open(&disk, &settings));
        append(&store, NOW, draft("T", 0, "lost"));
        let waiter = waiter(&store, &syncs);
        let Err(Error::Io { op: "sync", .. }) = store.sync() else { panic!("it fails") };
        assert!(matches!(waiter.join().unwrap(), Err(Error::Fenced { .. } | Error::Io { .. })));
        assert_eq!(syncs.count.load(Ordering::SeqCst), 1, "nobody tried again");
        assert_eq!(store.flushed_to(), 0);
        let mut list = [Append::one(draft("T", 0, "refused"))];
        store.append(NOW, &mut list);
        assert_eq!(list[0].outcome, Err(AppendError::Fenced));
        assert!(store.fence_reason().unwrap().contains("commitlog"));
        assert!(store.flush(NOW).is_err() && store.retain(NOW).is_err() && store.close().is_err());
        assert_eq!(syncs.count.load(Ordering::SeqCst), 1);
        let seen = if flush_mode == FlushMode::Sync { 0 } else { 1 };
        assert_eq!(bodies(&store, "T", 0).len(), seen, "{flush_mode:?}");
    }
}
