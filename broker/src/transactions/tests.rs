//! Half messages in a broker without a shell: time passes as the tests say.

use super::*;
use crate::clients::Client;
use crate::cold::{self, Cold};
use crate::handlers::transaction;
use bytes::Bytes;
use message::properties;
use remoting::codes::{LanguageCode, RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::transaction::EndTransactionRequestHeader;
use remoting::peer::Peer;
use remoting::reply::{Refusal, Reply};
use remoting::room::Room;
use remoting::router::{Call, Lane};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};

const BOOT_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 30_000;

/// A broker without a shell: its time is what a test says.
struct World {
    broker: Option<Broker>,
    disk: Cold,
    dir: PathBuf,
    now_ms: i64,
}

/// A connected producer, and what it was sent.
struct Producer {
    peer: Arc<Peer>,
}

impl Producer {
    fn asked(&self) -> usize {
        let sent = self.peer.take_unwritten().concat();
        let (mut frames, mut rest) = (0, &sent[..]);
        while let Some((length, behind)) = rest.split_first_chunk() {
            (frames, rest) = (frames + 1, &behind[u32::from_be_bytes(*length) as usize..]);
        }
        frames
    }
}

impl World {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rockhopper-halves-{}-{number}", std::process::id());
        let (disk, dir) = (Cold::default(), std::env::temp_dir().join(name));
        let mut world = Self { broker: None, disk, dir, now_ms: BOOT_MS };
        world.open();
        world
    }

    fn open(&mut self) {
        let disk = self.disk.clone();
        let (broker, _) = cold::open_with(disk, &self.dir, self.now_ms, |settings| {
            settings.broker.transaction_check_max = 3;
        });
        self.broker = Some(broker);
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    fn restart(&mut self) {
        let broker = self.broker.take().unwrap();
        broker.close(self.now_ms).unwrap();
        drop(broker);
        self.now_ms += 1;
        self.open();
    }

    fn producer(&self, group: &str) -> Producer {
        let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let client = Client {
            id: "p".into(),
            peer_id: peer.id,
            peer: peer.clone(),
            address,
            language: LanguageCode::JAVA,
            version: 0,
        };
        self.broker().clients.register_producer(&group.into(), &client, self.now_ms);
        Producer { peer }
    }

    /// Stores a half message and gives its places in the queue and in the log.
    fn half(&self, id: &str, properties: &str) -> (i64, i64) {
        let text = format!("UNIQ_KEY^{id}~TRAN_MSG^true~PGROUP^g~{properties}");
        let host = self.broker().identity.store_host;
        let mut draft = Draft {
            queue_id: 2,
            sys_flag: sys_flag::TRANSACTION_PREPARED,
            body: Bytes::copy_from_slice(id.as_bytes()),
            properties: text.replace('^', "\u{1}").replace('~', "\u{2}").into(),
            ..Draft::plain("T", self.now_ms, host)
        };
        half(&mut draft);
        self.append(draft)
    }

    fn append(&self, draft: Draft) -> (i64, i64) {
        let mut appends = [Append::one(draft)];
        self.broker().append(&mut appends, self.now_ms);
        let stored = appends[0].outcome.unwrap();
        (stored.queue_offset, stored.log_offset)
    }

    fn end(
        &self,
        (queue_offset, log_offset): (i64, i64),
        how: i32,
        group: &str,
    ) -> Result<(), Refusal> {
        let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let command = Command::request(RequestCode::END_TRANSACTION);
        let (room, lane) = (Room::default(), Lane::Blocking);
        let now_ms = self.now_ms;
        let call = Call { peer: &peer, command: &command, now_ms, lane, room: &room };
        let header = EndTransactionRequestHeader {
            producer_group: group.into(),
            tran_state_table_offset: queue_offset,
            commit_log_offset: log_offset,
            commit_or_rollback: how,
            ..EndTransactionRequestHeader::default()
        };
        let reply = transaction::end(self.broker(), &call, header)?;
        assert!(matches!(reply, Reply::Answer(ref answer) if answer.code == ResponseCode::SUCCESS));
        Ok(())
    }

    fn commit(&self, places: (i64, i64)) {
        self.end(places, sys_flag::TRANSACTION_COMMIT, "g").unwrap();
    }

    /// Lets time pass until the next round is due, and runs it to its end.
    fn round(&mut self) {
        self.now_ms += INTERVAL_MS + 1;
        let mut steps = 0;
        loop {
            self.now_ms = check::step(self.broker(), self.now_ms).max(self.now_ms);
            steps += 1;
            if self.broker().transactions.state.lock().round.is_none() {
                return;
            }
            assert!(steps < 100, "a round ends");
        }
    }

    fn end_of(&self, topic: &str, queue_id: i32) -> i64 {
        self.broker().store.max_offset(topic, queue_id)
    }

    /// A property of a message, and its place in the log.
    fn property(&self, topic: &str, offset: i64, key: &str) -> (Option<String>, i64) {
        let unit = self.broker().store.unit(topic, QUEUE, offset).unwrap();
        let stored = self.broker().store.message_at(unit.log_offset).unwrap();
        let Ok(Entry::Message(record)) = record::decode(&stored, false) else { panic!() };
        (properties::find(record.properties, key).map(str::to_owned), unit.log_offset)
    }

    fn times(&self, offset: i64) -> Option<String> {
        self.property(names::TRANS_HALF_TOPIC, offset, property::TRANSACTION_CHECK_TIMES).0
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own directory")]
impl Drop for World {
    fn drop(&mut self) {
        drop(self.broker.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn only_a_check_that_went_out_counts_and_after_the_last_it_is_given_up() {
    let mut world = World::new();
    world.half("a", "");
    let other = world.producer("other");
    world.round();
    // Nobody of its group is there: it was put back as it is.
    assert_eq!((world.end_of(names::TRANS_HALF_TOPIC, 0), world.times(1)), (2, None));
    drop(other);
    let producer = world.producer("g");
    for times in 1..=3 {
        world.round();
        assert_eq!(producer.asked(), 1);
        assert_eq!(world.times(1 + times), Some(times.to_string()));
    }
    world.round();
    world.round();
    assert_eq!(producer.asked(), 0);
    assert_eq!(world.end_of(names::TRANS_HALF_TOPIC, 0), 5);
    assert_eq!(world.end_of(names::TRANS_CHECK_MAX_TIME_TOPIC, 0), 1);
    let topic = names::TRANS_CHECK_MAX_TIME_TOPIC;
    let times = world.property(topic, 0, property::TRANSACTION_CHECK_TIMES).0;
    assert_eq!(times.as_deref(), Some("3"));
}

/// A round takes many steps then, and what the first ones put back is not for the later ones.
#[test]
fn each_of_many_is_checked_in_each_round_until_it_is_given_up() {
    for count in [7, 8, 9, 20, 600] {
        let mut world = World::new();
        let producer = world.producer("g");
        (0..count).for_each(|number| _ = world.half(&format!("n{number}"), ""));
        for round in 0..3 {
            world.round();
            assert_eq!(producer.asked(), count, "of {count}, round {round}");
        }
        world.round();
        assert_eq!(producer.asked(), 0, "of {count}");
        let given_up = world.end_of(names::TRANS_CHECK_MAX_TIME_TOPIC, 0);
        assert_eq!(given_up, count as i64, "of {count}");
    }
}

#[test]
fn each_of_many_can_be_decided_about_after_a_check() {
    let mut world = World::new();
    let producer = world.producer("g");
    (0..20).for_each(|number| _ = world.half(&format!("n{number}"), ""));
    world.round();
    world.restart();
    let again = world.producer("g");
    world.round();
    assert_eq!((producer.asked(), again.asked()), (20, 20));
    for number in 40..60 {
        let (_, at) = world.property(names::TRANS_HALF_TOPIC, number, property::UNIQ_KEY);
        world.commit((number, at));
    }
    world.round();
    assert_eq!((again.asked(), world.end_of("T", 2)), (0, 20));
}

#[test]
fn a_producer_that_is_leaving_is_passed_over_for_one_that_stays() {
    let mut world = World::new();
    let stays = world.producer("g");
    let leaves = world.producer("g");
    leaves.peer.close();
    for number in 0..4 {
        world.half(&format!("n{number}"), "");
    }
    world.round();
    assert_eq!(stays.asked(), 4);
}

#[test]
fn without_any_producer_rounds_are_rare() {
    let mut world = World::new();
    world.half("a", "");
    world.now_ms += 2 * INTERVAL_MS;
    check::step(world.broker(), world.now_ms);
    assert_eq!(world.end_of(names::TRANS_HALF_TOPIC, 0), 1);
    world.now_ms += 20 * INTERVAL_MS;
    check::step(world.broker(), world.now_ms);
    assert_eq!(world.end_of(names::TRANS_HALF_TOPIC, 0), 2);
}

#[test]
fn what_is_finished_is_never_checked_whichever_of_its_places_is_named() {
    let mut world = World::new();
    let producer = world.producer("g");
    let (first, second, third) = (world.half("a", ""), world.half("b", ""), world.half("c", ""));
    world.commit(first);
    world.round();
    assert_eq!(producer.asked(), 2);
    // Both were put back; one decision names the old place, one the new.
    world.commit(second);
    let (_, log_offset) = world.property(names::TRANS_HALF_TOPIC, 4, property::UNIQ_KEY);
    world.end((4, log_offset), sys_flag::TRANSACTION_ROLLBACK, "g").unwrap();
    world.commit(third);
    for _ in 0..3 {
        world.round();
    }
    assert_eq!(producer.asked(), 0);
    assert_eq!(world.end_of("T", 2), 2);
    let offsets = |topic| world.broker().offsets.query(GROUP, topic, QUEUE);
    assert_eq!(offsets(names::TRANS_HALF_TOPIC), Some(5));
    assert_eq!(offsets(names::TRANS_OP_HALF_TOPIC), Some(3));
    let op = world.broker().store.unit(names::TRANS_OP_HALF_TOPIC, QUEUE, 2).unwrap();
    let op = world.broker().store.message_at(op.log_offset).unwrap();
    let Ok(Entry::Message(op)) = record::decode(&op, false) else { panic!() };
    assert_eq!(op.body, b"4,2,");
}

#[test]
fn a_second_decision_changes_nothing() {
    let mut world = World::new();
    let half = world.half("a", "DELAY^2~");
    world.commit(half);
    world.commit(half);
    assert_eq!(world.end_of(names::SCHEDULE_TOPIC, 1), 1);
    let plain = world.half("b", "");
    world.commit(plain);
    let _producer = world.producer("g");
    world.round();
    world.round();
    world.restart();
    world.commit(plain);
    world.commit(half);
    assert_eq!((world.end_of("T", 2), world.end_of(names::SCHEDULE_TOPIC, 1)), (1, 1));
}

#[test]
fn a_second_decision_right_after_a_restart_changes_nothing() {
    let mut world = World::new();
    let half = world.half("a", "");
    world.commit(half);
    world.restart();
    world.commit(half);
    assert_eq!(world.end_of("T", 2), 1);
}

/// A stock broker that is killed leaves copies that do not know of each other; each is asked for.
#[test]
fn copies_that_are_committed_at_once_become_one_message() {
    const MANY: i64 = 300;
    let world = World::new();
    let copies =
        |id: i64| [1, 2].map(|_| world.half(&id.to_string(), "TRANSACTION_CHECK_TIMES^1~"));
    let all: Vec<_> = (0..MANY).map(copies).collect();
    let both_are_here = Barrier::new(2);
    std::thread::scope(|scope| {
        for which in 0..2 {
            let (world, all, both_are_here) = (&world, &all, &both_are_here);
            scope.spawn(move || {
                for copies in all {
                    both_are_here.wait();
                    world.commit(copies[which]);
                }
            });
        }
    });
    assert_eq!(world.broker().store.max_offset("T", 2), MANY);
}

#[test]
fn a_decision_must_fit_its_half_message() {
    let mut world = World::new();
    let (queue_offset, log_offset) = world.half("a", "CHECK_IMMUNITY_TIME_IN_SECONDS^10~");
    let refused = |places, group: &str| {
        let refusal = world.end(places, sys_flag::TRANSACTION_COMMIT, group).unwrap_err();
        (refusal.code, refusal.remark.to_string())
    };
    let error = |text: &str| (ResponseCode::SYSTEM_ERROR, text.to_owned());
    let missing = error("Find prepared transaction message failed");
    assert_eq!(refused((queue_offset, log_offset + 7), "g"), missing);
    assert_eq!(refused((queue_offset, 1 << 40), "g"), missing);
    assert_eq!(refused((queue_offset, log_offset), "h"), error("The producer group wrong"));
    let wrong = error("The transaction state table offset wrong");
    assert_eq!(refused((queue_offset + 1, log_offset), "g"), wrong);
    world.now_ms += 10_001;
    let late = world.end((queue_offset, log_offset), sys_flag::TRANSACTION_COMMIT, "g");
    assert_eq!(late.unwrap_err().code, ResponseCode::ILLEGAL_OPERATION);
    assert_eq!(world.end_of("T", 2), 0);
}

#[test]
fn an_immune_one_is_put_back_uncounted_until_its_time_is_over() {
    let mut world = World::new();
    let producer = world.producer("g");
    world.half("a", "CHECK_IMMUNITY_TIME_IN_SECONDS^70~");
    world.half("b", "");
    world.round();
    assert_eq!((producer.asked(), world.times(2)), (1, None));
    world.round();
    assert_eq!((producer.asked(), world.times(4)), (1, None));
    world.round();
    assert_eq!((producer.asked(), world.times(6)), (2, Some("1".to_owned())));
    let first = property::TRANSACTION_PREPARED_QUEUE_OFFSET;
    assert_eq!(world.property(names::TRANS_HALF_TOPIC, 6, first).0.as_deref(), Some("0"));
}

#[test]
fn a_broken_one_holds_up_nobody() {
    let mut world = World::new();
    let producer = world.producer("g");
    let host = world.broker().identity.store_host;
    world.append(Draft {
        queue_id: QUEUE,
        body: Bytes::from_static(b"nothing is known about it"),
        properties: Bytes::from_static(b"TRANSACTION_CHECK_TIMES\x01many\x02"),
        ..Draft::plain(names::TRANS_HALF_TOPIC, world.now_ms, host)
    });
    // Larger than what can be put back with one more property.
    world.half("big", &format!("A^{}~", "x".repeat(properties::MAX_ENCODED_LEN - 90)));
    world.half("a", "");
    world.round();
    assert_eq!(producer.asked(), 1);
    assert_eq!(world.end_of(names::TRANS_CHECK_MAX_TIME_TOPIC, 0), 2);
}

#[test]
fn an_op_message_that_a_crash_took_is_not_missed() {
    let mut world = World::new();
    let half = world.half("a", "");
    let unfinished = world.half("b", "");
    // What a stock broker leaves that is killed within three seconds of a commit.
    let stored = world.broker().store.message_at(half.1).unwrap();
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { panic!() };
    let all = Properties::parse(record.properties);
    world.append(committed(&record, &stored, &all).unwrap());
    world.restart();
    let producer = world.producer("g");
    world.round();
    assert_eq!(producer.asked(), 1);
    let unique = world.property(names::TRANS_HALF_TOPIC, 2, property::UNIQ_KEY).0;
    assert_eq!(unique.as_deref(), Some("b"));
    world.commit(unfinished);
    world.round();
    assert_eq!(producer.asked(), 0);
}

#[test]
fn one_whose_end_fails_is_checked_though_the_check_came_by_meanwhile() {
    let mut world = World::new();
    let (first, last) = (world.half("a", ""), world.half("b", ""));
    let producer = world.producer("g");
    world.round();
    world.round();
    assert_eq!(producer.asked(), 4);
    // One by a place from before the checks, one by where it stands.
    let (old, new) = (Places { own: first.0, first: first.0 }, Places { own: 5, first: last.0 });
    let transactions = &world.broker().transactions;
    let endings = (transactions.begin_end(old).unwrap(), transactions.begin_end(new).unwrap());
    assert_eq!(transactions.begin_end(new).map(drop), Err(End::Near));
    world.end(last, sys_flag::TRANSACTION_COMMIT, "g").unwrap_err();
    for step in 1..=10 {
        check::step(world.broker(), world.now_ms + INTERVAL_MS + step);
    }
    assert_eq!((producer.asked(), world.end_of(names::TRANS_HALF_TOPIC, 0)), (0, 6));
    drop(endings);
    world.round();
    assert_eq!(producer.asked(), 2);
    assert_eq!((world.times(6).as_deref(), world.times(7).as_deref()), (Some("3"), Some("3")));
    world.commit(last);
    world.commit(last);
    assert_eq!(world.end_of("T", 2), 1);
}

#[test]
fn a_step_has_a_bound_and_a_restart_goes_on_where_it_was() {
    let mut world = World::new();
    for number in 0..20 {
        world.half(&format!("n{number}"), "");
    }
    let producer = world.producer("g");
    world.now_ms += INTERVAL_MS + 1;
    check::step(world.broker(), world.now_ms);
    assert_eq!(producer.asked(), 8);
    assert!(!producer.peer.is_closing());
    world.restart();
    let producer = world.producer("g");
    world.round();
    // What was put back before is old by now.
    assert_eq!(producer.asked(), 20);
}

#[test]
fn what_cannot_be_read_now_is_asked_for_later() {
    let mut world = World::new();
    let (first, _) = (world.half("a", ""), world.half("b", ""));
    let producer = world.producer("g");
    world.commit(first);
    world.disk.fails.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        world.now_ms += INTERVAL_MS + 1;
        assert!(check::step(world.broker(), world.now_ms) > world.now_ms);
    }
    world.disk.fails.store(false, Ordering::Relaxed);
    world.round();
    world.round();
    // Nothing was passed over: neither what is finished, nor what is not.
    assert_eq!(producer.asked(), 2);
    assert_eq!(world.times(3).as_deref(), Some("2"));
}

#[test]
fn a_damaged_unit_hides_no_half_message_and_an_empty_place_is_none() {
    let mut world = World::new();
    for id in ["a", "b", "c", "d"] {
        world.half(id, "");
    }
    world.broker().store.flush(world.now_ms + 60_000).unwrap();
    let queue = world.dir.join("consumequeue").join(names::TRANS_HALF_TOPIC).join("0");
    cold::change_unit(&queue, 1, |unit| unit.fill(0));
    cold::change_unit(&queue, 2, |unit| unit[2] ^= 0x40);
    cold::change_unit(&queue, 3, cold::blank);
    let producer = world.producer("g");
    world.round();
    assert_eq!(producer.asked(), 3);
    assert_eq!(world.end_of(names::TRANS_HALF_TOPIC, 0), 7);
    assert_eq!(world.end_of(names::TRANS_CHECK_MAX_TIME_TOPIC, 0), 0);
}

#[test]
fn who_finishes_one_does_not_wait_for_what_the_check_reads() {
    let mut world = World::new();
    let (first, _) = (world.half("a", ""), world.half("b", ""));
    let producer = world.producer("g");
    world.commit(first);
    world.now_ms += INTERVAL_MS + 1;
    let (transactions, now_ms) = (&world.broker().transactions, world.now_ms);
    let other = Places { own: 7, first: 7 };
    let mut ends = Vec::new();
    std::thread::scope(|scope| {
        let mut held = Some(world.disk.hold_next());
        scope.spawn(|| check::step(world.broker(), now_ms));
        // The op message, then the half message that nobody decided about.
        while let Some((reads, goes_on)) = held.take() {
            reads.recv().unwrap();
            let is_free = transactions.known.try_lock().is_some();
            ends.push(is_free && transactions.begin_end(other).is_ok());
            held = (ends.len() < 2).then(|| world.disk.hold_next());
            goes_on.send(()).unwrap();
        }
    });
    assert_eq!(ends, [true, true]);
    assert_eq!(producer.asked(), 1);
}

#[test]
fn one_that_is_about_to_end_is_not_passed_at_the_place_that_is_named() {
    let mut world = World::new();
    let (own, _) = world.half("a", "");
    let producer = world.producer("g");
    let transactions = &world.broker().transactions;
    let ending = transactions.begin_end(Places { own, first: own }).unwrap();
    for step in 1..=3 {
        check::step(world.broker(), world.now_ms + INTERVAL_MS + step);
    }
    // It was not stored: somebody has to be asked again.
    drop(ending);
    world.round();
    assert_eq!((producer.asked(), world.end_of(names::TRANS_HALF_TOPIC, 0)), (1, 2));
}

#[test]
fn a_half_message_that_cannot_be_read_now_is_not_passed() {
    let mut world = World::new();
    world.half("a", "");
    let producer = world.producer("g");
    world.disk.fails.store(true, Ordering::Relaxed);
    world.now_ms += INTERVAL_MS + 1;
    check::step(world.broker(), world.now_ms);
    world.disk.fails.store(false, Ordering::Relaxed);
    world.round();
    assert_eq!(producer.asked(), 1);
}

#[test]
fn what_the_store_does_not_take_now_stays_where_it_is() {
    let mut world = World::new();
    let (first, second) = (world.half("a", ""), world.half("b", ""));
    let producer = world.producer("g");
    // Reading goes on, and whatever is appended is refused for now.
    world.broker().store.close().unwrap();
    world.round();
    assert_eq!((producer.asked(), world.end_of(names::TRANS_HALF_TOPIC, 0)), (0, 2));
    let offset = world.broker().offsets.query(GROUP, names::TRANS_HALF_TOPIC, QUEUE);
    assert_eq!(offset.unwrap_or(first.0), first.0, "the check goes on at the first of them");
    // The same for the note that one is finished.
    let places = Places { own: second.0, first: second.0 };
    note_end(world.broker(), places, world.now_ms);
    write_owed(world.broker(), world.now_ms);
    assert_eq!(world.broker().transactions.known.lock().owed, [places]);
}
