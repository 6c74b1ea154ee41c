//! Members of one group that want different messages: each then gets queues whose messages the
//! others filter by their own wish, and messages are passed over for good. Java says nothing; here
//! it is found at the heartbeat, told in the log, and shown to operators (203, 28).

use super::{Clients, Group};
use message::{Str, names};
use remoting::body::heartbeat::SubscriptionData;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Groups that are named at most, to keep an answer short.
const NAMED: usize = 20;

/// What a member wants: an expression for each topic, whatever the order of its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wants(BTreeMap<Str, String>);

impl Wants {
    /// What a heartbeat says. A group's retry topic is everybody's.
    pub(super) fn of(said: &[SubscriptionData]) -> Self {
        let said = said.iter().filter(|said| !names::is_retry(&said.topic));
        Self(said.map(|said| (said.topic.clone(), expression(said))).collect())
    }
}

fn expression(said: &SubscriptionData) -> String {
    if said.tags_set.is_empty() {
        return said.sub_string.as_deref().unwrap_or_default().to_owned();
    }
    let tags: Vec<&str> = said.tags_set.iter().map(|tag| &**tag).collect();
    tags.join(" || ")
}

/// Two members of a group that want different messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    topic: Str,
    members: [(Str, Option<String>); 2],
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subscriptions contradict each other: ")?;
        for (place, (id, wants)) in self.members.iter().enumerate() {
            let and = if place > 0 { ", " } else { "" };
            match wants {
                Some(wants) => write!(f, "{and}{id} wants {wants:?} of {}", self.topic)?,
                None => write!(f, "{and}{id} wants nothing of {}", self.topic)?,
            }
        }
        write!(f, "; messages that only one of them wants are lost to the group")
    }
}

/// The members of a group by what they want, for a look that does not grow with them. Those that
/// want nothing yet contradict nobody.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<Wants, BTreeSet<u64>>);

impl Kinds {
    /// Notes that the member of a connection wants something else.
    pub(super) fn change(&mut self, peer_id: u64, before: &Wants, now: &Wants) {
        if let Some(alike) = self.0.get_mut(before) {
            alike.remove(&peer_id);
            if alike.is_empty() {
                self.0.remove(before);
            }
        }
        if !now.0.is_empty() {
            self.0.entry(now.clone()).or_default().insert(peer_id);
        }
    }
}

impl<P> Group<P> {
    /// A contradiction among two kinds of members.
    fn find(&self) -> Option<Contradiction> {
        let mut kinds = self.kinds.0.iter();
        let mut two = [kinds.next()?, kinds.next()?];
        two.sort_by_key(|(_, members)| members.first());
        let [left, right] = two.map(|(wants, _)| &wants.0);
        let topic = left.keys().chain(right.keys()).find(|t| left.get(*t) != right.get(*t))?;
        let [first, other] = two.map(|(wants, members)| {
            let member = self.members.get(members.first()?)?;
            Some((member.client.id.clone(), wants.0.get(topic).cloned()))
        });
        Some(Contradiction { topic: topic.clone(), members: [first?, other?] })
    }

    /// Looks again, as a member came, went or changed its mind; tells the log what is new.
    pub(super) fn look_for_contradictions(&mut self, name: &str) {
        let found = self.find().map(Arc::new);
        if found == self.contradiction {
            return;
        }
        match &found {
            Some(found) => tracing::warn!(group = name, "{found}"),
            None => tracing::info!(group = name, "subscriptions agree again"),
        }
        self.contradiction = found;
    }
}

impl<P: Clone> Clients<P> {
    /// What the members of a group contradict each other in.
    pub fn contradiction(&self, group: &str) -> Option<Arc<Contradiction>> {
        self.state.read().consumers.get(group)?.contradiction.clone()
    }

    /// The groups whose members contradict each other, the first few by name.
    pub fn contradicting_groups(&self) -> Vec<Str> {
        let state = self.state.read();
        let with = state.consumers.iter().filter(|(_, group)| group.contradiction.is_some());
        let mut names: Vec<Str> = with.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.truncate(NAMED);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_goes_with_its_last_member() {
        let nothing = Wants::default();
        let wants = |text: &str| Wants([("T".into(), text.to_owned())].into());
        let mut kinds = Kinds::default();
        kinds.change(1, &nothing, &wants("a"));
        kinds.change(2, &nothing, &wants("a"));
        kinds.change(2, &wants("a"), &wants("b"));
        kinds.change(3, &nothing, &nothing);
        assert_eq!(kinds.0.keys().collect::<Vec<_>>(), [&wants("a"), &wants("b")]);
        kinds.change(1, &wants("a"), &nothing);
        kinds.change(2, &wants("b"), &nothing);
        assert!(kinds.0.is_empty());
    }
}
