//! What becomes durable and when: the periodic flush, the sync that waiters share, and the clean
//! end. The intervals are Java's; the shell calls.

use crate::checkpoint::Mark;
use crate::consume_queue::Queue;
use crate::parts::IN_USE;
use crate::queue_ends::QueueEnds;
use crate::segments::Segment;
use crate::{Error, Store, Wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const PAGE: i64 = 4096;
/// Queue bytes that make a flush worth it, between the thorough ones (Java's two pages).
const QUEUE_LEAST_BYTES: i64 = 2 * PAGE;

/// Log bytes after which a checkpoint is due whatever the time: what a start after a crash has to
/// look at.
const CHECKPOINT_BYTES: i64 = 256 << 20;

/// When what was done last, ms since the epoch.
#[derive(Default)]
pub(crate) struct FlushTimes {
    queues: i64,
    checkpoint: i64,
    /// The log offset that the last checkpoint covers.
    checkpoint_at: i64,
}

/// Whether so much time has passed since `last`, or the clock was set back since then.
fn is_due(now: i64, last: i64, interval_ms: i64) -> bool {
    !(0..interval_ms).contains(&now.saturating_sub(last))
}

/// A queue's units that readers may see once the log is durable up to `log_end`.
pub(crate) struct Unflushed {
    log_end: i64,
    queue: Arc<Queue>,
    max: i64,
}

impl Store {
    /// Lets readers see a queue up to `max`: at once, or when the log is durable up to `log_end`.
    pub(crate) fn publish(&self, log_end: i64, queue: Arc<Queue>, max: i64) {
        match self.settings.flush_mode {
            crate::FlushMode::Async => queue.publish(max),
            crate::FlushMode::Sync => {
                self.unflushed.lock().push_back(Unflushed { log_end, queue, max });
            }
        }
    }

    /// Group commit: makes everything appended so far durable, lets readers see it, and returns the
    /// log offset up to which all is durable. Callers at the same time share one sync.
    pub fn sync(&self) -> Result<i64, Error> {
        self.check_fence()?;
        let flushed_to = self.log.sync().inspect_err(|error| self.fence(error))?;
        let mut unflushed = self.unflushed.lock();
        while unflushed.front().is_some_and(|first| first.log_end <= flushed_to) {
            if let Some(first) = unflushed.pop_front() {
                first.queue.publish(first.max);
            }
        }
        drop(unflushed);
        self.follow_appends()?;
        Ok(flushed_to)
    }

    /// The periodic work: puts waiting index keys, syncs what is due, writes the checkpoint, makes
    /// the next log file ready. Returns when it wants to be called again, ms since the epoch.
    pub fn flush(&self, now: i64) -> Result<i64, Error> {
        self.check_fence()?;
        self.log.look_at_lens();
        if self.lacks_end.load(Ordering::Acquire) {
            self.reserve_end();
        }
        let flushed = self.flush_due(now);
        if flushed.is_ok() && self.waits_for_room.swap(false, Ordering::AcqRel) {
            tracing::warn!("there is room on the disk again, messages are taken");
        }
        self.wait_for_room(flushed).inspect_err(|error| self.fence(error))?;
        if self.waits_for_room.load(Ordering::Acquire) {
            // The log has its room already.
            self.sync()?;
        } else {
            self.prepare_segment();
        }
        Ok(now + self.live().flush_log_interval_ms)
    }

    /// Puts the index keys that wait; after a failure nothing is written any more.
    pub(crate) fn put_index_keys(&self) -> Result<(), Error> {
        if self.is_fenced() {
            return Ok(());
        }
        self.index.as_ref().map_or(Ok(()), |index| index.apply(&self.checkpoint))
    }

    fn flush_due(&self, now: i64) -> Result<(), Error> {
        let mut times = self.flush_times.lock();
        self.mark_in_use()?;
        self.put_index_keys()?;
        self.dirty.all().iter().try_for_each(|queue| queue.write())?;
        // What waits for room is done when this succeeds.
        let is_full = self.waits_for_room.load(Ordering::Acquire);
        self.follow_all(if is_full { Wait::ForDisk } else { Wait::Never })?;
        let settings = self.live();
        let unsafe_bytes = self.log.written_to() - times.checkpoint_at;
        let thorough =
            settings.flush_log_thorough_interval_ms.min(settings.flush_queues_thorough_interval_ms);
        if is_due(now, times.checkpoint, thorough) || unsafe_bytes >= CHECKPOINT_BYTES {
            times.checkpoint_at = self.make_durable()?;
            (times.checkpoint, times.queues) = (now, now);
            return Ok(());
        }
        let dirty = self.log.written_to() - self.log.flushed_to();
        if dirty >= settings.flush_log_least_pages * PAGE {
            self.sync()?;
        }
        if is_due(now, times.queues, settings.flush_queues_interval_ms) {
            times.queues = now;
            self.sync_queues(QUEUE_LEAST_BYTES)?;
        }
        Ok(())
    }

    /// Makes `abort` when the disk was too full for it at the start; nothing was stored since.
    fn mark_in_use(&self) -> Result<(), Error> {
        if self.lacks_abort.load(Ordering::Acquire) {
            let abort = self.abort_path();
            self.disk.replace(&abort, IN_USE, None).map_err(Error::io("write", &abort))?;
            self.lacks_abort.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Makes everything durable now and notes it, unless the disk has no room for it.
    pub(crate) fn make_checkpoint(&self) -> Result<(), Error> {
        let mut times = self.flush_times.lock();
        let made = self.make_durable().map(|end| times.checkpoint_at = end);
        self.wait_for_room(made).inspect_err(|error| self.fence(error))
    }

    /// Makes log, queues, compacted ones and index durable up to where they are now, notes it in
    /// the checkpoint, and returns how far that is.
    fn make_durable(&self) -> Result<i64, Error> {
        // What waits for a sync is not readable, and would not be noted.
        self.sync()?;
        // In this order: no queue's noted end leads behind the log's.
        let ends = QueueEnds::of(&self.queues, self.followed_min.load(Ordering::Acquire));
        let (end, time) = self.whole_to();
        self.sync()?;
        self.sync_queues(1)?;
        self.follow_all(Wait::ForDisk)?;
        self.compactions.sync()?;
        self.put_index_keys()?;
        if let Some(index) = &self.index {
            let indexed = index.last_time();
            index.sync()?;
            self.checkpoint.set(Mark::IndexTime, indexed);
        }
        if self.noted_ends.load(Ordering::Acquire) != ends.digest() {
            ends.save(&*self.disk, &self.settings.root, end)?;
            self.noted_ends.store(ends.digest(), Ordering::Release);
        }
        let file_bytes = self.log.segments.file_bytes();
        self.checkpoint.set_durable(end, time, file_bytes);
        self.checkpoint.note_log_min(self.log.min());
        self.checkpoint.sync()?;
        Ok(end)
    }

    /// The log offset up to which records and their units are written, and the newest record's
    /// time.
    fn whole_to(&self) -> (i64, i64) {
        let writer = self.writer.lock();
        (writer.whole_to(), self.log.newest_time())
    }

    /// Syncs the queues with at least so many unsynced bytes.
    fn sync_queues(&self, least_bytes: i64) -> Result<(), Error> {
        let mut queues = self.dirty.all();
        queues.retain(|queue| queue.unsynced_bytes() >= least_bytes);
        self.queues.sync(&queues)?;
        self.dirty.forget_clean();
        Ok(())
    }

    /// Makes the next log file once the current one is half full, so that no append waits for it. A
    /// full disk is no failure yet: the append that needs the file will be refused. What a bound
    /// has no room for is made room for here, also for the files that will be filled before the
    /// next flush when appends go on as since the last one.
    fn prepare_segment(&self) {
        let segments = &self.log.segments;
        let end = self.log.written_to();
        let pace = end - self.prepared_at.swap(end, Ordering::AcqRel);
        let is_lacking = self.lacks_segment.load(Ordering::Acquire);
        let half = segments.file_bytes() / 2;
        let is_half_full = |last: Segment| end - last.start >= half;
        if !is_lacking && !segments.last().is_some_and(is_half_full) && pace < half {
            return;
        }
        let coming = pace.max(0) / segments.file_bytes() * segments.file_bytes();
        if let Err(error) = self.remove_for(self.next_file_bytes() + coming.unsigned_abs()) {
            tracing::warn!(%error, "old commit log files cannot be removed");
        }
        if segments.is_ahead() {
            return;
        }
        let made = match self.next_file_bound() {
            Some(full) => Err(full.to_string()),
            None => segments.make_spare().map_err(|error| error.to_string()),
        };
        if let (Err(error), false) = (&made, self.lacks_spare.load(Ordering::Acquire)) {
            tracing::warn!(%error, "the next commit log file cannot be made ready");
        }
        self.lacks_spare.store(made.is_err(), Ordering::Release);
        if made.is_ok() && self.lacks_segment.swap(false, Ordering::AcqRel) {
            tracing::warn!("there is room for the next commit log file again, messages are taken");
        }
    }

    /// Ends cleanly: no more appends; everything durable; `abort` removed, unless the store was
    /// fenced. Reading goes on to work.
    pub fn close(&self) -> Result<(), Error> {
        if self.set_closed() {
            return Ok(());
        }
        // Appends that are under way end first.
        drop(self.writer.lock());
        self.check_fence()?;
        self.close_files().inspect_err(|error| self.fence(error))?;
        self.unlock();
        Ok(())
    }

    fn close_files(&self) -> Result<(), Error> {
        self.log.segments.remove_spare()?;
        if self.lacks_abort.load(Ordering::Acquire) {
            // Nothing was stored since the last clean stop, and the disk has no room for more.
            return Ok(());
        }
        match self.make_durable() {
            Err(Error::Full { path, .. }) => {
                // The log has its room already.
                self.sync()?;
                tracing::error!(
                    unwritten = %path.display(),
                    "stopped on a full disk: no message is lost, all are durable in the \
                     commit log. What could not be written is made from it by the next start, \
                     which recovers as after a crash (abort stays); give the disk room before"
                );
                return Ok(());
            }
            made => made?,
        };
        let abort = self.abort_path();
        self.disk.remove(&abort).map_err(Error::io("remove", &abort))
    }
}
