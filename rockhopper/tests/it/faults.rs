//! What a person sees when the disk gives no more, and while a broker recovers.

use std::io::Write;
use std::process::Command;

use crate::process::{Server, command, fresh_dir, run, text};
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

/// A broker that reads its topics from a pipe is being opened until somebody writes to it.
#[test]
fn while_it_is_opened_every_request_is_told_so() {
    let (data, ports) = (fresh_dir("opening"), Ports::free());
    let pipe = data.join("config/topics.json");
    std::fs::create_dir_all(data.join("config")).expect("made");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut starting = dev(&data, &ports);
    let starting = std::thread::spawn(move || Server::start(&mut starting, READY));
    wait_ready(&ports, "recovering, ");
    let send = ["send", "T", "x", "--namesrv", &ports.servers()];
    let sent = run(&send);
    assert!(text(&sent.stderr).contains("no broker creates it"), "not in the routes yet");
    std::fs::File::create(&pipe).expect("opened").write_all(b"{}").expect("written");
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
    let broker = dev(&data, &ports);
    let mut limited = command("sh");
    limited.arg("-c").arg("ulimit -f 4096 && exec \"$0\" \"$@\"").arg(broker.get_program());
    limited.args(broker.get_args());
    let mut shell = Command::new("sh");
    shell.args(limited.get_args());
    let running = Server::start(&mut shell, READY);
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
