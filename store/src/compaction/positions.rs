//! Up to which queue offset each queue was compacted: the file `position-checkpoint` (Java
//! `CompactionPositionMgr`), JSON with a number for each `TOPIC_QUEUE`. What stands there only
//! saves work: a queue whose number is lost is compacted from its beginning.

use crate::Error;
use crate::disk::Disk;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const NAME: &str = "position-checkpoint";

#[derive(Default, Deserialize, Serialize)]
struct Content {
    #[serde(rename = "queueOffsetMap", default)]
    offsets: BTreeMap<String, i64>,
}

/// The number of a queue in the file's text; `None` where it is no such text.
pub(crate) fn offset_in(text: &[u8], topic: &str, id: i32) -> Option<i64> {
    let content = serde_json::from_slice::<Content>(text).ok()?;
    Some(content.offsets.get(&key(topic, id)).copied().unwrap_or(-1))
}

/// The numbers of all queues.
pub(super) struct Positions {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    offsets: Mutex<BTreeMap<String, i64>>,
}

impl Positions {
    /// Those in `dir`; none where neither the file nor its copy can be understood.
    pub(super) fn load(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let path = dir.join(NAME);
        let read = |path: &Path| {
            let bytes = disk.read(path).ok()?;
            serde_json::from_slice::<Content>(&bytes).ok()
        };
        let content = read(&path).or_else(|| read(&backup(&path))).unwrap_or_default();
        Self { path, offsets: Mutex::new(content.offsets), disk }
    }

    /// The last queue offset that a compaction has seen; -1 before the first one.
    pub(super) fn get(&self, topic: &str, id: i32) -> i64 {
        self.offsets.lock().get(&key(topic, id)).copied().unwrap_or(-1)
    }

    /// Notes such an offset; durable.
    pub(super) fn set(&self, topic: &str, id: i32, offset: i64) -> Result<(), Error> {
        self.change(|offsets| offsets.insert(key(topic, id), offset) != Some(offset))
    }

    /// Forgets queues of a topic.
    pub(super) fn forget(&self, topic: &str, ids: &[i32]) -> Result<(), Error> {
        let keys: Vec<String> = ids.iter().map(|id| key(topic, *id)).collect();
        self.change(|offsets| {
            let before = offsets.len();
            offsets.retain(|name, _| !keys.contains(name));
            before != offsets.len()
        })
    }

    fn change(&self, how: impl FnOnce(&mut BTreeMap<String, i64>) -> bool) -> Result<(), Error> {
        let mut offsets = self.offsets.lock();
        if !how(&mut offsets) {
            return Ok(());
        }
        let content = Content { offsets: offsets.clone() };
        let text = serde_json::to_vec_pretty(&content).expect("names and numbers are JSON");
        let replaced = self.disk.replace(&self.path, &text, Some(&backup(&self.path)));
        replaced.map_err(Error::io("write", &self.path))
    }
}

fn key(topic: &str, id: i32) -> String {
    format!("{topic}_{id}")
}

fn backup(path: &Path) -> PathBuf {
    path.with_extension("bak")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_text_is_understood() {
        let text = "{\n\t\"queueOffsetMap\":{\"t_1_0\":17,\"t_1_3\":-1\n\t}\n}";
        let content: Content = serde_json::from_str(text).unwrap();
        assert_eq!(content.offsets.get(&key("t_1", 0)), Some(&17));
        assert_eq!(content.offsets.len(), 2);
    }
}
