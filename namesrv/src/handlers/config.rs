//! Requests about the key-value configuration and about the settings of this process.

use super::Done;
use crate::state::{ConfigError, Namesrv};
use remoting::codes::ResponseCode;
use remoting::headers::namesrv::{
    DeleteKVConfigRequestHeader, GetKVConfigRequestHeader, GetKVConfigResponseHeader,
    GetKVListByNamespaceRequestHeader, PutKVConfigRequestHeader,
};
use remoting::json;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use settings::UpdateError;
use settings::properties::Properties;
use std::io;

/// Code 100.
pub(crate) fn put_kv(namesrv: &Namesrv, _: &Call<'_>, header: PutKVConfigRequestHeader) -> Done {
    let PutKVConfigRequestHeader { namespace, key, value } = header;
    let Some(value) = value else {
        // Java puts a null there, which is read and saved as none.
        return stored(namesrv.change_kv(|kv| kv.delete(&namespace, &key)));
    };
    tracing::info!(%namespace, %key, %value, "key-value configuration set");
    stored(namesrv.change_kv(|kv| kv.put(namespace, key, value)))
}

/// Code 102.
pub(crate) fn delete_kv(
    namesrv: &Namesrv,
    _: &Call<'_>,
    header: DeleteKVConfigRequestHeader,
) -> Done {
    tracing::info!(namespace = %header.namespace, key = %header.key,
        "key-value configuration deleted");
    stored(namesrv.change_kv(|kv| kv.delete(&header.namespace, &header.key)))
}

fn stored(result: io::Result<()>) -> Done {
    result.map(|()| Answer::success()).map_err(|error| {
        tracing::error!(%error, "the key-value configuration could not be written");
        let remark = format!("nothing was changed: {error}");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    })
}

/// Code 101.
pub(crate) fn kv(namesrv: &Namesrv, _: &Call<'_>, header: GetKVConfigRequestHeader) -> Done {
    let GetKVConfigRequestHeader { namespace, key } = header;
    let value = namesrv.kv(|kv| kv.value(&namespace, &key).cloned());
    if value.is_none() {
        let remark = format!("No config item, Namespace: {namespace} Key: {key}");
        return Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark));
    }
    Ok(Answer::header(&GetKVConfigResponseHeader { value }))
}

/// Code 219.
pub(crate) fn kv_namespace(
    namesrv: &Namesrv,
    _: &Call<'_>,
    header: GetKVListByNamespaceRequestHeader,
) -> Done {
    let Some(table) = namesrv.kv(|kv| kv.namespace(&header.namespace)) else {
        let remark = format!("No config item, Namespace: {}", header.namespace);
        return Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark));
    };
    Ok(Answer::body(json::to_body(&table)))
}

/// Code 318. Java takes any key that is not black-listed and passes over what it does not know;
/// here a change that cannot be made is refused, and then nothing changes at all.
pub(crate) fn update(namesrv: &Namesrv, call: &Call<'_>, (): ()) -> Done {
    let asked = Properties::parse(&call.command.body).unwrap_or_default();
    let asked = asked.effective();
    let shown = settings::told(asked.iter().map(|one| (&*one.key, &*one.value)));
    let (changes, by) = (shown.as_str(), call.peer.remote);
    let done = namesrv.change_settings(&call.command.body);
    done.inspect(|()| tracing::info!(changes, %by, "settings changed")).map_err(|error| {
        let code = match &error {
            ConfigError::Update(UpdateError::Invalid(_)) => ResponseCode::INVALID_PARAMETER,
            ConfigError::Protected | ConfigError::Update(_) => ResponseCode::NO_PERMISSION,
            ConfigError::Malformed(_) | ConfigError::Io(_) => ResponseCode::SYSTEM_ERROR,
        };
        tracing::warn!(changes, %error, %by, "settings were not changed");
        Refusal::new(code, error.to_string())
    })?;
    Ok(Answer::success())
}

/// Code 319.
pub(crate) fn all(namesrv: &Namesrv, _: &Call<'_>, (): ()) -> Done {
    Ok(Answer::body(namesrv.settings_text()))
}
