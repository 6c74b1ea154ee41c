//! The remoting protocol of RocketMQ: tables of codes, headers and bodies, the frame codec, and a
//! thin tokio skin for both sides of a connection. No broker, name-server or store semantics.

pub mod body;
pub mod calls;
pub mod client;
pub mod codes;
pub mod command;
pub mod connection;
pub mod fields;
pub mod flat;
pub mod frame;
pub mod headers;
pub mod json;
pub mod outbox;
pub mod peer;
pub mod reply;
pub mod room;
pub mod router;
mod seldom;
pub mod server;
pub mod version;
