//! Compression of artifacts: zstd, gzip and none, each as one stream with an end that can be told from a cut.
//!
//! Never here: a short stream that passes for a whole one, a buffer that grows with the data, or a second member or
//! frame that some readers would ignore. `none` has no end mark of its own; its end is proven by size and digest.

use super::gzip::GzipWriter;
use crate::declared::Compression;
use std::io::{self, BufRead, BufReader, Read, Write};
use zstd::zstd_safe::CParameter;

/// Level of zstd; its tool's default.
const ZSTD_LEVEL: i32 = 3;
/// Bytes that all zstd workers together take at a time. With two workers the process then peaks at 31 MB and is as
/// fast as the zstd tool; the library's own choice (8 MiB each) peaks at 112 MB.
const ZSTD_JOBS_BYTES: u32 = 4 << 20;
/// Most zstd workers: each takes memory, and four outrun the digest of one core.
const ZSTD_WORKERS_MAX: usize = 4;
/// Bytes of compressed input read at a time.
const INPUT_BYTES: usize = 128 << 10;

/// Takes plain bytes and writes compressed ones.
pub trait Compressor<W>: Write + Send {
    /// Writes what is left and the end marks, and gives the output back.
    fn finish(self: Box<Self>) -> io::Result<W>;
}

/// Compresses everything written to it into `out`. Dropped without [`Compressor::finish`] it leaves a stream that no
/// decoder accepts (`none` apart, which has no end mark).
pub fn compressor<W: Write + Send + 'static>(
    compression: Compression,
    out: W,
) -> io::Result<Box<dyn Compressor<W>>> {
    Ok(match compression {
        Compression::Zstd => Box::new(zstd_encoder(out)?),
        Compression::Gzip => Box::new(GzipWriter::new(out)?),
        Compression::None => Box::new(Plain { out }),
    })
}

/// Decompresses `input`. A stream that is cut anywhere is an error at its end, never a short success; so is anything
/// behind the end, and a second gzip member or zstd frame.
pub fn decompressor<'a>(
    compression: Compression,
    input: Box<dyn Read + Send + 'a>,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let input = BufReader::with_capacity(INPUT_BYTES, input);
    Ok(match compression {
        Compression::Zstd => {
            Box::new(Whole { decoder: zstd::Decoder::with_buffer(input)?.single_frame(), ended: false })
        }
        Compression::Gzip => {
            Box::new(Whole { decoder: flate2::bufread::GzDecoder::new(input), ended: false })
        }
        Compression::None => Box::new(input),
    })
}

fn zstd_encoder<W: Write>(out: W) -> io::Result<zstd::Encoder<'static, W>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = u32::try_from(cores.min(ZSTD_WORKERS_MAX)).expect("at most four");
    let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.multithread(workers)?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOBS_BYTES / workers.max(2)))?;
    Ok(encoder)
}

impl<W: Write + Send + 'static> Compressor<W> for zstd::Encoder<'static, W> {
    fn finish(self: Box<Self>) -> io::Result<W> {
        zstd::Encoder::finish(*self)
    }
}

impl<W: Write + Send + 'static> Compressor<W> for GzipWriter<W> {
    fn finish(self: Box<Self>) -> io::Result<W> {
        GzipWriter::finish(*self)
    }
}

/// Bytes as they are.
struct Plain<W> {
    out: W,
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write + Send + 'static> Compressor<W> for Plain<W> {
    fn finish(mut self: Box<Self>) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A decoder of exactly one member or frame.
trait Decoder: Read {
    /// What has not been decoded yet.
    fn rest(&mut self) -> &mut dyn BufRead;
}

impl<R: BufRead> Decoder for zstd::Decoder<'static, R> {
    fn rest(&mut self) -> &mut dyn BufRead {
        self.get_mut()
    }
}

impl<R: BufRead> Decoder for flate2::bufread::GzDecoder<R> {
    fn rest(&mut self) -> &mut dyn BufRead {
        self.get_mut()
    }
}

/// One member or frame and nothing behind it.
struct Whole<D> {
    decoder: D,
    ended: bool,
}

impl<D: Decoder> Read for Whole<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let count = self.decoder.read(buffer)?;
        if count == 0 {
            if !self.decoder.rest().fill_buf()?.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the compressed stream goes on behind its end",
                ));
            }
            self.ended = true;
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
