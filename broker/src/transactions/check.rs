//! The check of half messages that nobody decided about: one step of it is a function of the time
//! and the store, with bounds for what it reads and writes (Java: `check`,
//! `TransactionalMessageCheckService`).
//!
//! A round walks the half queue from where the last one stopped to what came since it began. A
//! message that is finished is passed over. One that waits is put at the queue's end, and its
//! producer is asked; so the walk always moves on. One that was asked for too often, or is too old,
//! goes to a topic of its own.

use super::finished::OffsetSet;
use super::waiting::Waiting;
use super::{End, GROUP, OP_TAG, Places, QUEUE, State, count, is_committed, write_owed};
use crate::broker::Broker;
use crate::clients::Client;
use crate::put::again;
use crate::topics;
use crate::unread::Place;
use bytes::Bytes;
use message::ids::MessageId;
use message::{Draft, Entry, Placement, Properties, Record, Str, names, property, record};
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::headers::base::RpcFields;
use remoting::headers::transaction::CheckTransactionStateRequestHeader;
use remoting::peer::Peer;
use settings::BrokerSettings;
use std::sync::atomic::Ordering;
use store::{Append, Appended, NotNow, Position, Progress, Step};

/// Half messages that one step puts back, asks for or gives up. They are stored with one hold of
/// the append lock, and keep a processor to themselves until that is done: how long a send may
/// wait.
const MOVES: usize = 8;
/// Half messages that one step looks at.
const LOOKS: usize = 512;
/// Op messages that one step reads.
const OPS: usize = 2_048;
/// The pause between two steps of a round, ms.
const STEP_MS: i64 = 3;
/// How often it is looked whether a round is due, ms.
const IDLE_MS: i64 = 500;
/// Without any producer nobody can be asked: then only every so many rounds are held, which keep
/// half messages from expiring with their log files.
const QUIET: i64 = 20;
/// A producer that leaves so much unread is not asked more, bytes.
const UNREAD_MAX: usize = 4 << 20;
/// How many of a group's producers are tried for one that reads.
const PRODUCERS: usize = 3;
const HOUR_MS: i64 = 3_600_000;

/// One round.
#[derive(Debug)]
pub(crate) struct Round {
    /// Where the half queue ended when it began: what the round puts back is for the next one.
    until: i64,
    /// First places of those that were put back: a crash may have left one of them twice.
    seen: OffsetSet,
}

/// What is to be done with a half message.
enum Verdict {
    /// Nothing any more.
    Pass,
    /// A request is about to finish it, which may fail: the walk goes on from here a little later.
    Wait,
    /// It is too young, and so is all that follows: the round ends before it.
    Stop,
    /// The disk does not give it now; the same.
    Unread,
    /// Put it at the end of its queue.
    Back(Draft),
    /// The same, and ask a producer.
    Ask(Draft, Box<Client>),
    /// Put it where those are that nobody decided about.
    Discard(Draft),
}

/// A half message that moves: where it stands, and what happens then.
struct Move {
    at: i64,
    ask: Option<Box<Client>>,
}

/// What a message that cannot be read holds up.
const UNREAD: &str = "the check of half messages waits";

/// Does one step, and says when the next is due, ms since the epoch.
pub fn step(broker: &Broker, now_ms: i64) -> i64 {
    let every_ms = broker.settings().broker.transaction_metric_flush_interval;
    Waiting::save(broker, every_ms, now_ms);
    let mut state = broker.transactions.state.lock();
    let state = &mut *state;
    write_owed(broker, now_ms);
    match read_ops(broker, state) {
        Ok(true) => drop(state.unread.1.note(UNREAD, None, now_ms)),
        Ok(false) => return now_ms,
        Err(NotNow) => {
            let (topic, op) = (names::TRANS_OP_HALF_TOPIC, state.op.unwrap_or_default());
            let at = Place::of(&broker.store, topic, QUEUE, op);
            state.unread.1.note(UNREAD, Some(at), now_ms);
            return now_ms + IDLE_MS;
        }
    }
    let settings = broker.settings();
    let rested_ms = if state.rested_ms == 0 { broker.identity.boot_ms } else { state.rested_ms };
    if state.round.is_none() {
        let interval_ms = settings.broker.transaction_check_interval;
        let quiet = if broker.clients.has_any_producer() { 1 } else { QUIET };
        if now_ms - rested_ms < interval_ms.saturating_mul(quiet) {
            return now_ms + IDLE_MS.min(interval_ms);
        }
        broker.transactions.known.lock().finished.close_part();
        let until = broker.store.max_offset(names::TRANS_HALF_TOPIC, QUEUE);
        state.round = Some(Round { until, seen: OffsetSet::default() });
    }
    if walk(broker, state, &settings, now_ms) {
        (state.round, state.rested_ms) = (None, now_ms);
    }
    now_ms + STEP_MS
}

/// Reads all op messages, before the first request: a commit that is sent once more right after a
/// restart must find that it was done.
pub(crate) fn catch_up(broker: &Broker, watch: &dyn Fn(Progress)) {
    let mut state = broker.transactions.state.lock();
    let topic = names::TRANS_OP_HALF_TOPIC;
    let begin = state.op.unwrap_or_else(|| offset(broker, topic));
    let messages = |to: i64| (to - begin).max(0).unsigned_abs();
    let total = messages(broker.store.max_offset(topic, QUEUE));
    let step = Step::count(watch, "reading what became of half messages", total);
    while read_ops(broker, &mut state) == Ok(false) {
        step.reach(state.op.map_or(0, messages));
    }
}

/// Where the group goes on in a queue of the system.
fn offset(broker: &Broker, topic: &str) -> i64 {
    let (min, max) = (broker.store.min_offset(topic, QUEUE), broker.store.max_offset(topic, QUEUE));
    let stored = broker.offsets.query(GROUP, topic, QUEUE).filter(|offset| *offset >= 0);
    stored.unwrap_or(min).max(min).min(max)
}

/// Reads op messages, as far as the disk gives them; whether none is left.
fn read_ops(broker: &Broker, state: &mut State) -> Result<bool, NotNow> {
    let topic = names::TRANS_OP_HALF_TOPIC;
    let end = broker.store.max_offset(topic, QUEUE);
    let mut at = state.op.unwrap_or_else(|| offset(broker, topic));
    at = at.max(broker.store.min_offset(topic, QUEUE)).min(end);
    for _ in 0..OPS {
        if at >= end {
            break;
        }
        let found = broker.store.message_in(Position { topic, queue_id: QUEUE, offset: at })?;
        let named = found.and_then(|(stored, _)| named(&stored)).unwrap_or_else(|| {
            tracing::warn!(op_offset = at, "an op message of transactions is not there");
            Vec::new()
        });
        at += 1;
        state.op = Some(at);
        // After the read: what the half queue holds now may be finished by it.
        let half_end = broker.store.max_offset(names::TRANS_HALF_TOPIC, QUEUE);
        let mut known = broker.transactions.known.lock();
        named.iter().for_each(|offset| known.name(*offset));
        known.finished.note(named.into_iter(), at, half_end);
    }
    state.op = Some(at);
    Ok(at >= end)
}

/// The places that an op message names. Other tags than its own say nothing.
fn named(stored: &Bytes) -> Option<Vec<i64>> {
    let Ok(Entry::Message(op)) = record::decode(stored, false) else { return None };
    if message::properties::find(op.properties, property::TAGS) != Some(OP_TAG) {
        return None;
    }
    let body = std::str::from_utf8(op.body).ok()?;
    Some(body.split(',').filter_map(|text| text.trim().parse().ok()).collect())
}

/// One step of a round; whether the round has come to its end.
fn walk(broker: &Broker, state: &mut State, settings: &BrokerSettings, now_ms: i64) -> bool {
    let topic = names::TRANS_HALF_TOPIC;
    let begin = offset(broker, topic);
    let end = state.round.as_ref().map_or(begin, |round| round.until);
    let (mut moves, mut appends) = (Vec::new(), Vec::new());
    let mut at = begin;
    let (mut has_stopped, mut is_unread) = (false, false);
    while at < end && moves.len() < MOVES && at - begin < LOOKS as i64 {
        let look = Look { broker, settings, at, now_ms };
        let (draft, ask) = match look.verdict(state) {
            Verdict::Pass => {
                at += 1;
                continue;
            }
            Verdict::Wait => break,
            verdict @ (Verdict::Stop | Verdict::Unread) => {
                is_unread = matches!(verdict, Verdict::Unread);
                has_stopped = true;
                break;
            }
            Verdict::Back(draft) | Verdict::Discard(draft) => (draft, None),
            Verdict::Ask(draft, client) => (draft, Some(client)),
        };
        appends.push(Append::one(draft));
        moves.push(Move { at, ask });
        at += 1;
    }
    let fails_at = is_unread.then(|| Place::of(&broker.store, topic, QUEUE, at));
    state.unread.0.note(UNREAD, fails_at, now_ms);
    broker.append(&mut appends, now_ms);
    for (step, append) in moves.iter().zip(&appends) {
        match (&append.outcome, &step.ask) {
            (Ok(stored), Some(client)) => {
                ask(broker, client, &append.drafts.as_slice()[0], stored);
            }
            (Ok(_), None) => {
                let draft = &append.drafts.as_slice()[0];
                if *draft.topic == *names::TRANS_CHECK_MAX_TIME_TOPIC {
                    broker.transactions.discarded.fetch_add(1, Ordering::Relaxed);
                    count(broker, &draft.properties, -1, now_ms);
                }
            }
            (Err(error), _) if error.is_for_now() => {
                // It stays where it is until there is room.
                (at, has_stopped) = (step.at, true);
                break;
            }
            (Err(error), _) => {
                tracing::error!(half_offset = step.at, %error, "a half message is passed over");
            }
        }
    }
    let op = broker.transactions.known.lock().finished.come_to(at);
    if at != begin || op.is_some() {
        // What was put back, and what says that others are finished.
        broker.moves.note(GROUP, broker.store.max_log_offset());
    }
    if at != begin {
        broker.offsets.commit(GROUP, topic, QUEUE, at);
    }
    if let Some(op) = op {
        broker.offsets.commit(GROUP, names::TRANS_OP_HALF_TOPIC, QUEUE, op);
    }
    has_stopped || at >= end
}

/// One half message in the walk.
struct Look<'a> {
    broker: &'a Broker,
    settings: &'a BrokerSettings,
    at: i64,
    now_ms: i64,
}

impl Look<'_> {
    fn verdict(&self, state: &mut State) -> Verdict {
        // No record has to be read for that.
        let transactions = &self.broker.transactions;
        match transactions.end_of(self.at) {
            End::Open => {}
            End::Near => return Verdict::Wait,
            End::Done => return Verdict::Pass,
        }
        let (topic, queue_id) = (names::TRANS_HALF_TOPIC, QUEUE);
        let at = Position { topic, queue_id, offset: self.at };
        let Ok(found) = self.broker.store.message_in(at) else { return Verdict::Unread };
        let decoded = found.as_ref().map(|(stored, _)| (stored, record::decode(stored, false)));
        let Some((stored, Ok(Entry::Message(half)))) = decoded else {
            tracing::error!(half_offset = self.at, "a half message is not there");
            return Verdict::Pass;
        };
        let all = Properties::parse(half.properties);
        let places = Places { own: self.at, ..Places::of(&half, &all) };
        let Some(round) = &state.round else { return Verdict::Stop };
        match transactions.end_of(places.first) {
            End::Near => return Verdict::Wait,
            End::Open if !round.seen.contains(places.first) => {}
            End::Open | End::Done => return Verdict::Pass,
        }
        let verdict = self.undecided(&half, stored, all, places);
        if matches!(verdict, Verdict::Back(_) | Verdict::Ask(..))
            && let Some(round) = &mut state.round
        {
            round.seen.insert(places.first);
        }
        verdict
    }

    /// Nobody decided about it, as far as the op queue tells.
    fn undecided(
        &self,
        half: &Record<'_>,
        stored: &Bytes,
        mut all: Properties,
        places: Places,
    ) -> Verdict {
        let Self { broker, settings, now_ms, .. } = *self;
        let times = all.get(property::TRANSACTION_CHECK_TIMES);
        let times = times.and_then(|text| text.parse::<i32>().ok()).unwrap_or(0).max(0);
        let age_ms = now_ms - half.born_timestamp;
        let kept_ms = i64::from(settings.store.file_reserved_time).saturating_mul(HOUR_MS);
        let belongs = all.contains(property::REAL_TOPIC) && all.contains(property::REAL_QUEUE_ID);
        if times >= settings.broker.transaction_check_max || age_ms > kept_ms || !belongs {
            return self.discard(half, stored, all);
        }
        let timeout_ms = settings.broker.transaction_time_out;
        let immunity = all.get(property::CHECK_IMMUNITY_TIME_IN_SECONDS);
        let is_young = match immunity {
            Some(text) => {
                let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds != -1);
                age_ms <= seconds.map_or(timeout_ms, |seconds| seconds.saturating_mul(1_000))
            }
            None if (0..=timeout_ms).contains(&age_ms) => return Verdict::Stop,
            None => false,
        };
        let client = (!is_young).then(|| self.producer(&all)).flatten();
        // The broker before this one may have finished it and not come to say so.
        if client.is_some()
            && half.store_timestamp < broker.identity.boot_ms
            && is_committed(broker, half, &all, now_ms)
        {
            return Verdict::Pass;
        }
        let first = places.first.to_string();
        all.set(property::TRANSACTION_PREPARED_QUEUE_OFFSET, first);
        if client.is_some() {
            // Only what goes out counts.
            all.set(property::TRANSACTION_CHECK_TIMES, (times + 1).to_string());
        }
        let draft = again(half, stored, all);
        if draft.check().is_err() {
            // Its properties leave no room for ours.
            return self.discard(half, stored, Properties::parse(half.properties));
        }
        match client {
            Some(client) => Verdict::Ask(draft, Box::new(client)),
            None => Verdict::Back(draft),
        }
    }

    /// One of the group's producers that reads what it is sent.
    fn producer(&self, all: &Properties) -> Option<Client> {
        let group = all.get(property::PRODUCER_GROUP)?;
        let clients = (0..PRODUCERS).map_while(|_| self.broker.clients.any_producer(group));
        let reads = |peer: &Peer| !peer.is_closing() && peer.buffered() < UNREAD_MAX;
        clients.into_iter().find(|client| reads(&client.peer))
    }

    fn discard(&self, half: &Record<'_>, stored: &Bytes, all: Properties) -> Verdict {
        let wanted = topics::simple(names::TRANS_CHECK_MAX_TIME_TOPIC, 1);
        let broker = self.broker;
        let Some(found) = broker.topics.create_on_send_back(wanted, self.now_ms) else {
            return Verdict::Back(again(half, stored, all));
        };
        if found.changed {
            broker.topics_changed(None);
        }
        let unique = all.get(property::UNIQ_KEY).unwrap_or_default();
        let topic = all.get(property::REAL_TOPIC).unwrap_or_default();
        tracing::error!(
            half_offset = self.at,
            unique,
            topic,
            "nobody decided about a half message: it goes to TRANS_CHECK_MAX_TIME_TOPIC"
        );
        let draft = again(half, stored, all);
        let topic = Str::from_static(names::TRANS_CHECK_MAX_TIME_TOPIC);
        Verdict::Discard(Draft { topic, queue_id: QUEUE, ..draft })
    }
}

/// Asks a producer what became of a half message, which stands where it was just put.
fn ask(broker: &Broker, client: &Client, half: &Draft, stored: &Appended) {
    let all = Properties::parse(&half.properties);
    let (Some(topic), Some(queue_id)) = (
        all.get(property::REAL_TOPIC),
        all.get(property::REAL_QUEUE_ID).and_then(|text| text.parse().ok()),
    ) else {
        return;
    };
    let unique = all.get(property::UNIQ_KEY).map(Str::from);
    let id = MessageId { store_host: half.store_host, log_offset: stored.log_offset };
    let broker_name = broker.settings().broker.broker_name.as_str().into();
    let header = CheckTransactionStateRequestHeader {
        base: RpcFields { broker_name: Some(broker_name), ..RpcFields::default() },
        topic: Some(half.topic.clone()),
        tran_state_table_offset: stored.queue_offset,
        commit_log_offset: stored.log_offset,
        msg_id: unique.clone(),
        transaction_id: unique,
        offset_msg_id: Some(id.encode().into()),
    };
    let shown = Draft { topic: topic.into(), queue_id, ..half.clone() };
    let mut body = Vec::with_capacity(shown.encoded_len());
    let placement = Placement {
        queue_offset: stored.queue_offset,
        log_offset: stored.log_offset,
        store_timestamp: stored.store_timestamp,
    };
    shown.encode(placement, &mut body);
    let command = Command::request(RequestCode::CHECK_TRANSACTION_STATE).with_header(&header);
    client.peer.send(&command.with_body(body).oneway());
    broker.transactions.asked.fetch_add(1, Ordering::Relaxed);
}
