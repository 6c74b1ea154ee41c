//! Consumer groups for operators: create, change, delete, list, forbid.

use super::topics::{self, Page, asks_for_all, read};
use super::{body, failed, invalid, json};
use crate::broker::Broker;
use crate::handlers::missing;
use crate::put::Effect;
use crate::saving::Order;
use crate::topics::QUEUES_LIMIT;
use message::names;
use remoting::body::group::{GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupList};
use remoting::codes::ResponseCode;
use remoting::headers::group::{
    DeleteSubscriptionGroupRequestHeader, GetAllSubscriptionGroupRequestHeader,
    GetAllSubscriptionGroupResponseHeader, GetSubscriptionGroupConfigRequestHeader,
    UpdateGroupForbiddenRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// Code 200: makes or changes a group.
pub fn update(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    if call.command.body.is_empty() {
        return Ok(Answer::success().into());
    }
    update_all(broker, call, vec![body(&call.command.body)?])
}

/// Code 225: makes or changes the groups of a list. Nothing is done if a name is refused.
pub fn update_list(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    let list: SubscriptionGroupList = body(&call.command.body)?;
    let all = list.group_config_list.ok_or_else(|| failed("the body lacks groupConfigList"))?;
    update_all(broker, call, all)
}

fn update_all(
    broker: &Broker,
    call: &Call<'_>,
    all: Vec<SubscriptionGroupConfig>,
) -> Result<Reply<Effect>, Refusal> {
    for wanted in &all {
        names::check_group(&wanted.group_name).map_err(|error| invalid(error.to_string()))?;
        let (group, queues) = (&wanted.group_name, wanted.retry_queue_nums);
        if queues > QUEUES_LIMIT {
            return Err(invalid(format!(
                "group {group}: retryQueueNums {queues} must be at most {QUEUES_LIMIT}"
            )));
        }
    }
    let put = all.into_iter().try_for_each(|wanted| {
        let made = broker.groups.update(wanted, call.now_ms)?;
        tracing::info!(group = %made.group_name, by = %call.peer.remote, "group made or changed");
        Ok::<_, String>(())
    });
    if let Err(why) = put {
        // Those before it are changed.
        broker.groups_changed();
        return Err(failed(why));
    }
    Ok(broker.ordered(Order::Groups, call, Answer::success()))
}

/// Code 201: all groups, or one page of them.
pub fn all(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let (groups, total) = if asks_for_all(call) {
        broker.groups.page(0, None, usize::MAX)
    } else {
        let header: GetAllSubscriptionGroupRequestHeader = read(call)?;
        let seq = header.group_seq;
        let seq = seq.ok_or_else(|| missing::<GetAllSubscriptionGroupRequestHeader>("groupSeq"))?;
        let page = Page::of(seq, header.data_version, header.max_group_num);
        page.check_begin(broker.groups.version())?;
        let found = broker.groups.page(page.from, page.version.as_ref(), page.limit);
        page.check(found.0.subscription_group_table.len())?;
        found
    };
    let total_group_num = i32::try_from(total).unwrap_or(i32::MAX);
    Ok(json(&groups).with_header(&GetAllSubscriptionGroupResponseHeader { total_group_num }))
}

/// Code 352: one group; made if it may be, as anywhere else that a group is looked up.
pub fn one(
    broker: &Broker,
    call: &Call<'_>,
    header: GetSubscriptionGroupConfigRequestHeader,
) -> Result<Answer, Refusal> {
    let group = broker.group(&header.group, call.now_ms).ok_or_else(|| {
        Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker")
    })?;
    Ok(json(&*group))
}

/// Code 207: deletes a group, and on wish how far it has come.
pub fn delete(
    broker: &Broker,
    call: &Call<'_>,
    header: DeleteSubscriptionGroupRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let group = &header.group_name;
    // The tools of 4.x say it in another word.
    let removes = call.command.fields.get("removeOffset").is_some_and(|said| said == "true");
    if broker.groups.delete(group, call.now_ms).is_some() {
        tracing::info!(%group, by = %call.peer.remote, "group deleted");
        broker.clean_orders(call.now_ms);
    }
    // What it was forbidden is gone also where it was never there.
    broker.groups_changed();
    if header.clean_offset || removes {
        broker.offsets.remove_group(group);
    }
    broker.stats.forget_group(group);
    let _alone = broker.operator.lock();
    let unused = unused_topics(broker, group);
    if !unused.is_empty() {
        topics::remove(broker, call, &unused, |topic| !broker.store.has_messages(topic))?;
    }
    Ok(broker.ordered(Order::Groups, call, Answer::success()))
}

/// The retry and dead-letter topics of a group that has no members, as far as they hold nothing.
/// What they hold is for the operator to delete: mqadmin does it when it is given a cluster.
fn unused_topics(broker: &Broker, group: &str) -> Vec<String> {
    if broker.clients.consumers(group).is_some() {
        return Vec::new();
    }
    let mut all = vec![names::retry_topic(group), names::dlq_topic(group)];
    all.retain(|topic| broker.topics.contains(topic) && !broker.store.has_messages(topic));
    all
}

/// Code 353: forbids or allows a group to read a topic, and says which it is.
pub fn forbid(
    broker: &Broker,
    call: &Call<'_>,
    header: UpdateGroupForbiddenRequestHeader,
) -> Result<Reply<Effect>, Refusal> {
    let UpdateGroupForbiddenRequestHeader { group, topic, .. } = header;
    if let Some(readable) = header.readable {
        broker.groups.forbid_read(&group, &topic, !readable, call.now_ms);
    }
    let readable = !broker.groups.is_read_forbidden(&group, &topic);
    let body = GroupForbidden { group: Some(group), readable: Some(readable), topic: Some(topic) };
    let answer = json(&body).with_remark("");
    if header.readable.is_none() {
        return Ok(answer.into());
    }
    Ok(broker.ordered(Order::Groups, call, answer))
}
