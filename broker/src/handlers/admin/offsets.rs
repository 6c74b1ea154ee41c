//! Offsets of groups for operators and replicas: copy, correct, hand over as a whole.

use super::json;
use crate::broker::Broker;
use crate::handlers::missing;
use remoting::body::offset::QueryCorrectionOffsetBody;
use remoting::headers::offset::{CloneGroupOffsetRequestHeader, QueryCorrectionOffsetHeader};
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;

/// Code 43: all committed offsets, as the file holds them.
pub fn all(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Ok(Answer::body(broker.offsets.to_body(call.now_ms)))
}

/// Code 45: how far the delay levels are, as the file holds it.
pub fn delays(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let text = broker.delays.lock().to_json();
    Ok(Answer::body(text))
}

/// Code 402: how groups are to fetch messages, as operators said.
pub fn request_modes(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Ok(Answer::body(broker.request_modes.to_body()))
}

/// Code 314: copies what one group has consumed to another.
pub fn clone_group(
    broker: &Broker,
    _: &Call<'_>,
    header: CloneGroupOffsetRequestHeader,
) -> Result<Answer, Refusal> {
    let named = header.topic.as_deref().filter(|topic| !topic.trim().is_empty());
    let Some(src_group) = &header.src_group else {
        // Java fails where it looks at the group: for its topics, as far as anything is committed,
        // or for its members.
        let looks = match named {
            Some(topic) => !header.offline && broker.topics.contains(topic),
            None => !broker.offsets.is_empty(),
        };
        let refused = missing::<CloneGroupOffsetRequestHeader>("srcGroup");
        return if looks { Err(refused) } else { Ok(Answer::success()) };
    };
    let topics = match named {
        Some(topic) => [topic.to_owned()].into(),
        None => broker.offsets.topics_of(src_group),
    };
    let members = broker.clients.consumers(src_group);
    let has_members = members.is_some_and(|of| !of.subscriptions.is_empty());
    for topic in topics.iter().filter(|topic| broker.topics.contains(topic)) {
        let dropped = has_members && broker.subscription(src_group, topic).is_none();
        if header.offline || !dropped {
            broker.offsets.clone_group(src_group, &header.dest_group, topic);
        }
    }
    Ok(Answer::success())
}

/// Code 308: the smallest offset by queue over all groups but those named; the largest number where
/// the group to compare with is behind it. Java also deletes the offsets of the groups named, which
/// no tool expects of a question: that is left out.
pub fn correction(
    broker: &Broker,
    _: &Call<'_>,
    header: QueryCorrectionOffsetHeader,
) -> Result<Answer, Refusal> {
    let topic = &header.topic;
    let without: Vec<&str> =
        header.filter_groups.as_deref().unwrap_or_default().split(',').collect();
    let min_offset = |queue_id| broker.store.min_offset(topic, queue_id);
    let mut smallest = broker.offsets.smallest(topic, &without, min_offset);
    for (queue_id, compared) in broker.offsets.committed_in(&header.compare_group, topic) {
        if let Some(offset) = smallest.get_mut(&queue_id).filter(|offset| **offset > compared) {
            *offset = i64::MAX;
        }
    }
    Ok(json(&QueryCorrectionOffsetBody { correction_offsets: smallest }))
}
