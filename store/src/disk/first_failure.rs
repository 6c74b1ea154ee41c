//! The first sync that failed stands for all who sync the same thing after it: the system tells of
//! a failed writeback once for each descriptor, and who shares that and asks next hears that all is
//! well.

use parking_lot::Mutex;
use rustix::io::Errno;
use std::io;

/// Whether a sync of this file, or file system, failed: the error of the system.
#[derive(Default)]
pub(super) struct FirstFailure(Mutex<Option<i32>>);

impl FirstFailure {
    /// Syncs, unless that failed before. One at a time: the error that one caller is told concerns
    /// what another has written, who must not be done before it is noted.
    pub(super) fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut failed = self.0.lock();
        if let Some(errno) = *failed {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let unknown = Errno::IO.raw_os_error();
        sync().inspect_err(|error| *failed = Some(error.raw_os_error().unwrap_or(unknown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn an_error_that_one_is_told_reaches_all_who_share_the_descriptor() {
        let (shared, space) = (FirstFailure::default(), Errno::NOSPC.raw_os_error());
        shared.sync(|| Ok(())).unwrap();
        // As the system does it: one is told, the others hear that all is well.
        let (mut first, mut meanwhile) = (None, None);
        thread::scope(|threads| {
            let mut other = None;
            first = shared
                .sync(|| {
                    other = Some(threads.spawn(|| shared.sync(|| Ok(()))));
                    Err(io::Error::from_raw_os_error(space))
                })
                .err();
            meanwhile = other.unwrap().join().unwrap().err();
        });
        let later = shared.sync(|| Ok(())).err();
        for error in [first, meanwhile, later] {
            assert_eq!(error.and_then(|error| error.raw_os_error()), Some(space));
        }
    }
}
