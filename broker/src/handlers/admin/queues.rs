//! Consume queues and files for operators: look into a queue, remove what is no longer needed.

use super::{UNSET_REMARK, failed, json};
use crate::broker::Broker;
use crate::selection::Selection;
use remoting::body::heartbeat::{SubscriptionData, TAG};
use remoting::body::stats::{ConsumeQueueData, QueryConsumeQueueResponseBody};
use remoting::headers::pull::QueryConsumeQueueRequestHeader;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use std::fmt::Write;
use std::sync::Arc;
use store::{Filter, Position, UnitEntry};

/// Entries that one answer shows; Java ends at the end of the queue's file.
const ENTRIES_LIMIT: i32 = 10_000;

/// Code 321: raw entries of a consume queue.
pub fn query(
    broker: &Broker,
    _: &Call<'_>,
    header: QueryConsumeQueueRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = header.topic.as_deref().unwrap_or_default();
    let QueryConsumeQueueRequestHeader { queue_id, index, .. } = header;
    if !broker.store.queue_ids(topic).contains(&queue_id) {
        return Err(failed(format!("{queue_id}@{topic} is not exist!")));
    }
    let (min, max) =
        (broker.store.min_offset(topic, queue_id), broker.store.max_offset(topic, queue_id));
    if !(min..max).contains(&index) {
        let remark = format!("Index {index} of {queue_id}@{topic} is not exist!");
        return Ok(Answer::success().with_remark(remark));
    }
    let count = usize::try_from(header.count.clamp(0, ENTRIES_LIMIT)).unwrap_or(0);
    let units = broker.store.units(topic, queue_id, index, count);
    let known = header.consumer_group.as_deref().and_then(|it| broker.subscription(it, topic));
    let selection = known.as_ref().map(|known| selection(broker, &header, known));
    let is_extended = broker.store.settings().extension_file_bytes.is_some();
    let entries = units.into_iter().zip(index..).map(|(unit, offset)| {
        let mut data = ConsumeQueueData {
            physic_offset: unit.log_offset,
            physic_size: unit.size,
            tags_code: unit.tags_code,
            ..ConsumeQueueData::default()
        };
        let at = Position { topic, queue_id, offset };
        match is_extended.then(|| broker.store.entry_at(at)).flatten() {
            Some(Ok(entry)) => show(&mut data, &entry, selection.as_ref()),
            Some(Err(address)) => {
                data.msg = Some(format!("Cq extend not exist!addr: {address}").into());
            }
            None => {}
        }
        data
    });
    let mut body = QueryConsumeQueueResponseBody {
        max_queue_index: max,
        min_queue_index: min,
        queue_data: Some(entries.collect()),
        ..QueryConsumeQueueResponseBody::default()
    };
    if let Some(group) = header.consumer_group.as_deref() {
        body.filter_data = Some(match known {
            // What Java prints of a group that has no filter but its tags is a null.
            Some(_) => {
                let filter = broker.filters.find(group, topic);
                filter.map_or_else(|| "null".into(), |filter| filter.to_json().into())
            }
            None => format!("{group}@{topic} is not online!").into(),
        });
        body.subscription_data = known;
    }
    Ok(json(&body).with_remark(UNSET_REMARK))
}

/// What the group of a question selects by the queue alone.
fn selection(
    broker: &Broker,
    header: &QueryConsumeQueueRequestHeader,
    subscription: &SubscriptionData,
) -> Selection {
    let kind = subscription.expression_type.as_deref().unwrap_or_default();
    if kind.is_empty() || kind == TAG {
        return Selection::of_tags(subscription);
    }
    let group = header.consumer_group.as_deref().unwrap_or_default();
    let known = broker.filters.find(group, header.topic.as_deref().unwrap_or_default());
    known.map_or(Selection::All, |known| Selection::Marked(Arc::new(known)))
}

/// Shows what an extended queue has of a message, and whether its group would get that.
fn show(data: &mut ConsumeQueueData, entry: &UnitEntry, selection: Option<&Selection>) {
    let UnitEntry { tags_code, stored_ms, bits, .. } = entry;
    let mut text = String::from("{");
    if !bits.is_empty() {
        let numbers: Vec<_> = bits.iter().map(|byte| byte.cast_signed().to_string()).collect();
        write!(text, "\"filterBitMap\":[{}],", numbers.join(",")).expect("to a text");
        data.bit_map = Some(bit_text(bits).into());
    }
    let size = entry.size();
    write!(text, "\"msgStoreTime\":{stored_ms},\"size\":{size},\"tagsCode\":{tags_code}}}")
        .expect("to a text");
    data.extend_data_json = Some(text.into());
    data.eval = selection.is_some_and(|selection| {
        let wants_bits = || bits.is_empty() || selection.wants_bits(bits, *stored_ms);
        selection.wants_tags_code(*tags_code) && wants_bits()
    });
}

/// Bits with the last one first, eight bytes a line (Java `BitsArray.toString`).
fn bit_text(bits: &[u8]) -> String {
    bits.iter().enumerate().rev().fold(String::new(), |mut text, (at, byte)| {
        let end = if at % 8 == 0 { "\n" } else { "" };
        write!(text, "{byte:08b}{end}").expect("to a text");
        text
    })
}

/// Code 306: removes queues whose messages have all expired.
pub fn clean_expired(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let removed = broker.store.clean_expired_queues().map_err(|error| failed(error.to_string()))?;
    tracing::info!(removed, "expired consume queues removed");
    Ok(Answer::success())
}

/// Code 329: removes expired files of the commit log soon, whatever the hour.
pub fn expire_log(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    tracing::info!(by = %call.peer.remote, "expired files will be removed at once");
    broker.store.delete_expired_soon();
    Ok(Answer::success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the stock 5.5.0 classes print it.
    #[test]
    fn what_stands_beside_a_unit_is_shown_as_by_java() {
        let bits = vec![5, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let stored_ms = 1_234_567_890_123;
        let mut entry = UnitEntry { address: i64::MIN, tags_code: 77, stored_ms, bits };
        let mut data = ConsumeQueueData::default();
        show(&mut data, &entry, Some(&Selection::Tags(vec![77])));
        let json = "{\"filterBitMap\":[5,0,0,-128,0,0,0,0,0,0,0,0,0,1],\
                    \"msgStoreTime\":1234567890123,\"size\":34,\"tagsCode\":77}";
        assert_eq!((data.extend_data_json.as_deref(), data.eval), (Some(json), true));
        let lines = ["1".to_owned() + &"0".repeat(40), "1".to_owned() + &"0".repeat(28) + "101"];
        let text = format!("{:0>48}\n{:0>64}\n", lines[0], lines[1]);
        assert_eq!(data.bit_map.as_deref(), Some(&*text));

        entry.bits.clear();
        let mut data = ConsumeQueueData::default();
        show(&mut data, &entry, Some(&Selection::Tags(vec![78])));
        let json = "{\"msgStoreTime\":1234567890123,\"size\":20,\"tagsCode\":77}";
        assert_eq!(data.extend_data_json.as_deref(), Some(json));
        assert!(data.bit_map.is_none() && !data.eval);
    }
}
