//! What a stock 5.5.0 broker keeps in RocksDB alone where its settings say so: ours does not start
//! beside it, and says why. Messages with a time of delivery are all there once it was moved away.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::hand_over::column;
use crate::jars::Release;
use crate::places::Places;
use crate::raw::{Letter, Raw};
use crate::report::Report;
use crate::server::Make;

const TOPIC: &str = "in-rocksdb";
const RECALL: i32 = 370;
const PATIENCE: Duration = Duration::from_secs(40);
/// How long what must not come is waited for.
const AFTER: Duration = Duration::from_secs(3);
const RECALLS: &str = "recallMessageEnable=true\n";
const TIMER: &str = "timerRocksDBEnable=true\n";
const HALVES: &str = "transRocksDBEnable=true\ntransWriteOriginTransHalfEnable=false\n";
/// What is to be moved away, and what the timer is made anew without.
const MOVED: [&str; 2] = ["rocksdbstore", "timerlog"];

/// Which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// Messages that wait for their time.
    Timer,
    /// Half messages.
    Halves,
    /// Neither: the directory is there all the same.
    Unused,
}

/// After a clean stop of the stock broker.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) {
    let stock = Make::Java(Release::V550);
    for case in [Case::Timer, Case::Halves, Case::Unused] {
        let row = format!("rocksdb {case:?}: {stock} -> {make}");
        if !row.contains(only) || make != Make::Rockhopper {
            continue;
        }
        let since = Instant::now();
        let found = places.fresh(&format!("rocks-{case:?}")).and_then(|directory| {
            one(places, &directory, (stock, make), case).map(|()| String::new())
        });
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        report.add_check(
            column(false),
            &row,
            found.map_err(|error: Error| format!("{error:#}")),
            ms,
        );
    }
}

fn one(places: &Places, directory: &Path, (stock, make): (Make, Make), case: Case) -> Result<()> {
    let mut cluster = Cluster::prepare(places, stock, stock, directory)?;
    let settings = match case {
        Case::Timer => [RECALLS, TIMER].concat(),
        Case::Halves => HALVES.to_owned(),
        Case::Unused => RECALLS.to_owned(),
    };
    cluster.broker.set(&settings);
    // It reads what it left itself, too.
    for number in 0..2 {
        cluster.broker.start()?;
        fill(&mut Raw::open(cluster.broker.address())?, case, number)?;
        cluster.broker.stop()?;
    }

    cluster.broker.become_another(places, make)?;
    cluster.broker.set(RECALLS);
    if case != Case::Unused {
        ensure!(cluster.broker.start().is_err(), "it starts beside it");
        cluster.broker.stop().ok();
        let said = cluster.broker.said()?;
        for part in ["rocksdbstore", "docs/takeover.md"] {
            ensure!(said.contains(part), "no {part:?} in {said}");
        }
    }
    let store = cluster.broker.store();
    let moved = if case == Case::Timer { &MOVED[..] } else { &MOVED[..1] };
    for name in moved.iter().filter(|_| case != Case::Unused) {
        fs::rename(store.join(name), directory.join(name)).with_context(|| (*name).to_owned())?;
    }
    cluster.broker.start()?;
    if case != Case::Halves {
        await_all(&mut Raw::open(cluster.broker.address())?)?;
    }
    cluster.broker.stop()?;
    cluster.namesrv.stop()
}

/// Each time: a message that comes at once, one that waits, and one that waits and is taken back.
fn fill(raw: &mut Raw, case: Case, number: i64) -> Result<()> {
    let key = |kind: &str| format!("UNIQ_KEY^{kind}{number}~");
    if case == Case::Halves {
        let properties = format!("{}TRAN_MSG^true~PGROUP^nobody~", key("half"));
        let half = Letter { sys_flag: 4, ..Letter::new(TOPIC, &properties, "half") };
        raw.send(&half, false)?;
        std::thread::sleep(AFTER);
        return Ok(());
    }
    for (kind, seconds) in [("soon", 1), ("waits", 30), ("taken", 30)] {
        let properties = format!("{}TIMER_DELAY_SEC^{seconds}~", key(kind));
        let body = format!("{kind}{number}");
        let answer = raw.send(&Letter::new(TOPIC, &properties, body), false)?;
        if kind == "taken" {
            let handle = answer.fields["recallHandle"].as_str().context("no handle")?;
            let fields = [("topic", TOPIC), ("recallHandle", handle), ("producerGroup", "p")];
            raw.must(RECALL, &fields, &[])?;
        }
    }
    raw.await_end((TOPIC, 0), number + 1, PATIENCE)?;
    // The stock broker takes them from its queue now and then.
    std::thread::sleep(AFTER);
    Ok(())
}

/// All that waits comes, and nothing that came comes again.
fn await_all(raw: &mut Raw) -> Result<()> {
    raw.await_end((TOPIC, 0), 4, PATIENCE)?;
    std::thread::sleep(AFTER);
    let bodies = raw.pull(TOPIC, 0, 0)?.into_iter().map(|record| record.body);
    let bodies: Vec<String> =
        bodies.map(|body| String::from_utf8_lossy(&body).into_owned()).collect();
    let mut sorted = bodies.clone();
    sorted.sort();
    if sorted != ["soon0", "soon1", "waits0", "waits1"] {
        bail!("what came: {bodies:?}");
    }
    Ok(())
}
