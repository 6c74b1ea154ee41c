//! `Outbox`: the bytes that wait to be written to one connection.
//!
//! Heads and small bodies are copied into one tail; large bodies are lent, so that a pull answer
//! goes from the commit log's pages to the socket without a copy. It has no bound of its own: the
//! connection that owns it stops reading, or gives up, when it grows (see [`crate::connection`]).

use crate::command::{self, Head};
use crate::fields::Fields;
use crate::frame::Form;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bodies from this size on are lent and not copied.
const LENT_BYTES: usize = 512;
/// More than nearly every head takes.
const HEAD_BYTES: usize = 512;
/// A longer tail is not kept for what comes next.
const KEPT_BYTES: usize = 256 << 10;

/// What waits to be written, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    /// The most bytes that were seen in the tail since it was empty.
    longest: usize,
    bytes: usize,
}

impl Outbox {
    /// Adds one frame.
    pub fn push(&mut self, head: &Head, fields: &Fields, form: Form, body: &[Bytes]) {
        let (mut body_bytes, mut copied_bytes) = (0, 0);
        for part in body {
            body_bytes += part.len();
            copied_bytes += if part.len() < LENT_BYTES { part.len() } else { 0 };
        }
        // At once: room that is made bit by bit moves what is there already.
        self.tail.reserve(HEAD_BYTES + copied_bytes);
        let before = self.tail.len();
        let after = command::encode_head(head, fields, form, body_bytes, &mut self.tail);
        self.bytes += after - before;
        for part in body {
            self.push_bytes(part);
        }
    }

    /// Adds bytes that are part of a frame already.
    #[inline]
    pub fn push_bytes(&mut self, part: &Bytes) {
        self.bytes += part.len();
        if part.len() < LENT_BYTES {
            self.tail.extend_from_slice(part);
            return;
        }
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(part.clone());
    }

    /// Adds all that waits in another one, which is left empty. Says whether the two changed their
    /// rooms for it, as nothing waited here.
    pub fn append(&mut self, other: &mut Self) -> bool {
        if self.bytes == 0 {
            std::mem::swap(self, other);
            return true;
        }
        other.segments.drain(..).for_each(|part| self.push_bytes(&part));
        // What is small is copied: it must not keep the whole room that it was made in.
        self.tail.extend_from_slice(&other.tail);
        self.bytes += other.tail.len();
        other.tail.clear();
        other.bytes = 0;
        false
    }

    /// All that waits, where it lies in one piece.
    pub(crate) fn only_chunk(&self) -> Option<&[u8]> {
        self.segments.is_empty().then_some(&self.tail)
    }

    /// Takes everything out as one list of buffers.
    pub fn drain(&mut self) -> Vec<Bytes> {
        let mut all: Vec<Bytes> = self.segments.drain(..).collect();
        if !self.tail.is_empty() {
            all.push(self.tail.split().freeze());
        }
        self.bytes = 0;
        all
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.segments.front().map_or(&self.tail, |first| first)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let all = self.segments.iter().map(|part| &part[..]).chain([&self.tail[..]]);
        let filled = out.iter_mut().zip(all.filter(|part| !part.is_empty()));
        filled.map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "more was written than there was to write");
        self.bytes -= count;
        while let Some(first) = self.segments.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.segments.pop_front();
        }
        self.longest = self.longest.max(self.tail.len());
        self.tail.advance(count);
        if self.tail.is_empty() {
            match std::mem::take(&mut self.longest) {
                // From the front of its room again, while there is nothing to be moved there.
                longest @ ..=KEPT_BYTES => self.tail.reserve(longest),
                _ => self.tail = BytesMut::new(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_one_holds_comes_behind_what_is_there() {
        let (mut first, mut second) = (Outbox::default(), Outbox::default());
        for (outbox, bytes) in [(&mut first, b"ab"), (&mut second, b"cd")] {
            outbox.push_bytes(&Bytes::from_static(bytes));
        }
        first.append(&mut second);
        second.push_bytes(&Bytes::from(vec![b'e'; LENT_BYTES]));
        second.push_bytes(&Bytes::from_static(b"f"));
        let small = second.tail.as_ptr();
        assert!(!first.append(&mut second));
        second.push_bytes(&Bytes::from_static(b"g"));
        assert_eq!(second.tail.as_ptr(), small, "what is small was copied");
        assert!(!first.append(&mut second));
        first.append(&mut Outbox::default());
        assert!(!second.has_remaining());
        let mut empty = Outbox::default();
        empty.append(&mut first);
        assert_eq!((first.remaining(), empty.remaining()), (0, 6 + LENT_BYTES));
        let all = empty.drain().concat();
        assert_eq!((&all[..5], &all[all.len() - 2..]), (&b"abcde"[..], &b"fg"[..]));
    }

    #[test]
    fn one_piece_is_told_as_such_only_where_nothing_lent_stands_before_it() {
        let mut outbox = Outbox::default();
        outbox.push_bytes(&Bytes::from_static(b"ab"));
        assert_eq!(outbox.only_chunk(), Some(&b"ab"[..]));
        outbox.push_bytes(&Bytes::from(vec![b'c'; LENT_BYTES]));
        outbox.push_bytes(&Bytes::from_static(b"d"));
        assert_eq!(outbox.only_chunk(), None);
        outbox.advance(2 + LENT_BYTES - 1);
        assert_eq!(outbox.only_chunk(), None, "a byte of what is lent is left");
        outbox.advance(1);
        assert_eq!(outbox.only_chunk(), Some(&b"d"[..]));
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for (byte, size) in [(1, 10), (2, LENT_BYTES), (3, LENT_BYTES - 1), (4, 5000), (5, 1)] {
            outbox.push_bytes(&Bytes::from(vec![byte; size]));
            expected.extend(vec![byte; size]);
        }
        let mut seen: Vec<u8> = Vec::new();
        for step in [1, 9, 100, 600, 2000, usize::MAX] {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = outbox.chunks_vectored(&mut slices);
            let all: Vec<u8> = slices[..filled].iter().flat_map(|part| part.to_vec()).collect();
            assert_eq!(all.len(), outbox.remaining());
            let step = step.min(all.len());
            seen.extend(&all[..step]);
            outbox.advance(step);
        }
        assert_eq!(seen, expected);
        assert!(!outbox.has_remaining());
        assert!(outbox.chunk().is_empty());
    }
}
