//! The files of compacted queues: every record of their logs, and beside each the unit that leads
//! to it. What a running broker writes, or replaces, meanwhile is read again before it counts.

use super::Look;
use super::check::{CHUNK, READ_AGAIN};
use super::damage::{Kind, Place, Tally};
use super::files::{Run, RunFile};
use super::log_walk::{Cause, LogWalk, Step};
use super::window::Window;

use crate::compaction::{
    DELETE, DIR, Damaged, Dirs, LOG_DIR, POSITIONS, Shape, UNITS_DIR, damaged, offset_in, unit_of,
};
use crate::consume_queue::{BATCH_UNIT_LEN, BatchUnit};
use crate::{Disk, Error};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const UNIT: u64 = BATCH_UNIT_LEN as u64;
/// Bytes of units that are read at once.
const UNITS_CHUNK: usize = 1 << 16;

/// A compacted queue's name and files.
pub(super) struct Queue {
    pub(super) topic: String,
    pub(super) id: i32,
    pub(super) dirs: Dirs,
}

/// All compacted queues of a store, by topic and id.
pub(super) fn queues(disk: &dyn Disk, root: &Path) -> Result<Vec<Queue>, Error> {
    let root = root.join(DIR);
    let list = |dir: &Path| disk.list(dir).map_err(Error::io("list", dir));
    let mut names = BTreeSet::new();
    for dir in [LOG_DIR, UNITS_DIR].map(|name| root.join(name)) {
        for topic in list(&dir)?.into_iter().filter(|listed| listed.is_dir) {
            for queue in list(&dir.join(&topic.name))?.iter().filter(|listed| listed.is_dir) {
                if let Ok(id) = queue.name.parse::<i32>() {
                    names.insert((topic.name.clone(), id));
                }
            }
        }
    }
    let queue = |(topic, id): (String, i32)| {
        let dirs = Dirs::of(&root, &topic, id);
        Queue { topic, id, dirs }
    };
    Ok(names.into_iter().map(queue).collect())
}

/// What was found in all of them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) queues: u64,
    pub(super) records: u64,
    pub(super) damage: Tally,
    pub(super) notes: Vec<String>,
}

impl Look<'_> {
    /// Looks at every record and unit of compacted queues. `is_clean`: the last stop was.
    pub(super) fn check_compacted(&self, is_clean: bool) -> Result<Found, Error> {
        let mut found = Found::default();
        let tries = if is_clean { 1 } else { READ_AGAIN };
        for queue in queues(self.disk, &self.settings.root)? {
            let mut one = Found::default();
            for _ in 0..tries {
                let shape = Shape::of(self.settings);
                let mut walk = Walk {
                    disk: self.disk,
                    queue: &queue,
                    shape,
                    is_clean,
                    found: Found::default(),
                };
                walk.queue()?;
                one = walk.found;
                if one.damage.is_empty() {
                    break;
                }
            }
            found.queues += 1;
            found.records += one.records;
            found.damage.join(one.damage);
            found.notes.append(&mut one.notes);
        }
        self.check_positions(&mut found);
        let damaged = damaged(self.disk, &self.path(DIR))?;
        found.notes.extend(damaged.iter().map(|Damaged { path, bytes, topic, id }| {
            format!(
                "{} ({bytes} bytes) was moved aside by a compaction of topic {topic} queue {id}, \
                 which could not read all of it: when nothing can be got from it, remove it",
                path.display()
            )
        }));
        Ok(found)
    }

    fn check_positions(&self, found: &mut Found) {
        let path = self.path(DIR).join(POSITIONS);
        let Ok(text) = self.disk.read(&path) else { return };
        if offset_in(&text, "", 0).is_none() {
            found.damage.add(Kind::Config, Place::at(&path, 0), || {
                "no JSON of positions: the next compaction begins with each queue's first message"
                    .to_owned()
            });
        }
    }
}

/// A walk through one queue.
struct Walk<'a> {
    disk: &'a dyn Disk,
    queue: &'a Queue,
    shape: Shape,
    is_clean: bool,
    found: Found,
}

/// A pair of files in a walk.
struct Pair<'a> {
    log: LogWalk<'a>,
    units: Window<'a>,
    units_path: PathBuf,
    /// How many places the units' file has.
    places: u64,
    /// The next place.
    at: u64,
    /// The place behind the last unit, when it was looked for.
    units_end: Option<u64>,
    start: i64,
    /// Nothing follows on it.
    is_last: bool,
}

impl Pair<'_> {
    /// The unit at a place: `None` where there is none.
    fn unit(&mut self, place: u64) -> Option<BatchUnit> {
        if place >= self.places {
            return None;
        }
        let bytes = self.units.bytes(place * UNIT, BATCH_UNIT_LEN).ok()?;
        BatchUnit::decode(bytes.get(..BATCH_UNIT_LEN)?)
    }

    /// The place behind the last unit from the next place on.
    fn units_end(&mut self) -> u64 {
        if let Some(end) = self.units_end {
            return end;
        }
        let mut end = self.at;
        for place in self.at..self.places {
            if self.unit(place).is_some() {
                end = place + 1;
            }
        }
        *self.units_end.insert(end)
    }

    /// Goes on behind the units that lead to before a log offset.
    fn pass(&mut self, to: i64) {
        for place in self.at..self.places {
            match self.unit(place) {
                Some(unit) if unit.unit.log_offset >= to => return self.at = place,
                Some(_) => self.at = place + 1,
                None => {}
            }
        }
    }
}

impl<'a> Walk<'a> {
    fn queue(&mut self) -> Result<(), Error> {
        let logs = Run::list(self.disk, &self.queue.dirs.log)?;
        let units = Run::list(self.disk, &self.queue.dirs.units)?;
        let doomed = logs.strangers.iter().chain(&units.strangers);
        if doomed.into_iter().any(|name| name.ends_with(DELETE)) {
            self.found.notes.push(format!(
                "a compaction of topic {} queue {} was under way: the next start of Rockhopper \
                 ends it",
                self.queue.topic, self.queue.id
            ));
        }
        self.sizes(&logs, &units);
        let (mut last, count) = (-1, logs.files.len());
        for (number, file) in logs.files.iter().enumerate() {
            let same = units.files.iter().find(|units| units.start == file.start);
            let is_last = number + 1 == count;
            last = self.pair((&logs, file), (&units, same), is_last, last)?;
        }
        Ok(())
    }

    /// Files of other sizes than the settings say, and those without their partner.
    fn sizes(&mut self, logs: &Run, units: &Run) {
        let Shape { log_bytes, unit_bytes } = self.shape;
        let last = logs.files.last().map(|last| last.start);
        for (run, expected) in [(logs, log_bytes), (units, unit_bytes)] {
            for file in run.files.iter().filter(|file| file.len != expected) {
                if file.len == 0 && (run.dir == units.dir || Some(file.start) == last) {
                    continue;
                }
                self.found.damage.add(
                    Kind::CompactedFile,
                    Place::at(&run.path(file.start), file.len),
                    || format!("the file has {} bytes, expected {expected}", file.len),
                );
            }
        }
        for file in &units.files {
            if logs.files.iter().all(|log| log.start != file.start) {
                let place = Place::at(&logs.path(file.start), 0);
                let why = || "the file is not there, though its units are".to_owned();
                self.found.damage.add(Kind::CompactedFileMissing, place, why);
            }
        }
    }

    /// Walks through a file, whose records come behind the queue offset `last`; returns that of its
    /// last one.
    fn pair(
        &mut self,
        (logs, file): (&Run, &RunFile),
        (units, same): (&Run, Option<&RunFile>),
        is_last: bool,
        mut last: i64,
    ) -> Result<i64, Error> {
        let one = Run { dir: logs.dir.clone(), files: vec![file.clone()], strangers: vec![] };
        let mut window = Window::new(self.disk, UNITS_CHUNK);
        window.open(units.path(file.start));
        let mut pair = Pair {
            log: LogWalk::new(self.disk, one, Vec::new(), CHUNK),
            units: window,
            units_path: units.path(file.start),
            places: same.map_or(0, |file| file.len / UNIT),
            at: 0,
            units_end: None,
            start: file.start,
            is_last,
        };
        if same.is_none() && file.len > 0 {
            let place = Place::at(&pair.units_path, 0);
            let why = || "the file of the units is not there".to_owned();
            self.found.damage.add(Kind::CompactedUnit, place, why);
        }
        loop {
            match pair.log.step()? {
                Step::Record => match self.record(&mut pair, last) {
                    Some(offset) => last = offset,
                    None => return Ok(last),
                },
                Step::Gap(gap) if gap.cause == Cause::Damaged => {
                    let (path, at) = pair.log.place(gap.from);
                    let place = Place::at(&path, at).log(gap.from);
                    let why = || format!("{} bytes: {}", gap.to - gap.from, gap.why);
                    self.found.damage.add(Kind::CompactedRecord, place, why);
                    pair.pass(gap.to);
                }
                Step::Gap(_) => {}
                Step::End { .. } => break,
            }
        }
        self.rest(&mut pair);
        Ok(last)
    }

    /// Compares a record with its unit. Returns its queue offset, or `None` where the queue ends
    /// before it: what a start left behind the end is written over.
    fn record(&mut self, pair: &mut Pair<'_>, last: i64) -> Option<i64> {
        let place = pair.at;
        let unit = pair.unit(place);
        let is_end = unit.is_none() && place >= pair.units_end();
        let (path, start) = (pair.log.place(pair.start).0, pair.start);
        let (topic, id) = (self.queue.topic.as_str(), self.queue.id);
        let record = pair.log.record()?;
        let (log_offset, offset) = (record.log_offset, record.queue_offset);
        if is_end && pair.is_last && (!self.is_clean || offset <= last) {
            return None;
        }
        let at = (log_offset - start).unsigned_abs();
        let in_log = Place::at(&path, at).log(log_offset).queue(topic, id, offset);
        let why = match (record.topic, record.queue_id) {
            found if found != (topic, id) => {
                Some(format!("of topic {} queue {}", found.0, found.1))
            }
            _ if offset <= last => Some(format!("queue offset {offset} behind {last}")),
            _ => None,
        };
        let made = unit_of(&record);
        pair.at += 1;
        self.found.records += 1;
        if let Some(why) = why {
            self.found.damage.add(Kind::CompactedRecord, in_log, || why);
        }
        // Of what was taken over, the tags' code may be an address that Java left.
        let same = |unit: &BatchUnit, made: &BatchUnit| {
            let place = |it: &BatchUnit| (it.unit.log_offset, it.unit.size, it.base, it.count);
            place(unit) == place(made)
                && unit.store_timestamp == made.store_timestamp
                && (unit.unit.tags_code == made.unit.tags_code
                    || unit.unit.tags_code < i64::from(i32::MIN))
        };
        let fits = unit.zip(made).is_some_and(|(unit, made)| same(&unit, &made));
        if !fits && !pair.units_path.as_os_str().is_empty() && pair.places > 0 {
            let at = Place::at(&pair.units_path, place * UNIT).log(log_offset);
            self.found.damage.add(
                Kind::CompactedUnit,
                at.queue(topic, id, offset),
                || match unit {
                    Some(unit) => format!("it says {unit:?}, the record is {made:?}"),
                    None => "there is no unit of a record that is there".to_owned(),
                },
            );
        }
        Some(offset.max(last))
    }

    /// Units that lead behind the last record.
    fn rest(&mut self, pair: &mut Pair<'_>) {
        if pair.is_last && !self.is_clean {
            return;
        }
        let (path, end) = (pair.log.place(pair.start).0, pair.log.at());
        for place in pair.at..pair.places {
            let Some(unit) = pair.unit(place) else { continue };
            let log_offset = unit.unit.log_offset;
            let at = (log_offset - pair.start).try_into().unwrap_or(0);
            let (topic, id) = (self.queue.topic.as_str(), self.queue.id);
            let place = Place::at(&path, at).log(log_offset).queue(topic, id, unit.base);
            self.found.damage.add(Kind::CompactedRecord, place, || {
                format!("no record, though a unit leads here; the last one ends at {end}")
            });
        }
    }
}
