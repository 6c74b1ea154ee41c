//! Traces of a broker without a shell: time passes as the tests say.

use super::records::{Kind, Parcel, ROOM, parcels};
use super::*;
use crate::handlers::{pull, send};
use crate::put::{Effect, Pending};
use crate::{cold, topics};
use message::Properties;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::pull::PullMessageRequestHeader;
use remoting::reply::Reply;
use remoting::room::Room;
use remoting::router::Lane;
use simulator::SimDisk;
use std::path::Path;
use std::sync::Arc;
use store::Position;

const NOW: i64 = 1_700_000_000_000;
const CLIENT: &str = "10.0.0.7:7";
const PLACE: &str = "0A0000010000000A0000000000000063";

fn named<'a>(id: Option<&'a str>, keys: Option<&'a str>) -> Named<'a> {
    Named { id, keys, ..Named::default() }
}

fn sent(named: Named<'_>) -> Sent<'_> {
    Sent {
        stored_ms: NOW,
        born_ms: NOW - 12,
        region: "R",
        group: "p",
        topic: "T",
        named,
        broker: "10.0.0.1:10",
        body_bytes: 5,
        kind: Kind::Delayed,
        place: MessageId { store_host: "10.0.0.1:10".parse().unwrap(), log_offset: 99 },
        client: CLIENT.parse().unwrap(),
    }
}

/// A note about a message, from a host.
fn note(host: &str, found_by: &str, text: &str) -> Note {
    let client = format!("{host}:1").parse().unwrap();
    Note { client, found_by: found_by.to_owned(), text: text.to_owned() }
}

/// With the separators that one can see.
fn shown(text: &str) -> String {
    text.replace('\u{1}', "|").replace('\u{2}', "\n")
}

#[test]
fn a_stored_message_is_a_pub_as_java_writes_it() {
    let all = Named { tags: Some("A"), ..named(Some("ID"), Some("k1 k2")) };
    let of = |sent: Sent<'_>| shown(&sent.note().text);
    let common = format!("10.0.0.1:10|5|12|3|{PLACE}|true\n");
    assert_eq!(of(sent(all)), format!("Pub|{NOW}|R|p|T|ID|A|k1 k2|{common}"));
    assert_eq!(sent(all).note().found_by, "ID k1 k2");
    let bare = named(None, None);
    assert_eq!(of(sent(bare)), format!("Pub|{NOW}|R|p|T|{PLACE}|null|null|{common}"));
    assert_eq!(sent(bare).note().found_by.trim(), PLACE);
    // Clocks that do not agree, and a producer that has none.
    for born_ms in [NOW + 5, 0, i64::MIN] {
        let text = of(Sent { born_ms, kind: Kind::Half, ..sent(all) });
        assert!(text.contains("|10.0.0.1:10|5|0|1|"), "{text}");
    }
    let text = of(Sent { born_ms: 1, ..sent(all) });
    assert!(
        text.contains(&format!("|5|{}|3|", i32::MAX)),
        "Java reads a number of 32 bits: {text}"
    );
}

#[test]
fn what_a_client_says_ends_no_field() {
    let forged = "p\u{2}Pub\u{1}1";
    let text = Sent { group: forged, ..sent(named(Some("I\u{1}D"), None)) }.note().text;
    assert_eq!((text.matches('\u{1}').count(), text.matches('\u{2}').count()), (13, 1), "{text:?}");
    assert!(shown(&text).contains("|R|p Pub 1|T|I D|"), "{text:?}");
}

#[test]
fn a_given_message_is_a_pair_as_java_writes_it() {
    let Sent { place, client, .. } = sent(named(None, None));
    let given = Given {
        now_ms: NOW,
        region: "R",
        group: "g",
        request_id: "Q",
        named: named(Some("ID"), Some("k1")),
        retries: 2,
        place,
        client,
    };
    let expected = format!("SubBefore|{NOW}|R|g|Q|ID|2|k1\nSubAfter|Q|ID|0|true|k1|0|{NOW}|g\n");
    assert_eq!(shown(&given.note().text), expected);
    let bare = Given { named: named(None, None), ..given };
    assert!(shown(&bare.note().text).contains(&format!("|{PLACE}|2|null\n")));
}

#[test]
fn a_message_of_traces_is_of_one_host_and_names_each_key_once() {
    let notes =
        [note("10.0.0.1", "A k", "a"), note("10.0.0.2", "B", "b"), note("10.0.0.1", "A k l", "c")];
    let text = |parcel: &Parcel| (parcel.body.clone(), parcel.keys.clone(), parcel.notes);
    let all: Vec<_> = parcels(&notes, 9).iter().map(text).collect();
    assert_eq!(all, [("ac".into(), "A k l".into(), 2), ("b".into(), "B".into(), 1)]);
    let small: Vec<_> = parcels(&notes, 1).iter().map(text).collect();
    assert_eq!(small.len(), 3, "{small:?}");
    let many: String = (0..4_000).map(|number| format!("k{number:05} ")).collect();
    let wide = [note("10.0.0.1", &format!("A {many}"), "a"), note("10.0.0.1", "B", "b")];
    let [first, second] = &parcels(&wide, 9)[..] else { panic!("the keys of both are too many") };
    assert!(first.keys.starts_with("A k00000 ") && first.keys.len() <= 20_000);
    assert_eq!(text(second), ("b".into(), "B".into(), 1));
}

#[test]
fn what_has_no_room_is_left_out_and_told_once_a_minute() {
    let mut buffer = Buffer::default();
    let large = note("10.0.0.1", "first", &"x".repeat(ROOM / 2));
    buffer.push(large.clone());
    assert_eq!(buffer.tell(NOW), None, "there is nothing to tell");
    (0..3).for_each(|_| buffer.push(large.clone()));
    buffer.push(note("10.0.0.1", "last", "x"));
    assert_eq!((buffer.lost(), buffer.tell(NOW)), (3, Some(3)));
    buffer.push(large.clone());
    assert_eq!((buffer.tell(NOW + 59_999), buffer.tell(NOW + 60_000)), (None, Some(1)));
    let kept: Vec<String> = buffer.take().into_iter().map(|note| note.found_by).collect();
    assert_eq!((kept, buffer.lost()), (vec!["first".to_owned(), "last".to_owned()], 4));
    buffer.push(large);
    assert_eq!((buffer.take().len(), buffer.lost()), (1, 4), "what is written makes room");
}

/// A broker with the topic `T`.
fn broker(is_on: bool) -> Broker {
    broker_with(|settings| settings.broker.broker_trace_enable = is_on)
}

fn broker_with(change: impl FnOnce(&mut BrokerSettings)) -> Broker {
    let (broker, _) = cold::open_with(SimDisk::new(3), Path::new("/store"), NOW, change);
    broker.topics.update(topics::simple("T", 1), NOW).unwrap();
    broker
}

fn peer() -> Arc<Peer> {
    let address = CLIENT.parse().unwrap();
    Arc::new(Peer::new(address, address))
}

/// Sends a message of the group `p` as a client does.
fn send(broker: &Broker, topic: &str, properties: &str) {
    let (peer, room) = (peer(), Room::default());
    let command = Command::request(RequestCode::SEND_MESSAGE).with_body("hello");
    let (command, lane) = (&command, Lane::Inline);
    let call = Call { peer: &peer, command, now_ms: NOW, lane, room: &room };
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic,
        default_topic: "TBW102",
        born_timestamp: NOW - 3,
        properties: Some(properties),
        ..SendMessageRequestHeader::default()
    };
    let reply = send::send(broker, &call, header).unwrap();
    let Reply::Effect(Effect::Append(Pending { append, sender })) = reply else {
        panic!("{reply:?}")
    };
    let mut appends = [append];
    broker.append(&mut appends, NOW);
    let (drafts, stored) = (appends[0].drafts.as_slice(), appends[0].outcome.unwrap());
    (sender.then)(broker, &broker.settings(), &sender, drafts, &stored);
}

/// Pulls all of a topic's first queue for a group.
fn pull(broker: &Broker, group: &'static str, topic: &'static str) -> usize {
    let (peer, room) = (peer(), Room::default());
    let command = Command::request(RequestCode::PULL_MESSAGE);
    let (command, lane) = (&command, Lane::Blocking);
    let call = Call { peer: &peer, command, now_ms: NOW, lane, room: &room };
    let header = PullMessageRequestHeader {
        consumer_group: group.into(),
        topic: topic.into(),
        max_msg_nums: 32,
        // The subscription comes with the pull.
        sys_flag: 4,
        subscription: Some("*".into()),
        ..PullMessageRequestHeader::default()
    };
    let Reply::Answer(answer) = pull::pull(broker, &call, header).unwrap() else { panic!() };
    assert_eq!(answer.code, ResponseCode::SUCCESS);
    answer.body.len()
}

fn noted(broker: &Broker) -> Vec<String> {
    broker.trace.buffer.lock().take().iter().map(|note| shown(&note.text)).collect()
}

fn store(broker: &Broker, topic: &str, all: &Properties) {
    let host = broker.identity.store_host;
    let draft = Draft { properties: all.encode(), ..Draft::plain(topic, NOW, host) };
    let mut appends = [Append::one(draft)];
    broker.append(&mut appends, NOW);
    assert!(appends[0].outcome.is_ok());
}

#[test]
fn a_message_is_found_in_the_trace_topic_by_its_id_and_by_its_keys() {
    let broker = broker(true);
    send(&broker, "T", "UNIQ_KEY\u{1}ID\u{2}KEYS\u{1}k1 k2\u{2}TAGS\u{1}A\u{2}");
    assert_eq!(pull(&broker, "g", "T"), 1);
    assert_eq!(broker.store.max_offset(names::TRACE_TOPIC, 0), 0, "it is not time yet");
    step(&broker, NOW + 100);
    for key in ["ID", "k1", "k2"] {
        let found = broker.store.query(names::TRACE_TOPIC, key, 9, (0, i64::MAX)).records;
        assert_eq!(found.len(), 1, "{key}");
    }
    let at = Position { topic: names::TRACE_TOPIC, queue_id: 0, offset: 0 };
    let (stored, _) = broker.store.message_in(at).unwrap().unwrap();
    let Ok(Entry::Message(trace)) = record::decode(&stored, true) else { panic!() };
    assert_eq!(trace.born_host, CLIENT.parse().unwrap(), "tools show the client's host");
    let body = shown(std::str::from_utf8(trace.body).unwrap());
    let lines: Vec<&str> = body.lines().collect();
    let place = MessageId { store_host: broker.identity.store_host, log_offset: 0 }.encode();
    let address = &broker.identity.address;
    let expected = format!("Pub|{NOW}|DefaultRegion|p|T|ID|A|k1 k2|{address}|5|3|0|{place}|true");
    assert_eq!((lines.len(), lines[0]), (3, &*expected));
    assert!(lines[1].starts_with(&format!("SubBefore|{NOW}|DefaultRegion|g|")), "{body}");
    assert!(lines[2].ends_with(&format!("|ID|0|true|k1 k2|0|{NOW}|g")), "{body}");
    assert!(broker.topics.contains(names::TRACE_TOPIC), "tools ask for its route");
}

#[test]
fn what_waits_is_traced_under_its_own_topic() {
    let broker = broker(true);
    send(&broker, "T", "UNIQ_KEY\u{1}D\u{2}DELAY\u{1}3\u{2}");
    send(&broker, "T", "UNIQ_KEY\u{1}H\u{2}TRAN_MSG\u{1}true\u{2}PGROUP\u{1}p\u{2}");
    let noted = noted(&broker);
    assert!(noted[0].contains("|p|T|D|") && noted[0].contains("|5|3|3|"), "{noted:?}");
    assert!(noted[1].contains("|p|T|H|") && noted[1].contains("|5|3|1|"), "{noted:?}");
}

#[test]
fn nothing_is_traced_that_is_off_or_the_systems() {
    let off = broker(false);
    send(&off, "T", "UNIQ_KEY\u{1}ID\u{2}");
    pull(&off, "g", "T");
    assert_eq!((noted(&off), step(&off, NOW)), (Vec::new(), NOW + IDLE_MS));
    assert!(!off.topics.contains(names::TRACE_TOPIC));

    let on = broker(true);
    send(&on, "T", "UNIQ_KEY\u{1}ID\u{2}");
    step(&on, NOW);
    on.topics.update(topics::simple("%RETRY%g", 1), NOW).unwrap();
    send(&on, "%RETRY%g", "UNIQ_KEY\u{1}ID\u{2}");
    send(&on, names::TRACE_TOPIC, "UNIQ_KEY\u{1}C\u{2}");
    send(&on, names::BENCHMARK_TOPIC, "UNIQ_KEY\u{1}B\u{2}");
    send(&on, "T", &format!("UNIQ_KEY\u{1}F\u{2}PGROUP\u{1}{}\u{2}", records::GROUP));
    assert_eq!(pull(&on, "g", names::TRACE_TOPIC), 2);
    assert_eq!(pull(&on, "TOOLS_CONSUMER", "T"), 2);
    assert_eq!(noted(&on), [""; 0]);
}

#[test]
fn a_trace_topic_of_an_operators_choice_is_not_traced() {
    let broker = broker_with(|settings| {
        settings.broker.broker_trace_enable = true;
        settings.broker.msg_trace_topic_name = "OURS".to_owned();
    });
    send(&broker, "T", "UNIQ_KEY\u{1}ID\u{2}");
    step(&broker, NOW);
    send(&broker, "OURS", "UNIQ_KEY\u{1}C\u{2}");
    assert_eq!((pull(&broker, "g", "OURS"), noted(&broker)), (2, Vec::new()));
}

#[test]
fn messages_of_a_batch_have_places_of_their_own() {
    let broker = broker(true);
    let draft = Draft { body: "x".into(), ..Draft::plain("T", NOW, CLIENT.parse().unwrap()) };
    let mut appends = [Append::batch(vec![draft.clone(), draft])];
    broker.append(&mut appends, NOW);
    let (drafts, stored) = (appends[0].drafts.as_slice(), appends[0].outcome.unwrap());
    let producer = Producer { group: "p".into(), topic: "T".into() };
    super::sent(&broker, &broker.settings(), &producer, drafts, &stored);
    for (line, log_offset) in noted(&broker).iter().zip([0, stored.size / 2]) {
        let place = MessageId { store_host: broker.identity.store_host, log_offset }.encode();
        assert!(line.ends_with(&format!("|{place}|true\n")), "{line}");
    }
}

#[test]
fn traces_that_a_group_reads_and_sends_back_are_not_traced() {
    let broker = broker(true);
    send(&broker, "T", "UNIQ_KEY\u{1}ID\u{2}");
    step(&broker, NOW);
    let at = Position { topic: names::TRACE_TOPIC, queue_id: 0, offset: 0 };
    let (stored, _) = broker.store.message_in(at).unwrap().unwrap();
    let Ok(Entry::Message(ours)) = record::decode(&stored, true) else { panic!() };
    let retry = names::retry_topic("g");
    broker.topics.update(topics::simple(&retry, 1), NOW).unwrap();
    store(&broker, &retry, &Properties::parse(ours.properties));
    let of =
        |topic: &'static str| Properties::from_iter([("UNIQ_KEY", "C"), ("RETRY_TOPIC", topic)]);
    store(&broker, &retry, &of(names::TRACE_TOPIC));
    store(&broker, &retry, &of("T"));
    assert_eq!(pull(&broker, "g", "%RETRY%g"), 3);
    let noted = noted(&broker);
    assert!(noted.len() == 1 && noted[0].contains("|C|0|null"), "{noted:?}");
}

#[test]
fn what_cannot_be_written_is_counted() {
    let broker = broker(true);
    send(&broker, "T", "UNIQ_KEY\u{1}ID\u{2}");
    broker.store.close().unwrap();
    step(&broker, NOW);
    assert_eq!(broker.trace.lost(), 1);
}
