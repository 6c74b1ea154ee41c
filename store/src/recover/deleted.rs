//! Topics that another broker deleted: their records stay in the log, and Java, which after a clean
//! stop gives its queues nothing older than what they have, never shows them again. A walk through
//! the log must not make queues from them. What was found out is noted in `removedtopics`.
//!
//! Queues that were lost look alike and are made anew, so a record counts as deleted only when the
//! topic is gone from `topics.json` and has no queue at all, or when a queue of the topic began
//! anew behind that record: then the topic was deleted and made again in between.

use super::claim::Claim;
use crate::commit_log::CommitLog;
use crate::config_files::ConfigFiles;
use crate::consume_queue::Queue;
use crate::queues::Queues;
use crate::removed_topics::RemovedTopics;
use crate::{Error, Unit};
use message::names;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{HashMap, HashSet};

/// Place and log offset of the first message of queues, by their ids.
type Firsts = HashMap<i32, (i64, i64)>;

/// What of `topics.json` matters here.
#[derive(Deserialize)]
struct Table {
    #[serde(rename = "topicConfigTable")]
    topics: HashMap<String, IgnoredAny>,
}

/// What the directory said before anything was mended.
pub(crate) struct Deleted {
    /// The topics in `topics.json`.
    known: HashSet<String>,
    /// The queues that were there.
    there: HashMap<String, Vec<i32>>,
    /// What [`firsts_of`] said of the topics that were met.
    firsts: Mutex<HashMap<String, Option<Firsts>>>,
}

impl Deleted {
    /// Of a store that another broker stopped cleanly. `None` where nothing is known: `topics.json`
    /// cannot be used, or no queue leads into the log, as when all were lost.
    pub(crate) fn after_another(
        config: &ConfigFiles,
        queues: &Queues,
        log: &CommitLog,
    ) -> Option<Self> {
        if queues.all().iter().all(|queue| queue.log_end() <= log.min()) {
            return None;
        }
        let table = config.text("topics.json")?;
        let table: Table = serde_json::from_str(&table).ok()?;
        let topics = queues.topics();
        let there = topics.iter().map(|topic| (topic.to_string(), queues.ids(topic))).collect();
        let known = table.topics.into_keys().collect();
        Some(Self { known, there, firsts: Mutex::default() })
    }

    /// Whether the place of a record, at a log offset, is one in a deleted topic; notes that, and
    /// removes the queues that older ones of the topic were given meanwhile.
    pub(super) fn holds(
        &self,
        (claim, log_offset): (&Claim<'_>, i64),
        (log, queues): (&CommitLog, &Queues),
        removed: &RemovedTopics,
    ) -> Result<bool, Error> {
        let topic = claim.topic;
        let Some(there) = self.there.get(topic) else {
            let is_gone = !self.known.contains(topic) && !names::is_system_topic(topic);
            if is_gone {
                removed.learn(topic, i64::MAX);
                tracing::warn!(topic, "was deleted: its messages in the log get no queues");
            }
            return Ok(is_gone);
        };
        let mut firsts = self.firsts.lock();
        if !firsts.contains_key(topic) {
            firsts.insert(topic.to_owned(), firsts_of(topic, there, (log, queues)));
        }
        let Some(Some(firsts)) = firsts.get(topic) else { return Ok(false) };
        let began_later = firsts
            .get(&claim.queue_id)
            .is_some_and(|(place, first)| *place <= claim.place && log_offset < *first);
        let end = firsts.values().map(|(_, first)| *first).min().unwrap_or(0);
        if !began_later || end <= log_offset {
            return Ok(false);
        }
        removed.learn(topic, end);
        queues.remove_where(topic, |queue| !there.contains(&queue.id))?;
        tracing::warn!(
            topic,
            before = end,
            "was deleted and made again: its older messages in the log get no queues"
        );
        Ok(true)
    }
}

/// Place and log offset of the first message of each queue of a topic that has any; `None` when one
/// of them cannot be believed, as it may hide where the topic began.
fn firsts_of(topic: &str, there: &[i32], (log, queues): (&CommitLog, &Queues)) -> Option<Firsts> {
    let queues = there.iter().filter_map(|id| queues.find(topic, *id));
    let with_messages = queues.filter(|queue| queue.max() > queue.min());
    with_messages.map(|queue| Some((queue.id, first_of(&queue, log, topic)?))).collect()
}

fn first_of(queue: &Queue, log: &CommitLog, topic: &str) -> Option<(i64, i64)> {
    if queue.is_damaged() {
        return None;
    }
    let is_before = |unit: &Unit| (!unit.is_blank()).then_some(unit.log_offset < log.min());
    let place = queue.partition(queue.min(), queue.max(), is_before);
    let place = queue.first_real(place, Unit::is_blank);
    let unit = queue.raw_unit(place).filter(|_| place < queue.max())?;
    let offset = queue.offset_of(place);
    log.leads_to(&unit, (topic, queue.id), Some(offset)).then_some((offset, unit.log_offset))
}
