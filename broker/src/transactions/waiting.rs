//! How many half messages wait for their producers' word, by topic: `config/transactionMetrics`
//! (Java: `TransactionMetrics`). No request asks for them; a stock broker that takes the store over
//! goes on counting there, and gives them out as its metric `rocketmq_half_messages`.
//!
//! They are counted as things happen and kept in the file, as in Java: after a crash they may be
//! off by what happened since it was written, and nothing depends on them.

use crate::broker::Broker;
use crate::due::is_due;
use crate::files;
use message::Str;
use remoting::body::data_version::DataVersion;
use remoting::body::stats::Metric;
use remoting::json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file's name.
pub const FILE: &str = "transactionMetrics";
/// Topics that are counted.
const TOPICS_MAX: usize = 100_000;

/// The file under `config`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    data_version: DataVersion,
    transaction_count: BTreeMap<Str, Metric>,
}

/// The numbers.
#[derive(Debug, Default)]
pub struct Waiting {
    file: File,
    is_changed: bool,
    saved_ms: i64,
}

impl Waiting {
    /// Takes over what the broker before this one counted.
    pub fn load(broker: &Broker, now_ms: i64) {
        let parsed = |text: &str| json::from_body::<File>(text.as_bytes()).ok();
        let made = || File { data_version: DataVersion::new(now_ms), ..File::default() };
        let file = broker.store.config().load(FILE, parsed).unwrap_or_else(made);
        *broker.transactions.waiting.lock() = Self { file, is_changed: false, saved_ms: now_ms };
    }

    /// Counts half messages of a topic.
    pub fn add(&mut self, topic: &str, count: i64, now_ms: i64) {
        let topics = &mut self.file.transaction_count;
        if topic.is_empty() || topics.len() >= TOPICS_MAX && !topics.contains_key(topic) {
            return;
        }
        let metric = topics.entry(Str::from(topic)).or_default();
        (metric.count, metric.time_stamp) = (metric.count + count, now_ms);
        self.file.data_version.advance(0, now_ms);
        self.is_changed = true;
    }

    /// Saves them when they changed and `every_ms` has passed since they were saved. Whoever counts
    /// meanwhile does not wait for the disk.
    pub fn save(broker: &Broker, every_ms: i64, now_ms: i64) {
        let waiting = &broker.transactions.waiting;
        let Some(text) = waiting.lock().take_due(every_ms, now_ms) else { return };
        if !broker.save(FILE, &text) {
            waiting.lock().is_changed = true;
        }
    }

    fn take_due(&mut self, every_ms: i64, now_ms: i64) -> Option<String> {
        if !self.is_changed || !is_due(now_ms, self.saved_ms, every_ms) {
            return None;
        }
        (self.saved_ms, self.is_changed) = (now_ms, false);
        Some(files::compact(&self.file))
    }
}
