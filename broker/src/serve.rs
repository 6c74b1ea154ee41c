//! A batch of requests, from one connection or many: routed, the messages among them appended
//! together, the answers written. The rest of the shell is [`crate::server`].

use crate::broker::Broker;
use crate::flush::Unanswered;
use crate::put::{Effect, Pending, Sender};
use crate::table::NOT_ON_FAST_PORT;
use parking_lot::Mutex;
use remoting::codes::ResponseCode;
use remoting::command::Command;
use remoting::connection::{Arrived, Serve};
use remoting::outbox::Outbox;
use remoting::peer::Peer;
use remoting::reply::{Answer, Asker, Refusal, Reply, Ticket};
use remoting::room::Room;
use remoting::router::{Call, Lane, Router};
use std::slice;
use std::sync::Arc;
use store::Append;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Requests that may wait for, or run on, the blocking lane; further ones are refused.
pub(crate) const BLOCKING_LIMIT: usize = 10_000;

/// A port of the broker.
pub(crate) struct Port {
    pub(crate) broker: Arc<Broker>,
    pub(crate) router: Arc<Router<Broker, Effect>>,
    /// Whether this is the second port, which takes no pulls.
    pub(crate) fast: bool,
    pub(crate) runtime: Handle,
    /// Room on the blocking lane.
    pub(crate) blocking: Arc<Semaphore>,
    pub(crate) now_ms: fn() -> i64,
    /// What batches that are done left, as many as were served at the same time.
    pub(crate) idle: Mutex<Vec<Batch>>,
}

impl Serve for Port {
    fn serve(&self, arrived: &mut [Arrived]) {
        let mut batch = self.idle.lock().pop().unwrap_or_default();
        batch.begin((self.now_ms)());
        for (from, one) in arrived.iter_mut().enumerate() {
            // What the ones before stored takes its time: a message that came back meanwhile is not
            // popped at a time before that.
            let now_ms = (self.now_ms)();
            one.each(|peer, command, out| {
                let (lane, ticket) = (Lane::Inline, Ticket::of(command));
                match self.run(&Call { peer, command, now_ms, lane, room: &batch.room }) {
                    Reply::Answer(answer) => self.broker.answer_saved(peer, &ticket, answer, out),
                    Reply::Effect(Effect::Append(pending)) => batch.push(from, pending, now_ms),
                    Reply::Effect(Effect::Block) => self.block(peer, command.clone(), out),
                    Reply::Later | Reply::Silent => {}
                }
            });
        }
        batch.store(&self.broker, arrived, self.now_ms);
        self.idle.lock().push(batch);
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.broker.disconnected(peer);
    }
}

impl Port {
    /// What becomes of a request here and now.
    fn run(&self, call: &Call<'_>) -> Reply<Effect> {
        let code = call.command.code();
        if self.fast && NOT_ON_FAST_PORT.contains(&code) {
            let remark = format!(" request type {} not supported on this port", code.0);
            let code = ResponseCode::REQUEST_CODE_NOT_SUPPORTED;
            return Reply::Answer(Refusal::new(code, remark).into());
        }
        match self.router.lane(code) {
            Lane::Blocking => Reply::Effect(Effect::Block),
            Lane::Inline => self.router.run(&self.broker, call),
        }
    }

    /// Runs a request that may take long beside the connection.
    fn block(&self, peer: &Arc<Peer>, command: Command, out: &mut Outbox) {
        let ticket = Ticket::of(&command);
        let Ok(permit) = Arc::clone(&self.blocking).try_acquire_owned() else {
            let remark = "[OVERLOAD]system busy, start flow control for a while";
            ticket.answer(Refusal::new(ResponseCode::SYSTEM_BUSY, remark).into(), out);
            return;
        };
        let (broker, router) = (Arc::clone(&self.broker), Arc::clone(&self.router));
        let (peer, now_ms) = (Arc::clone(peer), self.now_ms);
        self.runtime.spawn_blocking(move || {
            let _permit = permit;
            let begun_ms = now_ms();
            let mut batch = Batch::default();
            batch.begin(begun_ms);
            let (requests, lane) = (Vec::new(), Lane::Blocking);
            let mut arrived = Arrived { peer, requests, out: Outbox::default() };
            let Arrived { peer, out, .. } = &mut arrived;
            let call = Call { peer, command: &command, now_ms: begun_ms, lane, room: &batch.room };
            match router.run(&broker, &call) {
                Reply::Answer(answer) => broker.answer_saved(peer, &ticket, answer, out),
                Reply::Effect(Effect::Append(pending)) => {
                    batch.push(0, pending, begun_ms);
                    batch.store(&broker, slice::from_mut(&mut arrived), now_ms);
                }
                Reply::Effect(Effect::Block) => unreachable!("here a handler may wait"),
                Reply::Later | Reply::Silent => {}
            }
            arrived.peer.send_all(&mut arrived.out);
        });
    }
}

impl Broker {
    /// Answers now, or when the tables that the answer may rest on are saved.
    fn answer_saved(&self, peer: &Arc<Peer>, ticket: &Ticket, answer: Answer, out: &mut Outbox) {
        if !self.saving.is_behind() {
            ticket.answer(answer, out);
        } else if let Some((_, answer)) = self.saving.keep(Asker::new(peer, *ticket), answer) {
            ticket.answer(answer, out);
        }
    }
}

/// What requests that are served together want stored. The room of one that is done serves another.
#[derive(Default)]
pub(crate) struct Batch {
    begun_ms: i64,
    /// When the last of those that want something stored was looked at.
    stamp_ms: i64,
    appends: Vec<Append>,
    /// Who sent each of these, and the number of the connection.
    senders: Vec<(usize, Sender)>,
    room: Room,
}

impl Batch {
    fn begin(&mut self, begun_ms: i64) {
        (self.begun_ms, self.stamp_ms) = (begun_ms, begun_ms);
        self.room.clear();
    }

    fn push(&mut self, from: usize, pending: Pending, now_ms: i64) {
        self.stamp_ms = now_ms;
        self.appends.push(pending.append);
        self.senders.push((from, pending.sender));
    }

    /// Appends all, and answers each sender now or when its messages are durable.
    fn store(&mut self, broker: &Broker, arrived: &mut [Arrived], now_ms: fn() -> i64) {
        if self.appends.is_empty() {
            return;
        }
        let begun_ms = self.begun_ms;
        // A message that was due when it came was not stored before.
        broker.append(&mut self.appends, self.stamp_ms);
        let took_ms = now_ms() - begun_ms;
        let (settings, mut answered) = (broker.settings(), 0);
        for (append, (from, sender)) in self.appends.iter().zip(&self.senders) {
            let Arrived { peer, out, .. } = &mut arrived[*from];
            let stored = match &append.outcome {
                Ok(stored) => stored,
                Err(error) => {
                    answered += 1;
                    let answer = crate::put::refusal(broker, *error).into();
                    broker.answer_saved(peer, &sender.ticket, answer, out);
                    continue;
                }
            };
            let answer = (sender.then)(broker, &settings, sender, append.drafts.as_slice(), stored);
            if broker.waits_for_flush(sender) {
                let timeout_ms = i64::from(settings.store.sync_flush_timeout);
                let asker = Asker::new(peer, sender.ticket);
                let deadline_ms = begun_ms + timeout_ms;
                let unanswered = Unanswered { asker, answer, begun_ms, deadline_ms };
                broker.answer_when_flushed(sender.waits, stored.log_end(), unanswered);
            } else {
                answered += 1;
                broker.answer_saved(peer, &sender.ticket, answer, out);
            }
        }
        broker.stats.append_took(answered, took_ms);
        self.appends.clear();
        self.senders.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use crate::handlers::{ack, recall, send};
    use crate::timer::handle::Handle;
    use crate::{table, topics};
    use bytes::{Buf, Bytes};
    use message::{Draft, Properties, property, record};
    use remoting::codes::RequestCode;
    use remoting::headers::message::RecallMessageRequestHeader;
    use remoting::headers::pop::AckMessageRequestHeader;
    use remoting::headers::send::SendMessageRequestHeader;
    use simulator::SimDisk;
    use std::path::Path;
    use std::sync::atomic::{AtomicI64, Ordering};
    use store::Position;

    const NOW: i64 = 1_700_000_000_000;

    /// A broker that answers when messages are durable, with a message in its one topic.
    fn broker() -> Broker {
        let (broker, _) = cold::open_with(SimDisk::new(7), Path::new("/store"), NOW, |settings| {
            settings.broker.recall_message_enable = true;
            settings.store.flush_disk_type = settings::FlushDiskType::SyncFlush;
        });
        broker.topics.update(topics::simple("T", 1), NOW).unwrap();
        let host = broker.identity.store_host;
        let body = Bytes::from_static(b"popped");
        broker.append(&mut [Append::one(Draft { body, ..Draft::plain("T", NOW, host) })], NOW);
        broker.store.sync().unwrap();
        broker
    }

    /// What is said of something that is stored, when its flush is late.
    fn said_late(
        broker: &Broker,
        run: impl FnOnce(&Call<'_>) -> Result<Reply<Effect>, Refusal>,
    ) -> String {
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let command = Command::request(RequestCode::SEND_MESSAGE).with_body("hello");
        let call =
            Call { peer: &peer, command: &command, now_ms: NOW, lane: Lane::Inline, room: &room };
        let reply = run(&call).unwrap();
        let Reply::Effect(Effect::Append(pending)) = reply else { panic!("{reply:?}") };
        let mut batch = Batch::default();
        batch.begin(NOW);
        batch.push(0, pending, NOW);
        let (requests, out) = (Vec::new(), Outbox::default());
        let mut arrived = Arrived { peer: Arc::clone(&peer), requests, out };
        batch.store(broker, slice::from_mut(&mut arrived), || NOW);
        broker.expire(NOW + 4_999);
        assert_eq!((arrived.out.remaining(), peer.buffered()), (0, 0), "it waits for the flush");
        broker.expire(NOW + 5_000);
        String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned()
    }

    #[test]
    fn a_late_flush_is_told_to_senders_and_is_nothing_to_acknowledgements_and_recalls() {
        let broker = broker();
        let header = SendMessageRequestHeader {
            producer_group: "p",
            topic: "T",
            default_topic: "TBW102",
            ..SendMessageRequestHeader::default()
        };
        let sent = said_late(&broker, |call| send::send(&broker, call, header));
        assert!(sent.contains("\"code\":10,"), "{sent}");
        let header = AckMessageRequestHeader {
            consumer_group: "g".into(),
            topic: "T".into(),
            extra_info: format!("0 {NOW} 60000 0 0 b 0 0").into(),
            ..AckMessageRequestHeader::default()
        };
        let acked = said_late(&broker, |call| ack::ack(&broker, call, header));
        assert!(acked.contains("\"code\":0,"), "{acked}");
        let mut parked = Properties::default();
        parked.set(property::REAL_TOPIC, "T");
        parked.set(property::TIMER_OUT_MS, (NOW + 60_000).to_string());
        parked.set(property::UNIQ_KEY, "ID");
        let header = RecallMessageRequestHeader {
            topic: "T".into(),
            recall_handle: Handle::of(&parked, "b").unwrap(),
            ..RecallMessageRequestHeader::default()
        };
        let recalled = said_late(&broker, |call| recall::recall(&broker, call, header));
        assert!(recalled.contains("\"code\":0,") && recalled.contains("ID"), "{recalled}");
    }

    /// A clock that goes on by a millisecond with each look.
    fn ticking() -> i64 {
        static LOOKS: AtomicI64 = AtomicI64::new(NOW);
        LOOKS.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn what_is_due_when_its_turn_comes_is_not_stored_before_that() {
        let broker = Arc::new(broker());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let port = Port {
            broker: Arc::clone(&broker),
            router: Arc::new(table::table()),
            fast: false,
            runtime: runtime.handle().clone(),
            blocking: Arc::new(Semaphore::new(1)),
            now_ms: ticking,
            idle: Mutex::default(),
        };
        // The turn begins at `NOW`.
        let due_ms = NOW + 1;
        let wish = format!("TIMER_DELIVER_MS\x01{due_ms}\x02");
        let header = SendMessageRequestHeader {
            producer_group: "p",
            topic: "T",
            default_topic: "TBW102",
            properties: Some(&wish),
            ..SendMessageRequestHeader::default()
        };
        let send = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
        let address = "127.0.0.1:7".parse().unwrap();
        let peer = Arc::new(Peer::new(address, address));
        let before = broker.store.max_offset("T", 0);
        port.serve(&mut [Arrived { peer, requests: vec![send], out: Outbox::default() }]);
        broker.store.sync().unwrap();
        let at = Position { topic: "T", queue_id: 0, offset: before };
        let (stored, _) = broker.store.message_in(at).unwrap().expect("it waits for nothing");
        let stored_ms = record::store_timestamp(&stored).unwrap();
        assert!(stored_ms >= due_ms, "{} ms early", due_ms - stored_ms);
    }
}
