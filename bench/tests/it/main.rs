//! The generator and the null server as programs: what they say, and what they refuse.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bench"))
}

/// A null server on a port that the system chose.
struct Null {
    process: Child,
    address: String,
}

impl Null {
    fn start() -> Self {
        let mut null = bench();
        null.args(["null", "--port", "0"]).stdout(Stdio::piped());
        let mut process = null.spawn().expect("the null server starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit(' ').next().expect("a line has a last word").to_owned();
        Self { process, address }
    }

    fn send(&self, args: &[&str]) -> String {
        let mut send = bench();
        send.args(["send", "--broker", &self.address, "--seconds", "20"]).args(args);
        told(send.args(["--pid", &self.process.id().to_string()]).output().expect("it runs"))
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn told(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn every_send_is_answered_in_both_forms() {
    let null = Null::start();
    for form in ["json", "rocketmq"] {
        let line = null.send(&["--count", "5000", "--form", form]);
        assert!(line.contains(" 5000 messages; "), "{line}");
        assert!(line.contains("failures -"), "{line}");
        assert!(line.contains("MiB anonymous"), "{line}");
    }
}

#[test]
fn bodies_larger_than_a_read_arrive() {
    let null = Null::start();
    let line = null.send(&["--count", "50", "--body", "1000000", "--window", "4"]);
    assert!(line.contains(" 50 messages; ") && line.contains("failures -"), "{line}");
}

#[test]
fn one_at_a_time_on_many_connections() {
    let null = Null::start();
    let args = ["--count", "3000", "--connections", "100", "--window", "1", "--topics", "3"];
    let line = null.send(&args);
    assert!(line.contains(" 3000 messages; ") && line.contains("failures -"), "{line}");
}

#[test]
fn other_machines_are_refused() {
    let output = bench().args(["send", "--broker", "192.0.2.1:10911"]).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("not a loopback address"), "{error}");
}

#[test]
fn jobs_are_listed_and_unknown_ones_named() {
    let list = told(bench().args(["contest", "--jobs", "list"]).output().expect("it runs"));
    assert!(list.lines().any(|line| line.starts_with("send-64k ")), "{list}");
    let output = bench().args(["contest", "--jobs", "sned"]).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("no job is called sned"), "{error}");
}
