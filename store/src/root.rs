//! The directory of the store itself, before anything in it is asked for: what is wrong with it is
//! said by the setting that names it.

use crate::{Disk, Error};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The setting.
const NAME: &str = "storePathRootDir";

/// Refuses a start on what is no directory, or may not be read.
///
/// # Errors
/// What it is instead, and the way out.
pub fn check(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    disk.list(root).map(drop).map_err(|error| refused(root, error, "list", root))
}

/// Why `op` on a file of the root failed, by what is wrong with the root where that is the reason.
pub(crate) fn refused(root: &Path, error: io::Error, op: &'static str, file: &Path) -> Error {
    let why = match error.kind() {
        ErrorKind::NotADirectory => {
            "is a file, or lies below one: name a directory, or move the file away".to_owned()
        }
        ErrorKind::PermissionDenied if file == root => {
            "may not be read: start the broker as the user whom the store belongs to, or let its \
             user read and write there (chown -R, chmod)"
                .to_owned()
        }
        ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem => {
            format!("cannot be made ({error}): make it, mount what it lies on, or name another one")
        }
        _ => return Error::io(op, file)(error),
    };
    Error::Setting { name: NAME, why: format!("{} {why}", root.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_root_is_said_by_its_setting() {
        let root = Path::new("/data/store");
        let said = |kind: ErrorKind, file: &str| {
            refused(root, kind.into(), "lock", Path::new(file)).to_string()
        };
        let lock = "/data/store/lock";
        for (text, begin) in [
            (said(ErrorKind::NotADirectory, lock), "storePathRootDir: /data/store is a file"),
            (said(ErrorKind::NotFound, lock), "storePathRootDir: /data/store cannot be made"),
            (
                said(ErrorKind::PermissionDenied, "/data/store"),
                "storePathRootDir: /data/store may not be read",
            ),
            (said(ErrorKind::PermissionDenied, lock), "lock /data/store/lock: permission denied"),
        ] {
            assert!(text.starts_with(begin), "{text}");
        }
    }
}
