//! The stock clients' processes and the lines they speak: see clients/java/src/compat/Main.java.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::jars::{self, Release};
use crate::places::{Places, make};
use crate::process::{self, Running};

/// A stock client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The Java client of a release.
    Java(Release),
    /// The Go client v2.1.2.
    Go,
    /// The stock command-line tool 5.5.0.
    Mqadmin,
}

impl Kind {
    /// All, in the table's order.
    pub const ALL: [Self; 4] =
        [Self::Java(Release::V550), Self::Java(Release::V498), Self::Go, Self::Mqadmin];

    /// The column's head.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Java(Release::V550) => "java-5.5.0",
            Self::Java(Release::V533) => "java-5.3.3",
            Self::Java(Release::V498) => "java-4.9.8",
            Self::Go => "go-2.1.2",
            Self::Mqadmin => "mqadmin-5.5.0",
        }
    }

    /// Compiles it, so that running it needs no network.
    ///
    /// # Errors
    /// It cannot be compiled.
    pub fn prepare(self, places: &Places) -> Result<()> {
        self.command(places).map(drop)
    }

    fn command(self, places: &Places) -> Result<Command> {
        let release = match self {
            Self::Go => return Ok(process::tied(&jars::go_client(places)?)),
            Self::Java(release) => release,
            Self::Mqadmin => Release::V550,
        };
        let home = places.fresh(self.name())?;
        let mut java = process::tied(&PathBuf::from("java"));
        java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        let classes = jars::java_client(places, release)?;
        java.arg(jars::class_path(&[&classes, &jars::jars(places, release)?]));
        java.arg(format!("-Duser.home={}", home.display()));
        java.arg(format!("-Drocketmq.home.dir={}", home.display()));
        java.arg(format!("-Drocketmq.client.localOffsetStoreDir={}/offsets", home.display()));
        java.arg(format!("-Drocketmq.client.logRoot={}/logs", home.display()));
        java.arg("compat.Main");
        Ok(java)
    }
}

/// What a client's process says.
#[derive(Debug)]
pub enum Said {
    /// It takes orders now.
    Ready,
    /// The scenario with this prefix ended: verdict, milliseconds, details.
    Result {
        /// Which run of a scenario.
        prefix: String,
        /// PASS, FAIL or NA.
        verdict: String,
        /// How long it took.
        ms: u64,
        /// Why, and what it measured.
        details: String,
    },
    /// It wants something done to a server.
    Do {
        /// To be named in the answer.
        id: String,
        /// For [`crate::cluster::Cluster::act`].
        action: String,
    },
    /// Its output ended.
    Gone,
}

/// A client's process.
#[derive(Debug)]
pub struct Client {
    /// Which library.
    pub kind: Kind,
    orders: ChildStdin,
    _process: Running,
}

impl Client {
    /// Starts it; what it says goes to `said`, with `number` to tell who.
    ///
    /// # Errors
    /// It cannot be compiled or started.
    pub fn start(
        places: &Places,
        kind: Kind,
        cluster: &Cluster,
        (number, said): (usize, Sender<(usize, Said)>),
    ) -> Result<Self> {
        let home = places.scratch.join(kind.name());
        make(&home)?;
        let mut command = kind.command(places)?;
        let log = File::options().create(true).append(true).open(home.join("client.out"))?;
        command.args([cluster.namesrv.address(), cluster.broker.address()].map(|a| a.to_string()));
        command.current_dir(&home).env("HOME", &home).env("ROCKETMQ_HOME", &home);
        command.env("ROCKETMQ_GO_LOG_LEVEL", "error");
        command.env("COMPAT_BROKER", cluster.broker.make().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.try_clone()?);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let orders = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        std::thread::spawn(move || {
            let mut log = log;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                if let Some(heard) = parse(&line)
                    && said.send((number, heard)).is_err()
                {
                    return;
                }
            }
            let _ = said.send((number, Said::Gone));
        });
        Ok(Self { kind, orders, _process: Running::adopt(kind.name(), child) })
    }

    /// Gives it an order.
    ///
    /// # Errors
    /// It is gone.
    pub fn order(&mut self, line: &str) -> Result<()> {
        writeln!(self.orders, "{line}")?;
        Ok(self.orders.flush()?)
    }
}

fn parse(line: &str) -> Option<Said> {
    let line = line.strip_prefix("@@")?;
    let mut words = line.splitn(5, ' ');
    let said = match words.next()? {
        "ready" => Said::Ready,
        "result" => Said::Result {
            prefix: words.next()?.to_owned(),
            verdict: words.next()?.to_owned(),
            ms: words.next()?.parse().ok()?,
            details: words.next().unwrap_or("").trim().to_owned(),
        },
        "do" => {
            Said::Do { id: words.next()?.to_owned(), action: words.collect::<Vec<_>>().join(" ") }
        }
        _ => return None,
    };
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_keeps_the_words_of_its_details() {
        let Some(Said::Result { prefix, verdict, ms, details }) =
            parse("@@result p1 FAIL 12 no luck at all")
        else {
            panic!("not a result");
        };
        assert_eq!((prefix.as_str(), verdict.as_str(), ms), ("p1", "FAIL", 12));
        assert_eq!(details, "no luck at all");
    }

    #[test]
    fn noise_is_no_word_of_the_client() {
        assert!(parse("log4j: warning").is_none());
        assert!(parse("@@result p1 PASS soon").is_none());
    }

    #[test]
    fn an_action_may_have_several_words() {
        let Some(Said::Do { id, action }) = parse("@@do 7 stop broker") else {
            panic!("not an action");
        };
        assert_eq!((id.as_str(), action.as_str()), ("7", "stop broker"));
    }
}
