//! Our broker with a stock client attached, on a disk that is full and on one that fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::clients::Kind;
use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::{Places, make};
use crate::report::{Outcome, Report, Verdict};
use crate::runs::Crew;
use crate::server::{Make, Server};

/// The column of the table.
const COLUMN: &str = "disk faults";
/// The scenarios, each on a broker of its own, and the settings of that.
const SCENARIOS: [(&str, &str); 4] = [
    // The ratio is passed while there is room for a file, and the other way round.
    ("full-disk", "cleanFileForciblyEnable=false\nmappedFileSizeCommitLog=4194304\n"),
    ("full-file", "cleanFileForciblyEnable=false\nmappedFileSizeCommitLog=33554432\n"),
    ("failed-fsync", "flushDiskType=SYNC_FLUSH\n"),
    ("failed-write", "flushDiskType=ASYNC_FLUSH\n"),
];
/// Small index files: the small disk has no room for large ones.
const SMALL: &str = "maxHashSlotNum=1000\nmaxIndexNum=4000\n";
/// The small disk, and what a stranger takes of it until it goes.
const DISK_MIB: usize = 96;
const BALLAST_MIB: usize = 40;

/// Runs the scenarios whose name contains `only`; stock servers are not asked.
///
/// # Errors
/// A server or a client does not start.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    for (scenario, settings) in SCENARIOS.iter().filter(|(name, _)| name.contains(only)) {
        if make != Make::Rockhopper {
            continue;
        }
        let attempt = |number| attempt(places, (*scenario, number), settings);
        let outcome = attempt(1)?;
        let outcome = match &outcome.verdict {
            Verdict::Fail(why) => Outcome { first: Some(why.clone()), ..attempt(2)? },
            _ => outcome,
        };
        report.add(Outcome { client: COLUMN.to_owned(), ..outcome });
    }
    Ok(())
}

fn attempt(places: &Places, (scenario, number): (&str, u32), settings: &str) -> Result<Outcome> {
    let directory = places.fresh(&format!("faults-{scenario}-{number}"))?;
    match Fault::prepare(places, scenario, &directory)? {
        Ok(fault) => one(places, scenario, settings, (&directory, &fault)),
        Err(why) => {
            crate::say(&format!("n/a  {COLUMN} {scenario}: {why}"));
            let (verdict, notes) = (Verdict::NotApplicable(why), String::new());
            let (scenario, client) = (scenario.to_owned(), String::new());
            Ok(Outcome { scenario, client, verdict, ms: 0, notes, first: None })
        }
    }
}

fn one(
    places: &Places,
    scenario: &str,
    settings: &str,
    (directory, fault): (&Path, &Fault),
) -> Result<Outcome> {
    let mut namesrv = Server::namesrv(places, Make::Rockhopper, &directory.join("namesrv"))?;
    namesrv.start()?;
    let place = directory.join("broker");
    let mut broker = Server::broker(places, Make::Rockhopper, &place, namesrv.address())?;
    broker.set(&format!("{settings}{SMALL}"));
    if let Fault::Shim(library) = fault {
        broker.preload(library);
    }
    broker.start()?;
    let mut cluster = Cluster::of(namesrv, broker);
    let mut crew = Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?;
    let outcome = crew.run_one(scenario, &format!("f-{scenario}"), &mut cluster)?;
    drop(crew);
    if outcome.verdict == Verdict::Pass {
        cluster.stop()?;
    }
    Ok(outcome)
}

/// What makes the disk full or fail.
enum Fault {
    /// A small file system below the broker's store; it lasts as long as this.
    Small { _mounted: Mounted },
    /// A library that lets calls fail.
    Shim(PathBuf),
}

impl Fault {
    /// Prepares it, or says why that cannot be done here.
    fn prepare(places: &Places, scenario: &str, directory: &Path) -> Result<Result<Self, String>> {
        if scenario.starts_with("full") {
            let store = directory.join("broker/store");
            make(&store)?;
            let mounted = match Mounted::tmpfs(&store)? {
                Ok(mounted) => mounted,
                Err(why) => return Ok(Err(why)),
            };
            fs::write(Server::ballast(&store), vec![1; BALLAST_MIB << 20])?;
            return Ok(Ok(Self::Small { _mounted: mounted }));
        }
        let source = places.clients.with_file_name("shim").join("eio.c");
        let library = directory.join("eio.so");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let Ok(built) = cc.output() else {
            return Ok(Err("there is no cc to build the library that lets calls fail".into()));
        };
        ensure!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        Ok(Ok(Self::Shim(library)))
    }
}

/// A mounted file system; it goes with this.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(place: &Path) -> Result<Result<Self, String>> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"]).arg(place);
        let done = mount.output().context("mount")?;
        if done.status.success() {
            return Ok(Ok(Self(place.to_owned())));
        }
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Ok(Err(format!("a small file system cannot be mounted here: {why}")))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A client or a broker that is just ending may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
