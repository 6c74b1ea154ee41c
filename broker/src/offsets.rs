//! `Offsets`: how far each group has come in each queue (Java's `ConsumerOffsetManager`): what it
//! has committed, what it has pulled, and where it is told to go.
//!
//! A committed offset is the queue offset of the next message to consume. Only committed offsets
//! outlive a restart. Not here: what a queue holds (the store), and whether a group or a topic
//! exists.

use crate::files;
use bytes::Bytes;
use message::{Lookup, names};
use parking_lot::{Mutex, RwLock};
use remoting::body::data_version::DataVersion;
use remoting::json::BodyError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A new data version after this many commits (Java: `consumerOffsetUpdateVersionStep`).
const COMMITS_A_VERSION: u64 = 500;
/// Queues of one topic that one group may have offsets in; Java has no bound.
const QUEUES_LIMIT: usize = 65_536;
/// An offset that nobody has set. Java's tables have no row then; -1 can be committed.
const UNSET: i64 = i64::MIN;
/// What a consumer commits that has consumed nothing yet: the one negative offset with a meaning.
pub const NOTHING_YET: i64 = -1;

/// Where they are kept.
pub const FILE: &str = "consumerOffset.json";
/// Where they are kept with light queues; Java does not look into the other file then.
pub const LIGHT_FILE: &str = "lmqConsumerOffset.json";

/// The offsets of all groups.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: RwLock<Lookup<Box<str>, ByTopic>>,
    version: Mutex<DataVersion>,
    /// Commits that no data version counts yet.
    commits: AtomicU64,
    changes: AtomicU64,
    /// Whether groups of light queues have a table of their own (`enableLmq`).
    light: bool,
    /// 0 when nothing is.
    lost_at: AtomicI64,
    /// One more than [`Self::noted_to`]; 0 when that is not known.
    noted_to: AtomicI64,
}

/// A committed offset that was moved to where its queue has messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The queue within it.
    pub queue_id: i32,
    /// What was committed.
    pub old: i64,
    /// Where the group goes on.
    pub new: i64,
}

type ByTopic = Lookup<Box<str>, BTreeMap<i32, Row>>;

/// One queue as one group sees it: group, topic, queue id.
type At<'a> = (&'a str, &'a str, i32);

/// Offsets change under the table's read lock; rows come and go under its write lock.
#[derive(Debug)]
struct Row {
    committed: AtomicI64,
    pulled: AtomicI64,
    reset: AtomicI64,
}

/// `config/consumerOffset.json`, or `config/lmqConsumerOffset.json`. `groupTopicMap` and
/// `pullOffsetTable` are for reading along only: Java loads neither.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data_version: DataVersion,
    group_topic_map: BTreeMap<String, BTreeSet<String>>,
    /// Of `lmqConsumerOffset.json` alone: what groups of light queues have committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    lmq_offset_table: Option<BTreeMap<String, i64>>,
    offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    pull_offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Rockhopper's own; see [`Offsets::set_lost`]. Java passes over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_before_log_offset: Option<i64>,
    /// Rockhopper's own; see [`Offsets::set_noted_to`]. Java passes over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pops_noted_to_log_offset: Option<i64>,
}

impl Offsets {
    /// No offsets yet, with light queues (Java: `LmqConsumerOffsetManager`): a group of such a name
    /// has one offset in a topic, whichever queue it names.
    pub fn with_light_queues(light: bool) -> Self {
        Self { light, ..Self::default() }
    }

    /// The file under `config` that holds them.
    pub fn file(&self) -> &'static str {
        if self.light { LIGHT_FILE } else { FILE }
    }

    fn is_light(&self, group: &str) -> bool {
        self.light && names::is_lmq(group)
    }

    fn at<'a>(&self, (group, topic, queue_id): At<'a>) -> At<'a> {
        (group, topic, if self.is_light(group) { 0 } else { queue_id })
    }

    /// Remembers where the group goes on, even if that is behind what it said before.
    pub fn commit(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.with_row((group, topic, queue_id), |row| {
            row.committed.store(offset, Ordering::Relaxed)
        });
        self.committed();
    }

    /// The same unless a reset waits to be seen by the group: its consumers don't know yet that
    /// they have been moved. Says whether the offset was taken.
    pub fn commit_unless_reset(
        &self,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> bool {
        let taken = self.with_row((group, topic, queue_id), |row| {
            let free = load(&row.reset).is_none();
            if free {
                row.committed.store(offset, Ordering::Relaxed);
            }
            free
        });
        let taken = taken.unwrap_or(false);
        if taken {
            self.committed();
        }
        taken
    }

    /// Remembers where the group will pull next; it is not kept over a restart.
    pub fn commit_pull(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.with_row((group, topic, queue_id), |row| row.pulled.store(offset, Ordering::Relaxed));
    }

    /// Where the group goes on: at a reset that it has not seen, else at what it committed.
    pub fn query(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.read_row((group, topic, queue_id), |row| {
            load(&row.reset).or_else(|| load(&row.committed))
        })
    }

    /// Where the group will pull next.
    pub fn query_pull(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.read_row((group, topic, queue_id), |row| {
            load(&row.pulled).or_else(|| load(&row.reset)).or_else(|| load(&row.committed))
        })
    }

    /// Moves the group: the next pull of the queue is told to go to `offset`.
    pub fn reset(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        if queue_id < 0 || offset < 0 {
            return;
        }
        // The write lock keeps a commit from slipping in between the two.
        let mut groups = self.groups.write();
        if let Some(row) = insert(&mut groups, self.at((group, topic, queue_id))) {
            row.reset.store(offset, Ordering::Relaxed);
            row.committed.store(offset, Ordering::Relaxed);
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the group has yet to see that it was moved.
    pub fn has_reset(&self, group: &str, topic: &str, queue_id: i32) -> bool {
        self.read_row((group, topic, queue_id), |row| load(&row.reset)).is_some()
    }

    /// Where the group was moved to, once: whoever takes it must tell the group.
    pub fn take_reset(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        self.read_row((group, topic, queue_id), |row| {
            load(&row.reset)?;
            Some(row.reset.swap(UNSET, Ordering::Relaxed)).filter(|offset| *offset != UNSET)
        })
    }

    /// Forgets where the group will pull next.
    pub fn clear_pulled(&self, group: &str, topic: &str) {
        let groups = self.groups.read();
        let queues = groups.get(group).and_then(|topics| topics.get(topic));
        for row in queues.into_iter().flat_map(BTreeMap::values) {
            row.pulled.store(UNSET, Ordering::Relaxed);
        }
    }

    /// What the group has committed in this topic, by queue; empty if nothing.
    pub fn committed_in(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let groups = self.groups.read();
        groups
            .get(group)
            .and_then(|topics| topics.get(topic))
            .map(committed_rows)
            .unwrap_or_default()
    }

    /// The topics in which the group has committed something.
    pub fn topics_of(&self, group: &str) -> BTreeSet<String> {
        let groups = self.groups.read();
        let topics = groups.get(group).into_iter().flatten();
        topics
            .filter(|(_, queues)| has_committed(queues))
            .map(|(topic, _)| topic.to_string())
            .collect()
    }

    /// The groups that have committed something in the topic.
    pub fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let groups = self.groups.read();
        let with = groups.iter().filter(|(_, topics)| topics.get(topic).is_some_and(has_committed));
        with.map(|(group, _)| group.to_string()).collect()
    }

    /// For each queue of the topic the smallest committed offset that is not below the queue's
    /// start, over all groups but those in `without` (code 308).
    pub fn smallest(
        &self,
        topic: &str,
        without: &[&str],
        min_offset: impl Fn(i32) -> i64,
    ) -> BTreeMap<i32, i64> {
        let mut smallest = BTreeMap::new();
        let groups = self.groups.read();
        for (group, topics) in &*groups {
            let Some(queues) = topics.get(topic) else { continue };
            if without.contains(&&**group) {
                continue;
            }
            for (queue, offset) in committed_rows(queues) {
                if offset >= min_offset(queue) {
                    let least = smallest.entry(queue).or_insert(offset);
                    *least = offset.min(*least);
                }
            }
        }
        smallest
    }

    /// Copies what one group has committed in a topic to another group; nothing, where it has not.
    pub fn clone_group(&self, from: &str, to: &str, topic: &str) {
        let mut groups = self.groups.write();
        let Some(queues) = groups.get(from).and_then(|topics| topics.get(topic)) else { return };
        let copy = committed_rows(queues).into_iter().map(|(queue, at)| (queue, Row::at(at)));
        let copy: BTreeMap<_, _> = copy.collect();
        if copy.is_empty() {
            return;
        }
        groups.entry(to.into()).or_default().insert(topic.into(), copy);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes over what some groups have committed elsewhere, and nothing else of theirs.
    pub fn take_groups(&self, from: &Self, which: impl Fn(&str) -> bool) {
        let theirs = from.groups.read();
        let mut groups = self.groups.write();
        groups.retain(|group, _| !which(group));
        for (group, topics) in theirs.iter().filter(|(group, _)| which(group)) {
            let rows =
                |queues| committed_rows(queues).into_iter().map(|(id, at)| (id, Row::at(at)));
            let topics =
                topics.iter().map(|(topic, queues)| (topic.clone(), rows(queues).collect()));
            groups.insert(group.clone(), topics.collect());
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a group.
    pub fn remove_group(&self, group: &str) {
        if self.groups.write().remove(group).is_some() {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets a topic.
    pub fn remove_topic(&self, topic: &str) {
        self.retain(|_, known, _| known != topic);
    }

    /// Forgets every topic of a group for which `keep(group, topic, committed)` is false.
    pub fn retain(&self, mut keep: impl FnMut(&str, &str, &BTreeMap<i32, i64>) -> bool) {
        let mut removed = false;
        self.groups.write().retain(|group, topics| {
            topics.retain(|topic, queues| {
                let keep = keep(group, topic, &committed_rows(queues));
                removed |= !keep;
                keep
            });
            !topics.is_empty()
        });
        if removed {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves every committed offset that its queue cannot have to the nearest that it can, and says
    /// which. `ends` gives the first offset of a queue and the one behind its last message; a queue
    /// that it does not know says nothing.
    pub fn keep_within(&self, ends: impl Fn(&str, i32) -> Option<(i64, i64)>) -> Vec<Moved> {
        let mut moved = Vec::new();
        let groups = self.groups.read();
        for (group, topics) in &*groups {
            for (topic, queues) in topics {
                for (queue_id, row) in queues {
                    let committed = load(&row.committed).filter(|old| *old != NOTHING_YET);
                    let Some(old) = committed else { continue };
                    let Some((min, max)) = ends(topic, *queue_id) else { continue };
                    let new = old.max(min).min(max);
                    if new != old {
                        row.committed.store(new, Ordering::Relaxed);
                        let (group, topic) = (group.to_string(), topic.to_string());
                        moved.push(Moved { group, topic, queue_id: *queue_id, old, new });
                    }
                }
            }
        }
        self.changes.fetch_add(moved.len() as u64, Ordering::Relaxed);
        moved
    }

    /// In how many topics groups have committed offsets, counted once for each group.
    pub fn len(&self) -> usize {
        let groups = self.groups.read();
        groups.values().flat_map(Lookup::values).filter(|queues| has_committed(queues)).count()
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The groups that have committed something.
    pub fn groups(&self) -> BTreeSet<String> {
        let groups = self.groups.read();
        let with = groups.iter().filter(|(_, topics)| topics.values().any(has_committed));
        with.map(|(group, _)| group.to_string()).collect()
    }

    /// Notes that what groups had committed is lost for all messages before this log offset, or for
    /// none: that there is nothing of a group does not say that it is a new one.
    pub fn set_lost(&self, before: Option<i64>) {
        let before = before.unwrap_or(0);
        if self.lost_at.swap(before, Ordering::Relaxed) != before {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The log offset before which it is lost what groups had committed.
    pub fn lost_before(&self) -> Option<i64> {
        Some(self.lost_at.load(Ordering::Relaxed)).filter(|before| *before > 0)
    }

    /// Notes that the offsets are those after all pops whose checkpoints stand before this log
    /// offset: what was popped after it, a crash may have forgotten here and not there.
    pub fn set_noted_to(&self, log_offset: i64) {
        self.noted_to.store(log_offset.saturating_add(1), Ordering::Relaxed);
    }

    /// The log offset before which all pops are noted; `None` when a broker wrote the file that
    /// does not say so.
    pub fn noted_to(&self) -> Option<i64> {
        Some(self.noted_to.load(Ordering::Relaxed) - 1).filter(|to| *to >= 0)
    }

    /// Grows with every change that the file should hold.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The version of the table; it moves with every 500th commit only, as Java's does.
    pub fn version(&self, now: i64) -> DataVersion {
        let mut version = self.version.lock();
        let commits = self.commits.load(Ordering::Relaxed);
        if commits >= COMMITS_A_VERSION {
            self.commits.fetch_sub(commits - commits % COMMITS_A_VERSION, Ordering::Relaxed);
            version.counter += (commits / COMMITS_A_VERSION) as i64 - 1;
            version.advance(0, now);
        }
        *version
    }

    /// The text of the file.
    pub fn to_json(&self, now: i64) -> String {
        let lost_before_log_offset = self.lost_before();
        let pops_noted_to_log_offset = self.noted_to();
        let file = self.to_file(now);
        files::text(&File { lost_before_log_offset, pops_noted_to_log_offset, ..file })
    }

    /// The same as a body (code 43).
    pub fn to_body(&self, now: i64) -> Bytes {
        remoting::json::to_body(&self.to_file(now))
    }

    fn to_file(&self, now: i64) -> File {
        let mut file = File { data_version: self.version(now), ..File::default() };
        let mut light = self.light.then(BTreeMap::new);
        let groups = self.groups.read();
        for (group, topics) in &*groups {
            for (topic, queues) in topics {
                let key = format!("{topic}@{group}");
                let pulled = rows(queues, |row| &row.pulled);
                if !pulled.is_empty() {
                    file.pull_offset_table.insert(key.clone(), pulled);
                }
                let committed = committed_rows(queues);
                if let Some(light) = light.as_mut().filter(|_| self.is_light(group)) {
                    light.extend(committed.get(&0).map(|offset| (key, *offset)));
                } else if !committed.is_empty() {
                    let topics = file.group_topic_map.entry(group.to_string()).or_default();
                    topics.insert(topic.to_string());
                    file.offset_table.insert(key, committed);
                }
            }
        }
        drop(groups);
        File { lmq_offset_table: light, ..file }
    }

    /// Takes the committed offsets of a file in the place of all that is known.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: File = remoting::json::from_body(text.as_bytes())?;
        let mut loaded: Lookup<Box<str>, ByTopic> = Lookup::default();
        for (key, queues) in file.offset_table {
            // Names hold no `@`; Java passes over a key that is not two parts.
            let Some((topic, group)) = key.split_once('@') else { continue };
            let queues = queues.into_iter().map(|(queue, offset)| (queue, Row::at(offset)));
            loaded.entry(group.into()).or_default().insert(topic.into(), queues.collect());
        }
        for (key, offset) in file.lmq_offset_table.filter(|_| self.light).into_iter().flatten() {
            let Some((topic, group)) = key.split_once('@') else { continue };
            let queues = BTreeMap::from([(0, Row::at(offset))]);
            loaded.entry(group.into()).or_default().insert(topic.into(), queues);
        }
        *self.groups.write() = loaded;
        *self.version.lock() = file.data_version;
        self.lost_at.store(file.lost_before_log_offset.unwrap_or(0).max(0), Ordering::Relaxed);
        self.set_noted_to(file.pops_noted_to_log_offset.unwrap_or(-1).max(-1));
        Ok(())
    }

    fn committed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    fn read_row(&self, at: At<'_>, read: impl FnOnce(&Row) -> Option<i64>) -> Option<i64> {
        let (group, topic, queue_id) = self.at(at);
        let groups = self.groups.read();
        read(groups.get(group)?.get(topic)?.get(&queue_id)?)
    }

    /// Does something to a row, which is made if it is not there; `None` if there is no room.
    fn with_row<T>(&self, at: At<'_>, change: impl Fn(&Row) -> T) -> Option<T> {
        let at = self.at(at);
        let groups = self.groups.read();
        let queues = groups.get(at.0).and_then(|topics| topics.get(at.1));
        if let Some(row) = queues.and_then(|queues| queues.get(&at.2)) {
            return Some(change(row));
        }
        drop(groups);
        insert(&mut self.groups.write(), at).map(|row| change(row))
    }
}

impl Row {
    fn at(committed: i64) -> Self {
        Self {
            committed: AtomicI64::new(committed),
            pulled: AtomicI64::new(UNSET),
            reset: AtomicI64::new(UNSET),
        }
    }
}

fn insert<'a>(
    groups: &'a mut Lookup<Box<str>, ByTopic>,
    (group, topic, queue_id): At<'_>,
) -> Option<&'a mut Row> {
    let topics = groups.entry(group.into()).or_default();
    let queues = topics.entry(topic.into()).or_default();
    if queues.len() >= QUEUES_LIMIT && !queues.contains_key(&queue_id) {
        tracing::warn!(group, topic, QUEUES_LIMIT, "offsets in too many queues: not remembered");
        return None;
    }
    Some(queues.entry(queue_id).or_insert_with(|| Row::at(UNSET)))
}

fn load(offset: &AtomicI64) -> Option<i64> {
    Some(offset.load(Ordering::Relaxed)).filter(|offset| *offset != UNSET)
}

fn rows(queues: &BTreeMap<i32, Row>, field: fn(&Row) -> &AtomicI64) -> BTreeMap<i32, i64> {
    queues.iter().filter_map(|(queue, row)| Some((*queue, load(field(row))?))).collect()
}

fn committed_rows(queues: &BTreeMap<i32, Row>) -> BTreeMap<i32, i64> {
    rows(queues, |row| &row.committed)
}

fn has_committed(queues: &BTreeMap<i32, Row>) -> bool {
    queues.values().any(|row| load(&row.committed).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn commits_overwrite_and_go_back() {
        let offsets = Offsets::default();
        let seen = || (offsets.query("g", "t", 3), offsets.query_pull("g", "t", 3));
        assert_eq!(seen(), (None, None));
        offsets.commit("g", "t", 3, 9);
        offsets.commit("g", "t", 3, 4);
        assert_eq!(seen(), (Some(4), Some(4)));
        assert_eq!(offsets.query("g", "t", 2), None);
        offsets.commit_pull("g", "t", 3, 12);
        assert_eq!(seen(), (Some(4), Some(12)));
        offsets.clear_pulled("g", "t");
        assert_eq!(seen(), (Some(4), Some(4)));
    }

    #[test]
    fn an_offset_that_cannot_be_goes_to_the_nearest() {
        let offsets = Offsets::default();
        for (queue, offset) in [(0, -5), (1, -1), (2, 9), (3, 4)] {
            offsets.commit("g", "t", queue, offset);
        }
        let moved = offsets.keep_within(|_, _| Some((2, 6)));
        let moved: Vec<_> = moved.iter().map(|of| (of.queue_id, of.old, of.new)).collect();
        assert_eq!(moved, [(0, -5, 2), (2, 9, 6)]);
    }

    #[test]
    fn a_reset_holds_commits_off_until_it_is_taken() {
        let offsets = Offsets::default();
        offsets.commit("g", "t", 3, 9);
        offsets.reset("g", "t", 3, 2);
        assert!(offsets.has_reset("g", "t", 3));
        assert!(!offsets.commit_unless_reset("g", "t", 3, 10));
        assert_eq!(offsets.query("g", "t", 3), Some(2));
        assert_eq!(offsets.take_reset("g", "t", 3), Some(2));
        assert_eq!(offsets.take_reset("g", "t", 3), None);
        assert!(offsets.commit_unless_reset("g", "t", 3, 10));
        assert_eq!(offsets.query("g", "t", 3), Some(10));
        offsets.reset("g", "t", 3, -1);
        assert!(!offsets.has_reset("g", "t", 3));
    }

    #[test]
    fn scans_see_committed_offsets_only() {
        let offsets = Offsets::default();
        for (group, offset) in [("g", 9), ("h", 5), ("low", 1)] {
            offsets.commit(group, "t", 3, offset);
        }
        offsets.commit_pull("g", "pulled", 0, 5);
        assert_eq!(offsets.topics_of("g"), names(&["t"]));
        assert_eq!(offsets.groups_of("t"), names(&["g", "h", "low"]));
        assert_eq!(offsets.smallest("t", &[], |_| 2), BTreeMap::from([(3, 5)]));
        assert_eq!(offsets.smallest("t", &["h"], |_| 2), BTreeMap::from([(3, 9)]));
        offsets.clone_group("g", "copy", "t");
        assert_eq!(offsets.committed_in("copy", "t"), BTreeMap::from([(3, 9)]));
        offsets.commit("copy", "pulled", 0, 7);
        offsets.clone_group("g", "copy", "pulled");
        assert_eq!(offsets.committed_in("copy", "pulled"), BTreeMap::from([(0, 7)]));
        offsets.remove_group("copy");
        assert_eq!(offsets.groups_of("t"), names(&["g", "h", "low"]));
        offsets.remove_topic("t");
        assert_eq!(offsets.groups_of("t"), names(&[]));
    }

    #[test]
    fn the_version_moves_with_every_500th_commit() {
        let offsets = Offsets::default();
        for (commits, counter) in [(499, 0), (1, 1), (1_400, 3), (99, 3), (1, 4)] {
            for offset in 0..commits {
                offsets.commit("g", "t", 3, offset);
            }
            assert_eq!(offsets.version(7).counter, counter);
        }
        assert_eq!((offsets.version(8).timestamp, offsets.changes()), (7, 2_000));
    }

    #[test]
    fn groups_of_light_queues_have_a_table_of_their_own() {
        let offsets = Offsets::with_light_queues(true);
        assert_eq!((offsets.file(), Offsets::default().file()), (LIGHT_FILE, FILE));
        offsets.commit("%LMQ%g", "%LMQ%q", 3, 7);
        offsets.commit("g", "%LMQ%q", 0, 5);
        assert_eq!(offsets.query("%LMQ%g", "%LMQ%q", 0), Some(7), "whichever queue is named");
        let text = offsets.to_json(9);
        assert!(text.contains("\"%LMQ%q@%LMQ%g\":7"), "{text}");
        let again = Offsets::with_light_queues(true);
        again.load(&text).unwrap();
        assert_eq!(again.query("%LMQ%g", "%LMQ%q", 0), Some(7));
        assert_eq!(again.query("g", "%LMQ%q", 0), Some(5));
        assert!(!Offsets::default().to_json(9).contains("lmqOffsetTable"));
    }

    #[test]
    fn reads_what_java_writes_and_what_it_wrote() {
        let offsets = Offsets::default();
        let java = "{\n\t\"dataVersion\":{\n\t\t\"counter\":7,\n\t\t\"stateVersion\":0,\n\t\t\
                    \"timestamp\":1700000000000\n\t},\n\t\"groupTopicMap\":{\"g\":[\"t\"]},\n\t\
                    \"offsetTable\":{\n\t\t\"t@g\":{0:12,3:30\n\t\t}\n\t},\"pullOffsetTable\":{}}";
        offsets.load(java).unwrap();
        assert_eq!(offsets.committed_in("g", "t"), BTreeMap::from([(0, 12), (3, 30)]));
        assert_eq!(offsets.version(0).counter, 7);
        let again = Offsets::default();
        again.load(&offsets.to_json(0)).unwrap();
        assert_eq!(again.to_json(0), offsets.to_json(0));
        assert_eq!(again.query("g", "t", 3), Some(30));
        // 4.9 writes no data version.
        again.load("{\"offsetTable\":{\"t@g\":{1:5}}}").unwrap();
        assert_eq!(again.committed_in("g", "t"), BTreeMap::from([(1, 5)]));
        assert!(again.load("{\"offsetTable\":[").is_err());
        assert_eq!(again.committed_in("g", "t"), BTreeMap::from([(1, 5)]));
    }
}
