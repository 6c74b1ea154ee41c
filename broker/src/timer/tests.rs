//! Messages with a time of their own in a broker without a shell: time passes as the tests say.

#![allow(clippy::disallowed_methods, reason = "files are damaged on purpose")]

mod from_rocksdb;
mod seeds;
mod waits;

use super::*;
use crate::cold::{self, Cold};
use crate::put;
use bytes::Bytes;
use message::{Draft, Properties, property};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use store::{Append, Disk, Everything, Limits, OsDisk, Position};

const BOOT_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A broker without a shell: its time is what a test says.
struct World {
    broker: Option<Broker>,
    disk: Cold,
    dir: PathBuf,
    now_ms: i64,
    precision_ms: i32,
    roll_slots: i32,
}

impl World {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rockhopper-timer-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let disk = Cold::default();
        let (now_ms, precision_ms, roll_slots) = (BOOT_MS, 1_000, 0);
        let mut world = Self { broker: None, disk, dir, now_ms, precision_ms, roll_slots };
        world.open();
        world
    }

    fn open(&mut self) {
        let (disk, dir) = (self.disk.clone(), &self.dir);
        let (broker, _) = cold::open_with(disk, dir, self.now_ms, |settings| {
            settings.store.mapped_file_size_timer_log = 4_096;
            settings.store.timer_max_delay_sec = 400 * 86_400;
            settings.store.timer_precision_ms = self.precision_ms;
            if self.roll_slots > 0 {
                settings.store.timer_roll_window_slot = self.roll_slots;
            }
        });
        self.broker = Some(broker);
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    /// Stops cleanly, lets something happen to the directory, and starts again.
    fn restart_after(&mut self, what: impl FnOnce(&Path)) {
        let broker = self.broker.take().unwrap();
        broker.close(self.now_ms).unwrap();
        drop(broker);
        what(&self.dir);
        self.open();
    }

    /// The process dies.
    fn kill(&mut self) {
        self.kill_after(|_| {});
    }

    fn kill_after(&mut self, what: impl FnOnce(&Path)) {
        self.broker = None;
        what(&self.dir);
        self.open();
    }

    /// Sends a message that asks for something; `^` and `~` stand for the separators.
    fn send(&self, id: &str, properties: &str) {
        self.append(self.parked(id, properties));
    }

    fn append(&self, draft: Draft) {
        let mut appends = [Append::one(draft)];
        self.broker().append(&mut appends, self.now_ms);
        appends[0].outcome.unwrap();
    }

    fn parked(&self, id: &str, properties: &str) -> Draft {
        let text = format!("UNIQ_KEY^{id}~{properties}").replace('^', "\x01").replace('~', "\x02");
        let host = self.broker().identity.store_host;
        let mut draft = Draft {
            queue_id: 1,
            flag: 7,
            body: Bytes::copy_from_slice(id.as_bytes()),
            properties: text.into(),
            ..Draft::plain("T", self.now_ms, host)
        };
        put::park(&mut draft, 0, true, &self.broker().settings(), self.now_ms).unwrap();
        draft
    }

    /// Lets time pass until then, and the timer work at the end of it.
    fn pass_to(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        while step(self.broker(), self.now_ms) <= self.now_ms {}
    }

    /// Has the timer write its files down.
    fn settle(&mut self) {
        self.broker().store.sync().unwrap();
        let now_ms = self.now_ms + 1_000;
        self.pass_to(now_ms);
    }

    /// Has the timer note what waits.
    fn mark(&mut self) {
        for _ in 0..3 {
            self.broker().store.sync().unwrap();
            let now_ms = self.now_ms + 10_000;
            self.pass_to(now_ms);
        }
    }

    /// What waits, as it is counted by topic.
    fn counted(&self) -> i64 {
        let state = self.broker().timer.state.lock();
        state.files.as_ref().unwrap().counts().values().sum()
    }

    fn is_sure(&self) -> bool {
        self.broker().timer.state.lock().unsure.is_none()
    }

    /// The bodies in the topic, in order, and the properties of the last one.
    fn delivered(&self) -> Vec<String> {
        self.records().iter().map(|(body, _)| body.clone()).collect()
    }

    fn records(&self) -> Vec<(String, Properties)> {
        let mut all = Vec::new();
        let (store, mut offset) = (&self.broker().store, 0);
        while offset < store.max_offset("T", 1) {
            let position = Position { topic: "T", queue_id: 1, offset };
            let read = store.read(position, Limits::messages(32), &Everything);
            assert!(read.next_offset > offset);
            offset = read.next_offset;
            for bytes in &read.messages {
                let Ok(message::Entry::Message(record)) = message::record::decode(bytes, true)
                else {
                    panic!("a message")
                };
                let body = String::from_utf8(record.body.to_vec()).unwrap();
                all.push((body, Properties::parse(record.properties)));
            }
        }
        all
    }

    fn condition(&self) -> Condition {
        self.broker().timer.condition(&self.broker().store)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.broker = None;
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

#[test]
fn a_message_comes_at_its_time_and_not_before() {
    let mut world = World::new();
    world.pass_to(BOOT_MS + 200);
    world.send("b", "TIMER_DELAY_MS^5000~");
    world.send("a", "TIMER_DELAY_SEC^2~");
    world.send("past", "TIMER_DELIVER_MS^5~");
    world.pass_to(BOOT_MS + 250);
    assert_eq!(world.delivered(), ["past"]);
    world.pass_to(BOOT_MS + 2_199);
    assert_eq!(world.delivered(), ["past"]);
    assert_eq!(world.condition().pending, 2);
    world.pass_to(BOOT_MS + 2_999);
    assert_eq!(world.delivered(), ["past"]);
    world.pass_to(BOOT_MS + 3_000);
    assert_eq!(world.delivered(), ["past", "a"]);
    world.pass_to(BOOT_MS + 6_000);
    assert_eq!(world.delivered(), ["past", "a", "b"]);
    let (_, all) = world.records().pop().unwrap();
    let expected = [
        (property::TIMER_OUT_MS, (BOOT_MS + 5_000).to_string()),
        (property::TIMER_ENQUEUE_MS, BOOT_MS.to_string()),
        (property::TIMER_DEQUEUE_MS, (BOOT_MS + 6_000).to_string()),
        (property::REAL_TOPIC, "T".into()),
    ];
    for (key, value) in expected {
        assert_eq!(all.get(key), Some(&*value), "{key}");
    }
    assert!(!all.contains(property::TIMER_ROLL_TIMES));
    let condition = world.condition();
    assert_eq!((condition.pending, condition.put, condition.delivered), (0, 2, 2));
    assert_eq!(world.broker().timer.waiting.lock().of("T"), 0);
}

#[test]
fn what_is_far_off_is_stored_again_and_comes_at_its_time() {
    let mut world = World::new();
    world.send("far", &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + 200 * HOUR_MS));
    let mut now_ms = BOOT_MS;
    while now_ms < BOOT_MS + 200 * HOUR_MS {
        world.pass_to(now_ms);
        assert!(world.delivered().is_empty());
        now_ms += HOUR_MS;
    }
    world.pass_to(BOOT_MS + 200 * HOUR_MS);
    assert_eq!(world.delivered(), ["far"]);
    let (_, all) = world.records().pop().unwrap();
    assert_eq!(all.get(property::TIMER_ROLL_TIMES), Some("4"));
    assert_eq!(world.condition().pending, 0);
}

#[test]
fn a_message_that_was_taken_back_does_not_come() {
    let mut world = World::new();
    world.send("keep", "TIMER_DELAY_SEC^100~");
    world.send("take", "TIMER_DELAY_SEC^100~");
    world.send("old", "TIMER_DELAY_SEC^100~");
    let out_ms = BOOT_MS + 99_000;
    // As 5.5 names it, and as 5.3.2 does.
    world.send("take", &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^take~", out_ms + 1));
    world.send("old", &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^T+old~", out_ms + 1));
    world.pass_to(BOOT_MS + 1);
    assert_eq!(world.broker().timer.waiting.lock().of("T"), 1);
    // Once more, and what is not there: one less for each, until then.
    world.send("take", &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^take~", out_ms + 1));
    world.send("none", &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^none~", out_ms + 1));
    world.pass_to(BOOT_MS + 2);
    assert_eq!(world.broker().timer.waiting.lock().of("T"), -1);
    world.pass_to(BOOT_MS + 100_000);
    assert_eq!(world.delivered(), ["keep"]);
    assert_eq!((world.condition().pending, world.condition().passed_over), (0, 0));
    assert_eq!(world.broker().timer.waiting.lock().of("T"), 0);
    Waiting::save(world.broker());
    assert!(world.broker().timer.waiting.lock().to_body().timing_count.is_empty());
}

#[test]
fn a_topic_that_is_there_stays_counted() {
    let mut world = World::new();
    let topic = crate::topics::simple("T", 1);
    world.broker().topics.update(topic, BOOT_MS).unwrap();
    world.send("one", "TIMER_DELAY_SEC^100~");
    world.pass_to(BOOT_MS + 100_000);
    assert_eq!(world.delivered(), ["one"]);
    Waiting::save(world.broker());
    let body = world.broker().timer.waiting.lock().to_body();
    assert_eq!(body.timing_count.get("T").map(|metric| metric.count), Some(0));
}

#[test]
fn what_nobody_can_deliver_holds_up_nothing() {
    let mut world = World::new();
    world.send("before", "TIMER_DELAY_SEC^5~");
    let host = world.broker().identity.store_host;
    let nowhere = ["TIMER_OUT_MS\x01soon\x02", "", "TIMER_OUT_MS\x015\x02REAL_TOPIC\x01T\x02"];
    for properties in nowhere {
        let draft = Draft {
            body: Bytes::from_static(b"x"),
            properties: properties.into(),
            ..Draft::plain(names::TIMER_TOPIC, 0, host)
        };
        world.broker().append(&mut [Append::one(draft)], world.now_ms);
    }
    world.send("behind", "TIMER_DELAY_SEC^5~");
    world.pass_to(BOOT_MS + 6_000);
    assert_eq!(world.delivered(), ["before", "behind"]);
    assert_eq!((world.condition().pending, world.condition().passed_over), (0, 3));
}

#[test]
fn what_became_due_while_the_broker_was_down_comes_at_once() {
    let mut world = World::new();
    for number in 0..200 {
        world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 10 + number % 7));
    }
    // Some were not put into slots yet.
    world.restart_after(|_| {});
    world.send("later", "TIMER_DELAY_SEC^100~");
    world.pass_to(BOOT_MS + 500);
    world.now_ms = BOOT_MS + 30 * 24 * HOUR_MS;
    world.kill();
    let now_ms = world.now_ms;
    world.pass_to(now_ms + 1_000);
    let mut delivered = world.delivered();
    assert_eq!(delivered.pop().as_deref(), Some("later"));
    assert_eq!(delivered.len(), 200);
    assert_eq!(world.condition().pending, 0);
}

#[test]
fn a_killed_broker_delivers_each_message_once() {
    let mut world = World::new();
    for number in 0..300 {
        world.send(&number.to_string(), "TIMER_DELAY_SEC^5~");
    }
    // Two that nobody can tell apart.
    world.send("same", "TIMER_DELAY_SEC^5~");
    world.send("same", "TIMER_DELAY_SEC^5~");
    world.pass_to(BOOT_MS + 1_000);
    world.settle();
    world.kill();
    assert_eq!(world.condition().pending, 302);
    // The slot is emptied, and nobody wrote that down.
    world.now_ms = BOOT_MS + 5_000;
    for _ in 0..3 {
        step(world.broker(), world.now_ms);
    }
    assert_eq!(world.delivered().len(), 302);
    for _ in 0..3 {
        world.kill();
        world.pass_to(BOOT_MS + 5_500);
    }
    assert_eq!(world.delivered().len(), 302);
    assert_eq!(world.condition().pending, 0);
    world.settle();
    world.restart_after(|_| {});
    let now_ms = world.now_ms + 9_000;
    world.pass_to(now_ms);
    assert_eq!(world.delivered().len(), 302);
}

#[test]
fn a_stop_empties_the_slot_that_it_meets() {
    let mut world = World::new();
    for number in 0..5_000 {
        world.send(&number.to_string(), "TIMER_DELAY_SEC^5~");
    }
    world.pass_to(BOOT_MS + 1_000);
    world.now_ms = BOOT_MS + 5_000;
    for _ in 0..2 {
        step(world.broker(), world.now_ms);
    }
    assert_eq!(world.delivered().len(), 4_096);
    world.restart_after(|_| {});
    assert_eq!(world.delivered().len(), 5_000);
    assert!(world.is_sure(), "the files know what was delivered");
    assert_eq!(world.condition().pending, 0);
}

#[test]
fn files_that_are_gone_or_damaged_are_made_anew() {
    let damage: [fn(&Path); 6] = [
        |dir| std::fs::remove_file(dir.join("timerwheel")).unwrap(),
        |dir| std::fs::remove_dir_all(dir.join("timerlog")).unwrap(),
        |dir| std::fs::remove_file(dir.join("config/timercheck")).unwrap(),
        |dir| std::fs::write(dir.join("timerwheel"), b"short").unwrap(),
        |dir| {
            let path = dir.join("timerlog/00000000000000000000");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[52 * 7 + 20] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        |dir| {
            let path = dir.join("config/timercheck");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.fill(0x5a);
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for (number, damage) in damage.into_iter().enumerate() {
        for is_kill in [true, false] {
            let mut world = World::new();
            for number in 0..100 {
                world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 2 + number % 4));
            }
            world.send("taken", "TIMER_DELAY_SEC^2~");
            let text = format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^taken~", BOOT_MS + 1_001);
            world.send("taken", &text);
            world.pass_to(BOOT_MS + 3_000);
            assert_eq!(world.delivered().len(), 50, "damage {number}");
            if is_kill {
                world.kill_after(damage);
            } else {
                world.restart_after(damage);
            }
            world.pass_to(BOOT_MS + 9_000);
            let mut delivered = world.delivered();
            assert_eq!(delivered.len(), 100, "damage {number}, kill {is_kill}");
            delivered.sort();
            delivered.dedup();
            assert_eq!(delivered.len(), 100, "damage {number}, kill {is_kill}");
            assert!(!delivered.contains(&"taken".to_owned()));
        }
    }
}

#[test]
fn a_wheel_that_was_rebuilt_does_not_store_again_what_was() {
    let mut world = World::new();
    world.send("far", &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + 60 * HOUR_MS));
    world.pass_to(BOOT_MS + 1_000);
    world.pass_to(BOOT_MS + 30 * HOUR_MS);
    world.settle();
    let parked = |world: &World| world.broker().store.max_offset(names::TIMER_TOPIC, 0);
    assert_eq!(parked(&world), 2);
    world.kill_after(|dir| std::fs::remove_dir_all(dir.join("timerlog")).unwrap());
    world.pass_to(BOOT_MS + 61 * HOUR_MS);
    assert_eq!(world.delivered(), ["far"]);
    world.pass_to(BOOT_MS + 161 * HOUR_MS);
    assert_eq!((world.delivered().len(), parked(&world)), (1, 2));
}

#[test]
fn a_clock_that_was_ahead_does_not_hold_back_what_comes() {
    let mut world = World::new();
    world.pass_to(BOOT_MS + 10 * HOUR_MS);
    world.pass_to(BOOT_MS);
    world.send("now", "TIMER_DELAY_SEC^3~");
    world.pass_to(BOOT_MS + 3_000);
    assert_eq!(world.delivered(), ["now"]);
}

#[test]
fn a_disk_that_is_missing_files_refuses_no_start() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_SEC^3~");
    world.pass_to(BOOT_MS + 1);
    world.restart_after(|dir| {
        std::fs::remove_dir_all(dir.join("timerlog")).unwrap();
        std::fs::write(dir.join("timerlog"), b"in the way").unwrap();
        std::fs::remove_file(dir.join("timerwheel")).unwrap();
        std::fs::create_dir(dir.join("timerwheel")).unwrap();
        std::fs::remove_file(dir.join("config/timercheck")).unwrap();
        std::fs::create_dir(dir.join("config/timercheck")).unwrap();
    });
    world.pass_to(BOOT_MS + 3_000);
    assert_eq!(world.delivered(), ["a"]);
    let log = world.dir.join("timerlog/00000000000000000000");
    assert!(OsDisk.read(&log).unwrap().len() == 4_096);
}

#[test]
fn another_precision_loses_and_doubles_nothing() {
    let mut world = World::new();
    for (before, after) in [(100, 1_000), (1_000, 100), (100, 1_000)] {
        world.restart_after(|_| {});
        world.precision_ms = before;
        world.restart_after(|_| {});
        let begin_ms = world.now_ms + 10_300 - world.now_ms % 1_000;
        world.pass_to(begin_ms);
        let already = world.delivered().len();
        for delay_ms in [100, 250, 400, 600, 1_500, 3_000] {
            let id = format!("{begin_ms}+{delay_ms}");
            world.send(&id, &format!("TIMER_DELAY_MS^{delay_ms}~"));
        }
        world.pass_to(begin_ms + 300);
        world.settle();
        world.send(&format!("{begin_ms}+late"), "TIMER_DELAY_MS^100~");
        world.precision_ms = after;
        world.kill();
        for _ in 0..3 {
            let now_ms = world.now_ms + 2_000;
            world.pass_to(now_ms);
        }
        assert_eq!(world.delivered().len(), already + 7, "{before} to {after}");
        assert_eq!(world.condition().pending, 0);
    }
}

#[test]
fn a_slot_that_another_broker_gave_delivers_nothing_early() {
    for (before, after) in [(1_000, 100), (1_000, 500), (500, 200), (200, 500), (100, 1_000)] {
        let mut world = World::new();
        world.precision_ms = before;
        world.restart_after(|_| {});
        world.pass_to(BOOT_MS + 300);
        let dues = [5_000, 5_001, 5_099, 5_250, 5_501, 5_599, 5_901, 6_000];
        for due in dues {
            world.send(&due.to_string(), &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + due));
            world.send(&due.to_string(), &format!("TIMER_DELAY_MS^{}~", due - 300));
        }
        world.send("5999", &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + 5_999));
        let out_ms = accept::out_ms(BOOT_MS + 5_999, before.into());
        world.precision_ms = after;
        world.restart_after(|_| {});
        world.send("5999", &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^5999~", out_ms + 1));
        let mut came = Vec::new();
        for now in (4_000..8_000).step_by(50) {
            if [5_150, 5_550, 6_050].contains(&now) {
                // What it stored last is not written down anywhere.
                world.kill();
            }
            world.pass_to(BOOT_MS + now);
            let delivered = world.delivered();
            for due in delivered[came.len()..].iter().map(|due| due.parse::<i64>().unwrap()) {
                let late_ms = now - due;
                let most_ms = i64::from(after) + 50;
                assert!((0..most_ms).contains(&late_ms), "{before} to {after}: {due} at {now}");
            }
            came = delivered;
        }
        came.sort();
        let twice = dues.iter().flat_map(|due| [due.to_string(), due.to_string()]);
        assert_eq!(came, twice.collect::<Vec<_>>(), "{before} to {after}");
        assert_eq!((world.condition().pending, world.condition().passed_over), (0, 0));
    }
}

#[test]
fn what_was_stored_again_before_the_slots_were_shorter_is_not_early() {
    let mut world = World::new();
    world.roll_slots = 20;
    world.restart_after(|_| {});
    world.pass_to(BOOT_MS + 300);
    let dues = [24_299, 28_001, 28_550, 29_000, 75_299, 75_001, 75_950];
    dues.iter()
        .for_each(|due| world.send(&due.to_string(), &format!("TIMER_DELAY_MS^{}~", due - 300)));
    world.send("75940", "TIMER_DELAY_MS^75640~");
    world.send("75930", &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + 75_930));
    let slot_ms = accept::out_ms(BOOT_MS + 75_930, 1_000);
    world.pass_to(BOOT_MS + 400);
    world.pass_to(BOOT_MS + 22_500);
    (world.precision_ms, world.roll_slots) = (100, 200);
    world.restart_after(|_| {});
    let mut came = 0;
    for now in (22_500..77_000).step_by(100) {
        // Those who take them back know the slot of the first day.
        for id in ["75940", "75930"].iter().filter(|_| now == 66_000) {
            world.send(id, &format!("TIMER_DELIVER_MS^{}~TIMER_DEL_UNIQKEY^{id}~", slot_ms + 1));
        }
        world.pass_to(BOOT_MS + now);
        let delivered = world.delivered();
        for due in delivered[came..].iter().map(|due| due.parse::<i64>().unwrap()) {
            assert!((0..1_100).contains(&(now - due)), "{due} at {now}");
        }
        came = delivered.len();
    }
    assert_eq!(came, dues.len());
}

fn damage(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

const LOG: &str = "timerlog/00000000000000000000";

#[test]
fn a_start_reads_what_was_written_since_the_last_one_was_noted() {
    for is_kill in [true, false] {
        let mut world = World::new();
        for number in 0..70 {
            world.send(&format!("done {number}"), "TIMER_DELAY_SEC^3~");
        }
        world.pass_to(BOOT_MS + 5_000);
        for number in 0..70 {
            world.send(&number.to_string(), "TIMER_DELAY_SEC^100~");
        }
        world.mark();
        for number in 70..80 {
            world.send(&number.to_string(), "TIMER_DELAY_SEC^90~");
        }
        let now_ms = world.now_ms + 1_000;
        world.pass_to(now_ms);
        // Whoever reads it sees the log's end.
        let forget = |dir: &Path| damage(dir, LOG, |bytes| bytes[..52 * 70].fill(0));
        if is_kill {
            world.kill_after(forget)
        } else {
            world.restart_after(forget)
        }
        assert_eq!(world.condition().pending, 80);
        assert_eq!(world.counted(), 80);
        let put = world.condition().put;
        world.pass_to(BOOT_MS + 300_000);
        assert_eq!((world.delivered().len(), world.condition().put), (150, put));
        assert_eq!(world.counted(), 0);
    }
}

#[test]
fn a_clock_that_was_set_back_delivers_nothing_again() {
    for is_kill in [true, false] {
        let mut world = World::new();
        for number in 0..30 {
            world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 2 + number));
        }
        world.pass_to(BOOT_MS + 20_000);
        assert_eq!(world.delivered().len(), 19);
        world.pass_to(BOOT_MS + 5_000);
        world.send("new", "TIMER_DELAY_SEC^1~");
        world.pass_to(BOOT_MS + 5_500);
        if is_kill {
            world.kill()
        } else {
            world.restart_after(|_| {})
        }
        let now_ms = world.now_ms;
        world.pass_to(now_ms + 1_500);
        assert_eq!(world.delivered().len(), 20, "kill {is_kill}");
        world.pass_to(BOOT_MS + 60_000);
        assert_eq!(world.delivered().len(), 31, "kill {is_kill}");
        assert_eq!(world.condition().pending, 0);
    }
}

/// Between the check of a send and its append the slot may be over, and its entries read.
#[test]
fn what_comes_into_the_slot_that_is_emptied_is_not_lost() {
    for steps in 0..4 {
        let mut world = World::new();
        world.send("a", "TIMER_DELAY_MS^2500~");
        world.pass_to(BOOT_MS + 2_999);
        let due_ms = BOOT_MS + 3_000;
        let late = world.parked("b", &format!("TIMER_DELIVER_MS^{due_ms}~"));
        world.now_ms = due_ms;
        for _ in 0..steps {
            step(world.broker(), due_ms);
        }
        world.append(late);
        world.pass_to(due_ms);
        world.pass_to(due_ms + 1_000);
        assert_eq!(world.delivered(), ["a", "b"], "after {steps} steps");
        assert_eq!(world.condition().pending, 0);
    }
}

#[test]
fn a_clean_stop_says_nothing_of_the_next_run() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_MS^2000~");
    let check = |dir: &Path| std::fs::read(dir.join("config/timercheck")).unwrap();
    let mut stopped = Vec::new();
    world.restart_after(|dir| stopped = check(dir));
    assert_ne!(check(&world.dir), stopped, "a start takes back what the stop said");
}

#[test]
fn slots_that_are_noted_nowhere_are_not_delivered_again_after_a_clock_was_set_back() {
    let mut world = World::new();
    for number in 0..30 {
        world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 2 + number));
    }
    world.pass_to(BOOT_MS + 20_000);
    world.pass_to(BOOT_MS + 5_000);
    world.restart_after(|dir| std::fs::remove_file(dir.join("config/timerslots")).unwrap());
    world.pass_to(BOOT_MS + 60_000);
    assert_eq!(world.delivered().len(), 30);
}

#[test]
fn a_damaged_entry_hits_nothing_but_its_slot() {
    // The field that says which entry stands before has no seal.
    for (number, at) in [52 * 7 + 20, 52 * 7 + 10, 52 * 8 + 6].into_iter().enumerate() {
        let mut world = World::new();
        for number in 0..60 {
            world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 100 + number % 3));
        }
        world.mark();
        world.restart_after(|dir| damage(dir, LOG, |bytes| bytes[at] ^= 0x11));
        assert!(world.is_sure());
        world.pass_to(BOOT_MS + 200_000);
        let mut delivered = world.delivered();
        delivered.sort();
        delivered.dedup();
        assert_eq!((delivered.len(), world.delivered().len()), (60, 60), "{number}");
        assert_eq!(world.condition().put, 0, "nothing was made anew");
        assert_eq!((world.condition().pending, world.condition().passed_over), (0, 0));
    }
}

#[test]
fn a_damaged_entry_without_a_seal_is_found_again() {
    let mut world = World::new();
    for number in 0..60 {
        world.send(&number.to_string(), &format!("TIMER_DELAY_SEC^{}~", 100 + number % 3));
    }
    world.mark();
    // Java's have none; this one leads to the message before.
    world.restart_after(|dir| {
        damage(dir, LOG, |bytes| {
            bytes.chunks_exact_mut(52).for_each(|entry| entry[44..].fill(0));
            let (before, entry) = bytes.split_at_mut(52 * 21);
            entry[28..36].copy_from_slice(&before[52 * 20 + 28..][..8]);
            entry[35] += 1;
        });
    });
    world.pass_to(BOOT_MS + 200_000);
    let mut delivered = world.delivered();
    delivered.sort();
    delivered.dedup();
    assert_eq!((delivered.len(), world.delivered().len()), (60, 60));
    assert_eq!(world.condition().put, 0, "nothing was made anew");
}

#[test]
fn a_flip_in_javas_progress_puts_nothing_off() {
    let mut world = World::new();
    world.send("done", "TIMER_DELAY_SEC^2~");
    world.send("overdue", "TIMER_DELAY_SEC^1000~");
    world.send("later", "TIMER_DELAY_SEC^100000~");
    world.pass_to(BOOT_MS + 4_000);
    world.now_ms = BOOT_MS + 10_000_000;
    world.restart_after(|dir| {
        damage(dir, "config/timercheck", |bytes| {
            bytes[56..].fill(0);
            // What was delivered, and the next message of the queue.
            let ahead = BOOT_MS + 9_000_000;
            bytes[..8].copy_from_slice(&ahead.to_be_bytes());
        });
    });
    let now_ms = world.now_ms;
    world.pass_to(now_ms + 1_000);
    assert_eq!(world.delivered(), ["done", "overdue"]);
}

#[test]
fn what_was_stored_again_is_known_whatever_the_roll_window_is_now() {
    let mut world = World::new();
    world.roll_slots = 3_600;
    world.restart_after(|_| {});
    world.send("far", &format!("TIMER_DELIVER_MS^{}~", BOOT_MS + 3 * HOUR_MS));
    world.pass_to(BOOT_MS + 1_000);
    world.pass_to(BOOT_MS + HOUR_MS + HOUR_MS / 2);
    world.settle();
    let parked = |world: &World| world.broker().store.max_offset(names::TIMER_TOPIC, 0);
    let before = parked(&world);
    assert!(before > 1);
    world.roll_slots = 0;
    world.kill_after(|dir| {
        std::fs::remove_dir_all(dir.join("timerlog")).unwrap();
        std::fs::remove_file(dir.join("config/timerslots")).unwrap();
    });
    world.pass_to(BOOT_MS + 4 * HOUR_MS);
    assert_eq!((world.delivered(), parked(&world)), (vec!["far".to_owned()], before));
}

#[test]
fn doubt_ends_when_all_that_was_due_is_delivered() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_SEC^3~");
    world.send("b", "TIMER_DELAY_SEC^300~");
    world.pass_to(BOOT_MS + 4_000);
    world.kill();
    assert!(!world.is_sure());
    world.restart_after(|_| {});
    assert!(!world.is_sure(), "it is kept over a clean restart");
    world.pass_to(BOOT_MS + 5_000);
    world.settle();
    assert!(world.is_sure());
    world.restart_after(|_| {});
    assert!(world.is_sure());
    assert_eq!(world.delivered(), ["a"]);
}

#[test]
fn a_damaged_unit_of_the_queue_costs_no_message() {
    let mut world = World::new();
    world.send("a", "TIMER_DELAY_MS^5000~");
    world.send("b", "TIMER_DELAY_MS^5000~");
    world.broker().store.flush(world.now_ms + 60_000).unwrap();
    damage(&world.dir, &format!("consumequeue/{}/0/{:020}", names::TIMER_TOPIC, 0), |bytes| {
        bytes[20 + 2] ^= 0x40;
    });
    world.pass_to(BOOT_MS + 6_000);
    assert_eq!(world.delivered(), ["a", "b"]);
}
