//! For tests: a disk that has nothing in memory, a small broker on whatever disk, and queue units
//! that are damaged on purpose.

use crate::broker::{Broker, Outside};
use crate::opening::Surroundings;
use crate::saving::Wake;
use bytes::Bytes;
use parking_lot::Mutex;
use settings::BrokerSettings;
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use store::disk::{Allocation, File, Listed, Lock, Space};
use store::{Disk, OsDisk, Progress, UNIT_LEN};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A broker named `b` with small files and light queues, and what it asks of its shell.
pub(crate) fn open(
    disk: impl Disk + 'static,
    dir: &Path,
    now_ms: i64,
) -> (Broker, UnboundedReceiver<Outside>) {
    open_watched(disk, settings(dir), now_ms, &|_| {})
}

/// The same with other settings.
pub(crate) fn open_with(
    disk: impl Disk + 'static,
    dir: &Path,
    now_ms: i64,
    change: impl FnOnce(&mut BrokerSettings),
) -> (Broker, UnboundedReceiver<Outside>) {
    let mut settings = settings(dir);
    change(&mut settings);
    open_watched(disk, settings, now_ms, &|_| {})
}

/// Saves what changed: nobody gets an answer before that may rest on it. Gives
/// the number of the newest change.
pub(crate) fn save(broker: &Broker, now_ms: i64) -> u64 {
    let Wake::Round(round) = broker.saving.wait(None) else { panic!("there is nothing to save") };
    let change = round.change;
    broker.save_round(round, now_ms);
    change
}

/// What [`open`] sets.
pub(crate) fn settings(dir: &Path) -> BrokerSettings {
    let mut settings = BrokerSettings::default();
    settings.broker.broker_ip1 = "127.0.0.1".into();
    settings.broker.broker_name = "b".into();
    settings.store.store_path_root_dir = dir.to_str().expect("a test names its directory").into();
    settings.store.mapped_file_size_commit_log = 1 << 20;
    settings.store.mapped_file_size_timer_log = 1 << 20;
    (settings.store.enable_lmq, settings.store.enable_multi_dispatch) = (true, true);
    (settings.store.max_hash_slot_num, settings.store.max_index_num) = (100, 4_000);
    settings
}

/// A broker that tells how far its start has come.
pub(crate) fn open_watched(
    disk: impl Disk + 'static,
    settings: BrokerSettings,
    now_ms: i64,
    watch: &dyn Fn(Progress),
) -> (Broker, UnboundedReceiver<Outside>) {
    let surroundings = Surroundings {
        now_ms,
        utc_offset_ms: 0,
        memory_bytes: 1 << 30,
        pid: 1,
        salt: 1,
        host_ip: None,
    };
    let (outside, asked) = unbounded_channel();
    let opened = Broker::open(Arc::new(disk), settings, outside, &surroundings, watch);
    (opened.expect("the store of a test opens"), asked)
}

/// The system's disk, with nothing of it in memory.
#[derive(Clone, Default)]
pub(crate) struct Cold {
    /// Whether it does not answer at the moment.
    pub(crate) fails: Arc<AtomicBool>,
    /// A place of the commit log that it does not give at the moment, if not 0.
    pub(crate) fails_at: Arc<AtomicU64>,
    held: Arc<Mutex<Option<Held>>>,
}

/// Whom a read is told, and whose word it waits for.
type Held = (Sender<()>, Receiver<()>);

impl Cold {
    /// The next read of the commit log says so to the first, and waits for a word from the second.
    pub(crate) fn hold_next(&self) -> (Receiver<()>, Sender<()>) {
        let ((reads, read), (go_on, goes_on)) = (channel(), channel());
        *self.held.lock() = Some((reads, goes_on));
        (read, go_on)
    }
}

impl Disk for Cold {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        let is_log = path.parent().is_some_and(|dir| dir.ends_with("commitlog"));
        let (disk, file) = (self.clone(), OsDisk.open(path, size, space)?);
        Ok(Arc::new(ColdFile { file, disk, is_log }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        OsDisk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.remove_dir(dir)
    }
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        OsDisk.replace(path, content, backup)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OsDisk.read(path)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_all(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        OsDisk.space(path)
    }
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        OsDisk.lock(path, content)
    }
}

struct ColdFile {
    file: Arc<dyn File>,
    disk: Cold,
    is_log: bool,
}

impl ColdFile {
    fn answers(&self, range: Range<u64>) -> io::Result<()> {
        let held = if self.is_log { self.disk.held.lock().take() } else { None };
        if let Some((reads, goes_on)) = held {
            reads.send(()).expect("the test waits for it");
            goes_on.recv().expect("the test lets it go on");
        }
        let bad = self.disk.fails_at.load(Ordering::Relaxed);
        let is_bad = self.is_log && bad > 0 && range.contains(&bad);
        match self.disk.fails.load(Ordering::Relaxed) || is_bad {
            true => Err(io::Error::other("it does not answer")),
            false => Ok(()),
        }
    }
}

impl File for ColdFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.answers(offset..offset + out.len() as u64)?;
        self.file.read_at(offset, out)
    }
    fn read_cached(&self, _: u64, _: &mut [u8]) -> io::Result<bool> {
        Ok(false)
    }
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.answers(range.clone())?;
        self.file.slice(range)
    }
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.file.is_zero(range)
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.file.zero(range)
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.file.sync(range)
    }
}

/// Changes a unit in the first file of a queue's directory.
pub(crate) fn change_unit(queue: &Path, at: u64, change: impl FnOnce(&mut [u8; UNIT_LEN])) {
    let file = queue.join("0".repeat(20));
    let file = OpenOptions::new().read(true).write(true).open(file).expect("the queue is there");
    let (mut unit, at) = ([0; UNIT_LEN], at * UNIT_LEN as u64);
    file.read_exact_at(&mut unit, at).expect("it has this unit");
    change(&mut unit);
    file.write_all_at(&unit, at).expect("it can be written");
}

/// Makes a unit that of a message which power loss took.
pub(crate) fn blank(unit: &mut [u8; UNIT_LEN]) {
    unit.fill(0);
    unit[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
}
