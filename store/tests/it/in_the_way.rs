//! Nothing derived or replaceable refuses a start: what stands in the way is moved aside by its
//! name, what was left half written is removed, and lists with garbage keep what is right in them.

use crate::lines::lines_of;
use crate::support::*;
use std::fs;
use std::sync::Arc;
use store::{Disk, OsDisk, Settings, Store};

/// A store with messages of three topics, one of them removed, that was stopped cleanly.
fn filled(dir: &TempDir) -> (Arc<dyn Disk>, Settings) {
    let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
    let store = open(&disk, &settings);
    for at in 0..40 {
        for topic in ["T", "U", "Gone"] {
            append(&store, NOW + at, draft(topic, 0, &format!("{at:04}")));
        }
    }
    store.flush(NOW + 100).unwrap();
    store.delete_topics(["Gone"]).unwrap();
    store.close().unwrap();
    (disk, settings)
}

fn check(store: &Store) {
    let wanted: Vec<_> = (0..40).map(|at| format!("{at:04}")).collect();
    for topic in ["T", "U"] {
        assert_eq!(bodies(store, topic, 0), wanted, "{topic}");
        for body in &wanted {
            let found = store.query(topic, &format!("key-{body}"), 64, (0, i64::MAX)).records;
            assert_eq!(found.len(), 1, "{topic}: {body} by its key");
        }
    }
    assert_eq!(store.max_offset("Gone", 0), 0);
}

#[test]
fn what_is_in_the_way_is_moved_aside() {
    let names = ["index", "consumequeue", "checkpoint", "queueends", "setaside", "removedtopics"];
    for name in names.into_iter().chain(["consumequeue/T", "abort", "config"]) {
        let dir = TempDir::new();
        let (disk, settings) = filled(&dir);
        let path = dir.path().join(name);
        let was_dir = path.is_dir();
        match was_dir {
            true => fs::remove_dir_all(&path).unwrap(),
            false => drop(fs::remove_file(&path)),
        }
        let wants_dir = matches!(name, "index" | "consumequeue" | "consumequeue/T" | "config");
        match wants_dir {
            true => fs::write(&path, "something").unwrap(),
            false => fs::create_dir(&path).unwrap(),
        }
        // Who removes the list of removed topics gets them back.
        let gone = name == "removedtopics";
        let (store, lines) = lines_of(|| open(&disk, &settings));
        if gone {
            store.delete_topics(["Gone"]).unwrap();
        }
        check(&store);
        let told = lines.iter().filter(|line| line.contains("in-the-way")).count();
        assert_eq!(told, 1, "{name}: {lines:#?}");
        append(&store, NOW + 50, draft("T", 0, "next"));
        store.config().save("topics.json", "{}").unwrap();
        store.close().unwrap();
        drop(store);
        let aside = path
            .with_file_name(format!("{}.in-the-way", path.file_name().unwrap().to_string_lossy()));
        assert!(aside.exists(), "{name} is kept");
        let (store, lines) = lines_of(|| open(&disk, &settings));
        assert!(store.was_clean() && lines.is_empty(), "{name}: {lines:#?}");
    }
}

#[test]
fn what_was_left_half_written_is_removed() {
    let dir = TempDir::new();
    let (disk, settings) = filled(&dir);
    fs::create_dir_all(dir.path().join("config")).unwrap();
    let left = [
        "abort.tmp",
        "queueends.tmp",
        "config/topics.json.tmp",
        "config/topics.json.bak.tmp",
        "commitlog/00000000000000016384.tmp",
        "consumequeue/T/0/00000000000000000000.tmp",
    ];
    let kept = ["mine.tmp", "commitlog/mine.tmp", "config/mine.txt"];
    for name in left.iter().chain(&kept) {
        fs::write(dir.path().join(name), "half").unwrap();
    }
    // Only a start after a crash looks into the directory of every queue.
    fs::write(dir.path().join("abort"), "").unwrap();
    let store = open(&disk, &settings);
    check(&store);
    for name in left {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
    for name in kept {
        assert!(dir.path().join(name).exists(), "{name}");
    }
}

#[test]
fn garbage_in_the_lists_hides_nothing() {
    let dir = TempDir::new();
    let (disk, settings) = filled(&dir);
    let path = dir.path().join("removedtopics");
    let good = fs::read_to_string(&path).unwrap();
    let flipped = good.replace("Gone", "T");
    fs::write(&path, format!("{flipped}99999999 U\n\u{0}\u{1}garbage\n{good}")).unwrap();
    let garbage: String = (0..5_000).map(|at| format!("line {at} of garbage\n")).collect();
    fs::write(dir.path().join("setaside"), &garbage).unwrap();
    let (store, lines) = lines_of(|| open(&disk, &settings));
    check(&store);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    store.close().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("setaside.in-the-way")).unwrap(), garbage);
    assert!(dir.path().join("removedtopics.in-the-way").exists());
}

#[test]
fn a_start_without_its_log_is_refused_and_changes_nothing() {
    let dir = TempDir::new();
    let (disk, settings) = filled(&dir);
    let moved = TempDir::new();
    let (log, away) = (dir.path().join("commitlog"), moved.path().join("commitlog"));
    fs::rename(&log, &away).unwrap();
    for _ in 0..2 {
        let Err(error) = Store::open(disk.clone(), settings.clone()) else { panic!("opened") };
        assert!(error.to_string().contains("there is no commit log"), "{error}");
        assert!(!dir.path().join("abort").exists(), "the last stop was clean");
    }
    drop(fs::remove_dir_all(&log));
    fs::rename(&away, &log).unwrap();
    let store = open(&disk, &settings);
    assert!(store.was_clean());
    check(&store);
}
