//! What happens within a life: sends, reads, flushes, expiry, deletions, and what makes them fail.
//! Each is held against the model at once.

use super::{World, say};
use crate::Op;
use crate::check::{self, Verdict};
use crate::decode::Record;
use crate::model::{At, Kind, Place};
use crate::plan::Step;
use message::{Draft, names};
use store::{Append, AppendError};

const HOUR_MS: i64 = 3_600_000;

impl World<'_> {
    pub(super) fn step(&mut self) -> Verdict {
        let ms = self.random.below(1_200) as i64;
        self.tick(ms);
        let step = self.plan.step(&mut self.random);
        match step {
            Step::Append => self.append()?,
            Step::Flush => self.flush()?,
            Step::Sync => self.sync()?,
            Step::Read => self.read()?,
            Step::Audit => self.audit()?,
            Step::Wait => self.wait(),
            Step::Retain => self.retain()?,
            Step::DeleteTopic => self.delete_topic()?,
            Step::CleanQueues => self.clean_queues()?,
            Step::Save => self.save()?,
            Step::FillDisk => self.fill_disk()?,
            Step::Fail => self.arm(),
        }
        if self.is_over() {
            return Ok(());
        }
        check::ends_grow(self)?;
        check::claims_are_true(self)
    }

    pub(super) fn place(&mut self) -> Place {
        (self.random.index(self.plan.own_topics), self.random.below(self.plan.queues) as i32)
    }

    fn append(&mut self) -> Verdict {
        self.append_some(4)
    }

    /// Some entries in one call, at most `most` and one.
    pub(super) fn append_some(&mut self, most: u64) -> Verdict {
        let mut list = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..=self.random.below(most) {
            let place = self.place();
            let count = match self.random.one_in(4) && self.plan.batches {
                true => 1 + self.random.below(5),
                false => 1,
            };
            let is_half = self.plan.half_messages && count == 1 && self.random.one_in(5);
            let is_alone = count == 1 && !is_half;
            let (some, drafts): (Vec<_>, Vec<_>) =
                (0..count).map(|_| self.draft(place, (is_half, is_alone))).unzip();
            ids.push(some);
            list.push(match drafts.len() {
                1 => Append::one(drafts[0].clone()),
                _ => Append::batch(drafts),
            });
        }
        self.store().append(self.now, &mut list);
        let is_dead = self.disk.is_dead();
        for (append, ids) in list.iter().zip(&ids) {
            say!(self, "append {ids:?}: {:?}", append.outcome);
            match append.outcome {
                _ if is_dead => {}
                Ok(appended) => self.note_stored(ids, &appended)?,
                Err(AppendError::Fenced) if self.armed => {}
                Err(AppendError::DiskFull | AppendError::TooLarge { .. }) => {
                    ids.iter().for_each(|id| self.model.refuse(*id));
                }
                Err(error) => return Err(format!("sends are taken: {error}")),
            }
        }
        if self.plan.is_sync() && !is_dead && self.random.one_in(2) && !self.is_over() {
            return self.sync();
        }
        Ok(())
    }

    pub(super) fn draft(
        &mut self,
        place: Place,
        (is_half, is_alone): (bool, bool),
    ) -> (usize, Draft) {
        let long = self.random.one_in(4);
        let body = self.random.below(if long { self.plan.body_max } else { 90 });
        let zeros = match self.plan.zeros && self.random.one_in(5) {
            true => self.random.below(1_400),
            false => 0,
        };
        let topic = self.plan.topics[place.0].clone();
        let inner = is_alone && place.0 == 0 && self.plan.inner_batches && self.random.one_in(2);
        let inner = if inner { 1 + self.random.below(5) } else { 0 };
        let mut light = Vec::new();
        if is_alone && inner == 0 && names::allows_light_queues(&topic) {
            light = self.plan.light_queues(&mut self.random);
        }
        let light = light.into_iter().map(|at| (at, self.plan.topics[at].clone())).collect();
        let kind = Kind { body, is_half, zeros, light, inner };
        self.model.draft(place, &topic, &kind, &mut self.random)
    }

    /// Offsets are dense, and follow each other in a batch.
    fn note_stored(&mut self, ids: &[usize], appended: &store::Appended) -> Verdict {
        self.stored.push((self.passed, appended.log_end()));
        let mut log_offset = appended.log_offset;
        for (index, id) in ids.iter().enumerate() {
            let (place, is_half) =
                (self.model.messages[*id].place, self.model.messages[*id].is_half);
            let record = check::written(self, *id, log_offset)?;
            let log_end = log_offset + record.size as i64;
            let queue_offset = match is_half {
                true => 0,
                false => appended.queue_offset + index as i64,
            };
            let next = self.model.queues.entry(place).or_default().next;
            if !is_half && queue_offset != next {
                let name = self.name(place);
                return Err(format!("offsets are dense: {name} gave {queue_offset}, not {next}"));
            }
            if record.queue_offset != queue_offset {
                let other = record.queue_offset;
                return Err(format!("written as answered: {id} says {other}, not {queue_offset}"));
            }
            self.model.store(*id, At { log_offset, log_end, queue_offset });
            self.note_light(*id, &record)?;
            log_offset = log_end;
        }
        match log_offset == appended.log_end() {
            true => Ok(()),
            false => Err(format!("written as answered: {appended:?} ends at {log_offset}")),
        }
    }

    /// Offsets in light queues are dense, too.
    fn note_light(&mut self, id: usize, record: &Record) -> Verdict {
        let log_offset = record.log_offset;
        let log_end = log_offset + record.size as i64;
        for shadow in self.model.shadows(id) {
            let place = self.model.messages[shadow].place;
            let next = self.model.queues.entry(place).or_default().next;
            let topic = &self.plan.topics[place.0];
            match self.model.seen((place, topic), record) {
                Some((_, queue_offset)) if queue_offset == next => {
                    self.model.store(shadow, At { log_offset, log_end, queue_offset });
                }
                other => {
                    let name = self.name(place);
                    return Err(format!("offsets are dense: {name} gave {other:?}, not {next}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Verdict {
        let synced = self.store().sync();
        say!(self, "sync: {synced:?}");
        match synced {
            _ if self.disk.is_dead() => Ok(()),
            Ok(to) if to != self.store().max_log_offset() || to != self.store().flushed_to() => {
                Err(format!("a sync covers all: {to} of {}", self.store().max_log_offset()))
            }
            Ok(to) => {
                check::claims_are_true(self)?;
                self.model.set_durable(to);
                Ok(())
            }
            Err(error) if self.armed => self.expect_fence(&error),
            Err(error) => Err(format!("a healthy disk syncs: {error}")),
        }
    }

    /// After a failed write or sync nothing is taken any more.
    fn expect_fence(&mut self, error: &store::Error) -> Verdict {
        if self.store().fence_reason().is_none() {
            return Err(format!("a failure fences: {error}"));
        }
        let place = self.place();
        let (id, draft) = self.draft(place, (false, false));
        let mut list = [Append::one(draft)];
        self.store().append(self.now, &mut list);
        self.model.refuse(id);
        match list[0].outcome {
            Err(AppendError::Fenced) => Ok(()),
            outcome => Err(format!("a fenced store takes nothing: {outcome:?}")),
        }
    }

    pub(super) fn flush(&mut self) -> Verdict {
        let before = self.store().max_log_offset();
        if std::mem::take(&mut self.is_clock_new) {
            self.wait_anew();
        }
        let flushed = self.store().flush(self.now);
        say!(self, "flush: {flushed:?}");
        match flushed {
            _ if self.disk.is_dead() => Ok(()),
            Ok(again) if again <= self.now => Err("a flush asks for a later one".into()),
            Ok(_) if self.store().refusal().is_some() => Ok(()),
            Ok(_) => self.is_durable_soon(before),
            Err(error) if self.armed => self.expect_fence(&error),
            Err(error) => Err(format!("a healthy disk flushes: {error}")),
        }
    }

    /// What was stored ten seconds ago is durable, and all when four pages wait.
    fn is_durable_soon(&mut self, before: i64) -> Verdict {
        let settings = &self.plan.settings;
        let old = self.passed - settings.flush_log_thorough_interval_ms;
        let stored = self.stored.iter().take_while(|(time, _)| *time <= old).last();
        let old_end = stored.map_or(0, |(_, end)| *end);
        let flushed_to = self.store().flushed_to();
        let many = before - flushed_to >= settings.flush_log_least_pages * 4096;
        if old_end > flushed_to || many {
            return Err(format!("ASYNC_FLUSH is durable soon: {flushed_to}, not {old_end}"));
        }
        Ok(())
    }

    fn read(&mut self) -> Verdict {
        let place = self.place();
        let max = self.model.queues.get(&place).map_or(0, |queue| queue.max_seen);
        let offset = self.random.below(max as u64 + 3) as i64 - 1;
        if self.plan.read_faults && self.random.one_in(4) {
            self.disk.fail(Op::Read, self.random.below(4), false);
        }
        say!(self, "read {} {offset}", self.name(place));
        let checked = check::reads_skip_nothing(self, place, offset);
        self.disk.heal_reads();
        checked
    }

    fn audit(&mut self) -> Verdict {
        if self.armed {
            return Ok(());
        }
        if self.plan.is_sync() {
            self.sync()?;
        }
        if self.is_over() {
            return Ok(());
        }
        say!(self, "audit");
        let checked = check::running(self);
        if self.is_over() { Ok(()) } else { checked }
    }

    fn wait(&mut self) {
        let step = self.random.below(HOUR_MS as u64) as i64;
        match self.random.below(6) {
            0 => self.tick(80 * HOUR_MS),
            1 | 2 => self.tick(11_000),
            3 if self.plan.clock_steps => self.set_clock(-step),
            4 if self.plan.clock_steps => self.set_clock(step),
            _ => self.tick(step % 5_000),
        }
        say!(self, "it is {}", self.now);
    }

    /// Expiry, of old files or because the disk runs full.
    fn retain(&mut self) -> Verdict {
        let others = self.random.pick(&[0, 50, 80, 88, 95]);
        let used = self.disk.used().max(1);
        // The store's own bytes are a hundredth of the disk.
        self.disk.set_room(used * 100, used * others);
        if self.random.one_in(3) {
            self.store().delete_expired_soon();
        }
        let retained = self.store().retain(self.now);
        self.disk.set_room(1 << 40, 1 << 39);
        say!(self, "retain at {others} %: {retained:?}");
        self.model.expire(self.store().min_log_offset());
        match retained {
            _ if self.disk.is_dead() => Ok(()),
            Ok(_) => {
                let is_full = others == 95;
                let refuses = self.store().refusal() == Some(AppendError::DiskFull);
                if is_full && !refuses {
                    return Err("a disk above its limit refuses".into());
                }
                self.model.expire(self.store().min_log_offset());
                if is_full && !self.armed {
                    self.store().retain(self.now).map_err(|error| format!("retain: {error}"))?;
                    self.model.expire(self.store().min_log_offset());
                }
                Ok(())
            }
            Err(_) if self.armed => Ok(()),
            Err(error) => Err(format!("a healthy disk forgets: {error}")),
        }
    }

    fn delete_topic(&mut self) -> Verdict {
        let topic = self.random.index(self.plan.topics.len());
        let name = self.plan.topics[topic].clone();
        let is_batch = topic == 0 && self.plan.batch_queues;
        let deleted = self.store().delete_topics([&*name]);
        let deleted = deleted.and_then(|_| self.store().hold_batches(&name, is_batch));
        say!(self, "delete {name}: {deleted:?}");
        let places: Vec<_> = (0..self.plan.queues as i32).map(|queue| (topic, queue)).collect();
        match deleted {
            Ok(_) if !self.disk.is_dead() => {
                places.iter().for_each(|place| self.model.remove_queue(*place));
            }
            Err(error) if !self.armed && !self.disk.is_dead() => {
                return Err(format!("a healthy disk removes topics: {error}"));
            }
            _ => {
                self.model.half_deleted.extend(places);
                // What became of it is seen after a restart.
                self.disk.stop();
            }
        }
        Ok(())
    }

    fn clean_queues(&mut self) -> Verdict {
        let cleaned = self.store().clean_expired_queues();
        say!(self, "clean expired queues: {cleaned:?}");
        if self.disk.is_dead() || cleaned.is_err() {
            let error = cleaned.err().filter(|_| !self.armed && !self.disk.is_dead());
            let queues = self.model.queues.iter();
            let empty =
                queues.filter(|(_, queue)| queue.placed.is_empty()).map(|(place, _)| *place);
            self.model.half_deleted.extend(empty);
            self.disk.stop();
            return error.map_or(Ok(()), |error| Err(format!("queues are cleaned: {error}")));
        }
        let places: Vec<_> = self.model.queues.keys().copied().collect();
        for place in places {
            let is_there = self.store().queue_ids(&self.plan.topics[place.0]).contains(&place.1);
            let queue = &self.model.queues[&place];
            if !is_there && !queue.placed.is_empty() {
                let name = self.name(place);
                return Err(format!("only empty queues are cleaned: {name} had messages"));
            }
            if !is_there {
                self.model.remove_queue(place);
            }
        }
        Ok(())
    }

    fn save(&mut self) -> Verdict {
        // A file has a time of its own, or nobody can tell its checksum from another's.
        self.tick(1);
        let version = self.model.saves.tried + 1;
        self.model.saves.tried = version;
        if self.model.saves.allowed.is_empty() {
            self.model.saves.allowed.push(0);
        }
        let pad = "x".repeat(self.random.index(2_000));
        let text = format!("{{\"version\":{version},\"pad\":\"{pad}\"}}");
        let saved = self.store().config().save("sim.json", &text);
        say!(self, "save {version}: {saved:?}");
        self.model.saves.allowed.push(version);
        match saved {
            _ if self.disk.is_dead() => {}
            Ok(()) => self.model.saves.allowed = vec![version],
            Err(error) if !self.armed => return Err(format!("a healthy disk saves: {error}")),
            Err(_) => {}
        }
        Ok(())
    }

    /// A full disk refuses, and takes messages again when there is room.
    fn fill_disk(&mut self) -> Verdict {
        self.disk.fill(true);
        say!(self, "the disk is full");
        for _ in 0..self.random.below(5) {
            self.tick(500);
            self.append()?;
            if self.is_over() {
                return Ok(());
            }
            self.flush()?;
            if self.is_over() {
                return Ok(());
            }
        }
        self.disk.fill(false);
        say!(self, "the disk has room");
        self.tick(500);
        self.flush()?;
        // What `retain` saw of the ratios is looked at again every second.
        let measured = self.store().measure();
        if !self.is_over() && measured.is_ok() && self.store().refusal().is_some() && !self.armed {
            let refusal = self.store().refusal();
            return Err(format!("sends are taken again when there is room: {refusal:?}"));
        }
        Ok(())
    }

    /// Lets something fail soon.
    pub(super) fn arm(&mut self) {
        if !self.plan.write_faults {
            return;
        }
        let op = self.random.pick(&[Op::Write, Op::Sync, Op::Name]);
        let (after, forever) = (self.random.below(12), self.random.one_in(2));
        say!(self, "{op:?} will fail after {after}, forever {forever}");
        self.disk.fail(op, after, forever);
        self.armed = true;
    }
}
