//! The bytes of a dump, taken one piece after the other and summed up as they pass.
//!
//! Never here: a piece that is taken although it did not come.

use super::{RdbError, crc};
use std::io::{self, Read};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A dump on its way.
pub(super) struct Input<'a> {
    source: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    summed: usize,
    crc: u64,
    passed: u64,
}

impl<'a> Input<'a> {
    /// Begins.
    pub(super) fn new(source: &'a mut dyn Read) -> Self {
        Self { source, buffer: vec![0; BUFFER_BYTES], at: 0, filled: 0, summed: 0, crc: 0, passed: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.passed + self.at as u64
    }

    /// The check sum of the bytes taken so far.
    pub(super) fn crc(&mut self) -> u64 {
        self.crc = crc::extend(self.crc, &self.buffer[self.summed..self.at]);
        self.summed = self.at;
        self.crc
    }

    /// Reads on when everything is taken; false at the end.
    fn refill(&mut self) -> Result<bool, RdbError> {
        if self.at < self.filled {
            return Ok(true);
        }
        self.crc();
        self.passed += self.filled as u64;
        (self.at, self.filled, self.summed) = (0, 0, 0);
        self.filled = loop {
            match self.source.read(&mut self.buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RdbError::Read(error)),
            }
        };
        Ok(self.filled > 0)
    }

    /// Whether nothing follows.
    pub(super) fn at_end(&mut self) -> Result<bool, RdbError> {
        Ok(!self.refill()?)
    }

    fn more(&mut self) -> Result<(), RdbError> {
        let offset = self.offset();
        if self.refill()? { Ok(()) } else { Err(RdbError::Truncated { offset }) }
    }

    /// Takes one byte.
    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        self.more()?;
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    /// Takes a few bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// Takes bytes and forgets them.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), RdbError> {
        while count > 0 {
            self.more()?;
            let here = usize::try_from(count).unwrap_or(usize::MAX).min(self.filled - self.at);
            self.at += here;
            count -= here as u64;
        }
        Ok(())
    }
}
