//! Which entries of an archive are wanted.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// Globs of entries; none wants all.
#[derive(Debug, Default)]
pub struct Include {
    patterns: Vec<String>,
    set: GlobSet,
    matched: HashSet<usize>,
}

impl Include {
    /// Reads globs, with or without a leading `/`.
    pub fn new(patterns: &[String]) -> io::Result<Self> {
        let refused = |pattern: &str, error: &globset::Error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{pattern}` is not a glob: {}", error.kind()),
            )
        };
        let mut builder = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = GlobBuilder::new(pattern.trim_matches('/')).literal_separator(true).build();
            builder.add(glob.map_err(|error| refused(pattern, &error))?);
        }
        let set = builder.build().map_err(|error| refused(&patterns.join(", "), &error))?;
        Ok(Self { patterns: patterns.to_vec(), set, matched: HashSet::new() })
    }

    /// Whether an entry is wanted: it or a folder above it matches.
    pub fn wants(&mut self, path: &[u8]) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let mut wanted = false;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let numbers = self.set.matches(OsStr::from_bytes(&path[..end]));
            wanted |= !numbers.is_empty();
            self.matched.extend(numbers);
        }
        wanted
    }

    /// The first glob that matched nothing.
    pub fn unmatched(&self) -> Option<&str> {
        (0..self.patterns.len())
            .find(|number| !self.matched.contains(number))
            .map(|number| self.patterns[number].as_str())
    }
}
