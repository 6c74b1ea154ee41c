//! Headers of administration that belong to no other family.

use message::Str;

crate::headers! {
    /// The data version of the configuration in the body, as JSON text (code 26).
    GetBrokerConfigResponseHeader {
        version: Str,
    }
    /// Asks for one statistic (code 315).
    ViewBrokerStatsDataRequestHeader {
        stats_name: Str,
        stats_key: Str,
    }
    /// Compares consume queues in RocksDB with those in files (code 354).
    CheckRocksdbCqWriteProgressRequestHeader {
        topic: Str = "",
        check_store_time: i64 = 0,
    }
    /// Writes configuration out of RocksDB to JSON files (code 355); types joined by semicolons.
    ExportRocksDBConfigToJsonRequestHeader {
        config_type: Str,
    }
    /// Starts a broker inside a container (code 902).
    AddBrokerRequestHeader {
        config_path: Option<Str>,
    }
    /// Stops a broker inside a container (code 903).
    RemoveBrokerRequestHeader {
        broker_name: Str,
        broker_cluster_name: Str,
        broker_id: i64,
    }
}
