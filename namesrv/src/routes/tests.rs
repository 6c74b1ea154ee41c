//! The route table without sockets: brokers come, change, fall silent and leave.

use super::*;
use remoting::body::topic::TopicConfig;

const READ_WRITE: i32 = PERM_READ | PERM_WRITE;
/// What a broker of 5.x with acting primaries sends.
const ACTING: Policy =
    Policy { delete_missing_topics: false, acting_primary: true, notify_min_id: true };

fn version(counter: i64) -> DataVersion {
    DataVersion { counter, state_version: 0, timestamp: 1 }
}

fn broker(name: &str, id: i64, topics: &[&str]) -> Registration {
    let config = |topic: &&str| {
        let topic_name = Str::from(*topic);
        (topic_name.clone(), TopicConfig { topic_name, ..TopicConfig::default() })
    };
    Registration {
        cluster: "c".into(),
        broker: name.into(),
        broker_id: id,
        address: format!("{name}-{id}:10911").into(),
        ha_address: format!("{name}-{id}:10912").into(),
        acting_primary: Some(false),
        topics: topics.iter().map(config).collect(),
        version: version(1),
        connection: 100 + id as u64,
        ..Registration::default()
    }
}

fn registered(brokers: impl IntoIterator<Item = Registration>) -> Routes {
    let mut routes = Routes::default();
    for one in brokers {
        routes.register(one, Policy::default(), 0).unwrap();
    }
    routes
}

/// `broker/id=address` of every broker in a topic's route.
fn addresses(routes: &Routes, topic: &str, policy: Policy) -> Vec<String> {
    let route = routes.route(topic, policy).unwrap_or_default();
    let brokers = route.broker_datas.iter().flat_map(|broker| {
        let addresses = broker.broker_addrs.iter();
        addresses.map(|(id, address)| format!("{}/{id}={address}", broker.broker_name))
    });
    brokers.collect()
}

fn perm(routes: &Routes, topic: &str, broker: &str) -> Option<i32> {
    Some(routes.topics.get(topic)?.get(broker)?.queue.perm)
}

fn topics(list: remoting::body::route::TopicList) -> Vec<Str> {
    list.topic_list.into_iter().collect()
}

#[test]
fn a_topic_lives_on_every_broker_that_registers_it() {
    let routes = registered([
        broker("a", 0, &["t", "u"]),
        broker("b", 0, &["t", "v"]),
        broker("b", 1, &["t", "v"]),
    ]);
    let none = Policy::default();
    assert_eq!(addresses(&routes, "t", none), ["a/0=a-0:10911", "b/0=b-0:10911", "b/1=b-1:10911"]);
    assert_eq!(addresses(&routes, "u", none), ["a/0=a-0:10911"]);
    assert_eq!(routes.route("unknown", none), None);
    let route = routes.route("t", none).unwrap();
    assert_eq!(route.queue_datas.len(), 2);
    assert_eq!(route.filter_server_table, BTreeMap::new());
    assert_eq!(route.topic_queue_mapping_by_broker, None);
    let info = routes.cluster_info();
    assert_eq!(info.broker_addr_table.len(), 2);
    assert_eq!(info.cluster_addr_table["c"].len(), 2);
    assert_eq!(routes.member_group(Some("c".into()), Some("b".into())).broker_addrs.len(), 2);
    assert_eq!(routes.member_group(None, Some("unknown".into())).broker_addrs.len(), 0);
}

#[test]
fn a_replica_is_told_its_primary_and_brings_no_topics() {
    let mut routes = registered([broker("a", 0, &["t", "u"])]);
    let answer = routes.register(broker("a", 1, &["t", "w"]), Policy::default(), 0).unwrap();
    assert_eq!(answer.primary, Some(("a-0:10911".into(), "a-0:10912".into())));
    assert_eq!(routes.route("w", Policy::default()), None);
    let again = routes.register(broker("a", 0, &["t", "u"]), Policy::default(), 0).unwrap();
    assert_eq!(again.primary, None);
}

#[test]
fn what_an_operator_changed_stays_until_the_broker_says_something_else() {
    let mut routes = registered([broker("a", 0, &["t", "u", "v"])]);
    routes.delete_topic("u", None);
    routes.wipe_write_perm("a");
    let same = broker("a", 0, &["t", "u", "v"]);
    routes.register(same.clone(), Policy::default(), 5).unwrap();
    assert_eq!(perm(&routes, "t", "a"), Some(PERM_READ), "wiped");
    assert_eq!(perm(&routes, "u", "a"), Some(READ_WRITE), "deleted, and here again");
    let mut changed = same;
    changed.version = version(2);
    routes.register(changed, Policy::default(), 5).unwrap();
    assert_eq!(perm(&routes, "t", "a"), Some(READ_WRITE));
    assert_eq!(routes.version("c", "a-0:10911"), Some(&version(2)));
    assert_eq!(routes.version("c", "elsewhere"), None);
}

/// A stock broker under load: topics `t` and `u` change, both wait for their turn, and both are
/// sent with the version after the second change.
#[test]
fn topics_that_changed_at_once_come_with_one_version() {
    let mut routes = registered([broker("a", 0, &["t", "u"])]);
    for (topic, now) in [("t", 1), ("u", 2)] {
        let mut one = broker("a", 0, &[topic]);
        one.topics.get_mut(topic).unwrap().perm = PERM_READ;
        one.version = version(3);
        routes.register(one, Policy::default(), now).unwrap();
    }
    assert_eq!(perm(&routes, "t", "a"), Some(PERM_READ));
    assert_eq!(perm(&routes, "u", "a"), Some(PERM_READ));
}

/// What a replica says for a primary that is gone may be older than what the primary said last.
#[test]
fn a_replica_that_stands_in_changes_nothing_with_a_version_that_is_known() {
    let mut routes = registered([broker("a", 0, &["t", "u"]), broker("a", 1, &["t", "u"])]);
    let mut last = broker("a", 0, &["t"]);
    last.topics.get_mut("t").unwrap().read_queue_nums = 99;
    last.version = version(2);
    routes.register(last, Policy::default(), 0).unwrap();
    routes.connection_closed(100, Policy::default());
    routes.register(broker("a", 1, &["t", "u"]), Policy::default(), 0).unwrap();
    let route = routes.route("t", Policy::default()).unwrap();
    assert_eq!(route.queue_datas[0].read_queue_nums, 99);
}

#[test]
fn a_single_topic_needs_a_registered_broker() {
    let mut routes = Routes::default();
    assert_eq!(
        routes.register(broker("a", 0, &["t"]), Policy::default(), 0),
        Err(SingleTopicTooEarly)
    );
    assert_eq!(routes.cluster_info(), Routes::default().cluster_info());
    routes.register(broker("a", 0, &[]), Policy::default(), 0).unwrap();
    let mut one = broker("a", 0, &["t"]);
    one.version = version(2);
    routes.register(one, Policy::default(), 0).unwrap();
    assert!(routes.route("t", Policy::default()).is_some());
}

#[test]
fn missing_topics_go_only_where_the_operator_says_so() {
    let delete = Policy { delete_missing_topics: true, ..Policy::default() };
    for (policy, left) in [(Policy::default(), true), (delete, false)] {
        let mut routes = registered([broker("a", 0, &["t", "u", "v"])]);
        let mut fewer = broker("a", 0, &["t", "u"]);
        fewer.version = version(2);
        routes.register(fewer, policy, 0).unwrap();
        assert_eq!(routes.route("v", policy).is_some(), left, "{policy:?}");
    }
}

#[test]
fn a_lower_state_version_does_not_take_an_id() {
    let mut holder = broker("a", 0, &["t", "u"]);
    holder.version.state_version = 2;
    let mut routes = registered([holder, broker("a", 1, &[])]);
    let mut rival = broker("a", 0, &["t", "u"]);
    rival.address = "a-1:10911".into();
    rival.version.state_version = 1;
    let answer = routes.register(rival.clone(), Policy::default(), 0).unwrap();
    assert_eq!(answer, Registered::default());
    assert_eq!(addresses(&routes, "t", Policy::default()), ["a/0=a-0:10911"]);
    assert_eq!(routes.version("c", "a-1:10911"), None);
    rival.version.state_version = 2;
    routes.register(rival, Policy::default(), 0).unwrap();
    assert_eq!(addresses(&routes, "t", Policy::default()), ["a/0=a-1:10911"]);
}

#[test]
fn the_last_broker_of_a_name_takes_its_topics_along() {
    let mut routes = registered([broker("a", 0, &["t", "u"]), broker("a", 1, &[])]);
    let leaving = |id: i64| Leaving {
        cluster: "c".into(),
        broker: "a".into(),
        broker_id: id,
        address: format!("a-{id}:10911").into(),
    };
    let none = Policy::default();
    assert_eq!(routes.unregister(&[leaving(0)], none), []);
    assert_eq!(addresses(&routes, "t", none), ["a/1=a-1:10911"]);
    assert_eq!(perm(&routes, "t", "a"), Some(READ_WRITE));
    routes.unregister(&[leaving(1), leaving(1), leaving(7)], none);
    assert_eq!(routes.route("t", none), None);
    assert_eq!(routes.cluster_info(), Routes::default().cluster_info());
    assert!(routes.topics.is_empty() && routes.live.is_empty() && routes.mappings.is_empty());
}

#[test]
fn the_end_of_an_old_connection_is_not_the_end_of_its_broker() {
    let none = Policy::default();
    let mut routes = registered([broker("a", 0, &["t", "u"])]);
    let mut again = broker("a", 0, &["t", "u"]);
    again.connection = 200;
    routes.register(again, none, 10).unwrap();
    routes.connection_closed(100, none);
    assert_eq!(addresses(&routes, "t", none).len(), 1, "it registered over connection 200");
    routes.touch("c", "a-0:10911", 300, 20);
    routes.connection_closed(200, none);
    assert_eq!(addresses(&routes, "t", none).len(), 1, "its heartbeat came over connection 300");
    routes.connection_closed(300, none);
    assert_eq!(routes.route("t", none), None);
    routes.connection_closed(300, none);
}

#[test]
fn one_connection_may_speak_for_several_brokers() {
    let none = Policy::default();
    let both = ["a", "b"].map(|name| broker(name, 0, &["t", "u"]));
    let mut routes = registered(both);
    routes.connection_closed(100, none);
    assert_eq!(routes.route("t", none), None);
}

#[test]
fn silence_ends_a_broker_after_its_own_time() {
    let none = Policy::default();
    let mut short = broker("a", 0, &["t", "u"]);
    short.timeout_ms = Some(10);
    let mut routes = registered([short, broker("b", 0, &["t", "u"])]);
    assert_eq!(routes.expire(none, 10), Expired::default());
    routes.touch("c", "a-0:10911", 100, 5);
    assert_eq!(routes.expire(none, 15), Expired::default());
    // The other broker still speaks over the same connection.
    assert_eq!(routes.expire(none, 16), Expired::default());
    assert_eq!(addresses(&routes, "t", none), ["b/0=b-0:10911"]);
    assert_eq!(routes.expire(none, 120_000), Expired::default());
    let expired = routes.expire(none, 120_001);
    assert_eq!(expired.connections, [100]);
    assert_eq!(routes.route("t", none), None);
}

#[test]
fn a_replica_stands_in_where_the_topic_is_read_only() {
    let acting = |id: i64| Registration {
        acting_primary: Some(true),
        ..broker("a", id, &["t", "rmq_sys_SYNC_BROKER_MEMBER_a"])
    };
    let mut routes = registered([0, 2, 3].map(acting));
    let notices = routes.connection_closed(100, ACTING);
    let told = Notice {
        to: vec!["a-2:10911".into(), "a-3:10911".into()],
        min_id: 2,
        min_address: "a-2:10911".into(),
        offline: Some("a-0:10911".into()),
        ha_address: None,
    };
    assert_eq!(notices, [told]);
    assert_eq!(perm(&routes, "t", "a"), Some(PERM_READ));
    assert_eq!(addresses(&routes, "t", ACTING), ["a/0=a-2:10911", "a/3=a-3:10911"]);
    let members = addresses(&routes, "rmq_sys_SYNC_BROKER_MEMBER_a", ACTING);
    assert_eq!(members, ["a/2=a-2:10911", "a/3=a-3:10911"]);
    assert_eq!(addresses(&routes, "t", Policy::default()), ["a/2=a-2:10911", "a/3=a-3:10911"]);
    let back = routes.register(acting(0), ACTING, 0).unwrap().notice;
    let told = Notice {
        to: vec!["a-2:10911".into(), "a-3:10911".into()],
        min_id: 0,
        min_address: "a-0:10911".into(),
        offline: None,
        ha_address: Some("a-0:10912".into()),
    };
    assert_eq!(back, Some(told));
    assert_eq!(perm(&routes, "t", "a"), Some(READ_WRITE));
}

#[test]
fn the_smallest_replica_brings_read_only_topics() {
    let acting = Registration { acting_primary: Some(true), ..broker("a", 2, &["t", "u"]) };
    assert_eq!(perm(&registered([acting.clone()]), "t", "a"), Some(PERM_READ));
    let old = Registration { acting_primary: None, ..acting.clone() };
    assert_eq!(perm(&registered([old]), "t", "a"), None);
    let not_acting = Registration { acting_primary: Some(false), ..acting };
    assert_eq!(perm(&registered([not_acting]), "t", "a"), Some(READ_WRITE));
}

#[test]
fn write_permission_is_taken_and_given() {
    let mut routes = registered([broker("a", 0, &["t", "u"]), broker("b", 0, &["t", "v"])]);
    assert_eq!(routes.wipe_write_perm("a"), 2);
    assert_eq!(perm(&routes, "t", "a"), Some(PERM_READ));
    assert_eq!(perm(&routes, "t", "b"), Some(READ_WRITE));
    assert_eq!(routes.wipe_write_perm("unknown"), 0);
    assert_eq!(routes.add_write_perm("a"), 2);
    assert_eq!(perm(&routes, "u", "a"), Some(READ_WRITE));
}

#[test]
fn topics_are_deleted_everywhere_or_in_one_cluster() {
    let elsewhere = Registration { cluster: "d".into(), ..broker("b", 0, &["t", "v"]) };
    let mut routes = registered([broker("a", 0, &["t", "u"]), elsewhere]);
    assert_eq!(topics(routes.topics_of_cluster("c")), ["t", "u"]);
    assert_eq!(topics(routes.topics_of_cluster("unknown")), [""; 0]);
    routes.delete_topic("t", Some("unknown"));
    routes.delete_topic("t", Some("c"));
    assert_eq!(addresses(&routes, "t", Policy::default()), ["b/0=b-0:10911"]);
    routes.delete_topic("t", None);
    assert_eq!(topics(routes.all_topics()), ["u", "v"]);
    let system = routes.system_topics();
    assert_eq!(system.broker_addr, Some("a-0:10911".into()));
    assert_eq!(topics(system), ["a", "b", "c", "d"]);
}

#[test]
fn topics_of_units() {
    let mut routes = registered([broker("a", 0, &["none", "unit", "sub", "both"])]);
    for (topic, flag) in [("unit", 1), ("sub", 2), ("both", 3)] {
        let queues = routes.topics.get_mut(topic).unwrap();
        queues.get_mut("a").unwrap().queue.topic_sys_flag = flag;
    }
    assert_eq!(topics(routes.unit_topics(Units::Topics)), ["both", "unit"]);
    assert_eq!(topics(routes.unit_topics(Units::Subscribed)), ["both", "sub"]);
    assert_eq!(topics(routes.unit_topics(Units::SubscribedByOthers)), ["sub"]);
}

#[test]
fn single_topics_of_known_brokers() {
    let mut routes = registered([broker("a", 0, &[])]);
    let queues = |names: &[&str]| -> Vec<QueueData> {
        let queue = |name: &&str| QueueData { broker_name: (*name).into(), ..QueueData::default() };
        names.iter().map(queue).collect()
    };
    routes.register_topic(&"t".into(), queues(&["a", "unknown"]));
    routes.register_topic(&"t".into(), queues(&[]));
    assert_eq!(topics(routes.all_topics()), [""; 0]);
    routes.register_topic(&"t".into(), queues(&["a"]));
    assert_eq!(perm(&routes, "t", "a"), Some(0));
    routes.register(broker("b", 0, &[]), Policy::default(), 0).unwrap();
    routes.register_topic(&"t".into(), queues(&["b", "unknown", "a"]));
    assert_eq!(addresses(&routes, "t", Policy::default()).len(), 2);
}

#[test]
fn filter_servers_and_static_topics_ride_along() {
    let mapping = TopicQueueMappingInfo { bname: Some("a".into()), ..Default::default() };
    let one = Registration {
        filter_servers: vec!["f:1".into()],
        mappings: [("t".into(), mapping.clone())].into(),
        ..broker("a", 0, &["t", "u"])
    };
    let mut routes = registered([one.clone()]);
    let route = routes.route("t", Policy::default()).unwrap();
    assert_eq!(route.filter_server_table["a-0:10911"], ["f:1"]);
    assert_eq!(route.topic_queue_mapping_by_broker, Some([("a".into(), mapping)].into()));
    routes.register(Registration { filter_servers: vec![], ..one }, ACTING, 0).unwrap();
    assert_eq!(routes.route("t", ACTING).unwrap().filter_server_table.len(), 0);
}

/// Nothing in the table without the thing that it hangs on.
fn check_whole(routes: &Routes) {
    for (topic, queues) in &routes.topics {
        assert!(!queues.is_empty(), "{topic} has no queue");
        let known = |broker: &Str| routes.brokers.contains_key(broker);
        assert!(queues.keys().all(known), "{topic} is on a broker that is gone");
    }
    assert!(routes.mappings.keys().all(|topic| routes.topics.contains_key(topic)));
    for (cluster, brokers) in &routes.clusters {
        assert!(!brokers.is_empty(), "{cluster} is empty");
        assert!(brokers.iter().all(|broker| routes.brokers.contains_key(broker)), "{cluster}");
    }
    for (name, broker) in &routes.brokers {
        assert!(!broker.broker_addrs.is_empty(), "{name} has no address");
        assert!(routes.clusters[&broker.cluster].contains(name), "{name} is in no cluster");
        let lives = |address: &Str| routes.live.keys().any(|one| one.address == *address);
        assert!(broker.broker_addrs.values().all(lives), "an address of {name} never expires");
    }
}

#[test]
fn the_table_is_whole_whatever_happens() {
    const TOPICS: &[&[&str]] = &[&[], &["t"], &["t", "u"], &["t", "u", "v"]];
    for seed in 1..=200_u64 {
        let mut state = seed;
        let mut any = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
            (state >> 33) % below
        };
        let mut routes = Routes::default();
        for now in 0..100 {
            let policy = Policy { delete_missing_topics: any(2) == 0, ..ACTING };
            let name = ["a", "b", "c"][any(3) as usize];
            let id = any(3) as i64;
            match any(6) {
                0..3 => {
                    let mut new = broker(name, id, TOPICS[any(4) as usize]);
                    new.cluster = ["c", "d"][any(2) as usize].into();
                    new.address = format!("{name}-{}", any(4)).into();
                    new.acting_primary = [None, Some(false), Some(true)][any(3) as usize];
                    new.version.state_version = any(3) as i64;
                    new.connection = any(5);
                    new.timeout_ms = Some(20);
                    // A single topic comes too early now and then.
                    let _ = routes.register(new, policy, now);
                }
                3 => drop(routes.connection_closed(any(5), policy)),
                4 => drop(routes.expire(policy, now)),
                _ => {
                    let one = Leaving {
                        cluster: "c".into(),
                        broker: name.into(),
                        broker_id: id,
                        address: format!("{name}-{}", any(4)).into(),
                    };
                    drop(routes.unregister(&[one], policy));
                }
            }
            check_whole(&routes);
        }
        drop(routes.expire(ACTING, i64::MAX));
        assert!(routes.brokers.is_empty() && routes.topics.is_empty(), "seed {seed}");
    }
}
