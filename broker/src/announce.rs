//! What the broker tells and asks the name servers (Java: `BrokerOuterAPI`). The commands
//! only; sending them, and how often, is the shell's business.

use crate::broker::Broker;
use message::Str;
use remoting::body::register::RegisterBrokerBody;
use remoting::body::table::KVTable;
use remoting::body::topic::TopicConfigAndMappingSerializeWrapper;
use remoting::codes::RequestCode;
use remoting::command::Command;
use remoting::headers::namesrv::{RegisterBrokerRequestHeader, UnRegisterBrokerRequestHeader};
use remoting::headers::route::GetRouteInfoRequestHeader;

/// Permissions that `brokerPermission` can take away from topics.
const PERM_READ_WRITE: i32 = 6;

/// What a name server takes of a registration, bytes, less its header (Java:
/// `NettySystemConfig.COM_ROCKETMQ_REMOTING_FRAME_MAX_LENGTH`).
pub const BODY_LIMIT: usize = (16 << 20) - (4 << 10);

/// Code 103: this broker, and the topics that changed since the last one; with `all`, all its
/// topics, for name servers that may not have taken the last one.
pub fn register(broker: &Broker, all: bool) -> Command {
    let settings = broker.settings();
    let mut topics = broker.topics.take_untold(all);
    // A broker that may not be written to, or read from, says so for each of its topics.
    let allowed = settings.broker.broker_permission;
    if allowed & PERM_READ_WRITE != PERM_READ_WRITE {
        for topic in topics.topic_config_table.values_mut() {
            topic.perm &= allowed;
        }
    }
    let table = &topics.topic_config_table;
    let mappings = broker.mappings.infos(|topic| table.contains_key(topic));
    let topics = TopicConfigAndMappingSerializeWrapper {
        data_version: topics.data_version,
        topic_queue_mapping_info_map: mappings,
        topic_config_table: topics.topic_config_table,
        ..Default::default()
    };
    let body = RegisterBrokerBody { topic_config_serialize_wrapper: topics, ..Default::default() };
    // As Java does with `compressedRegister`: unit flags, which that form lacks, are told while
    // there is room for them.
    let plain = remoting::json::to_body(&body);
    let compressed = plain.len() > BODY_LIMIT;
    let body = if compressed { body.to_compressed() } else { plain };
    let header = RegisterBrokerRequestHeader {
        broker_name: settings.broker.broker_name.as_str().into(),
        broker_addr: broker.identity.address.as_str().into(),
        cluster_name: settings.broker.broker_cluster_name.as_str().into(),
        ha_server_addr: broker.identity.ha_address.as_str().into(),
        broker_id: settings.broker.broker_id,
        compressed,
        body_crc32: (crc32fast::hash(&body) & 0x7fff_ffff).cast_signed(),
        ..RegisterBrokerRequestHeader::default()
    };
    Command::request(RequestCode::REGISTER_BROKER).with_header(&header).with_body(body)
}

/// Code 104: this broker leaves.
pub fn unregister(broker: &Broker) -> Command {
    let settings = broker.settings();
    let header = UnRegisterBrokerRequestHeader {
        broker_name: settings.broker.broker_name.as_str().into(),
        broker_addr: broker.identity.address.as_str().into(),
        cluster_name: settings.broker.broker_cluster_name.as_str().into(),
        broker_id: settings.broker.broker_id,
    };
    Command::request(RequestCode::UNREGISTER_BROKER).with_header(&header)
}

/// Code 105: where the queues of a topic are.
pub fn route(topic: Str) -> Command {
    let header = GetRouteInfoRequestHeader { topic, ..GetRouteInfoRequestHeader::default() };
    Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC).with_header(&header)
}

/// Takes what a name server answers to a registration: the topics that must be ordered
/// (Java: `TopicConfigManager.updateOrderTopicConfig`).
pub fn learn(broker: &Broker, answer: &Command, now_ms: i64) {
    if answer.body.is_empty() {
        return;
    }
    match remoting::json::from_body::<KVTable>(&answer.body) {
        Ok(ordered) => {
            let topics = ordered.table.keys().map(|topic| &**topic);
            if broker.topics.mark_ordered(topics, now_ms) {
                broker.topics_changed(None);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the name server's list of order topics is not readable")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cold, topics};
    use remoting::version::Version;
    use simulator::SimDisk;
    use std::path::Path;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn a_registration_that_is_too_large_is_compressed() {
        let (broker, _) = cold::open(SimDisk::new(7), Path::new("/store"), NOW);
        let small = register(&broker, true);
        assert!(small.body.starts_with(b"{"));
        for number in 0..100_000 {
            let name = format!("a-topic-of-{number:06}-with-a-name-that-is-rather-long");
            broker.topics.update(topics::simple(&name, 1), NOW).unwrap();
        }
        let command = register(&broker, true);
        assert!(command.body.len() < BODY_LIMIT / 4, "{} bytes", command.body.len());
        let told = RegisterBrokerBody::decode(&command.body, Version::CURRENT).unwrap();
        let table = told.topic_config_serialize_wrapper.topic_config_table;
        assert_eq!(table.len(), broker.topics.len());
        let ours = broker.topics.snapshot().topic_config_table;
        assert!(ours.iter().all(|(name, topic)| {
            let told = &table[name];
            (told.perm, told.write_queue_nums) == (topic.perm, topic.write_queue_nums)
        }));
    }
}
