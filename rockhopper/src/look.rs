//! `rockhopper store`: what a person asks of a store's files without a broker. Finds the directory
//! and the sizes of files, shows a bar while it takes long, and chooses table or JSON; what the
//! files mean is known to `store::look`.

mod bar;
mod dump;
mod tables;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use settings::BrokerSettings;
use store::OsDisk;
use store::look::Target;

use crate::cli::{self, Directory, Server};
use crate::{FAILED, WRONG_USAGE, config, tell};

/// Something is damaged.
const DAMAGED: u8 = FAILED;
/// The directory cannot be looked at.
const CANNOT_LOOK: u8 = WRONG_USAGE;

/// Runs one of the sub-commands.
pub(crate) fn run(look: &cli::Look) -> ExitCode {
    let done = match look {
        cli::Look::Inspect(directory) => inspect(directory),
        cli::Look::Verify(directory) => verify(directory),
        cli::Look::Preflight(preflight) => fly(preflight),
        cli::Look::Dump(dump) => dump::run(dump),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DAMAGED),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::from(CANNOT_LOOK)
        }
    }
}

fn inspect(directory: &Directory) -> anyhow::Result<bool> {
    let survey = looking(directory, |look| Ok(look.survey()?))?;
    show(directory.json, &survey, tables::survey)?;
    Ok(true)
}

fn verify(directory: &Directory) -> anyhow::Result<bool> {
    let checked = looking(directory, |look| Ok(look.check()?))?;
    show(directory.json, &checked, tables::checked)?;
    Ok(checked.sound)
}

fn fly(preflight: &cli::Preflight) -> anyhow::Result<bool> {
    let target = match preflight.to {
        cli::Target::Java55 => Target::Java55,
        cli::Target::Java53 => Target::Java53,
        cli::Target::Java49 => Target::Java49,
        cli::Target::Rockhopper => Target::Rockhopper,
    };
    let found = looking(&preflight.directory, |look| Ok(look.preflight(target)?))?;
    show(preflight.directory.json, &found, tables::preflight)?;
    Ok(found.safe)
}

/// Prints JSON or a table.
fn show<T: Serialize>(json: bool, value: &T, table: fn(&T) -> String) -> anyhow::Result<()> {
    let text = match json {
        true => serde_json::to_string_pretty(value)? + "\n",
        false => table(value),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Looks at the directory that was named.
fn looking<T>(
    directory: &Directory,
    work: impl FnOnce(&store::look::Look<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let settings = settings_of(directory)?;
    let bar = bar::Bar::new();
    let config = settings.root.join("config");
    let needed = broker::config_texts::needed(|name| config.join(name).is_file());
    let done = work(&store::look::Look {
        disk: &OsDisk,
        settings: &settings,
        parse: &broker::config_texts::check,
        needed: &needed,
        watch: &|progress| bar.tell(progress),
    });
    bar.end();
    done
}

/// The paths and sizes that count: those of the property file, else those of the files.
fn settings_of(directory: &Directory) -> anyhow::Result<store::Settings> {
    let server = Server {
        config_file: directory.config_file.clone(),
        namesrv_addr: None,
        print_all: false,
        print_important: false,
        set: directory.set.clone(),
    };
    let Ok(checked) = config::load::<BrokerSettings>(&server) else {
        bail!("the settings cannot be used; mend them, or name the directory alone")
    };
    let java = checked.settings.store;
    let size = |value: i32| u64::try_from(value).unwrap_or(0);
    let mut settings = store::Settings {
        root: java.store_path_root_dir.as_str().into(),
        commit_log_dir: Some(java.commit_log_dir().into()),
        commit_log_file_bytes: size(java.mapped_file_size_commit_log),
        consume_queue_file_bytes: java.consume_queue_segment_bytes(),
        batch_queue_file_bytes: size(java.mapper_file_size_batch_consume_queue),
        compaction_log_file_bytes: size(java.compaction_mapped_file_size),
        compaction_queue_file_bytes: size(java.compaction_cq_mapped_file_size),
        index_slots: u32::try_from(java.max_hash_slot_num).unwrap_or(1),
        index_entries: u32::try_from(java.max_index_num).unwrap_or(2),
        index: java.message_index_enable,
        delay_levels_ms: java.delay_levels_ms(),
        ..store::Settings::default()
    };
    if let Some(dir) = &directory.dir {
        (settings.root, settings.commit_log_dir) = (dir.clone(), None);
        // A broker's file that keeps the log elsewhere means this directory's broker.
        if directory.config_file.is_some() && java.store_path_commit_log.is_some() {
            settings.commit_log_dir = Some(java.commit_log_dir().into());
        }
    }
    is_directory(&settings.root)?;
    if directory.config_file.is_none() {
        let given = |key: &str| directory.set.iter().any(|pair| pair.starts_with(key));
        let (log, queue) = (settings.commit_log_file_bytes, settings.consume_queue_file_bytes);
        let batch = settings.batch_queue_file_bytes;
        store::look::sizes_of(&OsDisk, &mut settings)?;
        if given("mappedFileSizeCommitLog=") {
            settings.commit_log_file_bytes = log;
        }
        if given("mappedFileSizeConsumeQueue=") {
            settings.consume_queue_file_bytes = queue;
        }
        if given("mapperFileSizeBatchConsumeQueue=") {
            settings.batch_queue_file_bytes = batch;
        }
    }
    settings.check()?;
    Ok(settings)
}

fn is_directory(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let found = std::fs::metadata(path).with_context(|| {
        format!("{shown}: name the directory that storePathRootDir names, or -c broker.conf")
    })?;
    if !found.is_dir() {
        bail!("{shown}: a file, where the directory of a store was expected");
    }
    Ok(())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
