//! What goes in comes out: appends, reads, queries, restarts.

use crate::bad_disk::BadDisk;
use crate::support::*;
use message::{Draft, names, property, sys_flag};
use simulator::SimDisk;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use store::{
    Append, AppendError, Boundary, Disk, Error, Filter, FlushMode, Limits, Position, ReadStatus,
    Settings, Wait,
};

#[test]
fn messages_come_back_after_rolls_and_restarts() {
    on_both_disks(|disk, settings| {
        let mut expected = Vec::new();
        for round in 0..4 {
            let store = open(&disk, &settings);
            assert!(store.was_clean());
            assert_eq!(bodies(&store, "T", 1), expected);
            for number in 0..70 {
                let body = format!("{round}-{number}");
                let appended = append(&store, NOW + number, draft("T", 1, &body));
                assert_eq!(appended.queue_offset, expected.len() as i64);
                expected.push(body);
                append(&store, NOW + number, draft("Other", 0, "other"));
            }
            assert_eq!(bodies(&store, "T", 1), expected);
            store.flush(NOW + 100).unwrap();
            store.close().unwrap();
        }
        let store = open(&disk, &settings);
        assert!(store.max_log_offset() > 4 * (16 << 10), "the log rolled");
        assert_eq!(store.max_offset("Other", 0), 280);
        assert_eq!(store.max_offset("Nobody", 0), 0);
    });
}

#[test]
fn a_kill_loses_nothing() {
    on_both_disks(|disk, settings| {
        let mut expected = Vec::new();
        for round in 0..4 {
            let store = open(&disk, &settings);
            assert_eq!(store.was_clean(), round == 0);
            for number in 0..70 {
                let body = format!("{round}-{number}");
                append(&store, NOW + number, draft("T", 1, &body));
                expected.push(body);
            }
            drop(store);
        }
        let store = open(&disk, &settings);
        assert_eq!(bodies(&store, "T", 1), expected);
        for body in &expected {
            let found = store.query("T", &format!("key-{body}"), 32, (0, i64::MAX));
            assert_eq!(found.records.len(), 1, "{body}");
            assert_eq!(record_of(&found.records[0]).body, body.as_bytes());
        }
    });
}

#[test]
fn a_batch_of_appends_is_one_write_and_each_has_its_outcome() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let mut list = [
            Append::one(draft("A", 0, "one")),
            Append::one(draft("", 0, "refused")),
            Append::batch(vec![draft("A", 0, "two"), draft("A", 0, "three")]),
            Append::one(draft("../B", 0, "refused")),
            Append::one(draft("B", 3, "four")),
            Append::batch(vec![]),
        ];
        store.append(NOW, &mut list);
        let queue_offsets = list.each_ref().map(|one| one.outcome.map(|a| a.queue_offset));
        assert_eq!(queue_offsets[0], Ok(0));
        assert!(matches!(queue_offsets[1], Err(AppendError::Draft(_))));
        assert_eq!(queue_offsets[2], Ok(1));
        assert_eq!(queue_offsets[3], Err(AppendError::TopicName));
        assert_eq!(queue_offsets[4], Ok(0));
        assert_eq!(queue_offsets[5], Err(AppendError::Empty));
        assert_eq!(list[2].outcome.unwrap().count, 2);
        assert_eq!(store.stats().batches(), 1);
        assert_eq!((store.stats().messages(), store.stats().refused()), (4, 3));
        assert_eq!(bodies(&store, "A", 0), ["one", "two", "three"]);
        assert_eq!(bodies(&store, "B", 3), ["four"]);
    });
}

#[test]
fn reads_answer_as_java() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let check = |offset: i64, status: ReadStatus, next: i64| {
            let found = read(&store, "T", 0, offset);
            assert_eq!((found.status, found.next_offset), (status, next), "at {offset}");
        };
        check(5, ReadStatus::NoMatchedLogicQueue, 0);
        for number in 0..60 {
            append(&store, NOW + number, draft("T", 0, &number.to_string()));
        }
        check(-1, ReadStatus::OffsetTooSmall, 0);
        check(0, ReadStatus::Found, 32);
        // One queue file a read: 50 units.
        check(32, ReadStatus::Found, 50);
        check(59, ReadStatus::Found, 60);
        check(60, ReadStatus::OffsetOverflowOne, 60);
        check(61, ReadStatus::OffsetOverflowBadly, 60);
        let limits = Limits { max_bytes: 1, ..Limits::messages(32) };
        let position = Position { topic: "T", queue_id: 0, offset: 7 };
        let found = store.read(position, limits, &store::Everything);
        assert_eq!((found.messages.len(), found.next_offset), (1, 8));
        let found = store.read(position, Limits::messages(5), &OnlyBody("9"));
        assert_eq!((found.messages.len(), found.next_offset), (1, 50));
        let found = store.read(position, Limits::messages(5), &OnlyBody("none"));
        assert_eq!((found.status, found.next_offset), (ReadStatus::NoMatchedMessage, 50));
    });
}

struct OnlyBody(&'static str);

impl Filter for OnlyBody {
    fn wants_tags_code(&self, tags_code: i64) -> bool {
        assert_eq!(tags_code, 2_598_919);
        true
    }
    fn wants_record(&self, record: &[u8]) -> bool {
        record_of(record).body == self.0.as_bytes()
    }
}

#[test]
fn offsets_by_time() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        // More than are read at once.
        for number in 0..600 {
            append(&store, NOW + number / 3 * 10, draft("T", 0, &number.to_string()));
        }
        let check = |time: i64, lower: i64, upper: i64| {
            for (end, expected) in [(Boundary::Lower, lower), (Boundary::Upper, upper)] {
                assert_eq!(store.offset_by_time("T", 0, NOW + time, end), expected);
                let now = store.offset_by_time_now(("T", 0), NOW + time, end, Wait::Never);
                assert_eq!(now, Ok(expected), "all of it is in memory");
            }
        };
        check(-1, 0, 0);
        check(0, 0, 2);
        check(10, 3, 5);
        check(15, 6, 5);
        check(190, 57, 59);
        check(1_995, 600, 599);
        for third in 0..200 {
            check(third * 10, third * 3, third * 3 + 2);
        }
        assert_eq!(store.store_time("T", 0, 4), Some(NOW + 10));
        assert_eq!(store.earliest_store_time("T", 0), Some(NOW));
        assert_eq!(store.earliest_log_time(), Some(NOW));
    });
}

#[test]
fn queries_by_key_find_the_newest_within_their_times() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let mut offsets = Vec::new();
        for number in 0..150 {
            let mut one = draft("T", 0, &number.to_string());
            one.properties = format!("{}\u{1}shared k{number}\u{2}", property::KEYS).into();
            offsets.push(append(&store, NOW + number * 1_000, one).log_offset);
        }
        let check = |key: &str, max: usize, times: (i64, i64), expected: &[i64]| {
            let found = store.query("T", key, max, (NOW + times.0 * 1_000, NOW + times.1 * 1_000));
            let found: Vec<i64> = found.records.iter().map(|r| record_of(r).log_offset).collect();
            assert_eq!(found, expected, "{key} {times:?}");
        };
        check("k70", 10, (0, 1_000), &offsets[70..71]);
        check("k70", 10, (0, 69), &[]);
        check("nothing", 10, (0, 1_000), &[]);
        check("shared", 5, (0, 1_000), &offsets[145..]);
        check("shared", 1_000, (0, 1_000), &offsets[86..]);
        check("shared", 1_000, (20, 30), &offsets[20..31]);
        let found = store.query("T", "k1", 10, (0, i64::MAX));
        assert_eq!(found.index_last_update_log_offset, offsets[149]);
        assert_eq!(found.index_last_update_timestamp, NOW + 149_000);
    });
}

#[test]
fn half_messages_have_no_queue_offset_and_delayed_ones_their_due_time() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let mut half = draft("T", 0, "half");
        half.sys_flag = sys_flag::TRANSACTION_PREPARED;
        let half = append(&store, NOW, half);
        assert_eq!(half.queue_offset, 0);
        assert_eq!(store.max_offset("T", 0), 0);
        let stored = store.message_at(half.log_offset).unwrap();
        assert_eq!(record_of(&stored).body, b"half");
        let mut delayed = draft(names::SCHEDULE_TOPIC, 2, "later");
        delayed.properties = format!("{}\u{1}3\u{2}", property::DELAY).into();
        append(&store, NOW, delayed);
        let unit = store.unit(names::SCHEDULE_TOPIC, 2, 0).unwrap();
        assert_eq!(unit.tags_code, NOW + 10_000);
        store.close().unwrap();
        drop(store);
        let store = open(&disk, &settings);
        assert_eq!(store.max_log_offset(), unit.log_end());
    });
}

#[test]
fn under_sync_flush_readers_see_only_what_is_durable() {
    on_both_disks(|disk, settings| {
        let settings = Settings { flush_mode: FlushMode::Sync, ..settings };
        let store = open(&disk, &settings);
        let appended = append(&store, NOW, draft("T", 0, "one"));
        assert_eq!(store.max_offset("T", 0), 0);
        assert!(store.message_at(appended.log_offset).is_none());
        assert_eq!(store.dispatch_behind(), appended.size);
        assert_eq!(store.sync().unwrap(), appended.log_end());
        assert_eq!(bodies(&store, "T", 0), ["one"]);
    });
}

/// What is written to the log when records of these sizes are appended one by one.
fn log_writes(flush_mode: FlushMode, sizes: &[usize]) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
    let bad = BadDisk::new(Arc::new(SimDisk::new(7)));
    let disk: Arc<dyn Disk> = Arc::new(bad.clone());
    let settings = small(Path::new("/store"));
    let settings = Settings { flush_mode, commit_log_file_bytes: 640 << 10, ..settings };
    let store = open(&disk, &settings);
    let records = sizes.iter().map(|size| {
        let body = vec![b'x'; *size].into();
        let appended = append(&store, NOW, Draft { body, ..draft("T", 0, "x") });
        appended.log_offset as u64..appended.log_end() as u64
    });
    let records = records.collect();
    (records, bad.writes_to(Path::new("/store/commitlog/00000000000000000000")))
}

#[test]
fn under_sync_flush_new_blocks_of_the_log_are_written_with_zeros_behind_the_records() {
    let sizes = [100, 100, 200_000, 200, 100_000, 100, 250_000];
    let (records, writes) = log_writes(FlushMode::Async, &sizes);
    assert_eq!(writes, records);
    let (records, writes) = log_writes(FlushMode::Sync, &sizes);
    let mut expected = records.clone();
    for (at, end) in [(0, 256 << 10), (4, 512 << 10), (6, 640 << 10)] {
        expected[at].end = end;
    }
    assert_eq!(writes, expected);
    assert!(records.last().unwrap().end < 640 << 10, "the file ends behind them");
}

#[test]
fn a_store_is_locked_and_a_closed_one_stores_nothing() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let second = store::Store::open(disk.clone(), settings.clone());
        assert!(matches!(second, Err(Error::Locked { .. })));
        store.close().unwrap();
        let mut list = [Append::one(draft("T", 0, "late"))];
        store.append(NOW, &mut list);
        assert_eq!(list[0].outcome, Err(AppendError::Closed));
    });
}

#[test]
fn deleted_topics_begin_anew() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        append(&store, NOW, draft("T", 0, "one"));
        append(&store, NOW, draft("U", 0, "two"));
        assert_eq!(store.delete_topics(["T", "Nobody"]).unwrap(), 1);
        assert_eq!(store.topics(), ["U"]);
        assert_eq!(append(&store, NOW, draft("T", 0, "three")).queue_offset, 0);
        assert_eq!(bodies(&store, "T", 0), ["three"]);
    });
}

#[test]
fn configuration_files_keep_their_former_content() {
    on_both_disks(|disk, settings| {
        let store = open(&disk, &settings);
        let number = |text: &str| text.parse::<u32>().ok();
        let config = store.config();
        assert_eq!(config.load("a.json", number), None);
        config.save("a.json", "1").unwrap();
        config.save("a.json", "2").unwrap();
        assert_eq!(config.load("a.json", number), Some(2));
        config.save("a.json", "broken").unwrap();
        assert_eq!(config.load("a.json", number), Some(2));
    });
}
