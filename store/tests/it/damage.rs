//! Damaged files end in an error or a repair: never a panic, an endless loop or wrong messages.

use crate::crash::Random;
use crate::support::*;
use message::record;
use simulator::SimDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, Limits, Position, Settings, Store};

const MESSAGES: i64 = 120;

/// A store with messages in two topics, stopped cleanly or not.
fn filled(disk: &Arc<dyn Disk>, settings: &Settings, clean: bool) {
    let store = open(disk, settings);
    for number in 0..MESSAGES {
        append(&store, NOW + number, draft("T", 0, &format!("{number}")));
        append(&store, NOW + number, draft("U", 1, &format!("{number}")));
    }
    store.flush(NOW + MESSAGES).unwrap();
    if clean {
        store.close().unwrap();
    }
}

fn files(disk: &Arc<dyn Disk>, dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for listed in disk.list(dir).unwrap() {
        let path = dir.join(&listed.name);
        if listed.is_dir {
            all.extend(files(disk, &path));
        } else if listed.len > 0 {
            all.push(path);
        }
    }
    all
}

/// Changes a few bytes of one file: a bit, a byte, a long row of zeros or of ones.
fn damage(disk: &Arc<dyn Disk>, random: &mut Random) -> PathBuf {
    let all = files(disk, Path::new("/store"));
    let path = all[random.below(all.len() as u64) as usize].clone();
    let len = disk.read(&path).unwrap().len() as u64;
    let file = disk.open(&path, len, Allocation::Sparse).unwrap();
    for _ in 0..=random.below(3) {
        // Most of them near the start, where there is something to damage.
        let end = if random.below(4) == 0 { len } else { len.min(2_000) };
        let at = random.below(end);
        let mut bytes = vec![0; (1 + random.below(64)).min(len - at) as usize];
        file.read_at(at, &mut bytes).unwrap();
        match random.below(4) {
            0 => bytes[0] ^= 1 << random.below(8),
            1 => bytes[0] = random.below(256) as u8,
            2 => bytes.fill(0),
            _ => bytes.fill(0xff),
        }
        file.write_at(at, &bytes).unwrap();
    }
    path
}

/// Asks the store everything; whatever message it answers must be whole and in its place.
fn ask(store: &Store) {
    for topic in store.topics() {
        for id in store.queue_ids(&topic) {
            let (min, max) = (store.min_offset(&topic, id), store.max_offset(&topic, id));
            let mut offset = min;
            for _ in 0..2 * MESSAGES {
                let position = Position { topic: &topic, queue_id: id, offset };
                let found = store.read(position, Limits::messages(32), &store::Everything);
                offset = found.next_offset;
            }
            for time in [i64::MIN, 0, NOW, NOW + 50, i64::MAX] {
                for end in [store::Boundary::Lower, store::Boundary::Upper] {
                    store.offset_by_time(&topic, id, time, end);
                }
            }
            for at in [i64::MIN, -1, 0, min, max, i64::MAX] {
                store.unit(&topic, id, at);
                store.units(&topic, id, at, 10);
                store.store_time(&topic, id, at);
            }
        }
        for key in ["key-7", "unique-100"] {
            store.query(&topic, key, 64, (i64::MIN, i64::MAX));
        }
    }
    for at in [i64::MIN, -1, 0, 7, store.max_log_offset(), i64::MAX] {
        store.message_at(at);
    }
}

#[test]
fn damaged_files_are_survived() {
    let settings = Settings { check_crc_on_recover: true, ..small(Path::new("/store")) };
    for seed in 0..400 {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random::new(seed + 7);
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(seed));
            filled(&disk, &settings, seed % 2 == 0);
            let path = damage(&disk, &mut random);
            for _ in 0..2 {
                let store = match Store::open(disk.clone(), settings.clone()) {
                    Ok(store) => store,
                    Err(error) => panic!("{} damaged: {error}", path.display()),
                };
                ask(&store);
                let next = store.max_offset("T", 0);
                assert_eq!(append(&store, NOW, draft("T", 0, "after")).queue_offset, next);
                ask(&store);
                store.flush(NOW).unwrap();
            }
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_damaged_queue_offset_costs_at_most_its_own_message() {
    let settings = small(Path::new("/store"));
    for number in [0, 1, 40, 80] {
        for bit in 0..64 {
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
            let store = open(&disk, &settings);
            let places: Vec<_> = (0..100)
                .map(|number| append(&store, NOW, draft("T", 0, &number.to_string())).log_offset)
                .collect();
            drop(store);
            for queue_file in files(&disk, Path::new("/store/consumequeue")) {
                disk.remove(&queue_file).unwrap();
            }
            let place = places[number] as u64;
            let file_bytes = settings.commit_log_file_bytes;
            let path = format!("/store/commitlog/{:020}", place / file_bytes * file_bytes);
            let log = disk.open(Path::new(&path), file_bytes, Allocation::Reserved).unwrap();
            let mut field = [0; 8];
            let at = place % file_bytes + record::at::QUEUE_OFFSET as u64;
            log.read_at(at, &mut field).unwrap();
            field[7 - bit / 8] ^= 1 << (bit % 8);
            log.write_at(at, &field).unwrap();

            let store = open(&disk, &settings);
            assert_eq!(store.max_offset("T", 0), 100, "message {number}, bit {bit}");
            let found = |offset: usize| {
                let unit = store.unit("T", 0, offset as i64);
                unit.is_some_and(|unit| unit.log_offset == places[offset])
            };
            let lost: Vec<_> = (0..100).filter(|offset| !found(*offset)).collect();
            assert!(lost.is_empty() || lost == [number], "message {number}, bit {bit}: {lost:?}");
        }
    }
}

#[test]
fn queue_files_of_a_wrong_size_are_rebuilt_from_the_log() {
    let settings = small(Path::new("/store"));
    let wrong_sizes = [0, 7, 20, 407, 999, 1_001, 5_000];
    for (clean, len) in [true, false].into_iter().flat_map(|c| wrong_sizes.map(|len| (c, len))) {
        for file_number in 0..3 {
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
            filled(&disk, &settings, clean);
            let path = format!("/store/consumequeue/T/0/{:020}", file_number * 1_000);
            let mut content = disk.read(Path::new(&path)).unwrap();
            content.resize(len, 0xff);
            disk.replace(Path::new(&path), &content, None).unwrap();
            for start in 0..2 {
                let store = open(&disk, &settings);
                let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
                for (topic, id) in [("T", 0), ("U", 1)] {
                    assert_eq!(bodies(&store, topic, id), expected, "{clean} {len} {start}");
                }
                assert_eq!(store.query("T", "key-7", 64, (0, i64::MAX)).records.len(), 1);
                store.close().unwrap();
            }
        }
    }
}

#[test]
fn queues_that_were_lost_after_a_clean_stop_are_rebuilt() {
    let settings = small(Path::new("/store"));
    for (removed, zeroed) in [(0..3, 0..0), (0..0, 0..3), (2..3, 0..0), (0..0, 2..3)] {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        filled(&disk, &settings, true);
        let path = |number: u64| format!("/store/consumequeue/T/0/{:020}", number * 1_000);
        removed.for_each(|number| disk.remove(Path::new(&path(number))).unwrap());
        for number in zeroed {
            disk.replace(Path::new(&path(number)), &[0; 1_000], None).unwrap();
        }
        for _ in 0..2 {
            let store = open(&disk, &settings);
            assert!(store.was_clean());
            let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
            assert_eq!(bodies(&store, "T", 0), expected);
            assert_eq!(bodies(&store, "U", 1), expected);
            store.close().unwrap();
        }
    }
}
