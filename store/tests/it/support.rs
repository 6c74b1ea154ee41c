//! What the tests share: small settings, drafts, and a directory that removes itself.

use bytes::Bytes;
use message::{Draft, Entry, Properties, Record, property, record};
use simulator::SimDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{Append, Appended, Disk, Everything, Limits, OsDisk, Position, Read, Settings, Store};

pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A directory of its own, removed at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rockhopper-store-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs one test body over both disks.
pub(crate) fn on_both_disks(body: impl Fn(Arc<dyn Disk>, Settings)) {
    body(Arc::new(SimDisk::new(7)), small(Path::new("/store")));
    let dir = TempDir::new();
    body(Arc::new(OsDisk), small(dir.path()));
}

/// Files so small that a test rolls them.
pub(crate) fn small(root: &Path) -> Settings {
    Settings {
        root: root.into(),
        commit_log_file_bytes: 16 << 10,
        consume_queue_file_bytes: 20 * 50,
        index_slots: 100,
        index_entries: 200,
        ..Settings::default()
    }
}

pub(crate) fn open(disk: &Arc<dyn Disk>, settings: &Settings) -> Store {
    Store::open(disk.clone(), settings.clone()).unwrap()
}

pub(crate) fn draft(topic: &str, queue_id: i32, body: &str) -> Draft {
    let host = "127.0.0.1:10911".parse().unwrap();
    let properties: Properties = [
        (property::KEYS, format!("key-{body}")),
        (property::UNIQ_KEY, format!("unique-{body}")),
        (property::TAGS, "TagA".into()),
    ]
    .into_iter()
    .collect();
    Draft {
        queue_id,
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: properties.encode(),
        ..Draft::plain(topic.to_owned(), NOW - 5, host)
    }
}

pub(crate) fn append(store: &Store, now: i64, draft: Draft) -> Appended {
    let mut list = [Append::one(draft)];
    store.append(now, &mut list);
    list[0].outcome.unwrap()
}

pub(crate) fn read(store: &Store, topic: &str, queue_id: i32, offset: i64) -> Read {
    store.read(Position { topic, queue_id, offset }, Limits::messages(32), &Everything)
}

/// Every body of a queue by its offset, checked record by record; places may be empty.
pub(crate) fn bodies_by_offset(store: &Store, topic: &str, id: i32) -> BTreeMap<i64, String> {
    let mut all = BTreeMap::new();
    let mut offset = store.min_offset(topic, id);
    while offset < store.max_offset(topic, id) {
        let found = read(store, topic, id, offset);
        assert!(found.next_offset > offset, "{found:?}");
        for bytes in &found.messages {
            let record = record_of(bytes);
            assert_eq!((record.topic, record.queue_id), (topic, id));
            assert!((offset..found.next_offset).contains(&record.queue_offset));
            offset = record.queue_offset + 1;
            all.insert(record.queue_offset, String::from_utf8(record.body.to_vec()).unwrap());
        }
        offset = found.next_offset;
    }
    all
}

/// Every body of a queue from its first offset on, checked record by record.
pub(crate) fn bodies(store: &Store, topic: &str, queue_id: i32) -> Vec<String> {
    let mut all = Vec::new();
    let mut offset = store.min_offset(topic, queue_id);
    while offset < store.max_offset(topic, queue_id) {
        let found = read(store, topic, queue_id, offset);
        assert!(found.next_offset > offset, "{found:?}");
        for bytes in &found.messages {
            let record = record_of(bytes);
            assert_eq!((record.topic, record.queue_id), (topic, queue_id));
            assert_eq!(record.queue_offset, offset);
            all.push(String::from_utf8(record.body.to_vec()).unwrap());
            offset += 1;
        }
        assert_eq!(offset, found.next_offset);
    }
    all
}

/// What is in a directory.
pub(crate) fn files(disk: &Arc<dyn Disk>, dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(dir);
    disk.list(dir).unwrap().iter().map(|listed| dir.join(&listed.name)).collect()
}

/// Changes the bytes of a file.
pub(crate) fn edit(disk: &Arc<dyn Disk>, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = disk.read(path).unwrap();
    change(&mut content);
    disk.replace(path, &content, None).unwrap();
}

pub(crate) fn record_of(bytes: &[u8]) -> Record<'_> {
    match record::decode(bytes, true).unwrap() {
        Entry::Message(record) => record,
        Entry::Blank { .. } => panic!("a blank record"),
    }
}
