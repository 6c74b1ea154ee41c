//! Static topics for operators: mqadmin `updateStaticTopic` and `remappingStaticTopic` decide where
//! each queue is, and tell every broker its part.

use super::topics::{self, check};
use super::{UNSET_REMARK, body, failed, invalid};
use crate::broker::Broker;
use crate::handlers::pull;
use crate::mappings::FILE;
use crate::put::Effect;
use crate::saving::Order;
use remoting::body::mapping::TopicQueueMappingDetail;
use remoting::headers::topic::CreateTopicRequestHeader;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// Code 513: makes or changes a static topic; answers when the name servers know it. A mapping that
/// contradicts the known one changes nothing; in Java the topic is changed all the same.
pub fn update(
    broker: &Broker,
    call: &Call<'_>,
    header: CreateTopicRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let mapping: TopicQueueMappingDetail = body(&call.command.body)?;
    let wanted = topics::plain(&header)?;
    check(broker, &wanted)?;
    let own = broker.settings().broker.broker_name.clone();
    if mapping.topic.as_ref() != Some(&header.topic) {
        return Err(invalid(format!("the mapping is not that of topic {}", header.topic)));
    }
    if mapping.bname.as_deref() != Some(own.as_str()) {
        return Err(invalid(format!("the mapping is not that of this broker, {own}")));
    }
    let (topic, epoch) = (&header.topic, mapping.epoch);
    let (queues, force) = (mapping.hosted_queues.len(), header.force);
    let save = |text: &str| broker.save_ordered(FILE, text);
    let _alone = broker.operator.lock();
    broker.mappings.update(mapping, force, call.now_ms, save).map_err(failed)?;
    let made = topics::put(broker, wanted, call.now_ms)?;
    tracing::info!(
        %topic, epoch, queues, force, by = %call.peer.remote, "static topic made or changed"
    );
    pull::mapping_changed(broker, &made, call.now_ms);
    let answer = Answer::success().with_remark(UNSET_REMARK);
    Ok(broker.ordered(Order::Topics, call, answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment;
    use crate::cold;
    use crate::table::table;
    use message::Draft;
    use remoting::body::mapping::LogicQueueMappingItem;
    use remoting::body::pop::SetMessageRequestModeRequestBody;
    use remoting::codes::{RequestCode, ResponseCode};
    use remoting::command::Command;
    use remoting::headers::topic::DeleteTopicRequestHeader;
    use remoting::json::to_body;
    use remoting::peer::Peer;
    use remoting::room::Room;
    use remoting::router::Lane;
    use simulator::{Op, SimDisk};
    use std::path::Path;
    use std::sync::Arc;
    use store::{Append, Disk};

    const NOW: i64 = 1_700_000_000_000;

    fn open(disk: &SimDisk) -> Broker {
        cold::open(disk.clone(), Path::new("/store"), NOW).0
    }

    /// Whether a request is taken, once what it wants saved was tried to be saved.
    fn is_taken(broker: &Broker, command: &Command) -> Result<(), String> {
        let address = "127.0.0.1:7".parse().unwrap();
        let (peer, room) = (Arc::new(Peer::new(address, address)), Room::default());
        let (now_ms, lane) = (NOW, Lane::Blocking);
        let call = Call { peer: &peer, command, now_ms, lane, room: &room };
        let answer = match table().run(broker, &call) {
            Reply::Answer(answer) => answer,
            Reply::Later => {
                let change = cold::save(broker, NOW);
                broker.saving.told(change);
                let said = String::from_utf8_lossy(&peer.take_unwritten().concat()).into_owned();
                return if said.contains(r#""code":0,"#) { Ok(()) } else { Err(said) };
            }
            Reply::Silent | Reply::Effect(_) => panic!("it is answered"),
        };
        match answer.code {
            ResponseCode::SUCCESS => Ok(()),
            _ => Err(answer.remark.unwrap_or_default().to_string()),
        }
    }

    fn map(broker: &Broker, epoch: i64) -> Result<(), String> {
        let bname = Some(broker.settings().broker.broker_name.as_str().into());
        let stay = LogicQueueMappingItem { bname, ..LogicQueueMappingItem::default() };
        let mapping = TopicQueueMappingDetail {
            bname: stay.bname.clone(),
            epoch,
            hosted_queues: [(0, vec![stay])].into(),
            topic: Some("T".into()),
            total_queues: 1,
            ..TopicQueueMappingDetail::default()
        };
        let header = CreateTopicRequestHeader {
            topic: "T".into(),
            read_queue_nums: 1,
            write_queue_nums: 1,
            perm: 6,
            topic_filter_type: "SINGLE_TAG".into(),
            ..CreateTopicRequestHeader::default()
        };
        let command = Command::request(RequestCode::UPDATE_AND_CREATE_STATIC_TOPIC);
        is_taken(broker, &command.with_header(&header).with_body(to_body(&mapping)))
    }

    fn epoch(broker: &Broker) -> Option<i64> {
        broker.mappings.find("T").map(|mapping| mapping.epoch)
    }

    fn set_mode(broker: &Broker, share: i32) -> Result<(), String> {
        let mode = SetMessageRequestModeRequestBody {
            topic: Some("T".into()),
            consumer_group: Some("TOOLS_CONSUMER".into()),
            pop_share_queue_num: share,
            ..SetMessageRequestModeRequestBody::default()
        };
        let command = Command::request(RequestCode::SET_MESSAGE_REQUEST_MODE);
        is_taken(broker, &command.with_body(to_body(&mode)))
    }

    fn append(broker: &Broker) {
        let draft = Draft::plain("T", NOW, broker.identity.store_host);
        let mut appends = [Append::one(Draft { body: "hello".into(), ..draft })];
        broker.append(&mut appends, NOW);
        appends[0].outcome.unwrap();
    }

    #[test]
    fn what_is_refused_is_not_on_the_disk_wherever_its_file_fails() {
        for seed in 0..40 {
            let disk = SimDisk::new(seed);
            let broker = open(&disk);
            map(&broker, 5).unwrap();
            set_mode(&broker, 1).unwrap();
            let texts =
                || [FILE, assignment::FILE].map(|name| broker.store.config().text(name).unwrap());
            let before = texts();
            disk.fail(Op::Name, 0, false);
            assert!(map(&broker, 6).unwrap_err().contains("nothing has changed"));
            disk.fail(Op::Name, 0, false);
            set_mode(&broker, 2).unwrap_err();
            assert_eq!(texts(), before, "{seed}");
            assert_eq!(epoch(&broker), Some(5));
            map(&broker, 6).unwrap();
            drop(broker);
            disk.kill();
            assert_eq!(epoch(&open(&disk)), Some(6));
        }
    }

    #[test]
    fn a_mapping_goes_with_its_topic_wherever_its_file_fails() {
        let delete = DeleteTopicRequestHeader { topic: "T".into(), ..Default::default() };
        let delete = Command::request(RequestCode::DELETE_TOPIC_IN_BROKER).with_header(&delete);
        let mut refused = 0;
        for (seed, after) in (0..8).flat_map(|seed| (0..12).map(move |after| (seed, after))) {
            let disk = SimDisk::new(seed);
            let broker = open(&disk);
            map(&broker, 5).unwrap();
            append(&broker);
            disk.fail(Op::Name, after, false);
            let said = is_taken(&broker, &delete);
            refused += usize::from(said.as_ref().is_err_and(|said| said.contains(FILE)));
            if broker.saving.is_behind() {
                cold::save(&broker, NOW);
            }
            let is_there = broker.topics.contains("T");
            assert_eq!(epoch(&broker).is_some(), is_there, "{seed} {after} {said:?}");
            drop(broker);
            // A failure that was not met is gone.
            (0..=after).for_each(|_| drop(disk.remove(Path::new("/none"))));
            disk.kill();
            let broker = open(&disk);
            assert_eq!(
                epoch(&broker).is_some(),
                broker.topics.contains("T"),
                "{seed} {after} {said:?}"
            );
        }
        assert!(refused > 0, "the mapping's file was not reached");
    }
}
