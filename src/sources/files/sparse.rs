//! Where a file has data and where it has holes, and how PAX 1.0 writes that.
//!
//! <https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html>

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// More pieces than this are not told apart: what follows is stored as data, holes and all, so that memory is bounded.
pub const PIECES_MAX: usize = 1 << 16;

/// A piece of data in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// The pieces of a sparse file of this size; none when it has no holes or the file system cannot tell.
///
/// The last piece ends where the file ends (and is empty when the file ends in a hole), as GNU tar writes it.
pub fn pieces(file: impl AsFd, size: u64) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        if pieces.len() + 1 >= PIECES_MAX {
            pieces.push(Piece { offset: at, length: size - at });
            return Some(pieces);
        }
        let data = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(_) => return None,
        };
        if data >= size {
            break;
        }
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(data)).ok()?.clamp(data, size);
        if hole == data {
            break;
        }
        pieces.push(Piece { offset: data, length: hole - data });
        at = hole;
    }
    let whole = [Piece { offset: 0, length: size }];
    if pieces == whole {
        return None;
    }
    if pieces.last().is_none_or(|last| last.offset + last.length < size) {
        pieces.push(Piece { offset: size, length: 0 });
    }
    Some(pieces)
}

/// The map that comes before the data, padded to whole blocks.
pub fn map(pieces: &[Piece]) -> Vec<u8> {
    let mut text = format!("{}\n", pieces.len());
    for piece in pieces {
        text.extend([piece.offset.to_string(), "\n".to_owned(), piece.length.to_string(), "\n".to_owned()]);
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Why a map is not one that [`map`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its sparse map is not one")]
pub struct MapError;

/// Reads maps piece by piece: a number a line.
pub fn check(pieces: &[Piece], size: u64) -> Result<(), MapError> {
    let mut end = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        let piece_end = piece.offset.checked_add(piece.length).ok_or(MapError)?;
        if piece.offset < end || piece_end > size || (piece.length == 0 && !last) {
            return Err(MapError);
        }
        end = piece_end;
    }
    if end == size && !pieces.is_empty() { Ok(()) } else { Err(MapError) }
}
