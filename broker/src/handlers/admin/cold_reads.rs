//! Codes 2001 to 2004: how much of old messages each group may read, and reading ahead. The limits
//! are kept while the broker runs and told; they hold nobody back, as in Java while
//! `coldDataFlowControlEnable` is off.

use super::{failed, invalid};
use crate::broker::Broker;
use crate::handlers::admin::config;
use message::Str;
use remoting::body::properties;
use remoting::reply::{Answer, Refusal};
use remoting::router::Call;
use serde::Serialize;
use settings::{BrokerSettings, Family};
use std::collections::BTreeMap;

/// How many groups can have a limit.
const MOST: usize = 65_536;
const READ_AHEAD: &str = "dataReadAheadEnable";

/// Java's table of limits; what was read within the last minute is not counted here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    runtime_table: BTreeMap<Str, Str>,
    config_table: BTreeMap<Str, i64>,
    cg_cold_read_threshold: i64,
    global_cold_read_threshold: i64,
    global_acc: i64,
}

/// Code 2001: limits of groups as `group=bytes` lines; those that are no numbers are passed over.
pub fn limit(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let lines = properties::read(&call.command.body).map_err(|error| failed(error.to_string()))?;
    let mut limits = broker.cold_limits.lock();
    for (group, bytes) in lines {
        let Ok(bytes) = bytes.parse() else { continue };
        if limits.len() >= MOST && !limits.contains_key(group.as_str()) {
            return Err(failed(format!("{MOST} groups have a limit, which is the most")));
        }
        limits.insert(group.into(), bytes);
    }
    Ok(Answer::success())
}

/// Code 2002: the group that the body names has no limit any more.
pub fn unlimit(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    broker.cold_limits.lock().remove(String::from_utf8_lossy(&call.command.body).as_ref());
    Ok(Answer::success())
}

/// Code 2003: all limits.
pub fn info(broker: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let values = broker.settings().values(BrokerSettings::LISTED);
    let bytes = |key: &str| values.get(key).and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok(super::json(&Info {
        runtime_table: BTreeMap::new(),
        config_table: broker.cold_limits.lock().clone(),
        cg_cold_read_threshold: bytes("cgColdReadThreshold"),
        global_cold_read_threshold: bytes("globalColdReadThreshold"),
        global_acc: 0,
    }))
}

/// Code 2004: whether the system reads the log ahead of readers: 0 as usual, 1 not. Only shown.
pub fn ahead(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    let mode = call.command.fields.get("READ_AHEAD_MODE").and_then(|mode| mode.parse().ok());
    let mode: i32 = mode.ok_or_else(|| failed("set commitlog readahead mode failed"))?;
    if !(0..=1).contains(&mode) {
        return Err(invalid("set commitlog readahead mode param value error"));
    }
    config::change(broker, &broker.operator.lock(), &[(READ_AHEAD, mode == 0)]);
    Ok(Answer::success().with_remark(format!("set commitlog readahead mode success, mode: {mode}")))
}
