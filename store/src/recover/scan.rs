//! The walk through the log from where a start begins: what is a record, what is damage, and where
//! the log ends. What a record's queues and the index are given stands in [`super`].

use super::Recovery;
use super::keys::Keys;
use crate::Error;
use crate::checkpoint::Mark;
use crate::log_reader::LogReader;
use crate::progress::Step;
use crate::search::Search;
use crate::segments::Segment;
use message::properties;
use message::record::{self, Entry, Record, RecordError};
use std::cell::Cell;

/// The least that a disk loses at once, bytes.
const SECTOR: usize = 512;

/// Where a scan ended and why.
pub(super) struct Scanned {
    from: i64,
    pub(super) end: i64,
    pub(super) records: u64,
    pub(super) newest_time: i64,
    /// There are bytes behind the end that have to go.
    pub(super) is_cut: bool,
    /// Units are lost whose records begin at this log offset or behind it, before the scan.
    pub(super) again_from: Option<i64>,
    /// Where the last record begins.
    pub(super) last: i64,
    /// When the first record was stored after another broker's last start.
    pub(super) session: Option<i64>,
}

impl Scanned {
    /// Bytes of the log that are behind it.
    fn read(&self) -> u64 {
        u64::try_from(self.end - self.from).unwrap_or(0)
    }
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
    /// Store time before which no record behind `start` was stored, ms since the epoch.
    fn time_at(&self, start: i64) -> i64 {
        match self.checkpoint.durable_to() {
            Some(at) if at <= start => self.checkpoint.get(Mark::LogTime),
            _ => 0,
        }
    }

    /// Walks the log from `start`, giving queues and index what they lack.
    pub(super) fn scan(&self, start: i64) -> Result<Scanned, Error> {
        let newest_time = self.time_at(start);
        let mut scanned = Scanned {
            from: start,
            end: start,
            records: 0,
            newest_time,
            is_cut: false,
            again_from: None,
            last: -1,
            session: None,
        };
        let total = u64::try_from(self.log.segments.filled_to(start) - start).unwrap_or(0);
        let step = Step::begin(self.watch, "reading the commit log", total);
        let mut reader = LogReader::default();
        let mut keys = Keys::begin(self, start);
        // What is not found from the log's beginning on is nowhere.
        let start = if start <= self.log.min() { i64::MIN } else { start };
        while let Some(segment) = self.log.segments.find_from(scanned.end) {
            let at = scanned.end;
            step.reach(scanned.read());
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
        // What was set aside stays so, after a clean stop too: its place is another one's now.
        let end = at + record.total_size() as i64;
        let was_set_aside = self.aside.overlaps(at, end);
        if looks_torn(&record) && (!self.clean || was_set_aside) {
            if was_set_aside || !self.is_followed(segment, end) {
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
        let looked = Cell::new(scanned.read());
        let watch = |bytes| {
            looked.set(looked.get() + bytes);
            step.reach(looked.get());
        };
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
