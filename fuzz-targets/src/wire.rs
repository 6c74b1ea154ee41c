//! Bytes as they come from clients, or from the log: records, properties, batches, frames.

use bytes::{Bytes, BytesMut};
use message::{Draft, Placement, Properties, batch, properties, record};
use remoting::command::Command;
use remoting::frame::{self, Limits};

pub(crate) fn record(data: &[u8]) {
    for verify in [false, true] {
        if let Ok(record::Entry::Message(read)) = record::decode(data, verify) {
            assert!(read.total_size() <= data.len(), "a record lies in its bytes");
            properties(read.properties);
        }
    }
    record::verify_property_crc(data);
    record::store_timestamp(data);
}

pub(crate) fn properties(data: &[u8]) {
    let all = Properties::parse(data);
    let encoded = all.encode();
    assert_eq!(Properties::parse(&encoded), all, "what is encoded is read again");
    for (key, value) in all.iter() {
        assert!(!key.is_empty() && !value.is_empty());
        properties::find(data, key);
    }
}

pub(crate) fn batch(data: &[u8]) {
    let count = batch::messages(Bytes::copy_from_slice(data)).count();
    assert!(count <= data.len() / 22 + 1, "each message takes bytes");
}

pub(crate) fn frame(data: &[u8]) {
    let limits = Limits::default();
    let mut input = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::split(&mut input, &limits) {
        if let Ok(command) = Command::decode(frame, &limits) {
            let mut out = BytesMut::new();
            command.encode(&mut out);
        }
    }
}

/// A message with everything that a record can have.
pub(crate) fn draft(topic: &str, queue_id: i32, number: usize) -> Draft {
    let host = if number.is_multiple_of(2) { "127.0.0.1:10911" } else { "[::1]:10911" };
    let host = host.parse().expect("an address");
    let all: Properties = [
        ("KEYS", format!("key-{number} shared")),
        ("UNIQ_KEY", format!("unique-{number}")),
        ("TAGS", "TagA".into()),
        ("DELAY", "3".into()),
    ]
    .into_iter()
    .collect();
    Draft {
        queue_id,
        body: format!("{number}:{}", "x".repeat(number * 7 % 90)).into_bytes().into(),
        properties: all.encode(),
        ..Draft::plain(topic.to_owned(), 5, host)
    }
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let long = format!("%RETRY%{}", "g".repeat(140));
    let one = |(number, topic): (usize, &str)| {
        let mut draft = draft(topic, 1, number);
        let sealed = number > 1;
        if sealed {
            draft.reserve_property_crc();
        }
        let (queue_offset, log_offset, store_timestamp) = (7, 4_096, 1_700_000_000_000);
        let mut out = Vec::new();
        draft.encode(Placement { queue_offset, log_offset, store_timestamp }, &mut out);
        if sealed {
            record::seal_property_crc(&mut out);
        }
        out
    };
    let topics = ["T", &long, "T", &long];
    let mut all: Vec<_> = topics.into_iter().enumerate().map(one).collect();
    all.push(vec![0, 0, 1, 0, 0xCB, 0xD4, 0x31, 0x94]);
    all
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let all = [&b"a\x01b\x02c\x01d"[..], b"KEYS\x01k1 k2\x02TAGS\x01a\x01b\x02", b""];
    let mut all: Vec<_> = all.map(<[u8]>::to_vec).into();
    all.push(draft("T", 0, 1).properties.to_vec());
    all
}

pub(crate) fn batches() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for number in 0..5 {
        let draft = draft("T", 0, number);
        let (body, properties) = (draft.body, draft.properties);
        batch::encode(&batch::BatchMessage { flag: 1, body, properties }, &mut out);
    }
    vec![out]
}

pub(crate) fn frames() -> Vec<Vec<u8>> {
    let json = br#"{"code":10,"language":"JAVA","version":475,"opaque":1,"flag":0,"#;
    let json = [&json[..], br#""extFields":{"a":"b","topic":"T","queueId":"1"}}"#].concat();
    let binary = [
        &[0, 10, 0, 1, 219, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..],
        &[0, 1, b'a', 0, 0, 0, 2, b'b', b'c'],
    ]
    .concat();
    let frame = |header: &[u8], form: u8| {
        let body = b"body";
        let mut out = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&(u32::from(form) << 24 | header.len() as u32).to_be_bytes());
        out.extend_from_slice(header);
        out.extend_from_slice(body);
        out
    };
    let (one, other) = (frame(&json, 0), frame(&binary, 1));
    vec![[one.clone(), other.clone()].concat(), one, other]
}
