//! What a stock broker keeps in RocksDB where its settings say so. Nothing of it is read here, so a
//! start beside it would lose what is there alone, and nobody would see it: offsets, above all.

use crate::batch_topics;
use crate::checkpoint::Fields;
use crate::disk::Listed;
use crate::{Disk, Error};
use message::names;
use std::path::{Path, PathBuf};

/// The file that tells a RocksDB from other directories.
const CURRENT: &str = "CURRENT";

/// Where it makes one, below the root, and what only that one has (Java
/// `RocksDBConsumerOffsetManager`, `RocksDBTopicConfigManager`, `RocksDBSubscriptionGroupManager`,
/// `ConfigStorage`, `PopConsumerService`, `MessageRocksDBStorage`).
const PLACES: [(&str, &str); 7] = [
    ("config/consumerOffsets", "where groups are"),
    ("config/topics", "topics"),
    ("config/subscriptionGroups", "groups"),
    ("config/metadata", "topics, groups and where these are"),
    ("config/rdb", "topics, groups and where these are"),
    ("kvStore", "what was popped and not acknowledged"),
    (MESSAGES, "messages that wait for their time or for their producers' word"),
];

/// The one that 5.5 makes whatever its settings say. There is something in it where they say
/// `timerRocksDBEnable`, `transRocksDBEnable` or `indexRocksDBEnable`.
const MESSAGES: &str = "rocksdbstore";

/// Refuses a start beside one, unless our own start has been here before.
///
/// # Errors
/// What is there, and the way out.
pub fn refuse(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    match found(disk, root)?.into_iter().next() {
        Some((path, why)) => Err(Error::Corrupt { path, why }),
        None => Ok(()),
    }
}

/// Those that keep a start from what they hold, with the way out.
pub(crate) fn found(disk: &dyn Disk, root: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    if is_ours(disk, root) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (name, what) in PLACES {
        let path = root.join(name);
        let listed = disk.list(&path).map_err(Error::io("list", &path))?;
        if is_one(&listed)
            && (name != MESSAGES || has_records(&listed) || lacks_halves(disk, root)?)
        {
            let why = format!(
                "is a RocksDB of a stock broker, which is not read here: {what} may be known there \
                 alone, and would be lost. docs/takeover.md (From RocksDB) says what the stock \
                 broker is to do first; then move the directory away"
            );
            found.push((path, why));
        }
    }
    Ok(found)
}

/// Whether a directory that holds this is one.
pub(crate) fn is_one(listed: &[Listed]) -> bool {
    listed.iter().any(|file| file.is_file() && file.name == CURRENT)
}

/// Whether one has records, in tables or in the log before them.
fn has_records(listed: &[Listed]) -> bool {
    let holds = |file: &&Listed| file.name.ends_with(".sst") || file.name.ends_with(".log");
    listed.iter().filter(holds).any(|file| file.is_file() && file.len > 0)
}

/// Whether a stock broker with `transRocksDBEnable` was killed: it writes half messages there some
/// time after the log has them, and reads the log for the rest when it starts.
fn lacks_halves(disk: &dyn Disk, root: &Path) -> Result<bool, Error> {
    let has = |dir: &Path, name: &str| {
        let listed = disk.list(dir).map_err(Error::io("list", dir))?;
        Ok(listed.iter().any(|file| file.name == name))
    };
    let queues = root.join(batch_topics::SINGLE_DIR);
    Ok(has(root, "abort")? && has(&queues, names::ROCKSDB_TRANS_HALF_TOPIC)?)
}

/// Whether no other broker has had the store since ours.
fn is_ours(disk: &dyn Disk, root: &Path) -> bool {
    let Ok(Ok(fields)) = Fields::peek(disk, &root.join("checkpoint")) else { return false };
    fields.with_bit_mended().unwrap_or(fields).durable_to().is_some()
}
