//! Locks of queues for ordered consumption: codes 41 and 42 (Java: `AdminBrokerProcessor`). Who
//! holds what is in [`crate::order`]. There are no replicas to ask, so `onlyThisBroker` changes
//! nothing.

use super::client::body;
use crate::broker::Broker;
use remoting::body::client::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use remoting::codes::ResponseCode;
use remoting::headers::client::{LockBatchMqRequestHeader, UnlockBatchMqRequestHeader};
use remoting::json;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;

/// Code 41: takes or renews locks; the answer names those that the client holds now.
pub fn lock(
    broker: &Broker,
    call: &Call<'_>,
    _: LockBatchMqRequestHeader,
) -> Result<Answer, Refusal> {
    let asked: LockBatchRequestBody = body(call)?;
    if asked.client_id.is_empty() {
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "the body lacks clientId"));
    }
    let lock_ok_mq_set =
        broker.locks.lock(&asked.consumer_group, asked.mq_set, &asked.client_id, call.now_ms);
    Ok(Answer::body(json::to_body(&LockBatchResponseBody { lock_ok_mq_set })))
}

/// Code 42: gives locks back.
pub fn unlock(
    broker: &Broker,
    call: &Call<'_>,
    _: UnlockBatchMqRequestHeader,
) -> Result<Answer, Refusal> {
    let asked: UnlockBatchRequestBody = body(call)?;
    broker.locks.unlock(&asked.consumer_group, &asked.mq_set, &asked.client_id);
    Ok(Answer::success())
}
