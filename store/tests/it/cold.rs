//! Reading what is not in memory: who may wait for the disk gets it, who may not is told so and
//! nothing is passed over.

use crate::bad_disk::BadDisk;
use crate::recovery::{fill, log_path, settings, sim};
use crate::support::*;
use std::path::Path;
use std::sync::Arc;
use store::{Everything, Limits, Position, Read, ReadStatus, Store, Wait};

const COUNT: i64 = 20;
const QUEUE: &str = "/store/consumequeue/T/0/00000000000000000000";

/// A store that was opened again: nothing in it counts as recent.
fn reopened() -> (BadDisk, Store, Vec<i64>) {
    let disk = sim();
    let store = open(&disk, &settings());
    let places = fill(&store, "T", 0..COUNT).iter().map(|stored| stored.log_offset).collect();
    store.close().unwrap();
    drop(store);
    let (bad, disk) = BadDisk::around(disk);
    let store = open(&disk, &settings());
    (bad, store, places)
}

fn read_by(store: &Store, offset: i64, wait: Wait) -> Read {
    let position = Position { topic: "T", queue_id: 0, offset };
    store.read(position, Limits { wait, ..Limits::messages(32) }, &Everything)
}

fn found(read: &Read) -> Vec<i64> {
    read.messages.iter().map(|bytes| record_of(bytes).queue_offset).collect()
}

#[test]
fn what_is_in_memory_needs_no_patience() {
    let (_, store, _) = reopened();
    let read = read_by(&store, 0, Wait::Never);
    assert_eq!((read.status, found(&read)), (ReadStatus::Found, (0..COUNT).collect()));
    assert_eq!(read, read_by(&store, 0, Wait::ForDisk));
}

#[test]
fn without_patience_a_read_ends_before_the_first_message_that_is_not_in_memory() {
    let (bad, store, places) = reopened();
    bad.make_cold(&log_path(0), places[7] as u64..u64::MAX);
    let read = read_by(&store, 0, Wait::Never);
    assert_eq!((found(&read), read.next_offset), ((0..7).collect(), 7));
    let read = read_by(&store, 7, Wait::Never);
    assert_eq!((read.status, found(&read)), (ReadStatus::NotInMemory, vec![]));
    let read = read_by(&store, 7, Wait::ForDisk);
    assert_eq!((read.status, found(&read)), (ReadStatus::Found, (7..COUNT).collect()));
}

#[test]
fn a_queue_file_that_is_not_in_memory_is_not_waited_for() {
    let (bad, store, _) = reopened();
    bad.make_cold(Path::new(QUEUE), 0..u64::MAX);
    assert_eq!(read_by(&store, 3, Wait::Never).status, ReadStatus::NotInMemory);
    assert_eq!(found(&read_by(&store, 3, Wait::ForDisk)), (3..COUNT).collect::<Vec<_>>());
    // What is written now is in memory, whatever the disk says.
    fill(&store, "T", COUNT..COUNT + 1);
    assert_eq!(found(&read_by(&store, COUNT, Wait::Never)), [COUNT]);
}

#[test]
fn damage_is_looked_into_by_those_who_wait() {
    let (bad, store, places) = reopened();
    bad.make_unreadable(&log_path(0), places[2] as u64..places[2] as u64 + 1);
    assert_eq!(found(&read_by(&store, 0, Wait::Never)), [0, 1]);
    assert_eq!(read_by(&store, 2, Wait::Never).status, ReadStatus::NotInMemory);
    let all = found(&read_by(&store, 2, Wait::ForDisk));
    assert_eq!(all, (3..COUNT).collect::<Vec<_>>(), "its neighbours are not lost with it");
}

#[test]
fn a_query_by_key_holds_up_nobody() {
    let (bad, store, _) = reopened();
    let store = Arc::new(store);
    let (tell, told) = std::sync::mpsc::channel();
    let other = store.clone();
    // The disk takes its time; meanwhile keys are put, as by every flush.
    bad.before_read(Path::new("/store/index"), move || {
        let (tell_flushed, flushed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            fill(&other, "T", COUNT..COUNT + 1);
            tell_flushed.send(other.flush(NOW + 60_000).is_ok())
        });
        let in_time = flushed.recv_timeout(std::time::Duration::from_secs(10));
        tell.send(in_time).unwrap();
    });
    let found = store.query("T", "key-0003", 32, (0, i64::MAX));
    assert_eq!(told.recv().unwrap(), Ok(true), "a flush waits for a query");
    assert_eq!(found.records.len(), 1);
}
