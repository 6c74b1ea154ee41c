//! A broker announces itself and its topics (code 103), or one topic of its own (code 217).

use super::{Held, Identity, Live, Notice, PERM_WRITE, PRIMARY, Policy, Routes};
use message::Str;
use remoting::body::data_version::DataVersion;
use remoting::body::mapping::TopicQueueMappingInfo;
use remoting::body::route::{BrokerData, QueueData};
use remoting::body::topic::TopicConfig;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// How long a broker that names no time of its own lives without a sign of life (Java:
/// `DEFAULT_BROKER_CHANNEL_EXPIRED_TIME`).
const TIMEOUT_MS: i64 = 120_000;

/// One broker's announcement.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// The cluster that it belongs to.
    pub cluster: Str,
    /// Its name, which it shares with its replicas.
    pub broker: Str,
    /// Its id under that name; 0 is the primary.
    pub broker_id: i64,
    /// Where clients reach it.
    pub address: Str,
    /// Where its replicas reach it.
    pub ha_address: Str,
    /// The zone that it stands in.
    pub zone: Option<Str>,
    /// How long it lives without a sign of life (ms).
    pub timeout_ms: Option<i64>,
    /// Whether a replica may stand in for the primary; `None` from a broker older than 5.0.
    pub acting_primary: Option<bool>,
    /// Its topics: all of them, or those that changed.
    pub topics: BTreeMap<Str, TopicConfig>,
    /// Its static topics.
    pub mappings: BTreeMap<Str, TopicQueueMappingInfo>,
    /// The state of its topic table.
    pub version: DataVersion,
    /// Its filter servers.
    pub filter_servers: Vec<Str>,
    /// The connection that the announcement came over.
    pub connection: u64,
}

impl Registration {
    fn identity(&self) -> Identity {
        Routes::identity(&self.cluster, &self.address)
    }
}

/// What a broker that registered is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// For a replica: its primary's address, and where that serves replication.
    pub primary: Option<(Str, Str)>,
    /// What other brokers must be told.
    pub notice: Option<Notice>,
}

/// A broker that is not registered announced a single topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleTopicTooEarly;

impl fmt::Display for SingleTopicTooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("register broker failed")
    }
}

impl Routes {
    /// Takes up a broker, or what it says anew.
    ///
    /// A registration that another broker of the same name and id holds with a higher state
    /// version is passed over and answered like a success, as in Java: two processes that were told
    /// different stories by a controller must not fight over one id.
    ///
    /// # Errors
    /// When an unknown broker registers exactly one topic: that is what a broker sends when a topic
    /// changes, and all its other topics would stay unknown. Nothing changes then.
    pub fn register(
        &mut self,
        new: Registration,
        policy: Policy,
        now: i64,
    ) -> Result<Registered, SingleTopicTooEarly> {
        let known = self.brokers.get(&new.broker);
        let known_id = known.is_some_and(|old| old.broker_addrs.contains_key(&new.broker_id));
        if !known_id && new.topics.len() == 1 {
            return Err(SingleTopicTooEarly);
        }
        self.clusters.entry(new.cluster.clone()).or_default().insert(new.broker.clone());
        let broker = self.brokers.entry(new.broker.clone()).or_insert_with(|| BrokerData {
            cluster: new.cluster.clone(),
            broker_name: new.broker.clone(),
            ..BrokerData::default()
        });
        broker.enable_acting_master = new.acting_primary.unwrap_or(false);
        broker.zone_name.clone_from(&new.zone);
        let addresses = &mut broker.broker_addrs;
        let old_min = addresses.first_key_value().map_or(0, |(id, _)| *id);
        // A replica that became primary comes back with the same address and another id.
        addresses.retain(|id, address| *address != new.address || *id == new.broker_id);
        let rival = addresses.get(&new.broker_id).filter(|address| **address != new.address);
        let rival = rival.and_then(|address| {
            self.live.get(&Self::identity(&new.cluster, address)).map(|live| &live.version)
        });
        if rival.is_some_and(|version| version.state_version > new.version.state_version) {
            tracing::warn!(broker = %new.broker, id = new.broker_id, address = %new.address,
                "another broker holds this id with a higher state version: registration ignored");
            self.live.remove(&new.identity());
            return Ok(Registered::default());
        }
        let old = addresses.insert(new.broker_id, new.address.clone());
        let first = old.is_none_or(|address| address.is_empty());
        let is_min = addresses.first_key_value().is_some_and(|(id, _)| *id == new.broker_id);
        let prime_replica = new.acting_primary.is_some() && new.broker_id != PRIMARY && is_min;
        if new.broker_id == PRIMARY || prime_replica {
            self.take_topics(&new, first, prime_replica, policy);
        }
        Ok(self.take_life(new, old_min, policy, now))
    }

    /// Takes over the topics of a registration.
    fn take_topics(
        &mut self,
        new: &Registration,
        first: bool,
        prime_replica: bool,
        policy: Policy,
    ) {
        if policy.delete_missing_topics && new.mappings.is_empty() {
            let named: HashSet<&str> =
                new.topics.values().map(|config| &*config.topic_name).collect();
            let held = self.topics.iter().filter(|(_, queues)| queues.contains_key(&new.broker));
            let missing = held.filter(|(topic, _)| !named.contains(&***topic));
            let missing: Vec<Str> = missing.map(|(topic, _)| topic.clone()).collect();
            for topic in missing {
                tracing::info!(%topic, broker = %new.broker, "topic left with a registration");
                self.remove_queues(&topic, &new.broker);
            }
        }
        let read_only = prime_replica && new.acting_primary == Some(true);
        let changed =
            first || self.live.get(&new.identity()).map(|live| &live.version) != Some(&new.version);
        // A stock broker writes its version down when it sends, and not when a topic changes: of
        // two topics that change at once the second arrives with the version that is known already.
        let doubted = changed || !prime_replica;
        for config in new.topics.values() {
            let perm = if read_only { config.perm & !PERM_WRITE } else { config.perm };
            let queue = QueueData {
                broker_name: new.broker.clone(),
                read_queue_nums: config.read_queue_nums,
                write_queue_nums: config.write_queue_nums,
                perm,
                topic_sys_flag: config.topic_sys_flag,
            };
            let queues = self.topics.entry(config.topic_name.clone()).or_default();
            let known = queues.get(&new.broker);
            if changed || known.is_none_or(|held| doubted && !held.is_as_said(&queue)) {
                queues.insert(new.broker.clone(), Held::said(queue));
            }
        }
        if doubted {
            for (topic, mapping) in &new.mappings {
                let broker = mapping.bname.as_ref().unwrap_or(&new.broker).clone();
                let brokers = self.mappings.entry(topic.clone()).or_default();
                brokers.insert(broker, mapping.clone());
            }
        }
    }

    /// Notes the sign of life, and says what the broker and others must know.
    fn take_life(
        &mut self,
        new: Registration,
        old_min: i64,
        policy: Policy,
        now: i64,
    ) -> Registered {
        let identity = new.identity();
        if !self.live.contains_key(&identity) {
            tracing::info!(cluster = %new.cluster, broker = %new.broker, id = new.broker_id,
                address = %new.address, "broker registered");
        }
        let live = Live {
            broker: new.broker.clone(),
            seen_ms: now,
            timeout_ms: new.timeout_ms.unwrap_or(TIMEOUT_MS),
            version: new.version,
            connection: new.connection,
            ha_address: new.ha_address.clone(),
            filter_servers: new.filter_servers,
        };
        self.live.insert(identity, live);
        let addresses = &self.brokers[&new.broker].broker_addrs;
        let primary = addresses.get(&PRIMARY).filter(|_| new.broker_id != PRIMARY);
        let primary = primary.and_then(|address| {
            let live = self.live.get(&Self::identity(&new.cluster, address))?;
            Some((address.clone(), live.ha_address.clone()))
        });
        let notice = (new.broker_id < old_min && policy.notify_min_id)
            .then(|| Notice::new(addresses, None, Some(new.ha_address)));
        Registered { primary, notice: notice.flatten() }
    }

    /// Takes up one topic of brokers that are registered already. Queues of other brokers end the
    /// list; for a topic that is new they spoil it, as in Java.
    pub fn register_topic(&mut self, topic: &Str, queues: Vec<QueueData>) {
        let known = |queue: &QueueData| self.brokers.contains_key(&queue.broker_name);
        let is_new = !self.topics.contains_key(topic);
        if queues.is_empty() || (is_new && !queues.iter().all(known)) {
            return;
        }
        let count = queues.iter().take_while(|queue| known(queue)).count();
        let brokers = self.topics.entry(topic.clone()).or_default();
        let taken = queues.into_iter().take(count);
        brokers.extend(taken.map(|queue| (queue.broker_name.clone(), Held::said(queue))));
    }
}
