//! `rockhopper send`: a small producer over our own `remoting`.
//!
//! It sends one message after the other, round robin over the topic's queues, and does not
//! compress, batch or retry: what it prints is what happened.

use std::io::{self, BufRead, Write};
use std::process;
use std::time::Instant;

use anyhow::{Context, bail};
use broker::server::now_ms;
use message::ids::UniqueIds;
use message::properties::Properties;
use message::property;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::send::{SendMessageRequestHeaderV2, SendMessageResponseHeader};

use crate::cli::Send;
use crate::routes::{Cluster, Queue, TIMEOUT, WRITE, refusal};
use crate::tell;

/// The topic whose queues a new topic gets (Java: `TopicValidator.AUTO_CREATE_TOPIC_KEY_TOPIC`).
const TEMPLATE_TOPIC: &str = "TBW102";
/// Queues that a new topic gets at most (Java: `DefaultMQProducer.defaultTopicQueueNums`).
const NEW_TOPIC_QUEUES: usize = 4;
/// The producer group that brokers see.
const GROUP: &str = "rockhopper-send";

/// Sends what the command line asks for.
pub(crate) async fn run(send: Send) -> anyhow::Result<()> {
    let cluster = Cluster::new(&send.servers.namesrv)?;
    let queues = queues(&cluster, &send.topic).await?;
    let started = now_ms();
    let mut sender = Sender {
        ids: UniqueIds::new(
            [127, 0, 0, 1].into(),
            process::id() as u16,
            // Two processes of one machine must differ; the low bits of the clock do that.
            started as u32,
            0,
        ),
        first: started as usize,
        sent: 0,
        cluster,
        queues,
        send,
    };
    let begun = Instant::now();
    let result = sender.send_all().await;
    sender.cluster.client.close().await;
    if sender.sent > 1 {
        tell(&format!("sent {} messages in {:.3} s", sender.sent, begun.elapsed().as_secs_f64()));
    }
    result
}

/// The queues to write to; of a topic that does not exist yet those that it will get.
async fn queues(cluster: &Cluster, topic: &str) -> anyhow::Result<Vec<Queue>> {
    let known = cluster.queues(topic, WRITE).await?;
    let is_new = known.is_none();
    let mut queues = match known {
        Some(queues) => queues,
        None => cluster.queues(TEMPLATE_TOPIC, WRITE).await?.unwrap_or_default(),
    };
    if is_new {
        queues.retain(|queue| usize::try_from(queue.id).is_ok_and(|id| id < NEW_TOPIC_QUEUES));
    }
    match (queues.is_empty(), is_new) {
        (false, _) => Ok(queues),
        (true, true) => bail!(
            "topic {topic} is not known to the name server, and no broker that is registered \
             there creates it by itself: is a broker registered (one that starts may be reading \
             its store: rockhopper ready), and is its autoCreateTopicEnable true?"
        ),
        (true, false) => bail!("topic {topic} has no queue that may be written"),
    }
}

struct Sender {
    cluster: Cluster,
    queues: Vec<Queue>,
    ids: UniqueIds,
    /// Where the round begins, so that short runs do not all begin at queue 0.
    first: usize,
    sent: usize,
    send: Send,
}

impl Sender {
    async fn send_all(&mut self) -> anyhow::Result<()> {
        let body = self.send.body.clone().unwrap_or_default();
        if body == "-" {
            for line in io::stdin().lock().lines() {
                let line = line.context("standard input cannot be read")?;
                self.send_body(line.into_bytes()).await?;
            }
            return Ok(());
        }
        for _ in 0..self.send.count {
            self.send_body(body.clone().into_bytes()).await?;
        }
        Ok(())
    }

    async fn send_body(&mut self, body: Vec<u8>) -> anyhow::Result<()> {
        let body = match self.send.size {
            Some(size) => sized(&body, size),
            None => body,
        };
        let queue = &self.queues[(self.first.wrapping_add(self.sent)) % self.queues.len()];
        let now = now_ms();
        let unique_id = self.ids.id(now, self.sent as u16);
        let command = Command::request(RequestCode::SEND_MESSAGE_V2)
            .with_header(&self.header(queue, now, &self.properties(&unique_id)))
            .with_body(body);
        let answer = self.cluster.client.call(&queue.address, command, TIMEOUT).await;
        let answer = answer.with_context(|| format!("{} at {}", queue.broker, queue.address))?;
        let late = match answer.response_code() {
            ResponseCode::SUCCESS => "",
            // Stored, but not as safely as the broker is set to.
            ResponseCode::FLUSH_DISK_TIMEOUT => " (not flushed in time)",
            ResponseCode::FLUSH_SLAVE_TIMEOUT => " (not replicated in time)",
            ResponseCode::SLAVE_NOT_AVAILABLE => " (no replica)",
            _ => bail!("{} refused the message: {}", queue.broker, refusal(&answer)),
        };
        let stored = SendMessageResponseHeader::read(&answer.fields)
            .with_context(|| format!("{} answered a send", queue.broker))?;
        self.sent += 1;
        writeln!(
            io::stdout(),
            "{unique_id} {} queue={} offset={} at={}{late}",
            queue.broker,
            stored.queue_id,
            stored.queue_offset,
            stored.msg_id,
        )
        .context("standard output cannot be written")
    }

    fn properties(&self, unique_id: &str) -> String {
        let mut properties = Properties::new();
        properties.set(property::UNIQ_KEY, unique_id);
        properties.set(property::WAIT, "true");
        if let Some(tag) = &self.send.tag {
            properties.set(property::TAGS, tag.as_str());
        }
        if let Some(keys) = &self.send.key {
            properties.set(property::KEYS, keys.as_str());
        }
        String::from_utf8_lossy(&properties.encode()).into_owned()
    }

    fn header<'a>(
        &'a self,
        queue: &'a Queue,
        now: i64,
        properties: &'a str,
    ) -> SendMessageRequestHeaderV2<'a> {
        SendMessageRequestHeaderV2 {
            producer_group: GROUP,
            topic: &self.send.topic,
            default_topic: TEMPLATE_TOPIC,
            default_topic_queue_nums: NEW_TOPIC_QUEUES as i32,
            queue_id: queue.id,
            born_timestamp: now,
            properties: Some(properties),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(false),
            broker_name: Some(&queue.broker),
            ..SendMessageRequestHeaderV2::default()
        }
    }
}

/// A body of exactly that many bytes: the given one, cut or repeated.
fn sized(body: &[u8], size: usize) -> Vec<u8> {
    let pattern: &[u8] = if body.is_empty() { b"rockhopper " } else { body };
    pattern.iter().copied().cycle().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_get_their_size() {
        assert_eq!(sized(b"abc", 7), b"abcabca");
        assert_eq!(sized(b"abc", 2), b"ab");
        assert_eq!(sized(b"", 12), b"rockhopper r");
        assert_eq!(sized(b"abc", 0), b"");
    }
}
