//! One server process, ours or Java's, from the same configuration file.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::jars::{self, Release};
use crate::places::{Places, make};
use crate::process::{self, Running};
use crate::wire::Line;

/// A Java server on a busy machine needs this long at worst.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(90);
const ASK: Duration = Duration::from_secs(5);
/// How our broker ends when its disk failed.
const DISK_FAILED: i32 = 74;
const GET_BROKER_CLUSTER_INFO: i32 = 106;

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Ours.
    Rockhopper,
    /// The stock one.
    Java(Release),
}

impl std::fmt::Display for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rockhopper => f.write_str("rockhopper"),
            Self::Java(release) => write!(f, "java {}", release.version()),
        }
    }
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Knows which broker has which topic.
    Namesrv,
    /// Keeps messages.
    Broker,
}

/// A server that can be started and ended again and again on one port with one directory.
#[derive(Debug)]
pub struct Server {
    make: Make,
    role: Role,
    command: Vec<PathBuf>,
    options: Vec<String>,
    directory: PathBuf,
    port: u16,
    names: Option<SocketAddr>,
    settings: String,
    /// A library that lets calls fail.
    shim: Option<PathBuf>,
    running: Option<Running>,
}

impl Server {
    /// A name server, not started.
    ///
    /// # Errors
    /// Its program, its directory or a port cannot be had.
    pub fn namesrv(places: &Places, make: Make, directory: &Path) -> Result<Self> {
        Self::new(places, make, Role::Namesrv, directory)
    }

    /// A broker for the name server at `names`, not started.
    ///
    /// # Errors
    /// As for [`Self::namesrv`].
    pub fn broker(
        places: &Places,
        make: Make,
        directory: &Path,
        names: SocketAddr,
    ) -> Result<Self> {
        let mut server = Self::new(places, make, Role::Broker, directory)?;
        server.names = Some(names);
        Ok(server)
    }

    fn new(places: &Places, make: Make, role: Role, directory: &Path) -> Result<Self> {
        make_home(directory)?;
        let (command, options) = match make {
            Make::Rockhopper => (vec![places.binaries.join("rockhopper")], vec![role_word(role)]),
            Make::Java(release) => {
                let class = match role {
                    Role::Namesrv => "org.apache.rocketmq.namesrv.NamesrvStartup",
                    Role::Broker => "org.apache.rocketmq.broker.BrokerStartup",
                };
                let mut options = java_options(directory);
                let jars = jars::jars(places, release)?;
                options.extend(["-cp".into(), jars::class_path(&[&jars]), class.into()]);
                (vec!["java".into()], options)
            }
        };
        let (directory, port) = (directory.to_path_buf(), free_port()?);
        Ok(Self {
            make,
            role,
            command,
            options,
            directory,
            port,
            names: None,
            settings: String::new(),
            shim: None,
            running: None,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A broker's store directory.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// Whose program it is.
    #[must_use]
    pub fn make(&self) -> Make {
        self.make
    }

    /// Lines for a broker's configuration file from the next start on, in place of those that were
    /// set before.
    pub fn set(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// Lets another program start in another directory, on the same port; it must be stopped.
    ///
    /// # Errors
    /// The program or the directory cannot be had.
    pub fn become_another_in(
        &mut self,
        places: &Places,
        make: Make,
        directory: &Path,
    ) -> Result<()> {
        make_home(directory)?;
        directory.clone_into(&mut self.directory);
        self.become_another(places, make)
    }

    /// Lets another program take over the directory and the port; it must be stopped.
    ///
    /// # Errors
    /// The program cannot be had.
    pub fn become_another(&mut self, places: &Places, make: Make) -> Result<()> {
        assert!(self.running.is_none(), "only a stopped server changes its program");
        let other = Self::new(places, make, self.role, &self.directory)?;
        self.make = make;
        self.command = other.command;
        self.options = other.options;
        Ok(())
    }

    /// Starts it with a library that lets calls fail; see shim/eio.c.
    pub fn preload(&mut self, library: &Path) {
        self.shim = Some(library.to_owned());
    }

    /// The file that fills the disk of a store until [`Self::free`].
    #[must_use]
    pub fn ballast(store: &Path) -> PathBuf {
        store.join("ballast")
    }

    /// Makes room on its disk.
    ///
    /// # Errors
    /// The file that fills it is not there.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(Self::ballast(&self.store()))?)
    }

    /// Lets its next call of a kind fail: `EIO_FDATASYNC` or `EIO_PWRITE`.
    ///
    /// # Errors
    /// It runs without the library.
    pub fn break_disk(&self, call: &str) -> Result<()> {
        self.shim.as_ref().context("it runs without the library that lets calls fail")?;
        Ok(fs::write(self.directory.join(call), "")?)
    }

    /// Waits until it has ended because its disk failed, and said so; it starts on a good disk.
    ///
    /// # Errors
    /// It goes on, or ends in another way, or without a word that helps.
    pub fn bury(&mut self) -> Result<()> {
        let mut running = self.running.take().context("it was started")?;
        let status = running.ended(STOP)?;
        ensure!(status.code() == Some(DISK_FAILED), "it ended with {status}");
        self.shim = None;
        let said = fs::read_to_string(self.log())?;
        for part in ["Input/output error", "nothing is stored or acknowledged any more", "dmesg"] {
            ensure!(said.contains(part), "no {part:?} in {}", self.log().display());
        }
        Ok(())
    }

    /// What it wrote to its log since it was started.
    ///
    /// # Errors
    /// It was not started yet.
    pub fn said(&self) -> Result<String> {
        fs::read_to_string(self.log()).context("the log")
    }

    fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.out", role_word(self.role)))
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It ends at once, or does not serve within a minute.
    pub fn start(&mut self) -> Result<()> {
        let file = self.directory.join(format!("{}.conf", role_word(self.role)));
        fs::write(&file, self.configuration())?;
        let mut command = process::tied(&self.command[0]);
        command.args(&self.options).arg("-c").arg(&file);
        command.env("ROCKETMQ_HOME", &self.directory).env("HOME", &self.directory);
        if let Some(shim) = &self.shim {
            command.env("LD_PRELOAD", shim);
            for call in ["EIO_FDATASYNC", "EIO_PWRITE"] {
                command.env(call, self.directory.join(call));
            }
        }
        let log = self.log();
        self.running = Some(Running::start(&role_word(self.role), &mut command, &log)?);
        let end = Instant::now() + START;
        loop {
            let running = self.running.as_mut().context("it was started")?;
            running.check().with_context(|| format!("see {}", log.display()))?;
            match self.serves() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    return Err(error.context(format!("{} does not serve", role_word(self.role))));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Stops it as an operator does.
    ///
    /// # Errors
    /// It does not end in time or not cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |running| running.stop(STOP))
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Waits until it serves, as after a start of its name server: brokers come back to that with
    /// their next regular registration.
    ///
    /// # Errors
    /// It does not within a minute.
    pub fn await_serving(&self) -> Result<()> {
        let end = Instant::now() + START;
        while let Err(error) = self.serves() {
            if Instant::now() > end {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until the name server no longer tells this broker's address.
    ///
    /// # Errors
    /// It still does after `patience`.
    pub fn await_forgotten(&self, patience: Duration) -> Result<Duration> {
        let names = self.names.context("only a broker is known to a name server")?;
        let since = Instant::now();
        loop {
            let known = Line::open(names, ASK)?.ask(GET_BROKER_CLUSTER_INFO, &[], &[])?;
            let text = String::from_utf8_lossy(&known.body).into_owned();
            if !text.contains(&self.address().to_string()) {
                return Ok(since.elapsed());
            }
            if since.elapsed() > patience {
                bail!("still in the routes after {} ms", since.elapsed().as_millis());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A broker serves once the name server tells its address and it answers by itself.
    fn serves(&self) -> Result<()> {
        let mut line = Line::open(self.address(), ASK)?;
        let Some(names) = self.names else {
            line.ask(GET_BROKER_CLUSTER_INFO, &[], &[])?;
            return Ok(());
        };
        let known = Line::open(names, ASK)?.ask(GET_BROKER_CLUSTER_INFO, &[], &[])?;
        let text = String::from_utf8_lossy(&known.body).into_owned();
        // Whatever brokerIP1 is.
        if !text.contains(&format!(":{}\"", self.port)) {
            bail!("the name server at {names} does not know {}: {text}", self.address());
        }
        Ok(())
    }

    fn configuration(&self) -> String {
        let directory = self.directory.display();
        let port = self.port;
        let Some(names) = self.names else {
            return format!(
                "listenPort={port}\nkvConfigPath={directory}/kvConfig.json\n\
                 configStorePath={directory}/namesrv.properties\n"
            );
        };
        // A stock broker on a busy machine throws away sends that wait for 200 ms.
        let patient = match self.make {
            Make::Java(_) => "waitTimeMillsInSendQueue=5000\n",
            Make::Rockhopper => "",
        };
        format!(
            "{patient}brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\n\
             listenPort={port}\nnamesrvAddr={names}\nbrokerIP1=127.0.0.1\n\
             autoCreateTopicEnable=true\nstorePathRootDir={directory}/store\n\
             storePathCommitLog={directory}/store/commitlog\n\
             mappedFileSizeCommitLog=67108864\n{}",
            self.settings
        )
    }
}

fn role_word(role: Role) -> String {
    match role {
        Role::Namesrv => "namesrv".into(),
        Role::Broker => "broker".into(),
    }
}

/// A small, quickly started Java that may look into the classes the stock scripts open for it.
fn java_options(directory: &Path) -> Vec<String> {
    let opened = ["java.nio", "sun.nio.ch", "java.lang", "java.util", "jdk.internal.ref"];
    let mut options: Vec<String> =
        ["-Xms256m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m", "-XX:+UseSerialGC"]
            .map(Into::into)
            .into();
    options.push("-XX:TieredStopAtLevel=1".into());
    options.push(format!("-Duser.home={}", directory.display()));
    options.extend(opened.map(|name| format!("--add-opens=java.base/{name}=ALL-UNNAMED")));
    options
}

/// The stock 4.9 programs refuse to start without their logging files.
fn make_home(directory: &Path) -> Result<()> {
    make(&directory.join("conf"))?;
    for name in ["broker", "namesrv", "tools"] {
        let text = format!(
            "<configuration><appender name=\"F\" class=\"ch.qos.logback.core.FileAppender\">\
             <file>{}/{name}.log</file><encoder><pattern>%d %p %t %m%n</pattern></encoder>\
             </appender><root level=\"INFO\"><appender-ref ref=\"F\"/></root></configuration>",
            directory.display()
        );
        fs::write(directory.join(format!("conf/logback_{name}.xml")), text)?;
    }
    Ok(())
}

/// A port that is free with its neighbours (a broker also takes port - 2 and port + 1), below the
/// range from which the kernel gives ports to clients, and different for programs run side by side.
///
/// # Errors
/// None is free.
pub fn free_port() -> Result<u16> {
    const FIRST: u32 = 23_000;
    const STEPS: u32 = 690;
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    for _ in 0..STEPS {
        let turn = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let step = (std::process::id().wrapping_mul(37) + turn) % STEPS;
        let port = u16::try_from(FIRST + 5 + step * 10)?;
        if [port - 2, port, port + 1].into_iter().all(is_free) {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + STEPS * 10)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
