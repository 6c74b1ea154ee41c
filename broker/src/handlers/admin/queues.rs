//! Consume queues and files for operators: look into a queue, remove what is no longer needed.

use super::{UNSET_REMARK, failed, json};
use crate::broker::Broker;
use remoting::body::stats::{ConsumeQueueData, QueryConsumeQueueResponseBody};
use remoting::headers::pull::QueryConsumeQueueRequestHeader;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;

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
    let entries = units.into_iter().map(|unit| ConsumeQueueData {
        physic_offset: unit.log_offset,
        physic_size: unit.size,
        tags_code: unit.tags_code,
        ..ConsumeQueueData::default()
    });
    let mut body = QueryConsumeQueueResponseBody {
        max_queue_index: max,
        min_queue_index: min,
        queue_data: Some(entries.collect()),
        ..QueryConsumeQueueResponseBody::default()
    };
    if let Some(group) = header.consumer_group.as_deref() {
        let known = broker.subscription(group, topic);
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
