//! Nothing derived or replaceable refuses a start: what stands in the way is moved aside by its
//! name, what was left half written is removed, and lists with garbage keep what is right in them.

use crate::bad_disk::BadDisk;
use crate::support::*;
use simulator::lines_of;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use store::look::{Look, Target};
use store::{ConfigFiles, Disk, OsDisk, Settings, Store};

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

/// What may stand where a file has to be.
fn put(path: &Path, what: &str) {
    match what {
        "directory" => fs::create_dir(path).unwrap(),
        "link" => std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap(),
        _ => fs::write(path, "something").unwrap(),
    }
}

#[test]
fn what_is_in_the_way_of_queues_and_index_is_moved_aside() {
    let first = "00000000000000000000";
    for clean in [true, false] {
        for what in ["directory", "link", "file"] {
            let dir = TempDir::new();
            let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
            let store = open(&disk, &settings);
            store.flush(NOW).unwrap();
            let body = |at: i64| format!("{at:04}");
            for at in 0..130 {
                append(&store, NOW + at, draft("T", 0, &body(at)));
            }
            store.flush(NOW + 250).unwrap();
            if clean {
                store.close().unwrap();
            }
            drop(store);
            let index = dir.path().join("index");
            let queue = dir.path().join("consumequeue/T/0");
            let newest = fs::read_dir(&index).unwrap().map(|file| file.unwrap().path()).max();
            let files = [first, "00000000000000001000", "00000000000000002000"];
            let files = files.map(|name| queue.join(name));
            let in_turn = files.into_iter().chain(newest).chain([dir.path().join("lock")]);
            for path in in_turn.chain([queue.clone()]) {
                if path == queue {
                    fs::remove_dir_all(&path).unwrap();
                } else if what == "file" {
                    continue;
                } else {
                    fs::remove_file(&path).unwrap();
                }
                if !(path == queue && what == "directory") {
                    put(&path, what);
                }
                let (store, lines) = lines_of(|| open(&disk, &settings));
                let all: Vec<_> = (0..130).map(body).collect();
                let name = path.display();
                assert_eq!(bodies(&store, "T", 0), all, "{name} {what} {clean}: {lines:#?}");
                for body in &all {
                    let found = store.query("T", &format!("key-{body}"), 64, (0, i64::MAX));
                    assert_eq!(found.records.len(), 1, "{name} {what} {clean}: {body}");
                }
                if path != queue || what != "directory" {
                    let told = lines.iter().filter(|line| line.contains("in-the-way")).count();
                    assert_eq!(told, 1, "{name} {what} {clean}: {lines:#?}");
                }
                if clean {
                    store.close().unwrap();
                }
            }
        }
    }
}

/// Where nothing can be put beside the log's directory, which may be a file system of its own.
#[test]
fn what_was_lost_and_is_back_in_part_stays_within_where_it_must() {
    let dir = TempDir::new();
    let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
    let store = open(&disk, &settings);
    while store.max_log_offset() < 4 << 14 {
        append(&store, NOW, draft("T", 0, &"x".repeat(3_000)));
    }
    store.close().unwrap();
    drop(store);
    let path = |number: i64| dir.path().join(format!("commitlog/{:020}", number << 14));
    let first = fs::read(path(0)).unwrap();
    (0..2).for_each(|number| fs::remove_file(path(number)).unwrap());
    open(&disk, &settings).close().unwrap();
    fs::write(path(0), &first).unwrap();
    fs::write(dir.path().join("commitlog.in-the-way"), "no directory").unwrap();
    let (store, lines) = lines_of(|| open(&disk, &settings));
    let told = lines.iter().filter(|line| line.contains("commitlog/in-the-way")).count();
    assert_eq!((told, store.min_log_offset()), (1, 2 << 14), "{lines:#?}");
    store.close().unwrap();
    let within = dir.path().join("commitlog/in-the-way").join(format!("{:020}", 0));
    assert_eq!(fs::read(within).unwrap(), first);
    let parse = &crate::look::parse;
    let look = Look { disk: &*disk, settings: &settings, parse, needed: &[], watch: &|_| {} };
    let moved = look.survey().unwrap().log.moved;
    assert_eq!(moved.iter().map(|file| file.bytes).collect::<Vec<_>>(), [1 << 14]);
    let refuses = |target| crate::preflight::refusal(&settings, target).is_some();
    assert!(!refuses(Target::Java55) && !refuses(Target::Rockhopper) && refuses(Target::Java49));
    fs::write(path(0).with_extension("strange"), "?").unwrap();
    assert!(refuses(Target::Java55) && !refuses(Target::Rockhopper));
}

#[test]
fn what_stands_in_place_of_a_log_file_is_told() {
    for (what, gone) in [("directory", 0), ("link", 0), ("directory", 2), ("link", 1)] {
        let dir = TempDir::new();
        let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), small(dir.path()));
        let store = open(&disk, &settings);
        for at in 0..250 {
            append(&store, NOW + at, draft("T", 0, &format!("{at:04}")));
        }
        store.flush(NOW + 250).unwrap();
        assert!(store.max_log_offset() < 3 << 14 && store.max_log_offset() > 2 << 14);
        drop(store);
        let path = dir.path().join(format!("commitlog/{:020}", gone << 14));
        fs::remove_file(&path).unwrap();
        put(&path, what);
        let checked = crate::verify::check(&*disk, &settings, &[]);
        assert!(checked.damage.iter().any(|damage| damage.why.contains("no file")), "{checked:?}");
        let (store, lines) = lines_of(|| open(&disk, &settings));
        let told = lines.iter().filter(|line| line.contains("in-the-way")).count();
        assert_eq!(told, 1, "{what} {gone}: {lines:#?}");
        assert_eq!(store.max_offset("T", 0), 250);
        assert_eq!(append(&store, NOW + 300, draft("T", 0, "next")).queue_offset, 250);
    }
}

#[test]
fn a_file_system_at_consumequeue_refuses_no_start_and_no_look() {
    let dir = TempDir::new();
    let (disk, settings) = filled(&dir);
    fs::create_dir(dir.path().join("consumequeue/lost+found")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(BadDisk::new(disk));
    let look = Look {
        disk: &*disk,
        settings: &settings,
        parse: &crate::look::parse,
        needed: &[],
        watch: &|_| {},
    };
    assert!(look.preflight(Target::Rockhopper).unwrap().safe);
    check(&open(&disk, &settings));
}

#[test]
fn a_configuration_that_java_had_written_and_not_named_is_named() {
    for (text, is_whole) in [
        ("{\"a\":{\"b}\\\"\":1}}", true),
        ("{\"a\":{\"b}\":1}", false),
        ("{} x", false),
        ("", false),
    ] {
        for is_there in [false, true] {
            let dir = TempDir::new();
            let (disk, settings) = filled(&dir);
            let file = dir.path().join("config/topics.json");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if is_there {
                fs::write(&file, "{}").unwrap();
            }
            let half = dir.path().join("config/topics.json.tmp");
            fs::write(&half, text).unwrap();
            drop(open(&disk, &settings));
            assert!(!half.exists());
            let expected = if is_there { Some("{}") } else { is_whole.then_some(text) };
            assert_eq!(fs::read_to_string(&file).ok().as_deref(), expected, "{text}");
        }
    }
}

/// A person who wants to have a look at it takes it away while the broker runs.
#[test]
fn a_damaged_configuration_file_that_is_taken_away_is_written_anew() {
    let dir = TempDir::new();
    let config = dir.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("a.json"), "{ no JSON").unwrap();
    let files = ConfigFiles::new(Arc::new(OsDisk), dir.path());
    assert_eq!(files.load("a.json", |_| None::<()>), None);
    fs::remove_file(config.join("a.json")).unwrap();
    files.save("a.json", "{}").unwrap();
    assert_eq!(fs::read_to_string(config.join("a.json")).unwrap(), "{}");
}
