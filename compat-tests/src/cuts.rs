//! A stock broker cuts its log at damage and writes on, which leaves old records, queue units and
//! index entries behind; then ours takes the directory over, and gives it back.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::Places;
use crate::raw::{self, Letter, Raw};
use crate::records::BODY_AT;
use crate::report::Report;
use crate::server::Make;

const TOPIC: &str = "cut";
/// Messages before the damage, and how many of them are in front of it.
const SENT: usize = 60;
const KEPT: usize = 20;
/// Messages that the stock broker stores behind its cut.
const NEW: usize = 15;
const PATIENCE: Duration = Duration::from_secs(20);
/// What `store verify` says of keys that Java did not write.
const LACKS: &str = "the index lacks the keys of";

/// With messages behind the cut that have another length than those before, and the same.
///
/// # Errors
/// A name server does not start; what a broker does wrong is in the report.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let stock = Make::Java(Release::V550);
    for new in ["new and longer", "new"] {
        let row = format!("{stock} cuts, stores {new} ones -> {make} -> {stock}");
        if !row.contains(only) {
            continue;
        }
        let since = Instant::now();
        let directory = places.fresh(&format!("cut-{}", new.len()))?;
        let found = one(places, &directory, (stock, make), new);
        let ms = u64::try_from(since.elapsed().as_millis())?;
        report.add_check("store cut", &row, found.map_err(|error| format!("{error:#}")), ms);
    }
    Ok(())
}

fn one(
    places: &Places,
    directory: &Path,
    (stock, make): (Make, Make),
    new: &str,
) -> Result<String> {
    let mut cluster = Cluster::prepare(places, make, stock, directory)?;
    let mut bodies: Vec<String> = (10..SENT + 10).map(|number| format!("old {number}")).collect();
    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    let mut places_of = Vec::new();
    for body in &bodies {
        places_of.push(send(raw, body)?);
    }
    await_key(raw, &bodies[SENT - 1])?;
    cluster.broker.stop()?;
    damage(&cluster.broker.store(), places_of[KEPT])?;

    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    raw.await_end((TOPIC, 0), i64::try_from(KEPT)?, PATIENCE)?;
    bodies.truncate(KEPT);
    for number in 0..NEW {
        bodies.push(format!("{new} {}", number + 10));
        send(raw, &bodies[KEPT + number])?;
    }
    raw.await_end((TOPIC, 0), i64::try_from(bodies.len())?, PATIENCE)?;
    let missed = bodies.iter().filter(|body| !is_found(raw, body).unwrap_or(false)).count();
    ensure!(missed == NEW, "the stock broker itself misses {missed} keys");
    cluster.broker.stop()?;
    let said = verify(places, &cluster.broker.store())?;
    ensure!(said.contains(LACKS), "verify does not tell of the index: {said}");

    for (leg, next) in [make, stock, make].into_iter().enumerate() {
        cluster.broker.become_another(places, next)?;
        cluster.broker.start()?;
        let raw = &mut Raw::open(cluster.broker.address())?;
        all_there(raw, &bodies).with_context(|| format!("leg {leg}, {next}"))?;
        for number in 0..3 {
            let body = format!("leg {leg} {number}");
            send(raw, &body)?;
            bodies.push(body);
        }
        await_key(raw, &bodies[bodies.len() - 1])?;
        all_there(raw, &bodies).with_context(|| format!("leg {leg}, {next}, at its end"))?;
        cluster.broker.stop()?;
        let said = verify(places, &cluster.broker.store()).with_context(|| format!("leg {leg}"))?;
        ensure!(!said.contains(LACKS), "leg {leg}, {next}: {said}");
    }
    cluster.namesrv.stop()?;
    Ok(format!("{missed} keys that {stock} missed are found"))
}

/// Sends one and returns its log offset.
fn send(raw: &mut Raw, body: &str) -> Result<i64> {
    let key = body.replace(' ', "-");
    let properties = format!("UNIQ_KEY^u-{key}~KEYS^k-{key} all~TAGS^t~");
    raw::log_offset(&raw.send(&Letter::new(TOPIC, &properties, body), false)?)
}

fn is_found(raw: &mut Raw, body: &str) -> Result<bool> {
    let key = body.replace(' ', "-");
    let by = |raw: &mut Raw, key: &str, unique| -> Result<bool> {
        let found = raw.by_key(TOPIC, key, unique)?;
        Ok(found.iter().any(|record| record.body == body.as_bytes()))
    };
    Ok(by(raw, &format!("u-{key}"), true)? && by(raw, &format!("k-{key}"), false)?)
}

fn await_key(raw: &mut Raw, body: &str) -> Result<()> {
    let since = Instant::now();
    while !is_found(raw, body)? {
        ensure!(since.elapsed() < PATIENCE, "{body} is not found by its keys");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Every message stands in the queue in its order, and its keys find it.
fn all_there(raw: &mut Raw, bodies: &[String]) -> Result<()> {
    let found = raw.pull(TOPIC, 0, 0)?;
    let found: Vec<&[u8]> = found.iter().map(|record| &record.body[..]).collect();
    let wanted: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    ensure!(found == wanted, "{} messages in the queue, not {}", found.len(), wanted.len());
    for body in bodies {
        ensure!(is_found(raw, body)?, "{body} is not found by its keys");
    }
    Ok(())
}

/// Changes a byte of the body of the record at a log offset.
fn damage(store: &Path, log_offset: i64) -> Result<()> {
    let at = u64::try_from(log_offset)? + BODY_AT;
    let path = store.join("commitlog/00000000000000000000");
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    byte[0] ^= 1;
    Ok(file.write_all_at(&byte, at)?)
}

/// What `rockhopper store verify` says of a directory that it calls sound.
fn verify(places: &Places, store: &Path) -> Result<String> {
    let mut command = Command::new(places.binaries.join("rockhopper"));
    let output = command.args(["store", "verify"]).arg(fs::canonicalize(store)?).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "verify ended with {}: {said}", output.status);
    Ok(said)
}
