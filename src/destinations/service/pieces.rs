//! A body in pieces, each of which is sent in one request.
//!
//! Their memory is used again as soon as the storage library has let go of a piece: a few buffers serve an upload of any
//! length, and the allocator, which keeps what is given back in pieces of this size, has nothing to keep.

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use std::io::{self, Read};

/// The rest of a body.
pub(super) struct Pieces<'a> {
    body: Option<&'a mut dyn Read>,
    /// What was read of it already and comes next.
    begun: Bytes,
    home: Sender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    /// All of a body.
    pub fn of(body: &'a mut dyn Read) -> Self {
        Self { body: Some(body), ..Self::only(Bytes::new()) }
    }

    /// One piece, however long.
    pub fn only(piece: Bytes) -> Self {
        let (home, free) = crossbeam_channel::unbounded();
        Self { body: None, begun: piece, home, free }
    }

    /// The next piece: as long as was asked for, or all that is left. Empty at the end.
    pub fn next(&mut self, length: usize) -> io::Result<Bytes> {
        let begun = std::mem::take(&mut self.begun);
        let Some(body) = &mut self.body else { return Ok(begun) };
        let mut memory = self.free.try_recv().unwrap_or_default();
        memory.clear();
        // To be filled to its last byte and no further. What is not filled takes up no memory.
        memory.reserve_exact(length);
        memory.extend_from_slice(&begun);
        let wanted = length.saturating_sub(begun.len());
        body.take(wanted as u64).read_to_end(&mut memory)?;
        if memory.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(Bytes::from_owner(Piece { memory, home: self.home.clone() }))
    }

    /// Whether there is nothing more, which is known only by reading on.
    pub fn ended(&mut self) -> io::Result<bool> {
        if let (true, Some(body)) = (self.begun.is_empty(), &mut self.body) {
            let mut ahead = Vec::new();
            body.take(1).read_to_end(&mut ahead)?;
            self.begun = ahead.into();
        }
        Ok(self.begun.is_empty())
    }
}

/// A piece that the storage library has.
struct Piece {
    memory: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // After the upload nobody waits for it.
        let _upload_is_over = self.home.send(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_body_in_full_lengths_but_for_the_last() {
        let mut body = &b"0123456789"[..];
        let mut pieces = Pieces::of(&mut body);
        assert_eq!(pieces.next(4).expect("a piece"), "0123");
        assert!(!pieces.ended().expect("a look"));
        assert!(!pieces.ended().expect("a second look reads nothing"));
        assert_eq!(pieces.next(4).expect("a piece"), "4567");
        assert_eq!(pieces.next(4).expect("a piece"), "89");
        assert!(pieces.ended().expect("a look"));
        assert_eq!(pieces.next(4).expect("the end"), "");
        let mut only = Pieces::only(Bytes::from_static(b"longer than asked for"));
        assert_eq!(only.next(4).expect("a piece"), "longer than asked for");
        assert!(only.ended().expect("a look"));
    }

    #[test]
    fn memory_of_a_piece_that_was_let_go_is_the_next_ones() {
        let mut body = io::repeat(7).take(100 << 20);
        let mut pieces = Pieces::of(&mut body);
        let held = pieces.next(1 << 20).expect("a piece");
        let mut places = std::collections::BTreeSet::from([held.as_ptr()]);
        for _ in 1..100 {
            let piece = pieces.next(1 << 20).expect("a piece");
            assert_eq!(piece.len(), 1 << 20);
            places.insert(piece.as_ptr());
        }
        assert_eq!(places.len(), 2, "one that is held, and one that comes back");
        drop(held);
        let mut body = io::repeat(7).take(10 << 20);
        let mut pieces = Pieces::of(&mut body);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let piece = pieces.next(1 << 20).expect("a piece");
            places.insert(piece.as_ptr());
            pieces.ended().expect("a look ahead");
        }
        assert_eq!(places.len(), 1, "a look ahead takes none");
    }
}
