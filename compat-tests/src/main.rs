//! `compat`: runs stock clients against a server, ours or the stock one, and prints the table.

use std::process::ExitCode;
use std::thread::ScopedJoinHandle;

use anyhow::{Result, anyhow, bail};
use clap::{Parser, ValueEnum};
use compat_tests::clients::Kind;
use compat_tests::cluster::Cluster;
use compat_tests::jars::{self, Release};
use compat_tests::places::Places;
use compat_tests::report::Report;
use compat_tests::runs::Crew;
use compat_tests::server::Make;
use compat_tests::{
    appends, cuts, differ, faults, features, hand_over, mixed, parts, plan, preflights, rocks, say,
    statics,
};

/// How many scenarios each client works on at a time.
const ABREAST: usize = 4;

/// Runs stock clients against Rockhopper or against the stock Java servers.
#[derive(Debug, Parser)]
struct Options {
    /// Which parts to run; all of them if none is named.
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Whose servers are tested.
    #[arg(long, value_enum, default_value = "rockhopper")]
    server: Which,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only clients whose name contains this.
    #[arg(long, default_value = "")]
    client: String,
    /// Keep stores and logs.
    #[arg(long)]
    keep: bool,
    /// Fetch and compile everything that a run needs, and run nothing.
    #[arg(long)]
    prepare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Rockhopper,
    Java,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Client libraries: every scenario on each.
    Clients,
    /// The stock mqadmin.
    Mqadmin,
    /// One of our servers with one of the stock ones.
    Mixed,
    /// Static topics on two brokers.
    Static,
    /// Stores written by one broker and read by another.
    Store,
    /// Raw requests: the answers of both, compared.
    Diff,
    /// Our broker on a disk that is full, or fails, with a stock client attached.
    Faults,
    /// Raw sends: the files of both, compared.
    Bytes,
}

impl Options {
    fn make(&self) -> Make {
        match self.server {
            Which::Rockhopper => Make::Rockhopper,
            Which::Java => Make::Java(Release::V550),
        }
    }

    fn has(&self, suite: Suite) -> bool {
        self.suites.is_empty() || self.suites.contains(&suite)
    }

    /// Whether a suite is wanted with what takes long: a run of everything has a part of it.
    fn asks_for_all(&self, suite: Suite) -> bool {
        self.suites.contains(&suite)
    }

    fn scenarios(&self, all: &'static [&'static str]) -> Vec<&'static str> {
        all.iter().copied().filter(|name| name.contains(&self.only)).collect()
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Kind::ALL.to_vec();
        kinds.retain(|kind| kind.name().contains(&self.client));
        kinds
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("compat: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let places = Places::around_this_program()?;
    if options.prepare {
        prepare(&places)?;
        return Ok(true);
    }
    let mut report = Report::with_columns(Kind::ALL.map(Kind::name).to_vec());
    let done = suites(options, &places, &mut report);
    let (passed, failed) = report.counts();
    let table = report.text();
    std::fs::write(places.cache.join("table.md"), &table)?;
    say(&table);
    let is_whole =
        options.suites.is_empty() && options.only.is_empty() && options.client.is_empty();
    let readme = places.clients.join("../../README.md");
    if is_whole && options.server == Which::Rockhopper && features::put(&report, &readme)? {
        say("the README's table of features was stale: it is written anew, to be committed");
    }
    if options.keep || failed > 0 || done.is_err() {
        say(&format!("stores and logs: {}", places.scratch.display()));
    } else {
        std::fs::remove_dir_all(&places.scratch)?;
    }
    done?;
    say(&format!("{passed} passed, {failed} failed"));
    if passed + failed == 0 {
        bail!("nothing matches");
    }
    Ok(failed == 0)
}

type Part = fn(&Options, &Places, &mut Report) -> Result<()>;

/// The parts side by side, as they wait more than they work; and what each tells of, in order.
fn suites(options: &Options, places: &Places, report: &mut Report) -> Result<()> {
    const PARTS: [Part; 4] = [of_libraries, of_tools, of_stores, of_hand_overs];
    prepare(places)?;
    let done = std::thread::scope(|scope| {
        let begun = PARTS.map(|part| {
            scope.spawn(move || {
                let mut report = Report::default();
                let done = part(options, places, &mut report);
                (report, done)
            })
        });
        let ended = |part: ScopedJoinHandle<'_, (Report, Result<()>)>| {
            let panicked = |_| (Report::default(), Err(anyhow!("a part of the run panicked")));
            part.join().unwrap_or_else(panicked)
        };
        begun.map(ended)
    });
    let mut all = Ok(());
    for (part, done) in done {
        report.append(part);
        all = all.and(done);
    }
    all
}

/// Fetches and compiles everything that a run needs.
fn prepare(places: &Places) -> Result<()> {
    for kind in Kind::ALL {
        kind.prepare(places)?;
    }
    jars::jars(places, Release::V533)?;
    Ok(())
}

/// A cluster as clients and the tool find it, with these settings besides.
fn cluster(options: &Options, places: &Places, name: &str, besides: &str) -> Result<Cluster> {
    let make = options.make();
    let mut cluster = Cluster::prepare(places, make, make, &places.fresh(name)?)?;
    cluster.broker.set(&format!("{}{besides}", plan::SETTINGS));
    cluster.broker.start()?;
    Ok(cluster)
}

/// The client libraries, then raw requests.
fn of_libraries(options: &Options, places: &Places, report: &mut Report) -> Result<()> {
    let mut kinds = options.kinds();
    kinds.retain(|kind| *kind != Kind::Mqadmin);
    if options.has(Suite::Clients) && !kinds.is_empty() {
        let mut cluster = cluster(options, places, "cluster", plan::OF_LIBRARIES)?;
        clients(options, places, (&kinds, &mut cluster), report)?;
        cluster.stop()?;
    }
    if options.has(Suite::Diff) {
        differ::run(places, options.make(), &options.only, report)?;
    }
    Ok(())
}

/// The stock mqadmin, then static topics, which it makes.
fn of_tools(options: &Options, places: &Places, report: &mut Report) -> Result<()> {
    if options.has(Suite::Mqadmin) && options.kinds().contains(&Kind::Mqadmin) {
        let mut cluster = cluster(options, places, "cluster-mqadmin", "")?;
        let mut crew = Crew::start(places, &[Kind::Mqadmin], &cluster)?;
        crew.run(&options.scenarios(plan::MQADMIN), 1, &mut cluster, report)?;
        crew.run_failed_again(&mut cluster, report)?;
        cluster.stop()?;
    }
    if options.has(Suite::Static) {
        let all_sets = options.asks_for_all(Suite::Static);
        statics::run(places, (options.make(), all_sets), &options.only, report)?;
    }
    Ok(())
}

/// Stores that go from one server to another.
fn of_hand_overs(options: &Options, places: &Places, report: &mut Report) -> Result<()> {
    if options.has(Suite::Store) {
        let which = (options.only.as_str(), options.asks_for_all(Suite::Store));
        hand_over::run(places, options.make(), which, report);
    }
    Ok(())
}

/// What looks at files and faults, or stands between two makes.
fn of_stores(options: &Options, places: &Places, report: &mut Report) -> Result<()> {
    let make = options.make();
    if options.has(Suite::Mixed) {
        mixed::run(places, make, &options.only, report)?;
    }
    if options.has(Suite::Bytes) {
        appends::run(places, make, &options.only, report)?;
    }
    if options.has(Suite::Faults) {
        faults::run(places, make, &options.only, report)?;
    }
    if options.has(Suite::Store) {
        cuts::run(places, make, &options.only, report)?;
        parts::run(places, make, &options.only, report);
        rocks::run(places, make, &options.only, report);
        let which = (options.only.as_str(), options.asks_for_all(Suite::Store));
        preflights::run(places, make, which, report)?;
    }
    Ok(())
}

fn clients(
    options: &Options,
    places: &Places,
    (kinds, cluster): (&[Kind], &mut Cluster),
    report: &mut Report,
) -> Result<()> {
    let mut crew = Crew::start(places, kinds, cluster)?;
    crew.run(&options.scenarios(plan::TOGETHER), ABREAST, cluster, report)?;
    let mut alone = options.scenarios(plan::ALONE);
    alone.extend(plan::BY_HAND.iter().copied().filter(|name| *name == options.only));
    for scenario in alone {
        crew.run(&[scenario], 1, cluster, report)?;
        cluster.broker.await_serving()?;
    }
    crew.run_failed_again(cluster, report)
}
