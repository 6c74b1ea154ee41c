//! A message that asks for a time of delivery of its own: whether it may, and where it waits (Java:
//! `HookUtils.transformTimerMessage`).

use crate::put;
use message::{Draft, Properties, Record, names, property};
use remoting::codes::ResponseCode;
use remoting::reply::Refusal;
use settings::{BrokerSettings, Store};
use std::num::ParseIntError;

/// What asks for a time; of several the first counts.
const WISHES: [&str; 3] =
    [property::TIMER_DELAY_SEC, property::TIMER_DELAY_MS, property::TIMER_DELIVER_MS];

/// Parks a message in the timer's topic until its time; one whose time is past stays as it is.
///
/// # Errors
/// Its time is none, or too far ahead, or there is no timer.
pub fn park(draft: &mut Draft, settings: &BrokerSettings, now_ms: i64) -> Result<(), Refusal> {
    let mut all = Properties::parse(&draft.properties);
    // It has been parked already.
    if *draft.topic == *names::TIMER_TOPIC || all.contains(property::TIMER_OUT_MS) {
        return Ok(());
    }
    let Some(deliver_ms) = wanted(&all, settings, now_ms)? else { return Ok(()) };
    all.set(property::TIMER_OUT_MS, out_ms(deliver_ms, settings.store.timer_slot_ms()).to_string());
    put::put_aside(draft, all, names::TIMER_TOPIC, 0);
    Ok(())
}

/// Whether a half message may ask for what it does, so that its commit will not be refused.
///
/// # Errors
/// The same as those of [`park`].
pub fn check_half(draft: &Draft, settings: &BrokerSettings, now_ms: i64) -> Result<(), Refusal> {
    wanted(&Properties::parse(&draft.properties), settings, now_ms).map(|_| ())
}

/// How long a message may wait, ms (Java: `timerMaxDelaySec`).
pub fn longest_ms(settings: &BrokerSettings) -> i64 {
    i64::from(settings.store.timer_max_delay_sec) * 1_000
}

/// The time to come that a message asks for, ms since the epoch.
fn wanted(
    all: &Properties,
    settings: &BrokerSettings,
    now_ms: i64,
) -> Result<Option<i64>, Refusal> {
    let Some(deliver_ms) = asked(|key| all.get(key), now_ms) else { return Ok(None) };
    if !settings.store.timer_wheel_enable {
        let remark = "accurate timer message is not enabled, timerWheelEnable is false";
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark));
    }
    let max_ms = longest_ms(settings);
    let illegal = || {
        let remark = format!(
            "timer message illegal, the delay time should not be bigger than the max delay \
             {max_ms}ms; or if set del msg, the delay time should be bigger than the current time"
        );
        Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark)
    };
    let deliver_ms = deliver_ms.map_err(|_| illegal())?;
    if deliver_ms <= now_ms {
        let deletes = all.contains(property::TIMER_DEL_UNIQKEY);
        return if deletes { Err(illegal()) } else { Ok(None) };
    }
    if deliver_ms.saturating_sub(now_ms) > max_ms {
        return Err(illegal());
    }
    Ok(Some(deliver_ms))
}

/// The time that the properties of a message ask for, ms since the epoch, where it came at another
/// one; an error where it is no number.
fn asked<'a>(
    property: impl Fn(&'static str) -> Option<&'a str>,
    came_ms: i64,
) -> Option<Result<i64, ParseIntError>> {
    let (key, text) = WISHES.into_iter().find_map(|key| Some((key, property(key)?)))?;
    Some(text.parse::<i64>().map(|number| match key {
        property::TIMER_DELAY_SEC => came_ms.saturating_add(number.saturating_mul(1_000)),
        property::TIMER_DELAY_MS => came_ms.saturating_add(number),
        _ => number,
    }))
}

/// The time that a parked message asks for, ms since the epoch, where its slot, which begins at
/// `out_ms`, may end before that: a broker with longer slots may have given it. A message that was
/// stored again before its time does not say any more when it came; how long its slot may be it
/// says by two times that were cut to slots, that one and the one when it was put into the last.
pub(super) fn due_ms(parked: &Record<'_>, out_ms: i64) -> Option<i64> {
    let latest_ms = out_ms.saturating_add(Store::timer_slot_ms_at(out_ms));
    let asked_ms = asked(|key| parked.property(key), parked.store_timestamp)?.ok()?;
    let is_exact = WISHES[..2].iter().all(|key| parked.property(key).is_none());
    if is_exact {
        return Some(asked_ms).filter(|asked_ms| *asked_ms <= latest_ms);
    }
    if parked.property(property::TIMER_ROLL_TIMES).is_none() {
        // It was stored a little later than it came.
        return Some(asked_ms.min(latest_ms));
    }
    let put_ms = parked.property(property::TIMER_ENQUEUE_MS)?.parse().ok()?;
    Some(latest_ms.min(out_ms.saturating_add(Store::timer_slot_ms_at(put_ms))))
}

/// The time when a message was put, as it is noted of one whose slot is `slot_ms` long or a little
/// longer: cut so that [`due_ms`] knows.
pub(super) fn put_ms(put_ms: i64, slot_ms: i64) -> i64 {
    put_ms - put_ms.rem_euclid(Store::timer_slot_ms_for(slot_ms))
}

/// The slot that ends at the time of delivery, or in which it lies: when that slot is over it is
/// delivered, so never early.
pub fn out_ms(deliver_ms: i64, slot_ms: i64) -> i64 {
    let into = deliver_ms.rem_euclid(slot_ms);
    deliver_ms - if into == 0 { slot_ms } else { into }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn sent(properties: &str) -> Draft {
        let host = "127.0.0.1:1".parse().unwrap();
        Draft {
            queue_id: 3,
            properties: Bytes::copy_from_slice(properties.as_bytes()),
            ..Draft::plain("T", 1, host)
        }
    }

    fn parked(properties: &str) -> Result<Draft, ResponseCode> {
        let mut draft = sent(properties);
        let parked = park(&mut draft, &BrokerSettings::default(), 10_200);
        parked.map(|()| draft).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_time_to_come_waits_in_the_slot_that_is_over_by_then() {
        for (asked, out) in [
            ("TIMER_DELIVER_MS\x0115500\x02", "15000"),
            ("TIMER_DELIVER_MS\x0115000\x02", "14000"),
            ("TIMER_DELIVER_MS\x0110201\x02", "10000"),
            ("TIMER_DELAY_MS\x0150\x02", "10000"),
            ("TIMER_DELIVER_MS\x0115000\x02TIMER_DELAY_SEC\x012\x02", "12000"),
            ("TIMER_DELAY_SEC\x01259200\x02", "259210000"),
        ] {
            let draft = parked(asked).unwrap();
            assert_eq!((&*draft.topic, draft.queue_id), (names::TIMER_TOPIC, 0));
            let all = Properties::parse(&draft.properties);
            assert_eq!(all.get(property::TIMER_OUT_MS), Some(out), "{asked}");
            assert_eq!(all.get(property::REAL_TOPIC), Some("T"));
            assert_eq!(all.get(property::REAL_QUEUE_ID), Some("3"));
        }
    }

    #[test]
    fn what_is_past_stays_and_what_cannot_be_is_refused() {
        for past in [
            "TIMER_DELIVER_MS\x0110200\x02",
            "TIMER_DELAY_MS\x010\x02",
            "TIMER_DELIVER_MS\x0150000\x02TIMER_DELAY_SEC\x01-1\x02",
            "TIMER_DELIVER_MS\x0150000\x02TIMER_OUT_MS\x01900\x02",
        ] {
            assert_eq!(parked(past), Ok(sent(past)));
        }
        for bad in [
            "TIMER_DELAY_SEC\x01259201\x02",
            "TIMER_DELAY_SEC\x019223372036854775807\x02",
            "TIMER_DELAY_MS\x01soon\x02",
            "TIMER_DELIVER_MS\x011\x02TIMER_DEL_UNIQKEY\x01k\x02",
        ] {
            assert_eq!(parked(bad), Err(ResponseCode::MESSAGE_ILLEGAL), "{bad}");
        }
        let mut settings = BrokerSettings::default();
        settings.store.timer_wheel_enable = false;
        let refused = park(&mut sent("TIMER_DELAY_MS\x010\x02"), &settings, 5).unwrap_err();
        assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
    }
}
