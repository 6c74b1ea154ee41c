//! What a handler gives back: an answer, a refusal, or the word that the answer comes later.

use crate::codes::LanguageCode;
use crate::codes::ResponseCode;
use crate::command::{Command, FLAG_RESPONSE, Head};
use crate::fields::Fields;
use crate::flat::Header;
use crate::frame::Form;
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::version::Version;
use bytes::Bytes;
use message::Str;
use std::convert::Infallible;
use std::sync::Arc;

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The response code, one of Java's.
    pub code: ResponseCode,
    /// What was wrong, where, and the way out.
    pub remark: String,
}

impl Refusal {
    /// A refusal with its words.
    pub fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }
}

/// A whole answer, without the number of the request that it belongs to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response code.
    pub code: ResponseCode,
    /// Words for a person.
    pub remark: Option<Str>,
    /// The ext fields.
    pub fields: Fields,
    /// The body, in parts that are written one behind the other.
    pub body: Vec<Bytes>,
}

impl Answer {
    /// An answer with nothing but its code.
    #[inline]
    pub fn code(code: ResponseCode) -> Self {
        Self { code, remark: None, fields: Fields::new(), body: Vec::new() }
    }

    /// SUCCESS, and nothing else.
    #[inline]
    pub fn success() -> Self {
        Self::code(ResponseCode::SUCCESS)
    }

    /// SUCCESS with header fields.
    #[inline]
    pub fn header(header: &impl Header) -> Self {
        Self::success().with_header(header)
    }

    /// SUCCESS with a body.
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::success().with_body(body)
    }

    /// The same with these header fields behind those that are there.
    #[inline]
    pub fn with_header(mut self, header: &impl Header) -> Self {
        header.write(&mut self.fields);
        self
    }

    /// The same with one more field.
    #[inline]
    pub fn with_field(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.fields.push(key, value);
        self
    }

    /// The same with one more part of a body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body.push(body.into());
        self
    }

    /// The same with words.
    pub fn with_remark(mut self, remark: impl Into<Str>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::code(refusal.code).with_remark(refusal.remark)
    }
}

/// What became of a request. `E` is work that the shell of the crate must do before it can answer.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are answers, and a box costs for each")]
pub enum Reply<E = Infallible> {
    /// The answer.
    Answer(Answer),
    /// The answer comes later, through [`Call::later`](crate::router::Call::later).
    Later,
    /// There is no answer, ever: Java gives none either.
    Silent,
    /// Work for the shell, which answers when it is done.
    Effect(E),
}

impl<E> From<Answer> for Reply<E> {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl<E> From<()> for Reply<E> {
    fn from((): ()) -> Self {
        Self::Answer(Answer::success())
    }
}

/// The number and the form of a request: what an answer must carry to find its way.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    opaque: i32,
    form: Form,
    oneway: bool,
}

impl Ticket {
    /// The ticket of this request.
    pub fn of(request: &Command) -> Self {
        Self { opaque: request.head.opaque, form: request.form, oneway: request.is_oneway() }
    }

    /// Whether the asker wants no answer.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// How the answer's header must be written: as the request's was.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The fixed part of an answer's header.
    pub fn head(&self, code: ResponseCode, remark: Option<Str>) -> Head {
        Head {
            code: code.0,
            language: LanguageCode::JAVA,
            version: Version::CURRENT.0,
            opaque: self.opaque,
            flag: FLAG_RESPONSE,
            remark,
        }
    }

    /// Writes the answer, unless the request was oneway.
    pub fn answer(&self, answer: Answer, out: &mut Outbox) {
        if !self.oneway {
            let head = self.head(answer.code, answer.remark);
            out.push(&head, &answer.fields, self.form, &answer.body);
        }
    }
}

/// One request among those of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    connection: u64,
    opaque: i32,
}

impl RequestId {
    /// The request with this ticket that came over `peer`.
    pub(crate) fn of(peer: &Peer, ticket: &Ticket) -> Self {
        Self { connection: peer.id, opaque: ticket.opaque }
    }
}

/// Whoever waits for an answer that comes later. While it lives, its request counts as in flight.
#[derive(Debug)]
pub struct Asker {
    peer: Arc<Peer>,
    ticket: Ticket,
}

impl Asker {
    /// The asker of a request that came over `peer`.
    pub fn new(peer: &Arc<Peer>, ticket: Ticket) -> Self {
        peer.count_in_flight(true);
        Self { peer: Arc::clone(peer), ticket }
    }

    /// The connection that the request came over.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Which request it is of all those that wait.
    pub fn request(&self) -> RequestId {
        RequestId::of(&self.peer, &self.ticket)
    }

    /// Sends the answer; nothing happens when the connection is gone.
    pub fn answer(self, answer: Answer) {
        self.peer.send_with(|out| self.ticket.answer(answer, out));
    }
}

/// Answers that are ready at the same time: each connection is written to once, at the end.
#[derive(Debug, Default)]
pub struct Answers {
    unwritten: Vec<Arc<Peer>>,
}

impl Answers {
    /// Puts an answer with the others of its connection.
    pub fn push(&mut self, asker: &Asker, answer: Answer) {
        if asker.peer.post_with(|out| asker.ticket.answer(answer, out)) {
            self.unwritten.push(Arc::clone(&asker.peer));
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.unwritten.drain(..).for_each(|peer| peer.write_out());
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.peer.count_in_flight(false);
    }
}
