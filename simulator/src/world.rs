//! One run: a store, its disk, the model beside it, its lives and how they end, all from one seed.
//! What happens within a life is in [`steps`].

mod steps;

use crate::check::{self, Verdict};
use crate::flips;
use crate::kept::Left;
use crate::model::{At, Model, Place};
use crate::plan::{BEGIN, End, Plan, ROOT};
use crate::wishes::Marks;
use crate::{Op, Random, SimDisk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Append, Store};

/// Starts that die in a row, at most.
const DEATHS_MAX: u64 = 5;
/// Calls that fail in the middle at a run's end, and calls that fill a file before each.
const BURSTS: u64 = 2;
const CALLS_MAX: u64 = 20;

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
use say;

impl<'a> World<'a> {
    pub(crate) fn new(seed: u64, say: &'a dyn Fn(std::fmt::Arguments<'_>)) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random).with_small_files(&mut Random::new(!seed));
        let plan = plan.with_more(seed).with_extensions(seed);
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
        self.scrub();
        let mended = self.store().stats().index_entries_mended();
        // Power may take the properties of a message that was in the index already.
        if mended > 0 && !self.model.messages.iter().any(|message| message.is_torn) {
            return Err(format!("a sound index is left alone: {mended} entries were put anew"));
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
        self.plan.change_extensions();
        let opened = Store::open(Arc::new(self.disk.clone()), self.plan.settings.clone());
        let opened = opened?;
        let _ = opened.hold_batches(&self.plan.topics[0], self.plan.batch_queues)?;
        if self.plan.settings.extension_file_bytes.is_some() {
            opened.set_filter_bits(Arc::new(Marks));
        }
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
            self.scrub();
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
            self.scrub();
            flips::cost_their_messages_alone(self, &hits)?;
            flips::ends_are_kept(self, &hits, &ends)?;
        }
        Ok(())
    }

    /// Reads the log again, and compares the index with it, as a thread does beside the work.
    fn scrub(&self) {
        while self.store().scrub(self.now) > 0 {}
    }

    /// Where the queues end.
    fn ends(&self) -> BTreeMap<Place, i64> {
        let places = self.model.queues.keys();
        let end = |place: &Place| self.store().max_offset(&self.plan.topics[place.0], place.1);
        places.map(|place| (*place, end(place))).collect()
    }
}
