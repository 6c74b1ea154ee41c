//! Records of the commit log and entries of queues and index, read from bytes. Written apart from
//! the message and store crates on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// The magic of a record with one length byte for its topic.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// The magic of a record with two length bytes for its topic.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// The magic of the filler at a file's end.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// The property that holds a record's own checksum.
pub const CRC_KEY: &str = "__CRC32#";
/// Bytes of that property.
pub const CRC_BYTES: usize = 20;

/// Where the body of a record with IPv4 hosts begins.
pub const BODY_AT: u64 = 88;

const BORN_V6: i32 = 0x10;
const STORE_V6: i32 = 0x20;

/// One record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Place in the commit log.
    pub log_offset: i64,
    /// The queue.
    pub queue_id: i32,
    /// Place in the queue.
    pub queue_offset: i64,
    /// Compression, transaction, IPv6.
    pub sys_flag: i32,
    /// The producer's clock, ms.
    pub born_ms: i64,
    /// The broker's clock, ms.
    pub stored_ms: i64,
    /// Where the producer's address begins.
    pub born_host: usize,
    /// Where the time of storing begins.
    pub stored_at: usize,
    /// The body.
    pub body: Vec<u8>,
    /// The topic it is stored under.
    pub topic: String,
    /// Where the properties begin; they end the record.
    pub properties_at: usize,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (topic, queue, offset) = (&self.topic, self.queue_id, self.queue_offset);
        let properties = String::from_utf8_lossy(self.properties());
        let properties = properties.replace('\u{1}', "^").replace('\u{2}', "~");
        write!(f, "{topic}/{queue}/{offset} at {} {properties}", self.log_offset)
    }
}

impl Record {
    /// The record that `bytes` begins with; its checksums are right.
    ///
    /// # Errors
    /// There is none.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let size = usize::try_from(int(bytes, 0)?)?;
        let magic = int(bytes, 4)?.cast_unsigned();
        ensure!(magic == MAGIC_V1 || magic == MAGIC_V2, "magic {magic:x}");
        let bytes = bytes.get(..size).context("the record is cut")?;
        let sys_flag = int(bytes, 36)?;
        let host = |bit| if sys_flag & bit == 0 { 8 } else { 20 };
        let born_host = 48;
        let stored_at = born_host + host(BORN_V6);
        let body_at = stored_at + 8 + host(STORE_V6) + 12 + 4;
        let body_len = usize::try_from(int(bytes, body_at - 4)?)?;
        let topic_at = body_at + body_len;
        let body = bytes.get(body_at..topic_at).context("the body is cut")?.to_vec();
        let wide = if magic == MAGIC_V2 { 2 } else { 1 };
        let topic_len = number(bytes, topic_at, wide)?;
        let topic_end = topic_at + wide + topic_len;
        let topic = bytes.get(topic_at + wide..topic_end).context("the topic is cut")?;
        let properties_at = topic_end + 2;
        let properties_len = number(bytes, topic_end, 2)?;
        ensure!(properties_at + properties_len == size, "the lengths do not add up to {size}");
        let stored = int(bytes, 8)?.cast_unsigned();
        let crc = crc32(&body) & 0x7FFF_FFFF;
        ensure!(crc == stored, "the body's checksum is {crc:x}, the record says {stored:x}");
        let record = Self {
            log_offset: long(bytes, 28)?,
            queue_id: int(bytes, 12)?,
            queue_offset: long(bytes, 20)?,
            sys_flag,
            born_ms: long(bytes, 40)?,
            stored_ms: long(bytes, stored_at)?,
            born_host,
            stored_at,
            body,
            topic: String::from_utf8(topic.to_vec())?,
            properties_at,
            bytes: bytes.to_vec(),
        };
        record.check_own_crc()?;
        Ok(record)
    }

    /// The bytes of the properties.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        &self.bytes[self.properties_at..]
    }

    /// The properties as a table.
    #[must_use]
    pub fn table(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(self.properties()).into_owned();
        let pairs = text.split('\u{2}').filter_map(|pair| pair.split_once('\u{1}'));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Whether it ends with a checksum of its own.
    #[must_use]
    pub fn has_own_crc(&self) -> bool {
        let from = self.bytes.len().saturating_sub(CRC_BYTES);
        self.properties().len() >= CRC_BYTES
            && self.bytes[from..].starts_with(format!("{CRC_KEY}\u{1}").as_bytes())
    }

    /// The checksum's digits stand with the lowest first.
    fn check_own_crc(&self) -> Result<()> {
        if !self.has_own_crc() {
            return Ok(());
        }
        let (covered, tail) = self.bytes.split_at(self.bytes.len() - CRC_BYTES);
        let digits = &tail[CRC_KEY.len() + 1..CRC_BYTES - 1];
        let found = digits.iter().rev().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit & 15));
        let wanted = u64::from(crc32(covered) & 0x7FFF_FFFF);
        ensure!(found == wanted, "its own checksum is {wanted}, the record says {found}");
        Ok(())
    }
}

/// Records side by side, as a pull answers them.
///
/// # Errors
/// Something else stands there.
pub fn side_by_side(mut bytes: &[u8]) -> Result<Vec<Record>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let record = Record::read(bytes)?;
        bytes = &bytes[record.bytes.len()..];
        all.push(record);
    }
    Ok(all)
}

/// The filler at a file's end: where it begins, and its bytes.
pub type Filler = (i64, Vec<u8>);

/// The records of a commit log's files in order, and where each file's filler begins.
///
/// # Errors
/// A file cannot be read, or holds something that is no record before its end.
pub fn log(directory: &Path) -> Result<(Vec<Record>, Vec<Filler>)> {
    let (mut records, mut fillers) = (Vec::new(), Vec::new());
    'files: for path in files(directory)? {
        let start: i64 = name(&path).parse()?;
        let bytes = fs::read(&path)?;
        let mut at = 0;
        while at + 8 <= bytes.len() {
            let place = start + i64::try_from(at)?;
            match int(&bytes, at + 4)?.cast_unsigned() {
                MAGIC_BLANK => {
                    fillers.push((place, bytes[at..].to_vec()));
                    continue 'files;
                }
                0 => {
                    let clean = bytes[at..].iter().all(|byte| *byte == 0);
                    ensure!(clean, "bytes behind the log's end at {place}");
                    break 'files;
                }
                _ => {}
            }
            let record = Record::read(&bytes[at..]).with_context(|| format!("at {place}"))?;
            ensure!(record.log_offset == place, "{record:?} stands at {place}");
            at += record.bytes.len();
            records.push(record);
        }
    }
    Ok((records, fillers))
}

/// A unit of a consume queue: log offset, size, tags code.
pub type Unit = (i64, i32, i64);

/// All queues that hold something: topic and queue, and the units from the first on.
///
/// # Errors
/// A file cannot be read.
pub fn queues(directory: &Path) -> Result<BTreeMap<(String, i32), Vec<Unit>>> {
    let mut all = BTreeMap::new();
    for topic in files(directory)? {
        for queue in files(&topic)? {
            let mut units = Vec::new();
            for file in files(&queue)? {
                for unit in fs::read(&file)?.chunks_exact(20) {
                    let unit = (long(unit, 0)?, int(unit, 8)?, long(unit, 12)?);
                    if unit.1 > 0 {
                        units.push(unit);
                    }
                }
            }
            if !units.is_empty() {
                all.insert((name(&topic), name(&queue).parse()?), units);
            }
        }
    }
    Ok(all)
}

/// The highest tags code of a unit that is an address.
pub const ADDRESS_MAX: i64 = i32::MIN as i64 - 1;

/// What stands beside a queue's units: its address, the tags code, the time of storing, and the
/// bits of filters.
pub type Entry = (i64, i64, i64, Vec<u8>);

/// The entries of a queue from the first on, and what stands where each file ends, with its
/// address.
pub type Entries = (Vec<Entry>, Vec<Filler>);

/// All extended queues: topic and queue, and what stands there.
///
/// # Errors
/// A file cannot be read, or something else stands there.
pub fn extended(directory: &Path) -> Result<BTreeMap<(String, i32), Entries>> {
    let mut all = BTreeMap::new();
    for topic in files(directory)? {
        for queue in files(&topic)? {
            let (mut entries, mut ends) = (Vec::new(), Vec::new());
            for file in files(&queue)? {
                let bytes = fs::read(&file)?;
                let start = i64::MIN + name(&file).parse::<i64>()?;
                let mut at = 0;
                while at + 2 <= bytes.len() {
                    let address = start + i64::try_from(at)?;
                    let Ok(len @ 20..) = usize::try_from(i16::from_be_bytes(array(&bytes, at)?))
                    else {
                        break;
                    };
                    let (bits, end) = (number(&bytes, at + 18, 2)?, at + len);
                    ensure!(len == 20 + bits, "{} at {at}: {len} bytes", file.display());
                    let bits = bytes.get(at + 20..end).context("the entry is cut")?.to_vec();
                    entries.push((address, long(&bytes, at + 2)?, long(&bytes, at + 10)?, bits));
                    at = end;
                }
                ends.push((start + i64::try_from(at)?, bytes[at..].to_vec()));
            }
            all.insert((name(&topic), name(&queue).parse()?), (entries, ends));
        }
    }
    Ok(all)
}

/// A unit of a queue of inner batches: log offset, time of storing, and all other bytes.
pub type BatchUnit = (i64, i64, Vec<u8>);

/// All queues of inner batches that hold something: topic and queue, and the units.
///
/// # Errors
/// A file cannot be read.
pub fn batch_queues(directory: &Path) -> Result<BTreeMap<(String, i32), Vec<BatchUnit>>> {
    let mut all = BTreeMap::new();
    for topic in files(directory)? {
        for queue in files(&topic)? {
            let mut units = Vec::new();
            for file in files(&queue)? {
                for unit in fs::read(&file)?.chunks_exact(46).filter(|unit| unit[8..12] != [0; 4]) {
                    let others = [&unit[8..20], &unit[28..]].concat();
                    units.push((long(unit, 0)?, long(unit, 20)?, others));
                }
            }
            all.insert((name(&topic), name(&queue).parse()?), units);
        }
    }
    Ok(all)
}

/// An index file, times left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// First and last log offset, used slots, number of the next entry.
    pub header: (i64, i64, i32, i32),
    /// The newest entry of each slot.
    pub slots: Vec<i32>,
    /// Hash, log offset and the entry before in the same slot.
    pub entries: Vec<(i32, i64, i32)>,
}

/// The index files of a directory, the oldest first, made with this many slots.
///
/// # Errors
/// A file cannot be read.
pub fn index(directory: &Path, slots: usize) -> Result<Vec<IndexFile>> {
    let mut all = Vec::new();
    for path in files(directory)? {
        let bytes = fs::read(&path)?;
        let header = (long(&bytes, 16)?, long(&bytes, 24)?, int(&bytes, 32)?, int(&bytes, 36)?);
        let first = 40 + 4 * slots;
        let slots = (0..slots).map(|slot| int(&bytes, 40 + 4 * slot)).collect::<Result<_>>()?;
        let entry = |number: usize| {
            let at = first + 20 * number;
            Ok((int(&bytes, at)?, long(&bytes, at + 4)?, int(&bytes, at + 16)?))
        };
        let entries = (1..usize::try_from(header.3)?).map(entry).collect::<Result<_>>()?;
        all.push(IndexFile { header, slots, entries });
    }
    Ok(all)
}

/// The names in a directory in order; none if it is not there.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        all.push(entry?.path());
    }
    all.sort();
    Ok(all)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let part = bytes.get(at..at + N).context("the bytes end too soon")?;
    Ok(part.try_into()?)
}

fn int(bytes: &[u8], at: usize) -> Result<i32> {
    Ok(i32::from_be_bytes(array(bytes, at)?))
}

fn long(bytes: &[u8], at: usize) -> Result<i64> {
    Ok(i64::from_be_bytes(array(bytes, at)?))
}

fn number(bytes: &[u8], at: usize, wide: usize) -> Result<usize> {
    match wide {
        1 => Ok(usize::from(array::<1>(bytes, at)?[0])),
        2 => Ok(usize::from(u16::from_be_bytes(array(bytes, at)?))),
        _ => bail!("a length of {wide} bytes"),
    }
}

/// The checksum of zip files.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Java 5.3.3 wrote with `enabledAppendPropCRC`.
    const GOLDEN: &str = "000000b9daa320a73610a686000000010000000000000000000000000000000000000000\
        000000000000018bcfe568007f00000100002a9f000001a1fd4b7e7d7f00000100002a9f\
        0000000000000000000000000000000568656c6c6f06546f706963540053";

    #[test]
    fn a_record_of_the_stock_broker_is_read() {
        let hex = GOLDEN.replace(char::is_whitespace, "");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let mut bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        bytes.extend_from_slice(
            b"KEYS\x01k1 k2\x02UNIQ_KEY\x017F0000010000000000000000000A0000\x02",
        );
        bytes.extend_from_slice(b"TAGS\x01TagA\x02__CRC32#\x014916205681\x02");
        let record = Record::read(&bytes).unwrap();
        assert_eq!((record.topic.as_str(), record.body.as_slice()), ("TopicT", &b"hello"[..]));
        assert_eq!((record.born_ms, record.stored_ms), (0x018b_cfe5_6800, 0x01a1_fd4b_7e7d));
        assert!(record.has_own_crc());
        assert_eq!(record.table()["KEYS"], "k1 k2");
        bytes[58] ^= 1;
        assert!(Record::read(&bytes).is_err(), "its own checksum covers the time");
    }
}
