//! Files that are made from the log: when one of them is damaged or gone, the start that makes it
//! good says so in one line, which names it.

use crate::recovery::*;
use crate::support::*;
use simulator::lines_of;
use std::path::Path;
use std::sync::Arc;
use store::{Disk, Progress, Store, Timer, TimerFiles, TimerUnit};

const COUNT: i64 = 170;
const WAITING: i64 = 40;
const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
const TIMER: TimerFiles = TimerFiles { precision_ms: 1_000, log_file_bytes: 52 * 25 };

fn timer(store: &Store, now: i64) -> Timer {
    store.timer(TIMER, now, &|_: Progress| {}).unwrap()
}

/// A store with messages that have keys and some that wait for their time.
fn filled(clean: bool) -> Arc<dyn Disk> {
    let disk = sim();
    let store = open(&disk, &settings());
    fill(&store, "T", 0..COUNT);
    let mut timer = timer(&store, NOW);
    for number in 0..WAITING {
        let stored = append(&store, NOW + COUNT + number, draft(TIMER_TOPIC, 0, "x"));
        timer
            .put(&TimerUnit {
                write_ms: NOW,
                slot_ms: NOW + 100_000 + number % 7 * 1_000,
                rolls: false,
                deletes: false,
                log_offset: stored.log_offset,
                size: stored.log_end() as i32 - stored.log_offset as i32,
                topic_hash: 7,
            })
            .unwrap();
    }
    store.flush(NOW + COUNT + WAITING).unwrap();
    timer.flush(NOW, NOW).unwrap();
    for _ in 0..2 {
        timer.mark(&store, NOW + 20_000).unwrap();
    }
    if clean {
        timer.close(true, NOW).unwrap();
        store.close().unwrap();
    }
    disk
}

/// What a start says, and the next one, when something is done to the files before.
fn told(clean: bool, damage: impl FnOnce(&Arc<dyn Disk>)) -> [Vec<String>; 2] {
    let disk = filled(clean);
    damage(&disk);
    let start = || {
        let (store, lines) = lines_of(|| {
            let store = open(&disk, &settings());
            let mut timer = timer(&store, NOW + 1_000);
            assert_eq!(timer.pending(), WAITING);
            timer.close(true, NOW + 1_000).unwrap();
            store
        });
        store.close().unwrap();
        lines
    };
    let first = start();
    [first, start()]
}

type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("empty", Vec::clear),
    ("half of it", |bytes| bytes.truncate(bytes.len() / 2)),
    ("zeros", |bytes| bytes.fill(0)),
    ("ones", |bytes| bytes.fill(0xff)),
    ("longer", |bytes| bytes.extend([7; 99])),
];

/// One line names the file, and the next start has nothing to say.
fn is_told_once(clean: bool, path: &Path, what: &str, damage: impl FnOnce(&Arc<dyn Disk>)) {
    let [first, again] = told(clean, damage);
    let of_damage: Vec<_> =
        first.iter().filter(|line| !line.contains("did not stop cleanly")).collect();
    let what = format!("clean {clean}, {}: {what}: {of_damage:#?}", path.display());
    assert_eq!(of_damage.len(), 1, "{what}");
    assert!(of_damage[0].contains(path.to_str().unwrap()), "{what}");
    assert_eq!(again, [""; 0], "{what}, again");
}

fn flip(at: usize) -> impl Fn(&mut Vec<u8>) {
    move |bytes| bytes[at] ^= 4
}

#[test]
fn a_store_that_is_whole_or_new_or_another_brokers_is_told_of_nothing() {
    for clean in [true, false] {
        let [first, again] = told(clean, |_| {});
        assert_eq!(first.len(), usize::from(!clean), "{first:#?}");
        assert_eq!(again, [""; 0]);
    }
    let disk = sim();
    let (_, new) = lines_of(|| timer(&open(&disk, &settings()), NOW));
    assert_eq!(new, [""; 0]);
    // Java has no such files: its checkpoint has no mark of ours, its timer's none either.
    let [first, again] = told(true, |disk| {
        for name in ["queueends", "config/timerslots"] {
            disk.remove(&Path::new("/store").join(name)).unwrap();
        }
        edit(disk, Path::new("/store/checkpoint"), |bytes| bytes[4_000..].fill(0));
        edit(disk, Path::new("/store/config/timercheck"), |bytes| bytes[56..].fill(0));
    });
    assert_eq!((first, again), (Vec::new(), Vec::new()));
}

#[test]
fn notes_of_queues_and_timer_that_are_damaged_or_gone_are_told_in_one_line() {
    let paths = ["queueends", "timerwheel", "config/timercheck", "config/timerslots"];
    for path in paths.map(|name| Path::new("/store").join(name)) {
        for clean in [true, false] {
            for (what, damage) in DAMAGES {
                is_told_once(clean, &path, what, |disk| edit(disk, &path, damage));
            }
            // After a kill nobody knows whether slots were noted at all.
            if clean || !path.ends_with("timerslots") {
                is_told_once(clean, &path, "missing", |disk| disk.remove(&path).unwrap());
            }
        }
    }
}

#[test]
fn flipped_bits_of_the_timers_files_are_told_in_one_line() {
    let (check, slots) = ("/store/config/timercheck", "/store/config/timerslots");
    let wheel = Path::new("/store/timerwheel");
    let slot = ((NOW + 100_000) / 1_000 % 1_209_600) as usize * 32;
    for clean in [true, false] {
        for at in [0, 7, 20, 47, 60, 2_000, 4_000, 4_020, 4_060, 4_075, 4_080, 4_094] {
            let path = Path::new(check);
            is_told_once(clean, path, &format!("flip {at}"), |disk| edit(disk, path, flip(at)));
        }
        for at in [0, 9, 20, 40, 60, 100] {
            let path = Path::new(slots);
            is_told_once(clean, path, &format!("flip {at}"), |disk| edit(disk, path, flip(at)));
        }
        for at in [slot, slot + 7, slot + 500_003] {
            is_told_once(clean, wheel, &format!("flip {at}"), |disk| edit(disk, wheel, flip(at)));
        }
    }
    // After a kill the newest slots may not be written yet.
    for at in [slot + 12, slot + 20, slot + 27] {
        is_told_once(true, wheel, &format!("flip {at}"), |disk| edit(disk, wheel, flip(at)));
    }
}

#[test]
fn damaged_index_files_are_told_in_one_line() {
    let all = files(&filled(true), "/store/index");
    let (_, full) = all.split_last().unwrap();
    let tell = |clean: bool, path: &Path, what: &str, damage: &dyn Fn(&mut Vec<u8>)| {
        let [first, again] = told(clean, |disk| edit(disk, path, damage));
        let first: Vec<_> =
            first.into_iter().filter(|line| !line.contains("did not stop cleanly")).collect();
        let what = format!("clean {clean}, {}: {what}: {first:#?}", path.display());
        assert!(first.len() == 1 && first[0].contains("/store/index"), "{what}");
        assert_eq!(again, [""; 0], "{what}");
    };
    for path in &all {
        for (what, damage) in DAMAGES {
            tell(true, path, what, &damage);
            tell(false, path, what, &damage);
        }
        // Times and offsets of the first and the last record, and the number of entries.
        for at in [2, 7, 18, 22, 23, 26, 30, 31, 33, 38, 39] {
            tell(true, path, &format!("flip {at}"), &flip(at));
        }
    }
    // Of the last file a kill leaves anything.
    for path in full {
        for at in [2, 7, 18, 22, 23, 26, 30, 31, 38] {
            tell(false, path, &format!("flip {at}"), &flip(at));
        }
    }
    let last = all.last().unwrap();
    for at in [10, 15] {
        tell(true, last, &format!("flip {at}"), &flip(at));
    }
}

/// The time of the newest key stands in the checkpoint without a sum. One that is too low costs no
/// file of the index; one that is too high has the log read for keys that may be missing.
#[test]
fn a_wrong_index_time_in_the_checkpoint_costs_no_index_file() {
    let checkpoint = Path::new("/store/checkpoint");
    for bit in 0..64 {
        let (at, mask) = (16 + bit / 8, 0x80 >> (bit % 8));
        let mut is_lower = false;
        let [first, again] = told(true, |disk| {
            edit(disk, checkpoint, |bytes| {
                bytes[at] ^= mask;
                is_lower = bit == 0 || bytes[at] & mask == 0;
            });
        });
        assert_eq!(first.len(), usize::from(!is_lower), "bit {bit}: {first:#?}");
        assert!(!first.iter().any(|line| line.contains("an index file is damaged")), "{first:#?}");
        assert_eq!(again, [""; 0], "bit {bit}");
    }
}
