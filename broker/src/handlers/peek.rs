//! A look at what a group would pop next, which takes nothing (200052; Java:
//! `PeekMessageProcessor`).

use super::notification;
use crate::broker::Broker;
use bytes::Bytes;
use message::{Str, names};
use remoting::body::topic::TopicConfig;
use remoting::codes::ResponseCode;
use remoting::headers::pop::{PeekMessageRequestHeader, PopMessageResponseHeader};
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use store::{Everything, Limits, Position, Read, ReadStatus};

/// One look in so many begins with the retry topic.
const RETRY_FIRST: u32 = 5;

/// Code 200052.
pub fn peek(
    broker: &Broker,
    call: &Call<'_>,
    header: PeekMessageRequestHeader,
) -> Result<Answer, Refusal> {
    let PeekMessageRequestHeader { topic, consumer_group: group, queue_id, .. } = header;
    let what = (&topic, &group, queue_id);
    let topic = match notification::readable(broker, call.peer.remote, what, call.now_ms) {
        Ok(topic) => topic,
        Err(refusal) => {
            return Ok(notification::refused(refusal, &PopMessageResponseHeader::default()));
        }
    };
    let v2 = broker.settings().broker.enable_retry_topic_v2;
    let retry = broker.topics.find(&names::pop_retry_topic(&topic.topic_name, &group, v2));
    let most = usize::try_from(header.max_msg_nums).unwrap_or(0);
    let turn = broker.any(i32::from(i16::MAX)).unsigned_abs();
    let mut seen = Seen { broker, group: &group, most, turn, rest: 0, messages: Vec::new() };
    let retry_first = turn.is_multiple_of(RETRY_FIRST);
    if let Some(retry) = retry.as_ref().filter(|_| retry_first) {
        seen.topic(retry, -1);
    }
    seen.topic(&topic, queue_id);
    if let Some(retry) = retry.filter(|_| !retry_first && seen.messages.len() < most) {
        seen.topic(&retry, -1);
    }
    let said = PopMessageResponseHeader { rest_num: seen.rest, ..Default::default() };
    let (code, remark) = match seen.messages.is_empty() {
        false => (ResponseCode::SUCCESS, "FOUND"),
        true => (ResponseCode::PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE"),
    };
    let answer = Answer::code(code).with_header(&said).with_remark(Str::from_static(remark));
    Ok(Answer { body: seen.messages, ..answer })
}

/// What was seen so far.
struct Seen<'a> {
    broker: &'a Broker,
    group: &'a str,
    most: usize,
    turn: u32,
    /// Messages that the group has not popped, those that were seen among them.
    rest: i64,
    messages: Vec<Bytes>,
}

impl Seen<'_> {
    /// One queue of a topic, or all if it is negative.
    fn topic(&mut self, topic: &TopicConfig, queue_id: i32) {
        if queue_id >= 0 {
            return self.queue(&topic.topic_name, queue_id);
        }
        let count = topic.read_queue_nums.max(0);
        for at in 0..count {
            let at = i64::from(self.turn) + i64::from(at);
            let id = i32::try_from(at % i64::from(count)).expect("it is less than count");
            self.queue(&topic.topic_name, id);
        }
    }

    fn queue(&mut self, topic: &str, queue_id: i32) {
        let offset = notification::next_offset(self.broker, self.group, topic, queue_id);
        self.rest += self.broker.store.max_offset(topic, queue_id) - offset;
        if self.messages.len() >= self.most {
            return;
        }
        let mut read = self.read(Position { topic, queue_id, offset });
        if matches!(read.status, ReadStatus::OffsetTooSmall | ReadStatus::OffsetOverflowBadly) {
            read = self.read(Position { topic, queue_id, offset: read.next_offset });
        }
        self.broker.stats.read(read.messages.len() as u64, 0);
        self.messages.extend(read.messages);
    }

    fn read(&self, from: Position<'_>) -> Read {
        let limits = Limits::messages(self.most - self.messages.len());
        self.broker.store.read(from, limits, &Everything)
    }
}
