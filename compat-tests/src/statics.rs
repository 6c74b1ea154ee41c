//! Static topics: two brokers, ours, Java's, or one of each, with a stock Java client and the stock
//! tool.

use anyhow::Result;
use std::time::Duration;

use crate::clients::Kind;
use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::Places;
use crate::plan;
use crate::report::Report;
use crate::runs::Crew;
use crate::server::{Make, Server};

/// How many scenarios run at a time.
const ABREAST: usize = 3;
/// How long a Java broker knows of no other one: it asks the name servers after ten seconds.
const ACQUAINTED: Duration = Duration::from_secs(12);
/// The second broker's own name.
const SECOND: &str = "brokerName=broker-b\n";

/// Runs all sets of servers, or the one of nothing but `make`.
///
/// # Errors
/// A server or a client does not start.
pub fn run(
    places: &Places,
    (make, all_sets): (Make, bool),
    only: &str,
    report: &mut Report,
) -> Result<()> {
    let stock = Make::Java(Release::V550);
    let mut sets = vec![(make, make, make), (make, make, stock), (stock, stock, make)];
    sets.dedup();
    sets.truncate(if all_sets { sets.len() } else { 1 });
    let named = |all: &[&'static str]| -> Vec<&'static str> {
        all.iter().copied().filter(|name| name.contains(only)).collect()
    };
    let (together, alone) = (named(plan::STATIC), named(plan::STATIC_ALONE));
    if together.is_empty() && alone.is_empty() {
        return Ok(());
    }
    for (number, (names, first, second)) in sets.into_iter().enumerate() {
        let column = format!("names {names}, brokers {first} and {second}");
        let directory = places.fresh(&format!("static-{number}"))?;
        let mut cluster = Cluster::start(places, names, first, &directory)?;
        let names_at = cluster.namesrv.address();
        let mut other = Server::broker(places, second, &directory.join("second"), names_at)?;
        other.set(SECOND);
        other.start()?;
        cluster.add_second(places, other);
        if [first, second].contains(&stock) {
            std::thread::sleep(ACQUAINTED);
        }
        let mut crew = Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?;
        let mut part = Report::default();
        crew.run(&together, ABREAST, &mut cluster, &mut part)?;
        crew.run(&alone, 1, &mut cluster, &mut part)?;
        crew.run_failed_again(&mut cluster, &mut part)?;
        report.absorb(part, &column);
        cluster.stop()?;
    }
    Ok(())
}
