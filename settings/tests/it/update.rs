//! Changing settings while the process runs, and printing them.

use settings::{BrokerSettings, Family, Machine, NamesrvSettings};

fn machine() -> Machine {
    Machine { home: "/srv/rmq".into(), host_name: "h".into(), local_address: "10.0.0.1".into() }
}

#[test]
fn live_keys_change_and_others_say_why_not() {
    let mut settings = BrokerSettings::on(&machine());
    assert_eq!(settings.update("brokerPermission", "4"), Ok(None));
    assert_eq!(settings.broker.broker_permission, 4);
    let mut refuse = |key, value, expected: &str| {
        let error = settings.update(key, value).expect_err(key);
        assert_eq!(error.to_string(), expected);
    };
    refuse(
        "fileReservedTime",
        "4 days",
        "fileReservedTime=4 days: expected a whole number from 0 to 1000000",
    );
    refuse(
        "brokerPermision",
        "4",
        "brokerPermision is not a setting; did you mean brokerPermission?",
    );
    refuse(
        "storePathRootDir",
        "/etc",
        "storePathRootDir cannot be changed while the broker runs; set it in the configuration \
         file and start the broker again",
    );
    refuse("recoverConcurrently", "yes", "recoverConcurrently=yes: expected true or false");
    refuse(
        "storeType",
        "defaultRocksDB",
        "storeType=defaultRocksDB cannot be honoured: RocksDB is not in this version; the store \
         keeps Java's files",
    );
}

#[test]
fn what_no_code_reads_is_taken_and_shown() {
    let mut settings = BrokerSettings::on(&machine());
    let taken = settings.update("recoverConcurrently", "true");
    assert_eq!(taken, Ok(Some("start-up reads the queues in one pass")));
    assert!(settings.to_properties_text().contains("recoverConcurrently=true\n"));
    settings.broker.config_black_list = "recoverConcurrently".into();
    assert!(settings.update("recoverConcurrently", "false").is_err());
    assert_eq!(settings.unread["recoverConcurrently"], "true");
}

#[test]
fn the_operators_black_list_protects_live_keys() {
    let mut settings = NamesrvSettings::on(&machine());
    assert_eq!(settings.update("orderMessageEnable", "true"), Ok(None));
    settings.namesrv.config_black_list = "kvConfigPath; orderMessageEnable".into();
    assert!(settings.update("orderMessageEnable", "false").is_err());
    assert!(settings.namesrv.order_message_enable);
}

#[test]
fn no_key_that_names_a_path_or_an_address_is_live() {
    let settings = BrokerSettings::default();
    let rows = settings.rows().into_iter().chain(NamesrvSettings::default().rows());
    for row in rows.filter(|row| row.live) {
        let key = row.key.to_lowercase();
        assert!(
            !["path", "addr", "ip1", "ip2", "listenport"].iter().any(|word| key.contains(word)),
            "{key}"
        );
    }
}

#[test]
fn the_log_is_told_changes_without_passwords_and_within_bounds() {
    let changes = [("initAuthenticationUser", "root:secret"), ("brokerPermission", "4")];
    assert_eq!(settings::told(changes), "initAuthenticationUser=******, brokerPermission=4");
    let long = "值".repeat(1_000_000);
    let told = settings::told([("a", &*long), ("b", "1")]);
    assert!(told.len() <= 1_003 && told.ends_with("值..."), "{} bytes", told.len());
}

#[test]
fn prints_every_key_sorted_as_java_does() {
    let mut settings = BrokerSettings::on(&machine());
    settings.unread.insert("initAuthenticationUser".into(), "{\"password\":\"x\"}".into());
    settings.unread.insert("sendMessageThreadPoolNums".into(), "64".into());
    let text = settings.to_properties_text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.is_sorted());
    for line in [
        "brokerIP1=10.0.0.1",
        "flushDiskType=ASYNC_FLUSH",
        "initAuthenticationUser=******",
        "listenPort=10911",
        "messageStorePlugIn=",
        "sendMessageThreadPoolNums=64",
        "storePathRootDir=/srv/rmq/store",
    ] {
        assert!(lines.contains(&line), "{line} in\n{text}");
    }
    assert!(!text.contains("storePathCommitLog="), "null is left out");
    assert!(!text.contains("aclCacheMaxNum="), "Java does not answer it");
    assert!(settings.to_printed_text().contains("aclCacheMaxNum=1000\n"));
    let important = settings.to_important_text();
    assert!(important.contains("brokerRole=ASYNC_MASTER\n") && !important.contains("haListenPort"));
}

#[test]
fn a_name_server_lists_its_own_two_classes() {
    let text = NamesrvSettings::on(&machine()).to_properties_text();
    for line in ["listenPort=9876", "serverWorkerThreads=8", "waitSecondsForService=45"] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("clientWorkerThreads"), "{text}");
}
