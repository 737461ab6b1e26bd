//! How plain bytes become stored ones: compressed, then encrypted.

use super::compress::{Compressor, compressor};
use crate::declared::{Compression, Encryption};
use crate::encryption::{Sealer, Sealing};
use std::io::{self, Write};

/// How an artifact is packed for a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// How it is compressed.
    pub compression: Compression,
    /// For whom it is then encrypted; none where anybody may read it.
    pub sealer: Option<Sealer>,
}

impl Packing {
    /// Compressed and not encrypted.
    pub fn open(compression: Compression) -> Self {
        Self { compression, sealer: None }
    }

    /// What follows an artifact's name, such as `.zst.age`.
    pub fn extension(&self) -> String {
        let sealed = self.sealer.as_ref().map_or("", |_| Encryption::EXTENSION);
        format!("{}{sealed}", self.compression.extension())
    }
}

/// One of the two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PackingStep {
    Compress(Compression),
    Seal(Sealer),
}

impl PackingStep {
    /// Begins it. Dropped without `finish` it leaves a stream that no reader accepts.
    pub fn begin<W: Write + Send + 'static>(&self, out: W) -> io::Result<Box<dyn Compressor<W>>> {
        match self {
            Self::Compress(compression) => compressor(*compression, out),
            Self::Seal(sealer) => Ok(Box::new(sealer.seal(out)?)),
        }
    }
}

impl<W: Write + Send + 'static> Compressor<W> for Sealing<W> {
    fn finish(self: Box<Self>) -> io::Result<W> {
        Sealing::finish(*self)
    }
}
