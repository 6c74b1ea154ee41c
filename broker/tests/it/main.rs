//! A broker over real sockets, asked as clients ask it.
#![allow(clippy::unwrap_used, reason = "a test that fails here has found something")]
#![allow(clippy::disallowed_methods, reason = "tests own their directories")]

mod admin;
mod filters;
mod full;
mod inner_batches;
mod membership;
mod notification;
mod offsets;
mod pop;
mod priorities;
mod recovery;
mod replies;
mod saved;
mod sends;
mod settings;
mod statics;
mod support;
mod trace;
