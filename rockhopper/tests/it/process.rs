//! Starts the binary on ports that are free and reads what it says.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_rockhopper");
/// Variables of the machine that runs the tests must not change what they see.
const VARIABLES: [&str; 4] = ["NAMESRV_ADDR", "JAVA_OPT", "JAVA_OPT_EXT", "ROCKETMQ_HOME"];

/// The binary under a name, which matters for `mqbroker` and `mqnamesrv`.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.arg0(name);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The longest that a process of a test may live: what still waits for it then sees its end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Dropped when a process has ended: one that outlives [`PATIENCE`] is killed.
struct Bound {
    _ended: Sender<()>,
}

/// Starts a command, to be read by the test.
fn spawn(command: &mut Command) -> (Child, Bound) {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary starts");
    let (end, ended) = channel();
    let pid = child.id().to_string();
    std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("process {pid} of this test still runs after {PATIENCE:?}: killed");
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    (child, Bound { _ended: end })
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    output(command("rockhopper").args(arguments))
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    let (child, _bound) = spawn(command);
    child.wait_with_output().expect("it ends")
}

/// Standard output of a run that must succeed.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the binary prints UTF-8")
}

/// A port that is free, as is the one 2 below it.
pub(crate) fn free_port() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port));
    loop {
        let held = free(0).expect("a port is free");
        let port = held.local_addr().expect("it is bound").port();
        if free(port - 2).is_ok() {
            return port;
        }
    }
}

/// A server that runs; killed when a test fails before it stops it.
pub(crate) struct Server {
    child: Child,
    _bound: Bound,
    out: BufReader<ChildStdout>,
    /// What it said so far on standard output.
    pub(crate) said: String,
}

impl Server {
    /// Starts it and waits for a line that contains `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Self {
        let (mut child, _bound) = spawn(command);
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut server = Self { child, _bound, out, said: String::new() };
        while !server.said.contains(ready) {
            let read = server.out.read_line(&mut server.said).expect("it says UTF-8");
            if read == 0 {
                panic!("it ended before {ready:?}: {}{}", server.errors(), server.said);
            }
        }
        server
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut errors).expect("it says UTF-8");
        errors
    }

    /// Stops it and gives what it said on standard error.
    pub(crate) fn stopped(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success(), "it is there until somebody waits for it");
        self.errors()
    }

    /// Sends a signal, waits for the end, and gives the exit status.
    pub(crate) fn signal(mut self, name: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "it is there until somebody waits for it");
        self.child.wait().expect("it ends").code()
    }
}

impl Server {
    /// As [`Self::signal`], with a second signal as soon as it says that it stops.
    pub(crate) fn signal_twice(mut self, name: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill runs");
        assert!(sent.success());
        let errors = BufReader::new(self.child.stderr.take().expect("it is piped"));
        let mut lines = errors.lines().map(|line| line.expect("it says UTF-8"));
        assert!(lines.any(|line| line.contains("stopping;")), "it ended without a word");
        let code = self.signal(name);
        // What it says at the end finds a reader.
        lines.for_each(drop);
        code
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that no test ran in before.
pub(crate) fn fresh_dir(name: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    // Left by a run that failed, with the same process id.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("the directory can be made");
    dir
}
