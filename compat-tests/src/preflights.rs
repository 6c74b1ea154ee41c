//! What `rockhopper store preflight` tells of a directory, and what the stock broker then does with
//! it: whether it starts, and how many messages it loses.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::Places;
use crate::raw::{self, Letter, Raw};
use crate::records::BODY_AT;
use crate::report::Report;
use crate::server::Make;
use crate::side_by_side;

const TOPIC: &str = "preflight";
/// Messages, and which of them is damaged.
const SENT: usize = 40;
const DAMAGED: usize = 25;
const PATIENCE: Duration = Duration::from_secs(20);
const SMALL: &str = "mappedFileSizeCommitLog=524288\n";
const SMALLER: &str = "mappedFileSizeCommitLog=33554432\n";

/// A directory as the target finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// After a clean stop of ours.
    Clean,
    /// After a kill.
    Killed,
    /// With a setting that does not fit its files.
    WrongSize,
    /// With a record that was damaged since.
    Damaged,
    /// With a record that ours has set aside.
    SetAside,
    /// Without its log files.
    LogGone,
    /// With log files that were lost and are back, but for one between, as after power loss.
    Back,
}

/// Asks about each case before each release gets it, or 5.5.0 alone if not `whole`.
///
/// # Errors
/// A name server does not start; what does not come true is in the report.
pub fn run(
    places: &Places,
    make: Make,
    (only, whole): (&str, bool),
    report: &mut Report,
) -> Result<()> {
    let mut releases = vec![Release::V550, Release::V533, Release::V498];
    releases.truncate(if whole { releases.len() } else { 1 });
    // Side by side: each waits most of the time.
    let abreast = releases.len();
    for rows in side_by_side(&releases, abreast, |release| column(places, make, *release, only)) {
        let rows = rows.context("a column panicked")?;
        for (row, found, ms) in rows? {
            report.add_check("preflight", &row, found, ms);
        }
    }
    Ok(())
}

type Row = (String, Result<String, String>, u64);

/// All cases for one release.
fn column(places: &Places, make: Make, release: Release, only: &str) -> Result<Vec<Row>> {
    use Case::{Back, Clean, Damaged, Killed, LogGone, SetAside, WrongSize};
    let mut rows = Vec::new();
    for case in [Clean, Killed, WrongSize, Damaged, SetAside, LogGone, Back] {
        let row = format!("{case:?} -> {}", Make::Java(release));
        if !format!("preflight {row}").contains(only) {
            continue;
        }
        let since = Instant::now();
        let directory = places.fresh(&row.replace(' ', "-"))?;
        let found = one(places, &directory, make, (release, case));
        let ms = u64::try_from(since.elapsed().as_millis())?;
        rows.push((row, found.map_err(|error| format!("{error:#}")), ms));
    }
    Ok(rows)
}

fn one(
    places: &Places,
    directory: &Path,
    make: Make,
    (release, case): (Release, Case),
) -> Result<String> {
    let mut cluster = Cluster::prepare(places, make, make, directory)?;
    // So that there are several files.
    let body_len = if case == Case::Back { 64 << 10 } else { 0 };
    let shape = if case == Case::Back { SMALL } else { "" };
    cluster.broker.set(shape);
    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    let mut offsets = Vec::new();
    for number in 0..SENT {
        let body = format!("{number:04}{}", "x".repeat(body_len));
        let letter = Letter::new(TOPIC, &format!("UNIQ_KEY^u{number}~"), body);
        offsets.push(raw::log_offset(&raw.send(&letter, false)?)?);
    }
    raw.await_end((TOPIC, 0), i64::try_from(SENT)?, PATIENCE)?;
    match case {
        Case::Killed => cluster.broker.kill(),
        _ => cluster.broker.stop()?,
    }
    let store = cluster.broker.store();
    if matches!(case, Case::Damaged | Case::SetAside) {
        let log = store.join("commitlog/00000000000000000000");
        let at = u64::try_from(offsets[DAMAGED])? + BODY_AT;
        File::options().write(true).open(log)?.write_all_at(b"!", at)?;
    }
    if case == Case::SetAside {
        // Only a start after a crash reads what was durable once.
        std::fs::write(store.join("abort"), "in use, being mended")?;
        cluster.broker.start()?;
        cluster.broker.stop()?;
    }
    if case == Case::LogGone {
        std::fs::remove_dir_all(store.join("commitlog"))?;
    }
    let whole = if case == Case::Back { bring_back(&mut cluster)? } else { SENT };
    let settings = if case == Case::WrongSize { SMALLER } else { shape };
    let told = ask(places, &store, release, settings)?;
    cluster.broker.become_another(places, Make::Java(release))?;
    cluster.broker.set(settings);
    let seen = start(&mut cluster);
    if seen.is_ok() {
        cluster.broker.stop()?;
    }
    cluster.namesrv.stop()?;
    match (&told, &seen) {
        (Told::Refuses, Err(_)) => Ok("told: it does not start".into()),
        (Told::Loses(lost), Ok(there)) => {
            // Those behind the damage are counted; it costs one itself, whoever starts.
            let gone = SENT - there;
            ensure!(gone == lost + 1, "told: {lost} lost, seen: {there} of {SENT} left");
            Ok(format!("told: {lost} are lost"))
        }
        (Told::LosesAll, Ok(there)) => {
            ensure!(*there == 0, "told: all is lost, seen: {there} of {SENT} left");
            Ok("told: the queues are deleted".into())
        }
        (Told::Safe, Ok(there)) => {
            ensure!(*there == whole, "told: safe, seen: {there} of {whole}");
            Ok("told: safe".into())
        }
        _ => Err(anyhow!("told: {told:?}, seen: {seen:?}")),
    }
}

/// Starts the broker and counts the messages that it has.
fn start(cluster: &mut Cluster) -> Result<usize> {
    cluster.broker.start()?;
    let raw = &mut Raw::open(cluster.broker.address())?;
    let (min, end) = raw.range(TOPIC, 0)?;
    let there = raw.pull(TOPIC, 0, min)?.len();
    ensure!(i64::try_from(there)? == end - min, "{there} messages from {min} to {end}");
    // What comes next goes on behind them.
    let answer = raw.send(&Letter::new(TOPIC, "", "next"), false)?;
    let place = answer.fields["queueOffset"].as_str().context("no offset")?;
    ensure!(place == end.to_string(), "they end at {end}, the next one gets {place}");
    Ok(there)
}

/// Takes the first three files of the log away for a start, and puts two of them back for the next
/// one, which moves them aside. Returns how many messages are left.
fn bring_back(cluster: &mut Cluster) -> Result<usize> {
    let store = cluster.broker.store();
    let (log, away) = (store.join("commitlog"), store.join("away"));
    let mut names = Vec::new();
    for file in std::fs::read_dir(&log)? {
        names.push(file?.file_name());
    }
    names.sort();
    ensure!(names.len() > 3, "too few log files: {names:?}");
    std::fs::create_dir(&away)?;
    for name in &names[..3] {
        std::fs::rename(log.join(name), away.join(name))?;
    }
    cluster.broker.start()?;
    cluster.broker.stop()?;
    for name in &names[..2] {
        std::fs::rename(away.join(name), log.join(name))?;
    }
    std::fs::remove_dir_all(&away)?;
    cluster.broker.start()?;
    let (min, end) = Raw::open(cluster.broker.address())?.range(TOPIC, 0)?;
    cluster.broker.stop()?;
    let aside = std::fs::read_dir(store.join("commitlog.in-the-way"))?.count();
    ensure!(aside == 2, "{aside} files were moved aside");
    Ok(usize::try_from(end - min)?)
}

#[derive(Debug)]
enum Told {
    Safe,
    Refuses,
    Loses(usize),
    LosesAll,
}

/// What preflight says of a directory.
fn ask(places: &Places, store: &Path, release: Release, settings: &str) -> Result<Told> {
    let target = match release {
        Release::V550 => "java-5.5",
        Release::V533 => "java-5.3",
        Release::V498 => "java-4.9",
    };
    let mut command = Command::new(places.binaries.join("rockhopper"));
    command.args(["store", "preflight"]).arg(store).args(["--to", target, "--json"]);
    for setting in settings.lines() {
        command.args(["--set", setting]);
    }
    let output = command.output()?;
    let json: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let verdicts = json["verdicts"].as_array().context("no verdicts")?;
    let of = |effect: &str| {
        let found = verdicts.iter().find(|verdict| verdict["effect"] == effect);
        found.and_then(|verdict| verdict["what"].as_str())
    };
    ensure!(json["safe"].as_bool() == Some(output.status.success()), "{json}");
    if of("refuses").is_some() {
        return Ok(Told::Refuses);
    }
    let Some(what) = of("loses") else {
        ensure!(output.status.success(), "{json}");
        return Ok(Told::Safe);
    };
    if what.ends_with("It deletes the queues") {
        return Ok(Told::LosesAll);
    }
    let words: Vec<&str> = what.split(' ').collect();
    let at = words.iter().position(|word| word.starts_with("messages")).context("no count")?;
    Ok(Told::Loses(words[at - 1].parse().with_context(|| what.to_owned())?))
}
