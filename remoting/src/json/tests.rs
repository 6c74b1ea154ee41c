//! The dialect in both directions, and that no bytes do harm.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::body::heartbeat::{ConsumeType, ConsumerData, HeartbeatData, MessageModel};
use crate::body::offset::{ConsumerOffsetSerializeWrapper, ResetOffsetBody};
use crate::body::queue::MessageQueue;
use crate::body::route::{BrokerData, QueueData, TopicRouteData};
use crate::body::topic::{TopicConfig, TopicStatsTable};

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn read<T: DeserializeOwned>(json: &str) -> T {
    from_body(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refused<T: DeserializeOwned + fmt::Debug>(json: &str) -> String {
    from_body::<T>(json.as_bytes()).unwrap_err().to_string()
}

fn route() -> TopicRouteData {
    let broker = BrokerData {
        broker_addrs: [(0, "1.1.1.1:1".into()), (9_007_199_254_740_993, "x".into())].into(),
        broker_name: "b\u{1f600}".into(),
        cluster: "c(<\"é\">)\u{1}".into(),
        ..BrokerData::default()
    };
    TopicRouteData { broker_datas: vec![broker], ..TopicRouteData::default() }
}

#[test]
fn integer_keys_stand_bare_and_quoted_in_standard_json() {
    let loose = r#"{"brokerDatas":[{"brokerAddrs":{0:"1.1.1.1:1",9007199254740993:"x"},"#;
    let standard = r#"{"brokerDatas":[{"brokerAddrs":{"0":"1.1.1.1:1","9007199254740993":"x"},"#;
    let rest = "\"brokerName\":\"b\u{1f600}\",\"cluster\":\"c(<\\\"é\\\">)\\u0001\",\
        \"enableActingMaster\":false}],\"filterServerTable\":{},\"queueDatas\":[]}";
    assert_eq!(text(&to_body(&route())), format!("{loose}{rest}"));
    assert_eq!(text(&to_standard_body(&route())), format!("{standard}{rest}"));
    assert_eq!(read::<TopicRouteData>(&format!("{loose}{rest}")), route());
    assert_eq!(read::<TopicRouteData>(&format!("{standard}{rest}")), route());
    let whole: serde_json::Value = serde_json::from_slice(&to_standard_body(&route())).unwrap();
    assert_eq!(whole["brokerDatas"][0]["cluster"], "c(<\"é\">)\u{1}");
}

#[test]
fn large_integers_are_strings_in_standard_json() {
    let values = [9_007_199_254_740_991_i64, 9_007_199_254_740_992, -9_007_199_254_740_992];
    let expected = r#"[9007199254740991,"9007199254740992","-9007199254740992"]"#;
    assert_eq!(text(&to_standard_body(&values)), expected);
}

#[test]
fn object_keys() {
    let body = ResetOffsetBody {
        offset_table: [(MessageQueue::new("t", "b", 0), 5), (MessageQueue::new("t", "b", 1), 6)]
            .into(),
    };
    let json = concat!(
        r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:5,"#,
        r#"{"brokerName":"b","queueId":1,"topic":"t"}:6}}"#
    );
    assert_eq!(text(&to_body(&body)), json);
    assert_eq!(read::<ResetOffsetBody>(json), body);
    let tree: serde_json::Value = read(json);
    let key = r#"{"brokerName":"b","queueId":1,"topic":"t"}"#;
    assert_eq!(tree["offsetTable"][key], 6);
}

#[test]
fn doubles_as_java_prints_them() {
    let expected = ["0.0", "-0.0", "1.0", "0.1", "0.001", "1.0E-4", "1.5E-5", "1.0E7", "1.25E20"];
    for expected in expected {
        assert_eq!(double_text(expected.parse().unwrap()), expected);
    }
    let table = TopicStatsTable { topic_put_tps: f64::NAN, ..TopicStatsTable::default() };
    assert_eq!(text(&to_body(&table)), r#"{"offsetTable":{}}"#);
}

#[test]
fn loose_text_is_read() {
    let json = "\u{feff} /*c*/ {'brokerAddrs':{0:'x',\"1\":\"y\",'2':\"z\",},brokerName:'b', // x\n
        \"cluster\":null,\"enableActingMaster\":\"TRUE\",\"other\":{\"a\":[1,{2:{}}]},,}";
    let broker = read::<BrokerData>(json);
    let expected: BTreeMap<i64, _> = [(0, "x".into()), (1, "y".into()), (2, "z".into())].into();
    assert_eq!(broker.broker_addrs, expected);
    assert!(broker.enable_acting_master && broker.cluster.is_empty());
    let queue = read::<QueueData>(
        r#"{"readQueueNums":"4","writeQueueNums":4.0,"perm":true,"topicSysFlag":"",
            "brokerName":5}"#,
    );
    let expected = QueueData {
        broker_name: "5".into(),
        perm: 1,
        read_queue_nums: 4,
        write_queue_nums: 4,
        ..QueueData::default()
    };
    assert_eq!(queue, expected);
}

#[test]
fn missing_members_and_nulls_take_javas_defaults() {
    assert_eq!(read::<TopicConfig>(r#"{"perm":null,"attributes":null}"#), TopicConfig::default());
    let offsets = read::<ConsumerOffsetSerializeWrapper>(r#"{"offsetTable":{"t@g":{0:1,1:5}}}"#);
    assert_eq!(offsets.offset_table["t@g"], [(0, 1), (1, 5)].into());
    assert_eq!(read::<Vec<i32>>("[1,null,2]"), [1, 2]);
    // As Lua writes an empty list.
    assert!(read::<Vec<i32>>("{ }").is_empty());
    assert!(refused::<Vec<i32>>(r#"{"a":1}"#).contains("an integer"));
}

#[test]
fn enums_by_name_in_any_case_and_by_ordinal() {
    let read = |json| {
        let consumer = read::<ConsumerData>(json);
        (consumer.consume_type, consumer.message_model)
    };
    let expected = (Some(ConsumeType::Passively), Some(MessageModel::Clustering));
    assert_eq!(read(r#"{"consumeType":"consume_passively","messageModel":1}"#), expected);
    assert_eq!(read(r#"{"consumeType":"1","messageModel":"CLUSTERING"}"#), expected);
    assert_eq!(read(r#"{"consumeType":"ConsumePassively","messageModel":"Clustering"}"#), expected);
    assert_eq!(read(r#"{"consumeType":"new","messageModel":"99"}"#), (None, None));
    assert_eq!(read(r#"{"consumeType":null,"messageModel":1.5}"#), (None, expected.1));
    for none in ["99", "-1", "true", "{}", "[]"] {
        let why = refused::<ConsumerData>(&format!(r#"{{"messageModel":{none}}}"#));
        assert!(why.contains("one of") && why.contains(".messageModel"), "{why}");
    }
    assert!(has_null(br#"{"a":[{"b":null}],'mode': null}"#, "mode"));
    for other in [r#"{"a":{"mode":null}}"#, r#"{"mode":"null"}"#, "[null]", "{", "null"] {
        assert!(!has_null(other.as_bytes(), "mode"), "{other}");
    }
}

/// As the C++ client sends it.
#[test]
fn heartbeat_with_numbers_as_strings() {
    let json = r#"{"clientID":"x","consumerDataSet":[{"consumeType":1,"groupName":"g",
        "subscriptionDataSet":[{"codeSet":["97"],"subString":"a","subVersion":"15",
        "tagsSet":["a"],"topic":"t"}]}]}"#;
    let heartbeat = read::<HeartbeatData>(json);
    let subscription = &heartbeat.consumer_data_set[0].subscription_data_set[0];
    assert_eq!((subscription.sub_version, subscription.code_set.first()), (15, Some(&97)));
    assert_eq!(subscription.expression_type.as_deref(), Some("TAG"));
}

#[test]
fn escapes() {
    assert_eq!(read::<String>(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#), {
        "\"\\/\u{8}\u{c}\n\r\té\u{1f600}"
    });
    assert_eq!(read::<String>(r#""\ud83d\u0041\udc00""#), "\u{fffd}A\u{fffd}");
    assert!(refused::<String>(r#""\ud83d\u00""#).contains("four hexadecimal digits"));
    assert!(refused::<String>(r#""\q""#).contains("an escape was expected at byte 2"));
}

#[test]
fn errors_say_where() {
    let json = r#"{"queueDatas":[{"perm":1},{"perm":"x"}]}"#;
    let expected = "the body is no TopicRouteData: an integer was expected at byte 34, \
        not '\"' at .queueDatas[1].perm";
    assert_eq!(refused::<TopicRouteData>(json), expected);
    assert!(refused::<QueueData>(r#"{"perm":2147483648}"#).contains("i32 at .perm"));
    for json in ["", "[]", "null", "7", "{", "{\"perm\"", "{\"perm\":4", "{} x", "{\"perm\" 4}"] {
        refused::<QueueData>(json);
    }
    assert!(from_body::<QueueData>(b"{\"brokerName\":\"\xff\"}").is_err());
}

#[test]
fn depth_is_bounded() {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Any {}
    let nested = |depth| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    read::<Any>(&nested(MAX_DEPTH - 1));
    assert!(refused::<Any>(&nested(MAX_DEPTH)).contains("deeper than 64"));
    assert!(refused::<Any>(&"{".repeat(1 << 20)).contains("deeper than 64"));
}

/// Whatever is cut off or changed gives a value or an error, never a panic.
#[test]
fn no_bytes_panic() {
    let whole = to_body(&route());
    for length in 0..whole.len() {
        assert!(from_body::<TopicRouteData>(&whole[..length]).is_err());
        for byte in [0, b'"', b'\\', b'{', b'}', b':', b',', b'/', 0x80, b'9'] {
            let mut changed = whole.to_vec();
            changed[length] = byte;
            let _ = from_body::<TopicRouteData>(&changed);
            let _ = from_body::<serde_json::Value>(&changed);
        }
    }
}
