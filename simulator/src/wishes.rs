//! Readers that want some messages of a queue alone, by bits that stand beside its units: they get
//! every one of these, whatever became of the bits.

use crate::check::Verdict;
use crate::decode::{self, Entry};
use crate::model::{At, Place};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use store::{Filter, FilterBits, Limits, Position};

/// Of so many readers each message is wanted by one.
const READERS: u64 = 3;

/// Who wants the message with these properties.
fn reader_of(properties: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"UNIQ_KEY\x01unique-";
    let at = properties.windows(KEY.len()).position(|part| part == KEY)?;
    let digits = properties[at + KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0_u64, |id, digit| id * 10 + u64::from(digit - b'0')) % READERS)
}

/// Gives each message the bit of its reader.
pub(crate) struct Marks;

impl FilterBits for Marks {
    fn bits(&self, _: &str, properties: &[u8], now: i64) -> Option<Vec<u8>> {
        // Of two lengths, and none at times.
        let len = [0, 2, 9][now as usize % 3];
        let mut bits = vec![0; len];
        if let (Some(reader), Some(first)) = (reader_of(properties), bits.first_mut()) {
            *first = 1 << reader;
        }
        Some(bits)
    }
}

struct Reader(u64);

impl Filter for Reader {
    fn wants_bits(&self, bits: &[u8], _: i64) -> bool {
        bits[0] >> self.0 & 1 != 0
    }

    fn judges_records(&self) -> bool {
        true
    }

    fn wants_record(&self, bytes: &[u8]) -> bool {
        let Entry::Record(record) = decode::entry(bytes) else { return true };
        reader_of(&record.properties) == Some(self.0)
    }
}

/// Every reader gets what it wants of what a queue has.
pub(crate) fn are_served(
    world: &World<'_>,
    place: Place,
    found: &BTreeMap<i64, (usize, At)>,
) -> Verdict {
    if world.plan.settings.extension_file_bytes.is_none() {
        return Ok(());
    }
    let (store, topic) = (world.store(), &world.plan.topics[place.0]);
    let (min, max) = (store.min_offset(topic, place.1), store.max_offset(topic, place.1));
    for reader in 0..READERS {
        let (mut offset, mut got) = (min, BTreeSet::new());
        while offset < max {
            let position = Position { topic, queue_id: place.1, offset };
            let read = store.read(position, Limits::messages(32), &Reader(reader));
            if read.next_offset <= offset {
                return Err(format!("reads move on: {} at {offset}", world.name(place)));
            }
            got.extend(read.messages.iter().filter_map(|bytes| match decode::entry(bytes) {
                Entry::Record(record) => Some(record.log_offset),
                _ => None,
            }));
            offset = read.next_offset;
        }
        for (at, (id, At { log_offset, .. })) in found {
            let message = &world.model.messages[*id];
            if reader_of(&message.properties) == Some(reader) && !got.contains(log_offset) {
                let name = world.name(place);
                return Err(format!("no match is lost: {name} at {at} lacks {id} for {reader}"));
            }
        }
    }
    Ok(())
}
