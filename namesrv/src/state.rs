//! The state of one name server, shared by all connections: routes, key-value configuration,
//! settings. Changes that must survive a restart are on the disk before anyone sees them.

use crate::files;
use crate::kv::Kv;
use crate::routes::{Notice, Policy, Routes};
use parking_lot::{Mutex, RwLock};
use remoting::peer::Peer;
use settings::properties::Properties;
use settings::{Family, NamesrvSettings, UpdateError};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Keys that nobody may change from outside, whatever the operator's own list says (Java:
/// `DefaultRequestProcessor.initConfigBlackList`).
const PROTECTED: &[&str] = &["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

/// One name server.
#[derive(Debug)]
pub(crate) struct Namesrv {
    /// Where topics are.
    pub(crate) routes: RwLock<Routes>,
    /// The key-value configuration; it changes through [`Self::change_kv`] only.
    kv: RwLock<Kv>,
    settings: RwLock<NamesrvSettings>,
    /// Held while a file is written: files show changes in the order in which they were made.
    writing: Mutex<()>,
    /// The connections that brokers spoke over, to be closed when such a broker falls silent.
    speakers: Mutex<HashMap<u64, Arc<Peer>>>,
    started_ms: i64,
}

/// Why settings were not changed.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// A key that may never be changed from outside.
    Protected,
    /// The text is no property file.
    Malformed(String),
    /// One of the changes is not possible.
    Update(UpdateError),
    /// The file could not be written.
    Io(io::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => f.write_str("Can not update config in black list."),
            Self::Malformed(why) => f.write_str(why),
            Self::Update(error) => error.fmt(f),
            Self::Io(error) => write!(f, "nothing was changed: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Namesrv {
    /// A name server that knows no broker yet. Reads the file of the key-value configuration.
    ///
    /// # Errors
    /// When that file can't be read, or neither it nor its `.bak` is what it should be: to start
    /// without it would lose it at the next change.
    pub(crate) fn open(settings: NamesrvSettings, now: i64) -> io::Result<Self> {
        let kv = read_kv(&settings.namesrv.kv_config_path)?;
        Ok(Self {
            routes: RwLock::default(),
            kv: RwLock::new(kv),
            settings: RwLock::new(settings),
            writing: Mutex::default(),
            speakers: Mutex::default(),
            started_ms: now,
        })
    }

    /// Looks something up in the settings.
    pub(crate) fn settings<T>(&self, look: impl FnOnce(&settings::Namesrv) -> T) -> T {
        look(&self.settings.read().namesrv)
    }

    /// All settings as properties text.
    pub(crate) fn settings_text(&self) -> String {
        self.settings.read().to_properties_text()
    }

    /// What the settings say about the route table.
    pub(crate) fn policy(&self) -> Policy {
        self.settings(|settings| settings.into())
    }

    /// Whether clients must wait for routes still: right after the start, where the operator wants
    /// brokers to register first.
    pub(crate) fn is_warming_up(&self, now: i64) -> bool {
        self.settings(|settings| {
            let wait_ms = i64::from(settings.wait_seconds_for_service) * 1000;
            settings.need_wait_for_service && now - self.started_ms < wait_ms
        })
    }

    /// Looks something up in the key-value configuration.
    pub(crate) fn kv<T>(&self, look: impl FnOnce(&Kv) -> T) -> T {
        look(&self.kv.read())
    }

    /// Changes the key-value configuration, first in its file. Waits for the disk.
    ///
    /// # Errors
    /// When the file can't be written; nothing changes then.
    pub(crate) fn change_kv(&self, change: impl FnOnce(&mut Kv)) -> io::Result<()> {
        let _writing = self.writing.lock();
        let mut changed = self.kv.read().clone();
        change(&mut changed);
        let path = self.settings(|settings| settings.kv_config_path.clone());
        files::replace(&path, &changed.to_text())?;
        *self.kv.write() = changed;
        Ok(())
    }

    /// Changes settings, all or none, first in the configuration file. Waits for the disk.
    ///
    /// # Errors
    /// When a key may not be changed, a value is not allowed, or the file can't be written.
    pub(crate) fn change_settings(&self, text: &[u8]) -> Result<(), ConfigError> {
        let malformed =
            |path: &str, why: &dyn fmt::Display| ConfigError::Malformed(format!("{path}, {why}"));
        let asked = Properties::parse(text).map_err(|why| malformed("the request", &why))?;
        let changes: Vec<(&str, &str)> =
            asked.effective().iter().map(|one| (&*one.key, &*one.value)).collect();
        let _writing = self.writing.lock();
        let mut changed = self.settings.read().clone();
        let listed = changed.namesrv.config_black_list.clone();
        let is_protected =
            |key: &str| PROTECTED.contains(&key) || listed.split(';').any(|one| one.trim() == key);
        if changes.iter().any(|(key, _)| is_protected(key)) {
            return Err(ConfigError::Protected);
        }
        for (key, value) in &changes {
            if let Some(reason) = changed.update(key, value).map_err(ConfigError::Update)? {
                let change = settings::told([(*key, *value)]);
                tracing::warn!(change, reason, "a changed setting has no effect");
            }
        }
        let path = &changed.namesrv.config_store_path;
        let old = files::read(path).map_err(ConfigError::Io)?.unwrap_or_default();
        let old = Properties::parse(&old).map_err(|why| malformed(path, &why))?;
        files::replace(path, &old.with(&changes)).map_err(ConfigError::Io)?;
        *self.settings.write() = changed;
        Ok(())
    }

    /// Remembers a connection that a broker speaks over.
    pub(crate) fn heard(&self, peer: &Arc<Peer>) {
        self.speakers.lock().insert(peer.id, Arc::clone(peer));
    }

    /// A connection ended; gives what brokers must be told.
    pub(crate) fn closed(&self, peer: &Peer) -> Vec<Notice> {
        // Clients never speak for a broker, and there are many of them.
        if self.speakers.lock().remove(&peer.id).is_none() {
            return Vec::new();
        }
        let policy = self.policy();
        self.routes.write().connection_closed(peer.id, policy)
    }

    /// Takes out the brokers that fell silent, and closes their connections; gives what brokers
    /// must be told.
    pub(crate) fn expire(&self, now: i64) -> Vec<Notice> {
        let policy = self.policy();
        let expired = self.routes.write().expire(policy, now);
        let speakers = self.speakers.lock();
        for peer in expired.connections.iter().filter_map(|id| speakers.get(id)) {
            peer.close();
        }
        expired.notices
    }
}

/// The key-value configuration in its file, or in the `.bak` of a file that is damaged.
fn read_kv(path: &str) -> io::Result<Kv> {
    let Some(text) = files::read(path)? else { return Ok(Kv::default()) };
    let error = match Kv::from_text(&text) {
        Ok(kv) => return Ok(kv),
        Err(error) => error.to_string(),
    };
    let why = error.strip_prefix("the body is no Kv: ").unwrap_or(&error);
    let bak = files::bak(path);
    if let Some(kv) = files::read(&bak)?.and_then(|text| Kv::from_text(&text).ok()) {
        files::mend(path, &kv.to_text())?;
        tracing::error!(
            path,
            why,
            taken = bak,
            "the key-value configuration is damaged and is now .damaged; its .bak is taken, which \
             lacks the last change: set it again with `mqadmin updateKvConfig`"
        );
        return Ok(kv);
    }
    let why = format!(
        "{path}: expected {{\"configTable\":{{NAMESPACE:{{KEY:VALUE}}}}}}, in quotes: {why}; \
         {bak} is no such text either; mend one of them or move both away"
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}
