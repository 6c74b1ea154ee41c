//! Start-up: where the log really ends, and what the queues and the index lack (docs/disk.md). A
//! torn tail is cut; damage with whole records behind it is set aside and nothing is lost by it.

mod batches;
mod claim;
mod deleted;
mod keys;

use self::claim::{Claim, is_dir_name};
pub(crate) use self::deleted::Deleted;
use self::keys::Keys;
use crate::checkpoint::{Checkpoint, Mark};
use crate::commit_log::{CommitLog, claimed_place};
use crate::consume_queue::{Queue, Restored, Unit};
use crate::index::Index;
use crate::light;
use crate::log_reader::LogReader;
use crate::losses::{Losses, is_told};
use crate::marks::Marks;
use crate::progress::Step;
use crate::queues::Queues;
use crate::removed_topics::RemovedTopics;
use crate::search::Search;
use crate::segments::{Cutting, Segment};
use crate::{Aside, Error, FlushMode, Progress, SetAside, Settings};
use message::record::{self, Entry, Record, RecordError};
use message::{properties, sys_flag};
use std::cell::Cell;

/// The least that a disk loses at once, bytes.
const SECTOR: usize = 512;
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

/// What a start did to the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovered {
    /// The log offset up to which the log was durable before.
    pub(crate) durable_to: i64,
    /// What was read: log offsets from and to, which is the log's end, and how many records.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) records: u64,
}

/// Where a scan ended and why.
struct Scanned {
    end: i64,
    records: u64,
    newest_time: i64,
    /// There are bytes behind the end that have to go.
    is_cut: bool,
    /// Units are lost whose records begin at this log offset or behind it, before the scan.
    again_from: Option<i64>,
    /// Where the last record begins.
    last: i64,
    /// When the first record was stored after another broker's last start.
    session: Option<i64>,
}

/// What a scan finds at a place.
enum Found {
    /// A record that ends there, stored at that time.
    Record { end: i64, time: i64 },
    /// The rest of the file is unused.
    Blank,
    /// Nothing was written here.
    Zeros,
    /// What is there cannot be right.
    Damage(String),
}

/// What lies behind damage.
enum Behind {
    /// Zeros, as far as the log's files go.
    Nothing,
    /// No record that belongs to the log.
    LeftOvers,
    /// The log goes on here.
    Log(i64),
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

    fn settle_queues(&self, end: i64, durable: i64) -> Result<(), Error> {
        let log_min = self.log.min();
        for topic in self.queues.topics() {
            let begin = log_min.max(self.removed_topics.end_of(&topic));
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let is_looked_at = queue.settle(log_min, durable, self.cutting)?;
                // They may be there in memory alone, as a start left them that died.
                let keeps_places = !self.clean && queue.ends_blank();
                self.keeps_places.set(self.keeps_places.get() || keeps_places);
                if !is_looked_at {
                    continue;
                }
                // The unit before the first one looks expired; a changed bit may make it look so.
                let Some((place, unit, next)) = queue.unit_before_first() else { continue };
                let within = begin..next.unwrap_or(end);
                let meant = self.log.one_bit_off(&unit, ((&topic, id), place), within);
                if let Some(unit) = meant.unwrap_or(None)
                    && queue.mend(place, unit)?
                {
                    self.losses.mended.note((&topic, id), place, place + 1);
                }
            }
        }
        Ok(())
    }

    /// Drops what queues have behind the log's end, and says what is lost with it.
    fn end_queues(&self, start: i64, end: i64) -> Result<(), Error> {
        let (is_foreign, losses) = (self.is_foreign, self.losses);
        let fresh_from = losses.fresh_from();
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let (from, to) = self.cut_queue(&queue, (&topic, id), end)?;
                let was_cut = is_foreign && self.clean;
                let dropped = match was_cut {
                    true => &losses.left_over,
                    false if queue.max() == to => &losses.kept,
                    false => &losses.behind,
                };
                dropped.note((&topic, id), from, to);
                if is_foreign && queue.log_end() > start {
                    self.drop_stale(&queue, (&topic, id), start)?;
                }
                if let Some(fresh_from) = fresh_from {
                    let is_lost = |unit: &Unit| losses.is_fresh(unit.log_offset, unit.log_end());
                    let note = |from, to| losses.aside.note((&topic, id), from, to);
                    queue.count_lost(fresh_from, &is_lost, &note);
                }
            }
        }
        Ok(())
    }

    /// Drops the units of a queue that lead behind the log's end, but for one that does so because
    /// a bit of it has changed. Returns from which place on and how far.
    fn cut_queue(&self, queue: &Queue, name: (&str, i32), end: i64) -> Result<(i64, i64), Error> {
        let max = queue.max();
        let within = self.removed_topics.end_of(name.0)..end;
        let mut first = max;
        while let Some(place) = queue.first_behind(end)? {
            let unit = queue.raw_unit(place).unwrap_or(Unit::NONE);
            let meant = match queue.is_batch() {
                true => Ok(None),
                false => self.log.one_bit_off(&unit, (name, place), within.clone()),
            };
            if let Some(unit) = meant.unwrap_or(None)
                && queue.mend(place, unit)?
            {
                self.losses.mended.note(name, place, place + 1);
            } else {
                first = place;
                if self.keeps_offsets(queue, place, end) {
                    // Consumers may have read them: no other message gets their places.
                    self.keeps_places.set(true);
                    self.keep_places(queue, place)?;
                    return Ok((place, max));
                }
                queue.end_at(place, self.cutting)?;
            }
        }
        Ok((first.min(queue.max()), max))
    }

    /// Whether the units from `place` on, which lead behind the log's end, look like those of
    /// messages that were there: they may have been read. Another broker gives their offsets again.
    fn keeps_offsets(&self, queue: &Queue, place: i64, end: i64) -> bool {
        let room = queue.log_end() - end;
        let is_near = room <= 2 * self.log.segments.file_bytes();
        let fits = queue.max() - place <= room / record::FIXED_LEN as i64;
        // Records begin where the log ends, none reaches over it; a clean stop leaves no such unit.
        let begins_behind = queue.raw_unit(place).is_some_and(|unit| unit.log_offset >= end);
        let is_ours = !self.is_foreign && !self.clean && !self.settings.cut_log_at_damage;
        is_ours && is_near && fits && begins_behind
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
        self.index.map_or(Ok(()), |index| index.truncate(0, self.cutting.before))?;
        Ok(Recovered::default())
    }

    /// Drops the last units of a queue that lead into what was scanned, though no record of theirs
    /// is there: Java leaves old units behind the end of a queue that it cut.
    fn drop_stale(&self, queue: &Queue, name: (&str, i32), start: i64) -> Result<(), Error> {
        let is_stale = |place: i64, unit: &Unit| {
            if queue.is_batch() {
                return self.is_stale_batch(unit, name, start);
            }
            let is_known =
                unit.log_offset >= start && !self.aside.overlaps(unit.log_offset, unit.log_end());
            is_known && !self.log.leads_to(unit, name, Some(place)) && {
                // Java puts a record whose place is not the next one at the end.
                let claimed = self.place_at(unit.log_offset, name);
                let claimed = claimed.filter(|_| self.log.leads_to(unit, name, None));
                claimed.is_none_or(|claimed| {
                    let there = queue.raw_unit(claimed).filter(|_| claimed < place);
                    there.is_some_and(|there| there.log_offset == unit.log_offset)
                })
            }
        };
        let dropped = queue.drop_stale(&is_stale, self.cutting)?;
        self.losses.left_over.note(name, queue.max(), queue.max() + dropped);
        Ok(())
    }

    /// The place that the record at a log offset says it has in a queue.
    fn place_at(&self, at: i64, name: (&str, i32)) -> Option<i64> {
        let segment = self.log.segments.find(at)?;
        match LogReader::default().entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) => claimed_place(&record, name),
            _ => None,
        }
    }

    /// After our own clean stop only what no queue knows has to be looked at: half messages at the
    /// end. Another broker may have cut the log and left old units behind, so that no unit says
    /// where its log ends: its last three files are read, as Java does.
    fn clean_start(&self) -> i64 {
        let queues_end = self.queues.all().iter().map(|queue| queue.log_end()).max().unwrap_or(0);
        let Some(noted) = self.checkpoint.durable_to() else {
            let files = 2 * self.log.segments.file_bytes();
            let from = (self.last_sound_segment(i64::MAX) - files).max(self.log.min());
            let from = self.not_behind_index(from.min(self.boundary_before(queues_end)));
            return self.not_behind_stale_index(from);
        };
        // A unit that leads behind the end is wrong, or was left there: the last file tells which.
        let at_end = self.log.segments.last().is_some_and(|last| last.end() == queues_end);
        let is_sound = queues_end <= noted && (at_end || self.is_boundary(queues_end));
        let start = if is_sound { queues_end } else { self.last_sound_segment(i64::MAX) };
        self.not_behind_index(start)
    }

    /// After a crash everything that may not have been durable is looked at: from where the last
    /// checkpoint ended, or when another broker made it, from the newest file on whose first record
    /// is older than it; and from where the index ends.
    fn unclean_start(&self) -> i64 {
        if self.queues.all().iter().all(|queue| queue.log_end() == 0) {
            return self.log.min();
        }
        let noted = self.checkpoint.durable_to();
        let last_end = self.log.segments.last().map_or(0, |last| last.end());
        let start = match noted {
            Some(at) if at >= last_end => last_end,
            Some(at) => self.boundary_before(at),
            None => self.last_sound_segment(self.checkpoint.safe_time()),
        };
        self.not_behind_stale_index(self.not_behind_index(start.max(self.log.min())))
    }

    /// From here on files are changed: a start that is refused now was no clean stop.
    fn touch(&self) {
        self.touched.set(true);
    }

    /// `start`, or where the index ends when that is earlier.
    fn not_behind_index(&self, start: i64) -> i64 {
        let Some(index) = self.index else { return start };
        match index.indexed_to() {
            Some(to) if to >= start || self.clean && !index.was_damaged() => start,
            Some(to) => self.boundary_before(to).min(start),
            None if index.was_damaged() => self.log.min(),
            None if self.is_foreign && start > self.log.min() => {
                tracing::error!("there is no index: it is made anew from the whole log");
                self.log.min()
            }
            None => start,
        }
    }

    /// `at` when a record can begin there, else the beginning of its file.
    fn boundary_before(&self, at: i64) -> i64 {
        let at = at.max(self.log.min());
        if self.is_boundary(at) { at } else { self.log.segments.start_for(at).max(self.log.min()) }
    }

    /// Whether a record can begin at `at`: one does, or the log ends there.
    fn is_boundary(&self, at: i64) -> bool {
        let Some(segment) = self.log.segments.find(at) else { return false };
        // Zeros before that stand in a record.
        let may_end = self.checkpoint.durable_to().is_none_or(|durable| at >= durable);
        match LogReader::default().entry(&segment, at, false) {
            Ok(Ok(Entry::Message(record))) => record.log_offset == at,
            Ok(Ok(Entry::Blank { .. })) => true,
            Ok(Err(RecordError::Magic(0))) => may_end,
            _ => false,
        }
    }

    /// The start of the last file that begins with a whole record stored at or before `time`; of
    /// the first file when there is none.
    fn last_sound_segment(&self, time: i64) -> i64 {
        let is_sound = |segment: &Segment| {
            let mut reader = LogReader::default();
            let first = reader.entry(segment, segment.start, self.settings.check_crc_on_recover);
            let Ok(Ok(Entry::Message(first))) = first else { return false };
            first.store_timestamp != 0 && first.store_timestamp <= time
        };
        let segments = self.log.segments.all();
        let found = segments.iter().rev().find(|segment| is_sound(segment));
        found.map_or_else(|| self.log.min(), |segment| segment.start)
    }

    /// Store time before which no record behind `start` was stored, ms since the epoch.
    fn time_at(&self, start: i64) -> i64 {
        match self.checkpoint.durable_to() {
            Some(at) if at <= start => self.checkpoint.get(Mark::LogTime),
            _ => 0,
        }
    }

    /// Walks the log from `start`, giving queues and index what they lack.
    fn scan(&self, start: i64) -> Result<Scanned, Error> {
        let newest_time = self.time_at(start);
        let mut scanned = Scanned {
            end: start,
            records: 0,
            newest_time,
            is_cut: false,
            again_from: None,
            last: -1,
            session: None,
        };
        let last = self.log.segments.last().map_or(start, |last| last.end());
        let total = u64::try_from(last - start).unwrap_or(0);
        let step = Step::begin(self.watch, "reading the commit log", total);
        let mut reader = LogReader::default();
        let mut keys = Keys::begin(self, start);
        // What is not found from the log's beginning on is nowhere.
        let start = if start <= self.log.min() { i64::MIN } else { start };
        while let Some(segment) = self.log.segments.find_from(scanned.end) {
            let at = scanned.end;
            if segment.start > at {
                if self.settings.cut_log_at_damage {
                    tracing::error!(from = at, to = segment.start, "log files are missing");
                } else {
                    self.set_aside(at, segment.start, "its file is missing")?;
                }
                scanned.end = segment.start;
                continue;
            }
            match self.look(&mut reader, &segment, &mut scanned, (start, &mut keys))? {
                Found::Record { end, time } => {
                    step.advance((end - at) as u64);
                    scanned.end = end;
                    scanned.records += 1;
                    scanned.newest_time = time;
                    if scanned.last == self.checkpoint.get(Mark::Confirmed) {
                        scanned.session = Some(time);
                    }
                    scanned.last = at;
                    self.aside.remove(at, end)?;
                }
                Found::Blank => scanned.end = self.pass_blank(at, &segment)?,
                Found::Zeros if self.settings.cut_log_at_damage => break,
                Found::Zeros => match self.pass_over(&scanned, "zeros", &step)? {
                    Behind::Nothing => break,
                    Behind::LeftOvers => scanned.is_cut = true,
                    Behind::Log(end) => scanned.end = end,
                },
                Found::Damage(why) => match self.pass_over(&scanned, &why, &step)? {
                    Behind::Nothing | Behind::LeftOvers => {
                        tracing::warn!(offset = at, why, "the commit log is cut here");
                        scanned.is_cut = true;
                    }
                    Behind::Log(end) => scanned.end = end,
                },
            }
            if scanned.is_cut {
                break;
            }
        }
        scanned.end = self.keep_durable(scanned.end)?;
        match self.index.map_or(Ok(()), |index| index.apply(self.checkpoint)) {
            // The keys wait for the first flush, which refuses messages until there is room.
            Err(error @ Error::Full { .. }) => {
                tracing::error!(%error, "index keys wait");
            }
            applied => applied?,
        }
        Ok(scanned)
    }

    /// The rest of a file is known to be unused.
    fn pass_blank(&self, at: i64, segment: &Segment) -> Result<i64, Error> {
        self.aside.remove(at, segment.end())?;
        Ok(segment.end())
    }

    /// What begins at the scan's end; a record is given to its queue and to the index.
    fn look(
        &self,
        reader: &mut LogReader,
        segment: &Segment,
        scanned: &mut Scanned,
        (start, keys): (i64, &mut Keys<'_>),
    ) -> Result<Found, Error> {
        let at = scanned.end;
        let entry = match reader.entry(segment, at, self.settings.check_crc_on_recover) {
            Ok(entry) => entry,
            Err(error) => return Ok(Found::Damage(format!("cannot be read: {error}"))),
        };
        let record = match entry {
            Ok(Entry::Message(record)) => record,
            Ok(Entry::Blank { size }) => {
                let fills = i64::from(size) == segment.end() - at;
                if fills || self.settings.cut_log_at_damage {
                    return Ok(Found::Blank);
                }
                return Ok(Found::Damage("a blank record that does not fill the file".into()));
            }
            Err(RecordError::Magic(0)) => {
                let size = reader.bytes(segment, at, 4);
                return Ok(match size.is_ok_and(|size| size.starts_with(&[0; 4])) {
                    true => Found::Zeros,
                    false => Found::Damage(RecordError::Magic(0).to_string()),
                });
            }
            Err(why) => return Ok(Found::Damage(why.to_string())),
        };
        if record.log_offset != at {
            return Ok(Found::Damage("a record of another place".into()));
        }
        if self.is_left_over(&record, scanned) {
            return Ok(Found::Damage("a record that is older than the log's end".into()));
        }
        // A place that was set aside for it is looked at no less strictly after a clean stop.
        let end = at + record.total_size() as i64;
        if looks_torn(&record) && (!self.clean || self.aside.overlaps(at, end)) {
            if !self.is_followed(segment, end) {
                return Ok(Found::Damage("properties have a sector of zeros".into()));
            }
            tracing::warn!(offset = at, topic = record.topic, "properties have a sector of zeros");
        }
        if let Some(from) = self.restore(&record, start, keys)? {
            scanned.again_from = Some(scanned.again_from.map_or(from, |known| known.min(from)));
        }
        Ok(Found::Record { end, time: record.store_timestamp })
    }

    /// Whether an old record begins where another broker's log ends, by chance, or because all have
    /// one size. It is older than the first one that the broker stored after its last start; or
    /// after a clean stop, unless that came soon after the start, the checkpoint has the last
    /// record's time. The log goes back from there and never reaches it again.
    fn is_left_over(&self, record: &Record<'_>, scanned: &Scanned) -> bool {
        if !self.is_foreign || scanned.records == 0 {
            return false;
        }
        let (newest, stored) = (scanned.newest_time, record.store_timestamp);
        let is_behind = match scanned.session {
            Some(since) if stored < since => true,
            _ => self.clean && newest == self.checkpoint.newest_time() && stored < newest,
        };
        is_behind && !self.reaches(record.log_offset, newest)
    }

    /// Whether a record of `time` or later stands in the row of records that begins at `at`.
    fn reaches(&self, mut at: i64, time: i64) -> bool {
        let mut reader = LogReader::default();
        while let Some(segment) = self.log.segments.find(at) {
            match reader.entry(&segment, at, false) {
                Ok(Ok(Entry::Message(record))) if record.log_offset == at => {
                    if record.store_timestamp >= time {
                        return true;
                    }
                    at += record.total_size() as i64;
                }
                Ok(Ok(Entry::Blank { .. })) => at = segment.end(),
                _ => return false,
            }
        }
        false
    }

    /// Whether a record or blank begins at `at`: one that looks torn and has another one behind it
    /// is kept, for to cut there would lose what follows.
    fn is_followed(&self, segment: &Segment, at: i64) -> bool {
        let (mut reader, mut at) = (LogReader::default(), at);
        while at < segment.end() {
            match reader.entry(segment, at, true) {
                Ok(Ok(Entry::Message(next))) if next.log_offset != at => return false,
                // Where it looks torn and is the last one, it is cut.
                Ok(Ok(Entry::Message(next))) if looks_torn(&next) => at += next.total_size() as i64,
                Ok(Ok(_)) => return true,
                _ => return false,
            }
        }
        false
    }

    /// Sets aside what cannot be read at the scan's end, when the log goes on behind it.
    fn pass_over(&self, scanned: &Scanned, why: &str, step: &Step<'_>) -> Result<Behind, Error> {
        let at = scanned.end;
        if self.settings.cut_log_at_damage {
            return Ok(Behind::LeftOvers);
        }
        let watch = |bytes| step.advance(bytes);
        let stale_before = if self.is_foreign { scanned.newest_time } else { i64::MIN };
        let mut search =
            Search::new(self.log, (self.queues, self.removed_topics), stale_before, &watch);
        let known = self.aside.end_of(at).filter(|known| search.goes_on_at(*known));
        if let Some(next) = known.or_else(|| search.run(at)) {
            self.set_aside(at, next, why)?;
            return Ok(Behind::Log(next));
        }
        if search.stale > 0 {
            tracing::warn!(
                offset = at,
                records = search.stale,
                "behind the log's end lie records that are older than it: left-overs, not taken"
            );
        }
        match self.log.segments.find(at) {
            Some(segment) if search.unreadable => {
                self.set_aside(at, segment.end(), why)?;
                Ok(Behind::Log(segment.end()))
            }
            _ if search.nonzero => Ok(Behind::LeftOvers),
            _ => Ok(Behind::Nothing),
        }
    }

    /// The log's end: `end`, unless more was durable once. What is missing up to there is no torn
    /// tail.
    fn keep_durable(&self, end: i64) -> Result<i64, Error> {
        let noted = self.checkpoint.durable_to().unwrap_or(0);
        let lost = self.gaps.iter().any(|gap| gap.to > end);
        let known = if lost {
            let ends = self.queues.all().into_iter().map(|queue| queue.log_end());
            // A unit that leads far away proves nothing.
            let file = self.log.segments.file_bytes();
            let most = self.gaps.iter().map(|gap| gap.to).max().unwrap_or(0) + file;
            ends.filter(|end| *end <= most).max().unwrap_or(0)
        } else {
            0
        };
        let durable = noted.max(known);
        if durable <= end || self.settings.cut_log_at_damage {
            return Ok(end);
        }
        let is_there = self.log.segments.find(durable).is_some();
        let at_end = self.log.segments.last().is_some_and(|last| last.end() == durable);
        let to = if is_there || at_end { durable } else { self.log.next_file(durable - 1) };
        self.set_aside(end, to, "it was durable once and holds no records any more")?;
        Ok(to)
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

/// Whether a power failure may have lost a part of the record. The body has a checksum; of the
/// properties whole sectors may be gone, which read as zeros as the file did at its birth. An
/// append seals properties in which zeros were sent, unless they are too long for it.
pub(crate) fn looks_torn(record: &Record<'_>) -> bool {
    let is_sealed = record::has_property_crc(record.properties);
    let fits = record.properties.len() <= properties::MAX_ENCODED_LEN - record::PROPERTY_CRC_ROOM;
    if !fits && !is_sealed || is_sealed && record::verify_property_crc(record.raw) == Some(true) {
        return false;
    }
    let properties_at = record.log_offset as usize + record.raw.len() - record.properties.len();
    let first = properties_at.next_multiple_of(SECTOR) - properties_at;
    let mut sectors = record.properties.get(first..).unwrap_or_default().chunks(SECTOR);
    sectors.any(|sector| sector.iter().all(|byte| *byte == 0))
}
