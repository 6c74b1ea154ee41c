//! The route table: which brokers live, and which queues of which topics they hold (Java:
//! `RouteInfoManager`).
//!
//! Pure: time is an argument, a connection is a number, and what other brokers must be told comes
//! back as [`Notice`]s. No JSON, no socket, no key-value configuration.

mod leave;
mod lists;
mod lookup;
mod register;

pub use leave::{Expired, Leaving};
pub use lists::Units;
pub use register::{Registered, Registration, SingleTopicTooEarly};

use message::Str;
use remoting::body::data_version::DataVersion;
use remoting::body::mapping::TopicQueueMappingInfo;
use remoting::body::route::{BrokerData, QueueData};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Permission bit: messages may be read (Java: `PermName`).
pub const PERM_READ: i32 = 4;
/// Permission bit: messages may be written.
pub const PERM_WRITE: i32 = 2;
/// The broker id of a primary (Java: `MixAll.MASTER_ID`).
pub const PRIMARY: i64 = 0;

/// Everything that brokers told this name server.
#[derive(Debug, Default)]
pub struct Routes {
    /// Topic, then broker name.
    topics: HashMap<Str, BTreeMap<Str, Held>>,
    /// Static topics: topic, then broker name.
    mappings: HashMap<Str, BTreeMap<Str, TopicQueueMappingInfo>>,
    /// Broker name; a name is in one cluster only.
    brokers: BTreeMap<Str, BrokerData>,
    /// Cluster, with its broker names.
    clusters: BTreeMap<Str, BTreeSet<Str>>,
    live: HashMap<Identity, Live>,
}

/// The queues of one topic on one broker.
#[derive(Clone, Debug)]
struct Held {
    queue: QueueData,
    /// The permission as the broker said it; that in `queue` an operator may have changed here.
    said_perm: i32,
}

impl Held {
    fn said(queue: QueueData) -> Self {
        Self { said_perm: queue.perm, queue }
    }

    /// Whether the broker said just this before.
    fn is_as_said(&self, queue: &QueueData) -> bool {
        QueueData { perm: self.said_perm, ..self.queue.clone() } == *queue
    }
}

/// What Java takes for one broker process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Identity {
    cluster: Str,
    address: Str,
}

/// The last sign of life of one broker process.
#[derive(Debug)]
struct Live {
    /// The name that it registered with last.
    broker: Str,
    seen_ms: i64,
    timeout_ms: i64,
    version: DataVersion,
    /// The connection that this broker last spoke over: only its end is this broker's end.
    connection: u64,
    ha_address: Str,
    filter_servers: Vec<Str>,
}

/// The settings that decide what the table does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// A topic that a registration lacks is taken from the broker
    /// (`deleteTopicWithBrokerRegistration`).
    pub delete_missing_topics: bool,
    /// A replica may stand in for its primary (`supportActingMaster`).
    pub acting_primary: bool,
    /// Brokers are told when their smallest id changes (`notifyMinBrokerIdChanged`).
    pub notify_min_id: bool,
}

impl From<&settings::Namesrv> for Policy {
    fn from(settings: &settings::Namesrv) -> Self {
        Self {
            delete_missing_topics: settings.delete_topic_with_broker_registration,
            acting_primary: settings.support_acting_master,
            notify_min_id: settings.notify_min_broker_id_changed,
        }
    }
}

/// Word for brokers of one name that their smallest id is another one now (code 905).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The addresses to tell.
    pub to: Vec<Str>,
    /// The smallest id.
    pub min_id: i64,
    /// The address of the broker that has it.
    pub min_address: Str,
    /// The broker that left, if one did.
    pub offline: Option<Str>,
    /// Where the broker that came serves replication, if one came.
    pub ha_address: Option<Str>,
}

impl Notice {
    /// The notice for these brokers; `None` when there are none.
    fn new(
        brokers: &BTreeMap<i64, Str>,
        offline: Option<Str>,
        ha_address: Option<Str>,
    ) -> Option<Self> {
        let (min_id, min_address) = brokers.first_key_value()?;
        // Those who stay hear of one that left; those who were there hear of one that came.
        let all = offline.is_some() || brokers.len() == 1;
        let to = brokers.iter().filter(|(id, _)| all || *id != min_id);
        Some(Self {
            to: to.map(|(_, address)| address.clone()).collect(),
            min_id: *min_id,
            min_address: min_address.clone(),
            offline,
            ha_address,
        })
    }
}

impl Routes {
    fn identity(cluster: &str, address: &str) -> Identity {
        Identity { cluster: cluster.into(), address: address.into() }
    }

    /// The data version that a broker registered with; `None` for a broker that does not live.
    pub fn version(&self, cluster: &str, address: &str) -> Option<&DataVersion> {
        self.live.get(&Self::identity(cluster, address)).map(|live| &live.version)
    }

    /// A sign of life over `connection`; nothing happens when the broker is not registered.
    pub fn touch(&mut self, cluster: &str, address: &str, connection: u64, now: i64) {
        if let Some(live) = self.live.get_mut(&Self::identity(cluster, address)) {
            live.seen_ms = now;
            live.connection = connection;
        }
    }

    /// Takes the queues of one broker out of a topic, and the topic with its last queues.
    fn remove_queues(&mut self, topic: &str, broker: &str) {
        let Some(queues) = self.topics.get_mut(topic) else { return };
        queues.remove(broker);
        if queues.is_empty() {
            self.remove_topic(topic);
        }
    }

    fn remove_topic(&mut self, topic: &str) {
        self.topics.remove(topic);
        self.mappings.remove(topic);
    }
}

#[cfg(test)]
mod tests;
