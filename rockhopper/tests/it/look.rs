//! `rockhopper store` as a person calls it: on sound stores, damaged ones, and none.

use crate::process::{fresh_dir, run, succeed, text};
use message::{Draft, Properties, property};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use store::{Append, OsDisk, Settings, Store};

const CONF: &str = "mappedFileSizeCommitLog=16384\nmappedFileSizeConsumeQueue=1000\n\
                    maxHashSlotNum=100\nmaxIndexNum=500\n";
const NOW: i64 = 1_700_000_000_000;

/// A store with 100 messages in one queue, closed; gives its directory and property file.
fn made(name: &str) -> (String, String) {
    let dir = fresh_dir(name);
    let root = dir.join("store");
    let settings = Settings {
        root: root.clone(),
        commit_log_file_bytes: 16_384,
        consume_queue_file_bytes: 1_000,
        index_slots: 100,
        index_entries: 500,
        ..Settings::default()
    };
    let store = Store::open(Arc::new(OsDisk), settings).expect("it opens");
    let host = "127.0.0.1:10911".parse().expect("an address");
    for number in 0..100 {
        let properties: Properties = [(property::KEYS, format!("k{number}"))].into_iter().collect();
        let draft = Draft {
            queue_id: 3,
            body: format!("body {number} {}", "x".repeat(100)).into(),
            properties: properties.encode(),
            ..Draft::plain("Orders", NOW, host)
        };
        let mut list = [Append::one(draft)];
        store.append(NOW + number, &mut list);
        assert!(list[0].outcome.is_ok());
    }
    let topics = "{\"topicConfigTable\":{\"Orders\":{\"topicName\":\"Orders\"}}}";
    store.config().save("topics.json", topics).expect("saved");
    store.config().save("consumerOffset.json", "{\"offsetTable\":{}}").expect("saved");
    store.close().expect("it closes");
    let conf = dir.join("broker.conf");
    std::fs::write(&conf, CONF).expect("written");
    (root.display().to_string(), conf.display().to_string())
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("written");
}

#[test]
fn a_sound_store_is_listed_and_verified() {
    let (root, conf) = made("look-sound");
    let told = succeed(&["store", "verify", &root, "-c", &conf]);
    assert!(told.ends_with("sound\n") && told.contains("100 records"), "{told}");
    let json = succeed(&["store", "verify", &root, "-c", &conf, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["sound"], &json["records"]), (&true.into(), &100.into()));
    let told = succeed(&["store", "inspect", &root, "-c", &conf]);
    for part in ["stopped cleanly", "Orders      3    0  100       100", "topics.json", "readable"]
    {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let json = succeed(&["store", "inspect", &root, "-c", &conf, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["topics"][0]["queues"][0]["max"], 100);
}

#[test]
fn damage_is_named_with_its_place_and_a_way_out() {
    let (root, conf) = made("look-damaged");
    flip(&Path::new(&root).join("commitlog/00000000000000000000"), 100);
    flip(&Path::new(&root).join("consumequeue/Orders/3/00000000000000000000"), 20 * 7 + 10);
    let output = run(&["store", "verify", &root, "-c", &conf]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    for part in [
        "1 damaged range of the log\n  first:  ",
        "commitlog/00000000000000000000 at byte 0, log offset 0",
        "1 wrong queue unit\n  first:  ",
        "Orders/3/00000000000000000000 at byte 140",
        "topic Orders queue 3 offset 7",
        "to do:",
        "DAMAGED",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let output = run(&["store", "dump", &root, "-c", &conf, "--offset", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("body checksum is"));
}

/// What a broker passes over for its `.bak`, or misses, is no sound file.
#[test]
fn configuration_files_are_judged_as_the_broker_does() {
    let (root, conf) = made("look-config");
    let config = Path::new(&root).join("config");
    let verify = || run(&["store", "verify", &root, "-c", &conf]);
    let good = std::fs::read(config.join("topics.json")).expect("read");
    let files =
        [("topics.json", "{}"), ("consumerOffset.json", "{\"offsetTable\":{\"T@g\":{0:\"x\"}}}")];
    for (name, damaged) in files {
        std::fs::write(config.join(name), damaged).expect("written");
        let output = verify();
        assert_eq!(output.status.code(), Some(1), "{name}: {damaged}");
        assert!(text(&output.stdout).contains(name));
    }
    std::fs::write(config.join("topics.json"), good).expect("written");
    for name in ["consumerOffset.json", "consumerOffset.json.bak"] {
        std::fs::remove_file(config.join(name)).expect("removed");
    }
    let output = verify();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("the file is not there, nor is its .bak"));
}

#[test]
fn a_place_that_no_file_has_is_none() {
    let (root, conf) = made("look-nowhere");
    let dump = |at: &str| run(&["store", "dump", &root, "-c", &conf, "--offset", at]);
    // In a record, where none begins.
    assert_eq!(dump("5").status.code(), Some(1));
    let output = dump("99999999");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the log's files have offsets 0 to "));
    let log = Path::new(&root).join("commitlog");
    std::fs::remove_file(log.join("00000000000000000000")).expect("removed");
    assert_eq!(dump("5").status.code(), Some(2));
    std::fs::remove_dir_all(log).expect("removed");
    let output = dump("0");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the log has no files"));
}

#[test]
fn records_are_shown_with_all_their_fields() {
    let (root, conf) = made("look-dump");
    let queue = ["store", "dump", &root, "-c", &conf, "--topic", "Orders", "--queue", "3"];
    let told = succeed(&[&queue[..], &["--from", "7", "--count", "2", "--body", "6"]].concat());
    for part in ["queueOffset                7\n", "KEYS                     k8\n", "body 7\n"] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let json = succeed(&[&queue[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["storeTimestamp"], NOW);
    assert_eq!(json[0]["properties"]["KEYS"], "k0");
    let output = run(&[&queue[..], &["--from", "100"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the queue has offsets 0 to 99"));
}

#[test]
fn what_java_would_do_is_told_beforehand() {
    let (root, conf) = made("look-preflight");
    let flags = ["store", "preflight", &root, "-c", &conf, "--to", "java-5.5"];
    assert!(succeed(&flags).ends_with("it starts and loses nothing\n"));
    flip(&Path::new(&root).join("commitlog/00000000000000016384"), 100);
    let output = run(&flags);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("LOSES") && told.contains("DO NOT START"), "{told}");
    let json = run(&[&flags[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["verdicts"][0]["effect"], "loses");
}

#[test]
fn what_is_no_store_is_explained() {
    let absent = run(&["store", "verify", "/no/such/dir"]);
    assert_eq!(absent.status.code(), Some(2));
    let told = text(&absent.stderr);
    assert!(told.contains("/no/such/dir") && told.contains("storePathRootDir"), "{told}");
    let empty = fresh_dir("look-empty").display().to_string();
    let output = run(&["store", "inspect", &empty]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no store"));
    assert_eq!(run(&["store", "verify"]).status.code(), Some(2));
}
