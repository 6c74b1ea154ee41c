//! Connections that move between two event loops while they ask.

use super::*;
use crate::codes::RequestCode;
use crate::connection::Terms;
use crate::frame::{self, Limits};
use crate::peer::Peer;
use crate::reply::{Answer, Ticket};
use crate::server::open_connection;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything here may take.
const WAIT: Duration = Duration::from_secs(60);
/// Nothing more comes within it; so long a connection is quiet.
const QUIET: Duration = Duration::from_millis(2);
/// Bytes of the next request that go with each one.
const AHEAD: usize = 5;
/// Bytes of a body that is read and written in pieces.
const LARGE: usize = 256 << 10;
const CONNECTIONS: usize = 8;

/// Works for as many microseconds as the code says, and gives the body back. Notes which loop
/// served each connection last.
#[derive(Default)]
struct Work(Mutex<HashMap<u64, String>>);

impl Serve for Work {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|_, request, out| {
                let time = Duration::from_micros(request.head.code.unsigned_abs().into());
                let begun = Instant::now();
                while begun.elapsed() < time {}
                Ticket::of(request).answer(Answer::body(request.body.clone()), out);
            });
            let at = thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().insert(one.peer.id, at);
        }
    }

    fn closed(&self, _: &Arc<Peer>) {}
}

impl Work {
    /// How many connections were served by this loop last.
    fn at(&self, number: usize) -> usize {
        let name = format!("net-{number}");
        self.0.lock().values().filter(|at| **at == name).count()
    }
}

/// One who asks, and has always begun to write the next question.
struct Caller {
    stream: TcpStream,
    input: BytesMut,
    number: usize,
    rest: BytesMut,
}

fn body(number: usize) -> Vec<u8> {
    vec![number as u8; if number.is_multiple_of(8) { LARGE } else { 1 }]
}

fn question(number: usize, work_us: i32) -> BytesMut {
    let mut command = Command::request(RequestCode(work_us)).with_body(body(number));
    command.head.opaque = number as i32;
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes
}

impl Caller {
    /// Asks, and sees the answer to this and to nothing else. The next question wants so much work.
    async fn ask(&mut self, work_us: i32) {
        let mut bytes = replace(&mut self.rest, question(self.number + 1, work_us));
        bytes.extend_from_slice(&self.rest.split_to(AHEAD));
        let asked = async {
            self.stream.write_all(&bytes).await.unwrap();
            self.answer().await
        };
        let answer = timeout(WAIT, asked).await.expect("an answer was lost");
        assert_eq!(answer.head.opaque, self.number as i32, "an answer came twice or too soon");
        assert!(answer.body == body(self.number), "an answer has another's body");
        self.number += 1;
    }

    async fn answer(&mut self) -> Command {
        loop {
            if let Some(frame) = frame::split(&mut self.input, &Limits::default()).unwrap() {
                return Command::decode(frame, &Limits::default()).unwrap();
            }
            self.input.reserve(LARGE);
            assert!(self.stream.read_buf(&mut self.input).await.unwrap() > 0, "it was closed");
        }
    }

    async fn hears_nothing(&mut self) {
        assert!(timeout(QUIET, self.answer()).await.is_err(), "an answer came twice");
    }
}

/// Connections dealt out among two loops.
async fn connected() -> (Arc<Work>, Vec<Caller>) {
    let event_loops = EventLoops::start(2).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (work, mut callers) = (Arc::<Work>::default(), Vec::new());
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let served = listener.accept().await.unwrap().0;
        let (serve, limits, counters) = (work.clone(), Limits::default(), Arc::default());
        let terms = Terms { serve, limits, counters, heir: None };
        open_connection(&event_loops, served, terms).unwrap();
        callers.push(Caller { stream, input: BytesMut::new(), number: 1, rest: question(1, 0) });
    }
    (work, callers)
}

/// Each asks now and then, until it is done.
async fn now_and_then(callers: &mut [Caller], what: &str, mut is_done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < WAIT, "never happened: {what}");
        for caller in &mut *callers {
            caller.ask(0).await;
            caller.hears_nothing().await;
        }
    }
}

/// All of them ask all the time, until it is done.
async fn at_once(
    callers: Vec<Caller>,
    what: &'static str,
    is_done: impl Fn() -> bool + Clone + Send + 'static,
) -> Vec<Caller> {
    let (begun, all_done) = (Instant::now(), Arc::<AtomicBool>::default());
    let mut asking = JoinSet::new();
    for mut caller in callers {
        let (is_done, all_done) = (is_done.clone(), Arc::clone(&all_done));
        asking.spawn(async move {
            while !all_done.load(Ordering::Relaxed) {
                assert!(begun.elapsed() < WAIT, "never happened: {what}");
                caller.ask(500).await;
                all_done.fetch_or(is_done(), Ordering::Relaxed);
            }
            caller
        });
    }
    asking.join_all().await
}

#[tokio::test]
async fn quiet_connections_are_gathered_and_a_burst_is_dealt_out_and_no_answer_is_lost() {
    let (work, mut callers) = connected().await;
    for _ in 0..2 {
        now_and_then(&mut callers, "all at one loop", || work.at(0) == CONNECTIONS).await;
        let seen = Arc::clone(&work);
        let is_dealt = move || seen.at(0) >= 2 && seen.at(1) >= 2;
        callers = at_once(callers, "each loop serves some", is_dealt).await;
    }
    for caller in &mut callers {
        caller.hears_nothing().await;
    }
}

/// The turn of one holds the others: they leave it, though its loop has little to do.
#[tokio::test]
async fn connections_leave_a_loop_that_one_of_them_holds_up() {
    let (work, mut callers) = connected().await;
    now_and_then(&mut callers, "all at one loop", || work.at(0) == CONNECTIONS).await;
    let begun = Instant::now();
    while work.at(1) == 0 {
        assert!(begun.elapsed() < WAIT, "never happened: some at the other");
        callers[0].ask(LONG.as_micros() as i32 * 6 / 5).await;
        let mut rounds = 0..9;
        now_and_then(&mut callers, "nine rounds", || rounds.next().is_none()).await;
    }
}
