//! Who is connected, for operators.

use super::json;
use crate::broker::Broker;
use remoting::codes::ResponseCode;
use remoting::headers::group::{
    GetAllProducerInfoRequestHeader, GetConsumerConnectionListRequestHeader,
    GetProducerConnectionListRequestHeader,
};
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;

/// Code 203: the members of a consumer group.
pub fn consumers(
    broker: &Broker,
    _: &Call<'_>,
    header: GetConsumerConnectionListRequestHeader,
) -> Result<Answer, Refusal> {
    let group = &header.consumer_group;
    let known = broker.clients.consumer_connection(group).ok_or_else(|| {
        let remark = format!("the consumer group[{group}] not online");
        Refusal::new(ResponseCode::CONSUMER_NOT_ONLINE, remark)
    })?;
    let answer = json(&known);
    Ok(match broker.clients.contradiction(group) {
        Some(found) => answer.with_remark(found.to_string()),
        None => answer,
    })
}

/// Code 204: the members of a producer group.
pub fn producers(
    broker: &Broker,
    _: &Call<'_>,
    header: GetProducerConnectionListRequestHeader,
) -> Result<Answer, Refusal> {
    let group = &header.producer_group;
    let known = broker
        .clients
        .producer_connection(group)
        .ok_or_else(|| super::failed(format!("the producer group[{group}] not exist")))?;
    Ok(json(&known))
}

/// Code 328: all producers by group.
pub fn all_producers(
    broker: &Broker,
    _: &Call<'_>,
    _: GetAllProducerInfoRequestHeader,
) -> Result<Answer, Refusal> {
    Ok(json(&broker.clients.producer_table()))
}
