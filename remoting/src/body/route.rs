//! Where topics live: routes, clusters, and lists of topics.

use std::collections::{BTreeMap, BTreeSet};

use message::Str;

use super::mapping::TopicQueueMappingInfo;

super::bodies! {
    /// The route of a topic (codes 105 and 217). `orderTopicConf` is
    /// `broker:queues;broker:queues`.
    TopicRouteData {
        broker_datas: Vec<BrokerData>,
        filter_server_table: BTreeMap<Str, Vec<Str>>,
        order_topic_conf: Option<Str>,
        queue_datas: Vec<QueueData>,
        topic_queue_mapping_by_broker: Option<BTreeMap<Str, TopicQueueMappingInfo>>,
    }
    /// A topic's queues on the brokers of one name. `perm` is made of 2 (write), 4 (read),
    /// 1 (inherit) and 8 (priority).
    #[derive(Eq)]
    QueueData {
        broker_name: Str,
        perm: i32,
        read_queue_nums: i32,
        topic_sys_flag: i32,
        write_queue_nums: i32,
    }
    /// The brokers of one name by id; 0 is the primary.
    #[derive(Eq)]
    BrokerData {
        broker_addrs: BTreeMap<i64, Str>,
        broker_name: Str,
        cluster: Str,
        enable_acting_master: bool,
        zone_name: Option<Str>,
    }
    /// Every broker and every cluster that a name server knows (code 106).
    ClusterInfo {
        broker_addr_table: BTreeMap<Str, BrokerData>,
        cluster_addr_table: BTreeMap<Str, BTreeSet<Str>>,
    }
    /// The brokers of one name (code 901).
    BrokerMemberGroup {
        broker_addrs: BTreeMap<i64, Str>,
        broker_name: Option<Str>,
        cluster: Option<Str>,
    }
    /// The answer to code 901.
    GetBrokerMemberGroupResponseBody {
        broker_member_group: Option<BrokerMemberGroup>,
    }
    /// Names of topics; the address is that of one broker where Java gives one.
    TopicList {
        broker_addr: Option<Str>,
        topic_list: BTreeSet<Str>,
    }
}
