//! Rules between several keys, and wishes that a key of the tables can express but this version
//! cannot meet.
//!
//! Each is checked once, at start; a key alone is checked by its line in a table.

use crate::check::Report;
use crate::family::BrokerSettings;
use crate::value::BrokerRole;

/// How far below the listen port the second port is (Java: `NettyRemotingServer`, VIP channel).
const FAST_PORT_BELOW: i32 = 2;
/// What a stored message has besides its body, at most: properties (32 KiB), topic and fields.
const RECORD_OVERHEAD_BYTES: i64 = 64 * 1024;

/// Checks a broker's settings and resolves the port that replicas are told.
pub(crate) fn broker(settings: &mut BrokerSettings, report: &mut Report) {
    role(settings, report);
    ports(settings, report);
    ratios(settings, report);
    bounds(settings, report);
    segments(settings, report);
}

/// Java forces the id of a primary to 0 without a word; a replica with id 0 it refuses.
fn role(settings: &BrokerSettings, report: &mut Report) {
    let (role, id) = (settings.store.broker_role, settings.broker.broker_id);
    if role != BrokerRole::Slave && id > 0 {
        let message =
            format!("brokerId={id} is the id of a replica, but brokerRole is a primary's");
        let help = "write `brokerId=0`; Java would do so without saying".to_owned();
        report.error("brokerId", message, "a primary has the id 0", Some(help));
    }
    if role == BrokerRole::Slave && id == 0 {
        let message = "brokerRole=SLAVE needs an id of its own".to_owned();
        let help = "set brokerId to 1 or more, another one for each replica".to_owned();
        report.error("brokerRole", message, "brokerId is 0, the id of the primary", Some(help));
    }
    let wish = match role {
        BrokerRole::AsyncMaster => return,
        BrokerRole::SyncMaster => "sends would be acknowledged without a second copy",
        BrokerRole::Slave => "nothing would be copied from the primary",
    };
    let message = "brokerRole asks for replicas, which are not in this version".to_owned();
    let help = "write `brokerRole=ASYNC_MASTER`".to_owned();
    report.error("brokerRole", message, wish, Some(help));
}

/// Two more ports are derived from the listen port: clients try the one 2 below it, and replicas
/// are told the one above it.
fn ports(settings: &mut BrokerSettings, report: &mut Report) {
    let (listen, ha) = (settings.net.listen_port, &mut settings.store.ha_listen_port);
    if *ha == 0 {
        *ha = listen + 1;
    }
    if listen <= FAST_PORT_BELOW {
        let message = format!("listenPort={listen} leaves no room for the second port, 2 below it");
        report.error("listenPort", message, "expected 3 or more", None);
    }
    if *ha == listen || *ha == listen - FAST_PORT_BELOW {
        let message = format!("haListenPort={ha} collides with the ports of clients");
        let label = format!("clients use {listen} and {}", listen - FAST_PORT_BELOW);
        report.error("haListenPort", message, &label, None);
    } else if *ha > 65_535 {
        let message = format!("listenPort={listen} leaves no room for haListenPort, 1 above it");
        let help = Some("set haListenPort to a free port".to_owned());
        report.error("listenPort", message, "expected 65534 or less", help);
    }
}

/// A disk that fills must pass the three marks in their order.
fn ratios(settings: &BrokerSettings, report: &mut Report) {
    let store = &settings.store;
    let marks = [
        ("diskMaxUsedSpaceRatio", store.disk_max_used_space_ratio),
        ("diskSpaceCleanForciblyRatio", store.disk_space_clean_forcibly_ratio),
        ("diskSpaceWarningLevelRatio", store.disk_space_warning_level_ratio),
    ];
    for pair in marks.windows(2) {
        let ((lower, low), (upper, high)) = (pair[0], pair[1]);
        if low > high {
            let key = if report.is_set(lower) { lower } else { upper };
            let message = format!("{lower}={low} is above {upper}={high}");
            report.error(key, message, "a filling disk would pass them in the wrong order", None);
        }
    }
}

/// A store that has no room for a segment to write, the next one and one to delete would be full
/// from its beginning.
fn bounds(settings: &BrokerSettings, report: &mut Report) {
    let store = &settings.store;
    let least = 3 * i64::from(store.mapped_file_size_commit_log);
    if (1..least).contains(&store.store_bytes_max) {
        let message =
            format!("storeBytesMax={} is less than three segments", store.store_bytes_max);
        let help = Some(format!(
            "set it to {least} or more, or to 0 for no bound, or lower mappedFileSizeCommitLog"
        ));
        report.error("storeBytesMax", message, "the store would be full at once", help);
    }
}

/// A message that no segment can hold would never be stored.
fn segments(settings: &BrokerSettings, report: &mut Report) {
    let store = &settings.store;
    let largest = i64::from(store.max_message_size) + RECORD_OVERHEAD_BYTES;
    if largest > i64::from(store.mapped_file_size_commit_log) {
        let (segment, body) = (store.mapped_file_size_commit_log, store.max_message_size);
        let message = format!("a message of {body} bytes does not fit a segment of {segment}");
        let label = "larger messages are refused when they are sent";
        let help = Some(format!("lower maxMessageSize, or raise the segment to {largest} or more"));
        report.warning("mappedFileSizeCommitLog", message, label, help);
    }
}
