//! What each request does: free functions by family, bound to their codes in [`crate::table`].

pub(crate) mod brokers;
pub(crate) mod config;
pub(crate) mod lists;
pub(crate) mod routes;

use crate::routes::Notice;
use remoting::reply::{Answer, Refusal, Reply};

/// An answer, and word for brokers that must leave before it.
#[derive(Debug)]
pub(crate) struct Told {
    /// What the asker gets.
    pub(crate) answer: Answer,
    /// What brokers are told.
    pub(crate) notices: Vec<Notice>,
}

impl Told {
    fn reply(answer: Answer, notices: Vec<Notice>) -> Reply<Self> {
        if notices.is_empty() {
            return Reply::Answer(answer);
        }
        Reply::Effect(Self { answer, notices })
    }
}

/// What a handler gives back.
type Done<T = Answer> = Result<T, Refusal>;
