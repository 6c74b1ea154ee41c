//! The stock jars: fetched once by Maven, then taken from the cache; and the clients compiled
//! against them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::places::{Places, make};
use crate::say;

/// A release of the stock Java programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Client, tools and servers 5.5.0.
    V550,
    /// Servers 5.3.3.
    V533,
    /// Client, tools and store 4.9.8. Its broker and name server were never put into Maven Central:
    /// those of 4.9.7 run on it.
    V498,
}

impl Release {
    /// As Maven spells it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::V550 => "5.5.0",
            Self::V533 => "5.3.3",
            Self::V498 => "4.9.8",
        }
    }

    fn directory(self) -> String {
        match (self.version(), self.broker_version()) {
            (version, same) if version == same => format!("jars-{version}"),
            (version, broker) => format!("jars-{version}-with-{broker}"),
        }
    }

    /// The release of the modules that only servers have.
    fn broker_version(self) -> &'static str {
        if self == Self::V498 { "4.9.7" } else { self.version() }
    }
}

/// The directory with all jars of a release, fetched if need be.
///
/// # Errors
/// Maven is missing or cannot fetch them.
pub fn jars(places: &Places, release: Release) -> Result<PathBuf> {
    let version = release.version();
    let to = places.cache.join(release.directory());
    if to.is_dir() {
        return Ok(to);
    }
    say(&format!("fetching the jars of {version} with Maven (once)"));
    let part = places.cache.join(format!("jars-{version}.part-{}", std::process::id()));
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-ntp", "-f"]).arg(places.clients.join("java/pom.xml"));
    maven.arg(format!("-Drocketmq.version={version}"));
    maven.arg(format!("-Dbroker.version={}", release.broker_version()));
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", part.display()));
    run(&mut maven).context("cannot fetch the stock jars")?;
    match fs::rename(&part, &to) {
        Err(_) if to.is_dir() => fs::remove_dir_all(&part)?,
        other => other?,
    }
    Ok(to)
}

/// The directory with the Java client program compiled against a release.
///
/// # Errors
/// The jars or the compiler are missing, or the program does not compile.
pub fn java_client(places: &Places, release: Release) -> Result<PathBuf> {
    let version = release.version();
    let source = places.clients.join("java");
    let mut files = java_files(&source.join("src/compat"))?;
    files.extend(java_files(&source.join(format!("versions/{version}/compat")))?);
    let to = places.cache.join(format!("classes-{version}"));
    if newest(&files)? < changed(&to.join("compat/Main.class")) {
        return Ok(to);
    }
    make(&to)?;
    let mut compiler = Command::new("javac");
    compiler.args(["-nowarn", "-proc:none", "-cp"]);
    compiler.arg(class_path(&[&jars(places, release)?]));
    compiler.arg("-d").arg(&to).args(&files);
    run(&mut compiler).context("cannot compile the Java client")?;
    Ok(to)
}

/// A Java class path of directories, each with all its jars.
#[must_use]
pub fn class_path(directories: &[&Path]) -> String {
    let each = directories.iter().map(|path| format!("{0}:{0}/*", path.display()));
    each.collect::<Vec<_>>().join(":")
}

/// The Go client program, compiled.
///
/// # Errors
/// Go or a module is missing, or the program does not compile.
pub fn go_client(places: &Places) -> Result<PathBuf> {
    let to = places.cache.join("go-client");
    let mut go = Command::new("go");
    go.current_dir(places.clients.join("go")).args(["build", "-o"]).arg(&to).arg(".");
    run(&mut go).context("cannot build the Go client")?;
    Ok(to)
}

/// Runs a command to its end.
///
/// # Errors
/// It is missing or fails; the error holds the end of its output.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<&str> = text.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{program} failed with {}:\n{}", output.status, tail.join("\n"));
    }
    Ok(())
}

fn java_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("no Java source in {}", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    Ok(files)
}

fn newest(files: &[PathBuf]) -> Result<SystemTime> {
    files.iter().map(|file| changed(file)).max().context("no source files")
}

fn changed(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
