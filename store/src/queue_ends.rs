//! Where every queue ended at the last clean stop: a file that tells queues which lost their files
//! since from those that never had any. Only a hint: without it nothing is missed.
//!
//! A line with the log offset at which the store stopped, then one a queue: end, queue id, topic.

use crate::Error;
use crate::disk::Disk;
use crate::queues::Queues;
use std::path::Path;

const NAME: &str = "queueends";

/// Notes the ends of all queues, at a stop where the log ends at `log_end`.
pub(crate) fn save(
    disk: &dyn Disk,
    root: &Path,
    queues: &Queues,
    log_end: i64,
) -> Result<(), Error> {
    let mut text = format!("{log_end}\n");
    for topic in queues.topics() {
        for id in queues.ids(&topic) {
            let end = queues.find(&topic, id).map_or(0, |queue| queue.max());
            text.push_str(&format!("{end} {id} {topic}\n"));
        }
    }
    let path = root.join(NAME);
    disk.replace(&path, text.as_bytes(), None).map_err(Error::io("write", &path))
}

/// Whether a queue ends earlier than noted; those that do are walked through. `log_end` is where
/// the log ended at the last clean stop of this broker; notes of another stop say nothing.
pub(crate) fn any_is_short(
    disk: &dyn Disk,
    root: &Path,
    queues: &Queues,
    log_end: Option<i64>,
) -> Result<bool, Error> {
    let Ok(text) = disk.read(&root.join(NAME)) else { return Ok(false) };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let noted_at = lines.next().and_then(|line| line.parse().ok());
    if noted_at.is_none() || noted_at != log_end {
        return Ok(false);
    }
    let mut short = false;
    for line in lines {
        let mut fields = line.splitn(3, ' ');
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (Some(noted), Some(id)) = (number(), number()) else { continue };
        let (Some(topic), Ok(id)) = (fields.next(), i32::try_from(id)) else { continue };
        let queue = queues.find(topic, id);
        let end = queue.as_ref().map_or(0, |queue| queue.max());
        if end < noted {
            tracing::error!(topic, id, end, noted, "the queue lost units, rebuilt from the log");
            queue.map_or(Ok(false), |queue| queue.load(false))?;
            short = true;
        }
    }
    Ok(short)
}
