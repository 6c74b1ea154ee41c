//! The jobs: each drives one broker from one thread, within a bound of messages and of time, and
//! gives an [`Outcome`](crate::outcome::Outcome).

pub(crate) mod arrive;
pub(crate) mod pace;
pub(crate) mod pop;
pub(crate) mod pull;
mod rate;
pub(crate) mod send;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::process::Usage;

/// How long answers may stay out after the last request.
const GRACE: Duration = Duration::from_secs(10);

/// The broker under test.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) broker: SocketAddr,
    /// Its process, when its processor time and memory shall be told.
    pub(crate) pid: Option<u32>,
    /// Its directory, for jobs that drop files from memory.
    pub(crate) store: Option<PathBuf>,
}

impl Target {
    fn usage(&self) -> Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }
}

/// Milliseconds since 1970, for born times.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Nanoseconds since a job began.
fn since(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

/// The kernel may otherwise wake us 50 us late, which is as long as what we measure.
fn precise_timers() -> Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}
