//! The load: producers that send many messages at a time over connections of their own, and
//! consumers that read and commit; both come back when the broker does.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context as _, Result, ensure};
use compat_tests::wire::{Answer, Ask, Line};

use crate::asks::{self, NOT_AVAILABLE, QUEUES, Record, SEND, SUCCESS, fields, number};
use crate::ledger::{Ledger, Queue};
use crate::schedule::{AGAIN, Stage};

/// Topics.
pub(crate) const TOPICS: usize = 3;
/// Messages that one producer has under way.
pub(crate) const WINDOW: usize = 32;

const GROUP: &str = "crash";
const QUERY_OFFSET: i32 = 14;
const COMMIT: i32 = 15;
const MAX_OFFSET: i32 = 30;
/// The answers of a pull that brings nothing.
const NOTHING: [i64; 2] = [19, 20];

/// What the threads share.
pub(crate) struct Shared {
    /// Where the broker is, and whether they go on.
    pub(crate) stage: Stage,
    /// What is known.
    pub(crate) ledger: Mutex<Ledger>,
    /// Held while the consumer reads and commits; whoever looks at its offsets takes it.
    pub(crate) turn: Mutex<()>,
}

impl Shared {
    /// The ledger; a thread that panicked with it has told so.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn topic(queue: Queue) -> String {
    format!("crash-{}", queue / QUEUES)
}

/// Makes the topics.
///
/// # Errors
/// The broker refuses.
pub(crate) fn create_topics(line: &mut Line) -> Result<()> {
    (0..TOPICS).try_for_each(|number| asks::create_topic(line, &topic(number * QUEUES)))
}

/// One producer: what it sent and does not know the end of goes first.
pub(crate) struct Producer<'a> {
    shared: &'a Shared,
    line: Option<Line>,
    again: Vec<u64>,
    turn: usize,
}

impl<'a> Producer<'a> {
    /// Not connected yet; `turn` tells producers apart.
    pub(crate) fn new(shared: &'a Shared, turn: usize) -> Self {
        Self { shared, line: None, again: Vec::new(), turn }
    }

    /// Sends until it is enough and nothing is open any more.
    pub(crate) fn run(&mut self) {
        while !self.shared.stage.is_over() {
            let enough = self.shared.stage.enough.load(Ordering::Relaxed);
            if enough && self.again.is_empty() {
                return;
            }
            let new = if enough { 0 } else { WINDOW.saturating_sub(self.again.len()) };
            if !matches!(self.send(new), Ok(1..)) {
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// Sends what is open and so many new messages; gives how many were acknowledged.
    ///
    /// # Errors
    /// The connection ended: the messages without an answer are sent again with the next call.
    pub(crate) fn send(&mut self, new: usize) -> Result<usize> {
        if self.line.is_none() {
            self.line = Some(self.shared.stage.line()?);
        }
        let ids = {
            let mut ledger = self.shared.ledger();
            let mut ids = std::mem::take(&mut self.again);
            ids.extend((0..new).map(|_| ledger.next_id()));
            ids.iter().for_each(|id| ledger.send(*id));
            ids
        };
        let asks: Vec<(Queue, Ask)> = ids.iter().map(|id| self.message(*id)).collect();
        let mut answers = Vec::new();
        let line = self.line.as_mut().context("it was just opened")?;
        let asked = line.ask_all(asks.iter().map(|(_, ask)| ask), &mut answers);
        let acknowledged = self.take(&ids, &asks, &answers);
        if asked.is_err() {
            self.line = None;
        }
        asked.and(acknowledged)
    }

    /// Sends one message, that which is open if there is one.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn send_first(&mut self) -> Result<usize> {
        self.send(usize::from(self.again.is_empty()))
    }

    fn take(&mut self, ids: &[u64], asks: &[(Queue, Ask)], answers: &[Answer]) -> Result<usize> {
        let mut ledger = self.shared.ledger();
        let mut acknowledged = 0;
        let mut last = [None; TOPICS * QUEUES];
        for (place, (id, (queue, _))) in ids.iter().zip(asks).enumerate() {
            let Some(answer) = answers.get(place) else {
                self.again.push(*id);
                continue;
            };
            match answer.code {
                SUCCESS => {
                    let offset = number(answer, "queueOffset")?;
                    if last[*queue].replace(offset).is_some_and(|last| last >= offset) {
                        let why = format!("queue {queue}: {id} is before what was sent first");
                        ledger.problems.note(why);
                    }
                    ledger.acknowledge(*id, *queue, offset);
                    acknowledged += 1;
                }
                NOT_AVAILABLE => {
                    ledger.refuse(*id);
                    self.again.push(*id);
                }
                _ => {
                    ledger.problems.note(asks::unexpected("a send", answer));
                    self.again.push(*id);
                }
            }
        }
        Ok(acknowledged)
    }

    /// A message whose body tells its id; most are small, some are not.
    fn message(&mut self, id: u64) -> (Queue, Ask) {
        self.turn += 1;
        let queue = self.turn % (TOPICS * QUEUES);
        let (tag, wait) = (id % 3, !id.is_multiple_of(5));
        let properties = format!("KEYS\u{1}k{id}\u{2}TAGS\u{1}t{tag}\u{2}WAIT\u{1}{wait}\u{2}");
        let size = if id.is_multiple_of(97) { 20_000 } else { 8 + (id % 500) as usize };
        let mut body = vec![b'x'; size];
        body[..8].copy_from_slice(&id.to_be_bytes());
        (queue, asks::send(SEND, (&topic(queue), queue % QUEUES), &properties, body))
    }
}

/// Reads all queues round and round, and commits, until the threads end.
pub(crate) fn consume(shared: &Shared) {
    shared.stage.work(|line| {
        let _turn = shared.turn.lock();
        read_round(shared, line)
    });
}

/// One pull from each queue where it was read up to, then the commits; gives how many messages
/// came.
fn read_round(shared: &Shared, line: &mut Line) -> Result<usize> {
    let positions: Vec<usize> = {
        let ledger = shared.ledger();
        (0..TOPICS * QUEUES).map(|queue| ledger.position(queue)).collect()
    };
    let got = pull(shared, line, &positions)?;
    let asks: Vec<Ask> = {
        let ledger = shared.ledger();
        let commit = |queue| commit(queue, ledger.position(queue));
        (0..TOPICS * QUEUES).map(commit).collect()
    };
    let (mut answers, offset) = (Vec::new(), |ask: &Ask| ask.fields[3].1.parse::<usize>());
    let asked = line.ask_all(asks.iter(), &mut answers);
    let mut ledger = shared.ledger();
    for (queue, (ask, answer)) in asks.iter().zip(&answers).enumerate() {
        if answer.code == SUCCESS {
            ledger.committed(queue, offset(ask)?);
        }
    }
    asked.map(|()| got)
}

/// Pulls from each queue and checks what comes; gives how many messages that were.
fn pull(shared: &Shared, line: &mut Line, positions: &[usize]) -> Result<usize> {
    let asks: Vec<Ask> =
        positions.iter().enumerate().map(|(queue, offset)| pull_of(queue, *offset)).collect();
    let mut answers = Vec::new();
    let asked = line.ask_all(asks.iter(), &mut answers);
    let mut got = 0;
    let mut ledger = shared.ledger();
    for (queue, answer) in answers.iter().enumerate() {
        match answer.code {
            SUCCESS => got += take_records(&mut ledger, queue, &answer.body)?,
            NOT_AVAILABLE => ledger.recovering += 1,
            code if NOTHING.contains(&code) => {}
            _ => {
                ledger.problems.note(asks::unexpected(&format!("a pull of queue {queue}"), answer))
            }
        }
    }
    asked.map(|()| got)
}

fn take_records(ledger: &mut Ledger, queue: Queue, body: &[u8]) -> Result<usize> {
    let records = Record::all(body)?;
    for record in &records {
        ledger.read(queue, record.offset, record.id);
    }
    Ok(records.len())
}

fn pull_of(queue: Queue, offset: usize) -> Ask {
    asks::pull(GROUP, (&topic(queue), queue % QUEUES), offset)
}

fn of_queue(code: i32, queue: Queue) -> Ask {
    let fields = fields(&[
        ("consumerGroup", GROUP),
        ("topic", &topic(queue)),
        ("queueId", &(queue % QUEUES).to_string()),
    ]);
    Ask { code, fields, body: Vec::new() }
}

fn commit(queue: Queue, offset: usize) -> Ask {
    let mut ask = of_queue(COMMIT, queue);
    ask.fields.push(("commitOffset".to_owned(), offset.to_string()));
    ask
}

/// Asks where the group stands and where the queues end, and gives both, queue by queue; a group
/// that never committed stands at 0.
///
/// # Errors
/// The broker is not there, or refuses.
pub(crate) fn places(line: &mut Line) -> Result<Vec<(usize, usize)>> {
    let mut all = Vec::new();
    for queue in 0..TOPICS * QUEUES {
        let asks = [of_queue(QUERY_OFFSET, queue), of_queue(MAX_OFFSET, queue)];
        let mut answers = Vec::new();
        line.ask_all(asks.iter(), &mut answers)?;
        let stands = if answers[0].code == SUCCESS { number(&answers[0], "offset")? } else { 0 };
        all.push((stands, number(&answers[1], "offset")?));
    }
    Ok(all)
}

/// Reads a queue range again, which must be what it was.
///
/// # Errors
/// The broker is not there, or nothing comes.
pub(crate) fn read_again(
    shared: &Shared,
    line: &mut Line,
    from: &[usize],
    to: &[usize],
) -> Result<()> {
    let mut at = from.to_vec();
    while let Some(queue) = (0..at.len()).find(|queue| at[*queue] < to[*queue]) {
        let answer = {
            let ask = pull_of(queue, at[queue]);
            let mut answers = Vec::new();
            line.ask_all([&ask].into_iter(), &mut answers)?;
            answers.pop().context("one answer")?
        };
        ensure!(answer.code == SUCCESS, "queue {queue} offset {}: {}", at[queue], answer.code);
        at[queue] += take_records(&mut shared.ledger(), queue, &answer.body)?;
    }
    Ok(())
}
