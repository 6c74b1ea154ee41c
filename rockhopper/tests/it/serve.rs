//! Servers from start to stop.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::process::{Server, command, free_port, fresh_dir, output, run, succeed, text};

/// What the last line of a broker's start contains.
pub(crate) const READY: &str = "boot success. serializeType=JSON and name server is";

pub(crate) struct Ports {
    pub(crate) namesrv: String,
    pub(crate) broker: String,
}

impl Ports {
    pub(crate) fn free() -> Self {
        Self { namesrv: free_port().to_string(), broker: free_port().to_string() }
    }

    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.namesrv)
    }
}

pub(crate) fn dev(data: &Path, ports: &Ports) -> Command {
    let mut command = command("rockhopper");
    command.arg("dev").arg("--data").arg(data);
    command.args(["--namesrv-port", &ports.namesrv, "--broker-port", &ports.broker]);
    // Two files of a size that a test machine has room for.
    command.args(["--set", "mappedFileSizeCommitLog=8388608"]);
    command
}

#[test]
fn messages_survive_a_stop_and_a_start() {
    let (data, ports) = (fresh_dir("survive"), Ports::free());
    let servers = ports.servers();
    let running = Server::start(&mut dev(&data, &ports), READY);
    assert!(running.said.lines().count() <= 12, "{}", running.said);
    for part in
        ["The Name Server boot success. serializeType=JSON", "before fsync", "(from --bind)"]
    {
        assert!(running.said.contains(part), "{part} in\n{}", running.said);
    }
    let sent =
        succeed(&["send", "Orders", "first", "--tag", "paid", "--key", "7", "--namesrv", &servers]);
    assert!(sent.contains("broker-a queue="), "{sent}");
    succeed(&["send", "Orders", "-n", "9", "--size", "20", "--namesrv", &servers]);
    assert!(data.join("abort").exists(), "it runs");
    assert_eq!(running.signal("-TERM"), Some(0));
    assert!(!data.join("abort").exists(), "it stopped cleanly");

    let again = Server::start(&mut dev(&data, &ports), READY);
    let tail = ["tail", "Orders", "--from-start", "-n", "10", "--namesrv", &servers];
    let printed = succeed(&tail);
    assert_eq!(printed.lines().count(), 10, "{printed}");
    assert!(printed.contains("tag=paid key=7 first\n"), "{printed}");
    assert_eq!(again.signal("-INT"), Some(0));
}

#[test]
fn the_log_has_the_start_and_the_stop_with_their_dates() {
    let (data, ports) = (fresh_dir("logged"), Ports::free());
    let said = Server::start(&mut dev(&data, &ports), READY).stopped();
    for (line, parts) in [
        ("the name server is ready", [format!("address=127.0.0.1:{}", ports.namesrv), "".into()]),
        (
            "the broker is ready",
            [format!("address=127.0.0.1:{}", ports.broker), format!("store={}", data.display())],
        ),
        ("the broker has stopped cleanly", ["INFO".into(), "Z".into()]),
        ("the name server has stopped cleanly", ["INFO".into(), "Z".into()]),
    ] {
        let found = said.lines().find(|told| told.contains(line));
        let found = found.unwrap_or_else(|| panic!("{line} in\n{said}"));
        assert!(parts.iter().all(|part| found.contains(part)), "{parts:?} in {found}");
        assert!(found.starts_with("20"), "a date: {found}");
    }
}

/// A broker whose name server takes connections and never answers.
fn with_a_silent_namesrv(data: &Path, port: u16, timeout_ms: u32) -> (Command, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let config = data.join("broker.conf");
    std::fs::create_dir_all(data).expect("made");
    let text = format!(
        "namesrvAddr={}\nlistenPort={port}\nstorePathRootDir={}\nbrokerIP1=127.0.0.1\n\
         registerBrokerTimeoutMills={timeout_ms}\nmappedFileSizeCommitLog=8388608\n",
        silent.local_addr().expect("it is bound"),
        data.join("store").display()
    );
    std::fs::write(&config, text).expect("written");
    let mut broker = command("rockhopper");
    broker.args(["broker", "-c"]).arg(&config);
    (broker, silent)
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let data = fresh_dir("twice");
    // To say good-bye takes 3 s.
    let (mut broker, _silent) = with_a_silent_namesrv(&data, free_port(), 100);
    let running = Server::start(&mut broker, READY);
    assert_eq!(running.signal_twice("-TERM"), Some(0));
    assert!(!data.join("store/abort").exists(), "it stopped cleanly");
}

/// What it took before the name servers knew it is flushed as any other message.
#[test]
fn a_broker_that_is_ready_stops_cleanly_before_it_says_so() {
    let (data, port) = (fresh_dir("not-yet"), free_port());
    let (mut broker, _silent) = with_a_silent_namesrv(&data, port, 24_000);
    let running = Server::start(&mut broker, "");
    let address = format!("127.0.0.1:{port}");
    while !run(&["ready", "--broker", &address]).status.success() {}
    assert!(data.join("store/abort").exists(), "it runs");
    assert_eq!(running.signal("-TERM"), Some(0));
    assert!(!data.join("store/abort").exists(), "it stopped cleanly");
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let (data, ports) = (fresh_dir("group"), Ports::free());
    let servers = ports.servers();
    let running = Server::start(&mut dev(&data, &ports), READY);
    succeed(&["send", "T", "-n", "6", "--size", "8", "--namesrv", &servers]);
    let tail = |count| {
        let tail =
            ["tail", "T", "--from-start", "--group", "g", "-n", count, "--namesrv", &servers];
        let printed = succeed(&tail);
        printed.lines().map(|line| line.split(" 20").next().map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut seen = tail("4");
    seen.extend(tail("2"));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each message once: {seen:?}");
    assert_eq!(running.signal("-TERM"), Some(0));
}

#[test]
fn a_tail_that_is_refused_for_good_ends() {
    let (data, ports) = (fresh_dir("refused"), Ports::free());
    let servers = ports.servers();
    let running = Server::start(&mut dev(&data, &ports), READY);
    succeed(&["send", "T", "hello", "--namesrv", &servers]);
    let refused = run(&["tail", "T", "--group", "bad group!", "--namesrv", &servers]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("error: SUBSCRIPTION_GROUP_NOT_EXIST"), "{said}");
    assert_eq!(running.signal("-TERM"), Some(0));
}

#[test]
fn both_servers_run_alone_from_javas_files() {
    let (dir, ports) = (fresh_dir("alone"), Ports::free());
    let (namesrv_conf, broker_conf) = (dir.join("namesrv.conf"), dir.join("broker.conf"));
    let write =
        |path: &Path, content: String| std::fs::write(path, content).expect("it is written");
    write(&namesrv_conf, format!("listenPort={}\nbindAddress=127.0.0.1\n", ports.namesrv));
    write(
        &broker_conf,
        format!(
            "# 一个 broker\nbrokerName = one\nlistenPort = {}\nbrokerIP1 = 127.0.0.1\n\
             bindAddress=127.0.0.1\nstorePathRootDir={}\nmappedFileSizeCommitLog=8388608\n",
            ports.broker,
            dir.join("store").display(),
        ),
    );
    let mut namesrv = command("mqnamesrv");
    let namesrv =
        Server::start(namesrv.arg("-c").arg(&namesrv_conf), "The Name Server boot success");
    let mut broker = command("/opt/rocketmq/bin/mqbroker");
    broker.arg("-c").arg(&broker_conf).args(["-n", &ports.servers()]);
    let broker = Server::start(&mut broker, READY);
    assert!(broker.said.contains("(brokerIP1, from "), "{}", broker.said);
    succeed(&["send", "T", "hello", "--namesrv", &ports.servers()]);
    assert_eq!(broker.signal("-TERM"), Some(0));

    let lost = run(&["send", "T", "hello", "--namesrv", &ports.servers()]);
    assert_eq!(lost.status.code(), Some(1), "a stopped broker is out of the routes");
    assert!(text(&lost.stderr).contains("creates it by itself"), "{}", text(&lost.stderr));
    assert_eq!(namesrv.signal("-TERM"), Some(0));
}

#[test]
fn clients_are_told_a_host_name_as_it_was_set() {
    let (data, ports) = (fresh_dir("host-name"), Ports::free());
    let mut named = dev(&data, &ports);
    let running = Server::start(named.args(["--set", "brokerIP1=localhost"]), READY);
    let told = format!("The broker[broker-a, localhost:{}] boot success", ports.broker);
    assert!(running.said.contains(&told), "{told} in\n{}", running.said);
    succeed(&["send", "T", "hello", "--namesrv", &ports.servers()]);
    assert_eq!(running.signal("-TERM"), Some(0));
    // A message's record has room for an address only.
    let data = data.display().to_string();
    let stored = succeed(&["store", "dump", &data, "--offset", "0"]);
    assert!(stored.contains(&format!("127.0.0.1:{}", ports.broker)), "{stored}");
}

#[test]
fn a_second_broker_on_the_same_store_or_port_is_refused_in_words() {
    let (data, ports) = (fresh_dir("second"), Ports::free());
    let running = Server::start(&mut dev(&data, &ports), READY);
    let other = Ports::free();
    let twice = output(&mut dev(&data, &other));
    assert_eq!(twice.status.code(), Some(1), "{}", text(&twice.stderr));
    assert!(text(&twice.stderr).contains("lock"), "{}", text(&twice.stderr));
    let same_port = Ports { namesrv: other.namesrv, broker: ports.broker.clone() };
    let same_port = output(&mut dev(&fresh_dir("second-port"), &same_port));
    assert_eq!(same_port.status.code(), Some(1), "{}", text(&same_port.stderr));
    assert!(text(&same_port.stderr).contains("cannot listen"), "{}", text(&same_port.stderr));
    assert_eq!(running.signal("-TERM"), Some(0));
}
