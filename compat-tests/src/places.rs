//! Where things lie: jars, compiled clients, and the scratch directory of one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// Directories of a run.
#[derive(Clone, Debug)]
pub struct Places {
    /// The source of the stock clients' programs.
    pub clients: PathBuf,
    /// Jars and compiled clients, kept from run to run.
    pub cache: PathBuf,
    /// Stores, configurations and logs of this run.
    pub scratch: PathBuf,
    /// The directory of the binaries under test.
    pub binaries: PathBuf,
}

impl Places {
    /// Finds the directories around the running program, which cargo put into `target/PROFILE`.
    ///
    /// # Errors
    /// The program does not lie where cargo puts it, or a directory cannot be made.
    pub fn around_this_program() -> Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        let binaries = program.parent().context("a program lies in a directory")?.to_path_buf();
        let target = binaries.parent().context("target/PROFILE has a parent")?;
        let cache = target.join("compat");
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let scratch =
            std::env::temp_dir().join(format!("compat-{}-{}", std::process::id(), since % 100_000));
        make(&cache)?;
        make(&scratch)?;
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        Ok(Self { clients, cache, scratch, binaries })
    }

    /// A fresh directory of this run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.scratch.join(name);
        make(&path)?;
        Ok(path)
    }
}

/// Makes a directory and those above it.
///
/// # Errors
/// The file system refuses.
pub fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}
