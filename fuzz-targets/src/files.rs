//! Files of a store: a small one stops without a word, one of its files is replaced, and it has to
//! open, answer everything and take messages again, twice.

use crate::wire::draft;
use simulator::SimDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Append, Boundary, Disk, Everything, Limits, Position, Settings, Store};

const ROOT: &str = "/store";
const MESSAGES: usize = 12;
/// More than a file has; a longer input says nothing new.
const BYTES_MAX: usize = 64 << 10;

fn settings() -> Settings {
    Settings {
        root: ROOT.into(),
        commit_log_file_bytes: 8 << 10,
        consume_queue_file_bytes: 20 * 50,
        index_slots: 20,
        index_entries: 60,
        ..Settings::default()
    }
}

/// A store with some messages whose process was killed.
fn killed() -> (SimDisk, Arc<dyn Disk>) {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let store = Store::open(disk.clone(), settings()).expect("an empty directory opens");
    for number in 0..MESSAGES {
        let mut list = [Append::one(draft("T", number as i32 % 2, number))];
        store.append(1_700_000_000_000 + number as i64, &mut list);
        list[0].outcome.expect("it has room");
    }
    store.flush(1_700_000_001_000).expect("a healthy disk");
    drop(store);
    sim.kill();
    (sim, disk)
}

fn ask(store: &Store) {
    for topic in store.topics() {
        for queue_id in store.queue_ids(&topic) {
            let mut offset = store.min_offset(&topic, queue_id);
            for _ in 0..4 * MESSAGES {
                let position = Position { topic: &topic, queue_id, offset };
                offset = store.read(position, Limits::messages(8), &Everything).next_offset;
            }
            for end in [Boundary::Lower, Boundary::Upper] {
                store.offset_by_time(&topic, queue_id, 1_700_000_000_005, end);
            }
            store.units(&topic, queue_id, 0, 100);
        }
        for key in ["key-1", "shared", "T#TagA"] {
            store.query(&topic, key, 64, (0, i64::MAX));
        }
    }
    for at in [-1, 0, 7, store.max_log_offset(), i64::MAX] {
        store.message_at(at);
    }
}

fn replaced(path: &Path, data: &[u8]) {
    let (sim, disk) = killed();
    let data = &data[..data.len().min(BYTES_MAX)];
    disk.replace(path, data, None).expect("a healthy disk");
    for _ in 0..2 {
        // A log file of another size may be refused, with words.
        let Ok(store) = Store::open(disk.clone(), settings()) else { return };
        ask(&store);
        let mut list = [Append::one(draft("T", 0, 1))];
        store.append(1_700_000_002_000, &mut list);
        ask(&store);
        store.flush(1_700_000_002_000).expect("a healthy disk");
        drop(store);
        sim.kill();
    }
}

fn content(path: &Path) -> Vec<Vec<u8>> {
    killed().0.content(path).into_iter().collect()
}

fn path(below: &str) -> PathBuf {
    Path::new(ROOT).join(below)
}

const LOG: &str = "commitlog/00000000000000000000";
const QUEUE: &str = "consumequeue/T/0/00000000000000000000";
const INDEX: &str = "index/20231114221320000";
const CHECKPOINT: &str = "checkpoint";

pub(crate) fn log(data: &[u8]) {
    replaced(&path(LOG), data);
}

pub(crate) fn logs() -> Vec<Vec<u8>> {
    content(&path(LOG))
}

pub(crate) fn queue(data: &[u8]) {
    replaced(&path(QUEUE), data);
}

pub(crate) fn queues() -> Vec<Vec<u8>> {
    content(&path(QUEUE))
}

pub(crate) fn index(data: &[u8]) {
    replaced(&path(INDEX), data);
}

pub(crate) fn indexes() -> Vec<Vec<u8>> {
    content(&path(INDEX))
}

pub(crate) fn checkpoint(data: &[u8]) {
    replaced(&path(CHECKPOINT), data);
}

pub(crate) fn checkpoints() -> Vec<Vec<u8>> {
    content(&path(CHECKPOINT))
}
