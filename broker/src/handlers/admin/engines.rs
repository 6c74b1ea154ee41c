//! What operators ask of engines that Java can have beside its files: queues, configuration, pops
//! and the timer in RocksDB. There is none here, and the answers are those of a stock broker that
//! has none either.

use super::{UNSET_REMARK, failed, invalid};
use crate::broker::{Broker, Outside};
use crate::handlers::admin::config;
use crate::put::Effect;
use remoting::body::stats::CheckRocksdbCqWriteResult;
use remoting::headers::admin::{
    CheckRocksdbCqWriteProgressRequestHeader, ExportRocksDBConfigToJsonRequestHeader,
};
use remoting::reply::{Answer, Refusal, Reply};
use remoting::router::Call;

/// Java's word for a comparison that goes on behind the answer.
const AT_WORK: i32 = 2;
/// What configuration can be written out, in any letters.
const EXPORTED: [&str; 3] = ["topics", "subscriptionGroups", "consumerOffsets"];

/// Code 354: whether queues in RocksDB are as those in files. Java writes the outcome to its log.
pub fn queues(
    _: &Broker,
    _: &Call<'_>,
    _: CheckRocksdbCqWriteProgressRequestHeader,
) -> Result<Answer, Refusal> {
    let told = CheckRocksdbCqWriteResult { check_result: None, check_status: AT_WORK };
    Ok(super::json(&told).with_remark(UNSET_REMARK))
}

/// Code 355: configuration as JSON files, which it is here at all times.
pub fn export(
    _: &Broker,
    _: &Call<'_>,
    header: ExportRocksDBConfigToJsonRequestHeader,
) -> Result<Answer, Refusal> {
    let is_known = |kind: &str| EXPORTED.iter().any(|known| known.eq_ignore_ascii_case(kind));
    // The stock tool puts a separator behind each, and none where it was asked for none.
    let mut kinds = header.config_type.split(';').filter(|kind| !kind.is_empty());
    match kinds.find(|kind| !is_known(kind.trim())) {
        Some(kind) => Err(failed(format!("Unknown config type: {kind}"))),
        None => Ok(Answer::success().with_remark("export done.")),
    }
}

/// Code 200056: pops that are kept in RocksDB go back to the revive log, where ours are.
pub fn pops_back(_: &Broker, _: &Call<'_>, (): ()) -> Result<Answer, Refusal> {
    Ok(Answer::success().with_remark(UNSET_REMARK))
}

/// Code 5001: which engine the timer has: `F` files, `R` RocksDB.
pub fn timer(broker: &Broker, call: &Call<'_>, (): ()) -> Result<Reply<Effect>, Refusal> {
    if !broker.settings().store.timer_wheel_enable {
        return Err(invalid("broker timerWheelEnable is false"));
    }
    match call.command.fields.get("E_T") {
        Some("F") => {}
        Some("R") => {
            return Err(invalid("timerRocksDBEnable must be configured true when broker start"));
        }
        _ => return Err(invalid("param error")),
    }
    let wanted = [("timerRocksDBStopScan", true), ("timerStopEnqueue", false)];
    let alone = broker.operator.lock();
    let changes = config::change(broker, &alone, &wanted);
    broker.settings_version.lock().advance(0, call.now_ms);
    let answer = Answer::success().with_remark("switch timer engine success");
    broker.outside(Outside::SaveSettings { changes, asker: call.later(), answer });
    Ok(Reply::Later)
}
