//! When a replier is told, in a broker without a shell that flushes before it answers.

use super::*;
use crate::clients::Client;
use crate::cold;
use crate::flush::Durable;
use crate::put::Effect;
use remoting::codes::LanguageCode;
use remoting::peer::Peer;
use remoting::room::Room;
use remoting::router::Lane;
use settings::FlushDiskType;
use simulator::SimDisk;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

const NOW: i64 = 1_700_000_000_000;

fn broker(flush_disk_type: FlushDiskType) -> (Broker, UnboundedReceiver<Outside>) {
    cold::open_with(SimDisk::new(7), Path::new("/store"), NOW, |settings| {
        settings.store.flush_disk_type = flush_disk_type;
    })
}

fn peer() -> Arc<Peer> {
    let address = "127.0.0.1:7".parse().unwrap();
    Arc::new(Peer::new(address, address))
}

/// Registers who asked.
fn asks(broker: &Broker) {
    let (peer, language) = (peer(), LanguageCode::JAVA);
    let (peer_id, address) = (peer.id, peer.remote);
    let client = Client { id: "asks".into(), peer_id, peer, address, language, version: 0 };
    broker.clients.register_producer(&"p".into(), &client, NOW);
}

/// The reply to it is carried there.
fn carry(broker: &Broker, asked: &mut UnboundedReceiver<Outside>) {
    let Ok(Outside::Ask { asker, then, .. }) = asked.try_recv() else { panic!("carried") };
    then(broker, asker, vec![Ok(Command::request(RequestCode::SEND_REPLY_MESSAGE))]);
}

fn replied(broker: &Broker, replier: &Arc<Peer>, properties: &'static str) -> Reply<Effect> {
    replied_to("DefaultCluster_REPLY_TOPIC", broker, replier, properties)
}

fn replied_to(
    topic: &'static str,
    broker: &Broker,
    replier: &Arc<Peer>,
    properties: &'static str,
) -> Reply<Effect> {
    let (command, room) = (Command::request(RequestCode::SEND_REPLY_MESSAGE), Room::default());
    let header = SendMessageRequestHeader {
        producer_group: "replies",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 1,
        properties: Some(properties),
        ..SendMessageRequestHeader::default()
    };
    let lane = Lane::Inline;
    let call = Call { peer: replier, command: &command, now_ms: NOW, lane, room: &room };
    reply(broker, &call, header).unwrap()
}

/// Syncs the log and answers what waited for that, as the flusher does.
fn flush(broker: &Broker) {
    broker.store.sync().unwrap();
    broker.flushed(broker.store.flushed_to(), &mut Durable::default(), NOW);
}

#[test]
fn a_replier_is_told_when_the_stored_reply_is_durable() {
    let (broker, mut asked) = broker(FlushDiskType::SyncFlush);
    let replier = peer();
    asks(&broker);
    let told = || !replier.take_unwritten().is_empty();
    let mut carried = |properties| {
        assert!(matches!(replied(&broker, &replier, properties), Reply::Later));
        carry(&broker, &mut asked);
    };
    carried("REPLY_TO_CLIENT\u{1}asks\u{2}");
    assert!(!told(), "the reply could be lost");
    flush(&broker);
    assert!(told());
    carried("REPLY_TO_CLIENT\u{1}asks\u{2}WAIT\u{1}false\u{2}");
    assert!(told(), "it does not want to wait");
    flush(&broker);

    let gone = replied(&broker, &replier, "REPLY_TO_CLIENT\u{1}gone\u{2}");
    assert!(matches!(gone, Reply::Later) && !told(), "it is stored as well");
    flush(&broker);
    assert!(told());
}

#[test]
fn a_replier_whose_topic_is_new_is_told_when_the_name_servers_know_it() {
    let (broker, mut asked) = broker(FlushDiskType::AsyncFlush);
    let replier = peer();
    asks(&broker);
    let told = || !replier.take_unwritten().is_empty();
    let reply = replied_to("new", &broker, &replier, "REPLY_TO_CLIENT\u{1}asks\u{2}");
    assert!(matches!(reply, Reply::Later));
    carry(&broker, &mut asked);
    assert!(!told(), "its topic could be lost");
    let change = cold::save(&broker, NOW);
    broker.saving.told(change);
    assert!(told());
}
