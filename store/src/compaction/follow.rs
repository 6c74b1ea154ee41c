//! Taking over what a compacted queue lacks: along its consume queue, up to where readers may see.
//!
//! Appends do it, as far as nobody has to wait for that: what would end a file, which is made
//! durable before the next one begins, and a queue that somebody else is at are left to a thread of
//! its own ([`Store::follow_compacted`]), and to checkpoints.

use super::run::New;
use super::{Compacted, pass};
use crate::consume_queue::{Queue, Unit};
use crate::reach::{Reach, Wait};
use crate::{Error, Store};
use message::Str;
use message::record::{self, Entry};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Messages that are taken over at once.
const AT_ONCE: usize = 64;
/// How often an append takes over what others stored meanwhile, before it goes on.
const ROUNDS: usize = 4;

impl Compacted {
    /// Takes a record behind all that are there. Where it begins the next file the last one is made
    /// durable before, and nobody has to wait for that but who calls; who must not is told `false`.
    fn push(&self, new: &New<'_>, wait: Wait) -> Result<bool, Error> {
        let mut run = self.run.write();
        if run.begins_file(new) {
            if wait == Wait::Never {
                self.is_full.store(true, Ordering::Release);
                return Ok(false);
            }
            run.end_last()?;
            drop(run);
            self.sync()?;
            run = self.run.write();
        }
        run.push(new).map(|()| true)
    }
}

impl Store {
    /// Takes over what was appended, as far as that waits for nothing: where a file is full, and
    /// where the disk is, it is done later. After an error the store takes no more appends.
    pub(crate) fn follow_appends(&self) -> Result<(), Error> {
        if !self.compactions.is_on.load(Ordering::Acquire) || self.is_fenced() {
            return Ok(());
        }
        self.follow_or_fence(Wait::Never)
    }

    /// Takes over what appends left: they wait for no file to become durable. Call it often, from a
    /// thread for which nobody waits.
    ///
    /// # Errors
    /// When the store failed.
    pub fn follow_compacted(&self) -> Result<(), Error> {
        self.check_fence()?;
        self.follow_or_fence(Wait::ForDisk)
    }

    /// As [`Self::follow_all`]; what has no room waits for it, and any other error is the store's
    /// failure.
    pub(super) fn follow_or_fence(&self, wait: Wait) -> Result<(), Error> {
        let followed = self.wait_for_room(self.follow_all(wait));
        followed.inspect_err(|error| self.fence(error))
    }

    /// The compacted queues that took messages over since this was asked. It may be done for one
    /// sender by another's append, or by the flush: whoever calls either asks after it.
    pub fn take_followed(&self) -> BTreeSet<(Str, i32)> {
        match self.compactions.has_followed.swap(false, Ordering::AcqRel) {
            true => std::mem::take(&mut *self.compactions.followed.lock()),
            false => BTreeSet::new(),
        }
    }

    /// Takes over what was appended and readers may see. Who must not wait leaves what is full, and
    /// what somebody else is at.
    pub(crate) fn follow_all(&self, wait: Wait) -> Result<(), Error> {
        if !self.compactions.is_on.load(Ordering::Acquire) {
            return Ok(());
        }
        let behind = self.compactions.behind.lock().clone();
        behind.iter().try_for_each(|name| self.follow_one(name, wait))
    }

    fn follow_one(&self, name: &(Str, i32), wait: Wait) -> Result<(), Error> {
        let behind = &self.compactions.behind;
        for _ in 0..ROUNDS {
            let Some(queue) = self.open_compacted(&name.0, name.1)? else {
                behind.lock().remove(name);
                return Ok(());
            };
            let alone = match wait {
                Wait::Never if queue.is_full.load(Ordering::Acquire) => None,
                Wait::Never => queue.following.try_lock(),
                Wait::ForDisk => Some(queue.following.lock()),
            };
            let Some(alone) = alone else { return Ok(()) };
            behind.lock().remove(name);
            let before = queue.followed.load(Ordering::Acquire);
            let is_all = self.catch_up(&queue, (&name.0, name.1), wait);
            let has_come_on = queue.followed.load(Ordering::Acquire) > before;
            if has_come_on {
                self.compactions.followed.lock().insert(name.clone());
                self.compactions.has_followed.store(true, Ordering::Release);
            }
            if !matches!(is_all, Ok(true)) {
                behind.lock().insert(name.clone());
            }
            is_all?;
            drop(alone);
            // Who stored something meanwhile, and did not wait, has left it here.
            if !has_come_on || !behind.lock().contains(name) {
                break;
            }
        }
        Ok(())
    }

    /// Takes over what the consume queue has now and the compacted one has not. Says whether that
    /// is all: some of it may not be readable yet, or have to wait, and more may have come.
    fn catch_up(
        &self,
        compacted: &Compacted,
        (topic, id): (&str, i32),
        wait: Wait,
    ) -> Result<bool, Error> {
        let Some(queue) = self.queues.find(topic, id) else { return Ok(true) };
        // Somebody may append as fast as this is.
        let end = queue.end_offset();
        while !compacted.is_removed.load(Ordering::Acquire) {
            let from = compacted.followed.load(Ordering::Acquire).max(queue.first_offset());
            let units = match from < end {
                true => self.units_to_follow(&queue, (topic, id), from),
                false => Vec::new(),
            };
            if units.is_empty() {
                let is_all = queue.has_none_from(from);
                if is_all {
                    // Places of lost batches have no units.
                    compacted.followed.fetch_max(end, Ordering::AcqRel);
                }
                if is_all || from >= end {
                    compacted.is_full.store(false, Ordering::Release);
                }
                return Ok(is_all);
            }
            let taken = self.take_over(compacted, &units, (topic, wait))?;
            if let Some((_, end)) = taken.checked_sub(1).and_then(|last| units.get(last)) {
                compacted.followed.store(*end, Ordering::Release);
            }
            if taken < units.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Some units of a consume queue, each with the queue offset behind it.
    pub(super) fn units_to_follow(
        &self,
        queue: &Queue,
        name: (&str, i32),
        from: i64,
    ) -> Vec<(Unit, i64)> {
        if queue.is_batch() {
            let batches = self.batch_units(queue, name, (from, AT_ONCE));
            return batches.iter().map(|batch| (batch.unit, batch.end())).collect();
        }
        self.units(name.0, name.1, from, AT_ONCE).into_iter().zip(from + 1..).collect()
    }

    /// Takes over the messages of some units, up to the first one that cannot be read for the
    /// moment, or for which nobody may wait, and says how many those are.
    fn take_over(
        &self,
        to: &Compacted,
        units: &[(Unit, i64)],
        (topic, wait): (&str, Wait),
    ) -> Result<usize, Error> {
        let mut taken = 0;
        for (unit, _) in units {
            if !unit.is_blank() {
                let lent = self.log.record_of(unit, &mut Reach::new(Wait::ForDisk));
                let Ok(bytes) = lent else { break };
                if let Some(new) = new_of(topic, unit, bytes.as_deref())
                    && !to.push(&new, wait)?
                {
                    break;
                }
            }
            taken += 1;
        }
        to.run.write().write().map(|()| taken)
    }
}

/// What a queue takes over of the message of a unit.
fn new_of<'a>(topic: &str, unit: &Unit, bytes: Option<&'a [u8]>) -> Option<New<'a>> {
    let entry = bytes.map(|bytes| record::decode(bytes, false));
    let Some(Ok(Entry::Message(record))) = entry.filter(|_| unit.log_offset >= 0) else {
        tracing::error!(
            topic,
            log_offset = unit.log_offset,
            "a message cannot be read, and is not taken over by the compacted queue"
        );
        return None;
    };
    let is_kept = record.topic == topic && pass::key_of(&record).is_some();
    is_kept.then_some(New {
        record: record.raw,
        queue_offset: record.queue_offset,
        tags_code: unit.tags_code,
        store_timestamp: record.store_timestamp,
    })
}
