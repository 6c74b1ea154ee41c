//! Topics for operators: create, change, delete, list, look at.

use super::{UNSET_REMARK, body, failed, invalid, json};
use crate::attributes::{self, MESSAGE_TYPE};
use crate::broker::Broker;
use crate::handlers::missing;
use crate::lite;
use crate::mappings;
use crate::put::Effect;
use crate::saving::Order;
use crate::topics::QUEUES_LIMIT;
use message::{Str, names};
use remoting::body::data_version::DataVersion;
use remoting::body::queue::MessageQueue;
use remoting::body::route::TopicList;
use remoting::body::topic::{
    CreateTopicListRequestBody, TopicConfig, TopicConfigAndMappingSerializeWrapper,
    TopicConfigAndQueueMapping, TopicFilterType, TopicOffset, TopicStatsTable,
};
use remoting::codes::ResponseCode;
use remoting::flat::OwnedHeader;
use remoting::headers::topic::{
    CreateTopicListRequestHeader, CreateTopicRequestHeader, DeleteTopicRequestHeader,
    GetAllTopicConfigRequestHeader, GetAllTopicConfigResponseHeader, GetTopicConfigRequestHeader,
    GetTopicStatsInfoRequestHeader,
};
use remoting::json::{Named, from_body};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use std::sync::Arc;

/// Entries of one page of the topic or group table (Java: `splitMetadataSize`).
const PAGE_LIMIT: usize = 2_000;

/// Code 17: makes or changes a topic; answers when the name servers know it.
pub fn update(
    broker: &Broker,
    call: &Call<'_>,
    header: CreateTopicRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let plain = plain(&header)?;
    let change = header.attributes.as_deref().unwrap_or_default();
    let attributes = attributes::parse(change).map_err(failed)?;
    let wanted = TopicConfig { attributes, order: header.order, ..plain };
    update_all(broker, call, vec![wanted])
}

/// The topic that a header asks for, without its attributes and its order.
pub(super) fn plain(header: &CreateTopicRequestHeader) -> Result<TopicConfig, Refusal> {
    let filter_type = TopicFilterType::from_text(&header.topic_filter_type)
        .ok_or_else(|| failed(format!("no topic filter type {}", header.topic_filter_type)))?;
    Ok(TopicConfig {
        perm: header.perm,
        read_queue_nums: header.read_queue_nums,
        topic_filter_type: filter_type,
        topic_name: header.topic.clone(),
        topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
        write_queue_nums: header.write_queue_nums,
        ..TopicConfig::default()
    })
}

/// Code 18: makes or changes the topics of a list. Nothing is done if one of them is refused, but
/// for its attributes.
pub fn update_list(
    broker: &Broker,
    call: &Call<'_>,
    _: CreateTopicListRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let list: CreateTopicListRequestBody = body(&call.command.body)?;
    let all = list.topic_config_list.ok_or_else(|| failed("the body lacks topicConfigList"))?;
    update_all(broker, call, all)
}

fn update_all(
    broker: &Broker,
    call: &Call<'_>,
    all: Vec<TopicConfig>,
) -> Result<Reply<Effect>, Refusal> {
    for wanted in &all {
        check(broker, wanted)?;
    }
    let _alone = broker.operator.lock();
    let answer = Answer::success().with_remark(UNSET_REMARK);
    let mut changed = false;
    for wanted in all.into_iter().filter(|wanted| !broker.topics.is_same(wanted)) {
        match put(broker, wanted, call.now_ms) {
            Ok(made) => {
                let by = call.peer.remote;
                tracing::info!(topic = %made.topic_name, %by, "topic made or changed");
            }
            Err(refusal) => {
                // Those before it are changed.
                broker.topics_changed(None);
                return Err(refusal);
            }
        }
        changed = true;
    }
    // Who was refused because it could not be saved asks for the same again; and who asks at the
    // same time as another one is told no sooner.
    if !changed && !broker.lacks_topics() {
        return Ok(Reply::Answer(answer));
    }
    Ok(broker.ordered(Order::Topics, call, answer))
}

/// Makes or changes a topic. The store knows what its queues are like before anybody can send.
pub(super) fn put(
    broker: &Broker,
    wanted: TopicConfig,
    now_ms: i64,
) -> Result<Arc<TopicConfig>, Refusal> {
    let name = wanted.topic_name.clone();
    let is_new = !broker.topics.contains(&name);
    let hold = |is_batch: bool| {
        let held = if is_new { broker.store.hold_batches(&name, is_batch) } else { Ok(true) };
        held.map_err(|error| failed(error.to_string()))
    };
    if !hold(attributes::asks_for_inner_batches(&wanted.attributes))? {
        return Err(invalid(format!(
            "topic {name} has messages of an earlier life in queues of another kind ({}): delete \
             the topic first",
            names::QUEUE_TYPE
        )));
    }
    match broker.topics.update(wanted, now_ms) {
        Ok(made) if is_new && attributes::keeps_newest(&made) => {
            let kept = broker.store.keep_newest(&name, true);
            kept.map(|()| made).map_err(|error| failed(error.to_string()))
        }
        Ok(made) => Ok(made),
        Err(why) => hold(false).and_then(|_| Err(failed(why))),
    }
}

pub(super) fn check(broker: &Broker, wanted: &TopicConfig) -> Result<(), Refusal> {
    let topic = &wanted.topic_name;
    names::check_topic(topic).map_err(|error| invalid(error.to_string()))?;
    refuse_system(broker, topic)?;
    let settings = broker.settings();
    let kind = wanted.attributes.get(format!("+{MESSAGE_TYPE}").as_str());
    if kind.is_some_and(|kind| kind == "MIXED") && !settings.broker.enable_mixed_message_type {
        return Err(invalid("MIXED message type is not supported."));
    }
    let queues = [wanted.read_queue_nums, wanted.write_queue_nums];
    // Fewer than none are none, as in Java.
    if queues.iter().any(|queues| *queues > QUEUES_LIMIT) {
        let [read, write] = queues;
        return Err(invalid(format!(
            "topic {topic}: readQueueNums {read} and writeQueueNums {write} must be at most \
             {QUEUES_LIMIT}"
        )));
    }
    Ok(())
}

fn refuse_system(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    let guarded = broker.settings().broker.validate_system_topic_when_update_topic;
    if guarded && broker.topics.is_system(topic) {
        return Err(invalid(format!("The topic[{topic}] is conflict with system topic.")));
    }
    Ok(())
}

/// Code 215: deletes a topic with its queues, what groups have consumed of it, and the pop retry
/// topics of those groups. The name servers learn of it with the next registration; mqadmin tells
/// them itself.
pub fn delete(
    broker: &Broker,
    call: &Call<'_>,
    header: DeleteTopicRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let topic = &header.topic;
    if topic.trim().is_empty() {
        return Err(invalid("The specified topic is blank."));
    }
    refuse_system(broker, topic)?;
    if topic.contains('\0') {
        // No topic, and no directory.
        return Ok(Answer::success().into());
    }
    let _alone = broker.operator.lock();
    let mut all = vec![topic.to_string()];
    if broker.settings().broker.clear_retry_topic_when_delete_topic {
        let groups = broker.offsets.groups_of(topic);
        let retry = |group: &String| {
            [true, false].map(|version_2| names::pop_retry_topic(topic, group, version_2))
        };
        all.extend(groups.iter().flat_map(retry).filter(|topic| broker.topics.contains(topic)));
    }
    if broker.topics.find(topic).is_some_and(|topic| attributes::is_lite(&topic)) {
        lite::expiry::remove_under(broker, topic);
    }
    remove(broker, call, &all, |_| true)?;
    Ok(broker.ordered(Order::Removal, call, Answer::success()))
}

/// Deletes topics that `may_go` while nothing is appended, with all that is known of them; nothing
/// of it where the store cannot note that they are gone, or how far groups have come would be
/// forgotten and the messages not.
pub(super) fn remove(
    broker: &Broker,
    call: &Call<'_>,
    all: &[String],
    may_go: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let mut gone = all.iter().map(String::as_str).collect();
    let deleted = broker.store.delete_those(&mut gone, may_go);
    let with_queues = deleted.map_err(|error| failed(error.to_string()))?;
    let (mut forgotten, mut known) = (Ok(()), Vec::new());
    for topic in &gone {
        known.extend(broker.topics.delete(topic, call.now_ms).map(|one| one.topic_name.clone()));
        let save = |text: &str| broker.try_save(mappings::FILE, text);
        forgotten = broker.mappings.delete(topic, call.now_ms, save).and(forgotten);
        broker.offsets.remove_topic(topic);
        broker.stats.forget_topic(topic);
    }
    let by = call.peer.remote;
    if !known.is_empty() {
        tracing::info!(topics = ?known, %by, "topics deleted");
    } else if with_queues > 0 {
        tracing::info!(names = ?gone, %by, "queues of names that are no topics deleted");
    }
    broker.clean_orders(call.now_ms);
    broker.topics_changed(None);
    // Those who found a topic until then may have sent to it since its queues went.
    gone.retain(|topic| !broker.store.queue_ids(topic).is_empty());
    if !gone.is_empty() {
        delete_unknown(broker, gone)?;
    }
    forgotten.map_err(failed)
}

/// Removes the queues of names that are no topics, also when nothing is appended: whoever has made
/// one sends to what is there.
fn delete_unknown(broker: &Broker, mut names: Vec<&str>) -> Result<(), Refusal> {
    let deleted = broker.store.delete_those(&mut names, |name| !broker.topics.contains(name));
    deleted.map(drop).map_err(|error| failed(error.to_string()))
}

/// Code 21: all topics, or one page of them.
pub fn all(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let (topics, total) = if asks_for_all(call) {
        (broker.topics.snapshot(), broker.topics.len())
    } else {
        let header: GetAllTopicConfigRequestHeader = read(call)?;
        let seq = header.topic_seq;
        let seq = seq.ok_or_else(|| missing::<GetAllTopicConfigRequestHeader>("topicSeq"))?;
        let page = Page::of(seq, header.data_version, header.max_topic_num);
        page.check_begin(broker.topics.version())?;
        let found = broker.topics.page(page.from, page.version.as_ref(), page.limit);
        page.check(found.0.topic_config_table.len())?;
        found
    };
    let (mut mappings, mapping_data_version) = broker.mappings.snapshot();
    mappings.retain(|topic, _| topics.topic_config_table.contains_key(topic));
    let body = TopicConfigAndMappingSerializeWrapper {
        data_version: topics.data_version,
        mapping_data_version,
        topic_config_table: topics.topic_config_table,
        topic_queue_mapping_detail_map: mappings,
        ..Default::default()
    };
    let total_topic_num = Some(i32::try_from(total).unwrap_or(i32::MAX));
    Ok(json(&body).with_header(&GetAllTopicConfigResponseHeader { total_topic_num }))
}

/// Whether no page is asked for: the form of 4.x and of tools.
pub(super) fn asks_for_all(call: &Call<'_>) -> bool {
    let fields = &call.command.fields;
    let page = ["topicSeq", "groupSeq", "dataVersion", "maxTopicNum", "maxGroupNum"];
    page.into_iter().all(|key| fields.get(key).is_none())
}

/// Reads a header that not every request of the code has.
pub(super) fn read<H: OwnedHeader>(call: &Call<'_>) -> Result<H, Refusal> {
    H::read(&call.command.fields).map_err(|error| failed(error.to_string()))
}

/// Which part of a table is asked for.
pub(super) struct Page {
    /// The first entry.
    pub(super) from: usize,
    /// The first entry as it was asked for, where there can be none.
    before: Option<i32>,
    /// The version that the asker's former pages had.
    pub(super) version: Option<DataVersion>,
    /// How many entries: one at least, which tells whether any is left there.
    pub(super) limit: usize,
    /// How many entries were asked for, where that is none.
    room: Option<i32>,
}

impl Page {
    /// The page that a request's fields describe.
    pub(super) fn of(from: i32, version: Option<Str>, max: Option<i32>) -> Self {
        let number = |value: i32| usize::try_from(value).unwrap_or(0);
        let version = version.and_then(|text| from_body(text.as_bytes()).ok());
        let limit = max.map_or(PAGE_LIMIT, number).clamp(1, PAGE_LIMIT);
        let (before, room) = (Some(from).filter(|from| *from < 0), max.filter(|max| *max <= 0));
        Self { from: number(from), before, version, limit, room }
    }

    /// Whether a page may begin so, of a table that has a version now.
    ///
    /// # Errors
    /// It begins before the first entry, at which Java's broker fails too; of another version it
    /// gives the first page.
    pub(super) fn check_begin(&self, now: DataVersion) -> Result<(), Refusal> {
        match self.before.filter(|_| self.version == Some(now)) {
            Some(before) => Err(failed(format!("a page from entry {before}: the first is 0"))),
            None => Ok(()),
        }
    }

    /// Whether so many entries may be given.
    ///
    /// # Errors
    /// There is an entry for a page that has no room for one, at which Java's broker fails too;
    /// behind the last entry it gives any page.
    pub(super) fn check(&self, found: usize) -> Result<(), Refusal> {
        match self.room.filter(|_| found > 0) {
            Some(room) => Err(failed(format!("a page of {room} entries: ask for 1 at least"))),
            None => Ok(()),
        }
    }
}

/// Code 351: one topic; with `lo=true` also where the queues of a static one are.
pub fn one(
    broker: &Broker,
    _: &Call<'_>,
    header: GetTopicConfigRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = broker.topics.find(&header.topic).ok_or_else(|| {
        let remark = format!("No topic in this broker. topic: {}", header.topic);
        Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark)
    })?;
    let mapping = broker.mappings.find(&header.topic).filter(|_| header.base.logical == Some(true));
    Ok(json(&TopicConfigAndQueueMapping {
        mapping_detail: mapping.map(|mapping| (*mapping).clone()),
        ..TopicConfigAndQueueMapping::from((*topic).clone())
    }))
}

/// A topic, or the refusal of those who ask for the state of its queues (codes 202 and 303).
pub(super) fn existing(broker: &Broker, topic: &str) -> Result<Arc<TopicConfig>, Refusal> {
    broker.topics.find(topic).ok_or_else(|| {
        let remark = format!("topic[{topic}] not exist");
        Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark)
    })
}

/// Code 202: where a topic's queues begin and end, and when they last grew.
pub fn stats(
    broker: &Broker,
    _: &Call<'_>,
    header: GetTopicStatsInfoRequestHeader,
) -> Result<Answer, Refusal> {
    let topic = &header.topic;
    let config = existing(broker, topic)?;
    let broker_name = Str::from(broker.settings().broker.broker_name.as_str());
    let queues = config.write_queue_nums.max(config.read_queue_nums);
    let mut table = TopicStatsTable {
        topic_put_tps: broker.stats.sent_per_second(topic),
        ..TopicStatsTable::default()
    };
    for queue_id in 0..queues {
        let max_offset = broker.store.max_offset(topic, queue_id);
        let newest = broker.store.store_time(topic, queue_id, max_offset - 1);
        let offset = TopicOffset {
            last_update_timestamp: newest.filter(|_| max_offset > 0).unwrap_or(0),
            max_offset,
            min_offset: broker.store.min_offset(topic, queue_id),
        };
        let queue = MessageQueue::new(topic.clone(), broker_name.clone(), queue_id);
        table.offset_table.insert(queue, offset);
    }
    Ok(json(&table))
}

/// Code 305: the topics that are the system's own.
pub fn system(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let topic_list = broker.topics.system_names();
    Ok(json(&TopicList { topic_list, ..TopicList::default() }))
}

/// Code 316: removes the queues of topics that are no longer there.
pub fn clean_unused(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let _alone = broker.operator.lock();
    let with_queues = broker.store.topics();
    let unused: Vec<&str> = with_queues
        .iter()
        .map(|topic| &**topic)
        .filter(|topic| !broker.topics.contains(topic))
        .filter(|topic| !broker.topics.is_system(topic) && !names::is_lmq(topic))
        .collect();
    delete_unknown(broker, unused.clone())?;
    if !unused.is_empty() {
        tracing::info!(topics = ?unused, by = %call.peer.remote, "queues of unused topics removed");
    }
    Ok(Answer::success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold;
    use crate::table::table;
    use crate::topics::simple;
    use remoting::codes::RequestCode;
    use remoting::command::Command;
    use remoting::peer::Peer;
    use remoting::room::Room;
    use remoting::router::Lane;
    use simulator::SimDisk;
    use std::path::Path;

    const NOW: i64 = 1_700_000_000_000;

    fn make(broker: &Broker) -> Reply<Effect> {
        let header = CreateTopicRequestHeader {
            topic: "T".into(),
            read_queue_nums: 4,
            write_queue_nums: 4,
            perm: 6,
            topic_filter_type: "SINGLE_TAG".into(),
            ..CreateTopicRequestHeader::default()
        };
        let command = Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC).with_header(&header);
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let lane = Lane::Blocking;
        let call = Call { peer: &peer, command: &command, now_ms: NOW, lane, room: &room };
        table().run(broker, &call)
    }

    #[test]
    fn who_orders_what_another_one_orders_now_waits_for_it() {
        let (broker, _outside) = cold::open(SimDisk::new(7), Path::new("/store"), NOW);
        let waits = || matches!(make(&broker), Reply::Later);
        // The other one changed the table and said nothing yet.
        broker.topics.update(simple("T", 4), NOW).unwrap();
        assert!(waits(), "it is not saved");
        let change = cold::save(&broker, NOW);
        assert!(waits(), "the name servers do not know it");
        broker.saving.told(change);
        assert!(waits(), "nor of what was ordered since");
        let change = cold::save(&broker, NOW);
        broker.saving.told(change);
        assert!(!waits());
    }
}
