//! Compacted queues after power loss, flipped bits, lost units and reads that fail for the moment.

use crate::bad_disk::BadDisk;
use crate::compaction::*;
use crate::support::*;
use message::record;
use simulator::lines_of;
use simulator::{Loss, Op, SimDisk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, Everything, Limits, Position, Settings, Store};

const UNIT: u64 = 46;

/// Messages of a key each, none of which a compaction leaves out.
fn fill_unique(store: &Store, from: i64, to: i64) {
    for at in from..to {
        let draft = with_key(&format!("u{at}"), &at.to_string());
        assert_eq!(append(store, NOW + at, draft).queue_offset, at);
    }
    store.follow_compacted().unwrap();
}

fn numbers(from: i64, to: i64) -> BTreeMap<i64, String> {
    (from..to).map(|at| (at, at.to_string())).collect()
}

/// A store of 31 messages in three complete files and one that is not, which was closed.
fn closed(seed: u64) -> (SimDisk, Arc<dyn Disk>, Settings) {
    let (sim, disk, settings) = sim(seed);
    let store = begin(&disk, &settings);
    fill_unique(&store, 0, 31);
    store.close().unwrap();
    (sim, disk, settings)
}

fn files(sim: &SimDisk, dir: &str) -> Vec<PathBuf> {
    sim.paths().into_iter().filter(|path| path.starts_with(dir)).collect()
}

fn change(sim: &SimDisk, path: &Path, at: u64, how: impl Fn(&mut [u8])) {
    let len = sim.content(path).unwrap().len() as u64;
    let file = Disk::open(sim, path, len, Allocation::Sparse).unwrap();
    let mut bytes = [0; UNIT as usize];
    file.read_at(at, &mut bytes).unwrap();
    how(&mut bytes);
    file.write_at(at, &bytes).unwrap();
}

/// Where the record of a unit begins in its file.
fn record_at(sim: &SimDisk, file: usize, place: u64) -> u64 {
    let unit = sim.content(&files(sim, UNITS)[file]).unwrap();
    let unit = &unit[(place * UNIT) as usize..];
    let at = i64::from_be_bytes(*unit.first_chunk().unwrap());
    let name = files(sim, LOG)[file].file_name().unwrap().to_str().unwrap().to_owned();
    (at - name.parse::<i64>().unwrap()) as u64
}

#[test]
fn what_the_log_kept_comes_back_into_holes_of_the_last_file() {
    for seed in 0..30 {
        for loss in Loss::ALL {
            let (sim, disk, mut settings) = sim(seed);
            settings.compaction_log_file_bytes = 100 << 10;
            settings.compaction_queue_file_bytes = UNIT * 400;
            let store = begin(&disk, &settings);
            fill_unique(&store, 0, 60);
            if seed % 2 == 0 {
                store.flush(NOW + 100_000).unwrap();
            }
            fill_unique(&store, 60, 150);
            store.sync().unwrap();
            sim.lose(loss);
            drop(store);
            let store = begin(&disk, &settings);
            let found = all(&store);
            let lacking: Vec<_> =
                numbers(0, 150).into_keys().filter(|at| !found.contains_key(at)).collect();
            assert!(lacking.is_empty(), "{seed} {loss:?}: {lacking:?}");
            assert_eq!(found, numbers(0, 150), "{seed} {loss:?}");
        }
    }
}

#[test]
fn what_the_log_has_lost_outlives_a_hole_in_the_last_file() {
    let (sim, disk, settings) = closed(1);
    lose_log(&sim, &disk);
    let place = record_at(&sim, 3, 1);
    change(&sim, &files(&sim, LOG)[3], place, |bytes| bytes.fill(0));
    let store = begin(&disk, &settings);
    let mut left = numbers(0, 31);
    left.remove(&28);
    assert_eq!(all(&store), left);
    assert_eq!(store.max_offset(TOPIC, 0), 31);
}

/// No clean end, and no log any more.
fn lose_log(sim: &SimDisk, disk: &Arc<dyn Disk>) {
    disk.remove(Path::new("/store/checkpoint")).unwrap();
    put_abort(disk);
    for path in sim.paths() {
        let name = path.to_string_lossy();
        if name.contains("/commitlog/") || name.contains("/consumequeue/") {
            disk.remove(&path).unwrap();
        }
    }
}

fn put_abort(disk: &Arc<dyn Disk>) {
    disk.replace(Path::new("/store/abort"), b"", None).unwrap();
}

#[test]
fn one_unit_that_is_none_costs_no_message() {
    for file in 0..4 {
        for place in 0..9 {
            if file == 3 && place >= 4 {
                continue;
            }
            let (sim, disk, settings) = closed(1);
            change(&sim, &files(&sim, UNITS)[file], place * UNIT, |bytes| bytes.fill(0));
            let store = begin(&disk, &settings);
            assert_eq!(all(&store), numbers(0, 31), "{file} {place}");
            for from in 0..31 {
                let found = read(&store, TOPIC, 0, from);
                let first = record_of(&found.messages[0]).queue_offset;
                assert_eq!(first, from, "{file} {place}");
            }
            fill_unique(&store, 31, 50);
            compact(&store);
            assert_eq!(all(&store), numbers(0, 50), "{file} {place}");
        }
    }
}

/// A unit that says something else is told by its record, and made anew.
#[test]
fn a_bit_of_a_unit_costs_no_message() {
    for byte in (0..12).chain(28..36) {
        for (file, place) in (0..3).flat_map(|file| [1, 4, 7].map(|place| (file, place))) {
            let bit = (byte * 3 + place as usize) % 8;
            let (sim, disk, settings) = closed(1);
            let units = &files(&sim, UNITS)[file];
            change(&sim, units, place * UNIT, |bytes| bytes[byte] ^= 1 << bit);
            let store = begin(&disk, &settings);
            assert_eq!(all(&store), numbers(0, 31), "{file} {place} {byte}");
            let from = file as i64 * FILE + place as i64;
            let found = read(&store, TOPIC, 0, from);
            assert_eq!(record_of(&found.messages[0]).queue_offset, from, "{file} {place} {byte}");
            compact(&store);
            assert_eq!(all(&store), numbers(0, 31), "{file} {place} {byte}");
        }
    }
}

/// Of a record whose head is damaged besides its unit nothing is known; all others stay.
#[test]
fn a_unit_and_its_record_cost_one_message() {
    for file in 0..3 {
        for place in 1..8 {
            let (sim, disk, settings) = closed(1);
            let at = record_at(&sim, file, place);
            change(&sim, &files(&sim, UNITS)[file], place * UNIT, |bytes| bytes.fill(0));
            change(&sim, &files(&sim, LOG)[file], at, |bytes| bytes.fill(0));
            let store = begin(&disk, &settings);
            let mut left = numbers(0, 31);
            left.remove(&(file as i64 * FILE + place as i64));
            assert_eq!(all(&store), left, "{file} {place}");
            compact(&store);
            assert_eq!(all(&store), left, "{file} {place}");
        }
    }
}

#[test]
fn a_bit_in_a_queue_offset_costs_one_message_at_most() {
    for (file, place) in (0..4).flat_map(|file| [(file, 0), (file, if file < 3 { 8 } else { 3 })]) {
        for (byte, units_lost) in [(2, false), (2, true), (7, false), (7, true)] {
            let is_last = (file, place, units_lost) == (3, 3, true);
            // Nothing says that the last of all is not so many messages further on.
            if byte == 7 && is_last {
                continue;
            }
            let (sim, disk, settings) = closed(1);
            let at = record_at(&sim, file, place) + record::at::QUEUE_OFFSET as u64;
            change(&sim, &files(&sim, LOG)[file], at, |bytes| bytes[byte] ^= 1 << 5);
            if units_lost {
                disk.remove(&files(&sim, UNITS)[file]).unwrap();
            }
            let store = begin(&disk, &settings);
            let mut left = numbers(0, 31);
            // What no file seems to have comes from the commit log.
            if !is_last {
                left.remove(&(file as i64 * FILE + place as i64));
            }
            assert_eq!(all(&store), left, "{file} {place} {byte} {units_lost}");
            assert_eq!(store.max_offset(TOPIC, 0), 31);
        }
    }
}

#[test]
fn a_bit_in_a_units_queue_offset_costs_no_places() {
    for (file, place) in [(0, 0), (0, 8), (2, 8), (3, 0), (3, 3)] {
        let (sim, disk, settings) = closed(1);
        change(&sim, &files(&sim, UNITS)[file], place * UNIT, |bytes| bytes[30] ^= 1 << 5);
        let store = begin(&disk, &settings);
        assert_eq!(all(&store), numbers(0, 31), "{file} {place}");
        assert_eq!(store.max_offset(TOPIC, 0), 31);
    }
}

#[test]
fn a_read_that_fails_for_the_moment_loses_nothing() {
    for after in 0..6 {
        let (sim, disk, settings) = sim(1);
        let store = begin(&disk, &settings);
        fill(&store, 0, 3);
        sim.fail(Op::Read, after, false);
        fill(&store, 3, 6);
        sim.heal();
        fill(&store, 6, 8);
        assert_eq!(all(&store), left(8), "{after}");
    }
}

/// The removals of one compaction are not on the disk when the next one is under way.
#[test]
fn a_compaction_after_another_may_end_anywhere() {
    for seed in 0..6 {
        for after in 0.. {
            let (sim, disk, settings) = sim(seed);
            sim.order_names(false);
            let store = begin(&disk, &settings);
            fill_unique(&store, 0, 20);
            compact(&store);
            fill_unique(&store, 20, 40);
            store.sync().unwrap();
            sim.die_after(after);
            let _ = store.compact(&|| true);
            let is_over = !sim.is_dead();
            sim.lose(Loss::ALL[(after % 6) as usize]);
            drop(store);
            let store = begin(&disk, &settings);
            let found = all(&store);
            let lacking: Vec<_> =
                numbers(0, 40).into_keys().filter(|at| !found.contains_key(at)).collect();
            assert!(lacking.is_empty(), "{seed} {after}: {lacking:?}");
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_bad_sector_under_a_compacted_queue_costs_a_message_and_no_process() {
    let (sim, disk, settings) = closed(1);
    let (log, at) = (files(&sim, LOG)[1].clone(), record_at(&sim, 1, 2));
    let (bad, disk) = BadDisk::around(disk);
    let store = begin(&disk, &settings);
    assert_eq!(all(&store).len(), 31);
    bad.make_unreadable(&log, at..at + 1);
    let left = all(&store);
    assert_eq!(left.len(), 30);
    assert!(left.iter().all(|(at, body)| at.to_string() == *body));
}

/// Where a compaction puts files that it could not read.
const ASIDE: &str = "/store/compaction/damaged";

#[test]
fn a_compaction_takes_what_it_cannot_read_from_the_commit_log() {
    let (sim, disk, settings) = closed(1);
    let (log, at) = (files(&sim, LOG)[1].clone(), record_at(&sim, 1, 2));
    let (bad, disk) = BadDisk::around(disk);
    let store = begin(&disk, &settings);
    bad.make_unreadable(&log, at..at + 1);
    assert_eq!(all(&store).len(), 30);
    let (done, lines) = lines_of(|| store.compact(&|| true).unwrap());
    assert_eq!((done.queues, store.compacted_passed_over()), (1, 0), "{lines:?}");
    assert_eq!(all(&store), numbers(0, 31));
    assert!(files(&sim, ASIDE).is_empty());
}

/// Nothing else is lost with it, and its file is not removed: it may be the only one that has it.
#[test]
fn a_record_that_cannot_be_read_keeps_no_queue_from_being_compacted() {
    for (file, place) in [(0, 0), (1, 2), (2, 8)] {
        let (sim, disk, settings) = closed(1);
        lose_log(&sim, &disk);
        let (log, at) = (files(&sim, LOG)[file].clone(), record_at(&sim, file, place));
        let whole = sim.content(&log).unwrap();
        let (bad, disk) = BadDisk::around(disk);
        let store = begin(&disk, &settings);
        bad.make_unreadable(&log, at..at + 1);
        let mut left = numbers(0, 31);
        left.remove(&(file as i64 * FILE + place as i64));
        let (done, lines) = lines_of(|| store.compact(&|| true).unwrap());
        assert_eq!((done.queues, store.compacted_passed_over()), (1, 1), "{lines:?}");
        let told = ["ERROR", "moved aside", ASIDE];
        let told = |line: &String| told.iter().all(|part| line.contains(part));
        assert!(lines.iter().any(told), "{lines:?}");
        assert_eq!(all(&store), left);
        let aside = files(&sim, ASIDE);
        assert_eq!((aside.len(), sim.content(&aside[0])), (1, Some(whole)));
        // The bad place went with it, and there are newer messages.
        fill_unique(&store, 31, 60);
        assert_eq!(store.compact(&|| true).unwrap().queues, 1);
        left.extend(numbers(31, 60));
        assert_eq!((all(&store), store.compacted_passed_over()), (left.clone(), 1));
        store.close().unwrap();
        drop(store);
        let store = begin(&disk, &settings);
        assert_eq!((all(&store), files(&sim, ASIDE)), (left, aside));
        store.delete_topics([TOPIC]).unwrap();
        assert!(files(&sim, ASIDE).is_empty());
    }
}

/// Whatever step of it is the last, the others are there, and so is the file with the damage.
#[test]
fn a_compaction_around_damage_may_end_anywhere() {
    for seed in 0..6 {
        for after in 0.. {
            let (sim, disk, settings) = closed(seed);
            lose_log(&sim, &disk);
            let (log, at) = (files(&sim, LOG)[1].clone(), record_at(&sim, 1, 2));
            change(&sim, &log, at, |bytes| bytes.fill(0));
            let damaged = sim.content(&log).unwrap();
            let mut left = numbers(0, 31);
            left.remove(&(FILE + 2));
            let store = begin(&disk, &settings);
            assert_eq!(all(&store), left);
            store.flush(NOW + 100_000).unwrap();
            sim.die_after(after);
            let _ = store.compact(&|| true);
            let is_over = !sim.is_dead();
            sim.lose(Loss::ALL[(after % 6) as usize]);
            drop(store);
            let store = begin(&disk, &settings);
            assert_eq!(all(&store), left, "{seed} {after}");
            let all = sim.paths();
            let is_there = all.iter().any(|path| sim.content(path).as_ref() == Some(&damaged));
            assert!(is_there, "{seed} {after}: {all:?}");
            assert!(files(&sim, ASIDE).len() <= 1, "{seed} {after}: {all:?}");
            if is_over {
                break;
            }
        }
    }
}

/// Files of some pages each.
fn with_pages() -> (SimDisk, BadDisk, Arc<dyn Disk>, Settings) {
    let (sim, disk, mut settings) = sim(1);
    settings.compaction_log_file_bytes = 100 << 10;
    settings.compaction_queue_file_bytes = UNIT * 400;
    let (bad, disk) = BadDisk::around(disk);
    (sim, bad, disk, settings)
}

/// Units come from records again; of these those alone are missing that lie on the page, and where
/// the commit log gives them once more none; and messages are taken on.
#[test]
fn a_page_that_a_start_cannot_read_costs_its_own_messages_and_no_other() {
    const PAGE: u64 = 4096;
    const COUNT: i64 = 900;
    for was_killed in [false, true] {
        let places = [(UNITS, 0, 0), (UNITS, 2, 0), (UNITS, 2, 1), (LOG, 0, 0), (LOG, 0, 3)];
        for (dir, file, page) in places.into_iter().chain((0..4).map(|page| (LOG, 2, page))) {
            let what = format!("{was_killed} {dir} {file} {page}");
            let (sim, bad, disk, settings) = with_pages();
            let store = begin(&disk, &settings);
            fill_unique(&store, 0, COUNT);
            store.close().unwrap();
            drop(store);
            if was_killed {
                disk.remove(Path::new("/store/checkpoint")).unwrap();
                put_abort(&disk);
            }
            let unreadable = page * PAGE..(page + 1) * PAGE;
            bad.make_unreadable(&files(&sim, dir)[file], unreadable.clone());
            let (store, mut lines) = lines_of(|| begin(&disk, &settings));
            fill_unique(&store, COUNT, COUNT + 500);
            let (mut found, told) = lines_of(|| all(&store));
            lines.extend(told);
            let told = |line: &String| line.contains("set aside") && line.contains(dir);
            assert!(lines.iter().any(told), "{what}: {lines:?}");
            let lacking = numbers(0, COUNT + 500).into_keys().filter(|at| !found.contains_key(at));
            let lacking: Vec<_> = lacking.collect();
            if dir == UNITS || (was_killed && file == 2) {
                assert!(lacking.is_empty(), "{what}: {lacking:?}");
            } else {
                assert!((1..40).contains(&lacking.len()), "{what}: {lacking:?}");
                assert_eq!(store.compacted_lost_bytes(), PAGE);
            }
            assert!(store.fence_reason().is_none());
            store.close().unwrap();
            drop(store);
            // It stays so, and what can be read is compacted when all can.
            bad.heal();
            let store = begin(&disk, &settings);
            found.extend(all(&store));
            assert!(found == numbers(0, COUNT + 500), "{what}");
        }
    }
}

/// Each read of a file may be a wait for the disk.
#[test]
fn a_reader_waits_for_few_places_of_a_large_file() {
    let (_, bad, disk, mut settings) = with_pages();
    settings.compaction_log_file_bytes = 4 << 20;
    settings.compaction_queue_file_bytes = UNIT * 9_000;
    let store = begin(&disk, &settings);
    // What was compacted has gaps of all widths.
    for at in 0..10_000 {
        let key = if at % 7 == 0 || at / 500 % 2 == 0 { at } else { -1 };
        append(&store, NOW + at, with_key(&key.to_string(), &at.to_string()));
    }
    assert!(compact(&store) > 3_000);
    let reads = || bad.reads_under(Path::new(LOG));
    for offset in [0, 700, 701, 1_503, 4_999, 8_000] {
        let before = reads();
        let at = Position { topic: TOPIC, queue_id: 0, offset };
        let found = store.read(at, Limits::messages(1), &Everything);
        assert!(record_of(&found.messages[0]).queue_offset >= offset);
        assert!(reads() - before <= 6, "{offset}: {}", reads() - before);
    }
}
