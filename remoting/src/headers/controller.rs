//! Headers of the controller, which elects primaries. Those without `Header` in their name are
//! never sent by a client: Java's raft log holds them.

use message::Str;

crate::headers! {
    /// Changes the in-sync set (code 1001); `invokeTime` is the sender's clock, ms.
    AlterSyncStateSetRequestHeader {
        broker_name: Option<Str>,
        master_broker_id: Option<i64>,
        master_epoch: Option<i32>,
        invoke_time: Option<i64>,
    }
    /// The epoch of the new set.
    AlterSyncStateSetResponseHeader {
        new_sync_state_set_epoch: i32 = 0,
    }
    /// Asks for an election (code 1002); `invokeTime` is the sender's clock, ms.
    ElectMasterRequestHeader {
        cluster_name: Str = "",
        broker_name: Str = "",
        broker_id: i64 = -1,
        designate_elect: bool = false,
        invoke_time: Option<i64>,
    }
    /// Who was elected.
    ElectMasterResponseHeader {
        master_broker_id: Option<i64>,
        master_address: Option<Str>,
        master_epoch: Option<i32>,
        sync_state_set_epoch: Option<i32>,
    }
    /// Announces a broker that has its id (code 1003).
    RegisterBrokerToControllerRequestHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        broker_id: Option<i64>,
        broker_address: Option<Str>,
        invoke_time: i64 = 0,
    }
    /// Who is primary.
    RegisterBrokerToControllerResponseHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        master_broker_id: Option<i64>,
        master_address: Option<Str>,
        master_epoch: Option<i32>,
        sync_state_set_epoch: Option<i32>,
    }
    /// Asks for the primary and the in-sync set (code 1004).
    GetReplicaInfoRequestHeader {
        broker_name: Option<Str>,
    }
    /// The primary; the set is in the body.
    GetReplicaInfoResponseHeader {
        master_broker_id: Option<i64>,
        master_address: Option<Str>,
        master_epoch: Option<i32>,
    }
    /// Who leads the controllers (code 1005).
    GetMetaDataResponseHeader {
        group: Option<Str>,
        controller_leader_id: Option<Str>,
        controller_leader_address: Option<Str>,
        is_leader: bool = false,
        peers: Option<Str>,
    }
    /// Tells a broker its role (code 1008, controller to broker).
    NotifyBrokerRoleChangedRequestHeader {
        master_address: Option<Str>,
        master_epoch: Option<i32>,
        sync_state_set_epoch: Option<i32>,
        master_broker_id: Option<i64>,
    }
    /// Forgets brokers (code 1011); ids joined by semicolons, `invokeTime` the sender's clock, ms.
    CleanControllerBrokerDataRequestHeader {
        cluster_name: Option<Str>,
        broker_name: Str,
        broker_controller_ids_to_clean: Option<Str>,
        is_clean_living_broker: bool = false,
        invoke_time: Option<i64>,
    }
    /// Asks for a free broker id (code 1012).
    GetNextBrokerIdRequestHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
    }
    /// The free id.
    GetNextBrokerIdResponseHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        next_broker_id: Option<i64>,
    }
    /// Takes a broker id (code 1013).
    ApplyBrokerIdRequestHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        applied_broker_id: Option<i64>,
        register_check_code: Option<Str>,
    }
    /// Whose id it is.
    ApplyBrokerIdResponseHeader {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
    }
    /// A broker's connection was closed (raft entry 1014).
    BrokerCloseChannelRequest {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        broker_id: Option<i64>,
    }
    /// Empty.
    BrokerCloseChannelResponse {}
    /// Looks for brokers gone silent (raft entry 1015).
    CheckNotActiveBrokerRequest {
        check_time_millis: Option<i64>,
    }
    /// Empty.
    CheckNotActiveBrokerResponse {}
    /// Asks who is alive (raft entry 1016).
    GetBrokerLiveInfoRequest {
        cluster_name: Option<Str>,
        broker_name: Option<Str>,
        broker_id: Option<i64>,
    }
    /// Empty.
    GetBrokerLiveInfoResponse {}
    /// Asks for the in-sync sets (raft entry 1017).
    GetSyncStateDataRequest {
        invoke_time: Option<i64>,
    }
    /// A broker's heartbeat arrived (raft entry 1018).
    RaftBrokerHeartBeatEventRequest {
        cluster_name_identity_info: Option<Str>,
        broker_name_identity_info: Option<Str>,
        broker_id_identity_info: Option<i64>,
        broker_name: Option<Str>,
        broker_addr: Option<Str>,
        heartbeat_timeout_millis: Option<i64>,
        broker_id: Option<i64>,
        last_update_timestamp: Option<i64>,
        epoch: Option<i32>,
        max_offset: Option<i64>,
        confirm_offset: Option<i64>,
        election_priority: Option<i32>,
    }
    /// Empty.
    RaftBrokerHeartBeatEventResponse {}
}
