//! Reading whole files: what is accepted, what is refused, and how it is said.

use settings::{
    BrokerRole, BrokerSettings, Checked, Family, File, FlushDiskType, Given, Machine,
    NamesrvSettings, Severity, check,
};

fn machine() -> Machine {
    Machine { home: "/srv/rmq".into(), host_name: "h".into(), local_address: "10.0.0.1".into() }
}

fn read<S: Family>(text: &str) -> Checked<S> {
    let file = File { name: "broker.conf", bytes: text.as_bytes() };
    check(&machine(), &[], Some(file), &[])
}

/// Expects one finding of that severity whose rendering contains every part.
fn finds(text: &str, severity: Severity, parts: &[&str]) {
    let checked = read::<BrokerSettings>(text);
    let found: Vec<_> =
        checked.diagnostics.iter().filter(|found| found.severity == severity).collect();
    assert_eq!(found.len(), 1, "{text}: {:?}", checked.diagnostics);
    let rendered = found[0].to_string();
    for part in parts {
        assert!(rendered.contains(part), "{part:?} in\n{rendered}");
    }
}

#[test]
fn the_file_that_java_ships_is_clean() {
    let text = "\
brokerClusterName = DefaultCluster
brokerName = broker-a
brokerId = 0
deleteWhen = 04
fileReservedTime = 48
brokerRole = ASYNC_MASTER
flushDiskType = SYNC_FLUSH
";
    let checked = read::<BrokerSettings>(text);
    let source = ["brokerName", "brokerIP1"].map(|key| checked.source(key));
    assert_eq!((&checked.diagnostics[..], &checked.idle[..]), (&[][..], &[][..]));
    let settings = &checked.settings;
    assert_eq!(settings.broker.broker_name, "broker-a");
    assert_eq!(settings.store.file_reserved_time, 48);
    assert_eq!(settings.store.flush_disk_type, FlushDiskType::SyncFlush);
    assert_eq!(settings.store.store_path_root_dir, "/srv/rmq/store");
    assert_eq!((settings.net.listen_port, settings.store.ha_listen_port), (10_911, 10_912));
    assert_eq!(source, [Some("broker.conf"), None]);
}

#[test]
fn later_sources_win() {
    let environment = [Given { source: "NAMESRV_ADDR", key: "namesrvAddr", value: "127.0.0.1:1" }];
    let file = Some(File { name: "f", bytes: b"brokerName=b\nnamesrvAddr=127.0.0.1:2" });
    let option = Given { source: "-n", key: "namesrvAddr", value: "127.0.0.1:3" };
    let address = |file, options: &[Given<'_>]| {
        check::<BrokerSettings>(&machine(), &environment, file, options)
            .settings
            .broker
            .namesrv_addr
    };
    assert_eq!(address(None, &[]).as_deref(), Some("127.0.0.1:1"));
    assert_eq!(address(file, &[]).as_deref(), Some("127.0.0.1:2"));
    assert_eq!(address(file, &[option]).as_deref(), Some("127.0.0.1:3"));
    let bad = Given { source: "-n", key: "namesrvAddr", value: "localhost" };
    let checked = check::<BrokerSettings>(&machine(), &[], None, &[bad]);
    assert!(!checked.is_ok());
    assert!(checked.diagnostics[0].to_string().contains("--> -n"), "{}", checked.diagnostics[0]);
}

#[test]
fn bad_values_refuse_the_start() {
    use Severity::Error;
    finds("brokerRole=SYSC_MASTER", Error, &["broker.conf:1:12", "did you mean `SYNC_MASTER`?"]);
    finds("a\nlistenPort = 70000", Error, &["2 | listenPort = 70000", "from 1 to 65535"]);
    finds("maxMessageSize=9", Error, &["maxMessageSize", "from 10 to"]);
    finds("diskSpaceWarningLevelRatio=99", Error, &["from 35 to 90"]);
    finds("diskSpaceCleanForciblyRatio=29", Error, &["from 30 to 85"]);
    finds("diskMaxUsedSpaceRatio=96", Error, &["from 10 to 95"]);
    finds("storeBytesMax=3221225471", Error, &["less than three segments", "3221225472"]);
    finds("autoCreateTopicEnable=yes", Error, &["expected true or false"]);
    finds("messageDelayLevel=1s 2x", Error, &["delays like"]);
    finds("brokerIP1=my.host:10911", Error, &["1:11", "a host name like", "without a port"]);
    finds("brokerIP1=my host", Error, &["1:11", "an IP address"]);
    assert!(read::<BrokerSettings>("brokerIP1=my.host").is_ok());
    finds("storePathCommitLog=/a,/b", Error, &["one directory"]);
    finds("namesrvAddr=localhost", Error, &["addresses like"]);
    finds("sendMessageThreadPoolNums=many", Error, &["a whole number"]);
    finds("brokerName = \\u12", Error, &["broker.conf cannot be read", "four hex digits"]);
}

#[test]
fn contradictions_refuse_the_start() {
    use Severity::Error;
    finds("brokerId=1", Error, &["the id of a replica", "broker.conf:1:10", "write `brokerId=0`"]);
    finds("listenPort=2", Error, &["no room for the second port"]);
    finds("haListenPort=10909", Error, &["collides", "10911 and 10909"]);
    finds("diskMaxUsedSpaceRatio=88", Error, &["is above diskSpaceCleanForciblyRatio=85"]);
    let slave = read::<BrokerSettings>("brokerRole=SLAVE\nbrokerId=0");
    assert_eq!(slave.settings.store.broker_role, BrokerRole::Slave);
    assert!(slave.diagnostics.iter().any(|found| found.message.contains("an id of its own")));
}

#[test]
fn wishes_that_cannot_be_met_refuse_the_start() {
    use Severity::Error;
    finds("brokerRole=SYNC_MASTER", Error, &["replicas", "without a second copy"]);
    finds("enableDLegerCommitLog=true", Error, &["DLedger", "enableDLegerCommitLog=false"]);
    finds("storeType=defaultRocksDB", Error, &["RocksDB"]);
    finds("authenticationEnabled=true", Error, &["every client would be let in"]);
    finds("aclEnable = TRUE", Error, &["aclEnable=true cannot be honoured"]);
    let defaults =
        "enableDLegerCommitLog=false\nstoreType=default\naclEnable=FALSE\ninSyncReplicas=1";
    assert_eq!(read::<BrokerSettings>(defaults).diagnostics, []);
}

#[test]
fn unknown_and_odd_lines_are_warnings() {
    use Severity::Warning;
    finds("brokerip1=1.2.3.4", Warning, &["broker.conf:1:1", "did you mean `brokerIP1`?"]);
    let old = ["earlier versions", "did you mean `mappedFileSizeCommitLog`?"];
    finds("mapedFileSizeCommitLog=1", Warning, &old);
    finds("color=blue", Warning, &["color is not a setting of a broker"]);
    finds("orderMessageEnable=true", Warning, &["a setting of a name server"]);
    finds("brokerName=a\nbrokerName=b", Warning, &["again in line 2", "1:1"]);
    finds("storePathRootDir=$HOME/store", Warning, &["not expanded"]);
    finds("listenPort=10811 ", Warning, &["ends in blanks"]);
    let checked = read::<NamesrvSettings>("brokerName=x");
    assert!(checked.is_ok() && checked.diagnostics[0].message.contains("of a broker"));
}

#[test]
fn keys_without_effect_are_listed() {
    let checked =
        read::<BrokerSettings>("sendMessageThreadPoolNums=16\npullMessageThreadPoolNums=20");
    let idle: Vec<_> = checked.idle.iter().map(|idle| idle.key.as_str()).collect();
    assert_eq!(idle, ["sendMessageThreadPoolNums"]);
    assert!(checked.settings.to_properties_text().contains("sendMessageThreadPoolNums=16\n"));
}
