//! `Router`: one request, one line, one free function (design: request code -> lane and handler).
//!
//! It decodes the typed header, runs the handler, turns refusals into answers and catches panics,
//! once for all handlers. Which thread a lane runs on is the shell's business.

use crate::codes::{RequestCode, ResponseCode};
use crate::command::Command;
use crate::flat::{Header, OwnedHeader};
use crate::peer::Peer;
use crate::reply::{Asker, Refusal, Reply, RequestId, Ticket};
use crate::room::Room;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Where a handler may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// On the event loop of the connection: it never blocks.
    Inline,
    /// On a bounded pool: it may wait for the disk or do long work.
    Blocking,
}

/// One request as its handler sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// The connection that it came over.
    pub peer: &'a Arc<Peer>,
    /// The request, for its body and the fields that no table knows.
    pub command: &'a Command,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Where the handler runs now; on [`Lane::Inline`] it must not wait.
    pub lane: Lane,
    /// Room for what the handler makes.
    pub room: &'a Room,
}

impl Call<'_> {
    /// Which request it is of all that come.
    pub fn request(&self) -> RequestId {
        RequestId::of(self.peer, &Ticket::of(self.command))
    }

    /// Whoever waits for the answer, to give it later; the handler then returns [`Reply::Later`].
    pub fn later(&self) -> Asker {
        Asker::new(self.peer, Ticket::of(self.command))
    }
}

type Run<S, E> = Box<dyn Fn(&S, &Call<'_>) -> Reply<E> + Send + Sync>;

/// The request table of one server. `S` is its state, `E` the work that it leaves to its shell.
pub struct Router<S, E = Infallible> {
    /// By request code, in order.
    routes: Vec<Route<S, E>>,
}

struct Route<S, E> {
    code: RequestCode,
    lane: Lane,
    run: Run<S, E>,
}

impl<S, E> std::fmt::Debug for Router<S, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.routes.iter().map(|route| route.code)).finish()
    }
}

impl<S: 'static, E: 'static> Default for Router<S, E> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<S: 'static, E: 'static> Router<S, E> {
    /// The same table with one more line.
    ///
    /// # Panics
    /// When the code stands in the table already: that is a mistake of ours, seen at every start.
    #[must_use]
    pub fn on<H: OwnedHeader, R: Into<Reply<E>> + 'static>(
        self,
        code: RequestCode,
        lane: Lane,
        handler: fn(&S, &Call<'_>, H) -> Result<R, Refusal>,
    ) -> Self {
        self.on_lent::<H, R>(code, lane, handler)
    }

    /// The same with a header whose texts are those of the request.
    ///
    /// # Panics
    /// As [`Self::on`].
    #[must_use]
    pub fn on_lent<H: Header + 'static, R: Into<Reply<E>> + 'static>(
        mut self,
        code: RequestCode,
        lane: Lane,
        handler: for<'a> fn(&S, &Call<'a>, H::Of<'a>) -> Result<R, Refusal>,
    ) -> Self {
        let run: Run<S, E> = Box::new(move |state, call| {
            let reply = match H::read(&call.command.fields) {
                Ok(header) => handler(state, call, header),
                Err(error) => {
                    let remark = format!("{code:?}: {error}");
                    Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark))
                }
            };
            match reply {
                Ok(reply) => reply.into(),
                Err(refusal) => Reply::Answer(refusal.into()),
            }
        });
        let Err(at) = self.place(code) else {
            panic!("{code:?} stands in the request table twice");
        };
        self.routes.insert(at, Route { code, lane, run });
        self
    }

    /// Where the handler of this request runs; unknown requests are refused inline.
    pub fn lane(&self, code: RequestCode) -> Lane {
        self.place(code).map_or(Lane::Inline, |at| self.routes[at].lane)
    }

    /// Every request code that has a handler.
    pub fn codes(&self) -> impl Iterator<Item = RequestCode> {
        self.routes.iter().map(|route| route.code)
    }

    fn place(&self, code: RequestCode) -> Result<usize, usize> {
        self.routes.binary_search_by_key(&code, |route| route.code)
    }

    /// Runs the handler of a request; whatever goes wrong becomes an answer.
    pub fn run(&self, state: &S, call: &Call<'_>) -> Reply<E> {
        let code = call.command.code();
        let Ok(at) = self.place(code) else {
            let remark = format!(" request type {} not supported", code.0);
            let refusal = Refusal::new(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark);
            return Reply::Answer(refusal.into());
        };
        let reply = catch_unwind(AssertUnwindSafe(|| (self.routes[at].run)(state, call)));
        reply.unwrap_or_else(|_| {
            tracing::error!(?code, peer = %call.peer.remote, "a handler panicked");
            let remark = format!("{code:?}: the server failed to handle this; see its log");
            Reply::Answer(Refusal::new(ResponseCode::SYSTEM_ERROR, remark).into())
        })
    }
}
