//! Light queues: queues beside the one of its topic that a message goes to, by the names in its
//! property `INNER_MULTI_DISPATCH` (Java `LmqDispatch`, `ConsumeQueue.multiDispatchLmqQueue`). The
//! append writes its places in them into the record, as `INNER_MULTI_QUEUE_OFFSET`, so that their
//! units can be made anew from the log.

use crate::append::{AppendError, Drafts};
use crate::commit_log::claimed_place;
use crate::marks::Marks;
use crate::queues::Queues;
use crate::settings::Settings;
use message::record::{self, Entry};
use message::{Draft, Properties, names, properties, property};
use std::fmt::Write;

/// The one queue that each of these names has (Java `MixAll.LMQ_QUEUE_ID`).
pub const QUEUE_ID: i32 = 0;
/// Stands between names and between offsets (Java `MixAll.LMQ_DISPATCH_SEPARATOR`).
const SEPARATOR: char = ',';
/// The longest name, bytes: it is that of a directory.
const NAME_MAX_LEN: usize = 255;

/// Whether a name is that of a light queue, and can be one of a directory.
pub fn is_name(name: &str) -> bool {
    names::is_lmq(name) && name.len() <= NAME_MAX_LEN && !name.contains(['/', '\0'])
}

/// The names in a list, as Java's `String.split` gives them: none behind the last one that is not
/// empty.
fn list(queues: &str) -> impl Iterator<Item = &str> {
    let queues = queues.trim_end_matches(SEPARATOR);
    queues.split(SEPARATOR).filter(move |_| !queues.is_empty())
}

/// The queues in a list of names, and the offset in each by the list of offsets that goes with it.
/// Lists of different length say nothing, nor does a name of another kind.
pub(crate) fn places<'a>(
    queues: &'a str,
    offsets: &'a str,
) -> impl Iterator<Item = (&'a str, i64)> {
    let is_whole = list(queues).count() == list(offsets).count();
    let both = list(queues).zip(list(offsets)).filter(move |_| is_whole);
    let both = both.filter(|(name, _)| is_name(name));
    both.filter_map(|(name, offset)| Some((name, offset.parse().ok().filter(|at| *at >= 0)?)))
}

/// The light queues that a stored message of a topic went to, by its properties, and its place in
/// each.
pub fn places_of<'a>(topic: &str, encoded: &'a [u8]) -> Vec<(&'a str, i64)> {
    Marks::read(encoded).light_places(topic).collect()
}

/// The place that a stored record says it has in a queue: one of its topic, or a light one.
pub fn place_in(name: (&str, i32), stored: &[u8]) -> Option<i64> {
    match record::decode(stored, false) {
        Ok(Entry::Message(record)) => claimed_place(&record.claim(), name),
        _ => None,
    }
}

/// Writes into the properties of what is to be stored which places it gets in light queues. Only
/// the store says that: what a client says of it is removed. Messages of a batch get none, as in
/// Java, nor do half messages: the committed one does.
pub(crate) fn note_places(
    drafts: &mut Drafts,
    queues: &Queues,
    settings: &Settings,
) -> Result<(), AppendError> {
    match drafts {
        Drafts::One(draft) if *draft.topic != *names::TRANS_HALF_TOPIC => {
            note(draft, queues, settings)
        }
        Drafts::One(draft) => {
            forget(draft);
            Ok(())
        }
        Drafts::Batch(drafts) => {
            drafts.iter_mut().for_each(forget);
            Ok(())
        }
    }
}

fn note(draft: &mut Draft, queues: &Queues, settings: &Settings) -> Result<(), AppendError> {
    let asked = properties::find(&draft.properties, property::INNER_MULTI_DISPATCH);
    let Some(asked) = asked.filter(|asked| !asked.trim().is_empty()) else { return Ok(()) };
    if !names::allows_light_queues(&draft.topic) {
        return Ok(());
    }
    let mut offsets = String::new();
    let (mut light, mut others, mut new) = (false, false, 0);
    for name in list(asked) {
        if light || others {
            offsets.push(SEPARATOR);
        }
        if !is_name(name) {
            others = true;
            continue;
        }
        light = true;
        let queue = queues.find(name, QUEUE_ID);
        new += usize::from(queue.is_none());
        let offset = queue.map_or(0, |queue| queue.next_offset());
        let _ = write!(offsets, "{offset}");
    }
    if light && others {
        // A stock broker that opens the store would not get past such a message.
        return Err(AppendError::LightQueueName);
    }
    if new > 0 && queues.light() + new > settings.light_queues_max {
        return Err(AppendError::LightQueues { max: settings.light_queues_max });
    }
    let mut all = Properties::parse(&draft.properties);
    all.remove(property::INNER_MULTI_QUEUE_OFFSET);
    // Of names of another kind alone it says nothing, as in Java.
    all.set(property::INNER_MULTI_QUEUE_OFFSET, offsets);
    draft.properties = all.encode();
    Ok(())
}

fn forget(draft: &mut Draft) {
    if properties::find(&draft.properties, property::INNER_MULTI_QUEUE_OFFSET).is_some() {
        let mut all = Properties::parse(&draft.properties);
        all.remove(property::INNER_MULTI_QUEUE_OFFSET);
        draft.properties = all.encode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_java_splits() {
        let check = |queues: &str, offsets: &str, expected: &[(&str, i64)]| {
            let places: Vec<_> = places(queues, offsets).collect();
            assert_eq!(places, expected, "{queues:?} {offsets:?}");
        };
        check("%LMQ%a", "7", &[("%LMQ%a", 7)]);
        check("%LMQ%a,%LMQ%b,", "7,0", &[("%LMQ%a", 7), ("%LMQ%b", 0)]);
        check("%LMQ%a,%LMQ%b", "7", &[]);
        check("%LMQ%a,b,%LMQ%c", "7,1,2", &[("%LMQ%a", 7), ("%LMQ%c", 2)]);
        check("%LMQ%a/..,%LMQ%b", "1,-2", &[]);
        check(",", "", &[]);
        let text = b"INNER_MULTI_DISPATCH\x01%LMQ%a,b\x02INNER_MULTI_QUEUE_OFFSET\x013,\x02";
        assert_eq!(places_of("T", text), [], "a stock broker passes over it too");
        let text = b"INNER_MULTI_DISPATCH\x01%LMQ%a\x02INNER_MULTI_QUEUE_OFFSET\x013\x02";
        let counts = ["T", "%RETRY%g", "%DLQ%g", "rmq_sys_x", "SCHEDULE_TOPIC_XXXX"];
        let counts = counts.map(|topic| places_of(topic, text).len());
        assert_eq!(counts, [1, 0, 0, 0, 0]);
    }
}
