//! One broker writes a store, another opens it and has to find everything: messages, queue
//! offsets, keys, topics and the positions of groups; after a clean stop and after a crash.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::clients::Kind;
use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::Places;
use crate::report::{Report, Verdict};
use crate::runs::Crew;
use crate::server::{Make, Server};

/// The positions that `store-write` leaves, one for each queue, as they stand in the file.
const POSITIONS: (&str, usize) = (":100", 4);
/// A stock broker writes positions for the first time 10 s after its start, then every 5 s.
const SAVED: Duration = Duration::from_secs(40);

const COLUMNS: [(&str, bool); 2] = [("store after a stop", false), ("store after kill -9", true)];

/// Runs each pair of broker programs in both directions.
///
/// # Errors
/// A name server or a client does not start; what a broker does wrong is in the report.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let pairs = pairs(make);
    let wanted = |(writer, reader): &&(Make, Make)| name(*writer, *reader).contains(only);
    if !pairs.iter().any(|pair| wanted(&pair)) {
        return Ok(());
    }
    let directory = places.fresh("store")?;
    let mut cluster = Cluster::start(places, make, make, &directory.join("first"))?;
    let mut crew = Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?;
    for (number, (writer, reader)) in pairs.iter().filter(wanted).enumerate() {
        for (column, crash) in COLUMNS {
            let since = Instant::now();
            cluster.broker.stop()?;
            let place = directory.join(format!("{number}-{crash}"));
            cluster.broker = Server::broker(places, *writer, &place, cluster.namesrv.address())?;
            let prefix = format!("s{number}{crash}");
            let found = hand_over(places, &mut cluster, &mut crew, (*reader, crash, &prefix));
            let ms = u64::try_from(since.elapsed().as_millis())?;
            let found = found.map_err(|error| format!("{error:#}"));
            report.add_check(column, &name(*writer, *reader), found, ms);
        }
    }
    cluster.stop()
}

fn pairs(make: Make) -> Vec<(Make, Make)> {
    let stock = Make::Java(Release::V550);
    let old = Make::Java(Release::V497);
    let mut pairs = vec![(make, stock), (make, old), (stock, make), (old, make)];
    pairs.dedup();
    pairs
}

fn name(writer: Make, reader: Make) -> String {
    format!("{writer} -> {reader}")
}

fn hand_over(
    places: &Places,
    cluster: &mut Cluster,
    crew: &mut Crew,
    (reader, crash, prefix): (Make, bool, &str),
) -> Result<String> {
    cluster.broker.start()?;
    let written = crew.run_one("store-write", prefix, cluster)?;
    ensure!(written.verdict == Verdict::Pass, "writing: {:?}", written.verdict);
    if crash {
        await_positions(&cluster.broker.store().join("config/consumerOffset.json"), prefix)?;
        cluster.broker.kill();
    } else {
        cluster.broker.stop()?;
    }
    cluster.broker.become_another(places, reader)?;
    cluster.broker.start()?;
    let read = crew.run_one("store-read", prefix, cluster)?;
    ensure!(read.verdict == Verdict::Pass, "reading: {:?}", read.verdict);
    Ok(read.notes)
}

/// Waits until the positions of the group are in the file: neither broker promises them earlier.
fn await_positions(file: &Path, prefix: &str) -> Result<()> {
    let since = Instant::now();
    let (position, queues) = POSITIONS;
    let key = format!("\"{prefix}-t@{prefix}-g\"");
    loop {
        let text: String = fs::read_to_string(file).unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let table = text.split_once(&key).and_then(|(_, rest)| rest.split('}').next());
        if table.is_some_and(|table| table.matches(position).count() == queues) {
            return Ok(());
        }
        ensure!(since.elapsed() < SAVED, "{} has no positions of {key}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
