//! From a message that a client, or the broker itself, wants stored to the store's draft: its
//! properties, and parking until its time (Java: `HookUtils`, `MessageExtBrokerInner`).
//!
//! Properties are rewritten as bytes: a message that carries nothing special is copied once, with
//! the broker's stamp behind it, and no map is made.

use crate::broker::Broker;
use crate::lite;
use crate::pop::done::Done;
use crate::timer::accept;
use crate::trace::Producer;
use bytes::{BufMut, Bytes};
use message::properties::{self, Properties};
use message::property::bytes as name;
use message::{Draft, Record, Str, names, property, sys_flag};
use remoting::body::mapping::LogicQueueMappingItem;
use remoting::codes::ResponseCode;
use remoting::reply::{Answer, Refusal, Ticket};
use remoting::room::Room;
use remoting::router::Lane;
use settings::BrokerSettings;
use store::{Append, AppendError, Appended, Wait, light};

/// Work that a handler leaves to the shell.
#[derive(Debug)]
pub enum Effect {
    /// Store these messages together with those of the other requests of one read, then answer.
    Append(Pending),
    /// Store that messages of a pop are done, together with what the other requests of one read say
    /// of that pop, then answer.
    Acknowledge(Done, Sender),
    /// Run the same request again on [`Lane::Blocking`]: it turned out to need the disk. Nothing of
    /// it is done yet.
    Block,
}

/// Whether a handler may wait for the disk.
pub(crate) fn patience(lane: Lane) -> Wait {
    match lane {
        Lane::Inline => Wait::Never,
        Lane::Blocking => Wait::ForDisk,
    }
}

/// Messages that wait to be stored, and who waits for that.
#[derive(Debug)]
pub struct Pending {
    /// The messages.
    pub append: Append,
    /// Who wants an answer, and what it will be.
    pub sender: Sender,
}

/// What the answer to a sender waits for under `SYNC_FLUSH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Nothing.
    ForNothing,
    /// The flush; a late one is told.
    ToTell,
    /// The flush; what is stored counts, however late that is. So it is everywhere in Java but in
    /// sends.
    ToBeSure,
}

impl Waits {
    /// Those of a client's message, which says whether it waits.
    pub fn of_send(wait: bool) -> Self {
        if wait { Self::ToTell } else { Self::ForNothing }
    }
}

/// Who sent messages.
#[derive(Debug)]
pub struct Sender {
    /// The request to answer.
    pub ticket: Ticket,
    /// What the answer waits for under `SYNC_FLUSH`.
    pub waits: Waits,
    /// The queue that the answer names; the messages may be parked elsewhere.
    pub queue_id: i32,
    /// The unique id of a message that came with one, which the answer repeats.
    pub unique_id: Option<Str>,
    /// Where that queue of a static topic is.
    pub stay: Option<Box<LogicQueueMappingItem>>,
    /// Who sent them, where that is traced.
    pub traced: Option<Box<Producer>>,
    /// Makes the answer.
    pub then: fn(&Broker, &BrokerSettings, &Self, &[Draft], &Appended) -> Answer,
}

impl Sender {
    /// Who sent messages to no static topic, named no unique id and is not traced.
    pub fn new(
        ticket: Ticket,
        waits: Waits,
        queue_id: i32,
        then: fn(&Broker, &BrokerSettings, &Self, &[Draft], &Appended) -> Answer,
    ) -> Self {
        Self { ticket, waits, queue_id, unique_id: None, stay: None, traced: None, then }
    }
}

/// What a sender is told when its messages are not stored.
pub fn refusal(broker: &Broker, error: AppendError) -> Refusal {
    let code = match error {
        AppendError::Empty
        | AppendError::Draft(_)
        | AppendError::TopicName
        | AppendError::LightQueueName
        | AppendError::NoBatchTopic
        | AppendError::TooLarge { .. } => ResponseCode::MESSAGE_ILLEGAL,
        AppendError::LightQueues { .. } => ResponseCode::LMQ_QUOTA_EXCEEDED,
        AppendError::DiskFull | AppendError::Fenced | AppendError::Closed => {
            ResponseCode::SERVICE_NOT_AVAILABLE
        }
        AppendError::NotTried => ResponseCode::SYSTEM_ERROR,
    };
    let remark = match error {
        AppendError::DiskFull => {
            // It may have found room meanwhile.
            let full = broker.store.full();
            let full = full.map_or_else(|| "the disk was full".to_owned(), |full| full.to_string());
            format!(
                "service not available now: {full}; sends go on by themselves as soon as there is \
                 room, and messages can be read meanwhile"
            )
        }
        AppendError::Fenced => format!(
            "service not available now: the store failed and takes no more messages ({}); the \
             broker stops, see its log",
            broker.store.fence_reason().unwrap_or("a write or sync failed")
        ),
        AppendError::LightQueues { max } => {
            format!("there are {max} light queues, no more may be made (maxLmqConsumeQueueNum)")
        }
        AppendError::Closed => "service not available now: the broker is stopping".to_owned(),
        other => format!("the message is illegal: {other}"),
    };
    Refusal::new(code, remark)
}

/// What the properties of an incoming message ask the broker for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes<'a> {
    /// The delay level, 0 for none.
    pub delay_level: i32,
    /// Whether the delay level is no number; Java fails then.
    pub bad_level: bool,
    /// An inner batch, which only a topic of its own kind may hold.
    pub inner_batch: bool,
    /// A time of its own; see [`accept`].
    pub timer: bool,
    /// A half message of a transaction.
    pub prepared: bool,
    /// A message of a lite topic.
    pub lite: bool,
    /// Priority, from 0 on: the queue that the message goes to, as far as the topic has so many.
    pub priority: Option<i32>,
    /// Whether the sender waits for flush and replicas.
    pub wait: bool,
    /// The unique id.
    pub unique: Option<&'a [u8]>,
    /// Whether a priority stands in a message of another kind: delayed, half, or of a message
    /// group. It is removed then (Java: `TopicMessageType.parseFromMessageProperty`).
    void_priority: bool,
    /// Whether a key that the broker sets is there already, one that must go, a name that stands
    /// or may stand there twice, or something that is no pair.
    rewrite: bool,
}

impl<'a> Wishes<'a> {
    /// Reads them in one pass.
    pub fn of(encoded: &'a [u8]) -> Self {
        let mut wishes = Self { wait: true, ..Self::default() };
        let (mut pair_bytes, mut seen, mut other_kind) = (0, 0_u64, false);
        let mut looks = LOOKS_FOR_TWINS;
        for (key, value) in properties::pairs(encoded) {
            pair_bytes += key.len() + value.len() + 2;
            let name = mark(key);
            if seen & name != 0 && !wishes.rewrite {
                wishes.rewrite = looks == 0 || is_twice(encoded, key);
                looks -= u32::from(looks > 0);
            }
            seen |= name;
            match key {
                name::UNIQ_KEY => wishes.unique = Some(value),
                name::LITE_TOPIC => wishes.lite = true,
                name::WAIT => wishes.wait = value.eq_ignore_ascii_case(b"true"),
                name::DELAY => {
                    other_kind = true;
                    match number(value) {
                        Some(level) => wishes.delay_level = level,
                        None => wishes.bad_level = true,
                    }
                }
                name::SHARDING_KEY => other_kind = true,
                name::PRIORITY => wishes.priority = number(value).filter(|value| *value >= 0),
                name::INNER_NUM => wishes.inner_batch = true,
                name::TRANSACTION_PREPARED => {
                    wishes.prepared = value.eq_ignore_ascii_case(b"true");
                }
                name::TIMER_DELAY_SEC | name::TIMER_DELAY_MS | name::TIMER_DELIVER_MS => {
                    wishes.timer = true;
                }
                name::CLUSTER | name::MSG_REGION | name::TRACE_ON | name::POP_CK => {
                    wishes.rewrite = true;
                }
                _ => {}
            }
        }
        let is_other = wishes.prepared || wishes.timer || other_kind;
        wishes.void_priority = wishes.priority.take_if(|_| is_other).is_some();
        wishes.rewrite |= wishes.void_priority;
        // The last pair may come without its separator.
        wishes.rewrite |= pair_bytes != encoded.len() && pair_bytes != encoded.len() + 1;
        wishes
    }
}

fn number(value: &[u8]) -> Option<i32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// How often names that may be the same are compared; a message has so many names by then that to
/// write it anew costs less.
const LOOKS_FOR_TWINS: u32 = 8;

/// One bit of 64 for a name, the same for equal ones.
fn mark(name: &[u8]) -> u64 {
    let last = name.last().copied().unwrap_or_default();
    let first = name.first().copied().unwrap_or_default();
    let told = u64::from(first) << 16 | u64::from(last) << 8 | name.len() as u64 & 0xFF;
    1 << (told.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58)
}

fn is_twice(encoded: &[u8], name: &[u8]) -> bool {
    properties::pairs(encoded).filter(|(key, _)| *key == name).count() > 1
}

/// The properties as they are stored: those of the sender, a unique id, and the broker's stamp.
pub fn stamped(
    broker: &Broker,
    room: &Room,
    sent: &str,
    wishes: &Wishes<'_>,
    now_ms: i64,
) -> Bytes {
    let stamp = &broker.identity.stamp;
    if wishes.rewrite {
        let mut all = Properties::parse(sent.as_bytes());
        all.remove(property::POP_CK);
        if wishes.void_priority {
            all.remove(property::PRIORITY);
        }
        if wishes.unique.is_none() {
            all.set(property::UNIQ_KEY, broker.unique_id(now_ms));
        }
        for (key, value) in Properties::parse(stamp).iter() {
            all.set(key, value);
        }
        return all.encode();
    }
    room.bytes(|out| {
        out.extend_from_slice(sent.as_bytes());
        if out.last().is_some_and(|last| *last != properties::PAIR_SEPARATOR) {
            out.put_u8(properties::PAIR_SEPARATOR);
        }
        if wishes.unique.is_none() {
            broker.push_unique_key(out, now_ms);
        }
        out.extend_from_slice(stamp);
    })
}

/// Parks a message that asks for a delay level in the schedule topic, as Java does for all but
/// half messages and rollbacks; one that asks for a time of its own (`timer`) in the timer's.
///
/// # Errors
/// That time cannot be had.
pub fn park(
    draft: &mut Draft,
    delay_level: i32,
    timer: bool,
    settings: &BrokerSettings,
    now_ms: i64,
) -> Result<(), Refusal> {
    if !sys_flag::is_visible(draft.sys_flag) {
        return Ok(());
    }
    if delay_level <= 0 {
        return if timer { accept::park(draft, settings, now_ms) } else { Ok(()) };
    }
    let levels = settings.store.delay_levels_ms().len();
    let level = delay_level.min(i32::try_from(levels).unwrap_or(i32::MAX));
    let mut all = Properties::parse(&draft.properties);
    for key in [property::TIMER_DELAY_SEC, property::TIMER_DELAY_MS, property::TIMER_DELIVER_MS] {
        all.remove(key);
    }
    all.set(property::DELAY, level.to_string());
    put_aside(draft, all, names::SCHEDULE_TOPIC, level - 1);
    Ok(())
}

/// Gives a message to a topic of the system, with a note of its own topic and queue.
pub fn put_aside(draft: &mut Draft, mut all: Properties, topic: &'static str, queue_id: i32) {
    all.set(property::REAL_TOPIC, draft.topic.clone());
    all.set(property::REAL_QUEUE_ID, draft.queue_id.to_string());
    draft.properties = all.encode();
    draft.topic = Str::from_static(topic);
    draft.queue_id = queue_id;
}

/// Gives a message of a lite topic to the light queue of that.
///
/// # Errors
/// No queue can have that name.
pub fn name_lite(draft: &mut Draft) -> Result<(), Refusal> {
    let mut all = Properties::parse(&draft.properties);
    let lite_topic = all.get(property::LITE_TOPIC).unwrap_or_default();
    let Some(queue) = lite::names::queue(&draft.topic, lite_topic) else { return Ok(()) };
    if !light::is_name(&queue) {
        let remark = format!("the message is illegal: no lite topic can be named {lite_topic}");
        return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
    }
    all.set(property::INNER_MULTI_DISPATCH, queue);
    draft.properties = all.encode();
    Ok(())
}

/// The topic and queue that [`put_aside`] noted.
pub fn real(record: &Record<'_>) -> Option<(Str, i32)> {
    let topic = record.property(property::REAL_TOPIC)?;
    Some((Str::from(topic), record.property(property::REAL_QUEUE_ID)?.parse().ok()?))
}

/// A record to be stored once more, with other properties.
pub fn again(record: &Record<'_>, stored: &Bytes, mut all: Properties) -> Draft {
    // That of the record says nothing about this one.
    all.remove(property::CRC32);
    again_as(record, stored, all.encode())
}

/// The same with properties that are encoded already.
pub fn again_as(record: &Record<'_>, stored: &Bytes, properties: Bytes) -> Draft {
    Draft {
        topic: record.topic.into(),
        queue_id: record.queue_id,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_transaction_offset: 0,
        body: stored.slice_ref(record.body),
        properties,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(properties: &str) -> Draft {
        let host = "127.0.0.1:1".parse().unwrap();
        Draft {
            queue_id: 3,
            properties: Bytes::copy_from_slice(properties.as_bytes()),
            ..Draft::plain("T", 1, host)
        }
    }

    #[test]
    fn a_message_of_a_lite_topic_names_its_queue() {
        let named = |properties: &str| {
            let mut draft = draft(properties);
            let named = name_lite(&mut draft).map_err(|refusal| refusal.code);
            named.map(|()| String::from_utf8(draft.properties.to_vec()).unwrap())
        };
        let queue = "INNER_MULTI_DISPATCH\x01%LMQ%$T$a\x02";
        assert_eq!(named("__LITE_TOPIC\x01a\x02"), Ok(format!("__LITE_TOPIC\x01a\x02{queue}")));
        assert_eq!(named("__LITE_TOPIC\x01\x02").map(|all| all.contains("LMQ")), Ok(false));
        assert_eq!(named("__LITE_TOPIC\x01a/b\x02"), Err(ResponseCode::MESSAGE_ILLEGAL));
    }

    #[test]
    fn wishes_are_read_in_one_pass() {
        let wishes =
            Wishes::of(b"DELAY\x013\x02WAIT\x01FALSE\x02UNIQ_KEY\x01u\x02TRAN_MSG\x01true\x02");
        assert_eq!((wishes.delay_level, wishes.wait), (3, false));
        assert!(wishes.unique == Some(b"u") && wishes.prepared && !wishes.rewrite && !wishes.timer);
        assert!(Wishes::of(b"").wait && !Wishes::of(b"WAIT\x01no\x02").wait);
        assert!(Wishes::of(b"CLUSTER\x01c").rewrite);
        assert!(Wishes::of(b"DELAY\x01soon\x02").bad_level);
        assert!(Wishes::of(b"INNER_NUM\x012").inner_batch);
    }

    #[test]
    fn a_priority_counts_in_messages_of_no_other_kind() {
        let read = |text: &str| {
            let wishes = Wishes::of(text.as_bytes());
            (wishes.priority, wishes.void_priority)
        };
        assert_eq!(read("_SYS_MSG_PRIORITY_\x013\x02"), (Some(3), false));
        for none in ["", "_SYS_MSG_PRIORITY_\x01-1\x02", "_SYS_MSG_PRIORITY_\x01high\x02"] {
            assert_eq!(read(none), (None, false), "{none:?}");
        }
        for kind in ["DELAY\x011", "TIMER_DELAY_MS\x015", "__SHARDINGKEY\x01k", "TRAN_MSG\x01true"]
        {
            assert_eq!(read(&format!("{kind}\x02_SYS_MSG_PRIORITY_\x013\x02")), (None, true));
            assert_eq!(read(&format!("_SYS_MSG_PRIORITY_\x013\x02{kind}\x02")), (None, true));
        }
    }

    #[test]
    fn what_java_would_not_read_back_is_not_copied() {
        for clean in ["", "A\x01b", "A\x01b\x02", "A\x01b\x02KEYS\x01x\x01y\x02"] {
            assert!(!Wishes::of(clean.as_bytes()).rewrite, "{clean:?}");
        }
        for odd in ["A\x01\x02", "A\x01b\x02\x02", "A\x01b\x02rest", "A\x01b\x02A\x01c"] {
            assert!(Wishes::of(odd.as_bytes()).rewrite, "{odd:?}");
        }
    }

    #[test]
    fn many_names_are_no_twins() {
        let named = |count: usize| -> String {
            (0..count).map(|number| format!("property{number}\x01v\x02")).collect()
        };
        assert!(!Wishes::of(named(12).as_bytes()).rewrite);
        for twin in 0..12 {
            let twins = format!("{}property{twin}\x01w\x02", named(12));
            assert!(Wishes::of(twins.as_bytes()).rewrite, "{twin}");
        }
        assert!(Wishes::of(named(200).as_bytes()).rewrite, "nobody looks through so many");
    }

    #[test]
    fn a_delayed_message_is_parked_and_remembers_its_queue() {
        let settings = BrokerSettings::default();
        let mut parked = draft("DELAY\x0199\x02TIMER_DELAY_MS\x015\x02");
        park(&mut parked, 99, true, &settings, 0).unwrap();
        assert_eq!((&*parked.topic, parked.queue_id), (names::SCHEDULE_TOPIC, 17));
        let all = Properties::parse(&parked.properties);
        assert_eq!(all.get(property::DELAY), Some("18"));
        assert_eq!(all.get(property::REAL_TOPIC), Some("T"));
        assert_eq!(all.get(property::REAL_QUEUE_ID), Some("3"));
        assert!(!all.contains(property::TIMER_DELAY_MS));
    }

    #[test]
    fn what_asks_for_nothing_stays_and_what_we_cannot_do_is_refused() {
        let settings = BrokerSettings::default();
        let mut plain = draft("A\x01b\x02");
        park(&mut plain, 0, false, &settings, 0).unwrap();
        assert_eq!(plain, draft("A\x01b\x02"));
        let mut half = draft("DELAY\x011\x02");
        half.sys_flag = sys_flag::TRANSACTION_PREPARED;
        park(&mut half, 1, false, &settings, 0).unwrap();
        assert_eq!(&*half.topic, "T");
    }
}
