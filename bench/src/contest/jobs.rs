//! The list of jobs. Their shapes are those of the targets in docs/performance.md.

use anyhow::Result;

use crate::contest::Options;
use crate::contest::server::{Facts, Server};
use crate::contest::stock::{self, Stock, StockLoad};
use crate::frame::Form;
use crate::load::Target;
use crate::load::arrive::{self, ArriveLoad};
use crate::load::pace::{self, PaceLoad};
use crate::load::pop::{self, PopLoad};
use crate::load::pull::{self, PullLoad};
use crate::load::send::{self, SendLoad};
use crate::outcome::Outcome;

/// How the broker is set while a job runs; it is started anew for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// ASYNC_FLUSH
    Async,
    /// ASYNC_FLUSH, with log files of 64 MiB that expire as soon as they are full.
    Rolling,
    /// SYNC_FLUSH
    Sync,
    /// ASYNC_FLUSH, killed and started again.
    Killed,
    /// ASYNC_FLUSH, with stock clients and nothing else.
    Clients,
}

impl Stage {
    /// All, in the order in which they run.
    pub(crate) const ALL: [Self; 5] =
        [Self::Async, Self::Rolling, Self::Sync, Self::Killed, Self::Clients];
}

/// One line of the contest.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) stage: Stage,
    /// Whether the null server can do it.
    pub(crate) on_null: bool,
    /// Whether it runs only when it is asked for by its name.
    pub(crate) by_name: bool,
    load: Load,
}

#[derive(Debug)]
enum Load {
    Start,
    Idle,
    Send(SendLoad),
    Pull(PullLoad),
    Pop(PopLoad),
    Arrive(ArriveLoad),
    Pace(PaceLoad),
    /// Sends in ten parts.
    Long(SendLoad),
    /// A start after these were stored and the processes were killed under load.
    Killed(SendLoad),
    /// A program of the stock clients.
    Client(StockLoad),
}

const SEND: SendLoad = SendLoad {
    connections: 4,
    window: 64,
    body: 128,
    topics: 1,
    queues: 4,
    form: Form::Json,
    count: 2_000_000,
    seconds: 10,
};

const PULL: PullLoad = PullLoad {
    connections: 4,
    batch: 32,
    body: 128,
    queues: 4,
    form: Form::Json,
    stock: 200_000,
    count: 8_000_000,
    seconds: 10,
};

const POP: PopLoad = PopLoad {
    connections: 4,
    batch: 32,
    body: 128,
    queues: 4,
    count: 400_000,
    leave: 0,
    invisible_ms: 60_000,
    seconds: 20,
};

const ARRIVE: ArriveLoad =
    ArriveLoad { rate: 1000, body: 128, queues: 4, held: 0, form: Form::Json, seconds: 10 };

const PACE: PaceLoad = PaceLoad {
    rate: 20_000,
    body: 1 << 10,
    queues: 4,
    groups: 0,
    old_mib: 0,
    expire: false,
    form: Form::Json,
    seconds: 20,
};

const fn job(name: &'static str, what: &'static str, load: Load) -> Job {
    let on_null = match &load {
        Load::Pull(_) | Load::Pop(_) => false,
        // The null server keeps nothing that could be read back.
        Load::Pace(pace) => pace.old_mib == 0,
        _ => true,
    };
    Job { name, what, stage: Stage::Async, on_null, by_name: false, load }
}

const fn sync(name: &'static str, what: &'static str, load: SendLoad) -> Job {
    let load = Load::Send(load);
    Job { name, what, stage: Stage::Sync, on_null: false, by_name: false, load }
}

/// A job that takes long or needs what is not always there.
const fn by_name(name: &'static str, what: &'static str, stage: Stage, load: Load) -> Job {
    Job { name, what, stage, on_null: false, by_name: true, load }
}

/// All jobs, in the order in which they run.
pub(crate) const JOBS: &[Job] = &[
    job(
        "start",
        "start of name server and broker to the first accepted send, empty store",
        Load::Start,
    ),
    job("idle", "memory of name server and broker three seconds after the start", Load::Idle),
    job("send", "4 connections x 64 in flight, 128 B, 4 queues", Load::Send(SEND)),
    job(
        "send-rocketmq",
        "the same, ROCKETMQ header",
        Load::Send(SendLoad { form: Form::Rocketmq, ..SEND }),
    ),
    job(
        "send-1k",
        "the same, 1 KiB",
        Load::Send(SendLoad { body: 1 << 10, count: 1_000_000, ..SEND }),
    ),
    job(
        "send-64k",
        "the same, 64 KiB",
        Load::Send(SendLoad { body: 64 << 10, count: 20_000, ..SEND }),
    ),
    job(
        "send-800",
        "the same, 128 B, 100 topics x 8 queues",
        Load::Send(SendLoad { topics: 100, queues: 8, ..SEND }),
    ),
    job(
        "send-one",
        "one connection, one at a time, 128 B",
        Load::Send(SendLoad { connections: 1, window: 1, count: 100_000, ..SEND }),
    ),
    job(
        "send-256",
        "256 connections, one at a time each, 128 B",
        Load::Send(SendLoad { connections: 256, window: 1, count: 500_000, ..SEND }),
    ),
    job("pull", "4 connections, 32 a batch, hot; latency is that of a pull", Load::Pull(PULL)),
    job(
        "pop",
        "4 connections, 32 a batch, each acknowledged; latency is that of a pop",
        Load::Pop(POP),
    ),
    job(
        "pop-back",
        "the same, one in ten left for 5 s; latency is how late these come back",
        Load::Pop(PopLoad { count: 100_000, leave: 10, invisible_ms: 5_000, ..POP }),
    ),
    job("arrive", "send to arrival at a long-polling consumer, 1,000/s", Load::Arrive(ARRIVE)),
    job("arrive-10k", "the same, 10,000/s", Load::Arrive(ArriveLoad { rate: 10_000, ..ARRIVE })),
    job(
        "arrive-held",
        "the same, 1,000/s, with 1,000 idle long polls held",
        Load::Arrive(ArriveLoad { held: 1000, ..ARRIVE }),
    ),
    job("pace", "20,000 sends/s of 1 KiB; latency is that of a send", Load::Pace(PACE)),
    job(
        "pace-live",
        "the same with 4 groups that consume live",
        Load::Pace(PaceLoad { groups: 4, ..PACE }),
    ),
    job(
        "pace-old",
        "the same with 4 groups live and one that reads old messages back from the disk",
        Load::Pace(PaceLoad { groups: 4, old_mib: 2048, ..PACE }),
    ),
    Job {
        name: "pace-roll",
        what: "as pace, while log files of 64 MiB are filled, expire and are deleted",
        stage: Stage::Rolling,
        on_null: false,
        by_name: false,
        load: Load::Pace(PaceLoad { expire: true, ..PACE }),
    },
    sync(
        "sync-one",
        "SYNC_FLUSH, one connection, one at a time, 128 B",
        SendLoad { connections: 1, window: 1, count: 20_000, ..SEND },
    ),
    sync(
        "sync-64",
        "SYNC_FLUSH, 64 connections, one at a time each, 128 B",
        SendLoad { connections: 64, window: 1, count: 200_000, ..SEND },
    ),
    by_name(
        "send-10m",
        "as send, ten million messages without a pause",
        Stage::Async,
        Load::Long(SendLoad { count: 10_000_000, seconds: 900, ..SEND }),
    ),
    by_name(
        "killed",
        "start to the first accepted send after kill -9 of 1.8 GB under load",
        Stage::Killed,
        Load::Killed(SendLoad { body: 1 << 10, count: 1_400_000, seconds: 300, ..SEND }),
    ),
    by_name(
        "client-java",
        "the stock Java producer of 5.5.0, 16 threads, 128 B",
        Stage::Clients,
        Load::Client(StockLoad { which: Stock::JavaProducer, seconds: 20 }),
    ),
    by_name(
        "client-push",
        "the stock Java push consumer of 5.5.0, 16 threads, reads those",
        Stage::Clients,
        Load::Client(StockLoad { which: Stock::JavaConsumer, seconds: 20 }),
    ),
    by_name(
        "client-go",
        "the stock Go producer v2.1.2, 16 goroutines, 128 B",
        Stage::Clients,
        Load::Client(StockLoad { which: Stock::GoProducer, seconds: 20 }),
    ),
];

/// A quick run does a fifth.
const QUICK: u64 = 5;
/// Parts of a long run.
const PARTS: u64 = 10;

/// Sends until the Java broker's compiler is done with the path; the same for everyone.
pub(crate) fn warm_up(target: &Target, quick: bool) -> Result<()> {
    let count = if quick { 100_000 } else { 300_000 };
    send::run(target, &SendLoad { count, seconds: 60, ..SEND })?;
    Ok(())
}

impl Job {
    /// Runs it once.
    pub(crate) fn run(
        &self,
        server: &mut Server,
        facts: &Facts,
        options: &Options,
    ) -> Result<Outcome> {
        let part = if options.quick { QUICK } else { 1 };
        let less = |load: SendLoad| {
            let seconds = (load.seconds / part).max(2);
            SendLoad { count: load.count / part, seconds, ..load }
        };
        let target = server.target();
        match self.load {
            Load::Start => Ok(facts.start.clone()),
            Load::Idle => Ok(facts.idle.clone()),
            Load::Send(load) => send::run(&target, &less(load)),
            Load::Long(load) => send::long(&target, &less(load), PARTS),
            Load::Killed(load) => server.start_after_kill(options, &less(load)),
            Load::Client(load) => {
                let seconds = (load.seconds / part).max(10);
                stock::run(&target, &server.programs(options), StockLoad { seconds, ..load })
            }
            Load::Pull(load) => {
                let seconds = (load.seconds / part).max(2);
                pull::run(&target, &PullLoad { count: load.count / part, seconds, ..load })
            }
            Load::Pop(load) => {
                let seconds = (load.seconds / part).max(10);
                pop::run(&target, &PopLoad { count: load.count / part, seconds, ..load })
            }
            Load::Arrive(load) => {
                arrive::run(&target, &ArriveLoad { seconds: (load.seconds / part).max(4), ..load })
            }
            Load::Pace(load) => {
                pace::run(&target, &PaceLoad { seconds: (load.seconds / part).max(5), ..load })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, job) in JOBS.iter().enumerate() {
            assert!(JOBS[..at].iter().all(|other| other.name != job.name), "{} twice", job.name);
        }
    }
}
