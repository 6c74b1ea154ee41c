//! Reading again what nobody reads any more: the cold files of the commit log, from the oldest
//! on, a little at a time, so that damage is found while a copy still has what was lost; and then
//! the tags codes of queues (`queue_pass`) and the index (`index_pass`) beside the log. Where a
//! queue unit leads is not looked at here: readers compare each with its record.
//!
//! Where a pass stands is forgotten at a restart: the next one begins with the oldest file.

use crate::index_pass::IndexPass;
use crate::look::{Cause, Gap, LogWalk, Run, Step};
use crate::losses::{Tally, tell_aside};
use crate::queue_pass::QueuePass;
use crate::{Aside, Store};
use std::time::Duration;

/// Bytes that one step reads, and the record that goes beyond.
const STEP_BYTES: usize = 1 << 20;
/// A pass begins so long after the one before it began, ms.
const PASS_INTERVAL_MS: i64 = 24 * 3_600_000;
/// A file that was complete so long ago is cold, ms. One that was filled a moment ago would be read
/// from memory, which tells nothing of the disk and takes the time of those who send.
const COLD_MS: i64 = 600_000;
/// How long there is nothing to do before it is looked again.
const IDLE: Duration = Duration::from_secs(1);

/// The pass under way.
#[derive(Default)]
pub(crate) struct Pass {
    /// The next log offset to be read.
    at: i64,
    /// When the pass began, ms since the epoch; `None` when there was none yet.
    began_ms: Option<i64>,
    is_over: bool,
    cooling: Cooling,
    queues: QueuePass,
    index: IndexPass,
}

/// How far the log is cold.
#[derive(Debug, Default)]
struct Cooling {
    /// Where the cold files end.
    cold_to: i64,
    /// Where the complete files ended when it was looked last, and when that was (ms).
    seen: Option<(i64, i64)>,
}

impl Cooling {
    /// Where the cold files end, when the complete ones end at `end` now. What is complete at the
    /// first look, after a start, is cold at once.
    fn cold_to(&mut self, end: i64, now: i64) -> i64 {
        let is_new = |at: &(i64, i64)| (0..COLD_MS).contains(&now.saturating_sub(at.1));
        if !self.seen.as_ref().is_some_and(is_new) {
            self.cold_to = self.seen.map_or(end, |(end, _)| end);
            self.seen = Some((end, now));
        }
        self.cold_to.min(end)
    }
}

impl Store {
    /// Reads and checks about a megabyte of the log, or of the log and the index, and says how many
    /// bytes that were; 0 when there is nothing to do at `now` (ms since the epoch). Takes no lock
    /// that an append or a reader takes, but to mend an index file: its queries wait. Where damage
    /// is found the rest of that one file is searched as well.
    pub fn scrub(&self, now: i64) -> u64 {
        if self.live().scrub_time_percent == 0 {
            return 0;
        }
        let mut pass = self.pass.lock();
        match self.scrub_log(&mut pass, now) {
            0 => {}
            read => return read,
        }
        match self.scrub_queues(&mut pass.queues, now, PASS_INTERVAL_MS) {
            0 => self.scrub_index(&mut pass.index, now, PASS_INTERVAL_MS),
            read => read,
        }
    }

    fn scrub_log(&self, pass: &mut Pass, now: i64) -> u64 {
        let run = self.log.segments.complete(self.log.flushed_to());
        let cold_to = pass.cooling.cold_to(run.end().unwrap_or(0), now);
        let since = pass.began_ms.map(|began| now.saturating_sub(began));
        let begins = pass.is_over || since.is_none();
        if begins {
            if since.is_some_and(|since| (0..PASS_INTERVAL_MS).contains(&since)) {
                return 0;
            }
            (pass.at, pass.began_ms, pass.is_over) = (self.log.min(), Some(now), false);
        }
        let from = pass.at.max(self.log.min());
        let read = self.scrub_from(run, (from, cold_to), now);
        if begins && read.is_none() {
            // No file is cold yet: there was no pass.
            pass.began_ms = None;
            return 0;
        }
        pass.at = from + read.unwrap_or(0);
        pass.is_over = read.is_none();
        if pass.is_over {
            self.stats.scrub_pass(now);
        }
        read.map_or(0, i64::unsigned_abs)
    }

    /// How long to wait before the next [`Self::scrub`], after one that read `bytes` and took
    /// `took`: so long that the reading takes no more than `scrubTimePercent` of all time.
    pub fn scrub_pause(&self, bytes: u64, took: Duration) -> Duration {
        let percent = u32::from(self.live().scrub_time_percent);
        if bytes == 0 || percent == 0 {
            return IDLE;
        }
        took.saturating_mul(100_u32.saturating_sub(percent)) / percent
    }

    /// One step of the complete files, of which those up to `end` are cold; `None` when none of
    /// these holds `from`.
    fn scrub_from(&self, run: Run, (from, end): (i64, i64), now: i64) -> Option<i64> {
        if from >= end {
            return None;
        }
        let aside = self.aside.ranges().iter().map(|range| (range.from, range.to)).collect();
        let mut walk = LogWalk::new(&*self.disk, run, aside, STEP_BYTES);
        walk.jump(from);
        let mut records = 0;
        while walk.at() < end && walk.at() - from < STEP_BYTES as i64 {
            match walk.step() {
                Ok(Step::Record) => records += 1,
                Ok(Step::Gap(gap)) => self.scrub_gap(gap, now),
                Ok(Step::End { .. }) if walk.at() >= end => {}
                // Nothing but zeros or rubbish up to the last cold file's end.
                Ok(Step::End { garbage }) => {
                    let why = garbage.unwrap_or_else(|| "zeros".into());
                    let from = walk.at();
                    self.scrub_gap(Gap { from, to: end, cause: Cause::Damaged, why }, now);
                    walk.jump(end);
                }
                Err(error) => {
                    tracing::error!(%error, offset = walk.at(), "the log cannot be checked here");
                    walk.jump(end);
                }
            }
        }
        let read = walk.at() - from;
        self.stats.scrubbed(read.unsigned_abs(), records);
        Some(read)
    }

    fn scrub_gap(&self, gap: Gap, now: i64) {
        let Gap { from, to, cause, why } = gap;
        if cause != Cause::Damaged || to <= self.log.min() {
            return;
        }
        let added = self.aside.add(Aside { from, to, found_ms: now, why: why.clone() });
        if matches!(added, Ok(false)) {
            return;
        }
        self.stats.scrub_damage();
        self.stats.set_aside(&self.aside);
        tracing::error!(
            from,
            to,
            bytes = to - from,
            %why,
            "the commit log is damaged here: the messages in this range are lost unless a copy has \
             them, all others stay readable; it is noted in setaside"
        );
        tell_aside(&self.places_in(from, to));
        if let Err(error) = added {
            tracing::error!(%error, "the range is known until the next start only");
        }
    }

    /// What queues have between two log offsets: a few reads for each queue.
    fn places_in(&self, from: i64, to: i64) -> Tally {
        let places = Tally::default();
        for topic in self.queues.topics() {
            for id in self.queues.ids(&topic) {
                let Some(queue) = self.queues.find(&topic, id) else { continue };
                let (first, end) = queue.places_between(from, to);
                places.note((&topic, id), first, end);
            }
        }
        places
    }
}
