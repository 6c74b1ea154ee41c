//! What the disk does not give for the moment: it is tried again and nothing is passed over, so
//! whatever stands behind it waits. An operator reads here what waits, and where.

use store::Store;

/// How long it lasts before it is told, ms.
const LASTS_MS: i64 = 1_000;
/// How often it is told while it lasts, ms.
const AGAIN_MS: i64 = 60_000;

/// Where the message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The topic that it waits in.
    pub topic: &'a str,
    /// The queue.
    pub queue_id: i32,
    /// Its queue offset, where that is known.
    pub offset: Option<i64>,
    /// Where it is in the commit log, where that is known.
    pub log_offset: Option<i64>,
}

impl<'a> Place<'a> {
    /// A place of a queue.
    pub fn of(store: &Store, topic: &'a str, queue_id: i32, offset: i64) -> Self {
        let log_offset = store.unit(topic, queue_id, offset).map(|unit| unit.log_offset);
        Self { topic, queue_id, offset: Some(offset), log_offset }
    }
}

/// Something that is read in order, and what of it cannot be read.
#[derive(Debug, Default)]
pub struct Unread {
    /// Its place, since when, and when that was told.
    now: Option<(i64, i64, Option<i64>)>,
}

impl Unread {
    /// It was read, up to this place, if there is one where the read failed and may succeed the
    /// next time. Says whether that is told.
    pub fn note(&mut self, what: &str, fails_at: Option<Place<'_>>, now_ms: i64) -> bool {
        let Some(at) = fails_at else {
            if let Some((place, _, Some(_))) = self.now.take() {
                tracing::warn!(place, "{what}: the message can be read again, they go on");
            }
            return false;
        };
        let place = at.offset.or(at.log_offset).unwrap_or(-1);
        let told = self.now.and_then(|(_, _, told)| told);
        let same = self.now.filter(|(before, _, _)| *before == place);
        let since = same.map_or(now_ms, |(_, since, _)| since.min(now_ms));
        let is_due = told.is_none_or(|told| !(0..AGAIN_MS).contains(&(now_ms - told)));
        let is_told = is_due && now_ms - since >= LASTS_MS;
        self.now = Some((place, since, if is_told { Some(now_ms) } else { told }));
        if is_told {
            let Place { topic, queue_id, offset, log_offset } = at;
            let seconds = (now_ms - since) / 1_000;
            tracing::error!(
                topic,
                queue_id,
                offset,
                log_offset,
                seconds,
                "{what}: the disk does not give the message at this place, and what stands behind \
                 it waits. It is tried again all the time, and nothing is lost. Look into the \
                 system's log for errors of the disk or the file system, and whether memory or \
                 open files are short"
            );
        }
        is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_now_and_then() {
        let mut unread = Unread::default();
        let mut fails = |offset, now_ms| {
            let at = Place { topic: "T", offset: Some(offset), ..Place::default() };
            unread.note("they", Some(at), now_ms)
        };
        assert!(!fails(7, 0) && !fails(7, LASTS_MS - 1) && fails(7, LASTS_MS));
        assert!(!fails(7, LASTS_MS + AGAIN_MS - 1) && fails(7, LASTS_MS + AGAIN_MS));
        assert!(!fails(8, LASTS_MS + 2 * AGAIN_MS), "that is another one");
        assert!(!unread.note("they", None, 0));
        assert!(unread.now.is_none());
    }
}
