//! Reads records, units and hashes by the format alone (docs/disk.md), sharing no code with the
//! store: what the store answers is held against this.

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) size: usize,
    pub(crate) log_offset: i64,
    pub(crate) queue_id: i32,
    pub(crate) queue_offset: i64,
    pub(crate) sys_flag: i32,
    pub(crate) store_time: i64,
    pub(crate) topic: String,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: Vec<u8>,
    /// The checksum at the end of the properties, if there is one, is that of the record.
    pub(crate) seal_holds: bool,
}

/// What begins at a place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Record(Record),
    Blank,
    Zeros,
    Bad(&'static str),
}

/// Flag of a record that holds a batch.
const INNER_BATCH: i32 = 0x80;

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A signed big-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Option<i64> {
        let bytes = self.take(len)?;
        let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1_i64 };
        Some(bytes.iter().fold(sign, |n, byte| n << 8 | i64::from(*byte)))
    }
}

/// Reads what begins at the front of `bytes`.
pub(crate) fn entry(bytes: &[u8]) -> Entry {
    let head = |at: usize| Fields(bytes.get(at..).unwrap_or_default()).number(4).unwrap_or(0);
    let (size, magic) = (head(0), head(4) as u32);
    match magic {
        0 if size == 0 => Entry::Zeros,
        0xCBD4_3194 if size >= 8 => Entry::Blank,
        0xDAA3_20A7 | 0xDAA3_20AB => {
            let whole = usize::try_from(size).ok().and_then(|size| bytes.get(..size));
            let Some(whole) = whole else { return Entry::Bad("it is cut short") };
            record(whole, magic == 0xDAA3_20AB).unwrap_or(Entry::Bad("lengths do not add up"))
        }
        _ => Entry::Bad("no such magic"),
    }
}

fn record(whole: &[u8], long_topic: bool) -> Option<Entry> {
    let mut fields = Fields(whole);
    fields.take(8)?;
    let crc = fields.number(4)?;
    let queue_id = fields.number(4)? as i32;
    fields.take(4)?;
    let (queue_offset, log_offset) = (fields.number(8)?, fields.number(8)?);
    let sys_flag = fields.number(4)? as i32;
    fields.take(8)?;
    fields.take(if sys_flag & 0x10 == 0 { 8 } else { 20 })?;
    let store_time = fields.number(8)?;
    fields.take(if sys_flag & 0x20 == 0 { 8 } else { 20 })?;
    fields.take(12)?;
    let body_len = fields.number(4)?;
    let body = fields.take(usize::try_from(body_len).ok()?)?.to_vec();
    let topic_len = fields.number(if long_topic { 2 } else { 1 })?;
    let topic = fields.take(usize::try_from(topic_len).ok()?)?;
    let properties_len = fields.number(2)?;
    let properties = fields.take(usize::try_from(properties_len).ok()?)?.to_vec();
    if !fields.0.is_empty() {
        return None;
    }
    if i64::from(crc32(&body) & 0x7FFF_FFFF) != crc && !body.is_empty() {
        return Some(Entry::Bad("the body does not match its checksum"));
    }
    let topic = String::from_utf8(topic.to_vec()).ok()?;
    let size = whole.len();
    let seal_holds = seal_holds(whole);
    Some(Entry::Record(Record {
        size,
        log_offset,
        queue_id,
        queue_offset,
        sys_flag,
        store_time,
        topic,
        body,
        properties,
        seal_holds,
    }))
}

/// Whether the record ends with no `__CRC32#`, or with that of all before it: ten digits, the least
/// significant one first.
fn seal_holds(whole: &[u8]) -> bool {
    let (before, seal) = whole.split_at(whole.len().saturating_sub(20));
    let Some(digits) = seal.strip_prefix(b"__CRC32#\x01") else { return true };
    let digits = digits.strip_suffix(b"\x02").unwrap_or_default();
    let said = digits.iter().rev().fold(0, |crc, digit| crc * 10 + u64::from(digit & 0xF));
    said == u64::from(crc32(before) & 0x7FFF_FFFF)
}

impl Record {
    /// Whether a queue shows it: half and rolled-back messages have no place in one.
    pub(crate) fn is_visible(&self) -> bool {
        matches!(self.sys_flag & 0xC, 0 | 0x8)
    }

    /// The hash of the tags, which the unit of a message that is not delayed carries.
    pub(crate) fn tags_hash(&self) -> i64 {
        let tags = pairs(&self.properties).filter(|(name, _)| *name == b"TAGS").last();
        let tags = tags.and_then(|(_, tags)| std::str::from_utf8(tags).ok());
        tags.map_or(0, |tags| i64::from(java_hash(tags)))
    }

    /// Where the bytes may be that say which message it is: an inner batch has others before them,
    /// and the flag that says so may be the bit that flipped.
    pub(crate) fn id_bytes(&self) -> [&[u8]; 2] {
        let heads = if self.sys_flag & INNER_BATCH != 0 { [20, 0] } else { [0, 20] };
        heads.map(|head| self.body.get(head..).unwrap_or_default())
    }

    /// The light queues that it went to, and its place in each.
    pub(crate) fn light_places(&self) -> Vec<(String, i64)> {
        let list = |name: &[u8]| self.property(name).unwrap_or_default().split(',');
        let names = list(b"INNER_MULTI_DISPATCH").map(str::to_owned);
        let offsets = list(b"INNER_MULTI_QUEUE_OFFSET").map(|offset| offset.parse().ok());
        names.zip(offsets).filter_map(|(name, offset)| Some((name, offset?))).collect()
    }

    fn property(&self, name: &[u8]) -> Option<&str> {
        let found = pairs(&self.properties).filter(|(known, _)| *known == name).last();
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The hashes of the index's keys: of the unique key, each key and the tags.
    pub(crate) fn key_hashes(&self) -> Vec<i32> {
        let mut all = Vec::new();
        for (name, value) in pairs(&self.properties) {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            match name {
                b"UNIQ_KEY" => all.push(key_hash(&self.topic, value)),
                b"KEYS" => all.extend(value.split(' ').map(|key| key_hash(&self.topic, key))),
                b"TAGS" => all.push(key_hash(&self.topic, &format!("T#{value}"))),
                _ => {}
            }
        }
        all
    }
}

/// What is behind the places that the store writes at the end of the properties.
pub(crate) fn behind_places(mut rest: &[u8]) -> &[u8] {
    for name in [&b"INNER_BASE\x01"[..], b"INNER_MULTI_QUEUE_OFFSET\x01"] {
        let Some(value) = rest.strip_prefix(name) else { continue };
        let is_place = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
        let end = value.iter().position(|byte| !is_place(byte)).unwrap_or(value.len());
        // A part of it may be lost.
        let Some(behind) = value[end..].strip_prefix(b"\x02") else { return rest };
        rest = behind;
    }
    rest
}

/// The pairs of a property string.
fn pairs(properties: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    properties.split(|byte| *byte == 2).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == 1)?;
        Some((&pair[..at], &pair[at + 1..]))
    })
}

/// A queue unit: log offset, size, tags code.
pub(crate) fn unit(bytes: &[u8]) -> Option<(i64, i32, i64)> {
    let mut fields = Fields(bytes);
    let unit = (fields.number(8)?, fields.number(4)? as i32, fields.number(8)?);
    (unit.0 >= 0 && unit.1 > 0).then_some(unit)
}

/// CRC-32 as IEEE has it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let low = (crc ^ u32::from(*byte)) & 0xFF;
        crc >> 8 ^ CRC_TABLE[low as usize]
    })
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

/// Java's `String.hashCode`.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Under which hash the index has a key of a topic.
pub(crate) fn key_hash(topic: &str, key: &str) -> i32 {
    java_hash(&format!("{topic}#{key}")).checked_abs().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Java 5.3.3 wrote.
    #[test]
    fn reads_what_java_wrote() {
        let mut bytes = vec![0, 0, 0, 0xb9, 0xda, 0xa3, 0x20, 0xa7, 0x36, 0x10, 0xa6, 0x86];
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 20]);
        bytes.extend_from_slice(&0x018b_cfe5_6800_u64.to_be_bytes());
        bytes.extend_from_slice(&[127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
        bytes.extend_from_slice(&0x01a1_fd4b_7e7d_u64.to_be_bytes());
        bytes.extend_from_slice(&[127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(b"\0\0\0\x05hello\x06TopicT\0\x53KEYS\x01k1 k2\x02UNIQ_KEY\x01");
        bytes.extend_from_slice(b"7F0000010000000000000000000A0000\x02TAGS\x01TagA\x02__CRC32#");
        bytes.extend_from_slice(b"\x014916205681\x02");
        let Entry::Record(record) = entry(&bytes) else { panic!("{:?}", entry(&bytes)) };
        assert_eq!(
            (record.size, &record.topic[..], &record.body[..]),
            (185, "TopicT", &b"hello"[..])
        );
        assert_eq!((record.queue_id, record.store_time), (1, 0x01a1_fd4b_7e7d));
        assert!(record.seal_holds);
        let keys = ["7F0000010000000000000000000A0000", "k1", "k2", "T#TagA"];
        let mut hashes = record.key_hashes();
        let mut expected = keys.map(|key| key_hash("TopicT", key));
        hashes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(hashes, expected);
        assert_eq!(java_hash("TagA"), 2_598_919);
        bytes[90] ^= 1;
        assert!(matches!(entry(&bytes), Entry::Bad(_)));
        assert_eq!(unit(&[0; 20]), None);
    }
}
