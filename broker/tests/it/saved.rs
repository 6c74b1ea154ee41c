//! Tables whose file is written as a whole now and then, with a journal between.

use broker::saved::Saved;
use broker::topics::{Own, Topics, simple};
use simulator::{Loss, Op, SimDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{ConfigFiles, OsDisk};

const NAME: &str = "topics.json";
const NOW: i64 = 1_700_000_000_000;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rockhopper-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn files(root: &Path) -> ConfigFiles {
    ConfigFiles::new(Arc::new(OsDisk), root)
}

fn fresh() -> Topics {
    let own = Own {
        cluster: "C".into(),
        broker: "B".into(),
        cluster_topic: true,
        broker_topic: true,
        auto_create: true,
        default_queues: 8,
        revive_queues: 8,
        trace_topic: None,
    };
    Topics::new(&own, NOW)
}

/// What a broker does at its start.
fn open(root: &Path) -> (Topics, Saved) {
    let (topics, files) = (fresh(), files(root));
    let text = files.load(NAME, |text| topics.load(text).ok().map(|()| text.to_owned()));
    let (journal, changes) = files.journal(NAME, text.as_deref().unwrap_or_default());
    changes.iter().for_each(|change| topics.replay(change).unwrap());
    (topics, Saved::new(NAME, journal))
}

fn save(root: &Path, topics: &Topics, saved: &mut Saved, now: i64) {
    saved.save(&files(root), topics.take_unsaved(), || topics.to_json(), now).unwrap();
}

fn text(root: &Path) -> String {
    std::fs::read_to_string(root.join("config").join(NAME)).unwrap()
}

#[test]
fn changes_between_two_whole_files_survive() {
    let dir = Dir::new("journal");
    let (topics, mut saved) = open(&dir.0);
    save(&dir.0, &topics, &mut saved, NOW);
    let first = text(&dir.0);
    for number in 0..50 {
        topics.update(simple(&format!("t{number}"), 4), NOW + number).unwrap();
        save(&dir.0, &topics, &mut saved, NOW);
    }
    topics.delete("t7", NOW).unwrap();
    save(&dir.0, &topics, &mut saved, NOW);
    assert_eq!(text(&dir.0), first, "the file waits for its time");
    assert!(saved.due_ms().unwrap() > NOW);
    let (again, mut saved) = open(&dir.0);
    assert_eq!(again.snapshot(), topics.snapshot());
    assert!(again.contains("t49") && !again.contains("t7"));

    // Its time has come, as at a stop: the file has everything, and the journal nothing more.
    save(&dir.0, &again, &mut saved, i64::MAX);
    assert_ne!(text(&dir.0), first);
    assert_eq!(saved.due_ms(), None);
    assert_eq!(open(&dir.0).0.snapshot(), topics.snapshot());
}

#[test]
fn a_journal_that_is_full_makes_the_file_whole() {
    let dir = Dir::new("journal-full");
    let (topics, mut saved) = open(&dir.0);
    save(&dir.0, &topics, &mut saved, NOW);
    let first = text(&dir.0);
    let mut count = 0;
    while text(&dir.0) == first {
        let name = format!("{count}{}", "x".repeat(120));
        topics.update(simple(&name, 4), NOW).unwrap();
        save(&dir.0, &topics, &mut saved, NOW);
        count += 1;
        assert!(count < 10_000, "the journal takes no end of changes");
    }
    assert!(count > 1_000, "{count}");
    assert_eq!(open(&dir.0).0.snapshot(), topics.snapshot());
}

#[test]
fn nothing_is_laid_over_a_file_that_another_broker_wrote() {
    let dir = Dir::new("journal-other");
    let (topics, mut saved) = open(&dir.0);
    save(&dir.0, &topics, &mut saved, NOW);
    topics.update(simple("ours", 4), NOW).unwrap();
    save(&dir.0, &topics, &mut saved, NOW);
    let other = fresh();
    other.update(simple("theirs", 4), NOW + 1).unwrap();
    std::fs::write(dir.0.join("config").join(NAME), other.to_json()).unwrap();
    let (found, _) = open(&dir.0);
    assert!(found.contains("theirs") && !found.contains("ours"));
}

#[test]
fn a_torn_change_ends_the_journal() {
    let dir = Dir::new("journal-torn");
    let (topics, mut saved) = open(&dir.0);
    save(&dir.0, &topics, &mut saved, NOW);
    for name in ["a", "b", "c"] {
        topics.update(simple(name, 4), NOW).unwrap();
        save(&dir.0, &topics, &mut saved, NOW);
    }
    let path = dir.0.join("config").join(format!("{NAME}.changes"));
    let whole = std::fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in 0..=end {
        let mut torn = whole.clone();
        torn[at] ^= 0x40;
        std::fs::write(&path, torn).unwrap();
        let (found, _) = open(&dir.0);
        let there = ["a", "b", "c"].map(|name| found.contains(name));
        assert!([[false; 3], [true, false, false], [true, true, false]].contains(&there), "{at}");
    }
    for len in [0, 1, 7, end, whole.len() + 1] {
        std::fs::write(&path, &whole[..len.min(whole.len())]).unwrap();
        let (found, mut saved) = open(&dir.0);
        found.update(simple("d", 4), NOW).unwrap();
        save(&dir.0, &found, &mut saved, NOW);
        save(&dir.0, &found, &mut saved, NOW);
        assert!(open(&dir.0).0.contains("d"));
    }
}

#[test]
fn what_could_not_be_saved_is_saved_later_and_at_the_stop() {
    let disk = SimDisk::new(3);
    let files = ConfigFiles::new(Arc::new(disk.clone()), Path::new("/store"));
    let topics = fresh();
    let (journal, _) = files.journal(NAME, "");
    let mut saved = Saved::new(NAME, journal);
    let mut save = |now| saved.save(&files, topics.take_unsaved(), || topics.to_json(), now);
    save(NOW).unwrap();
    topics.update(simple("t", 4), NOW + 10).unwrap();
    disk.fill(true);
    assert!(save(NOW + 60_000).is_err());
    disk.fill(false);
    let due = saved.due_ms().expect("it is to be tried again");
    assert!((NOW + 60_001..NOW + 70_000).contains(&due), "{due}");
    saved.save_whole(&files, || topics.to_json(), i64::MAX).unwrap();
    assert_eq!(saved.due_ms(), None);
    let found = fresh();
    files.load(NAME, |text| found.load(text).ok()).unwrap();
    assert!(found.contains("t"));
}

/// A store on a simulated disk, as a broker opens it.
fn open_sim(disk: &SimDisk) -> (ConfigFiles, Topics, Saved) {
    let files = ConfigFiles::new(Arc::new(disk.clone()), Path::new("/store"));
    let topics = fresh();
    let text = files.load(NAME, |text| topics.load(text).ok().map(|()| text.to_owned()));
    let (journal, changes) = files.journal(NAME, text.as_deref().unwrap_or_default());
    changes.iter().for_each(|change| topics.replay(change).unwrap());
    (files, topics, Saved::new(NAME, journal))
}

#[test]
fn what_changes_on_a_full_disk_is_in_the_journal_and_later_in_the_file() {
    let disk = SimDisk::new(3);
    let (files, topics, mut saved) = open_sim(&disk);
    let reads = |name| {
        let text = disk.content(&Path::new("/store/config").join(NAME)).unwrap();
        String::from_utf8(text).unwrap().contains(name)
    };
    saved.save_whole(&files, || topics.to_json(), NOW).unwrap();
    disk.fill(true);
    for (number, name) in (1..).zip(["a", "b", "c"]) {
        let now = NOW + number * 60_000;
        topics.update(simple(name, 4), now).unwrap();
        let written = saved.save(&files, topics.take_unsaved(), || topics.to_json(), now);
        assert!(written.is_err() && saved.unkept().is_none(), "{name}");
        // Once it was tried it is not tried again for each change.
        topics.update(simple("d", 4), now).unwrap();
        saved.save(&files, topics.take_unsaved(), || topics.to_json(), now).unwrap();
    }
    assert!(!reads("\"c\""));
    disk.lose(Loss::All);
    let (files, topics, mut saved) = open_sim(&disk);
    assert!(["a", "b", "c", "d"].iter().all(|name| topics.contains(name)));

    topics.update(simple("e", 4), NOW).unwrap();
    saved.save(&files, topics.take_unsaved(), || topics.to_json(), NOW).unwrap_err();
    let due = saved.due_ms().unwrap();
    assert!(due <= NOW + 10_000, "{due}");
    disk.fill(false);
    saved.save_whole(&files, || topics.to_json(), due).unwrap();
    assert!(reads("\"e\"") && saved.due_ms().is_none());
}

/// Where the file cannot be told to be as before, nothing is added to its journal.
#[test]
fn what_is_called_kept_outlives_power_loss_whatever_fails() {
    const STEPS: u64 = 16;
    let (mut unkept, mut in_the_journal) = (0, 0);
    for seed in 0..600 {
        let disk = SimDisk::new(seed);
        let (files, topics, mut saved) = open_sim(&disk);
        let mut kept = 0;
        for step in 1..=STEPS {
            match (seed * STEPS + step) * 7919 % 11 {
                // What comes next comes early.
                _ if step == STEPS - 1 => disk.fail(Op::Name, 0, false),
                0 | 1 => disk.fill(true),
                2 | 3 => disk.fill(false),
                4 | 5 => disk.fail(Op::Name, 0, false),
                6 => disk.fail(Op::Write, 0, false),
                7 => disk.fail(Op::Sync, 0, false),
                _ => {}
            }
            let now = NOW + step.cast_signed() * (700 + seed.cast_signed() * 3);
            if saved.due_ms().is_some_and(|due| due <= now) {
                drop(saved.save_whole(&files, || topics.to_json(), now));
            }
            topics.update(simple(&format!("t{step}"), 4), now).unwrap();
            let written = saved.save(&files, topics.take_unsaved(), || topics.to_json(), now);
            if saved.unkept().is_none() {
                kept = step;
                in_the_journal += u64::from(written.is_err());
            } else {
                unkept += 1;
            }
        }
        disk.heal();
        disk.fill(false);
        disk.lose(if seed % 2 == 0 { Loss::All } else { Loss::Nothing });
        let (_, found, _) = open_sim(&disk);
        for step in 1..=kept {
            assert!(found.contains(&format!("t{step}")), "seed {seed}: {step} of {kept} is lost");
        }
    }
    assert!(unkept > 100 && in_the_journal > 100, "{unkept} {in_the_journal}");
}
