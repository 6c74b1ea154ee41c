//! All settings of one process: the tables that it reads, the keys it does not, and the texts that
//! getBrokerConfig, getNamesrvConfig, `-p` and `-m` show.
//!
//! Reading a file into it is in `check`.

use std::collections::BTreeMap;
use std::fmt;

use crate::broker::Broker;
use crate::check::Report;
use crate::diagnostic::nearest;
use crate::machine::Machine;
use crate::namesrv::Namesrv;
use crate::net::Net;
use crate::rules;
use crate::store::Store;
use crate::table::{Invalid, Row, Table};
use crate::unread::{self, BROKER_CLASSES, BROKER_LISTED, Class, NAMESRV_CLASSES, NAMESRV_LISTED};

/// Fields that Java marks as important, which is what `-m` prints (Java: `@ImportantField`).
const IMPORTANT: &str = "
    accessMessageInMemoryMaxRatio aclEnable allAckInSyncStateSet autoCreateSubscriptionGroup
    autoCreateTopicEnable brokerClusterName brokerIP1 brokerId brokerName brokerRole
    cleanFileForciblyEnable commitIntervalCommitLog deleteFileBatchMax deleteWhen
    disappearTimeAfterStart dispatchFromSenderThread enableAutoInSyncReplicas
    enableCleanExpiredOffset enableRunningFlagsInFlush fetchNameSrvAddrByDnsLookup
    fetchNamesrvAddrByAddressServer fileReservedTime flushCommitLogTimed flushDiskType
    flushIntervalCommitLog haFlowControlEnable haMasterAddress inSyncReplicas listenPort
    maxTransferBytesOnMessageInDisk maxTransferBytesOnMessageInMemory
    maxTransferCountOnMessageInDisk maxTransferCountOnMessageInMemory messageIndexEnable
    messageIndexSafe minInSyncReplicas msgTraceTopicName namesrvAddr recoverConcurrently
    rejectTransactionMessage storePathBrokerIdentity storePathCommitLog storePathDLedgerCommitLog
    storePathEpochFile storePathRootDir storeType totalReplicas traceTopicEnable
    transactionCheckInterval transactionCheckMax transactionTimeOut transientStorePoolEnable
    wakeCommitWhenPutMessage wakeFlushWhenPutMessage writeWithoutMmap";

/// Keys whose values are never shown, because they hold passwords.
const SECRET: [&str; 2] = ["initAuthenticationUser", "innerClientAuthenticationCredentials"];
/// What is shown instead.
const HIDDEN: &str = "******";

/// The most of a request's changes that one line of the log has, bytes.
const TOLD_BYTES: usize = 1_000;

/// Changes of settings for the log: without passwords, and no longer than a line may be.
#[must_use]
pub fn told<'a>(changes: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in changes {
        let value = if SECRET.contains(&key) { HIDDEN } else { value };
        text += if text.is_empty() { "" } else { ", " };
        text += &format!("{key}={value}");
        if text.len() > TOLD_BYTES {
            let end = (0..=TOLD_BYTES).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text += "...";
            break;
        }
    }
    text
}

/// Whether `-m` prints a key.
#[must_use]
pub fn is_important(key: &str) -> bool {
    IMPORTANT.split_ascii_whitespace().any(|important| important == key)
}

/// Every setting of a broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerSettings {
    /// Identity, topics, groups, registration.
    pub broker: Broker,
    /// The store.
    pub store: Store,
    /// The listening socket.
    pub net: Net,
    /// Keys set in the file that no code reads, unknown ones included.
    pub unread: BTreeMap<String, String>,
}

/// Every setting of a name server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamesrvSettings {
    /// Files, order topics, lists, expiry.
    pub namesrv: Namesrv,
    /// The listening socket.
    pub net: Net,
    /// Keys set in the file that no code reads, unknown ones included.
    pub unread: BTreeMap<String, String>,
}

/// The settings of one kind of process.
pub trait Family: Clone + Default {
    /// What the process is called in messages.
    const PROCESS: &'static str;
    /// The Java classes whose keys its file may set, unread ones.
    const UNREAD: &'static [&'static Class];
    /// Those of them that Java lists when it is asked over the wire.
    const LISTED: &'static [&'static Class];
    /// Its tables.
    fn tables(&self) -> Vec<&dyn Table>;
    /// Its tables, to be changed.
    fn tables_mut(&mut self) -> Vec<&mut dyn Table>;
    /// Keys of the file that no code reads.
    fn unread(&self) -> &BTreeMap<String, String>;
    /// Keys of the file that no code reads, to be changed.
    fn unread_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// Keys that the operator protects from changes while the process runs.
    fn black_list(&self) -> &str;
    /// Whether the operator protects a key.
    fn protects(&self, key: &str) -> bool {
        self.black_list().split(';').any(|listed| listed.trim() == key)
    }
    /// Takes the defaults that come from the machine.
    fn fill(&mut self, machine: &Machine);
    /// Checks what no single key can show: values that contradict each other, and those that ask
    /// for what this version does not do.
    fn rules(&mut self, report: &mut Report);
    /// Notes the file that was read, to which changes are written back.
    fn read_from(&mut self, file: &str);

    /// The defaults on one machine.
    #[must_use]
    fn on(machine: &Machine) -> Self {
        let mut settings = Self::default();
        settings.fill(machine);
        settings
    }

    /// Every key that the tables read.
    fn rows(&self) -> Vec<Row> {
        self.tables().iter().flat_map(|table| table.rows()).collect()
    }

    /// Every key that the tables read or some unread classes have, with its current value, sorted
    /// by key; Java's `null` left out.
    fn values(&self, classes: &'static [&'static Class]) -> BTreeMap<String, String> {
        let unread = unread::all(classes).filter_map(|found| {
            Some((found.unread.key.to_owned(), found.unread.default?.to_owned()))
        });
        let mut values: BTreeMap<String, String> = unread.collect();
        values.extend(self.unread().clone());
        let read = self.tables().into_iter().flat_map(Table::entries);
        values.extend(read.filter_map(|(key, value)| Some((key.to_owned(), value?))));
        for secret in SECRET {
            values.entry(secret.to_owned()).and_modify(|value| HIDDEN.clone_into(value));
        }
        values
    }

    /// Every key as `key=value` lines, sorted, as Java answers getBrokerConfig and
    /// getNamesrvConfig (Java: `Configuration.getAllConfigsFormatString`).
    fn to_properties_text(&self) -> String {
        lines(self.values(Self::LISTED).iter())
    }

    /// Every key there is as `key=value` lines, sorted, as `-p` prints them.
    fn to_printed_text(&self) -> String {
        lines(self.values(Self::UNREAD).iter())
    }

    /// The important keys as `key=value` lines, sorted.
    fn to_important_text(&self) -> String {
        lines(self.values(Self::UNREAD).iter().filter(|(key, _)| is_important(key)))
    }

    /// Changes one key while the process runs; says why it changes nothing but what is shown, if
    /// no code reads it.
    ///
    /// # Errors
    /// When the key is unknown, is not one that may change, or the value is not allowed; nothing
    /// changes then.
    fn update(&mut self, key: &str, value: &str) -> Result<Option<&'static str>, UpdateError> {
        let rows = self.rows();
        let Some(row) = rows.iter().find(|row| row.key == key) else {
            let Some(found) = unread::find(Self::UNREAD, key) else {
                let known = rows.iter().map(|row| row.key);
                let nearest =
                    nearest(key, known.chain(unread::all(Self::UNREAD).map(|f| f.unread.key)));
                return Err(UpdateError::Unknown { key: key.into(), nearest });
            };
            let reason = found.group.reason;
            if self.protects(key) {
                return Err(UpdateError::NotLive { key: key.into(), process: Self::PROCESS });
            }
            let value = found.canonical(value).map_err(UpdateError::Invalid)?;
            if found.stops_a_start(&value) {
                return Err(UpdateError::Refused { key: key.into(), value, reason });
            }
            self.unread_mut().insert(key.to_owned(), value);
            return Ok(Some(reason));
        };
        if !row.live || self.protects(key) {
            return Err(UpdateError::NotLive { key: key.into(), process: Self::PROCESS });
        }
        for table in self.tables_mut() {
            if table.set(key, value).map_err(UpdateError::Invalid)? {
                return Ok(None);
            }
        }
        unreachable!("the row of {key} came from one of the tables")
    }
}

fn lines<'a>(values: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    values.map(|(key, value)| format!("{key}={value}\n")).collect()
}

impl Family for BrokerSettings {
    const PROCESS: &'static str = "broker";
    const UNREAD: &'static [&'static Class] = BROKER_CLASSES;
    const LISTED: &'static [&'static Class] = BROKER_LISTED;
    fn tables(&self) -> Vec<&dyn Table> {
        vec![&self.broker, &self.store, &self.net]
    }
    fn tables_mut(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.broker, &mut self.store, &mut self.net]
    }
    fn unread(&self) -> &BTreeMap<String, String> {
        &self.unread
    }
    fn unread_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.unread
    }
    fn black_list(&self) -> &str {
        &self.broker.config_black_list
    }
    fn fill(&mut self, machine: &Machine) {
        machine.fill_broker(&mut self.broker, &mut self.store, &mut self.net);
    }
    fn rules(&mut self, report: &mut Report) {
        rules::broker(self, report);
    }
    fn read_from(&mut self, _: &str) {}
}

impl Family for NamesrvSettings {
    const PROCESS: &'static str = "name server";
    const UNREAD: &'static [&'static Class] = NAMESRV_CLASSES;
    const LISTED: &'static [&'static Class] = NAMESRV_LISTED;
    fn tables(&self) -> Vec<&dyn Table> {
        vec![&self.namesrv, &self.net]
    }
    fn tables_mut(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.namesrv, &mut self.net]
    }
    fn unread(&self) -> &BTreeMap<String, String> {
        &self.unread
    }
    fn unread_mut(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.unread
    }
    fn black_list(&self) -> &str {
        &self.namesrv.config_black_list
    }
    fn fill(&mut self, machine: &Machine) {
        machine.fill_namesrv(&mut self.namesrv, &mut self.net);
    }
    fn rules(&mut self, _: &mut Report) {}
    fn read_from(&mut self, file: &str) {
        file.clone_into(&mut self.namesrv.config_store_path);
    }
}

/// Why a key was not changed while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateError {
    /// No such key.
    Unknown {
        /// The key that was asked for.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The value asks for what this version does not do; no process would start with it.
    Refused {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// The key is read at start only, or the operator protects it.
    NotLive {
        /// The key.
        key: String,
        /// What would have to be started again.
        process: &'static str,
    },
    /// The value is not allowed.
    Invalid(Invalid),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, nearest: Some(nearest) } => {
                write!(f, "{key} is not a setting; did you mean {nearest}?")
            }
            Self::Unknown { key, nearest: None } => write!(f, "{key} is not a setting"),
            Self::Refused { key, value, reason } => {
                write!(f, "{key}={value} cannot be honoured: {reason}")
            }
            Self::NotLive { key, process } => write!(
                f,
                "{key} cannot be changed while the {process} runs; set it in the configuration \
                 file and start the {process} again"
            ),
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for UpdateError {}
