//! What each request does: free functions over [`crate::broker::Broker`], by family. Which code
//! leads to which function stands in [`crate::table`].

pub mod ack;
pub mod admin;
pub mod assignment;
pub mod client;
pub mod lite;
pub mod lock;
pub mod notification;
pub mod offset;
pub mod peek;
mod poll;
pub mod pop;
pub mod pull;
pub mod query;
pub mod recall;
pub mod reply;
pub mod send;
pub mod send_back;
pub mod transaction;

use remoting::codes::ResponseCode;
use remoting::flat::{Header, HeaderError};
use remoting::reply::Refusal;

/// The refusal of a request that lacks a field which it needs at this place alone.
fn missing<H: Header>(field: &'static str) -> Refusal {
    let remark = HeaderError::Missing { header: H::NAME, field }.to_string();
    Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
}
