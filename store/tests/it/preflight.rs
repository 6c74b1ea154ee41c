//! What other brokers would do with a directory, told beforehand.

use crate::look::{body, flip, log, made, parse};
use crate::support::{NOW, TempDir, append, draft, open, small};
use std::sync::Arc;
use store::look::{Effect, Look, Preflight, Target};
use store::{Disk, OsDisk, Settings, Store};

const FILE: u64 = 16 << 10;

fn preflight(settings: &Settings, target: Target) -> Preflight {
    told(settings, target, &[])
}

pub(crate) fn told(settings: &Settings, target: Target, needed: &[&str]) -> Preflight {
    let look = Look { disk: &OsDisk, settings, parse: &parse, needed, watch: &|_| {} };
    look.preflight(target).unwrap()
}

pub(crate) fn has(found: &Preflight, effect: Effect, part: &str) -> bool {
    found.verdicts.iter().any(|verdict| verdict.effect == effect && verdict.what.contains(part))
}

/// Why a broker would not start, if so.
pub(crate) fn refusal(settings: &Settings, target: Target) -> Option<String> {
    let verdicts = preflight(settings, target).verdicts.into_iter();
    verdicts
        .map(|verdict| (verdict.effect, verdict.what))
        .find_map(|(effect, what)| (effect == Effect::Refuses).then_some(what))
}

const ALL: [Target; 4] = [Target::Java49, Target::Java53, Target::Java55, Target::Rockhopper];

#[test]
fn a_sound_directory_is_safe_for_everybody() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    for target in ALL {
        let found = preflight(&settings, target);
        assert!(found.safe, "{target:?} {found:#?}");
    }
}

#[test]
fn java_cuts_what_its_recovery_reads_and_rockhopper_does_not() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let last = preflight_end(&settings) / FILE;
    flip(&log(dir.path(), last), 100);
    for target in [Target::Java49, Target::Java53, Target::Java55] {
        let found = preflight(&settings, target);
        let cut = format!("ends at {}", last * FILE);
        assert!(has(&found, Effect::Loses, &cut), "{target:?} {found:#?}");
    }
    let found = preflight(&settings, Target::Rockhopper);
    assert!(found.safe && has(&found, Effect::Notes, "set aside"), "{found:#?}");
    // Back as it was, and damaged where no recovery reads.
    flip(&log(dir.path(), last), 100);
    flip(&log(dir.path(), 0), 100);
    let found = preflight(&settings, Target::Java55);
    assert!(found.safe && has(&found, Effect::Notes, "nothing is cut"), "{found:#?}");
}

fn preflight_end(settings: &Settings) -> u64 {
    let look = Look { disk: &OsDisk, settings, parse: &parse, needed: &[], watch: &|_| {} };
    look.check().unwrap().log_to.unsigned_abs()
}

#[test]
fn sizes_abort_index_and_config_are_told() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    std::fs::write(dir.path().join("abort"), "7").unwrap();
    let other = Settings { commit_log_file_bytes: 32 << 10, ..settings.clone() };
    let found = preflight(&other, Target::Java55);
    assert!(has(&found, Effect::Refuses, "mappedFileSizeCommitLog"), "{found:#?}");
    let other = Settings { consume_queue_file_bytes: 2_000, ..settings.clone() };
    assert!(has(&preflight(&other, Target::Java55), Effect::Refuses, "queue files"));
    assert!(has(&preflight(&other, Target::Rockhopper), Effect::Rebuilds, "queue files"));
    std::fs::write(dir.path().join("config/topics.json"), "{").unwrap();
    let found = preflight(&settings, Target::Java55);
    assert!(has(&found, Effect::Loses, "config/topics.json"), "{found:#?}");
    assert!(has(&found, Effect::Notes, "abort is there"), "{found:#?}");
    assert!(!found.safe);
    // As when the newest index file was never durable.
    let path = dir.path().join("checkpoint");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16..24].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let found = preflight(&settings, Target::Java55);
    assert!(has(&found, Effect::Rebuilds, "it is deleted"), "{found:#?}");
}

#[test]
fn a_record_of_version_2_ends_the_log_for_4_9() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = open(&disk, &settings);
    let topic = format!("%RETRY%{}", "g".repeat(200));
    append(&store, NOW, draft("A", 0, &body(1)));
    let at = append(&store, NOW + 1, draft(&topic, 0, &body(2))).log_offset;
    append(&store, NOW + 2, draft("A", 0, &body(3)));
    store.close().unwrap();
    let found = preflight(&settings, Target::Java49);
    let told = format!("ends at {at},");
    assert!(has(&found, Effect::Loses, &told), "{found:#?}");
    assert!(has(&found, Effect::Loses, "2 messages"), "{found:#?}");
    assert!(preflight(&settings, Target::Java53).safe);
}

#[test]
fn units_that_were_in_memory_are_out_of_reach_for_5_5_behind_ten_files() {
    for (count, is_lost) in [(300, false), (900, true)] {
        let dir = TempDir::new();
        let settings = small(dir.path());
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let store = open(&disk, &settings);
        for number in 0..count {
            append(&store, NOW, draft("T", 0, &body(number)));
        }
        // As a process that is killed leaves it, half a second after the first of them.
        drop(store);
        let found = preflight(&settings, Target::Java55);
        assert_eq!(has(&found, Effect::Loses, "in no queue yet"), is_lost, "{count} {found:#?}");
        assert_eq!(found.safe, !is_lost);
        assert!(
            preflight(&settings, Target::Java53).safe
                && preflight(&settings, Target::Rockhopper).safe
        );
    }
}

/// As when the disk is not mounted, or someone removed the files.
#[test]
fn queues_that_java_deletes_without_a_log_are_told() {
    for is_dir_there in [true, false] {
        let dir = TempDir::new();
        let settings = small(dir.path());
        made(&settings);
        let commit_log = dir.path().join("commitlog");
        std::fs::remove_dir_all(&commit_log).unwrap();
        if is_dir_there {
            std::fs::create_dir(&commit_log).unwrap();
            std::fs::write(commit_log.join(format!("{:020}", 0)), "").unwrap();
        }
        for target in [Target::Java49, Target::Java53, Target::Java55] {
            let found = preflight(&settings, target);
            assert!(!found.safe, "{target:?} {found:#?}");
            assert!(has(&found, Effect::Loses, "4 queues"), "{target:?} {found:#?}");
            assert!(has(&found, Effect::Loses, "deletes the queues"), "{target:?} {found:#?}");
            assert!(!has(&found, Effect::Notes, "nothing is cut"), "{target:?} {found:#?}");
        }
    }
}

#[test]
fn an_end_of_the_log_that_is_gone_is_lost_for_java() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let end = preflight_end(&settings);
    let last = end / FILE;
    let path = log(dir.path(), last);
    let bytes = std::fs::read(&path).unwrap();
    let mut cut = bytes.clone();
    cut[(end % FILE / 2) as usize..].fill(0);
    for damage in [Some(cut), None] {
        match &damage {
            Some(cut) => std::fs::write(&path, cut).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let told = format!("know of {end}: what lay between is gone");
        for target in [Target::Java49, Target::Java53, Target::Java55] {
            let found = preflight(&settings, target);
            assert!(!found.safe && has(&found, Effect::Loses, &told), "{target:?} {found:#?}");
            assert!(!has(&found, Effect::Notes, "nothing is cut"), "{target:?} {found:#?}");
        }
    }
    // What lies before it and is not cut is told beside it.
    flip(&log(dir.path(), 0), 100);
    let found = preflight(&settings, Target::Java55);
    assert!(has(&found, Effect::Loses, "is gone"), "{found:#?}");
    assert!(has(&found, Effect::Notes, "nothing is cut"), "{found:#?}");
}

#[test]
fn configuration_that_is_lost_is_told() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let path = dir.path().join("config/topics.json");
    let lost = |part: &str| {
        for target in ALL {
            let found = told(&settings, target, &["topics.json"]);
            let is_told = has(&found, Effect::Loses, "config/topics.json")
                && has(&found, Effect::Loses, part);
            assert!(is_told && !found.safe, "{part} {target:?} {found:#?}");
        }
    };
    std::fs::rename(&path, path.with_extension("json.bak")).unwrap();
    lost("the file is not there; the .bak is taken");
    std::fs::write(path.with_extension("json.bak"), "{bro").unwrap();
    lost("the file is not there; there is no usable .bak");
    std::fs::write(&path, "{bro").unwrap();
    lost("no; there is no usable .bak");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(path.with_extension("json.bak")).unwrap();
    lost("the file is not there; there is no usable .bak");
    let ours = told(&settings, Target::Rockhopper, &["topics.json"]);
    assert!(has(&ours, Effect::Loses, "made from their queues"), "{ours:#?}");
    let advice = ours.damage[0].advice;
    assert!(advice.starts_with("restore it from a copy"), "{advice}");
}

/// A start reads no unit that was durable, and does not ask the log about index entries.
#[test]
fn what_a_start_does_not_mend_is_not_promised() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    flip(&dir.path().join("consumequeue/A/0/00000000000000000000"), 3 * 20 + 6);
    let index = std::fs::read_dir(dir.path().join("index")).unwrap().next().unwrap().unwrap();
    flip(&index.path(), 40 + 4 * 100 + 20 * 5 + 15);
    let found = preflight(&settings, Target::Rockhopper);
    assert!(has(&found, Effect::Rebuilds, "wrong queue unit"), "{found:#?}");
    assert!(has(&found, Effect::Rebuilds, "when they are read"), "{found:#?}");
    assert!(has(&found, Effect::Ignores, "until the broker is stopped"), "{found:#?}");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    open(&disk, &settings).close().unwrap();
    let again = preflight(&settings, Target::Rockhopper);
    assert_eq!(again.verdicts, found.verdicts);
}

#[test]
fn keys_that_java_does_not_index_again_are_told() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let found = preflight(&settings, Target::Java55);
    assert!(has(&found, Effect::Ignores, "300 messages are in no index file"), "{found:#?}");
    assert!(!has(&preflight(&settings, Target::Rockhopper), Effect::Ignores, "index"));
}

#[test]
fn a_directory_without_messages_is_asked_about() {
    let question = "there are no messages here: is this the right directory?";
    for stranger in [None, Some("readme.txt")] {
        let dir = TempDir::new();
        let settings = small(dir.path());
        let commit_log = dir.path().join("commitlog");
        std::fs::create_dir_all(&commit_log).unwrap();
        if let Some(name) = stranger {
            std::fs::write(commit_log.join(name), "x").unwrap();
        }
        let found = preflight(&settings, Target::Rockhopper);
        assert!(has(&found, Effect::Notes, question), "{found:#?}");
        let look =
            Look { disk: &OsDisk, settings: &settings, parse: &parse, needed: &[], watch: &|_| {} };
        assert_eq!(look.check().unwrap().notes, [question]);
    }
}

#[test]
fn what_our_start_refuses_is_told() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    made(&settings);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let refuses = |settings: &Settings, part: &str| {
        let found = preflight(settings, Target::Rockhopper);
        assert!(has(&found, Effect::Refuses, part) && !found.safe, "{part}: {found:#?}");
        assert!(Store::open(disk.clone(), settings.clone()).is_err(), "{part}");
    };
    for commit_log_file_bytes in [8 << 10, 32 << 10] {
        let other = Settings { commit_log_file_bytes, ..settings.clone() };
        refuses(&other, "mappedFileSizeCommitLog");
    }
    assert!(preflight(&settings, Target::Rockhopper).safe);
    std::fs::create_dir(dir.path().join("dledger-n0")).unwrap();
    let found = preflight(&settings, Target::Rockhopper);
    assert!(has(&found, Effect::Loses, "dledger-n0"), "{found:#?}");
    std::fs::rename(dir.path().join("commitlog"), dir.path().join("elsewhere")).unwrap();
    refuses(&settings, "there is no commit log");
}

#[test]
fn what_a_rocksdb_alone_may_hold_keeps_rockhopper_from_starting() {
    let places = [
        ("config/consumerOffsets", "where groups are"),
        ("kvStore", "popped"),
        ("rocksdbstore", "wait for their time"),
    ];
    for (name, what) in places {
        let dir = TempDir::new();
        let settings = small(dir.path());
        made(&settings);
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(name).join(file), text);
        write("CURRENT", "MANIFEST-000005\n").unwrap();
        // What was decided at our first start stays decided.
        assert!(preflight(&settings, Target::Rockhopper).safe);
        store::rocks::refuse(&OsDisk, dir.path()).unwrap();
        // As the checkpoint of another broker, ours is not there.
        std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
        if name == "rocksdbstore" {
            // 5.5 makes it whatever its settings say.
            write("000008.log", "").unwrap();
            assert_eq!(refusal(&settings, Target::Rockhopper), None);
            // Half messages come there some time after the log has them: a kill leaves it empty.
            let halves = dir.path().join("consumequeue/RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC/0");
            std::fs::create_dir_all(halves).unwrap();
            assert_eq!(refusal(&settings, Target::Rockhopper), None);
            std::fs::write(dir.path().join("abort"), "").unwrap();
            assert!(store::rocks::refuse(&OsDisk, dir.path()).is_err());
            std::fs::remove_file(dir.path().join("abort")).unwrap();
            write("000008.log", "a record").unwrap();
        }
        let told = refusal(&settings, Target::Rockhopper).unwrap();
        assert!(told.contains(name) && told.contains(what), "{told}");
        let refused = store::rocks::refuse(&OsDisk, dir.path()).unwrap_err().to_string();
        assert_eq!(refused, told);
        assert!(preflight(&settings, Target::Java55).safe);
    }
}
