//! Requests that every load makes, and what their answers hold.

use anyhow::{Context as _, Result, ensure};
use compat_tests::wire::{Answer, Ask, Line};

/// The queues of one topic.
pub(crate) const QUEUES: usize = 4;
/// Sends one message.
pub(crate) const SEND: i32 = 310;
/// Sends many.
pub(crate) const SEND_BATCH: i32 = 320;
const PULL: i32 = 11;
const CREATE_TOPIC: i32 = 17;
const BROKER_CONFIG: i32 = 26;
/// What was asked for was done.
pub(crate) const SUCCESS: i64 = 0;
/// The broker recovers.
pub(crate) const NOT_AVAILABLE: i64 = 14;

/// Where things stand in a record from an IPv4 host.
const QUEUE_OFFSET_AT: usize = 20;
const STORED_AT: usize = 56;
const BODY_AT: usize = 84;

/// Fields of a request.
pub(crate) fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// An answer that nobody should get, in words.
pub(crate) fn unexpected(what: &str, answer: &Answer) -> String {
    let Answer { code, remark, .. } = answer;
    format!("{what} is answered with {code}: {}", remark.as_deref().unwrap_or_default())
}

/// A field of an answer.
///
/// # Errors
/// It is not there.
pub(crate) fn text<'a>(answer: &'a Answer, field: &str) -> Result<&'a str> {
    let text = answer.fields.get(field).and_then(|value| value.as_str());
    text.with_context(|| format!("no {field} in {:?}", answer.fields))
}

/// A field of an answer that is a number.
///
/// # Errors
/// It is not there, or none.
pub(crate) fn number(answer: &Answer, field: &str) -> Result<usize> {
    Ok(text(answer, field)?.parse()?)
}

/// Makes a topic.
///
/// # Errors
/// The broker refuses.
pub(crate) fn create_topic(line: &mut Line, topic: &str) -> Result<()> {
    let queues = QUEUES.to_string();
    let fields = [
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", &queues),
        ("writeQueueNums", &queues),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let answer = line.ask(CREATE_TOPIC, &fields, &[])?;
    ensure!(answer.code == SUCCESS, "topic {topic}: {:?}", answer.remark);
    Ok(())
}

/// Whether the broker serves.
///
/// # Errors
/// It does not.
pub(crate) fn is_serving(line: &mut Line) -> Result<()> {
    let answer = line.ask(BROKER_CONFIG, &[], &[])?;
    ensure!(answer.code == SUCCESS, "{:?}", answer.remark);
    Ok(())
}

/// A send to a queue of a topic.
pub(crate) fn send(
    code: i32,
    (topic, queue): (&str, usize),
    properties: &str,
    body: Vec<u8>,
) -> Ask {
    let fields = fields(&[
        ("a", "crash"),
        ("b", topic),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", &queue.to_string()),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "0"),
        ("i", properties),
        ("j", "0"),
        ("k", "false"),
        ("m", if code == SEND_BATCH { "true" } else { "false" }),
    ]);
    Ask { code, fields, body }
}

/// A pull that does not wait.
pub(crate) fn pull(group: &str, (topic, queue): (&str, usize), offset: usize) -> Ask {
    let fields = fields(&[
        ("consumerGroup", group),
        ("topic", topic),
        ("queueId", &queue.to_string()),
        ("queueOffset", &offset.to_string()),
        ("maxMsgNums", "256"),
        ("sysFlag", "4"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subscription", "*"),
        ("subVersion", "0"),
        ("expressionType", "TAG"),
    ]);
    Ask { code: PULL, fields, body: Vec::new() }
}

/// A message as it came; the first eight bytes of its body are its id.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) queue: usize,
    pub(crate) offset: usize,
    pub(crate) stored_ms: i64,
    pub(crate) id: u64,
    properties: &'a str,
}

impl<'a> Record<'a> {
    /// The messages in an answer's body.
    ///
    /// # Errors
    /// One of them is cut or too short.
    pub(crate) fn all(body: &'a [u8]) -> Result<Vec<Self>> {
        let (mut rest, mut all) = (body, Vec::new());
        while let Some(size) = rest.first_chunk::<4>() {
            let size = u32::from_be_bytes(*size) as usize;
            let record = rest.get(..size).context("a record that is cut")?;
            all.push(Self::read(record).context("a record that is too short")?);
            rest = &rest[size..];
        }
        Ok(all)
    }

    fn read(record: &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(*record.get(at..)?.first_chunk()?));
        let length = |at: usize| Some(u32::from_be_bytes(*record.get(at..)?.first_chunk()?));
        let body_end = BODY_AT + 4 + length(BODY_AT)? as usize;
        let properties_at = body_end + 1 + usize::from(*record.get(body_end)?);
        let properties = record.get(properties_at + 2..)?;
        Some(Self {
            queue: length(12)? as usize,
            offset: usize::try_from(number(QUEUE_OFFSET_AT)?).ok()?,
            stored_ms: number(STORED_AT)?.cast_signed(),
            id: number(BODY_AT + 4)?,
            properties: std::str::from_utf8(properties).ok()?,
        })
    }

    /// A property.
    pub(crate) fn property(&self, name: &str) -> Option<&'a str> {
        let mut all = self.properties.split('\u{2}').filter_map(|one| one.split_once('\u{1}'));
        all.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}
