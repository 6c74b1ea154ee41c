//! What operators ask (Java: `AdminBrokerProcessor`): mqadmin, the dashboard, the exporter. By
//! family; codes, remarks and bodies are those of the stock broker, so that its tools work.
//! Questions of clients about offsets and members are in the families beside this one.

pub mod clients;
pub mod cold_reads;
pub mod config;
pub mod engines;
pub mod groups;
pub mod lite;
pub mod offsets;
pub mod progress;
pub mod queues;
pub mod relay;
pub mod reset;
pub mod runtime;
pub mod static_topics;
pub mod topics;

#[cfg(test)]
mod tests;

use remoting::codes::ResponseCode;
use remoting::json::from_body;
use remoting::reply::{Answer, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What Java leaves in the remark of an answer that nobody wrote one for.
pub(super) const UNSET_REMARK: &str = "not set any response code";

/// SUCCESS with a JSON body.
pub(super) fn json<T: Serialize>(body: &T) -> Answer {
    Answer::body(remoting::json::to_body(body))
}

/// A body in JSON, or the refusal that Java's exception becomes.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    from_body(bytes).map_err(|error| failed(error.to_string()))
}

/// SYSTEM_ERROR: Java's answer to nearly everything that goes wrong here.
fn failed(remark: impl Into<String>) -> Refusal {
    Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
}

fn invalid(remark: impl Into<String>) -> Refusal {
    Refusal::new(ResponseCode::INVALID_PARAMETER, remark)
}
