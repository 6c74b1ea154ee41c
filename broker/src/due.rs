//! What is done every so often.

/// Whether so much time has passed since `last_ms`, or the clock was set back since then.
pub(crate) fn is_due(now_ms: i64, last_ms: i64, every_ms: i64) -> bool {
    !(0..every_ms).contains(&now_ms.saturating_sub(last_ms))
}
