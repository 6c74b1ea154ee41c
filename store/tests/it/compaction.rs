//! Topics of which only the newest message of each key is kept.

use crate::bad_disk::BadDisk;
use crate::support::*;
use message::{Draft, Properties, batch, property, sys_flag};
use simulator::lines_of;
use simulator::{Loss, Op, SimDisk};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use store::disk::Allocation;
use store::{AppendError, Disk, FlushMode, ReadStatus, Settings, Store};

pub(crate) const TOPIC: &str = "C";
/// Messages in a file.
pub(crate) const FILE: i64 = 9;

pub(crate) fn sim(seed: u64) -> (SimDisk, Arc<dyn Disk>, Settings) {
    let sim = SimDisk::new(seed);
    sim.set_clock(NOW);
    (sim.clone(), Arc::new(sim), compacting(Path::new("/store")))
}

pub(crate) fn compacting(root: &Path) -> Settings {
    Settings {
        compaction_log_file_bytes: 2_000,
        compaction_queue_file_bytes: 46 * (FILE as u64 + 1),
        ..small(root)
    }
}

pub(crate) fn with_key(key: &str, body: &str) -> Draft {
    let mut draft = draft(TOPIC, 0, body);
    let mut all = Properties::parse(&draft.properties);
    all.set(property::KEYS, key.to_owned());
    draft.properties = all.encode();
    draft
}

pub(crate) fn begin(disk: &Arc<dyn Disk>, settings: &Settings) -> Store {
    let store = open(disk, settings);
    store.keep_newest(TOPIC, false).unwrap();
    store
}

/// Messages of four keys by turns.
pub(crate) fn fill(store: &Store, from: i64, to: i64) {
    for at in from..to {
        let draft = with_key(&format!("k{}", at % 4), &at.to_string());
        assert_eq!(append(store, NOW + at, draft).queue_offset, at);
    }
    store.follow_compacted().unwrap();
}

/// What is left of `count` such messages.
pub(crate) fn left(count: i64) -> BTreeMap<i64, String> {
    let complete = (count - 1) / FILE * FILE;
    ((complete - 4).max(0)..count).map(|at| (at, at.to_string())).collect()
}

pub(crate) fn all(store: &Store) -> BTreeMap<i64, String> {
    let mut all = BTreeMap::new();
    let mut offset = 0;
    loop {
        let found = read(store, TOPIC, 0, offset);
        if found.next_offset == offset {
            let ends = [ReadStatus::OffsetOverflowOne, ReadStatus::NoMessageInQueue];
            assert!(ends.contains(&found.status), "{found:?}");
            return all;
        }
        for bytes in &found.messages {
            let record = record_of(bytes);
            assert!((offset..found.next_offset).contains(&record.queue_offset), "{found:?}");
            let body = String::from_utf8(record.body.to_vec()).unwrap();
            assert!(all.insert(record.queue_offset, body).is_none());
        }
        offset = found.next_offset;
    }
}

pub(crate) fn compact(store: &Store) -> u64 {
    store.follow_compacted().unwrap();
    store.compact(&|| true).unwrap().dropped
}

#[test]
fn queues_of_inner_batches_are_compacted_too_and_a_batch_counts_by_its_own_key() {
    let (_, disk, settings) = sim(11);
    let settings = Settings { batch_queue_file_bytes: 46 * 8, ..settings };
    let store = open(&disk, &settings);
    assert!(store.hold_batches(TOPIC, true).unwrap());
    store.keep_newest(TOPIC, true).unwrap();
    fill(&store, 0, 6);
    let batch = |key: &str| {
        let mut draft = with_key(key, "a batch");
        let mut all = Properties::parse(&draft.properties);
        all.set(property::INNER_NUM, "3");
        draft.properties = all.encode();
        let mut body = Vec::new();
        for _ in 0..3 {
            let (one, properties) = (bytes::Bytes::from_static(b"one"), bytes::Bytes::new());
            batch::encode(&batch::BatchMessage { flag: 0, body: one, properties }, &mut body);
        }
        draft.body = body.into();
        draft.sys_flag = sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
        append(&store, NOW, draft).queue_offset
    };
    assert_eq!((batch("k0"), batch("")), (6, 9));
    let followed = store.take_followed();
    assert_eq!(followed.into_iter().collect::<Vec<_>>(), [(TOPIC.into(), 0)]);
    let places = |store: &Store| all(store).into_keys().collect::<Vec<_>>();
    assert_eq!(places(&store), [0, 1, 2, 3, 4, 5, 6], "one without a key is not taken over");
    let found = read(&store, TOPIC, 0, 12);
    assert_eq!((found.status, found.max_offset), (ReadStatus::OffsetOverflowOne, 12));
    for at in 12..31 {
        append(&store, NOW + at, with_key(&format!("k{}", at % 4), &at.to_string()));
    }
    let newest = |store: &Store| {
        compact(store);
        places(store)
    };
    let kept = newest(&store);
    assert!(!kept.contains(&6) && kept.ends_with(&[27, 28, 29, 30]), "{kept:?}");
    store.close().unwrap();
    drop(store);
    let store = begin(&disk, &settings);
    assert_eq!(places(&store), kept);
    assert_eq!(append(&store, NOW + 31, with_key("k3", "31")).queue_offset, 31);
    assert_eq!(places(&store).last(), Some(&31));
}

#[test]
fn the_newest_of_each_key_stays_and_the_last_file() {
    on_both_disks(|disk, settings| {
        let settings = compacting(&settings.root);
        let store = begin(&disk, &settings);
        assert_eq!(read(&store, TOPIC, 0, 0).status, ReadStatus::NoMatchedLogicQueue);
        fill(&store, 0, 31);
        assert_eq!(all(&store).len(), 31);
        assert_eq!(compact(&store), 23);
        assert_eq!(all(&store), left(31));
        let first = read(&store, TOPIC, 0, 0);
        assert_eq!((first.min_offset, first.max_offset, first.next_offset), (23, 31, 27));
        assert_eq!((store.min_offset(TOPIC, 0), store.max_offset(TOPIC, 0)), (0, 31));
        assert_eq!(read(&store, TOPIC, 0, 99).status, ReadStatus::OffsetOverflowBadly);
        assert_eq!(store.compact(&|| true).unwrap().queues, 0, "there is nothing new");
        fill(&store, 31, 60);
        compact(&store);
        assert_eq!(all(&store), left(60));
        store.close().unwrap();
        drop(store);
        let store = begin(&disk, &settings);
        assert_eq!(all(&store), left(60));
        fill(&store, 60, 200);
        compact(&store);
        assert_eq!(all(&store), left(200));
    });
}

#[test]
fn readers_see_what_is_durable_where_sends_wait_for_that() {
    let (_, disk, mut settings) = sim(1);
    settings.flush_mode = FlushMode::Sync;
    let store = begin(&disk, &settings);
    fill(&store, 0, 20);
    assert_eq!(all(&store).len(), 0);
    store.sync().unwrap();
    store.follow_compacted().unwrap();
    assert_eq!(all(&store).len(), 20);
    compact(&store);
    assert_eq!(all(&store), left(20));
}

#[test]
fn a_key_whose_newest_message_is_empty_is_gone() {
    let (_, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 17);
    append(&store, NOW, with_key("k3", ""));
    fill(&store, 18, 19);
    compact(&store);
    let kept: Vec<i64> = all(&store).into_keys().collect();
    assert_eq!(kept, [13, 14, 16, 18]);
    // One without a key has no place, and nobody waits for it.
    let mut keyless = draft(TOPIC, 0, "none");
    keyless.properties = Properties::default().encode();
    append(&store, NOW, keyless);
    assert_eq!(all(&store).len(), 4);
    assert_eq!(read(&store, TOPIC, 0, 20).status, ReadStatus::OffsetOverflowOne);
}

#[test]
fn all_of_an_empty_topic_may_go() {
    let (_, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    for at in 0..9 {
        append(&store, NOW + at, with_key("k", ""));
    }
    append(&store, NOW, with_key("k", "newest"));
    assert_eq!(compact(&store), 9);
    drop(store);
    let store = begin(&disk, &settings);
    assert_eq!(all(&store), [(9, "newest".to_owned())].into());
}

#[test]
fn many_keys_take_several_rounds() {
    let (_, disk, mut settings) = sim(1);
    settings.compaction_keys_bytes = 2 * 70;
    let store = begin(&disk, &settings);
    fill(&store, 0, 40);
    // Two keys have room: those of the others stay for the next rounds.
    while store.compact(&|| true).unwrap().queues > 0 {}
    let kept = all(&store);
    assert!(left(40).iter().all(|(at, body)| kept.get(at) == Some(body)), "{kept:?}");
    assert!(kept.len() < 30, "{kept:?}");
}

#[test]
fn what_is_kept_outlives_the_log_and_every_kind_of_loss() {
    for (seed, loss) in Loss::ALL.into_iter().enumerate() {
        for synced in [false, true] {
            let (sim, disk, settings) = sim(seed as u64);
            let store = begin(&disk, &settings);
            fill(&store, 0, 120);
            compact(&store);
            fill(&store, 120, 150);
            if synced {
                store.flush(NOW + 100_000).unwrap();
            }
            sim.crash();
            sim.lose(loss);
            drop(store);
            let store = begin(&disk, &settings);
            let found = all(&store);
            let known = store.max_offset(TOPIC, 0);
            assert!(!synced || known == 150, "{loss:?}");
            // What a compaction wrote is durable; what came after it, once it was flushed.
            let end = if synced { 150 } else { 117 };
            assert!((113..end).all(|at| found.contains_key(&at)), "{loss:?} {synced} {found:?}");
            fill(&store, known, 180);
            compact(&store);
            let found = all(&store);
            // Where its files begin is a matter of what was lost.
            assert!((176..180).all(|at| found.contains_key(&at)), "{loss:?} {synced} {found:?}");
        }
    }
}

/// The machine dies at each change that a compaction makes, and at each that the start after it
/// makes.
#[test]
fn a_compaction_may_end_anywhere() {
    for (again, in_parts) in [(false, false), (true, false), (false, true), (true, true)] {
        for after in 0.. {
            let (sim, disk, settings) = sim(after);
            let store = begin(&disk, &settings);
            fill(&store, 0, 40);
            compact(&store);
            fill(&store, 40, 70);
            store.flush(NOW + 100_000).unwrap();
            if in_parts {
                leave_room(&sim, 4_000);
            }
            let died = || sim.is_dead();
            sim.die_after(if again { 7 + 30 * u64::from(in_parts) } else { after });
            let _ = store.compact(&|| true);
            let is_over = !died();
            sim.crash();
            sim.lose(Loss::ALL[after as usize % Loss::ALL.len()]);
            drop(store);
            if again {
                sim.die_after(after);
                let opened = Store::open(disk.clone(), settings.clone());
                let opened = opened.map(|store| store.keep_newest(TOPIC, false));
                let is_over = opened.is_ok_and(|kept| kept.is_ok()) && !died();
                sim.crash();
                sim.lose(Loss::ALL[after as usize % Loss::ALL.len()]);
                if is_over {
                    break;
                }
            }
            let store = begin(&disk, &settings);
            let found = all(&store);
            let lacking: Vec<_> =
                left(70).into_keys().filter(|at| !found.contains_key(at)).collect();
            assert!(lacking.is_empty(), "{after} {again}: {lacking:?}");
            compact(&store);
            assert_eq!(all(&store), left(70), "{after} {again}");
            let leftovers: Vec<_> = sim
                .paths()
                .into_iter()
                .filter(|p| p.to_string_lossy().contains("delete"))
                .collect();
            assert!(leftovers.is_empty(), "{leftovers:?}");
            if is_over && !again {
                break;
            }
        }
    }
}

#[test]
fn lost_units_are_made_anew_from_the_records() {
    let (_, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 40);
    compact(&store);
    store.close().unwrap();
    drop(store);
    let dir = Path::new("/store/compaction/compactionCq/C/0");
    for file in disk.list(dir).unwrap() {
        disk.remove(&dir.join(file.name)).unwrap();
    }
    let store = begin(&disk, &settings);
    assert_eq!(all(&store), left(40));
}

pub(crate) const LOG: &str = "/store/compaction/compactionLog/C/0";
pub(crate) const UNITS: &str = "/store/compaction/compactionCq/C/0";

fn put(disk: &Arc<dyn Disk>, path: &Path, content: &[u8]) {
    let file = disk.open(path, content.len() as u64, Allocation::Sparse).unwrap();
    file.write_at(0, content).unwrap();
}

/// What a stock broker leaves that is killed while it replaces files: it replaces the log's first,
/// and does not start then.
#[test]
fn what_java_leaves_of_a_compaction_is_ended() {
    for step in 0..4 {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 40);
        let content = |dir: &str| {
            let files = sim.paths().into_iter().filter(|path| path.starts_with(dir));
            files.map(|path| (path.clone(), sim.content(&path).unwrap())).collect::<Vec<_>>()
        };
        let (old_log, old_units) = (content(LOG), content(UNITS));
        compact(&store);
        let (new_log, new_units) = (content(LOG), content(UNITS));
        store.close().unwrap();
        drop(store);
        for (path, _) in [&new_log[..], &new_units].concat() {
            disk.remove(&path).unwrap();
        }
        for name in ["position-checkpoint", "position-checkpoint.bak"] {
            let _ = disk.remove(&Path::new("/store/compaction").join(name));
        }
        // The last file of each is the one that is written, and the same before and after.
        let (last, new) = (old_log.last().unwrap(), &new_log[..new_log.len() - 1]);
        put(&disk, &last.0, &last.1);
        for (at, (path, content)) in old_log[..old_log.len() - 1].iter().enumerate() {
            let doomed = format!("{}.delete", path.display());
            match step {
                0 if at > 0 => put(&disk, path, content),
                0..3 if step < 2 || at > 0 => put(&disk, Path::new(&doomed), content),
                _ => {}
            }
        }
        for (path, content) in new {
            let waits = Path::new(LOG).join("compacting").join(path.file_name().unwrap());
            put(&disk, if step == 0 { &waits } else { path }, content);
        }
        old_units.iter().for_each(|(path, content)| put(&disk, path, content));
        for (path, content) in &new_units[..new_units.len() - 1] {
            let waits = Path::new(UNITS).join("compacting").join(path.file_name().unwrap());
            put(&disk, &waits, content);
        }
        let store = begin(&disk, &settings);
        assert_eq!(all(&store).len(), if step == 0 { 40 } else { left(40).len() }, "step {step}");
        compact(&store);
        assert_eq!(all(&store), left(40), "step {step}");
        let of_it = sim.paths().into_iter().map(|path| path.display().to_string());
        let rest: Vec<_> =
            of_it.filter(|it| it.contains("delete") || it.contains("compacting")).collect();
        assert!(rest.is_empty(), "step {step}: {rest:?}");
    }
}

#[test]
fn a_removed_topic_leaves_nothing_to_the_next_of_its_name() {
    let (sim, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 40);
    compact(&store);
    store.delete_topics([TOPIC]).unwrap();
    let is_of_it = |path: &Path| path.to_string_lossy().contains("compaction/");
    let left_over = sim.paths().into_iter().find(|path| is_of_it(path) && path.ends_with("0"));
    assert_eq!(left_over, None);
    store.keep_newest(TOPIC, true).unwrap();
    fill(&store, 0, 5);
    assert_eq!(all(&store), left(5));
}

#[test]
fn files_of_another_size_are_refused() {
    let (_, disk, mut settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 40);
    store.close().unwrap();
    drop(store);
    settings.compaction_queue_file_bytes *= 2;
    let store = open(&disk, &settings);
    let told = store.keep_newest(TOPIC, false).unwrap_err().to_string();
    assert!(told.contains("compactionMappedFileSize"), "{told}");
}

fn waiting_files(sim: &SimDisk) -> Vec<PathBuf> {
    let mut paths = sim.paths();
    paths.retain(|path| path.to_string_lossy().contains("compacting"));
    paths
}

#[test]
fn a_compaction_that_fails_or_is_stopped_leaves_no_files() {
    for after in 0..6 {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 80);
        sim.fail_writes_after(after);
        let done = store.compact(&|| true).unwrap();
        sim.heal();
        assert_eq!((done.queues, waiting_files(&sim).len()), (usize::from(after > 3), 0));
        let was_begun = Cell::new(false);
        let goes_on = || {
            was_begun.set(!waiting_files(&sim).is_empty());
            !was_begun.get()
        };
        store.compact(&goes_on).unwrap();
        assert_eq!((was_begun.get(), waiting_files(&sim).len()), (after < 4, 0));
        compact(&store);
        assert_eq!(all(&store), left(80), "{after}");
    }
}

#[test]
fn a_queue_is_not_compacted_without_room_for_a_copy() {
    let (sim, disk, settings) = sim(1);
    let store = begin(&disk, &settings);
    fill(&store, 0, 80);
    store.flush(NOW).unwrap();
    let used = sim.used();
    sim.set_room((used + 1_000) * 100 / 90, 0);
    store.measure().unwrap();
    assert_eq!(store.full(), None);
    let changes = sim.changes();
    let (done, lines) = lines_of(|| store.compact(&|| true).unwrap());
    assert_eq!((done.queues, sim.changes()), (0, changes));
    let named = ["ERROR", "no room to compact", "wanted=", "disk of /store", "used, limit"];
    let told = |line: &String| named.iter().all(|it| line.contains(it));
    assert!(lines.iter().any(told), "{lines:?}");
    sim.set_room(used * 2, 0);
    compact(&store);
    assert_eq!(all(&store), left(80));
}

/// Room for a copy of so many bytes, and no more.
fn leave_room(sim: &SimDisk, bytes: u64) {
    sim.set_room((sim.used() + bytes) * 100 / 90, 0);
}

/// Where there is no room for a copy of the queue, there may be for one of some of its files.
#[test]
fn a_queue_that_is_larger_than_the_free_room_is_compacted_in_parts() {
    for bytes in [9_000, 20_000] {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 120);
        store.flush(NOW).unwrap();
        leave_room(&sim, bytes);
        assert_eq!(store.compact(&|| true).unwrap().queues, 1);
        assert_eq!(all(&store), left(120));
        fill(&store, 120, 150);
        store.close().unwrap();
        drop(store);
        let store = begin(&disk, &settings);
        leave_room(&sim, bytes);
        compact(&store);
        assert_eq!(all(&store), left(150));
        for at in left(150).into_keys() {
            let first = record_of(&read(&store, TOPIC, 0, at).messages[0]).queue_offset;
            assert_eq!(first, at);
        }
    }
}

#[test]
fn deleted_while_compaction_is_off_nothing_is_left_to_the_next_of_its_name() {
    for is_told in [false, true] {
        let (_, disk, mut settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 40);
        compact(&store);
        store.close().unwrap();
        drop(store);
        settings.compaction = false;
        let store = open(&disk, &settings);
        store.delete_topics([TOPIC]).unwrap();
        assert!(!store.has_compacted(TOPIC));
        if is_told {
            store.keep_newest(TOPIC, true).unwrap();
        }
        fill(&store, 0, 5);
        store.close().unwrap();
        drop(store);
        settings.compaction = true;
        let store = begin(&disk, &settings);
        assert_eq!(all(&store), left(5));
    }
}

/// The files of a queue are replaced one by one, and any of these steps may fail.
#[test]
fn readers_wait_where_files_could_not_be_replaced() {
    let mut broken = 0;
    for after in 0..40 {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 40);
        sim.fail(Op::Name, after, true);
        let _ = store.compact(&|| true);
        let found = read(&store, TOPIC, 0, 0);
        if found.status == ReadStatus::MessageWasRemoving {
            assert_eq!((found.next_offset, found.messages.len()), (0, 0), "{after}");
            assert!(store.fence_reason().is_some());
            broken += 1;
        } else {
            let found = all(&store);
            assert!(left(40).keys().all(|at| found.contains_key(at)), "{after}: {found:?}");
        }
        drop(store);
        sim.heal();
        sim.kill();
        let found = all(&begin(&disk, &settings));
        assert!(left(40).keys().all(|at| found.contains_key(at)), "{after}: {found:?}");
    }
    assert!(broken > 0);
}

/// Messages of which the log has only the last ones, and the compacted queue the first one too.
/// Returns where those begin.
fn outlived(disk: &Arc<dyn Disk>, settings: &Settings) -> i64 {
    let store = begin(disk, &Settings { delete_hours: (0..24).collect(), ..settings.clone() });
    append(&store, NOW, with_key("once", "0"));
    fill(&store, 1, 150);
    compact(&store);
    store.flush(NOW + 100_000).unwrap();
    while store.retain(NOW + 1_000 * 3_600_000).unwrap().log_files > 0 {}
    let first = store.min_offset(TOPIC, 0);
    assert!(first > 0);
    store.close().unwrap();
    first
}

#[test]
fn a_start_that_cannot_open_a_queue_serves_the_rest() {
    for op in [Op::Read, Op::Name] {
        let (sim, disk, settings) = sim(1);
        let first = outlived(&disk, &settings);
        if op == Op::Name {
            disk.remove(&Path::new(UNITS).join("00000000000000000000")).unwrap();
        }
        let store = open(&disk, &settings);
        sim.fail(op, 0, true);
        store.keep_newest(TOPIC, false).unwrap();
        sim.heal();
        assert!(store.keeps_newest(TOPIC) && store.fence_reason().is_none());
        let found = read(&store, TOPIC, 0, 0);
        assert_eq!((found.status, found.next_offset), (ReadStatus::MessageWasRemoving, 0));
        assert_eq!(read(&store, TOPIC, 0, first).status, ReadStatus::Found);
        fill(&store, 150, 151);
        store.clean_expired_queues().unwrap();
        assert_eq!(store.max_offset(TOPIC, 0), 151);
        store.close().unwrap();
        drop(store);
        let found = all(&begin(&disk, &settings));
        assert!(found.contains_key(&0) && found.contains_key(&150), "{found:?}");
    }
}

#[test]
fn a_start_on_a_full_disk_opens_the_queues_when_there_is_room() {
    let (sim, disk, settings) = sim(1);
    outlived(&disk, &settings);
    disk.remove(&Path::new(UNITS).join("00000000000000000000")).unwrap();
    sim.fill(true);
    let store = begin(&disk, &settings);
    assert_eq!(store.refusal(), Some(AppendError::DiskFull));
    let found = read(&store, TOPIC, 0, 0);
    assert_eq!((found.status, found.next_offset), (ReadStatus::MessageWasRemoving, 0));
    sim.fill(false);
    store.flush(NOW + 200_000).unwrap();
    assert_eq!((store.refusal(), store.fence_reason()), (None, None));
    fill(&store, 150, 160);
    let found = all(&store);
    assert!(found.contains_key(&0) && found.contains_key(&159), "{found:?}");
}

/// What becomes of something that another thread does whenever the log of a compacted queue is
/// about to be made durable, if it need not wait for that.
fn done_beside_syncs<T: Send + 'static>(
    bad: &BadDisk,
    store: &Arc<Store>,
    what: fn(&Store) -> T,
) -> mpsc::Receiver<Result<T, mpsc::RecvTimeoutError>> {
    let (tell, told) = mpsc::channel();
    let other = Arc::downgrade(store);
    bad.before_sync(move |path| {
        let Some(store) = other.upgrade().filter(|_| path.starts_with(LOG)) else { return };
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || done.send(what(&store)));
        tell.send(is_done.recv_timeout(Duration::from_secs(20))).unwrap();
    });
    told
}

#[test]
fn nobody_waits_while_a_queue_is_made_durable() {
    let (_, disk, settings) = sim(1);
    let (bad, disk) = BadDisk::around(disk);
    let store = Arc::new(begin(&disk, &settings));
    fill(&store, 0, 5);
    let told = done_beside_syncs(&bad, &store, |store| {
        fill(store, 5, 6);
        all(store).len()
    });
    store.flush(NOW + 100_000).unwrap();
    assert_eq!(told.try_recv().unwrap(), Ok(6));
}

/// A file is made durable before the next one begins, which takes a while for a large one.
#[test]
fn no_append_waits_while_a_file_is_ended() {
    for flush_mode in [FlushMode::Async, FlushMode::Sync] {
        let (_, disk, settings) = sim(1);
        let (bad, disk) = BadDisk::around(disk);
        let store = Arc::new(begin(&disk, &Settings { flush_mode, ..settings }));
        let send = |store: &Store, at: i64| {
            append(store, NOW + at, with_key(&at.to_string(), &at.to_string()));
            store.sync().unwrap();
        };
        bad.before_sync(|path| assert!(!path.starts_with(LOG), "an append waits for {path:?}"));
        (0..3 * FILE).for_each(|at| send(&store, at));
        assert_eq!(all(&store).len() as i64, FILE);
        let told = done_beside_syncs(&bad, &store, |store| {
            append(store, NOW, with_key("late", "late"));
            store.sync().is_ok()
        });
        store.follow_compacted().unwrap();
        bad.before_sync(|_| {});
        let late: Vec<_> = told.try_iter().collect();
        assert!(late.len() >= 2 && late.iter().all(|done| *done == Ok(true)), "{late:?}");
        store.follow_compacted().unwrap();
        assert_eq!(all(&store).len(), 3 * FILE as usize + late.len());
    }
}

#[test]
fn readers_do_not_wait_while_a_file_is_ended() {
    let (_, disk, settings) = sim(1);
    let (bad, disk) = BadDisk::around(disk);
    let store = Arc::new(begin(&disk, &settings));
    fill(&store, 0, FILE);
    let told = done_beside_syncs(&bad, &store, |store| all(store).len() as i64);
    fill(&store, FILE, FILE + 1);
    assert_eq!(told.try_recv().unwrap(), Ok(FILE));
    assert_eq!(all(&store).len() as i64, FILE + 1);
}
