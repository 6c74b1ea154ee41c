//! What is removed and when: files of the log that are old enough or must make room, and what of
//! queues and index led to them (Java `CleanCommitLogService`, `CleanConsumeQueueService`).

use crate::consume_queue::Queue;
use crate::disk::Space;
use crate::early::{Early, RATIO, setting_of};
use crate::parts::{CUTTING, IN_USE};
use crate::segments::Segment;
use crate::{Error, Store, light, queue_ends};
use message::{Str, names};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

const MS_PER_HOUR: i64 = 3_600_000;

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Files of the commit log.
    pub log_files: usize,
    /// Files of consume queues.
    pub queue_files: usize,
    /// Index files.
    pub index_files: usize,
    /// The round may go on: fewer than [`crate::Settings::delete_files_at_once`] went in it.
    pub goes_on: bool,
}

impl Store {
    /// One round of expiry at `now`, ms since the epoch. Call it every
    /// [`crate::Settings::retain_interval_ms`], and a little later again where the round goes on.
    /// Then looks as [`Store::measure`] does whether the store can go on.
    pub fn retain(&self, now: i64) -> Result<Retained, Error> {
        self.check_fence()?;
        let mut went = self.removing.lock();
        let spaces = self.spaces()?;
        let used = spaces.used_percent();
        let settings = self.live();
        let refuse = used > f64::from(settings.disk_refuse_percent);
        let forced = settings.delete_forcibly && used > f64::from(settings.disk_force_percent);
        let hour = (now + settings.utc_offset_ms).div_euclid(MS_PER_HOUR).rem_euclid(24);
        let due = settings.delete_hours.iter().any(|at| i64::from(*at) == hour);
        let low = used > f64::from(settings.disk_used_percent);
        let tight = self.bound_hit(spaces, self.next_file_bytes()).is_some();
        let (mut removed, mut early) = (Retained::default(), Early::default());
        let by_itself = due || low || refuse || forced || tight;
        let is_manual = !by_itself && self.take_manual_round();
        if by_itself || is_manual {
            let urgent = forced || refuse || tight;
            self.remove_expired(now, (forced, urgent), (&mut removed, &mut early))?;
        }
        if tight && settings.delete_forcibly {
            self.remove_for_bounds(self.next_file_bytes(), (&mut removed, &mut early))?;
        }
        if removed.log_files > 0 {
            tracing::info!(files = removed.log_files, forced, tight, "commit log files removed");
            early.tell(self.earliest_log_time());
        }
        let followed = self.follow_log_min(&mut removed);
        let all = *went + removed.log_files;
        removed.goes_on = removed.log_files > 0 && all < settings.delete_files_at_once;
        *went = if removed.goes_on { all } else { 0 };
        if is_manual && removed.goes_on {
            self.manual_rounds.fetch_add(1, Ordering::AcqRel);
        }
        drop(went);
        self.measure()?;
        followed.map(|()| removed)
    }

    /// Removes the oldest log files at once, where that is allowed, while an absolute bound has no
    /// room for `more` bytes: the next round of [`Store::retain`] would come too late for them.
    pub(crate) fn remove_for(&self, more: u64) -> Result<(), Error> {
        if more == 0 || !self.live().delete_forcibly {
            return Ok(());
        }
        let _one_at_a_time = self.removing.lock();
        let (mut removed, mut early) = (Retained::default(), Early::default());
        self.remove_for_bounds(more, (&mut removed, &mut early))?;
        if removed.log_files > 0 {
            early.tell(self.earliest_log_time());
        }
        self.follow_log_min(&mut removed)
    }

    /// Makes room for the next `bytes` of log files now, for an append that would be refused else.
    /// What is removed must be durable first, with its queue units and index entries.
    pub(crate) fn make_room_now(&self, bytes: u64) {
        if self.first_removable().is_none() && self.make_checkpoint().is_err() {
            return;
        }
        if let Err(error) = self.remove_for(bytes) {
            tracing::warn!(%error, "old commit log files cannot be removed");
        }
    }

    /// Lets the next rounds remove expired files whatever the hour (Java
    /// `executeDeleteFilesManually`).
    pub fn delete_expired_soon(&self) {
        self.manual_rounds.store(20, Ordering::Release);
    }

    fn take_manual_round(&self) -> bool {
        let take = |rounds: u32| rounds.checked_sub(1);
        self.manual_rounds.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Removes log files older than the reserved time, or of any age when `forced`, oldest first, a
    /// bounded number, never the last one. Unless it is `urgent` it is one file, and one that the
    /// next checkpoint has to cover first waits: more at once would hold sends up.
    fn remove_expired(
        &self,
        now: i64,
        (forced, urgent): (bool, bool),
        (removed, early): (&mut Retained, &mut Early),
    ) -> Result<(), Error> {
        let settings = self.live();
        let reserved_ms = settings.reserved_hours.saturating_mul(MS_PER_HOUR);
        let modified = self.log.segments.modified()?;
        let has_expired = |time: i64| time.saturating_add(reserved_ms) <= now;
        let may_go = |time: i64| has_expired(time) || forced;
        let most = if urgent { settings.delete_files_at_once } else { 1 };
        self.log.moved.look_again();
        while removed.log_files < most && self.log.moved.remove_one(may_go) {
            removed.log_files += 1;
        }
        while removed.log_files < most {
            let Some(first) = self.first_removable() else { break };
            let time = modified.iter().find(|(at, _)| *at == first.start);
            // One that somebody removed by hand is gone already.
            let is_due = time.is_none_or(|(_, time)| may_go(*time));
            if !is_due || !urgent && !self.is_covered(&first) || !self.is_safe_without(&first)? {
                break;
            }
            self.remove_first(&first)?;
            removed.log_files += 1;
            if time.is_some_and(|(_, time)| !has_expired(*time)) {
                early.note(&first, RATIO);
            }
        }
        Ok(())
    }

    /// Removes log files of any age while an absolute bound has no room for `more` bytes, a bounded
    /// number.
    fn remove_for_bounds(
        &self,
        more: u64,
        (removed, early): (&mut Retained, &mut Early),
    ) -> Result<(), Error> {
        let most = self.live().delete_files_at_once;
        while removed.log_files < most
            && self.bound_hit(self.spaces()?, more).is_some()
            && self.log.moved.remove_one(|_| true)
        {
            removed.log_files += 1;
        }
        while removed.log_files < most
            && let Some(first) = self.first_removable()
            && let Some(full) = self.bound_hit(self.spaces()?, more)
            && self.is_safe_without(&first)?
        {
            self.remove_first(&first)?;
            removed.log_files += 1;
            early.note(&first, setting_of(full.bound));
        }
        Ok(())
    }

    /// The first file of the log, if there is another one behind it. Under
    /// [`crate::FlushMode::Sync`] a file may be complete and not yet durable.
    fn first_removable(&self) -> Option<Segment> {
        let segments = self.log.segments.all();
        let [first, _, ..] = &segments[..] else { return None };
        (first.end() <= self.log.flushed_to()).then(|| first.clone())
    }

    /// Whether queues and index are durable as far as a file of the log goes: what they lack after
    /// a crash comes from the log.
    fn is_covered(&self, first: &Segment) -> bool {
        self.checkpoint.durable_to().is_some_and(|to| first.end() <= to)
    }

    /// As [`Self::is_covered`]; makes them so, unless the disk has no room for it.
    fn is_safe_without(&self, first: &Segment) -> Result<bool, Error> {
        if !self.is_covered(first) {
            self.make_checkpoint()?;
        }
        Ok(self.is_covered(first))
    }

    /// Removes the log's first file, and notes before that it is meant to go: a start that misses a
    /// file that is not says so.
    fn remove_first(&self, first: &Segment) -> Result<(), Error> {
        self.checkpoint.note_log_min(first.end());
        match self.checkpoint.sync() {
            // Room is what this is for.
            Ok(()) | Err(Error::Full { .. }) => {}
            Err(error) => {
                self.fence(&error);
                return Err(error);
            }
        }
        self.log.segments.remove_first()
    }

    /// Removes what of queues and index leads before the log's first offset, where that is not done
    /// yet: one of them that fails holds up no other, and the next round goes on with it.
    fn follow_log_min(&self, removed: &mut Retained) -> Result<(), Error> {
        let log_min = self.log.min();
        if self.followed_min.load(Ordering::Acquire) == log_min {
            return Ok(());
        }
        let forgotten = self.aside.forget_before(log_min, self.log.segments.dir());
        forgotten.inspect_err(|error| self.fence(error))?;
        self.stats.set_aside(&self.aside);
        let mut failed = Ok(());
        for queue in self.queues.all() {
            match queue.expire(log_min) {
                Ok(files) => removed.queue_files += files,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        if let Some(index) = &self.index {
            removed.index_files += index.expire(log_min)?;
        }
        failed?;
        self.followed_min.store(log_min, Ordering::Release);
        Ok(())
    }

    /// Removes the topics' queues. Their records stay in the log until they expire. Returns how
    /// many topics had queues.
    pub fn delete_topics<'a>(
        &self,
        topics: impl IntoIterator<Item = &'a str>,
    ) -> Result<usize, Error> {
        let mut topics = topics.into_iter().collect();
        self.delete_those(&mut topics, |_| true)
    }

    /// As [`Self::delete_topics`], for light queues, each with the end that it had when it was
    /// decided that it goes: one that a message came to since, or is coming to, stays. Returns
    /// which went.
    pub fn delete_light<'a>(&self, queues: &[(&'a str, i64)]) -> Result<Vec<&'a str>, Error> {
        let ends: HashMap<&str, i64> = queues.iter().copied().collect();
        let mut gone = queues.iter().map(|(name, _)| *name).collect();
        self.delete_those(&mut gone, |name| {
            let queue = self.queues.find(name, light::QUEUE_ID);
            queue.map(|queue| queue.next_offset()) == ends.get(name).copied()
        })?;
        Ok(gone)
    }

    /// As [`Self::delete_topics`], those that `may_go` while nothing is appended; the others are
    /// taken out of `topics`.
    pub fn delete_those(
        &self,
        topics: &mut Vec<&str>,
        may_go: impl Fn(&str) -> bool,
    ) -> Result<usize, Error> {
        // Lock order: a checkpoint looks at the writer.
        let no_checkpoint = self.flush_times.lock();
        let no_append = self.writer.lock();
        topics.retain(|topic| may_go(topic));
        let gone: HashSet<&str> = topics.iter().copied().collect();
        // Else a log that power loss cuts would go on before its noted end.
        self.sync()?;
        self.forget_ends(&|topic, _| gone.contains(topic))?;
        if self.removed_topics.has_before(self.log.min()) {
            // Files of the log that are removed may come back, and with them messages of topics
            // that would be forgotten here.
            let dir = self.log.segments.dir();
            let synced = self.disk.sync_all(dir).map_err(Error::io("sync", dir));
            synced.inspect_err(|error| self.fence(error))?;
        }
        self.removed_topics.note(topics, self.log.written_to(), self.log.min())?;
        let mut removed = 0;
        for topic in &*topics {
            let had_queues = self.queues.remove(topic)?;
            // Also with `enableCompaction` off: what is left would take the next life's places.
            let had_compacted = self.compactions.remove(topic)?;
            removed += usize::from(had_queues || had_compacted);
        }
        self.queues.batch_topics.forget(topics)?;
        drop((no_append, no_checkpoint));
        self.settle_removed(removed)?;
        Ok(removed)
    }

    /// Whether the queues of a topic are those of inner batches (`queue.type=BatchCQ`).
    pub fn holds_batches(&self, topic: &str) -> bool {
        self.queues.batch_topics.contains(topic)
    }

    /// Makes the queues of a topic those of inner batches (`queue.type=BatchCQ`), or of single
    /// messages. Durable. Says whether they are: a topic that has messages in queues of the other
    /// kind keeps those.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn hold_batches(&self, topic: &str, is_batch: bool) -> Result<bool, Error> {
        let known = &self.queues.batch_topics;
        if known.contains(topic) == is_batch {
            if is_batch && !known.is_noted() {
                known.note(topic)?;
            }
            return Ok(true);
        }
        let no_append = self.writer.lock();
        let ids = self.queues.ids(topic);
        let queues = ids.into_iter().filter_map(|id| self.queues.find(topic, id));
        if queues.into_iter().any(|queue| queue.next_offset() > 0) {
            tracing::error!(
                topic,
                is_batch,
                "has messages in queues of another kind (queue.type): it keeps them"
            );
            return Ok(false);
        }
        self.queues.remove(topic)?;
        let noted = match is_batch {
            true => self.queues.batch_topics.note(topic),
            false => self.queues.batch_topics.forget(&[topic]),
        };
        drop(no_append);
        noted.map(|()| true)
    }

    /// Removes the queues whose last message has expired, except those of system topics, and those
    /// of compacted ones, whose messages stay. Returns how many.
    pub fn clean_expired_queues(&self) -> Result<usize, Error> {
        // Lock order: a checkpoint looks at the writer.
        let no_checkpoint = self.flush_times.lock();
        let no_append = self.writer.lock();
        let log_min = self.log.min();
        let stays = |topic: &str| names::is_system_topic(topic) || self.keeps_newest(topic);
        let has_expired = |queue: &Queue| queue.log_end() < log_min;
        self.forget_ends(&|topic, id| {
            let queue = self.queues.find(topic, id);
            !stays(topic) && queue.is_none_or(|queue| has_expired(&queue))
        })?;
        let all = self.queues.topics();
        let topics = || all.iter().filter(|topic| !stays(topic));
        let queues = |topic: &str| {
            let ids = self.queues.ids(topic).into_iter();
            ids.filter_map(|id| self.queues.find(topic, id)).collect::<Vec<_>>()
        };
        if !topics().any(|topic| queues(topic).iter().any(|queue| has_expired(queue))) {
            return Ok(0);
        }
        // A start that finds them gone makes that durable before it goes on.
        self.mark_use(CUTTING)?;
        let removed = topics().try_fold(0, |removed, topic| {
            Ok(removed + self.queues.remove_where(topic, has_expired)?)
        });
        drop((no_append, no_checkpoint));
        // Of one that failed some may be removed.
        self.settle_removed(*removed.as_ref().unwrap_or(&1))?;
        self.mark_use(IN_USE)?;
        removed
    }

    /// Says in `abort` how the store is in use. A full disk leaves it as it is.
    fn mark_use(&self, text: &[u8]) -> Result<(), Error> {
        let abort = self.abort_path();
        match self.disk.replace(&abort, text, None).map_err(Error::io("write", &abort)) {
            Err(Error::Full { .. }) => Ok(()),
            written => written,
        }
    }

    /// Removes queues from the notes of the queues' ends, which would bring them back. No
    /// checkpoint may be under way.
    fn forget_ends(&self, is_gone: &dyn Fn(&str, i32) -> bool) -> Result<(), Error> {
        self.noted_ends.store(0, Ordering::Release);
        let left = queue_ends::forget(&*self.disk, &self.settings.root, is_gone)?;
        self.noted_ends.store(left, Ordering::Release);
        Ok(())
    }

    /// Makes the removal of queues durable: else their files could come back, and stand in the
    /// places of the messages that come after.
    fn settle_removed(&self, queues: usize) -> Result<(), Error> {
        if queues == 0 {
            return Ok(());
        }
        self.queues.sync_removed().inspect_err(|error| self.fence(error))
    }

    /// How many light queues there are.
    pub fn light_queues(&self) -> usize {
        self.queues.light()
    }

    /// The topics that have queues.
    pub fn topics(&self) -> Vec<Str> {
        self.queues.topics()
    }

    /// The ids of a topic's queues, in order.
    pub fn queue_ids(&self, topic: &str) -> Vec<i32> {
        self.queues.ids(topic)
    }

    /// The file system of the commit log.
    pub fn log_space(&self) -> Result<Space, Error> {
        let dir = self.log.segments.dir();
        self.disk.space(dir).map_err(Error::io("stat", dir))
    }

    /// The file system of the queues, index and configuration.
    pub fn root_space(&self) -> Result<Space, Error> {
        self.disk.space(&self.settings.root).map_err(Error::io("stat", &self.settings.root))
    }
}
