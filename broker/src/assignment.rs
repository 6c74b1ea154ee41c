//! Which queues a member of a group gets when the broker shares them out (code 400), and how groups
//! are to fetch (codes 401 and 402; Java: `QueryAssignmentProcessor`, `MessageRequestModeManager`).
//! Not here: where the queues come from (the name servers), and who is in a group
//! ([`crate::clients`]).

use crate::files;
use crate::topics::PERM_READ;
use bytes::Bytes;
use message::Str;
use parking_lot::Mutex;
use remoting::body::pop::{MessageRequestModeSerializeWrapper, SetMessageRequestModeRequestBody};
use remoting::body::queue::{MessageQueue, MessageRequestMode};
use remoting::body::route::TopicRouteData;
use remoting::json::BodyError;

/// Queues of one topic that are shared out at most; Java has no bound.
const QUEUES_LIMIT: usize = 1 << 20;
/// Modes that are kept at most; Java has no bound.
const MODES_LIMIT: usize = 100_000;
/// The file under `config`.
pub const FILE: &str = "messageRequestMode.json";

/// The queues of a topic that may be read, in the order in which they are shared out (Java:
/// `MQClientInstance.topicRouteData2TopicSubscribeInfo`, sorted).
pub fn readable_queues(topic: &Str, route: &TopicRouteData) -> Vec<MessageQueue> {
    let readable = route.queue_datas.iter().filter(|of| of.perm & PERM_READ != 0);
    let queues = readable.flat_map(|of| {
        let queue = |id| MessageQueue::new(topic.clone(), of.broker_name.clone(), id);
        (0..of.read_queue_nums).map(queue)
    });
    let mut queues: Vec<MessageQueue> = queues.take(QUEUES_LIMIT).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

/// The share of the member at place `index` of `members`, by the strategy of this name; `None` for
/// a strategy that the broker does not have, or when there is nothing to share. A member that is
/// not among them gets nothing.
pub fn share(
    strategy: &str,
    queues: &[MessageQueue],
    members: usize,
    index: Option<usize>,
) -> Option<Vec<MessageQueue>> {
    let averagely = match strategy {
        "AVG" => true,
        "AVG_BY_CIRCLE" => false,
        _ => return None,
    };
    if queues.is_empty() || members == 0 {
        return None;
    }
    let Some(index) = index else { return Some(Vec::new()) };
    if !averagely {
        return Some(queues.iter().skip(index).step_by(members).cloned().collect());
    }
    let (each, over) = (queues.len() / members, queues.len() % members);
    let begin = index * each + index.min(over);
    let length = each + usize::from(index < over);
    Some(queues.iter().skip(begin).take(length).cloned().collect())
}

/// The share of a member of a group that pops, which belongs to others as well: all queues of the
/// topic's brokers (as queue -1), or its own and those of the `more` members behind it.
pub fn pop_share(
    strategy: &str,
    queues: &[MessageQueue],
    members: usize,
    (index, more): (Option<usize>, i32),
) -> Option<Vec<MessageQueue>> {
    let own = share(strategy, queues, members, index)?;
    let more = usize::try_from(more).unwrap_or(0);
    if more == 0 || more >= members - 1 {
        let any = |queue: &MessageQueue| MessageQueue { queue_id: -1, ..queue.clone() };
        let mut brokers: Vec<_> = queues.iter().map(any).collect();
        brokers.sort_unstable();
        brokers.dedup();
        return Some(brokers);
    }
    let Some(index) = index else { return Some(own) };
    if members > queues.len() {
        return Some(vec![queues[index % queues.len()].clone()]);
    }
    let others = (1..=more).map(|step| (index + step) % members);
    let others = others.filter_map(|other| share(strategy, queues, members, Some(other)));
    Some(others.fold(own, |mut all, queues| {
        all.extend(queues);
        all
    }))
}

/// How groups are to fetch topics: what operators said, kept in `config/messageRequestMode.json`.
#[derive(Debug, Default)]
pub struct RequestModes {
    file: Mutex<MessageRequestModeSerializeWrapper>,
    /// Held while the file is written, and the modes are not.
    saving: Mutex<()>,
}

impl RequestModes {
    /// Takes the mode of a topic and a group over and saves the file's new text, in the order of
    /// the changes.
    ///
    /// # Errors
    /// There are too many, or it could not be saved; nothing has changed then.
    pub fn set(
        &self,
        (topic, group): (Str, Str),
        mode: SetMessageRequestModeRequestBody,
        save: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let _in_order = self.saving.lock();
        let mut file = self.file.lock();
        let map = &mut file.message_request_mode_map;
        let known = map.get(&topic).is_some_and(|of| of.contains_key(&group));
        if !known && map.values().map(|of| of.len()).sum::<usize>() >= MODES_LIMIT {
            return Err(format!("too many are set already ({MODES_LIMIT} groups and topics)"));
        }
        let former = map.entry(topic.clone()).or_default().insert(group.clone(), mode);
        let text = files::text(&*file);
        drop(file);
        let saved = save(&text);
        if saved.is_err() {
            let mut file = self.file.lock();
            let modes = file.message_request_mode_map.entry(topic.clone()).or_default();
            modes.remove(&group);
            modes.extend(former.map(|former| (group, former)));
            if modes.is_empty() {
                file.message_request_mode_map.remove(&topic);
            }
        }
        saved
    }

    /// How a group is to fetch a topic, if somebody said it: the mode, and how many members pop one
    /// member's queues besides it.
    pub fn of(&self, topic: &str, group: &str) -> Option<(Option<MessageRequestMode>, i32)> {
        let file = self.file.lock();
        let mode = file.message_request_mode_map.get(topic)?.get(group)?;
        Some((mode.mode, mode.pop_share_queue_num))
    }

    /// All modes, as code 402 answers them.
    pub fn to_body(&self) -> Bytes {
        remoting::json::to_body(&*self.file.lock())
    }

    /// Takes the modes of a file.
    ///
    /// # Errors
    /// When the text is not such a file; nothing has changed then.
    pub fn load(&self, text: &str) -> Result<(), BodyError> {
        let file: MessageRequestModeSerializeWrapper = remoting::json::from_body(text.as_bytes())?;
        *self.file.lock() = file;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remoting::body::route::QueueData;

    fn queues(count: i32) -> Vec<MessageQueue> {
        (0..count).map(|id| MessageQueue::new("T", "b", id)).collect()
    }

    fn shares(strategy: &str, count: i32, members: usize) -> Vec<Vec<i32>> {
        let of = |index| share(strategy, &queues(count), members, Some(index)).unwrap();
        let ids = |index| of(index).iter().map(|queue| queue.queue_id).collect();
        (0..members).map(ids).collect()
    }

    #[test]
    fn shares_are_those_of_javas_strategies() {
        assert_eq!(shares("AVG", 8, 3), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
        assert_eq!(shares("AVG", 2, 3), [vec![0], vec![1], vec![]]);
        assert_eq!(shares("AVG", 4, 1), [[0, 1, 2, 3]]);
        assert_eq!(shares("AVG_BY_CIRCLE", 8, 3), [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]);
        assert_eq!(shares("AVG_BY_CIRCLE", 2, 3), [vec![0], vec![1], vec![]]);
    }

    #[test]
    fn who_pops_shares_with_others() {
        let ids = |count, members, index, more| {
            let share = pop_share("AVG", &queues(count), members, (index, more)).unwrap();
            share.iter().map(|queue| queue.queue_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(4, 4, Some(1), -1), [-1], "any queue of the one broker");
        assert_eq!(ids(4, 4, Some(1), 3), [-1]);
        assert_eq!(ids(4, 4, Some(3), 1), [3, 0]);
        assert_eq!(ids(8, 4, Some(0), 2), [0, 1, 2, 3, 4, 5]);
        assert_eq!(ids(2, 4, Some(3), 1), [1]);
        assert_eq!(ids(8, 4, None, 1), [0; 0]);
    }

    #[test]
    fn strangers_get_nothing_and_impossible_questions_no_share() {
        assert_eq!(share("AVG", &queues(4), 2, None), Some(vec![]));
        assert_eq!(share("CONSISTENT_HASH", &queues(4), 2, Some(0)), None);
        assert_eq!(share("AVG", &[], 2, Some(0)), None);
        assert_eq!(share("AVG", &queues(4), 0, None), None);
    }

    #[test]
    fn only_readable_queues_of_a_route_are_shared_out() {
        let data = |broker: &'static str, perm, read_queue_nums| QueueData {
            broker_name: broker.into(),
            perm,
            read_queue_nums,
            ..QueueData::default()
        };
        let queue_datas = vec![data("b", 6, 2), data("c", 2, 4), data("a", 4, 1), data("d", 6, -1)];
        let route = TopicRouteData { queue_datas, ..TopicRouteData::default() };
        let queues = readable_queues(&"T".into(), &route);
        let places: Vec<_> = queues.iter().map(|q| (&*q.broker_name, q.queue_id)).collect();
        assert_eq!(places, [("a", 0), ("b", 0), ("b", 1)]);
    }

    #[test]
    fn modes_are_written_and_read_as_java_does() {
        let modes = RequestModes::default();
        let mode = SetMessageRequestModeRequestBody {
            consumer_group: Some("g".into()),
            topic: Some("T".into()),
            ..SetMessageRequestModeRequestBody::default()
        };
        let mut saved = String::new();
        let set = modes.set(("T".into(), "g".into()), mode.clone(), |text| {
            saved = text.to_owned();
            Ok(())
        });
        set.unwrap();
        for (topic, pop_share_queue_num) in [("T", 7), ("other", 7)] {
            let mode = SetMessageRequestModeRequestBody { pop_share_queue_num, ..mode.clone() };
            let set = modes.set((topic.into(), "g".into()), mode, |_| Err("full".to_owned()));
            assert_eq!(set, Err("full".to_owned()), "nothing has changed");
        }
        let body = concat!(
            r#"{"messageRequestModeMap":{"T":{"g":{"consumerGroup":"g","mode":"PULL","#,
            r#""popShareQueueNum":0,"topic":"T"}}}}"#
        );
        assert_eq!(modes.to_body(), body.as_bytes());
        let read = RequestModes::default();
        read.load(&saved).unwrap();
        assert_eq!(read.to_body(), modes.to_body());
        assert!(read.load("{").is_err());
    }
}
