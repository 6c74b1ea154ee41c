//! One stored message as bytes: the layout of the commit log's records (Java `CommitLog`,
//! `MessageExtEncoder`), decoded without copying. Encoding is in [`crate::Draft`].
//!
//! ```text
//! i32 total size | i32 magic | i32 body crc | i32 queue id | i32 flag | i64 queue offset
//! i64 log offset | i32 sys flag | i64 born time | born host | i64 store time | store host
//! i32 reconsume times | i64 prepared transaction offset | i32 + body | i8 or i16 + topic
//! i16 + properties
//! ```
//! A host is 4 or 16 address bytes and an `i32` port. All integers are big-endian.

use crate::{properties, property, sys_flag};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Magic of records whose topic length is one byte.
pub const MAGIC_V1: i32 = 0xDAA3_20A7_u32 as i32;
/// Magic of records whose topic length is two bytes (since Java 5.1.0).
pub const MAGIC_V2: i32 = 0xDAA3_20AB_u32 as i32;
/// Magic of the blank record that fills the end of a file.
pub const MAGIC_BLANK: i32 = 0xCBD4_3194_u32 as i32;
/// A blank record's own bytes; what follows it in the file has no meaning.
pub const BLANK_LEN: usize = 8;
/// Bytes of a V1 record with IPv4 hosts besides body, topic and properties.
pub const FIXED_LEN: usize = 91;
/// What an IPv6 host takes more than an IPv4 one.
pub const IPV6_EXTRA: usize = 12;

/// Where fields of fixed place lie in a record, bytes from its start.
pub mod at {
    /// `i32` whole size.
    pub const TOTAL_SIZE: usize = 0;
    /// `i32` magic.
    pub const MAGIC: usize = 4;
    /// `i32` queue id.
    pub const QUEUE_ID: usize = 12;
    /// `i64` queue offset.
    pub const QUEUE_OFFSET: usize = 20;
    /// `i64` log offset.
    pub const LOG_OFFSET: usize = 28;
    /// `i32` sys flag.
    pub const SYS_FLAG: usize = 36;
    /// Born host; the fields behind it move by the size of the hosts.
    pub const BORN_HOST: usize = 48;
}

/// What stands at a place in the commit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message.
    Message(Record<'a>),
    /// The rest of the file is unused; the next record begins the next file.
    Blank {
        /// The bytes left in the file as the writer noted them.
        size: i32,
    },
}

/// One stored message, borrowing the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The whole record, `total_size` bytes.
    pub raw: &'a [u8],
    /// [`MAGIC_V1`] or [`MAGIC_V2`].
    pub magic: i32,
    /// CRC-32 of the stored body, top bit cleared.
    pub body_crc: i32,
    /// The queue within the topic.
    pub queue_id: i32,
    /// The user's flag.
    pub flag: i32,
    /// Place in the queue, counted in messages; 0 for half and rolled-back messages.
    pub queue_offset: i64,
    /// Place in the commit log, bytes.
    pub log_offset: i64,
    /// Bits of [`crate::sys_flag`].
    pub sys_flag: i32,
    /// When the producer made it, ms since the epoch.
    pub born_timestamp: i64,
    /// The producer.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since the epoch.
    pub store_timestamp: i64,
    /// The broker.
    pub store_host: SocketAddr,
    /// How often it was redelivered through the retry topic.
    pub reconsume_times: i32,
    /// Log offset of the half message that a commit belongs to.
    pub prepared_transaction_offset: i64,
    /// The body as the producer sent it, compressed or not.
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// The encoded properties; see [`crate::properties`].
    pub properties: &'a [u8],
}

impl<'a> Record<'a> {
    /// The whole size, bytes.
    pub fn total_size(&self) -> usize {
        self.raw.len()
    }

    /// What it says of its place.
    pub fn claim(&self) -> Claim<'a> {
        Claim {
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            log_offset: self.log_offset,
            sys_flag: self.sys_flag,
            topic: self.topic.as_bytes(),
            properties: self.properties,
        }
    }

    /// The value of one property.
    pub fn property(&self, key: &str) -> Option<&'a str> {
        properties::find(self.properties, key)
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end before the record does.
    Short {
        /// What the record needs as far as it is known.
        needed: usize,
        /// What there is.
        left: usize,
    },
    /// Neither a message nor a blank record; zeros mean that nothing was written here.
    Magic(i32),
    /// The lengths inside do not add up to the total size.
    Lengths,
    /// The body does not match its checksum.
    Crc {
        /// As stored.
        stored: i32,
        /// As computed.
        computed: i32,
    },
    /// A port above 65535.
    Port(u32),
    /// The topic is not UTF-8.
    Topic,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, left } => {
                write!(f, "record needs {needed} bytes, {left} are left")
            }
            Self::Magic(0) => write!(f, "no record (zeros)"),
            Self::Magic(magic) => write!(f, "no record magic: {magic:#010x}"),
            Self::Lengths => write!(f, "record lengths do not add up"),
            Self::Crc { stored, computed } => {
                write!(f, "body checksum is {computed:#010x}, stored is {stored:#010x}")
            }
            Self::Port(port) => write!(f, "record has port {port}"),
            Self::Topic => write!(f, "record topic is not UTF-8"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Checks and reads what begins at `bytes`, which may go on behind it. The body's checksum is
/// compared only when `verify_crc` says so, and as in Java only for a body that is not empty.
pub fn decode(bytes: &[u8], verify_crc: bool) -> Result<Entry<'_>, RecordError> {
    let entry = entry(bytes)?;
    if let (true, Entry::Message(record)) = (verify_crc, &entry)
        && !record.body.is_empty()
    {
        let (stored, computed) = (record.body_crc, body_crc(record.body));
        if stored != computed {
            return Err(RecordError::Crc { stored, computed });
        }
    }
    Ok(entry)
}

/// What a record says of its place: enough to tell whether it is the one that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The queue within the topic.
    pub queue_id: i32,
    /// Place in the queue, counted in messages.
    pub queue_offset: i64,
    /// Place in the commit log, bytes.
    pub log_offset: i64,
    /// Bits of [`crate::sys_flag`].
    pub sys_flag: i32,
    /// The topic, which may be no text.
    pub topic: &'a [u8],
    /// The encoded properties.
    pub properties: &'a [u8],
}

/// Reads that and nothing else of the record that `raw` is as a whole; `None` where [`decode`]
/// would find none, but for a topic that is no text.
#[inline]
pub fn claim(raw: &[u8]) -> Option<Claim<'_>> {
    let head: &[u8; FIXED_LEN] = raw.first_chunk()?;
    let i32_at = |at: usize| Some(i32::from_be_bytes(*raw.get(at..)?.first_chunk()?));
    let i64_at = |at: usize| Some(i64::from_be_bytes(*head[at..].first_chunk()?));
    let magic = i32_at(at::MAGIC)?;
    let is_whole = usize::try_from(i32_at(at::TOTAL_SIZE)?) == Ok(raw.len());
    if !is_whole || !matches!(magic, MAGIC_V1 | MAGIC_V2) {
        return None;
    }
    let sys_flag = i32_at(at::SYS_FLAG)?;
    let port_at = |host: usize, bit: i32| host + if sys_flag & bit == 0 { 4 } else { 16 };
    let born_port = port_at(at::BORN_HOST, sys_flag::BORN_HOST_V6);
    let store_port = port_at(born_port + 12, sys_flag::STORE_HOST_V6);
    let is_port = |at: usize| Some(i32_at(at)? >> 16 == 0);
    if !is_port(born_port)? || !is_port(store_port)? {
        return None;
    }
    let body_len = usize::try_from(i32_at(store_port + 16)?).ok()?;
    let mut rest = Fields { bytes: raw.get(store_port + 20..)?.get(body_len..)? };
    let topic_len = match magic {
        MAGIC_V1 => rest.array().map(|[len]| i32::from(len as i8)),
        _ => rest.i16().map(i32::from),
    };
    let topic = rest.counted(topic_len?)?;
    let properties_len = rest.i16()?;
    let properties = rest.counted(properties_len.into())?;
    rest.bytes.is_empty().then_some(Claim {
        queue_id: i32_at(at::QUEUE_ID)?,
        queue_offset: i64_at(at::QUEUE_OFFSET)?,
        log_offset: i64_at(at::LOG_OFFSET)?,
        sys_flag,
        topic,
        properties,
    })
}

fn entry(bytes: &[u8]) -> Result<Entry<'_>, RecordError> {
    let short = RecordError::Short { needed: BLANK_LEN, left: bytes.len() };
    let mut head = Fields { bytes };
    let total_size = head.i32().ok_or(short)?;
    let magic = head.i32().ok_or(short)?;
    match magic {
        MAGIC_BLANK => return Ok(Entry::Blank { size: total_size }),
        MAGIC_V1 | MAGIC_V2 => {}
        _ => return Err(RecordError::Magic(magic)),
    }
    let needed = usize::try_from(total_size).map_err(|_| RecordError::Lengths)?;
    let raw = bytes.get(..needed).ok_or(RecordError::Short { needed, left: bytes.len() })?;
    message(raw, magic).map(Entry::Message)
}

fn message(raw: &[u8], magic: i32) -> Result<Record<'_>, RecordError> {
    let lengths = RecordError::Lengths;
    let mut rest = Fields { bytes: raw };
    rest.take(8).ok_or(lengths)?;
    let body_crc = rest.i32().ok_or(lengths)?;
    let queue_id = rest.i32().ok_or(lengths)?;
    let flag = rest.i32().ok_or(lengths)?;
    let queue_offset = rest.i64().ok_or(lengths)?;
    let log_offset = rest.i64().ok_or(lengths)?;
    let sys_flag = rest.i32().ok_or(lengths)?;
    let born_timestamp = rest.i64().ok_or(lengths)?;
    let born_host = rest.host(sys_flag & sys_flag::BORN_HOST_V6 != 0)?;
    let store_timestamp = rest.i64().ok_or(lengths)?;
    let store_host = rest.host(sys_flag & sys_flag::STORE_HOST_V6 != 0)?;
    let reconsume_times = rest.i32().ok_or(lengths)?;
    let prepared_transaction_offset = rest.i64().ok_or(lengths)?;
    let body_len = rest.i32().ok_or(lengths)?;
    let body = rest.counted(body_len).ok_or(lengths)?;
    let topic_len = match magic {
        MAGIC_V1 => rest.take(1).map(|len| i32::from(len[0] as i8)),
        _ => rest.i16().map(i32::from),
    };
    let topic = topic_len.and_then(|len| rest.counted(len)).ok_or(lengths)?;
    let topic = std::str::from_utf8(topic).map_err(|_| RecordError::Topic)?;
    let properties_len = rest.i16().ok_or(lengths)?;
    let properties = rest.counted(properties_len.into()).ok_or(lengths)?;
    if !rest.bytes.is_empty() {
        return Err(lengths);
    }
    Ok(Record {
        raw,
        magic,
        body_crc,
        queue_id,
        flag,
        queue_offset,
        log_offset,
        sys_flag,
        born_timestamp,
        born_host,
        store_timestamp,
        store_host,
        reconsume_times,
        prepared_transaction_offset,
        body,
        topic,
        properties,
    })
}

/// The store time in the head of a record, ms since the epoch, without reading the rest; `None`
/// when the bytes are too few. The first [`FIXED_LEN`] bytes are always enough.
pub fn store_timestamp(head: &[u8]) -> Option<i64> {
    let field = |at: usize| head.get(at..);
    let sys_flag = i32::from_be_bytes(*field(at::SYS_FLAG)?.first_chunk()?);
    let host = if sys_flag & sys_flag::BORN_HOST_V6 == 0 { 8 } else { 8 + IPV6_EXTRA };
    field(at::BORN_HOST + host)?.first_chunk().map(|time| i64::from_be_bytes(*time))
}

/// The checksum that a record keeps of its body.
pub fn body_crc(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7FFF_FFFF) as i32
}

/// The bytes that the `__CRC32#` property takes at the end of the properties.
pub const PROPERTY_CRC_LEN: usize = property::CRC32.len() + 1 + CRC_DIGITS + 1;
/// The most that properties grow by when that property is put behind them.
pub const PROPERTY_CRC_ROOM: usize = PROPERTY_CRC_LEN + 1;
const CRC_DIGITS: usize = 10;

/// Whether encoded properties end with a `__CRC32#` property.
pub fn has_property_crc(properties: &[u8]) -> bool {
    let Some(at) = properties.len().checked_sub(PROPERTY_CRC_LEN) else { return false };
    let (before, property) = properties.split_at(at);
    property.starts_with(property::CRC32.as_bytes())
        && before.last().is_none_or(|last| *last == properties::PAIR_SEPARATOR)
}

/// Fills in the `__CRC32#` property, for which [`PROPERTY_CRC_LEN`] bytes must be reserved at the
/// record's end: the checksum of everything before it. All other fields must be final.
pub fn seal_property_crc(record: &mut [u8]) {
    let (before, reserved) = record.split_at_mut(record.len() - PROPERTY_CRC_LEN);
    reserved.copy_from_slice(&property_crc(before));
}

/// Whether the record ends with a `__CRC32#` property that matches; `None` when it has none.
pub fn verify_property_crc(record: &[u8]) -> Option<bool> {
    let (before, property) =
        record.split_at_checked(record.len().checked_sub(PROPERTY_CRC_LEN)?)?;
    let found = property.starts_with(property::CRC32.as_bytes());
    found.then(|| property == property_crc(before))
}

fn property_crc(before: &[u8]) -> [u8; PROPERTY_CRC_LEN] {
    property_crc_text(body_crc(before))
}

/// The property's text; Java writes the digits with the least significant one first.
pub(crate) fn property_crc_text(mut crc: i32) -> [u8; PROPERTY_CRC_LEN] {
    let mut out = [0; PROPERTY_CRC_LEN];
    let (name, rest) = out.split_at_mut(property::CRC32.len());
    name.copy_from_slice(property::CRC32.as_bytes());
    rest[0] = properties::NAME_VALUE_SEPARATOR;
    for digit in &mut rest[1..=CRC_DIGITS] {
        *digit = b'0' + (crc % 10) as u8;
        crc /= 10;
    }
    rest[CRC_DIGITS + 1] = properties::PAIR_SEPARATOR;
    out
}

/// Takes fields off the front of bytes.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn counted(&mut self, len: i32) -> Option<&'a [u8]> {
        self.take(usize::try_from(len).ok()?)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn host(&mut self, v6: bool) -> Result<SocketAddr, RecordError> {
        let ip = if v6 {
            self.array::<16>().map(|ip| IpAddr::from(Ipv6Addr::from(ip)))
        } else {
            self.array::<4>().map(|ip| IpAddr::from(Ipv4Addr::from(ip)))
        };
        let ip = ip.ok_or(RecordError::Lengths)?;
        let port = self.array().map(u32::from_be_bytes).ok_or(RecordError::Lengths)?;
        let port = u16::try_from(port).map_err(|_| RecordError::Port(port))?;
        Ok(SocketAddr::new(ip, port))
    }
}
