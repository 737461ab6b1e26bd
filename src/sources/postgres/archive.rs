//! A custom-format archive read through as it passes: the end mark of a format that has none.
//!
//! An archive simply ends after its last block, so one that was cut between two blocks looks whole. This one knows from
//! the table of contents which blocks must come, and counts the rows of each. Nothing is copied but the head.

use super::toc::{ArchiveError, Entry, FORMAT_CUSTOM, Fields, Head, INT_BYTES, Short, entry, head};
use std::collections::BTreeMap;

/// Begins the data of a table (`BLK_DATA`).
const BLOCK_DATA: u8 = 1;
/// Begins large objects (`BLK_BLOBS`).
const BLOCK_LARGE_OBJECTS: u8 = 3;
/// How `COPY` ends in an archive, its own end mark with two empty lines (`dumpTableData_copy`).
const COPY_END: &[u8] = b"\\.\n\n\n";

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Entries {
        left: usize,
    },
    BetweenBlocks,
    /// Before the length of a chunk of table data.
    ChunkLength,
    Chunk {
        left: usize,
    },
    /// Before the number of a large object; 0 ends them.
    ObjectNumber,
    ObjectChunkLength,
    ObjectChunk {
        left: usize,
    },
}

/// The rows of a table on their way: what COPY writes, counted by its lines.
#[derive(Debug, Default)]
pub(super) struct CopyRows {
    newlines: u64,
    tail: [u8; COPY_END.len()],
}

/// What is known of the block that passes.
#[derive(Debug, Default)]
struct Block {
    id: i64,
    /// The table whose rows pass; none for data of another kind.
    table: Option<String>,
    copy: CopyRows,
}

/// Reads an archive in pieces of any size.
#[derive(Debug)]
pub(super) struct ArchiveReader {
    place: Place,
    /// Bytes of a field that has not come whole.
    pending: Vec<u8>,
    head: Head,
    /// Entries whose data must still come.
    expected: BTreeMap<i64, (String, String)>,
    block: Block,
    rows: BTreeMap<String, u64>,
    seen_bytes: u64,
}

impl Default for ArchiveReader {
    fn default() -> Self {
        Self {
            place: Place::Head,
            pending: Vec::new(),
            head: Head::default(),
            expected: BTreeMap::new(),
            block: Block::default(),
            rows: BTreeMap::new(),
            seen_bytes: 0,
        }
    }
}

impl ArchiveReader {
    /// Whether the table of contents has come whole.
    pub fn past_contents(&self) -> bool {
        !matches!(self.place, Place::Head | Place::Entries { .. })
    }

    /// What the archive says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the next bytes; `each` sees every entry of the table of contents.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Entry)) -> Result<(), ArchiveError> {
        self.seen_bytes += bytes.len() as u64;
        if self.pending.is_empty() {
            return self.walk(bytes, each);
        }
        // A field was cut: it is put together, at most a number's bytes at a time once the contents are past.
        let mut rest = bytes;
        while !self.pending.is_empty() && !rest.is_empty() {
            let piece = if self.past_contents() { rest.len().min(INT_BYTES) } else { rest.len() };
            let mut whole = std::mem::take(&mut self.pending);
            whole.extend_from_slice(&rest[..piece]);
            rest = &rest[piece..];
            self.walk(&whole, each)?;
        }
        self.walk(rest, each)
    }

    fn walk(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Entry)) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            match self.step(bytes, each) {
                Ok(length) => bytes = &bytes[length..],
                Err(Short::More) => {
                    self.pending.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(Short::Never(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// One field, or one piece of data; how many bytes are done with.
    fn step(&mut self, bytes: &[u8], each: &mut dyn FnMut(Entry)) -> Result<usize, Short> {
        let mut fields = Fields::new(bytes);
        match self.place {
            Place::Head => {
                self.head = head(&mut fields)?;
                if self.head.format != FORMAT_CUSTOM {
                    return Err(ArchiveError::Foreign.into());
                }
                self.place = self.entries_left(self.head.entries);
            }
            Place::Entries { left } => {
                let entry = entry(&mut fields, &self.head)?;
                if entry.has_data {
                    self.expected.insert(entry.id, (entry.kind.clone(), table(&entry)));
                }
                each(entry);
                self.place = self.entries_left(left - 1);
            }
            Place::BetweenBlocks => self.begin_block(&mut fields)?,
            Place::ChunkLength => match length(&mut fields)? {
                0 => self.end_data()?,
                left => self.place = Place::Chunk { left },
            },
            Place::Chunk { left } => {
                let piece = fields.take(left.min(bytes.len()))?;
                self.block.copy.pass(piece);
                self.place = match left - piece.len() {
                    0 => Place::ChunkLength,
                    left => Place::Chunk { left },
                };
            }
            Place::ObjectNumber => match length(&mut fields)? {
                0 => self.place = Place::BetweenBlocks,
                _ => self.place = Place::ObjectChunkLength,
            },
            Place::ObjectChunkLength => match length(&mut fields)? {
                0 => self.place = Place::ObjectNumber,
                left => self.place = Place::ObjectChunk { left },
            },
            Place::ObjectChunk { left } => {
                let piece = fields.take(left.min(bytes.len()))?.len();
                self.place = match left - piece {
                    0 => Place::ObjectChunkLength,
                    left => Place::ObjectChunk { left },
                };
            }
        }
        Ok(fields.at)
    }

    fn entries_left(&self, left: usize) -> Place {
        if left == 0 { Place::BetweenBlocks } else { Place::Entries { left } }
    }

    fn begin_block(&mut self, fields: &mut Fields<'_>) -> Result<(), Short> {
        let kind = fields.byte()?;
        let id = fields.int()?;
        self.place = match kind {
            BLOCK_DATA => Place::ChunkLength,
            BLOCK_LARGE_OBJECTS => Place::ObjectNumber,
            other => return Err(ArchiveError::Malformed(format!("a block of the kind {other}")).into()),
        };
        let Some((word, table)) = self.expected.remove(&id) else {
            return Err(ArchiveError::Malformed(format!(
                "data block {id} is not in its contents, or came twice"
            ))
            .into());
        };
        let table = (kind == BLOCK_DATA && word == "TABLE DATA").then_some(table);
        self.block = Block { id, table, ..Block::default() };
        Ok(())
    }

    fn end_data(&mut self) -> Result<(), ArchiveError> {
        self.place = Place::BetweenBlocks;
        let block = std::mem::take(&mut self.block);
        let Some(table) = block.table else { return Ok(()) };
        let what = || format!("data block {} ends without the end mark of COPY", block.id);
        let rows = block.copy.rows().ok_or_else(|| ArchiveError::Malformed(what()))?;
        self.rows.insert(table, rows);
        Ok(())
    }

    /// The rows of each table, once the end of the stream was seen.
    pub fn end(self) -> Result<BTreeMap<String, u64>, ArchiveError> {
        if self.place != Place::BetweenBlocks || !self.pending.is_empty() {
            let place = match self.place {
                Place::Head | Place::Entries { .. } => "within its table of contents",
                Place::BetweenBlocks => "within the mark of a block",
                Place::ChunkLength | Place::Chunk { .. } => "within a table's data",
                Place::ObjectNumber | Place::ObjectChunkLength | Place::ObjectChunk { .. } => {
                    "within its large objects"
                }
            };
            return Err(ArchiveError::Truncated(format!("{place}, after {} bytes", self.seen_bytes)));
        }
        if let Some((kind, name)) = self.expected.values().next() {
            let count = self.expected.len();
            return Err(ArchiveError::Truncated(format!(
                "before {kind} {name} ({count} blocks are missing)"
            )));
        }
        Ok(self.rows)
    }
}

impl CopyRows {
    /// Takes the next bytes.
    pub fn pass(&mut self, piece: &[u8]) {
        self.newlines += newlines(piece);
        let kept = self.tail.len();
        if let Some(before) = piece.len().checked_sub(kept) {
            self.tail.copy_from_slice(&piece[before..]);
        } else {
            self.tail.rotate_left(piece.len());
            self.tail[kept - piece.len()..].copy_from_slice(piece);
        }
    }

    /// The rows that have passed, where the last of them is followed by COPY's own end mark.
    pub fn rows(&self) -> Option<u64> {
        // Three of the line ends are the end mark's.
        (self.tail == *COPY_END).then(|| self.newlines - 3)
    }
}

/// Rows of a COPY are lines; a newline within a value is written as `\n` with a backslash.
fn newlines(bytes: &[u8]) -> u64 {
    // Blocks of 192 sum up in one byte a lane, which the compiler turns into vector instructions.
    bytes
        .chunks(192)
        .map(|chunk| u64::from(chunk.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>()))
        .sum()
}

pub(super) fn table(entry: &Entry) -> String {
    super::counts::table_name(&entry.schema, &entry.tag)
}

fn length(fields: &mut Fields<'_>) -> Result<usize, Short> {
    let length = fields.int()?;
    usize::try_from(length).map_err(|_| ArchiveError::Malformed(format!("a length of {length}")).into())
}
