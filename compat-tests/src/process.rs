//! A child process that ends when its owner lets go of it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A command that also ends when this program dies without saying so (`setpriv` from util-linux
/// asks the kernel for that; without it the command runs plainly).
#[must_use]
pub fn tied(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A running child; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts it with its output in `log`, which is appended to.
    ///
    /// # Errors
    /// The program is missing or the log cannot be written.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Takes over a child that was started elsewhere.
    #[must_use]
    pub fn adopt(name: &str, child: Child) -> Self {
        Self { name: name.to_owned(), child }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It ended: the error says how.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on for longer than `patience`.
    pub fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} did not end within {} s", self.name, patience.as_secs())
    }

    /// SIGTERM, then waits for a clean end.
    ///
    /// # Errors
    /// It does not end within `patience` (then it is killed), or not with exit code 0 or by the
    /// signal itself (Java tells 143).
    pub fn stop(mut self, patience: Duration) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a child has a process id")?, Signal::TERM)?;
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return match status.code() {
                    Some(0 | 143) => Ok(()),
                    _ => bail!("{} stopped with {status}", self.name),
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} did not stop within {} s of SIGTERM", self.name, patience.as_secs())
    }

    /// SIGKILL, as by a crash.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
