//! Headers of replication between brokers.

use message::Str;

crate::headers! {
    /// Tells or asks a broker's replication address (code 906).
    ExchangeHAInfoRequestHeader {
        master_ha_address: Option<Str>,
        master_flush_offset: Option<i64>,
        master_address: Option<Str>,
    }
    /// The address of the broker that was asked.
    ExchangeHAInfoResponseHeader {
        master_ha_address: Option<Str>,
        master_flush_offset: Option<i64>,
        master_address: Option<Str>,
    }
    /// Says who is now the smallest broker id of a name (code 905, name server to broker).
    NotifyMinBrokerIdChangeRequestHeader {
        min_broker_id: Option<i64>,
        broker_name: Option<Str>,
        min_broker_addr: Option<Str>,
        offline_broker_addr: Option<Str>,
        ha_broker_addr: Option<Str>,
    }
    /// Sets the primary's flushed-to offset a replica knows (code 908).
    ResetMasterFlushOffsetHeader {
        master_flush_offset: i64,
    }
}
