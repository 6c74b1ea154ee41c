//! Every key of Java 5.5.0 is known, once, with Java's type and default.
//!
//! The golden file was printed by reflection from the released jars: class, key, type, default, and
//! whether the field carries `@ImportantField`.

use std::collections::BTreeMap;

use settings::{BrokerSettings, Family, NamesrvSettings, is_important};

const GOLDEN: &str = include_str!("../golden/settings-5.5.0.tsv");

/// Defaults that Java takes from the machine it runs on, or that its start-up overrides.
const FROM_MACHINE: [&str; 6] =
    ["brokerName", "brokerIP1", "brokerIP2", "storePathRootDir", "kvConfigPath", "configStorePath"];

/// Keys that only we have.
const OWN: [&str; 5] = [
    "storeBytesMax",
    "diskFreeBytesMin",
    "cutLogAtDamage",
    "scrubTimePercent",
    "brokerTraceEnable",
];

type Known = BTreeMap<(String, String), (String, Option<String>)>;

/// Class and key to type and default, from our tables.
fn known() -> Known {
    let mut known = Known::new();
    let mut add = |class: &str, key: &str, kind: &str, default: Option<String>| {
        let class = if ["brokerName", "brokerClusterName", "brokerId"].contains(&key) {
            "BrokerIdentity"
        } else {
            class
        };
        let place = (class.to_owned(), key.to_owned());
        let known = known.insert(place, (kind.to_owned(), default.clone()));
        if let Some((_, before)) = known {
            assert_eq!(before, default, "{class} {key} stands in two tables");
        }
    };
    let (broker, namesrv) = (BrokerSettings::default(), NamesrvSettings::default());
    for table in broker.tables().into_iter().chain(namesrv.tables()) {
        for (row, (key, default)) in table.rows().iter().zip(table.entries()) {
            add(table.class(), key, row.kind, default);
        }
    }
    for class in BrokerSettings::UNREAD.iter().chain(NamesrvSettings::UNREAD) {
        for group in class.groups {
            for unread in group.keys {
                let kind = format!("{:?}", unread.kind).to_lowercase();
                add(class.name, unread.key, &kind, unread.default.map(str::to_owned));
            }
        }
    }
    known.retain(|(class, _), _| class != "BrokerStartup");
    known
}

#[test]
fn every_key_of_java_stands_in_exactly_one_table() {
    let mut known = known();
    for line in GOLDEN.lines().skip(1) {
        let [class, key, kind, default, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}");
        };
        let ours = known.remove(&(class.to_owned(), key.to_owned()));
        let (our_kind, our_default) = ours.unwrap_or_else(|| panic!("{class} {key} is unknown"));
        if our_kind != "text" {
            assert_eq!(our_kind, kind, "type of {class} {key}");
        }
        if FROM_MACHINE.contains(&key) {
            assert_eq!(our_default.as_deref(), Some(""), "{key} waits for the machine");
        } else {
            let default = (default != "null").then_some(default);
            assert_eq!(our_default.as_deref(), default, "default of {class} {key}");
        }
    }
    known.retain(|(_, key), _| !OWN.contains(&key.as_str()));
    assert!(known.is_empty(), "keys that Java does not have: {known:?}");
}

#[test]
fn the_important_keys_are_javas() {
    for line in GOLDEN.lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let namesake = ["NettyServerConfig"].contains(&columns[0]);
        if !namesake {
            assert_eq!(is_important(columns[1]), columns[4] == "important", "{line}");
        }
    }
}
