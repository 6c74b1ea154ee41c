//! Batches: what is told to whom, and when it is stored. Not here: the requests themselves.

use super::*;
use crate::cold;
use crate::flush::Durable;
use crate::handlers::{ack, recall, send};
use crate::timer::handle::Handle;
use crate::{table, topics};
use bytes::{Buf, Bytes};
use message::{Draft, Properties, names, property, record};
use remoting::codes::RequestCode;
use remoting::headers::message::RecallMessageRequestHeader;
use remoting::headers::pop::AckMessageRequestHeader;
use remoting::headers::send::SendMessageRequestHeader;
use simulator::SimDisk;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use store::Position;

const NOW: i64 = 1_700_000_000_000;

/// A broker that answers when messages are durable, with a message in its one topic.
fn broker() -> Broker {
    let (broker, _) = cold::open_with(SimDisk::new(7), Path::new("/store"), NOW, |settings| {
        settings.broker.recall_message_enable = true;
        settings.store.flush_disk_type = settings::FlushDiskType::SyncFlush;
    });
    broker.topics.update(topics::simple("T", 1), NOW).unwrap();
    let host = broker.identity.store_host;
    let body = Bytes::from_static(b"popped");
    broker.append(&mut [Append::one(Draft { body, ..Draft::plain("T", NOW, host) })], NOW);
    broker.store.sync().unwrap();
    broker
}

/// What is said of something that is stored, when its flush is late.
fn said_late(
    broker: &Broker,
    run: impl FnOnce(&Call<'_>) -> Result<Reply<Effect>, Refusal>,
) -> String {
    let address = "127.0.0.1:7".parse().unwrap();
    let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
    let command = Command::request(RequestCode::SEND_MESSAGE).with_body("hello");
    let call =
        Call { peer: &peer, command: &command, now_ms: NOW, lane: Lane::Inline, room: &room };
    let reply = run(&call).unwrap();
    let Reply::Effect(effect) = reply else { panic!("{reply:?}") };
    let mut batch = Batch::default();
    batch.begin(NOW);
    match effect {
        Effect::Append(pending) => batch.push(0, pending, NOW),
        Effect::Acknowledge(done, sender) => batch.acknowledge(0, (done, sender), NOW),
        Effect::Block => panic!("nothing is to be read"),
    }
    let (requests, out) = (Vec::new(), Outbox::default());
    let mut arrived = Arrived { peer: Arc::clone(&peer), requests, out };
    batch.store(broker, slice::from_mut(&mut arrived), || NOW);
    broker.expire(NOW + 4_999);
    assert_eq!((arrived.out.remaining(), peer.buffered()), (0, 0), "it waits for the flush");
    broker.expire(NOW + 5_000);
    String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned()
}

#[test]
fn a_late_flush_is_told_to_senders_and_is_nothing_to_acknowledgements_and_recalls() {
    let broker = broker();
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        ..SendMessageRequestHeader::default()
    };
    let sent = said_late(&broker, |call| send::send(&broker, call, header));
    assert!(sent.contains("\"code\":10,"), "{sent}");
    let header = AckMessageRequestHeader {
        consumer_group: "g".into(),
        topic: "T".into(),
        extra_info: format!("0 {NOW} 60000 0 0 b 0 0").into(),
        ..AckMessageRequestHeader::default()
    };
    let acked = said_late(&broker, |call| ack::ack(&broker, call, header));
    assert!(acked.contains("\"code\":0,"), "{acked}");
    let mut parked = Properties::default();
    parked.set(property::REAL_TOPIC, "T");
    parked.set(property::TIMER_OUT_MS, (NOW + 60_000).to_string());
    parked.set(property::UNIQ_KEY, "ID");
    let header = RecallMessageRequestHeader {
        topic: "T".into(),
        recall_handle: Handle::of(&parked, "b").unwrap(),
        ..RecallMessageRequestHeader::default()
    };
    let recalled = said_late(&broker, |call| recall::recall(&broker, call, header));
    assert!(recalled.contains("\"code\":0,") && recalled.contains("ID"), "{recalled}");
}

fn port(broker: &Arc<Broker>, runtime: &tokio::runtime::Runtime) -> Port {
    Port {
        broker: Arc::clone(broker),
        router: Arc::new(table::table()),
        fast: false,
        runtime: runtime.handle().clone(),
        blocking: Arc::new(Semaphore::new(1)),
        now_ms: ticking,
        idle: Mutex::default(),
    }
}

/// A clock that goes on by a millisecond with each look.
fn ticking() -> i64 {
    static LOOKS: AtomicI64 = AtomicI64::new(NOW);
    LOOKS.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn what_is_due_when_its_turn_comes_is_not_stored_before_that() {
    let broker = Arc::new(broker());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let port = port(&broker, &runtime);
    // The turn begins at `NOW`.
    let due_ms = NOW + 1;
    let wish = format!("TIMER_DELIVER_MS\x01{due_ms}\x02");
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic: "T",
        default_topic: "TBW102",
        properties: Some(&wish),
        ..SendMessageRequestHeader::default()
    };
    let send = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
    let address = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let before = broker.store.max_offset("T", 0);
    port.serve(&mut [Arrived { peer, requests: vec![send], out: Outbox::default() }]);
    broker.store.sync().unwrap();
    let at = Position { topic: "T", queue_id: 0, offset: before };
    let (stored, _) = broker.store.message_in(at).unwrap().expect("it waits for nothing");
    let stored_ms = record::store_timestamp(&stored).unwrap();
    assert!(stored_ms >= due_ms, "{} ms early", due_ms - stored_ms);
}

#[test]
fn acknowledgements_of_one_pop_that_come_together_are_one_record_and_all_are_answered() {
    let broker = Arc::new(broker());
    let host = broker.identity.store_host;
    let mut more = [(); 2].map(|()| Append::one(Draft::plain("T", NOW, host)));
    broker.append(&mut more, NOW);
    broker.store.sync().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let acks = |pop_ms| {
        [0, 1, 2].map(|offset| {
            let header = AckMessageRequestHeader {
                consumer_group: "g".into(),
                topic: "T".into(),
                extra_info: format!("0 {pop_ms} 60000 0 0 b 0 {offset}").into(),
                offset,
                ..AckMessageRequestHeader::default()
            };
            Command::request(RequestCode::ACK_MESSAGE).with_header(&header)
        })
    };
    let requests = [acks(NOW), acks(NOW - 1)].concat();
    let address = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let arrived = Arrived { peer: Arc::clone(&peer), requests, out: Outbox::default() };
    port(&broker, &runtime).serve(&mut [arrived]);
    broker.store.sync().unwrap();
    let flushed_to = broker.store.flushed_to();
    broker.flushed(flushed_to, &mut Durable::default(), NOW);
    let said = String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned();
    assert_eq!(said.matches("\"code\":0,").count(), 6, "{said}");
    assert_eq!(broker.store.max_offset(names::TIMER_TOPIC, 0), 2, "a record for each pop");
}
