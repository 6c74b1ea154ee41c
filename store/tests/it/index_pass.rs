//! The index is compared with the log beside the work: what a bit flip or a lost sector did to it
//! is put right to the byte, while messages come and queries go on.

use crate::support::{NOW, TempDir, append, draft, small};
use simulator::lines_of;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Disk, OsDisk, Settings, Store};

const DAY_MS: i64 = 24 * 3_600_000;
const HEADER: usize = 40;
const ENTRY: usize = 20;
/// With 100 slots.
const ENTRIES: usize = HEADER + 100 * 4;

struct Filled {
    dir: TempDir,
    store: Store,
    passes: i64,
    messages: Range<i64>,
}

/// Each message has three keys; its body is its number.
fn put(store: &Store, messages: Range<i64>) {
    for number in messages {
        append(store, NOW + number * 100, draft("T", 0, &format!("{number:04}")));
    }
    store.flush(NOW + DAY_MS).unwrap();
    store.sync().unwrap();
}

impl Filled {
    fn new(count: i64) -> Self {
        let dir = TempDir::new();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let store = Store::open(disk, small(dir.path())).unwrap();
        put(&store, 0..count);
        Self { dir, store, passes: 0, messages: 0..count }
    }

    fn files(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.dir.path().join("index")).unwrap();
        let mut files: Vec<_> = listed.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// One whole pass; gives the entries and links that it mended.
    fn pass(&mut self) -> u64 {
        let before = self.store.stats().index_entries_mended();
        self.passes += 1;
        while self.store.scrub(NOW + self.passes * DAY_MS) > 0 {}
        self.store.stats().index_entries_mended() - before
    }

    fn finds_all(&self, what: &str) {
        for number in self.messages.clone() {
            for key in ["key", "unique"] {
                let key = format!("{key}-{number:04}");
                let found = self.store.query("T", &key, 10, (0, i64::MAX));
                assert_eq!(found.records.len(), 1, "{what}: {key}");
            }
        }
    }
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at as u64).unwrap();
}

#[test]
fn every_flipped_bit_is_put_right() {
    let mut filled = Filled::new(150);
    assert_eq!(filled.pass(), 0, "a sound index is left alone");
    let files = filled.files();
    assert_eq!(files.len(), 3, "the last one has room");
    for path in &files {
        let sound = fs::read(path).unwrap();
        let count = i32::from_be_bytes(*sound[36..].first_chunk().unwrap()) as usize;
        let end = ENTRIES + count * ENTRY;
        for at in (HEADER..end).filter(|at| !(ENTRIES..ENTRIES + ENTRY).contains(at)).step_by(61) {
            let is_unused = at < ENTRIES && sound[at / 4 * 4..][..4] == [0; 4];
            // The first entry of a file counts from the file before it.
            let is_first_time = (12..16).contains(&at.wrapping_sub(ENTRIES + ENTRY));
            if is_unused || is_first_time {
                continue;
            }
            overwrite(path, at, &[sound[at] ^ 1 << (at % 8)]);
            assert!(filled.pass() > 0, "{}: byte {at}", path.display());
            assert!(fs::read(path).unwrap() == sound, "{}: byte {at}", path.display());
        }
    }
    filled.finds_all("all flips are mended");
    filled.store.close().unwrap();
}

#[test]
fn lost_sectors_are_put_right_while_messages_come() {
    let mut filled = Filled::new(150);
    for number in 0..3 {
        let path = filled.files()[number].clone();
        let sound = fs::read(&path).unwrap();
        for at in (0..sound.len()).step_by(512) {
            let (from, to) = (at.max(HEADER), (at + 512).min(sound.len()));
            if sound[from..to].iter().all(|byte| *byte == 0) {
                continue;
            }
            overwrite(&path, from, &vec![0; to - from]);
            let next = filled.messages.end;
            put(&filled.store, next..next + 1);
            filled.messages.end += 1;
            let (mended, lines) = lines_of(|| filled.pass());
            assert!(mended > 0, "{}: sector at {at}", path.display());
            let told = lines.iter().filter(|line| line.contains("contradicted the log")).count();
            assert_eq!(told, 1, "{lines:#?}");
            filled.finds_all(&format!("{}: sector at {at}", path.display()));
        }
    }
    let settings = small(filled.dir.path());
    filled.store.close().unwrap();
    drop(filled.store);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let (store, lines) = lines_of(|| Store::open(disk, settings).unwrap());
    assert!(!lines.iter().any(|line| line.contains("index")), "{lines:#?}");
    filled.store = store;
    filled.finds_all("after a restart");
    filled.store.close().unwrap();
}

/// Messages that were stored while the index was off have no keys there, which is no damage.
#[test]
fn what_the_index_never_had_is_left_alone() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut settings = small(dir.path());
    for (number, index) in [true, false, true].into_iter().enumerate() {
        settings = Settings { index, ..settings };
        let store = Store::open(disk.clone(), settings.clone()).unwrap();
        let first = number as i64 * 40;
        put(&store, first..first + 40);
        store.close().unwrap();
    }
    let store = Store::open(disk, settings).unwrap();
    let mut filled = Filled { dir, store, passes: 0, messages: 80..120 };
    assert_eq!(filled.pass(), 0);
    filled.finds_all("the newest");
    filled.messages = 0..40;
    filled.finds_all("the oldest");
    let path = filled.files()[0].clone();
    let sound = fs::read(&path).unwrap();
    // Of the 39th message, and of the first one that has keys again.
    for number in [115, 121] {
        let at = ENTRIES + number * ENTRY;
        overwrite(&path, at, &[0xff; 4]);
        assert!(filled.pass() > 0, "entry {number}");
        assert!(fs::read(&path).unwrap() == sound || number == 121, "entry {number}");
    }
    filled.messages = 81..120;
    filled.finds_all("those behind");
    filled.store.close().unwrap();
}
