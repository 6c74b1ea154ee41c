//! The timer over a disk that crashes: from each seed another run of sends, deliveries, stops,
//! kills and losses of power, at any change of the disk. Whatever happens, what was durable comes
//! once, and nothing twice or before its time.

use super::{BOOT_MS, step};
use crate::broker::Broker;
use crate::cold;
use crate::put;
use bytes::Bytes;
use message::{Draft, Entry, record};
use simulator::{Loss, Random, SimDisk};
use std::collections::BTreeMap;
use std::path::Path;
use store::{Append, Everything, Limits, Position};

const SEEDS: u64 = 60;
/// More than anything waits.
const LONG_MS: i64 = 60_000;

/// A message that was sent.
struct Sent {
    due_ms: i64,
    /// Where it ends in the log; `None` where that may have been lost.
    log_end: Option<i64>,
    /// Nothing may lose it any more.
    is_durable: bool,
}

struct Run {
    random: Random,
    disk: SimDisk,
    broker: Option<Broker>,
    now_ms: i64,
    sent: Vec<Sent>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        disk.order_names(!seed.is_multiple_of(3));
        disk.set_clock(BOOT_MS);
        let random = Random::new(!seed);
        let mut run = Self { random, disk, broker: None, now_ms: BOOT_MS, sent: Vec::new() };
        run.open();
        run
    }

    fn open(&mut self) {
        let (disk, root) = (self.disk.clone(), Path::new("/store"));
        let (broker, _) = cold::open_with(disk, root, self.now_ms, |settings| {
            settings.store.mapped_file_size_commit_log = 64 << 10;
            settings.store.mapped_file_size_timer_log = 4_096;
        });
        self.broker = Some(broker);
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    fn is_over(&self) -> bool {
        self.disk.is_dead() || self.broker().store.fence_reason().is_some()
    }

    fn send(&mut self) {
        for _ in 0..=self.random.below(6) {
            let (id, due_ms) = (self.sent.len(), self.now_ms + self.random.below(15_000) as i64);
            let broker = self.broker();
            let mut draft = Draft {
                body: Bytes::from(format!("{id}")),
                properties: format!("UNIQ_KEY\u{1}{id}\u{2}TIMER_DELIVER_MS\u{1}{due_ms}\u{2}")
                    .into(),
                ..Draft::plain("T", self.now_ms, broker.identity.store_host)
            };
            put::park(&mut draft, 0, true, &broker.settings(), self.now_ms).unwrap();
            let mut appends = [Append::one(draft)];
            broker.append(&mut appends, self.now_ms);
            let stored = appends[0].outcome.as_ref().ok().filter(|_| !self.disk.is_dead());
            let log_end = stored.map(|stored| stored.log_end());
            self.sent.push(Sent { due_ms, log_end, is_durable: false });
        }
    }

    fn note_durable(&mut self) {
        let flushed_to = self.broker().store.flushed_to();
        for sent in &mut self.sent {
            sent.is_durable |= sent.log_end.is_some_and(|end| end <= flushed_to);
        }
    }

    /// Lets some time pass, and the timer work.
    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.disk.set_clock(self.now_ms);
        for _ in 0..50 {
            if step(self.broker(), self.now_ms) > self.now_ms {
                break;
            }
        }
    }

    fn act(&mut self) {
        match self.random.below(10) {
            0..3 => self.send(),
            3..7 => {
                let ms = self.random.below(3_000) as i64;
                self.pass(ms);
            }
            7 => drop(self.broker().store.sync()),
            8 => drop(self.broker().store.flush(self.now_ms)),
            _ => {
                let ms = 10_000 + self.random.below(2_000) as i64;
                self.broker().save_changed(self.now_ms);
                self.pass(ms);
            }
        }
        if !self.disk.is_dead() {
            self.note_durable();
        }
    }

    /// The process ends, one way or the other, and another one begins.
    fn end(&mut self) {
        let broker = self.broker.take().unwrap();
        let was_dead = self.disk.is_dead();
        if self.random.one_in(3) && !was_dead && broker.store.fence_reason().is_none() {
            let closed = broker.close(self.now_ms);
            assert!(closed.is_ok() || self.disk.is_dead(), "{closed:?}");
            for sent in self.sent.iter_mut().filter(|_| closed.is_ok()) {
                sent.is_durable |= sent.log_end.is_some();
            }
        }
        drop(broker);
        self.disk.heal();
        if self.random.one_in(2) {
            self.disk.kill();
        } else {
            self.disk.lose(self.random.pick(&Loss::ALL));
            for sent in self.sent.iter_mut().filter(|sent| !sent.is_durable) {
                sent.log_end = None;
            }
        }
        self.open();
    }

    fn run(&mut self) {
        for _ in 0..2 + self.random.below(6) {
            let dies = self.random.one_in(2);
            for at in 0..self.random.below(25) {
                if dies && at == 5 {
                    self.disk.die_after(self.random.below(40));
                }
                self.act();
                if self.is_over() {
                    break;
                }
            }
            self.end();
        }
        for _ in 0..LONG_MS / 1_000 {
            self.pass(1_000);
        }
        self.check();
    }

    fn check(&self) {
        let (store, mut offset) = (&self.broker().store, 0);
        let mut came = BTreeMap::<usize, u32>::new();
        while offset < store.max_offset("T", 0) {
            let position = Position { topic: "T", queue_id: 0, offset };
            let read = store.read(position, Limits::messages(32), &Everything);
            assert!(read.next_offset > offset, "{read:?}");
            offset = read.next_offset;
            for bytes in &read.messages {
                let Ok(Entry::Message(record)) = record::decode(bytes, true) else {
                    panic!("a message")
                };
                let id: usize = std::str::from_utf8(record.body).unwrap().parse().unwrap();
                let (due_ms, stored_ms) = (self.sent[id].due_ms, record.store_timestamp);
                assert!(due_ms <= stored_ms, "{id}: {stored_ms} is before {due_ms}");
                *came.entry(id).or_default() += 1;
            }
        }
        for (id, sent) in self.sent.iter().enumerate() {
            let times = came.get(&id).copied().unwrap_or(0);
            assert!(times < 2, "{id} came {times} times");
            // A kill takes nothing that was stored.
            let must = sent.is_durable || sent.log_end.is_some();
            assert!(times == 1 || !must, "{id}, due at {}, never came", sent.due_ms);
        }
    }
}

#[test]
fn what_is_durable_comes_once_whatever_the_disk_does() {
    for seed in 0..SEEDS {
        let run = || Run::new(seed).run();
        let done = std::panic::catch_unwind(run);
        assert!(done.is_ok(), "seed {seed}");
    }
}
