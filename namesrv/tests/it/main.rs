//! A name server behind a real port: brokers register, leave and are killed; tools look and change.
#![allow(clippy::unwrap_used, reason = "a test that fails here has found something")]

mod brokers;
mod files;
mod settings;
mod shell;
mod stock;
