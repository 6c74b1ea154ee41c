//! The timer's files: each is replaced, and the timer has to open, give back what it can, take what
//! the queue has again, and close.

use crate::wire::draft;
use simulator::SimDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Append, Disk, NotNow, Settings, Store, Timer, TimerFiles, TimerSlot, TimerUnit};

const ROOT: &str = "/store";
const TOPIC: &str = "rmq_sys_wheel_timer";
const NOW: i64 = 1_700_000_000_000;
const FILES: TimerFiles = TimerFiles { precision_ms: 1_000, log_file_bytes: 1_024 };
const MESSAGES: usize = 40;
/// More than a file has; a longer input says nothing new.
const BYTES_MAX: usize = 16 << 10;

fn settings() -> Settings {
    Settings {
        root: ROOT.into(),
        commit_log_file_bytes: 16 << 10,
        consume_queue_file_bytes: 20 * 50,
        index: false,
        ..Settings::default()
    }
}

/// Puts what the queue has and the timer has not.
fn fill(store: &Store, timer: &mut Timer) {
    let from = timer.progress().queue_offset;
    for (at, unit) in (from..).zip(store.units(TOPIC, 0, from, MESSAGES)) {
        let entry = TimerUnit {
            write_ms: NOW,
            slot_ms: NOW + at % 5 * 1_000,
            rolls: at % 7 == 0,
            deletes: at % 9 == 0,
            log_offset: unit.log_offset,
            size: unit.size,
            topic_hash: 5,
        };
        timer.put(&entry).expect("a healthy disk");
    }
}

/// A store with messages that wait, whose process was killed.
fn killed() -> (SimDisk, Arc<dyn Disk>) {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let store = Store::open(disk.clone(), settings()).expect("an empty directory opens");
    for number in 0..MESSAGES {
        let mut list = [Append::one(draft(TOPIC, 0, number))];
        store.append(NOW, &mut list);
        list[0].outcome.expect("it has room");
    }
    let mut timer = store.timer(FILES, NOW, &|_| {}).expect("no files open");
    fill(&store, &mut timer);
    timer.flush(NOW, NOW).expect("a healthy disk");
    store.flush(NOW).expect("a healthy disk");
    for _ in 0..2 {
        timer.mark(&store, NOW).expect("a healthy disk");
    }
    drop((timer, store));
    sim.kill();
    (sim, disk)
}

fn again(store: &Store, at: i64, slot_ms: i64) -> Result<Option<TimerUnit>, NotNow> {
    let unit = store.unit(TOPIC, 0, at);
    Ok(unit.map(|unit| TimerUnit {
        write_ms: NOW,
        slot_ms,
        rolls: false,
        deletes: false,
        log_offset: unit.log_offset,
        size: unit.size.max(1),
        topic_hash: 5,
    }))
}

/// Empties every slot, and makes the files anew where one is damaged.
fn empty(store: &Store, timer: &mut Timer) {
    for _ in 0..2 {
        let mut is_sound = true;
        while let Some(slot_ms) = timer.first() {
            let slot = timer.slot(slot_ms).expect("a healthy disk");
            is_sound &= slot.is_some();
            let slot = match slot {
                Some(slot) => slot,
                None => {
                    let entry = |at| again(store, at, slot_ms);
                    timer.mend(store, slot_ms, entry).expect("a healthy disk");
                    let mended = timer.slot(slot_ms).expect("a healthy disk");
                    mended.unwrap_or_else(|| TimerSlot { slot_ms, ..TimerSlot::default() })
                }
            };
            for place in &slot.places {
                timer.unit(*place).expect("a healthy disk");
                timer.distrust(*place).expect("a healthy disk");
            }
            timer.done(&slot);
        }
        if is_sound {
            return;
        }
        timer.clear(store).expect("a healthy disk");
        fill(store, timer);
    }
    panic!("files that were made anew are damaged");
}

fn replaced(path: &Path, data: &[u8]) {
    let (sim, disk) = killed();
    let data = &data[..data.len().min(BYTES_MAX)];
    disk.replace(path, data, None).expect("a healthy disk");
    for clean in [false, true, true] {
        let store = Store::open(disk.clone(), settings()).expect("the store is sound");
        let mut timer = store.timer(FILES, NOW + 60_000, &|_| {}).expect("a healthy disk");
        let (from, end) = (timer.progress().queue_offset, store.max_offset(TOPIC, 0));
        assert!((0..=end).contains(&from), "it goes on at {from} of {end}");
        assert!(timer.progress().read_ms <= NOW + 60_000);
        fill(&store, &mut timer);
        timer.flush(NOW, NOW).expect("a healthy disk");
        if clean {
            empty(&store, &mut timer);
            timer.expire(store.min_log_offset()).expect("a healthy disk");
            timer.close(true, NOW).expect("a healthy disk");
        }
        drop((timer, store));
        sim.kill();
    }
}

fn path(below: &str) -> PathBuf {
    Path::new(ROOT).join(below)
}

const LOG: &str = "timerlog/00000000000000000000";
const CHECK: &str = "config/timercheck";

pub(crate) fn log(data: &[u8]) {
    replaced(&path(LOG), data);
}

pub(crate) fn logs() -> Vec<Vec<u8>> {
    killed().0.content(&path(LOG)).into_iter().collect()
}

pub(crate) fn check(data: &[u8]) {
    replaced(&path(CHECK), data);
}

pub(crate) fn checks() -> Vec<Vec<u8>> {
    killed().0.content(&path(CHECK)).into_iter().collect()
}

const SLOTS: &str = "config/timerslots";

pub(crate) fn slots(data: &[u8]) {
    replaced(&path(SLOTS), data);
}

pub(crate) fn noted_slots() -> Vec<Vec<u8>> {
    killed().0.content(&path(SLOTS)).into_iter().collect()
}
