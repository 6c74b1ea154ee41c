//! Log files that are removed before they expired, because room was needed: told once for each
//! round, so that nobody who looks for a message has to guess.

use crate::full::Bound;
use crate::segments::Segment;
use message::ids::Civil;

/// What one round took.
#[derive(Debug, Default)]
pub(crate) struct Early {
    files: usize,
    /// Log offsets, from and to.
    range: Option<(i64, i64)>,
    setting: &'static str,
}

impl Early {
    /// Notes a file that goes because of a setting.
    pub(crate) fn note(&mut self, file: &Segment, setting: &'static str) {
        let from = self.range.map_or(file.start, |(from, _)| from);
        self.range = Some((from, file.end()));
        self.files += 1;
        self.setting = setting;
    }

    /// Says what went; the oldest message that is left was stored at `left_from`, ms since the
    /// epoch.
    pub(crate) fn tell(&self, left_from: Option<i64>) {
        let Some((from, to)) = self.range else { return };
        let (files, setting, bytes) = (self.files, self.setting, to - from);
        let before = left_from.map_or_else(|| "unknown".into(), utc);
        let is_by_ratio = setting == RATIO;
        let why = if is_by_ratio { "that had not expired" } else { "whatever their age" };
        let words = format!(
            "log files {why} were removed to make room ({setting}, cleanFileForciblyEnable): \
             {files} files of {bytes} bytes, offsets {from} to {to}, stored before {before}: \
             messages in them that nobody consumed are gone"
        );
        // An absolute bound was set to be kept so.
        match is_by_ratio {
            true => tracing::error!("{words}. Make room, else the next ones follow"),
            false => tracing::warn!("{words}"),
        }
    }
}

/// The setting that lets files go whatever their age because the disk is full.
pub(crate) const RATIO: &str = "diskSpaceCleanForciblyRatio";

/// The setting behind an absolute bound.
pub(crate) fn setting_of(bound: Bound) -> &'static str {
    match bound {
        Bound::FreeBytes { .. } => "diskFreeBytesMin",
        _ => "storeBytesMax",
    }
}

/// Ms since the epoch as a person reads it.
fn utc(ms: i64) -> String {
    let Civil { date: (year, month, day), time: (hours, minutes, seconds, _) } = Civil::of(ms);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(1_795_256_090_443), "2026-11-21 10:14:50 UTC");
    }
}
