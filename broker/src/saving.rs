//! Topics and groups that changed and are not saved yet, and the answers that wait for that.
//!
//! A handler changes a table in memory and goes on; one thread saves what changed, once for all
//! changes that came meanwhile. No answer leaves before what it may rest on is saved, and none to a
//! request that made a topic before the name servers know of it: the next thing that they are asked
//! is where it is. Where a change cannot be saved, who ordered it is refused; the change stays, and
//! is saved as soon as that is possible. The thread is `housekeeping`'s.

use parking_lot::{Condvar, Mutex};
use remoting::codes::ResponseCode;
use remoting::reply::{Answer, Answers, Asker, Refusal, RequestId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// An answer, and who waits for it.
pub type Told = (Asker, Answer);

/// What waits to be saved.
#[derive(Debug, Default)]
pub struct Saving {
    state: Mutex<State>,
    rung: Condvar,
    changes: AtomicU64,
    saved: AtomicU64,
    /// Whether anybody made a topic that the name servers may not know.
    is_making: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    topics: bool,
    groups: bool,
    waiting: Vec<Told>,
    /// Who made a topic and has no answer yet, and with which change.
    makers: HashMap<RequestId, u64>,
    /// Answers that are given when the name servers know of a change.
    untold: Vec<(u64, Told)>,
    /// The last change of topics, and the last change that the name servers know of.
    last_topics: u64,
    told_to: u64,
    /// Who ordered a change that is not saved yet, and the answer to that.
    ordered: Vec<Ordered>,
    stopping: bool,
}

/// A change that somebody ordered, who is refused where it cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Topics were made or changed; it is answered when the name servers know them.
    Topics,
    /// Topics were removed.
    Removal,
    /// Groups were made, changed or removed.
    Groups,
}

#[derive(Debug)]
struct Ordered {
    change: u64,
    order: Order,
    told: Told,
}

/// Why the changes of each table stand in memory alone, where they do.
#[derive(Debug, Default)]
pub struct Unkept {
    /// Those of topics.
    pub topics: Option<String>,
    /// Those of groups.
    pub groups: Option<String>,
}

/// Why the thread that saves was woken.
#[derive(Debug)]
pub enum Wake {
    /// Something changed.
    Round(Round),
    /// Nothing did for as long as it wanted to wait.
    Due,
    /// The broker stops, and everything is saved.
    Stop,
}

/// What one round of saving has to do.
#[derive(Debug)]
pub struct Round {
    /// The topics changed.
    pub topics: bool,
    /// The groups changed.
    pub groups: bool,
    /// The last change that it saves.
    pub change: u64,
    waiting: Vec<Told>,
    ordered: Vec<Ordered>,
}

impl Saving {
    /// Something changed as somebody ordered, who is answered when it is saved, and refused where
    /// it cannot be.
    pub fn ordered(&self, order: Order, told: Told) {
        self.change(|state, change| {
            let of_groups = order == Order::Groups;
            if of_groups {
                state.groups = true;
            } else {
                state.topics_changed(change);
            }
            state.ordered.push(Ordered { change, order, told });
        });
    }

    /// The topics changed; `told` is answered when the name servers know them.
    pub fn topics_changed(&self, told: Option<Told>) {
        self.change(|state, change| {
            state.topics_changed(change);
            state.untold.extend(told.map(|told| (change, told)));
        });
    }

    /// A request made a topic; its answer is given when the name servers know it.
    pub fn topic_made(&self, by: RequestId) {
        self.change(|state, change| {
            state.topics_changed(change);
            state.makers.insert(by, change);
            self.is_making.store(true, Ordering::Release);
        });
    }

    /// The name servers know of the changes up to this one: gives the answers that waited for it.
    pub fn told(&self, change: u64) {
        let mut state = self.state.lock();
        state.told_to = state.told_to.max(change);
        state.makers.retain(|_, made| *made > change);
        self.is_making.store(!state.makers.is_empty(), Ordering::Release);
        let ready = state.untold.extract_if(.., |(made, _)| *made <= change);
        let ready: Vec<Told> = ready.map(|(_, told)| told).collect();
        drop(state);
        answer_all(ready);
    }

    /// The groups changed.
    pub fn groups_changed(&self) {
        self.change(|state, _| state.groups = true);
    }

    fn change(&self, note: impl FnOnce(&mut State, u64)) {
        let mut state = self.state.lock();
        let before = self.changes.fetch_add(1, Ordering::Release);
        note(&mut state, before + 1);
        self.rung.notify_one();
    }

    /// Whether an answer may have to wait: something is not saved, or a new topic not told yet.
    pub fn is_behind(&self) -> bool {
        self.is_unsaved() || self.is_making.load(Ordering::Acquire)
    }

    /// Whether topics changed that are not saved, or that the name servers may not know.
    pub fn has_untold(&self) -> bool {
        let state = self.state.lock();
        state.last_topics > state.told_to
    }

    fn is_unsaved(&self) -> bool {
        self.changes.load(Ordering::Acquire) != self.saved.load(Ordering::Acquire)
    }

    /// Keeps the answer until everything that changed before is saved, and the topic told that its
    /// request made; gives it back where it need not wait.
    pub fn keep(&self, asker: Asker, answer: Answer) -> Option<Told> {
        if !self.is_behind() {
            return Some((asker, answer));
        }
        let mut state = self.state.lock();
        if let Some(change) = state.makers.remove(&asker.request()) {
            state.untold.push((change, (asker, answer)));
        } else if self.is_unsaved() {
            state.waiting.push((asker, answer));
        } else {
            return Some((asker, answer));
        }
        None
    }

    /// Waits for something to save, not longer than `patience`.
    pub fn wait(&self, patience: Option<Duration>) -> Wake {
        let mut state = self.state.lock();
        while !self.is_unsaved() {
            if state.stopping {
                return Wake::Stop;
            }
            match patience {
                None => self.rung.wait(&mut state),
                Some(patience) => {
                    if self.rung.wait_for(&mut state, patience).timed_out() && !self.is_unsaved() {
                        return Wake::Due;
                    }
                }
            }
        }
        Wake::Round(Round {
            topics: std::mem::take(&mut state.topics),
            groups: std::mem::take(&mut state.groups),
            waiting: std::mem::take(&mut state.waiting),
            ordered: std::mem::take(&mut state.ordered),
            change: self.changes.load(Ordering::Acquire),
        })
    }

    /// The round is done: gives the answers that waited for it. The name servers are told after
    /// this.
    pub fn done(&self, round: Round, unkept: &Unkept) {
        let mut waiting = round.waiting;
        {
            let mut state = self.state.lock();
            for Ordered { change, order, told } in round.ordered {
                let of_groups = order == Order::Groups;
                match if of_groups { &unkept.groups } else { &unkept.topics } {
                    Some(why) => {
                        let refusal = Refusal::new(ResponseCode::SYSTEM_ERROR, why.clone());
                        waiting.push((told.0, refusal.into()));
                    }
                    None if order == Order::Topics => state.untold.push((change, told)),
                    None => waiting.push(told),
                }
            }
            self.saved.store(round.change, Ordering::Release);
            if !self.is_unsaved() {
                waiting.append(&mut state.waiting);
            }
        }
        answer_all(waiting);
    }

    /// Lets the thread end when everything is saved.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.rung.notify_all();
    }
}

impl State {
    fn topics_changed(&mut self, change: u64) {
        self.topics = true;
        self.last_topics = change;
    }
}

fn answer_all(ready: Vec<Told>) {
    let mut answers = Answers::default();
    for (asker, answer) in ready {
        answers.push(&asker, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::peer::Peer;
    use remoting::reply::Ticket;
    use std::sync::Arc;

    fn round(saving: &Saving) -> Round {
        match saving.wait(None) {
            Wake::Round(round) => round,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_round_saves_all_changes_before_it_and_none_after() {
        let saving = Saving::default();
        saving.topics_changed(None);
        saving.topics_changed(None);
        let first = round(&saving);
        assert!(first.topics && !first.groups);
        saving.groups_changed();
        saving.done(first, &Unkept::default());
        assert!(saving.is_behind());
        let second = round(&saving);
        assert!(!second.topics && second.groups);
        saving.done(second, &Unkept::default());
        assert!(!saving.is_behind());
        assert!(matches!(saving.wait(Some(Duration::ZERO)), Wake::Due));
        saving.stop();
        assert!(matches!(saving.wait(None), Wake::Stop));
    }

    #[test]
    fn only_who_made_a_topic_waits_for_the_name_servers() {
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let asker = |opaque| {
            let mut request = Command::request(RequestCode::SEND_MESSAGE_V2);
            request.head.opaque = opaque;
            Asker::new(&peer, Ticket::of(&request))
        };
        let saving = Saving::default();
        let is_kept = |opaque| saving.keep(asker(opaque), Answer::success()).is_none();
        assert!(!is_kept(1), "nothing changed");
        saving.topic_made(asker(1).request());
        assert!(is_kept(2), "it is not saved");
        let round = round(&saving);
        let change = round.change;
        saving.done(round, &Unkept::default());
        let written = peer.take_unwritten().concat().len();
        assert!(written > 0 && !is_kept(3) && is_kept(1) && saving.is_behind());
        saving.told(change);
        assert_eq!(peer.take_unwritten().concat().len(), written);
        assert!(!saving.is_behind());
    }

    #[test]
    fn who_ordered_what_is_not_kept_is_refused_and_nobody_else() {
        let address = "127.0.0.1:7".parse().unwrap();
        let told = || {
            let peer = Arc::new(Peer::new(address, address));
            let request = Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC);
            (peer.clone(), (Asker::new(&peer, Ticket::of(&request)), Answer::success()))
        };
        let said =
            |peer: &Peer| String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned();
        let saving = Saving::default();
        let [(topic, topic_told), (removal, removal_told), (group, group_told), (beat, beat_told)] =
            [told(), told(), told(), told()];
        saving.ordered(Order::Topics, topic_told);
        saving.ordered(Order::Removal, removal_told);
        saving.ordered(Order::Groups, group_told);
        saving.topics_changed(Some(beat_told));
        let first = round(&saving);
        let change = first.change;
        saving.done(first, &Unkept { topics: Some("full".to_owned()), groups: None });
        assert!(said(&topic).contains("full") && said(&removal).contains("full"));
        assert!(said(&group).contains(r#""code":0,"#) && said(&beat).is_empty());
        saving.told(change);
        assert!(said(&beat).contains(r#""code":0,"#) && said(&topic).is_empty());

        let (topic, topic_told) = told();
        saving.ordered(Order::Topics, topic_told);
        let second = round(&saving);
        let change = second.change;
        saving.done(second, &Unkept::default());
        assert!(said(&topic).is_empty(), "the name servers do not know it");
        saving.told(change);
        assert!(said(&topic).contains(r#""code":0,"#));
    }

    #[test]
    fn a_stop_waits_for_what_is_not_saved() {
        let saving = Saving::default();
        saving.groups_changed();
        saving.stop();
        let last = round(&saving);
        saving.done(last, &Unkept::default());
        assert!(matches!(saving.wait(None), Wake::Stop));
    }
}
