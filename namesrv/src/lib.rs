//! The name server: which brokers live, where topics are, and a small key-value configuration.
//!
//! [`routes`], [`kv`] and [`zone`] are pure; `state` puts them behind locks and keeps their files,
//! [`server`] is the thin tokio shell. No message ever passes through here.

mod files;
mod handlers;
pub mod kv;
pub mod routes;
pub mod server;
mod state;
mod table;
pub mod zone;
