//! The broker's own threads, one for each thing that has to be done now and then and may wait for
//! the disk. What they do is in the state's own functions; here is only when.

use crate::broker::Broker;
use crate::delay;
use crate::due::is_due;
use crate::flush::Durable;
use crate::lite::expiry;
use crate::mappings::clean;
use crate::moves;
use crate::pop::revive;
use crate::saving::Wake;
use crate::server::now_ms;
use crate::timer;
use crate::trace;
use crate::transactions::check;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use store::{Disk, OsDisk};
use tokio_util::sync::CancellationToken;

/// How often deadlines are looked at; nothing that waits is later than this.
const TICK_MS: i64 = 50;
/// How often silent clients are looked after.
const SLOW_TICK_MS: i64 = 10_000;
/// How often those who wait are looked at whose queues go on without them, ms (Java:
/// `PullRequestHoldService`).
const OVERTAKEN_MS: i64 = 5_000;
/// How often it is looked how full the disks are: how late a full one is seen, and its room.
const MEASURE_MS: i64 = 1_000;
/// The time between the removals of two files of the log (Java `deleteCommitLogFilesInterval`).
const REMOVED_WAIT_MS: i64 = 100;
/// How often offsets of consumers are saved at least, however long `flushConsumerOffsetInterval`:
/// what is consumed twice after a crash.
const OFFSETS_MS: i64 = 250;
/// How long the flusher waits at most for messages that could be made durable together.
const GATHER: Duration = Duration::from_millis(1);
/// How long the flusher sleeps at most without being woken, so that a shorter time that is set
/// meanwhile counts soon.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// How long the check of half messages rests at most, so that a shorter interval that is set
/// meanwhile counts soon.
const HALVES_WAIT_MS: i64 = 1_000;

/// How often it is looked for stays of logical queues that have nothing left (Java: 5 min).
const MAPPINGS_WAIT: Duration = Duration::from_secs(300);

/// How late a popped message may come back that was popped for a shorter time than those before.
const REVIVE_WAIT_MS: i64 = 50;

/// How often it is looked whether the time has come to look for expired lite topics.
const LITE_WAIT: Duration = Duration::from_secs(10);

/// How often it is looked for what appends to compacted topics left: how much later than a file can
/// be made durable its readers see what follows it.
const FOLLOW_WAIT: Duration = Duration::from_millis(50);

/// How long the timer rests at most.
const TIMER_WAIT_MS: i64 = 1_000;

/// Wakes the threads.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    last: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all threads for good: the broker stops.
    pub(crate) fn ring_for_the_last_time(&self) {
        *self.last.lock() = true;
        self.rung.notify_all();
    }

    /// Waits; gives false when the broker stops.
    fn wait(&self, time: Duration) -> bool {
        let mut last = self.last.lock();
        if !*last {
            self.rung.wait_for(&mut last, time);
        }
        !*last
    }
}

/// The threads, which give the reason when the store failed.
pub(crate) type Threads = Vec<JoinHandle<Option<String>>>;

/// Starts them; `stop` is cancelled when one of them can't go on.
#[allow(clippy::disallowed_methods, reason = "the shell owns the threads")]
pub(crate) fn start(broker: &Arc<Broker>, bell: &Arc<Bell>, stop: &CancellationToken) -> Threads {
    let spawn = |name: &str, run: fn(&Broker, &Bell) -> Option<String>| {
        let (broker, bell, stop) = (Arc::clone(broker), Arc::clone(bell), stop.clone());
        let body = move || {
            let _stop = stop.drop_guard();
            run(&broker, &bell)
        };
        thread::Builder::new().name(name.to_owned()).spawn(body).expect("a thread can be started")
    };
    vec![
        spawn("flush", flush),
        spawn("tick", tick),
        spawn("room", room),
        spawn("lite", lite),
        spawn("save", save),
        spawn("offsets", offsets),
        spawn("scrub", scrub),
        spawn("half", halves),
        spawn("revive", revive),
        spawn("timer", timers),
        spawn("mappings", mappings),
        spawn("trace", traces),
        spawn("follow", follow),
        spawn("compact", compact),
    ]
}

/// Waits for their end; gives the first reason of a failure.
pub(crate) fn join(threads: Threads) -> Option<String> {
    let ends = threads.into_iter().map(JoinHandle::join);
    let reasons: Vec<_> = ends
        .map(|end| end.unwrap_or_else(|_| Some("a thread of the broker panicked".to_owned())))
        .collect();
    reasons.into_iter().flatten().next()
}

/// Makes the log durable as soon as somebody waits for it, and everything when its time has come. A
/// clock that is set back does not put that off.
///
/// Where several waited at the last sync, their next messages are under way: it is waited for as
/// many as then, though not longer than that sync took. A sender who is alone waits for nobody.
#[allow(clippy::disallowed_methods, reason = "the shell owns the clock")]
fn flush(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut due = Instant::now();
    let (mut together, mut took) = (0, Duration::ZERO);
    let mut durable = Durable::default();
    loop {
        let waited_for = broker.wait_unflushed(due.duration_since(Instant::now()).min(FLUSH_WAIT));
        let mut flushed = Ok(());
        if waited_for {
            if together > 1 {
                broker.gather_unflushed(together, took.min(GATHER));
            }
            let begun = Instant::now();
            let synced = broker.store.sync();
            took = begun.elapsed();
            flushed = synced.map(|to| together = broker.flushed(to, &mut durable, now_ms()));
        }
        if flushed.is_ok() && Instant::now() >= due {
            let now = now_ms();
            flushed = broker.store.flush(now).map(|next_ms| {
                due = Instant::now() + Duration::from_millis((next_ms - now).max(0).unsigned_abs());
            });
        }
        if let Err(error) = flushed {
            tracing::error!(%error, "the store failed and is closed to messages; the broker stops");
            broker.fail_unflushed();
            return Some(error.to_string());
        }
        broker.tell_followed(now_ms());
        if !bell.wait(Duration::ZERO) {
            return None;
        }
    }
}

/// Saves topics and groups that changed.
fn save(broker: &Broker, _: &Bell) -> Option<String> {
    loop {
        let left_ms = broker.save_due_ms().map(|due_ms| (due_ms - now_ms()).max(0));
        let patience = left_ms.map(|left_ms| Duration::from_millis(left_ms.unsigned_abs()));
        match broker.saving.wait(patience) {
            Wake::Round(round) => broker.save_round(round, now_ms()),
            Wake::Due => broker.save_due(now_ms()),
            Wake::Stop => return None,
        }
    }
}

/// Everything that has a time.
fn tick(broker: &Broker, bell: &Bell) -> Option<String> {
    let (mut slow_ms, mut told_ms) = (now_ms(), now_ms());
    loop {
        let now = now_ms();
        broker.expire(now);
        if is_due(now, told_ms, OVERTAKEN_MS) {
            told_ms = now;
            broker.tell_overtaken(now);
        }
        broker.stats.tick(now);
        let next = delay::deliver(broker, now);
        if is_due(now, slow_ms, SLOW_TICK_MS) {
            slow_ms = now;
            broker.slow_tick(now);
        }
        let wait_ms = next.map_or(TICK_MS, |next| (next - now).clamp(0, TICK_MS));
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
    }
}

/// Sees to it that there is room on the disks. A large file takes a while to go, and so does what
/// has to be durable before: nothing that has a time waits for that.
fn room(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut room = Room { measured_ms: 0, retained_ms: now_ms(), goes_on: false };
    loop {
        let wait_ms = match room.look(broker, now_ms()) {
            Ok(wait_ms) => wait_ms,
            Err(error) => {
                tracing::error!(%error, "the store failed; the broker stops");
                broker.fail_unflushed();
                return Some(error.to_string());
            }
        };
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
    }
}

/// Removes lite topics that have expired: nothing that has a time waits for that.
fn lite(broker: &Broker, bell: &Bell) -> Option<String> {
    while bell.wait(LITE_WAIT) {
        expiry::step(broker, &|| bell.wait(Duration::ZERO), now_ms());
    }
    None
}

/// When the disks were looked at, in milliseconds since 1970.
struct Room {
    measured_ms: i64,
    retained_ms: i64,
    /// The round that removes files of the log goes on.
    goes_on: bool,
}

impl Room {
    /// Returns how long there is nothing to do, ms.
    fn look(&mut self, broker: &Broker, now: i64) -> Result<i64, store::Error> {
        let interval_ms = broker.store.settings().retain_interval_ms;
        if self.goes_on || is_due(now, self.retained_ms, interval_ms) {
            (self.retained_ms, self.measured_ms) = (now, now);
            self.goes_on = match broker.store.retain(now) {
                Ok(removed) => removed.goes_on,
                Err(error) if broker.store.fence_reason().is_some() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "what expired cannot be removed now, but perhaps later");
                    false
                }
            };
        } else if is_due(now, self.measured_ms, MEASURE_MS) {
            self.measured_ms = now;
            // It is tried again soon, and no message depends on it.
            if let Err(error) = broker.store.measure() {
                tracing::warn!(%error, "it is not known how full the disk is");
            }
        }
        Ok(if self.goes_on { REMOVED_WAIT_MS } else { interval_ms.clamp(TICK_MS, MEASURE_MS) })
    }
}

/// Asks producers what became of their half messages.
fn halves(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut due_ms = now_ms();
    loop {
        let wait_ms = (due_ms - now_ms()).clamp(0, HALVES_WAIT_MS);
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
        due_ms = check::step(broker, now_ms());
    }
}

/// Brings back messages that were popped and not acknowledged.
fn revive(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut log = revive::Log::default();
    let mut due_ms = now_ms();
    loop {
        let is_idle = broker.pops.taken.is_empty();
        let longest_ms = if is_idle { revive::IDLE_MS } else { REVIVE_WAIT_MS };
        let wait_ms = (due_ms - now_ms()).clamp(0, longest_ms);
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
        due_ms = revive::step(broker, &mut log, now_ms());
    }
}

/// Delivers messages at the times that they asked for.
fn timers(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut due_ms = now_ms();
    loop {
        let wait_ms = (due_ms - now_ms()).clamp(0, TIMER_WAIT_MS);
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
        due_ms = timer::step(broker, now_ms());
    }
}

/// Forgets stays of logical queues that have nothing left.
fn mappings(broker: &Broker, bell: &Bell) -> Option<String> {
    while bell.wait(MAPPINGS_WAIT) {
        clean::round(broker, now_ms());
    }
    None
}

/// Writes what is traced.
fn traces(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut due_ms = now_ms();
    loop {
        let wait_ms = (due_ms - now_ms()).clamp(0, trace::IDLE_MS);
        if !bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
            return None;
        }
        due_ms = trace::step(broker, now_ms());
    }
}

/// Takes over what appends to compacted topics left where a file of these was full. That waits for
/// the disk, and nobody for this.
fn follow(broker: &Broker, bell: &Bell) -> Option<String> {
    while bell.wait(FOLLOW_WAIT) {
        // The flusher tells why a store failed.
        if broker.store.follow_compacted().is_err() {
            return None;
        }
        broker.tell_followed(now_ms());
    }
    None
}

/// Writes queues anew of which only the newest message of each key is kept.
fn compact(broker: &Broker, bell: &Bell) -> Option<String> {
    let every = broker.settings().store.compaction_schedule_internal;
    let every = Duration::from_millis(every.max(1).unsigned_abs().into());
    while bell.wait(every) {
        // The flusher tells why a store failed.
        if broker.store.compact(&|| bell.wait(Duration::ZERO)).is_err() {
            return None;
        }
    }
    None
}

/// Reads old log files again, for as small a part of the time as is set.
#[allow(clippy::disallowed_methods, reason = "the shell owns the clock")]
fn scrub(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut pause = Duration::ZERO;
    while bell.wait(pause) {
        let begun = Instant::now();
        let bytes = broker.store.scrub(now_ms());
        pause = broker.store.scrub_pause(bytes, begun.elapsed());
    }
    None
}

/// Saves the offsets of consumers and delay levels, as often as is set and more often where that is
/// cheap.
fn offsets(broker: &Broker, bell: &Bell) -> Option<String> {
    let mut wait_ms = OFFSETS_MS;
    while bell.wait(Duration::from_millis(wait_ms.unsigned_abs())) {
        let begun_ms = now_ms();
        let unsaved = broker.unsaved(begun_ms);
        let sync_from_ms = now_ms();
        let is_durable = moves::make_durable(broker);
        let sync_ms = now_ms() - sync_from_ms;
        broker.save_unsaved(unsaved, is_durable);
        // A slow disk is waited for; it is what this thread does itself that shall not grow.
        let took_ms = (now_ms() - begun_ms - sync_ms).max(0);
        let set_ms = i64::from(broker.settings().broker.flush_consumer_offset_interval);
        wait_ms = set_ms.min(OFFSETS_MS.max(took_ms)).max(1);
    }
    None
}

/// Writes changed keys into a property file: in place where they stand, at the end otherwise.
/// Comments and order stay; the old file is kept as `.bak`.
#[allow(clippy::disallowed_methods, reason = "the shell owns the configuration file")]
pub(crate) fn edit_settings(file: &Path, changes: &[(String, String)]) -> io::Result<()> {
    let old = std::fs::read(file)?;
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}"));
    let properties = settings::properties::Properties::parse(&old).map_err(malformed)?;
    let changes: Vec<(&str, &str)> = changes.iter().map(|(k, v)| (&**k, &**v)).collect();
    let new = properties.with(&changes);
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    OsDisk.replace(file, &new, Some(&beside(".bak")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use simulator::{Op, SimDisk};

    #[test]
    fn a_round_of_expiry_that_fails_stops_no_broker() {
        let disk = SimDisk::new(3);
        let now_ms = 1_700_000_000_000;
        let root = Path::new("/store");
        let (broker, _) = cold::open_with(disk.clone(), root, now_ms, |settings| {
            settings.store.delete_when = (0..24).map(|hour| format!("{hour};")).collect();
        });
        let mut room = Room { measured_ms: 0, retained_ms: 0, goes_on: false };
        disk.fail(Op::Read, 0, false);
        assert!(room.look(&broker, now_ms).is_ok(), "the disk does not answer for once");
        disk.fail(Op::Sync, 0, true);
        let host = broker.identity.store_host;
        let draft = message::Draft::plain("T", now_ms, host);
        broker.append(&mut [store::Append::one(draft)], now_ms);
        assert!(broker.store.sync().is_err());
        assert!(room.look(&broker, now_ms + 60_000).is_err(), "a store that failed");
    }
}
