//! A folder of `pg_dump -Fd`, out of the tar archive that it is kept as.
//!
//! Never here: an entry that is written anywhere but into that folder.

use super::RestoreError;
use super::contents::{Contents, of_archive, whole};
use super::folder::{CONTENTS, read_contents};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Bytes moved at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Whether an artifact is a folder of `pg_dump -Fd` as a tar archive.
pub(super) fn is_folder(first: &[u8]) -> bool {
    first.starts_with(CONTENTS.as_bytes()) && first.get(257..262) == Some(b"ustar")
}

/// Unpacks a folder; nothing in it may lie anywhere else.
pub(super) fn unpack(member: &str, tar: &mut dyn Read, folder: &Path) -> Result<(), RestoreError> {
    let damaged =
        |error: io::Error| RestoreError::Damaged { member: member.to_owned(), reason: error.to_string() };
    let target = |path: &Path, error| RestoreError::Target { path: path.to_path_buf(), error };
    std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| target(folder, error))?;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let plain = name.components().count() == 1 && name.file_name().is_some();
        if !plain || !entry.header().entry_type().is_file() {
            let entry = name.display().to_string();
            return Err(RestoreError::Escapes { member: member.to_owned(), entry });
        }
        let path = folder.join(&name);
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut out = opened.map_err(|error| target(&path, error))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = entry.read(&mut buffer).map_err(damaged)?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count]).map_err(|error| target(&path, error))?;
            crate::host::pulse::beat();
        }
    }
    // What follows the archive's end belongs to its digest.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// Reads an artifact's table of contents; a folder is unpacked into `scratch` first.
pub(super) fn contents(
    member: &str,
    first: Vec<u8>,
    body: &mut dyn Read,
    scratch: &Path,
) -> Result<Contents, RestoreError> {
    if !is_folder(&first) {
        return of_archive(member, first, body);
    }
    let folder = scratch.join("dump.dir");
    unpack(member, &mut whole(&first, body), &folder)?;
    let mut bytes = Vec::new();
    let path = folder.join(CONTENTS);
    let opened = std::fs::OpenOptions::new().read(true).open(&path);
    let read = opened.and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| RestoreError::Target { path, error })?;
    let mut contents = Contents { folder: Some(folder), ..Contents::default() };
    let head = read_contents(&bytes, &mut |entry| contents.add(entry));
    let head =
        head.map_err(|error| RestoreError::Damaged { member: member.to_owned(), reason: error.to_string() })?;
    contents.take_head(&head);
    Ok(contents)
}
