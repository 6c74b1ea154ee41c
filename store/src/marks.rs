//! What the properties of a message say to its queue unit and to the index; the same for an append
//! and for recovery.

use crate::consume_queue::{BatchUnit, Unit};
use crate::recover::looks_torn;
use crate::{Settings, light};
use bytes::Bytes;
use message::property::bytes as name;
use message::{Draft, Record, batch, hash, names, properties, property, sys_flag};

/// What the properties of a message say to the queue and the index.
#[derive(Default)]
pub(crate) struct Marks<'a> {
    tags: Option<&'a [u8]>,
    delay: Option<&'a [u8]>,
    unique_key: Option<&'a [u8]>,
    keys: Option<&'a [u8]>,
    light_queues: Option<&'a [u8]>,
    light_offsets: Option<&'a [u8]>,
}

/// The text of a mark; one that is none does not count.
fn text(mark: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(mark?).ok()
}

impl<'a> Marks<'a> {
    /// Reads an encoded property string once.
    pub(crate) fn read(encoded: &'a [u8]) -> Self {
        let mut marks = Self::default();
        for (key, value) in properties::pairs(encoded) {
            let mark = match key {
                name::TAGS => &mut marks.tags,
                name::DELAY => &mut marks.delay,
                name::UNIQ_KEY => &mut marks.unique_key,
                name::KEYS => &mut marks.keys,
                name::INNER_MULTI_DISPATCH => &mut marks.light_queues,
                name::INNER_MULTI_QUEUE_OFFSET => &mut marks.light_offsets,
                _ => continue,
            };
            *mark = Some(value);
        }
        marks
    }

    /// The light queues that the message goes to, and its place in each.
    pub(crate) fn light_places(&self, topic: &str) -> impl Iterator<Item = (&'a str, i64)> {
        let is_allowed = |_: &_| names::allows_light_queues(topic);
        let both = text(self.light_queues).zip(text(self.light_offsets)).filter(is_allowed);
        both.into_iter().flat_map(|(queues, offsets)| light::places(queues, offsets))
    }

    /// Whether the last of [`Self::index_hashes`] is that of the tags, when there are any hashes.
    pub(crate) fn has_tags(&self) -> bool {
        text(self.tags).is_some_and(|tags| !tags.is_empty())
    }

    /// Whether the tags code is a time that a level gave, which may be another one by now.
    pub(crate) fn is_due_time(&self, topic: &str) -> bool {
        topic == names::SCHEDULE_TOPIC && self.level().is_some()
    }

    fn level(&self) -> Option<usize> {
        text(self.delay)?.parse().ok().filter(|level| *level > 0)
    }

    /// The tags code of the queue unit: the hash of the tag, or for a delayed message the time when
    /// it is due (Java `CommitLog.checkMessageAndReturnSize`).
    pub(crate) fn tags_code(&self, settings: &Settings, topic: &str, store_timestamp: i64) -> i64 {
        match self.level() {
            Some(level) if topic == names::SCHEDULE_TOPIC => {
                let level = level.min(settings.delay_levels_ms.len());
                let delay = level.checked_sub(1).and_then(|at| settings.delay_levels_ms.get(at));
                store_timestamp.saturating_add(delay.copied().unwrap_or(1_000))
            }
            _ => self.tags.and_then(|tag| hash::java_hash_of(0, tag)).map_or(0, i64::from),
        }
    }

    /// The hashes under which the index finds the record (Java `IndexService.buildIndex`): of the
    /// unique key, of each key, and of the tags as the key `T#tags`, which 5.5 adds; none of a
    /// rolled-back message.
    pub(crate) fn index_hashes(&self, topic: &str, sys_flag: i32) -> impl Iterator<Item = i32> {
        let kind = sys_flag::transaction_type(sys_flag);
        let rolled_back = kind == sys_flag::TRANSACTION_ROLLBACK;
        let before = hash::java_hash_from(hash::java_hash(topic), "#");
        let unique_key = self.unique_key.filter(|_| !rolled_back);
        let keys = text(self.keys.filter(|_| !rolled_back)).unwrap_or_default().as_bytes();
        let keys = keys.split(|byte| *byte == b' ').filter(|key| !key.is_empty());
        let tags = self.tags.filter(|_| !rolled_back);
        let tags = tags.and_then(|tags| hash_of(hash::java_hash_from(before, "T#"), tags));
        let keys = unique_key.into_iter().chain(keys);
        keys.filter_map(move |key| hash_of(before, key)).chain(tags)
    }
}

/// The longest delay of a level that is believed: some ten years, in milliseconds.
const DELAY_MAX_MS: i64 = 10 * 366 * 24 * 3_600_000;

/// Whether a time is one that some level gave a message that was stored then: levels are told in
/// whole seconds, minutes, hours and days.
pub(crate) fn is_from_a_level(due_ms: i64, stored_ms: i64) -> bool {
    let delay_ms = due_ms.saturating_sub(stored_ms);
    (0..=DELAY_MAX_MS).contains(&delay_ms) && delay_ms % 1_000 == 0
}

/// How many messages the properties of an inner batch say that it holds, and the queue offset of
/// the first one, if that is a number; `None` of a single message (Java
/// `CommitLog.setBatchSizeIfNeeded`).
fn batch_of(encoded: &[u8]) -> Option<(i16, Option<i64>)> {
    let number = |key| properties::find(encoded, key).map(str::parse::<i64>);
    let (count, base) = (number(property::INNER_NUM)?, number(property::INNER_BASE)?);
    Some((i16::try_from(count.ok()?).ok()?, base.ok()))
}

/// How many messages a draft holds: those of an inner batch, else one (Java
/// `CommitLog.getMessageNum`).
pub(crate) fn count(draft: &Draft) -> usize {
    if draft.sys_flag & sys_flag::INNER_BATCH == 0 {
        return 1;
    }
    let count = properties::find(&draft.properties, property::INNER_NUM);
    count.and_then(|count| count.parse::<i16>().ok()).map_or(1, |count| count.max(1) as usize)
}

/// The unit of a record in a queue of batches; `None` for one that says that it holds no message.
pub(crate) fn batch_unit(record: &Record<'_>, settings: &Settings) -> Option<BatchUnit> {
    let (log_offset, store_timestamp) = (record.log_offset, record.store_timestamp);
    let marks = Marks::read(record.properties);
    let tags_code = marks.tags_code(settings, record.topic, store_timestamp);
    let size = i32::try_from(record.total_size()).ok()?;
    let unit = Unit { log_offset, size, tags_code };
    let said = batch_of(record.properties);
    let (count, base) = said.unwrap_or_else(|| (count_if_torn(record).unwrap_or(1), None));
    let base = base.unwrap_or(record.queue_offset);
    (count > 0 && base >= 0).then_some(BatchUnit { unit, store_timestamp, base, count })
}

/// How many messages the body of an inner batch holds whose properties a power failure took.
fn count_if_torn(record: &Record<'_>) -> Option<i16> {
    let is_torn = record.sys_flag & sys_flag::INNER_BATCH != 0 && looks_torn(record);
    is_torn.then(|| batch::messages(Bytes::copy_from_slice(record.body)).count())?.try_into().ok()
}

/// The hash of `topic#key`, where `before` is that of `topic#`: never negative.
pub(crate) fn index_hash(before: i32, key: &str) -> i32 {
    without_sign(hash::java_hash_from(before, key))
}

fn hash_of(before: i32, key: &[u8]) -> Option<i32> {
    hash::java_hash_of(before, key).map(without_sign)
}

fn without_sign(hash: i32) -> i32 {
    // The one number without a positive twin counts as 0.
    hash.checked_abs().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG_A: i64 = 2_598_919;

    #[test]
    fn the_tags_code_is_the_tags_hash_or_the_due_time() {
        let settings = Settings::default();
        let check = |properties: &str, topic: &str, expected: i64| {
            let marks = Marks::read(properties.as_bytes());
            assert_eq!(
                marks.tags_code(&settings, topic, 5_000),
                expected,
                "{properties:?} {topic}"
            );
        };
        let delayed = |level: &str| format!("TAGS\u{1}TagA\u{2}DELAY\u{1}{level}\u{2}");
        check("", "T", 0);
        check("TAGS\u{1}TagA", "T", TAG_A);
        check(&delayed("3"), "T", TAG_A);
        check(&delayed("3"), names::SCHEDULE_TOPIC, 15_000);
        check(&delayed("99"), names::SCHEDULE_TOPIC, 7_205_000);
        check(&delayed("0"), names::SCHEDULE_TOPIC, TAG_A);
        check(&delayed("soon"), names::SCHEDULE_TOPIC, TAG_A);
    }

    #[test]
    fn a_level_gives_whole_seconds_for_years_at_most() {
        assert!(is_from_a_level(5_000, 5_000) && is_from_a_level(65_000, 5_000));
        assert!(!is_from_a_level(65_001, 5_000) && !is_from_a_level(4_000, 5_000));
        assert!(is_from_a_level(5_000 + DELAY_MAX_MS, 5_000));
        assert!(!is_from_a_level(6_000 + DELAY_MAX_MS, 5_000) && !is_from_a_level(i64::MIN, 1));
    }

    #[test]
    fn the_index_finds_unique_key_keys_and_tags() {
        let marks = Marks::read(b"KEYS\x01k1  k2\x02UNIQ_KEY\x01u\x02TAGS\x01a\x02");
        let hashes = |flag| marks.index_hashes("T", flag).collect::<Vec<_>>();
        let expected = ["T#u", "T#k1", "T#k2", "T#T#a"].map(hash::java_hash);
        assert_eq!(hashes(sys_flag::TRANSACTION_PREPARED), expected);
        assert!(hashes(sys_flag::TRANSACTION_ROLLBACK).is_empty());
        assert_eq!(index_hash(0, "polygenelubricants"), 0, "the number without a positive twin");
    }
}
