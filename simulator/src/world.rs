//! One run: a store, its disk, the model beside it, and what happens to them, all from one seed.

use crate::check::{self, Verdict};
use crate::decode::Record;
use crate::flips;
use crate::kept::Left;
use crate::model::{At, Kind, Model, Place};
use crate::plan::{BEGIN, End, Plan, ROOT, Step};
use crate::{Op, Random, SimDisk};
use message::{Draft, names};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Append, AppendError, Store};

/// Starts that die in a row, at most.
const DEATHS_MAX: u64 = 5;
/// Calls that fail in the middle at a run's end, and calls that fill a file before each.
const BURSTS: u64 = 2;
const CALLS_MAX: u64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// What happened since the last start that was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    /// The process ended, one way or the other.
    pub(crate) is_one: bool,
    /// What was not durable may be gone: power was lost, or a sync failed.
    pub(crate) power: bool,
}

pub(crate) struct World<'a> {
    pub(crate) plan: Plan,
    pub(crate) disk: SimDisk,
    pub(crate) model: Model,
    /// The log is known to be durable up to here.
    pub(crate) claimed_to: i64,
    /// The log may have places that are no records.
    pub(crate) has_damage: bool,
    /// Files of the log came back that had expired, and others between them did not.
    pub(crate) has_gap: bool,
    random: Random,
    store: Option<Store>,
    /// What the clock says.
    now: i64,
    /// How much time has passed, ms, whatever the clock said meanwhile.
    passed: i64,
    /// The clock was set and no flush has been called since.
    is_clock_new: bool,
    outage: Outage,
    /// Something was told to fail: errors are no wonder.
    armed: bool,
    /// What power loss left of the queues, until a start may have changed it.
    left: Option<Left>,
    /// When what was stored in this life, as in `passed`, and where it ended in the log.
    stored: Vec<(i64, i64)>,
    say: &'a dyn Fn(std::fmt::Arguments<'_>),
}

macro_rules! say {
    ($world:expr, $($text:tt)*) => { ($world.say)(format_args!($($text)*)) };
}

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, say: &'a dyn Fn(std::fmt::Arguments<'_>)) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random).with_small_files(&mut Random::new(!seed));
        let plan = plan.with_more(seed);
        let disk = SimDisk::new(random.bits());
        disk.order_names(plan.names_in_order);
        disk.slow_down(plan.slow_one_in);
        disk.set_clock(BEGIN);
        say(format_args!("{plan:?}"));
        Self {
            plan,
            disk,
            model: Model::default(),
            claimed_to: 0,
            has_damage: false,
            has_gap: false,
            random,
            store: None,
            now: BEGIN,
            passed: 0,
            is_clock_new: false,
            outage: Outage::default(),
            armed: false,
            left: None,
            stored: Vec::new(),
            say,
        }
    }

    /// The store, which runs.
    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().expect("checks ask a store that runs")
    }

    pub(crate) fn log_path(&self, start: i64) -> PathBuf {
        Path::new(ROOT).join(format!("commitlog/{start:020}"))
    }

    /// Where a file of a queue begins, bytes, when it is one.
    pub(crate) fn queue_file_start(&self, path: &Path, place: Place) -> Option<i64> {
        let dir = Path::new(ROOT).join("consumequeue").join(&self.plan.topics[place.0]);
        let name = path.strip_prefix(dir.join(place.1.to_string())).ok()?;
        name.to_str()?.parse().ok()
    }

    pub(crate) fn name(&self, place: Place) -> String {
        format!("{}/{}", self.plan.topics[place.0], place.1)
    }

    /// Runs all lives, and a last start.
    pub(crate) fn run(&mut self) -> Verdict {
        for life in 0..self.plan.lives {
            say!(self, "life {life}");
            self.start()?;
            for _ in 0..self.random.below(self.plan.steps + 1) {
                self.step()?;
                if self.is_over() {
                    break;
                }
            }
            self.end()?;
        }
        self.start()?;
        if self.plan.flips {
            return self.flips();
        }
        check::running(self)?;
        if self.plan.write_faults { self.bursts() } else { Ok(()) }
    }

    /// A write in the middle of a call fails, where the call goes over a file's end.
    fn bursts(&mut self) -> Verdict {
        const APPENDS: u64 = 20;
        for _ in 0..BURSTS {
            let file_bytes = self.plan.settings.commit_log_file_bytes as i64;
            let left = |world: &Self| file_bytes - world.store().max_log_offset() % file_bytes;
            for _ in 0..CALLS_MAX {
                if left(self) < APPENDS as i64 * 150 {
                    break;
                }
                self.append_some(APPENDS)?;
            }
            self.disk.fail(Op::Write, self.random.below(2), false);
            self.armed = true;
            self.append_some(APPENDS)?;
            self.go_down();
            self.start()?;
            self.forget()?;
        }
        Ok(())
    }

    /// A sync fails, and the next process has a checkpoint made of what that left in memory.
    fn forget(&mut self) -> Verdict {
        self.append_some(4)?;
        self.tick(11_000);
        self.disk.fail(Op::Sync, self.random.below(6), false);
        self.armed = true;
        self.flush()?;
        self.end_process(false);
        self.start()?;
        self.tick(11_000);
        self.flush()?;
        self.end_process(true);
        self.start()
    }

    /// Whether the process cannot go on.
    fn is_over(&self) -> bool {
        self.disk.is_dead() || self.store().fence_reason().is_some()
    }

    /// Lets time pass, and what slow operations took.
    fn tick(&mut self, ms: i64) {
        let ms = ms + (self.disk.clock() - self.now).max(0);
        self.now += ms;
        self.passed += ms;
        self.disk.set_clock(self.now);
    }

    /// Somebody sets the clock. What waits for its time may wait anew, also what is stored before
    /// the next flush, which is the first to see it.
    fn set_clock(&mut self, step_ms: i64) {
        self.tick(0);
        self.now += step_ms;
        self.disk.set_clock(self.now);
        self.is_clock_new = true;
        self.wait_anew();
    }

    fn wait_anew(&mut self) {
        self.stored.iter_mut().for_each(|(time, _)| *time = self.passed);
    }

    fn open(&mut self) -> Result<(), store::Error> {
        self.tick(0);
        let opened = Store::open(Arc::new(self.disk.clone()), self.plan.settings.clone());
        let opened = opened?;
        let _ = opened.hold_batches(&self.plan.topics[0], self.plan.batch_queues)?;
        self.store = Some(opened);
        Ok(())
    }

    /// Starts, perhaps after some starts that fail, and checks what is there.
    fn start(&mut self) -> Verdict {
        if self.plan.die_in_recovery && self.random.one_in(2) {
            for _ in 0..=self.random.below(DEATHS_MAX) {
                self.disk.die_after(self.random.below(25));
                let opened = self.open().is_ok();
                say!(self, "a start dies: opened {opened}, died {}", self.disk.is_dead());
                self.go_down();
            }
        }
        if self.plan.write_faults && self.random.one_in(6) {
            self.arm();
            if let Err(error) = self.open() {
                say!(self, "a start fails: {error}");
            }
            self.go_down();
        }
        self.disk.heal();
        self.disk.fill(false);
        self.armed = false;
        self.open().map_err(|error| format!("a start never refuses: {error}"))?;
        let (from, to) = (self.store().min_log_offset(), self.store().max_log_offset());
        say!(self, "started: clean {}, log {from}..{to}", self.store().was_clean());
        let outage = std::mem::take(&mut self.outage);
        self.has_damage |= outage.power;
        self.left.take().map_or(Ok(()), |left| left.is_kept(self))?;
        self.stored.clear();
        check::restarted(self, outage)
    }

    /// The process is gone; perhaps power as well.
    fn go_down(&mut self) {
        let power = self.plan.ends.contains(&End::PowerLoss) && self.random.one_in(2);
        self.end_process(power);
    }

    fn end_process(&mut self, power: bool) {
        self.store = None;
        self.outage.is_one = true;
        let had_forgotten = self.disk.has_forgotten();
        self.disk.heal();
        if power {
            let loss = self.random.pick(&self.plan.losses);
            say!(self, "power loss: {loss:?}");
            self.disk.lose(loss);
        } else {
            self.disk.kill();
            say!(self, "killed");
        }
        self.left = power.then(|| Left::look(self));
        self.outage.power |= power || had_forgotten && !self.disk.has_forgotten();
    }

    fn end(&mut self) -> Verdict {
        let end = self.random.pick(&self.plan.ends);
        if self.is_over() {
            say!(self, "ended by itself: {:?}", self.store().fence_reason());
            self.go_down();
            return Ok(());
        }
        match end {
            End::Close => self.close()?,
            End::Kill => self.end_process(false),
            End::PowerLoss => self.end_process(true),
            End::Die => {
                self.disk.die_after(self.random.below(20));
                for _ in 0..30 {
                    if self.is_over() {
                        break;
                    }
                    self.step()?;
                }
                say!(self, "died: {}", self.disk.is_dead());
                self.go_down();
            }
        }
        Ok(())
    }

    /// A clean stop; after it not even power loss takes anything.
    fn close(&mut self) -> Verdict {
        self.tick(0);
        let closed = self.store().close();
        say!(self, "close: {closed:?}");
        match closed {
            Ok(()) if !self.disk.is_dead() => {
                let end = self.store().max_log_offset();
                self.model.set_durable(end);
                let power = self.random.one_in(2);
                self.end_process(power);
            }
            Err(error) if !self.armed && !self.disk.is_dead() => {
                return Err(format!("a healthy store closes: {error}"));
            }
            _ => self.go_down(),
        }
        Ok(())
    }

    fn step(&mut self) -> Verdict {
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

    fn place(&mut self) -> Place {
        (self.random.index(self.plan.own_topics), self.random.below(self.plan.queues) as i32)
    }

    fn append(&mut self) -> Verdict {
        self.append_some(4)
    }

    /// Some entries in one call, at most `most` and one.
    fn append_some(&mut self, most: u64) -> Verdict {
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

    fn draft(&mut self, place: Place, (is_half, is_alone): (bool, bool)) -> (usize, Draft) {
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

    fn sync(&mut self) -> Verdict {
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

    fn flush(&mut self) -> Verdict {
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
    fn arm(&mut self) {
        if !self.plan.write_faults {
            return;
        }
        let op = self.random.pick(&[Op::Write, Op::Sync, Op::Name]);
        let (after, forever) = (self.random.below(12), self.random.one_in(2));
        say!(self, "{op:?} will fail after {after}, forever {forever}");
        self.disk.fail(op, after, forever);
        self.armed = true;
    }

    /// Bits flip on the medium: that costs the messages that they hit and no others, and the store
    /// goes on.
    fn flips(&mut self) -> Verdict {
        // What a failed sync forgot may go with any kill.
        self.sync()?;
        let (mut hits, mut ends) = (flips::Hits::default(), BTreeMap::new());
        for _ in 0..3 {
            if self.random.one_in(2) {
                let closed = self.store().close();
                closed.map_err(|error| format!("a healthy store closes: {error}"))?;
                ends = self.ends();
            }
            self.store = None;
            self.disk.kill();
            for _ in 0..=self.random.below(3) {
                let flipped = self.disk.flip();
                say!(self, "a bit flips: {flipped:?}");
                let known = (&self.model, &*self.plan.topics);
                if let Some((path, at)) = &flipped {
                    let content = self.disk.content(path).unwrap_or_default();
                    hits.note(known, (path, *at), &content);
                }
            }
            self.open().map_err(|error| format!("damage never refuses a start: {error}"))?;
            flips::cost_their_messages_alone(self, &hits)?;
            flips::ends_are_kept(self, &hits, &ends)?;
            if hits.mended() {
                return Ok(());
            }
            let place = self.place();
            let (id, draft) = self.draft(place, (false, false));
            let mut list = [Append::one(draft)];
            self.store().append(self.now, &mut list);
            say!(self, "append {id}: {:?}", list[0].outcome);
            let appended = list[0].outcome.map_err(|error| format!("sends are taken: {error}"))?;
            let (log_offset, log_end) = (appended.log_offset, appended.log_end());
            let queue_offset = appended.queue_offset;
            self.model.store(id, At { log_offset, log_end, queue_offset });
            self.store = None;
            self.disk.kill();
            self.open().map_err(|error| format!("a start never refuses: {error}"))?;
            flips::cost_their_messages_alone(self, &hits)?;
            flips::ends_are_kept(self, &hits, &ends)?;
        }
        Ok(())
    }

    /// Where the queues end.
    fn ends(&self) -> BTreeMap<Place, i64> {
        let places = self.model.queues.keys();
        let end = |place: &Place| self.store().max_offset(&self.plan.topics[place.0], place.1);
        places.map(|place| (*place, end(place))).collect()
    }
}
