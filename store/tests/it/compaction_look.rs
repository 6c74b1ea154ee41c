//! Looking at compacted queues without opening the store.

use crate::compaction::{TOPIC, begin, compacting, with_key};
use crate::look::parse;
use crate::preflight::refusal;
use crate::support::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::look::{Checked, Damage, Effect, Kind, Look, Target, sizes_of};
use store::{Disk, OsDisk, Settings, TimerFiles};

const UNIT: usize = 46;
const COUNT: i64 = 31;

/// A store of 31 messages in three complete files and one that is not, which was closed.
fn closed(dir: &TempDir) -> Settings {
    let (disk, settings): (Arc<dyn Disk>, _) = (Arc::new(OsDisk), compacting(dir.path()));
    let store = begin(&disk, &settings);
    for at in 0..COUNT {
        append(&store, NOW + at, with_key(&format!("u{at}"), &at.to_string()));
    }
    store.close().unwrap();
    settings
}

fn look(settings: &Settings) -> Look<'_> {
    Look { disk: &OsDisk, settings, parse: &parse, needed: &[], watch: &|_| {} }
}

fn check(settings: &Settings) -> Checked {
    look(settings).check().unwrap()
}

fn files(dir: &TempDir, kind: &str) -> Vec<PathBuf> {
    let dir = dir.path().join("compaction").join(kind).join(TOPIC).join("0");
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    all.sort();
    all
}

/// What is found while a bit at a byte is another one.
fn with_flip(settings: &Settings, path: &Path, at: usize) -> Vec<Damage> {
    let good = fs::read(path).unwrap();
    let mut bad = good.clone();
    bad[at] ^= 4;
    fs::write(path, bad).unwrap();
    let found = check(settings);
    fs::write(path, good).unwrap();
    assert_eq!(found.sound, found.damage.is_empty());
    found.damage
}

#[test]
fn what_is_whole_is_sound_also_for_who_knows_no_sizes() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    let mut told = Settings { root: settings.root.clone(), ..small(dir.path()) };
    sizes_of(&OsDisk, &mut told).unwrap();
    for settings in [settings, told] {
        let found = check(&settings);
        assert!(found.sound, "{found:#?}");
        assert_eq!((found.compacted_queues, found.compacted_records), (1, COUNT as u64));
        let [view] = &look(&settings).survey().unwrap().compacted[..] else { panic!("one queue") };
        assert_eq!((view.topic.as_str(), view.id, view.files), (TOPIC, 0, 4));
        assert_eq!((view.messages, view.first, view.last), (COUNT as u64, 0, COUNT - 1));
        let mut offsets = Vec::new();
        let mut show = |found: store::look::Dumped| {
            assert_eq!(found.problem, None);
            offsets.push(found.unit.unwrap().0);
        };
        look(&settings).dump_compacted((TOPIC, 0), Some(8), 3, &mut show).unwrap();
        assert_eq!(offsets, [8, 9, 10]);
        assert!(look(&settings).dump_compacted((TOPIC, 1), None, 1, &mut |_| {}).is_err());
    }
}

#[test]
fn a_flipped_bit_of_each_file_is_found_at_its_place() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    let (logs, units) = (files(&dir, "compactionLog"), files(&dir, "compactionCq"));
    for (file, places) in [(0, [0, 4, 8]), (1, [0, 4, 8]), (3, [0, 1, 3])] {
        for place in places {
            let unit = fs::read(&units[file]).unwrap()[place * UNIT..][..20].to_vec();
            let number = |range: std::ops::Range<usize>| {
                unit[range].iter().fold(0, |all, byte| all << 8 | usize::from(*byte))
            };
            let start: usize = logs[file].file_name().unwrap().to_str().unwrap().parse().unwrap();
            let (at, size) = (number(0..8) - start, number(8..12));
            // The magic, its place in the log, and the body.
            for byte in [4, 35, size - 100] {
                let found = with_flip(&settings, &logs[file], at + byte);
                let record = found.iter().find(|it| it.kind == Kind::CompactedRecord);
                let record = record.unwrap_or_else(|| panic!("{file} {place} {byte}: {found:?}"));
                let first = (record.count, Path::new(&record.first.file), record.first.at);
                assert_eq!(first, (1, &*logs[file], at as u64), "{file} {place} {byte}: {found:?}");
                assert_eq!(found.len(), 1, "{found:?}");
            }
            // Place, size, tags, time, queue offset, count.
            for byte in [7, 11, 19, 27, 35, 37] {
                let found = with_flip(&settings, &units[file], place * UNIT + byte);
                let unit = found.iter().find(|it| it.kind == Kind::CompactedUnit);
                let unit = unit.unwrap_or_else(|| panic!("{file} {place} {byte}: {found:?}"));
                let first = (Path::new(&unit.first.file), unit.first.at);
                assert_eq!(first, (&*units[file], (place * UNIT) as u64), "{byte}: {found:?}");
                assert_eq!(found.len(), 1, "{found:?}");
            }
        }
    }
}

/// What is behind is shown.
#[test]
fn a_hole_in_the_units_is_not_their_end() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    let path = &files(&dir, "compactionCq")[1];
    let mut bytes = fs::read(path).unwrap();
    let hole = bytes.len() / UNIT / 2;
    let base = bytes[hole * UNIT..][28..36].try_into().map(i64::from_be_bytes).unwrap();
    bytes[hole * UNIT..][..UNIT].fill(0);
    fs::write(path, bytes).unwrap();
    let mut offsets = Vec::new();
    let mut show = |found: store::look::Dumped| offsets.push(found.unit.unwrap().0);
    look(&settings).dump_compacted((TOPIC, 0), None, 100, &mut show).unwrap();
    assert_eq!(offsets, (0..COUNT).filter(|at| *at != base).collect::<Vec<_>>());
}

#[test]
fn how_far_the_timer_came_is_shown_and_damage_to_it_told() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    assert!(look(&settings).survey().unwrap().timer.is_none());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    let files = TimerFiles { precision_ms: 1_000, log_file_bytes: 52 * 10 };
    store.timer(files, NOW, &|_| {}).unwrap().close(true, NOW).unwrap();
    store.close().unwrap();
    assert!(look(&settings).survey().unwrap().timer.is_some());
    assert!(check(&settings).sound);
    let path = dir.path().join("config/timercheck");
    let mut bytes = fs::read(&path).unwrap();
    (bytes[0], bytes[4_000]) = (0xff, 0xff);
    fs::write(&path, bytes).unwrap();
    let found = check(&settings).damage;
    assert_eq!((found[0].kind, Path::new(&found[0].first.file)), (Kind::Config, &*path));
    assert!(look(&settings).survey().unwrap().timer.is_none());
}

#[test]
fn files_that_are_missing_cut_or_half_replaced_are_told() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    let kinds =
        |settings: &Settings| check(settings).damage.iter().map(|it| it.kind).collect::<Vec<_>>();
    let (logs, units) = (files(&dir, "compactionLog"), files(&dir, "compactionCq"));
    let aside = dir.path().join("aside");
    fs::rename(&units[1], &aside).unwrap();
    assert_eq!(kinds(&settings), [Kind::CompactedUnit]);
    assert!(refusal(&settings, Target::Java55).is_some_and(|why| why.contains("not there")));
    assert_eq!(refusal(&settings, Target::Rockhopper), None);
    fs::rename(&aside, &units[1]).unwrap();
    fs::rename(&logs[1], &aside).unwrap();
    assert_eq!(kinds(&settings), [Kind::CompactedFileMissing]);
    assert!(refusal(&settings, Target::Java55).is_some_and(|why| why.contains("though its units")));
    assert_eq!(refusal(&settings, Target::Rockhopper), None);
    let told = look(&settings).preflight(Target::Rockhopper).unwrap();
    assert!(!told.safe && told.verdicts[0].effect == Effect::Loses, "{told:?}");
    fs::rename(&aside, &logs[1]).unwrap();
    let whole = fs::read(&logs[2]).unwrap();
    fs::write(&logs[2], &whole[..whole.len() - 1]).unwrap();
    assert_eq!(kinds(&settings).first(), Some(&Kind::CompactedFile));
    for target in [Target::Java55, Target::Rockhopper] {
        assert!(refusal(&settings, target).is_some_and(|why| why.contains("bytes")), "{target:?}");
    }
    fs::write(&logs[2], &whole).unwrap();
    let doomed = logs[0].with_extension("delete");
    fs::write(&doomed, "").unwrap();
    assert_eq!(kinds(&settings), []);
    assert!(refusal(&settings, Target::Java53).is_some_and(|why| why.contains("under way")));
    assert_eq!(refusal(&settings, Target::Rockhopper), None);
    fs::remove_file(doomed).unwrap();
    fs::write(dir.path().join("compaction/position-checkpoint"), "{").unwrap();
    assert_eq!(kinds(&settings), [Kind::Config]);
}

/// A file that a compaction could not read is nobody's any more: whoever counts bytes, and whoever
/// looks, is told of it until it is gone.
#[test]
fn what_a_compaction_moved_aside_is_counted_and_shown_until_it_is_removed() {
    let dir = TempDir::new();
    let settings = closed(&dir);
    let damaged = dir.path().join("compaction/damaged").join(TOPIC).join("0");
    fs::create_dir_all(&damaged).unwrap();
    let path = damaged.join("00000000000000000000.1");
    let bytes = |expected: usize| {
        let survey = look(&settings).survey().unwrap();
        let view = &survey.compacted[0];
        assert_eq!(view.damaged_bytes as usize, expected);
        assert_eq!(view.damaged_files, usize::from(expected > 0));
        let found = check(&settings);
        assert!(found.sound, "{found:#?}");
        let told = found.notes.iter().any(|note| note.contains(&path.display().to_string()));
        assert_eq!(told, expected > 0, "{:#?}", found.notes);
        let store = begin(&(Arc::new(OsDisk) as Arc<dyn Disk>), &settings);
        let bytes = store.store_bytes();
        store.close().unwrap();
        bytes
    };
    let usual = bytes(0);
    fs::write(&path, vec![7; 5_000]).unwrap();
    assert_eq!(bytes(5_000), usual + 5_000);
    let store = begin(&(Arc::new(OsDisk) as Arc<dyn Disk>), &settings);
    fs::remove_file(&path).unwrap();
    store.compact(&|| true).unwrap();
    let left = store.store_bytes();
    store.close().unwrap();
    drop(store);
    assert_eq!(bytes(0), left);
}
