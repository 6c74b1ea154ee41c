//! The two small files of a name server: read whole, replaced whole, so that a crash leaves the old
//! text or the new one. What stands in them is the business of [`crate::kv`] and of the settings.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The bytes of a file; `None` when there is no such file.
///
/// # Errors
/// When it is there and can't be read; the error names it.
pub(crate) fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(about(path, &error)),
    }
}

/// Puts `bytes` in the place of the file's, and makes its folder if need be. It is on the disk when
/// this returns; what was there before stays as `.bak`, as Java leaves it (`MixAll.string2File`).
///
/// # Errors
/// When it can't be written; the error names it, and the old bytes stay.
pub(crate) fn replace(path: &str, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, &bak(path))
}

/// Gives a damaged file other bytes; the damaged ones stay as `.damaged`, the `.bak` as it is.
///
/// # Errors
/// As with [`replace`].
pub(crate) fn mend(path: &str, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, &format!("{path}.damaged"))
}

fn put(path: &str, bytes: &[u8], old: &str) -> io::Result<()> {
    let write = || {
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        make_folders(folder)?;
        let new = format!("{path}.tmp");
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::copy(path, old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::rename(&new, path)?,
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| about(path, &error))
}

/// The path of what a file was before its last change.
pub(crate) fn bak(path: &str) -> String {
    format!("{path}.bak")
}

/// Makes a folder and those above it that are missing, each on the disk when this returns.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or_else(|| Path::new("."));
    make_folders(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    File::open(above)?.sync_all()
}

fn about(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}
