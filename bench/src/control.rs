//! Set-up calls, one at a time and blocking: topics and offsets. Nothing here is measured.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::frame::{self, Answer, Form, Head, OPAQUE_BASE};
use crate::socket::{Input, only_loopback};

const PATIENCE: Duration = Duration::from_secs(5);

/// A blocking connection for set-up.
#[derive(Debug)]
pub(crate) struct Control {
    stream: TcpStream,
    input: Input,
    opaque: u32,
}

impl Control {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&only_loopback(address)?, PATIENCE)
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: Input::new(), opaque: OPAQUE_BASE })
    }

    fn call<T>(
        &mut self,
        code: u32,
        fields: &[(&str, &str)],
        body: &[u8],
        read: impl FnOnce(&Answer<'_>) -> Result<T>,
    ) -> Result<T> {
        self.opaque += 1;
        let mut request = Vec::new();
        let head = Head::request(Form::Json, code, self.opaque);
        frame::encode(&mut request, head, fields, body);
        self.stream.write_all(&request)?;
        loop {
            if let Some((answer, length)) = frame::decode(self.input.unread())? {
                if answer.opaque == self.opaque {
                    let found = read(&answer).with_context(|| format!("request {code}"));
                    self.input.advance(length);
                    return found;
                }
                self.input.advance(length);
                continue;
            }
            let before = self.input.unread().len();
            ensure!(self.input.fill(&mut self.stream)?, "the server closed the connection");
            ensure!(self.input.unread().len() > before, "no answer to {code} in {PATIENCE:?}");
        }
    }

    /// Creates a topic of so many queues on this broker (UPDATE_AND_CREATE_TOPIC, 17).
    pub(crate) fn create_topic(&mut self, topic: &str, queues: u32) -> Result<()> {
        let queues = queues.to_string();
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
        self.call(17, &fields, b"", accepted).with_context(|| format!("create topic {topic}"))
    }

    /// Has the broker delete expired log files whatever the hour (DELETE_EXPIRED_COMMITLOG, 329).
    pub(crate) fn delete_expired(&mut self) -> Result<()> {
        self.call(329, &[], b"", accepted).context("delete expired files")
    }

    /// The smallest and the next offset of a queue (GET_MIN_OFFSET 31, GET_MAX_OFFSET 30).
    pub(crate) fn offsets(&mut self, topic: &str, queue: u32) -> Result<std::ops::Range<i64>> {
        let queue = queue.to_string();
        let fields = [("topic", topic), ("queueId", &queue)];
        let offset = |answer: &Answer<'_>| {
            accepted(answer)?;
            answer.number("offset")
        };
        let min = self.call(31, &fields, b"", offset)?;
        Ok(min..self.call(30, &fields, b"", offset)?)
    }

    /// What a group has committed of a queue (QUERY_CONSUMER_OFFSET, 14); 0 where that is nothing.
    pub(crate) fn committed(&mut self, group: &str, topic: &str, queue: u32) -> Result<i64> {
        let queue = queue.to_string();
        let fields = [("consumerGroup", group), ("topic", topic), ("queueId", &queue)];
        self.call(14, &fields, b"", |answer| match answer.code {
            // QUERY_NOT_FOUND
            22 => Ok(0),
            _ => accepted(answer).and_then(|()| answer.number("offset")),
        })
    }

    /// Sends one message in the long form (SEND_MESSAGE, 10); a refusal is an error.
    pub(crate) fn send(&mut self, topic: &str, born_ms: u64) -> Result<()> {
        let born = born_ms.to_string();
        let fields = [
            ("producerGroup", "bench-producer"),
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("defaultTopicQueueNums", "4"),
            ("queueId", "0"),
            ("sysFlag", "0"),
            ("bornTimestamp", &born),
            ("flag", "0"),
            ("properties", "WAIT\u{1}true\u{2}"),
            ("reconsumeTimes", "0"),
            ("unitMode", "false"),
            ("batch", "false"),
        ];
        self.call(10, &fields, b"first", accepted)
    }
}

fn accepted(answer: &Answer<'_>) -> Result<()> {
    if answer.code != 0 {
        bail!("refused with {}: {}", answer.code, answer.remark());
    }
    Ok(())
}
