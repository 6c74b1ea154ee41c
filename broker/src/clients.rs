//! `Clients`: who is connected, as producer of which groups and consumer of which groups, and what
//! each consumer group subscribes to (Java's `ProducerManager`, `ConsumerManager` and
//! `ConsumerGroupInfo`).
//!
//! Heartbeats put clients in; unregistering, a closed connection and silence take them out. Whoever
//! changes a consumer group gets back whom to tell ([`Changed`]). Not here: configurations of
//! groups ([`crate::groups`]), and sending anything.

use contradiction::{Kinds, Wants};
use message::{Lookup, Str};
use parking_lot::RwLock;
use remoting::body::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use remoting::codes::LanguageCode;
use remoting::peer::Peer;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

mod contradiction;
mod lists;

/// A producer that says nothing for this long is taken out, ms (Java: `CHANNEL_EXPIRED_TIMEOUT`).
const PRODUCER_SILENCE_MS: i64 = 120_000;
/// Groups that one connection may belong to; what comes on top is not remembered.
const GROUPS_LIMIT: usize = 65_536;
/// Members of a group that are told at once that it changed. More are no work for an event loop.
pub(crate) const TOLD_AT_ONCE: usize = 64;

/// A client as one of its connections shows it. `P` is the connection.
#[derive(Clone, Debug)]
pub struct Client<P = Arc<Peer>> {
    /// The name that it gave itself.
    pub id: Str,
    /// The connection's number.
    pub peer_id: u64,
    /// The connection.
    pub peer: P,
    /// The address at its other end.
    pub address: SocketAddr,
    /// The language of its library.
    pub language: LanguageCode,
    /// The version of its library.
    pub version: i32,
}

/// How a group consumes, as the last heartbeat of any member said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habit {
    /// Whether the broker pushes, in the client's eyes.
    pub consume_type: Option<ConsumeType>,
    /// One member gets each message, or all do.
    pub message_model: Option<MessageModel>,
    /// Where a group without offsets begins.
    pub from_where: Option<ConsumeFromWhere>,
}

/// A consumer group whose members changed, and who must learn of it.
#[derive(Debug)]
pub struct Changed<P = Arc<Peer>> {
    /// The group.
    pub group: Str,
    /// Its members' connections; `None` where they are too many to be told at once, and
    /// [`Clients::members`] when they are told.
    pub peers: Option<Vec<P>>,
}

/// What a heartbeat of a consumer says about one group.
#[derive(Debug)]
pub struct Membership<'a> {
    /// The group.
    pub group: &'a Str,
    /// How it consumes.
    pub habit: Habit,
    /// What it subscribes to; `None` leaves it as it is (heartbeat V2 without subscriptions).
    pub subscriptions: Option<Vec<SubscriptionData>>,
    /// A digest of the client's subscriptions, 0 if it makes none.
    pub fingerprint: i32,
}

/// What a heartbeat did to one group.
#[derive(Debug)]
pub struct Registered<P = Arc<Peer>> {
    /// Whether the client must send its subscriptions with the next heartbeat.
    pub wants_subscriptions: bool,
    /// Set if members or subscribed topics changed.
    pub changed: Option<Changed<P>>,
}

/// What silence did.
#[derive(Debug)]
pub struct Expired<P = Arc<Peer>> {
    /// Connections to close.
    pub close: Vec<P>,
    /// Groups whose members changed.
    pub changed: Vec<Changed<P>>,
}

/// How a group consumes, and what: all that a pull has to know. It never changes; a heartbeat that
/// says something new makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Consumers {
    /// How the group consumes.
    pub habit: Habit,
    /// Its subscriptions, by topic.
    pub subscriptions: Lookup<Str, Arc<SubscriptionData>>,
}

/// All connected clients.
#[derive(Debug)]
pub struct Clients<P = Arc<Peer>> {
    state: RwLock<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    producers: HashMap<Str, BTreeMap<u64, Member<P>>>,
    consumers: Lookup<Str, Group<P>>,
    /// The groups of each connection, to find them when it ends.
    peers: HashMap<u64, Groups>,
    /// Moves the choice among a group's producers on.
    turn: usize,
}

#[derive(Debug, Default)]
struct Groups {
    producer: HashSet<Str>,
    consumer: HashSet<Str>,
}

#[derive(Debug)]
struct Member<P> {
    client: Client<P>,
    seen_ms: i64,
    /// What it said last that it wants of the group's topics.
    wants: Wants,
}

#[derive(Debug)]
struct Group<P> {
    members: BTreeMap<u64, Member<P>>,
    consumers: Arc<Consumers>,
    fingerprint: Option<i32>,
    kinds: Kinds,
    contradiction: Option<Arc<contradiction::Contradiction>>,
}

impl<P> Default for Clients<P> {
    fn default() -> Self {
        let state = State {
            producers: HashMap::new(),
            consumers: Lookup::default(),
            peers: HashMap::new(),
            turn: 0,
        };
        Self { state: RwLock::new(state) }
    }
}

impl<P: Clone> Clients<P> {
    /// Puts a client into a producer group, or notes that it is still there.
    pub fn register_producer(&self, group: &Str, client: &Client<P>, now: i64) {
        let mut state = self.state.write();
        let groups = &mut state.peers.entry(client.peer_id).or_default().producer;
        if !join(groups, group) {
            return;
        }
        let members = state.producers.entry(group.clone()).or_default();
        renew(members, client, now);
    }

    /// Puts a client into a consumer group, or notes that it is still there, and takes over what
    /// it says about the group. `notify` is the group's `notifyConsumerIdsChangedEnable`.
    pub fn register_consumer(
        &self,
        membership: Membership<'_>,
        client: &Client<P>,
        notify: bool,
        now: i64,
    ) -> Registered<P> {
        let group = membership.group;
        let mut state = self.state.write();
        let groups = &mut state.peers.entry(client.peer_id).or_default().consumer;
        if !join(groups, group) {
            return Registered { wants_subscriptions: false, changed: None };
        }
        let known = state.consumers.entry(group.clone()).or_default();
        if known.consumers.habit != membership.habit {
            Arc::make_mut(&mut known.consumers).habit = membership.habit;
        }
        let before = known.fingerprint.replace(membership.fingerprint);
        let moved = before.is_some_and(|before| before != membership.fingerprint);
        let wants = membership.subscriptions.as_deref().map(Wants::of);
        let mut changed = renew(&mut known.members, client, now);
        if known.hear(client.peer_id, wants) || changed {
            known.look_for_contradictions(group);
        }
        let mut wants_subscriptions = membership.fingerprint == 0 || moved;
        match membership.subscriptions {
            Some(subscriptions) => changed |= known.subscribe(subscriptions),
            // Java asks for nothing here, and pulls fail until the client's own next change.
            None => wants_subscriptions |= known.consumers.subscriptions.is_empty(),
        }
        let changed = (changed && notify).then(|| known.changed(group)).flatten();
        Registered { wants_subscriptions, changed }
    }

    /// Takes a client out of a producer group.
    pub fn unregister_producer(&self, group: &str, peer_id: u64) {
        let mut state = self.state.write();
        if let Some(groups) = state.peers.get_mut(&peer_id) {
            groups.producer.remove(group);
        }
        state.leave_producers(group, peer_id);
        state.forget_if_idle(peer_id);
    }

    /// Takes a client out of a consumer group.
    pub fn unregister_consumer(
        &self,
        group: &str,
        peer_id: u64,
        notify: bool,
    ) -> Option<Changed<P>> {
        let mut state = self.state.write();
        if let Some(groups) = state.peers.get_mut(&peer_id) {
            groups.consumer.remove(group);
        }
        let changed = state.leave_consumers(group, peer_id);
        state.forget_if_idle(peer_id);
        changed.filter(|_| notify)
    }

    /// Takes out whatever came over a connection that has ended.
    pub fn closed(&self, peer_id: u64) -> Vec<Changed<P>> {
        let mut state = self.state.write();
        let Some(groups) = state.peers.remove(&peer_id) else { return Vec::new() };
        for group in &groups.producer {
            state.leave_producers(group, peer_id);
        }
        groups.consumer.iter().filter_map(|group| state.leave_consumers(group, peer_id)).collect()
    }

    /// Takes out whoever has been silent too long: producers for 120 s, consumers for
    /// `consumer_silence_ms` (Java: `channelExpiredTimeout`). Java tells the rest of a group
    /// nothing then; they would find out 20 s later.
    pub fn expire(&self, consumer_silence_ms: i64, now: i64) -> Expired<P> {
        let state = self.state.read();
        let mut silent: BTreeMap<u64, P> = BTreeMap::new();
        let mut note = |members: &BTreeMap<u64, Member<P>>, silence_ms: i64| {
            for (peer_id, member) in members {
                if now - member.seen_ms > silence_ms {
                    silent.insert(*peer_id, member.client.peer.clone());
                }
            }
        };
        state.producers.values().for_each(|members| note(members, PRODUCER_SILENCE_MS));
        state.consumers.values().for_each(|group| note(&group.members, consumer_silence_ms));
        drop(state);
        // A connection is closed as a whole, so all its groups lose it.
        let changed = silent.keys().flat_map(|peer_id| self.closed(*peer_id)).collect();
        Expired { close: silent.into_values().collect(), changed }
    }

    /// The ids of a group's members; empty if the group is unknown. An id that is there over two
    /// connections counts once: Java names it twice, and queues go to nobody then.
    pub fn consumer_ids(&self, group: &str) -> Vec<Str> {
        let state = self.state.read();
        let members =
            state.consumers.get(group).into_iter().flat_map(|group| group.members.values());
        let ids: BTreeSet<Str> = members.map(|member| member.client.id.clone()).collect();
        ids.into_iter().collect()
    }

    /// A group's members.
    pub fn members(&self, group: &str) -> Vec<Client<P>> {
        let state = self.state.read();
        let members =
            state.consumers.get(group).into_iter().flat_map(|group| group.members.values());
        members.map(|member| member.client.clone()).collect()
    }

    /// Whether a connection is a group's member.
    pub fn is_member(&self, group: &str, peer_id: u64) -> bool {
        let state = self.state.read();
        state.consumers.get(group).is_some_and(|group| group.members.contains_key(&peer_id))
    }

    /// A group's member of this name; of several connections the newest.
    pub fn member(&self, group: &str, id: &str) -> Option<Client<P>> {
        let state = self.state.read();
        let members = &state.consumers.get(group)?.members;
        members.values().rev().find(|m| m.client.id == id).map(|m| m.client.clone())
    }

    /// A producer by its name, whatever its group is; of several connections the newest.
    pub fn producer(&self, id: &str) -> Option<Client<P>> {
        let state = self.state.read();
        let members = state.producers.values().flat_map(BTreeMap::values);
        let its = members.filter(|member| member.client.id == id);
        its.max_by_key(|member| member.client.peer_id).map(|member| member.client.clone())
    }

    /// One of a group's producers, another one each time.
    pub fn any_producer(&self, group: &str) -> Option<Client<P>> {
        let mut state = self.state.write();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        let members = state.producers.get(group)?;
        let member = members.values().nth(turn % members.len().max(1))?;
        Some(member.client.clone())
    }

    /// Whether there is a producer of any group.
    pub fn has_any_producer(&self) -> bool {
        !self.state.read().producers.is_empty()
    }

    /// Whether the group has a producer.
    pub fn has_producers(&self, group: &str) -> bool {
        self.state.read().producers.contains_key(group)
    }

    /// How a group consumes, and what; `None` if it has no member.
    pub fn consumers(&self, group: &str) -> Option<Arc<Consumers>> {
        Some(Arc::clone(&self.state.read().consumers.get(group)?.consumers))
    }

    /// The groups that have a member and subscribe to the topic.
    pub fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let state = self.state.read();
        let groups = state.consumers.iter();
        let with = groups.filter(|(_, group)| group.consumers.subscriptions.contains_key(topic));
        with.map(|(group, _)| group.to_string()).collect()
    }
}

impl<P: Clone> State<P> {
    fn leave_producers(&mut self, group: &str, peer_id: u64) {
        let Some(members) = self.producers.get_mut(group) else { return };
        members.remove(&peer_id);
        if members.is_empty() {
            self.producers.remove(group);
        }
    }

    fn leave_consumers(&mut self, group: &str, peer_id: u64) -> Option<Changed<P>> {
        let known = self.consumers.get_mut(group)?;
        let left = known.members.remove(&peer_id)?;
        known.kinds.change(peer_id, &left.wants, &Wants::default());
        if known.members.is_empty() {
            self.consumers.remove(group);
            return None;
        }
        known.look_for_contradictions(group);
        known.changed(&group.into())
    }

    fn forget_if_idle(&mut self, peer_id: u64) {
        let groups = self.peers.get(&peer_id);
        if groups.is_some_and(|groups| groups.producer.is_empty() && groups.consumer.is_empty()) {
            self.peers.remove(&peer_id);
        }
    }
}

impl Consumers {
    /// Whether each member gets all messages.
    pub fn is_broadcasting(&self) -> bool {
        self.habit.message_model == Some(MessageModel::Broadcasting)
    }

    /// What the group subscribes to of a topic.
    pub fn subscription(&self, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.subscriptions.get(topic).cloned()
    }
}

impl<P> Default for Group<P> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            consumers: Arc::default(),
            fingerprint: None,
            kinds: Kinds::default(),
            contradiction: None,
        }
    }
}

impl<P: Clone> Group<P> {
    /// Notes what a member wants; whether that is new.
    fn hear(&mut self, peer_id: u64, said: Option<Wants>) -> bool {
        let Some((member, said)) = self.members.get_mut(&peer_id).zip(said) else { return false };
        if member.wants == said {
            return false;
        }
        self.kinds.change(peer_id, &member.wants, &said);
        member.wants = said;
        true
    }

    /// Takes newer subscriptions over and drops those of other topics; whether the set of topics
    /// changed. A member that subscribes to other topics than the rest pulls the group to and fro,
    /// as in Java.
    fn subscribe(&mut self, said: Vec<SubscriptionData>) -> bool {
        let known = &self.consumers.subscriptions;
        let newer = |said: &SubscriptionData| {
            known.get(&said.topic).is_none_or(|known| said.sub_version > known.sub_version)
        };
        let topics: HashSet<Str> = said.iter().map(|said| said.topic.clone()).collect();
        let same_topics =
            topics.len() == known.len() && topics.iter().all(|t| known.contains_key(t));
        let news: Vec<SubscriptionData> = said.into_iter().filter(newer).collect();
        if same_topics && news.is_empty() {
            return false;
        }
        let subscriptions = &mut Arc::make_mut(&mut self.consumers).subscriptions;
        subscriptions.retain(|topic, _| topics.contains(topic));
        for subscription in news {
            subscriptions.insert(subscription.topic.clone(), Arc::new(subscription));
        }
        !same_topics
    }

    /// Whom to tell; nobody in a group in which each member gets all messages anyway.
    fn changed(&self, group: &Str) -> Option<Changed<P>> {
        if self.consumers.is_broadcasting() {
            return None;
        }
        let peers = || self.members.values().map(|member| member.client.peer.clone()).collect();
        let peers = (self.members.len() <= TOLD_AT_ONCE).then(peers);
        Some(Changed { group: group.clone(), peers })
    }
}

/// Notes that a connection belongs to a group; false if it belongs to too many.
fn join(groups: &mut HashSet<Str>, group: &Str) -> bool {
    if groups.contains(group) {
        return true;
    }
    if groups.len() >= GROUPS_LIMIT {
        return false;
    }
    groups.insert(group.clone())
}

/// Puts a client in or renews it; whether it is new.
fn renew<P: Clone>(members: &mut BTreeMap<u64, Member<P>>, client: &Client<P>, now: i64) -> bool {
    let mut is_new = false;
    let member = members.entry(client.peer_id).or_insert_with(|| {
        is_new = true;
        Member { client: client.clone(), seen_ms: now, wants: Wants::default() }
    });
    (member.client, member.seen_ms) = (client.clone(), now);
    is_new
}

#[cfg(test)]
mod tests;
