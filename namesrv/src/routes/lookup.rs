//! What clients ask the route table: where a topic lives (code 105), who the brokers are.

use super::{PERM_WRITE, PRIMARY, Policy, Routes};
use message::Str;
use remoting::body::route::{
    BrokerData, BrokerMemberGroup, ClusterInfo, QueueData, TopicRouteData,
};

/// Topics that replicas talk over; they must see who really is the primary (Java:
/// `TopicValidator.SYNC_BROKER_MEMBER_GROUP_PREFIX`).
const MEMBERS_TOPIC_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

impl Routes {
    /// Where a topic lives; `None` when no broker that is registered has it.
    pub fn route(&self, topic: &str, policy: Policy) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let brokers = queues.keys().filter_map(|name| self.brokers.get(name));
        let mut route = TopicRouteData {
            queue_datas: queues.values().map(|held| held.queue.clone()).collect(),
            broker_datas: brokers.cloned().collect(),
            topic_queue_mapping_by_broker: self.mappings.get(topic).cloned(),
            ..TopicRouteData::default()
        };
        if route.broker_datas.is_empty() {
            return None;
        }
        for broker in &route.broker_datas {
            for address in broker.broker_addrs.values() {
                let live = self.live.get(&Self::identity(&broker.cluster, address));
                if let Some(live) = live.filter(|live| !live.filter_servers.is_empty()) {
                    let servers = live.filter_servers.clone();
                    route.filter_server_table.insert(address.clone(), servers);
                }
            }
        }
        if policy.acting_primary && !topic.starts_with(MEMBERS_TOPIC_PREFIX) {
            for broker in &mut route.broker_datas {
                let queue =
                    route.queue_datas.iter().find(|queue| queue.broker_name == broker.broker_name);
                promote(broker, queue);
            }
        }
        Some(route)
    }

    /// Every broker and every cluster.
    pub fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo {
            broker_addr_table: self.brokers.clone(),
            cluster_addr_table: self.clusters.clone(),
        }
    }

    /// The brokers of one name; none for an unknown name, or for none.
    pub fn member_group(&self, cluster: Option<Str>, broker: Option<Str>) -> BrokerMemberGroup {
        let known = broker.as_ref().and_then(|broker| self.brokers.get(broker));
        BrokerMemberGroup {
            broker_addrs: known.map(|known| known.broker_addrs.clone()).unwrap_or_default(),
            cluster,
            broker_name: broker,
        }
    }
}

/// Shows the replica with the smallest id as the primary, where there is none and replicas may
/// stand in. Clients can only read then, so the topic must not be writable.
fn promote(broker: &mut BrokerData, queue: Option<&QueueData>) {
    let read_only = queue.is_some_and(|queue| queue.perm & PERM_WRITE == 0);
    if !broker.enable_acting_master || !read_only || broker.broker_addrs.contains_key(&PRIMARY) {
        return;
    }
    if let Some((_, address)) = broker.broker_addrs.pop_first() {
        broker.broker_addrs.insert(PRIMARY, address);
    }
}
