//! What a pop, one of lite topics and a notification have in common: how long their client lets
//! them wait, and what is asked of every pop. Not here: pulls, whose time begins when they come.

use crate::topics::PERM_READ;
use remoting::codes::ResponseCode;
use remoting::reply::Refusal;
use settings::BrokerSettings;

/// The longest that anything is held, whatever the client asks for, ms.
pub(super) const HOLD_LIMIT_MS: i64 = 600_000;
/// The most messages that one pop may ask for: a checkpoint has 32 bits.
const MESSAGES_MOST: i32 = 32;
/// A pop that comes this much after its time is not looked at, ms.
const LATE_MS: i64 = 500;
/// A poll is answered this much before its client gives up, ms.
const AHEAD_MS: i64 = 50;

/// What a pop is told that is not looked at; the remark goes on behind Java's first words.
pub(super) fn refusal(settings: &BrokerSettings, code: ResponseCode, remark: &str) -> Refusal {
    let here = &settings.broker.broker_ip1;
    Refusal::new(code, format!("the broker[{here}] pop message{remark}"))
}

/// Whether a pop of so many messages, of whatever topic, is looked at.
pub(super) fn check(
    settings: &BrokerSettings,
    poll: Poll,
    messages: i32,
    now_ms: i64,
) -> Result<(), Refusal> {
    let refuse = |code, remark: &str| Err(refusal(settings, code, remark));
    if poll.is_late(now_ms) {
        return refuse(ResponseCode::POLLING_TIMEOUT, " is timeout too much");
    }
    if settings.broker.broker_permission & PERM_READ == 0 {
        return refuse(ResponseCode::NO_PERMISSION, " is forbidden");
    }
    if messages > MESSAGES_MOST {
        let remark = format!("'s num is greater than {MESSAGES_MOST}");
        return refuse(ResponseCode::INVALID_PARAMETER, &remark);
    }
    Ok(())
}

/// When a poll began, in milliseconds since 1970; a client whose clock is ahead waits no longer
/// than it says.
pub(super) fn born_ms(told: i64, now_ms: i64) -> i64 {
    match told {
        0 => now_ms,
        born_ms => born_ms.min(now_ms),
    }
}

/// What a poll says of its time.
#[derive(Clone, Copy)]
pub(super) struct Poll {
    /// When it began, in milliseconds since 1970.
    pub(super) born_ms: i64,
    /// How long it may wait, ms.
    pub(super) poll_ms: i64,
}

impl Poll {
    /// When it is to be answered, in milliseconds since 1970.
    pub(super) fn deadline_ms(self) -> i64 {
        let poll_ms = self.poll_ms.clamp(0, HOLD_LIMIT_MS);
        self.born_ms.saturating_add(poll_ms).saturating_sub(AHEAD_MS)
    }

    /// Whether the client still waits.
    pub(super) fn may_wait(self, now_ms: i64) -> bool {
        self.poll_ms > 0 && now_ms <= self.deadline_ms()
    }

    /// Whether it comes so late that nobody looks at it.
    pub(super) fn is_late(self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.born_ms).saturating_sub(self.poll_ms) > LATE_MS
    }
}
