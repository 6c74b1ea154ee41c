//! `Pops`: messages are taken for a time, by consumers that own no queue (Java:
//! `PopMessageProcessor`, `PopReviveService`; disk reference, 6.5).
//!
//! A pop writes a checkpoint and moves the group's offset on; what is not acknowledged before its
//! time comes back as a message of a retry topic. Here is the state; what requests do with it is
//! in [`crate::handlers::pop`] and [`crate::handlers::ack`].

pub mod catch_up;
pub mod claims;
pub mod done;
pub mod handle;
pub mod order_info;
pub mod ordered;
pub mod records;
pub mod revive;
pub mod take;
pub mod taken;
pub mod waiting;

use crate::broker::Broker;
use crate::timer::accept;
use claims::Claims;
use message::Str;
use parking_lot::{Mutex, RwLock};
use records::Pen;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use taken::Taken;
use waiting::Waiting;

/// What is known about popped messages. `W` is a pop that waits.
#[derive(Debug)]
pub struct Pops<W> {
    /// Queues that a pop reads right now.
    pub claims: Claims,
    /// Pops that wait for a message.
    pub waiting: Waiting<W>,
    /// Pops whose messages are out.
    pub taken: Taken,
    /// Read while a checkpoint is stored and the group moves on: whoever holds the other end sees
    /// both done or neither.
    pub moving: RwLock<()>,
    /// Messages that do not come back, by topic and group of which one is gone, until that is told.
    gone: Mutex<BTreeMap<(Str, Str), u64>>,
    turn: AtomicU32,
    revive_turn: AtomicU32,
}

impl<W> Default for Pops<W> {
    fn default() -> Self {
        Self {
            claims: Claims::default(),
            waiting: Waiting::default(),
            taken: Taken::default(),
            moving: RwLock::new(()),
            gone: Mutex::default(),
            turn: AtomicU32::new(0),
            revive_turn: AtomicU32::new(0),
        }
    }
}

impl<W> Pops<W> {
    /// Counts the pops, for choosing: one after the other.
    pub fn turn(&self) -> u32 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes messages that do not come back, as their topic or group is gone.
    fn note_gone(&self, topic: &Str, group: &Str, messages: usize) {
        if messages > 0 {
            *self.gone.lock().entry((topic.clone(), group.clone())).or_default() += messages as u64;
        }
    }

    /// Tells how many those were since the last time, and gives that.
    fn tell_gone(&self) -> u64 {
        let mut all = 0;
        for ((topic, group), messages) in std::mem::take(&mut *self.gone.lock()) {
            tracing::warn!(
                %topic, %group, messages,
                "popped messages do not come back: their topic or group is gone, deleted or lost \
                 with its file under config. Where the topic still has them, the group gets them \
                 once it is made again (mqadmin updateSubGroup) and set to a time before the pop \
                 (mqadmin resetOffsetByTime)"
            );
            all += messages;
        }
        all
    }

    /// Counts those that have checkpoints, for choosing a queue of the revive log.
    pub fn revive_turn(&self) -> u32 {
        self.revive_turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// How many queues of the revive log pops are noted in: in Java as many as the setting says,
/// whatever the topic says. There may be more from before.
pub fn revive_queues(broker: &Broker, topic: &str) -> i32 {
    let made = broker.topics.find(topic);
    let made = made.map_or(0, |made| made.read_queue_nums.max(made.write_queue_nums));
    made.max(broker.settings().broker.revive_queue_num)
}

/// What writes the broker's revive log now.
pub fn pen(broker: &Broker, now_ms: i64) -> Pen {
    let settings = broker.settings();
    Pen {
        topic: records::revive_topic(&settings.broker.broker_cluster_name),
        host: broker.identity.store_host,
        now_ms,
        slot_ms: settings.store.timer_slot_ms(),
        longest_ms: accept::longest_ms(&settings),
    }
}
