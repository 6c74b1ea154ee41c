//! The null server: it parses every field of a frame and answers it with success, and nothing
//! else; a message that somebody waits for goes straight to him. What it reaches is the limit of
//! sockets, scheduler and generator on this machine; the distance of a broker from it is the
//! broker's own work.

mod forward;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::frame::{self, FRAME_BYTES, Form, Head, OPAQUE_BASE};
use crate::null::forward::{Delivery, Forward};
use crate::socket::{Input, Output, Poller};

const LISTENER: usize = usize::MAX;
const CONNECTIONS: usize = 4096;

/// SEND_MESSAGE and SEND_MESSAGE_V2.
const SEND: [u64; 2] = [10, 310];
const PULL_MESSAGE: u64 = 11;

/// Says where it listens and serves until it is killed. Port 0 lets the system choose.
pub(crate) fn serve(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
    listener.set_nonblocking(true)?;
    println!("the null server listens on {}", listener.local_addr()?);
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let (json, binary) = (Prepared::new(Form::Json), Prepared::new(Form::Rocketmq));
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut forward = Forward::default();
    loop {
        let ready: Vec<usize> = poller.wait(Duration::from_secs(60))?.collect();
        for token in ready {
            if token == LISTENER {
                accept(&listener, &poller, &mut peers)?;
                continue;
            }
            let Some(peer) = &mut peers[token] else { continue };
            let served = peer.serve([&json, &binary], token, &mut forward);
            if served.and_then(|()| peer.flush(&poller, token)).is_err() {
                peers[token] = None;
                forward.leave(token);
            }
            for Delivery { token, pull, records } in std::mem::take(&mut forward.due) {
                let Some(peer) = &mut peers[token] else { continue };
                let prepared = [&json, &binary][pull.form as usize];
                prepared.answer(&mut peer.output.bytes, pull, 0, &records);
                if peer.flush(&poller, token).is_err() {
                    peers[token] = None;
                    forward.leave(token);
                }
            }
        }
    }
}

fn accept(listener: &TcpListener, poller: &Poller, peers: &mut Vec<Option<Peer>>) -> Result<()> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let token = peers.iter().position(Option::is_none).unwrap_or(peers.len());
    ensure!(token < CONNECTIONS, "more than {CONNECTIONS} connections");
    poller.add(&stream, token)?;
    let peer = Peer { stream, input: Input::new(), output: Output::default(), full: false };
    if token == peers.len() {
        peers.push(Some(peer));
    } else {
        peers[token] = Some(peer);
    }
    Ok(())
}

struct Peer {
    stream: TcpStream,
    input: Input,
    output: Output,
    full: bool,
}

impl Peer {
    fn serve(
        &mut self,
        prepared: [&Prepared; 2],
        token: usize,
        forward: &mut Forward,
    ) -> Result<()> {
        ensure!(self.input.fill(&mut self.stream)?, "closed");
        while let Some(request) = parse(self.input.unread())? {
            let Request { code, what, length, queue, .. } = request;
            if code == PULL_MESSAGE {
                forward.pull(token, &request);
            } else {
                if SEND.contains(&code) {
                    forward.send(&request)?;
                }
                prepared[what.form as usize].answer(&mut self.output.bytes, what, queue, b"");
            }
            self.input.advance(length);
        }
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    fn flush(&mut self, poller: &Poller, token: usize) -> Result<()> {
        let full = !self.output.drain(&mut self.stream)?;
        if full != self.full {
            self.full = full;
            poller.watch(&self.stream, token, full)?;
        }
        Ok(())
    }
}

/// What an answer repeats of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct What {
    form: Form,
    opaque: u32,
}

struct Request<'a> {
    code: u64,
    what: What,
    length: usize,
    queue: u64,
    topic: &'a [u8],
    body: &'a [u8],
}

fn parse(bytes: &[u8]) -> Result<Option<Request<'_>>> {
    let Some(prefix) = bytes.first_chunk::<8>() else { return Ok(None) };
    let word = |at: usize| {
        u32::from_be_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]])
    };
    let length = 4 + word(0) as usize;
    ensure!(length <= FRAME_BYTES, "a frame of {length} bytes");
    if bytes.len() < length {
        return Ok(None);
    }
    let header = (word(4) & 0x00ff_ffff) as usize;
    ensure!(8 + header <= length, "a header longer than its frame");
    let (header, body) = bytes[8..length].split_at(header);
    let form = if word(4) >> 24 == 0 { Form::Json } else { Form::Rocketmq };
    let what = What { form, opaque: 0 };
    let mut request = Request { code: 0, what, length, queue: 0, topic: b"", body };
    match form {
        Form::Json => walk_json(header, |key, value| match key {
            b"code" => request.code = number(value),
            b"opaque" => request.what.opaque = number(value) as u32,
            _ => request.see(key, value),
        }),
        Form::Rocketmq => {
            request.code = number_be(header.get(..2).context("a short header")?).into();
            request.what.opaque = number_be(header.get(5..9).context("a short header")?);
            walk_binary(header, |key, value| request.see(key, value));
        }
    }
    Ok(Some(request))
}

impl<'a> Request<'a> {
    /// Takes an extField, of the long or the short form.
    fn see(&mut self, key: &'a [u8], value: &'a [u8]) {
        match key {
            b"e" | b"queueId" => self.queue = number(value),
            b"b" | b"topic" => self.topic = value,
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> u64 {
    let digits = digits.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, byte| sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
}

fn number_be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Every key and value of a header, the extFields' among them.
fn walk_json<'a>(header: &'a [u8], mut see: impl FnMut(&'a [u8], &'a [u8])) {
    let mut rest = header;
    while let Some(start) = memchr::memchr(b'"', rest) {
        let Some((key, after)) = text(&rest[start + 1..]) else { return };
        let Some(after) = after.trim_ascii_start().strip_prefix(b":") else { return };
        let after = after.trim_ascii_start();
        rest = match after.first() {
            Some(b'"') => {
                let Some((value, after)) = text(&after[1..]) else { return };
                see(key, value);
                after
            }
            Some(b'{') => &after[1..],
            _ => {
                let end = memchr::memchr2(b',', b'}', after).unwrap_or(after.len());
                see(key, &after[..end]);
                &after[end..]
            }
        };
    }
}

/// Text up to its closing quote, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &bytes[from..])?;
        if bytes[at] == b'"' {
            return Some((&bytes[..at], &bytes[at + 1..]));
        }
        from = at + 2;
        if from > bytes.len() {
            return None;
        }
    }
}

fn walk_binary<'a>(header: &'a [u8], mut see: impl FnMut(&'a [u8], &'a [u8])) {
    let remark = header.get(13..17).map_or(0, number_be) as usize;
    let mut rest = header.get(17 + remark + 4..).unwrap_or_default();
    while rest.len() >= 6 {
        let key_bytes = number_be(&rest[..2]) as usize;
        let Some(value_bytes) = rest.get(2 + key_bytes..6 + key_bytes) else { return };
        let end = 6 + key_bytes + number_be(value_bytes) as usize;
        let Some(value) = rest.get(6 + key_bytes..end) else { return };
        see(&rest[2..2 + key_bytes], value);
        rest = &rest[end..];
    }
}

/// One answer that serves every request, with holes for opaque and queue.
struct Prepared {
    frame: Vec<u8>,
    form: Form,
    opaque_at: usize,
    queue_at: usize,
}

const QUEUE_HOLE: &str = "8888888888";

impl Prepared {
    fn new(form: Form) -> Self {
        let fields = [
            ("queueId", QUEUE_HOLE),
            ("TRACE_ON", "true"),
            ("MSG_REGION", "DefaultRegion"),
            ("msgId", "7F00000100002A9F0000000000000000"),
            ("queueOffset", "0"),
            ("offset", "0"),
        ];
        let mut frame = Vec::new();
        let head = Head { form, code: 0, opaque: OPAQUE_BASE, flag: 1 };
        frame::encode(&mut frame, head, &fields, b"");
        let hole = |mark: &[u8]| memchr::memmem::find(&frame, mark).expect("the hole is there");
        let opaque_at = match form {
            Form::Json => hole(b"\"opaque\":") + 9,
            Form::Rocketmq => 13,
        };
        let queue_at = hole(QUEUE_HOLE.as_bytes());
        Self { frame, form, opaque_at, queue_at }
    }

    fn answer(&self, out: &mut Vec<u8>, what: What, queue: u64, body: &[u8]) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        out.extend_from_slice(body);
        let frame = &mut out[start..];
        let rest = frame.len() as u32 - 4;
        frame[..4].copy_from_slice(&rest.to_be_bytes());
        frame::digits(&mut frame[self.queue_at..self.queue_at + 10], queue);
        let opaque = &mut frame[self.opaque_at..];
        match self.form {
            Form::Json => frame::digits(&mut opaque[..10], what.opaque.into()),
            Form::Rocketmq => opaque[..4].copy_from_slice(&what.opaque.to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Template;

    #[test]
    fn what_the_generator_sends_is_answered() {
        for form in [Form::Json, Form::Rocketmq] {
            let mut bytes = Vec::new();
            Template::send(form, "t", 5, 9).stamp(
                &mut bytes,
                OPAQUE_BASE + 42,
                1_700_000_000_000,
                7,
            );
            assert!(parse(&bytes[..bytes.len() - 1]).unwrap().is_none());
            let request = parse(&bytes).unwrap().unwrap();
            assert_eq!((request.length, request.queue), (bytes.len(), 5), "{form:?}");
            assert_eq!((request.code, request.topic), (310, &b"t"[..]), "{form:?}");
            let mut out = Vec::new();
            let mut records = Vec::new();
            frame::record(&mut records, request.body);
            Prepared::new(form).answer(&mut out, request.what, request.queue, &records);
            let (answer, length) = frame::decode(&out).unwrap().unwrap();
            assert_eq!((answer.code, answer.opaque, length), (0, OPAQUE_BASE + 42, out.len()));
            assert_eq!(answer.number("queueId").unwrap(), 5);
            let bodies: Vec<_> = frame::message_bodies(answer.body).map(Result::unwrap).collect();
            assert_eq!(bodies, [&bytes[bytes.len() - 9..]]);
        }
    }

    #[test]
    fn broken_frames_are_errors_and_never_panics() {
        assert!(parse(&[0xff; 8]).is_err());
        for cut in 0..20 {
            walk_json(&br#"{"a":"b\u0001\"","c":{"d":1}}"#[..cut], |_, _| {});
            walk_binary(&[0xff; 20][..cut], |_, _| {});
        }
        let mut seen = Vec::new();
        walk_json(br#"{"a":"b\"", "c":{"d":1}}"#, |key, value| seen.push((key, value)));
        assert_eq!(seen, [(&b"a"[..], &b"b\\\""[..]), (b"d", b"1")]);
    }
}
