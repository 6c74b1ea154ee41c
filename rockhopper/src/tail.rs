//! `rockhopper tail`: prints the messages of a topic as they arrive.
//!
//! A plain puller over our own `remoting`, one task for each queue. It joins no group: with
//! `--group` it only begins where that group stopped and keeps how far it came.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::headers::offset::{
    GetMaxOffsetRequestHeader, GetMinOffsetRequestHeader, QueryConsumerOffsetRequestHeader,
    QueryConsumerOffsetResponseHeader, UpdateConsumerOffsetRequestHeader,
};
use remoting::headers::pull::{PullMessageRequestHeader, PullMessageResponseHeader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::Tail;
use crate::render;
use crate::routes::{Cluster, Queue, READ, TIMEOUT, refusal};
use crate::tell;

/// The group in whose name a tail without a group pulls; every broker knows it
/// (Java: `MixAll.TOOLS_CONSUMER_GROUP`).
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";
/// Pull flag: the broker may keep the request until a message comes.
const SUSPEND: i32 = 2;
/// Pull flag: the request carries its subscription.
const SUBSCRIPTION: i32 = 4;
/// How long a broker may keep a pull.
const HOLD: Duration = Duration::from_secs(15);
/// How long a pull may take; Java looks at what it holds every 5 s only.
const PULL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often new queues are looked for, and lost ones again.
const LOOK: Duration = Duration::from_secs(1);
/// A queue that fails again and again is asked after 1, 2, 4 and so on seconds, 2 to this power at
/// most.
const PAUSE_POWER_MAX: u32 = 4;
/// Refusals that asking again does not change.
const FINAL: [ResponseCode; 5] = [
    ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
    ResponseCode::NO_PERMISSION,
    ResponseCode::SUBSCRIPTION_PARSE_FAILED,
    ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
    ResponseCode::INVALID_PARAMETER,
];
/// Messages that one pull asks for.
const PULL_MESSAGES: i32 = 32;
/// Pulled batches that may wait to be printed.
const WAITING_BATCHES: usize = 16;

/// What one pull brought.
struct Batch {
    queue: Queue,
    answer: Command,
    next_offset: i64,
}

/// A broker refuses for good, in its words.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A queue that is pulled.
struct Running {
    queue: Queue,
    since: Instant,
}

/// A queue that failed so many times, each soon after the one before.
#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    not_before: Instant,
}

/// Prints until it is stopped or has printed enough.
pub(crate) async fn run(tail: Tail) -> anyhow::Result<()> {
    let cluster = Arc::new(Cluster::new(&tail.servers.namesrv)?);
    let (batches, mut printing) = mpsc::channel(WAITING_BATCHES);
    let mut follow = Follow {
        group: tail.group.clone().unwrap_or_else(|| TOOLS_GROUP.to_owned()),
        tail,
        cluster,
        positions: BTreeMap::new(),
        committed: BTreeMap::new(),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        failed: BTreeMap::new(),
        batches,
        started: false,
        left: u64::MAX,
    };
    follow.left = follow.tail.count.unwrap_or(u64::MAX);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut result = Ok(());
    while follow.left > 0 && result.is_ok() {
        tokio::select! {
            stop = tokio::signal::ctrl_c() => {
                stop.context("Ctrl-C cannot be watched")?;
                break;
            }
            _ = look.tick() => result = follow.look().await,
            Some(batch) = printing.recv() => result = follow.print(batch),
            Some(ended) = follow.tasks.join_next_with_id() => result = follow.ended(ended),
        }
    }
    follow.tasks.abort_all();
    follow.commit().await;
    follow.cluster.client.close().await;
    match result {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        other => other,
    }
}

struct Follow {
    tail: Tail,
    group: String,
    cluster: Arc<Cluster>,
    /// The next offset to print, of each queue.
    positions: BTreeMap<Queue, i64>,
    /// What the broker was told last.
    committed: BTreeMap<Queue, i64>,
    tasks: JoinSet<anyhow::Result<()>>,
    /// The queues that are pulled, by task.
    running: BTreeMap<tokio::task::Id, Running>,
    /// Those that ended with an error.
    failed: BTreeMap<Queue, Failed>,
    batches: mpsc::Sender<Batch>,
    /// Whether the first look is over: a queue that appears later is read from its start.
    started: bool,
    /// Messages that may still be printed.
    left: u64,
}

impl Follow {
    /// Begins with new queues and goes on with lost ones.
    async fn look(&mut self) -> anyhow::Result<()> {
        self.commit().await;
        let found = match self.cluster.queues(&self.tail.topic, READ).await {
            Ok(found) => found,
            Err(error) if self.started => {
                tracing::warn!("{error:#}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if found.is_none() && !self.started {
            tell(&format!("topic {} does not exist yet; waiting for it", self.tail.topic));
        }
        for queue in found.unwrap_or_default() {
            let waits = self.failed.get(&queue).is_some_and(|it| Instant::now() < it.not_before);
            if waits || self.running.values().any(|running| running.queue == queue) {
                continue;
            }
            let known = self.positions.get(&queue).copied();
            let begin = match known {
                Some(offset) => offset,
                None => match self.begin(&queue).await {
                    Ok(offset) => offset,
                    Err(error) if error.is::<Refused>() => return Err(error),
                    Err(error) => {
                        self.put_off(&queue, Duration::ZERO);
                        tracing::warn!("queue {} of {}: {error:#}", queue.id, queue.broker);
                        continue;
                    }
                },
            };
            self.positions.insert(queue.clone(), begin);
            let (cluster, batches) = (Arc::clone(&self.cluster), self.batches.clone());
            let request = self.pull_header(&queue, begin);
            let task = self.tasks.spawn(pull_all(cluster, queue.clone(), request, batches));
            self.running.insert(task.id(), Running { queue, since: Instant::now() });
        }
        self.started = true;
        Ok(())
    }

    /// The offset to begin with.
    async fn begin(&self, queue: &Queue) -> anyhow::Result<i64> {
        if let Some(group) = &self.tail.group {
            let header = QueryConsumerOffsetRequestHeader {
                consumer_group: group.as_str().into(),
                topic: self.tail.topic.as_str().into(),
                queue_id: queue.id,
                set_zero_if_not_found: Some(false),
                ..Default::default()
            };
            let question =
                Command::request(RequestCode::QUERY_CONSUMER_OFFSET).with_header(&header);
            if let Some(offset) = self.offset(queue, question).await? {
                return Ok(offset);
            }
        }
        let topic = self.tail.topic.as_str().into();
        let question = if self.tail.from_start || self.started {
            let header =
                GetMinOffsetRequestHeader { topic, queue_id: queue.id, ..Default::default() };
            Command::request(RequestCode::GET_MIN_OFFSET).with_header(&header)
        } else {
            let header = GetMaxOffsetRequestHeader {
                topic,
                queue_id: queue.id,
                committed: true,
                ..Default::default()
            };
            Command::request(RequestCode::GET_MAX_OFFSET).with_header(&header)
        };
        self.offset(queue, question).await?.context("the broker does not know the queue")
    }

    /// Asks a broker for an offset; all three questions have the same answer.
    async fn offset(&self, queue: &Queue, question: Command) -> anyhow::Result<Option<i64>> {
        let answer = self.cluster.client.call(&queue.address, question, TIMEOUT).await;
        let answer = answer.with_context(|| format!("{} at {}", queue.broker, queue.address))?;
        match answer.response_code() {
            ResponseCode::SUCCESS => {
                Ok(Some(QueryConsumerOffsetResponseHeader::read(&answer.fields)?.offset))
            }
            ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    fn pull_header(&self, queue: &Queue, queue_offset: i64) -> PullMessageRequestHeader {
        PullMessageRequestHeader {
            consumer_group: self.group.as_str().into(),
            topic: self.tail.topic.as_str().into(),
            queue_id: queue.id,
            queue_offset,
            max_msg_nums: PULL_MESSAGES,
            sys_flag: SUSPEND | SUBSCRIPTION,
            suspend_timeout_millis: HOLD.as_millis() as i64,
            subscription: Some("*".into()),
            expression_type: Some("TAG".into()),
            ..Default::default()
        }
    }

    /// Prints one batch, or as much of it as is still wanted.
    fn print(&mut self, batch: Batch) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let mut next = batch.next_offset;
        for record in render::records(&batch.answer.body) {
            let record = record.with_context(|| {
                format!("queue {} of {} holds no message", batch.queue.id, batch.queue.broker)
            })?;
            if self.left == 0 {
                next = record.queue_offset;
                break;
            }
            writeln!(out, "{}", render::line(&record))?;
            self.left -= 1;
        }
        out.flush()?;
        self.positions.insert(batch.queue, next);
        Ok(())
    }

    /// A puller that ended is begun again by a later look, unless it is refused for good.
    fn ended(
        &mut self,
        ended: Result<(tokio::task::Id, anyhow::Result<()>), tokio::task::JoinError>,
    ) -> anyhow::Result<()> {
        let (id, why) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((_, Err(error))) if error.is::<Refused>() => return Err(error),
            Ok((id, Err(error))) => (id, Some(format!("{error:#}"))),
            Err(error) => (error.id(), Some(error.to_string())),
        };
        if let (Some(Running { queue, since }), Some(why)) = (self.running.remove(&id), why) {
            let pause = self.put_off(&queue, since.elapsed());
            let seconds = pause.as_secs();
            let (id, broker) = (queue.id, &queue.broker);
            tracing::warn!("queue {id} of {broker}: {why}; trying again in {seconds} s");
        }
        Ok(())
    }

    /// Lets a queue that failed after `went_well` wait, the longer the more often it did.
    fn put_off(&mut self, queue: &Queue, went_well: Duration) -> Duration {
        let before = self.failed.get(queue).filter(|_| went_well < PULL_TIMEOUT);
        let times = before.map_or(0, |failed| failed.times + 1);
        let pause = LOOK * 2_u32.pow(times.min(PAUSE_POWER_MAX));
        self.failed.insert(queue.clone(), Failed { times, not_before: Instant::now() + pause });
        pause
    }

    /// Tells the brokers how far the group came.
    async fn commit(&mut self) {
        let Some(group) = &self.tail.group else { return };
        for (queue, offset) in &self.positions {
            if self.committed.get(queue) == Some(offset) {
                continue;
            }
            let header = UpdateConsumerOffsetRequestHeader {
                consumer_group: group.as_str().into(),
                topic: self.tail.topic.as_str().into(),
                queue_id: Some(queue.id),
                commit_offset: Some(*offset),
                ..Default::default()
            };
            let command =
                Command::request(RequestCode::UPDATE_CONSUMER_OFFSET).with_header(&header);
            match self.cluster.client.call(&queue.address, command, TIMEOUT).await {
                Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => {
                    self.committed.insert(queue.clone(), *offset);
                }
                Ok(answer) => tracing::warn!("offset not kept: {}", refusal(&answer)),
                Err(error) => tracing::warn!("offset not kept: {error}"),
            }
        }
    }
}

/// What a broker's refusal means to a puller.
fn refused(answer: &Command) -> anyhow::Error {
    match FINAL.contains(&answer.response_code()) {
        true => Refused(refusal(answer)).into(),
        false => anyhow::Error::msg(refusal(answer)),
    }
}

/// Pulls one queue until the broker is lost or nobody prints any more.
async fn pull_all(
    cluster: Arc<Cluster>,
    queue: Queue,
    mut request: PullMessageRequestHeader,
    batches: mpsc::Sender<Batch>,
) -> anyhow::Result<()> {
    loop {
        let command = Command::request(RequestCode::PULL_MESSAGE).with_header(&request);
        let answer = cluster.client.call(&queue.address, command, PULL_TIMEOUT).await;
        let answer = answer.with_context(|| format!("at {}", queue.address))?;
        let found = match answer.response_code() {
            ResponseCode::SUCCESS => true,
            ResponseCode::PULL_NOT_FOUND
            | ResponseCode::PULL_RETRY_IMMEDIATELY
            | ResponseCode::PULL_OFFSET_MOVED => false,
            _ => return Err(refused(&answer)),
        };
        let header = PullMessageResponseHeader::read(&answer.fields)?;
        let moved = header.next_begin_offset != request.queue_offset;
        request.queue_offset = header.next_begin_offset;
        if found {
            let batch =
                Batch { queue: queue.clone(), answer, next_offset: header.next_begin_offset };
            if batches.send(batch).await.is_err() {
                return Ok(());
            }
        } else if !moved {
            // A broker that does not hold pulls would otherwise be asked in a tight loop.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Whether nobody reads standard output any more, as after `| head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<io::Error>();
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
