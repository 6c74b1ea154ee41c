//! Tests of [`Topics`].

use super::*;
use remoting::body::topic::TopicFilterType;

fn own() -> Own {
    Own {
        cluster: "C".into(),
        broker: "B".into(),
        cluster_topic: true,
        broker_topic: false,
        auto_create: true,
        default_queues: 8,
        revive_queues: 12,
        trace_topic: None,
    }
}

fn topics() -> Topics {
    Topics::new(&own(), 5)
}

fn wanted<'a>(topic: &'a str, template: &'a str) -> Wanted<'a> {
    Wanted { topic, template, queues: 4, sys_flag: UNIT }
}

#[test]
fn a_new_broker_has_javas_system_topics() {
    let with_trace = Own { trace_topic: Some("TRACE".into()), ..own() };
    let topics = Topics::new(&with_trace, 5);
    let rows: Vec<String> = topics
        .snapshot()
        .topic_config_table
        .into_values()
        .map(|t| format!("{} {} {}", t.topic_name, t.read_queue_nums, t.perm))
        .collect();
    let expected = "\
B 1 1
BenchmarkTest 1024 6
C 16 7
C_REPLY_TOPIC 1 6
OFFSET_MOVED_EVENT 1 6
RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC 1 6
RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC 1 6
RMQ_SYS_TRANS_HALF_TOPIC 1 6
RMQ_SYS_TRANS_OP_HALF_TOPIC 1 6
SCHEDULE_TOPIC_XXXX 18 6
SELF_TEST_TOPIC 1 6
TBW102 8 7
TRACE 1 6
rmq_sys_REVIVE_LOG_C 12 6
rmq_sys_SYNC_BROKER_MEMBER_B 1 1
rmq_sys_wheel_timer 1 6";
    assert_eq!(rows.join("\n"), expected);
    assert!(
        topics.is_system("C") && topics.is_system("CHECKPOINT_TOPIC") && !topics.is_system("T")
    );
    assert!(!Topics::new(&Own { auto_create: false, ..own() }, 5).contains("TBW102"));
}

#[test]
fn a_send_makes_a_topic_after_its_template() {
    let topics = topics();
    let made = topics.create_on_send(wanted("T", "TBW102"), true, 9).unwrap();
    let expected = TopicConfig { topic_sys_flag: UNIT, ..simple("T", 4) };
    assert_eq!((&*made.topic, made.changed), (&expected, true));
    let again = topics.create_on_send(Wanted { queues: 9, ..wanted("T", "TBW102") }, true, 10);
    assert!(!again.unwrap().changed);
    assert_eq!(topics.version(), DataVersion { counter: 1, state_version: 0, timestamp: 9 });
    let most = topics.create_on_send(Wanted { queues: 99, ..wanted("U", "TBW102") }, true, 9);
    assert_eq!(most.unwrap().topic.write_queue_nums, 8);
    let none = topics.create_on_send(Wanted { queues: -3, ..wanted("V", "C") }, false, 9);
    assert_eq!(none.unwrap().topic.read_queue_nums, 0);
}

#[test]
fn a_template_must_be_there_and_pass_on_its_rights() {
    let topics = topics();
    let made = |template, auto| topics.create_on_send(wanted("T", template), auto, 9).is_some();
    assert!(!made("nothing", true));
    assert!(!made("BenchmarkTest", true));
    assert!(!made("TBW102", false));
    assert_eq!(topics.changes(), 0);
    assert!(made("B", false));
    assert_eq!(topics.find("T").unwrap().perm, 0);
}

#[test]
fn a_retry_topic_follows_the_order_flag() {
    let topics = topics();
    let ask = |order, now| {
        let wanted = TopicConfig { order, ..simple("%RETRY%g", 1) };
        topics.create_on_send_back(wanted, now).unwrap()
    };
    assert!(ask(false, 6).changed && !ask(false, 7).changed);
    assert!(ask(true, 8).changed && ask(true, 9).topic.order);
    assert!(topics.is_ordered("%RETRY%g"));
    assert_eq!((topics.version().counter, topics.version().timestamp), (2, 8));
}

#[test]
fn an_update_alters_attributes_and_takes_the_rest() {
    let topics = topics();
    let attributes = |text| attributes::parse(text).unwrap();
    let wanted = |text| TopicConfig { attributes: attributes(text), ..simple("T", 3) };
    topics.update(wanted("+message.type=FIFO,+cleanup.policy=DELETE"), 1).unwrap();
    let told = topics.update(wanted("+cleanup.policy=COMPACTION"), 2).unwrap_err();
    assert_eq!(told, "attempt to update an unchangeable attribute. key: cleanup.policy");
    let topic = topics.update(TopicConfig { perm: 4, ..wanted("-message.type") }, 3).unwrap();
    assert_eq!((topic.perm, topic.attributes.len()), (4, 1));
    assert!(!topics.is_same(&wanted("")));
    topics.update(simple("plain", 2), 4).unwrap();
    assert!(topics.is_same(&simple("plain", 2)) && !topics.is_same(&simple("plain", 3)));
}

#[test]
fn flags_and_orders_are_set_and_topics_deleted() {
    let topics = topics();
    topics.update(simple("T", 1), 1).unwrap();
    topics.set_unit("T", true, 2);
    topics.set_unit_sub("T", true, 3);
    topics.set_unit("T", false, 4);
    assert_eq!(topics.find("T").unwrap().topic_sys_flag, UNIT_SUB);
    assert!(topics.mark_ordered(["T", "nothing"], 5) && !topics.mark_ordered(["T"], 6));
    assert_eq!(topics.version().timestamp, 5);
    assert!(topics.delete("T", 7).is_some() && topics.delete("T", 8).is_none());
    assert_eq!((topics.version().counter, topics.changes()), (6, 6));
}

#[test]
fn pages_follow_the_names_and_start_over_after_a_change() {
    let topics = topics();
    let page = |from, version: &DataVersion| {
        let (page, total) = topics.page(from, Some(version), 2);
        (page.topic_config_table.into_keys().collect::<Vec<_>>().join(" "), total)
    };
    let version = topics.version();
    assert_eq!(page(2, &version), ("C C_REPLY_TOPIC".into(), 15));
    assert_eq!(page(99, &version), (String::new(), 15));
    topics.delete("C", 6);
    assert_eq!(page(2, &version), ("B BenchmarkTest".into(), 14));
}

#[test]
fn reads_what_java_writes_and_what_it_wrote() {
    let java = "{\n\t\"dataVersion\":{\n\t\t\"counter\":2,\n\t\t\"stateVersion\":0,\n\t\t\
        \"timestamp\":1700000000000\n\t},\n\t\"topicConfigTable\":{\n\t\t\"T\":{\n\t\t\t\
        \"attributes\":{\n\t\t\t\t\"message.type\":\"FIFO\"\n\t\t\t},\n\t\t\t\
        \"order\":false,\n\t\t\t\
        \"perm\":6,\n\t\t\t\"readQueueNums\":4,\n\t\t\t\"topicFilterType\":\"MULTI_TAG\",\n\t\t\t\
        \"topicName\":\"T\",\n\t\t\t\"topicSysFlag\":0,\n\t\t\t\"writeQueueNums\":4\n\t\t}\n\t}\n}";
    let topics = topics();
    topics.load(java).unwrap();
    let topic = topics.find("T").unwrap();
    assert_eq!(&*topic.attributes["message.type"], "FIFO");
    assert_eq!(topic.topic_filter_type, TopicFilterType::MultiTag);
    assert!(topics.contains("TBW102") && topics.version().counter == 2);
    let again = Topics::new(&own(), 0);
    again.load(&topics.to_json()).unwrap();
    assert_eq!(again.snapshot(), topics.snapshot());
    // A table of its own is written as Java writes it, byte for byte.
    let mut own = topics.snapshot();
    own.topic_config_table.retain(|name, _| name == "T");
    assert_eq!(files::text(&own), java);
    assert!(topics.load("{\"topicConfigTable\":").is_err());
}

#[test]
fn no_file_and_no_group_makes_a_topic_of_too_many_queues() {
    let topics = topics();
    let text = "{\"topicConfigTable\":{\"T\":{\"topicName\":\"T\",\"readQueueNums\":2147483647,\
                \"writeQueueNums\":4}},\"dataVersion\":{}}";
    topics.load(text).unwrap();
    let loaded = topics.find("T").unwrap();
    assert_eq!((loaded.read_queue_nums, loaded.write_queue_nums), (QUEUES_LIMIT, 4));
    let retry = topics.create_on_send_back(simple("%RETRY%G", i32::MAX), 5).unwrap();
    assert_eq!(retry.topic.write_queue_nums, QUEUES_LIMIT);
    assert_eq!(topics.find("%RETRY%G").unwrap().read_queue_nums, QUEUES_LIMIT);
}
