//! What an append and a read cost in the store alone, on the real disk: `cargo bench -p store`.
//! The files lie in the system's directory for temporary ones and go at the end.
#![expect(clippy::disallowed_methods, reason = "the bench makes and removes its own directory")]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use message::{Draft, Str};
use store::{Append, Everything, Limits, OsDisk, Position, Settings, Store};

/// As many as one read of a busy socket yields.
const SENDS: usize = 64;
/// As many as a pull asks for.
const PULL: usize = 32;
const NOW: i64 = 1_700_000_000_000;
const TOPIC: Str = Str::from_static("Topic");

fn main() {
    divan::main();
}

/// A store in a directory that goes with it.
struct Temporary(PathBuf, Store);

impl Temporary {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let settings = Settings { root: root.clone(), ..Settings::default() };
        let store = Store::open(Arc::new(OsDisk), settings).expect("an empty directory opens");
        Self(root, store)
    }

    fn append(&self, body: &Bytes) {
        let mut batch: Vec<Append> =
            (0..SENDS as i32).map(|number| Append::one(draft(number % 4, body))).collect();
        self.1.append(NOW, &mut batch);
        assert!(batch.iter().all(|append| append.outcome.is_ok()));
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("our own directory can be removed");
    }
}

fn draft(queue_id: i32, body: &Bytes) -> Draft {
    let host = "127.0.0.1:10911".parse().expect("an address");
    Draft {
        queue_id,
        body: body.clone(),
        properties: Bytes::from_static(
            b"UNIQ_KEY\x017F000001B3E018B4AAC2000000000001\x02WAIT\x01true\x02TAGS\x01A\x02",
        ),
        ..Draft::plain(TOPIC, NOW, host)
    }
}

/// One batch of messages: log, queues and index.
#[divan::bench(args = [128, 1024])]
fn append(bencher: Bencher<'_, '_>, body_bytes: usize) {
    let temporary = Temporary::new("bench-append");
    let body = Bytes::from(vec![b'x'; body_bytes]);
    bencher.counter(ItemsCount::new(SENDS)).bench_local(|| temporary.append(&body));
}

/// One pull of messages that were just written.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let temporary = Temporary::new("bench-read");
    let body = Bytes::from_static(&[b'x'; 128]);
    (0..100).for_each(|_| temporary.append(&body));
    let mut offset = 0;
    bencher.counter(ItemsCount::new(PULL)).bench_local(|| {
        let from = Position { topic: &TOPIC, queue_id: 0, offset };
        let read = temporary.1.read(from, Limits::messages(PULL), &Everything);
        offset = (offset + PULL as i64) % 1024;
        assert_eq!(read.messages.len(), PULL);
        read
    });
}
