//! A compacted topic that ours compacted in parts, as there was no room for a copy of it: each part
//! leaves a gap between its files and the next ones. The stock broker reads it and goes on with it,
//! and ours after that.

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
use crate::server::{Make, Server};

const TOPIC: &str = "in-parts";
const SET: i32 = 25;
/// Messages before the first compaction, and what each broker adds.
const SENT: i64 = 2_400;
const MORE: i64 = 130;
/// Every so many have a key of their own; the others have as many keys.
const KEYS: i64 = 10;
/// compactionCqMappedFileSize / 46, less the one that ends a file.
const FILE: i64 = 49;
const LOG_FILE: i64 = 29_900;
const PATIENCE: Duration = Duration::from_secs(40);
const SHAPE: &str = "compactionMappedFileSize=27600\ncompactionCqMappedFileSize=2300\n\
                     mappedFileSizeCommitLog=262144\nmaxMessageSize=200000\n\
                     cleanFileForciblyEnable=false\n";
const LATER: &str = "compactionScheduleInternal=3600000\n";
const SOON: &str = "compactionScheduleInternal=500\n";
/// Less than the store takes: no copy of a file has room.
const BOUND: &str = "storeBytesMax=786432\n";
/// What ours says then.
const NO_ROOM: &str = "there is no room to compact the queue";

/// After a clean stop and after a kill. A stock broker as `make` has no bound, and no parts.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) {
    let stock = Make::Java(Release::V550);
    let row = format!("compacted in parts: {make} -> {stock} -> {make}");
    if !row.contains(only) {
        return;
    }
    let tried = |crash: bool, attempt: u32| {
        let directory = places.fresh(&format!("parts-{}-{attempt}", column(crash).len()))?;
        one(places, &directory, (make, stock), crash)
    };
    for crash in [false, true] {
        let since = Instant::now();
        let found = tried(crash, 1).or_else(|first| {
            let notes = tried(crash, 2)?;
            Ok(format!("{notes}; at the second try, the first: {first:#}"))
        });
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let found = found.map_err(|error: Error| format!("{error:#}"));
        report.add_check(column(crash), &row, found, ms);
    }
}

fn one(
    places: &Places,
    directory: &Path,
    (make, stock): (Make, Make),
    crash: bool,
) -> Result<String> {
    let mut cluster = Cluster::prepare(places, make, make, directory)?;
    cluster.broker.set(&[SHAPE, LATER].concat());
    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    raw.make_topic(TOPIC, &[("attributes", "+cleanup.policy=COMPACTION")])?;
    send(raw, 0, SENT)?;
    cluster.broker.stop()?;

    let bound = if make == Make::Rockhopper { BOUND } else { "" };
    cluster.broker.set(&[SHAPE, SOON, bound].concat());
    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    if make == Make::Rockhopper {
        let (used, wanted) = bytes_told(&cluster.broker)?;
        let text = format!("storeBytesMax={}", used + 2 * wanted);
        raw.must(SET, &[], text.as_bytes())?;
    }
    await_kept(raw, SENT)?;
    let gaps = gaps(&cluster.broker.store())?;
    ensure!(gaps > 2 || make != Make::Rockhopper, "{gaps} gaps: it was compacted at once");
    end(&mut cluster.broker, crash)?;

    cluster.broker.set(&[SHAPE, SOON].concat());
    let mut count = SENT;
    for now in [stock, make] {
        cluster.broker.become_another(places, now)?;
        cluster.broker.start()?;
        let raw = &mut Raw::open(cluster.broker.address())?;
        raw.await_end((TOPIC, 0), count, PATIENCE)?;
        let each = || format!("{now} with {count} messages");
        await_kept(raw, count).with_context(each)?;
        by_offset(raw, count).with_context(each)?;
        send(raw, count, count + MORE)?;
        count += MORE;
        await_kept(raw, count).with_context(|| format!("{now}, {MORE} messages later"))?;
        end(&mut cluster.broker, crash)?;
    }
    cluster.namesrv.stop()?;
    Ok(format!("{gaps} gaps"))
}

fn end(broker: &mut Server, crash: bool) -> Result<()> {
    if !crash {
        return broker.stop();
    }
    broker.kill();
    Ok(())
}

fn send(raw: &mut Raw, from: i64, to: i64) -> Result<()> {
    for at in from..to {
        let key = if is_once(at) { format!("once-{at}") } else { format!("k{}", at % KEYS) };
        let letter = Letter::new(TOPIC, &format!("UNIQ_KEY^u{at}~KEYS^{key}~"), at.to_string());
        raw.send(&letter, false)?;
    }
    raw.await_end((TOPIC, 0), to, PATIENCE)
}

fn is_once(at: i64) -> bool {
    at % KEYS == 0
}

/// The queue offsets that are left of so many messages.
fn kept(count: i64) -> Vec<i64> {
    let complete = (count - 1) / FILE * FILE;
    (0..count).filter(|at| is_once(*at) || *at >= complete - KEYS).collect()
}

/// Waits until a reader of the whole queue gets what is left, and that alone.
fn await_kept(raw: &mut Raw, count: i64) -> Result<()> {
    let since = Instant::now();
    let kept = kept(count);
    loop {
        let found = whole(raw, count);
        if found.as_ref().is_ok_and(|found| *found == kept) {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            let found = found?;
            let lacks = kept.iter().find(|at| !found.contains(at));
            let (found, kept) = (found.len(), kept.len());
            bail!("{found} messages of {count}, not {kept}; the first that is missing: {lacks:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The queue offsets that a reader of the whole queue gets.
fn whole(raw: &mut Raw, count: i64) -> Result<Vec<i64>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < count {
        let (records, next) = raw.pull_once((TOPIC, 0), at)?;
        ensure!(next > at, "a pull at {at} goes on at {next}");
        for record in records {
            ensure!(record.queue_offset >= at, "at {at} came {record:?}");
            let body = String::from_utf8_lossy(&record.body).into_owned();
            ensure!(body == record.queue_offset.to_string(), "{record:?} says {body}");
            found.push(record.queue_offset);
        }
        at = next;
    }
    Ok(found)
}

/// Each that is left is got from its own place, and from the one before it.
fn by_offset(raw: &mut Raw, count: i64) -> Result<()> {
    let mut before = -1;
    for offset in kept(count) {
        for at in [before + 1, offset] {
            let (records, _) = raw.pull_once((TOPIC, 0), at)?;
            let first = records.first().map(|record| record.queue_offset);
            ensure!(first == Some(offset), "a pull at {at} begins with {first:?}, not {offset}");
        }
        before = offset;
    }
    Ok(())
}

/// What ours says that the store takes with a copy of one file, and what that copy takes.
fn bytes_told(broker: &Server) -> Result<(u64, u64)> {
    let since = Instant::now();
    loop {
        let said = broker.said()?;
        if let Some(line) = said.lines().find(|line| line.contains(NO_ROOM)) {
            let number = |before: &str| -> Result<u64> {
                let rest = line.split_once(before).with_context(|| format!("no {before:?}"))?.1;
                let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
                Ok(rest[..end].parse()?)
            };
            return Ok((number("is full: ")?, number("wanted=")?));
        }
        ensure!(since.elapsed() < PATIENCE, "the broker does not say {NO_ROOM:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Between how many files of the compacted log others are missing.
fn gaps(store: &Path) -> Result<usize> {
    let mut starts = Vec::new();
    for file in fs::read_dir(store.join("compaction/compactionLog").join(TOPIC).join("0"))? {
        starts.extend(file?.file_name().to_string_lossy().parse::<i64>());
    }
    starts.sort_unstable();
    Ok(starts.windows(2).filter(|pair| pair[1] - pair[0] > LOG_FILE).count())
}
