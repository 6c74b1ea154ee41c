//! Delay levels in a broker without a shell: time passes as the tests say.

#![allow(clippy::disallowed_methods, reason = "files are damaged on purpose")]

use super::*;
use crate::cold::{self, Cold};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use store::{Everything, Limits, UNIT_LEN};

const NOW: i64 = 1_700_000_000_000;
const LEVEL_MS: i64 = 1_000;

/// A directory of its own, removed at the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rockhopper-delay-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Parks messages of one topic in the first level.
fn park(broker: &Broker, bodies: &[&'static str]) {
    park_of(broker, "T", bodies);
}

fn park_of(broker: &Broker, topic: &'static str, bodies: &[&'static str]) {
    for body in bodies {
        let host = broker.identity.store_host;
        let mut draft = Draft {
            queue_id: 1,
            body: Bytes::from_static(body.as_bytes()),
            ..Draft::plain(topic, NOW, host)
        };
        put::park(&mut draft, 1, false, &broker.settings(), NOW).unwrap();
        let mut appends = [Append::one(draft)];
        broker.append(&mut appends, NOW);
        appends[0].outcome.unwrap();
    }
}

fn delivered(broker: &Broker) -> Vec<String> {
    let position = Position { topic: "T", queue_id: 1, offset: 0 };
    let read = broker.store.read(position, Limits::messages(32), &Everything);
    let body = |bytes: &Bytes| match record::decode(bytes, true) {
        Ok(Entry::Message(record)) => String::from_utf8(record.body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    read.messages.iter().map(body).collect()
}

/// Changes a unit of the first level in its file.
fn change_unit(dir: &Path, at: u64, change: impl FnOnce(&mut [u8; UNIT_LEN])) {
    cold::change_unit(&dir.join("consumequeue").join(names::SCHEDULE_TOPIC).join("0"), at, change);
}

#[test]
fn what_cannot_be_read_now_is_delivered_later() {
    let (dir, cold) = (TempDir::new(), Cold::default());
    let (broker, _) = cold::open(cold.clone(), &dir.0, NOW);
    park(&broker, &["a", "b", "c"]);
    let now_ms = NOW + LEVEL_MS;
    cold.fails.store(true, Ordering::Relaxed);
    // Units wait in memory; then they are in a file, and that does not answer either.
    for _ in 0..2 {
        assert_eq!(deliver(&broker, now_ms), Some(now_ms + RETRY_MS));
        assert_eq!(broker.delays.lock().offset(1), 0);
        broker.store.flush(now_ms + 60_000).unwrap();
    }
    cold.fails.store(false, Ordering::Relaxed);
    assert_eq!(deliver(&broker, now_ms), None);
    assert_eq!(delivered(&broker), ["a", "b", "c"]);
}

#[test]
fn what_the_store_does_not_take_now_is_not_passed() {
    let dir = TempDir::new();
    let (broker, _) = cold::open(Cold::default(), &dir.0, NOW);
    park(&broker, &["a", "b"]);
    // Reading goes on, and whatever is appended is refused for now.
    broker.store.close().unwrap();
    let now_ms = NOW + LEVEL_MS;
    assert_eq!(deliver(&broker, now_ms), Some(now_ms + RETRY_MS));
    assert_eq!(broker.delays.lock().offset(1), 0);
}

#[test]
fn what_the_store_never_takes_keeps_nobody_waiting() {
    let dir = TempDir::new();
    let (broker, _) = cold::open(Cold::default(), &dir.0, NOW);
    park(&broker, &["a"]);
    park_of(&broker, "no/directory", &["b"]);
    park(&broker, &["c"]);
    assert_eq!(deliver(&broker, NOW + LEVEL_MS), None);
    assert_eq!(deliver(&broker, NOW + 2 * LEVEL_MS), None);
    assert_eq!(delivered(&broker), ["a", "c"]);
}

#[test]
fn what_is_not_due_is_not_read() {
    let (dir, cold) = (TempDir::new(), Cold::default());
    let (broker, _) = cold::open(cold.clone(), &dir.0, NOW);
    park(&broker, &["a"]);
    cold.fails.store(true, Ordering::Relaxed);
    assert_eq!(deliver(&broker, NOW), Some(NOW + LEVEL_MS));
    cold.fails.store(false, Ordering::Relaxed);
    assert_eq!(deliver(&broker, NOW + LEVEL_MS), None);
    assert_eq!(delivered(&broker), ["a"]);
}

#[test]
fn a_damaged_unit_costs_no_message_and_an_empty_place_delivers_none() {
    let dir = TempDir::new();
    let (broker, _) = cold::open(Cold::default(), &dir.0, NOW);
    park(&broker, &["a", "b", "c", "d", "e"]);
    broker.store.flush(NOW + 60_000).unwrap();
    change_unit(&dir.0, 1, |unit| unit.fill(0));
    change_unit(&dir.0, 2, |unit| unit[2] ^= 0x40);
    change_unit(&dir.0, 3, cold::blank);
    assert_eq!(deliver(&broker, NOW + LEVEL_MS), None);
    assert_eq!(delivered(&broker), ["a", "b", "c", "e"]);
}

#[test]
fn a_level_shows_with_its_first_message_before_that_is_due() {
    let dir = TempDir::new();
    let (broker, _) = cold::open(Cold::default(), &dir.0, NOW);
    deliver(&broker, NOW);
    assert_eq!(broker.delays.lock().levels(), []);
    park(&broker, &["a"]);
    deliver(&broker, NOW);
    assert_eq!(broker.delays.lock().levels(), [(1, 0)]);
    assert!(broker.delays.lock().take_changed());
    deliver(&broker, NOW);
    assert!(!broker.delays.lock().take_changed(), "once");
}

#[test]
fn offsets_survive_their_file_in_javas_form() {
    let java = "{\n\t\"dataVersion\":{\"counter\":1,\"timestamp\":5},\n\
                \t\"offsetTable\":{3:7,18:1}\n}";
    let mut delays = Delays::load(java).unwrap();
    assert_eq!((delays.offset(3), delays.offset(18), delays.offset(1)), (7, 1, 0));
    delays.advance(1, 9, 10);
    assert!(delays.take_changed() && !delays.take_changed());
    let again = Delays::load(&delays.to_json()).unwrap();
    assert_eq!(again.offset(1), 9);
    assert_eq!(again.version, delays.version);
}

#[test]
fn a_due_time_beyond_its_level_counts_as_now() {
    assert_eq!(due_ms(1_500, 1_000, 1_000), 1_500);
    assert_eq!(due_ms(9_999, 1_000, 1_000), 1_000);
}
