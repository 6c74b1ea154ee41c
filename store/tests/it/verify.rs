//! `verify` says what a broker would say: a record that lost a sector is named, a configuration
//! file that is gone too, and what a broker is writing is read again before it is accused.

use crate::support::*;
use message::Draft;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use store::disk::{Allocation, File, Listed, Lock, Space};
use store::look::{Checked, Kind, Look};
use store::{Disk, OsDisk, Settings};

pub(crate) fn check(disk: &dyn Disk, settings: &Settings, needed: &[&str]) -> Checked {
    let parse = &|_: &str, text: &str| match text {
        "whole" => Ok(()),
        other => Err(format!("{other:?} is not whole")),
    };
    Look { disk, settings, parse, needed, watch: &|_| {} }.check().unwrap()
}

/// Many properties, so that a whole sector holds nothing else.
fn long(body: &str) -> Draft {
    let mut draft = draft("T", 0, body);
    let properties =
        format!("a\u{1}{}\u{2}TAGS\u{1}TagA\u{2}KEYS\u{1}key-{body}\u{2}", "x".repeat(2_000));
    draft.properties = properties.into_bytes().into();
    draft
}

#[test]
fn a_record_that_lost_a_sector_of_its_properties_is_named() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    let places: Vec<_> =
        (0..5).map(|at| append(&store, NOW + at, long(&format!("{at:04}")))).collect();
    store.close().unwrap();
    drop(store);
    assert!(check(&*disk, &settings, &[]).sound);
    // The last whole sector of it: tags and keys go with what was before them.
    let log = dir.path().join("commitlog/00000000000000000000");
    let file = disk.open(&log, settings.commit_log_file_bytes, Allocation::Reserved).unwrap();
    let end = places[2].log_end() as u64;
    let sector = end / 512 * 512 - 512;
    file.write_at(sector, &vec![0; (end - sector) as usize - 1]).unwrap();
    let found = check(&*disk, &settings, &[]);
    let kinds: Vec<_> = found.damage.iter().map(|damage| (damage.kind, damage.count)).collect();
    assert_eq!(kinds, [(Kind::RecordField, 1)], "{found:#?}");
    let damage = &found.damage[0];
    assert_eq!(damage.first.log_offset, Some(places[2].log_offset));
    assert!(damage.why.contains("message 2 of topic T queue 0"), "{damage:#?}");
}

#[test]
fn a_key_that_a_message_names_twice_is_sound() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    let mut twice = draft("T", 0, "0000");
    twice.properties = "KEYS\u{1}a b a a\u{2}".as_bytes().into();
    append(&store, NOW, twice);
    store.close().unwrap();
    drop(store);
    let found = check(&*disk, &settings, &[]);
    assert!(found.sound, "{found:#?}");
}

#[test]
fn a_configuration_file_that_is_gone_is_named() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let needed = &["topics.json"];
    let store = open(&disk, &settings);
    store.close().unwrap();
    assert!(check(&*disk, &settings, needed).sound, "who has no messages needs none");
    drop(store);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "one"));
    store.config().save("topics.json", "whole").unwrap();
    store.config().save("topics.json", "whole").unwrap();
    store.close().unwrap();
    drop(store);
    assert!(check(&*disk, &settings, needed).sound);
    let path = dir.path().join("config/topics.json");
    std::fs::remove_file(&path).unwrap();
    let found = check(&*disk, &settings, needed);
    assert!(found.damage[0].why.contains("only its .bak"), "{found:#?}");
    std::fs::write(path.with_extension("json.bak"), "junk").unwrap();
    let found = check(&*disk, &settings, needed);
    assert!(found.damage[0].why.contains("its .bak cannot be used"), "{found:#?}");
    std::fs::remove_file(path.with_extension("json.bak")).unwrap();
    let found = check(&*disk, &settings, needed);
    assert_eq!(found.damage[0].kind, Kind::Config);
    assert!(found.damage[0].why.contains("nor is its .bak"), "{found:#?}");
}

/// A disk beside which a broker works: the first reads of a file see it half written.
struct Busy {
    /// The file, how often it is half written, and where.
    half: Mutex<(String, u32, u64)>,
}

impl Busy {
    fn is_half(&self, path: &Path, from: u64) -> Option<u64> {
        let mut half = self.half.lock();
        if half.1 == 0 || !path.ends_with(&half.0) || from > half.2 {
            return None;
        }
        half.1 -= 1;
        Some(half.2)
    }
}

impl Disk for Busy {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        OsDisk.open(path, size, space)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        OsDisk.list(dir)
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
        let mut bytes = OsDisk.read(path)?;
        if let Some(at) = self.is_half(path, 0) {
            bytes.truncate(at as usize);
        }
        Ok(bytes)
    }

    fn peek(&self, path: &Path, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = OsDisk.peek(path, offset, out)?;
        let from = self.is_half(path, offset).map_or(read, |at| at.saturating_sub(offset) as usize);
        out[from.min(read)..read].fill(0);
        Ok(read)
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

#[test]
fn what_is_half_written_is_read_again() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    store.config().save("topics.json", "whole").unwrap();
    store.flush(NOW).unwrap();
    let last = (0..20).map(|at| append(&store, NOW + at, draft("T", 0, &format!("{at:04}"))));
    let last = last.last().unwrap();
    store.flush(NOW + 500).unwrap();
    let log = "commitlog/00000000000000000000";
    let queue = "consumequeue/T/0/00000000000000000000";
    let files = [("config/topics.json", 3), ("checkpoint", 4_060), (queue, 15 * 20 + 7)];
    for (name, at) in files.into_iter().chain([(log, last.log_offset as u64 - 5)]) {
        for times in 1..3 {
            let busy = Busy { half: Mutex::new((name.to_owned(), times, at)) };
            let found = check(&busy, &settings, &[]);
            assert!(found.sound && found.unclean, "{name}, {times} times: {found:#?}");
            assert!(busy.half.lock().1 < times, "{name} was read");
        }
    }
}

/// A broker appends while the rest of the file is looked through for records.
#[test]
fn records_that_come_during_the_search_are_no_gap() {
    let dir = TempDir::new();
    let settings = Settings { commit_log_file_bytes: 16 << 20, ..small(dir.path()) };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    store.flush(NOW).unwrap();
    let one = |at| Draft { body: vec![b'x'; 1_500_000].into(), ..draft("T", 0, &format!("{at}")) };
    let places: Vec<_> = (0..6).map(|at| append(&store, NOW + at, one(at))).collect();
    store.flush(NOW + 500).unwrap();
    let log = "commitlog/00000000000000000000".to_owned();
    // The first two reads from before there on see nothing behind it; the third one does, and those
    // that begin behind it.
    let busy = Busy { half: Mutex::new((log, 2, places[1].log_offset as u64)) };
    let found = check(&busy, &settings, &[]);
    assert!(found.sound, "{found:#?}");
    assert_eq!((found.records, busy.half.lock().1), (6, 0));
}

/// Messages from before a topic was deleted have no queues, and that is no damage: also not when it
/// was made again with others.
#[test]
fn a_topic_that_was_deleted_and_made_again_is_sound() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "one"));
    store.delete_topics(["T"]).unwrap();
    append(&store, NOW, draft("T", 1, "two"));
    store.close().unwrap();
    drop(store);
    let found = check(&*disk, &settings, &[]);
    assert!(found.sound, "{found:#?}");
    assert!(found.notes.iter().any(|note| note.contains("before it was deleted")), "{found:#?}");
    // A queue that is gone since is still missed.
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 2, "three"));
    store.close().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("consumequeue/T/2")).unwrap();
    let found = check(&*disk, &settings, &[]);
    assert_eq!((found.damage[0].kind, found.damage[0].count), (Kind::UnitMissing, 1), "{found:#?}");
}

/// Whatever became of the last file, also of what no checkpoint knows: the queues know of more.
#[test]
fn a_last_log_file_of_zeros_or_junk_is_damage() {
    for clean in [true, false] {
        for junk in [0, 0x5a] {
            let dir = TempDir::new();
            let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
            let store = open(&disk, &settings);
            store.flush(NOW).unwrap();
            for at in 0..250 {
                append(&store, NOW, draft("T", 0, &format!("{at:04}")));
            }
            store.flush(NOW + 1).unwrap();
            let start = store.max_log_offset() >> 14 << 14;
            if clean {
                store.close().unwrap();
            }
            drop(store);
            assert!(check(&*disk, &settings, &[]).sound, "{clean}");
            let path = dir.path().join(format!("commitlog/{start:020}"));
            std::fs::write(&path, vec![junk; 16 << 10]).unwrap();
            let found = check(&*disk, &settings, &[]);
            assert!(!found.sound, "{clean} {junk}: {found:#?}");
            assert!(found.damage[0].why.contains("the log ends here"), "{found:#?}");
        }
    }
}

/// What a start found and set aside is not told as new again, nor what follows from it.
#[test]
fn missing_log_files_are_named_and_set_aside_by_a_start() {
    const FILE: i64 = 16 << 10;
    let name = |start: i64| format!("commitlog/{start:020}");
    for gone in ["one", "two", "the last one"] {
        let dir = TempDir::new();
        let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
        let store = open(&disk, &settings);
        for at in 0..600 {
            append(&store, NOW + at * 1_000, draft("T", 0, &format!("{at:04}")));
        }
        let last = store.max_log_offset() / FILE * FILE;
        store.close().unwrap();
        drop(store);
        assert!(last >= 4 * FILE && check(&*disk, &settings, &[]).sound);
        let (starts, first, why) = match gone {
            "one" => (vec![FILE], FILE, format!("{} is not there", name(FILE))),
            "two" => {
                let why = format!("{} to {} are not there", name(FILE), name(2 * FILE));
                (vec![FILE, 2 * FILE], FILE, why)
            }
            _ => (vec![last], last - FILE, "the log ends here".to_owned()),
        };
        for start in starts {
            std::fs::remove_file(dir.path().join(name(start))).unwrap();
        }
        let found = check(&*disk, &settings, &[]);
        let damage = &found.damage[0];
        assert!(damage.why.contains(&why), "{gone}: {found:#?}");
        assert!(damage.first.file.ends_with(&name(first)), "{gone}: {found:#?}");
        assert_eq!(found.damage.len(), 1, "{gone}: {found:#?}");
        for number in 0..3 {
            let store = open(&disk, &settings);
            if number > 0 {
                append(&store, NOW + 700_000 + number, draft("T", 0, "more"));
            }
            store.close().unwrap();
            drop(store);
            let found = check(&*disk, &settings, &[]);
            let kinds: Vec<_> = found.damage.iter().map(|it| (it.kind, it.count)).collect();
            assert_eq!(kinds, [(Kind::SetAside, 1)], "{gone}, start {number}: {found:#?}");
        }
    }
}

#[test]
fn every_bit_of_an_index_entry_is_seen() {
    let (sim, settings) = (simulator::SimDisk::new(1), small(Path::new("/store")));
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let store = open(&disk, &settings);
    for number in 0..2 {
        append(&store, NOW + 2_000 * number, draft("T", 0, &number.to_string()));
    }
    store.close().unwrap();
    drop(store);
    assert!(check(&*disk, &settings, &[]).sound);
    let path = sim.paths().into_iter().find(|path| path.starts_with("/store/index")).unwrap();
    let content = sim.content(&path).unwrap();
    // The second key of the second message.
    let entry = 40 + 4 * u64::from(settings.index_slots) + 5 * 20;
    for (at, bit) in (entry..entry + 20).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let file = disk.open(&path, content.len() as u64, Allocation::Sparse).unwrap();
        file.write_at(at, &[content[at as usize] ^ 1 << bit]).unwrap();
        assert!(!check(&*disk, &settings, &[]).sound, "byte {} of it, bit {bit}", at - entry);
        file.write_at(at, &[content[at as usize]]).unwrap();
    }
}
