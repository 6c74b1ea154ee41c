//! Static topics: which queues of a topic with a fixed number of them this broker holds, and where
//! they were before (Java: `TopicQueueMappingManager`). A logical queue has a number and offsets of
//! its own, and stays on one broker after the other; each [stay](stays) is a queue of that broker.
//!
//! Not here: what a request about a logical queue becomes (its handler), and when stays that have
//! nothing left are forgotten ([`clean`]).

pub mod change;
pub mod clean;
pub mod stays;

use crate::files;
use message::Str;
use parking_lot::{Mutex, RwLock};
use remoting::body::data_version::DataVersion;
use remoting::body::mapping::{
    LogicQueueMappingItem, TopicQueueMappingDetail, TopicQueueMappingInfo,
};
use remoting::codes::ResponseCode;
use remoting::json::BodyError;
use remoting::reply::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The file under `config`.
pub const FILE: &str = "topicQueueMapping.json";
/// What stands in every such file.
pub const MARK: &str = "topicQueueMappingInfoMap";

/// How long what could not be saved waits, ms.
const RETRY_MS: i64 = 1_000;

type Table = HashMap<Str, Arc<TopicQueueMappingDetail>>;

/// The static topics of this broker.
#[derive(Debug, Default)]
pub struct Mappings {
    /// How many there are: most brokers have none, and need not look.
    count: AtomicUsize,
    table: RwLock<Table>,
    /// Of the table. Whoever changes that holds it until the change is saved.
    version: Mutex<DataVersion>,
    /// The file has topics that are forgotten here: when it may be written again, ms since 1970.
    due_ms: Mutex<Option<i64>>,
}

/// The file (Java: `TopicQueueMappingSerializeWrapper`).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data_version: DataVersion,
    topic_queue_mapping_info_map: BTreeMap<Str, TopicQueueMappingDetail>,
}

impl File {
    fn of(table: &Table, data_version: DataVersion) -> Self {
        let rows = table.iter().map(|(topic, mapping)| (topic.clone(), (**mapping).clone()));
        Self { data_version, topic_queue_mapping_info_map: rows.collect() }
    }
}

impl Mappings {
    /// The queues of a static topic; `None` for any other.
    pub fn find(&self, topic: &str) -> Option<Arc<TopicQueueMappingDetail>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.table.read().get(topic).cloned()
    }

    /// One queue of a static topic; `None` when the topic is none, or the asker speaks of a queue
    /// of this broker (`lo=false`).
    ///
    /// # Errors
    /// Another broker leads the queue.
    pub fn queue(
        &self,
        topic: &str,
        id: i32,
        logical: Option<bool>,
    ) -> Result<Option<LogicalQueue>, Refusal> {
        if logical == Some(false) {
            return Ok(None);
        }
        let Some(mapping) = self.find(topic) else { return Ok(None) };
        LogicalQueue::of(mapping, id).map(Some)
    }

    /// All static topics.
    pub fn all(&self) -> Vec<Arc<TopicQueueMappingDetail>> {
        self.table.read().values().cloned().collect()
    }

    /// All of them by topic, and the version of the table (code 21).
    pub fn snapshot(&self) -> (BTreeMap<Str, TopicQueueMappingDetail>, DataVersion) {
        let version = self.version.lock();
        let file = File::of(&self.table.read(), *version);
        (file.topic_queue_mapping_info_map, file.data_version)
    }

    /// Which queues this broker leads, of the topics that `told` names (code 103).
    pub fn infos(&self, told: impl Fn(&str) -> bool) -> BTreeMap<Str, TopicQueueMappingInfo> {
        if self.count.load(Ordering::Acquire) == 0 {
            return BTreeMap::new();
        }
        let table = self.table.read();
        let rows = table.iter().filter(|(topic, _)| told(topic));
        rows.map(|(topic, mapping)| (topic.clone(), info(mapping))).collect()
    }

    /// Takes over what an operator says about a topic (code 513) and saves the file's new text.
    ///
    /// # Errors
    /// It contradicts what is known, or could not be saved; nothing has changed then.
    pub fn update(
        &self,
        new: TopicQueueMappingDetail,
        force: bool,
        now: i64,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut version = self.version.lock();
        let topic = new.topic.clone().ok_or("the mapping names no topic")?;
        let old = self.find(&topic);
        let merged = change::merged(old.as_deref(), new, force)?;
        let mut table = self.table.read().clone();
        table.insert(topic, Arc::new(merged));
        self.replace(table, &mut version, now, save)
    }

    /// Takes over what became of a mapping that was cleaned, unless it changed meanwhile; whether
    /// it was taken.
    pub fn cleaned(
        &self,
        old: &Arc<TopicQueueMappingDetail>,
        new: TopicQueueMappingDetail,
        now: i64,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> bool {
        let mut version = self.version.lock();
        let topic = old.topic.clone().unwrap_or_default();
        let mut table = self.table.read().clone();
        if !table.get(&topic).is_some_and(|known| Arc::ptr_eq(known, old)) {
            return false;
        }
        table.insert(topic, Arc::new(new));
        self.replace(table, &mut version, now, save).is_ok()
    }

    /// Forgets a topic: its queues are gone. Where that cannot be saved it is forgotten in memory
    /// alone, until [`Self::save_due`] can.
    ///
    /// # Errors
    /// It, or what was forgotten before, could not be saved.
    pub fn delete(
        &self,
        topic: &str,
        now: i64,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.find(topic).is_none() {
            return self.save_due(i64::MAX, now, save);
        }
        let mut version = self.version.lock();
        let mut table = self.table.read().clone();
        table.remove(topic);
        let mut saved = Ok(());
        let note = |text: &str| {
            saved = save(text);
            Ok(())
        };
        self.replace(table, &mut version, now, note)?;
        self.note(saved, now)
    }

    /// Has the file forget what is forgotten, where that is due before a time.
    ///
    /// # Errors
    /// It could not be saved, and is due a little later.
    pub fn save_due(
        &self,
        due_to_ms: i64,
        now: i64,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let version = self.version.lock();
        if self.due_ms().is_none_or(|due_ms| due_ms > due_to_ms) {
            return Ok(());
        }
        let saved = save(&files::text(&File::of(&self.table.read(), *version)));
        self.note(saved, now)
    }

    /// When [`Self::save_due`] has something to do, ms since 1970.
    pub fn due_ms(&self) -> Option<i64> {
        *self.due_ms.lock()
    }

    fn note(&self, saved: Result<(), String>, now: i64) -> Result<(), String> {
        *self.due_ms.lock() = saved.is_err().then(|| now.saturating_add(RETRY_MS));
        saved.map_err(|why| {
            format!(
                "the topic is deleted, and {FILE} could not be written without it: {why}. That is \
                 tried every second"
            )
        })
    }

    fn replace(
        &self,
        table: Table,
        version: &mut DataVersion,
        now: i64,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut next = *version;
        next.advance(0, now);
        save(&files::text(&File::of(&table, next))).map_err(|why| {
            format!("{FILE} could not be written, and nothing has changed: {why}")
        })?;
        *version = next;
        self.count.store(table.len(), Ordering::Release);
        *self.table.write() = table;
        *self.due_ms.lock() = None;
        Ok(())
    }

    /// Forgets topics that were deleted before a start, as far as `is_deleted` knows: the file may
    /// have them where it could not be written then. It is due to be written again.
    pub fn forget(&self, is_deleted: impl Fn(&str) -> bool) {
        let version = self.version.lock();
        let mut table = self.table.read().clone();
        table.retain(|topic, _| !is_deleted(topic));
        if table.len() < self.count.swap(table.len(), Ordering::AcqRel) {
            *self.table.write() = table;
            *self.due_ms.lock() = Some(0);
        }
        drop(version);
    }

    /// Takes topics whose mapping is lost for ones of which no queue is here: a logical queue must
    /// not be taken for one of the broker's own. It is due to be saved.
    pub fn withhold(&self, topics: &[Str], broker_name: &str) {
        let version = self.version.lock();
        let mut table = self.table.write();
        for topic in topics {
            let mapping = TopicQueueMappingDetail {
                bname: Some(broker_name.into()),
                topic: Some(topic.clone()),
                ..TopicQueueMappingDetail::default()
            };
            table.insert(topic.clone(), Arc::new(mapping));
        }
        self.count.store(table.len(), Ordering::Release);
        *self.due_ms.lock() = Some(0);
        drop(version);
    }

    /// Takes the mappings of a file.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let rows = file.topic_queue_mapping_info_map.into_iter();
        let table: Table = rows.map(|(topic, mapping)| (topic, Arc::new(mapping))).collect();
        *self.version.lock() = file.data_version;
        self.count.store(table.len(), Ordering::Release);
        *self.table.write() = table;
        Ok(())
    }
}

/// What name servers are told of a mapping: the queues that its broker leads, and which of its own
/// they are (Java: `TopicQueueMappingDetail.cloneAsMappingInfo`).
fn info(mapping: &TopicQueueMappingDetail) -> TopicQueueMappingInfo {
    let led = mapping.hosted_queues.iter().filter_map(|(id, stays)| {
        let last = stays.last().filter(|last| last.bname == mapping.bname)?;
        Some((*id, last.queue_id))
    });
    TopicQueueMappingInfo {
        bname: mapping.bname.clone(),
        curr_id_map: led.collect(),
        dirty: false,
        epoch: mapping.epoch,
        scope: mapping.scope.clone(),
        topic: mapping.topic.clone(),
        total_queues: mapping.total_queues,
    }
}

/// One queue of a static topic, which this broker leads.
#[derive(Clone, Debug)]
pub struct LogicalQueue {
    mapping: Arc<TopicQueueMappingDetail>,
    id: i32,
}

impl LogicalQueue {
    /// # Errors
    /// Another broker leads the queue.
    pub fn of(mapping: Arc<TopicQueueMappingDetail>, id: i32) -> Result<Self, Refusal> {
        let queue = Self { mapping, id };
        if queue.stays().last().is_some_and(|last| queue.is_here(last)) {
            return Ok(queue);
        }
        let topic = queue.mapping.topic.as_deref().unwrap_or_default();
        let broker = queue.mapping.bname.as_deref().unwrap_or_default();
        let remark = match queue.stays().last() {
            None => format!("{topic}-{id} is not on broker {broker}"),
            Some(last) => format!(
                "{topic}-{id} has left broker {broker} for {}",
                last.bname.as_deref().unwrap_or_default()
            ),
        };
        Err(Refusal::new(ResponseCode::NOT_LEADER_FOR_QUEUE, remark))
    }

    /// Its number.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Where it was, and last where it is.
    pub fn stays(&self) -> &[LogicQueueMappingItem] {
        self.mapping.hosted_queues.get(&self.id).map_or(&[], Vec::as_slice)
    }

    /// Where it is.
    pub fn leader(&self) -> &LogicQueueMappingItem {
        self.stays().last().expect("a led queue is somewhere")
    }

    /// The stay that a logical offset lies in; an offset before all belongs to the first.
    ///
    /// # Errors
    /// It is not decided yet where any of them begins.
    pub fn at(&self, logical: i64) -> Result<&LogicQueueMappingItem, Refusal> {
        stays::at(self.stays(), logical).ok_or_else(|| self.undecided())
    }

    /// The refusal of a question that no stay can answer yet.
    pub fn undecided(&self) -> Refusal {
        let topic = self.mapping.topic.as_deref().unwrap_or_default();
        let remark = format!("{topic}-{}: it is not decided yet where it begins", self.id);
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// Whether a stay is on this broker.
    pub fn is_here(&self, stay: &LogicQueueMappingItem) -> bool {
        stay.bname == self.mapping.bname
    }

    /// The end of what is known of it (Java: `computeMaxOffsetFromMapping`).
    pub fn known_end(&self) -> i64 {
        stays::known_end(self.leader())
    }
}

#[cfg(test)]
mod tests;
