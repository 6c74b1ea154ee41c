//! What sends and pulls allocate once everything has its size: nothing for a message. A binary of
//! its own, because it has an allocator of its own, which counts.

#![allow(clippy::unwrap_used, reason = "a test that fails here has found something")]
#![allow(clippy::disallowed_methods, reason = "tests own their directories")]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod support;

mod counted;

use bytes::{Bytes, BytesMut};
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::flat::Header;
use remoting::frame::Form;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeaderV2;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::World;

/// Requests that leave together.
const WINDOW: usize = 64;
/// How often sends leave, until everything has its size and then while it is counted; and pulls.
const SENDS: usize = 400;
const PULLS: usize = 30;

fn requests(form: Form, code: RequestCode, header: &impl Header, body: &'static [u8]) -> Vec<u8> {
    let mut command = Command::request(code).with_header(header).with_body(Bytes::from(body));
    command.form = form;
    let mut out = BytesMut::new();
    (0..WINDOW).for_each(|_| command.encode(&mut out));
    out.to_vec()
}

fn sends(form: Form) -> Vec<u8> {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "producer".into(),
        topic: "T".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 1,
        properties: Some(
            "KEYS\u{1}order-1\u{2}UNIQ_KEY\u{1}7F000001B3E018B4AAC2000000000001\u{2}TAGS\u{1}A\u{2}"
                .into(),
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

    /// What is allocated in many rounds, once everything has its size; and the bytes of an
    /// answer.
    fn allocations(&mut self, requests: &[u8], rounds: usize) -> (usize, usize) {
        let _warm: usize = (0..rounds).map(|_| self.round(requests)).sum();
        let before = counted::allocations();
        let bytes: usize = (0..rounds).map(|_| self.round(requests)).sum();
        (counted::allocations() - before, bytes / rounds / WINDOW)
    }
}

#[test]
fn a_message_costs_no_allocation() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().on_thread_start(counted::count_here).build().unwrap();
    let world = runtime.block_on(World::start_with(|settings| {
        settings.store.mapped_file_size_commit_log = 64 << 20;
        settings.store.max_hash_slot_num = 100_000;
        settings.store.max_index_num = 4_000_000;
    }));
    let stream = TcpStream::connect(world.running.listening).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut asking = Asking { stream, input: vec![0; 1 << 20] };

    // What is left: the list of units that wait for their file grows anew after each flush.
    let messages = SENDS * WINDOW;
    for form in [Form::Json, Form::Rocketmq] {
        let (allocations, _) = asking.allocations(&sends(form), SENDS);
        println!("{form:?}: {allocations} allocations for {messages} sends");
        assert!(allocations * 100 < messages, "{allocations} allocations for {messages} sends");
    }

    let (for_one, one_bytes) = asking.allocations(&pulls(1), PULLS);
    let (for_many, many_bytes) = asking.allocations(&pulls(32), PULLS);
    let pulls = PULLS * WINDOW;
    println!("{for_one} allocations for {pulls} pulls of one message, {for_many} of 32");
    assert!(many_bytes > 10 * one_bytes, "{many_bytes} and {one_bytes}: pulls find messages");
    let more = for_many.saturating_sub(for_one);
    assert!(more * 100 < pulls * 31, "{more} allocations more for 31 more messages a pull");
    drop(world);
}
