//! A part of a file that moves over it, so that a file of any size is read in bounded memory.

use crate::Disk;
use std::io;
use std::path::PathBuf;

/// The window; it holds what was read last.
pub(super) struct Window<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    /// Bytes that are read at once.
    chunk: usize,
    from: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    /// A window over no file yet.
    pub(super) fn new(disk: &'a dyn Disk, chunk: usize) -> Self {
        Self { disk, path: PathBuf::new(), chunk, from: 0, buffer: Vec::new() }
    }

    /// Moves to another file.
    pub(super) fn open(&mut self, path: PathBuf) {
        if self.path != path {
            self.path = path;
            self.forget();
        }
    }

    /// Reads anew what is asked for next: somebody may have written meanwhile.
    pub(super) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// The bytes from `at` on, `need` of them or more; fewer where the file ends.
    pub(super) fn bytes(&mut self, at: u64, need: usize) -> io::Result<&[u8]> {
        let end = self.from + self.buffer.len() as u64;
        if at < self.from || at + need as u64 > end || self.buffer.is_empty() {
            self.fill(at, need)?;
        }
        Ok(&self.buffer[(at - self.from) as usize..])
    }

    fn fill(&mut self, at: u64, need: usize) -> io::Result<()> {
        self.from = at;
        let read = self.read(at, need.max(self.chunk));
        // A bad sector further on must not hide what lies before it.
        let read = if read.is_err() && need < self.chunk { self.read(at, need) } else { read };
        read.inspect_err(|_| self.buffer.clear())
    }

    fn read(&mut self, at: u64, len: usize) -> io::Result<()> {
        self.buffer.clear();
        if self.buffer.capacity() > self.chunk.max(len) {
            // A long record is behind us.
            self.buffer.shrink_to(len);
        }
        self.buffer.resize(len, 0);
        let read = self.disk.peek(&self.path, at, &mut self.buffer)?;
        self.buffer.truncate(read);
        Ok(())
    }
}
