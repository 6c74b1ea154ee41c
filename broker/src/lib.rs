//! The broker: what RocketMQ's requests mean. State is plain structs; handlers are free functions
//! over them; the shell in [`server`] owns sockets, threads and the clock. Not here: bytes on the
//! wire (`remoting`), bytes on the disk (`store`), routes (`namesrv`).

pub mod announce;
pub mod assignment;
pub mod attributes;
pub mod broker;
pub mod carried;
pub mod clients;
mod cluster;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a disk of tests")]
mod cold;
pub mod config_texts;
mod copies;
pub mod delay;
mod due;
pub mod files;
pub mod filters;
pub mod flow;
pub mod flush;
pub mod groups;
pub mod handlers;
mod held;
pub mod hold;
mod housekeeping;
pub mod lite;
pub mod mappings;
mod mending;
pub mod moves;
pub mod offsets;
mod opening;
pub mod order;
pub mod others;
pub mod pop;
pub mod put;
pub mod readiness;
pub mod saved;
pub mod saving;
pub mod selection;
mod serve;
pub mod server;
pub mod stats;
pub mod subscription;
pub mod table;
pub mod timer;
pub mod topics;
pub mod trace;
pub mod transactions;
pub mod unread;
