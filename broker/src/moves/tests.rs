//! Power loss right after offsets were saved: a broker without a shell, over a disk in memory that
//! loses whatever was not synced.

use crate::broker::Broker;
use crate::clients::Client;
use crate::cold;
use crate::delay;
use crate::handlers::{pop, send_back};
use crate::pop::records;
use crate::pop::revive;
use crate::put::{self, Effect};
use crate::transactions::{self, GROUP, check};
use bytes::Bytes;
use message::{Draft, Entry, names, property, record, sys_flag};
use remoting::codes::{LanguageCode, RequestCode};
use remoting::command::Command;
use remoting::flat::OwnedHeader;
use remoting::headers::message::ConsumerSendMsgBackRequestHeader;
use remoting::headers::pop::PopMessageRequestHeader;
use remoting::peer::Peer;
use remoting::reply::{Refusal, Reply};
use remoting::room::Room;
use remoting::router::{Call, Lane};
use simulator::{Loss, Op, SimDisk};
use std::path::Path;
use std::sync::Arc;
use store::Append;
use store::Disk as _;

const BOOT_MS: i64 = 1_700_000_000_000;
/// More than any of them waits.
const LONG_MS: i64 = 3_600_000;

struct World {
    broker: Broker,
    disk: SimDisk,
    now_ms: i64,
}

type Handler<H> = fn(&Broker, &Call<'_>, H) -> Result<Reply<Effect>, Refusal>;

impl World {
    /// A broker with a message in T that is durable, and was delayed if so wanted.
    fn new(delay_level: i32, change: impl FnOnce(&mut Draft)) -> Self {
        let disk = SimDisk::new(7);
        let broker = open(&disk, BOOT_MS);
        let world = Self { broker, disk, now_ms: BOOT_MS };
        world.broker.topic_for_retry("T", 1, 0, BOOT_MS).unwrap();
        world.broker.group("g", BOOT_MS).unwrap();
        world.broker.save_tables(BOOT_MS);
        let host = world.broker.identity.store_host;
        let mut draft = Draft {
            body: Bytes::from_static(b"x"),
            properties: format!(
                "UNIQ_KEY\u{1}a\u{2}DELAY\u{1}{delay_level}\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}g"
            )
            .into(),
            ..Draft::plain("T", BOOT_MS, host)
        };
        put::park(&mut draft, delay_level, false, &world.broker.settings(), BOOT_MS).unwrap();
        change(&mut draft);
        let mut appends = [Append::one(draft)];
        world.broker.append(&mut appends, BOOT_MS);
        appends[0].outcome.unwrap();
        world.broker.store.sync().unwrap();
        world
    }

    /// Whether the log has something that power loss would take.
    fn lacks_sync(&self) -> bool {
        self.broker.store.flushed_to() < self.broker.store.max_log_offset()
    }

    /// Saves offsets as the broker does four times a second, and loses the power.
    fn lose(self) -> Self {
        let Self { broker, disk, now_ms } = self;
        broker.save_changed(now_ms);
        disk.lose(Loss::All);
        drop(broker);
        Self { broker: open(&disk, now_ms), disk, now_ms }
    }

    /// The process dies before offsets are saved.
    fn kill(self) -> Self {
        let Self { broker, disk, now_ms } = self;
        disk.kill();
        drop(broker);
        Self { broker: open(&disk, now_ms), disk, now_ms }
    }

    /// The one message, by the group, for ten seconds.
    fn pop(&self) {
        let header = PopMessageRequestHeader {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: 0,
            max_msg_nums: 1,
            invisible_time: 10_000,
            ..PopMessageRequestHeader::default()
        };
        self.call(RequestCode::POP_MESSAGE, pop::pop, header);
    }

    fn call<H: OwnedHeader>(
        &self,
        code: RequestCode,
        handler: Handler<H>,
        header: H,
    ) -> Reply<Effect> {
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let (command, room) = (Command::request(code), Room::default());
        let (lane, now_ms) = (Lane::Blocking, self.now_ms);
        let call = Call { peer: &peer, command: &command, now_ms, lane, room: &room };
        handler(&self.broker, &call, header).unwrap()
    }

    /// Keeps a producer of the half messages connected.
    fn connect(&self) {
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let (language, peer_id) = (LanguageCode::JAVA, peer.id);
        let client = Client { id: "p".into(), peer_id, peer, address, language, version: 0 };
        self.broker.clients.register_producer(&"g".into(), &client, self.now_ms);
    }

    /// Where the group stands, and where the queue ends.
    fn stands(&self, group: &str, topic: &str) -> (i64, i64) {
        let at = self.broker.offsets.query(group, topic, 0).unwrap_or(0);
        (at, self.broker.store.max_offset(topic, 0))
    }
}

fn open(disk: &SimDisk, now_ms: i64) -> Broker {
    cold::open(disk.clone(), Path::new("/store"), now_ms).0
}

#[test]
fn a_delayed_message_outlives_power_loss_after_its_delivery() {
    let mut world = World::new(1, |_| {});
    world.now_ms += LONG_MS;
    delay::deliver(&world.broker, world.now_ms);
    assert_eq!(world.broker.store.max_offset("T", 0), 1);
    let world = world.lose();
    delay::deliver(&world.broker, world.now_ms);
    assert_eq!(world.broker.store.max_offset("T", 0), 1, "it is there once");
}

#[test]
fn a_delayed_message_is_delivered_once_though_its_offset_is_lost_after_a_clean_stop() {
    for with_backup in [true, false] {
        let mut world = World::new(1, |_| {});
        world.now_ms += LONG_MS;
        delay::deliver(&world.broker, world.now_ms);
        assert_eq!(world.broker.store.max_offset("T", 0), 1);
        world.broker.save_changed(world.now_ms);
        world.broker.store.close().unwrap();
        let World { broker, disk, now_ms } = world;
        drop(broker);
        let path = Path::new("/store/config").join(delay::FILE);
        let backup = path.with_file_name(format!("{}.bak", delay::FILE));
        disk.replace(&path, b"{", None).unwrap();
        if !with_backup {
            disk.remove(&backup).unwrap();
        }
        let broker = open(&disk, now_ms);
        assert!(broker.store.was_clean());
        delay::deliver(&broker, now_ms + LONG_MS);
        assert_eq!(broker.store.max_offset("T", 0), 1, "with a .bak: {with_backup}");
    }
}

#[test]
fn a_half_message_outlives_power_loss_after_it_was_put_back() {
    let mut world = World::new(0, |draft| {
        draft.sys_flag = sys_flag::TRANSACTION_PREPARED;
        transactions::half(draft);
    });
    world.connect();
    for _ in 0..5 {
        world.now_ms += LONG_MS / 60;
        check::step(&world.broker, world.now_ms);
    }
    let (at, end) = world.stands(GROUP, names::TRANS_HALF_TOPIC);
    assert!(0 < at && at < end, "{at} of {end}");
    let world = world.lose();
    let (at, end) = world.stands(GROUP, names::TRANS_HALF_TOPIC);
    assert!(at < end, "{at} of {end}: nobody asks about it any more");
}

#[test]
fn a_popped_message_outlives_power_loss() {
    let mut world = World::new(0, |_| {});
    world.pop();
    assert_eq!(world.stands("g", "T"), (1, 1), "it is popped");
    world = world.lose();
    assert_eq!(world.stands("g", "T"), (1, 1));
    let parked = world.broker.store.max_offset(names::TIMER_TOPIC, 0);
    assert_eq!(parked, 1, "its checkpoint, which brings it back");
}

#[test]
fn what_comes_back_outlives_power_loss_after_the_revive_log_went_on() {
    let mut world = World::new(0, |_| {});
    world.pop();
    world.broker.store.sync().unwrap();
    world.broker.save_changed(world.now_ms);
    let mut log = revive::Log::default();
    let retry = names::pop_retry_topic("T", "g", false);
    for _ in 0..20 {
        world.now_ms += 1_000;
        crate::timer::step(&world.broker, world.now_ms);
        revive::step(&world.broker, &mut log, world.now_ms);
    }
    world.broker.save_tables(world.now_ms);
    assert_eq!(world.broker.store.max_offset(&retry, 0), 1);
    let world = world.lose();
    let revive = records::revive_topic(&world.broker.settings().broker.broker_cluster_name);
    let done: i64 = (0..8)
        .filter_map(|id| world.broker.offsets.query(records::GROUP, &revive, id))
        .filter(|offset| *offset >= 0)
        .count() as i64;
    let came_back = world.broker.store.max_offset(&retry, 0);
    assert!(done <= came_back, "the revive log is done with {done}, {came_back} came back");
}

#[test]
fn a_message_that_was_given_back_outlives_power_loss_after_its_group_went_on() {
    let world = World::new(0, |_| {});
    let unit = world.broker.store.unit("T", 0, 0).unwrap();
    let header = ConsumerSendMsgBackRequestHeader {
        offset: unit.log_offset,
        group: "g".into(),
        delay_level: 3,
        ..ConsumerSendMsgBackRequestHeader::default()
    };
    let code = RequestCode::CONSUMER_SEND_MSG_BACK;
    let Reply::Effect(Effect::Append(pending)) = world.call(code, send_back::send_back, header)
    else {
        panic!("it is stored")
    };
    let (mut appends, sender) = ([pending.append], pending.sender);
    world.broker.append(&mut appends, world.now_ms);
    let (drafts, stored) = (appends[0].drafts.as_slice(), appends[0].outcome.unwrap());
    (sender.then)(&world.broker, &world.broker.settings(), &sender, drafts, &stored);
    world.broker.offsets.commit("g", "T", 0, 1);
    let world = world.lose();
    assert_eq!(world.stands("g", "T"), (1, 1));
    let parked = world.broker.store.unit(names::SCHEDULE_TOPIC, 2, 0);
    let parked = parked.and_then(|unit| world.broker.store.message_at(unit.log_offset)).unwrap();
    assert!(matches!(record::decode(&parked, true), Ok(Entry::Message(_))));
}

#[test]
fn offsets_that_consumers_commit_wait_for_no_sync() {
    let world = World::new(0, |_| {});
    let host = world.broker.identity.store_host;
    let stored = world.broker.store.message_at(0).unwrap();
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { panic!() };
    let draft = put::again(&record, &stored, message::Properties::new());
    world.broker.append(&mut [Append::one(Draft { store_host: host, ..draft })], world.now_ms);
    world.broker.offsets.commit("g", "T", 0, 1);
    world.broker.save_changed(world.now_ms);
    assert!(world.lacks_sync(), "the flusher has its own times");
    let world = world.lose();
    assert_eq!(world.stands("g", "T"), (1, 1));
}

/// After a failed sync nothing more becomes durable; what consumers said does.
#[test]
fn a_stop_after_a_failed_sync_saves_what_other_groups_committed() {
    let world = World::new(0, |_| {});
    world.broker.offsets.commit("other", "T", 0, 0);
    world.broker.save_changed(world.now_ms);
    world.pop();
    world.broker.offsets.commit("other", "T", 0, 1);
    world.disk.fail(Op::Sync, 0, false);
    assert!(world.broker.store.sync().is_err());
    assert!(world.broker.close(world.now_ms).is_err(), "the store failed");
    let World { broker, disk, now_ms } = world;
    disk.lose(Loss::All);
    drop(broker);
    let world = World { broker: open(&disk, now_ms), disk, now_ms };
    assert_eq!(world.stands("other", "T"), (1, 1));
    assert_eq!(world.stands("g", "T"), (0, 1), "its checkpoint is lost");
}

#[test]
fn a_delayed_message_is_delivered_once_whatever_a_kill_left_unsaved() {
    let mut world = World::new(1, |_| {});
    let stored = world.broker.store.message_at(0).unwrap();
    let Ok(Entry::Message(record)) = record::decode(&stored, false) else { panic!() };
    // The same once more, as a sender that got no answer sends it, and another one.
    let again = |id: &str| {
        let all = message::Properties::parse(record.properties);
        let mut all = all.clone();
        all.set(property::UNIQ_KEY, id.to_owned());
        [Append::one(put::again(&record, &stored, all))]
    };
    for id in ["a", "b"] {
        let mut appends = again(id);
        world.broker.append(&mut appends, world.now_ms);
        appends[0].outcome.unwrap();
    }
    world.now_ms += LONG_MS;
    delay::deliver(&world.broker, world.now_ms);
    assert_eq!(world.broker.store.max_offset("T", 0), 3);
    let mut appends = again("c");
    world.broker.append(&mut appends, world.now_ms);
    world = world.kill();
    world.now_ms += LONG_MS;
    delay::deliver(&world.broker, world.now_ms);
    assert_eq!(world.broker.store.max_offset("T", 0), 4, "each once");
}
