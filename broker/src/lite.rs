//! `Lite`: which clients read which lite topics, and which of these have something for whom (Java's
//! `LiteSubscriptionRegistry`, `LiteEventDispatcher`, `PopLiteLongPollingService`).
//!
//! A lite topic is a light queue under a parent topic. Of each group one client is offered a queue
//! that has messages; it takes them with its next pop, in order, and the queue is offered again
//! when they are acknowledged or visible again. Nothing is scanned. Not here: what a queue holds,
//! how far groups are, and the requests ([`crate::handlers::lite`]).

pub mod expiry;
pub mod names;

use crate::held::Held;
use crate::pop::order_info::Orders;
use message::Str;
use parking_lot::Mutex;
use remoting::peer::Peer;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Pops of clients that may be held; further ones are answered at once.
const HELD_LIMIT: usize = 100_000;
/// Pops of one client that may be held.
const HELD_EACH: usize = 1_024;
/// Clients that may be known; Java has no bound.
const CLIENTS_LIMIT: usize = 100_000;
/// Subscriptions that there may be, whatever the settings; Java has no bound for COMPLETE_ADD.
const SUBSCRIPTIONS_LIMIT: usize = 1_000_000;
/// After so long others are offered what a client does not come for, ms.
const IDLE_MS: i64 = 10_000;
/// After so long a client is not counted as one that is offered something, ms.
const FORGOTTEN_MS: i64 = 35_000;

/// Who reads lite topics, and what they are offered. `W` is a pop that waits.
#[derive(Debug)]
pub struct Lite<W> {
    table: Mutex<Table<W>>,
    /// Subscriptions: each append asks whether there are any.
    count: AtomicUsize,
    /// What groups took of lite topics and have not acknowledged; it does not outlive the broker
    /// (Java: `MemoryConsumerOrderInfoManager`).
    pub orders: Orders,
    /// When it was last looked for what has expired, in milliseconds since 1970.
    pub looked_ms: AtomicI64,
}

/// A group, and a client of it.
pub type Reader = (Str, Str);

#[derive(Debug)]
struct Table<W> {
    clients: HashMap<Str, Client>,
    /// By light queue, or by [`names::of_all`] of a group that reads all of a parent topic.
    readers: HashMap<Str, BTreeSet<Reader>>,
    /// By parent topic, the groups that read all of it.
    of_all: HashMap<Str, BTreeSet<Str>>,
    /// Rows in `readers`.
    count: usize,
    /// When queues are offered again: time, group, queue; each pair once, at its earliest time.
    later: BTreeSet<(i64, Str, Str)>,
    times: HashMap<(Str, Str), i64>,
    /// Pops that wait, each with its client.
    held: Held<(Str, W)>,
    /// Their numbers, by client, the oldest first.
    waits: HashMap<Str, VecDeque<u64>>,
    turn: usize,
}

#[derive(Debug)]
struct Client {
    group: Str,
    topic: Str,
    peer: Option<Arc<Peer>>,
    queues: BTreeSet<Str>,
    updated_ms: i64,
    seen_ms: i64,
    /// Queues that it is offered, in the order of their coming, each once.
    offered: VecDeque<Str>,
    has: HashSet<Str>,
    /// Whether it was offered something since it was last found idle.
    is_busy: bool,
}

/// There are as many clients or subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a client reads.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// Its group.
    pub group: Str,
    /// The parent topic.
    pub topic: Str,
    /// Its light queues.
    pub queues: BTreeSet<Str>,
    /// When it last took something that it was offered, in milliseconds since 1970; `None` when it
    /// was offered nothing for long.
    pub seen_ms: Option<i64>,
}

/// What a client leaves lying about that it was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The client.
    pub client: Str,
    /// Its group.
    pub group: Str,
    /// The light queues.
    pub queues: Vec<Str>,
}

/// Who subscribes.
#[derive(Clone, Debug)]
pub struct Who<'a> {
    /// The client.
    pub client: &'a Str,
    /// Its group.
    pub group: &'a Str,
    /// The parent topic.
    pub topic: &'a Str,
    /// Its connection.
    pub peer: Option<&'a Arc<Peer>>,
}

/// What offering a queue needs to know of a group.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Only this group; all that read the queue otherwise.
    pub group: Option<&'a str>,
    /// The light queue.
    pub queue: &'a Str,
    /// A client that is offered it only if there is no other one.
    pub rather_not: Option<&'a str>,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// When to try again where each client has that many, in milliseconds since 1970.
    pub again_ms: i64,
}

impl<W> Default for Lite<W> {
    fn default() -> Self {
        let table = Table {
            clients: HashMap::new(),
            readers: HashMap::new(),
            of_all: HashMap::new(),
            count: 0,
            later: BTreeSet::new(),
            times: HashMap::new(),
            held: Held::default(),
            waits: HashMap::new(),
            turn: 0,
        };
        let (count, orders, looked_ms) = Default::default();
        Self { table: Mutex::new(table), count, orders, looked_ms }
    }
}

impl<W> Lite<W> {
    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Takes over how many there are, after a change.
    fn counted(&self, table: &Table<W>) {
        self.count.store(table.count, Ordering::SeqCst);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many clients are offered queues.
    pub fn busy(&self) -> usize {
        self.table.lock().clients.values().filter(|client| client.is_busy).count()
    }

    /// A client reads further queues; gives those that are new to it.
    ///
    /// # Errors
    /// There are too many clients, or subscriptions; nothing has changed then.
    pub fn add(
        &self,
        who: &Who<'_>,
        queues: &BTreeSet<Str>,
        now_ms: i64,
    ) -> Result<Vec<Str>, Full> {
        let mut table = self.table.lock();
        let known = table.clients.get(who.client).map(|client| &client.queues);
        let is_new = |queue: &&Str| known.is_none_or(|known| !known.contains(*queue));
        let more = queues.iter().filter(is_new).count();
        table.meet(who, more, now_ms)?;
        let new = queues.iter().filter(|queue| table.subscribe(who.client, queue));
        let new = new.cloned().collect();
        self.counted(&table);
        Ok(new)
    }

    /// A client no longer reads queues; gives those that it did.
    pub fn remove(&self, who: &Who<'_>, queues: &BTreeSet<Str>, now_ms: i64) -> Vec<Str> {
        let mut table = self.table.lock();
        if table.meet(who, 0, now_ms).is_err() {
            return Vec::new();
        }
        let gone = queues.iter().filter(|queue| table.unsubscribe(who.client, queue));
        let gone = gone.cloned().collect();
        self.counted(&table);
        gone
    }

    /// A client reads these queues and no others; gives those for which that is a change.
    ///
    /// # Errors
    /// There are too many clients, or subscriptions; nothing has changed then.
    pub fn replace(
        &self,
        who: &Who<'_>,
        queues: &BTreeSet<Str>,
        now_ms: i64,
    ) -> Result<Vec<Str>, Full> {
        let mut table = self.table.lock();
        let known = table.clients.get(who.client).map(|client| client.queues.clone());
        let known = known.unwrap_or_default();
        table.meet(who, queues.len().saturating_sub(known.len()), now_ms)?;
        let gone = known.difference(queues).filter(|queue| table.unsubscribe(who.client, queue));
        let mut changed: Vec<Str> = gone.cloned().collect();
        let new = queues.iter().filter(|queue| table.subscribe(who.client, queue));
        changed.extend(new.cloned());
        self.counted(&table);
        Ok(changed)
    }

    /// A client reads nothing any more; gives the group that it was of and what it was offered,
    /// which others are to be offered.
    pub fn leave(&self, client: &str) -> Option<(Str, Vec<Str>)> {
        let mut table = self.table.lock();
        let known = table.clients.get_mut(client)?;
        let (queues, offered) = (known.queues.clone(), std::mem::take(&mut known.offered));
        known.has.clear();
        for queue in &queues {
            table.unsubscribe(client, queue);
        }
        let gone = table.clients.remove(client)?;
        self.counted(&table);
        Some((gone.group, offered.into()))
    }

    /// Takes a queue from the other clients of a group; gives them with their connections.
    pub fn exclude(&self, who: &Who<'_>, queue: &Str) -> Vec<(Str, Option<Arc<Peer>>)> {
        let mut table = self.table.lock();
        let readers = table.readers.get(queue).into_iter().flatten();
        let others = readers.filter(|(group, client)| group == who.group && client != who.client);
        let others: Vec<Str> = others.map(|(_, client)| client.clone()).collect();
        let excluded = others.into_iter().map(|client| {
            table.unsubscribe(&client, queue);
            let peer = table.clients.get(&client).and_then(|known| known.peer.clone());
            (client, peer)
        });
        let excluded = excluded.collect();
        self.counted(&table);
        excluded
    }

    /// Forgets a queue that is gone.
    pub fn forget_queue(&self, queue: &Str) {
        let mut table = self.table.lock();
        let readers = table.readers.get(queue).into_iter().flatten();
        let clients: Vec<Str> = readers.map(|(_, client)| client.clone()).collect();
        for client in clients {
            table.unsubscribe(&client, queue);
        }
        self.counted(&table);
    }

    /// What a client reads.
    pub fn subscribed(&self, client: &str) -> Option<Subscribed> {
        let table = self.table.lock();
        let known = table.clients.get(client)?;
        Some(Subscribed {
            group: known.group.clone(),
            topic: known.topic.clone(),
            queues: known.queues.clone(),
            seen_ms: known.is_busy.then_some(known.seen_ms),
        })
    }

    /// The clients of a group.
    pub fn clients_of(&self, group: &str) -> Vec<Str> {
        let table = self.table.lock();
        let of_group = table.clients.iter().filter(|(_, client)| *client.group == *group);
        of_group.map(|(client, _)| client.clone()).collect()
    }

    /// Who reads a queue.
    pub fn readers(&self, queue: &str) -> Vec<Reader> {
        self.table.lock().readers_of(queue).cloned().collect()
    }

    /// Offers a queue to one client of each group that reads it; gives the pops that can go on. One
    /// client of a group may be offered `most(group)` queues at a time.
    pub fn offer(&self, offer: Offer<'_>, most: impl Fn(&str) -> usize) -> Vec<W> {
        let mut table = self.table.lock();
        let mut groups: BTreeMap<Str, Vec<Str>> = BTreeMap::new();
        for (group, client) in table.readers_of(offer.queue) {
            if offer.group.is_none_or(|only| *only == **group) {
                groups.entry(group.clone()).or_default().push(client.clone());
            }
        }
        let mut woken = Vec::new();
        for (group, clients) in groups {
            table.turn = table.turn.wrapping_add(1);
            match table.choose(&clients, offer, most(&group)) {
                Some(client) => woken.extend(table.give(&client, offer.queue, offer.now_ms)),
                None => table.offer_at(offer.again_ms, group, offer.queue.clone()),
            }
        }
        woken
    }

    /// A queue is to be offered to a group again at a time, in milliseconds since 1970.
    pub fn offer_at(&self, at_ms: i64, group: &str, queue: &Str) {
        self.table.lock().offer_at(at_ms, Str::from(group.to_owned()), queue.clone());
    }

    /// The queues that are to be offered again by now: group, queue.
    pub fn due(&self, now_ms: i64) -> Vec<(Str, Str)> {
        let mut table = self.table.lock();
        let mut due = Vec::new();
        while table.later.first().is_some_and(|(at_ms, ..)| *at_ms <= now_ms) {
            let Some((_, group, queue)) = table.later.pop_first() else { break };
            let due_one = (group, queue);
            table.times.remove(&due_one);
            due.push(due_one);
        }
        due
    }

    /// Gives a queue back to a client that could not take from it yet.
    pub fn offer_again(&self, client: &str, queue: &Str) {
        let mut table = self.table.lock();
        if let Some(known) = table.clients.get_mut(client)
            && known.has.insert(queue.clone())
        {
            known.offered.push_front(queue.clone());
        }
    }

    /// The next queue that a client was offered.
    pub fn take(&self, client: &str, now_ms: i64) -> Option<Str> {
        let mut table = self.table.lock();
        let known = table.clients.get_mut(client)?;
        known.seen_ms = now_ms;
        let queue = known.offered.pop_front()?;
        known.has.remove(&queue);
        Some(queue)
    }

    /// Lets a client's pop wait, or gives it back when too many do or something was offered since.
    pub fn wait(&self, client: &str, (deadline_ms, peer_id): (i64, u64), pop: W) -> Result<(), W> {
        let mut guard = self.table.lock();
        let table = &mut *guard;
        let known = table.clients.get(client);
        let is_offered = known.is_some_and(|known| !known.offered.is_empty());
        let waits = table.waits.get(client).map_or(0, VecDeque::len);
        if is_offered || waits >= HELD_EACH || table.held.len() >= HELD_LIMIT {
            return Err(pop);
        }
        let client = Str::from(client.to_owned());
        table.waits.entry(client.clone()).or_default().push_back(table.held.next());
        table.held.insert(deadline_ms, peer_id, (client, pop));
        Ok(())
    }

    /// Takes out the pops whose time is up.
    pub fn expire(&self, now_ms: i64) -> Vec<W> {
        let mut table = self.table.lock();
        let late = table.held.late(now_ms);
        table.take_out(late)
    }

    /// Forgets the pops of a connection that is gone.
    pub fn forget(&self, peer_id: u64) {
        let mut table = self.table.lock();
        let gone = table.held.of_peer(peer_id);
        table.take_out(gone);
    }

    /// Clients whose subscriptions were not repeated for so long.
    pub fn silent(&self, timeout_ms: i64, now_ms: i64) -> Vec<Str> {
        let table = self.table.lock();
        let is_silent = |client: &Client| now_ms.saturating_sub(client.updated_ms) > timeout_ms;
        let silent = table.clients.iter().filter(|(_, client)| is_silent(client));
        silent.map(|(client, _)| client.clone()).collect()
    }

    /// Takes back what clients were offered and leave lying about; their subscriptions stay.
    pub fn take_back(&self, now_ms: i64) -> Vec<Left> {
        let mut left = Vec::new();
        for (name, client) in &mut self.table.lock().clients {
            let idle_ms = now_ms.saturating_sub(client.seen_ms);
            if client.is_busy && (idle_ms > FORGOTTEN_MS || client.is_idle(idle_ms)) {
                client.is_busy = false;
                client.has.clear();
                let queues = std::mem::take(&mut client.offered).into();
                left.push(Left { client: name.clone(), group: client.group.clone(), queues });
            }
        }
        left
    }

    /// Takes out all pops that wait.
    pub fn drain(&self) -> Vec<W> {
        self.expire(i64::MAX)
    }
}

impl<W> Table<W> {
    /// Notes a client, if there is room for it and for so many further subscriptions.
    fn meet(&mut self, who: &Who<'_>, more: usize, now_ms: i64) -> Result<(), Full> {
        let is_new = !self.clients.contains_key(who.client);
        let is_full = self.count + more > SUBSCRIPTIONS_LIMIT;
        if is_full || is_new && self.clients.len() >= CLIENTS_LIMIT {
            return Err(Full);
        }
        let client = self.clients.entry(who.client.clone()).or_insert_with(|| Client {
            group: who.group.clone(),
            topic: who.topic.clone(),
            peer: None,
            queues: BTreeSet::new(),
            updated_ms: now_ms,
            seen_ms: now_ms,
            offered: VecDeque::new(),
            has: HashSet::new(),
            is_busy: false,
        });
        client.updated_ms = now_ms;
        client.peer = who.peer.cloned().or_else(|| client.peer.take());
        Ok(())
    }

    fn offer_at(&mut self, at_ms: i64, group: Str, queue: Str) {
        let pair = (group, queue);
        match self.times.get(&pair) {
            Some(known) if *known <= at_ms => return,
            Some(known) => {
                let (group, queue) = pair.clone();
                self.later.remove(&(*known, group, queue));
            }
            None => {}
        }
        let (group, queue) = pair.clone();
        self.later.insert((at_ms, group, queue));
        self.times.insert(pair, at_ms);
    }

    fn subscribe(&mut self, client: &Str, queue: &Str) -> bool {
        let Some(known) = self.clients.get_mut(client) else { return false };
        known.queues.insert(queue.clone());
        let reader = (known.group.clone(), client.clone());
        if *queue == names::of_all(&known.topic, &known.group) {
            self.of_all.entry(known.topic.clone()).or_default().insert(known.group.clone());
        }
        let is_new = self.readers.entry(queue.clone()).or_default().insert(reader);
        self.count += usize::from(is_new);
        is_new
    }

    fn unsubscribe(&mut self, client: &str, queue: &Str) -> bool {
        let Some(known) = self.clients.get_mut(client) else { return false };
        known.queues.remove(queue);
        if known.has.remove(queue) {
            known.offered.retain(|one| one != queue);
        }
        let (topic, group) = (known.topic.clone(), known.group.clone());
        let Some(readers) = self.readers.get_mut(queue) else { return false };
        let was_there = readers.remove(&(group.clone(), Str::from(client.to_owned())));
        if readers.is_empty() {
            self.readers.remove(queue);
            if *queue == names::of_all(&topic, &group)
                && let Some(groups) = self.of_all.get_mut(&topic)
            {
                groups.remove(&group);
            }
        }
        self.count -= usize::from(was_there);
        was_there
    }

    /// Who reads a queue, by its name or as one of all of its parent topic.
    fn readers_of<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Reader> {
        let of_name = self.readers.get(queue).into_iter().flatten();
        let parent = names::parts(queue).map_or("", |(parent, _)| parent);
        let groups = self.of_all.get(parent).into_iter().flatten();
        let of_all = groups.filter_map(|group| self.readers.get(&*names::of_all(parent, group)));
        of_name.chain(of_all.flatten())
    }

    /// The client that is offered a queue: one that has it, one that waits, else the next in turn.
    fn choose(&self, clients: &[Str], offer: Offer<'_>, most: usize) -> Option<Str> {
        let from = self.turn % clients.len().max(1);
        let in_turn = || clients.iter().cycle().skip(from).take(clients.len());
        let others = || in_turn().filter(|client| offer.rather_not != Some(&***client));
        let known = |client: &&Str| self.clients.get(*client);
        let has_it = |client: &&Str| known(client).is_some_and(|of| of.has.contains(offer.queue));
        let waits = |client: &&Str| self.waits.contains_key(*client);
        let has_room = |client: &&Str| known(client).is_some_and(|of| of.offered.len() < most);
        let chosen = others().find(has_it).or_else(|| others().find(waits));
        chosen.or_else(|| others().find(has_room)).or_else(|| in_turn().find(has_room)).cloned()
    }

    /// Offers a queue to a client; gives one of its pops that wait.
    fn give(&mut self, client: &str, queue: &Str, now_ms: i64) -> Option<W> {
        let known = self.clients.get_mut(client)?;
        if known.has.insert(queue.clone()) {
            known.offered.push_back(queue.clone());
        }
        if !std::mem::replace(&mut known.is_busy, true) {
            known.seen_ms = now_ms;
        }
        let waits = self.waits.get_mut(client)?;
        let id = waits.pop_front();
        if waits.is_empty() {
            self.waits.remove(client);
        }
        self.held.remove(id?).map(|(_, pop)| pop)
    }

    fn take_out(&mut self, ids: Vec<u64>) -> Vec<W> {
        let taken = ids.into_iter().filter_map(|id| {
            let (client, pop) = self.held.remove(id)?;
            if let Entry::Occupied(mut waits) = self.waits.entry(client) {
                waits.get_mut().retain(|one| *one != id);
                if waits.get().is_empty() {
                    waits.remove();
                }
            }
            Some(pop)
        });
        taken.collect()
    }
}

impl Client {
    /// Whether it does not come for what it is offered.
    fn is_idle(&self, idle_ms: i64) -> bool {
        !self.offered.is_empty() && idle_ms > IDLE_MS
    }
}

#[cfg(test)]
mod tests;
