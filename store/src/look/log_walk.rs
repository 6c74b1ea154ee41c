//! From the commit log's first byte to its end, over whatever is damaged in between.

use super::files::Run;
use super::window::Window;
use crate::{Disk, Error};
use memchr::memchr_iter;
use message::record::{self, Entry, Record};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What a disk loses at once.
const SECTOR: u64 = 512;
/// The largest record that is believed; no broker takes a larger frame.
const RECORD_MAX: usize = 256 << 20;

/// What comes next in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole record; [`LogWalk::record`] has it.
    Record,
    /// Bytes without a record, before the next one.
    Gap(Gap),
    /// Nothing follows.
    End {
        /// What stands there, when it is not zeros.
        garbage: Option<String>,
    },
}

/// Bytes without a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) cause: Cause,
    pub(crate) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No record, though one follows.
    Damaged,
    /// The broker knows of it.
    SetAside,
    /// Files are missing.
    Missing,
    /// The file was removed meanwhile, as old ones are.
    Expired,
}

/// A walk through the log.
pub(crate) struct LogWalk<'a> {
    run: Run,
    file: usize,
    window: Window<'a>,
    /// Where the next step begins.
    at: i64,
    /// The record of the last step.
    record: (i64, usize),
    set_aside: Vec<(i64, i64)>,
}

impl<'a> LogWalk<'a> {
    /// From the first file on, `chunk` bytes at once; ranges of `set_aside` are passed over.
    pub(crate) fn new(
        disk: &'a dyn Disk,
        run: Run,
        set_aside: Vec<(i64, i64)>,
        chunk: usize,
    ) -> Self {
        let at = run.files.first().map_or(0, |file| file.start);
        let window = Window::new(disk, chunk);
        Self { run, file: 0, window, at, record: (at, 0), set_aside }
    }

    /// Goes on at a log offset instead, which must lie in one of the files.
    pub(crate) fn jump(&mut self, at: i64) {
        self.at = at;
        self.file = self.run.files.partition_point(|file| file.start <= at).saturating_sub(1);
    }

    /// Another walk over the same files, from `at` on.
    pub(crate) fn again(&self, disk: &'a dyn Disk, at: i64, chunk: usize) -> Self {
        let mut walk = Self::new(disk, self.run.clone(), self.set_aside.clone(), chunk);
        walk.jump(at);
        walk
    }

    /// Where the next step begins.
    pub(crate) fn at(&self) -> i64 {
        self.at
    }

    /// The record of the last step.
    pub(crate) fn record(&mut self) -> Option<Record<'_>> {
        let (at, len) = self.record;
        let place = self.place(at).1;
        match record::decode(self.window.bytes(place, len).ok()?, false) {
            Ok(Entry::Message(record)) => Some(record),
            _ => None,
        }
    }

    /// The file that holds a log offset, and the byte in it.
    pub(crate) fn place(&self, at: i64) -> (PathBuf, u64) {
        let after = self.run.files.partition_point(|file| file.start <= at);
        let start = self.run.files.get(after.saturating_sub(1)).map_or(0, |file| file.start);
        (self.run.path(start), (at - start).unsigned_abs())
    }

    /// The file that would hold a log offset if it were there, where files have `file_bytes`.
    pub(crate) fn lacks(&self, at: i64, file_bytes: i64) -> Option<PathBuf> {
        let start = at - at % file_bytes;
        let is_there = self.run.files.iter().any(|file| file.start == start);
        (!is_there).then(|| self.run.path(start))
    }

    /// The next thing in the log.
    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        loop {
            let Some(file) = self.run.files.get(self.file) else {
                return Ok(self.set_aside(i64::MAX).unwrap_or(Step::End { garbage: None }));
            };
            let (start, end) = (file.start, file.start.saturating_add_unsigned(file.len));
            if self.at < start {
                return Ok(self.set_aside(start).unwrap_or_else(|| self.missing(start)));
            }
            if self.at >= end {
                self.file += 1;
                continue;
            }
            if let Some(step) = self.set_aside(end) {
                return Ok(step);
            }
            self.window.open(self.run.path(start));
            match self.look_twice(start, (end - start).unsigned_abs()) {
                Ok(Found::Record(len)) => {
                    self.record = (self.at, len);
                    self.at += len as i64;
                    return Ok(Step::Record);
                }
                Ok(Found::Blank) => self.at = end,
                Ok(Found::Nothing(why)) => return self.gap_or_end(start, end, why),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let why = "the file was removed meanwhile".to_owned();
                    let gap = Gap { from: self.at, to: end, cause: Cause::Expired, why };
                    self.at = end;
                    return Ok(Step::Gap(gap));
                }
                Err(error) => return self.gap_or_end(start, end, error.to_string()),
            }
        }
    }

    /// No file has what is here, up to the one at `start`, or to what was set aside before it.
    fn missing(&mut self, start: i64) -> Step {
        let ranges = self.set_aside.iter().map(|(from, _)| *from);
        let to = ranges.filter(|from| (self.at..start).contains(from)).min().unwrap_or(start);
        let why = "no file has these bytes".to_owned();
        let gap = Gap { from: self.at, to, cause: Cause::Missing, why };
        self.at = to;
        Step::Gap(gap)
    }

    /// The set-aside range that begins here, or has begun before.
    fn set_aside(&mut self, end: i64) -> Option<Step> {
        let found = self.set_aside.iter().find(|(from, to)| (*from..*to).contains(&self.at));
        let to = found?.1.min(end);
        let why = "set aside".to_owned();
        let gap = Gap { from: self.at, to, cause: Cause::SetAside, why };
        self.at = to;
        Some(Step::Gap(gap))
    }

    /// What is here; read again when it is nothing, because it may just have been written.
    fn look_twice(&mut self, start: i64, len: u64) -> io::Result<Found> {
        let at = (self.at - start).unsigned_abs();
        match found(&mut self.window, at, self.at, len)? {
            Found::Nothing(_) => {
                self.window.forget();
                found(&mut self.window, at, self.at, len)
            }
            found => Ok(found),
        }
    }

    fn gap_or_end(&mut self, start: i64, end: i64, why: String) -> Result<Step, Error> {
        let from = self.at;
        let mut zeros = true;
        Ok(match self.next_record(&mut zeros)? {
            // What stands behind was written later: so was what begins here by now.
            Some(_) if self.is_there_now(start, end) => return self.step(),
            Some(to) => {
                self.at = to;
                Step::Gap(Gap { from, to, cause: Cause::Damaged, why })
            }
            None => {
                self.file = self.run.files.len();
                Step::End { garbage: (!zeros).then_some(why) }
            }
        })
    }

    /// Where the next whole record or blank begins, in this file or a later one; where files are
    /// missing before it, where the first of these would begin. `zeros` is whether the rest of this
    /// file is zeros.
    fn next_record(&mut self, zeros: &mut bool) -> Result<Option<i64>, Error> {
        let mut reached = self.at;
        let mut missing = None;
        for index in self.file..self.run.files.len() {
            let Some(file) = self.run.files.get(index) else { break };
            let (start, len) = (file.start, file.len);
            if reached < start && missing.is_none() {
                missing = Some(reached);
            }
            reached = start.saturating_add_unsigned(len);
            self.window.open(self.run.path(start));
            // What is here is none, by now.
            let behind = (self.at + 1 - start).max(0).unsigned_abs();
            let mut blank = true;
            if let Some(found) = self.next_in_file((start, len), behind, &mut blank)? {
                return Ok(Some(missing.unwrap_or(found)));
            }
            if index == self.file {
                *zeros = blank;
            }
        }
        Ok(None)
    }

    /// Whether a record or blank begins here that was not there when it was read before.
    fn is_there_now(&mut self, start: i64, end: i64) -> bool {
        self.window.open(self.run.path(start));
        self.window.forget();
        let at = (self.at - start).unsigned_abs();
        let now = found(&mut self.window, at, self.at, (end - start).unsigned_abs());
        matches!(now, Ok(Found::Record(_) | Found::Blank))
    }

    /// Where the next whole record or blank of the file begins, at its byte `from` or behind it.
    fn next_in_file(
        &mut self,
        (start, len): (i64, u64),
        from: u64,
        zeros: &mut bool,
    ) -> Result<Option<i64>, Error> {
        let mut at = from;
        if let Some(before) = from.checked_sub(1) {
            let first = self.window.bytes(before, 1).unwrap_or_default().first().copied();
            *zeros &= first.is_none_or(|byte| byte == 0);
        }
        while at < len {
            // The magic's first byte, and enough behind it for the rest of the head.
            let bytes = match self.window.bytes(at, record::BLANK_LEN) {
                Ok(bytes) if bytes.len() >= record::BLANK_LEN => bytes,
                Ok(_) => return Ok(None),
                Err(_) => {
                    *zeros = false;
                    at = (at / SECTOR + 1) * SECTOR;
                    continue;
                }
            };
            *zeros = *zeros && is_zero(bytes);
            let seen = bytes.len() as u64;
            let magic = |byte: u8| memchr_iter(byte, bytes);
            let places = magic(0xDA).chain(magic(0xCB)).filter_map(|magic| magic.checked_sub(4));
            let is_head = |place: &usize| {
                let word = bytes.get(place + 4..place + 8).and_then(|word| word.first_chunk());
                let known = [record::MAGIC_V1, record::MAGIC_V2, record::MAGIC_BLANK];
                word.is_some_and(|word| known.contains(&i32::from_be_bytes(*word)))
            };
            let mut places: Vec<usize> = places.filter(is_head).collect();
            places.sort_unstable();
            for place in places {
                let place = at + place as u64;
                let log_offset = start.saturating_add_unsigned(place);
                let whole = found(&mut self.window, place, log_offset, len);
                if matches!(whole, Ok(Found::Record(_) | Found::Blank)) {
                    return Ok(Some(log_offset));
                }
            }
            // A head may lie across what was seen and what comes.
            at += seen.saturating_sub(record::BLANK_LEN as u64 - 1).max(1);
        }
        Ok(None)
    }
}

enum Found {
    Record(usize),
    Blank,
    Nothing(String),
}

/// What stands at a place of the window's file of `len` bytes, which is `log_offset` in the log.
fn found(window: &mut Window<'_>, at: u64, log_offset: i64, len: u64) -> io::Result<Found> {
    let head = window.bytes(at, record::FIXED_LEN)?;
    let size = head.first_chunk().map_or(0, |size| i32::from_be_bytes(*size));
    let magic = head.get(4..8).and_then(|word| word.first_chunk());
    let is_record = magic.is_some_and(|word| {
        matches!(i32::from_be_bytes(*word), record::MAGIC_V1 | record::MAGIC_V2)
    });
    let need = match usize::try_from(size) {
        Ok(size) if is_record && size <= RECORD_MAX => size,
        Ok(_) | Err(_) if is_record => {
            return Ok(Found::Nothing(format!("a record of {size} bytes is none")));
        }
        _ => record::BLANK_LEN,
    };
    Ok(match record::decode(window.bytes(at, need)?, true) {
        Ok(Entry::Message(record)) if record.log_offset == log_offset => {
            Found::Record(record.total_size())
        }
        Ok(Entry::Message(record)) => {
            Found::Nothing(format!("the record says that it begins at {}", record.log_offset))
        }
        Ok(Entry::Blank { size }) if i64::from(size) == (len - at) as i64 => Found::Blank,
        Ok(Entry::Blank { size }) => {
            Found::Nothing(format!("a blank says {size} bytes, {} are left", len - at))
        }
        Err(error) => Found::Nothing(error.to_string()),
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
