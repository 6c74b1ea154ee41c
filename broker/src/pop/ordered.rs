//! What ordered pops leave in the revive log. They have no checkpoints, and the files that say what
//! they took and where their groups go on are saved some time later: a kill would give messages to
//! somebody else before their time, and once more what was acknowledged. Java does.

use super::catch_up;
use super::order_info::At;
use super::records::{self, Order};
use crate::broker::Broker;
use message::Record;
use store::Append;

/// Runs `change`, which takes of a queue or acknowledges, and says whether it did; notes what it
/// left. Gives the end of the note in the log; 0 where there is none: if the store refuses it, the
/// files alone have it.
pub fn noted(broker: &Broker, at: At<'_>, now_ms: i64, change: impl FnOnce() -> bool) -> i64 {
    let At { topic, group, queue_id } = at;
    let _moving = broker.pops.moving.read();
    // Who was moved goes on there, whatever was out.
    if !change() || broker.offsets.has_reset(group, topic, queue_id) {
        return 0;
    }
    let order = Order {
        group: group.into(),
        next: broker.offsets.query(group, topic, queue_id).unwrap_or(0),
        last: broker.orders.last(at),
        queue_id,
        topic: topic.into(),
    };
    let pen = super::pen(broker, now_ms);
    let queues = broker.topics.find(&pen.topic).map_or(0, |topic| topic.write_queue_nums);
    let mut appends = [Append::one(pen.order(&order, queues))];
    broker.append(&mut appends, now_ms);
    let log_end = appends[0].outcome.map_or(0, |stored| stored.log_end());
    broker.moves.note(group, log_end);
    log_end
}

/// Takes over what a note says; whether it says anything.
pub fn take_over(broker: &Broker, note: &Record<'_>) -> bool {
    let Ok(order) = remoting::json::from_body::<Order>(note.body) else { return false };
    let Order { group, next, last, queue_id, topic } = &order;
    if *next < 0 || !catch_up::is_there(broker, topic, note) {
        return false;
    }
    let at = At { topic, group, queue_id: *queue_id };
    match last {
        Some(last) => broker.orders.restore(at, last.clone()),
        None => broker.orders.clear(at),
    }
    broker.offsets.commit(group, topic, *queue_id, *next);
    true
}

/// Whether a record of the revive log is such a note.
pub fn is_note(tags: Option<&str>) -> bool {
    tags == Some(records::ORDER)
}
