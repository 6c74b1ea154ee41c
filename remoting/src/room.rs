//! `Room`: bytes that handlers make while one batch of requests is served, side by side in one
//! buffer, so that a message costs no allocation. The buffer is used again when nobody holds
//! anything that was made in it; what shall live longer than the batch is copied out by its keeper.

use bytes::{Bytes, BytesMut};
use std::cell::RefCell;

/// Room that a batch begins with; one that needs more gets more.
const BYTES: usize = 32 << 10;

/// Where bytes are made.
#[derive(Debug, Default)]
pub struct Room(RefCell<BytesMut>);

impl Room {
    /// Makes room for a new batch: that of the one before it, if nobody holds it any more.
    pub fn clear(&mut self) {
        self.0.get_mut().reserve(BYTES);
    }

    /// What `write` appends.
    pub fn bytes(&self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut room = self.0.borrow_mut();
        // Somebody who panicked may have left something.
        room.clear();
        write(&mut room);
        room.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_batch_is_that_of_the_one_before() {
        let mut room = Room::default();
        room.clear();
        let first = room.bytes(|out| out.extend_from_slice(b"a"));
        let second = room.bytes(|out| out.extend_from_slice(b"b"));
        let at = first.as_ptr();
        let both = (&first[..], &second[..], second.as_ptr());
        assert_eq!(both, (&b"a"[..], &b"b"[..], at.wrapping_add(1)));
        drop((first, second));
        room.clear();
        let again = room.bytes(|out| out.extend_from_slice(b"c"));
        assert_eq!(again.len(), 1);
        room.clear();
        assert_eq!(&again[..], b"c", "what is held stays as it is");
    }
}
