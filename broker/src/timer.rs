//! Messages with a time of delivery of their own: they wait in the timer's topic, and go to their
//! own when their slot of time is over (Java: `TimerMessageStore`; disk reference, 6.2).
//!
//! A step takes what came to the queue into slots (`enqueue`), then empties the slots that are
//! over (`deliver`). The files know how far that came; what a crash leaves open is looked up
//! (`known`). Where slots and entries stand is the store's business.

pub mod accept;
mod ahead;
mod deliver;
mod enqueue;
pub mod handle;
mod known;
mod waiting;

use crate::broker::Broker;
use crate::due::is_due;
use crate::unread::{Place, Unread};
use ahead::Ahead;
use deliver::{Emptying, Round};
use enqueue::Step;
use known::Unsure;
use message::names;
use parking_lot::Mutex;
use settings::BrokerSettings;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use store::{Error, Progress, Store, TimerFiles, TimerProgress};
pub use waiting::{FILE, Waiting};

/// The one queue of the timer's topic.
pub const QUEUE: i32 = 0;
/// How often it is looked whether something came, ms.
const POLL_MS: i64 = 50;
/// How long the timer rests after the disk refused something, ms.
const RETRY_MS: i64 = 100;
/// The same when its files cannot be opened, ms.
const REOPEN_MS: i64 = 10_000;
/// How often files are looked for that nobody needs any more, and numbers are saved, ms.
const SLOW_MS: i64 = 10_000;
/// So long without a wait the timer goes on, as the log has it: a full disk is met once a second,
/// and the steps between may need nothing of it.
const GOES_ON_MS: i64 = 60_000;
/// Steps that a stop may take to empty a slot.
const LAST_STEPS: usize = 512;
/// A slot is mended so often at most.
const MENDS: u32 = 64;
/// So soon after the files were made anew what is wrong is not there, ms.
const REBUILD_MS: i64 = 600_000;

/// The timer of a broker.
#[derive(Default)]
pub struct Timer {
    state: Mutex<State>,
    /// How many messages wait, by topic.
    pub waiting: Mutex<Waiting>,
    shown: Shown,
}

/// What operators are shown.
#[derive(Default)]
struct Shown {
    read_ms: AtomicI64,
    queue_offset: AtomicI64,
    pending: AtomicI64,
    put: AtomicU64,
    delivered: AtomicU64,
    passed_over: AtomicU64,
    late_ms: AtomicI64,
}

/// How the timer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Everything in slots before this one is delivered, ms since the epoch.
    pub read_ms: i64,
    /// Messages that came and are in no slot yet.
    pub behind: i64,
    /// Messages that wait.
    pub pending: i64,
    /// Messages that were put into slots since the start.
    pub put: u64,
    /// Messages that were delivered since the start.
    pub delivered: u64,
    /// Messages that could not be put or delivered since the start.
    pub passed_over: u64,
    /// The longest that a delivery came behind the end of its slot since the start, ms.
    pub late_ms: i64,
}

#[derive(Default)]
struct State {
    files: Option<store::Timer>,
    reopen_ms: i64,
    /// The slot that is being emptied.
    emptying: Option<Emptying>,
    /// What may have been done before a crash.
    unsure: Option<Unsure>,
    /// Emptied slots whose messages may not be durable yet: everything before the first number is
    /// delivered, the second is where the commit log ended then.
    settling: VecDeque<(i64, i64)>,
    /// Everything in slots before this one is delivered and durable.
    settled_ms: i64,
    flushed_ms: i64,
    slow_ms: i64,
    rebuilt_ms: i64,
    /// The slot that was mended last, and how often.
    mended: (i64, u32),
    /// Behind a place of the queue that cannot be read now.
    ahead: Ahead,
    /// The next message of the queue, and the next one that is due, where they cannot be read.
    unread: (Unread, Unread),
    /// The store took not all that was due.
    is_refused: bool,
    /// When it last had to wait, ms since the epoch, where the log was told so.
    waited_ms: Option<i64>,
}

impl Timer {
    /// Opens the files before the first request; a failure is tried again later.
    pub fn open(broker: &Broker, now_ms: i64, watch: &dyn Fn(Progress)) {
        let settings = broker.settings();
        if settings.store.timer_wheel_enable {
            broker.timer.state.lock().open(broker, &settings, now_ms, watch);
            return;
        }
        let timers = names::TIMER_TOPIC;
        let messages =
            broker.store.max_offset(timers, QUEUE) - broker.store.min_offset(timers, QUEUE);
        if messages > 0 {
            tracing::warn!(
                messages,
                "there are messages with a time of delivery of their own, and timerWheelEnable is \
                 false: they stay where they are until it is true"
            );
        }
    }

    /// How the timer does.
    pub fn condition(&self, store: &Store) -> Condition {
        let Shown { read_ms, queue_offset, pending, put, delivered, passed_over, late_ms } =
            &self.shown;
        let end = store.max_offset(names::TIMER_TOPIC, QUEUE);
        Condition {
            read_ms: read_ms.load(Ordering::Relaxed),
            behind: (end - queue_offset.load(Ordering::Relaxed)).max(0),
            pending: pending.load(Ordering::Relaxed),
            put: put.load(Ordering::Relaxed),
            delivered: delivered.load(Ordering::Relaxed),
            passed_over: passed_over.load(Ordering::Relaxed),
            late_ms: late_ms.load(Ordering::Relaxed),
        }
    }

    /// How far it came, as the file says it.
    pub fn progress(&self) -> Option<TimerProgress> {
        self.state.lock().files.as_ref().map(store::Timer::progress)
    }
}

/// Does one step, and says when the next is due, ms since the epoch.
pub fn step(broker: &Broker, now_ms: i64) -> i64 {
    let settings = broker.settings();
    if !settings.store.timer_wheel_enable {
        return now_ms + REOPEN_MS;
    }
    let mut state = broker.timer.state.lock();
    let worked = state.work(broker, &settings, now_ms);
    let next = *worked.as_ref().unwrap_or(&(now_ms + RETRY_MS));
    let waits = match worked {
        Err(error) => Some(error.to_string()),
        Ok(_) if state.is_refused => broker.store.refusal().map(|refusal| refusal.to_string()),
        Ok(_) => None,
    };
    state.tell(waits, now_ms);
    state.show(&broker.timer.shown);
    next
}

/// Ends: the files are whole. A slot that is being emptied is emptied before, for no file says how
/// far that came.
pub fn close(broker: &Broker, now_ms: i64) {
    let (mut state, settings) = (broker.timer.state.lock(), broker.settings());
    for _ in 0..LAST_STEPS {
        let is_over = state.emptying.is_none();
        if is_over || state.work(broker, &settings, now_ms).is_err() || state.is_refused {
            break;
        }
    }
    let is_exact = state.emptying.is_none();
    let Some(files) = state.files.as_mut() else { return };
    // What was delivered must not be lost while the files say that it was.
    let closed = broker.store.sync().and_then(|_| files.close(is_exact, now_ms));
    if let Err(error) = closed {
        tracing::warn!(%error, "the timer did not stop cleanly: the next start looks back");
    }
    state.files = None;
    Waiting::save(broker);
}

impl State {
    fn open(
        &mut self,
        broker: &Broker,
        settings: &BrokerSettings,
        now_ms: i64,
        watch: &dyn Fn(Progress),
    ) {
        let shape = TimerFiles {
            precision_ms: settings.store.timer_slot_ms(),
            log_file_bytes: u64::try_from(settings.store.mapped_file_size_timer_log).unwrap_or(0),
        };
        let files = match broker.store.timer(shape, now_ms, watch) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(
                    %error,
                    again_in_ms = REOPEN_MS,
                    "the timer's files cannot be opened: messages with a time of their own wait, \
                     and none is lost. A file of timerlog, or timerwheel, that the disk does not \
                     give may be moved away meanwhile: it is made anew from the timer's queue"
                );
                self.reopen_ms = now_ms + REOPEN_MS;
                return;
            }
        };
        let unsure_to_ms = files.unsure_to_ms();
        let is_sure = unsure_to_ms == 0 && !files.is_rebuilt();
        self.unsure = (!is_sure).then(|| Unsure::of(&broker.store, unsure_to_ms));
        self.settled_ms = files.progress().read_ms;
        *broker.timer.waiting.lock() = Waiting::load(broker, files.counts(), now_ms);
        let pending = files.pending();
        if pending > 0 {
            tracing::info!(pending, "messages wait for their time");
        }
        self.files = Some(files);
        self.show(&broker.timer.shown);
    }

    fn work(
        &mut self,
        broker: &Broker,
        settings: &BrokerSettings,
        now_ms: i64,
    ) -> Result<i64, Error> {
        if self.files.is_none() {
            if now_ms < self.reopen_ms {
                return Ok(self.reopen_ms);
            }
            self.open(broker, settings, now_ms, &|_| {});
        }
        let Some(files) = self.files.as_mut() else { return Ok(self.reopen_ms) };
        let (slot_ms, this_slot) = (settings.store.timer_slot_ms(), files.slot_of(now_ms));
        if self.emptying.is_none() && files.progress().read_ms > this_slot {
            // What is not settled may be lost with the log's end, whatever time it is now.
            self.settled_ms = self.settled_ms.min(this_slot);
            self.settling.iter_mut().for_each(|(read_ms, _)| *read_ms = this_slot.min(*read_ms));
            files.set_back(this_slot, self.settled_ms, now_ms)?;
        }
        // Nobody looks into a slot again whose entries were read.
        let read = self.emptying.as_ref().filter(|slot| slot.is_read());
        let from_ms = read.map_or(0, |slot| slot.slot_ms + slot_ms);
        let put = match settings.store.timer_stop_enqueue {
            true => Step::Stopped,
            false => enqueue::step(broker, settings, (files, &mut self.unsure), (now_ms, from_ms))?,
        };
        let (is_stuck, offset) = (put == Step::Stuck, files.progress().queue_offset);
        let fails_at =
            is_stuck.then(|| Place::of(&broker.store, names::TIMER_TOPIC, QUEUE, offset));
        self.unread.0.note("timed messages are not put into their slots", fails_at, now_ms);
        if !is_stuck {
            self.ahead = Ahead::default();
        }
        let mut is_busy = put == Step::More;
        self.is_refused = false;
        if !settings.store.timer_stop_dequeue {
            is_busy |= self.deliver(broker, settings, (put, now_ms))?;
        }
        self.tend(broker, settings, now_ms)?;
        if is_busy {
            return Ok(now_ms);
        }
        if self.is_refused || settings.store.timer_stop_dequeue {
            return Ok(now_ms + RETRY_MS);
        }
        let first = self.files.as_ref().and_then(store::Timer::first);
        let next = first.map_or(i64::MAX, |first| first.saturating_add(slot_ms));
        Ok(next.clamp(now_ms + 1, now_ms + POLL_MS))
    }

    /// Says once that the timer has to wait, and once that it goes on.
    fn tell(&mut self, waits: Option<String>, now_ms: i64) {
        let Some(why) = waits else {
            if self.waited_ms.take_if(|since| is_due(now_ms, *since, GOES_ON_MS)).is_some() {
                tracing::warn!("the timer goes on, for a minute now");
            }
            return;
        };
        if self.waited_ms.replace(now_ms).is_none() {
            tracing::warn!(why, "the timer has to wait: messages come later than they should");
        }
    }

    /// Empties slots that are over, as far as one step goes; whether there is more.
    fn deliver(
        &mut self,
        broker: &Broker,
        settings: &BrokerSettings,
        (put, now_ms): (Step, i64),
    ) -> Result<bool, Error> {
        let slot_ms = settings.store.timer_slot_ms();
        let Self { files: Some(files), emptying, unsure, ahead, unread, .. } = self else {
            return Ok(false);
        };
        if emptying.is_none() {
            let Some(first) = files.first().filter(|first| first + slot_ms <= now_ms) else {
                let this_slot = files.slot_of(now_ms);
                if this_slot > files.progress().read_ms {
                    files.read_to(this_slot);
                }
                return Ok(false);
            };
            *emptying = Some(Emptying::of(first, broker));
        }
        let Some(slot) = emptying else { return Ok(false) };
        // Whoever takes a message back may stand behind it in the queue.
        let queue_offset = files.progress().queue_offset;
        let waits = queue_offset < slot.not_before
            && match put {
                Step::Stopped => false,
                Step::Stuck => !ahead.look(broker, queue_offset, slot.not_before),
                Step::Done | Step::More => true,
            };
        if waits {
            return Ok(true);
        }
        let (this_ms, over_ms) = (slot.slot_ms, slot.slot_ms + slot_ms);
        let ran = Round { broker, files, unsure, ahead, now_ms }.run(slot)?;
        let fails_at = match ran {
            deliver::Outcome::Unread(log_offset) => {
                let (topic, log_offset) = (names::TIMER_TOPIC, Some(log_offset));
                Some(Place { topic, queue_id: QUEUE, log_offset, ..Place::default() })
            }
            _ => None,
        };
        unread.1.note("timed messages that are due wait", fails_at, now_ms);
        match ran {
            deliver::Outcome::More => return Ok(true),
            deliver::Outcome::Wait | deliver::Outcome::Unread(_) => {
                self.is_refused = true;
                return Ok(false);
            }
            deliver::Outcome::Damaged => {
                return self.mend(broker, settings, (this_ms, now_ms));
            }
            deliver::Outcome::Done => {}
        }
        files.done(&slot.slot());
        let read_ms = over_ms.max(files.progress().read_ms);
        files.read_to(read_ms);
        broker.timer.shown.late_ms.fetch_max(now_ms - over_ms, Ordering::Relaxed);
        self.settling.push_back((read_ms, broker.store.max_log_offset()));
        self.emptying = None;
        Ok(true)
    }

    /// The slot that is emptied is damaged: finds its entries again, or makes the files anew.
    /// Whether it can be gone on with now.
    fn mend(
        &mut self,
        broker: &Broker,
        settings: &BrokerSettings,
        (slot_ms, now_ms): (i64, i64),
    ) -> Result<bool, Error> {
        let Self { files: Some(files), emptying: Some(slot), .. } = self else { return Ok(true) };
        let times = if self.mended.0 == slot_ms { self.mended.1 + 1 } else { 1 };
        if times > MENDS {
            return self.rebuild(broker, now_ms);
        }
        let entry = |at| enqueue::again(broker, (at, slot_ms), settings);
        let Some(given_up) = files.mend(&broker.store, slot_ms, entry)? else {
            self.is_refused = true;
            return Ok(false);
        };
        self.mended = (slot_ms, times);
        tracing::error!(
            slot_ms,
            "entries of the timer's log are damaged: those of their slot were found again, what \
             they lacked was taken from the timer's queue, and what was delivered is looked up"
        );
        if given_up > 0 {
            tracing::error!(slot_ms, given_up, "entries are passed over: no message is theirs");
            broker.timer.shown.passed_over.fetch_add(given_up as u64, Ordering::Relaxed);
        }
        slot.restart();
        if files.slot(slot_ms)?.is_none() {
            return self.rebuild(broker, now_ms);
        }
        self.doubt(broker);
        Ok(true)
    }

    /// What waits may have been delivered.
    fn doubt(&mut self, broker: &Broker) {
        let Some(files) = self.files.as_mut() else { return };
        let before_ms = self.unsure.as_ref().map_or(0, Unsure::until_ms);
        let until_ms = broker.store.newest_store_time().max(files.latest_ms()).max(before_ms);
        self.unsure = Some(Unsure::of(&broker.store, until_ms));
        files.set_unsure_to(until_ms);
    }

    /// The files are damaged: makes them anew from the queue.
    fn rebuild(&mut self, broker: &Broker, now_ms: i64) -> Result<bool, Error> {
        let Some(files) = self.files.as_mut() else { return Ok(true) };
        let is_again = (0..REBUILD_MS).contains(&(now_ms - self.rebuilt_ms));
        if let Some(slot) = self.emptying.as_mut()
            && is_again
            && slot.pass_over(broker)
        {
            return Ok(true);
        }
        tracing::error!(
            "the timer's log or wheel is damaged: both are made anew from the timer's queue, and \
             what was delivered is looked up"
        );
        files.clear(&broker.store)?;
        self.rebuilt_ms = now_ms;
        self.emptying = None;
        self.doubt(broker);
        broker.timer.waiting.lock().clear();
        Ok(true)
    }

    /// What is done now and then.
    fn tend(
        &mut self,
        broker: &Broker,
        settings: &BrokerSettings,
        now_ms: i64,
    ) -> Result<(), Error> {
        let Some(files) = self.files.as_mut() else { return Ok(()) };
        let durable = broker.store.flushed_to();
        let mut is_settled = false;
        while self.settling.front().is_some_and(|(_, log_end)| *log_end <= durable) {
            self.settled_ms = self.settling.pop_front().map_or(0, |(read_ms, _)| read_ms);
            files.note_change();
            is_settled = true;
        }
        // A stock broker that opens the store after a kill delivers again what is not noted.
        if is_settled
            || is_due(now_ms, self.flushed_ms, settings.store.timer_flush_interval_ms.into())
        {
            self.flushed_ms = now_ms;
            if self.settling.is_empty() && self.emptying.is_none() {
                self.settled_ms = files.progress().read_ms;
            }
            if let Some(unsure) = &self.unsure {
                let is_over = unsure.is_over(files) && self.settled_ms > unsure.until_ms();
                let unsure_to_ms = if is_over { 0 } else { unsure.until_ms() };
                if files.unsure_to_ms() != unsure_to_ms {
                    files.set_unsure_to(unsure_to_ms);
                }
                if is_over {
                    self.unsure = None;
                }
            }
            files.flush(self.settled_ms, now_ms)?;
            files.mark(&broker.store, now_ms)?;
        }
        if is_due(now_ms, self.slow_ms, SLOW_MS) {
            self.slow_ms = now_ms;
            files.expire(broker.store.min_log_offset())?;
            Waiting::save(broker);
        }
        Ok(())
    }

    fn show(&self, shown: &Shown) {
        let Some(files) = &self.files else { return };
        let progress = files.progress();
        shown.read_ms.store(progress.read_ms, Ordering::Relaxed);
        shown.queue_offset.store(progress.queue_offset, Ordering::Relaxed);
        shown.pending.store(files.pending(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
