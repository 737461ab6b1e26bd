//! The end of an output: its last lines, kept as it passes.

/// Bytes of the end in which the mark must stand.
const TAIL_BYTES: usize = 4 << 10;

/// What came last, and how much there was.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: Vec<u8>,
    /// Bytes in all.
    pub bytes: u64,
}

impl Tail {
    /// Takes note of bytes that pass.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.kept.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        self.kept.drain(..self.kept.len().saturating_sub(TAIL_BYTES));
    }

    /// Whether one of the last lines holds the mark.
    pub(super) fn has(&self, mark: &str) -> bool {
        let lines = self.kept.split(|byte| *byte == b'\n');
        !mark.is_empty()
            && lines.into_iter().any(|line| line.windows(mark.len()).any(|it| it == mark.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_counts_only_at_the_end() {
        let mut tail = Tail::default();
        tail.push(b"-- done\n");
        assert!(tail.has("-- done"));
        tail.push(&vec![b'x'; TAIL_BYTES - 1]);
        assert!(!tail.has("-- done"), "it has passed by");
        tail.push(b"\n-- do");
        tail.push(b"ne on Tuesday\n\n");
        assert!(tail.has("-- done"), "in two pieces, with more on its line");
        assert!(!tail.has("-- gone") && !tail.has(""));
        assert_eq!(tail.bytes, 8 + (TAIL_BYTES as u64 - 1) + 6 + 15);
    }
}
