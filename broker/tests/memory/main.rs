//! What sends and pulls allocate once everything has its size: nothing for a message; how often
//! they call the system: a few times for many; and what a burst leaves. A binary of its own,
//! because it has an allocator of its own, which counts, and because nobody else may call the
//! system meanwhile.

#![allow(clippy::unwrap_used, reason = "a test that fails here has found something")]
#![allow(clippy::disallowed_methods, reason = "tests own their directories")]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod support;

mod counted;

use bytes::{Bytes, BytesMut};
use message::Draft;
use parking_lot::Mutex;
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::flat::Header;
use remoting::frame::Form;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeaderV2;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use store::{Append, OsDisk, Settings, Store};
use support::World;

/// Requests that leave together.
const WINDOW: usize = 64;
/// How often sends leave, until everything has its size and then while it is counted; and pulls.
const SENDS: usize = 400;
const PULLS: usize = 30;
/// One test at a time: what is counted is the process's.
static ALONE: Mutex<()> = Mutex::new(());

fn requests(form: Form, code: RequestCode, header: &impl Header, body: &'static [u8]) -> Vec<u8> {
    let mut command = Command::request(code).with_header(header).with_body(Bytes::from(body));
    command.form = form;
    let mut out = BytesMut::new();
    (0..WINDOW).for_each(|_| command.encode(&mut out));
    out.to_vec()
}

fn sends(form: Form) -> Vec<u8> {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "producer",
        topic: "T",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: 1,
        properties: Some(
            "KEYS\u{1}order-1\u{2}UNIQ_KEY\u{1}7F000001B3E018B4AAC2000000000001\u{2}\
             TAGS\u{1}A\u{2}",
        ),
        ..SendMessageRequestHeaderV2::default()
    };
    requests(form, RequestCode::SEND_MESSAGE_V2, &header, &[b'x'; 128])
}

fn pulls(messages: i32) -> Vec<u8> {
    let header = PullMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: 1,
        max_msg_nums: messages,
        // The subscription comes with the pull.
        sys_flag: 4,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    requests(Form::Rocketmq, RequestCode::PULL_MESSAGE, &header, &[])
}

/// A client that allocates nothing while it asks.
struct Asking {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Asking {
    /// Sends all requests and waits for as many answers; gives how many bytes those had.
    fn round(&mut self, requests: &[u8]) -> usize {
        self.stream.write_all(requests).unwrap();
        let mut bytes = 0;
        for _ in 0..WINDOW {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).unwrap();
            let rest = u32::from_be_bytes(length) as usize;
            self.stream.read_exact(&mut self.input[..rest]).unwrap();
            bytes += rest;
        }
        bytes
    }

    /// What many rounds cost the broker, once everything has its size.
    fn cost(&mut self, requests: &[u8], rounds: usize) -> Cost {
        let _warm: usize = (0..rounds).map(|_| self.round(requests)).sum();
        let (allocations, calls) = (counted::allocations(), calls());
        let bytes: usize = (0..rounds).map(|_| self.round(requests)).sum();
        Cost {
            allocations: counted::allocations() - allocations,
            calls: self::calls() - calls,
            bytes: bytes / rounds / WINDOW,
        }
    }
}

/// What many requests cost the broker.
struct Cost {
    allocations: usize,
    /// System calls, at most.
    calls: u64,
    /// Bytes of an answer.
    bytes: usize,
}

/// How often the broker has called the system, at most. The kernel counts reads and writes of files
/// and `writev` of sockets, but no `recv` and no `epoll_wait`: of those there is one for each write
/// of answers.
fn calls() -> u64 {
    let count = |path: &str, key: &str| -> u64 {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().parse().unwrap()
    };
    let others = |key| count("/proc/self/io", key) - count("/proc/thread-self/io", key);
    others("syscr:") + 2 * others("syscw:")
}

#[test]
fn a_message_costs_no_allocation_and_few_system_calls() {
    let _alone = ALONE.lock();
    let world = World::start_with(|settings| {
        settings.store.mapped_file_size_commit_log = 64 << 20;
        settings.store.max_hash_slot_num = 100_000;
        settings.store.max_index_num = 4_000_000;
    });
    let world = tokio::runtime::Runtime::new().unwrap().block_on(world);
    counted::begin();
    let stream = TcpStream::connect(world.running.listening).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut asking = Asking { stream, input: vec![0; 1 << 20] };

    // What is left: the list of units that wait for their file is made anew after each flush, and
    // event loops compare themselves now and then: the more the longer it takes.
    let messages = SENDS * WINDOW;
    for form in [Form::Json, Form::Rocketmq] {
        let Cost { allocations, calls, .. } = asking.cost(&sends(form), SENDS);
        println!("{form:?}: {allocations} allocations, {calls} system calls, {messages} sends");
        assert!(allocations * 100 < messages, "{allocations} allocations for {messages} sends");
        assert!(calls * 5 <= messages as u64, "{calls} system calls for {messages} sends");
    }

    let (one, many) = (asking.cost(&pulls(1), PULLS), asking.cost(&pulls(32), PULLS));
    let (for_one, for_many, pulls) = (one.allocations, many.allocations, PULLS * WINDOW);
    println!("{for_one} allocations for {pulls} pulls of one message, {for_many} of 32");
    assert!(many.bytes > 10 * one.bytes, "{} and {}: pulls find messages", many.bytes, one.bytes);
    assert!(for_one < 3 * pulls / 2, "{for_one} allocations for {pulls} pulls of one message");
    let more = for_many.saturating_sub(for_one);
    assert!(more * 100 < pulls * 31, "{more} allocations more for 31 more messages a pull");
    assert!(counted::allocations() > 0, "who is asked first allocates, and that is counted");
    drop(world);
}

const MIB: usize = 1 << 20;

/// Sends of a burst, in batches, and the keys of each.
const BURST: usize = 100;
const BATCH: usize = 1_000;
const KEYS: usize = 2;

/// What a store that nobody flushes meanwhile takes for a burst of sends, and what it has of that
/// after some flushes.
#[test]
fn a_burst_of_keys_takes_little_and_leaves_nothing() {
    let _alone = ALONE.lock();
    let root = std::env::temp_dir().join(format!("rockhopper-burst-{}", std::process::id()));
    let settings = Settings { root: root.clone(), ..Settings::default() };
    let store = Store::open(Arc::new(OsDisk), settings).unwrap();
    let before = counted::bytes();
    let ((), burst) = counted::most_bytes(|| {
        (0..BURST).for_each(|number| append(&store, number));
        store.flush(NOW).unwrap();
    });
    let (burst_mib, keys_mib) = (burst / MIB, BURST * BATCH * KEYS * 24 / MIB);
    store.flush(NOW + 1_000).unwrap();
    append(&store, BURST);
    store.flush(NOW + 2_000).unwrap();
    let left = counted::bytes().saturating_sub(before);
    println!("{keys_mib} MiB of keys take {burst_mib} MiB and leave {left} bytes");
    assert!(burst_mib < 4 * keys_mib, "{keys_mib} MiB of keys take {burst_mib} MiB");
    assert!(left < MIB, "a burst leaves {left} bytes");
    drop(store);
    std::fs::remove_dir_all(root).unwrap();
}

const NOW: i64 = 1_700_000_000_000;

fn append(store: &Store, number: usize) {
    let host = "127.0.0.1:1".parse().unwrap();
    let draft = |of_batch: usize| Draft {
        properties: format!("KEYS\u{1}{number}-{of_batch}\u{2}UNIQ_KEY\u{1}u{number}-{of_batch}")
            .into(),
        ..Draft::plain("T", NOW, host)
    };
    let mut batch: Vec<_> = (0..BATCH).map(|of_batch| Append::one(draft(of_batch))).collect();
    store.append(NOW, &mut batch);
    assert!(batch.iter().all(|append| append.outcome.is_ok()));
}
