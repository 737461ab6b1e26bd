//! A snapshot's archive walked as it streams: every header's sum, and the two blocks of zeros that end it.
//!
//! Never here: an archive that is cut anywhere is called whole. The format is POSIX.1-2017, pax, "ustar interchange
//! format", with GNU's base-256 sizes and sparse headers.

const BLOCK: usize = 512;

/// How far a walk has come.
#[derive(Debug)]
enum At {
    /// In a header.
    Header,
    /// In an entry's data and padding, so many bytes before the next header.
    Data(u64),
    /// In a header's continuation (GNU sparse), before so many bytes of data.
    More(u64),
    /// After the first block of zeros.
    Ending,
    /// After both: only zeros may follow.
    Ended,
    /// Not an archive.
    Broken(String),
}

/// A walk along an archive.
#[derive(Debug)]
pub(super) struct TarWalk {
    at: At,
    block: Vec<u8>,
    entries: u64,
    bytes: u64,
}

impl Default for TarWalk {
    fn default() -> Self {
        Self { at: At::Header, block: Vec::with_capacity(BLOCK), entries: 0, bytes: 0 }
    }
}

impl TarWalk {
    /// The next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if matches!(self.at, At::Broken(_)) {
                return;
            }
            if let At::Data(left) = &mut self.at {
                let step = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= step as u64;
                self.bytes += step as u64;
                bytes = &bytes[step..];
                if *left == 0 {
                    self.at = At::Header;
                }
                continue;
            }
            let step = (BLOCK - self.block.len()).min(bytes.len());
            self.block.extend_from_slice(&bytes[..step]);
            self.bytes += step as u64;
            bytes = &bytes[step..];
            if self.block.len() == BLOCK {
                self.whole_block();
                self.block.clear();
            }
        }
    }

    fn whole_block(&mut self) {
        let zeros = self.block.iter().all(|byte| *byte == 0);
        let place = self.bytes - BLOCK as u64;
        let at = std::mem::replace(&mut self.at, At::Header);
        self.at = match at {
            At::Header if zeros => At::Ending,
            At::Header => match header(&self.block) {
                Ok((data, continued)) => {
                    self.entries += 1;
                    after(data, continued)
                }
                Err(reason) => At::Broken(format!("at byte {place}: {reason}")),
            },
            At::More(data) => after(data, self.block[504] == 1),
            At::Ending if zeros => At::Ended,
            At::Ending => At::Broken(format!("at byte {place}: one block of zeros in its middle")),
            At::Ended if zeros => At::Ended,
            At::Ended => At::Broken(format!("at byte {place}: data after its end")),
            At::Data(left) => At::Data(left),
            At::Broken(reason) => At::Broken(reason),
        };
    }

    /// The number of entries of a whole archive; else what is wrong.
    pub(super) fn end(self) -> Result<u64, String> {
        match self.at {
            At::Ended if !self.block.is_empty() => Err("it ends in the middle of a block".into()),
            At::Ended if self.entries == 0 => Err("it is an empty archive".into()),
            At::Ended => Ok(self.entries),
            At::Broken(reason) => Err(format!("it is no tar archive ({reason})")),
            At::Header | At::Data(_) | At::More(_) | At::Ending => {
                Err(format!("it is cut off after {} bytes: the two end blocks are missing", self.bytes))
            }
        }
    }
}

fn after(data: u64, continued: bool) -> At {
    match (continued, data) {
        (true, data) => At::More(data),
        (false, 0) => At::Header,
        (false, data) => At::Data(data),
    }
}

/// The padded length of a header's data, and whether a continuation of it comes first.
fn header(block: &[u8]) -> Result<(u64, bool), String> {
    let counted: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(*byte) })
        .sum();
    if number(&block[148..156]) != Some(counted) {
        return Err("a header whose sum is wrong".into());
    }
    let size = number(&block[124..136]).ok_or("a header whose size is no number")?;
    // Links, devices and folders have no data, whatever their size says; a GNU sparse header may go on.
    let (bytes, continued) = match block[156] {
        b'1'..=b'6' => (0, false),
        b'S' => (size, block[482] == 1),
        _ => (size, false),
    };
    let padded = bytes.checked_next_multiple_of(BLOCK as u64).ok_or("a header whose size is too large")?;
    Ok((padded, continued))
}

/// An octal number, or GNU's base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let (first, rest) = field.split_first()?;
        return rest
            .iter()
            .try_fold(u64::from(first & 0x7f), |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("version.info", 5_usize), ("config.json", 512), ("0/segment", 100_000)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes as u64);
            header.set_mode(0o600);
            header.set_cksum();
            let long = format!("{name}/{}", "x".repeat(if bytes == 512 { 200 } else { 1 }));
            builder.append_data(&mut header, long, vec![7_u8; bytes].as_slice()).expect("an entry");
        }
        builder.into_inner().expect("an archive")
    }

    fn walked(bytes: &[u8], step: usize) -> Result<u64, String> {
        let mut walk = TarWalk::default();
        bytes.chunks(step).for_each(|chunk| walk.feed(chunk));
        walk.end()
    }

    #[test]
    fn whole_archive_is_whole_in_pieces_of_any_size() {
        for step in [1, 7, 512, 1000, 1 << 20] {
            assert_eq!(walked(&archive(), step), Ok(4), "pieces of {step} bytes");
        }
    }

    #[test]
    fn archive_that_is_cut_at_any_block_is_not_whole() {
        let whole = archive();
        for length in (0..whole.len()).step_by(BLOCK).chain([1, 600, whole.len() - 1]) {
            assert!(walked(&whole[..length], 4096).is_err(), "cut to {length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn flipped_bit_of_a_header_is_found() {
        let mut bytes = archive();
        bytes[3] ^= 1;
        assert!(walked(&bytes, 4096).expect_err("a wrong sum").contains("sum"));
    }

    #[test]
    fn something_else_is_no_archive() {
        assert!(walked(b"{\"status\":{\"error\":\"disk full\"}}", 4096).is_err());
        assert!(walked(&[0; 1024], 512).expect_err("nothing in it").contains("empty"));
        let mut trailed = archive();
        trailed.extend([1; 512]);
        assert!(walked(&trailed, 4096).expect_err("data after the end").contains("after its end"));
    }
}
