//! Whether a store holds together: one walk through the commit log, with queues and index beside
//! it, then the checkpoint and the configuration files.

use super::compacted_walk;
use super::damage::{Damage, Kind, Place, Tally};
use super::files::{self, Run};
use super::index_walk::{IndexWalk, Indexed};
use super::log_walk::{Cause, Gap, LogWalk, Step};
use super::marks::{FIELDS, Settled};
use super::queue_walk::{Expected, QueueWalk};
use super::stale_keys::StaleKeys;
use super::{Look, files::queues};
use crate::checkpoint::{Fields, Mark, OWN_MAGIC, SIZE};
use crate::index_file::Shape;
use crate::marks::{Marks, batch_unit};
use crate::progress::Step as Work;
use crate::recover::looks_torn;
use crate::timer::progress_in;
use crate::{Error, Unit};
use memchr::memmem;
use message::record::Record;
use message::{record, sys_flag};
use serde::Serialize;
use std::path::Path;

/// So often what looks damaged beside a running broker is read again.
pub(super) const READ_AGAIN: usize = 8;
/// Bytes of the log that are read at once.
pub(super) const CHUNK: usize = 4 << 20;

/// What is said of a directory that may be the wrong one.
pub(super) const NO_MESSAGES: &str = "there are no messages here: is this the right directory?";

/// What a look through a whole store found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Whether nothing is damaged.
    pub sound: bool,
    /// Whether `abort` is there: a broker runs, or was killed.
    pub unclean: bool,
    /// The first log offset.
    pub log_from: i64,
    /// The log offset behind the last record.
    pub log_to: i64,
    /// Whole records.
    pub records: u64,
    /// Bytes of the log that were looked at.
    pub log_bytes: u64,
    /// Queues.
    pub queues: u64,
    /// Queue units that lead to their records.
    pub units: u64,
    /// Index files.
    pub index_files: u64,
    /// Index entries.
    pub index_entries: u64,
    /// Compacted queues.
    pub compacted_queues: u64,
    /// Whole records of compacted queues.
    pub compacted_records: u64,
    /// Configuration files that can be read.
    pub config_files: u64,
    /// What is damaged, the worst first.
    pub damage: Vec<Damage>,
    /// What is worth knowing and is no damage.
    pub notes: Vec<String>,
    /// Where a broker that cuts would cut, and how many records it would lose.
    #[serde(skip)]
    pub(super) cut: Option<(i64, u64)>,
    /// Where the log ends, and up to where something knows of more.
    #[serde(skip)]
    pub(super) lost_end: Option<(i64, i64)>,
    /// Configuration files that are not there, and whether the `.bak` can be used.
    #[serde(skip)]
    pub(super) configs_gone: Vec<(String, bool)>,
    /// Records whose keys no index file has.
    #[serde(skip)]
    pub(super) not_indexed: u64,
}

impl Checked {
    /// Whether there is neither a record nor a queue.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0 && self.queues == 0 && self.compacted_queues == 0
    }

    /// With what was found in compacted queues.
    fn with(mut self, found: compacted_walk::Found) -> Self {
        self.compacted_queues = found.queues;
        self.compacted_records = found.records;
        self.notes.extend(found.notes);
        if self.is_empty() {
            self.notes.push(NO_MESSAGES.into());
        }
        self.damage.extend(found.damage.into_list());
        // Either may have said something of a configuration file.
        self.damage.sort_by_key(|damage| damage.kind);
        self.sound = self.damage.is_empty();
        self
    }
}

/// Counts of one walk.
#[derive(Default)]
struct Counts {
    records: u64,
    log_bytes: u64,
    newest_time: i64,
    /// When the first record was stored after the last start of a Java broker.
    session: Option<i64>,
    /// The log ends before bytes that Java left when it cut it.
    is_cut: bool,
    /// The log offsets before and behind the last record.
    last: (i64, i64),
    /// Behind the last record that queues show.
    visible_end: i64,
    /// Whether a record begins or ends where the checkpoint says that all is durable.
    met_durable_to: bool,
    /// Up to here the log goes on: a record not older than what was before it stands there.
    goes_on_to: i64,
    /// From here on a broker may cut.
    cut_from: i64,
    refuses_v2: bool,
    /// Where it cuts, and the records behind.
    cut: Option<(i64, u64)>,
    /// Where the log ends, and up to where something knows of more.
    lost_end: Option<(i64, i64)>,
}

/// One check under way.
struct Check<'a> {
    look: &'a Look<'a>,
    walk: LogWalk<'a>,
    queues: QueueWalk<'a>,
    index: Option<IndexWalk<'a>>,
    checkpoint: Option<Fields>,
    settled: Settled,
    damage: Tally,
    notes: Vec<String>,
    counts: Counts,
    configs_gone: Vec<(String, bool)>,
}

impl Counts {
    /// Notes that a broker that cuts does so here, unless it did before.
    fn cut_at(&mut self, at: i64) {
        if at >= self.cut_from && self.cut.is_none() {
            self.cut = Some((at, 0));
        }
    }
}

impl Look<'_> {
    /// Looks at every record, queue unit and index entry.
    ///
    /// # Errors
    /// When the directory is no store or cannot be read at all; what is only damaged is no error.
    pub fn check(&self) -> Result<Checked, Error> {
        self.check_cutting(i64::MAX, false)
    }

    /// [`Self::check`], which also tells where the log would end for a broker that cuts it at the
    /// first bad record from `cut_from` on, and that may not know records of version 2.
    pub(super) fn check_cutting(&self, cut_from: i64, refuses_v2: bool) -> Result<Checked, Error> {
        self.refuse_nothing()?;
        let mut damage = Tally::default();
        let checkpoint = self.read_checkpoint(&mut damage)?;
        let settled = Settled::read(self, checkpoint.as_ref())?;
        let run = Run::list(self.disk, &self.settings.commit_log_path())?;
        self.check_log_files(&run, &mut damage);
        let total = run.bytes();
        let log_from = run.files.first().map_or(0, |file| file.start);
        let aside = self.set_aside();
        let mut walk = LogWalk::new(self.disk, run, aside, CHUNK);
        walk.jump(log_from);
        let all = queues(self.disk, &self.settings.root)?;
        let mut queues = QueueWalk::new(self.disk, all, self.settings)?;
        queues.unknown.from = log_from;
        queues.removed = self.removed_topics();
        let known_end = queues.log_end()?;
        let shape =
            Shape { slots: self.settings.index_slots, entries: self.settings.index_entries };
        let names = files::index(self.disk, &self.settings.root)?;
        let live = settled != Settled::All;
        let is_foreign = checkpoint.as_ref().is_some_and(|it| it.durable_to().is_none());
        let index = self.settings.index.then(|| {
            let mut walk = IndexWalk::new(self.disk, self.path("index"), names, shape, live);
            walk.stale = is_foreign.then(StaleKeys::default);
            walk
        });
        let notes = Vec::new();
        let counts = Counts { cut_from, refuses_v2, ..Counts::default() };
        let look = self;
        let configs_gone = Vec::new();
        let mut check = Check {
            look,
            walk,
            queues,
            index,
            checkpoint,
            settled,
            damage,
            notes,
            counts,
            configs_gone,
        };
        let log_to = check.read_log(total, known_end)?;
        check.checkpoint(log_to);
        let config_files = check.config()?;
        let compacted = self.check_compacted(settled == Settled::All)?;
        Ok(check.done(log_from, log_to, config_files).with(compacted))
    }

    fn check_log_files(&self, run: &Run, damage: &mut Tally) {
        let expected = self.settings.commit_log_file_bytes;
        let last = run.files.last().map(|last| last.start);
        for name in run.strangers.iter().filter(|name| files::is_segment(name)) {
            damage.add(Kind::LogFile, Place::at(&run.dir.join(name), 0), || {
                "it is no file, but a directory or a link that leads nowhere".to_owned()
            });
        }
        for file in run.files.iter().filter(|file| file.len != expected) {
            if file.len == 0 && Some(file.start) == last {
                continue;
            }
            let place = Place::at(&run.path(file.start), file.len).log(file.start);
            damage.add(Kind::LogFile, place, || {
                format!("the file has {} bytes, expected {expected}", file.len)
            });
        }
    }

    fn read_checkpoint(&self, damage: &mut Tally) -> Result<Option<Fields>, Error> {
        let path = self.path("checkpoint");
        let is_whole = |fields: &Fields| fields.get(Mark::OwnSeal) == fields.seal();
        let mut read = Fields::peek(self.disk, &path)?;
        // A broker may be writing it: what is damaged is so each time.
        for _ in 0..READ_AGAIN {
            if read.as_ref().is_ok_and(is_whole) || !self.is_unclean()? {
                break;
            }
            read = Fields::peek(self.disk, &path)?;
        }
        if let Err(there @ 1..) = read {
            damage.add(Kind::Checkpoint, Place::at(&path, there as u64), || {
                format!("the file has {there} bytes, expected {SIZE}")
            });
        }
        Ok(read.ok())
    }
}

impl Check<'_> {
    /// Walks through the log; returns where it ends. `known_end` is behind the last record that a
    /// queue shows.
    fn read_log(&mut self, total: u64, known_end: i64) -> Result<i64, Error> {
        let work = Work::begin(self.look.watch, "reading the commit log", total);
        let end = loop {
            let before = self.walk.at();
            let step = self.walk.step()?;
            match step {
                Step::Record if self.is_left_over(before)? => {
                    self.notes.push(format!(
                        "old records behind the log's end at {before}, left from a log that was cut"
                    ));
                    break before;
                }
                Step::Record => self.record()?,
                Step::Gap(gap) => {
                    if self.is_stale(&gap, known_end)? {
                        self.notes.push(format!(
                            "old bytes behind the log's end at {}, left from a log that was longer",
                            gap.from
                        ));
                        break gap.from;
                    }
                    self.gap(gap);
                }
                Step::End { garbage } => {
                    self.end(before, garbage, known_end);
                    break self.counts.last.1.max(before);
                }
            }
            let passed = (self.walk.at() - before).unsigned_abs();
            work.advance(passed);
            self.counts.log_bytes += passed;
        };
        // What a broker wrote since the walk began may lie in files that were not there yet.
        let live = self.settled != Settled::All;
        let stale = live || self.may_be_cut();
        let mut stale_units = 0;
        let from = if self.counts.is_cut || self.is_proven_end() { 0 } else { end };
        self.queues.finish(from, stale.then_some(&mut stale_units))?;
        if stale_units > 0 {
            let what = match live {
                true => "a broker is writing there, or the next start drops them",
                false => "the next start drops them",
            };
            self.notes.push(format!("{stale_units} queue units lead behind {end}: {what}"));
        }
        let is_cut = self.was_cut_at_start();
        if let Some(index) = &mut self.index {
            index.finish(end, |at| self.queues.unknown.holds(at))?;
            // A start after another broker reads the last three files.
            let file = self.look.settings.commit_log_file_bytes as i64;
            let read_from = (end - 1).max(0) / file * file - 2 * file;
            let stale = index.stale.take().unwrap_or_default();
            match stale.judge(read_from, is_cut) {
                Ok(note) => self.notes.extend(note),
                Err(damage) => index.damage.join(damage),
            }
        }
        Ok(end)
    }

    fn record(&mut self) -> Result<(), Error> {
        let Some(record) = self.walk.record() else { return Ok(()) };
        let (log_offset, len) = (record.log_offset, record.total_size());
        let is_torn = looks_torn(&record);
        let (log_end, stored) = (log_offset + len as i64, record.store_timestamp);
        let settled = self.settled.covers(log_end, stored);
        let marks = Marks::read(record.properties);
        let is_visible = sys_flag::is_visible(record.sys_flag);
        // The place is needed only when something is wrong, but the record is borrowed until then.
        let start = log_offset - log_offset % self.look.settings.commit_log_file_bytes as i64;
        let place = Place { at: (log_offset - start).unsigned_abs(), ..Place::default() };
        let place = place.log(log_offset);
        let why = wrong_field(&record).filter(|_| settled);
        let is_v2 = record.magic == record::MAGIC_V2;
        if is_visible {
            let tags_code = marks.tags_code(self.look.settings, record.topic, stored);
            let size = i32::try_from(len).unwrap_or(i32::MAX);
            let own = Expected {
                topic: record.topic,
                queue_id: record.queue_id,
                queue_offset: record.queue_offset,
                unit: Unit { log_offset, size, tags_code },
                delayed_since: marks.is_due_time(record.topic).then_some(stored),
                batch: batch_unit(&record, self.look.settings),
                settled,
                // What is being written may have been read in part.
                is_torn: is_torn || !settled,
                place: place.clone(),
            };
            self.queues.take_all(own, marks.light_places(record.topic))?;
            self.counts.visible_end = log_end;
        }
        if is_torn && settled {
            self.queues.unknown.gaps.push((log_offset, log_end));
        }
        if let Some(index) = self.index.as_mut().filter(|_| !is_torn) {
            let mut hashes: Vec<i32> = marks.index_hashes(record.topic, record.sys_flag).collect();
            let tags = marks.has_tags().then(|| hashes.pop()).flatten();
            let unknown = &self.queues.unknown;
            let record = Indexed {
                log_offset,
                store_timestamp: stored,
                hashes: &hashes,
                tags,
                settled,
                place: place.clone(),
            };
            index.take(&record, |at| unknown.holds(at))?;
        }
        if let Some(why) = why {
            self.damage.add(Kind::RecordField, place, || why);
        }
        let counts = &mut self.counts;
        if counts.refuses_v2 && is_v2 {
            counts.cut_at(log_offset);
        }
        if let Some((_, lost)) = &mut counts.cut {
            *lost += 1;
        }
        let confirmed = self.checkpoint.as_ref().map(|fields| fields.get(Mark::Confirmed));
        if counts.records > 0 && confirmed == Some(counts.last.0) {
            counts.session = Some(stored);
        }
        counts.records += 1;
        counts.newest_time = counts.newest_time.max(stored);
        counts.last = (log_offset, log_end);
        let durable_to = self.checkpoint.as_ref().and_then(Fields::durable_to);
        counts.met_durable_to |= durable_to.is_some_and(|at| at == log_offset || at == log_end);
        Ok(())
    }

    /// Whether what looks like damage is only what a log that was cut left behind its end: no queue
    /// knows of it, and the queues know everything before it; or, as recovery sees it, a Java
    /// broker stopped cleanly, and all behind is older than what stands before.
    fn is_stale(&mut self, gap: &Gap, known_end: i64) -> Result<bool, Error> {
        if gap.cause != Cause::Damaged || self.settled != Settled::All {
            return Ok(false);
        }
        let durable_to = self.checkpoint.as_ref().and_then(Fields::durable_to).unwrap_or(0);
        let is_unknown =
            known_end <= gap.from && known_end == self.counts.visible_end && durable_to <= gap.from;
        let was_cut =
            self.foreign().is_some() && self.counts.records > 0 && !self.goes_on(gap.to)?;
        self.counts.is_cut |= was_cut;
        Ok(is_unknown || was_cut)
    }

    /// Whether the record at `at` is an old one that begins where the log ends, by chance or
    /// because all have one size.
    fn is_left_over(&mut self, at: i64) -> Result<bool, Error> {
        let stored = self.walk.record().map_or(i64::MAX, |record| record.store_timestamp);
        let since = self.counts.session.filter(|_| self.foreign().is_some());
        let is_older = since.is_some_and(|since| stored < since)
            || self.is_proven_end() && stored < self.counts.newest_time;
        let is_left = is_older && self.counts.records > 0 && !self.goes_on(at)?;
        self.counts.is_cut |= is_left;
        Ok(is_left)
    }

    /// The checkpoint, when another broker was the last one.
    fn foreign(&self) -> Option<&Fields> {
        self.checkpoint.as_ref().filter(|fields| fields.durable_to().is_none())
    }

    /// Whether the newest record so far is the one that a Java broker stored last: the checkpoint
    /// of its clean stop has the time.
    fn is_proven_end(&self) -> bool {
        let last = |fields: &Fields| fields.newest_time() == self.counts.newest_time;
        self.settled == Settled::All && self.counts.records > 0 && self.foreign().is_some_and(last)
    }

    /// Whether a record not older than the newest so far stands at `from` or behind it.
    fn goes_on(&mut self, from: i64) -> Result<bool, Error> {
        if from < self.counts.goes_on_to {
            return Ok(true);
        }
        let mut ahead = self.walk.again(self.look.disk, from, CHUNK);
        loop {
            let at = ahead.at();
            match ahead.step()? {
                Step::End { .. } => return Ok(false),
                Step::Gap(_) => {}
                Step::Record => {
                    let newest = self.counts.newest_time;
                    if ahead.record().is_some_and(|record| record.store_timestamp >= newest) {
                        self.counts.goes_on_to = at;
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn gap(&mut self, gap: Gap) {
        let file_bytes = self.look.settings.commit_log_file_bytes as i64;
        let lacks = self.walk.lacks(gap.from, file_bytes);
        let (path, at) = match &lacks {
            Some(path) => (path.clone(), (gap.from % file_bytes).unsigned_abs()),
            None => self.walk.place(gap.from),
        };
        let place = Place::at(&path, at).log(gap.from);
        let bytes = gap.to - gap.from;
        let kind = match gap.cause {
            Cause::Damaged => Kind::Record,
            Cause::SetAside => Kind::SetAside,
            Cause::Missing => Kind::LogFilesMissing,
            Cause::Expired => {
                self.notes.push(format!("{} was removed meanwhile", path.display()));
                self.queues.unknown.gaps.push((gap.from, gap.to));
                return;
            }
        };
        self.counts.cut_at(gap.from);
        // Our start goes on there.
        let durable_to = self.checkpoint.as_ref().and_then(Fields::durable_to);
        self.counts.met_durable_to |= durable_to == Some(gap.to);
        self.queues.unknown.gaps.push((gap.from, gap.to));
        let last = lacks.and_then(|_| self.walk.lacks(gap.to - 1, file_bytes));
        self.damage.add(kind, place, || {
            let why = match &last {
                Some(last) if *last == path => format!("{} is not there", named(&path)),
                Some(last) => format!("{} to {} are not there", named(&path), named(last)),
                None => gap.why,
            };
            format!("{bytes} bytes up to {}: {why}", gap.to)
        });
    }

    /// Judges where the log ends.
    fn end(&mut self, at: i64, garbage: Option<String>, known_end: i64) {
        let durable_to = self.checkpoint.as_ref().and_then(Fields::durable_to).unwrap_or(0);
        let clean = self.settled == Settled::All;
        // A record is written before its unit. A unit that leads far away proves nothing.
        let file = self.look.settings.commit_log_file_bytes as i64;
        let is_near = known_end <= at.saturating_add(file.saturating_mul(2));
        let promised = if clean || is_near { durable_to.max(known_end) } else { durable_to };
        let is_explained = (clean || durable_to <= at) && self.may_be_cut();
        if promised > at && !is_explained {
            let (path, byte) = self.walk.place(at);
            let place = Place::at(&path, byte).log(at);
            self.damage.add(Kind::Record, place, || {
                let what = garbage.unwrap_or_else(|| "no record".to_owned());
                format!(
                    "the log ends here, but its queues or checkpoint know of {promised}: {what}"
                )
            });
            self.queues.unknown.gaps.push((at, i64::MAX));
            self.counts.lost_end = Some((at, promised));
        } else if let Some(what) = garbage {
            self.notes.push(format!(
                "behind the log's end at {at} stand bytes that are no record ({what}); the next \
                 start passes over them"
            ));
        }
    }

    /// Whether Java cut the log, which leaves queue units behind the end: at its last start, or
    /// earlier and the last record that it stored is there.
    fn may_be_cut(&self) -> bool {
        self.counts.is_cut || self.is_proven_end() || self.was_cut_at_start()
    }

    /// Whether Java cut the log at its last start and stored nothing since.
    fn was_cut_at_start(&self) -> bool {
        let confirmed = self.foreign().map_or(0, |fields| fields.get(Mark::Confirmed));
        confirmed > 0 && confirmed == self.counts.last.0
    }

    fn checkpoint(&mut self, log_to: i64) {
        let path = self.look.path("checkpoint");
        let may_be_cut = self.may_be_cut();
        let Some(fields) = &self.checkpoint else {
            if self.counts.records > 0 {
                self.notes.push("there is no checkpoint: a start reads the whole log".into());
            }
            return;
        };
        if fields.is_blank() && self.counts.records > 0 {
            self.notes.push("the checkpoint is all zeros: a start reads the whole log".into());
            return;
        }
        let newest = self.counts.newest_time;
        let mut add = |mark: Mark, why: String| {
            self.damage.add(Kind::Checkpoint, Place::at(&path, mark as u64), || why);
        };
        // What was stored since the walk began may be known there already, and what stood in a part
        // of the log that was lost behind all records.
        let is_end_lost = self.queues.unknown.gaps.iter().any(|gap| gap.0 >= self.counts.last.1);
        let grows = is_end_lost || self.settled != Settled::All;
        for (mark, name) in FIELDS {
            let value = fields.get(mark);
            let most = if mark == Mark::QueuesTo { log_to } else { newest };
            // Java cuts the log and lets the fields be until they are passed.
            let grows = grows || may_be_cut && value > most;
            if value < 0 || value > most && !grows && self.counts.records > 0 {
                add(mark, format!("{name} is {value}, the log has {most}"));
            }
        }
        let magic = fields.get(Mark::OwnMagic);
        if magic != 0 && magic != OWN_MAGIC {
            add(Mark::OwnMagic, format!("Rockhopper's mark is {magic:#018x}"));
        } else if magic == OWN_MAGIC {
            if fields.get(Mark::OwnSeal) != fields.seal() {
                add(Mark::OwnSeal, "the checksum of Rockhopper's mark is wrong".into());
            }
            for (mark, own) in
                [(Mark::LogTime, Mark::OwnLogTime), (Mark::QueueTime, Mark::OwnQueueTime)]
            {
                // Another broker that wrote it since can only have gone on.
                if fields.get(mark) < fields.get(own) {
                    add(mark, format!("{} goes back behind {}", fields.get(mark), fields.get(own)));
                }
            }
        }
        let lost = fields.durable_to().filter(|at| {
            *at > self.queues.unknown.from && *at <= log_to && !self.counts.met_durable_to
        });
        if let Some(at) = lost.filter(|at| !self.queues.unknown.holds(*at)) {
            add(Mark::DurableTo, format!("no record begins or ends at {at}"));
        }
    }

    /// Reads every configuration file; returns how many can be read.
    fn config(&mut self) -> Result<u64, Error> {
        let dir = self.look.path("config");
        let listed = self.look.disk.list(&dir).map_err(Error::io("list", &dir))?;
        let mut read = 0;
        for file in listed.iter().filter(|file| !file.is_dir) {
            let Some(why) = self.look.config_error(&file.name, file.len)? else {
                read += 1;
                continue;
            };
            if file.name.ends_with(".bak") || file.name.ends_with(".tmp") {
                self.notes.push(format!("{}: {why}", dir.join(&file.name).display()));
            } else {
                self.damage.add(Kind::Config, Place::at(&dir.join(&file.name), 0), || why);
            }
        }
        self.timer_check()?;
        let is_old = self.settled == Settled::All || self.foreign().is_none();
        for name in self.look.needed.iter().filter(|_| is_old && self.counts.records > 0) {
            if listed.iter().all(|file| file.name != *name) && !self.look.has_config(name)? {
                let backup = self.look.usable_backup(&listed, name)?;
                let what = match backup {
                    Some(true) => "only its .bak is there",
                    Some(false) => "and its .bak cannot be used",
                    None => "nor is its .bak",
                };
                self.damage.add(Kind::Config, Place::at(&dir.join(name), 0), || {
                    format!("the file is not there, {what}")
                });
                self.configs_gone.push(((*name).to_owned(), backup == Some(true)));
            }
        }
        Ok(read)
    }

    /// A broker that writes it may be met in the middle.
    fn timer_check(&mut self) -> Result<(), Error> {
        let path = self.look.path("config/timercheck");
        let is_damaged = || {
            let bytes = self.look.disk.read(&path).unwrap_or_default();
            !bytes.is_empty() && progress_in(&bytes).is_none()
        };
        let tries = if self.look.is_unclean()? { READ_AGAIN } else { 1 };
        if (0..tries).all(|_| is_damaged()) {
            let why = "how far the timer came cannot be read: the next start looks up what was \
                       delivered";
            self.damage.add(Kind::Config, Place::at(&path, 0), || why.to_owned());
        }
        Ok(())
    }

    fn done(mut self, log_from: i64, log_to: i64, config_files: u64) -> Checked {
        self.remarks();
        let units = self.queues.units;
        let queue_count = self.queues.total;
        self.damage.join(self.queues.damage);
        let (mut index_files, mut index_entries, mut not_indexed) = (0, 0, 0);
        if let Some(index) = self.index {
            not_indexed = index.uncovered.count;
            (index_files, index_entries) = (index.files, index.entries);
            self.damage.join(index.damage);
        }
        let mut damage = self.damage.into_list();
        let log = self.walk;
        for damage in &mut damage {
            if let (true, Some(at)) = (damage.first.file.is_empty(), damage.first.log_offset) {
                damage.first.file = log.place(at).0.display().to_string();
            }
        }
        Checked {
            sound: damage.is_empty(),
            unclean: self.settled != Settled::All,
            log_from,
            log_to,
            records: self.counts.records,
            log_bytes: self.counts.log_bytes,
            queues: queue_count,
            units,
            index_files,
            index_entries,
            compacted_queues: 0,
            compacted_records: 0,
            config_files,
            damage,
            notes: self.notes,
            cut: self.counts.cut,
            lost_end: self.counts.lost_end,
            configs_gone: self.configs_gone,
            not_indexed,
        }
    }

    /// What is no damage and still worth a word.
    fn remarks(&mut self) {
        if self.queues.pending.count > 0 {
            self.notes.push(format!(
                "{} records from {} on have no queue unit yet: a broker that runs writes it \
                 shortly, else the next start does if their topic was not deleted",
                self.queues.pending.count, self.queues.pending.first
            ));
        }
        if self.queues.without_light > 0 {
            self.notes.push(format!(
                "{} places in light queues that are not there: these were removed, or their \
                 broker did not dispatch to them",
                self.queues.without_light
            ));
        }
        if self.queues.without_entry > 0 {
            self.notes.push(format!(
                "{} queue units lead to nothing in consumequeue_ext: filters look at their \
                 messages instead, which takes longer and loses nothing",
                self.queues.without_entry
            ));
        }
        for (topic, count) in std::mem::take(&mut self.queues.deleted) {
            let what = "from before it was deleted: they have no queue and expire with the log";
            self.notes.push(format!("topic {topic} has {count} records {what}"));
        }
        let topics = std::mem::take(&mut self.queues.without_queues);
        let texts = ["topics.json", "topics.json.changes"];
        let known = texts.map(|name| self.look.config_text(name)).concat();
        let mut topics: Vec<_> = topics.into_iter().collect();
        topics.sort();
        for (topic, (count, first)) in topics {
            let name = format!("\"{topic}\"");
            if known.is_empty() || memmem::find(&known, name.as_bytes()).is_some() {
                let why = format!("topic {topic} has no queues at all, but {count} records");
                let place = Place::default().log(first);
                self.damage.add(Kind::UnitMissing, place, || why);
            } else {
                let what = "no queues and is not in topics.json: deleted";
                self.notes.push(format!("topic {topic} has {count} records, {what}"));
            }
        }
        let Some(index) = &self.index else { return };
        if index.pending.count > 0 {
            self.notes.push(format!(
                "{} records from {} on are not in the index yet",
                index.pending.count, index.pending.first
            ));
        }
        if index.uncovered.count > 0 {
            self.notes.push(format!(
                "{} records from {} on were never indexed, or their index file is gone: queries \
                 by key do not find them",
                index.uncovered.count, index.uncovered.first
            ));
        }
    }
}

/// A file of the log by its directory and name.
fn named(path: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
    format!("{}/{}", path.parent().map(name).unwrap_or_default(), name(path))
}

/// What is wrong with a record whose lengths and body are right.
fn wrong_field(record: &Record<'_>) -> Option<String> {
    if looks_torn(record) {
        let (topic, id, offset) = (record.topic, record.queue_id, record.queue_offset);
        return Some(format!(
            "of the properties of message {offset} of topic {topic} queue {id} a whole sector is \
             zeros: it was lost, with keys, tags or others that stood there"
        ));
    }
    if record::has_property_crc(record.properties)
        && record::verify_property_crc(record.raw) == Some(false)
    {
        return Some("the properties' checksum is wrong".into());
    }
    if record.queue_id < 0 || record.queue_offset < 0 {
        let (id, offset) = (record.queue_id, record.queue_offset);
        return Some(format!("queue {id}, queue offset {offset}"));
    }
    if record.topic.is_empty() || record.topic.bytes().any(|byte| byte < b' ' || byte == b'/') {
        return Some(format!("topic {:?}", record.topic));
    }
    (record.store_timestamp <= 0).then(|| format!("store time {}", record.store_timestamp))
}
