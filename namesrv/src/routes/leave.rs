//! A broker leaves: it says so (code 104), its connection ends, or its heartbeat stays away.

use super::{Identity, Notice, PERM_WRITE, PRIMARY, Policy, Routes};
use message::Str;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One broker that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its cluster.
    pub cluster: Str,
    /// Its name.
    pub broker: Str,
    /// Its id under that name.
    pub broker_id: i64,
    /// Where clients reached it.
    pub address: Str,
}

/// What a look for silent brokers found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Connections to close: no broker that still lives speaks over them.
    pub connections: Vec<u64>,
    /// What other brokers must be told.
    pub notices: Vec<Notice>,
}

impl Routes {
    /// Takes brokers out of the routes, and their topics if nobody else has them.
    pub fn unregister(&mut self, leaving: &[Leaving], policy: Policy) -> Vec<Notice> {
        let mut removed = BTreeSet::new();
        let mut reduced = BTreeSet::new();
        let mut new_min = HashMap::new();
        for one in leaving {
            let known = self.live.remove(&Self::identity(&one.cluster, &one.address)).is_some();
            tracing::info!(cluster = %one.cluster, broker = %one.broker, id = one.broker_id,
                address = %one.address, known, "broker unregistered");
            let Some(broker) = self.brokers.get_mut(&one.broker) else { continue };
            let min = broker.broker_addrs.first_key_value().map(|(id, _)| *id);
            broker.broker_addrs.retain(|_, address| *address != one.address);
            if broker.broker_addrs.is_empty() {
                self.brokers.remove(&one.broker);
                self.leave_clusters(&one.broker);
                removed.insert(&one.broker);
            } else {
                reduced.insert(&one.broker);
                if min == Some(one.broker_id) {
                    new_min.insert(&one.broker, &one.address);
                }
            }
        }
        self.forget_queues(&removed);
        self.forbid_writes(&reduced);
        if !policy.notify_min_id {
            return Vec::new();
        }
        let stay = |broker: &Str| self.brokers.get(broker).filter(|left| left.enable_acting_master);
        let notices = new_min.into_iter().filter_map(|(broker, offline)| {
            Notice::new(&stay(broker)?.broker_addrs, Some(offline.clone()), None)
        });
        notices.collect()
    }

    fn leave_clusters(&mut self, broker: &str) {
        self.clusters.retain(|_, names| {
            names.remove(broker);
            !names.is_empty()
        });
    }

    /// Takes the queues of brokers that are gone for good.
    fn forget_queues(&mut self, brokers: &BTreeSet<&Str>) {
        if brokers.is_empty() {
            return;
        }
        let mappings = &mut self.mappings;
        self.topics.retain(|topic, queues| {
            for broker in brokers {
                queues.remove(*broker);
            }
            if queues.is_empty() {
                mappings.remove(topic);
            }
            !queues.is_empty()
        });
    }

    /// Makes the queues of brokers that lost their primary read-only, where a replica stands in.
    fn forbid_writes(&mut self, brokers: &BTreeSet<&Str>) {
        let lost = brokers.iter().filter(|name| {
            self.brokers.get(**name).is_some_and(|broker| {
                broker.enable_acting_master && !broker.broker_addrs.contains_key(&PRIMARY)
            })
        });
        let lost: Vec<&Str> = lost.copied().collect();
        for queues in self.topics.values_mut() {
            for broker in &lost {
                if let Some(held) = queues.get_mut(*broker) {
                    held.queue.perm &= !PERM_WRITE;
                }
            }
        }
    }

    /// A connection ended: the brokers that spoke over it last are gone. Brokers that have spoken
    /// over another one since stay, however late this is told.
    pub fn connection_closed(&mut self, connection: u64, policy: Policy) -> Vec<Notice> {
        let gone = self.live.iter().filter(|(_, live)| live.connection == connection);
        let gone: Vec<Identity> = gone.map(|(identity, _)| identity.clone()).collect();
        self.lose(&gone, policy)
    }

    /// Takes out the brokers whose heartbeat stayed away.
    pub fn expire(&mut self, policy: Policy, now: i64) -> Expired {
        let silent =
            self.live.iter().filter(|(_, live)| live.seen_ms.saturating_add(live.timeout_ms) < now);
        let silent: BTreeMap<Identity, u64> =
            silent.map(|(identity, live)| (identity.clone(), live.connection)).collect();
        for identity in silent.keys() {
            tracing::warn!(address = %identity.address, "no sign of life from this broker");
        }
        let gone: Vec<Identity> = silent.keys().cloned().collect();
        let notices = self.lose(&gone, policy);
        let mut connections: Vec<u64> = silent.into_values().collect();
        connections.sort_unstable();
        connections.dedup();
        connections.retain(|id| self.live.values().all(|live| live.connection != *id));
        Expired { connections, notices }
    }

    fn lose(&mut self, gone: &[Identity], policy: Policy) -> Vec<Notice> {
        let leaving: Vec<Leaving> = gone.iter().flat_map(|one| self.leaving(one)).collect();
        // Another process may have taken over the name and the id, with another address.
        for identity in gone {
            self.live.remove(identity);
        }
        if leaving.is_empty() { Vec::new() } else { self.unregister(&leaving, policy) }
    }

    /// Every name and id that an address is registered under. A name belongs to the cluster that
    /// took it first, so the cluster alone does not find it.
    fn leaving(&self, identity: &Identity) -> impl Iterator<Item = Leaving> {
        let last = self.live.get(identity).map(|live| &live.broker);
        let brokers = self.brokers.values();
        let brokers = brokers
            .filter(move |one| one.cluster == identity.cluster || Some(&one.broker_name) == last);
        let all = brokers.flat_map(|one| one.broker_addrs.iter().map(move |held| (one, held)));
        all.filter(|(_, (_, address))| **address == identity.address).map(|(broker, (id, _))| {
            Leaving {
                cluster: identity.cluster.clone(),
                broker: broker.broker_name.clone(),
                broker_id: *id,
                address: identity.address.clone(),
            }
        })
    }
}
