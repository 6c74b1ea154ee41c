//! Requests to a broker as a client's library would frame them, without the library: what is
//! sent is exactly what the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::records::{self, Record};
use crate::wire::{Answer, Line};

const PATIENCE: Duration = Duration::from_secs(10);
const SUCCESS: i64 = 0;
const PULL_FOUND: i64 = 0;

/// When the messages are said to be born, ms.
pub const BORN_MS: i64 = 1_700_000_000_000;

/// A message to send.
#[derive(Clone, Debug)]
pub struct Letter {
    /// To which topic.
    pub topic: String,
    /// To which queue.
    pub queue_id: i32,
    /// The user's flag.
    pub flag: i32,
    /// The system's.
    pub sys_flag: i32,
    /// The properties as they stand in the request.
    pub properties: String,
    /// How often it was tried.
    pub reconsume_times: i32,
    /// What it says.
    pub body: Vec<u8>,
    /// When it is said to be born, ms.
    pub born_ms: i64,
}

impl Letter {
    /// One to queue 0 with these properties, `^` and `~` for the separators.
    #[must_use]
    pub fn new(topic: &str, properties: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.to_owned(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            properties: properties.replace('^', "\u{1}").replace('~', "\u{2}"),
            reconsume_times: 0,
            body: body.into(),
            born_ms: BORN_MS,
        }
    }
}

/// A message within a batch.
#[must_use]
pub fn batched(flag: i32, properties: &str, body: &[u8]) -> Vec<u8> {
    let properties = properties.replace('^', "\u{1}").replace('~', "\u{2}");
    let size = 22 + body.len() + properties.len();
    let int = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let short = u16::try_from(properties.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = [int(size), int(0), int(0), flag.to_be_bytes(), int(body.len())].concat();
    [&head[..], body, &short, properties.as_bytes()].concat()
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Raw {
    line: Line,
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { line: Line::open(address, PATIENCE)? })
    }

    /// Any request.
    ///
    /// # Errors
    /// There is no answer; one that refuses is an answer.
    pub fn ask(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        self.line.ask(code, fields, body).with_context(|| format!("request {code}"))
    }

    /// A request that has to succeed.
    ///
    /// # Errors
    /// It is refused, or there is no answer.
    pub fn must(&mut self, code: i32, fields: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let answer = self.ask(code, fields, body)?;
        let (got, why) = (answer.code, answer.remark.as_deref().unwrap_or_default());
        ensure!(got == SUCCESS, "request {code} with {fields:?} is refused with {got}: {why}");
        Ok(answer)
    }

    /// Sends one message, or a batch, whatever the answer.
    ///
    /// # Errors
    /// There is no answer.
    pub fn try_send(&mut self, letter: &Letter, batch: bool) -> Result<Answer> {
        let number = |number: i32| number.to_string();
        let (queue, sys_flag) = (number(letter.queue_id), number(letter.sys_flag));
        let (flag, times) = (number(letter.flag), number(letter.reconsume_times));
        let born = letter.born_ms.to_string();
        let fields = [
            ("a", "raw-producer"),
            ("b", &letter.topic),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", &queue),
            ("f", &sys_flag),
            ("g", &born),
            ("h", &flag),
            ("i", &letter.properties),
            ("j", &times),
            ("k", "false"),
            ("m", if batch { "true" } else { "false" }),
        ];
        self.ask(if batch { 320 } else { 310 }, &fields, &letter.body)
    }

    /// Sends one message, or a batch, and returns the answer.
    ///
    /// # Errors
    /// It is refused.
    pub fn send(&mut self, letter: &Letter, batch: bool) -> Result<Answer> {
        let answer = self.try_send(letter, batch)?;
        let why = answer.remark.as_deref().unwrap_or_default();
        ensure!(answer.code == SUCCESS, "{letter:?} is refused with {}: {why}", answer.code);
        Ok(answer)
    }

    /// Makes a topic of one queue, to be read and written, or what `other` fields say instead.
    ///
    /// # Errors
    /// It is refused.
    pub fn make_topic(&mut self, topic: &str, other: &[(&str, &str)]) -> Result<()> {
        let mut fields = BTreeMap::from([
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
        ]);
        fields.extend(other.iter().copied());
        let fields: Vec<_> = fields.into_iter().collect();
        self.must(17, &fields, &[]).map(drop)
    }

    /// The queue's first and next offset.
    ///
    /// # Errors
    /// They are not told.
    pub fn range(&mut self, topic: &str, queue_id: i32) -> Result<(i64, i64)> {
        let queue = queue_id.to_string();
        let fields = [("topic", topic), ("queueId", queue.as_str()), ("committed", "true")];
        let low = offset(&self.must(31, &fields, &[])?)?;
        Ok((low, offset(&self.must(30, &fields, &[])?)?))
    }

    /// Waits until a queue has this many messages.
    ///
    /// # Errors
    /// It does not within `patience`.
    pub fn await_end(
        &mut self,
        (topic, queue_id): (&str, i32),
        end: i64,
        patience: Duration,
    ) -> Result<()> {
        let since = Instant::now();
        loop {
            let (_, found) = self.range(topic, queue_id)?;
            if found >= end {
                return Ok(());
            }
            ensure!(since.elapsed() < patience, "{topic}/{queue_id} ends at {found}, not {end}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All messages of a queue from `from` on.
    ///
    /// # Errors
    /// They cannot be pulled, are no records, or their queue offsets do not follow each other.
    pub fn pull(&mut self, topic: &str, queue_id: i32, from: i64) -> Result<Vec<Record>> {
        let (_, end) = self.range(topic, queue_id)?;
        let (mut next, mut all) = (from, Vec::new());
        while next < end {
            for record in self.pull_once((topic, queue_id), next)?.0 {
                let place = record.queue_offset;
                ensure!(place == next, "{topic}/{queue_id} at {next} has offset {place}");
                next += 1;
                all.push(record);
            }
        }
        Ok(all)
    }

    /// Messages of a queue from a queue offset on, and where a consumer goes on.
    ///
    /// # Errors
    /// There are none, or they are no records.
    pub fn pull_once(&mut self, queue: (&str, i32), at: i64) -> Result<(Vec<Record>, i64)> {
        let answer = self.ask_for_messages(queue, at)?;
        let (code, why) = (answer.code, answer.remark.as_deref().unwrap_or_default());
        ensure!(code == PULL_FOUND, "pull of {queue:?} at {at}: {code} {why}");
        let next = answer.fields.get("nextBeginOffset").and_then(Value::as_str);
        let next = next.context("no next offset")?.parse()?;
        Ok((records::side_by_side(&answer.body)?, next))
    }

    /// What is said to a pull of up to 32 messages that does not wait.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn ask_for_messages(&mut self, (topic, queue_id): (&str, i32), at: i64) -> Result<Answer> {
        let (queue, at) = (queue_id.to_string(), at.to_string());
        let fields = [
            ("consumerGroup", "raw-consumer"),
            ("topic", topic),
            ("queueId", &queue),
            ("queueOffset", &at),
            ("maxMsgNums", "32"),
            ("sysFlag", "4"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "0"),
            ("expressionType", "TAG"),
        ];
        self.ask(11, &fields, &[])
    }

    /// The messages under a key, whole.
    ///
    /// # Errors
    /// The broker does not answer, or with something else.
    pub fn by_key(&mut self, topic: &str, key: &str, unique: bool) -> Result<Vec<Record>> {
        let unique = unique.to_string();
        let fields = [
            ("topic", topic),
            ("key", key),
            ("maxNum", "64"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9999999999999"),
            ("_UNIQUE_KEY_QUERY", &unique),
        ];
        let answer = self.ask(12, &fields, &[])?;
        if answer.code == 22 {
            return Ok(Vec::new());
        }
        ensure!(answer.code == SUCCESS, "key {key} of {topic}: {:?}", answer.remark);
        records::side_by_side(&answer.body)
    }

    /// The message at a place of the log.
    ///
    /// # Errors
    /// There is none.
    pub fn by_log_offset(&mut self, log_offset: i64) -> Result<Record> {
        let at = log_offset.to_string();
        Record::read(&self.must(33, &[("offset", at.as_str())], &[])?.body)
    }
}

/// Where a message that was sent lies in the log: its id ends with that.
///
/// # Errors
/// The answer names none.
pub fn log_offset(answer: &Answer) -> Result<i64> {
    let id = answer.fields.get("msgId").and_then(Value::as_str).context("no id")?;
    let digits = id.len().checked_sub(16).and_then(|at| id.get(at..));
    Ok(i64::from_str_radix(digits.with_context(|| format!("the id {id}"))?, 16)?)
}

fn offset(answer: &Answer) -> Result<i64> {
    let text = answer.fields.get("offset").and_then(Value::as_str).context("no offset")?;
    Ok(text.parse()?)
}
