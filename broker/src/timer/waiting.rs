//! How many messages wait for their time, by topic: `config/timermetrics` (Java: `TimerMetrics`).
//! The numbers are counted anew at each start, so that nothing depends on the file.

use crate::broker::Broker;
use crate::files;
use message::{Str, hash};
use remoting::body::data_version::DataVersion;
use remoting::body::stats::{Metric, TimerMetricsSerializeWrapper};
use std::collections::{BTreeMap, HashMap};
use std::mem::take;
use store::{TimerCounts, TimerUnit};

/// The file's name.
pub const FILE: &str = "timermetrics";
/// Topics that are counted.
const TOPICS_MAX: usize = 100_000;

/// The numbers.
#[derive(Debug, Default)]
pub struct Waiting {
    topics: BTreeMap<Str, Metric>,
    /// Of topics whose names are not known yet.
    nameless: HashMap<i32, i64>,
    version: DataVersion,
    is_changed: bool,
}

/// What an entry counts: one that takes another back takes it away.
pub(super) fn one(unit: &TimerUnit) -> i64 {
    if unit.deletes { -1 } else { 1 }
}

impl Waiting {
    /// The numbers of what waits now.
    pub(super) fn load(broker: &Broker, counts: &TimerCounts, now_ms: i64) -> Self {
        let version = broker.store.config().load(FILE, |text| {
            let body = remoting::json::from_body::<TimerMetricsSerializeWrapper>(text.as_bytes());
            body.ok().map(|body| body.data_version)
        });
        let version = version.unwrap_or_else(|| DataVersion::new(now_ms));
        let mut all = Self { nameless: counts.clone(), version, ..Self::default() };
        for topic in broker.topics.names() {
            if all.nameless.contains_key(&hash::java_hash(&topic)) {
                all.add(&topic, 0, now_ms);
            }
        }
        all
    }

    /// Counts messages of a topic.
    pub(super) fn add(&mut self, topic: &str, count: i64, now_ms: i64) {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= TOPICS_MAX || topic.is_empty() {
                return;
            }
            let count = self.nameless.remove(&hash::java_hash(topic)).unwrap_or(0);
            self.topics.insert(topic.into(), Metric { count, time_stamp: now_ms });
        }
        if let Some(metric) = self.topics.get_mut(topic) {
            metric.count += count;
            metric.time_stamp = now_ms;
        }
        self.version.advance(0, now_ms);
        self.is_changed = true;
    }

    /// Nothing is counted yet.
    pub(super) fn clear(&mut self) {
        self.topics.clear();
        self.nameless.clear();
        self.is_changed = true;
    }

    /// How many messages of a topic wait.
    pub fn of(&self, topic: &str) -> i64 {
        self.topics.get(topic).map_or(0, |metric| metric.count)
    }

    /// The numbers as Java keeps and sends them.
    pub fn to_body(&self) -> TimerMetricsSerializeWrapper {
        TimerMetricsSerializeWrapper {
            data_version: self.version,
            timing_count: self.topics.clone(),
        }
    }

    /// Saves them when they changed. Whoever asks for them meanwhile does not wait for the disk.
    /// A topic of which nothing waits stays among them for as long as it is there, as Java's.
    pub(super) fn save(broker: &Broker) {
        let waiting = &broker.timer.waiting;
        let Some(body) = waiting.lock().take_changed() else { return };
        let is_saved = broker.save(FILE, &files::compact(&body));
        let mut waiting = waiting.lock();
        match is_saved {
            true => {
                let topics = &broker.topics;
                let stays = |topic: &str| topics.contains(topic) && !topics.is_light(topic);
                waiting.topics.retain(|topic, metric| metric.count != 0 || stays(topic));
            }
            false => waiting.is_changed = true,
        }
    }

    fn take_changed(&mut self) -> Option<TimerMetricsSerializeWrapper> {
        take(&mut self.is_changed).then(|| self.to_body())
    }
}
