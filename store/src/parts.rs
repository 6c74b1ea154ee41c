//! The parts of a store as they are opened, one after the other, before they are a store.

use crate::batch_topics::BatchTopics;
use crate::checkpoint::{Checkpoint, Mark};
use crate::commit_log::CommitLog;
use crate::consume_queue::{Opening, Queue, Unit};
use crate::disk::Disk;
use crate::front;
use crate::index::Index;
use crate::log_reader::LogReader;
use crate::losses::Losses;
use crate::queue_ends::{self, Loaded, QueueEnd, QueueEnds};
use crate::queues::Queues;
use crate::recover::{Deleted, Gap, Recovered, Recovery, looks_torn};
use crate::removed_topics::RemovedTopics;
use crate::segments::Cutting;
use crate::{Aside, ConfigFiles, Error, Progress, SetAside, Settings};
use message::record::Entry;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// In the file `abort`: files are being mended, and the log has to be read as a whole by a start
/// that finds it so.
const MENDING: &[u8] = b"in use, being mended";
/// In the file `abort`: bytes are being taken from the end of files, and what the next start finds
/// cut may be so in memory alone.
pub(crate) const CUTTING: &[u8] = b"in use, being cut";
/// In the file `abort` while a store that another broker wrote last is opened: as [`MENDING`], and
/// that broker's left-overs may be there.
const TAKING_OVER: &[u8] = b"in use, being taken over";
/// As [`TAKING_OVER`], and that broker had stopped cleanly.
const TAKING_OVER_CLEAN: &[u8] = b"in use, being taken over after a clean stop";
/// In the file `abort` otherwise.
pub(crate) const IN_USE: &[u8] = b"in use";

/// Everything in the directory that recovery makes agree.
pub(crate) struct Parts<'a> {
    settings: &'a Settings,
    disk: Arc<dyn Disk>,
    abort: PathBuf,
    /// Whether the last process stopped cleanly.
    pub(crate) clean: bool,
    /// `abort` could not be made, as the disk is full.
    pub(crate) lacks_abort: Cell<bool>,
    /// Places of lost messages are kept: no others may come behind them before that is durable.
    pub(crate) keeps_places: Cell<bool>,
    /// Files were changed: the next start must not take the last stop for a clean one.
    touched: Cell<bool>,
    /// The start before this one ended while it cut files.
    cuts_again: Cell<bool>,
    /// Another broker may have left old records behind the log's end, until the start is over.
    is_foreign: Cell<bool>,
    /// Another broker was the last one before us, and stopped cleanly.
    was_left: Cell<bool>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) removed_topics: RemovedTopics,
    pub(crate) index: Option<Index>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) aside: SetAside,
}

impl<'a> Parts<'a> {
    /// Nothing is read yet but the checkpoint and what is set aside.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        settings: &'a Settings,
        clean: bool,
    ) -> Result<Self, Error> {
        let root = &settings.root;
        let checkpoint = Checkpoint::open(&*disk, root.join("checkpoint"))?;
        let is_foreign = checkpoint.durable_to().is_none();
        let batch_topics = BatchTopics::load(disk.clone(), root, is_foreign);
        Ok(Self {
            settings,
            abort: root.join("abort"),
            clean,
            lacks_abort: Cell::new(false),
            keeps_places: Cell::new(false),
            touched: Cell::new(false),
            cuts_again: Cell::new(false),
            is_foreign: Cell::new(false),
            was_left: Cell::new(false),
            log: CommitLog::new(disk.clone(), settings),
            queues: Queues::empty(disk.clone(), settings, batch_topics),
            index: settings.index.then(|| Index::new(disk.clone(), settings)),
            checkpoint,
            aside: SetAside::load(disk.clone(), root),
            removed_topics: RemovedTopics::load(disk.clone(), root),
            disk,
        })
    }

    /// Opens everything and mends what a crash or a bad disk left.
    pub(crate) fn open(&self, watch: &dyn Fn(Progress)) -> Result<Recovered, Error> {
        let own_mark = self.checkpoint.durable_to().is_some();
        let has_times = self.checkpoint.newest_time() > 0;
        let was_mending = self.begin(own_mark)?;
        let gaps = self.load_log(own_mark)?;
        let before_mending = || self.write_abort(MENDING);
        let (ends, all_from) = self.noted_ends(own_mark)?;
        let lost_from = self.queues.load(self.opening(), &ends, &before_mending)?;
        let lost_from = lost_from.map(|from| self.drop_false_ends().unwrap_or(from).min(from));
        let is_true = |topic: &str, queue: &Queue| self.ends_with_a_record(topic, queue);
        let before = || self.touched.set(true);
        self.removed_topics.finish(&self.queues, !own_mark, &is_true, &before)?;
        if !own_mark {
            queue_ends::remove(&*self.disk, &self.settings.root)?;
        }
        let (aside_bytes, back_from) = (self.aside.bytes(), self.look_at_aside()?);
        let config = ConfigFiles::new(self.disk.clone(), &self.settings.root);
        let left = || Deleted::after_another(&config, &self.queues, &self.log);
        let deleted = self.was_left.get().then(left).flatten();
        let losses = Losses::default();
        let short_from = self.reload_short(&ends, &losses)?;
        let front_from = self.begin_at_fronts(&ends, &losses)?;
        losses.tell_short();
        self.count_missing_front(&losses);
        let before_cut = || self.mark_cutting();
        self.load_index(&before_cut, own_mark, was_mending)?;
        let mending = was_mending.then_some(0);
        let recovered = Recovery {
            settings: self.settings,
            log: &self.log,
            queues: &self.queues,
            removed_topics: &self.removed_topics,
            deleted: deleted.as_ref(),
            index: self.index.as_ref(),
            checkpoint: &self.checkpoint,
            aside: &self.aside,
            clean: self.clean,
            is_foreign: self.is_foreign.get(),
            lost_from: [lost_from, short_from, front_from, all_from, mending, back_from]
                .into_iter()
                .flatten()
                .min(),
            gaps: gaps.into_iter().map(|(from, to)| Gap { from, to }).collect(),
            now: self.now()?,
            watch,
            losses: &losses,
            touched: &self.touched,
            keeps_places: &self.keeps_places,
            cutting: Cutting { before: &before_cut, again: self.cuts_again.get() },
        }
        .run()?;
        self.removed_topics.cut(self.log.written_to())?;
        self.aside.save_stale();
        self.keep_ends(&ends, &losses)?;
        losses.tell(&recovered, self.clean);
        self.tell_lost_times(has_times);
        if back_from.is_some() {
            self.tell_back(aside_bytes);
        }
        if !own_mark {
            match self.take_over(recovered.durable_to) {
                // With the next checkpoint.
                Err(Error::Full { .. }) => {}
                taken => taken?,
            }
        }
        self.end_mending()?;
        Ok(recovered)
    }

    /// Opens the index, if the settings want one.
    fn load_index(
        &self,
        before_cut: &dyn Fn() -> Result<(), Error>,
        own_mark: bool,
        was_mending: bool,
    ) -> Result<(), Error> {
        let Some(index) = &self.index else { return Ok(()) };
        // Keys that a start put which did not end may be in memory alone.
        let durable_to = self.checkpoint.durable_to().filter(|_| !was_mending);
        let loaded = index.load(self.clean, (&self.checkpoint, durable_to), before_cut);
        // A clean stop of ours noted the newest key last.
        let newest = (own_mark && self.clean).then(|| self.checkpoint.get(Mark::IndexTime));
        let loaded =
            loaded.and_then(|()| index.drop_wrong(&self.log, (own_mark, newest), before_cut));
        self.touched.set(self.touched.get() || index.was_damaged());
        loaded?;
        self.tell_lost_index(index, own_mark);
        match index.was_damaged().then(|| self.write_abort(MENDING)).transpose() {
            // Then keys wait for room.
            Err(Error::Full { .. }) => Ok(()),
            marked => marked.map(drop),
        }
    }

    /// Opens the log's files, and returns from and to which log offsets they lack bytes.
    fn load_log(&self, own_mark: bool) -> Result<Vec<(i64, i64)>, Error> {
        if let Some(log_min) = self.checkpoint.sure_log_min() {
            self.log.segments.move_expired_aside(log_min)?;
        }
        let noted_bytes = own_mark.then(|| self.checkpoint.get(Mark::OwnFileBytes));
        let gaps = self.log.segments.load_log(noted_bytes, &|| self.touched.set(true))?;
        self.log.moved.load();
        self.tell_lost_mark(own_mark);
        Ok(gaps)
    }

    /// Whether the last broker was ours, did not stop cleanly, and the checkpoint says nothing.
    fn has_lost_mark(&self, own_mark: bool) -> bool {
        !own_mark && !self.clean && !self.is_foreign.get() && self.log.segments.last().is_some()
    }

    /// Says that there is no index, where the checkpoint that would tell is lost too.
    fn tell_lost_index(&self, index: &Index, own_mark: bool) {
        let has_units = || self.queues.all().iter().any(|queue| queue.max() > 0);
        if self.has_lost_mark(own_mark) && index.indexed_to().is_none() && has_units() {
            tracing::error!(
                dir = %self.settings.root.join("index").display(),
                "there are no index files either: unless no message ever had a key they are gone, \
                 and are made anew from the log. Check the disk (dmesg, SMART)"
            );
        }
    }

    /// Says after an unclean stop of ours that the checkpoint says nothing any more.
    fn tell_lost_mark(&self, own_mark: bool) {
        if !self.has_lost_mark(own_mark) {
            return;
        }
        tracing::error!(
            path = %self.settings.root.join("checkpoint").display(),
            "the checkpoint is gone, zeros or damaged: it does not say up to where everything was \
             durable, so the commit log is read from as far back as it takes, which takes time and \
             loses nothing. A new one is made. Check the disk (dmesg, SMART)"
        );
    }

    /// Says after a clean stop that the checkpoint has no times, though there are messages.
    fn tell_lost_times(&self, has_times: bool) {
        if self.clean && !has_times && self.log.written_to() > 0 {
            tracing::error!(
                path = %self.settings.root.join("checkpoint").display(),
                "the checkpoint is gone or has no times, though the broker before stopped cleanly: \
                 nothing is lost, and a new one is made. Check the disk (dmesg, SMART)"
            );
        }
    }

    /// What is known when queues are opened.
    fn opening(&self) -> Opening {
        let (durable, log_min) = (self.checkpoint.durable_to(), self.log_min());
        Opening { clean: self.clean, durable, log_min }
    }

    /// Where the log begins, but for files that power loss brought back after they were removed:
    /// of what leads into these nothing is to be concluded, for they may have come back in part.
    fn log_min(&self) -> i64 {
        self.checkpoint.noted_log_min().unwrap_or(0).max(self.log.min())
    }

    /// Whether nothing expired since the ends were noted.
    fn is_log_of(&self, ends: &QueueEnds) -> bool {
        let log_min = self.log.min();
        ends.log_min() == Some(log_min) && self.log_min() == log_min
    }

    /// Lets no queue end before its noted end, nor begin behind its noted beginning.
    fn keep_ends(&self, ends: &QueueEnds, losses: &Losses) -> Result<(), Error> {
        let same_log = self.is_log_of(ends);
        for QueueEnd { topic, id, min, end, .. } in ends.iter() {
            let queue = self.queues.open(topic, id);
            if same_log && losses.is_fresh(queue.log_end(), i64::MAX) {
                losses.aside.note((topic, id), queue.next_offset(), end);
            }
            if queue.extend_to(end)? {
                self.keeps_places.set(true);
            }
            // Also where expired files of the log were back already when that was noted.
            if ends.log_min() == Some(self.log.min()) {
                queue.begin_no_later(min);
            }
        }
        Ok(())
    }

    /// Counts the messages in first files of the log that are gone though nobody removed them.
    fn count_missing_front(&self, losses: &Losses) {
        let log_min = self.log.min();
        let noted = self.checkpoint.noted_log_min().filter(|noted| *noted < log_min);
        let Some(noted) = noted else { return };
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let (from, to) = queue.places_between(noted, log_min);
                losses.before.note((&topic, id), from, to);
            }
        }
        tracing::error!(
            from = noted,
            to = log_min,
            "the first files of the commit log are missing, and this broker did not remove them"
        );
        self.checkpoint.note_log_min(log_min);
    }

    /// Marks the directory as in use. Says whether the start before this one was still mending.
    fn begin(&self, own_mark: bool) -> Result<bool, Error> {
        let text = self.disk.read(&self.abort).unwrap_or_default();
        // Java writes its process id there, or nothing.
        let is_javas = text.iter().all(u8::is_ascii_digit);
        // What is damaged may have been any of ours.
        let was_in_use = is_javas || text == IN_USE;
        let was_mending = !was_in_use && text != CUTTING;
        // A checkpoint that died within a write has no mark.
        let was_taking = [TAKING_OVER, TAKING_OVER_CLEAN].contains(&&*text);
        let was_ours = if self.clean { own_mark } else { !is_javas && !was_taking };
        self.is_foreign.set(!was_ours);
        self.was_left.set(!was_ours && (self.clean || text == TAKING_OVER_CLEAN));
        // From here on files are mended: a start that is killed meanwhile was not clean.
        self.write_abort(match was_mending {
            true => MENDING,
            false if was_in_use => IN_USE,
            false => CUTTING,
        })?;
        if !was_in_use {
            self.cuts_again.set(true);
            // Files that it removed would come back, and pass for those made in their place.
            let dirs = [self.settings.root.clone(), self.settings.commit_log_path()];
            let is_there = |dir: &&PathBuf| self.disk.list(dir).is_ok_and(|all| !all.is_empty());
            for dir in dirs.iter().filter(is_there) {
                self.disk.sync_all(dir).map_err(Error::io("sync", dir))?;
            }
        }
        Ok(was_mending)
    }

    /// Says in `abort` that files are cut, unless it says more.
    fn mark_cutting(&self) -> Result<(), Error> {
        match self.disk.read(&self.abort).is_ok_and(|text| text != IN_USE) {
            true => Ok(()),
            false => self.write_abort(CUTTING),
        }
    }

    /// Whether a queue's last unit can be believed: one that leads into the log and to no record
    /// there is damaged. Of one whose record is lost those before it tell.
    fn ends_with_a_record(&self, topic: &str, queue: &Queue) -> bool {
        let is_lost = |unit: &Unit| self.aside.overlaps(unit.log_offset, unit.log_end());
        let last = queue.last_unit(&is_lost);
        let last = last.filter(|(_, unit)| unit.log_offset >= self.log_min());
        last.is_none_or(|(_, unit)| self.log.leads_to(&unit, (topic, queue.id), None))
    }

    /// From here on nothing in the directory is another broker's.
    fn take_over(&self, durable_to: i64) -> Result<(), Error> {
        if self.clean {
            // What was mended before that end is not looked at again.
            let mut queues = self.queues.all();
            queues.retain(|queue| queue.unsynced_bytes() > 0);
            self.queues.sync(&queues)?;
            self.index.as_ref().map_or(Ok(()), Index::sync)?;
        }
        self.checkpoint.take_over(durable_to, self.log.segments.file_bytes());
        self.checkpoint.sync()
    }

    /// Where the queues ended at the last checkpoint, when it is ours, and from where on the log
    /// has to be read when that is not known any more.
    fn noted_ends(&self, own_mark: bool) -> Result<(QueueEnds, Option<i64>), Error> {
        if !own_mark {
            // Another broker was here since they were written, and may have removed topics.
            return Ok((QueueEnds::default(), None));
        }
        let path = self.settings.root.join(queue_ends::NAME);
        let why = match QueueEnds::load(&*self.disk, &self.settings.root) {
            Loaded::Notes(ends) => return Ok((ends, None)),
            Loaded::Missing => {
                // Where the log began is noted right behind it.
                if self.checkpoint.noted_log_min().is_some() {
                    tracing::error!(
                        path = %path.display(),
                        "the file queueends is missing: where queues end is taken from their \
                         files and the commit log, and a new one is made by the next checkpoint. \
                         Check the disk (dmesg, SMART)"
                    );
                }
                return Ok((QueueEnds::default(), None));
            }
            Loaded::Damaged(why) => why,
        };
        tracing::error!(
            path = %path.display(),
            why,
            "the file queueends is damaged: the commit log is read as a whole, and a new one is \
             made by the next checkpoint. Check the disk (dmesg, SMART)"
        );
        self.write_abort(MENDING)?;
        Ok((QueueEnds::default(), Some(0)))
    }

    /// Lets damaged queues end, in memory, with a unit that leads to a record. Returns from where
    /// on the log has what they lack.
    fn drop_false_ends(&self) -> Option<i64> {
        let mut lost_from: Option<i64> = None;
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                if !queue.is_damaged() {
                    continue;
                }
                // Of one whose record has expired nobody can tell.
                while let Some((place, unit)) = queue.last_unit(&|_| false)
                    && unit.log_offset >= self.log_min()
                    && !self.log.leads_to(&unit, (&topic, id), None)
                {
                    queue.drop_from(place);
                }
                lost_from = lost_from.into_iter().chain([queue.log_end()]).min();
            }
        }
        lost_from
    }

    /// Looks again, and thoroughly, at queues that end before they are known to: they lost units.
    /// Returns the log offset from which on the log may still have these.
    fn reload_short(&self, ends: &QueueEnds, losses: &Losses) -> Result<Option<i64>, Error> {
        let (mut lost_from, mut anew) = (None::<i64>, Vec::new());
        let durable_to = self.checkpoint.durable_to().unwrap_or(0);
        // What expired since is no loss.
        let same_log = self.is_log_of(ends);
        for QueueEnd { topic, id, min, end: kept, units: noted } in ends.iter() {
            let queue = self.queues.find(topic, id);
            let end = queue.as_ref().map_or(0, |queue| queue.end_offset());
            let first = queue.as_ref().map_or(0, |queue| queue.first_offset());
            let lacks_front = same_log && end > 0 && first > min;
            // The last unit was durable then, and led before the log's end.
            let is_false =
                |queue: &Queue| queue.end_offset() <= noted && queue.log_end() > durable_to;
            if let Some(queue) = &queue {
                queue.note_end(kept);
            }
            if end >= noted && !lacks_front && !queue.as_deref().is_some_and(is_false) {
                // What lies between has no unit any more, and is not looked for again.
                queue.filter(|queue| queue.is_batch()).map(|queue| queue.keep_offsets_to(kept));
                continue;
            }
            let is_front = lacks_front && end >= noted;
            let (from, to) = if is_front { (min, first) } else { (end.max(min), noted) };
            losses.short.note((topic, id), from, to);
            if lost_from.is_none() {
                self.write_abort(MENDING)?;
            }
            let from = match &queue {
                Some(queue) if lacks_front => {
                    queue.begin_at(min)?;
                    anew.push(queue.clone());
                    0
                }
                Some(queue) => {
                    queue.load(Opening { clean: false, ..self.opening() }, &|| Ok(()))?;
                    while is_false(queue)
                        && let Some((place, _)) = queue.last_unit(&|_| false)
                    {
                        queue.drop_from(place);
                    }
                    queue.log_end()
                }
                None => 0,
            };
            lost_from = lost_from.into_iter().chain([from]).min();
        }
        // As in `begin_at_fronts`.
        self.queues.sync_dirs(&anew)?;
        Ok(lost_from)
    }

    /// Lets queues whose first files are gone begin where the log has them. Returns the log offset
    /// from which on it has what they lack.
    fn begin_at_fronts(&self, ends: &QueueEnds, losses: &Losses) -> Result<Option<i64>, Error> {
        let same_log = self.clean && self.is_log_of(ends);
        let noted = if same_log { ends.noted() } else { HashMap::new() };
        let is_known = |topic: &str, id: i32| noted.contains_key(&(topic, id));
        // What expired came back in part: then the log does not tell where a queue began that leads
        // there, nor where it ended.
        let log_min = self.log_min();
        let came_in_part = self.log.segments.has_gap_before(log_min);
        let from = if came_in_part { log_min } else { self.log.min() + 1 };
        let durable = self.checkpoint.durable_to().unwrap_or(i64::MAX);
        let (log, within) = (&self.log, (from, durable));
        let fronts = front::missing(log, &self.queues, &self.removed_topics, within, &is_known);
        if !fronts.is_empty() {
            self.write_abort(MENDING)?;
        }
        let mut anew = Vec::new();
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic).into_iter().filter(|id| !is_known(&topic, *id)) {
                let queue = self.queues.find(&topic, id).filter(|queue| queue.is_batch());
                let Some(queue) = queue.filter(|queue| queue.lacks_front(self.log.min())) else {
                    continue;
                };
                self.write_abort(MENDING)?;
                queue.begin_anew()?;
                anew.push(queue);
            }
        }
        for front in &fronts {
            let Some(lowest) = front.lowest else { continue };
            losses.short.note((&front.topic, front.queue.id), lowest, front.first);
            front.queue.begin_at(lowest)?;
            anew.push(front.queue.clone());
        }
        // Files that came back would pass for later ones of those made in their place.
        self.queues.sync_dirs(&anew)?;
        Ok((!anew.is_empty() || !fronts.is_empty()).then_some(0))
    }

    /// What was set aside may hold records again: files were put back, or another broker cut the
    /// log there and wrote over it. Returns from where on the log is to be read again for that;
    /// each record that is found then is no longer set aside.
    fn look_at_aside(&self) -> Result<Option<i64>, Error> {
        let is_back = |range: &Aside| {
            let Some(segment) = self.log.segments.find(range.from) else { return false };
            let mut reader = LogReader::default();
            let Ok(Ok(Entry::Message(record))) = reader.entry(&segment, range.from, true) else {
                return false;
            };
            record.log_offset == range.from && !looks_torn(&record)
        };
        let from = self.aside.ranges().into_iter().find(is_back).map(|range| range.from);
        if from.is_some() {
            self.write_abort(MENDING)?;
        }
        Ok(from)
    }

    /// Says that what was set aside is there again.
    fn tell_back(&self, before: u64) {
        let left = self.aside.bytes();
        if left < before {
            tracing::warn!(
                bytes = before - left,
                still_set_aside = left,
                "ranges of the commit log that were set aside hold records again: their messages \
                 are back in their queues"
            );
        }
    }

    /// What was mended becomes durable before the mark goes that would have it done again.
    fn end_mending(&self) -> Result<(), Error> {
        self.is_foreign.set(false);
        if self.disk.read(&self.abort).is_ok_and(|text| text != IN_USE) {
            self.queues.sync(&self.queues.all())?;
            let put = |index: &Index| index.apply(&self.checkpoint).and_then(|()| index.sync());
            match self.index.as_ref().map_or(Ok(()), put) {
                // The next start puts the keys again.
                Err(Error::Full { .. }) => return Ok(()),
                put => put?,
            }
            self.write_abort(IN_USE)?;
        }
        Ok(())
    }

    /// Takes `abort` away again when the last stop was clean and nothing was changed since: a start
    /// that was refused is no crash.
    pub(crate) fn leave(&self) {
        if self.clean
            && !self.touched.get()
            && let Err(error) = self.disk.remove(&self.abort)
        {
            tracing::debug!(%error, "no abort to be removed");
        }
    }

    /// On a full disk a store that is not mended can be read: an `abort` that is there says enough,
    /// and one that is not is made before anything is stored.
    fn write_abort(&self, text: &[u8]) -> Result<(), Error> {
        self.touched.set(self.touched.get() || text == MENDING);
        let text = match (self.is_foreign.get(), self.was_left.get()) {
            (true, true) => TAKING_OVER_CLEAN,
            (true, false) => TAKING_OVER,
            _ => text,
        };
        let written = self.disk.replace(&self.abort, text, None);
        match written.map_err(Error::io("write", &self.abort)) {
            Err(Error::Full { path, lack }) => {
                let there = self.disk.read(&self.abort).ok();
                if text == MENDING && there.as_deref() != Some(text) {
                    return Err(Error::Full { path, lack });
                }
                self.lacks_abort.set(self.clean && there.is_none());
                Ok(())
            }
            written => written,
        }
    }

    /// When this start began, as the file system saw it, ms since the epoch.
    fn now(&self) -> Result<i64, Error> {
        let root = &self.settings.root;
        let listed = self.disk.list(root).map_err(Error::io("list", root))?;
        Ok(listed.iter().find(|file| file.name == "abort").map_or(0, |file| file.modified))
    }
}
