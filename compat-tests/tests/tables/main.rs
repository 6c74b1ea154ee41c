//! Our tables against the stock 5.5.0 classes, in both directions: codes, versions, the fields of
//! every header, the members of every JSON body, enums; and bodies that go through Java and come
//! back unchanged. Java prints what it declares (`clients/reflect/Reflect.java`); nothing of it is
//! kept here. Not part of a plain `cargo test`: `scripts/test` fetches the jars and runs
//! `cargo test -p compat-tests --test tables`.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::process::Command;
use std::sync::OnceLock;

use remoting::body::client::CMResult;
use remoting::body::group::GroupRetryPolicyType;
use remoting::body::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel};
use remoting::body::lite::{LiteSubscriptionAction, OffsetOptionType};
use remoting::body::queue::MessageRequestMode;
use remoting::body::topic::TopicFilterType;
use remoting::codes::{LanguageCode, RequestCode, ResponseCode};
use remoting::flat::{FieldSpec, Header, Kind, Presence};
use remoting::headers::base::{RpcFields, TopicFields};
use remoting::json::{Named, to_standard_body};
use remoting::version::Version;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

mod echo;
mod filters;

/// The directory of the stock jars.
fn jars() -> String {
    std::env::var("ROCKHOPPER_JARS_550").expect(
        "ROCKHOPPER_JARS_550 must name a directory with the stock 5.5.0 jars; \
         run scripts/test, which fetches them",
    )
}

/// The lines that Java prints.
fn java() -> &'static [String] {
    static LINES: OnceLock<Vec<String>> = OnceLock::new();
    LINES.get_or_init(|| {
        let jars = jars();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/reflect/Reflect.java");
        let mut program = Command::new("java");
        program.args(["-cp", &format!("{jars}/*"), source, &jars]);
        let output = program.output().expect("java can be run; scripts/test says what to install");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "Reflect.java failed with the jars of {jars}:\n{errors}");
        let text = String::from_utf8(output.stdout).expect("Java prints UTF-8");
        text.lines().map(str::to_owned).collect()
    })
}

/// Java's lines of one kind, without the word that names it.
fn lines<'a>(kind: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    java().iter().filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '))
}

/// Fails with what only one side has.
fn same<T: Ord + Debug>(what: &str, java: BTreeSet<T>, ours: BTreeSet<T>) {
    assert!(!java.is_empty(), "Java prints no {what}");
    let missing: Vec<_> = java.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&java).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: Java alone has {missing:#?}, our tables alone have {extra:#?}"
    );
}

#[test]
fn codes() {
    let mut ours = BTreeSet::new();
    let mut add = |class, name, code| ours.insert(format!("{class} {name} {code}"));
    for (name, code) in RequestCode::ALL {
        add("RequestCode", name, code.0);
    }
    for (name, code) in ResponseCode::ALL {
        add("ResponseCode", name, code.0);
    }
    for (name, code) in LanguageCode::ALL {
        add("LanguageCode", name, i32::from(code.0));
    }
    same("codes", lines("code").map(str::to_owned).collect(), ours);
}

/// Of the 613 versions we name only those that something depends on.
#[test]
fn versions() {
    let java: BTreeSet<_> = lines("version").collect();
    for (name, version) in Version::ALL {
        assert!(java.contains(format!("{name} {}", version.0).as_str()), "{name} is not {version}");
    }
    assert_eq!(lines("current").next(), Some(Version::CURRENT.0.to_string().as_str()));
}

type Fields = BTreeSet<String>;

fn row(header: &str, key: &str, kind: Kind, presence: &str) -> String {
    format!("{header}.{key}: {kind:?}, {presence}")
}

fn rows(header: &str, fields: impl Iterator<Item = &'static FieldSpec>, to: &mut Fields) {
    for field in fields {
        let presence = match field.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional => "optional".to_owned(),
            Presence::Default(value) => format!("default {}", value.trim_matches('"')),
        };
        to.insert(row(header, field.key, field.kind, &presence));
    }
}

/// A field of Java in our words. A field that a fresh object has a value for is never missing to
/// Java, marked or not; only the clock's value we leave to the caller.
fn java_row(line: &str) -> String {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let [header, key, kind, mark, _class, fresh] = words[..] else { panic!("odd line: {line}") };
    let kind = match kind {
        "String" => Kind::Text,
        "int" | "Integer" => Kind::Int,
        "long" | "Long" => Kind::Long,
        "boolean" | "Boolean" => Kind::Bool,
        "BoundaryType" => Kind::Boundary,
        other => panic!("our tables cannot say {other}: {line}"),
    };
    let presence = match fresh {
        "null" => left_out(header, key).unwrap_or(mark).to_owned(),
        "now" => "optional".to_owned(),
        value => format!("default {value}"),
    };
    row(header, key, kind, &presence)
}

/// Fields that Java marks as required and can do without, and what they are here: it does not
/// enforce the mark. 4.x tools and the dashboard ask for whole tables with no field at all; a pull
/// and a send are answered without what nothing of theirs asks for.
const LEFT_OUT: &[(&str, &str)] = &[
    ("AckMessageRequestHeader.consumerGroup", "default "),
    ("AddWritePermOfBrokerRequestHeader.brokerName", "default "),
    ("BrokerHeartbeatRequestHeader.brokerName", "default "),
    ("ChangeInvisibleTimeRequestHeader.consumerGroup", "default "),
    ("CheckRocksdbCqWriteProgressRequestHeader.topic", "default "),
    ("CloneGroupOffsetRequestHeader.destGroup", "default "),
    ("CloneGroupOffsetRequestHeader.srcGroup", "optional"),
    ("CreateTopicRequestHeader.defaultTopic", "default "),
    ("DeleteKVConfigRequestHeader.key", "default "),
    ("DeleteKVConfigRequestHeader.namespace", "default "),
    ("DeleteTopicFromNamesrvRequestHeader.topic", "default "),
    ("DeleteTopicRequestHeader.topic", "default "),
    ("GetAllSubscriptionGroupRequestHeader.groupSeq", "optional"),
    ("GetAllTopicConfigRequestHeader.topicSeq", "optional"),
    ("GetBrokerMemberGroupRequestHeader.brokerName", "optional"),
    ("GetBrokerMemberGroupRequestHeader.clusterName", "optional"),
    ("GetKVConfigRequestHeader.key", "default "),
    ("GetKVConfigRequestHeader.namespace", "default "),
    ("GetKVListByNamespaceRequestHeader.namespace", "default "),
    ("GetRouteInfoRequestHeader.topic", "default "),
    ("GetTopicsByClusterRequestHeader.cluster", "default "),
    ("PullMessageRequestHeader.commitOffset", "optional"),
    ("PullMessageRequestHeader.subVersion", "default 0"),
    ("PullMessageRequestHeader.suspendTimeoutMillis", "default 0"),
    ("PutKVConfigRequestHeader.value", "optional"),
    ("QueryConsumeTimeSpanRequestHeader.group", "default "),
    ("QueryConsumerOffsetRequestHeader.consumerGroup", "default "),
    ("QueryCorrectionOffsetHeader.compareGroup", "default "),
    ("QueryDataVersionRequestHeader.brokerId", "default 0"),
    ("QueryDataVersionRequestHeader.brokerName", "default "),
    ("QueryMessageRequestHeader.key", "default "),
    ("QueryMessageRequestHeader.topic", "default "),
    ("RegisterBrokerRequestHeader.haServerAddr", "default "),
    ("RegisterTopicRequestHeader.topic", "optional"),
    ("ResetOffsetRequestHeader.group", "default "),
    ("SendMessageRequestHeader.defaultTopic", "default "),
    ("SendMessageRequestHeader.defaultTopicQueueNums", "default 4"),
    ("SendMessageRequestHeader.producerGroup", "default "),
    ("SendMessageRequestHeader.topic", "default "),
    ("SendMessageRequestHeaderV2.a", "default "),
    ("SendMessageRequestHeaderV2.b", "default "),
    ("SendMessageRequestHeaderV2.c", "default "),
    ("SendMessageRequestHeaderV2.d", "default 4"),
    ("UnRegisterBrokerRequestHeader.brokerAddr", "default "),
    ("UnRegisterBrokerRequestHeader.brokerId", "default 0"),
    ("UnRegisterBrokerRequestHeader.brokerName", "default "),
    ("UnRegisterBrokerRequestHeader.clusterName", "default "),
    ("UnregisterClientRequestHeader.clientID", "optional"),
    ("UpdateConsumerOffsetRequestHeader.commitOffset", "optional"),
    ("UpdateConsumerOffsetRequestHeader.consumerGroup", "default "),
    ("UpdateConsumerOffsetRequestHeader.queueId", "optional"),
    ("UpdateGroupForbiddenRequestHeader.topic", "default "),
    ("WipeWritePermOfBrokerRequestHeader.brokerName", "default "),
];

fn left_out(header: &str, key: &str) -> Option<&'static str> {
    let field = format!("{header}.{key}");
    LEFT_OUT.iter().find(|(name, _)| *name == field).map(|(_, presence)| *presence)
}

#[test]
fn headers() {
    let (mut names, mut ours) = (BTreeSet::new(), Fields::new());
    macro_rules! each {
        ($($family:ident::$name:ident,)*) => { $({
            use remoting::headers::$family::$name as This;
            assert!(names.insert(This::NAME), "{} stands in two tables", This::NAME);
            rows(This::NAME, This::FIELDS.iter().chain(This::BASE), &mut ours);
        })* };
    }
    remoting::each_header!(each);
    rows("RpcRequestHeader", RpcFields::FIELDS.iter(), &mut ours);
    rows("TopicRequestHeader", TopicFields::FIELDS.iter(), &mut ours);
    rows("TopicQueueRequestHeader", TopicFields::FIELDS.iter(), &mut ours);
    names.extend(["RpcRequestHeader", "TopicRequestHeader", "TopicQueueRequestHeader"]);
    same("headers", lines("header").collect(), names);
    same("fields of headers", lines("field").map(java_row).collect(), ours);
}

/// Classes that Java's JSON library could write, and why no struct of ours is one.
const NO_BODIES: &[(&str, &str)] = &[
    ("ConsumeByWho", "made by the admin tool for itself"),
    ("ConsumerRunningInfo", "relayed as bytes from client to tool"),
    ("ConsumeStatus", "inside ConsumerRunningInfo"),
    ("KVConfigSerializeWrapper", "a file of the name server"),
    ("LiteSubscription", "inside the broker"),
    ("LiteUtil", "functions"),
    ("OffsetMovedEvent", "the body of a message"),
    ("OffsetSerializeWrapper", "a file of the client"),
    ("PopProcessQueueInfo", "inside ConsumerRunningInfo"),
    ("ProcessQueueInfo", "inside ConsumerRunningInfo"),
    ("RemotingSerializable", "the base class"),
    ("RocksDBOffsetSerializeWrapper", "inside RocksDB"),
    ("RollbackStats", "made by the admin tool for itself"),
    ("TieredMetadataSerializeWrapper", "a file of tiered storage"),
    ("TopicQueueMappingOne", "made by the admin tool for itself"),
    ("TopicQueueMappingSerializeWrapper", "a file of the broker"),
    ("TopicRemappingDetailWrapper", "a file of the admin tool"),
    ("TransactionMetricsSerializeWrapper", "a file of the broker"),
];

/// Names that a member is also read under.
const ALIASES: &[&str] = &[
    "bitSet",
    "consumerGroup",
    "invisibleTime",
    "popTime",
    "queueId",
    "retry",
    "reviveQueueId",
    "startOffset",
    "topic",
];

#[test]
fn bodies() {
    let mut ours = BTreeMap::new();
    macro_rules! each {
        ($($family:ident::$name:ident,)*) => {
            $(add_body::<remoting::body::$family::$name>(&mut ours);)*
        };
    }
    remoting::each_body!(each);
    let java: BTreeMap<&str, BTreeSet<&str>> = lines("body")
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().expect("a line names its class"), words.collect())
        })
        .filter(|(name, _)| NO_BODIES.iter().all(|(known, _)| known != name))
        .collect();
    same("bodies", java.keys().copied().collect(), ours.keys().copied().collect());
    for (name, (members, _)) in &ours {
        same(&format!("members of {name}"), java[name].clone(), members.clone());
    }
    for (name, json) in lines("fresh").filter_map(|line| line.split_once(' ')) {
        if let Some((_, fresh)) = ours.get(name) {
            let java = without_empty(serde_json::from_str(json).expect("standard JSON"));
            assert_eq!(without_empty(fresh.clone()), java, "a fresh {name}");
        }
    }
}

type Body = (BTreeSet<&'static str>, Value);

fn add_body<T: Default + Serialize + DeserializeOwned>(to: &mut BTreeMap<&'static str, Body>) {
    let name = type_name::<T>().rsplit("::").next().expect("a type has a name");
    let mut members = Members(&[]);
    assert!(T::deserialize(&mut members).is_err(), "{name} must be a struct");
    let aliases = if name == "BatchAck" { ALIASES } else { &[] };
    let members = members.0.iter().copied().filter(|member| !aliases.contains(member)).collect();
    let fresh = serde_json::from_slice(&to_standard_body(&T::default())).expect("standard JSON");
    assert!(to.insert(name, (members, fresh)).is_none(), "{name} stands in two tables");
}

/// What is empty with us may be null with Java; the texts of times depend on the zone.
fn without_empty(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let is_empty = |value: &Value| match value {
        Value::String(text) => text.is_empty() || text.starts_with("1970-"),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let members = members.into_iter().map(|(name, value)| (name, without_empty(value)));
    Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
}

/// Asks a type which members it reads, and gives it nothing.
struct Members(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Members {
    type Error = serde_json::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = members;
        Err(Self::Error::custom("only asked"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("no struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn enums() {
    let java: BTreeSet<&str> = lines("enum").collect();
    check_enum::<CMResult>("CMResult", &java);
    check_enum::<ConsumeFromWhere>("ConsumeFromWhere", &java);
    check_enum::<ConsumeType>("ConsumeType", &java);
    check_enum::<GroupRetryPolicyType>("GroupRetryPolicyType", &java);
    check_enum::<LiteSubscriptionAction>("LiteSubscriptionAction", &java);
    check_enum::<MessageModel>("MessageModel", &java);
    check_enum::<MessageRequestMode>("MessageRequestMode", &java);
    check_enum::<OffsetOptionType>("Type", &java);
    check_enum::<TopicFilterType>("TopicFilterType", &java);
}

/// Names and order are Java's: the order is that of the ordinals.
fn check_enum<E: Named>(name: &str, java: &BTreeSet<&str>) {
    let constants = E::NAMES.iter().map(|(constant, _)| format!(" {constant}"));
    let ours = format!("{name}{}", constants.collect::<String>());
    assert!(java.contains(ours.as_str()), "Java has no enum that reads: {ours}");
}
