//! Taking over a store from a Java broker that has cut its log: Java leaves old records behind the
//! log's end and old units behind the ends of the queues, and goes on in the middle of them.

use crate::recovery::{FILE, log_path, scribble, settings, sim};
use crate::support::*;
use message::Draft;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::look::{Checked, Look};
use store::{Disk, Limits, Position, Settings, Store};

const QUEUES: [i32; 2] = [0, 1];
const CHECKPOINT: &str = "/store/checkpoint";

/// A store that Java has cut and written to.
struct Cut {
    disk: Arc<dyn Disk>,
    end: i64,
    /// What the queues hold.
    bodies: [Vec<String>; 2],
}

fn queue_path(id: i32) -> String {
    format!("/store/consumequeue/T/{id}/00000000000000000000")
}

fn write(disk: &Arc<dyn Disk>, path: &str, at: usize, bytes: &[u8]) {
    let len = disk.read(Path::new(path)).unwrap().len() as u64;
    let file = disk.open(Path::new(path), len, Allocation::Reserved).unwrap();
    file.write_at(at as u64, bytes).unwrap();
}

/// Messages go to both queues in turn, the log is cut in front of the 21st, and `new` bodies are
/// sent to queue 0; then everything that lay behind the ends of log and queues is there again.
fn cut(new: &[String], clean: bool) -> Cut {
    let disk = sim();
    let store = open(&disk, &settings());
    let send = |store: &Store, at: i64, id: i64, body: &str| {
        append(store, NOW + at, draft("T", id as i32, body))
    };
    let places: Vec<_> = (0..60).map(|at| send(&store, at, at % 2, &format!("{at:04}"))).collect();
    store.close().unwrap();
    drop(store);
    let old = disk.read(&log_path(0)).unwrap();
    let old_index = index_file(&disk);
    let old_units = QUEUES.map(|id| disk.read(Path::new(&queue_path(id))).unwrap());
    scribble(&disk, places[20].log_offset + 90, b"!");
    disk.replace(Path::new("/store/abort"), b"", None).unwrap();
    // Without the own mark, which would say what was durable.
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    let store = open(&disk, &Settings { cut_log_at_damage: true, ..settings() });
    assert_eq!(store.max_log_offset(), places[20].log_offset);
    for (number, body) in new.iter().enumerate() {
        send(&store, 100 + number as i64, 0, body);
    }
    let end = store.max_log_offset();
    assert!(end < FILE as i64);
    store.close().unwrap();
    drop(store);
    scribble(&disk, end, &old[end as usize..]);
    let units = [10 + new.len(), 10];
    for (id, (old, units)) in QUEUES.into_iter().zip(old_units.iter().zip(units)) {
        write(&disk, &queue_path(id), units * 20, &old[units * 20..]);
    }
    // Java does not cut the index, and indexes nothing before the log is as long as it was.
    disk.replace(&index_file(&disk).0, &old_index.1, None).unwrap();
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    if !clean {
        disk.replace(Path::new("/store/abort"), b"", None).unwrap();
    }
    let kept = |id: i64| (0..20).filter(move |at| at % 2 == id).map(|at| format!("{at:04}"));
    let bodies = [kept(0).chain(new.iter().cloned()).collect(), kept(1).collect()];
    Cut { disk, end, bodies }
}

/// The only index file, and what is in it.
fn index_file(disk: &Arc<dyn Disk>) -> (PathBuf, Vec<u8>) {
    let dir = Path::new("/store/index");
    let listed = disk.list(dir).unwrap();
    assert_eq!(listed.len(), 1);
    let path = dir.join(&listed[0].name);
    let bytes = disk.read(&path).unwrap();
    (path, bytes)
}

fn found_by_key(store: &Store, body: &str) -> Vec<String> {
    let found = store.query("T", &format!("key-{body}"), 64, (0, i64::MAX)).records;
    found.iter().map(|bytes| String::from_utf8(record_of(bytes).body.to_vec()).unwrap()).collect()
}

fn new_bodies(count: usize, len: usize) -> Vec<String> {
    (0..count).map(|at| format!("{at:x<len$}")).collect()
}

fn check(disk: &Arc<dyn Disk>) -> Checked {
    let (settings, parse) = (settings(), &crate::look::parse);
    Look { disk: &**disk, settings: &settings, parse, needed: &[], watch: &|_| {} }.check().unwrap()
}

/// What Java did not cut is no left-over.
#[test]
fn damage_in_javas_log_is_still_found() {
    for which in [0, 10, 57, 59] {
        let disk = sim();
        let store = open(&disk, &settings());
        // Many of one time, which is the last one.
        let one = |at: i64| {
            append(&store, NOW + at.min(30), draft("T", (at % 2) as i32, &format!("{at:04}")))
        };
        let places: Vec<_> = (0..60).map(one).collect();
        store.close().unwrap();
        drop(store);
        write(&disk, CHECKPOINT, 4064, &[0; 8]);
        assert!(check(&disk).sound);
        scribble(&disk, places[which].log_offset + 90, b"!");
        let found = check(&disk);
        assert!(!found.sound, "{which}: {found:#?}");
    }
}

#[test]
fn a_log_that_java_cut_and_wrote_on_ends_where_java_ended_it() {
    // With bodies of 4 an old record begins right behind the end.
    for (count, len) in [(5, 4), (1, 4), (1, 5), (5, 37), (3, 200), (7, 90), (20, 4), (2, 700)] {
        for clean in [true, false] {
            if !clean && len == 4 {
                continue;
            }
            let Cut { disk, end, bodies } = cut(&new_bodies(count, len), clean);
            if clean {
                let found = check(&disk);
                assert!(found.sound, "{count} of {len}: {found:#?}");
                assert_eq!(found.log_to, end);
                assert!(!found.notes.is_empty());
            }
            for round in 0..3 {
                let store = open(&disk, &settings());
                let what = format!("{count} of {len}, clean {clean}, round {round}");
                assert_eq!(store.max_log_offset(), end, "{what}");
                assert_eq!(store.set_aside().ranges().len(), 0, "{what}");
                for (id, bodies) in QUEUES.into_iter().zip(&bodies) {
                    assert_eq!(store.max_offset("T", id), bodies.len() as i64, "{what}, {id}");
                    assert_eq!(&super::support::bodies(&store, "T", id), bodies, "{what}, {id}");
                    for body in bodies {
                        assert_eq!(found_by_key(&store, body).join(" "), *body, "{what}, by key");
                    }
                }
                if round == 1 {
                    store.close().unwrap();
                }
            }
            let store = open(&disk, &settings());
            let next = append(&store, NOW + 200, draft("T", 1, "next"));
            assert_eq!((next.log_offset, next.queue_offset), (end, 10));
            store.close().unwrap();
            drop(store);
            let store = open(&disk, &settings());
            assert_eq!(super::support::bodies(&store, "T", 1).last().unwrap(), "next");
            assert_eq!(store.max_log_offset(), next.log_end());
        }
    }
}

/// A unit in a queue's last place that begins before the log's end and reaches over it.
#[test]
fn a_unit_that_reaches_over_the_end_is_dropped() {
    for (clean, mark) in [(true, true), (true, false), (false, true), (false, false)] {
        let disk = sim();
        let store = open(&disk, &settings());
        for at in 0..20 {
            append(&store, NOW + at, draft("T", (at % 2) as i32, &format!("{at:04}")));
        }
        store.close().unwrap();
        let end = store.max_log_offset();
        drop(store);
        for (before, size) in [(50_i64, 2_251_i32), (1, 300), (0, 300)] {
            let unit = [&(end - before).to_be_bytes()[..], &size.to_be_bytes(), &[0; 8]].concat();
            write(&disk, &queue_path(1), 10 * 20, &unit);
            if !mark {
                write(&disk, CHECKPOINT, 4064, &[0; 8]);
            }
            if !clean {
                disk.replace(Path::new("/store/abort"), b"", None).unwrap();
            }
            for _ in 0..2 {
                let store = open(&disk, &settings());
                let what = format!("clean {clean}, mark {mark}, {before} before the end");
                assert_eq!(store.max_log_offset(), end, "{what}");
                assert_eq!(store.max_offset("T", 1), 10, "{what}");
                assert_eq!(store.set_aside().ranges().len(), 0, "{what}");
                store.close().unwrap();
            }
        }
    }
}

/// The cut was so long ago that the last three files do not show where it was.
#[test]
fn an_index_that_is_stale_over_many_files_is_made_anew_from_the_cut() {
    let disk = sim();
    let send = |store: &Store, at: i64| {
        append(store, NOW + at, draft("T", 0, &format!("{at:04}")));
    };
    let store = open(&disk, &settings());
    (0..5).for_each(|at| send(&store, at));
    store.close().unwrap();
    drop(store);
    let (path, mut old) = index_file(&disk);
    let store = open(&disk, &settings());
    (5..900).for_each(|at| send(&store, at));
    let end = store.max_log_offset();
    store.close().unwrap();
    drop(store);
    assert!(end > 6 * FILE as i64);
    for file in disk.list(Path::new("/store/index")).unwrap() {
        disk.remove(&Path::new("/store/index").join(file.name)).unwrap();
    }
    // One more entry, of a record that is gone.
    let stale = (end - 10).to_be_bytes();
    let entry = 40 + 100 * 4 + 16 * 20;
    old[24..32].copy_from_slice(&stale);
    old[36..40].copy_from_slice(&17_i32.to_be_bytes());
    old[entry + 4..entry + 12].copy_from_slice(&stale);
    disk.replace(&path, &old, None).unwrap();
    write(&disk, CHECKPOINT, 16, &[0; 8]);
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    assert!(!check(&disk).notes.is_empty());
    let store = open(&disk, &settings());
    for at in 0..900 {
        assert_eq!(found_by_key(&store, &format!("{at:04}")).len(), 1, "{at}");
    }
    store.close().unwrap();
    drop(store);
    let found = check(&disk);
    assert!(found.sound && found.notes.is_empty(), "{found:#?}");
}

/// One bit of an entry is no cut.
#[test]
fn damage_in_javas_index_is_still_found() {
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..60 {
        append(&store, NOW + at, draft("T", 0, &format!("{at:04}")));
    }
    store.close().unwrap();
    drop(store);
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    assert!(check(&disk).sound);
    let (path, mut bytes) = index_file(&disk);
    bytes[40 + 100 * 4 + 50 * 20 + 3] ^= 1;
    disk.replace(&path, &bytes, None).unwrap();
    assert!(!check(&disk).sound);
    let store = open(&disk, &settings());
    (0..60).for_each(|at| assert_eq!(found_by_key(&store, &format!("{at:04}")).len(), 1));
    store.close().unwrap();
    drop(store);
    assert!(check(&disk).sound);
}

const TOPICS: &str = r#"{"topicConfigTable":{"T":{},"Kept":{}}}"#;

fn bodies_of(store: &Store, topic: &str) -> Vec<String> {
    (0..4).flat_map(|id| bodies(store, topic, id)).collect()
}

fn queue_dirs(disk: &Arc<dyn Disk>, topic: &str) -> Vec<String> {
    let dir = Path::new("/store/consumequeue").join(topic);
    disk.list(&dir).unwrap().into_iter().map(|file| file.name).collect()
}

/// Takes a topic's queues away, as Java does when it deletes the topic, and as a bad disk does.
fn remove_queues(disk: &Arc<dyn Disk>, topic: &str, ids: impl IntoIterator<Item = i32>) {
    for id in ids {
        let dir = Path::new("/store/consumequeue").join(topic).join(id.to_string());
        for file in disk.list(&dir).unwrap() {
            disk.remove(&dir.join(&file.name)).unwrap();
        }
        disk.remove_dir(&dir).unwrap();
    }
    let topic = Path::new("/store/consumequeue").join(topic);
    if disk.list(&topic).unwrap().is_empty() {
        disk.remove_dir(&topic).unwrap();
    }
}

/// A store that Java stopped cleanly, with eight messages in the four queues of `T`, which may have
/// been deleted then, one more in queue 1 of it, and one of `Kept`.
fn left_by_java(is_deleted: bool, topics: &str) -> Arc<dyn Disk> {
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..8 {
        append(&store, NOW + at, draft("T", at as i32 % 4, "old"));
    }
    store.config().save("topics.json", topics).unwrap();
    if is_deleted {
        store.delete_topics(["T"]).unwrap();
    }
    append(&store, NOW + 10, draft("T", 1, "new"));
    append(&store, NOW + 11, draft("Kept", 0, "kept"));
    store.close().unwrap();
    drop(store);
    // Java keeps no such file.
    if is_deleted {
        disk.remove(Path::new("/store/removedtopics")).unwrap();
    }
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    disk
}

/// A topic that Java deleted and made again shows what came after, and no older message; so does
/// one that is gone; and both stay so when the whole log is read again.
#[test]
fn messages_of_topics_that_java_deleted_stay_deleted() {
    let topics = TOPICS.replace("\"T\":{},", "");
    for (text, again) in [(TOPICS, true), (&topics, false)] {
        let disk = left_by_java(true, text);
        if !again {
            remove_queues(&disk, "T", [1]);
        }
        let expected = if again { vec!["new"] } else { Vec::new() };
        let found = check(&disk);
        assert!(found.sound, "{again}: {found:#?}");
        for round in 0..4 {
            let store = open(&disk, &settings());
            assert_eq!(bodies_of(&store, "T"), expected, "{again}, {round}");
            assert_eq!(bodies_of(&store, "Kept"), ["kept"], "{again}, {round}");
            assert_eq!(queue_dirs(&disk, "T").len(), usize::from(again), "{again}, {round}");
            // Killed, or reads the whole log the next time.
            if round > 0 {
                store.close().unwrap();
            }
            drop(store);
            if round == 2 {
                disk.replace(Path::new("/store/abort"), b"in use, being mended", None).unwrap();
            }
        }
        let found = check(&disk);
        assert!(found.sound, "{again}: {found:#?}");
    }
}

/// One queue of a topic that was made again tells so, however many places of lost messages another
/// one begins with.
#[test]
fn deleted_messages_take_no_empty_places_of_those_that_came_after() {
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..8 {
        append(&store, NOW + at, draft("T", at as i32 % 4, "old"));
    }
    store.config().save("topics.json", TOPICS).unwrap();
    store.delete_topics(["T"]).unwrap();
    append(&store, NOW, draft("T", 0, "new"));
    for at in 0..90 {
        append(&store, NOW + at, draft("T", 1, &at.to_string()));
    }
    store.close().unwrap();
    drop(store);
    disk.remove(Path::new("/store/removedtopics")).unwrap();
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    let mut blank = [0; 20];
    blank[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    let per_file = settings().consume_queue_file_bytes as usize / 20;
    let second = format!("/store/consumequeue/T/1/{:020}", 20 * per_file);
    write(&disk, &queue_path(1), 0, &blank.repeat(per_file));
    write(&disk, &second, 0, &blank.repeat(80 - per_file));
    let mut all = vec!["new".to_owned()];
    all.extend((0..90).map(|at| at.to_string()));
    assert_eq!(bodies_of(&open(&disk, &settings()), "T"), all);
}

/// Java knows nothing of what this broker deleted, and makes queues from the old records of its
/// last files when it was killed.
#[test]
fn queues_that_java_made_from_messages_deleted_before_go_again() {
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..8 {
        append(&store, NOW + at, draft("T", at as i32 % 4, "old"));
    }
    append(&store, NOW + 10, draft("Kept", 0, "kept"));
    store.flush(NOW + 20).unwrap();
    let units: Vec<_> = (0..4).map(|id| disk.read(Path::new(&queue_path(id))).unwrap()).collect();
    store.delete_topics(["T"]).unwrap();
    store.close().unwrap();
    drop(store);
    // This start knows that nothing is left of them.
    open(&disk, &settings()).close().unwrap();
    for (id, units) in (0..).zip(&units) {
        disk.replace(Path::new(&queue_path(id)), units, None).unwrap();
    }
    write(&disk, CHECKPOINT, 4064, &[0; 8]);
    disk.replace(Path::new("/store/abort"), b"", None).unwrap();
    let store = open(&disk, &settings());
    assert_eq!(bodies_of(&store, "T"), [""; 0]);
    assert_eq!(append(&store, NOW + 30, draft("T", 1, "new")).queue_offset, 0);
    assert_eq!(bodies_of(&store, "T"), ["new"]);
    assert_eq!(bodies_of(&store, "Kept"), ["kept"]);
}

/// What was lost looks nearly alike and is made anew: single queues of a topic, all queues of one
/// that `topics.json` knows, and all queues of the store.
#[test]
fn queues_that_java_did_not_delete_are_made_anew() {
    let all = ["T", "Kept"];
    let lost: [&[(&str, &[i32])]; 4] = [
        &[("T", &[0])],
        &[("T", &[0, 2, 3])],
        &[("T", &[0, 1, 2, 3])],
        &[("T", &[0, 1, 2, 3]), ("Kept", &[0])],
    ];
    for (case, lost) in lost.into_iter().enumerate() {
        let topics = if lost.len() == all.len() { r#"{"topicConfigTable":{}}"# } else { TOPICS };
        let disk = left_by_java(false, topics);
        lost.iter().for_each(|(topic, ids)| remove_queues(&disk, topic, ids.iter().copied()));
        let store = open(&disk, &settings());
        assert_eq!(bodies_of(&store, "T").len(), 9, "{case}");
        assert_eq!(bodies_of(&store, "Kept"), ["kept"], "{case}");
    }
}

/// A Java broker with `enableConsumeQueueExt=true` left addresses where units have tags codes.
#[test]
fn addresses_in_extended_queues_are_no_tags() {
    struct Tag(i64);
    impl store::Filter for Tag {
        fn wants_tags_code(&self, tags_code: i64) -> bool {
            tags_code == self.0
        }
    }
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..4 {
        let tag = if at % 2 == 0 { "even" } else { "odd" };
        let properties = format!("TAGS\u{1}{tag}\u{2}").into();
        let draft = Draft { properties, ..draft("T", 1, &format!("{at}")) };
        append(&store, NOW + at, draft);
    }
    store.close().unwrap();
    let plain = store.units("T", 1, 0, 4);
    drop(store);
    for place in 0..3_i64 {
        let address = i64::MIN + place * 20;
        write(&disk, &queue_path(1), place as usize * 20 + 12, &address.to_be_bytes());
    }
    let store = open(&disk, &settings());
    assert_eq!(store.units("T", 1, 0, 4), plain);
    assert_eq!(store.unit("T", 1, 1), Some(plain[1]));
    for (tag, expected) in [(0, ["0", "2"]), (1, ["1", "3"])] {
        let from = Position { topic: "T", queue_id: 1, offset: 0 };
        let read = store.read(from, Limits::messages(10), &Tag(plain[tag].tags_code));
        let bodies = read.messages.iter().map(|bytes| record_of(bytes).body);
        assert!(bodies.eq(expected.map(str::as_bytes)));
    }
    drop(store);
    assert_eq!(check(&disk).damage, []);
}

/// Java has the queues of such topics elsewhere, and does not start when they are here too.
#[test]
fn topics_of_inner_batches_have_their_queues_where_java_has_them() {
    let disk = sim();
    let store = open(&disk, &settings());
    for at in 0..6 {
        let topic = if at % 2 == 0 { "Batches" } else { "T" };
        append(&store, NOW + at, draft(topic, 0, &format!("{at}")));
    }
    assert!(store.delete_topics(["Batches"]).is_ok());
    drop(store);
    disk.remove(Path::new("/store/removedtopics")).unwrap();
    let file = Path::new("/store/batchconsumequeue/Batches/0/00000000000000000000");
    disk.replace(file, &[0; 46], None).unwrap();
    let store = open(&disk, &settings());
    assert_eq!(bodies(&store, "T", 0), ["1", "3", "5"]);
    assert_eq!(bodies(&store, "Batches", 0), ["0", "2", "4"]);
    store.close().unwrap();
    drop(store);
    assert_eq!(disk.read(file).unwrap()[46 * 2 + 28..][..10], [0, 0, 0, 0, 0, 0, 0, 2, 0, 1]);
    assert!(disk.list(Path::new("/store/consumequeue/Batches")).unwrap().is_empty());
    assert_eq!(check(&disk).damage.len(), 0);
}
