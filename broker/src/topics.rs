//! `Topics`: the topics of this broker and how they come to be (Java's `TopicConfigManager`).
//!
//! A topic's configuration never changes; a change makes a new one. Every change moves the data
//! version, by which name servers and replicas see that they are behind. Not here: whether a name
//! is valid (`message::names`), who may ask, saving the file, telling the name servers.

use crate::attributes;
use crate::files;
use crate::pop::records;
use crate::saved::{Changed, News, Part};
use message::{Lookup, Str, names};
use parking_lot::{RwLock, RwLockWriteGuard};
use remoting::body::data_version::DataVersion;
use remoting::body::topic::{TopicConfig, TopicConfigSerializeWrapper, TopicFilterType};
use remoting::json::BodyError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `perm`: new topics take over what a template allows (Java: `PermName.PERM_INHERIT`).
pub const PERM_INHERIT: i32 = 1;
/// `perm`: clients may send.
pub const PERM_WRITE: i32 = 2;
/// `perm`: clients may pull.
pub const PERM_READ: i32 = 4;
/// `perm`: both.
pub const PERM_READ_WRITE: i32 = PERM_READ | PERM_WRITE;

/// `topicSysFlag`: the topic lives in one unit.
pub const UNIT: i32 = 1;
/// `topicSysFlag`: consumers of another unit read it.
pub const UNIT_SUB: i32 = 2;

/// Queues that one topic may have; Java has no bound, and its loops over queues none either.
pub const QUEUES_LIMIT: i32 = 65_536;

/// Topics that may be there before clients can't make further ones; Java has no bound.
const CREATE_LIMIT: usize = 1_000_000;
/// The file under `config`.
pub const FILE: &str = "topics.json";

/// What a broker's own settings say about topics.
#[derive(Clone, Debug)]
pub struct Own {
    /// The cluster, which is a topic as well.
    pub cluster: Str,
    /// The broker, which is a topic as well.
    pub broker: Str,
    /// `clusterTopicEnable`.
    pub cluster_topic: bool,
    /// `brokerTopicEnable`.
    pub broker_topic: bool,
    /// `autoCreateTopicEnable`.
    pub auto_create: bool,
    /// `defaultTopicQueueNums`.
    pub default_queues: i32,
    /// `reviveQueueNum`.
    pub revive_queues: i32,
    /// The trace topic, if `traceTopicEnable`.
    pub trace_topic: Option<Str>,
}

/// A topic that a send asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its name.
    pub topic: &'a str,
    /// The topic that it shall be like.
    pub template: &'a str,
    /// How many queues the sender would like.
    pub queues: i32,
    /// Its `topicSysFlag`.
    pub sys_flag: i32,
}

/// What a send has to know of the topic that it goes to.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Whether it is ordered.
    pub order: bool,
    /// Queues that may be written to.
    pub write_queue_nums: i32,
    /// Queues that may be read.
    pub read_queue_nums: i32,
    /// Whether its messages have several tags.
    pub multi_tags: bool,
    /// Whether its queues hold inner batches.
    pub inner_batches: bool,
    /// Whether only the newest message of each key is kept.
    pub keeps_newest: bool,
}

impl Shape {
    /// That of a topic.
    pub fn of(topic: &TopicConfig) -> Self {
        Self {
            order: topic.order,
            write_queue_nums: topic.write_queue_nums,
            read_queue_nums: topic.read_queue_nums,
            multi_tags: topic.topic_filter_type == TopicFilterType::MultiTag,
            inner_batches: attributes::holds_inner_batches(topic),
            keeps_newest: attributes::keeps_newest(topic),
        }
    }
}

/// A topic, and whether the call changed anything: then it has to be saved and announced.
#[derive(Clone, Debug)]
pub struct Found {
    /// The topic.
    pub topic: Arc<TopicConfig>,
    /// Whether it is new or was changed.
    pub changed: bool,
}

/// All topics.
#[derive(Debug)]
pub struct Topics {
    state: RwLock<State>,
    /// Names that are the system's on this broker alone.
    own: BTreeSet<Str>,
    /// Whether light queues are topics that need not be made (`enableLmq`).
    light: bool,
    changes: AtomicU64,
}

#[derive(Debug)]
struct State {
    table: Lookup<Str, Arc<TopicConfig>>,
    version: DataVersion,
    /// What the file does not know yet.
    unsaved: Changed,
    /// What the name servers do not know yet.
    untold: Changed,
}

impl State {
    fn snapshot(&self) -> TopicConfigSerializeWrapper {
        let table = self.table.iter().map(|(name, topic)| (name.clone(), (**topic).clone()));
        TopicConfigSerializeWrapper {
            data_version: self.version,
            topic_config_table: table.collect(),
        }
    }
}

impl Topics {
    /// The topics that every broker has from the start.
    pub fn new(own: &Own, now: i64) -> Self {
        let system = system_topics(own);
        let names = system.iter().map(|topic| topic.topic_name.clone()).collect();
        let table = system.into_iter().map(|topic| (topic.topic_name.clone(), Arc::new(topic)));
        let state = State {
            table: table.collect(),
            version: DataVersion::new(now),
            unsaved: Changed::Nothing,
            untold: Changed::All,
        };
        let changes = AtomicU64::new(0);
        Self { state: RwLock::new(state), own: names, light: false, changes }
    }

    /// With light queues as topics that need not be made (Java: `LmqTopicConfigManager`).
    pub fn with_light_queues(self, light: bool) -> Self {
        Self { light, ..self }
    }

    /// Whether the topic is a light queue: one that is there without being made.
    pub fn is_light(&self, topic: &str) -> bool {
        self.light && names::is_lmq(topic)
    }

    /// A topic.
    pub fn find(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        if self.is_light(topic) {
            return Some(Arc::new(simple(topic, 1)));
        }
        self.state.read().table.get(topic).cloned()
    }

    /// The shape of a topic. Unlike [`Self::find`] it counts no holder of the topic: for the topic
    /// of each message that would be memory that all event loops write to.
    pub fn shape(&self, topic: &str) -> Option<Shape> {
        if self.is_light(topic) {
            return Some(Shape::of(&simple(topic, 1)));
        }
        self.state.read().table.get(topic).map(|topic| Shape::of(topic))
    }

    /// Whether the topic is there.
    pub fn contains(&self, topic: &str) -> bool {
        self.is_light(topic) || self.state.read().table.contains_key(topic)
    }

    /// Whether the topic is one of the system's own, on any broker or on this one.
    pub fn is_system(&self, topic: &str) -> bool {
        names::is_system_topic(topic) || self.own.contains(topic)
    }

    /// The names that are the system's on this broker (code 305).
    pub fn system_names(&self) -> BTreeSet<Str> {
        let general = names::SYSTEM_TOPICS.iter().map(|name| Str::from_static(name));
        self.own.iter().cloned().chain(general).collect()
    }

    /// Whether the topic is there and ordered.
    pub fn is_ordered(&self, topic: &str) -> bool {
        self.state.read().table.get(topic).is_some_and(|topic| topic.order)
    }

    /// The topic that a send goes to, made after its template if it is not there; `None` if the
    /// template is not there or does not pass its rights on. `TBW102` only counts while
    /// `auto_create`.
    pub fn create_on_send(&self, wanted: Wanted<'_>, auto_create: bool, now: i64) -> Option<Found> {
        let mut state = self.state.write();
        if let Some(topic) = state.table.get(wanted.topic) {
            return Some(Found { topic: Arc::clone(topic), changed: false });
        }
        let template = state.table.get(wanted.template);
        let template =
            template.filter(|_| auto_create || wanted.template != names::AUTO_CREATE_TOPIC);
        let Some(template) = template.filter(|template| template.perm & PERM_INHERIT != 0) else {
            let Wanted { topic, template, .. } = wanted;
            tracing::warn!(topic, template, "no topic made: the template is not there or not open");
            return None;
        };
        let queues = wanted.queues.min(template.write_queue_nums).max(0);
        let made = TopicConfig {
            perm: template.perm & !PERM_INHERIT,
            topic_filter_type: template.topic_filter_type,
            topic_sys_flag: wanted.sys_flag,
            ..simple(wanted.topic, queues)
        };
        self.insert_new(&mut state, made, now)
    }

    /// A topic that the broker itself needs, such as a retry or dead-letter topic. One that is
    /// there keeps all but its order flag.
    pub fn create_on_send_back(&self, wanted: TopicConfig, now: i64) -> Option<Found> {
        // Nearly every heartbeat asks for a retry topic that is there and right.
        let right = |topic: &Arc<TopicConfig>| topic.order == wanted.order;
        if let Some(topic) = self.find(&wanted.topic_name).filter(right) {
            return Some(Found { topic, changed: false });
        }
        let mut state = self.state.write();
        let Some(known) = state.table.get(&wanted.topic_name) else {
            return self.insert_new(&mut state, wanted, now);
        };
        let known = TopicConfig { order: wanted.order, ..(**known).clone() };
        Some(Found { topic: self.put(&mut state, known, now), changed: true })
    }

    /// Makes or changes a topic; its attributes are a change to those that are there.
    ///
    /// # Errors
    /// When the attributes cannot be changed so; the text is Java's.
    pub fn update(&self, wanted: TopicConfig, now: i64) -> Result<Arc<TopicConfig>, String> {
        if self.is_light(&wanted.topic_name) {
            return Ok(Arc::new(wanted));
        }
        let mut state = self.state.write();
        let known = state.table.get(&wanted.topic_name).map(|known| &known.attributes);
        let altered = attributes::alter(attributes::TOPIC, known, &wanted.attributes)?;
        Ok(self.put(&mut state, TopicConfig { attributes: altered, ..wanted }, now))
    }

    /// Whether [`update`](Self::update) with this would change nothing; attributes to be changed
    /// always count as a change.
    pub fn is_same(&self, wanted: &TopicConfig) -> bool {
        self.find(&wanted.topic_name).is_some_and(|known| *known == *wanted)
    }

    /// Marks a topic as one of a unit, or no longer.
    pub fn set_unit(&self, topic: &str, unit: bool, now: i64) {
        self.set_flag(topic, UNIT, unit, now);
    }

    /// Marks a topic as read from other units, or no longer.
    pub fn set_unit_sub(&self, topic: &str, unit_sub: bool, now: i64) {
        self.set_flag(topic, UNIT_SUB, unit_sub, now);
    }

    /// Marks topics as ordered that a name server's configuration names; whether any was not.
    pub fn mark_ordered<'a>(&self, topics: impl IntoIterator<Item = &'a str>, now: i64) -> bool {
        let mut state = self.state.write();
        let mut marked = false;
        for topic in topics {
            if let Some(known) = state.table.get_mut(topic).filter(|known| !known.order) {
                Arc::make_mut(known).order = true;
                let name = known.topic_name.clone();
                self.count(&mut state, &name, now);
                marked = true;
            }
        }
        marked
    }

    /// Moves the version on without a change of a topic: something else that name servers are told
    /// with the topics has changed.
    pub fn touch(&self, now: i64) {
        let mut state = self.state.write();
        (state.unsaved, state.untold) = (Changed::All, Changed::All);
        state.version.advance(0, now);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a topic; what it was.
    pub fn delete(&self, topic: &str, now: i64) -> Option<Arc<TopicConfig>> {
        let mut state = self.state.write();
        let known = state.table.remove(topic)?;
        self.count(&mut state, &known.topic_name, now);
        Some(known)
    }

    /// All topics by name, and the version of the table.
    pub fn snapshot(&self) -> TopicConfigSerializeWrapper {
        self.state.read().snapshot()
    }

    /// The topics of one page in the order of their names (code 21), the version of the table, and
    /// how many topics there are in all. The page starts over when the asker's version is not ours.
    pub fn page(
        &self,
        from: usize,
        asked: Option<&DataVersion>,
        limit: usize,
    ) -> (TopicConfigSerializeWrapper, usize) {
        let state = self.state.read();
        let from = if asked == Some(&state.version) { from } else { 0 };
        let mut sorted: Vec<_> = state.table.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let page = sorted.into_iter().skip(from).take(limit);
        let page = TopicConfigSerializeWrapper {
            data_version: state.version,
            topic_config_table: page.map(|(name, of)| (name.clone(), (**of).clone())).collect(),
        };
        (page, state.table.len())
    }

    /// The names of all topics, in order.
    pub fn names(&self) -> Vec<Str> {
        let mut names: Vec<Str> = self.state.read().table.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.state.read().table.len()
    }

    /// Whether there is none; a broker always has its system topics.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version of the table.
    pub fn version(&self) -> DataVersion {
        self.state.read().version
    }

    /// Grows with every change.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The text of `config/topics.json`.
    pub fn to_json(&self) -> String {
        files::text(&self.snapshot())
    }

    /// Takes the topics of a file over those that are there.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: TopicConfigSerializeWrapper = remoting::json::from_body(text.as_bytes())?;
        let mut state = self.state.write();
        for (name, topic) in file.topic_config_table {
            state.table.insert(name, Arc::new(bounded(topic)));
        }
        state.version = file.data_version;
        Ok(())
    }

    /// What changed since the last call, for the journal of `config/topics.json`.
    pub fn take_unsaved(&self) -> News {
        let mut state = self.state.write();
        let State { table, version, unsaved, .. } = &mut *state;
        Part::told(unsaved.take(), table, *version)
    }

    /// Whether anything changed since [`take_unsaved`](Self::take_unsaved) was called.
    pub fn has_unsaved(&self) -> bool {
        self.state.read().unsaved != Changed::Nothing
    }

    /// Takes up a change that [`take_unsaved`](Self::take_unsaved) told.
    ///
    /// # Errors
    /// When the text is no such change; nothing has changed then.
    pub fn replay(&self, change: &str) -> Result<(), BodyError> {
        let part = Part::<TopicConfig>::from_text(change)?;
        let mut state = self.state.write();
        state.version = part.replay(&mut state.table, |topic| &topic.topic_name);
        Ok(())
    }

    /// What the name servers have to be told: the topics that changed since the last call, or all
    /// of them when they may know none, and the version of the table.
    pub fn take_untold(&self, all: bool) -> TopicConfigSerializeWrapper {
        let mut state = self.state.write();
        let untold = state.untold.take();
        // The names and the version are of one moment: a topic that changed in between would come
        // later with a version that a stock name server knows already, and be passed over.
        let state = RwLockWriteGuard::downgrade(state);
        match untold {
            Changed::Names(names) if !all => {
                let topic = |name| state.table.get_key_value(&name);
                let told = names.into_iter().filter_map(topic);
                TopicConfigSerializeWrapper {
                    data_version: state.version,
                    topic_config_table: told
                        .map(|(name, of)| (name.clone(), (**of).clone()))
                        .collect(),
                }
            }
            _ => state.snapshot(),
        }
    }

    fn set_flag(&self, topic: &str, flag: i32, set: bool, now: i64) {
        let mut state = self.state.write();
        let Some(known) = state.table.get_mut(topic) else { return };
        let flags = &mut Arc::make_mut(known).topic_sys_flag;
        *flags = if set { *flags | flag } else { *flags & !flag };
        let name = known.topic_name.clone();
        self.count(&mut state, &name, now);
    }

    /// Says whether a topic has queues of inner batches, as they are.
    pub fn set_kind(&self, topic: &str, is_batch: bool, now: i64) {
        let mut state = self.state.write();
        let Some(known) = state.table.get_mut(topic) else { return };
        let all = &mut Arc::make_mut(known).attributes;
        match is_batch {
            true => all.insert(names::QUEUE_TYPE.into(), names::INNER_BATCHES.into()),
            false => all.remove(names::QUEUE_TYPE),
        };
        let name = known.topic_name.clone();
        self.count(&mut state, &name, now);
    }

    fn insert_new(&self, state: &mut State, made: TopicConfig, now: i64) -> Option<Found> {
        if state.table.len() >= CREATE_LIMIT {
            tracing::warn!(topic = %made.topic_name, CREATE_LIMIT, "no topic made: too many");
            return None;
        }
        let made = bounded(made);
        tracing::info!(topic = %made.topic_name, queues = made.write_queue_nums, "topic made");
        Some(Found { topic: self.put(state, made, now), changed: true })
    }

    fn put(&self, state: &mut State, topic: TopicConfig, now: i64) -> Arc<TopicConfig> {
        let topic = Arc::new(topic);
        state.table.insert(topic.topic_name.clone(), Arc::clone(&topic));
        self.count(state, &topic.topic_name, now);
        topic
    }

    fn count(&self, state: &mut State, name: &Str, now: i64) {
        state.unsaved.note(name);
        state.untold.note(name);
        state.version.advance(0, now);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A topic with no more queues than one may have.
fn bounded(topic: TopicConfig) -> TopicConfig {
    let [read, write] = [topic.read_queue_nums, topic.write_queue_nums];
    if read <= QUEUES_LIMIT && write <= QUEUES_LIMIT {
        return topic;
    }
    tracing::error!(
        topic = %topic.topic_name,
        read,
        write,
        QUEUES_LIMIT,
        "a topic has too many queues: those behind the limit are left out; see topics.json, and \
         retryQueueNums of the group if it is a retry topic"
    );
    TopicConfig {
        read_queue_nums: read.min(QUEUES_LIMIT),
        write_queue_nums: write.min(QUEUES_LIMIT),
        ..topic
    }
}

/// A topic with as many queues to read as to write.
pub fn simple(topic: &str, queues: i32) -> TopicConfig {
    TopicConfig {
        topic_name: topic.into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        ..TopicConfig::default()
    }
}

/// Java's `TopicConfigManager.init`, with the default of a setting that changes nothing here: a
/// timer wheel.
fn system_topics(own: &Own) -> Vec<TopicConfig> {
    let open = |is_open| PERM_INHERIT | if is_open { PERM_READ_WRITE } else { 0 };
    let with_perm = |topic: &str, queues, perm| TopicConfig { perm, ..simple(topic, queues) };
    let Own { cluster, broker, .. } = own;
    let mut topics = vec![
        simple(names::SELF_TEST_TOPIC, 1),
        simple(names::BENCHMARK_TOPIC, 1_024),
        with_perm(cluster, 16, open(own.cluster_topic)),
        with_perm(broker, 1, open(own.broker_topic)),
        simple(names::OFFSET_MOVED_EVENT, 1),
        simple(names::SCHEDULE_TOPIC, 18),
        simple(&format!("{cluster}_REPLY_TOPIC"), 1),
        simple(&records::revive_topic(cluster), own.revive_queues),
        with_perm(&format!("rmq_sys_SYNC_BROKER_MEMBER_{broker}"), 1, PERM_INHERIT),
        simple(names::TRANS_HALF_TOPIC, 1),
        simple(names::TRANS_OP_HALF_TOPIC, 1),
        simple(names::ROCKSDB_TRANS_HALF_TOPIC, 1),
        simple(names::ROCKSDB_TRANS_OP_HALF_TOPIC, 1),
        simple(names::TIMER_TOPIC, 1),
    ];
    if own.auto_create {
        topics.push(with_perm(names::AUTO_CREATE_TOPIC, own.default_queues, open(true)));
    }
    topics.extend(own.trace_topic.as_deref().map(|topic| simple(topic, 1)));
    topics
}

#[cfg(test)]
mod tests;
