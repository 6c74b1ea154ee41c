//! The settings of a running broker: look at them, change those that can change.

use super::{failed, invalid};
use crate::broker::{Broker, Outside};
use crate::files;
use crate::opening::store_settings;
use crate::put::Effect;
use parking_lot::MutexGuard;
use remoting::body::properties;
use remoting::codes::ResponseCode;
use remoting::headers::admin::GetBrokerConfigResponseHeader;
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;
use settings::{Family, UpdateError};

/// Keys that Java refuses besides those of `configBlackList`.
const ALWAYS_REFUSED: [&str; 3] = ["brokerConfigPath", "rocketmqHome", "configBlackList"];
/// A change of this is a change of all topics, in the eyes of the name servers.
const PERMISSION: &str = "brokerPermission";

/// The most of a refusal that the log has: it may name a key of any length.
const REASON_CHARS: usize = 500;

/// Code 26: all settings, and the version of the changes.
pub fn all(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let version = *broker.settings_version.lock();
    let version = files::compact(&version);
    let header = GetBrokerConfigResponseHeader { version: version.into() };
    Ok(Answer::body(broker.settings().to_properties_text()).with_header(&header))
}

/// Code 25: changes settings, all of those that are given or none.
pub fn update(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    let changes =
        properties::read(&call.command.body).map_err(|error| failed(error.to_string()))?;
    if changes.is_empty() {
        return Ok(Reply::Answer(Answer::success()));
    }
    let _alone = broker.operator.lock();
    let shown = settings::told(changes.iter().map(|(key, value)| (&**key, &**value)));
    let by = call.peer.remote;
    let settings = changed(broker, &changes).inspect_err(|refusal| {
        let reason: String = refusal.remark.chars().take(REASON_CHARS).collect();
        tracing::warn!(changes = %shown, reason, %by, "settings were not changed");
    })?;
    tracing::info!(changes = %shown, %by, "settings changed");
    broker.set_settings(settings);
    broker.settings_version.lock().advance(0, call.now_ms);
    if changes.iter().any(|(key, _)| key == PERMISSION) {
        broker.topics.touch(call.now_ms);
        broker.topics_changed(None);
    }
    let (asker, answer) = (call.later(), Answer::success());
    broker.outside(Outside::SaveSettings { changes, asker, answer });
    Ok(Reply::Later)
}

/// The settings with changes, which the store has taken over then.
fn changed(
    broker: &Broker,
    changes: &[(String, String)],
) -> Result<settings::BrokerSettings, Refusal> {
    let mut settings = settings::BrokerSettings::clone(&broker.settings());
    for (key, value) in changes {
        if ALWAYS_REFUSED.contains(&key.as_str()) {
            return Err(forbidden(format!("Can not update config in black list. {key}")));
        }
        let idle = settings.update(key, value).map_err(|error| match error {
            UpdateError::Invalid(_) => invalid(format!("Can not update config. {error}")),
            other => forbidden(format!("Can not update config. {other}")),
        })?;
        if let Some(reason) = idle {
            let change = settings::told([(&**key, &**value)]);
            tracing::warn!(change, reason, "a changed setting has no effect");
        }
    }
    let opened = broker.store.settings();
    let tuned = store_settings(&settings, opened.memory_bytes, opened.utc_offset_ms);
    broker.store.retune(tuned).map_err(|error| invalid(error.to_string()))?;
    Ok(settings)
}

/// Changes settings that the store does not look at, at the word of another request, but for those
/// that the operator protects; gives the changes as texts.
pub(super) fn change(
    broker: &Broker,
    _alone: &MutexGuard<'_, ()>,
    wanted: &[(&str, bool)],
) -> Vec<(String, String)> {
    let mut settings = settings::BrokerSettings::clone(&broker.settings());
    let mut changes = Vec::new();
    for (key, value) in wanted {
        let value = value.to_string();
        match settings.update(key, &value) {
            Ok(_) => changes.push(((*key).to_owned(), value)),
            Err(error) => tracing::warn!(%error, "a setting stays as it was"),
        }
    }
    broker.set_settings(settings);
    changes
}

fn forbidden(remark: String) -> Refusal {
    Refusal::new(ResponseCode::NO_PERMISSION, remark)
}
