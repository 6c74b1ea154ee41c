//! Just enough of the remoting protocol to ask a server something: JSON headers, one call at a
//! time. Written apart from the remoting crate on purpose.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

/// The version of the protocol that we speak: 5.5.0's ordinal the ordinal of 5.5.0.
const VERSION: i64 = 513;

/// An answer as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The response code.
    pub code: i64,
    /// The text beside it.
    pub remark: Option<String>,
    /// The response header's fields.
    pub fields: Map<String, Value>,
    /// The bytes after the header.
    pub body: Vec<u8>,
}

/// A connection that asks and waits.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    opaque: i64,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or a wait would be longer than `patience`.
    pub fn open(address: SocketAddr, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, opaque: 1 })
    }

    /// Sends a request and waits for its answer; requests of the server are skipped.
    ///
    /// # Errors
    /// The connection closes, is silent for too long, or the answer is not a frame.
    pub fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        self.opaque += 1;
        let fields: Map<String, Value> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let header = json!({
            "code": code, "language": "JAVA", "version": VERSION, "opaque": self.opaque,
            "flag": 0, "extFields": fields, "serializeTypeCurrentRPC": "JSON",
        });
        self.stream.write_all(&frame(header.to_string().as_bytes(), body)?)?;
        loop {
            let (header, body) = self.read()?;
            let answers = header["flag"].as_i64().is_some_and(|flag| flag & 1 == 1);
            if answers && header["opaque"] == self.opaque {
                return Ok(Answer {
                    code: header["code"].as_i64().context("an answer has a code")?,
                    remark: header["remark"].as_str().map(str::to_owned),
                    fields: header["extFields"].as_object().cloned().unwrap_or_default(),
                    body,
                });
            }
        }
    }

    fn read(&mut self) -> Result<(Value, Vec<u8>)> {
        let length = self.read_number()? as usize;
        ensure!((4..=16 << 20).contains(&length), "a frame of {length} bytes");
        let head = self.read_number()?;
        let (kind, head) = (head >> 24, (head & 0xff_ffff) as usize);
        ensure!(kind == 0, "an answer in serialisation {kind}, asked in JSON");
        ensure!(head <= length - 4, "a header of {head} bytes in a frame of {length}");
        let mut header = vec![0; head];
        self.stream.read_exact(&mut header)?;
        let mut body = vec![0; length - 4 - head];
        self.stream.read_exact(&mut body)?;
        let header = serde_json::from_slice(&header).context("a header is JSON")?;
        Ok((header, body))
    }

    fn read_number(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

/// A frame around a JSON header.
///
/// # Errors
/// It is too long for its length field.
pub fn frame(header: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(4 + header.len() + body.len())?;
    let head = u32::try_from(header.len())?;
    Ok([&length.to_be_bytes(), &head.to_be_bytes()[..], header, body].concat())
}
