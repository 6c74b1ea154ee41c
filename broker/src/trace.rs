//! The broker's own trace (`brokerTraceEnable`): what it stored of whom and gave to which group, as
//! messages of the trace topic that the stock `queryMsgTraceById` reads. A stock broker has none:
//! there clients write traces, those that want to. The records are those of clients, in `records`.
//!
//! Sends and deliveries leave notes in a buffer with a bound; every so often `step` writes them
//! as messages, born at the host of the client that they are about, as if it had sent them. Not
//! traced: topics and groups of the system, what the broker writes itself, and traces.

mod records;

use crate::broker::Broker;
use bytes::Bytes;
use message::ids::MessageId;
use message::{Draft, Entry, Str, names, properties, property, record};
use parking_lot::Mutex;
use records::{Buffer, Given, Kind, Named, Note, Sent};
use remoting::headers::send::SendMessageRequestHeader;
use remoting::peer::Peer;
use remoting::router::Call;
use settings::BrokerSettings;
use std::net::SocketAddr;
use store::{Append, AppendError, Appended};

/// Queues of the trace topic where it is not there (Java: `TopicConfigManager`).
const QUEUES: i32 = 1;
/// How often traces are written, ms: how long after a message its trace can be found.
const EVERY_MS: i64 = 100;
/// How often it is looked whether they were switched on, ms.
pub(crate) const IDLE_MS: i64 = 1_000;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Trace {
    buffer: Mutex<Buffer>,
}

impl Trace {
    fn keep(&self, notes: Vec<Note>) {
        let mut buffer = self.buffer.lock();
        notes.into_iter().for_each(|note| buffer.push(note));
    }

    /// Messages of which something was not traced that should have been, since the start.
    pub fn lost(&self) -> u64 {
        self.buffer.lock().lost()
    }
}

/// Whose messages are traced when they are stored.
#[derive(Debug)]
pub struct Producer {
    group: Str,
    /// The topic that they are for, wherever they wait.
    topic: Str,
}

/// Whether messages of a topic are traced.
fn is_traced(broker: &Broker, settings: &BrokerSettings, topic: &str) -> bool {
    topic != settings.broker.msg_trace_topic_name && !broker.topics.is_system(topic)
}

/// Who sends, if that is to be traced. What consumers send to their retry topics comes again, and
/// is traced when it does.
pub(crate) fn producer(
    broker: &Broker,
    settings: &BrokerSettings,
    call: &Call<'_>,
    header: &SendMessageRequestHeader<'_>,
) -> Option<Box<Producer>> {
    if !settings.broker.broker_trace_enable {
        return None;
    }
    let topic = header.topic;
    let is_wanted = !names::is_retry(topic) && is_traced(broker, settings, topic);
    let lend = |text| call.command.fields.lend(text);
    is_wanted.then(|| Box::new(Producer { group: lend(header.producer_group), topic: lend(topic) }))
}

/// Notes messages that were stored side by side.
pub(crate) fn sent(
    broker: &Broker,
    settings: &BrokerSettings,
    producer: &Producer,
    drafts: &[Draft],
    stored: &Appended,
) {
    let (mut log_offset, mut notes) = (stored.log_offset, Vec::new());
    for draft in drafts {
        let place = MessageId { store_host: broker.identity.store_host, log_offset };
        log_offset += draft.encoded_len() as i64;
        let named = Named::of(&draft.properties);
        if named.is_trace {
            continue;
        }
        let sent = Sent {
            stored_ms: stored.store_timestamp,
            born_ms: draft.born_timestamp,
            region: &settings.broker.region_id,
            group: &producer.group,
            topic: &producer.topic,
            named,
            broker: &broker.identity.address,
            body_bytes: draft.body.len(),
            kind: kind(&draft.topic),
            place,
            client: draft.born_host,
        };
        notes.push(sent.note());
    }
    broker.trace.keep(notes);
}

/// The kind of a message, by where it was put.
fn kind(topic: &str) -> Kind {
    match topic {
        names::TRANS_HALF_TOPIC => Kind::Half,
        names::SCHEDULE_TOPIC | names::TIMER_TOPIC => Kind::Delayed,
        _ => Kind::Normal,
    }
}

/// Whom messages are given to, if that is to be traced.
pub(crate) fn consumer(settings: &BrokerSettings, peer: &Peer) -> Option<SocketAddr> {
    settings.broker.broker_trace_enable.then_some(peer.remote)
}

/// Notes messages of a topic that a member of a group is given, over a connection from `client`.
pub(crate) fn given(
    broker: &Broker,
    (group, topic): (&str, &str),
    client: SocketAddr,
    messages: &[Bytes],
    now_ms: i64,
) {
    let settings = broker.settings();
    if names::is_system_consumer(group) || !is_traced(broker, &settings, topic) {
        return;
    }
    let (request_id, mut notes) = (broker.unique_id(now_ms), Vec::new());
    for stored in messages {
        let Ok(Entry::Message(message)) = record::decode(stored, false) else { continue };
        let named = Named::of(message.properties);
        let is_wanted = named.origin.is_none_or(|topic| is_traced(broker, &settings, topic));
        if named.is_trace || !is_wanted {
            continue;
        }
        let given = Given {
            now_ms,
            region: &settings.broker.region_id,
            group,
            request_id: &request_id,
            named,
            retries: message.reconsume_times,
            place: MessageId { store_host: message.store_host, log_offset: message.log_offset },
            client,
        };
        notes.push(given.note());
    }
    broker.trace.keep(notes);
}

/// Writes what was noted, and says when to do so again, ms since the epoch. Sees to it that there
/// is the trace topic.
pub(crate) fn step(broker: &Broker, now_ms: i64) -> i64 {
    let notes = broker.trace.buffer.lock().take();
    let settings = broker.settings();
    if notes.is_empty() && !settings.broker.broker_trace_enable {
        return now_ms + IDLE_MS;
    }
    let topic = settings.broker.msg_trace_topic_name.as_str();
    let config = broker.topic_for_retry(topic, QUEUES, 0, now_ms);
    let queues = config.map_or(QUEUES, |config| config.write_queue_nums);
    let largest = usize::try_from(settings.store.max_message_size).unwrap_or(0);
    let mut failed = None;
    for parcel in records::parcels(&notes, records::BODY_MAX.min(largest)) {
        let notes = parcel.notes;
        let draft = draft(broker, (topic, broker.any(queues)), parcel, now_ms);
        // Each alone: a send waits for no more than one of them.
        let mut appends = [Append::one(draft)];
        broker.append(&mut appends, now_ms);
        if let Err(error) = appends[0].outcome {
            failed = Some(error);
            broker.trace.buffer.lock().lose(notes);
        }
    }
    tell(broker, failed, now_ms);
    now_ms + EVERY_MS
}

fn tell(broker: &Broker, failed: Option<AppendError>, now_ms: i64) {
    let told = broker.trace.buffer.lock().tell(now_ms);
    if let Some(messages) = told {
        let why = failed.map_or_else(|| "they came too fast".to_owned(), |error| error.to_string());
        tracing::warn!(
            messages,
            why,
            "the broker's trace has gaps: these messages were not traced"
        );
    }
}

fn draft(
    broker: &Broker,
    (topic, queue_id): (&str, i32),
    parcel: records::Parcel,
    now_ms: i64,
) -> Draft {
    let mut all = bytes::BytesMut::new();
    properties::push_pair(&mut all, property::KEYS, &parcel.keys);
    properties::push_pair(&mut all, property::PRODUCER_GROUP, records::GROUP);
    broker.push_unique_key(&mut all, now_ms);
    all.extend_from_slice(&broker.identity.stamp);
    Draft {
        topic: topic.into(),
        queue_id,
        born_timestamp: now_ms,
        born_host: parcel.client,
        store_host: broker.identity.store_host,
        body: parcel.body.into(),
        properties: all.freeze(),
        ..Draft::plain(topic, now_ms, parcel.client)
    }
}

#[cfg(test)]
mod tests;
