//! Objects on their way back, in one piece or in parts. Of neither is more in memory than one request's bytes.

use super::super::remote::store::Fault;
use super::fault::{brief, fault};
use crate::destinations::runtime::{runtime, wait};
use bytes::Buf;
use futures::StreamExt;
use opendal::{Buffer, BufferStream, Operator};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::pin::Pin;

/// Bytes of one request.
const READ_BYTES: usize = 4 << 20;

/// A download of one object.
pub(super) struct Download {
    stream: Option<Pin<Box<BufferStream>>>,
    current: Buffer,
}

impl Download {
    /// Waits for the first bytes: whether it can be read is known only then.
    pub fn open(operator: &Operator, path: &str, bytes: Range<u64>) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Ok(Self { stream: None, current: Buffer::new() });
        }
        let open = async {
            let reader = operator.reader_with(path).chunk(READ_BYTES).await?;
            let mut stream = Box::pin(reader.into_stream(bytes).await?);
            let first = stream.next().await.transpose()?;
            opendal::Result::Ok(Self { stream: Some(stream), current: first.unwrap_or_default() })
        };
        wait(open).map_err(fault("opening it"))
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !buffer.is_empty() {
            let Some(stream) = &mut self.stream else { return Ok(0) };
            match wait(stream.next()) {
                Some(Ok(bytes)) => self.current = bytes,
                Some(Err(error)) => return Err(io::Error::other(brief(&error))),
                None => self.stream = None,
            }
        }
        let length = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // Connections go back to the runtime that they came from.
        let _entered = runtime().enter();
        self.stream = None;
    }
}

/// A download of an object that lies in parts: each is opened when the one before it has ended.
pub(super) struct PartsDownload {
    operator: Operator,
    current: Download,
    next: VecDeque<(String, Range<u64>)>,
}

impl PartsDownload {
    /// Opens the first part.
    pub fn open(operator: &Operator, mut parts: VecDeque<(String, Range<u64>)>) -> Result<Self, Fault> {
        let (path, bytes) = parts.pop_front().unwrap_or_default();
        let current = Download::open(operator, &path, bytes)?;
        Ok(Self { operator: operator.clone(), current, next: parts })
    }
}

impl Read for PartsDownload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.current.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let Some((path, bytes)) = self.next.pop_front() else { return Ok(0) };
            self.current = Download::open(&self.operator, &path, bytes)
                .map_err(|fault| io::Error::other(format!("{path}: {}", fault.words())))?;
        }
    }
}
