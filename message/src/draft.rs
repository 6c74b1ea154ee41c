//! A message that is about to be stored, and its encoding. What the store decides (offsets and
//! time) comes as a [`Placement`]; decoding is in [`crate::record`].

use crate::record::{self, FIXED_LEN, IPV6_EXTRA, MAGIC_V1, MAGIC_V2};
use crate::{Str, names, properties, property, scan, sys_flag};
use bytes::Bytes;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The most bytes of a record before its body.
const HEAD_LEN_MAX: usize = FIXED_LEN + 2 * IPV6_EXTRA;

/// A message about to be stored. Cloning shares topic, body and properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The topic it is stored under (a system topic while it is parked).
    pub topic: Str,
    /// The queue within the topic.
    pub queue_id: i32,
    /// The user's flag.
    pub flag: i32,
    /// Bits of [`crate::sys_flag`]; the two address bits are set by the encoding.
    pub sys_flag: i32,
    /// When the producer made it, ms since the epoch.
    pub born_timestamp: i64,
    /// The producer.
    pub born_host: SocketAddr,
    /// The broker.
    pub store_host: SocketAddr,
    /// How often it was redelivered.
    pub reconsume_times: i32,
    /// Log offset of the half message that a commit belongs to, else 0.
    pub prepared_transaction_offset: i64,
    /// The body as the producer sent it.
    pub body: Bytes,
    /// The encoded properties; see [`crate::properties`].
    pub properties: Bytes,
}

/// What the store decides about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Place in the queue, counted in messages.
    pub queue_offset: i64,
    /// Place in the commit log, bytes.
    pub log_offset: i64,
    /// Time of storing, ms since the epoch.
    pub store_timestamp: i64,
}

/// A draft that cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftError {
    /// The topic is empty or longer than its kind allows.
    Topic {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// The encoded properties are longer than 32767 bytes.
    Properties {
        /// Their length, bytes.
        len: usize,
    },
    /// The record would not fit a 32-bit size.
    Body {
        /// The body's length, bytes.
        len: usize,
    },
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { len, max } => write!(f, "topic has {len} bytes, 1 to {max} are allowed"),
            Self::Properties { len } => write!(
                f,
                "properties have {len} bytes, at most {} are allowed",
                properties::MAX_ENCODED_LEN
            ),
            Self::Body { len } => write!(f, "body has {len} bytes, a record is below 2 GiB"),
        }
    }
}

impl std::error::Error for DraftError {}

impl Draft {
    /// A message without body and properties for a topic's first queue, made by the broker at
    /// `host` at `now_ms` (since the epoch).
    pub fn plain(topic: impl Into<Str>, now_ms: i64, host: SocketAddr) -> Self {
        Self {
            topic: topic.into(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: now_ms,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::new(),
            properties: Bytes::new(),
        }
    }

    /// Whether the lengths fit the record's fields. [`Self::encode`] relies on it.
    pub fn check(&self) -> Result<(), DraftError> {
        let (len, max) = (self.topic.len(), names::topic_max_len(&self.topic));
        if len == 0 || len > max {
            return Err(DraftError::Topic { len, max });
        }
        if self.properties.len() > properties::MAX_ENCODED_LEN {
            return Err(DraftError::Properties { len: self.properties.len() });
        }
        if i32::try_from(self.encoded_len()).is_err() {
            return Err(DraftError::Body { len: self.body.len() });
        }
        Ok(())
    }

    /// The bytes that the record will take.
    pub fn encoded_len(&self) -> usize {
        let ipv6 = |host: &SocketAddr| if host.is_ipv6() { IPV6_EXTRA } else { 0 };
        FIXED_LEN
            + usize::from(self.has_long_topic())
            + ipv6(&self.born_host)
            + ipv6(&self.store_host)
            + self.body.len()
            + self.topic.len()
            + self.properties.len()
    }

    /// Appends the record to `out`: exactly [`Self::encoded_len`] bytes.
    ///
    /// Panics when [`Self::check`] would fail.
    pub fn encode(&self, placement: Placement, out: &mut Vec<u8>) {
        let start = out.len();
        let size = self.encoded_len();
        out.reserve(size);
        let length = |len: usize| i32::try_from(len).expect("Draft::check bounds the record");
        let magic = if self.has_long_topic() { MAGIC_V2 } else { MAGIC_V1 };
        let mut head = Head { bytes: [0; HEAD_LEN_MAX], len: 0 };
        head.push(length(size).to_be_bytes());
        head.push(magic.to_be_bytes());
        head.push(record::body_crc(&self.body).to_be_bytes());
        head.push(self.queue_id.to_be_bytes());
        head.push(self.flag.to_be_bytes());
        head.push(placement.queue_offset.to_be_bytes());
        head.push(placement.log_offset.to_be_bytes());
        head.push(self.stored_sys_flag().to_be_bytes());
        head.push(self.born_timestamp.to_be_bytes());
        head.push_host(self.born_host);
        head.push(placement.store_timestamp.to_be_bytes());
        head.push_host(self.store_host);
        head.push(self.reconsume_times.to_be_bytes());
        head.push(self.prepared_transaction_offset.to_be_bytes());
        head.push(length(self.body.len()).to_be_bytes());
        out.extend_from_slice(&head.bytes[..head.len]);
        out.extend_from_slice(&self.body);
        let topic_len = i16::try_from(self.topic.len()).expect("Draft::check bounds the topic");
        if self.has_long_topic() {
            out.extend_from_slice(&topic_len.to_be_bytes());
        } else {
            out.push(topic_len as u8);
        }
        out.extend_from_slice(self.topic.as_bytes());
        let properties_len =
            i16::try_from(self.properties.len()).expect("Draft::check bounds the properties");
        out.extend_from_slice(&properties_len.to_be_bytes());
        out.extend_from_slice(&self.properties);
        assert_eq!(out.len() - start, size, "encoded_len says what encode writes");
    }

    /// Makes room for the `__CRC32#` property at the end of the properties, dropping one that a
    /// client sent; [`record::seal_property_crc`] fills it in after encoding.
    pub fn reserve_property_crc(&mut self) {
        let crc_key = property::CRC32.as_bytes();
        if properties::pairs(&self.properties).all(|(key, _)| key != crc_key) {
            self.properties = with_room_for_crc(&self.properties);
            return;
        }
        let mut kept = Vec::with_capacity(self.properties.len() + record::PROPERTY_CRC_ROOM);
        for (key, value) in properties::pairs(&self.properties) {
            if key != crc_key {
                kept.extend_from_slice(key);
                kept.push(properties::NAME_VALUE_SEPARATOR);
                kept.extend_from_slice(value);
                kept.push(properties::PAIR_SEPARATOR);
            }
        }
        self.properties = with_room_for_crc(&kept);
    }

    /// Makes room for the `__CRC32#` property when the properties hold a zero byte, so that zeros
    /// that were sent can be told from a sector that was lost. Nothing changes where the properties
    /// are too long for it.
    pub fn reserve_property_crc_for_zeros(&mut self) {
        let fits = self.properties.len() <= properties::MAX_ENCODED_LEN - record::PROPERTY_CRC_ROOM;
        if fits && scan::holds_byte(&self.properties, 0) {
            self.properties = with_room_for_crc(&self.properties);
        }
    }

    /// The sys flag as it is stored: the address bits follow the hosts.
    pub fn stored_sys_flag(&self) -> i32 {
        let bit = |host: SocketAddr, bit: i32| if host.is_ipv6() { bit } else { 0 };
        (self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6))
            | bit(self.born_host, sys_flag::BORN_HOST_V6)
            | bit(self.store_host, sys_flag::STORE_HOST_V6)
    }

    fn has_long_topic(&self) -> bool {
        self.topic.len() > names::TOPIC_MAX_LEN
    }
}

fn with_room_for_crc(encoded: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(encoded.len() + record::PROPERTY_CRC_ROOM);
    out.extend_from_slice(encoded);
    if out.last().is_some_and(|last| *last != properties::PAIR_SEPARATOR) {
        out.push(properties::PAIR_SEPARATOR);
    }
    out.extend_from_slice(&record::property_crc_text(0));
    out.into()
}

/// The fields before the body.
struct Head {
    bytes: [u8; HEAD_LEN_MAX],
    len: usize,
}

impl Head {
    #[inline(always)]
    fn push<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.len..][..N].copy_from_slice(&field);
        self.len += N;
    }

    #[inline(always)]
    fn push_host(&mut self, host: SocketAddr) {
        match host.ip() {
            IpAddr::V4(ip) => self.push(ip.octets()),
            IpAddr::V6(ip) => self.push(ip.octets()),
        }
        self.push(u32::from(host.port()).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Properties, RecordError, record::decode};

    /// What Java 5.3.3 wrote with `enabledAppendPropCRC`.
    fn golden() -> (Draft, Placement, Vec<u8>) {
        let properties: Properties =
            [("KEYS", "k1 k2"), ("UNIQ_KEY", "7F0000010000000000000000000A0000"), ("TAGS", "TagA")]
                .into_iter()
                .collect();
        let draft = Draft {
            topic: "TopicT".into(),
            queue_id: 1,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 0x018b_cfe5_6800,
            born_host: "127.0.0.1:10911".parse().unwrap(),
            store_host: "127.0.0.1:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"hello"),
            properties: properties.encode(),
        };
        let placement =
            Placement { queue_offset: 0, log_offset: 0, store_timestamp: 0x01a1_fd4b_7e7d };
        let mut bytes = vec![0, 0, 0, 0xb9, 0xda, 0xa3, 0x20, 0xa7, 0x36, 0x10, 0xa6, 0x86];
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 20]);
        bytes.extend_from_slice(&0x018b_cfe5_6800_i64.to_be_bytes());
        bytes.extend_from_slice(&[127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
        bytes.extend_from_slice(&0x01a1_fd4b_7e7d_i64.to_be_bytes());
        bytes.extend_from_slice(&[127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(b"\0\0\0\x05hello\x06TopicT\0\x53");
        bytes.extend_from_slice(
            b"KEYS\x01k1 k2\x02UNIQ_KEY\x017F0000010000000000000000000A0000\x02",
        );
        bytes.extend_from_slice(b"TAGS\x01TagA\x02__CRC32#\x014916205681\x02");
        (draft, placement, bytes)
    }

    #[test]
    fn encodes_as_java() {
        let (mut draft, placement, expected) = golden();
        draft.reserve_property_crc();
        let mut out = Vec::new();
        draft.encode(placement, &mut out);
        record::seal_property_crc(&mut out);
        assert_eq!(out, expected);
        assert_eq!(record::verify_property_crc(&out), Some(true));
    }

    #[test]
    fn decodes_what_it_encoded() {
        let (mut draft, placement, _) = golden();
        let check = |draft: &Draft, overhead: usize| {
            let mut out = vec![7];
            draft.encode(placement, &mut out);
            out.push(9);
            let Entry::Message(read) = decode(&out[1..], true).unwrap() else { panic!("blank") };
            assert_eq!(read.total_size(), draft.encoded_len());
            assert_eq!(record::claim(read.raw), Some(read.claim()));
            let parts = draft.body.len() + draft.topic.len() + draft.properties.len();
            assert_eq!(read.total_size(), overhead + parts);
            assert_eq!((read.topic, read.body), (&*draft.topic, &draft.body[..]));
            assert_eq!((read.born_host, read.store_host), (draft.born_host, draft.store_host));
            assert_eq!(read.properties, draft.properties);
            assert_eq!(read.sys_flag, draft.stored_sys_flag());
            assert_eq!(read.store_timestamp, placement.store_timestamp);
            assert_eq!(record::store_timestamp(&out[1..92]), Some(placement.store_timestamp));
        };
        check(&draft, 91);
        draft.topic = names::retry_topic(&"g".repeat(121)).into();
        check(&draft, 92);
        draft.store_host = "[::1]:10911".parse().unwrap();
        check(&draft, 104);
        draft.born_host = "[2001:db8::1]:5".parse().unwrap();
        draft.body = Bytes::new();
        check(&draft, 116);
    }

    #[test]
    fn damaged_records_are_errors() {
        let (_, _, bytes) = golden();
        for cut in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..cut], true), Err(RecordError::Short { .. })));
            assert_eq!(record::claim(&bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                let read = match decode(&broken, false) {
                    Ok(Entry::Message(read)) if read.total_size() == broken.len() => Some(read),
                    // A topic that is no text is the one thing that a claim does not look for.
                    Err(RecordError::Topic) => continue,
                    _ => None,
                };
                assert_eq!(record::claim(&broken), read.map(|read| read.claim()), "{at} {bit}");
            }
        }
        let mut broken = bytes.clone();
        broken[90] ^= 1;
        assert!(matches!(decode(&broken, true), Err(RecordError::Crc { .. })));
        assert!(decode(&broken, false).is_ok());
        assert_eq!(decode(&[0; 64], true), Err(RecordError::Magic(0)));
        let blank = [0, 0, 1, 0, 0xCB, 0xD4, 0x31, 0x94];
        assert_eq!(decode(&blank, true), Ok(Entry::Blank { size: 256 }));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let (draft, ..) = golden();
        let topic = |topic: String| Draft { topic: topic.into(), ..draft.clone() }.check();
        assert_eq!(draft.check(), Ok(()));
        assert_eq!(topic(String::new()), Err(DraftError::Topic { len: 0, max: 127 }));
        assert_eq!(topic("t".repeat(128)), Err(DraftError::Topic { len: 128, max: 127 }));
        assert_eq!(topic(names::retry_topic(&"g".repeat(200))), Ok(()));
        let properties = Draft { properties: vec![0; 32768].into(), ..draft.clone() };
        assert_eq!(properties.check(), Err(DraftError::Properties { len: 32768 }));
    }
}
