//! A log file that somebody made shorter while the store is open.

use crate::support::*;
use simulator::lines_of;
use std::sync::Arc;
use store::{Disk, OsDisk};

#[test]
fn what_a_shortened_log_file_has_lost_is_passed_over_and_told_in_few_lines() {
    let dir = TempDir::new();
    let settings = store::Settings { commit_log_file_bytes: 256 << 10, ..small(dir.path()) };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    let body = |number: i64| format!("{number:04}");
    let mut end = 0;
    for number in 0..500 {
        end = append(&store, NOW, draft("T", 0, &body(number))).log_end();
    }
    store.flush(NOW).unwrap();
    let path = settings.commit_log_path().join(format!("{:020}", 0));
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(8_192).unwrap();
    let kept = 8_192 / (end / 500);
    let ((), lines) = lines_of(|| {
        let found = bodies_by_offset(&store, "T", 0);
        let expected: Vec<i64> = (0..kept).collect();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
    });
    assert!(lines.len() < 40, "{} lines, first {:#?}", lines.len(), &lines[..4]);
    let aside = store.set_aside().ranges();
    assert!(aside.len() == 1 && aside[0].to == end, "{aside:?}");
    // What comes after is stored where it would have been, and read.
    for number in 500..510 {
        append(&store, NOW + 1, draft("T", 0, &body(number)));
    }
    let found = bodies_by_offset(&store, "T", 0);
    let expected: Vec<i64> = (0..kept).chain(500..510).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
    assert_eq!(found[&509], body(509));
    assert_eq!(store.set_aside().ranges(), aside);
}

#[test]
fn what_was_mapped_of_a_shortened_file_is_not_touched_after_the_next_flush() {
    let dir = TempDir::new();
    let settings = store::Settings { commit_log_file_bytes: 256 << 10, ..small(dir.path()) };
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    for number in 0..500 {
        append(&store, NOW, draft("T", 0, &format!("{number:04}")));
    }
    assert_eq!(bodies(&store, "T", 0).len(), 500, "all of it is mapped now");
    let path = settings.commit_log_path().join(format!("{:020}", 0));
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(8_192).unwrap();
    store.flush(NOW).unwrap();
    let found = bodies_by_offset(&store, "T", 0);
    assert!((1..500).contains(&found.len()), "{}", found.len());
}
