//! Messages that are looked for and are not in memory, in a broker without a shell.

use super::*;
use crate::cold::{self, Cold};
use crate::handlers::{offset, send_back, transaction};
use crate::transactions;
use message::{Draft, names, sys_flag};
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::headers::message::ConsumerSendMsgBackRequestHeader;
use remoting::headers::offset::SearchOffsetRequestHeader;
use remoting::headers::transaction::EndTransactionRequestHeader;
use remoting::peer::Peer;
use remoting::room::Room;
use remoting::router::Lane;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{Append, Appended};

const NOW: i64 = 1_700_000_000_000;
const TOPIC: &str = names::SELF_TEST_TOPIC;

/// Runs one on a lane.
fn on(lane: Lane, run: impl FnOnce(&Call<'_>) -> Result<Reply<Effect>, Refusal>) -> Reply<Effect> {
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let peer = Arc::new(Peer::new(address, address));
    let (command, room) = (Command::request(RequestCode::VIEW_MESSAGE_BY_ID), Room::default());
    run(&Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room }).unwrap()
}

fn view(broker: &Broker, lane: Lane) -> Reply<Effect> {
    on(lane, |call| by_offset(broker, call, ViewMessageRequestHeader::default()))
}

fn search(broker: &Broker, lane: Lane) -> Reply<Effect> {
    let (topic, timestamp) = (TOPIC.into(), NOW);
    let header = SearchOffsetRequestHeader { topic, timestamp, ..Default::default() };
    on(lane, |call| offset::by_time(broker, call, header))
}

fn give_back(broker: &Broker, lane: Lane) -> Reply<Effect> {
    let header = ConsumerSendMsgBackRequestHeader { group: "g".into(), ..Default::default() };
    on(lane, |call| send_back::send_back(broker, call, header))
}

fn commit(broker: &Broker, half: Appended, lane: Lane) -> Reply<Effect> {
    let header = EndTransactionRequestHeader {
        producer_group: "p".into(),
        tran_state_table_offset: half.queue_offset,
        commit_log_offset: half.log_offset,
        commit_or_rollback: sys_flag::TRANSACTION_COMMIT,
        ..Default::default()
    };
    on(lane, |call| transaction::end(broker, call, header))
}

#[test]
fn what_is_not_in_memory_is_looked_for_beside_the_connection() {
    let name = format!("rockhopper-cold-lookups-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let open = || cold::open(Cold::default(), &root, NOW).0;
    let broker = open();
    let plain = || Draft::plain(TOPIC, NOW, broker.identity.store_host);
    let mut half = Draft { properties: "PGROUP\u{1}p\u{2}".into(), ..plain() };
    transactions::half(&mut half);
    let mut appends = [Append::one(plain()), Append::one(half)];
    broker.append(&mut appends, NOW);
    let half = appends[1].outcome.unwrap();
    let looks: [fn(&Broker, Lane) -> Reply<Effect>; 3] = [view, search, give_back];
    for (at, look) in looks.iter().enumerate() {
        let reply = look(&broker, Lane::Inline);
        assert!(!matches!(reply, Reply::Effect(Effect::Block)), "{at}: just written: {reply:?}");
    }
    broker.close(NOW).unwrap();
    drop(broker);

    let broker = open();
    for (at, look) in looks.iter().enumerate() {
        let reply = look(&broker, Lane::Inline);
        assert!(matches!(reply, Reply::Effect(Effect::Block)), "{at}: {reply:?}");
        let reply = look(&broker, Lane::Blocking);
        assert!(!matches!(reply, Reply::Effect(Effect::Block)), "{at}: {reply:?}");
    }
    let reply = commit(&broker, half, Lane::Inline);
    assert!(matches!(reply, Reply::Effect(Effect::Block)), "{reply:?}");
    assert_eq!(broker.store.max_offset(TOPIC, 0), 1, "nothing is done before it is read");
    let reply = commit(&broker, half, Lane::Blocking);
    let Reply::Answer(answer) = reply else { panic!("{reply:?}") };
    assert_eq!(answer.code, ResponseCode::SUCCESS);
    assert_eq!(broker.store.max_offset(TOPIC, 0), 2, "it is committed once");
    std::fs::remove_dir_all(root).unwrap();
}
