//! The store as one thing: opening it and what it knows of itself. Appending, reading, flushing and
//! expiring stand in the files of those names.

use crate::append::{AppendError, Writer};
use crate::checkpoint::Checkpoint;
use crate::commit_log::CommitLog;
use crate::compaction::Compactions;
use crate::dirty::Dirty;
use crate::disk::{Disk, Lock};
use crate::flush::{FlushTimes, Unflushed};
use crate::full::Full;
use crate::in_the_way;
use crate::index::Index;
use crate::parts::Parts;
use crate::queues::Queues;
use crate::recover::Recovered;
use crate::removed_topics::RemovedTopics;
use crate::scrub::Pass;
use crate::{ConfigFiles, Error, Lack, Progress, SetAside, Settings, Stats, root};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// A store: one directory with the files of Java's broker. All methods may be called from any
/// thread; none starts a thread, reads a clock or waits for anything but the disk.
pub struct Store {
    /// As it was opened.
    pub(crate) settings: Settings,
    /// With the changes since.
    live: RwLock<Arc<Settings>>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) compactions: Compactions,
    pub(crate) dirty: Dirty,
    pub(crate) removed_topics: RemovedTopics,
    pub(crate) index: Option<Index>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) aside: SetAside,
    /// The append lock. Taken before every other lock.
    pub(crate) writer: Mutex<Writer>,
    /// Units that wait for the log to be durable; in log order.
    pub(crate) unflushed: Mutex<VecDeque<Unflushed>>,
    /// Held while a periodic flush runs.
    pub(crate) flush_times: Mutex<FlushTimes>,
    /// What [`Store::measure`] found.
    pub(crate) full: Mutex<Option<Full>>,
    pub(crate) disk_full: AtomicBool,
    /// Queue units or index keys wait for room on the disk.
    pub(crate) waits_for_room: AtomicBool,
    /// The file `abort` is not there yet, as the disk was full from the start.
    pub(crate) lacks_abort: AtomicBool,
    /// The log file that an append needed could not be made; tried again with every flush.
    pub(crate) lacks_segment: AtomicBool,
    /// The last log file has holes for which the disk has no room; tried again with every flush.
    pub(crate) lacks_end: AtomicBool,
    /// The log offset up to which that file has its room.
    pub(crate) reserved_to: AtomicI64,
    /// Where the system had no room the last time.
    pub(crate) no_room: Mutex<Option<Full>>,
    /// The next log file could not be made ready.
    pub(crate) lacks_spare: AtomicBool,
    pub(crate) manual_rounds: AtomicU32,
    /// Held while log files are removed: how many went in the round that goes on. Taken before
    /// `flush_times`.
    pub(crate) removing: Mutex<usize>,
    /// Where the log begins, as far as all queues begin there too.
    pub(crate) followed_min: AtomicI64,
    /// The log's end when the next file was last prepared for.
    pub(crate) prepared_at: AtomicI64,
    /// Digest of the queues' ends in the file, 0 when there is none.
    pub(crate) noted_ends: AtomicU32,
    pub(crate) pass: Mutex<Pass>,
    pub(crate) stats: Stats,
    config: ConfigFiles,
    fence: OnceLock<String>,
    closed: AtomicBool,
    recovered_clean: bool,
    recovered: Recovered,
    /// Until it is closed.
    locks: Mutex<Option<Locks>>,
}

/// Knows which filters want a message, for the bits that stand beside its unit where the store
/// keeps extended queues ([`Settings::extension_file_bytes`]; Java
/// `CommitLogDispatcherCalcBitMap`).
pub trait FilterBits: Send + Sync {
    /// The bits of the filters that want a message of a topic with these properties, encoded, which
    /// is stored at `now`, ms since the epoch; `None` where the topic has no filters. Asked under
    /// the append lock.
    fn bits(&self, topic: &str, properties: &[u8], now: i64) -> Option<Vec<u8>>;
}

impl Store {
    /// Opens the directory: locks it, finds where the log ends, mends what a crash left, and marks
    /// it as in use until [`Store::close`].
    pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<Self, Error> {
        Self::open_watched(disk, settings, &|_| {})
    }

    /// [`Store::open`], which after a crash may take a while: tells `watch` how far it has come, at
    /// the beginning and end of each step and every few MiB.
    pub fn open_watched(
        disk: Arc<dyn Disk>,
        settings: Settings,
        watch: &dyn Fn(Progress),
    ) -> Result<Self, Error> {
        settings.check()?;
        let root = settings.root.clone();
        in_the_way::clear_lock(&*disk, &root)?;
        let locks = take_locks(&*disk, &settings)?;
        let listed = disk.list(&root).map_err(Error::io("list", &root))?;
        let abort = listed.iter().find(|file| file.name == "abort");
        in_the_way::clear(&*disk, &root)?;
        let parts = Parts::new(disk.clone(), &settings, abort.is_none())?;
        let recovered = parts.open(watch).inspect_err(|_| parts.leave())?;
        let Parts {
            clean,
            lacks_abort,
            keeps_places,
            log,
            queues,
            removed_topics,
            index,
            checkpoint,
            aside,
            ..
        } = parts;
        let (stats, dirty, lacks_abort) = (Stats::default(), Dirty::default(), lacks_abort.get());
        stats.set_aside(&aside);
        queues.all().iter().filter(|it| it.unsynced_bytes() > 0).for_each(|it| dirty.note(it));
        let store = Self {
            writer: Mutex::new(Writer::new(&log)),
            followed_min: log.min().into(),
            prepared_at: log.written_to().into(),
            config: ConfigFiles::new(disk.clone(), &root),
            live: RwLock::new(Arc::new(settings.clone())),
            compactions: Compactions::new(disk.clone(), &settings, clean),
            settings,
            disk,
            log,
            dirty,
            queues,
            removed_topics,
            index,
            checkpoint,
            aside,
            unflushed: Mutex::default(),
            flush_times: Mutex::default(),
            full: Mutex::default(),
            disk_full: AtomicBool::new(false),
            waits_for_room: AtomicBool::new(false),
            lacks_abort: AtomicBool::new(lacks_abort),
            lacks_segment: AtomicBool::new(false),
            lacks_end: AtomicBool::new(false),
            reserved_to: AtomicI64::new(i64::MAX),
            no_room: Mutex::default(),
            lacks_spare: AtomicBool::new(false),
            manual_rounds: AtomicU32::new(0),
            removing: Mutex::default(),
            noted_ends: AtomicU32::new(0),
            pass: Mutex::default(),
            stats,
            fence: OnceLock::new(),
            closed: AtomicBool::new(false),
            recovered_clean: clean,
            recovered,
            locks: Mutex::new(Some(locks)),
        };
        store.before_appends(lacks_abort, keeps_places.get())?;
        Ok(store)
    }

    fn before_appends(&self, lacks_abort: bool, keeps_places: bool) -> Result<(), Error> {
        if lacks_abort {
            let (path, lack) = (self.abort_path(), Lack::Room);
            self.wait_for_room(Err(Error::Full { path, lack }))?;
        }
        self.reserve_end();
        // A record does not tell that there were others before it.
        if keeps_places { self.make_checkpoint() } else { Ok(()) }
    }

    /// The settings that the store was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes over what may change while the store is open: limits of messages and reads, when
    /// there is a flush, what expires. Everything else stays as it was opened.
    ///
    /// # Errors
    /// When the settings cannot be used together; nothing changes then.
    pub fn retune(&self, settings: Settings) -> Result<(), Error> {
        settings.check()?;
        *self.live.write() = Arc::new(settings);
        Ok(())
    }

    /// The largest body that is stored.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.live.read().max_message_bytes
    }

    /// The settings of which some may change: not those of the files' shape, nor the flush mode.
    pub(crate) fn live(&self) -> Arc<Settings> {
        Arc::clone(&self.live.read())
    }

    /// Says who knows the bits of filters, once: messages that were stored before have none, and
    /// neither have those that recovery gives to queues.
    pub fn set_filter_bits(&self, bits: Arc<dyn FilterBits>) {
        let is_first = self.queues.filter_bits.set(bits).is_ok();
        assert!(is_first, "one knows them all");
    }

    /// The bits of the filters that want a message of these properties, at its store time.
    pub(crate) fn bits_of(&self, topic: &str, properties: &[u8], now: i64) -> Vec<u8> {
        let bits =
            self.queues.filter_bits.get().and_then(|known| known.bits(topic, properties, now));
        bits.unwrap_or_default()
    }

    /// The files under `config/`.
    pub fn config(&self) -> &ConfigFiles {
        &self.config
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What of the commit log cannot be read though what follows can.
    pub fn set_aside(&self) -> &SetAside {
        &self.aside
    }

    /// Where the log ended when queues of this topic were removed last; 0 for never. Records of it
    /// before that place are of another life of the topic.
    pub fn removed_to(&self, topic: &str) -> i64 {
        self.removed_topics.end_of(topic)
    }

    /// Whether what was said of a topic when the log ended at `log_end` is about a former life of
    /// it: its queues were removed then or later. A record says it at its own end.
    pub fn is_of_former_life(&self, topic: &str, log_end: i64) -> bool {
        let removed_to = self.removed_to(topic);
        removed_to > 0 && log_end <= removed_to
    }

    /// Whether the process before this one had stopped cleanly.
    pub fn was_clean(&self) -> bool {
        self.recovered_clean
    }

    /// What the start read of the log.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// The first log offset that is still there.
    pub fn min_log_offset(&self) -> i64 {
        self.log.min()
    }

    /// The log offset behind the last written byte.
    pub fn max_log_offset(&self) -> i64 {
        self.log.written_to()
    }

    /// Everything before this log offset is durable.
    pub fn flushed_to(&self) -> i64 {
        self.log.flushed_to()
    }

    /// Readers see everything before this log offset.
    pub fn readable_to(&self) -> i64 {
        self.log.readable_to()
    }

    /// Store time of the newest record, ms since the epoch.
    pub fn newest_store_time(&self) -> i64 {
        self.log.newest_time()
    }

    /// Log bytes that queues do not show yet: none, except under [`crate::FlushMode::Sync`] what is
    /// not durable yet.
    pub fn dispatch_behind(&self) -> i64 {
        self.log.written_to() - self.log.readable_to()
    }

    /// Why nothing is stored any more, after a failed write or sync.
    pub fn fence_reason(&self) -> Option<&str> {
        self.fence.get().map(String::as_str)
    }

    /// Whether an append would be refused now, and why.
    pub fn refusal(&self) -> Option<AppendError> {
        if self.closed.load(Ordering::Acquire) {
            return Some(AppendError::Closed);
        }
        if self.is_fenced() {
            return Some(AppendError::Fenced);
        }
        let full = [&self.disk_full, &self.waits_for_room, &self.lacks_segment, &self.lacks_end];
        full.iter().any(|full| full.load(Ordering::Acquire)).then_some(AppendError::DiskFull)
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fence.get().is_some()
    }

    /// Takes no more writes. A failed write or sync is never tried again: the page cache may have
    /// dropped what it could not write, and a second try would lie.
    pub(crate) fn fence(&self, error: &Error) {
        let why = match error {
            Error::Fenced { why } => why.clone(),
            error => error.to_string(),
        };
        if self.fence.set(why).is_ok() {
            tracing::error!(
                %error,
                "a write or sync failed: nothing is stored or acknowledged any more. What was \
                 acknowledged before is kept as docs/durability.md says. Look for errors of the \
                 disk (dmesg, SMART), mend or replace it, then start again"
            );
        }
    }

    /// Takes a full disk, which a write to queues, index or checkpoint met, for no failure: what
    /// could not be written waits in memory, and nothing is appended until [`Store::flush`] wrote
    /// it.
    pub(crate) fn wait_for_room(&self, written: Result<(), Error>) -> Result<(), Error> {
        match written {
            Err(Error::Full { path, lack }) => {
                self.note_no_room(&path, lack);
                if !self.waits_for_room.swap(true, Ordering::AcqRel) {
                    let error = Error::Full { path, lack };
                    tracing::error!(%error, "no messages are taken until there is room again");
                }
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) fn check_fence(&self) -> Result<(), Error> {
        self.fence.get().map_or(Ok(()), |why| Err(Error::Fenced { why: why.clone() }))
    }

    /// Lets another store open the directory: nothing is written to it any more.
    pub(crate) fn unlock(&self) {
        *self.locks.lock() = None;
    }

    /// Marks the store as closed and says whether it was before.
    pub(crate) fn set_closed(&self) -> bool {
        self.closed.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn abort_path(&self) -> PathBuf {
        self.settings.root.join("abort")
    }
}

/// That of the store, and that of its log, which another store may name too.
type Locks = (Box<dyn Lock>, Option<Box<dyn Lock>>);

fn take_locks(disk: &dyn Disk, settings: &Settings) -> Result<Locks, Error> {
    let failed = |path: &Path, error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: path.into() },
        _ => root::refused(&settings.root, error, "lock", path),
    };
    let (path, log) = (settings.root.join("lock"), settings.commit_log_path());
    let lock = disk.lock(&path, b"lock").map_err(|error| failed(&path, error))?;
    if log == settings.root {
        // Its directory is locked with the store.
        return Ok((lock, None));
    }
    let of_log = disk.lock_dir(&log).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: log },
        _ => Error::io("lock", &log)(error),
    })?;
    Ok((lock, of_log))
}
