//! Topics whose records may hold many messages (`queue.type=BatchCQ`): their queues lie in
//! `batchconsumequeue` and have units of another kind, and a start has to know that before it reads
//! the log. The broker says it when it makes a topic; what another broker left is told by
//! `topics.json` and by the directories.
//!
//! The file `batchtopics` has a line for each, with its checksum; all stand there twice, an empty
//! line in between: a bit that flips changes nothing.

use crate::Error;
use crate::disk::Disk;
use message::{Str, names};
use parking_lot::RwLock;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const NAME: &str = "batchtopics";
/// The directory of their queues.
pub(crate) const DIR: &str = "batchconsumequeue";
/// That of all other queues.
pub(crate) const SINGLE_DIR: &str = "consumequeue";

/// What of `topics.json` matters here.
#[derive(Deserialize)]
struct Table {
    #[serde(rename = "topicConfigTable")]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    attributes: Option<HashMap<String, String>>,
}

impl Topic {
    fn holds_batches(&self) -> bool {
        let kind = self.attributes.as_ref().and_then(|all| all.get(names::QUEUE_TYPE));
        kind.is_some_and(|kind| kind == names::INNER_BATCHES)
    }
}

/// The topics of inner batches.
pub(crate) struct BatchTopics {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    topics: RwLock<BTreeSet<Str>>,
    /// The file has the same.
    is_noted: AtomicBool,
}

impl BatchTopics {
    /// What is known of the store at `root`. Where another broker was the last one, its
    /// `topics.json` is right.
    pub(crate) fn load(disk: Arc<dyn Disk>, root: &Path, is_foreign: bool) -> Self {
        let (topics, path) = (known(&*disk, root, is_foreign), root.join(NAME));
        let text = text(&*disk, root);
        let is_whole = text.lines().all(|line| line.is_empty() || parse(line).is_some());
        let is_noted = AtomicBool::new(is_whole && noted(&text) == topics);
        Self { path, disk, topics: RwLock::new(topics), is_noted }
    }

    /// Whether a topic is one.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        let topics = self.topics.read();
        !topics.is_empty() && topics.contains(topic)
    }

    /// Whether the file has what is known, in both copies: what only directories or `topics.json`
    /// told is forgotten with these.
    pub(crate) fn is_noted(&self) -> bool {
        self.is_noted.load(Ordering::Acquire)
    }

    /// Notes durably that a topic is one.
    pub(crate) fn note(&self, topic: &str) -> Result<(), Error> {
        let mut noted = self.topics.read().clone();
        noted.insert(Str::from(topic.to_owned()));
        self.replace(noted)
    }

    /// Forgets topics that are removed.
    pub(crate) fn forget(&self, topics: &[&str]) -> Result<(), Error> {
        if !topics.iter().any(|topic| self.contains(topic)) {
            return Ok(());
        }
        let mut noted = self.topics.read().clone();
        noted.retain(|topic| !topics.contains(&&**topic));
        self.replace(noted)
    }

    fn replace(&self, noted: BTreeSet<Str>) -> Result<(), Error> {
        let text: String = noted.iter().map(|topic| line(topic)).collect();
        let twice = format!("{text}\n{text}");
        let replaced = self.disk.replace(&self.path, twice.as_bytes(), None);
        replaced.map_err(Error::io("write", &self.path))?;
        *self.topics.write() = noted;
        self.is_noted.store(true, Ordering::Release);
        Ok(())
    }
}

fn text(disk: &dyn Disk, root: &Path) -> String {
    let bytes = disk.read(&root.join(NAME)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the file says.
fn noted(text: &str) -> BTreeSet<Str> {
    text.lines().filter_map(parse).collect()
}

/// The topics of inner batches in the store at `root`.
pub(crate) fn known(disk: &dyn Disk, root: &Path, is_foreign: bool) -> BTreeSet<Str> {
    let mut topics = noted(&text(disk, root));
    let has_queues = |dir: &str, topic: &str| {
        let listed = disk.list(&root.join(dir).join(topic)).unwrap_or_default();
        listed.iter().any(|file| file.is_dir)
    };
    let table =
        is_foreign.then(|| table(disk, root)).flatten().map_or_else(HashMap::new, |it| it.topics);
    topics.retain(|topic| table.get(&**topic).is_none_or(Topic::holds_batches));
    let listed = disk.list(&root.join(DIR)).unwrap_or_default();
    let there = listed.into_iter().filter(|listed| listed.is_dir && has_queues(DIR, &listed.name));
    topics.extend(there.map(|listed| listed.name.into()));
    let told = table.iter().filter(|(_, it)| it.holds_batches()).map(|(topic, _)| topic);
    let told = told.filter(|topic| !has_queues(SINGLE_DIR, topic));
    topics.extend(told.map(|topic| topic.clone().into()));
    topics
}

fn table(disk: &dyn Disk, root: &Path) -> Option<Table> {
    let config = root.join("config");
    let read = |name: &str| serde_json::from_slice(&disk.read(&config.join(name)).ok()?).ok();
    read("topics.json").or_else(|| read("topics.json.bak"))
}

fn line(topic: &str) -> String {
    format!("{topic} {}\n", crc32fast::hash(topic.as_bytes()))
}

fn parse(line: &str) -> Option<Str> {
    let (topic, sum) = line.rsplit_once(' ')?;
    (sum.parse() == Ok(crc32fast::hash(topic.as_bytes()))).then(|| Str::from(topic.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_flipped_bit_is_none() {
        assert_eq!(parse(line("T-1").trim_end()), Some("T-1".into()));
        for junk in ["", "T-1", "T-2 1", "T-1 x"] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }
}
