//! The end of a transaction (37), and an operator's wish to have a half message checked again
//! (323).
//! Java: `EndTransactionProcessor`, `AdminBrokerProcessor.resumeCheckHalfMessage`.

use super::{admin::UNSET_REMARK, query};
use crate::broker::Broker;
use crate::put::{self, Effect, Wishes};
use crate::transactions::{self, End, Places, QUEUE};
use message::ids::MessageId;
use message::{Draft, Entry, Properties, Record, Str, names, property, record, sys_flag};
use remoting::codes::ResponseCode;
use remoting::headers::transaction::{
    EndTransactionRequestHeader, ResumeCheckHalfMessageRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::{Call, Lane};
use store::Append;

/// Code 37: the producer has decided. What it leaves open is answered by nothing, as in Java; most
/// clients send it oneway.
pub fn end(
    broker: &Broker,
    call: &Call<'_>,
    header: EndTransactionRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let is_commit = match header.commit_or_rollback {
        sys_flag::TRANSACTION_COMMIT => true,
        sys_flag::TRANSACTION_ROLLBACK => false,
        _ => return Ok(Reply::Silent),
    };
    let missing = || failed("Find prepared transaction message failed");
    let Ok(stored) = query::stored(broker, call, header.commit_log_offset) else {
        return Ok(Reply::Effect(Effect::Block));
    };
    let stored = stored.ok_or_else(missing)?;
    let Ok(Entry::Message(half)) = record::decode(&stored, false) else { return Err(missing()) };
    let all = Properties::parse(half.properties);
    check(broker, call, &header, (&half, &all))?;
    let done = || Reply::Answer(Answer::success().with_remark(UNSET_REMARK));
    let places = Places::of(&half, &all);
    let may_be_late = may_be_late(broker, &half, &all);
    if may_be_late && call.lane == Lane::Inline {
        return Ok(Reply::Effect(Effect::Block));
    }
    // Of two copies that do not know of each other the second one finds what the first one became.
    let id = all.get(property::UNIQ_KEY).filter(|_| may_be_late);
    let _one_by_one = id.map(|id| broker.transactions.one_by_one(id));
    let ended = || if is_commit { Answer::success().into() } else { done() };
    let ending = match broker.transactions.begin_end(places) {
        Ok(ending) => ending,
        Err(End::Near) => return Err(failed("another request ends this transaction just now")),
        // Twice is once: a second commit would be a second message.
        Err(_) => return Ok(ended()),
    };
    if may_be_late && transactions::is_committed(broker, &half, &all, call.now_ms) {
        ending.done();
        transactions::note_end(broker, places, call.now_ms);
        return Ok(ended());
    }
    if is_commit {
        commit(broker, call, transactions::committed(&half, &stored, &all))?;
        ending.done();
        transactions::note_end(broker, places, call.now_ms);
    } else if transactions::write_op(broker, &[places], call.now_ms) {
        ending.done();
    } else {
        return Err(failed("the end of the transaction was not stored"));
    }
    transactions::count(broker, half.properties, -1, call.now_ms);
    Ok(ended())
}

/// Whether it may have been committed before: what the check has passed is remembered for a while
/// only, and a stock broker that is killed may leave two copies, of which the older one does not
/// say that there is another.
fn may_be_late(broker: &Broker, half: &Record<'_>, all: &Properties) -> bool {
    let topic = names::TRANS_HALF_TOPIC;
    let checked = broker.offsets.query(transactions::GROUP, topic, QUEUE).unwrap_or(0);
    let is_copy = all.contains(property::TRANSACTION_CHECK_TIMES)
        || all.contains(property::TRANSACTION_PREPARED_QUEUE_OFFSET);
    is_copy || half.queue_offset < checked || half.store_timestamp < broker.identity.boot_ms
}

fn commit(broker: &Broker, call: &Call<'_>, draft: Option<Draft>) -> Result<(), Refusal> {
    let mut draft = draft.ok_or_else(|| failed("the half message does not name its topic"))?;
    let Wishes { delay_level, timer, .. } = Wishes::of(&draft.properties);
    put::park(&mut draft, delay_level, timer, &broker.settings(), call.now_ms)?;
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, call.now_ms);
    let outcome = appends[0].outcome;
    outcome.map(drop).map_err(|error| put::refusal(broker, error))
}

/// Whether this is the half message that the request means, and may be finished by it.
fn check(
    broker: &Broker,
    call: &Call<'_>,
    header: &EndTransactionRequestHeader,
    (half, all): (&Record<'_>, &Properties),
) -> Result<(), Refusal> {
    if half.topic != names::TRANS_HALF_TOPIC {
        return Err(failed("Find prepared transaction message failed"));
    }
    let timeout_ms = broker.settings().broker.transaction_time_out;
    let immunity = all.get(property::CHECK_IMMUNITY_TIME_IN_SECONDS);
    if let Some(text) = immunity.filter(|_| !header.from_transaction_check) {
        let asked_ms = text.parse::<i64>().unwrap_or(0).saturating_mul(1_000);
        if call.now_ms - half.born_timestamp > asked_ms.max(timeout_ms) {
            // It is being asked for by now.
            return Err(Refusal::new(ResponseCode::ILLEGAL_OPERATION, UNSET_REMARK));
        }
    }
    if all.get(property::PRODUCER_GROUP) != Some(&header.producer_group) {
        return Err(failed("The producer group wrong"));
    }
    if half.queue_offset != header.tran_state_table_offset {
        return Err(failed("The transaction state table offset wrong"));
    }
    if half.log_offset != header.commit_log_offset {
        return Err(failed("The commit log offset wrong"));
    }
    Ok(())
}

/// Code 323: puts a message, most likely one that was given up, back among the half messages, as if
/// it had never been checked.
pub fn resume(
    broker: &Broker,
    call: &Call<'_>,
    header: ResumeCheckHalfMessageRequestHeader,
) -> Result<Answer, Refusal> {
    let thrown =
        || failed("Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.");
    let id = header.msg_id.as_deref().and_then(MessageId::decode).ok_or_else(thrown)?;
    let stored = broker.store.message_at(id.log_offset).ok_or_else(thrown)?;
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { return Err(thrown()) };
    let mut all = Properties::parse(record.properties);
    // It begins anew: its old places may be known as finished.
    all.remove(property::TRANSACTION_PREPARED_QUEUE_OFFSET);
    all.set(property::TRANSACTION_CHECK_TIMES, Str::from_static("0"));
    let draft = put::again(&record, &stored, all);
    let topic = Str::from_static(names::TRANS_HALF_TOPIC);
    let mut appends = [Append::one(Draft { topic, queue_id: QUEUE, ..draft })];
    broker.append(&mut appends, call.now_ms);
    match appends[0].outcome {
        Ok(_) => {
            transactions::count(broker, record.properties, 1, call.now_ms);
            Ok(Answer::success())
        }
        Err(_) => Err(failed("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.")),
    }
}

fn failed(remark: &'static str) -> Refusal {
    Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
}
