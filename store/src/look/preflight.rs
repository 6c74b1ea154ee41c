//! What a broker would do with a directory at its start, told before it is started there. Java's
//! rules are those of `DefaultMessageStore.load`, `MappedFileQueue.load`, `CommitLog`'s recoveries
//! and `IndexService.load`.

use super::check::{CHUNK, Checked, NO_MESSAGES};
use super::compacted_walk;
use super::files::{self, Run};
use super::log_walk::{LogWalk, Step};
use super::marks::Settled;
use super::queue_walk::{QueueWalk, ends, shape_of};
use super::{Damage, Kind, Look};
use crate::batch_topics;
use crate::checkpoint::{Fields, Mark};
use crate::compaction::DELETE;
use crate::consume_queue::EXTENSION_DIR;
use crate::disk::peek;
use crate::index_file::{HEADER, Header};
use crate::moved::moved;
use crate::segments::wrong_log_file;
use crate::{Error, config_journal, rocks};
use message::{names, sys_flag};
use serde::Serialize;
use std::collections::HashMap;

/// Files of the log that recovery in 5.5 goes back, at most (Java
/// `MessageStoreConfig.commitLogRecoverMaxNum`).
const JAVA_55_FILES: usize = 10;

/// A broker that may be started on the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Apache RocketMQ 4.9.
    Java49,
    /// Apache RocketMQ 5.3.
    Java53,
    /// Apache RocketMQ 5.5.
    Java55,
    /// This one.
    Rockhopper,
}

/// How bad it would be, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The broker does not start.
    Refuses,
    /// Messages, offsets or settings are gone for good.
    Loses,
    /// They stay on the disk, and this broker does not use them.
    Ignores,
    /// Something is made anew, which takes time.
    Rebuilds,
    /// Worth knowing.
    Notes,
}

/// One thing that the broker would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// How bad it is.
    pub effect: Effect,
    /// What it does, why, and the way out.
    pub what: String,
}

/// Everything that the broker would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// Whether it starts and loses nothing.
    pub safe: bool,
    /// The worst first.
    pub verdicts: Vec<Verdict>,
    /// What is damaged, as `verify` tells it.
    pub damage: Vec<Damage>,
}

/// Names in the root that only one side knows, with what becomes of them.
const FOREIGN: [(&str, &str); 2] = [
    ("epochFileCheckpoint", "epochs of controller mode"),
    ("tieredStore", "tiered storage: what is only there cannot be read"),
];

impl Look<'_> {
    /// What `target` would do with the directory.
    ///
    /// # Errors
    /// When the directory is no store or cannot be read.
    pub fn preflight(&self, target: Target) -> Result<Preflight, Error> {
        self.refuse_nothing()?;
        let run = Run::list(self.disk, &self.settings.commit_log_path())?;
        let mut told = Vec::new();
        let mut tell = |effect, what: String| told.push(Verdict { effect, what });
        let java = target != Target::Rockhopper;
        let cut_from = if java { self.java_start(target, &run)? } else { i64::MAX };
        let checked = self.check_cutting(cut_from, target == Target::Java49)?;
        self.sizes(target, &run, &mut tell)?;
        self.names(target, &run, &mut tell)?;
        self.compacted_for(target, &checked, &mut tell)?;
        if java {
            match self.gone_log(&run)? {
                Some(what) => tell(Effect::Loses, format!("{what}. It deletes the queues")),
                None => self.cuts(&checked, cut_from, &mut tell),
            }
            self.out_of_reach(cut_from, &run, &mut tell)?;
            self.java_index(&checked, &mut tell)?;
        } else {
            self.refused_by_ours(&run, &mut tell)?;
            ours(&checked, &mut tell);
        }
        if checked.is_empty() {
            tell(Effect::Notes, NO_MESSAGES.into());
        }
        self.foreign(target, &mut tell)?;
        self.configs_for(target, &checked, &mut tell)?;
        if checked.unclean {
            let what = "abort is there: the last broker was killed, or still runs; be sure that \
                        it does not. The start recovers as after a crash";
            tell(Effect::Notes, what.into());
        }
        told.sort_by_key(|verdict| verdict.effect);
        let bad = |verdict: &Verdict| verdict.effect <= Effect::Loses;
        Ok(Preflight { safe: !told.iter().any(bad), verdicts: told, damage: checked.damage })
    }

    /// Where Java's recovery begins to read the log: at the newest file whose first record is whole
    /// and old enough, else at the first one.
    fn java_start(&self, target: Target, run: &Run) -> Result<i64, Error> {
        let first = run.files.first().map_or(0, |file| file.start);
        let fields = self.checkpoint_fields()?;
        let settled = Settled::read(self, fields.as_ref())?;
        let clean = settled == Settled::All;
        if clean && target == Target::Java49 {
            let from = run.files.len().saturating_sub(3);
            return Ok(run.files.get(from).map_or(first, |file| file.start));
        }
        let safe_time = fields.as_ref().map_or(0, Fields::safe_time);
        let queues = files::queues(self.disk, &self.settings.root)?;
        let known_end = QueueWalk::new(self.disk, queues, self.settings)?.log_end()?;
        for (number, file) in run.files.iter().rev().enumerate() {
            let one = Run { dir: run.dir.clone(), files: vec![file.clone()], strangers: vec![] };
            let mut walk = LogWalk::new(self.disk, one, Vec::new(), 1 << 20);
            let is_record = walk.step()? == Step::Record;
            let record = walk.record().filter(|_| is_record);
            let stored = record.map_or(0, |record| record.store_timestamp);
            let early = if clean { file.start <= known_end } else { stored <= safe_time };
            let is_last_tried = target == Target::Java55 && number + 1 == JAVA_55_FILES;
            if stored != 0 && early || is_last_tried {
                return Ok(file.start);
            }
        }
        Ok(first)
    }

    /// Messages that stand before `from`, where Java begins to read, and that no queue has yet: the
    /// units of the last half second were in the memory of a broker that was killed.
    fn out_of_reach(
        &self,
        from: i64,
        run: &Run,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let fields = self.checkpoint_fields()?;
        let first = run.files.first().map_or(from, |file| file.start);
        let known = fields.as_ref().and_then(Fields::durable_to).unwrap_or(0).max(first);
        if known >= from || Settled::read(self, fields.as_ref())? == Settled::All {
            return Ok(());
        }
        let (removed, mut known_ends) = (self.removed_topics(), HashMap::new());
        let mut walk = LogWalk::new(self.disk, run.clone(), self.set_aside(), CHUNK);
        walk.jump(known);
        let mut lost = 0;
        while walk.at() < from {
            match walk.step()? {
                Step::End { .. } => break,
                Step::Gap(_) => continue,
                Step::Record => {}
            }
            let Some(record) = walk.record() else { break };
            let is_removed = removed.get(record.topic).is_some_and(|end| record.log_offset < *end);
            if record.log_offset >= from || !sys_flag::is_visible(record.sys_flag) || is_removed {
                continue;
            }
            let name = (record.topic.to_owned(), record.queue_id);
            let end = match known_ends.get(&name) {
                Some(end) => *end,
                None => {
                    let all =
                        [batch_topics::SINGLE_DIR, batch_topics::DIR].map(|all| self.path(all));
                    let dirs = all.map(|all| all.join(&name.0).join(name.1.to_string()));
                    let [single, batch] = dirs;
                    let is_batch = !self.disk.list(&batch).unwrap_or_default().is_empty();
                    let dir = if is_batch { batch } else { single };
                    let end = ends(self.disk, &dir, self.settings, 0)?.max;
                    known_ends.insert(name, end);
                    end
                }
            };
            lost += u64::from(record.queue_offset >= end);
        }
        if lost > 0 {
            let what = format!(
                "its recovery goes back no more than {JAVA_55_FILES} files of the log, to {from} \
                 (commitLogRecoverMaxNum): {lost} messages before that are in no queue yet. Start \
                 Rockhopper and stop it cleanly first"
            );
            tell(Effect::Loses, what);
        }
        Ok(())
    }

    fn checkpoint_fields(&self) -> Result<Option<Fields>, Error> {
        Fields::peek(self.disk, &self.path("checkpoint")).map(Result::ok)
    }

    /// What lies in the log's directory and is none of its files, and what was moved aside.
    fn names(
        &self,
        target: Target,
        run: &Run,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let aside = moved(self.disk, &run.dir);
        if let Some(first) = aside.first() {
            let bytes: u64 = aside.iter().map(|file| file.len).sum();
            let (count, dir) = (aside.len(), first.path.parent().unwrap_or(&run.dir).display());
            let what = "had expired, or were lost, and came back in part";
            let what =
                format!("{count} files of the log, {bytes} bytes, that {what}, lie in {dir}");
            match target {
                Target::Rockhopper => tell(Effect::Notes, format!("{what}: they go as the oldest")),
                _ => tell(Effect::Ignores, format!("{what}: remove what nobody misses")),
            }
        }
        if target == Target::Rockhopper {
            return Ok(());
        }
        let listed = self.disk.list(&run.dir).map_err(Error::io("list", &run.dir))?;
        let last = listed.last().map(|file| file.name.clone());
        for file in listed.iter().filter(|file| run.strangers.contains(&file.name)) {
            let path = run.dir.join(&file.name);
            let (path, is_last) = (path.display(), Some(&file.name) == last.as_ref());
            if file.is_dir && target != Target::Java49 {
                continue;
            }
            if !file.is_dir && file.len == 0 && is_last && target != Target::Java49 {
                tell(Effect::Notes, format!("{path} is empty and is removed"));
                continue;
            }
            let what = "it takes every name there for a file of the log. Move it elsewhere";
            tell(Effect::Refuses, format!("{path} is none of the log's files: {what}"));
        }
        Ok(())
    }

    /// Files whose length is not the one of the settings.
    fn sizes(
        &self,
        target: Target,
        run: &Run,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let java = target != Target::Rockhopper;
        let expected = self.settings.commit_log_file_bytes;
        let last = run.files.last().map(|last| last.start);
        for file in run.files.iter().filter(|file| file.len != expected) {
            let path = run.path(file.start);
            let (path, len) = (path.display(), file.len);
            if len == 0 && Some(file.start) == last {
                tell(Effect::Notes, format!("{path} is empty and is removed"));
            } else if java {
                let what = format!(
                    "{path} has {len} bytes, mappedFileSizeCommitLog says {expected}: set it to \
                     the size of the files, or move the file away"
                );
                tell(Effect::Refuses, what);
            } else {
                let what = format!("{path} has {len} bytes, expected {expected}");
                tell(Effect::Notes, format!("{what}: if too short, what it lacks is set aside"));
            }
        }
        let (mut wrong, mut wanted) = (0, 0);
        let mut first = String::new();
        for (_, _, dir) in files::queues(self.disk, &self.settings.root)? {
            let run = Run::list(self.disk, &dir)?;
            let expected = shape_of(self.settings, &dir).file_bytes;
            for file in run.files.iter().filter(|file| file.len != expected) {
                if wrong == 0 {
                    wanted = expected;
                    first = run.path(file.start).display().to_string();
                }
                wrong += 1;
            }
        }
        if wrong > 0 {
            let what = format!("{wrong} queue files have not {wanted} bytes, first {first}");
            match java {
                true => tell(Effect::Refuses, format!("{what}: move those queues away")),
                false => tell(Effect::Rebuilds, format!("{what}: made anew from the log")),
            }
        }
        Ok(())
    }

    /// What becomes of compacted queues.
    fn compacted_for(
        &self,
        target: Target,
        checked: &Checked,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let queues = compacted_walk::queues(self.disk, &self.settings.root)?;
        if queues.is_empty() {
            return Ok(());
        }
        if target == Target::Java49 {
            let what = "what compaction holds: it reads such topics from the commit log, which has \
                        less of them";
            tell(Effect::Ignores, what.into());
            return Ok(());
        }
        for wrong in &checked.damage {
            let effect = match wrong.kind {
                Kind::CompactedFileMissing if target == Target::Rockhopper => Effect::Loses,
                Kind::CompactedFile | Kind::CompactedFileMissing => Effect::Refuses,
                _ => continue,
            };
            let what = format!("{}: {}. {}", wrong.first.file, wrong.why, wrong.advice);
            tell(effect, what);
        }
        if target == Target::Rockhopper {
            return Ok(());
        }
        for queue in queues {
            let (logs, units) =
                (Run::list(self.disk, &queue.dirs.log)?, Run::list(self.disk, &queue.dirs.units)?);
            let mut names = logs.strangers.iter().chain(&units.strangers);
            if names.any(|name| name.ends_with(DELETE)) {
                let dir = queue.dirs.log.display();
                let what = "a compaction was under way: start Rockhopper once, it ends that";
                tell(Effect::Refuses, format!("{dir}: {what}"));
            }
            let lacks = |log: &&files::RunFile| units.files.iter().all(|it| it.start != log.start);
            if let Some(log) = logs.files.iter().filter(|log| log.len > 0).find(lacks) {
                let path = units.path(log.start);
                let what = "is not there: start Rockhopper once, it makes it anew";
                tell(Effect::Refuses, format!("{} {what}", path.display()));
            }
        }
        if checked.damage.iter().any(|it| it.kind == Kind::CompactedUnit) {
            let what = "units of compacted logs that are damaged stay as they are: their messages \
                        are skipped";
            tell(Effect::Ignores, what.into());
        }
        Ok(())
    }

    /// What our start refuses: files of a wrong size, and a log that is not there.
    fn refused_by_ours(
        &self,
        run: &Run,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let mut files: Vec<_> = run.files.iter().map(|file| (file.start, file.len)).collect();
        // That one is removed.
        files.pop_if(|(_, len)| *len == 0);
        let fields = self.checkpoint_fields()?;
        let durable_to = fields.as_ref().and_then(Fields::durable_to);
        let noted = fields.filter(|_| durable_to.is_some()).map(|it| it.get(Mark::OwnFileBytes));
        let file_bytes = i64::try_from(self.settings.commit_log_file_bytes).unwrap_or(i64::MAX);
        if let Some((start, why)) = wrong_log_file(&files, file_bytes, noted) {
            tell(Effect::Refuses, format!("{}: {why}", run.path(start).display()));
        }
        if durable_to == Some(0) || self.settings.cut_log_at_damage {
            return Ok(());
        }
        if let Some(what) = self.gone_log(run)? {
            tell(Effect::Refuses, what);
        }
        Ok(())
    }

    /// Says so when there is no file of the log, as when its disk is not mounted, and queues whose
    /// messages were in it: these Java deletes (`CommitLog.recoverNormally` and
    /// `recoverAbnormally`), also in 4.9.
    fn gone_log(&self, run: &Run) -> Result<Option<String>, Error> {
        // An empty last one is removed.
        if run.bytes() > 0 {
            return Ok(None);
        }
        let mut with_units = 0;
        for (_, _, dir) in files::queues(self.disk, &self.settings.root)? {
            with_units += u64::from(ends(self.disk, &dir, self.settings, 0)?.max > 0);
        }
        Ok((with_units > 0).then(|| {
            format!(
                "there is no commit log in {}, but {with_units} queues whose messages were in it: \
                 mount or restore the directory",
                run.dir.display()
            )
        }))
    }

    /// What Java cuts off the log.
    fn cuts(&self, checked: &Checked, from: i64, tell: &mut impl FnMut(Effect, String)) {
        if let Some((at, lost)) = checked.cut {
            let aside = self.set_aside().iter().any(|(from, to)| (*from..*to).contains(&at));
            let what = if aside { "the broker set a range aside" } else { "there is no record" };
            tell(
                Effect::Loses,
                format!(
                    "its recovery reads the log from {from} on and ends at {at}, where {what} (or \
                     one of a later version): everything behind is deleted, {lost} messages. \
                     Restore the segment from a copy first, or stay with Rockhopper"
                ),
            );
        } else {
            kept(checked, from, tell);
        }
        let unit = |kind: &Kind| (Kind::QueueFile..=Kind::UnitLost).contains(kind);
        if checked.damage.iter().any(|damage| unit(&damage.kind)) {
            let what = "damaged queue units before the last three files of a queue stay as they \
                        are: their messages are skipped. Start Rockhopper first, it mends them";
            tell(Effect::Ignores, what.into());
        }
    }

    /// Keys that Java does not find, and index files that it deletes after an unclean stop.
    fn java_index(
        &self,
        checked: &Checked,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        if checked.not_indexed > 0 {
            let what = format!(
                "{} messages are in no index file, and it indexes only what its recovery reads: \
                 queries by key do not find them. If files of index are gone, a start of \
                 Rockhopper makes them anew",
                checked.not_indexed
            );
            tell(Effect::Ignores, what);
        }
        let fields = self.checkpoint_fields()?;
        if Settled::read(self, fields.as_ref())? == Settled::All {
            return Ok(());
        }
        let durable = fields.map_or(0, |fields| fields.get(Mark::IndexTime));
        for (name, _) in files::index(self.disk, &self.settings.root)? {
            let mut head = [0; HEADER];
            peek(self.disk, &self.path("index").join(&name), 0, &mut head)?;
            let header = Header::decode(&head);
            if header.end_time > durable {
                let entries = header.count.saturating_sub(1);
                let what = format!(
                    "index/{name} ends later than the checkpoint's index time: it is deleted, and \
                     only what recovery reads is indexed again; {entries} keys, messages are not \
                     affected. A clean stop of Rockhopper before avoids this"
                );
                tell(Effect::Rebuilds, what);
            }
        }
        Ok(())
    }

    /// What becomes of extended queues: either side reads them where its settings say so.
    fn extended(&self, has: bool, tell: &mut impl FnMut(Effect, String)) {
        let what = "what stands beside queue units, with the bits of SQL92 filters, is used with \
                    enableConsumeQueueExt=true; else filters look at each message, and new units \
                    have tags codes";
        if has {
            tell(Effect::Notes, format!("{EXTENSION_DIR}: {what}"));
        }
    }

    /// What only the other side knows.
    fn foreign(&self, target: Target, tell: &mut impl FnMut(Effect, String)) -> Result<(), Error> {
        let root = &self.settings.root;
        let list = |dir: &std::path::Path| self.disk.list(dir).map_err(Error::io("list", dir));
        let listed = list(root)?;
        let has = |name: &str| listed.iter().any(|file| file.name == name);
        self.extended(has(EXTENSION_DIR), tell);
        if target != Target::Rockhopper {
            for name in
                ["setaside", "queueends", "batchtopics"].into_iter().filter(|name| has(name))
            {
                let what = "is Rockhopper's own and is left alone";
                tell(Effect::Notes, format!("{name} {what}"));
            }
            let has_batches = !list(&self.path(batch_topics::DIR))?.is_empty();
            if target == Target::Java49 && has_batches {
                let what = "messages of inner batches (queue.type=BatchCQ), which it does not \
                            know, until a broker that does gets the directory again";
                tell(Effect::Loses, what.into());
            }
        } else {
            for (name, what) in FOREIGN.into_iter().filter(|(name, _)| has(name)) {
                tell(Effect::Ignores, format!("{name}: {what}"));
            }
            for file in listed.iter().filter(|file| file.name.starts_with("dledger-")) {
                let what = "a DLedger log: it is not read, and its messages are not there";
                tell(Effect::Loses, format!("{}: {what}", file.name));
            }
            let rocks = rocks::found(self.disk, root)?;
            for (path, why) in &rocks {
                tell(Effect::Refuses, format!("{}: {why}", path.display()));
            }
            let queues = list(&self.path("consumequeue"))?;
            if rocks::is_one(&queues) {
                let what = "consumequeue is a RocksDB (storeType=defaultRocksDB): it is not read, \
                            the queues are made anew from the log";
                tell(Effect::Rebuilds, what.into());
            }
        }
        self.undelivered(target, tell)
    }

    /// Messages that wait in the log for something that the broker does not do.
    fn undelivered(
        &self,
        target: Target,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let waits = |topic: &str| -> Result<bool, Error> {
            let dir = self.path("consumequeue").join(topic).join("0");
            let queue = ends(self.disk, &dir, self.settings, 0)?;
            Ok(queue.max > queue.min)
        };
        if target == Target::Java49 && waits(names::TIMER_TOPIC)? {
            let what = "messages in rmq_sys_wheel_timer that are not delivered yet, if any are: it \
                        has no timer, they stay there until a broker that has one gets the \
                        directory again. The queue does not tell which were delivered";
            tell(Effect::Loses, what.into());
        }
        Ok(())
    }

    /// Configuration files that the broker cannot read, misses, or that do not say everything yet.
    fn configs_for(
        &self,
        target: Target,
        checked: &Checked,
        tell: &mut impl FnMut(Effect, String),
    ) -> Result<(), Error> {
        let dir = self.path("config");
        let listed = self.disk.list(&dir).map_err(Error::io("list", &dir))?;
        for file in listed.iter().filter(|file| !file.is_dir) {
            if let Some(name) = file.name.strip_suffix(".changes") {
                let text = String::from_utf8_lossy(&self.config_text(name)).into_owned();
                let waiting = config_journal::waiting(&text, &self.config_text(&file.name));
                if waiting > 0 && target != Target::Rockhopper {
                    let what = format!(
                        "{waiting} changes of {name} stand in {} alone: stop Rockhopper cleanly \
                         first, or they are lost",
                        file.name
                    );
                    tell(Effect::Loses, what);
                }
                continue;
            }
            if file.name.ends_with(".bak") || file.name.ends_with(".tmp") {
                continue;
            }
            let Some(why) = self.config_error(&file.name, file.len)? else { continue };
            match (target, self.config_rot(&file.name)) {
                (Target::Rockhopper, Some((true, _))) => {
                    let what = format!("config/{}: {why}; it is mended", file.name);
                    tell(Effect::Notes, what);
                    continue;
                }
                (Target::Java49 | Target::Java53 | Target::Java55, Some((_, true))) => {
                    tell(Effect::Loses, taken_for_whole(&file.name, &why));
                    continue;
                }
                _ => {}
            }
            let usable = self.usable_backup(&listed, &file.name)? == Some(true);
            tell(Effect::Loses, lost_config(target, &file.name, &why, usable));
        }
        for (name, usable) in &checked.configs_gone {
            tell(Effect::Loses, lost_config(target, name, "the file is not there", *usable));
        }
        Ok(())
    }
}

/// What another broker does with a configuration file that it understands and that is damaged.
fn taken_for_whole(name: &str, why: &str) -> String {
    format!(
        "config/{name}: {why}; it does not see that and takes the file as it is. Let Rockhopper \
         start and stop here first: it mends one bit, and takes the .bak where there are more"
    )
}

/// What is lost of a configuration file that cannot be read.
fn lost_config(target: Target, name: &str, why: &str, has_backup: bool) -> String {
    let what = match (has_backup, target) {
        (true, _) => "the .bak is taken, its last changes are lost",
        (false, Target::Rockhopper) if name == "topics.json" => {
            "there is no usable .bak: topics are made from their queues, with permissions to read \
             and write, and all else that was in it is lost"
        }
        (false, _) => "there is no usable .bak: all that was in it is lost",
    };
    format!("config/{name}: {why}; {what}")
}

/// What is damaged in a log that Java, which reads it from `from` on, does not cut.
fn kept(checked: &Checked, from: i64, tell: &mut impl FnMut(Effect, String)) {
    if let Some((at, promised)) = checked.lost_end {
        tell(
            Effect::Loses,
            format!(
                "the log ends at {at}, but its queues or checkpoint know of {promised}: what \
                 lay between is gone, it cuts the queues there and gives their offsets again. \
                 Restore the files from a copy first"
            ),
        );
    }
    let gap = |damage: &&Damage| {
        [Kind::LogFilesMissing, Kind::Record, Kind::SetAside].contains(&damage.kind)
    };
    let gaps: u64 = checked.damage.iter().filter(gap).map(|damage| damage.count).sum();
    if gaps > u64::from(checked.lost_end.is_some()) {
        tell(
            Effect::Notes,
            format!(
                "the damaged part of the log lies before {from}, where its recovery begins: \
                 nothing is cut; readers pass over the damage or stumble there"
            ),
        );
    }
}

/// What Rockhopper does with damage.
fn ours(checked: &Checked, tell: &mut impl FnMut(Effect, String)) {
    for damage in &checked.damage {
        let counted = damage.kind.counted(damage.count);
        match damage.kind {
            Kind::Record | Kind::LogFilesMissing | Kind::SetAside => tell(
                Effect::Notes,
                format!(
                    "{counted}: set aside when a start or a reader meets them, everything \
                     behind stays readable; their messages are lost unless a copy has the file"
                ),
            ),
            Kind::CompactedRecord | Kind::CompactedUnit => {
                tell(Effect::Notes, format!("{counted}: all other messages stay readable"))
            }
            Kind::LogFile
            | Kind::Config
            | Kind::RecordField
            | Kind::CompactedFile
            | Kind::CompactedFileMissing => {}
            Kind::UnitMissing | Kind::UnitWrong | Kind::UnitLost => {
                let what = "mended from the log when they are read, for a start reads none that \
                            were durable";
                tell(Effect::Rebuilds, format!("{counted}: {what}"));
            }
            Kind::IndexEntry | Kind::IndexSlot => {
                let what = "queries by key may miss their messages until the broker is stopped and \
                            index moved away, for of what was durable a start reads only the \
                            newest 262,144 keys, and whether these lead to each other";
                tell(Effect::Ignores, format!("{counted}: {what}"));
            }
            _ => tell(Effect::Rebuilds, format!("{counted}: mended from the log")),
        }
    }
}
