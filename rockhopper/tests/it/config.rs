//! Configuration that is wrong, printed, or asked about.

use crate::process::{command, free_port, fresh_dir, output, run, succeed, text};

#[test]
fn a_wrong_file_is_explained_and_refuses_the_start() {
    let file = fresh_dir("wrong").join("broker.conf");
    std::fs::write(&file, "brokerRole = SYSC_MASTER\nflushDiskTyep = SYNC_FLUSH\n")
        .expect("written");
    let output = run(&["broker", "-c", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    for part in [
        "broker.conf:1:14",
        "              ^^^^^^^^^^^ expected ASYNC_MASTER",
        "did you mean `SYNC_MASTER`?",
        "did you mean `flushDiskType`?",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    assert_eq!(text(&output.stdout), "");
    let absent = run(&["namesrv", "-c", "no/such/file"]);
    assert_eq!(absent.status.code(), Some(78));
    assert!(text(&absent.stderr).contains("no/such/file: No such file"));
}

#[test]
fn a_host_name_that_nobody_knows_refuses_the_start() {
    let root = fresh_dir("unresolved").display().to_string();
    let set = format!("storePathRootDir={root}");
    let host = ["--set", "brokerIP1=no-such-host.invalid"];
    let refused = output(command("rockhopper").args(["broker", "--set", &set]).args(host));
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{told}");
    let said = "brokerIP1=no-such-host.invalid: the name does not resolve";
    assert!(told.contains(said) && told.contains("or write the address"), "{told}");
}

#[test]
fn settings_are_printed_with_their_sources_applied() {
    let file = fresh_dir("print").join("broker.conf");
    std::fs::write(&file, "brokerName=a\nnamesrvAddr=f:1\nsendMessageThreadPoolNums=64")
        .expect("ok");
    let file = file.display().to_string();
    let mut broker = command("mqbroker");
    broker.args(["-c", &file, "-p"]).env("NAMESRV_ADDR", "e:1");
    let output = output(&mut broker);
    let printed = text(&output.stdout);
    for line in ["brokerName=a", "namesrvAddr=f:1", "listenPort=10911", "flushDiskType=ASYNC_FLUSH"]
    {
        assert!(printed.lines().any(|found| found == line), "{line} in\n{printed}");
    }
    assert!(text(&output.stderr).contains("accepted without effect: sendMessageThreadPoolNums"));
    let important = succeed(&["broker", "-m", "-c", &file, "-n", "o:1"]);
    assert!(important.contains("namesrvAddr=o:1\n") && !important.contains("haListenPort"));
    assert!(succeed(&["namesrv", "-p"]).contains("listenPort=9876\n"));
}

#[test]
fn what_is_not_there_yet_is_refused() {
    let proxy = output(command("mqbroker").arg("--enable-proxy"));
    assert_eq!(proxy.status.code(), Some(2));
    assert!(text(&proxy.stderr).contains("gRPC proxy"));
    let mut tls = command("mqnamesrv");
    let tls = output(tls.env("JAVA_OPT", "-server -Dtls.server.mode=enforcing"));
    assert_eq!(tls.status.code(), Some(78));
    assert!(text(&tls.stderr).contains("TLS"));
}

#[test]
fn paths_that_cannot_be_used_are_named_by_their_setting() {
    let file = fresh_dir("root-is-a-file").join("afile");
    std::fs::write(&file, "x").expect("it is written");
    let root = |path: &str| {
        let root = format!("storePathRootDir={path}");
        let port = format!("listenPort={}", free_port());
        let ports = ["--set", &port, "--set", "bindAddress=127.0.0.1"];
        let refused = output(command("rockhopper").args(["broker", "--set", &root]).args(ports));
        assert_eq!(refused.status.code(), Some(78), "{}", text(&refused.stderr));
        text(&refused.stderr)
    };
    let said = root(&file.display().to_string());
    assert!(said.contains("storePathRootDir: /") && said.contains("afile is a file"), "{said}");
    let said = root("/proc/nope");
    assert!(said.contains("storePathRootDir: /proc/nope cannot be made (No such file"), "{said}");
    let refused = run(&["broker", "-c", "nofile.conf"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = text(&refused.stderr);
    let named =
        "nofile.conf: No such file or directory (os error 2) (-c names it; looked for from /";
    assert!(said.contains(named), "{said}");
}

#[test]
fn a_size_that_is_not_that_of_the_files_is_a_wrong_setting() {
    let dir = fresh_dir("other-size");
    let (root, port) = (format!("storePathRootDir={}", dir.display()), free_port());
    let log = dir.join("commitlog");
    std::fs::create_dir_all(&log).expect("made");
    std::fs::write(log.join("0".repeat(20)), vec![0; 4096]).expect("written");
    let port = format!("listenPort={port}");
    let sets = ["--set", &root, "--set", &port, "--set", "bindAddress=127.0.0.1"];
    let refused = output(command("rockhopper").arg("broker").args(sets));
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("error: mappedFileSizeCommitLog: /"), "{said}");
    assert!(said.contains("set the size that the store was made with"), "{said}");
}

#[test]
fn clients_say_what_is_missing() {
    let nobody = run(&["send", "T", "x", "--namesrv", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no name server answers (127.0.0.1:1: "));
    let usage = run(&["send", "T"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(succeed(&["completions", "bash"]).contains("rockhopper"));
}
