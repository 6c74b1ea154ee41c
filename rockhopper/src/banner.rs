//! What an operator sees at start: who this is, what clients will be told, where messages are kept
//! and what an acknowledgement means, in at most twelve lines. Also Java's two lines that scripts
//! and tutorials wait for.
//!
//! Pure: the facts come in, text goes out.

use std::fmt::Write as _;

use settings::{BrokerSettings, FlushDiskType, NamesrvSettings};

/// What the banner is about.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    /// The name server, when this process runs one.
    pub(crate) namesrv: Option<&'a NamesrvSettings>,
    /// The broker, when this process runs one.
    pub(crate) broker: Option<&'a BrokerSettings>,
    /// Where the address came from that clients are told.
    pub(crate) address_from: &'a str,
    /// Free and whole bytes of the file system that holds the store.
    pub(crate) space: Option<(u64, u64)>,
}

/// The banner; every line ends with a line feed.
pub(crate) fn banner(facts: &Facts<'_>) -> String {
    let roles = match (facts.namesrv, facts.broker) {
        (Some(_), Some(_)) => "name server and broker",
        (Some(_), None) => "name server",
        _ => "broker",
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("Rockhopper {version}, {roles}; speaks RocketMQ 5.5.0\n");
    if let Some(namesrv) = facts.namesrv {
        line(&mut text, "name server", &format!("listens on {}", listens(&namesrv.net)));
    }
    if let Some(broker) = facts.broker {
        broker_lines(&mut text, broker, facts);
    }
    text
}

fn broker_lines(text: &mut String, settings: &BrokerSettings, facts: &Facts<'_>) {
    let BrokerSettings { broker, store, net, .. } = settings;
    let who = format!(
        "{} of {}, primary, listens on {} and {}",
        broker.broker_name,
        broker.broker_cluster_name,
        listens(net),
        net.listen_port - 2,
    );
    line(text, "broker", &who);
    let told = format!("{} ({})", broker_address(settings), facts.address_from);
    line(text, "clients told", &told);
    let names = broker.namesrv_addr.as_deref();
    let names = names.unwrap_or("nobody: set namesrvAddr, or clients cannot find this broker");
    line(text, "registers", &format!("with {names}"));
    let free = facts.space.map_or_else(String::new, |(free, whole)| {
        format!(", {} free of {}", size(free), size(whole))
    });
    line(text, "store", &format!("{}{free}", store.store_path_root_dir));
    line(text, "a send is", &promise(store));
    if let Some(addresses) = broker.namesrv_addr.as_deref() {
        let servers = names_hint(addresses);
        line(text, "try", &format!("rockhopper send Hello 'first message'{servers}"));
        line(text, "", &format!("rockhopper tail Hello --from-start{servers}"));
    }
}

/// What an acknowledged send is promised with these settings; docs/durability.md has the whole of
/// it.
pub(crate) fn promise(store: &settings::Store) -> String {
    match store.flush_disk_type {
        FlushDiskType::SyncFlush => {
            "acknowledged after fsync (SYNC_FLUSH): kept after kill -9 and \
                                     a power cut, gone with a lost disk (no replicas)"
                .to_owned()
        }
        FlushDiskType::AsyncFlush => format!(
            "acknowledged before fsync (ASYNC_FLUSH): kept after kill -9, a power cut may take the \
             last {} ms ({} ms while less than {} KiB wait), gone with a lost disk (no replicas)",
            store.flush_interval_commit_log,
            store.flush_commit_log_thorough_interval,
            store.flush_commit_log_least_pages * 4,
        ),
    }
}

/// What a client must add when the name server is not where it looks by default.
fn names_hint(addresses: &str) -> String {
    match addresses {
        "127.0.0.1:9876" => String::new(),
        elsewhere => format!(" --namesrv '{elsewhere}'"),
    }
}

fn line(text: &mut String, label: &str, what: &str) {
    writeln!(text, "  {label:<13}{what}").expect("a String takes every write");
}

/// Where a server listens.
pub(crate) fn listens(net: &settings::Net) -> String {
    format!("{}:{}", net.bind_address, net.listen_port)
}

/// The address that clients are told.
pub(crate) fn broker_address(settings: &BrokerSettings) -> String {
    format!("{}:{}", settings.broker.broker_ip1, settings.net.listen_port)
}

/// Java's line of a name server that runs (Java: `NamesrvStartup`).
pub(crate) fn namesrv_line(settings: &NamesrvSettings) -> String {
    format!("The Name Server boot success. serializeType=JSON, address {}", listens(&settings.net))
}

/// Java's line of a broker that runs (Java: `BrokerStartup`).
pub(crate) fn broker_line(settings: &BrokerSettings) -> String {
    let (name, address) = (&settings.broker.broker_name, broker_address(settings));
    let names = settings.broker.namesrv_addr.as_deref();
    let names = names.map_or_else(String::new, |names| format!(" and name server is {names}"));
    format!("The broker[{name}, {address}] boot success. serializeType=JSON{names}")
}

/// Bytes in words.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)];
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(name, unit)| {
            let tenths = bytes / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::{Family, Machine};

    fn machine() -> Machine {
        Machine { home: "/srv".into(), host_name: "h".into(), local_address: "10.0.0.1".into() }
    }

    #[test]
    fn fits_and_says_what_matters() {
        let (namesrv, mut broker) =
            (NamesrvSettings::on(&machine()), BrokerSettings::on(&machine()));
        broker.broker.namesrv_addr = Some("10.0.0.9:9876".into());
        let facts = Facts {
            namesrv: Some(&namesrv),
            broker: Some(&broker),
            address_from: "from brokerIP1",
            space: Some((3 << 30, 8 << 40)),
        };
        let text = banner(&facts);
        assert!(text.lines().count() + 2 <= 12, "{text}");
        for part in [
            "0.0.0.0:9876",
            "10.0.0.1:10911 (from brokerIP1)",
            "10911 and 10909",
            "/srv/store, 3.0 GiB free of 8.0 TiB",
            "before fsync (ASYNC_FLUSH): kept after kill -9, a power cut may take the last 500 ms",
            "--namesrv '10.0.0.9:9876'",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn scripts_find_javas_lines() {
        let mut broker = BrokerSettings::on(&machine());
        assert_eq!(
            broker_line(&broker),
            "The broker[h, 10.0.0.1:10911] boot success. serializeType=JSON"
        );
        broker.broker.namesrv_addr = Some("127.0.0.1:9876".into());
        assert!(broker_line(&broker).ends_with("JSON and name server is 127.0.0.1:9876"));
        assert_eq!(
            namesrv_line(&NamesrvSettings::on(&machine())),
            "The Name Server boot success. serializeType=JSON, address 0.0.0.0:9876"
        );
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!((size(999).as_str(), size(1 << 20).as_str()), ("999 bytes", "1.0 MiB"));
        assert_eq!(size((1 << 40) + (1 << 39)), "1.5 TiB");
    }
}
