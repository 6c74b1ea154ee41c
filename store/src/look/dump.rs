//! Single records, found by their place in the log or in a queue, as bytes.

use super::Look;
use super::files::{self, Run, RunFile};
use super::queue_walk;
use crate::{Error, Unit};
use message::record::{self, Entry, FIXED_LEN, RecordError};

/// The most that is taken for a record.
const RECORD_MAX: usize = 256 << 20;

/// One place that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The log offset.
    pub log_offset: i64,
    /// The queue offset and unit that led there.
    pub unit: Option<(i64, Unit)>,
    /// What stands there: a whole record when there is no problem, else what there is of it.
    pub bytes: Vec<u8>,
    /// Why it is no record, or not a sound one.
    pub problem: Option<String>,
}

impl Look<'_> {
    /// Up to `count` records from a log offset on. Ends behind one that cannot be read.
    ///
    /// # Errors
    /// When the directory is no store or cannot be listed, or no file of the log has the offset.
    pub fn dump_log(
        &self,
        from: i64,
        count: u64,
        show: &mut dyn FnMut(Dumped),
    ) -> Result<(), Error> {
        self.refuse_nothing()?;
        let run = Run::list(self.disk, &self.settings.commit_log_path())?;
        if let Some(why) = outside(&run, from) {
            return Err(Error::Corrupt { path: run.dir, why });
        }
        let mut at = from;
        for _ in 0..count {
            let mut found = self.at(&run, at);
            if let Some(next) = blank_end(&run, at, &found) {
                at = next;
                found = self.at(&run, at);
            }
            at = at.saturating_add(found.bytes.len() as i64);
            // Behind the last record there is nothing to be shown, unless it was asked for.
            let ends = found.problem.is_some();
            if !ends || found.log_offset == from {
                show(found);
            }
            if ends {
                break;
            }
        }
        Ok(())
    }

    /// Up to `count` records of a queue from a queue offset on, or from its first one.
    ///
    /// # Errors
    /// When the directory is no store, cannot be listed, or has no such queue.
    pub fn dump_queue(
        &self,
        (topic, id): (&str, i32),
        from: Option<i64>,
        count: u64,
        show: &mut dyn FnMut(Dumped),
    ) -> Result<(), Error> {
        self.refuse_nothing()?;
        let all = files::queues(self.disk, &self.settings.root)?;
        let known = all.into_iter().find(|queue| (queue.0.as_str(), queue.1) == (topic, id));
        let dir = known.map(|(_, _, dir)| dir);
        let dir = dir.unwrap_or_else(|| self.path("consumequeue").join(topic).join(id.to_string()));
        let run = Run::list(self.disk, &self.settings.commit_log_path())?;
        let log_from = run.files.first().map_or(0, |file| file.start);
        let ends = queue_walk::ends(self.disk, &dir, self.settings, log_from)?;
        if ends.bytes == 0 {
            let why = "there is no such queue; rockhopper store inspect lists those that are there";
            return Err(Error::Corrupt { path: dir, why: why.into() });
        }
        let from = from.unwrap_or(ends.min);
        let to = from.saturating_add_unsigned(count).min(ends.max);
        if from < 0 || from >= ends.max {
            let why = format!("the queue has offsets {} to {}", ends.min, ends.max - 1);
            return Err(Error::Corrupt { path: dir, why });
        }
        let mut offset = from;
        while offset < to {
            let found = queue_walk::unit(self.disk, &dir, self.settings, offset)?;
            let (unit, next) = found.map_or((None, offset + 1), |(unit, next)| (Some(unit), next));
            let found = unit.filter(|unit| !unit.is_blank()).map(|unit| {
                let mut found = self.at(&run, unit.log_offset);
                found.unit = Some((offset, unit));
                found
            });
            show(found.unwrap_or_else(|| Dumped {
                log_offset: -1,
                unit: None,
                bytes: Vec::new(),
                problem: Some(format!("queue offset {offset} has no unit")),
            }));
            offset = next;
        }
        Ok(())
    }

    pub(super) fn at(&self, run: &Run, log_offset: i64) -> Dumped {
        let dumped = |bytes: Vec<u8>, problem: Option<String>| Dumped {
            log_offset,
            unit: None,
            bytes,
            problem,
        };
        let Some(file) = holder(run, log_offset) else {
            return dumped(Vec::new(), outside(run, log_offset));
        };
        let (path, at) = (run.path(file.start), (log_offset - file.start).unsigned_abs());
        let mut bytes = vec![0; FIXED_LEN];
        let read =
            |bytes: &mut Vec<u8>| self.disk.peek(&path, at, bytes).map(|read| bytes.truncate(read));
        if let Err(error) = read(&mut bytes) {
            return dumped(Vec::new(), Some(format!("read {}: {error}", path.display())));
        }
        let short = record::decode(&bytes, false);
        if let Err(RecordError::Short { needed, .. }) = short
            && needed <= RECORD_MAX
        {
            bytes.resize(needed.max(FIXED_LEN), 0);
            if let Err(error) = read(&mut bytes) {
                return dumped(Vec::new(), Some(format!("read {}: {error}", path.display())));
            }
            bytes.truncate(needed);
        }
        let problem = match record::decode(&bytes, true) {
            Ok(Entry::Message(record)) if record.log_offset == log_offset => None,
            Ok(Entry::Message(record)) => {
                Some(format!("the record says that it begins at {}", record.log_offset))
            }
            Ok(Entry::Blank { size }) => {
                Some(format!("a blank of {size} bytes: the next record begins the next file"))
            }
            Err(error) => Some(error.to_string()),
        };
        dumped(bytes, problem)
    }
}

/// The file that holds a log offset.
fn holder(run: &Run, log_offset: i64) -> Option<&RunFile> {
    let holds = |file: &&RunFile| {
        (file.start..file.start.saturating_add_unsigned(file.len)).contains(&log_offset)
    };
    run.files.iter().find(holds)
}

/// What is said of a log offset that no file holds.
fn outside(run: &Run, log_offset: i64) -> Option<String> {
    if holder(run, log_offset).is_some() {
        return None;
    }
    Some(match (run.files.first(), run.end()) {
        (Some(first), Some(end)) if (first.start..end).contains(&log_offset) => {
            format!("no file of the log has offset {log_offset}")
        }
        (Some(first), Some(end)) => {
            format!("the log's files have offsets {} to {}", first.start, end - 1)
        }
        _ => "the log has no files".to_owned(),
    })
}

/// Where the next file begins, when a blank was found.
fn blank_end(run: &Run, at: i64, found: &Dumped) -> Option<i64> {
    let is_blank = matches!(record::decode(&found.bytes, false), Ok(Entry::Blank { .. }));
    let next = run.files.iter().find(|file| file.start > at)?;
    is_blank.then_some(next.start)
}
