//! Popped messages are done (200051, many: 200151), or are to stay invisible for another time
//! (200053; Java: `AckMessageProcessor`, `ChangeInvisibleTimeProcessor`).
//!
//! An acknowledgement is a message of the revive log; the pops that are remembered learn of it
//! before it is stored. Those of ordered pops move the group's offset instead.

use super::client::body;
use super::lite;
use super::{notification, pop};
use crate::broker::Broker;
use crate::pop::done::Done;
use crate::pop::handle::{Handle, ORDERED, Retry};
use crate::pop::order_info::{Acked, At};
use crate::pop::ordered;
use crate::pop::records::{Ack, CheckPoint, Key};
use crate::pop::{self as pops};
use crate::put::{self, Effect, Sender, Waits};
use crate::timer::accept;
use message::{Draft, Str};
use remoting::body::pop::{BatchAck, BatchAckMessageRequestBody};
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::headers::pop::{
    AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, ChangeInvisibleTimeResponseHeader,
};
use remoting::reply::{Answer, Refusal, Reply, Ticket};
use remoting::router::{Call, Lane};
use settings::BrokerSettings;
use std::sync::Arc;
use store::Append;

/// Messages that one entry of a batch may name; a pop has 32 at most.
const NAMED: usize = 1_024;

/// Code 200051: one message is done.
pub fn ack(
    broker: &Broker,
    call: &Call<'_>,
    header: AckMessageRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let config = check(broker, call, &header.topic, header.queue_id)?;
    if let Some(name) = lite_of(header.lite_topic.as_ref()) {
        return lite::ack(broker, call, &header, name);
    }
    let AckMessageRequestHeader { consumer_group: group, queue_id, offset, .. } = header;
    let topic = config.topic_name.clone();
    let ends =
        (broker.store.min_offset(&topic, queue_id), broker.store.max_offset(&topic, queue_id));
    if offset < ends.0 || offset > ends.1 {
        let (min, max) = ends;
        let remark = format!(
            "offset is illegal, key:{topic}@{queue_id}, commit:{offset}, store:{min}~{max}"
        );
        return Err(Refusal::new(ResponseCode::NO_MESSAGE, remark));
    }
    let handle = parse(&header.extra_info)?;
    if handle.revive_queue == ORDERED {
        let done = InOrder { topic: &topic, group: &group, queue_id, pop_ms: handle.pop_ms };
        return match done.in_order(broker, call, &[offset])? {
            Ordered::Busy => Ok(Reply::Effect(Effect::Block)),
            Ordered::Done { log_end } => Ok(give(broker, call, log_end, Answer::success())),
        };
    }
    check_revive_queue(broker, handle.revive_queue)?;
    let ack = of_one(&handle, (topic, group, queue_id), offset);
    note(broker, &ack);
    let (revive_queue, ticket) = (handle.revive_queue, Ticket::of(call.command));
    let stored = |_: &Broker, _: &_, _: &_, _: &_, _: &_| Answer::success();
    let sender = Sender::new(ticket, Waits::ToBeSure, revive_queue, stored);
    let done = Done { ack, revive_queue, due_ms: handle.due_ms() };
    Ok(Reply::Effect(Effect::Acknowledge(done, sender)))
}

/// Code 200151: many messages are done. What cannot be acknowledged is passed over; the answer says
/// the last reason, and all else is done.
pub fn batch_ack(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    let nothing = Answer::code(ResponseCode::NO_MESSAGE);
    if call.command.body.is_empty() {
        return Ok(Reply::Answer(nothing));
    }
    let asked: BatchAckMessageRequestBody = body(call)?;
    if asked.acks.is_empty() {
        return Ok(Reply::Answer(nothing));
    }
    let illegal = |why: &str| {
        let remark = format!("an acknowledgement in the batch is illegal: {why}");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    };
    let names_some = |one: &BatchAck| base64(&one.bit_set).is_some_and(|bits| !bits.is_empty());
    if !asked.acks.iter().all(names_some) {
        return Err(illegal("b has no bits in base64"));
    }
    let mut answer = Answer::success();
    if asked.acks.iter().any(|one| Retry::from_mark(&one.retry).is_none()) {
        answer = illegal("r is not 0, 1 or 2").into();
    }
    let (ordered, others): (Vec<_>, Vec<_>) =
        asked.acks.into_iter().partition(|one| one.revive_queue_id == ORDERED);
    let mut noted = 0;
    // They may have to be tried again as a whole: nothing else is done before.
    for one in &ordered {
        let Some((topic, offsets)) = named(broker, one) else { continue };
        let (group, queue_id, pop_ms) = (&one.consumer_group, one.queue_id, one.pop_time);
        let done = InOrder { topic: &topic, group, queue_id, pop_ms };
        match done.in_order(broker, call, &offsets) {
            Ok(Ordered::Done { log_end }) => noted = noted.max(log_end),
            Ok(Ordered::Busy) => return Ok(Reply::Effect(Effect::Block)),
            Err(refusal) => answer = Answer::from(refusal),
        }
    }
    let mut drafts = Vec::new();
    for one in others {
        let Some((topic, offsets)) = named(broker, &one) else { continue };
        match check_revive_queue(broker, one.revive_queue_id) {
            _ if offsets.is_empty() => {}
            Ok(()) => {
                drafts.push(batch(broker, call.now_ms, (one, topic, offsets), &asked.broker_name));
            }
            Err(refusal) => answer = Answer::from(refusal),
        }
    }
    let log_end = store(broker, call, drafts)?.max(noted);
    Ok(give(broker, call, log_end, answer))
}

/// The topic that an entry of a batch means, and the queue offsets that it names and the queue has.
fn named(broker: &Broker, one: &BatchAck) -> Option<(Str, Vec<i64>)> {
    let (bits, queue_id) = (bits(&one.bit_set)?, one.queue_id);
    let topic = Retry::from_mark(&one.retry)?.real_topic(&one.topic, &one.consumer_group);
    let Some(topic) = broker.topics.find(&topic).map(|found| found.topic_name.clone()) else {
        tracing::warn!(%topic, group = %one.consumer_group, "acknowledged in no topic");
        return None;
    };
    let (min, max) =
        (broker.store.min_offset(&topic, queue_id), broker.store.max_offset(&topic, queue_id));
    let offsets = bits.filter_map(|bit| one.start_offset.checked_add(bit));
    let offsets = offsets.filter(|offset| (min..=max).contains(offset));
    let offsets = offsets.take(NAMED).collect();
    Some((topic, offsets))
}

/// The acknowledgement of one message by its handle.
fn of_one(handle: &Handle, (topic, group, queue_id): (Str, Str, i32), offset: i64) -> Ack {
    Ack {
        offset,
        broker: Some(handle.broker.clone()),
        group,
        pop_ms: handle.pop_ms,
        queue_id,
        start: handle.start,
        topic,
        ..Ack::default()
    }
}

fn batch(
    broker: &Broker,
    now_ms: i64,
    (one, topic, offsets): (BatchAck, Str, Vec<i64>),
    broker_name: &Str,
) -> Draft {
    let ack = Ack {
        offset: -1,
        offsets: Some(offsets),
        broker: Some(broker_name.clone()).filter(|name| !name.is_empty()),
        group: one.consumer_group,
        pop_ms: one.pop_time,
        queue_id: one.queue_id,
        start: one.start_offset,
        topic,
    };
    note(broker, &ack);
    let due_ms = one.pop_time.saturating_add(one.invisible_time);
    pops::pen(broker, now_ms).ack(&ack, one.revive_queue_id, due_ms)
}

/// Code 200053: a message stays invisible for another time, counted from now.
pub fn change(
    broker: &Broker,
    call: &Call<'_>,
    header: ChangeInvisibleTimeRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let refused = |refusal| {
        let answer = Answer::from(refusal);
        answer.with_header(&ChangeInvisibleTimeResponseHeader::default()).into()
    };
    Ok(change_time(broker, call, header).unwrap_or_else(refused))
}

/// An answer with its header, and with the words that Java leaves in it.
fn changed(code: ResponseCode, said: &ChangeInvisibleTimeResponseHeader) -> Answer {
    let answer = Answer::code(code).with_header(said);
    answer.with_remark(Str::from_static("not set any response code"))
}

fn change_time(
    broker: &Broker,
    call: &Call<'_>,
    header: ChangeInvisibleTimeRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let ChangeInvisibleTimeRequestHeader { queue_id, offset, invisible_time, .. } = header;
    let topic = check(broker, call, &header.topic, queue_id)?.topic_name.clone();
    let group = Str::from(&*header.consumer_group);
    if let Some(name) = lite_of(header.lite_topic.as_ref()) {
        return Ok(Reply::Answer(match lite::change(broker, call, &header, name) {
            Ok(Ok(said)) => changed(ResponseCode::SUCCESS, &said),
            Ok(Err(code)) => changed(code, &ChangeInvisibleTimeResponseHeader::default()),
            // Java's exception leaves no header.
            Err(refusal) => refusal.into(),
        }));
    }
    let (min, max) =
        (broker.store.min_offset(&topic, queue_id), broker.store.max_offset(&topic, queue_id));
    if offset < min || offset >= max {
        let said = ChangeInvisibleTimeResponseHeader::default();
        return Ok(Reply::Answer(changed(ResponseCode::NO_MESSAGE, &said)));
    }
    let handle = match parse(&header.extra_info) {
        Ok(handle) => handle,
        Err(refusal) => return Ok(Reply::Answer(refusal.into())),
    };
    let revive_qid = handle.revive_queue;
    if revive_qid == ORDERED {
        return change_in_order(broker, call, &handle, (&topic, &header));
    }
    check_revive_queue(broker, revive_qid)?;
    let settings = broker.settings();
    if !settings.store.timer_wheel_enable {
        let said = ChangeInvisibleTimeResponseHeader::default();
        return Ok(Reply::Answer(changed(ResponseCode::SYSTEM_ERROR, &said)));
    }
    if !pop::may_wait_so_long(&settings, invisible_time) {
        let remark = "invisibleTime is longer than timerMaxDelaySec";
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
    }
    let point = CheckPoint {
        broker: Str::from(&*handle.broker),
        group: group.clone(),
        diffs: Some(vec![0]),
        invisible_ms: invisible_time,
        log_end: Some(broker.store.max_log_offset()),
        count: 1,
        pop_ms: new_pop_ms(&handle, &settings, call.now_ms),
        queue_id,
        start: offset,
        suspend: header.suspend,
        topic: topic.clone(),
        ..CheckPoint::default()
    };
    let point = CheckPoint { revive_ms: point.due_ms(), ..point };
    let ack = of_one(&handle, (topic, group, queue_id), offset);
    let pen = pops::pen(broker, call.now_ms);
    let drafts =
        vec![pen.check_point(&point, revive_qid), pen.ack(&ack, revive_qid, handle.due_ms())];
    let pop_time = point.pop_ms;
    let said = ChangeInvisibleTimeResponseHeader { pop_time, invisible_time, revive_qid };
    let log_end = store(broker, call, drafts)?;
    count_change(broker, &point);
    // The old time must not pass before the new one counts.
    let limit = settings.broker.pop_ck_max_buffer_size;
    broker.pops.taken.insert(point, revive_qid, usize::try_from(limit).unwrap_or(0));
    note(broker, &ack);
    Ok(give(broker, call, log_end, changed(ResponseCode::SUCCESS, &said)))
}

/// The time of the pop that a change stands for. Never that of the pop before: its acknowledgements
/// would count for the new checkpoint too. No pop has one that is far off.
fn new_pop_ms(handle: &Handle, settings: &BrokerSettings, now_ms: i64) -> i64 {
    let latest_ms = now_ms.saturating_add(accept::longest_ms(settings));
    now_ms.max(handle.pop_ms.saturating_add(1).min(latest_ms))
}

/// Counts a checkpoint of a message that got another time.
fn count_change(broker: &Broker, CheckPoint { topic, group, .. }: &CheckPoint) {
    if let Some(stats) = broker.stats_of(topic, group) {
        stats.popped(topic, group);
    }
}

fn change_in_order(
    broker: &Broker,
    call: &Call<'_>,
    handle: &Handle,
    (topic, header): (&Str, &ChangeInvisibleTimeRequestHeader),
) -> Result<Reply<Effect>, Refusal> {
    let (group, queue_id, pop_ms) = (&header.consumer_group, header.queue_id, handle.pop_ms);
    let committed = || broker.offsets.query(group, topic, queue_id).unwrap_or(-1);
    // Java answers with zeros then.
    let nothing = changed(ResponseCode::SUCCESS, &ChangeInvisibleTimeResponseHeader::default());
    if header.offset < committed() {
        return Ok(Reply::Answer(nothing));
    }
    let Some(claim) = claim(broker, call, (topic, group, queue_id)) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    if header.offset < committed() {
        return Ok(Reply::Answer(nothing));
    }
    let visible_ms = call.now_ms.saturating_add(header.invisible_time);
    let at = At { topic, group, queue_id };
    let log_end = ordered::noted(broker, at, call.now_ms, || {
        broker.orders.change(at, header.offset, pop_ms, visible_ms)
    });
    let missed = claim.end();
    // What is visible sooner now, somebody may wait for.
    if missed || header.invisible_time <= handle.invisible_ms {
        wake(broker, at, call.now_ms);
    }
    let said = ChangeInvisibleTimeResponseHeader {
        pop_time: pop_ms,
        invisible_time: visible_ms.saturating_sub(pop_ms),
        revive_qid: ORDERED,
    };
    Ok(give(broker, call, log_end, changed(ResponseCode::SUCCESS, &said)))
}

/// Messages of an ordered pop.
struct InOrder<'a> {
    topic: &'a Str,
    group: &'a Str,
    queue_id: i32,
    pop_ms: i64,
}

/// Whether an ordered acknowledgement was done.
enum Ordered {
    /// The end of the note of it in the log; 0 when there is none.
    Done { log_end: i64 },
    /// A pop has the queue: it is to be tried again where waiting is allowed.
    Busy,
}

impl InOrder<'_> {
    /// Notes that messages are done: the group goes on behind them when none before is open.
    fn in_order(
        &self,
        broker: &Broker,
        call: &Call<'_>,
        offsets: &[i64],
    ) -> Result<Ordered, Refusal> {
        let Self { topic, group, queue_id, .. } = *self;
        let Some(claim) = claim(broker, call, (topic, group, queue_id)) else {
            return Ok(Ordered::Busy);
        };
        let at = At { topic, group, queue_id };
        let mut unknown = Ok(());
        let log_end = ordered::noted(broker, at, call.now_ms, || {
            let mut is_any_done = false;
            for &offset in offsets {
                match self.ack(broker, offset) {
                    Some(Acked::Unknown) => unknown = Err(self.illegal(broker, call, offset)),
                    acked => is_any_done |= matches!(acked, Some(Acked::Next(_))),
                }
            }
            is_any_done
        });
        let missed = claim.end();
        if missed || broker.orders.blocked_until(at, None, 0, call.now_ms).is_none() {
            wake(broker, at, call.now_ms);
        }
        unknown.map(|()| Ordered::Done { log_end })
    }

    fn committed(&self, broker: &Broker) -> i64 {
        broker.offsets.query(self.group, self.topic, self.queue_id).unwrap_or(-1)
    }

    /// What came of one message; nothing when the group is behind it.
    fn ack(&self, broker: &Broker, offset: i64) -> Option<Acked> {
        let Self { topic, group, queue_id, pop_ms } = *self;
        let committed = self.committed(broker);
        if offset < committed {
            return None;
        }
        let acked = broker.orders.ack(At { topic, group, queue_id }, offset, pop_ms, committed);
        if let Acked::Next(next) = acked {
            broker.offsets.commit_unless_reset(group, topic, queue_id, next);
            count(broker, (topic, group), 1);
        }
        Some(acked)
    }

    fn illegal(&self, broker: &Broker, call: &Call<'_>, offset: i64) -> Refusal {
        let Self { topic, group, queue_id, .. } = *self;
        let remark = format!(
            "offset is illegal, key:{topic}@{group}@{queue_id}, old:{}, commit:{offset}, next:-1, \
             {}",
            self.committed(broker),
            call.peer.remote
        );
        Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark)
    }
}

/// Lets somebody try who waits for a queue.
fn wake(broker: &Broker, at: At<'_>, now_ms: i64) {
    let next = broker.pops.waiting.next(at.topic, at.group, at.queue_id);
    pop::resume_all(broker, next.into_iter().collect(), now_ms);
    notification::wake(broker, at, now_ms);
}

/// Claims a queue, and waits for it where that is allowed.
pub(super) fn claim<'a>(
    broker: &'a Broker,
    call: &Call<'_>,
    (topic, group, queue_id): (&Str, &Str, i32),
) -> Option<pops::claims::Claim<'a>> {
    match call.lane {
        Lane::Inline => broker.pops.claims.claim(topic, group, queue_id),
        Lane::Blocking => Some(broker.pops.claims.wait(topic, group, queue_id)),
    }
}

/// Tells the pops that are remembered.
fn note(broker: &Broker, ack: &Ack) {
    let key = Key::of_ack(ack, &broker.settings().broker.broker_name);
    broker.pops.taken.ack(&key, ack.named());
    count(broker, (&ack.topic, &ack.group), ack.named().len());
}

/// Counts messages that were acknowledged.
pub(super) fn count(broker: &Broker, (topic, group): (&str, &str), messages: usize) {
    if let Some(stats) = broker.stats_of(topic, group) {
        stats.acked(topic, group, messages as u64);
    }
}

/// Stores all; gives their end in the log.
fn store(broker: &Broker, call: &Call<'_>, drafts: Vec<Draft>) -> Result<i64, Refusal> {
    let mut appends: Vec<Append> = drafts.into_iter().map(Append::one).collect();
    broker.append(&mut appends, call.now_ms);
    let mut log_end = 0;
    for append in &appends {
        let stored = append.outcome.map_err(|error| put::refusal(broker, error))?;
        log_end = log_end.max(stored.log_end());
    }
    Ok(log_end)
}

/// Answers now, or when what was stored is durable.
fn give(broker: &Broker, call: &Call<'_>, log_end: i64, answer: Answer) -> Reply<Effect> {
    broker.reply_when_flushed(log_end, answer, call.now_ms, || call.later())
}

/// Whether there is such a queue.
fn check(
    broker: &Broker,
    call: &Call<'_>,
    topic: &str,
    queue_id: i32,
) -> Result<Arc<TopicConfig>, Refusal> {
    let Some(config) = broker.topics.find(topic) else {
        let remark = format!("topic[{topic}] not exist, apply first please!");
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    if queue_id < 0 || queue_id >= config.read_queue_nums {
        let remark = format!(
            "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] \
             consumer:[/{}]",
            config.read_queue_nums, call.peer.remote
        );
        return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
    }
    Ok(config)
}

/// The lite topic that a request is about.
fn lite_of(lite_topic: Option<&Str>) -> Option<&Str> {
    lite_topic.filter(|name| !name.trim().is_empty())
}

/// The revive log has only so many queues, and those that it had before; Java makes whatever queue
/// a handle names.
fn check_revive_queue(broker: &Broker, queue_id: i32) -> Result<(), Refusal> {
    let topic = pops::records::revive_topic(&broker.settings().broker.broker_cluster_name);
    let count = pops::revive_queues(broker, &topic);
    if (0..count).contains(&queue_id) || broker.store.queue_ids(&topic).contains(&queue_id) {
        return Ok(());
    }
    let remark = format!(
        "extraInfo names queue {queue_id} of {topic}, which has {count}: this broker gave no such \
         handle"
    );
    Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark))
}

pub(super) fn parse(extra_info: &str) -> Result<Handle, Refusal> {
    Handle::parse(extra_info).map_err(|why| Refusal::new(ResponseCode::SYSTEM_ERROR, why))
}

/// The bits of a Java `BitSet` in base64, whose bytes begin with the lowest; `None` when it is no
/// base64.
fn bits(text: &str) -> Option<impl Iterator<Item = i64>> {
    let bytes = base64(text)?;
    let each = bytes.into_iter().zip(0_i64..).flat_map(|(byte, at)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
    });
    Some(each)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let (mut out, mut held, mut bits) = (Vec::with_capacity(text.len()), 0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use message::{properties, property};
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::peer::Peer;
    use remoting::room::Room;
    use simulator::SimDisk;
    use std::path::Path;

    const NOW: i64 = 1_700_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    /// A broker with a message in the one queue of `T`.
    fn broker() -> Broker {
        let (broker, _) = cold::open(SimDisk::new(7), Path::new("/store"), NOW);
        broker.topic_for_retry("T", 1, 0, NOW).unwrap();
        let draft = Draft::plain("T", NOW, broker.identity.store_host);
        broker.append(&mut [Append::one(draft)], NOW);
        broker
    }

    /// Runs `ask` with a call.
    fn called<T>(ask: impl FnOnce(&Call<'_>) -> T) -> T {
        let command = Command::request(RequestCode::ACK_MESSAGE);
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let lane = Lane::Blocking;
        ask(&Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room })
    }

    /// Acknowledges that message with a handle of this time.
    fn acked(broker: &Broker, group: &str, pop_ms: i64) -> Draft {
        let header = AckMessageRequestHeader {
            consumer_group: group.into(),
            topic: "T".into(),
            extra_info: format!("0 {pop_ms} 60000 0 0 b 0 0").into(),
            ..Default::default()
        };
        let reply = called(|call| ack(broker, call, header));
        let Ok(Reply::Effect(Effect::Acknowledge(done, _))) = reply else { panic!("{reply:?}") };
        pops::pen(broker, NOW).ack(&done.ack, done.revive_queue, done.due_ms)
    }

    #[test]
    fn a_handle_of_any_time_waits_no_longer_than_the_timer_keeps_messages() {
        let broker = broker();
        let due_ms = |pop_ms| {
            let draft = acked(&broker, "G", pop_ms);
            let due_ms = properties::find(&draft.properties, property::TIMER_DELIVER_MS);
            due_ms.and_then(|due_ms| due_ms.parse::<i64>().ok()).unwrap() - NOW
        };
        assert_eq!([NOW, NOW - 50_000, i64::MAX].map(due_ms), [60_000, 10_000, 3 * DAY_MS]);
        let header = ChangeInvisibleTimeRequestHeader {
            consumer_group: "G".into(),
            topic: "T".into(),
            invisible_time: 60_000,
            extra_info: format!("0 {} 60000 0 0 b 0 0", i64::MAX).into(),
            ..Default::default()
        };
        called(|call| change(&broker, call, header)).unwrap();
        let point = broker.pops.taken.due(NOW + 3 * DAY_MS + 60_000, 1);
        assert_eq!(point.len(), 1, "nor is a message out for longer");
    }

    #[test]
    fn what_is_acknowledged_in_a_groups_name_is_counted_while_there_is_the_group() {
        let broker = broker();
        broker.group("G", NOW).unwrap();
        for group in ["G", "nobody"] {
            acked(&broker, group, NOW);
        }
        let counted = |key| broker.stats.spans("GROUP_ACK_NUMS", key, "c").is_some();
        assert_eq!(["T@G", "T@nobody"].map(counted), [true, false]);
    }

    #[test]
    fn bit_sets_are_read_as_java_writes_them() {
        let read = |text: &str| bits(text).map(Iterator::collect::<Vec<_>>);
        assert_eq!(read(""), Some(vec![]));
        // {0, 2, 9, 31}
        assert_eq!(read("BQIAgA=="), Some(vec![0, 2, 9, 31]));
        assert_eq!(read("B!"), None);
    }
}
