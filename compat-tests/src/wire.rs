//! Just enough of the remoting protocol to ask a server something: JSON headers, one call at a
//! time. Written apart from the remoting crate on purpose.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

/// `MQVersion`'s ordinal of 5.5.0.
const VERSION: i64 = 513;

/// What a server asks of a client and waits for: 221, 307, 309 and 326.
const WAITED_FOR: [i64; 4] = [221, 307, 309, 326];

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

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its code.
    pub code: i32,
    /// Its header's fields.
    pub fields: Vec<(String, String)>,
    /// Its body.
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

    /// Sends a request and waits for its answer; what the server asks meanwhile is answered with
    /// success and an empty object if it waits for that, and skipped if not.
    ///
    /// # Errors
    /// The connection closes, is silent for too long, or the answer is not a frame.
    pub fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        self.ask_as((code, fields, body), str::to_owned)
    }

    /// The same with a header that is written in another way.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_as(
        &mut self,
        (code, fields, body): (i32, &[(&str, &str)], &[u8]),
        written: impl Fn(&str) -> String,
    ) -> Result<Answer> {
        let header = self.header(code, fields.iter().copied());
        self.stream.write_all(&frame(written(&header).as_bytes(), body)?)?;
        loop {
            let (opaque, answer) = self.answer()?;
            if opaque == self.opaque {
                return Ok(answer);
            }
        }
    }

    /// Sends all requests at once and waits for their answers, which come in the same order; those
    /// that came before an error are in `answers`.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_all<'a>(
        &mut self,
        asks: impl Iterator<Item = &'a Ask>,
        answers: &mut Vec<Answer>,
    ) -> Result<()> {
        let (first, mut frames) = (self.opaque + 1, Vec::new());
        for Ask { code, fields, body } in asks {
            let fields = fields.iter().map(|(key, value)| (&**key, &**value));
            let header = self.header(*code, fields);
            frames.extend(frame(header.as_bytes(), body)?);
        }
        self.stream.write_all(&frames)?;
        // An answer that waits for a flush may come after those that do not.
        let mut came = vec![None; usize::try_from(self.opaque + 1 - first)?];
        let mut missing = came.len();
        let mut failed = Ok(());
        while missing > 0 && failed.is_ok() {
            match self.answer() {
                Ok((opaque, answer)) => {
                    let place = usize::try_from(opaque - first)?;
                    *came.get_mut(place).context("an answer to nothing")? = Some(answer);
                    missing -= 1;
                }
                Err(error) => failed = Err(error),
            }
        }
        answers.extend(came.into_iter().map_while(|answer| answer));
        failed
    }

    fn header<'a>(
        &mut self,
        code: i32,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> String {
        self.opaque += 1;
        let fields: Map<String, Value> =
            fields.map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let header = json!({
            "code": code, "language": "JAVA", "version": VERSION, "opaque": self.opaque,
            "flag": 0, "extFields": fields, "serializeTypeCurrentRPC": "JSON",
        });
        header.to_string()
    }

    /// The next answer, and the number of its request.
    fn answer(&mut self) -> Result<(i64, Answer)> {
        loop {
            let (header, body) = self.read()?;
            if header["flag"].as_i64().is_some_and(|flag| flag & 1 == 1) {
                let answer = Answer {
                    code: header["code"].as_i64().context("an answer has a code")?,
                    remark: header["remark"].as_str().map(str::to_owned),
                    fields: header["extFields"].as_object().cloned().unwrap_or_default(),
                    body,
                };
                return Ok((header["opaque"].as_i64().context("an answer has a number")?, answer));
            }
            if header["code"].as_i64().is_some_and(|code| WAITED_FOR.contains(&code)) {
                let said = json!({
                    "code": 0, "language": "JAVA", "version": VERSION, "opaque": header["opaque"],
                    "flag": 1, "serializeTypeCurrentRPC": "JSON",
                });
                self.stream.write_all(&frame(said.to_string().as_bytes(), b"{}")?)?;
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
