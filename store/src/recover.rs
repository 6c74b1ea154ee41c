//! Start-up: where the log really ends, and what the queues and the index lack (docs/disk.md). A
//! torn tail is cut; damage with whole records behind it is set aside and nothing is lost by it.

mod batches;
mod begin;
mod claim;
mod deleted;
mod ends;
mod keys;
mod scan;

use self::claim::{Claim, is_dir_name};
pub(crate) use self::deleted::Deleted;
use self::keys::Keys;
use self::scan::Scanned;
pub(crate) use self::scan::looks_torn;
use crate::checkpoint::{Checkpoint, Mark};
use crate::commit_log::CommitLog;
use crate::consume_queue::{Restored, Unit};
use crate::index::Index;
use crate::light;
use crate::losses::{Losses, is_told};
use crate::marks::{self, Marks};
use crate::queues::Queues;
use crate::removed_topics::RemovedTopics;
use crate::segments::Cutting;
use crate::{Aside, Error, FlushMode, Progress, SetAside, Settings};
use message::record::Record;
use message::sys_flag;
use std::cell::Cell;

/// After so many scans, each from further back, one begins at the log's beginning.
const SCANS_MAX: u32 = 3;

/// The opened parts of a store, before they are known to agree.
pub(crate) struct Recovery<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) log: &'a CommitLog,
    pub(crate) queues: &'a Queues,
    pub(crate) removed_topics: &'a RemovedTopics,
    /// What tells topics that another broker deleted.
    pub(crate) deleted: Option<&'a Deleted>,
    pub(crate) index: Option<&'a Index>,
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) aside: &'a SetAside,
    /// Whether the last process stopped cleanly.
    pub(crate) clean: bool,
    /// Another broker may have left old records behind the log's end.
    pub(crate) is_foreign: bool,
    /// A queue lost units whose records begin at this log offset or behind it.
    pub(crate) lost_from: Option<i64>,
    /// Files of the log lack bytes from these log offsets on: they were shorter or are missing.
    pub(crate) gaps: Vec<Gap>,
    /// When the start began, ms since the epoch.
    pub(crate) now: i64,
    /// Told how far the start has come.
    pub(crate) watch: &'a dyn Fn(Progress),
    pub(crate) losses: &'a Losses,
    /// Set before files are changed.
    pub(crate) touched: &'a Cell<bool>,
    pub(crate) cutting: Cutting<'a>,
    /// Set when places of lost messages are kept behind the last one.
    pub(crate) keeps_places: &'a Cell<bool>,
}

/// Bytes that the log has lost as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What a start read of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The log offset up to which the log was durable before.
    pub(crate) durable_to: i64,
    /// The log offset from which on it was read.
    pub from: i64,
    /// The log offset up to which it was read: the log's end then.
    pub to: i64,
    /// How many records that were.
    pub records: u64,
}

impl Recovery<'_> {
    /// Brings log, queues and index to one end.
    pub(crate) fn run(&self) -> Result<Recovered, Error> {
        if self.log.segments.last().is_none() {
            return self.without_log();
        }
        let mut start = match (self.lost_from, self.clean) {
            (None, true) => self.clean_start(),
            (None, false) => self.unclean_start(),
            (Some(from), true) => self.boundary_before(from).min(self.clean_start()),
            (Some(from), false) => self.boundary_before(from).min(self.unclean_start()),
        };
        let mut scanned = self.scan(start)?;
        for round in 1.. {
            let Some(from) = self.further_back(start, &scanned) else { break };
            start = if round < SCANS_MAX { self.boundary_before(from) } else { self.log.min() };
            tracing::error!(start, "queues lack older units, the log is read again from here");
            scanned = self.scan(start)?;
        }
        let Scanned { end, records, .. } = scanned;
        tracing::info!(clean = self.clean, start, end, records, "commit log recovered");
        let durable_to = self.finish(start, scanned)?;
        Ok(Recovered { durable_to, from: start, to: end, records })
    }

    /// Cuts everything to the end that was found. Returns up to where it was durable.
    fn finish(&self, start: i64, scanned: Scanned) -> Result<i64, Error> {
        self.touch();
        let end = scanned.end;
        let later_files = self.log.segments.last().is_some_and(|last| last.start > end);
        if !self.clean || later_files || scanned.is_cut {
            self.log.segments.truncate(end, self.cutting)?;
        }
        self.aside.remove(end, i64::MAX)?;
        self.aside.forget_before(self.log.min(), self.log.segments.dir())?;
        for gap in self.gaps.iter().filter(|gap| gap.from < end) {
            self.set_aside(gap.from, gap.to.min(end), "its file was shorter or is missing")?;
        }
        self.end_queues(start, end)?;
        let durable = match self.checkpoint.durable_to() {
            _ if self.clean => end,
            Some(noted) => noted.min(end),
            None => start.min(end),
        };
        self.settle_queues(end, durable)?;
        if let Some(index) = self.index {
            index.truncate(end, self.cutting.before)?;
        }
        let newest = match self.checkpoint.durable_to() {
            Some(_) => scanned.newest_time.max(self.checkpoint.get(Mark::LogTime)),
            None if scanned.records > 0 => scanned.newest_time,
            None => self.checkpoint.get(Mark::LogTime),
        };
        self.log.start_at(durable, end);
        self.log.advance(end, newest);
        if self.settings.flush_mode == FlushMode::Sync {
            // Readers see only what is durable, and everything here was acknowledged.
            self.log.sync()?;
        }
        Ok(durable)
    }

    /// From where the log has to be read again, when that is before `start`: queues lack units, or
    /// the checkpoint that chose the start names a time that no record has.
    fn further_back(&self, start: i64, scanned: &Scanned) -> Option<i64> {
        if start <= self.log.min() {
            return None;
        }
        let known = self.clean || self.checkpoint.durable_to().is_some();
        let lies = !known && self.checkpoint.safe_time() > scanned.newest_time;
        if lies {
            tracing::error!(
                checkpoint = self.checkpoint.safe_time(),
                newest = scanned.newest_time,
                "the checkpoint names a time that no message has, it is not believed"
            );
            return Some(self.log.min());
        }
        scanned.again_from.map(|from| from.max(self.log.min())).filter(|from| *from < start)
    }

    /// No log: then no queue can lead anywhere. Most likely its directory is not mounted.
    fn without_log(&self) -> Result<Recovered, Error> {
        let with_units = self.queues.all().iter().filter(|queue| queue.max() > 0).count();
        // A new store may lose its first file with all of it, before anything was durable.
        let was_durable = self.checkpoint.durable_to() != Some(0);
        if with_units > 0 && was_durable && !self.settings.cut_log_at_damage {
            let why = format!(
                "there is no commit log, but {with_units} queues whose messages were in it. Mount \
                 or restore the directory. To go on without these messages move consumequeue, \
                 index and checkpoint out of {}",
                self.settings.root.display()
            );
            return Err(Error::Corrupt { path: self.settings.commit_log_path(), why });
        }
        self.touch();
        for topic in self.queues.topics() {
            tracing::warn!(%topic, "there is no commit log: the topic's queues are removed");
            self.queues.remove(&topic)?;
        }
        self.log.start_at(0, 0);
        self.checkpoint.forget_log_min();
        match self.checkpoint.sync() {
            // With the next checkpoint.
            Ok(()) | Err(Error::Full { .. }) => {}
            failed => failed?,
        }
        self.index.map_or(Ok(()), |index| index.truncate(0, self.cutting.before))?;
        Ok(Recovered::default())
    }

    /// From here on files are changed: a start that is refused now was no clean stop.
    fn touch(&self) {
        self.touched.set(true);
    }

    fn set_aside(&self, from: i64, to: i64, why: &str) -> Result<(), Error> {
        let aside = Aside { from, to, found_ms: self.now, why: why.to_owned() };
        if self.aside.add(aside)? {
            self.touch();
            let number = {
                let mut fresh = self.losses.fresh.lock();
                fresh.push((from, to));
                fresh.len() as u64
            };
            if !is_told(number) {
                return Ok(());
            }
            tracing::error!(
                number,
                from,
                to,
                bytes = to - from,
                why,
                file = %self.log.segments.path(self.log.segments.start_for(from)).display(),
                "the commit log is damaged here: the range is set aside (file setaside), messages \
                 in it cannot be read, all others can. Nothing was deleted. Check the disk (dmesg, \
                 SMART); `rockhopper store verify` shows what is affected. A Java broker would cut \
                 the log here, and so does cutLogAtDamage=true"
            );
        }
        Ok(())
    }

    /// Gives a record to its queues and to the index. Returns from where older records of a queue
    /// have to be looked for, when it lacks their units and the scan began behind them.
    fn restore(
        &self,
        record: &Record<'_>,
        start: i64,
        keys: &mut Keys<'_>,
    ) -> Result<Option<i64>, Error> {
        let marks = Marks::read(record.properties);
        let mut again_from = None;
        if sys_flag::is_visible(record.sys_flag) {
            let size = i32::try_from(record.total_size()).expect("decoded from an i32");
            let tags_code = marks.tags_code(self.settings, record.topic, record.store_timestamp);
            let unit = Unit { log_offset: record.log_offset, size, tags_code };
            if is_dir_name(record.topic) {
                let claim = Claim::own(record);
                let unit = match marks.is_due_time(record.topic) {
                    true => self.with_time_of_its_day(&claim, unit, record.store_timestamp),
                    false => unit,
                };
                again_from = match self.queues.batch_topics.contains(record.topic) {
                    true => self.restore_batch(&claim, record, start)?,
                    false => self.restore_in(&claim, unit, start)?,
                };
            }
            if self.settings.light_queues {
                for (topic, place) in marks.light_places(record.topic) {
                    let claim = Claim { topic, queue_id: light::QUEUE_ID, place };
                    let from = self.restore_in(&claim, unit, start)?;
                    again_from = again_from.into_iter().chain(from).min();
                }
            }
        }
        keys.take(self, record, &marks)?;
        Ok(again_from)
    }

    /// The unit of a delayed message with the time that its queue has: it was made of the levels of
    /// that day, and stays when they change, as in Java.
    fn with_time_of_its_day(&self, claim: &Claim<'_>, unit: Unit, stored_ms: i64) -> Unit {
        let Some(queue) = self.queues.find(claim.topic, claim.queue_id) else { return unit };
        let is_same = |found: &Unit| (found.log_offset, found.size) == (unit.log_offset, unit.size);
        let found = queue.unit(claim.place).filter(is_same);
        let found = found.and_then(|found| queue.early_code(&found, stored_ms));
        let of_a_level = found.filter(|code| marks::is_from_a_level(*code, stored_ms));
        Unit { tags_code: of_a_level.unwrap_or(unit.tags_code), ..unit }
    }

    /// Gives the unit of a record to one queue, unless that was removed since.
    fn restore_in(&self, claim: &Claim<'_>, unit: Unit, start: i64) -> Result<Option<i64>, Error> {
        if self.is_removed(claim, unit.log_offset)? {
            return Ok(None);
        }
        let Claim { topic, queue_id, place } = *claim;
        let name = (topic, queue_id);
        let queue = self.queues.open(topic, queue_id);
        let (end, log_end) = (queue.max(), queue.log_end());
        let has_hole = place > end && !queue.is_new();
        if place >= end {
            self.touch();
        }
        let is_right = |place: Option<i64>, unit: &Unit| self.log.leads_to(unit, name, place);
        match queue.restore(place, unit, start, &is_right)? {
            Restored::Known => {
                if has_hole && self.losses.is_fresh(log_end, unit.log_offset) {
                    self.losses.aside.note(name, end, queue.max() - 1);
                }
            }
            Restored::Mended => {
                self.touch();
                self.losses.mended.note(name, place, place + 1);
            }
            Restored::Unextended => {
                self.touch();
                self.losses.doubted.note(name, place, place + 1);
            }
            Restored::LacksOlder { from } => return Ok(Some(from)),
        }
        Ok(None)
    }

    /// Whether a record's place is one in a topic that was removed since.
    fn is_removed(&self, claim: &Claim<'_>, log_offset: i64) -> Result<bool, Error> {
        if log_offset < self.removed_topics.end_of(claim.topic) {
            return Ok(true);
        }
        let Some(deleted) = self.deleted else { return Ok(false) };
        deleted.holds((claim, log_offset), (self.log, self.queues), self.removed_topics)
    }
}
