//! Our broker with the stock name server, the stock broker with ours, and how soon a broker that
//! ends is out of the routes.

use std::time::Duration;

use anyhow::Result;

use crate::clients::Kind;
use crate::cluster::Cluster;
use crate::jars::Release;
use crate::places::Places;
use crate::plan;
use crate::report::Report;
use crate::runs::Crew;
use crate::say;
use crate::server::Make;

/// How long a broker that was stopped may stay in the routes.
const STOPPED: Duration = Duration::from_secs(1);
/// How long one that was killed may.
const KILLED: Duration = Duration::from_secs(3);

/// Runs all pairs; with `make` the stock one there is only one pair.
///
/// # Errors
/// A server or a client does not start.
pub fn run(places: &Places, make: Make, only: &str, report: &mut Report) -> Result<()> {
    let stock = Make::Java(Release::V550);
    let mut pairs = vec![(make, make), (make, stock), (stock, make)];
    pairs.dedup();
    let scenarios: Vec<&str> =
        plan::MIXED.iter().copied().filter(|name| name.contains(only)).collect();
    for (number, (names, broker)) in pairs.into_iter().enumerate() {
        let column = format!("names {names}, broker {broker}");
        let mut cluster =
            Cluster::prepare(places, names, broker, &places.fresh(&format!("mixed-{number}"))?)?;
        cluster.broker.set(plan::SETTINGS);
        cluster.broker.start()?;
        if names != broker && !scenarios.is_empty() {
            let mut crew = Crew::start(places, &[Kind::Java(Release::V550)], &cluster)?;
            let mut part = Report::default();
            crew.run(&scenarios, 4, &mut cluster, &mut part)?;
            crew.run_failed_again(&mut cluster, &mut part)?;
            report.absorb(part, &column);
        }
        for (row, verb, limit) in [
            ("stop leaves the routes", "stop", STOPPED),
            ("kill leaves the routes", "kill", KILLED),
        ] {
            if row.contains(only) {
                let found = leaves(&mut cluster, verb, limit);
                say(&format!("{column}: {row}: {found:?}"));
                report.add_check(&column, row, found.map_err(|error| format!("{error:#}")), 0);
            }
        }
        cluster.stop()?;
    }
    Ok(())
}

/// Ends the broker, waits until nobody is sent to it, starts it again. A clean stop takes its time,
/// so the clock runs from its end; a broker that unregisters first is gone by then.
fn leaves(cluster: &mut Cluster, verb: &str, limit: Duration) -> Result<String> {
    cluster.act(&format!("{verb} broker"))?;
    let gone = cluster.broker.await_forgotten(limit);
    cluster.broker.start()?;
    Ok(format!("after {} ms", gone?.as_millis()))
}
