//! Appending: many messages under one lock, encoded into one buffer, written by one positional
//! write a segment, with their queue units and index keys at once.

use crate::commit_log::CommitLog;
use crate::consume_queue::{Extended, Queue, Unit};
use crate::index::{Index, IndexKey};
use crate::light;
use crate::marks::{self, Marks};
use crate::segments::Segment;
use crate::{Error, FlushMode, Store};
use message::record::{self, BLANK_LEN, MAGIC_BLANK};
use message::{Draft, DraftError, Placement, Properties, names, property, scan, sys_flag};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that a record may have besides the largest body (Java `MessageExtEncoder`).
const RECORD_EXTRA: usize = 64 << 10;
/// Under [`FlushMode::Sync`] what is written to new blocks of the log ends, with zeros, at a
/// multiple of this. A sync of a block that was never written has to note in the file system's
/// journal that it is now, and waits for that; one of a block that was goes to the medium alone.
const NEW_BLOCKS: i64 = 256 << 10;
/// The buffer is given back when a batch made it larger than this.
const BUFFER_KEPT: usize = 4 << 20;

/// What is stored as one: a message, or a batch of which all messages are stored or none.
#[derive(Clone, Debug)]
pub enum Drafts {
    /// One message.
    One(Draft),
    /// A client's batch: at least one message, side by side in the log.
    Batch(Vec<Draft>),
}

impl Drafts {
    /// The messages.
    pub fn as_slice(&self) -> &[Draft] {
        match self {
            Self::One(draft) => std::slice::from_ref(draft),
            Self::Batch(drafts) => drafts,
        }
    }

    /// The topic of all of them; empty where there is none.
    pub fn topic(&self) -> &str {
        self.as_slice().first().map_or("", |first| &first.topic)
    }

    fn as_mut_slice(&mut self) -> &mut [Draft] {
        match self {
            Self::One(draft) => std::slice::from_mut(draft),
            Self::Batch(drafts) => drafts,
        }
    }
}

/// One entry of the list that [`Store::append`] works off.
#[derive(Clone, Debug)]
pub struct Append {
    /// What to store.
    pub drafts: Drafts,
    /// What became of it; set by [`Store::append`].
    pub outcome: Result<Appended, AppendError>,
}

impl Append {
    /// Asks for one message to be stored.
    pub fn one(draft: Draft) -> Self {
        Self { drafts: Drafts::One(draft), outcome: Err(AppendError::NotTried) }
    }

    /// Asks for a batch to be stored.
    pub fn batch(drafts: Vec<Draft>) -> Self {
        Self { drafts: Drafts::Batch(drafts), outcome: Err(AppendError::NotTried) }
    }
}

/// Where messages were stored. They are durable when the store's [`Store::flushed_to`] has passed
/// [`Self::log_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the first record begins in the commit log.
    pub log_offset: i64,
    /// The bytes of all records together.
    pub size: i64,
    /// The queue offset of the first message; the others follow one by one.
    pub queue_offset: i64,
    /// How many messages there are.
    pub count: usize,
    /// The store time, ms since the epoch.
    pub store_timestamp: i64,
}

impl Appended {
    /// The log offset behind the last record.
    pub fn log_end(&self) -> i64 {
        self.log_offset + self.size
    }
}

/// Why messages were not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// [`Store::append`] has not seen it yet.
    NotTried,
    /// A batch without messages.
    Empty,
    /// Topic, properties or body do not fit a record.
    Draft(DraftError),
    /// The topic cannot be the name of a directory.
    TopicName,
    /// The record, or the batch, is larger than the settings or a file allow.
    TooLarge {
        /// Bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Among the names of light queues stands one that is none: a stock broker which opens the
    /// store stops dispatching at such a message.
    LightQueueName,
    /// An inner batch for a topic whose queues are of single messages.
    NoBatchTopic,
    /// There may be no more light queues.
    LightQueues {
        /// The limit.
        max: usize,
    },
    /// The disk or the store is full; [`Store::full`] says what was reached.
    DiskFull,
    /// A write or sync failed; nothing is stored until a restart.
    Fenced,
    /// The store was closed.
    Closed,
}

impl AppendError {
    /// Whether the store takes nothing now. Any other error is this message's own, and comes each
    /// time that it is tried.
    pub fn is_for_now(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Fenced | Self::Closed)
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried => write!(f, "not tried"),
            Self::Empty => write!(f, "the batch is empty"),
            Self::Draft(error) => write!(f, "{error}"),
            Self::TopicName => write!(f, "the topic cannot be a directory's name"),
            Self::TooLarge { size, max } => {
                write!(f, "the message takes {size} bytes, at most {max} are allowed")
            }
            Self::LightQueueName => write!(
                f,
                "{} names a light queue and something that is none",
                property::INNER_MULTI_DISPATCH
            ),
            Self::NoBatchTopic => write!(f, "the topic holds no inner batches"),
            Self::LightQueues { max } => write!(f, "there are {max} light queues"),
            Self::DiskFull => write!(f, "the disk is full"),
            Self::Fenced => write!(f, "the store takes no more writes after a failure"),
            Self::Closed => write!(f, "the store is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

/// What the append lock guards.
pub(crate) struct Writer {
    /// Where `buffer` will be written in the log.
    at: i64,
    /// Records before this log offset are written, and so are their queue units.
    whole_to: i64,
    /// Encoded records, one after another.
    buffer: Vec<u8>,
    /// Blocks before this log offset were written, with records or with zeros.
    blocks_to: i64,
    /// The segment that holds `at`; `None` before the first append and after a full one.
    segment: Option<Segment>,
    /// Queues that have units to be written.
    queues: Vec<Arc<Queue>>,
    /// Index keys of the records in `buffer`.
    keys: Vec<IndexKey>,
    /// Messages in `buffer`.
    messages: u64,
}

/// Where the writer goes on after a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Behind what was written.
    Stay,
    /// In the next segment: what was written ends with a blank record.
    Roll,
}

impl Writer {
    /// A writer that goes on at the log's end.
    pub(crate) fn new(log: &CommitLog) -> Self {
        Self {
            at: log.written_to(),
            whole_to: log.written_to(),
            buffer: Vec::new(),
            blocks_to: 0,
            segment: None,
            queues: Vec::new(),
            keys: Vec::new(),
            messages: 0,
        }
    }

    /// Records before this log offset are written, and so are their queue units.
    pub(crate) fn whole_to(&self) -> i64 {
        self.whole_to
    }

    fn end(&self) -> i64 {
        self.at + self.buffer.len() as i64
    }

    /// Puts zeros behind records that reach into new blocks of their file, which has room for them
    /// up to a log offset.
    fn fill_blocks(&mut self, room_to: i64) {
        let end = self.end();
        if end > self.blocks_to {
            let room_to = self.segment.as_ref().map_or(end, |file| file.end().min(room_to));
            self.blocks_to = ((end / NEW_BLOCKS + 1) * NEW_BLOCKS).min(room_to).max(end);
            let zeros = (self.blocks_to - end) as usize;
            self.buffer.resize(self.buffer.len() + zeros, 0);
        }
    }

    /// Gives a queue the unit of a record that is about to be written, at a time (ms since the
    /// epoch) and with so many messages, and returns the queue offset of the first one.
    fn push(&mut self, queue: Arc<Queue>, unit: Unit, (now, count): (i64, usize)) -> i64 {
        let pushed = match queue.is_batch() {
            false => queue.push(unit),
            true => queue.push_batch(unit, now, count as i16),
        };
        if pushed.is_first {
            self.queues.push(queue);
        }
        pushed.queue_offset
    }
}

impl Store {
    /// Stores `appends` in their order, stamped with `now` (ms since the epoch), and sets the
    /// outcome of each. Readers see them at once; under [`crate::FlushMode::Sync`] after the next
    /// [`Store::sync`]. Where the disk has no room for one, those behind it are refused too, though
    /// a small one might fit: what is refused can be tried again from there on.
    pub fn append(&self, now: i64, appends: &mut [Append]) {
        if let Some(refusal) = self.refusal() {
            appends.iter_mut().for_each(|append| append.outcome = Err(refusal));
            self.stats.refuse(appends.len() as u64);
            return;
        }
        let mut writer = self.writer.lock();
        if let Some(bytes) = self.needs_room(&writer, appends) {
            // A burst was faster than the flush that makes room ahead.
            drop(writer);
            self.make_room_now(bytes);
            writer = self.writer.lock();
        }
        let mut is_full = false;
        for append in appends.iter_mut() {
            // After a failure nothing may follow: what was staged with it is forgotten.
            append.outcome = match (self.is_fenced(), is_full) {
                (true, _) => Err(AppendError::Fenced),
                (false, true) => Err(AppendError::DiskFull),
                (false, false) => self.stage(&mut writer, now, &mut append.drafts),
            };
            is_full |= append.outcome == Err(AppendError::DiskFull);
        }
        if let Err(error) = self.write_out(&mut writer, now, Then::Stay) {
            self.fence(&error);
        }
        if self.is_fenced() {
            // Whatever was written, by this call or before somebody else's failure: a store that is
            // fenced acknowledges nothing.
            appends.iter_mut().for_each(|append| append.outcome = Err(AppendError::Fenced));
        }
        let refused = appends.iter().filter(|append| append.outcome.is_err()).count();
        self.stats.refuse(refused as u64);
        if self.index.as_ref().is_some_and(Index::is_behind)
            && let Err(error) = self.wait_for_room(self.put_index_keys())
        {
            self.fence(&error);
        }
        self.compactions.note(appends);
        drop(writer);
        // Else nobody sees it before the next sync, which does that.
        if self.settings.flush_mode == FlushMode::Async {
            let _ = self.follow_appends();
        }
    }

    /// The bytes of the files that the appends reach into, when a bound has no room for the first
    /// one, though old ones may be removed for it.
    fn needs_room(&self, writer: &Writer, appends: &[Append]) -> Option<u64> {
        let left = writer.segment.as_ref().map_or(0, |segment| segment.end() - writer.end());
        let drafts = appends.iter().flat_map(|append| append.drafts.as_slice());
        let bytes: usize = drafts.map(|draft| draft.encoded_len() + BLANK_LEN).sum();
        let lacking = bytes as i64 - (left - BLANK_LEN as i64);
        if lacking <= 0 || !self.live().delete_forcibly {
            return None;
        }
        let segments = &self.log.segments;
        let is_full = !segments.is_ready(segments.next_start()) && self.next_file_bound().is_some();
        let lacking = lacking.unsigned_abs();
        is_full.then(|| lacking.next_multiple_of(segments.file_bytes().unsigned_abs()))
    }

    /// Encodes messages into the writer's buffer.
    fn stage(
        &self,
        writer: &mut Writer,
        now: i64,
        drafts: &mut Drafts,
    ) -> Result<Appended, AppendError> {
        if self.settings.light_queues {
            light::note_places(drafts, &self.queues, &self.settings)?;
        }
        if let Drafts::One(draft) = drafts
            && draft.sys_flag & sys_flag::INNER_BATCH != 0
        {
            self.number_batch(draft)?;
        }
        drafts.as_mut_slice().iter_mut().for_each(match self.settings.append_property_crc {
            true => Draft::reserve_property_crc,
            false => Draft::reserve_property_crc_for_zeros,
        });
        let drafts = drafts.as_slice();
        let size = self.check(drafts)?;
        self.make_room(writer, now, size)?;
        let first = drafts.first().ok_or(AppendError::Empty)?;
        let mut appended = Appended {
            log_offset: writer.end(),
            size: size as i64,
            queue_offset: 0,
            count: drafts.iter().map(marks::count).sum(),
            store_timestamp: now,
        };
        for (index, draft) in drafts.iter().enumerate() {
            let queue_offset = self.stage_one(writer, now, draft);
            if index == 0 {
                appended.queue_offset = queue_offset;
            }
            debug_assert!(draft.topic == first.topic, "a batch has one topic");
        }
        Ok(appended)
    }

    /// Writes into an inner batch at which queue offset it begins (Java
    /// `BatchConsumeQueue.assignQueueOffset`); one that no queue shows has none. Its topic may have
    /// been removed on its way here. One that comes back takes a single place of its retry queue.
    fn number_batch(&self, draft: &mut Draft) -> Result<(), AppendError> {
        if !self.queues.batch_topics.contains(&draft.topic) {
            let comes_back = names::is_retry(&draft.topic);
            return if comes_back { Ok(()) } else { Err(AppendError::NoBatchTopic) };
        }
        if !sys_flag::is_visible(draft.sys_flag) {
            return Ok(());
        }
        let queue = self.queues.find(&draft.topic, draft.queue_id);
        let base = queue.map_or(0, |queue| queue.next_offset());
        let mut all = Properties::parse(&draft.properties);
        all.set(property::INNER_BASE, base.to_string());
        draft.properties = all.encode();
        Ok(())
    }

    /// Checks lengths and returns the bytes of all records together.
    fn check(&self, drafts: &[Draft]) -> Result<usize, AppendError> {
        let mut all = 0;
        for draft in drafts {
            draft.check().map_err(AppendError::Draft)?;
            let is_path =
                [b'/', 0].iter().any(|byte| scan::holds_byte(draft.topic.as_bytes(), *byte));
            if is_path || matches!(&*draft.topic, "." | "..") {
                return Err(AppendError::TopicName);
            }
            let (size, max) = (draft.encoded_len(), self.max_message_bytes());
            if draft.body.len() > max {
                return Err(AppendError::TooLarge { size: draft.body.len(), max });
            }
            if size > max + RECORD_EXTRA {
                return Err(AppendError::TooLarge { size, max: max + RECORD_EXTRA });
            }
            all += size;
        }
        let max = self.settings.commit_log_file_bytes as usize - BLANK_LEN;
        if all > max { Err(AppendError::TooLarge { size: all, max }) } else { Ok(all) }
    }

    /// Sees to it that `size` bytes and a blank record fit the segment, rolling to the next one
    /// where they do not.
    fn make_room(&self, writer: &mut Writer, now: i64, size: usize) -> Result<(), AppendError> {
        let needed = (size + BLANK_LEN) as i64;
        let left = |writer: &Writer| writer.segment.as_ref().map_or(0, |s| s.end() - writer.end());
        if writer.segment.is_none() {
            writer.segment = Some(self.segment_for(writer.at)?);
        }
        // Behind the file that has holes there is none yet.
        let end = writer.end() + needed.min(left(writer));
        if end > self.reserved_to.load(Ordering::Acquire) {
            return Err(self.lack_end());
        }
        if left(writer) < needed {
            // The log never ends behind a file that has no next one: Java and a walk over the files
            // see its end before the blank record then.
            let end = writer.segment.as_ref().map_or(writer.at, Segment::end);
            let next = self.segment_for(end)?;
            let blank = i32::try_from(left(writer)).expect("a segment is below 2 GiB");
            writer.buffer.extend_from_slice(&blank.to_be_bytes());
            writer.buffer.extend_from_slice(&MAGIC_BLANK.to_be_bytes());
            if let Err(error) = self.write_out(writer, now, Then::Roll) {
                self.fence(&error);
                return Err(AppendError::Fenced);
            }
            writer.segment = Some(next);
        }
        assert!(left(writer) >= needed, "check() bounds the size by that of a segment");
        Ok(())
    }

    /// The segment for writing at `at`, made where it is not there.
    fn segment_for(&self, at: i64) -> Result<Segment, AppendError> {
        if !self.log.segments.is_ready(at)
            && let Some(full) = self.next_file_bound()
        {
            *self.no_room.lock() = Some(full);
            return Err(self.lack_segment());
        }
        match self.log.segments.for_append(at) {
            Ok(segment) => Ok(segment),
            Err(Error::Full { path, lack }) => {
                self.note_no_room(&path, lack);
                Err(self.lack_segment())
            }
            Err(error) => {
                self.fence(&error);
                Err(AppendError::Fenced)
            }
        }
    }

    /// Refuses appends until a flush has made the next file: trying with each would cost more than
    /// it takes to store a message.
    fn lack_segment(&self) -> AppendError {
        if !self.lacks_segment.swap(true, Ordering::AcqRel)
            && let Some(why) = &*self.no_room.lock()
        {
            tracing::error!(%why, "no messages are taken until there is room for a log file");
        }
        AppendError::DiskFull
    }

    /// Encodes one message and returns its queue offset.
    fn stage_one(&self, writer: &mut Writer, now: i64, draft: &Draft) -> i64 {
        let marks = Marks::read(&draft.properties);
        let visible = sys_flag::is_visible(draft.sys_flag);
        let queue = visible.then(|| self.queues.open(&draft.topic, draft.queue_id));
        let log_offset = writer.end();
        let mut queue_offset = 0;
        if let Some(queue) = queue {
            let size = i32::try_from(draft.encoded_len()).expect("check() bounds it");
            let tags_code = marks.tags_code(&self.settings, &draft.topic, now);
            let unit = Unit { log_offset, size, tags_code };
            let own = self.extended(&queue, unit, draft, now);
            queue_offset = writer.push(queue, own, (now, marks::count(draft)));
            if self.settings.light_queues {
                self.stage_light(writer, &marks, &draft.topic, (unit, now));
            }
        }
        let start = writer.buffer.len();
        let placement = Placement { queue_offset, log_offset, store_timestamp: now };
        draft.encode(placement, &mut writer.buffer);
        if record::has_property_crc(&draft.properties) {
            record::seal_property_crc(&mut writer.buffer[start..]);
        }
        if self.index.is_some() {
            let key = |hash| IndexKey { hash, log_offset, store_timestamp: now };
            let hashes = marks.index_hashes(&draft.topic, draft.sys_flag);
            hashes.for_each(|hash| writer.keys.push(key(hash)));
        }
        writer.messages += marks::count(draft) as u64;
        queue_offset
    }

    /// The unit of a message for the queue of its topic, with an address where that has an
    /// extension. A light queue has the tags codes, as in Java.
    fn extended(&self, queue: &Queue, unit: Unit, draft: &Draft, now: i64) -> Unit {
        let Some(extension) = queue.extension() else { return unit };
        let bits = self.bits_of(&draft.topic, &draft.properties, now);
        let entry = Extended { tags_code: unit.tags_code, stored_ms: now, bits: &bits };
        Unit { tags_code: extension.push(&entry).unwrap_or(unit.tags_code), ..unit }
    }

    /// Gives the unit of a message to the light queues that it names.
    fn stage_light(
        &self,
        writer: &mut Writer,
        marks: &Marks<'_>,
        topic: &str,
        (unit, now): (Unit, i64),
    ) {
        for (name, place) in marks.light_places(topic) {
            let queue = self.queues.open(name, light::QUEUE_ID);
            // One that is named twice has it already.
            if queue.next_offset() == place {
                writer.push(queue, unit, (now, 1));
            }
        }
    }

    /// Writes the buffer, the queue units and the index keys, and lets readers see them. After an
    /// error the store must be fenced: what was not written is forgotten.
    fn write_out(&self, writer: &mut Writer, now: i64, then: Then) -> Result<(), Error> {
        let len = writer.buffer.len();
        if len == 0 {
            return Ok(());
        }
        if self.settings.flush_mode == FlushMode::Sync {
            writer.fill_blocks(self.reserved_to.load(Ordering::Acquire));
        }
        let Some(segment) = &writer.segment else { return Ok(()) };
        let written = segment.file.write_at((writer.at - segment.start) as u64, &writer.buffer);
        writer.buffer.truncate(len);
        if let Err(error) = written {
            writer.queues.clear();
            writer.keys.clear();
            writer.buffer.clear();
            return Err(Error::io("write", &self.log.segments.path(segment.start))(error));
        }
        self.stats.appended(writer.messages, writer.buffer.len() as u64);
        writer.messages = 0;
        match then {
            Then::Stay => writer.at = writer.end(),
            Then::Roll => {
                writer.at = segment.end();
                writer.segment = None;
            }
        }
        writer.buffer.clear();
        writer.buffer.shrink_to(BUFFER_KEPT);
        if let Some(index) = &self.index {
            index.push(&mut writer.keys);
        }
        self.log.advance(writer.at, now);
        for queue in writer.queues.drain(..) {
            let max = queue.commit();
            self.dirty.note(&queue);
            self.wait_for_room(queue.write_many())?;
            self.publish(writer.at, queue, max);
        }
        writer.whole_to = writer.at;
        Ok(())
    }
}
