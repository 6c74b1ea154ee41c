//! The remoting protocol of RocketMQ: tables of codes, headers and bodies, the frame codec, and a
//! thin skin for both sides of a connection: event loops for what is open, tokio for accepting,
//! connecting and waiting. No broker, name-server or store semantics.

mod balance;
pub mod body;
pub mod calls;
pub mod client;
pub mod codes;
pub mod command;
pub mod connection;
mod event_loop;
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
