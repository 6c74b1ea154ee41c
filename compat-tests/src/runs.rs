//! Runs scenarios on clients: several at a time where they do not disturb each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::clients::{Client, Kind, Said};
use crate::cluster::Cluster;
use crate::places::Places;
use crate::plan;
use crate::report::{Outcome, Report, Verdict};
use crate::say;

/// The longest that a scenario may take.
const PATIENCE: Duration = Duration::from_secs(90);
const READY: Duration = Duration::from_secs(60);

/// Clients, connected to one name server.
#[derive(Debug)]
pub struct Crew {
    clients: Vec<Client>,
    said: Receiver<(usize, Said)>,
    turn: usize,
    /// Which crew of this program: names must not come back, since a broadcasting client keeps its
    /// positions under its name in a file.
    number: u32,
}

/// A scenario that a client works on.
#[derive(Debug)]
struct Open {
    client: usize,
    scenario: String,
    prefix: String,
    since: Instant,
    asked: Option<(String, String)>,
}

impl Open {
    fn patience(&self) -> Duration {
        if plan::BY_HAND.contains(&self.scenario.as_str()) { plan::LONG } else { PATIENCE }
    }
}

impl Crew {
    /// Starts a process for each kind and waits for all.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(places: &Places, kinds: &[Kind], cluster: &Cluster) -> Result<Self> {
        static CREWS: AtomicU32 = AtomicU32::new(0);
        let number = CREWS.fetch_add(1, Ordering::Relaxed);
        let (sender, said) = channel();
        let mut clients = Vec::new();
        for (number, kind) in kinds.iter().enumerate() {
            clients.push(Client::start(places, *kind, cluster, (number, sender.clone()))?);
        }
        for _ in kinds {
            match said.recv_timeout(READY) {
                Ok((_, Said::Ready)) => {}
                Ok((number, other)) => bail!("{} says {other:?}", kinds[number].name()),
                Err(_) => bail!("a client is not ready within {} s", READY.as_secs()),
            }
        }
        Ok(Self { clients, said, turn: 0, number })
    }

    /// Runs every scenario on every client, `abreast` at a time on each.
    ///
    /// Server actions are done once, when every open scenario has asked for the same.
    ///
    /// # Errors
    /// A client's process ends; a scenario that fails is no error but a cell of the report.
    pub fn run(
        &mut self,
        scenarios: &[&str],
        abreast: usize,
        cluster: &mut Cluster,
        report: &mut Report,
    ) -> Result<()> {
        let mut waiting: Vec<VecDeque<&str>> =
            self.clients.iter().map(|_| scenarios.iter().copied().collect()).collect();
        let mut open: Vec<Open> = Vec::new();
        loop {
            for (client, waiting) in waiting.iter_mut().enumerate() {
                while open.iter().filter(|one| one.client == client).count() < abreast {
                    let Some(scenario) = waiting.pop_front() else { break };
                    open.push(self.begin(client, scenario, None)?);
                }
            }
            if open.is_empty() {
                return Ok(());
            }
            self.step(&mut open, cluster, report)?;
        }
    }

    /// Runs once more, each alone, what failed on these clients: many scenarios at a time on few
    /// processors miss their times now and then. The table says which ones needed it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_failed_again(&mut self, cluster: &mut Cluster, report: &mut Report) -> Result<()> {
        let names: Vec<&str> = self.clients.iter().map(|client| client.kind.name()).collect();
        for failed in report.take_failed(&names) {
            let mut second = Report::default();
            let client = names.iter().position(|name| *name == failed.client);
            let client = client.context("a cell belongs to one of the clients")?;
            let mut open = vec![self.begin(client, &failed.scenario, None)?];
            while !open.is_empty() {
                self.step(&mut open, cluster, &mut second)?;
            }
            let outcome = second.into_last().context("a scenario that ended has an outcome")?;
            let Verdict::Fail(why) = failed.verdict else { continue };
            report.add(Outcome { first: Some(why), ..outcome });
        }
        Ok(())
    }

    /// Runs one scenario on the first client under a given prefix.
    ///
    /// # Errors
    /// The client's process ends.
    pub fn run_one(
        &mut self,
        scenario: &str,
        prefix: &str,
        cluster: &mut Cluster,
    ) -> Result<Outcome> {
        let mut report = Report::default();
        let mut open = vec![self.begin(0, scenario, Some(prefix))?];
        while !open.is_empty() {
            self.step(&mut open, cluster, &mut report)?;
        }
        report.into_last().context("a scenario that ended has an outcome")
    }

    fn begin(&mut self, client: usize, scenario: &str, prefix: Option<&str>) -> Result<Open> {
        self.turn += 1;
        let made = || format!("c{}{client}-{}-{scenario}", self.number, self.turn);
        let prefix = prefix.map_or_else(made, str::to_owned);
        self.clients[client].order(&format!("run {scenario} {prefix}"))?;
        let (scenario, since) = (scenario.to_owned(), Instant::now());
        Ok(Open { client, scenario, prefix, since, asked: None })
    }

    fn step(
        &mut self,
        open: &mut Vec<Open>,
        cluster: &mut Cluster,
        report: &mut Report,
    ) -> Result<()> {
        match self.said.recv_timeout(Duration::from_secs(1)) {
            Ok((client, Said::Result { prefix, verdict, ms, details })) => {
                let found = open.iter().position(|o| o.client == client && o.prefix == prefix);
                if let Some(place) = found {
                    let done = open.swap_remove(place);
                    report.add(self.outcome(done, verdict_of(&verdict, &details), ms, details));
                }
            }
            Ok((client, Said::Do { id, action })) => {
                let asker = open.iter_mut().find(|one| one.client == client);
                asker.context("only an open scenario asks")?.asked = Some((id, action));
            }
            Ok((client, Said::Gone)) => bail!("{} ended", self.clients[client].kind.name()),
            Ok((_, Said::Ready)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("all clients ended"),
        }
        while let Some(place) = open.iter().position(|one| one.since.elapsed() > one.patience()) {
            let late = open.swap_remove(place);
            let why = format!("no result after {} s", late.patience().as_secs());
            report.add(self.outcome(late, Verdict::Fail(why), 0, String::new()));
        }
        self.act_when_all_ask(open, cluster)
    }

    fn act_when_all_ask(&mut self, open: &mut [Open], cluster: &mut Cluster) -> Result<()> {
        let Some((_, action)) = open.first().and_then(|one| one.asked.clone()) else {
            return Ok(());
        };
        if !open.iter().all(|one| one.asked.as_ref().is_some_and(|(_, a)| *a == action)) {
            return Ok(());
        }
        let done = cluster.act(&action);
        for one in open {
            let Some((id, _)) = one.asked.take() else { continue };
            let line = match &done {
                Ok(()) => format!("done {id}"),
                Err(error) => format!("failed {id} {}", format!("{error:#}").replace('\n', " ")),
            };
            self.clients[one.client].order(&line)?;
        }
        Ok(())
    }

    fn outcome(&self, done: Open, verdict: Verdict, ms: u64, notes: String) -> Outcome {
        let client = self.clients[done.client].kind.name().to_owned();
        let word = match &verdict {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "FAIL",
            Verdict::NotApplicable(_) => "n/a ",
        };
        say(&format!("{word} {client:13} {:20} {ms:6} ms  {notes}", done.scenario));
        Outcome { scenario: done.scenario, client, verdict, ms, notes, first: None }
    }
}

fn verdict_of(word: &str, details: &str) -> Verdict {
    match word {
        "PASS" => Verdict::Pass,
        "NA" => Verdict::NotApplicable(details.to_owned()),
        _ => Verdict::Fail(details.to_owned()),
    }
}
