//! Other brokers, as handlers on [`Lane::Blocking`](remoting::router::Lane::Blocking) ask them: a
//! door like the store's disk, which the shell provides (`cluster`).

use message::Str;
use remoting::body::route::TopicRouteData;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::{Header, OwnedHeader};
use remoting::peer::CallError;
use remoting::reply::Refusal;
use std::fmt::Debug;
use std::io;

/// Whoever can reach other brokers. Every call may take as long as `forwardTimeout`.
pub trait Others: Send + Sync + Debug {
    /// What the primary of this name answers.
    ///
    /// # Errors
    /// Nobody knows it, or it does not answer in time.
    fn ask(&self, broker: &str, command: Command) -> Result<Command, CallError>;

    /// Where a topic's queues are, if a name server can say.
    fn route(&self, topic: Str) -> Option<TopicRouteData>;
}

/// There is nobody else.
#[derive(Debug)]
pub struct Nobody;

impl Others for Nobody {
    fn ask(&self, broker: &str, _: Command) -> Result<Command, CallError> {
        Err(unknown(broker))
    }

    fn route(&self, _: Str) -> Option<TopicRouteData> {
        None
    }
}

/// No name server knows a broker of this name.
pub fn unknown(broker: &str) -> CallError {
    let text = format!("no name server knows a broker {broker} (setting namesrvAddr)");
    CallError::Connect(io::Error::new(io::ErrorKind::NotFound, text))
}

/// Asks a broker, and gives its answer whatever the code.
///
/// # Errors
/// It cannot be asked, or does not answer.
pub fn ask(
    others: &dyn Others,
    broker: &str,
    code: RequestCode,
    header: &impl Header,
) -> Result<Command, Refusal> {
    let command = Command::request(code).with_header(header);
    others.ask(broker, command).map_err(|error| {
        let remark = format!("broker {broker}, where the queue was before: {error}");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    })
}

/// The same, where only SUCCESS helps; gives the answer's header.
///
/// # Errors
/// It cannot be asked, does not answer, or refuses.
pub fn ask_for<R: OwnedHeader>(
    others: &dyn Others,
    broker: &str,
    code: RequestCode,
    header: &impl Header,
) -> Result<R, Refusal> {
    let answer = ask(others, broker, code, header)?;
    if answer.response_code() != ResponseCode::SUCCESS {
        return Err(refused(broker, &answer));
    }
    read(broker, &answer)
}

/// The header of another broker's answer.
///
/// # Errors
/// It is not there.
pub fn read<R: OwnedHeader>(broker: &str, answer: &Command) -> Result<R, Refusal> {
    R::read(&answer.fields).map_err(|error| {
        let remark = format!("broker {broker}, where the queue was before: {error}");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    })
}

/// Another broker's refusal as our own.
pub fn refused(broker: &str, answer: &Command) -> Refusal {
    let (code, remark) = (answer.response_code(), answer.head.remark.as_deref());
    let remark = remark.unwrap_or_default();
    let remark = format!("broker {broker}, where the queue was before, said {code:?}: {remark}");
    Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
}
