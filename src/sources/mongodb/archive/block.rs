//! The framing of an archive: documents and the ends of blocks, cut out of bytes that come in pieces.
//!
//! Never here: a document kept that nobody reads, or a length believed that no document has.

use super::ArchiveError;

/// The first four bytes of every archive.
const MAGIC: [u8; 4] = 0x8199_e26d_u32.to_le_bytes();
/// What stands where a length would, at the end of a block.
const TERMINATOR: [u8; 4] = [0xff; 4];
/// Bytes of an empty document.
const DOCUMENT_BYTES_MIN: u32 = 5;
/// Bytes of the largest document that mongo-tools read (`MaxBSONSize` in `common/db/db.go`).
const DOCUMENT_BYTES_MAX: u32 = 16 << 20;

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing yet.
    More,
    /// The archive's header.
    Header(Vec<u8>),
    /// A collection's announcement.
    Metadata(Vec<u8>),
    /// The header of a block of documents.
    Namespace(Vec<u8>),
    /// A document in a block begins, with these bytes: its length.
    Begun([u8; 4]),
    /// The bytes taken are of the document that has begun.
    Passed {
        /// They are its last.
        ended: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Magic,
    Header,
    Metadata,
    /// Before a block, or at the end.
    Between,
    Body,
}

#[derive(Debug)]
enum Reading {
    /// The magic number, a length, or the end of a block; so many bytes of it are there.
    Four([u8; 4], usize),
    /// A document that is kept, and its length.
    Kept(Vec<u8>, usize),
    /// A document that passes; so many bytes are still to come.
    Passing(usize),
}

/// Before the first byte of the next length.
const NEXT: Reading = Reading::Four([0; 4], 0);

/// Cuts an archive into what it is made of.
#[derive(Debug)]
pub(super) struct Block {
    place: Place,
    reading: Reading,
    at: u64,
}

impl Block {
    pub fn new() -> Self {
        Self { place: Place::Magic, reading: NEXT, at: 0 }
    }

    /// How many bytes have been taken.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether an archive may end here.
    pub fn between_blocks(&self) -> bool {
        self.place == Place::Between && matches!(self.reading, Reading::Four(_, 0))
    }

    /// Takes some of the bytes, at least one; says how many, and what came of them.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Event), ArchiveError> {
        match &mut self.reading {
            Reading::Four(four, have) => {
                let used = bytes.len().min(4 - *have);
                four[*have..*have + used].copy_from_slice(&bytes[..used]);
                *have += used;
                let (four, whole) = (*four, *have == 4);
                self.at += used as u64;
                let event = if whole { self.four(four)? } else { Event::More };
                Ok((used, event))
            }
            Reading::Kept(document, length) => {
                let used = bytes.len().min(*length - document.len());
                document.extend_from_slice(&bytes[..used]);
                self.at += used as u64;
                if document.len() < *length {
                    return Ok((used, Event::More));
                }
                let document = std::mem::take(document);
                self.ends(document.last())?;
                Ok((used, self.kept(document)))
            }
            Reading::Passing(left) => {
                let used = bytes.len().min(*left);
                *left -= used;
                let ended = *left == 0;
                self.at += used as u64;
                if ended {
                    self.ends(bytes[..used].last())?;
                    self.reading = NEXT;
                }
                Ok((used, Event::Passed { ended }))
            }
        }
    }

    fn ends(&self, last: Option<&u8>) -> Result<(), ArchiveError> {
        if last == Some(&0) { Ok(()) } else { Err(ArchiveError::NoEnd { at: self.at }) }
    }

    /// Four bytes where the magic number, a length or the end of a block stands.
    fn four(&mut self, four: [u8; 4]) -> Result<Event, ArchiveError> {
        self.reading = NEXT;
        if self.place == Place::Magic {
            self.place = Place::Header;
            return if four == MAGIC { Ok(Event::More) } else { Err(ArchiveError::Magic) };
        }
        let length = u32::from_le_bytes(four);
        let may_end = matches!(self.place, Place::Metadata | Place::Body);
        if four == TERMINATOR && may_end {
            self.place = Place::Between;
            return Ok(Event::More);
        }
        if !(DOCUMENT_BYTES_MIN..=DOCUMENT_BYTES_MAX).contains(&length) {
            return Err(ArchiveError::Length { at: self.at, length });
        }
        let length = length as usize;
        if self.place == Place::Body {
            self.reading = Reading::Passing(length - 4);
            return Ok(Event::Begun(four));
        }
        self.reading = Reading::Kept(four.to_vec(), length);
        Ok(Event::More)
    }

    fn kept(&mut self, document: Vec<u8>) -> Event {
        self.reading = NEXT;
        match self.place {
            Place::Magic | Place::Header => {
                self.place = Place::Metadata;
                Event::Header(document)
            }
            Place::Metadata => Event::Metadata(document),
            Place::Between | Place::Body => {
                self.place = Place::Body;
                Event::Namespace(document)
            }
        }
    }
}
