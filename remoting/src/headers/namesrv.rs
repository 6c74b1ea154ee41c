//! Headers between brokers, tools and name server: registration, key-value configuration, write
//! permission.

use message::Str;

crate::headers! {
    /// Announces a broker and its topics (code 103).
    RegisterBrokerRequestHeader {
        broker_name: Str,
        broker_addr: Str,
        cluster_name: Str,
        ha_server_addr: Str = "",
        broker_id: i64,
        heartbeat_timeout_millis: Option<i64>,
        enable_acting_master: Option<bool>,
        compressed: bool = false,
        body_crc32: i32 = 0,
    }
    /// What a replica needs to know about its primary.
    RegisterBrokerResponseHeader {
        ha_server_addr: Option<Str>,
        master_addr: Option<Str>,
    }
    /// Takes a broker out of the routes (code 104).
    UnRegisterBrokerRequestHeader {
        broker_name: Str = "",
        broker_addr: Str = "",
        cluster_name: Str = "",
        broker_id: i64 = 0,
    }
    /// Says that a broker is alive (code 904, to name server and controller).
    BrokerHeartbeatRequestHeader {
        cluster_name: Str,
        broker_addr: Str,
        broker_name: Str = "",
        broker_id: Option<i64>,
        epoch: Option<i32>,
        max_offset: Option<i64>,
        confirm_offset: Option<i64>,
        heartbeat_timeout_mills: Option<i64>,
        election_priority: Option<i32>,
    }
    /// Asks whether the data version in the body is news to the name server (code 322).
    QueryDataVersionRequestHeader {
        broker_name: Str = "",
        broker_addr: Str,
        cluster_name: Str,
        broker_id: i64 = 0,
    }
    /// Whether it is.
    QueryDataVersionResponseHeader {
        changed: bool,
    }
    /// Asks for the brokers of one name (code 901).
    GetBrokerMemberGroupRequestHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
    }
    /// Sets a value of a namespace (code 100).
    PutKVConfigRequestHeader {
        namespace: Str,
        key: Str,
        value: Option<Str>,
    }
    /// Asks for a value (code 101).
    GetKVConfigRequestHeader {
        namespace: Str = "",
        key: Str = "",
    }
    /// The value.
    GetKVConfigResponseHeader {
        value: Option<Str>,
    }
    /// Deletes a value (code 102).
    DeleteKVConfigRequestHeader {
        namespace: Str = "",
        key: Str = "",
    }
    /// Asks for all values of a namespace (code 219).
    GetKVListByNamespaceRequestHeader {
        namespace: Str = "",
    }
    /// Takes the write permission of a broker's topics (code 205).
    WipeWritePermOfBrokerRequestHeader {
        broker_name: Str = "",
    }
    /// How many topics changed.
    WipeWritePermOfBrokerResponseHeader {
        wipe_topic_count: i32,
    }
    /// Gives it back (code 327).
    AddWritePermOfBrokerRequestHeader {
        broker_name: Str = "",
    }
    /// How many topics changed.
    AddWritePermOfBrokerResponseHeader {
        add_topic_count: i32,
    }
    /// Declared by Java and sent by nobody.
    RegisterOrderTopicRequestHeader {
        topic: Str,
        order_topic_string: Str,
    }
}
