//! A pull whose messages are not in memory, in a broker without a shell.

use super::*;
use crate::opening::Surroundings;
use bytes::Bytes;
use message::{Draft, names};
use remoting::command::Command;
use remoting::peer::Peer;
use remoting::room::Room;
use settings::BrokerSettings;
use std::io;
use std::ops::Range;
use std::path::Path;
use store::disk::{Allocation, File, Listed, Lock, Space};
use store::{Append, Disk, OsDisk};
use tokio::sync::mpsc::unbounded_channel;

const NOW: i64 = 1_700_000_000_000;

/// The system's disk, with nothing of it in memory.
struct Cold;

impl Disk for Cold {
    fn open(&self, path: &Path, size: u64, space: Allocation) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(ColdFile(OsDisk.open(path, size, space)?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        OsDisk.list(dir)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.remove_dir(dir)
    }
    fn replace(&self, path: &Path, content: &[u8], backup: Option<&Path>) -> io::Result<()> {
        OsDisk.replace(path, content, backup)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OsDisk.read(path)
    }
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_all(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        OsDisk.space(path)
    }
    fn lock(&self, path: &Path, content: &[u8]) -> io::Result<Box<dyn Lock>> {
        OsDisk.lock(path, content)
    }
}

struct ColdFile(Arc<dyn File>);

impl File for ColdFile {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }
    fn read_cached(&self, _: u64, _: &mut [u8]) -> io::Result<bool> {
        Ok(false)
    }
    fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.0.slice(range)
    }
    fn is_zero(&self, range: Range<u64>) -> io::Result<bool> {
        self.0.is_zero(range)
    }
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        self.0.zero(range)
    }
    fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.0.sync(range)
    }
}

fn open(root: &Path) -> Broker {
    let mut settings = BrokerSettings::default();
    settings.broker.broker_ip1 = "127.0.0.1".into();
    settings.store.store_path_root_dir = root.to_str().unwrap().into();
    settings.store.mapped_file_size_commit_log = 1 << 20;
    (settings.store.max_hash_slot_num, settings.store.max_index_num) = (100, 4_000);
    let surroundings =
        Surroundings { now_ms: NOW, utc_offset_ms: 0, memory_bytes: 1 << 30, pid: 1, salt: 1 };
    let (outside, _) = unbounded_channel();
    Broker::open(Arc::new(Cold), settings, outside, &surroundings, &|_| {}).unwrap()
}

fn store_one(broker: &Broker) {
    let host = broker.identity.store_host;
    let draft = Draft {
        topic: names::SELF_TEST_TOPIC.into(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"old"),
        properties: Bytes::new(),
    };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, NOW);
    assert!(appends[0].outcome.is_ok());
}

/// A pull from the queue's beginning that commits an offset on its way.
fn pulled(broker: &Broker, lane: Lane, commit_offset: i64) -> Reply<Effect> {
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: names::SELF_TEST_TOPIC.into(),
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION | COMMIT,
        commit_offset,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let room = Room::default();
    let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
    pull(broker, &call, header).unwrap()
}

#[test]
fn what_is_not_in_memory_is_read_beside_the_connection() {
    let name = format!("rockhopper-cold-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let broker = open(&root);
    store_one(&broker);
    let reply = pulled(&broker, Lane::Inline, 0);
    assert!(matches!(reply, Reply::Answer(_)), "it was just written: {reply:?}");
    broker.close(NOW).unwrap();
    drop(broker);

    let broker = open(&root);
    let committed = || broker.offsets.query("g", names::SELF_TEST_TOPIC, 0);
    let reply = pulled(&broker, Lane::Inline, 1);
    assert!(matches!(reply, Reply::Effect(Effect::Block)), "{reply:?}");
    assert_eq!(committed(), Some(0), "nothing is done before it is read");
    let Reply::Answer(answer) = pulled(&broker, Lane::Blocking, 1) else { panic!("no answer") };
    assert_eq!((answer.code, answer.body.len()), (ResponseCode::SUCCESS, 1));
    assert_eq!(committed(), Some(1));
    std::fs::remove_dir_all(root).unwrap();
}
