//! Append, crash, recover, in loops by seed; a model beside the store says what must be there.

use crate::bad_disk::BadDisk;
use crate::support::*;
use message::sys_flag;
use simulator::lines_of;
use simulator::{Loss, SimDisk};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{Append, AppendError, Disk, Error, FlushMode, Settings, Store};

/// Where the files of consume queues lie.
const QUEUES: &str = "/store/consumequeue";

/// A seeded row of numbers (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }
}

/// A message that the store said it has.
#[derive(Clone, Debug)]
struct Stored {
    body: String,
    log_end: i64,
    /// A power loss took it, and left its place.
    lost: bool,
}

/// What was stored, queue by queue.
#[derive(Default)]
struct Model {
    queues: BTreeMap<(&'static str, i32), Vec<Stored>>,
    made: u64,
}

const TOPICS: [&str; 3] = ["T", "Other", "%RETRY%g"];

impl Model {
    /// Appends one to four entries in one call.
    fn append(&mut self, store: &Store, now: i64, random: &mut Random) {
        let mut list = Vec::new();
        let mut places = Vec::new();
        for _ in 0..=random.below(4) {
            let place = (TOPICS[random.below(3) as usize], random.below(3) as i32);
            let size = if random.below(4) == 0 { random.below(3_500) } else { random.below(90) };
            let count = if random.below(4) == 0 { 1 + random.below(4) } else { 1 };
            let mut one = || {
                self.made += 1;
                let body = format!("{}-{}", self.made, "x".repeat((size / count) as usize));
                (body.clone(), draft(place.0, place.1, &body))
            };
            let (bodies, mut drafts): (Vec<_>, Vec<_>) = (0..count).map(|_| one()).unzip();
            if count == 1 && random.below(10) == 0 {
                drafts[0].sys_flag = sys_flag::TRANSACTION_PREPARED;
                places.push(None);
            } else {
                places.push(Some((place, bodies)));
            }
            list.push(Append::batch(drafts));
        }
        store.append(now, &mut list);
        for (append, place) in list.iter().zip(places) {
            let appended = append.outcome.unwrap();
            let Some((place, bodies)) = place else { continue };
            let queue = self.queues.entry(place).or_default();
            assert_eq!(appended.queue_offset, queue.len() as i64, "offsets are dense");
            let log_end = appended.log_end();
            queue.extend(bodies.into_iter().map(|body| Stored { body, log_end, lost: false }));
        }
    }

    /// After a restart the store holds everything that was durable, each message in its place; from
    /// then on the model is what is there.
    fn check(&mut self, store: &Store, durable_to: i64) {
        for ((topic, id), stored) in &mut self.queues {
            let end = store.max_offset(topic, *id) as usize;
            assert!(end <= stored.len(), "nothing is made up");
            let found = bodies_by_offset(store, topic, *id);
            for (offset, body) in &found {
                let known = &stored[*offset as usize].body;
                assert_eq!(body, known, "{topic} {id} {offset} is another message");
                let key = format!("key-{body}");
                let records = store.query(topic, &key, 64, (0, i64::MAX)).records;
                let hits = records.iter().filter(|bytes| record_of(bytes).body == body.as_bytes());
                let hits = hits.count();
                // A record that lost a sector of its properties stays when whole ones follow it.
                let torn = || {
                    record_of(&read(store, topic, *id, *offset).messages[0]).properties.contains(&0)
                };
                assert!(hits == 1 || torn(), "{topic} {id} {offset} is found by its key once");
            }
            for (offset, message) in stored.iter_mut().enumerate() {
                if !found.contains_key(&(offset as i64)) && !message.lost {
                    assert!(message.log_end > durable_to, "{topic} {id} {offset}: {message:?}");
                    message.lost = true;
                }
            }
            stored.truncate(end);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Close,
    Kill,
    PowerLoss,
}

fn run(seed: u64, flush_mode: FlushMode) {
    let sim = SimDisk::new(seed);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let settings = Settings { flush_mode, ..small(Path::new("/store")) };
    let (mut random, mut model) = (Random::new(seed), Model::default());
    let (mut now, mut durable_to, mut end) = (NOW, 0, End::Close);
    for _ in 0..6 {
        let store = open(&disk, &settings);
        // Power loss after a clean stop may bring the mark of an unclean one back.
        assert!(end == End::Close || !store.was_clean());
        model.check(&store, durable_to);
        for _ in 0..random.below(40) {
            now += random.below(2_000) as i64;
            model.append(&store, now, &mut random);
            match random.below(6) {
                0 => assert!(store.flush(now).unwrap() > now),
                1 => assert_eq!(store.sync().unwrap(), store.max_log_offset()),
                _ => {}
            }
        }
        durable_to = store.flushed_to();
        end = [End::Close, End::Kill, End::PowerLoss][random.below(3) as usize];
        match end {
            End::Close => {
                store.close().unwrap();
                durable_to = store.max_log_offset();
                // After a clean stop not even power loss takes anything.
                sim.crash();
            }
            End::Kill => durable_to = store.max_log_offset(),
            End::PowerLoss => sim.crash(),
        }
    }
    let store = open(&disk, &settings);
    model.check(&store, durable_to);
}

#[test]
fn nothing_durable_is_lost_and_nothing_is_made_up() {
    for seed in 0..60 {
        let mode = if seed % 2 == 0 { FlushMode::Async } else { FlushMode::Sync };
        let outcome = std::panic::catch_unwind(|| run(seed, mode));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn many_queues_are_made_durable_at_once() {
    let sim = SimDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let settings = small(Path::new("/store"));
    let store = open(&disk, &settings);
    let check = |store: &Store| {
        for id in 0..200 {
            assert_eq!(bodies(store, "T", id), [format!("{id}"), format!("{id}-again")]);
        }
    };
    for id in 0..200 {
        append(&store, NOW, draft("T", id, &format!("{id}")));
        append(&store, NOW, draft("T", id, &format!("{id}-again")));
    }
    store.flush(NOW).unwrap();
    check(&store);
    sim.crash();
    check(&open(&disk, &settings));
}

#[test]
fn a_failed_write_fences_the_store_and_loses_nothing_stored() {
    for seed in 0..40 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let settings = small(Path::new("/store"));
        let store = open(&disk, &settings);
        sim.fail_writes_after(seed);
        let mut stored = Vec::new();
        for number in 0..40 {
            let body = number.to_string();
            let mut list = [Append::one(draft("T", 0, &body))];
            store.append(NOW + number, &mut list);
            match list[0].outcome {
                Ok(_) => stored.push(body),
                Err(why) => assert_eq!(why, AppendError::Fenced),
            }
        }
        assert!(matches!(store.flush(NOW + 100), Err(Error::Fenced { .. })), "seed {seed}");
        assert!(matches!(store.sync(), Err(Error::Fenced { .. })));
        assert!(store.fence_reason().is_some());
        assert_eq!(bodies(&store, "T", 0)[..], stored[..], "readers see what was stored");
        drop(store);
        sim.fail_writes_after(u64::MAX);
        let store = open(&disk, &settings);
        assert!(!store.was_clean());
        let found = bodies(&store, "T", 0);
        assert!(found.starts_with(&stored), "seed {seed}: {found:?}");
    }
}

#[test]
fn old_bytes_behind_a_cut_never_come_back() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let settings = Settings { cut_log_at_damage: true, ..small(Path::new("/store")) };
    let store = open(&disk, &settings);
    let places: Vec<_> = (0..20)
        .map(|number| append(&store, NOW, draft("T", 0, &format!("old-{number:02}"))))
        .collect();
    drop(store);
    // The fifth record is damaged: Java's rule cuts there, with whole records behind.
    let log = disk.open(
        Path::new("/store/commitlog/00000000000000000000"),
        settings.commit_log_file_bytes,
        store::disk::Allocation::Reserved,
    );
    log.unwrap().write_at(places[4].log_offset as u64 + 90, b"!!").unwrap();
    let store = open(&disk, &settings);
    assert_eq!(bodies(&store, "T", 0).len(), 4);
    append(&store, NOW, draft("T", 0, "new-04"));
    for end in [End::Kill, End::Close, End::Kill] {
        if end == End::Close {
            store.close().unwrap();
        }
    }
    drop(store);
    let store = open(&disk, &settings);
    assert_eq!(bodies(&store, "T", 0), ["old-00", "old-01", "old-02", "old-03", "new-04"]);
    assert_eq!(store.max_log_offset(), places[4].log_end());
}

/// The record of what comes while a checkpoint is made, behind the sync of the log, is in memory
/// alone, though its unit may be durable.
#[test]
fn a_checkpoint_calls_nothing_durable_that_came_while_it_was_made() {
    let sim = SimDisk::new(1);
    sim.set_clock(NOW);
    let (bad, disk) = BadDisk::around(Arc::new(sim.clone()));
    let settings = small(Path::new("/store"));
    let store = Arc::new(open(&disk, &settings));
    for queue_id in 0..2 {
        append(&store, NOW, draft("T", queue_id, "before"));
    }
    let (other, late) = (Arc::downgrade(&store), Arc::new(AtomicBool::new(false)));
    let came = Arc::clone(&late);
    bad.before_sync(move |path| {
        let Some(store) = other.upgrade().filter(|_| path.starts_with(QUEUES)) else { return };
        if !came.swap(true, Ordering::SeqCst) {
            append(&store, NOW, draft("T", 1, "meanwhile"));
        }
    });
    store.flush(NOW + 100_000).unwrap();
    assert!(late.load(Ordering::SeqCst), "the queue's file was synced behind the log");
    bad.before_sync(|_| {});
    drop(store);
    sim.lose(Loss::All);
    let (store, lines) = lines_of(|| open(&disk, &settings));
    // It was never durable, and is not called damaged.
    assert!(!lines.iter().any(|line| line.contains("lost in ranges")), "{lines:#?}");
    for queue_id in 0..2 {
        let left = bodies_by_offset(&store, "T", queue_id);
        assert_eq!(left.into_values().collect::<Vec<_>>(), ["before"]);
    }
}
