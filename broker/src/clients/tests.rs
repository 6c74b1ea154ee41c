//! Tests of [`Clients`]; a connection is its number here.

use super::*;

type Peers = Clients<u64>;

fn client(id: &'static str, peer_id: u64) -> Client<u64> {
    Client {
        id: Str::from_static(id),
        peer_id,
        peer: peer_id,
        address: "127.0.0.1:5".parse().unwrap(),
        language: LanguageCode::JAVA,
        version: 453,
    }
}

fn habit(model: MessageModel) -> Habit {
    Habit {
        consume_type: Some(ConsumeType::Passively),
        message_model: Some(model),
        from_where: Some(ConsumeFromWhere::LastOffset),
    }
}

fn topics(of: &[(&'static str, i64)]) -> Vec<SubscriptionData> {
    let subscription = |(topic, sub_version): &(&'static str, i64)| SubscriptionData {
        topic: Str::from_static(topic),
        sub_version: *sub_version,
        ..SubscriptionData::default()
    };
    of.iter().map(subscription).collect()
}

/// A heartbeat for group `g`; which connections must be told.
fn beat(
    clients: &Peers,
    id: &'static str,
    peer: u64,
    of: &[(&'static str, i64)],
    now: i64,
) -> Vec<u64> {
    let membership = Membership {
        group: &Str::from_static("g"),
        habit: habit(MessageModel::Clustering),
        subscriptions: Some(topics(of)),
        fingerprint: 0,
    };
    let done = clients.register_consumer(membership, &client(id, peer), true, now);
    done.changed.and_then(|changed| changed.peers).unwrap_or_default()
}

#[test]
fn members_are_told_of_who_comes_and_goes() {
    let clients = Peers::default();
    assert_eq!(beat(&clients, "a", 1, &[("t", 1)], 0), [1]);
    assert_eq!(beat(&clients, "b", 2, &[("t", 1)], 0), [1, 2]);
    assert_eq!(beat(&clients, "b", 2, &[("t", 1)], 9), [] as [u64; 0]);
    assert_eq!(clients.consumer_ids("g"), ["a", "b"]);
    let left = clients.unregister_consumer("g", 2, true).unwrap();
    assert_eq!((&*left.group, left.peers), ("g", Some(vec![1])));
    assert!(clients.unregister_consumer("g", 2, true).is_none());
    assert!(clients.unregister_consumer("g", 1, true).is_none());
    assert!(clients.consumers("g").is_none() && clients.state.read().peers.is_empty());
}

#[test]
fn nobody_is_told_where_nobody_cares() {
    let clients = Peers::default();
    let join = |model, notify, peer| {
        let membership = Membership {
            group: &Str::from_static("g"),
            habit: habit(model),
            subscriptions: Some(topics(&[("t", 1)])),
            fingerprint: 0,
        };
        clients.register_consumer(membership, &client("c", peer), notify, 0).changed.is_some()
    };
    assert!(!join(MessageModel::Clustering, false, 1));
    assert!(!join(MessageModel::Broadcasting, true, 2));
    assert!(clients.consumers("g").unwrap().is_broadcasting());
    assert!(clients.closed(1).is_empty());
    assert!(join(MessageModel::Clustering, true, 3));
    assert!(clients.unregister_consumer("g", 3, false).is_none());
}

#[test]
fn subscriptions_follow_the_newest_version() {
    let clients = Peers::default();
    beat(&clients, "a", 1, &[("t", 5), ("u", 1)], 0);
    let version = |topic| clients.consumers("g")?.subscription(topic).map(|s| s.sub_version);
    // A newer version of a known topic is no change of members or topics; an older one is stale.
    assert_eq!(beat(&clients, "a", 1, &[("t", 6), ("u", 0)], 1), [] as [u64; 0]);
    assert_eq!((version("t"), version("u")), (Some(6), Some(1)));
    assert_eq!(beat(&clients, "a", 1, &[("t", 6)], 2), [1]);
    assert_eq!(version("u"), None);
    assert_eq!(clients.groups_of("t"), BTreeSet::from(["g".to_string()]));
    assert_eq!(clients.groups_of("u"), BTreeSet::new());
}

#[test]
fn a_v2_heartbeat_asks_for_subscriptions_it_does_not_have() {
    let clients = Peers::default();
    let beat = |subscriptions: Option<&[(&'static str, i64)]>, fingerprint| {
        let membership = Membership {
            group: &Str::from_static("g"),
            habit: habit(MessageModel::Clustering),
            subscriptions: subscriptions.map(topics),
            fingerprint,
        };
        clients.register_consumer(membership, &client("a", 1), true, 0).wants_subscriptions
    };
    assert!(beat(None, 7));
    assert!(!beat(Some(&[("t", 1)]), 7));
    assert!(!beat(None, 7));
    assert!(beat(None, 8));
    assert_eq!(clients.consumers("g").unwrap().subscriptions.len(), 1);
    assert!(beat(Some(&[("t", 1)]), 0));
}

#[test]
fn a_closed_connection_leaves_all_its_groups() {
    let clients = Peers::default();
    beat(&clients, "a", 1, &[("t", 1)], 0);
    beat(&clients, "b", 2, &[("t", 1)], 0);
    clients.register_producer(&"p".into(), &client("b", 2), 0);
    let changed = clients.closed(2);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].peers, Some(vec![1]));
    assert!(!clients.has_producers("p") && clients.producer("b").is_none());
    assert!(clients.closed(2).is_empty());
}

#[test]
fn the_silent_are_taken_out_and_their_groups_told() {
    let clients = Peers::default();
    beat(&clients, "a", 1, &[("t", 1)], 0);
    beat(&clients, "b", 2, &[("t", 1)], 100);
    clients.register_producer(&"p".into(), &client("p", 3), 0);
    assert!(clients.expire(120_000, 120_000).close.is_empty());
    let expired = clients.expire(120_000, 120_001);
    assert_eq!(expired.close, [1, 3]);
    assert_eq!(expired.changed.len(), 1);
    assert_eq!(expired.changed[0].peers, Some(vec![2]));
    assert_eq!(clients.consumer_ids("g"), ["b"]);
}

#[test]
fn an_id_over_two_connections_is_one_member() {
    let clients = Peers::default();
    beat(&clients, "a", 1, &[("t", 1)], 0);
    beat(&clients, "a", 2, &[("t", 1)], 0);
    assert_eq!(clients.consumer_ids("g"), ["a"]);
    assert_eq!(clients.member("g", "a").unwrap().peer, 2);
    assert_eq!(clients.members("g").len(), 2);
    assert!(clients.member("g", "b").is_none() && clients.member("h", "a").is_none());
}

#[test]
fn a_producer_is_reached_over_its_newest_connection() {
    let clients = Peers::default();
    for (group, peer) in [("p", 2), ("q", 5), ("r", 1), ("p", 3)] {
        clients.register_producer(&group.into(), &client("b", peer), 0);
    }
    clients.register_producer(&"p".into(), &client("c", 9), 0);
    assert_eq!(clients.producer("b").unwrap().peer, 5);
}

#[test]
fn producers_take_turns_and_are_listed() {
    let clients = Peers::default();
    for peer in [1, 2] {
        clients.register_producer(&"p".into(), &client("x", peer), 3);
    }
    let turns: BTreeSet<u64> =
        (0..2).filter_map(|_| clients.any_producer("p")).map(|c| c.peer).collect();
    assert_eq!(turns, BTreeSet::from([1, 2]));
    assert!(clients.any_producer("q").is_none());
    let table = clients.producer_table();
    assert_eq!(table.data["p"].len(), 2);
    assert_eq!(&*table.data["p"][0].remote_ip, "/127.0.0.1:5");
    assert_eq!(table.data["p"][0].last_update_timestamp, 3);
    let connections = clients.producer_connection("p").unwrap().connection_set;
    assert_eq!(&*connections[0].client_addr, "127.0.0.1:5");
    clients.unregister_producer("p", 1);
    clients.unregister_producer("p", 2);
    assert!(clients.producer_connection("p").is_none());
}

#[test]
fn a_consumer_group_is_listed_with_what_it_wants() {
    let clients = Peers::default();
    beat(&clients, "a", 1, &[("t", 4)], 0);
    let connection = clients.consumer_connection("g").unwrap();
    assert_eq!(connection.message_model, Some(MessageModel::Clustering));
    assert_eq!(connection.subscription_table["t"].sub_version, 4);
    assert_eq!(&*connection.connection_set[0].client_id, "a");
    assert!(clients.consumer_connection("h").is_none());
}

#[test]
fn members_that_want_different_messages_are_found_and_so_is_their_peace() {
    let clients = Peers::default();
    let want = |id, peer, tags: &[&'static str]| {
        let subscription = SubscriptionData {
            topic: Str::from_static("t"),
            tags_set: tags.iter().map(|tag| Str::from_static(tag)).collect(),
            sub_string: Some(tags.join("||").into()),
            ..SubscriptionData::default()
        };
        let retry = SubscriptionData { topic: "%RETRY%g".into(), ..Default::default() };
        let membership = Membership {
            group: &Str::from_static("g"),
            habit: habit(MessageModel::Clustering),
            subscriptions: Some(vec![subscription, retry]),
            fingerprint: 0,
        };
        clients.register_consumer(membership, &client(id, peer), true, 0);
        clients.contradiction("g").map(|found| found.to_string())
    };
    assert_eq!(want("a", 1, &["x", "y"]), None);
    // The same in another order is no contradiction.
    assert_eq!(want("b", 2, &["y", "x"]), None);
    let told = want("b", 2, &["x"]).unwrap();
    assert!(told.contains("a wants \"x || y\" of t, b wants \"x\" of t"), "{told}");
    assert_eq!(clients.contradicting_groups(), ["g"]);
    beat(&clients, "c", 3, &[("u", 1)], 0);
    clients.closed(2);
    let told = clients.contradiction("g").unwrap().to_string();
    assert!(told.contains("c wants nothing of t"), "{told}");
    clients.unregister_consumer("g", 3, true);
    assert_eq!((clients.contradiction("g"), clients.contradicting_groups().len()), (None, 0));
}
