//! An artifact in a private file, walked and hashed, before a server sees any of it.
//!
//! Never here: bytes that are not a whole archive reach a server.

use super::api::Api;
use super::drill::bench_error;
use super::http::HttpError;
use super::tar_walk::TarWalk;
use crate::host::pulse;
use crate::sources::{Artifact, RestoreError};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes moved at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// What the uploaded file is called on the server.
pub(super) const FILE_NAME: &str = "bkp.snapshot";

/// A whole snapshot in a file without a name.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    member: String,
    bytes: u64,
    sha256: String,
}

impl Spool {
    /// Writes an artifact to a file in `folder` and walks its archive.
    pub(super) fn fill(artifact: &mut Artifact<'_>, folder: &Path) -> Result<Self, RestoreError> {
        let member = artifact.member.to_owned();
        let target = |error: io::Error| RestoreError::Target { path: folder.to_path_buf(), error };
        let mut file = tempfile::tempfile_in(folder).map_err(target)?;
        let (bytes, sha256) =
            pour(&member, artifact.body, &mut |chunk| file.write_all(chunk).map_err(target))?;
        Ok(Self { file, member, bytes, sha256 })
    }

    /// Uploads it into a collection; the server compares its SHA-256 before it recovers.
    pub(super) fn upload(&self, server: &Api, collection: &str) -> Result<(), RestoreError> {
        let mut file = &self.file;
        let rewound = file.seek(SeekFrom::Start(0));
        rewound.map_err(|error| RestoreError::Fetch { member: self.member.clone(), error })?;
        let sent = server.upload(collection, (FILE_NAME, Some(&self.sha256)), self.bytes, &mut Beating(file));
        sent.map_err(|error| self.judged(server, &error))
    }

    /// A server that calls the upload wrong speaks of the snapshot; with any other answer it speaks
    /// of itself: it may lack room.
    fn judged(&self, server: &Api, error: &HttpError) -> RestoreError {
        match error.status() {
            Some(400) => {
                let reason = format!("{} cannot recover it: {error}", server.url());
                RestoreError::Damaged { member: self.member.clone(), reason }
            }
            Some(_) | None => bench_error(&format!("{}: {error}", server.url())),
        }
    }
}

/// Says that something moves, as it is sent.
struct Beating<'a>(&'a File);

impl Read for Beating<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        pulse::beat();
        self.0.read(buffer)
    }
}

/// Reads a snapshot to its end, hands on every piece, and gives its size and SHA-256 when its archive is whole.
pub(super) fn pour(
    member: &str,
    body: &mut dyn Read,
    each: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
) -> Result<(u64, String), RestoreError> {
    let (mut bytes, mut sum, mut walk) = (0, Sha256::new(), TarWalk::default());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let chunk = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Fetch { member: member.to_owned(), error }),
        };
        bytes += chunk.len() as u64;
        sum.update(chunk);
        walk.feed(chunk);
        each(chunk)?;
    }
    walk.end().map_err(|reason| RestoreError::Damaged { member: member.to_owned(), reason })?;
    Ok((bytes, crate::format::Digest::from_bytes(sum.finalize().into()).to_string()))
}
