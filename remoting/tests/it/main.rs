//! Client and server over real sockets on the loopback.
#![allow(clippy::unwrap_used, reason = "a test that fails here has found something")]

use bytes::{Buf, BytesMut};
use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::connection::{Arrived, Counters, Ended, Serve};
use remoting::frame::{self, Limits};
use remoting::outbox::Outbox;
use remoting::peer::{CallError, Peer};
use remoting::reply::{Answer, Asker, Ticket};
use remoting::server::{Options, Server};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const WAIT: Duration = Duration::from_secs(10);

/// Code 1 echoes, 2 is held until the next 1, 3 is never answered, 4 asks the client something, 5
/// is answered with 4 MiB, 6 after the client was told something.
struct Echo {
    runtime: Handle,
    held: Mutex<Vec<Asker>>,
    closed: Mutex<Vec<u64>>,
}

impl Default for Echo {
    fn default() -> Self {
        Self { runtime: Handle::current(), held: Mutex::default(), closed: Mutex::default() }
    }
}

impl Serve for Echo {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|peer, request, out| self.serve_one(peer, request, out));
        }
    }

    fn closed(&self, peer: &Arc<Peer>) {
        self.closed.lock().unwrap().push(peer.id);
    }
}

impl Echo {
    fn serve_one(&self, peer: &Arc<Peer>, request: &Command, out: &mut Outbox) {
        let ticket = Ticket::of(request);
        match request.head.code {
            1 => {
                ticket.answer(Answer::body(request.body.clone()), out);
                for asker in self.held.lock().unwrap().drain(..) {
                    asker.answer(Answer::success().with_remark("held"));
                }
            }
            2 => self.held.lock().unwrap().push(Asker::new(peer, ticket)),
            5 => ticket.answer(Answer::body(vec![5; 4 << 20]), out),
            6 => {
                peer.send(&Command::request(RequestCode(1)).oneway());
                ticket.answer(Answer::success(), out);
            }
            4 => {
                let (peer, asker) = (Arc::clone(peer), Asker::new(peer, ticket));
                self.runtime.spawn(async move {
                    let asked = peer.call(Command::request(RequestCode(1)), WAIT).await;
                    asker.answer(Answer::code(ResponseCode(asked.unwrap().head.code)));
                });
            }
            _ => {}
        }
    }
}

struct Running {
    address: SocketAddr,
    echo: Arc<Echo>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(options: Options) -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let (address, counters) = (server.address().unwrap(), server.counters());
    let (echo, stop) = (Arc::<Echo>::default(), CancellationToken::new());
    let task = tokio::spawn(server.run(echo.clone(), stop.clone()));
    Running { address, echo, counters, stop, task }
}

/// As a JVM: a client finds it whichever address it has.
#[tokio::test]
async fn all_addresses_are_those_of_ipv6_too() {
    let server = Server::bind("0.0.0.0:0".parse().unwrap(), Options::default()).await.unwrap();
    let port = server.address().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let has_sixth = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(TcpStream::connect(("::1", port)).await.is_ok(), has_sixth);
    let again = Server::bind(([0; 4], port).into(), Options::default()).await;
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, waited).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

#[tokio::test]
async fn calls_are_answered_out_of_order_and_in_both_directions() {
    let server = start(Options::default()).await;
    let client = Client::new(Arc::<Echo>::default());
    let address = server.address.to_string();
    let call = |code, body: Vec<u8>| {
        client.call(&address, Command::request(RequestCode(code)).with_body(body), WAIT)
    };
    let big = vec![7; 3 << 20];
    let (held, echoed) = tokio::join!(call(2, vec![]), async {
        until("the hold", || !server.echo.held.lock().unwrap().is_empty()).await;
        call(1, big.clone()).await
    });
    assert_eq!(echoed.unwrap().body, big);
    assert_eq!(held.unwrap().head.remark.unwrap(), "held");
    assert_eq!(call(4, vec![]).await.unwrap().head.code, 0);
}

#[tokio::test]
async fn what_nobody_listens_to_holds_up_no_answer() {
    let server = start(Options::default()).await;
    let (client, address) = (Client::new(Arc::new(Deaf)), server.address.to_string());
    for code in [6, 1] {
        let answer = client.call(&address, Command::request(RequestCode(code)), WAIT).await;
        assert_eq!(answer.unwrap().head.code, 0, "{code}");
    }
}

#[tokio::test]
async fn a_call_ends_by_time_and_by_a_lost_connection_which_is_then_made_anew() {
    let server = start(Options::default()).await;
    let client = Client::new(Arc::new(Deaf));
    let address = server.address.to_string();
    let ask = |code, time| client.call(&address, Command::request(RequestCode(code)), time);
    let late = ask(3, Duration::from_millis(30)).await;
    assert!(matches!(late, Err(CallError::Timeout(_))), "{late:?}");
    let (lost, ()) = tokio::join!(ask(3, WAIT), async {
        client.peer(&address).await.unwrap().close();
    });
    assert!(matches!(lost, Err(CallError::Closed)), "{lost:?}");
    assert_eq!(ask(1, WAIT).await.unwrap().head.code, 0);
    until("the server sees the end", || !server.echo.closed.lock().unwrap().is_empty()).await;
    server.stop.cancel();
    server.task.await.unwrap();
    assert!(matches!(ask(1, WAIT).await, Err(CallError::Connect(_) | CallError::Closed)));
}

#[tokio::test]
async fn a_oneway_request_is_never_answered() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = BytesMut::new();
    Command::request(RequestCode(1)).with_body("quiet").oneway().encode(&mut bytes);
    Command::request(RequestCode(1)).with_body("loud").encode(&mut bytes);
    stream.write_all(&bytes).await.unwrap();
    let mut head = [0; 8];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; (&head[..4]).get_u32() as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"loud"));
}

#[tokio::test]
async fn bad_bytes_end_the_connection_and_are_counted() {
    let server = start(Options::default()).await;
    for (bytes, reason) in [
        (&[0x7f, 0xff, 0xff, 0xff][..], Ended::Frame),
        (&[0, 0, 0, 8, 0, 0, 0, 4, b'n', b'o', b'p', b'e'], Ended::Header),
        (&[0, 0x10, 0, 0, 0, 0x04, 0, 1], Ended::HeaderLength),
        (&frame_with_fields(513), Ended::Fields),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        until("the count", || server.counters.ended(reason) == 1).await;
    }
}

fn frame_with_fields(count: usize) -> Vec<u8> {
    let mut command = Command::request(RequestCode(1));
    for number in 0..count {
        command.fields.push(format!("k{number}"), "v");
    }
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes.to_vec()
}

#[tokio::test]
async fn too_many_requests_in_flight_are_refused_and_the_connection_stays() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = BytesMut::new();
    for _ in 0..16_384 {
        Command::request(RequestCode(2)).encode(&mut bytes);
    }
    stream.write_all(&bytes).await.unwrap();
    until("the holds", || server.echo.held.lock().unwrap().len() == 16_384).await;
    let client = |stream: &mut TcpStream| {
        let mut bytes = BytesMut::new();
        Command::request(RequestCode(1)).encode(&mut bytes);
        let _ = stream.try_write(&bytes);
    };
    client(&mut stream);
    until("the count", || server.counters.busy.load(std::sync::atomic::Ordering::Relaxed) == 1)
        .await;
    server.echo.held.lock().unwrap().clear();
    client(&mut stream);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"code\":0") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
    }
    assert!(String::from_utf8_lossy(&seen).contains("\"code\":2,"));
}

/// One answer takes more than a turn; all are more than may wait for a reader who takes nothing,
/// which this one is not.
#[tokio::test]
async fn what_was_asked_at_once_is_answered_as_fast_as_it_is_read() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for count in [1, 20] {
        let mut bytes = BytesMut::new();
        for _ in 0..count {
            Command::request(RequestCode(5)).encode(&mut bytes);
        }
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(bodies(&mut stream, count).await, vec![4 << 20; count]);
    }
}

/// How long the bodies of so many frames are, behind which nothing comes.
async fn bodies(stream: &mut TcpStream, count: usize) -> Vec<usize> {
    let (mut input, mut bodies) = (BytesMut::new(), Vec::new());
    while bodies.len() < count {
        input.reserve(4096);
        let bytes = stream.read_buf(&mut input).await.unwrap();
        assert!(bytes > 0, "closed after {}", bodies.len());
        while let Some(frame) = frame::split(&mut input, &Limits::default()).unwrap() {
            bodies.push(frame.bytes.len() - frame.header_bytes);
        }
    }
    assert!(input.is_empty());
    bodies
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let server = start(Options { connections: 1, ..Options::default() }).await;
    let first = Client::new(Arc::new(Deaf));
    let address = server.address.to_string();
    let ask = Command::request(RequestCode(1));
    first.call(&address, ask.clone(), WAIT).await.unwrap();
    let second = Client::new(Arc::new(Deaf));
    assert!(matches!(second.call(&address, ask, WAIT).await, Err(CallError::Closed)));
    assert_eq!(server.counters.refused.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn many_frames_in_one_write_are_all_answered() {
    let server = start(Options::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = BytesMut::new();
    for _ in 0..1000 {
        Command::request(RequestCode(1)).with_body("x").encode(&mut bytes);
    }
    let torn = bytes.split_off(bytes.len() - 3);
    stream.write_all(&bytes).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(&torn).await.unwrap();
    assert_eq!(bodies(&mut stream, 1000).await, [1; 1000]);
}

/// Works a while for each request, and notes which thread does, by connection.
#[derive(Default)]
struct Busy(Mutex<HashMap<u64, String>>);

impl Serve for Busy {
    fn serve(&self, arrived: &mut [Arrived]) {
        for one in arrived {
            one.each(|_, request, out| {
                let until = Instant::now() + Duration::from_millis(1);
                while Instant::now() < until {}
                Ticket::of(request).answer(Answer::success(), out);
            });
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().unwrap().insert(one.peer.id, thread);
        }
    }

    fn closed(&self, _: &Arc<Peer>) {}
}

#[tokio::test]
async fn of_two_busy_connections_at_one_event_loop_one_goes_to_an_idle_one() {
    let loops = std::thread::available_parallelism().map_or(1, usize::from);
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Options::default()).await.unwrap();
    let (address, busy) = (server.address().unwrap().to_string(), Arc::<Busy>::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.run(busy.clone(), stop.clone()));
    let clients: Vec<_> = (0..=loops).map(|_| Client::new(Arc::new(Deaf))).collect();
    let ask =
        |client: usize| clients[client].call(&address, Command::request(RequestCode(1)), WAIT);
    let mut threads = Vec::new();
    for client in 0..=loops {
        ask(client).await.unwrap();
        threads.push(busy.0.lock().unwrap().drain().next().unwrap().1);
    }
    let pairs = (0..=loops).flat_map(|a| (0..a).map(move |b| (a, b)));
    let (a, b) = pairs.into_iter().find(|(a, b)| threads[*a] == threads[*b]).unwrap();
    let apart = async {
        loop {
            let (one, other) = tokio::join!(ask(a), ask(b));
            assert!(one.is_ok() && other.is_ok());
            let mut seen =
                busy.0.lock().unwrap().drain().map(|(_, thread)| thread).collect::<Vec<_>>();
            seen.dedup();
            if seen.len() == 2 || loops == 1 {
                return;
            }
        }
    };
    tokio::time::timeout(WAIT, apart).await.unwrap();
    stop.cancel();
    task.await.unwrap();
}
