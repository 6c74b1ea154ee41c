//! What happens around an append: waiting for the flush, and telling the consumers that wait.

use crate::broker::Broker;
use crate::flush::{Arrival, Durable, Unanswered, Unflushed};
use crate::handlers::{lite, notification, pop, pull};
use crate::hold::Seen;
use crate::put::{self, Effect, Sender, Waits};
use bytes::Bytes;
use message::{Str, hash, names, properties, property};
use remoting::reply::{Answer, Answers, Asker, Reply};
use std::time::Duration;
use store::{Append, AppendError, Appended, light};

impl Broker {
    /// Stores messages, counts them, and tells whoever waits for them, now or when they are
    /// durable: under `SYNC_FLUSH` nobody sees what a crash could take back.
    pub fn append(&self, appends: &mut [Append], now_ms: i64) {
        if appends.is_empty() {
            return;
        }
        self.store.append(now_ms, appends);
        self.tell_followed(now_ms);
        for run in appends.chunk_by(|one, next| one.drafts.topic() == next.drafts.topic()) {
            self.count(run);
        }
        let nobody_pops = self.pops.waiting.is_empty() && self.notices.is_empty();
        let nobody_waits = self.holds.is_empty() && nobody_pops && self.lite.is_empty();
        if nobody_waits && !self.flushes_first() {
            return;
        }
        for append in &*appends {
            if let Ok(stored) = &append.outcome {
                self.arrive(append, stored, now_ms);
            }
        }
        if self.flushes_first() {
            self.wake_flusher_for_enough(&self.unflushed.0.lock());
        }
    }

    /// Answers whoever waits at compacted queues that took messages over.
    pub fn tell_followed(&self, now_ms: i64) {
        for (topic, queue_id) in self.store.take_followed() {
            self.tell((&topic, queue_id), i64::MAX, None, now_ms);
        }
    }

    /// Counts what became of appends to one topic.
    fn count(&self, appends: &[Append]) {
        let (mut sends, mut messages, mut bytes) = (0, 0, 0);
        for stored in appends.iter().filter_map(|append| append.outcome.ok()) {
            sends += 1;
            messages += stored.count as u64;
            bytes += stored.size.unsigned_abs();
        }
        self.stats.appends_failed(appends.len() as u64 - sends);
        if sends > 0 {
            self.stats.appended(messages, bytes);
            self.stats.sent(appends[0].drafts.topic(), sends, messages, bytes);
        }
    }

    /// Whether answers wait for the flush.
    pub fn flushes_first(&self) -> bool {
        self.store.settings().flush_mode == store::FlushMode::Sync
    }

    fn arrive(&self, append: &Append, stored: &Appended, now_ms: i64) {
        let filters = self.settings().broker.enable_property_filter;
        let light_queues = self.store.settings().light_queues;
        let flushes_first = self.flushes_first();
        for (draft, queue_offset) in append.drafts.as_slice().iter().zip(stored.queue_offset..) {
            let tag = properties::find(&draft.properties, property::TAGS);
            let arrival = Arrival {
                // While it waits it must not keep all the input that its texts are lent from.
                topic: if flushes_first { Str::from(&*draft.topic) } else { draft.topic.clone() },
                queue_id: draft.queue_id,
                queue_offset,
                tags_code: tag.map_or(0, |tag| i64::from(hash::java_hash(tag))),
                properties: filters.then(|| match flushes_first {
                    true => Bytes::copy_from_slice(&draft.properties),
                    false => draft.properties.clone(),
                }),
            };
            if light_queues {
                for (name, queue_offset) in light::places_of(&draft.topic, &draft.properties) {
                    let topic = Str::from(name);
                    let light = Arrival { topic, queue_id: 0, queue_offset, ..arrival.clone() };
                    self.arrive_one(stored.log_end(), light, now_ms);
                }
            }
            self.arrive_one(stored.log_end(), arrival, now_ms);
        }
    }

    fn arrive_one(&self, log_end: i64, arrival: Arrival, now_ms: i64) {
        if self.flushes_first() {
            self.unflushed.0.lock().arrive(log_end, arrival);
        } else {
            self.arrived(&arrival, now_ms);
        }
    }

    fn wake_flusher_for_enough(&self, unflushed: &Unflushed) {
        if unflushed.is_enough() {
            self.unflushed.1.notify_one();
        }
    }

    fn arrived(&self, arrival: &Arrival, now_ms: i64) {
        let Arrival { topic, queue_id, queue_offset, tags_code, properties } = arrival;
        let message = Seen { tags_code: *tags_code, properties: properties.as_deref() };
        self.tell((topic, *queue_id), *queue_offset, Some(message), now_ms);
        if names::is_lmq(topic) && !self.lite.is_empty() {
            lite::offer(self, None, topic, now_ms);
        }
    }

    /// Lets those go on who wait at a queue for the message at an offset; without a message, for
    /// any up to there.
    fn tell(
        &self,
        (topic, queue_id): (&str, i32),
        queue_offset: i64,
        message: Option<Seen<'_>>,
        now_ms: i64,
    ) {
        for held in self.holds.arrived(topic, queue_id, queue_offset, message) {
            pull::resume(self, held, now_ms);
        }
        let popping = self.pops.waiting.arrived(topic, queue_id, message);
        pop::resume_all(self, popping, now_ms);
        for held in self.notices.arrived(topic, queue_id, message) {
            notification::resume(self, held, now_ms);
        }
    }

    /// Whether this sender's answer must wait until its messages are durable.
    pub fn waits_for_flush(&self, sender: &Sender) -> bool {
        sender.waits != Waits::ForNothing && !sender.ticket.is_oneway() && self.flushes_first()
    }

    /// Gives a sender's answer when the log is durable up to `log_end`, which may be now.
    pub fn answer_when_flushed(&self, waits: Waits, log_end: i64, unanswered: Unanswered) {
        let mut unflushed = self.unflushed.0.lock();
        if log_end <= self.store.flushed_to() {
            drop(unflushed);
            return self.give_saved(unanswered.asker, unanswered.answer);
        }
        if unflushed.failed {
            drop(unflushed);
            let refusal = put::refusal(self, AppendError::Fenced);
            unanswered.asker.answer(refusal.into());
            return;
        }
        match waits {
            Waits::ToBeSure => unflushed.wait_for_other(log_end, unanswered),
            Waits::ToTell | Waits::ForNothing => unflushed.wait(log_end, unanswered),
        }
        self.wake_flusher_for_enough(&unflushed);
    }

    /// The answer to a request of another kind, which had stored what ends at `log_end` (0 for
    /// nothing): now, or later by way of `asker` where answers wait for the flush.
    pub fn reply_when_flushed(
        &self,
        log_end: i64,
        answer: Answer,
        now_ms: i64,
        asker: impl FnOnce() -> Asker,
    ) -> Reply<Effect> {
        if log_end == 0 || !self.flushes_first() {
            return Reply::Answer(answer);
        }
        self.give_when_flushed(log_end, asker(), answer, now_ms);
        Reply::Later
    }

    /// Gives such an answer when what ends at `log_end` is durable; without `SYNC_FLUSH` as soon as
    /// what it may rest on is saved.
    pub fn give_when_flushed(&self, log_end: i64, asker: Asker, answer: Answer, now_ms: i64) {
        if !self.flushes_first() {
            return self.give_saved(asker, answer);
        }
        let deadline_ms = now_ms + i64::from(self.settings().store.sync_flush_timeout);
        let unanswered = Unanswered { asker, answer, begun_ms: now_ms, deadline_ms };
        self.answer_when_flushed(Waits::ToBeSure, log_end, unanswered);
    }

    /// Gives an answer when the tables that it may rest on are saved, which may be now.
    pub fn give_saved(&self, asker: Asker, answer: Answer) {
        if let Some((asker, answer)) = self.saving.keep(asker, answer) {
            asker.answer(answer);
        }
    }

    /// The store failed: whoever waits for a flush is refused, and so is everybody who comes now.
    pub fn fail_unflushed(&self) {
        let failed = self.unflushed.0.lock().fail();
        for Unanswered { asker, .. } in failed {
            asker.answer(put::refusal(self, AppendError::Fenced).into());
        }
    }

    /// Waits until somebody waits for a flush, or for so long; gives whether somebody does.
    pub fn wait_unflushed(&self, time: Duration) -> bool {
        let (unflushed, rung) = &self.unflushed;
        let mut unflushed = unflushed.lock();
        if unflushed.is_empty() && !unflushed.stopping {
            rung.wait_for(&mut unflushed, time);
        }
        !unflushed.is_empty()
    }

    /// Waits until `count` answers wait for a flush together, or for so long.
    pub fn gather_unflushed(&self, count: usize, time: Duration) {
        let (unflushed, rung) = &self.unflushed;
        let mut unflushed = unflushed.lock();
        unflushed.wanted = count;
        rung.wait_while_for(&mut unflushed, |unflushed| !unflushed.is_enough(), time);
        unflushed.wanted = 0;
    }

    /// Wakes the flusher, because the broker stops.
    pub fn wake_flusher(&self) {
        self.unflushed.0.lock().stopping = true;
        self.unflushed.1.notify_all();
    }

    /// The log is durable up to here: answers what waited for that, tells consumers, and gives how
    /// many had an answer to wait for, those included that wait on.
    pub fn flushed(&self, flushed_to: i64, durable: &mut Durable, now_ms: i64) -> usize {
        let waiting = {
            let mut unflushed = self.unflushed.0.lock();
            unflushed.flushed(flushed_to, durable);
            unflushed.waiting()
        };
        let all = durable.answers.len() + waiting;
        self.answer_all(durable.answers.drain(..), now_ms);
        for arrival in durable.arrivals.drain(..) {
            self.arrived(&arrival, now_ms);
        }
        durable.shrink();
        all
    }

    /// Answers the pulls that wait at this queue: something about it is new, though no message.
    pub fn wake(&self, topic: &str, queue_id: i32, now_ms: i64) {
        for held in self.holds.arrived(topic, queue_id, i64::MAX, None) {
            pull::resume(self, held, now_ms);
        }
    }

    /// Tells those who wait and want few of many messages how far their queues have gone on.
    pub fn tell_overtaken(&self, now_ms: i64) {
        for held in self.holds.overtaken(|topic, queue_id| self.store.read_to(topic, queue_id)) {
            pull::resume(self, held, now_ms);
        }
    }

    /// Ends what waited too long.
    pub fn expire(&self, now_ms: i64) {
        for held in self.holds.expire(now_ms) {
            pull::resume(self, held, now_ms);
        }
        pop::resume_all(self, self.pops.waiting.expire(now_ms), now_ms);
        lite::tick(self, now_ms);
        for held in self.notices.expire(now_ms) {
            notification::resume(self, held, now_ms);
        }
        let late = self.unflushed.0.lock().late(now_ms);
        self.answer_all(late.into_iter(), now_ms);
    }

    /// Gives answers that waited for a flush.
    fn answer_all(&self, all: impl Iterator<Item = Unanswered>, now_ms: i64) {
        let mut answers = Answers::default();
        for Unanswered { asker, answer, begun_ms, .. } in all {
            self.stats.append_took(1, now_ms - begun_ms);
            if let Some((asker, answer)) = self.saving.keep(asker, answer) {
                answers.push(&asker, answer);
            }
        }
    }

    /// Answers all held pulls, because the broker stops.
    pub fn release_holds(&self, now_ms: i64) {
        for held in self.holds.drain() {
            pull::resume(self, held, now_ms);
        }
        pop::release(self, now_ms);
        notification::release(self);
        lite::release(self, now_ms);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the test's own directory")]
mod tests {
    use super::*;
    use crate::cold::{self, Cold};
    use crate::topics;
    use message::Draft;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::headers::pop::{NotificationRequestHeader, PopMessageRequestHeader};
    use remoting::headers::pull::PullMessageRequestHeader;
    use remoting::peer::Peer;
    use remoting::room::Room;
    use remoting::router::{Call, Lane};
    use std::sync::Arc;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn who_waited_is_answered_when_what_the_answer_rests_on_is_saved() {
        let dir = std::env::temp_dir().join(format!("rockhopper-flow-{}", std::process::id()));
        let (broker, _asked) = cold::open(Cold::default(), &dir, NOW);
        broker.topics.update(topics::simple("T", 1), NOW).unwrap();
        let address = "127.0.0.1:7".parse().unwrap();
        let peers = [(); 3].map(|()| Arc::new(Peer::new(address, address)));
        let (command, room) = (Command::request(RequestCode::POP_MESSAGE), Room::default());
        let call =
            |peer| Call { peer, command: &command, now_ms: NOW, lane: Lane::Inline, room: &room };
        // The groups are new.
        let (max_msg_nums, topic) = (32, Str::from("T"));
        let pull = PullMessageRequestHeader {
            consumer_group: "pulls".into(),
            topic: topic.clone(),
            max_msg_nums,
            sys_flag: 2 | 4,
            suspend_timeout_millis: 60_000,
            subscription: Some("*".into()),
            ..PullMessageRequestHeader::default()
        };
        pull::pull(&broker, &call(&peers[0]), pull).unwrap();
        let (invisible_time, poll_time) = (60_000, 60_000);
        let (consumer_group, order) = (Str::from("pops"), true);
        let pop = PopMessageRequestHeader {
            consumer_group,
            topic: topic.clone(),
            max_msg_nums,
            invisible_time,
            poll_time,
            born_time: NOW,
            order,
            ..PopMessageRequestHeader::default()
        };
        pop::pop(&broker, &call(&peers[1]), pop).unwrap();
        let (consumer_group, born_time) = (Str::from("asks"), NOW);
        let asks = NotificationRequestHeader {
            consumer_group,
            topic,
            poll_time,
            born_time,
            ..NotificationRequestHeader::default()
        };
        notification::notify(&broker, &call(&peers[2]), asks).unwrap();
        broker.append(
            &mut [Append::one(Draft {
                body: "hello".into(),
                ..Draft::plain("T", NOW, broker.identity.store_host)
            })],
            NOW,
        );
        let answered = || peers.each_ref().map(|peer| !peer.take_unwritten().is_empty());
        assert_eq!((broker.holds.len(), broker.notices.len()), (0, 0), "all were woken");
        assert_eq!(answered(), [false; 3]);
        cold::save(&broker, NOW);
        assert_eq!(answered(), [true; 3]);
        drop(broker);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
