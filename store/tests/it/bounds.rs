//! When the store is full by its settings, what is removed then, and that it goes on by itself.

use crate::support::*;
use simulator::SimDisk;
use simulator::lines_of;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use store::disk::{Allocation, File, Listed, Lock, Space};
use store::{Append, AppendError, Bound, Disk, FlushMode, Settings, Store};

const HOUR: i64 = 3_600_000;
const FILE: u64 = 16 << 10;

/// A disk whose space a test decides.
struct Measured {
    inner: SimDisk,
    space: Mutex<Space>,
    /// The bytes of the last file that was given its room.
    reserved: Mutex<u64>,
}

impl Measured {
    fn new() -> Arc<Self> {
        let space =
            Mutex::new(Space { total: 1_000 * FILE, free: 500 * FILE, available: 500 * FILE });
        Arc::new(Self { inner: SimDisk::new(5), space, reserved: Mutex::default() })
    }

    /// Leaves so many of 1,000 log files' bytes free.
    fn leave(&self, free: u64) {
        self.leave_bytes(free * FILE);
    }

    fn leave_bytes(&self, free: u64) {
        let total = 1_000 * FILE;
        *self.space.lock().unwrap() = Space { total, free, available: free };
    }
}

impl Disk for Measured {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        self.inner.open(path, size, space)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        self.inner.list(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.starts_with("/store/commitlog.in-the-way") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.inner.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        self.inner.replace(path, content, backup)
    }
    fn holes(&self, _: &Path, len: u64) -> io::Result<u64> {
        Ok(len - *self.reserved.lock().unwrap())
    }
    fn reserve(&self, path: &Path, len: u64) -> io::Result<()> {
        let (holes, available) = (self.holes(path, len)?, self.space(path)?.available);
        assert!(available >= holes, "takes what is left from everybody");
        *self.reserved.lock().unwrap() = len;
        Ok(())
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_all(dir)
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(*self.space.lock().unwrap())
    }
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, content)
    }
}

/// Nothing is removed because of its age or the hour.
fn settings() -> Settings {
    Settings { delete_hours: Vec::new(), reserved_hours: 1_000_000, ..small(Path::new("/store")) }
}

fn try_append(store: &Store, body: &str) -> Result<(), AppendError> {
    let mut list = [Append::one(draft("T", 0, body))];
    store.append(NOW, &mut list);
    list[0].outcome.map(drop)
}

/// Appends until `files` log files are begun, or the store refuses.
fn fill(store: &Store, files: u64) -> Result<(), AppendError> {
    while store.max_log_offset().unsigned_abs() < (files - 1) * FILE + 100 {
        try_append(store, &"x".repeat(1_500))?;
        store.flush(NOW).unwrap();
    }
    Ok(())
}

/// All that the store may hold, and more, comes between two flushes.
#[test]
fn a_burst_of_all_room_removes_the_oldest_and_is_not_refused() {
    for flush_mode in [FlushMode::Async, FlushMode::Sync] {
        let (_disk, store) = open_measured(|s| {
            (s.store_bytes_max, s.flush_mode) = (6 * FILE, flush_mode);
        });
        store.flush(NOW).unwrap();
        for number in 0..200 {
            try_append(&store, &format!("{number:x<1500}")).unwrap();
        }
        store.sync().unwrap();
        assert!(store.store_bytes() <= 6 * FILE, "{}", store.store_bytes());
        let kept = bodies(&store, "T", 0);
        assert!(kept.len() >= 10, "{} are left", kept.len());
        assert!(kept.last().unwrap().starts_with("199x"));
        assert_eq!((store.refusal(), store.fence_reason()), (None, None));
    }
}

fn open_measured(change: impl FnOnce(&mut Settings)) -> (Arc<Measured>, Store) {
    let measured = Measured::new();
    let disk: Arc<dyn Disk> = measured.clone();
    let mut settings = settings();
    change(&mut settings);
    let store = open(&disk, &settings);
    (measured, store)
}

#[test]
fn above_the_last_ratio_sends_are_refused_with_path_used_limit_and_setting() {
    let (disk, store) = open_measured(|s| s.delete_forcibly = false);
    fill(&store, 3).unwrap();
    disk.leave(100);
    store.measure().unwrap();
    assert_eq!(store.full(), None, "90 % is not above 90 %");
    disk.leave(99);
    store.measure().unwrap();
    assert_eq!(try_append(&store, "no"), Err(AppendError::DiskFull));
    let why = store.full().unwrap().to_string();
    for part in ["/store/commitlog", "90.1 % used", "limit 90 %", "diskSpaceWarningLevelRatio"] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert_eq!(read(&store, "T", 0, 0).messages.len(), 7, "reading goes on");
    disk.leave(100);
    store.measure().unwrap();
    try_append(&store, "yes").unwrap();
}

#[test]
fn the_ratios_remove_what_they_are_documented_to_remove() {
    let (disk, store) = open_measured(|s| s.reserved_hours = 72);
    fill(&store, 4).unwrap();
    let log_min = || store.min_log_offset().unsigned_abs() / FILE;
    // SimDisk knows no times of files: they are all as old as the epoch.
    let young = 72 * HOUR - 1;
    let old = 72 * HOUR;
    disk.leave(250);
    assert_eq!(store.retain(old).unwrap().log_files, 0, "75 %, and it is not the hour");
    disk.leave(249);
    assert_eq!(store.retain(young).unwrap().log_files, 0, "above 75 %, but too young");
    disk.leave(149);
    store.retune(Settings { delete_files_at_once: 1, ..store.settings().clone() }).unwrap();
    assert_eq!(store.retain(young).unwrap().log_files, 1, "above 85 % whatever the age");
    let forbidden = Settings { delete_forcibly: false, ..store.settings().clone() };
    store.retune(forbidden).unwrap();
    assert_eq!(store.retain(young).unwrap().log_files, 0, "unless that is switched off");
    disk.leave(249);
    let removed = [(); 3].map(|()| store.retain(old).unwrap().log_files);
    assert_eq!(removed, [1, 1, 0], "above 75 % what is old, one by one");
    assert_eq!(log_min(), 3, "never the last one");
    let first = read(&store, "T", 0, store.min_offset("T", 0));
    let first = record_of(&first.messages[0]).log_offset;
    assert_eq!(first.unsigned_abs() / FILE, 3, "the queue follows");
}

/// The one line of a round that says what went before its time.
#[test]
fn files_that_go_before_they_expired_are_told_once_a_round() {
    let (disk, store) = open_measured(|s| s.reserved_hours = 72);
    fill(&store, 6).unwrap();
    disk.leave(149);
    let (young, old) = (72 * HOUR - 1, 72 * HOUR);
    let (removed, lines) = lines_of(|| store.retain(young).unwrap().log_files);
    assert_eq!((removed, lines.len()), (5, 1), "{lines:#?}");
    for part in [
        "ERROR",
        "that had not expired",
        "(diskSpaceCleanForciblyRatio, cleanFileForciblyEnable)",
        "5 files of 81920 bytes, offsets 0 to 81920",
        "stored before 2023-11-14 22:13:20 UTC",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    fill(&store, 8).unwrap();
    let (removed, lines) = lines_of(|| store.retain(old).unwrap().log_files);
    assert_eq!((removed, lines.len()), (2, 0), "they had expired: {lines:?}");
    disk.leave(500);
    let bound = Settings { store_bytes_max: 4 * FILE, ..store.settings().clone() };
    store.retune(bound).unwrap();
    let (_, lines) = lines_of(|| fill(&store, 12).unwrap());
    let told = |line: &&String| line.starts_with("WARN") && line.contains("(storeBytesMax, ");
    assert!(lines.iter().any(|line| told(&line)), "{lines:#?}");
    assert!(lines.iter().all(|line| told(&line)), "{lines:#?}");
}

#[test]
fn at_the_hour_what_is_old_goes() {
    let (_disk, store) = open_measured(|s| {
        s.reserved_hours = 1;
        s.delete_hours = vec![4, 16];
        s.utc_offset_ms = 2 * HOUR;
    });
    fill(&store, 3).unwrap();
    let retain = |hour: i64| store.retain(48 * HOUR + hour * HOUR).unwrap().log_files;
    assert_eq!(retain(14), 0, "not before the next checkpoint");
    store.flush(NOW + 11_000).unwrap();
    for (hour, files) in [(13, 0), (15, 0), (14, 1), (14, 1), (14, 0)] {
        assert_eq!(retain(hour), files, "{hour} UTC");
    }
}

/// As many rounds as Java's `executeDeleteFilesManually`, of as many files as Java's.
#[test]
fn a_round_by_hand_is_as_long_as_any_other() {
    let (_disk, store) = open_measured(|s| (s.reserved_hours, s.delete_files_at_once) = (1, 3));
    fill(&store, 64).unwrap();
    store.flush(NOW + 11_000).unwrap();
    store.delete_expired_soon();
    let removed: Vec<_> = (0..100).map(|_| store.retain(2 * HOUR).unwrap().log_files).collect();
    assert_eq!(removed.iter().position(|files| *files == 0), Some(60), "20 rounds of 3");
    assert_eq!(removed.iter().sum::<usize>(), 60);
}

#[test]
fn a_round_is_as_long_as_is_set_now() {
    let (_disk, store) = open_measured(|s| {
        (s.reserved_hours, s.delete_hours) = (1, (0..24).collect());
    });
    fill(&store, 12).unwrap();
    store.flush(NOW + 11_000).unwrap();
    let goes_on = || [(); 4].map(|()| store.retain(2 * HOUR).unwrap().goes_on);
    store.retune(Settings { delete_files_at_once: 2, ..store.settings().clone() }).unwrap();
    assert_eq!(goes_on(), [true, false, true, false]);
    store.retune(Settings { delete_files_at_once: 4, ..store.settings().clone() }).unwrap();
    assert_eq!(goes_on(), [true, true, true, false]);
}

#[test]
fn a_store_at_its_bound_removes_the_oldest_and_never_refuses() {
    let (_disk, store) = open_measured(|s| s.store_bytes_max = 6 * FILE);
    for _ in 0..100 {
        // No round of `retain`: room is made by the flush that prepares the next file.
        fill(&store, store.max_log_offset().unsigned_abs() / FILE + 2).unwrap();
        assert!(store.store_bytes() <= 6 * FILE, "{}", store.store_bytes());
    }
    assert!(store.min_log_offset() > 0);
    let first = read(&store, "T", 0, store.min_offset("T", 0));
    let first = record_of(&first.messages[0]);
    assert!(first.log_offset >= store.min_log_offset(), "the queue follows");
}

#[test]
fn room_is_made_for_as_much_as_comes_between_two_flushes() {
    let (_disk, store) = open_measured(|s| s.store_bytes_max = 20 * FILE);
    for _ in 0..100 {
        // Three files.
        for _ in 0..30 {
            try_append(&store, &"x".repeat(1_500)).unwrap();
        }
        store.flush(NOW).unwrap();
    }
    assert!(store.min_log_offset() > 0 && store.store_bytes() <= 20 * FILE);
}

#[test]
fn free_bytes_are_kept_by_the_flush_that_prepares_the_next_file() {
    let (disk, store) = open_measured(|s| s.disk_free_bytes_min = 2 * FILE);
    for _ in 0..400 {
        try_append(&store, &"x".repeat(1_500)).unwrap();
        let taken = disk.inner.used() / FILE;
        let free = (9 * FILE).saturating_sub(taken * FILE);
        *disk.space.lock().unwrap() = Space { total: 100 * FILE, free, available: free };
        store.flush(NOW).unwrap();
    }
    assert!(store.min_log_offset() > 0);
}

#[test]
fn a_bound_that_may_not_be_kept_by_removing_refuses_until_it_is_raised() {
    let (_disk, store) = open_measured(|s| {
        s.store_bytes_max = 6 * FILE;
        s.delete_forcibly = false;
    });
    let mut refused = Ok(());
    for _ in 0..20 {
        refused = fill(&store, store.max_log_offset().unsigned_abs() / FILE + 2);
        assert_eq!(store.retain(NOW).unwrap().log_files, 0);
        if refused.is_err() {
            break;
        }
    }
    assert_eq!(refused, Err(AppendError::DiskFull));
    assert!(store.store_bytes() <= 6 * FILE, "{}", store.store_bytes());
    let why = store.full().unwrap();
    assert!(matches!(why.bound, Bound::StoreBytes { limit, .. } if limit == 6 * FILE), "{why}");
    assert!(why.to_string().contains("storeBytesMax") && why.to_string().contains("/store"));
    store.flush(NOW).unwrap();
    assert_eq!(try_append(&store, "no"), Err(AppendError::DiskFull), "a flush changes nothing");
    let raised = Settings { store_bytes_max: 12 * FILE, ..store.settings().clone() };
    store.retune(raised).unwrap();
    store.flush(NOW).unwrap();
    try_append(&store, "yes").unwrap();
}

#[test]
fn free_bytes_are_kept_by_removing_then_by_refusing() {
    let (disk, store) = open_measured(|s| s.disk_free_bytes_min = FILE);
    let room = |files: u64| {
        let free = files * FILE;
        *disk.space.lock().unwrap() = Space { total: 6 * FILE, free, available: free };
    };
    room(5);
    fill(&store, 4).unwrap();
    room(1);
    let removed = store.retain(NOW).unwrap().log_files;
    assert_eq!(removed, 3, "the space does not come back here, so that all but the last go");
    assert_eq!(store.full(), None, "just as many are free as must be");
    *disk.space.lock().unwrap() = Space { total: 6 * FILE, free: FILE - 1, available: FILE - 1 };
    store.measure().unwrap();
    assert_eq!(try_append(&store, "no"), Err(AppendError::DiskFull));
    let why = store.full().unwrap().to_string();
    assert!(why.contains("16383 bytes free") && why.contains("diskFreeBytesMin"), "{why}");
    room(5);
    store.measure().unwrap();
    try_append(&store, "yes").unwrap();
}

#[test]
fn a_file_that_has_no_room_is_not_tried() {
    let (disk, store) = open_measured(|_| {});
    fill(&store, 1).unwrap();
    let (total, free) = (6 * FILE, FILE - 1);
    *disk.space.lock().unwrap() = Space { total, free, available: free };
    assert_eq!(fill(&store, 3), Err(AppendError::DiskFull));
    let why = store.full().unwrap();
    assert!(matches!(why.bound, Bound::NoRoom { used, .. } if used == 5 * FILE + 1), "{why}");
    assert!(why.to_string().contains("no room for /store/commitlog/00000000000000016384"), "{why}");
    assert_eq!(disk.list(Path::new("/store/commitlog")).unwrap().len(), 1);
    *disk.space.lock().unwrap() = Space { total, free: 2 * FILE, available: 2 * FILE };
    store.flush(NOW).unwrap();
    fill(&store, 2).unwrap();
}

#[test]
fn the_log_of_a_full_store_ends_behind_its_last_record() {
    let (disk, store) = open_measured(|_| {});
    fill(&store, 1).unwrap();
    let (total, free) = (6 * FILE, FILE - 1);
    *disk.space.lock().unwrap() = Space { total, free, available: free };
    assert_eq!(fill(&store, 3), Err(AppendError::DiskFull));
    let last = read(&store, "T", 0, store.max_offset("T", 0) - 1);
    let last = record_of(&last.messages[0]);
    let end = last.log_offset + last.total_size() as i64;
    assert_eq!(store.max_log_offset(), end, "no blank record before the next file is there");
    let settings = store.settings().clone();
    store.close().unwrap();
    drop(store);
    let disk: Arc<dyn Disk> = disk;
    let store = open(&disk, &settings);
    assert_eq!((store.was_clean(), store.max_log_offset()), (true, end));
    assert_eq!(fill(&store, 3), Err(AppendError::DiskFull));
    assert_eq!(store.max_log_offset(), end);
}

/// An operator makes room on a full disk by hand.
#[test]
fn files_that_somebody_removed_by_hand_expire_like_any_other() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(store::OsDisk);
    let settings = Settings {
        reserved_hours: 1,
        delete_hours: (0..24).collect(),
        delete_files_at_once: 2,
        ..small(dir.path())
    };
    let store = open(&disk, &settings);
    fill(&store, 6).unwrap();
    store.flush(NOW + 11_000).unwrap();
    std::fs::remove_file(dir.path().join("commitlog/00000000000000000000")).unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue/T")).unwrap();
    for index in std::fs::read_dir(dir.path().join("index")).unwrap() {
        std::fs::remove_file(index.unwrap().path()).unwrap();
    }
    let is_young = |at| store.retain(at).unwrap().log_files;
    assert_eq!(is_young(2 * HOUR), 1, "the files that are there are young");
    let far_ms = 100 * 365 * 24 * HOUR;
    let removed: usize = (0..6).map(|_| store.retain(far_ms).unwrap().log_files).sum();
    assert_eq!((removed, store.fence_reason()), (4, None));
}

/// Java makes its files with holes, and a full disk is met by a write into one.
#[test]
fn the_last_file_of_another_broker_gets_its_room_before_the_first_message() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(store::OsDisk);
    let settings = Settings { commit_log_file_bytes: 1 << 20, ..small(dir.path()) };
    let store = open(&disk, &settings);
    try_append(&store, "kept").unwrap();
    let end = store.max_log_offset() as usize;
    store.close().unwrap();
    drop(store);
    let path = dir.path().join("commitlog/00000000000000000000");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(&bytes[..end], 0).unwrap();
    assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20, "it has holes");
    let store = open(&disk, &settings);
    assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 20);
    assert_eq!(bodies(&store, "T", 0), ["kept"]);
}

#[test]
fn a_last_file_without_room_refuses_until_there_is_some() {
    let (disk, store) = open_measured(|_| {});
    try_append(&store, "kept").unwrap();
    let settings = store.settings().clone();
    store.close().unwrap();
    drop(store);
    disk.leave(0);
    let shared: Arc<dyn Disk> = disk.clone();
    let store = open(&shared, &settings);
    assert_eq!(try_append(&store, "no"), Err(AppendError::DiskFull));
    let why = store.full().unwrap().to_string();
    assert!(why.contains("no room for /store/commitlog/00000000000000000000"), "{why}");
    assert_eq!(bodies(&store, "T", 0), ["kept"]);
    disk.leave(500);
    store.flush(NOW).unwrap();
    try_append(&store, "yes").unwrap();
    assert_eq!((store.full(), store.fence_reason()), (None, None));
}

#[test]
fn a_last_file_with_room_for_a_part_takes_what_fits() {
    let (disk, store) = open_measured(|_| {});
    try_append(&store, "kept").unwrap();
    let settings = store.settings().clone();
    store.close().unwrap();
    drop(store);
    disk.leave_bytes(10_000);
    let shared: Arc<dyn Disk> = disk.clone();
    let store = open(&shared, &settings);
    let body = "x".repeat(700);
    let mut taken = 0;
    while try_append(&store, &body).is_ok() {
        taken += 1;
        assert!(store.max_log_offset().unsigned_abs() <= *disk.reserved.lock().unwrap());
    }
    assert_eq!(taken, 3);
    let why = store.full().unwrap().to_string();
    assert!(why.contains("no room for /store/commitlog/00000000000000000000"), "{why}");
    assert_eq!(try_append(&store, "no"), Err(AppendError::DiskFull));
    disk.leave(500);
    store.flush(NOW).unwrap();
    for _ in 0..40 {
        try_append(&store, &body).unwrap();
    }
    assert_eq!((store.full(), store.fence_reason()), (None, None));
    assert_eq!(bodies(&store, "T", 0).len(), 41 + taken);
}

/// A file that was moved aside, in a directory that another user owns now.
#[test]
fn what_cannot_be_removed_keeps_nothing_else() {
    let disk = Measured::new();
    for number in 0..2 {
        let path = format!("/store/commitlog.in-the-way/{number:020}");
        disk.open(Path::new(&path), FILE, Allocation::Reserved).unwrap();
    }
    let shared: Arc<dyn Disk> = disk.clone();
    let store = open(&shared, &settings());
    fill(&store, 4).unwrap();
    store.flush(NOW + 11_000).unwrap();
    disk.leave(149);
    assert_eq!(store.retain(NOW).unwrap().log_files, 3);
    let bound = Settings { store_bytes_max: 8 * FILE, ..store.settings().clone() };
    store.retune(bound).unwrap();
    disk.leave(500);
    fill(&store, 20).unwrap();
}
