//! Files under `config` that the medium changed: what was saved last, or the `.bak`, is used and
//! that is told; what somebody else wrote counts as it is.

use crate::verify::check;
use simulator::{Loss, Op, SimDisk, lines_of};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::{ConfigFiles, ConfigOrigin, Disk};

const NAME: &str = "a.json";
const BEGIN: i64 = 1_700_000_000_123;

/// A disk with two saves of a file on it, the second of which reads "version 0002".
fn saved() -> (SimDisk, ConfigFiles) {
    let disk = SimDisk::new(7);
    let files = open(&disk);
    disk.set_clock(BEGIN);
    files.save(NAME, "version 0001").unwrap();
    disk.set_clock(BEGIN + 500);
    files.save(NAME, "version 0002").unwrap();
    disk.set_clock(BEGIN + 9_000);
    (disk, files)
}

fn open(disk: &SimDisk) -> ConfigFiles {
    ConfigFiles::new(Arc::new(disk.clone()), Path::new("/store"))
}

fn path(name: &str) -> PathBuf {
    Path::new("/store/config").join(name)
}

/// Changes a byte of a file, which keeps its time.
fn flip(disk: &SimDisk, name: &str, at: usize, bits: u8) {
    let listed = disk.list(Path::new("/store/config")).unwrap();
    let listed = listed.iter().find(|file| file.name == name).unwrap();
    let now = disk.clock();
    disk.set_clock(listed.modified);
    let file = disk.open(&path(name), listed.len, Allocation::Reserved).unwrap();
    let mut byte = [0];
    file.read_at(at as u64, &mut byte).unwrap();
    file.write_at(at as u64, &[byte[0] ^ bits]).unwrap();
    disk.set_clock(now);
}

/// What a start reads, from where, and how it is told.
fn load(files: &ConfigFiles) -> (Option<String>, ConfigOrigin, Vec<String>) {
    let number = |text: &str| text.strip_prefix("version ").map(str::to_owned);
    let ((read, origin), lines) = lines_of(|| files.load_from(NAME, number));
    (read, origin, lines)
}

fn own(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn one_wrong_bit_is_mended_and_told_once() {
    for at in 0..12 {
        for bit in 0..8 {
            let (disk, _) = saved();
            flip(&disk, NAME, at, 1 << bit);
            let (read, origin, lines) = load(&open(&disk));
            assert_eq!((read, origin), (own("0002"), ConfigOrigin::File), "{at}, {bit}");
            assert!(lines.len() == 1 && lines[0].starts_with("WARN"), "{lines:?}");
            assert!(lines[0].contains("a.json was damaged where it lies"), "{lines:?}");
            assert!(lines[0].contains(&format!("in byte {at}, and is mended")), "{lines:?}");
            let content = disk.content(&path(NAME)).unwrap();
            assert_eq!(content, b"version 0002", "so that another broker reads it too");
            assert_eq!(load(&open(&disk)).2, [""; 0]);
        }
    }
}

#[test]
fn where_more_is_wrong_the_bak_is_used() {
    let (disk, _) = saved();
    flip(&disk, NAME, 11, 0b11);
    let files = open(&disk);
    let (read, origin, lines) = load(&files);
    assert_eq!((read, origin), (own("0001"), ConfigOrigin::Backup));
    assert!(lines[0].contains("more than one bit is wrong. It is passed over"), "{lines:?}");
    assert!(lines[1].contains("a.json.bak is used"), "{lines:?}");
    // What has a wrong bit itself is mended.
    flip(&disk, "a.json.bak", 11, 0b100);
    assert_eq!(load(&open(&disk)).0, own("0001"));
    flip(&disk, "a.json.bak", 11, 0b110);
    let (read, origin, _) = load(&open(&disk));
    assert_eq!((read, origin), (None, ConfigOrigin::Damaged), "both are wrong");
    // The next save keeps both for a person.
    files.save(NAME, "version 0003").unwrap();
    assert!(disk.content(&path("a.json.in-the-way")).is_some());
    assert_eq!(load(&open(&disk)).0, own("0003"));
}

#[test]
fn what_somebody_else_wrote_counts() {
    let (disk, files) = saved();
    for text in ["version 0009", "version 7"] {
        disk.replace(&path(NAME), text.as_bytes(), None).unwrap();
        for files in [&files, &open(&disk)] {
            let (read, origin, lines) = load(files);
            assert_eq!((read, origin), (own(&text[8..]), ConfigOrigin::File));
            assert_eq!(lines, [""; 0]);
        }
    }
}

/// The notes are only a hint: whatever became of them, the files count as they did without.
#[test]
fn damaged_notes_say_nothing() {
    let (disk, _) = saved();
    let whole = disk.content(&path("sums")).unwrap();
    let end = whole.iter().position(|byte| *byte == 0).unwrap();
    for at in 0..end {
        disk.replace(&path("sums"), &whole, None).unwrap();
        flip(&disk, "sums", at, 4);
        let (read, _, lines) = load(&open(&disk));
        assert_eq!((read, lines), (own("0002"), vec![]), "{at}");
    }
    for junk in [&b""[..], b"\xff\n\n 1 2 3", &[0; 20_000]] {
        disk.replace(&path("sums"), junk, None).unwrap();
        let files = open(&disk);
        assert_eq!(load(&files).0, own("0002"));
        files.save(NAME, "version 0003").unwrap();
        flip(&disk, NAME, 11, 1);
        assert_eq!(load(&open(&disk)).0, own("0003"), "they are written anew");
        disk.set_clock(disk.clock() + 70);
        files.save(NAME, "version 0002").unwrap();
    }
}

#[test]
fn a_note_that_cannot_be_written_is_no_error() {
    let (disk, files) = saved();
    disk.fail(Op::Write, 0, true);
    let (saved, lines) = lines_of(|| files.save(NAME, "version 0003"));
    saved.unwrap();
    assert_eq!(lines, [""; 0]);
    assert_eq!(load(&open(&disk)).0, own("0003"));
    // This process knows all the same.
    assert_eq!(load(&files).0, own("0003"));
}

/// Whatever power loss leaves of file and note, nothing sound is called damaged.
#[test]
fn power_loss_makes_no_damage() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        disk.set_clock(BEGIN);
        let mut durable = 0;
        for round in 1..20_u32 {
            let files = open(&disk);
            disk.set_clock(BEGIN + i64::from(round) * 7);
            let dies = (seed + u64::from(round)) % 3 == 0;
            if dies {
                disk.die_after(u64::from(round) % 6);
            }
            let saved = files.save(NAME, &format!("version {round:04}"));
            let is_durable = saved.is_ok();
            if dies {
                disk.lose(Loss::Sectors);
            }
            let (read, origin, lines) = load(&open(&disk));
            let read: u32 = read.map_or(0, |read| read.parse().unwrap());
            let oldest = if is_durable { round } else { durable };
            assert!((oldest..=round).contains(&read), "{seed}: {read} of {oldest} to {round}");
            assert!(origin == ConfigOrigin::File || read < round, "{seed}: {lines:?}");
            assert!(!lines.iter().any(|line| line.contains("damaged where")), "{seed}: {lines:?}");
            durable = read;
        }
    }
}

/// `verify` names it, and changes nothing.
#[test]
fn verify_names_a_bit_that_the_format_does_not_show() {
    let (disk, settings) = (SimDisk::new(3), crate::support::small(Path::new("/store")));
    disk.set_clock(BEGIN);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let store = crate::support::open(&shared, &settings);
    store.config().save("topics.json", "whole").unwrap();
    store.close().unwrap();
    drop(store);
    assert!(check(&*shared, &settings, &[]).sound);
    flip(&disk, "topics.json", 2, 1);
    let damaged = disk.content(&path("topics.json"));
    let found = check(&*shared, &settings, &[]);
    assert!(found.damage[0].why.contains("one bit is wrong, in byte 2"), "{found:#?}");
    assert_eq!(disk.content(&path("topics.json")), damaged);
}

/// On a full disk the text before the former one makes room for the new one.
#[test]
fn a_full_disk_takes_what_is_saved() {
    let disk = SimDisk::new(3);
    let files = open(&disk);
    files.save("full.json", "1").unwrap();
    assert_eq!(
        disk.read(Path::new("/store/config/full.json.bak")).unwrap(),
        b"1",
        "from the first"
    );
    files.save("full.json", "2").unwrap();
    disk.set_room(disk.used(), 0);
    for text in ["3", "4"] {
        files.save("full.json", text).unwrap();
        assert_eq!(open(&disk).text("full.json").as_deref(), Some(text));
    }
    disk.set_room(u64::MAX, 0);
    files.save("full.json", "5").unwrap();
    assert_eq!(disk.read(Path::new("/store/config/full.json.bak")).unwrap(), b"4");
    assert_eq!(files.text("full.json").as_deref(), Some("5"));
}

#[test]
fn a_file_that_is_gone_with_its_copy_is_missed() {
    let disk = SimDisk::new(3);
    disk.set_clock(BEGIN);
    let parse = |text: &str| Some(text.to_owned());
    open(&disk).save("gone.json", "1").unwrap();
    let told = |name: &str| {
        let (_, lines) = lines_of(|| open(&disk).load(name, parse));
        lines.iter().any(|line| line.contains("is missing now"))
    };
    disk.remove(&path("gone.json")).unwrap();
    assert!(!told("gone.json"), "there is the .bak");
    disk.remove(&path("gone.json.bak")).unwrap();
    assert!(told("gone.json"));
    assert!(!told("never.json"), "it was not there before");
}
