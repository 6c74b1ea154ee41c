//! `Filters`: the SQL92 expressions of consumer groups, kept in `config/consumerFilter.json` (Java:
//! `ConsumerFilterManager`). Heartbeats bring them; a group that has gone keeps them for a day, so
//! that what was said of it stays true while its members restart. And the bits by which an extended
//! queue says which groups want a message (Java: `CommitLogDispatcherCalcBitMap`).
//!
//! Not here: the verdict on a message (the `filter` crate), and which pull uses which expression
//! ([`crate::handlers::pull`]).

use crate::files;
use filter::{Bloom, Expression, ParseError};
use message::{Str, properties};
use parking_lot::{Mutex, RwLock};
use remoting::body::heartbeat::{SQL92, SubscriptionData, TAG};
use remoting::json::BodyError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use store::FilterBits;

/// The file under `config`.
pub const FILE: &str = "consumerFilter.json";

/// Filters that are kept at most, and the length of all their sources together; Java has no bound.
const LIMIT: usize = 16_384;
const SOURCES_LIMIT: usize = 16 << 20;
/// Expressions of pulls that bring their own which stay compiled; then all are forgotten.
const COMPILED_LIMIT: usize = 256;
/// For how long a group that was alive when the broker ended is taken for gone, ms.
const GONE_BEFORE_START_MS: i64 = 30_000;

/// The filter of a group for a topic, as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterData {
    bloom_filter_data: Option<BloomFilterData>,
    /// Since when it filters, ms since the epoch.
    born_time: i64,
    /// The version of the subscription that brought it.
    client_version: i64,
    consumer_group: Str,
    dead: bool,
    /// Since when its group is gone, ms since the epoch; 0 while it is there.
    dead_time: i64,
    expression: Str,
    expression_type: Str,
    topic: Str,
}

/// The group's bits with each message that it wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BloomFilterData {
    bit_num: i32,
    bit_pos: Vec<i32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    filter_data_by_topic: BTreeMap<Str, OfTopic>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfTopic {
    group_filter_data: BTreeMap<Str, FilterData>,
    topic: Str,
}

/// A filter that can be used.
#[derive(Clone, Debug)]
pub struct Known {
    data: FilterData,
    /// Messages that were stored behind this time have its bits where it wants them, ms since the
    /// epoch.
    bits_since_ms: i64,
    /// What it lets pass.
    pub expression: Arc<Expression>,
}

impl Known {
    /// The version of the subscription that brought it.
    pub fn version(&self) -> i64 {
        self.data.client_version
    }

    /// Whether the group may want a message that was stored at a time, ms since the epoch, by the
    /// bits that stand with it. They tell nothing of one from before the filter, nor where they are
    /// of another number.
    pub fn may_want(&self, bits: &[u8], stored_ms: i64) -> bool {
        let Some(own) = &self.data.bloom_filter_data else { return true };
        let is_told = stored_ms > self.bits_since_ms
            && usize::try_from(own.bit_num).is_ok_and(|number| number == bits.len() * 8);
        !is_told || filter::has_all(bits, &own.bit_pos)
    }

    /// As operators are shown it.
    pub fn to_json(&self) -> String {
        files::text(&self.data)
    }
}

impl FilterData {
    fn is_dead(&self) -> bool {
        self.dead_time >= self.born_time
    }

    fn die(&mut self, now_ms: i64) {
        self.dead_time = now_ms.max(self.born_time);
        self.dead = true;
    }

    fn revive(&mut self) {
        self.dead_time = 0;
        self.dead = false;
    }
}

/// All filters, by group and topic.
#[derive(Debug)]
pub struct Filters {
    bloom: Bloom,
    groups: RwLock<HashMap<Str, HashMap<Str, Known>>>,
    /// The same by topic, for the bits of messages. Lock after `groups`.
    topics: RwLock<HashMap<Str, Vec<Wish>>>,
    /// Whether messages get bits (Java: `enableCalcFilterBitMap`).
    marks: AtomicBool,
    /// The newest store time of messages that got none of a filter that is not there yet, ms since
    /// the epoch. Changes while `topics` is locked.
    marked_to_ms: AtomicI64,
    /// Whether the bits of messages from before the start belong to the filters that the file has.
    was_clean: bool,
    changed: AtomicBool,
    compiled: Mutex<HashMap<Str, Arc<Expression>>>,
}

impl Filters {
    /// None yet; `bloom` gives groups their bits.
    pub fn new(bloom: Bloom) -> Self {
        Self {
            bloom,
            groups: RwLock::default(),
            topics: RwLock::default(),
            marks: AtomicBool::new(false),
            marked_to_ms: AtomicI64::new(i64::MIN),
            was_clean: true,
            changed: AtomicBool::new(false),
            compiled: Mutex::default(),
        }
    }

    /// After a start: messages up to this store time have the bits of filters from before, of which
    /// the file may have others unless the stop was clean.
    pub fn behind(mut self, newest_ms: i64, was_clean: bool) -> Self {
        (*self.marked_to_ms.get_mut(), self.was_clean) = (newest_ms, was_clean);
        self
    }

    /// Whether messages get bits from now on.
    pub fn set_marks(&self, marks: bool) {
        self.marks.store(marks, Ordering::Release);
    }

    /// Takes over what a file has. Its groups count as gone until they are heard of. As in Java
    /// nothing of it is used when the bits of groups are shaped otherwise now; an expression that
    /// is none is left out, for Java would let every message pass.
    ///
    /// # Errors
    /// When the text is no such file; nothing has changed then.
    pub fn load(&self, text: &str, now_ms: i64) -> Result<(), BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let all = file.filter_data_by_topic.into_values().flat_map(|of| of.group_filter_data);
        let mut groups: HashMap<Str, HashMap<Str, Known>> = HashMap::new();
        for (_, mut data) in all {
            let bits = data.bloom_filter_data.as_ref();
            if !bits.is_some_and(|bits| self.bloom.is_own(&bits.bit_pos, bits.bit_num)) {
                tracing::warn!(
                    file = FILE,
                    "the file is of other values of expectConsumerNumUseFilter and \
                     maxErrorRateOfBloomFilter, or damaged: its filters come back with heartbeats"
                );
                return Ok(());
            }
            let (group, topic) = (data.consumer_group.clone(), data.topic.clone());
            let expression = match compile(&data.expression_type, &data.expression) {
                Ok(expression) => expression,
                Err(error) => {
                    tracing::error!(%group, %topic, %error, "a filter of the file is none");
                    continue;
                }
            };
            if data.dead_time == 0 {
                data.die(now_ms - GONE_BEFORE_START_MS);
            }
            let bits_since_ms = match self.was_clean {
                true => data.born_time,
                false => data.born_time.max(now_ms).max(self.marked_to_ms.load(Ordering::Acquire)),
            };
            let known = Known { data, bits_since_ms, expression };
            groups.entry(group).or_default().insert(topic, known);
        }
        *self.topics.write() = wishes(&groups);
        *self.groups.write() = groups;
        Ok(())
    }

    /// Takes over what a heartbeat of a group says: all of its subscriptions.
    pub fn register(&self, group: &Str, said: &[SubscriptionData], now_ms: i64) {
        let is_sql = |said: &SubscriptionData| kind(said) != TAG;
        if !said.iter().any(is_sql) && !self.groups.read().contains_key(group) {
            return;
        }
        let mut groups = self.groups.write();
        // A message that gets its bits meanwhile gets this filter's too, or it was stored before.
        let mut topics = self.topics.write();
        let now_ms = now_ms.max(self.marked_to_ms.load(Ordering::Acquire));
        let mut changed = false;
        for said in said.iter().filter(|said| is_sql(said)) {
            changed |= self.register_one(&mut groups, group, said, now_ms);
        }
        for (topic, known) in groups.get_mut(group).into_iter().flatten() {
            if !known.data.is_dead() && !said.iter().any(|said| said.topic == *topic) {
                known.data.die(now_ms);
                changed = true;
            }
        }
        if changed {
            *topics = wishes(&groups);
            self.changed.store(true, Ordering::Relaxed);
        }
    }

    fn register_one(
        &self,
        groups: &mut HashMap<Str, HashMap<Str, Known>>,
        group: &Str,
        said: &SubscriptionData,
        now_ms: i64,
    ) -> bool {
        let source = said.sub_string.as_deref().unwrap_or_default();
        if source.is_empty() {
            return false;
        }
        let kind = kind(said);
        let known = groups.get_mut(group).and_then(|topics| topics.get_mut(&said.topic));
        if let Some(known) = known {
            let data = &mut known.data;
            if said.sub_version < data.client_version {
                return false;
            }
            let same = data.expression == *source && data.expression_type == *kind;
            if same || said.sub_version == data.client_version {
                let changed = data.is_dead() || data.client_version != said.sub_version;
                data.client_version = said.sub_version;
                data.revive();
                return changed;
            }
        }
        // What is kept of a frame would keep all of its bytes.
        let (group, topic) = (Str::from(&**group), Str::from(&*said.topic));
        let expression = match compile(kind, source) {
            Ok(expression) => expression,
            Err(error) => {
                tracing::warn!(%group, %topic, %error, "no expression: the group gets nothing");
                let topics = groups.get_mut(&group);
                return topics.is_some_and(|topics| topics.remove(&topic).is_some());
            }
        };
        if is_full(groups, source) {
            tracing::warn!(%group, %topic, "there are too many filters: the group gets nothing");
            return false;
        }
        let bloom_filter_data = Some(BloomFilterData {
            bit_num: self.bloom.bits(),
            bit_pos: self.bloom.positions(&format!("{group}#{topic}")),
        });
        let data = FilterData {
            bloom_filter_data,
            born_time: now_ms,
            client_version: said.sub_version,
            consumer_group: group.clone(),
            expression: source.into(),
            expression_type: kind.into(),
            topic: topic.clone(),
            ..FilterData::default()
        };
        let known = Known { data, bits_since_ms: now_ms, expression };
        groups.entry(group).or_default().insert(topic, known);
        true
    }

    /// The filter of a group for a topic.
    pub fn find(&self, group: &str, topic: &str) -> Option<Known> {
        self.groups.read().get(group)?.get(topic).cloned()
    }

    /// The expressions of a group, by topic.
    pub fn of_group(&self, group: &str) -> HashMap<Str, Arc<Expression>> {
        let groups = self.groups.read();
        let topics = groups.get(group).into_iter().flatten();
        topics.map(|(topic, known)| (topic.clone(), Arc::clone(&known.expression))).collect()
    }

    /// The expression that a pull brought with it, compiled once for many pulls.
    ///
    /// # Errors
    /// When it is none.
    pub fn compiled(&self, kind: &str, source: &str) -> Result<Arc<Expression>, ParseError> {
        if let Some(known) = self.compiled.lock().get(source).filter(|_| kind == SQL92) {
            return Ok(Arc::clone(known));
        }
        let expression = compile(kind, source)?;
        let mut compiled = self.compiled.lock();
        if compiled.len() >= COMPILED_LIMIT {
            compiled.clear();
        }
        compiled.insert(source.into(), Arc::clone(&expression));
        Ok(expression)
    }

    /// Notes which groups are gone, forgets those that have been for long (Java:
    /// `filterDataCleanTimeSpan`), and gives the file's new text if there is one.
    pub fn tick(
        &self,
        is_there: impl Fn(&str) -> bool,
        keep_ms: i64,
        now_ms: i64,
    ) -> Option<String> {
        if self.groups.read().is_empty() && !self.changed.load(Ordering::Relaxed) {
            return None;
        }
        let mut groups = self.groups.write();
        let mut changed = self.changed.swap(false, Ordering::Relaxed);
        groups.retain(|group, topics| {
            let gone = !is_there(group);
            topics.retain(|topic, known| {
                if gone && !known.data.is_dead() {
                    known.data.die(now_ms);
                    changed = true;
                }
                let forget = known.data.is_dead() && now_ms - known.data.dead_time >= keep_ms;
                if forget {
                    tracing::info!(%group, %topic, "the filter of a group that is gone is removed");
                    changed = true;
                }
                !forget
            });
            !topics.is_empty()
        });
        if changed {
            *self.topics.write() = wishes(&groups);
        }
        changed.then(|| files::text(&to_file(&groups)))
    }

    /// What was given to be saved was not: it is given again.
    pub fn set_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }
}

/// What one group wants of a topic, and its bits with each message that it does.
#[derive(Debug)]
struct Wish {
    expression: Arc<Expression>,
    positions: Vec<i32>,
}

fn wishes(groups: &HashMap<Str, HashMap<Str, Known>>) -> HashMap<Str, Vec<Wish>> {
    let mut topics: HashMap<Str, Vec<Wish>> = HashMap::new();
    for (topic, known) in groups.values().flatten() {
        let Some(bits) = &known.data.bloom_filter_data else { continue };
        let wish =
            Wish { expression: Arc::clone(&known.expression), positions: bits.bit_pos.clone() };
        topics.entry(topic.clone()).or_default().push(wish);
    }
    topics
}

impl FilterBits for Filters {
    /// Of groups that are gone too: when they come back, their bits are there.
    fn bits(&self, topic: &str, encoded: &[u8], now: i64) -> Option<Vec<u8>> {
        let topics = self.topics.read();
        self.marked_to_ms.fetch_max(now, Ordering::AcqRel);
        let wishes = topics.get(topic).filter(|_| self.marks.load(Ordering::Acquire))?;
        let mut bits = self.bloom.blank();
        for Wish { expression, positions } in wishes {
            if expression.evaluate(properties::pairs(encoded)) == Ok(Some(true)) {
                filter::set(&mut bits, positions);
            }
        }
        Some(bits)
    }
}

/// The language of a subscription; Java takes none for tags.
fn kind(said: &SubscriptionData) -> &str {
    let kind = said.expression_type.as_deref().unwrap_or_default();
    if kind.is_empty() { TAG } else { kind }
}

/// An expression in one of the languages there are, which is SQL92.
///
/// # Errors
/// When it is none.
pub fn compile(kind: &str, source: &str) -> Result<Arc<Expression>, ParseError> {
    if kind != SQL92 {
        return Err(ParseError { at: 0, why: "filters are in SQL92 or by tags" });
    }
    Expression::compile(source).map(Arc::new)
}

fn is_full(groups: &HashMap<Str, HashMap<Str, Known>>, source: &str) -> bool {
    let (mut count, mut bytes) = (0, source.len());
    for known in groups.values().flat_map(HashMap::values) {
        count += 1;
        bytes += known.data.expression.len();
    }
    count >= LIMIT || bytes > SOURCES_LIMIT
}

fn to_file(groups: &HashMap<Str, HashMap<Str, Known>>) -> File {
    let mut file = File::default();
    for (group, topics) in groups {
        for (topic, known) in topics {
            let of_topic = file.filter_data_by_topic.entry(topic.clone()).or_default();
            of_topic.topic = topic.clone();
            of_topic.group_filter_data.insert(group.clone(), known.data.clone());
        }
    }
    file
}

#[cfg(test)]
mod tests;
