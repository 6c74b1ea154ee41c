//! What a second crash finds: the first start after a crash mends, and what it mended may be in
//! memory alone, or may have been the only word of something.

use crate::support::*;
use simulator::{Loss, Op, SimDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, Settings, Store};

fn new(seed: u64) -> (SimDisk, Arc<dyn Disk>, Settings) {
    let sim = SimDisk::new(seed);
    sim.set_clock(NOW);
    (sim.clone(), Arc::new(sim), small(Path::new("/store")))
}

fn log_path() -> PathBuf {
    "/store/commitlog/00000000000000000000".into()
}

/// A message with a long property, of which a sector can be lost.
fn long(body: &str) -> message::Draft {
    let mut long = draft("T", 0, body);
    let mut properties = long.properties.to_vec();
    properties.extend_from_slice(format!("LONG\u{1}{}\u{2}", "p".repeat(1_500)).as_bytes());
    long.properties = properties.into();
    long
}

/// Makes a whole sector of a message's properties zeros.
fn tear(disk: &Arc<dyn Disk>, settings: &Settings, log_end: i64) {
    let log = disk.open(&log_path(), settings.commit_log_file_bytes, Allocation::Reserved);
    let lost = (log_end as u64 - 700) / 512 * 512;
    let log = log.unwrap();
    log.zero(lost..lost + 512).unwrap();
    log.sync(0..log.len()).unwrap();
}

/// Removes all log files but the last.
fn expire(sim: &SimDisk, store: &Store) {
    let used = sim.used();
    sim.set_room(used * 100, used * 88);
    store.flush(NOW).unwrap();
    store.delete_expired_soon();
    assert!(store.retain(NOW).unwrap().log_files > 0);
    sim.set_room(1 << 40, 1 << 39);
}

#[test]
fn places_of_lost_messages_outlive_a_second_power_loss() {
    // One of another queue may end where the record of the lost one would be.
    for (topic, body) in [("T", "new-3"), ("U", "short")] {
        let (sim, disk, settings) = new(1);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "kept-0"));
        append(&store, NOW, draft("T", 0, "kept-1"));
        store.flush(NOW).unwrap();
        append(&store, NOW, draft("T", 0, "lost-2, the longest"));
        // Its unit is durable, its record is not.
        store.flush(NOW + 1).unwrap();
        let path = Path::new("/store/consumequeue/T/0/00000000000000000000");
        let units = disk.open(path, settings.consume_queue_file_bytes, Allocation::Sparse);
        units.unwrap().sync(0..60).unwrap();
        drop(store);
        sim.lose(Loss::All);
        let store = open(&disk, &settings);
        assert_eq!(store.max_offset("T", 0), 3, "its place may have been read");
        append(&store, NOW, draft(topic, 0, body));
        store.sync().unwrap();
        drop(store);
        sim.lose(Loss::All);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "last"));
        let mut known = vec![(0, "kept-0"), (1, "kept-1")];
        known.extend(match topic {
            "T" => vec![(3, body), (4, "last")],
            _ => vec![(3, "last")],
        });
        let known = known.into_iter().map(|(offset, body)| (offset, body.to_owned()));
        assert_eq!(bodies_by_offset(&store, "T", 0), known.collect(), "{topic}");
    }
}

/// A queue of three files of 50 units, of which the first 45 lead to what is durable, loses its
/// first file, or the sectors between. Seed 30026362 of the simulator.
#[test]
fn places_of_lost_messages_are_kept_though_units_before_them_are_lost() {
    let cases = [(0, false, 1), (0, true, 1), (1, false, 1), (0, false, 2), (1, false, 2)];
    for (lost, noted, times) in cases {
        let (sim, disk, settings) = new(1);
        let store = open(&disk, &settings);
        store.flush(NOW).unwrap();
        for number in 0..45 {
            append(&store, NOW, draft("T", 0, &number.to_string()));
        }
        store.sync().unwrap();
        let now = if noted { NOW + 100_000 } else { NOW };
        store.flush(now).unwrap();
        for number in 45..102 {
            append(&store, NOW, draft("T", 0, &number.to_string()));
        }
        store.flush(now + 1).unwrap();
        let path = |at: u64| format!("/store/consumequeue/T/0/{:020}", at * 1_000);
        for at in 0..3 {
            let units = disk.open(path(at).as_ref(), 1_000, Allocation::Sparse).unwrap();
            units.sync(0..1_000).unwrap();
        }
        let mut store = store;
        for _ in 0..times {
            drop(store);
            sim.lose(Loss::All);
            disk.remove(path(lost).as_ref()).unwrap();
            store = open(&disk, &settings);
        }
        for number in 102..105 {
            assert_eq!(bodies_by_offset(&store, "T", 0).len(), number - 57, "{lost}");
            assert_eq!(append(&store, NOW, draft("T", 0, "new")).queue_offset, number as i64);
            store.sync().unwrap();
            drop(store);
            sim.lose(Loss::All);
            store = open(&disk, &settings);
        }
    }
}

/// Whoever has read its messages asks for what comes behind them.
#[test]
fn a_queue_whose_files_are_lost_after_its_messages_expired_goes_on_where_it_ended() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    for number in 0..5 {
        append(&store, NOW, draft("T", 0, &number.to_string()));
    }
    while store.max_log_offset() < 3 * settings.commit_log_file_bytes as i64 {
        append(&store, NOW, draft("Other", 0, &"x".repeat(3_000)));
    }
    expire(&sim, &store);
    store.flush(NOW + 100_000).unwrap();
    drop(store);
    sim.kill();
    disk.remove(Path::new("/store/consumequeue/T/0/00000000000000000000")).unwrap();
    let store = open(&disk, &settings);
    assert_eq!(append(&store, NOW, draft("T", 0, "next")).queue_offset, 5);
    assert_eq!(bodies_by_offset(&store, "T", 0), [(5, "next".to_owned())].into());
}

#[test]
fn kept_places_that_a_failed_sync_left_in_memory_outlive_a_power_loss() {
    let mut seen = 0;
    for (seed, failing) in (0..10).flat_map(|seed| (0..8).map(move |failing| (seed, failing))) {
        let (sim, disk, settings) = new(seed);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "kept-0"));
        store.flush(NOW).unwrap();
        append(&store, NOW, draft("T", 0, "lost-1"));
        store.flush(NOW + 1).unwrap();
        let path = Path::new("/store/consumequeue/T/0/00000000000000000000");
        let units = disk.open(path, settings.consume_queue_file_bytes, Allocation::Sparse).unwrap();
        units.sync(0..40).unwrap();
        drop(store);
        sim.lose(Loss::All);
        sim.fail(Op::Sync, failing, false);
        let _ = Store::open(disk.clone(), settings.clone());
        sim.heal();
        seen += usize::from(sim.has_forgotten());
        sim.kill();
        let end = open(&disk, &settings).max_offset("T", 0);
        sim.lose(Loss::All);
        let store = open(&disk, &settings);
        assert_eq!(store.max_offset("T", 0), end, "seed {seed}, sync {failing}");
    }
    assert!(seen > 0);
}

#[test]
fn what_a_start_cut_stays_cut_when_it_was_killed() {
    let mut died = 0;
    for changes in 0..40 {
        let (sim, disk, settings) = new(changes);
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "first"));
        let torn = append(&store, NOW, long("torn"));
        drop(store);
        tear(&disk, &settings, torn.log_end());
        sim.lose(Loss::Nothing);
        sim.die_after(changes);
        let _ = Store::open(disk.clone(), settings.clone());
        died += u64::from(sim.is_dead());
        sim.kill();
        let store = open(&disk, &settings);
        assert_eq!(bodies(&store, "T", 0), ["first"], "dead after {changes} changes");
        let behind = torn.log_offset as u64..settings.commit_log_file_bytes;
        assert!(sim.is_durable(&log_path(), behind), "dead after {changes} changes");
    }
    assert!((3..40).contains(&died), "{died} starts died");
}

#[test]
fn a_start_takes_what_the_one_before_it_took() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "first"));
    let torn = [append(&store, NOW, long("torn-1")), append(&store, NOW, long("torn-2"))];
    drop(store);
    torn.iter().for_each(|torn| tear(&disk, &settings, torn.log_end()));
    sim.lose(Loss::Nothing);
    let ends = [(); 3].map(|()| {
        let store = open(&disk, &settings);
        (store.max_log_offset(), store.max_offset("T", 0))
    });
    assert_eq!(ends, [ends[0]; 3], "a kill loses nothing");
}

#[test]
fn a_topic_is_forgotten_only_when_its_messages_cannot_come_back() {
    let (sim, disk, settings) = new(1);
    // Without a journal a name that is synced says nothing of those before it.
    sim.order_names(false);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("Gone", 0, "gone"));
    store.delete_topics(["Gone"]).unwrap();
    while store.max_log_offset() < 3 * settings.commit_log_file_bytes as i64 {
        append(&store, NOW, draft("T", 0, &"x".repeat(3_000)));
    }
    expire(&sim, &store);
    store.delete_topics(["None"]).unwrap();
    drop(store);
    // The first file may be there again, and all is read anew.
    sim.lose(Loss::All);
    disk.replace(Path::new("/store/queueends"), b"damaged", None).unwrap();
    let store = open(&disk, &settings);
    assert_eq!(store.topics(), ["T"]);
}

#[test]
fn a_flipped_bit_of_the_checkpoint_makes_no_other_broker_of_us() {
    let (_, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "only"));
    store.close().unwrap();
    drop(store);
    let checkpoint = Path::new("/store/checkpoint");
    for bit in (0..16 * 8).chain(4048 * 8..4096 * 8) {
        let file = disk.open(checkpoint, 4096, Allocation::Sparse).unwrap();
        let mut byte = [0];
        file.read_at(bit / 8, &mut byte).unwrap();
        byte[0] ^= 1 << (bit % 8);
        file.write_at(bit / 8, &byte).unwrap();
        let store = open(&disk, &settings);
        assert!(disk.read(Path::new("/store/queueends")).is_ok(), "taken over, bit {bit}");
        assert_eq!(bodies(&store, "T", 0), ["only"]);
        store.close().unwrap();
    }
}

#[test]
fn a_flipped_bit_does_not_make_a_message_look_expired() {
    for bit in 0..16 {
        let (sim, disk, settings) = new(bit);
        let store = open(&disk, &settings);
        while store.max_log_offset() < 3 * settings.commit_log_file_bytes as i64 {
            append(&store, NOW, draft("Other", 0, &"x".repeat(2_900)));
        }
        for number in 0..5 {
            append(&store, NOW, draft("T", 0, &number.to_string()));
        }
        expire(&sim, &store);
        let (first, all) = (store.min_offset("T", 0), bodies_by_offset(&store, "T", 0));
        assert_eq!(all.len() as i64, store.max_offset("T", 0) - first);
        drop(store);
        sim.kill();
        let path = Path::new("/store/consumequeue/T/0/00000000000000000000");
        let units = disk.open(path, settings.consume_queue_file_bytes, Allocation::Sparse);
        let (at, mut byte) = (first as u64 * 20 + 7 - bit / 8, [0]);
        let units = units.unwrap();
        units.read_at(at, &mut byte).unwrap();
        byte[0] ^= 1 << (bit % 8);
        units.write_at(at, &byte).unwrap();
        let store = open(&disk, &settings);
        assert_eq!(bodies_by_offset(&store, "T", 0), all, "bit {bit}");
    }
}

#[test]
fn a_queue_that_begins_with_an_empty_file_gets_what_was_before() {
    let (sim, disk, mut settings) = new(1);
    settings.consume_queue_file_bytes = 20;
    let store = open(&disk, &settings);
    let all: Vec<_> = (0..4).map(|number| number.to_string()).collect();
    for body in &all {
        append(&store, NOW, draft("T", 0, body));
    }
    store.flush(NOW).unwrap();
    drop(store);
    // Power loss took the first name, and what the other files had.
    for number in 0..4 {
        let path = format!("/store/consumequeue/T/0/{:020}", 20 * number);
        let file = disk.open(Path::new(&path), 20, Allocation::Sparse).unwrap();
        file.write_at(0, &[0; 20]).unwrap();
        if number < 2 {
            disk.remove(Path::new(&path)).unwrap();
        }
    }
    sim.kill();
    disk.remove(Path::new("/store/queueends")).unwrap();
    assert_eq!(bodies(&open(&disk, &settings), "T", 0), all);
}

#[test]
fn a_queue_file_that_had_expired_and_is_back_does_not_hide_the_end() {
    let (sim, disk, mut settings) = new(1);
    settings.consume_queue_file_bytes = 20;
    let store = open(&disk, &settings);
    for number in 0..4 {
        append(&store, NOW, draft("T", 0, &number.to_string()));
    }
    while store.max_log_offset() < 3 * settings.commit_log_file_bytes as i64 {
        append(&store, NOW, draft("Other", 0, &"x".repeat(3_000)));
    }
    store.flush(NOW).unwrap();
    let first = Path::new("/store/consumequeue/T/0/00000000000000000000");
    let units = sim.content(first).unwrap();
    expire(&sim, &store);
    assert!(sim.content(first).is_none() && store.max_offset("T", 0) == 4);
    drop(store);
    sim.kill();
    disk.open(first, 20, Allocation::Sparse).unwrap().write_at(0, &units).unwrap();
    disk.remove(Path::new("/store/queueends")).unwrap();
    let store = open(&disk, &settings);
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (4, 4));
}

#[test]
fn empty_files_behind_a_queue_do_not_move_its_end() {
    let (sim, disk, mut settings) = new(1);
    settings.consume_queue_file_bytes = 20;
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "only"));
    store.flush(NOW).unwrap();
    drop(store);
    sim.kill();
    for start in [20, 40] {
        let path = format!("/store/consumequeue/T/0/{start:020}");
        disk.open(Path::new(&path), 20, Allocation::Sparse).unwrap();
    }
    for _ in 0..2 {
        let store = open(&disk, &settings);
        assert_eq!(store.max_offset("T", 0), 1);
        store.close().unwrap();
    }
}

/// Power loss brings back some of the log files that had expired, and not those between them.
#[test]
fn log_files_that_had_expired_and_are_back_in_part_are_no_damage() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let file = settings.commit_log_file_bytes as i64;
    while store.max_log_offset() < 5 * file {
        append(&store, NOW, draft("T", 0, &"x".repeat(3_000)));
    }
    store.flush(NOW).unwrap();
    let path = |number: i64| PathBuf::from(format!("/store/commitlog/{:020}", number * file));
    let contents: Vec<_> = (0..5).map(|number| sim.content(&path(number)).unwrap()).collect();
    expire(&sim, &store);
    let min = store.min_log_offset();
    assert_eq!(min, 5 * file);
    drop(store);
    sim.kill();
    for number in [0, 1, 3, 4] {
        let back = disk.open(&path(number), file as u64, Allocation::Reserved).unwrap();
        back.write_at(0, &contents[number as usize]).unwrap();
    }
    let store = open(&disk, &settings);
    assert_eq!(store.set_aside().ranges(), []);
    assert_eq!(store.min_log_offset(), 3 * file, "those in front of a gap go again");
    assert!(sim.content(&path(1)).is_none());
    let min = store.min_offset("T", 0);
    assert_eq!(bodies_by_offset(&store, "T", 0).len() as i64, store.max_offset("T", 0) - min);
    let aside = || disk.list(Path::new("/store/commitlog.in-the-way")).unwrap().len();
    assert_eq!(aside(), 2);
    // They count, and are the first to go.
    for (left, first) in [(1, 3), (0, 3), (0, 4)] {
        let now = Settings { store_bytes_max: store.store_bytes(), ..store.settings().clone() };
        store.retune(now).unwrap();
        store.retain(NOW).unwrap();
        assert_eq!((aside(), store.min_log_offset()), (left, first * file));
    }
}

/// Files that were lost begin the log anew; those that somebody put back are not removed.
#[test]
fn log_files_that_were_lost_and_put_back_in_part_are_kept() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let file = settings.commit_log_file_bytes as i64;
    while store.max_log_offset() < 5 * file {
        append(&store, NOW, draft("T", 0, &"x".repeat(3_000)));
    }
    store.close().unwrap();
    drop(store);
    let path = |number: i64| PathBuf::from(format!("/store/commitlog/{:020}", number * file));
    let contents: Vec<_> = (0..3).map(|number| sim.content(&path(number)).unwrap()).collect();
    (0..3).for_each(|number| disk.remove(&path(number)).unwrap());
    let store = open(&disk, &settings);
    assert_eq!(store.min_log_offset(), 3 * file);
    store.close().unwrap();
    drop(store);
    for number in [0, 1] {
        let back = disk.open(&path(number), file as u64, Allocation::Reserved).unwrap();
        back.write_at(0, &contents[number as usize]).unwrap();
    }
    let store = open(&disk, &settings);
    assert_eq!(store.min_log_offset(), 3 * file);
    for number in [0, 1] {
        let aside = path(number);
        let aside = Path::new("/store/commitlog.in-the-way").join(aside.file_name().unwrap());
        assert_eq!(sim.content(&aside).as_ref(), contents.get(number as usize), "{number}");
    }
}

/// A log that begins anew at 0 knows nothing of where the one before it began.
#[test]
fn a_log_that_begins_anew_keeps_its_files_in_front_of_a_missing_one() {
    let (sim, disk, settings) = new(1);
    let settings = Settings { cut_log_at_damage: true, ..settings };
    let file = settings.commit_log_file_bytes as i64;
    let fill = |store: &Store| {
        while store.max_log_offset() < 5 * file {
            append(store, NOW, draft("T", 0, &"x".repeat(3_000)));
        }
    };
    let store = open(&disk, &settings);
    fill(&store);
    expire(&sim, &store);
    assert_eq!(store.min_log_offset(), 5 * file);
    store.close().unwrap();
    drop(store);
    for listed in disk.list(Path::new("/store/commitlog")).unwrap() {
        disk.remove(&Path::new("/store/commitlog").join(&listed.name)).unwrap();
    }
    let store = open(&disk, &settings);
    assert_eq!(store.max_log_offset(), 0);
    fill(&store);
    store.close().unwrap();
    drop(store);
    disk.remove(Path::new(&format!("/store/commitlog/{file:020}"))).unwrap();
    let store = open(&disk, &Settings { cut_log_at_damage: false, ..settings });
    assert_eq!(store.min_log_offset(), 0);
}

/// A range that was set aside is forgotten when its file expires.
#[test]
fn what_was_set_aside_expires_with_its_file() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    let file = settings.commit_log_file_bytes as i64;
    let second = append(&store, NOW, draft("T", 0, &"x".repeat(2_000))).log_end();
    while store.max_log_offset() < 3 * file {
        append(&store, NOW, draft("T", 0, &"x".repeat(2_000)));
    }
    drop(store);
    sim.kill();
    let log = disk.open(&log_path(), file as u64, Allocation::Reserved).unwrap();
    log.write_at(second as u64 + 500, b"damage").unwrap();
    let store = open(&disk, &settings);
    assert_eq!(store.set_aside().ranges().len(), 1);
    expire(&sim, &store);
    assert_eq!((store.set_aside().ranges().len(), store.stats().set_aside_bytes()), (0, 0));
}

/// Where a topic was removed and made again, and all of its later life is lost, the places stay.
#[test]
fn places_of_lost_messages_of_a_later_life_outlive_damage() {
    let (sim, disk, settings) = new(1);
    let store = open(&disk, &settings);
    append(&store, NOW, draft("T", 0, "first life"));
    store.flush(NOW).unwrap();
    store.delete_topics(["T"]).unwrap();
    append(&store, NOW, draft("Other", 0, "other"));
    store.flush(NOW + 11_000).unwrap();
    append(&store, NOW, draft("T", 0, "lost"));
    // Its unit is durable, its record is not.
    store.flush(NOW + 11_001).unwrap();
    let path = Path::new("/store/consumequeue/T/0/00000000000000000000");
    let units = disk.open(path, settings.consume_queue_file_bytes, Allocation::Sparse).unwrap();
    units.sync(0..20).unwrap();
    drop(store);
    sim.lose(Loss::All);
    let store = open(&disk, &settings);
    assert_eq!((store.max_offset("T", 0), store.max_offset("Other", 0)), (1, 1));
    drop(store);
    sim.kill();
    disk.replace(Path::new("/store/queueends"), b"damaged", None).unwrap();
    for _ in 0..2 {
        let store = open(&disk, &settings);
        assert_eq!(store.max_offset("T", 0), 1, "its place may have been read");
        drop(store);
        sim.kill();
    }
}

#[test]
fn a_queue_that_ends_with_many_places_of_lost_messages_has_not_expired() {
    let (sim, disk, settings) = new(1);
    let settings = Settings {
        commit_log_file_bytes: 64 << 10,
        consume_queue_file_bytes: 20 * 1_000,
        flush_log_least_pages: 1_000,
        ..settings
    };
    let store = open(&disk, &settings);
    while store.max_log_offset() < 3 * settings.commit_log_file_bytes as i64 {
        append(&store, NOW, draft("Other", 0, &"x".repeat(3_000)));
    }
    append(&store, NOW, draft("T", 0, "kept"));
    expire(&sim, &store);
    for _ in 0..250 {
        append(&store, NOW, draft("T", 0, "lost"));
    }
    store.flush(NOW + 1).unwrap();
    let path = Path::new("/store/consumequeue/T/0/00000000000000000000");
    let units = disk.open(path, settings.consume_queue_file_bytes, Allocation::Sparse).unwrap();
    units.sync(0..units.len()).unwrap();
    drop(store);
    sim.lose(Loss::All);
    drop(open(&disk, &settings));
    let store = open(&disk, &settings);
    assert_eq!(store.max_offset("T", 0), 251, "their units were durable");
    store.clean_expired_queues().unwrap();
    assert_eq!(bodies_by_offset(&store, "T", 0), [(0, "kept".to_owned())].into());
}
