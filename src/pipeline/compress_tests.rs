//! What compression must hold: round trips, one member, and no cut stream that passes for a whole one.
#![expect(clippy::disallowed_methods, reason = "the tests run the real decoders on real files")]

use super::super::gzip::BLOCK_BYTES;
use super::*;
use proptest::prelude::*;
use std::process::Command;

const ALL: [Compression; 3] = [Compression::Zstd, Compression::Gzip, Compression::None];
const PACKED: [Compression; 2] = [Compression::Zstd, Compression::Gzip];

/// Half text-like, half pseudo-random (xorshift), so that both stored and compressed blocks come up.
fn mixed(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if (bytes.len() >> 16) & 1 == 0 {
            bytes.extend_from_slice(format!("row {:06} value {}\n", state % 5000, state % 7).as_bytes());
        } else {
            bytes.extend_from_slice(&state.to_le_bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut compressor = compressor(compression, Vec::new()).expect("starts");
    compressor.write_all(bytes).expect("takes bytes");
    compressor.finish().expect("ends")
}

fn unpack(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decompressor(compression, Box::new(bytes))?.read_to_end(&mut plain)?;
    Ok(plain)
}

fn tool_reads(tool: &str, packed: &[u8], plain: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), packed).expect("writes");
    let input = std::fs::File::open(file.path()).expect("opens");
    let output = Command::new(tool).arg("-dc").stdin(input).output().expect("the tool is installed");
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty() && output.stdout == plain, "{tool} gives something else");
}

#[test]
fn what_is_packed_comes_back() {
    let lengths =
        [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 5 * BLOCK_BYTES + 77];
    for length in lengths {
        let plain = mixed(length);
        for compression in ALL {
            let packed = pack(compression, &plain);
            assert!(unpack(compression, &packed).expect("whole") == plain, "{compression:?} {length}");
        }
    }
}

#[test]
fn fifty_megabytes_come_back_through_the_real_tools_too() {
    let plain = mixed(50_000_000);
    let (gzip, zstd) = (pack(Compression::Gzip, &plain), pack(Compression::Zstd, &plain));
    tool_reads("gunzip", &gzip, &plain);
    tool_reads("zstd", &zstd, &plain);
    assert!(unpack(Compression::Gzip, &gzip).expect("whole") == plain);
    assert!(unpack(Compression::Zstd, &zstd).expect("whole") == plain);
}

#[test]
fn small_streams_are_read_by_the_real_tools() {
    for length in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1] {
        let plain = mixed(length);
        tool_reads("gunzip", &pack(Compression::Gzip, &plain), &plain);
        tool_reads("zstd", &pack(Compression::Zstd, &plain), &plain);
    }
}

#[test]
fn gzip_is_one_member_with_the_right_trailer() {
    let plain = mixed(3 * BLOCK_BYTES + 5);
    let packed = pack(Compression::Gzip, &plain);
    let mut decoder = flate2::bufread::GzDecoder::new(packed.as_slice());
    let mut first = Vec::new();
    decoder.read_to_end(&mut first).expect("a member");
    assert!(first == plain && decoder.into_inner().is_empty());
    let trailer = &packed[packed.len() - 8..];
    assert_eq!(trailer[..4], crc32fast::hash(&plain).to_le_bytes());
    assert_eq!(trailer[4..], u32::try_from(plain.len()).expect("small").to_le_bytes());
}

#[test]
fn gzip_blocks_are_primed_with_what_precedes_them() {
    // 30 KiB of noise again and again: only matches across the block's edge make each block start small.
    let noise: Vec<u8> = mixed(200_000)[70_000..100_000].to_vec();
    let plain: Vec<u8> = noise.iter().copied().cycle().take(4 * BLOCK_BYTES).collect();
    let packed = pack(Compression::Gzip, &plain);
    assert!(packed.len() < 2 * noise.len(), "{} bytes", packed.len());
}

#[test]
fn cut_stream_is_an_error_wherever_it_is_cut() {
    let plain = mixed(BLOCK_BYTES + 3000);
    for compression in PACKED {
        let packed = pack(compression, &plain);
        let near_the_ends = (0..300).chain(packed.len() - 300..packed.len());
        for cut in near_the_ends.chain((300..packed.len() - 300).step_by(997)) {
            assert!(unpack(compression, &packed[..cut]).is_err(), "{compression:?} cut at {cut} passes");
        }
        for length in [0, 1] {
            let small = pack(compression, &plain[..length]);
            assert!((0..small.len()).all(|cut| unpack(compression, &small[..cut]).is_err()));
        }
    }
}

#[test]
fn anything_behind_the_end_is_an_error() {
    let plain = mixed(1000);
    for compression in PACKED {
        let packed = pack(compression, &plain);
        for tail in [&b"\0"[..], b"garbage", &packed] {
            assert!(unpack(compression, &[&packed, tail].concat()).is_err(), "{compression:?}");
        }
    }
}

#[test]
fn flipped_bit_is_an_error() {
    let plain = mixed(20_000);
    for compression in PACKED {
        let packed = pack(compression, &plain);
        // gzip's header has bytes that say nothing about the data (time, system): they are left out.
        for at in (10..packed.len()).step_by(37) {
            let mut flipped = packed.clone();
            flipped[at] ^= 0x10;
            let outcome = unpack(compression, &flipped);
            assert!(outcome.is_err() || outcome.is_ok_and(|bytes| bytes == plain), "{compression:?} {at}");
        }
    }
}

#[test]
fn stream_dropped_without_finish_is_refused() {
    for compression in PACKED {
        let shared = Shared::default();
        let mut compressor = compressor(compression, shared.clone()).expect("starts");
        compressor.write_all(&mixed(3 * BLOCK_BYTES)).expect("takes bytes");
        compressor.flush().expect("flushes");
        drop(compressor);
        let bytes = shared.0.lock().expect("not poisoned").clone();
        assert!(unpack(compression, &bytes).is_err(), "{compression:?}");
    }
}

#[test]
fn output_that_fails_is_reported_and_stays_failed() {
    for compression in ALL {
        let Ok(mut compressor) = compressor(compression, Full { room: 5000 }) else { continue };
        let written = compressor.write_all(&mixed(4_000_000));
        let flushed = compressor.flush();
        assert!(written.is_err() || flushed.is_err(), "{compression:?}");
        assert!(compression == Compression::None || compressor.finish().is_err(), "{compression:?}");
    }
}

/// Output that can be looked at after the compressor is gone.
#[derive(Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that fills up.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bytes_written_in_any_pieces_come_back(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5000), 0..40),
        repeat in 1_usize..12,
    ) {
        let plain = pieces.concat().repeat(repeat);
        for compression in ALL {
            let mut compressor = compressor(compression, Vec::new()).expect("starts");
            for _ in 0..repeat {
                for piece in &pieces {
                    compressor.write_all(piece).expect("takes bytes");
                }
            }
            let packed = compressor.finish().expect("ends");
            prop_assert!(unpack(compression, &packed).expect("whole") == plain);
        }
    }
}
