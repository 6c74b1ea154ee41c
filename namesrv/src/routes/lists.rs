//! Lists of topics, and what an operator may change in the route table.

use super::{Held, PERM_READ, PERM_WRITE, Routes};
use message::Str;
use remoting::body::route::TopicList;

/// Bits of a topic's system flag (Java: `TopicSysFlag`).
const UNIT: i32 = 1;
const UNIT_SUBSCRIPTION: i32 = 2;

/// Which topics of units (cells of a larger installation) a list is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Topics of a unit (code 311).
    Topics,
    /// Topics that a unit subscribes to (code 312).
    Subscribed,
    /// Topics that a unit subscribes to and that belong to none (code 313).
    SubscribedByOthers,
}

impl Routes {
    /// Every topic (code 206).
    pub fn all_topics(&self) -> TopicList {
        list(self.topics.keys())
    }

    /// The topics of one cluster (code 224); none for an unknown one.
    pub fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let brokers = self.clusters.get(cluster);
        let held = |queues: &&Str| {
            let queues = &self.topics[*queues];
            brokers.is_some_and(|names| queues.keys().any(|broker| names.contains(broker)))
        };
        list(self.topics.keys().filter(held))
    }

    /// The names that are topics of their own: those of clusters and brokers (code 304), with the
    /// address of one broker that knows more.
    pub fn system_topics(&self) -> TopicList {
        let names = self
            .clusters
            .iter()
            .flat_map(|(cluster, brokers)| std::iter::once(cluster).chain(brokers));
        let mut addresses = self.brokers.values().flat_map(|broker| broker.broker_addrs.values());
        TopicList { broker_addr: addresses.next().cloned(), ..list(names) }
    }

    /// The topics of units.
    pub fn unit_topics(&self, which: Units) -> TopicList {
        let wanted = |flag: i32| match which {
            Units::Topics => flag & UNIT != 0,
            Units::Subscribed => flag & UNIT_SUBSCRIPTION != 0,
            Units::SubscribedByOthers => flag & (UNIT | UNIT_SUBSCRIPTION) == UNIT_SUBSCRIPTION,
        };
        let topics = self.topics.iter().filter(|(_, queues)| {
            queues.values().next().is_some_and(|held| wanted(held.queue.topic_sys_flag))
        });
        list(topics.map(|(topic, _)| topic))
    }

    /// Takes the write permission of all topics of a broker (code 205); gives their number.
    pub fn wipe_write_perm(&mut self, broker: &str) -> i32 {
        self.set_perm(broker, |perm| perm & !PERM_WRITE)
    }

    /// Gives it back (code 327): the topics are readable and writable then, whatever they were.
    pub fn add_write_perm(&mut self, broker: &str) -> i32 {
        self.set_perm(broker, |_| PERM_READ | PERM_WRITE)
    }

    fn set_perm(&mut self, broker: &str, perm: impl Fn(i32) -> i32) -> i32 {
        let held = self.topics.values_mut().filter_map(|queues| queues.get_mut(broker));
        let change = |held: &mut Held| held.queue.perm = perm(held.queue.perm);
        held.map(change).count().try_into().unwrap_or(i32::MAX)
    }

    /// Deletes a topic (code 216), in one cluster or everywhere.
    pub fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(cluster) = cluster else { return self.remove_topic(topic) };
        for broker in self.clusters.get(cluster).cloned().unwrap_or_default() {
            self.remove_queues(topic, &broker);
        }
    }
}

fn list<'a>(topics: impl Iterator<Item = &'a Str>) -> TopicList {
    TopicList { topic_list: topics.cloned().collect(), broker_addr: None }
}
