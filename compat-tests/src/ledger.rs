//! What was seen in a store, so that the next broker on it can be held to it: every record byte for
//! byte, positions, topics, groups, and what is still to come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::loose_json;
use crate::raw::Raw;
use crate::records::Record;

/// Everything that the part writes has a name with this in it.
pub const PREFIX: &str = "pp-";
const SYSTEM: [(&str, i32); 3] = [
    ("SCHEDULE_TOPIC_XXXX", 18),
    ("RMQ_SYS_TRANS_HALF_TOPIC", 1),
    ("RMQ_SYS_TRANS_OP_HALF_TOPIC", 1),
];
const TOPIC_NOT_EXIST: i64 = 17;
const PATIENCE: Duration = Duration::from_secs(30);
/// What every release keeps of a topic and of a group.
const TOPIC_FIELDS: [&str; 6] =
    ["readQueueNums", "writeQueueNums", "perm", "order", "topicFilterType", "topicSysFlag"];
const GROUP_FIELDS: [&str; 8] = [
    "consumeEnable",
    "consumeFromMinEnable",
    "consumeBroadcastEnable",
    "retryQueueNums",
    "retryMaxTimes",
    "brokerId",
    "whichBrokerWhenConsumeSlowly",
    "notifyConsumerIdsChangedEnable",
];

/// A message that comes to its topic later.
#[derive(Clone, Debug)]
struct Coming {
    due_ms: i64,
    body: Vec<u8>,
    times: usize,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: BTreeMap<(String, i32), Vec<Record>>,
    coming: BTreeMap<(String, String), Coming>,
    gone: BTreeSet<String>,
    positions: BTreeMap<(String, String, i32), i64>,
    topics: BTreeMap<String, Value>,
    groups: BTreeMap<String, Value>,
    keys: BTreeMap<(String, String), BTreeSet<i64>>,
    /// Whether attributes of topics are kept by all brokers.
    pub with_attributes: bool,
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Ledger {
    /// A message with this unique id comes to `topic`, not before `due_ms`.
    pub fn expect(&mut self, topic: &str, id: &str, due_ms: i64, body: &[u8]) {
        let coming = Coming { due_ms, body: body.to_vec(), times: 0 };
        self.coming.insert((topic.to_owned(), id.to_owned()), coming);
    }

    /// The topic was deleted.
    pub fn is_gone(&mut self, topic: &str) {
        self.gone.insert(topic.to_owned());
    }

    /// The group's position was set.
    pub fn position(&mut self, group: &str, topic: &str, queue: i32, offset: i64) {
        self.positions.insert((group.to_owned(), topic.to_owned(), queue), offset);
    }

    /// The positions of each `topic@group`, as the file of either broker has them.
    #[must_use]
    pub fn position_table(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let mut table: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for ((group, topic, queue), offset) in &self.positions {
            let queues = table.entry(format!("{topic}@{group}")).or_default();
            queues.insert(queue.to_string(), *offset);
        }
        table
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at everything that is there now: what was seen before is the same, and goes on.
    /// With `strictly` nothing is new but what was to come.
    ///
    /// # Errors
    /// Something is lost, changed, too early or not to be there.
    pub fn look(&mut self, raw: &mut Raw, strictly: bool) -> Result<()> {
        let (topics, all) = self.topics(raw)?;
        let mut places: Vec<(String, i32)> = Vec::new();
        for (topic, config) in &topics {
            let number = |key: &str| config[key].as_i64().unwrap_or_default();
            let readable = number("perm") & 4 != 0;
            let queues = number("readQueueNums").max(number("writeQueueNums"));
            let queues = if readable { i32::try_from(queues)? } else { 0 };
            places.extend((0..queues).map(|queue| (topic.clone(), queue)));
        }
        // 4.9 knows the topics of half messages only once it looked for some.
        let system = SYSTEM.iter().filter(|(topic, _)| all.contains(*topic));
        let system = system.flat_map(|(topic, queues)| (0..*queues).map(|q| (*topic, q)));
        places.extend(system.map(|(topic, queue)| (topic.to_owned(), queue)));
        for place in &places {
            self.look_at(raw, place, strictly)?;
        }
        for (place, records) in &self.seen {
            let known = places.contains(place) || records.is_empty();
            ensure!(known, "{place:?} with {} messages is gone", records.len());
        }
        for (topic, config) in topics {
            if !strictly {
                self.topics.insert(topic, config);
            } else if let Some(old) = self.topics.get(&topic) {
                ensure!(*old == config, "topic {topic} was {old}, is {config}");
            } else {
                let made = topic.starts_with('%');
                ensure!(made, "topic {topic} came by itself: {config}");
            }
        }
        self.look_at_groups(raw, strictly)
    }

    fn look_at(&mut self, raw: &mut Raw, place: &(String, i32), strictly: bool) -> Result<()> {
        let found = raw.pull(&place.0, place.1, 0)?;
        let known = self.seen.entry(place.clone()).or_default();
        ensure!(
            found.len() >= known.len(),
            "{place:?} had {} messages, has {}",
            known.len(),
            found.len()
        );
        let changed = known.iter().zip(&found).find(|(old, new)| old != new);
        ensure!(changed.is_none(), "a message changed: {changed:?}");
        for new in found.into_iter().skip(known.len()) {
            let id = new.table().get("UNIQ_KEY").cloned().unwrap_or_default();
            match self.coming.get_mut(&(place.0.clone(), id.clone())) {
                Some(coming) => {
                    let early = coming.due_ms - new.stored_ms;
                    ensure!(early <= 0, "{new:?} came {early} ms early");
                    ensure!(coming.body == new.body, "{new:?} came with another body");
                    coming.times += 1;
                }
                None => ensure!(!strictly || place.0.contains("TRANS"), "{new:?} came by itself"),
            }
            let keys = new.table().get("KEYS").cloned().unwrap_or_default();
            for key in keys.split(' ').chain([id.as_str()]).filter(|key| !key.is_empty()) {
                let key = (place.0.clone(), key.to_owned());
                self.keys.entry(key).or_default().insert(new.log_offset);
            }
            known.push(new);
        }
        Ok(())
    }

    fn look_at_groups(&mut self, raw: &mut Raw, strictly: bool) -> Result<()> {
        let body = raw.must(201, &[], &[])?.body;
        let body = loose_json::parse(&String::from_utf8(body)?)?;
        let table = body["subscriptionGroupTable"].as_object().context("no groups")?;
        let ours = |group: &String| self.groups.contains_key(group) || group.starts_with(PREFIX);
        let found: BTreeMap<String, Value> = table
            .iter()
            .filter(|(group, _)| ours(group))
            .map(|(group, config)| (group.clone(), picked(config, &GROUP_FIELDS)))
            .collect();
        if strictly {
            for (group, old) in &self.groups {
                let new = found.get(group);
                ensure!(new == Some(old), "group {group} was {old}, is {new:?}");
            }
        }
        self.groups = found;
        Ok(())
    }

    /// The topics of this part, and the names of all.
    fn topics(&self, raw: &mut Raw) -> Result<(BTreeMap<String, Value>, BTreeSet<String>)> {
        let body = raw.must(21, &[], &[])?.body;
        let body = loose_json::parse(&String::from_utf8(body)?)?;
        let table = body["topicConfigTable"].as_object().context("no topics")?;
        let mut all = BTreeMap::new();
        for (topic, config) in table.iter().filter(|(topic, _)| topic.contains(PREFIX)) {
            let mut kept = picked(config, &TOPIC_FIELDS);
            if self.with_attributes {
                let attributes = config["attributes"].as_object().cloned().unwrap_or_default();
                kept["attributes"] = Value::Object(attributes);
            }
            all.insert(topic.clone(), kept);
        }
        Ok((all, table.keys().cloned().collect()))
    }

    /// Everything that is not a queue: ids and keys find the messages, positions stand, deleted
    /// topics stay away.
    ///
    /// # Errors
    /// Something is not so.
    pub fn ask(&self, raw: &mut Raw) -> Result<()> {
        for record in self.seen.values().flatten() {
            let found = raw.by_log_offset(record.log_offset)?;
            ensure!(found == *record, "{record:?} by its place is {found:?}");
        }
        for ((topic, key), places) in &self.keys {
            let found = raw.by_key(topic, key, false)?;
            let found: BTreeSet<i64> = found.iter().map(|record| record.log_offset).collect();
            let lost: Vec<_> = places.difference(&found).collect();
            ensure!(lost.is_empty(), "key {key} of {topic} does not find those at {lost:?}");
        }
        for ((group, topic, queue), offset) in &self.positions {
            let text = queue.to_string();
            let fields =
                [("consumerGroup", group.as_str()), ("topic", topic.as_str()), ("queueId", &text)];
            let answer = raw.must(14, &fields, &[])?;
            let found = answer.fields.get("offset").and_then(Value::as_str).unwrap_or_default();
            ensure!(
                found == offset.to_string(),
                "{group} stood at {offset} of {topic}/{queue}, \
                 stands at {found}"
            );
        }
        let (topics, _) = self.topics(raw)?;
        for topic in &self.gone {
            ensure!(!topics.contains_key(topic), "{topic} was deleted and is back");
            let code = raw.ask_for_messages((topic, 0), 0)?.code;
            ensure!(code == TOPIC_NOT_EXIST, "a pull from the deleted {topic} answers {code}");
        }
        Ok(())
    }

    /// Waits until everything came that is due by `until_ms`.
    ///
    /// # Errors
    /// It does not.
    pub fn await_coming(&mut self, raw: &mut Raw, until_ms: i64) -> Result<()> {
        let since = Instant::now();
        loop {
            let missing = self.coming.iter().find(|(_, c)| c.times == 0 && c.due_ms <= until_ms);
            let Some(((topic, id), coming)) = missing else { return Ok(()) };
            let late = now_ms() - coming.due_ms;
            let why = format!("{id} of {topic} is {late} ms late");
            ensure!(since.elapsed() < PATIENCE, "{why}");
            let place = (topic.clone(), 0);
            self.look_at(raw, &place, false).context(why)?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How often a message came, at most.
    #[must_use]
    pub fn most_times(&self) -> usize {
        self.coming.values().map(|coming| coming.times).max().unwrap_or_default()
    }

    /// The messages of a queue.
    #[must_use]
    pub fn records(&self, topic: &str, queue_id: i32) -> &[Record] {
        self.seen.get(&(topic.to_owned(), queue_id)).map_or(&[], Vec::as_slice)
    }
}

fn picked(config: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| ((*field).to_owned(), config[*field].clone())).collect()
}
