//! Replication and the controller: in-sync sets, epochs, and how replicas follow.

use std::collections::{BTreeMap, BTreeSet};

use message::Str;

use super::route::BrokerMemberGroup;

super::bodies! {
    /// The ids of the brokers that hold everything acknowledged (codes 1001, 1003, 1004, 1008).
    SyncStateSet {
        sync_state_set: BTreeSet<i64>,
        sync_state_set_epoch: i32,
    }
    /// The answer to an election (code 1002).
    ElectMasterResponseBody {
        broker_member_group: Option<BrokerMemberGroup>,
        sync_state_set: BTreeSet<i64>,
    }
    /// Replicas by broker name (code 1006).
    BrokerReplicasInfo {
        replicas_info_table: BTreeMap<Str, ReplicasInfo>,
    }
    /// The replicas of one name.
    ReplicasInfo {
        in_sync_replicas: Vec<ReplicaIdentity>,
        master_address: Option<Str>,
        master_broker_id: Option<i64>,
        master_epoch: i32,
        not_in_sync_replicas: Vec<ReplicaIdentity>,
        sync_state_set_epoch: i32,
    }
    /// One replica.
    ReplicaIdentity {
        alive: Option<bool>,
        broker_address: Option<Str>,
        broker_id: Option<i64>,
        broker_name: Option<Str>,
    }
    /// What a controller tells a broker's role by.
    RoleChangeNotifyEntry {
        broker_member_group: Option<BrokerMemberGroup>,
        master_address: Option<Str>,
        master_broker_id: Option<i64>,
        master_epoch: i32,
        sync_state_set: Option<BTreeSet<i64>>,
        sync_state_set_epoch: i32,
    }
    /// The epochs of a broker's log (code 1007).
    EpochEntryCache {
        broker_id: i64,
        broker_name: Str,
        cluster_name: Str,
        epoch_list: Vec<EpochEntry>,
        max_offset: i64,
    }
    /// Which log offsets were written in an epoch.
    EpochEntry {
        end_offset: i64 = i64::MAX,
        epoch: i32,
        start_offset: i64,
    }
    /// How replication runs (code 907).
    HARuntimeInfo {
        ha_client_runtime_info: HAClientRuntimeInfo,
        ha_connection_info: Vec<HAConnectionRuntimeInfo>,
        in_sync_slave_nums: i32,
        master: bool,
        master_commit_log_max_offset: i64,
    }
    /// As a replica sees it; times are ms since the epoch.
    HAClientRuntimeInfo {
        last_read_timestamp: i64,
        last_write_timestamp: i64,
        master_addr: Option<Str>,
        master_flush_offset: i64,
        max_offset: i64,
        transferred_byte_in_second: i64,
    }
    /// As a primary sees one replica.
    HAConnectionRuntimeInfo {
        addr: Option<Str>,
        diff: i64,
        in_sync: bool,
        slave_ack_offset: i64,
        transfer_from_where: i64,
        transferred_byte_in_second: i64,
    }
    /// What a broker tells a replica about its primary. The replica passes it on as a body.
    BrokerSyncInfo {
        master_address: Option<Str>,
        master_flush_offset: i64,
        master_ha_address: Option<Str>,
    }
}
