//! What the kernel says about the process under test.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time and memory of one process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time since the start; the kernel counts in ticks of 10 ms.
    pub(crate) processor: Duration,
    /// Anonymous resident memory, KiB (RssAnon).
    pub(crate) anonymous_kib: u64,
    /// All resident memory, mapped files too, KiB (VmRSS).
    pub(crate) resident_kib: u64,
}

impl Usage {
    /// Reads `/proc/PID/stat` and `/proc/PID/status`.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("read {path}"))
        };
        let ticks_a_second = rustix::param::clock_ticks_per_second();
        let ticks = processor_ticks(&read("stat")?).context("/proc/PID/stat: no times in it")?;
        let status = read("status")?;
        Ok(Self {
            processor: Duration::from_nanos(ticks * (1_000_000_000 / ticks_a_second)),
            anonymous_kib: kib(&status, "RssAnon:"),
            resident_kib: kib(&status, "VmRSS:"),
        })
    }
}

/// Fields 14 and 15, counted behind the name, which may hold spaces and brackets.
fn processor_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 120 35 0 0 20 0 1 0 99 0";
        assert_eq!(processor_ticks(stat), Some(155));
        assert_eq!(processor_ticks("7 (a) S 1"), None);
        assert_eq!(kib("VmRSS:\t  12 kB\nRssAnon:\t   8 kB\n", "RssAnon:"), 8);
        let own = Usage::of(std::process::id()).unwrap();
        assert!(own.resident_kib >= own.anonymous_kib && own.anonymous_kib > 0);
    }
}
