//! What only the machine knows and Java takes for a default: home directory, host name, address.
//!
//! Found out by the shell, which may look; applied here, where nothing may.

use crate::broker::Broker;
use crate::namesrv::Namesrv;
use crate::net::Net;
use crate::store::Store;

/// Port of a broker when its file does not say (Java: `BrokerStartup`).
pub const BROKER_PORT: u16 = 10_911;
/// Port of a name server when its file does not say (Java: `NamesrvStartup`).
pub const NAMESRV_PORT: u16 = 9_876;

/// Keys whose default Java takes from the machine, with what documentation says instead.
pub(crate) const FROM_MACHINE: &[(&str, &str)] = &[
    ("brokerName", "(host name)"),
    ("brokerIP1", "(local address)"),
    ("brokerIP2", "(local address)"),
    ("storePathRootDir", "$HOME/store"),
    ("kvConfigPath", "$HOME/namesrv/kvConfig.json"),
    ("configStorePath", "$HOME/namesrv/namesrv.properties"),
];

/// The defaults that come from the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Home directory of the user (Java: `user.home`).
    pub home: String,
    /// Name of the host.
    pub host_name: String,
    /// First address that is not a loopback (Java: `NetworkUtil.getLocalAddress`).
    pub local_address: String,
}

impl Machine {
    pub(crate) fn fill_broker(&self, broker: &mut Broker, store: &mut Store, net: &mut Net) {
        broker.broker_name.clone_from(&self.host_name);
        if broker.broker_name.is_empty() {
            "DEFAULT_BROKER".clone_into(&mut broker.broker_name);
        }
        broker.broker_ip1.clone_from(&self.local_address);
        broker.broker_ip2.clone_from(&self.local_address);
        store.store_path_root_dir = format!("{}/store", self.home);
        // Java overrides the table's 10912 by 0, "listen port + 1", before it reads the file.
        store.ha_listen_port = 0;
        net.listen_port = BROKER_PORT.into();
    }

    pub(crate) fn fill_namesrv(&self, namesrv: &mut Namesrv, net: &mut Net) {
        namesrv.kv_config_path = format!("{}/namesrv/kvConfig.json", self.home);
        namesrv.config_store_path = format!("{}/namesrv/namesrv.properties", self.home);
        net.listen_port = NAMESRV_PORT.into();
    }
}
