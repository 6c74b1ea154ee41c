//! The bytes on the disk, beside what Java's broker wrote for the same messages.

use crate::support::*;
use message::{Properties, property};
use simulator::SimDisk;
use std::path::Path;
use std::sync::Arc;
use store::{Append, Disk, Error, OsDisk, Settings, Store};

const ROOT: &str = "/store";

fn file(disk: &Arc<dyn Disk>, name: &str) -> Vec<u8> {
    disk.read(&Path::new(ROOT).join(name)).unwrap()
}

fn names(disk: &Arc<dyn Disk>, dir: &str) -> Vec<String> {
    let listed = disk.list(&Path::new(ROOT).join(dir)).unwrap();
    listed.into_iter().map(|file| file.name).collect()
}

fn sim() -> Arc<dyn Disk> {
    Arc::new(SimDisk::new(1))
}

/// What Java 5.3.3 wrote for this message with `enabledAppendPropCRC` and ten index slots.
#[test]
fn one_message_is_javas_to_the_byte() {
    let disk = sim();
    let settings = Settings {
        append_property_crc: true,
        index_slots: 10,
        utc_offset_ms: 0,
        ..small(Path::new(ROOT))
    };
    let store = open(&disk, &settings);
    let mut one = draft("TopicT", 1, "hello");
    let properties: Properties = [
        (property::KEYS, "k1 k2"),
        (property::UNIQ_KEY, "7F0000010000000000000000000A0000"),
        (property::TAGS, "TagA"),
    ]
    .into_iter()
    .collect();
    (one.properties, one.born_timestamp) = (properties.encode(), 0x018b_cfe5_6800);
    append(&store, 0x01a1_fd4b_7e7d, one);
    store.close().unwrap();

    let log = file(&disk, "commitlog/00000000000000000000");
    assert_eq!(log.len(), 16 << 10);
    assert_eq!(log[..8], [0, 0, 0, 0xb9, 0xda, 0xa3, 0x20, 0xa7]);
    assert_eq!(&log[0xb9 - 11..0xb9], b"4916205681\x02");
    assert!(log[0xb9..].iter().all(|byte| *byte == 0));

    let unit = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb9, 0, 0, 0, 0, 0, 0x27, 0xa8, 0x07];
    let queue = file(&disk, "consumequeue/TopicT/1/00000000000000000000");
    assert_eq!(queue[..20], unit);
    assert!(queue[20..].iter().all(|byte| *byte == 0));

    let index = file(&disk, &format!("index/{}", names(&disk, "index")[0]));
    assert_eq!(index.len(), 40 + 10 * 4 + 200 * 20);
    let time = 0x01a1_fd4b_7e7d_i64.to_be_bytes();
    assert_eq!((&index[..8], &index[8..16]), (&time[..], &time[..]));
    assert_eq!(index[16..32], [0; 16], "begin and end offset");
    // 5.5.0 adds an entry for the tag.
    assert_eq!(index[32..40], [0, 0, 0, 4, 0, 0, 0, 5], "used slots and count");
    assert_eq!(index[44..48], [0, 0, 0, 1], "slot 1 leads to entry 1");
    let entry = [0x7e, 0x3a, 0x18, 0xdf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(index[80 + 20..80 + 40], entry);
}

#[test]
fn a_full_file_ends_in_a_blank_record_and_files_are_named_by_offset() {
    let disk = sim();
    let settings = small(Path::new(ROOT));
    let store = open(&disk, &settings);
    let mut ends = Vec::new();
    for number in 0..60 {
        let body = format!("{number:03}{}", "x".repeat(500));
        let appended = append(&store, NOW, draft("T", 0, &body));
        ends.push((appended.log_offset, appended.log_end()));
    }
    store.flush(NOW).unwrap();
    let last_of_first = ends.iter().rfind(|(start, _)| *start < 16 << 10).unwrap();
    let log = file(&disk, "commitlog/00000000000000000000");
    let end = last_of_first.1 as usize;
    let left = (log.len() - end) as u32;
    assert!(left >= 8);
    assert_eq!(log[end..end + 4], left.to_be_bytes());
    assert_eq!(log[end + 4..end + 8], [0xcb, 0xd4, 0x31, 0x94]);
    assert!(names(&disk, "commitlog").contains(&"00000000000000016384".to_owned()));
    let queues = names(&disk, "consumequeue/T/0");
    assert_eq!(queues, ["00000000000000000000", "00000000000000001000"]);
}

#[test]
fn abort_checkpoint_and_spare_files_follow_javas_life() {
    let disk = sim();
    let settings = small(Path::new(ROOT));
    let store = open(&disk, &settings);
    let all = names(&disk, "");
    assert!(all.contains(&"abort".to_owned()) && all.contains(&"checkpoint".to_owned()));
    let big = "x".repeat(1_500);
    for number in 0..2 {
        append(&store, NOW + number, draft("T", 0, &big));
    }
    store.flush(NOW + 10).unwrap();
    assert_eq!(names(&disk, "commitlog").len(), 2, "the next file is made ahead");
    store.close().unwrap();
    assert_eq!(names(&disk, "commitlog").len(), 1, "and removed when it is not needed");
    assert!(!names(&disk, "").contains(&"abort".to_owned()));
    let checkpoint = file(&disk, "checkpoint");
    let time = (NOW + 1).to_be_bytes();
    assert_eq!(checkpoint.len(), 4096);
    assert_eq!((&checkpoint[..8], &checkpoint[8..16]), (&time[..], &time[..]));
    assert_eq!(checkpoint[40..48], store.max_log_offset().to_be_bytes());
}

#[test]
fn unknown_checkpoint_bytes_are_kept() {
    let disk = sim();
    let mut bytes = vec![0; 4096];
    bytes[24..40].copy_from_slice(&[7; 16]);
    bytes[100] = 9;
    disk.replace(&Path::new(ROOT).join("checkpoint"), &bytes, None).unwrap();
    let store = open(&disk, &small(Path::new(ROOT)));
    append(&store, NOW, draft("T", 0, "one"));
    store.close().unwrap();
    let checkpoint = file(&disk, "checkpoint");
    assert_eq!((&checkpoint[24..40], checkpoint[100]), (&[7; 16][..], 9));
}

#[test]
fn files_of_another_size_are_refused_with_the_way_out() {
    let disk = sim();
    let store = open(&disk, &small(Path::new(ROOT)));
    append(&store, NOW, draft("T", 0, "one"));
    store.close().unwrap();
    drop(store);
    let other = Settings { commit_log_file_bytes: 32 << 10, ..small(Path::new(ROOT)) };
    let Err(error) = Store::open(disk, other) else { panic!("opened") };
    assert!(matches!(error, Error::Setting { .. }));
    let text = error.to_string();
    assert!(text.contains("16384") && text.contains("32768"), "{text}");
}

#[test]
fn expired_files_go_with_what_leads_to_them() {
    let disk = sim();
    let settings =
        Settings { disk_used_percent: 10, disk_force_percent: 10, ..small(Path::new(ROOT)) };
    let store = open(&disk, &settings);
    for number in 0..400 {
        append(&store, NOW + number, draft("T", 0, &format!("{number}")));
        append(&store, NOW + number, draft(["Old", "U"][usize::from(number > 9)], 0, "u"));
    }
    store.flush(NOW).unwrap();
    let before = names(&disk, "commitlog").len();
    // The simulated disk is half full, so files go whatever their age, some at once.
    let removed = store.retain(NOW).unwrap();
    assert_eq!(removed.log_files, (before - 2).min(10), "never the last file, nor the spare one");
    assert!(removed.queue_files > 0 && removed.index_files > 0, "{removed:?}");
    assert!(store.min_log_offset() > 0 && store.min_offset("T", 0) > 0);
    let found = bodies(&store, "T", 0);
    assert_eq!(found[0], store.min_offset("T", 0).to_string());
    assert_eq!(read(&store, "T", 0, 0).status, store::ReadStatus::OffsetTooSmall);
    assert_eq!(store.clean_expired_queues().unwrap(), 1);
    let mut topics = store.topics();
    topics.sort();
    assert_eq!(topics, ["T", "U"]);
    let min = store.min_offset("T", 0);
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (min, 400));
    let mut list = [Append::one(draft("T", 0, "next"))];
    store.append(NOW, &mut list);
    assert_eq!(list[0].outcome.unwrap().queue_offset, 400);
}

#[test]
fn a_start_that_is_refused_leaves_a_clean_stop_clean() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "a"));
        store.close().unwrap();
        drop(store);
        let wrong =
            Settings { commit_log_file_bytes: settings.commit_log_file_bytes / 2, ..settings };
        assert!(Store::open(disk.clone(), wrong.clone()).is_err());
        let abort = wrong.root.join("abort");
        assert!(disk.read(&abort).is_err(), "another broker need not recover");
        let right = Settings { commit_log_file_bytes: wrong.commit_log_file_bytes * 2, ..wrong };
        let store = open(&disk, &right);
        assert!(store.was_clean());
        drop(store);
        let wrong = Settings { commit_log_file_bytes: right.commit_log_file_bytes / 2, ..right };
        assert!(Store::open(disk.clone(), wrong).is_err());
        assert!(disk.read(&abort).is_ok(), "it was in use before");
    });
}

#[test]
fn a_removed_lock_lets_nobody_in() {
    let dir = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &small(dir.path()));
    for _ in 0..2 {
        let second = Store::open(disk.clone(), small(dir.path()));
        assert!(matches!(second, Err(Error::Locked { .. })));
        let _ = std::fs::remove_file(dir.path().join("lock"));
    }
    store.close().unwrap();
    drop(store);
    open(&disk, &small(dir.path()));
}

/// A configuration that was copied from another broker's, with another root.
#[test]
fn a_log_that_another_store_works_on_lets_nobody_in() {
    let (dir, root) = (TempDir::new(), TempDir::new());
    let at_root = small(root.path());
    let elsewhere = Some(dir.path().join("log"));
    let apart = Settings { commit_log_dir: elsewhere, ..small(&dir.path().join("root")) };
    for settings in [at_root, apart] {
        nobody_gets_into_the_log_of(&settings);
    }
}

fn nobody_gets_into_the_log_of(settings: &Settings) {
    let other = TempDir::new();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let log =
        Some(settings.commit_log_dir.clone().unwrap_or_else(|| settings.root.join("commitlog")));
    let store = open(&disk, settings);
    append(&store, NOW, draft("T", 0, "kept"));
    let copied = Settings { commit_log_dir: log.clone(), ..small(other.path()) };
    let second = Store::open(disk.clone(), copied.clone());
    assert!(matches!(second, Err(Error::Locked { path }) if Some(&path) == log.as_ref()));
    assert_eq!(bodies(&store, "T", 0), ["kept"]);
    store.close().unwrap();
    drop(store);
    open(&disk, &copied);
}

/// Network file systems take both kinds of lock for one.
#[test]
fn the_lock_file_has_the_lock_of_javas_kind_alone() {
    let dir = TempDir::new();
    let _store = open(&(Arc::new(OsDisk) as Arc<dyn Disk>), &small(dir.path()));
    let file = std::fs::File::open(dir.path().join("lock")).unwrap();
    file.try_lock().expect("nobody holds another on it");
}
