//! What a person sees when the disk gives no more, and while a broker recovers.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use remoting::client::{Client, Deaf};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command as Request;
use remoting::headers::send::SendMessageRequestHeaderV2;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::process::{Server, fresh_dir, run, text};
use crate::serve::{Ports, READY, dev};

/// So many questions.
const PATIENCE: usize = 1_000;

fn ready(ports: &Ports) -> (Option<i32>, String) {
    let output = run(&["ready", "--broker", &format!("127.0.0.1:{}", ports.broker)]);
    (output.status.code(), text(&output.stdout))
}

fn wait_ready(ports: &Ports, what: &str) -> String {
    for _ in 0..PATIENCE {
        let (code, said) = ready(ports);
        if said.starts_with(what) {
            assert_eq!(code, Some(i32::from(what != "ready")), "{said}");
            return said;
        }
    }
    panic!("never {what}: {}", ready(ports).1);
}

/// Writes to a pipe once somebody reads it; a plain open would wait for that without end.
fn write_to_reader(pipe: &Path, ports: &Ports, bytes: &[u8]) {
    let mut open = File::options();
    open.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    for _ in 0..PATIENCE {
        match open.open(pipe) {
            Ok(mut writing) => return writing.write_all(bytes).expect("written"),
            Err(error) => assert_eq!(error.raw_os_error(), Some(Errno::NXIO.raw_os_error())),
        }
        ready(ports);
    }
    panic!("nobody reads {}", pipe.display());
}

/// A broker that reads what its timer counted from a pipe is opened when somebody writes to it.
#[test]
fn while_it_is_opened_every_request_is_told_so() {
    let (data, ports) = (fresh_dir("opening"), Ports::free());
    let pipe = data.join("config/timermetrics");
    std::fs::create_dir_all(data.join("config")).expect("made");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut starting = dev(&data, &ports);
    let starting = std::thread::spawn(move || Server::start(&mut starting, READY));
    wait_ready(&ports, "recovering, ");
    let send = ["send", "T", "x", "--namesrv", &ports.servers()];
    let sent = run(&send);
    assert!(text(&sent.stderr).contains("creates it by itself"), "not in the routes yet");
    write_to_reader(&pipe, &ports, b"{}");
    let running = starting.join().expect("it starts");
    assert_eq!(wait_ready(&ports, "ready"), "ready\n");
    let names = run(&["ready", "--namesrv", &ports.servers()]);
    assert_eq!((names.status.code(), text(&names.stdout)), (Some(0), "ready\n".to_owned()));
    assert_eq!(running.signal("-TERM"), Some(0));
    assert_eq!(ready(&ports).0, Some(1), "nobody answers");
}

/// `ulimit -f` sends a signal besides the error, which must not end the process.
#[test]
fn a_limit_of_file_sizes_refuses_sends_and_kills_nobody() {
    let (data, ports) = (fresh_dir("file-size"), Ports::free());
    let running = Server::start(&mut limited("-f 4096", &dev(&data, &ports)), READY);
    let send = ["send", "T", "x", "--namesrv", &ports.servers()];
    let sent = run(&send);
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(1));
    for part in ["no room for", "commitlog", "bytes used, limit", "diskSpaceWarningLevelRatio"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(wait_ready(&ports, "full, ").contains("commitlog"));
    assert_eq!(running.signal("-TERM"), Some(0));
}

/// A command under a limit of `ulimit`.
fn limited(limit: &str, command: &Command) -> Command {
    in_shell(&format!("ulimit {limit} && exec \"$0\" \"$@\""), command)
}

fn in_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    shell
}

/// What a broker logs is often kept on the disk that is full.
#[test]
fn a_log_that_takes_no_more_lines_ends_nobody() {
    let (data, ports) = (fresh_dir("full-log"), Ports::free());
    let mut talking = dev(&data, &ports);
    talking.args(["--log", "debug"]);
    let mut talking = in_shell("exec \"$0\" \"$@\" 2>/dev/full", &talking);
    let running = Server::start(&mut talking, READY);
    let sent = run(&["send", "T", "x", "--namesrv", &ports.servers()]);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    assert_eq!(running.signal("-TERM"), Some(0));
}

/// Connections that nobody closes are turned away before the store lacks files of its own.
#[tokio::test(flavor = "current_thread")]
async fn idle_connections_take_no_file_from_the_store() {
    let (data, ports) = (fresh_dir("open-files"), Ports::free());
    let running = Server::start(&mut limited("-n 300", &dev(&data, &ports)), READY);
    let (address, client) = (format!("127.0.0.1:{}", ports.broker), Client::new(Arc::new(Deaf)));
    let send = async |topic: String| {
        let header = SendMessageRequestHeaderV2 {
            producer_group: "g",
            topic: &topic,
            default_topic: "TBW102",
            default_topic_queue_nums: 4,
            ..SendMessageRequestHeaderV2::default()
        };
        let request = Request::request(RequestCode::SEND_MESSAGE_V2).with_header(&header);
        let sent = client.call(&address, request.with_body("x"), Duration::from_secs(10)).await;
        sent.expect("an answer").response_code()
    };
    assert_eq!(send("First".into()).await, ResponseCode::SUCCESS);
    let connect = |_| TcpStream::connect(&address).expect("the system accepts it");
    let idle: Vec<_> = (0..300).map(connect).collect();
    let mut last = idle.last().expect("there are some");
    last.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert_eq!(last.read(&mut [0]).expect("turned away, not left to wait"), 0);
    for number in 0..150 {
        assert_eq!(send(format!("Topic{number}")).await, ResponseCode::SUCCESS, "{number}");
    }
    // Long enough for the queues to be written to their files.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(send("Last".into()).await, ResponseCode::SUCCESS);
    drop(idle);
    assert_eq!(running.signal("-TERM"), Some(0));
}
