//! Sends at a fixed rate, with what a broker does beside it: live consumers, one that reads old
//! messages back from the disk, log files that are filled and expire. The latency is that from the
//! time at which a message was *meant* to leave to its answer, so that whatever makes sends wait is
//! seen (no coordinated omission).

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::control::Control;
use crate::frame::{Answer, Form, OPAQUE_BASE, Template};
use crate::load::pull::Pull;
use crate::load::rate::{self, HOLD, Paced, WARM_UP};
use crate::load::send::{self, SendLoad};
use crate::load::{GRACE, Target, precise_timers, since};
use crate::outcome::{Outcome, Tally};
use crate::socket::Connections;

const TOPIC: &str = "bench-pace";
const OLD_TOPIC: &str = "bench-old";
const OLD_QUEUES: u32 = 4;
/// How often old files are dropped from memory, and how often the broker is told to expire files.
const DROP: Duration = Duration::from_millis(100);
const EXPIRE: Duration = Duration::from_secs(1);

/// What to send, and what happens meanwhile.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct PaceLoad {
    /// Messages a second, 1 to 1000000.
    #[arg(long, value_parser = rate::parser(), default_value_t = 20_000)]
    pub(crate) rate: u64,
    /// Bytes of each body.
    #[arg(long, default_value_t = 1024)]
    pub(crate) body: usize,
    /// Queues.
    #[arg(long, default_value_t = 4)]
    pub(crate) queues: u32,
    /// Groups that consume live: long polls of all queues on a connection of their own.
    #[arg(long, default_value_t = 0)]
    pub(crate) groups: usize,
    /// MiB of old messages that are written first and read back all the while, dropped from memory
    /// again and again; needs the broker's directory.
    #[arg(long, default_value_t = 0)]
    pub(crate) old_mib: u64,
    /// Tells the broker every second to delete expired files.
    #[arg(long)]
    pub(crate) expire: bool,
    /// Header form.
    #[arg(long, value_enum, default_value_t = Form::Json)]
    pub(crate) form: Form,
    /// Seconds to send.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// Sends, and tells how long answers took.
pub(crate) fn run(target: &Target, load: &PaceLoad) -> Result<Outcome> {
    ensure!(load.old_mib == 0 || target.store.is_some(), "old messages need --store");
    precise_timers()?;
    let mut control = Control::open(target.broker)?;
    control.create_topic(TOPIC, load.queues)?;
    control.create_topic(OLD_TOPIC, OLD_QUEUES)?;
    if load.old_mib > 0 {
        fill(target, load.old_mib)?;
    }
    let (running, over) = channel();
    thread::scope(|scope| {
        let beside = scope.spawn(move || beside(target, load, &mut control, &over));
        let outcome = paced(target, load);
        drop(running);
        beside.join().expect("it does not panic").and(outcome)
    })
}

fn fill(target: &Target, mib: u64) -> Result<()> {
    let load = SendLoad {
        connections: 4,
        window: 64,
        body: 1024,
        topics: 1,
        queues: OLD_QUEUES,
        form: Form::Json,
        count: mib * 1024,
        seconds: 120,
    };
    send::fill(target, OLD_TOPIC, &load)?;
    // What is not on the disk cannot be dropped from memory.
    rustix::fs::sync();
    Ok(())
}

/// Drops files from memory and has expired ones deleted, until nothing runs any more.
fn beside(
    target: &Target,
    load: &PaceLoad,
    control: &mut Control,
    over: &Receiver<()>,
) -> Result<()> {
    let mut expired = Instant::now();
    while over.recv_timeout(DROP) == Err(RecvTimeoutError::Timeout) {
        if load.expire && expired.elapsed() >= EXPIRE {
            expired = Instant::now();
            control.delete_expired()?;
        }
        if let Some(store) = target.store.as_deref().filter(|_| load.old_mib > 0) {
            drop_from_memory(&store.join("commitlog"))?;
        }
    }
    Ok(())
}

/// Drops all files of a directory but the one that is being written; what is mapped and was touched
/// there stays.
fn drop_from_memory(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    // The last one may be made in advance.
    for path in &paths[..paths.len().saturating_sub(2)] {
        // It may be gone by now.
        if let Ok(file) = File::open(path) {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn paced(target: &Target, load: &PaceLoad) -> Result<Outcome> {
    let mut run = Run::new(target, load)?;
    let before = target.usage()?;
    run.paced.start = Instant::now();
    let total = load.rate * load.seconds;
    let end = Duration::from_secs(load.seconds) + GRACE;
    while run.paced.answered < total && run.paced.start.elapsed() < end {
        let patience = run.paced.send_due(&mut run.connections, total)?;
        run.turn(patience)?;
    }
    let usage = before.zip(target.usage()?);
    let unanswered = total - run.paced.answered;
    run.tally.messages = run.paced.answered - run.tally.refusals();
    if load.old_mib > 0 {
        eprintln!("  old messages read back: {} MiB", run.old_bytes >> 20);
    }
    Ok(run.tally.finish(Duration::from_nanos(run.last.max(1)), usage, unanswered))
}

/// A pull in flight; its place in the list is its opaque.
struct Poll {
    token: usize,
    topic: &'static str,
    queue: u32,
    first: i64,
    next: i64,
}

/// Token 0 is the sender, then come the groups, then the reader of old messages.
struct Run<'a> {
    load: &'a PaceLoad,
    connections: Connections,
    paced: Paced,
    polls: Vec<Poll>,
    old_bytes: usize,
    last: u64,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(target: &Target, load: &'a PaceLoad) -> Result<Self> {
        let mut control = Control::open(target.broker)?;
        let mut polls = Vec::new();
        for queue in 0..load.queues {
            let end = control.offsets(TOPIC, queue)?.end;
            for token in 1..=load.groups {
                polls.push(Poll { token, topic: TOPIC, queue, first: end, next: end });
            }
        }
        let old = load.groups + 1;
        for queue in (0..OLD_QUEUES).filter(|_| load.old_mib > 0) {
            let first = control.offsets(OLD_TOPIC, queue)?.start;
            polls.push(Poll { token: old, topic: OLD_TOPIC, queue, first, next: first });
        }
        let templates =
            (0..load.queues).map(|queue| Template::send(load.form, TOPIC, queue, load.body));
        let mut run = Self {
            load,
            connections: Connections::open(target.broker, old + 1)?,
            paced: Paced::new(load.rate, templates.collect(), Template::stamp),
            polls,
            old_bytes: 0,
            last: 0,
            tally: Tally::new()?,
        };
        (0..run.polls.len()).try_for_each(|poll| run.poll(poll))?;
        Ok(run)
    }

    fn poll(&mut self, place: usize) -> Result<()> {
        let poll = &self.polls[place];
        let pull = Pull {
            form: self.load.form,
            topic: poll.topic,
            queue: poll.queue,
            offset: poll.next,
            batch: 32,
            hold: (poll.topic == TOPIC).then_some(HOLD),
        };
        let token = poll.token;
        pull.encode(&mut self.connections.at(token).output.bytes, OPAQUE_BASE + place as u32);
        self.connections.send(token)
    }

    fn turn(&mut self, patience: Duration) -> Result<()> {
        let ready = self.connections.wait(patience)?;
        for &token in &ready {
            self.connections.receive(token)?;
            match token {
                0 => self.take_answers()?,
                _ => self.take_messages(token)?,
            }
        }
        self.connections.done(ready);
        Ok(())
    }

    fn take_answers(&mut self) -> Result<()> {
        let now = since(self.paced.start);
        let Self { connections, tally, paced, last, .. } = self;
        connections.at(0).answers(|answer| {
            let due = paced.due_at(u64::from(answer.opaque - OPAQUE_BASE));
            paced.answered += 1;
            *last = now;
            if answer.code != 0 {
                tally.refuse(answer.code);
            }
            if due >= WARM_UP.as_nanos() as u64 {
                tally.took(now.saturating_sub(due));
            }
            Ok(())
        })
    }

    fn take_messages(&mut self, token: usize) -> Result<()> {
        let mut again = Vec::new();
        let Self { connections, polls, old_bytes, .. } = self;
        connections.at(token).answers(|answer: &Answer<'_>| {
            let place = (answer.opaque - OPAQUE_BASE) as usize;
            let poll = &mut polls[place];
            if poll.topic == OLD_TOPIC {
                *old_bytes += answer.body.len();
            }
            // Who has read all old messages begins again.
            poll.next = match answer.number("nextBeginOffset") {
                Ok(next) if next > poll.next || poll.topic == TOPIC => next,
                _ => poll.first,
            };
            again.push(place);
            Ok(())
        })?;
        again.into_iter().try_for_each(|place| self.poll(place))
    }
}
