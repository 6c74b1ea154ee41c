//! Looking at stores that are sound, damaged in every way, or being written: what is found, where,
//! and that looking changes nothing.

use crate::support::{NOW, TempDir, append, draft, open, small};
use message::Draft;
use simulator::lines_of;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use store::look::{Checked, Kind, Look};
use store::{Disk, OsDisk, Settings};

pub(crate) fn parse(_: &str, text: &str) -> Result<(), String> {
    if text.starts_with('{') && text.trim_end().ends_with('}') { Ok(()) } else { Err("no".into()) }
}

fn check(settings: &Settings) -> Checked {
    let look = Look { disk: &OsDisk, settings, parse: &parse, needed: &[], watch: &|_| {} };
    look.check().unwrap()
}

/// A store with several files of everything, closed.
pub(crate) fn made(settings: &Settings) {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, settings);
    for number in 0..300 {
        let topic = if number % 3 == 0 { "A" } else { "B" };
        append(&store, NOW + number * 100, draft(topic, (number % 2) as i32, &body(number)));
    }
    store.config().save("topics.json", "{\"A\":1,\"B\":2}").unwrap();
    store.flush(NOW + 60_000).unwrap();
    store.close().unwrap();
}

pub(crate) fn body(number: i64) -> String {
    format!("{number}-{}", "x".repeat(60))
}

fn files(dir: &Path, all: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.insert(entry.path(), (Vec::new(), modified));
            files(&entry.path(), all);
        } else {
            all.insert(entry.path(), (std::fs::read(entry.path()).unwrap(), modified));
        }
    }
}

pub(crate) fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn a_sound_store_is_sound_and_stays_as_it_is() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let mut before = BTreeMap::new();
    files(dir.path(), &mut before);
    let found = check(&settings);
    assert!(found.sound, "{found:#?}");
    assert!(!found.unclean);
    assert_eq!((found.records, found.units, found.queues), (300, 300, 4));
    assert_eq!(found.index_entries, 900);
    assert_eq!(found.notes, [] as [String; 0]);
    let look =
        Look { disk: &OsDisk, settings: &settings, parse: &parse, needed: &[], watch: &|_| {} };
    let survey = look.survey().unwrap();
    assert_eq!((survey.log.from, survey.log.to), (0, found.log_to));
    let last = NOW + 29_900;
    assert_eq!((survey.log.first_time, survey.log.last_time), (Some(NOW), Some(last)));
    assert_eq!(survey.topics.iter().map(|topic| topic.messages).sum::<i64>(), 300);
    assert_eq!(survey.others, [] as [String; 0]);
    let mut shown = Vec::new();
    look.dump_queue(("A", 1), Some(2), 3, &mut |found| shown.push(found)).unwrap();
    assert_eq!(shown.iter().map(|d| d.unit.unwrap().0).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(shown.iter().all(|dumped| dumped.problem.is_none()));
    let mut whole = 0;
    look.dump_log(0, 1_000, &mut |found| whole += i32::from(found.problem.is_none())).unwrap();
    assert_eq!(whole, 300, "over the ends of files");
    let mut after = BTreeMap::new();
    files(dir.path(), &mut after);
    assert!(before == after, "looking changed something");
}

/// The time in a delayed message's unit was made of the levels of its day.
#[test]
fn other_delay_levels_make_no_damage_and_change_no_unit_that_is_there() {
    let dir = TempDir::new();
    let then = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let topic = message::names::SCHEDULE_TOPIC;
    {
        let store = open(&disk, &then);
        for level in 1..=4 {
            let properties = format!("DELAY\u{1}{level}\u{2}").into_bytes();
            let properties = message::Properties::parse(&properties).encode();
            append(&store, NOW, Draft { properties, ..draft(topic, level - 1, "later") });
        }
        store.flush(NOW + 1).unwrap();
        store.close().unwrap();
    }
    let now = Settings { delay_levels_ms: vec![1_000, 60_000], ..then };
    assert!(check(&now).sound, "{:#?}", check(&now));
    // A time that no level gives was damaged.
    let path = dir.path().join("consumequeue").join(topic).join("1").join("0".repeat(20));
    flip(&path, 19);
    let found = check(&now);
    assert_eq!((found.damage.len(), found.damage[0].kind), (1, Kind::UnitWrong), "{found:#?}");
    // Without an index the whole log is read.
    disk.replace(&dir.path().join("abort"), b"", None).unwrap();
    let (store, lines) = lines_of(|| open(&disk, &now));
    let code = |id| store.units(topic, id, 0, 1)[0].tags_code - NOW;
    assert_eq!([0, 1, 2, 3].map(code), [1_000, 60_000, 10_000, 30_000], "{lines:#?}");
    let mended: Vec<_> = lines.iter().filter(|line| line.contains("units of")).collect();
    let one = "units of 1 message: message 0 of topic SCHEDULE_TOPIC_XXXX queue 1";
    assert!(mended.len() == 1 && mended[0].contains(one), "{lines:#?}");
}

/// One way to damage a store, and what is to be found first.
struct Case {
    what: &'static str,
    damage: fn(&Path),
    kind: Kind,
    at: fn(&Path) -> (PathBuf, u64),
}

pub(crate) fn log(dir: &Path, file: u64) -> PathBuf {
    dir.join(format!("commitlog/{:020}", file * (16 << 10)))
}

fn unit_file(dir: &Path) -> PathBuf {
    dir.join("consumequeue/A/0/00000000000000000000")
}

fn index_file(dir: &Path) -> PathBuf {
    let mut names: Vec<_> =
        std::fs::read_dir(dir.join("index")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.remove(0)
}

const INDEX_ENTRIES: u64 = 40 + 4 * 100;

const CASES: &[Case] = &[
    Case {
        what: "a body",
        damage: |dir| flip(&log(dir, 0), 100),
        kind: Kind::Record,
        at: |dir| (log(dir, 0), 0),
    },
    Case {
        what: "the magic of a file's first record",
        damage: |dir| flip(&log(dir, 1), 4),
        kind: Kind::Record,
        at: |dir| (log(dir, 1), 0),
    },
    Case {
        what: "a record's queue offset",
        damage: |dir| flip(&log(dir, 0), 27),
        kind: Kind::RecordField,
        at: |dir| (log(dir, 0), 0),
    },
    Case {
        what: "a record's log offset",
        damage: |dir| flip(&log(dir, 0), 35),
        kind: Kind::Record,
        at: |dir| (log(dir, 0), 0),
    },
    Case {
        what: "4 KiB of zeros in the log",
        damage: |dir| {
            let file = std::fs::OpenOptions::new().write(true).open(log(dir, 1)).unwrap();
            file.write_all_at(&[0; 4096], 0).unwrap();
        },
        kind: Kind::Record,
        at: |dir| (log(dir, 1), 0),
    },
    Case {
        what: "a missing log file",
        damage: |dir| std::fs::remove_file(log(dir, 1)).unwrap(),
        kind: Kind::LogFilesMissing,
        at: |dir| (log(dir, 1), 0),
    },
    Case {
        what: "a log file that is too short",
        damage: |dir| {
            let file = std::fs::OpenOptions::new().write(true).open(log(dir, 1)).unwrap();
            file.set_len(5_000).unwrap();
        },
        kind: Kind::LogFile,
        at: |dir| (log(dir, 1), 5_000),
    },
    Case {
        what: "a unit's log offset",
        damage: |dir| flip(&unit_file(dir), 3 * 20 + 6),
        kind: Kind::UnitWrong,
        at: |dir| (unit_file(dir), 60),
    },
    Case {
        what: "a unit's tags code",
        damage: |dir| flip(&unit_file(dir), 4 * 20 + 19),
        kind: Kind::UnitWrong,
        at: |dir| (unit_file(dir), 80),
    },
    Case {
        what: "a unit of zeros",
        damage: |dir| {
            let file = std::fs::OpenOptions::new().write(true).open(unit_file(dir)).unwrap();
            file.write_all_at(&[0; 20], 100).unwrap();
        },
        kind: Kind::UnitMissing,
        at: |dir| (unit_file(dir), 100),
    },
    Case {
        what: "a queue file that is too short",
        damage: |dir| {
            let file = std::fs::OpenOptions::new().write(true).open(unit_file(dir)).unwrap();
            file.set_len(410).unwrap();
        },
        kind: Kind::QueueFile,
        at: |dir| (unit_file(dir), 410),
    },
    Case {
        what: "a queue that is gone",
        damage: |dir| std::fs::remove_dir_all(dir.join("consumequeue/A/0")).unwrap(),
        kind: Kind::UnitMissing,
        at: |dir| (log(dir, 0), 0),
    },
    Case {
        what: "an index entry's hash",
        damage: |dir| flip(&index_file(dir), INDEX_ENTRIES + 20 * 5 + 3),
        kind: Kind::IndexEntry,
        at: |dir| (index_file(dir), INDEX_ENTRIES + 20 * 5),
    },
    Case {
        what: "an index entry's log offset",
        damage: |dir| flip(&index_file(dir), INDEX_ENTRIES + 20 * 7 + 4),
        kind: Kind::IndexEntry,
        at: |dir| (index_file(dir), INDEX_ENTRIES + 20 * 7),
    },
    Case {
        what: "an index entry's time",
        damage: |dir| flip(&index_file(dir), INDEX_ENTRIES + 20 * 8 + 15),
        kind: Kind::IndexEntry,
        at: |dir| (index_file(dir), INDEX_ENTRIES + 20 * 8),
    },
    Case {
        what: "an index file's count",
        damage: |dir| flip(&index_file(dir), 36),
        kind: Kind::IndexFile,
        at: |dir| (index_file(dir), 0),
    },
    Case {
        what: "the checkpoint's time",
        damage: |dir| flip(&dir.join("checkpoint"), 2),
        kind: Kind::Checkpoint,
        at: |dir| (dir.join("checkpoint"), 0),
    },
    Case {
        what: "the checkpoint's mark",
        damage: |dir| flip(&dir.join("checkpoint"), 4070),
        kind: Kind::Checkpoint,
        at: |dir| (dir.join("checkpoint"), 4064),
    },
    Case {
        what: "a short checkpoint",
        damage: |dir| std::fs::write(dir.join("checkpoint"), [0; 100]).unwrap(),
        kind: Kind::Checkpoint,
        at: |dir| (dir.join("checkpoint"), 100),
    },
    Case {
        what: "an empty configuration file",
        damage: |dir| std::fs::write(dir.join("config/topics.json"), "").unwrap(),
        kind: Kind::Config,
        at: |dir| (dir.join("config/topics.json"), 0),
    },
    Case {
        what: "a cut configuration file",
        damage: |dir| std::fs::write(dir.join("config/topics.json"), "{\"A\":").unwrap(),
        kind: Kind::Config,
        at: |dir| (dir.join("config/topics.json"), 0),
    },
];

#[test]
fn damage_of_every_kind_is_found_at_its_first_place() {
    let original = TempDir::new();
    made(&small(original.path()));
    let mut content = BTreeMap::new();
    files(original.path(), &mut content);
    for case in CASES {
        let dir = TempDir::new();
        let settings = small(dir.path());
        for (path, (bytes, _)) in content.iter() {
            let copy = dir.path().join(path.strip_prefix(original.path()).unwrap());
            match path.is_dir() {
                true => std::fs::create_dir_all(copy).unwrap(),
                false => std::fs::write(copy, bytes).unwrap(),
            }
        }
        (case.damage)(dir.path());
        let found = check(&settings);
        assert!(!found.sound, "{}", case.what);
        let damage = found.damage.iter().find(|damage| damage.kind == case.kind);
        let damage = damage.unwrap_or_else(|| panic!("{}: {found:#?}", case.what));
        let (path, at) = (case.at)(dir.path());
        assert_eq!(damage.first.file, path.display().to_string(), "{}: {damage:?}", case.what);
        assert_eq!(damage.first.at, at, "{}: {damage:?}", case.what);
    }
}

#[test]
fn what_verify_says_is_for_people() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let index = std::fs::OpenOptions::new().write(true).open(index_file(dir.path())).unwrap();
    index.write_all_at(&[0x9a; 40], 0).unwrap();
    std::fs::write(dir.path().join("checkpoint"), [0; 4096]).unwrap();
    let found = check(&settings);
    let damage = found.damage.iter().find(|damage| damage.kind == Kind::IndexFile).unwrap();
    assert!(damage.why.contains("slots in use") && !damage.why.contains('{'), "{damage:?}");
    assert_eq!(damage.kind.counted(1), "1 damaged index file");
    assert_eq!(damage.kind.counted(2), "2 damaged index files");
    assert_eq!(Kind::IndexEntry.counted(1), "1 wrong index entry");
    assert!(found.notes.iter().any(|note| note.contains("checkpoint is all zeros")), "{found:#?}");
}

#[test]
fn a_slot_that_leads_astray_is_found() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let path = index_file(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    let used = (0..100).find(|slot| bytes[40 + slot * 4..][..4] != [0; 4]).unwrap();
    flip(&path, 40 + used as u64 * 4 + 3);
    let found = check(&settings);
    let [damage] = &found.damage[..] else { panic!("{found:#?}") };
    assert_eq!((damage.kind, damage.count), (Kind::IndexSlot, 1));
    assert_eq!(damage.first.at, 40 + used as u64 * 4);
}

#[test]
fn a_log_that_lost_its_end_is_no_sound_one() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let end = check(&settings).log_to as u64;
    let (file, at) = (end / (16 << 10), end % (16 << 10));
    let path = log(dir.path(), file);
    let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all_at(&vec![0; 1_000], at - 1_000).unwrap();
    let found = check(&settings);
    let damage = &found.damage[0];
    assert_eq!(damage.kind, Kind::Record, "{found:#?}");
    assert!(damage.first.at < at && damage.first.at > at - 1_500, "{damage:?}");
    assert_eq!(damage.first.file, path.display().to_string());
}

/// Java makes the next file of the log in advance, and a broker that was killed leaves it. What
/// units of junk say leads nowhere.
#[test]
fn a_survey_finds_the_logs_end_before_a_file_made_in_advance() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let survey = || {
        let look =
            Look { disk: &OsDisk, settings: &settings, parse: &parse, needed: &[], watch: &|_| {} };
        let log = look.survey().unwrap().log;
        (log.from, log.to, log.last_time)
    };
    let before = survey();
    let next = before.1 as u64 / (16 << 10) + 1;
    std::fs::write(log(dir.path(), next), [0; 16 << 10]).unwrap();
    assert_eq!(survey(), before);
    std::fs::write(unit_file(dir.path()), [0x5a; 1_000]).unwrap();
    assert_eq!(survey(), before);
}

#[test]
fn what_is_being_written_is_no_damage() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    store.config().save("topics.json", "{\"A\":1,\"B\":2}").unwrap();
    for number in 0..200 {
        append(&store, NOW + number * 100, draft("A", 0, &body(number)));
        if number == 150 {
            store.flush(NOW + number * 100 + 60_000).unwrap();
        }
        if number % 10 == 9 {
            let found = check(&settings);
            assert!(found.sound && found.unclean, "after {number}: {found:#?}");
            assert_eq!(found.records, number as u64 + 1);
        }
    }
    store.close().unwrap();
    assert!(check(&settings).sound);
}

#[test]
fn files_that_come_while_it_is_looked_are_no_damage() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    store.config().save("topics.json", "{\"A\":1,\"B\":2}").unwrap();
    let more = |from: i64| {
        for number in from..from + 200 {
            append(&store, NOW + number * 100, draft("A", 0, &body(number)));
        }
        store.flush(NOW + (from + 200) * 100 + 60_000).unwrap();
    };
    more(0);
    let begun = std::cell::Cell::new(false);
    let watch = |_| {
        if !begun.replace(true) {
            more(200);
        }
    };
    let look =
        Look { disk: &OsDisk, settings: &settings, parse: &parse, needed: &[], watch: &watch };
    let found = look.check().unwrap();
    assert!(begun.get() && found.sound, "{found:#?}");
    assert!(found.records >= 200 && found.records < 400, "the walk has an end");
    store.close().unwrap();
}

#[test]
fn a_topic_that_was_deleted_and_made_again_is_sound() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    store.config().save("topics.json", "{\"A\":1}").unwrap();
    for (life, count) in [20, 30].into_iter().enumerate() {
        for number in 0..count {
            append(&store, NOW + number, draft("A", 0, &body(number + 100 * life as i64)));
        }
        append(&store, NOW + 50, draft("Gone", 0, "x"));
        store.delete_topics(["Gone"]).unwrap();
        if life == 0 {
            store.flush(NOW + 60_000).unwrap();
            store.delete_topics(["A"]).unwrap();
        }
    }
    store.close().unwrap();
    let found = check(&settings);
    assert!(found.sound, "{found:#?}");
    assert!(found.notes.iter().any(|note| note.contains("Gone")), "{:?}", found.notes);
}

#[test]
fn a_directory_without_a_store_is_an_error() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let look =
        Look { disk: &OsDisk, settings: &settings, parse: &parse, needed: &[], watch: &|_| {} };
    let error = look.check().unwrap_err().to_string();
    assert!(error.contains("there is no store"), "{error}");
}
