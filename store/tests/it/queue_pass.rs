//! The tags codes of queue units are compared with the log beside the work: what asks for tags
//! does not see a message whose unit has a wrong one.

use crate::support::{NOW, TempDir, append, draft, small};
use simulator::lines_of;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use store::{Disk, OsDisk, Settings, Store, UNIT_LEN};

const DAY_MS: i64 = 24 * 3_600_000;
/// Where the tags code begins in a unit.
const TAGS: usize = 12;

fn filled(settings: &Settings) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = Store::open(disk, settings.clone()).unwrap();
    for number in 0..40 {
        append(&store, NOW + number, draft("T", 0, &format!("{number:04}")));
    }
    store.flush(NOW + DAY_MS).unwrap();
    store.sync().unwrap();
    store
}

#[test]
fn a_wrong_tags_code_is_put_right() {
    let dir = TempDir::new();
    let settings = Settings { index: false, ..small(dir.path()) };
    let store = filled(&settings);
    let path = dir.path().join("consumequeue/T/0/00000000000000000000");
    let sound = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut day = 1;
    let mut pass = || {
        day += 1;
        while store.scrub(NOW + day * DAY_MS) > 0 {}
        store.stats().units_mended()
    };
    assert_eq!(pass(), 0, "sound units are left alone");
    // The first four bytes are those of a place in an extension, of which readers ask the record.
    for (number, byte) in (TAGS + 4..UNIT_LEN).chain([TAGS + 4]).enumerate() {
        let at = number * UNIT_LEN + byte;
        file.write_all_at(&[sound[at] ^ 1 << number], at as u64).unwrap();
        let (mended, lines) = lines_of(&mut pass);
        assert_eq!(mended, number as u64 + 1, "byte {byte} of unit {number}");
        assert!(lines.iter().any(|line| line.contains("wrong tags code")), "{lines:#?}");
        assert!(fs::read(&path).unwrap() == sound, "byte {byte} of unit {number}");
    }
    store.close().unwrap();
}

/// Half a unit says nothing of the tags: what a file lacks begins with it.
#[test]
fn a_file_cut_within_a_unit_gets_the_whole_of_it() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let path = dir.path().join("consumequeue/T/0/00000000000000000000");
    let store = filled(&settings);
    store.close().unwrap();
    drop(store);
    let sound = fs::read(&path).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    for rest in [1, 8, TAGS, TAGS + 4, UNIT_LEN - 1] {
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len((39 * UNIT_LEN + rest) as u64)
            .unwrap();
        let store = Store::open(disk.clone(), settings.clone()).unwrap();
        store.close().unwrap();
        drop(store);
        assert!(fs::read(&path).unwrap() == sound, "{rest} bytes of the last unit");
    }
}
