//! Drills and restores `files` artifacts.
//!
//! A drill trusts nothing that it did not read again from disk; a restore never touches a folder that holds anything.

use super::super::{Artifact, Bench, Drill, PlainDrill, RestoreError, Restorer, Target};
use super::archive::ArchiveReader;
use super::attributes::Restoring;
use super::compare::{self, Comparison, Differences, LookError};
use super::extract::{Extracted, Extraction};
use super::folder::Names;
use super::include::Include;
use super::node::mode_of;
#[cfg(target_os = "linux")]
use super::node::{NO_ATTRIBUTE, is_unsupported};
use crate::format::{Counts, EntryKind, IndexError, IndexReader};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The artifact side of `files`.
pub struct FilesRestorer;

fn target_failed(path: &Path, error: impl Into<io::Error>) -> RestoreError {
    RestoreError::Target { path: path.to_owned(), error: error.into() }
}

fn index_failed(member: &str, error: IndexError) -> RestoreError {
    let member = member.to_owned();
    match error {
        IndexError::Read(error) => RestoreError::Fetch { member, error },
        IndexError::Malformed { .. } | IndexError::TooNew { .. } => {
            RestoreError::Damaged { member, reason: error.to_string() }
        }
    }
}

fn look_failed(scratch: &Path, error: LookError) -> RestoreError {
    target_failed(&scratch.join(error.path), error.error)
}

/// Makes and opens a folder that only this user can enter.
fn make_folder(path: &Path) -> Result<OwnedFd, RestoreError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| target_failed(path, error))?;
    let folder = open_target(path)?;
    hand_down_nothing(&folder).map_err(|errno| target_failed(path, errno))?;
    Ok(folder)
}

/// Removes what lies above may hand down: rights that the entries do not have (acl(5)).
#[cfg(target_os = "linux")]
fn hand_down_nothing(folder: &OwnedFd) -> Result<(), Errno> {
    match rustix::fs::fremovexattr(folder, "system.posix_acl_default") {
        Err(errno) if errno != NO_ATTRIBUTE && !is_unsupported(errno) => Err(errno),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A Mac's rights that are handed down are no attribute, and nothing here can take them away: a restore below a folder
/// with such rights leaves them on what it makes.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux has something to do here")]
fn hand_down_nothing(_folder: &OwnedFd) -> Result<(), Errno> {
    Ok(())
}

fn open_target(path: &Path) -> Result<OwnedFd, RestoreError> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| target_failed(path, errno))
}

/// Opens the target, made where it is not there, and refuses one that holds anything.
fn empty_target(path: &Path) -> Result<OwnedFd, RestoreError> {
    match rustix::fs::stat(path) {
        Err(Errno::NOENT) => return make_folder(path),
        Err(Errno::NOTDIR) => return Err(RestoreError::TargetNotEmpty { path: path.to_owned() }),
        Err(errno) => return Err(target_failed(path, errno)),
        Ok(_) => {}
    }
    let folder = match rustix::fs::openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(folder) => folder,
        Err(Errno::NOTDIR) => return Err(RestoreError::TargetNotEmpty { path: path.to_owned() }),
        Err(errno) => return Err(target_failed(path, errno)),
    };
    let mut names = Names::list(folder.as_fd()).map_err(|errno| target_failed(path, errno))?;
    if names.take_next(&mut Vec::new()) {
        return Err(RestoreError::TargetNotEmpty { path: path.to_owned() });
    }
    Ok(folder)
}

/// Keeps the index on disk: it is read once as it comes, and again at least once.
fn spool(member: &str, index: &mut dyn Read, scratch: &Path) -> Result<File, RestoreError> {
    let mut file = tempfile::tempfile_in(scratch).map_err(|error| target_failed(scratch, error))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match index.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                io::Write::write_all(&mut file, &buffer[..count])
                    .map_err(|error| target_failed(scratch, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(RestoreError::Fetch { member: member.to_owned(), error }),
        }
    }
    Ok(file)
}

fn entries(file: &File, scratch: &Path) -> Result<IndexReader<File>, RestoreError> {
    let mut again = file.try_clone().map_err(|error| target_failed(scratch, error))?;
    again.rewind().map_err(|error| target_failed(scratch, error))?;
    Ok(IndexReader::new(again))
}

/// Compares everything that was extracted with the index.
fn compare_all(
    member: &str,
    index: &File,
    extracted: &Extracted,
    folder: &OwnedFd,
    place: &Path,
) -> Result<Counts, RestoreError> {
    let mut comparison = Comparison::new(extracted, folder).map_err(|error| target_failed(place, error))?;
    let mut expected = 0;
    for entry in entries(index, place)? {
        let entry = entry.map_err(|error| index_failed(member, error))?;
        if entry.path != Path::new(".") {
            expected += 1;
        }
        comparison.entry(&entry).map_err(|error| look_failed(place, error))?;
    }
    let mut found = 0_u64;
    let walked = |errno: Errno| target_failed(place, errno);
    compare::each(folder, &mut |_, _, _, _| {
        found += 1;
        Ok(())
    })
    .map_err(walked)?;
    let counts = comparison.counts();
    let mut differences = comparison.differences;
    let known = expected + extracted.implicit.len() as u64;
    if found + extracted.devices_left_out > known {
        name_extra(member, index, extracted, folder, place, &mut differences)?;
    }
    match differences.told() {
        None => Ok(counts),
        Some(reason) => Err(RestoreError::Differs { member: member.to_owned(), reason }),
    }
}

fn name_extra(
    member: &str,
    index: &File,
    extracted: &Extracted,
    folder: &OwnedFd,
    place: &Path,
    differences: &mut Differences,
) -> Result<(), RestoreError> {
    let mut known = HashSet::new();
    for entry in entries(index, place)? {
        let entry = entry.map_err(|error| index_failed(member, error))?;
        known.insert(compare::path_number(entry.path.as_os_str().as_bytes()));
    }
    compare::add_extra(folder, &known, extracted, differences).map_err(|errno| target_failed(place, errno))
}

/// Lets the caller remove what was restored: without rights of its own, a folder keeps its content.
fn unlock(folder: &OwnedFd) -> Result<(), Errno> {
    if Restoring::now().privileged() {
        return Ok(());
    }
    rustix::fs::fchmod(folder, Mode::RWXU)?;
    compare::each(folder, &mut |_, parent, name, node| {
        if node.entry_kind() == Some(EntryKind::Folder) && node.mode & 0o700 != 0o700 {
            rustix::fs::chmodat(parent, name, mode_of(node.mode | 0o700), AtFlags::empty())?;
        }
        Ok(())
    })
}

/// The wanted hard links whose content comes under a name that is not wanted: that name, and the first such link.
fn stand_ins(
    member: &str,
    index: &mut dyn Read,
    patterns: &mut Include,
) -> Result<HashMap<Vec<u8>, Vec<u8>>, RestoreError> {
    let mut stand_ins = HashMap::new();
    for entry in IndexReader::new(index) {
        let entry = entry.map_err(|error| index_failed(member, error))?;
        if let (EntryKind::HardLink, Some(target)) = (entry.kind, &entry.target) {
            let (path, target) = (entry.path.as_os_str().as_bytes(), target.as_os_str().as_bytes());
            if patterns.wants(path) && !patterns.wants(target) {
                stand_ins.entry(target.to_vec()).or_insert_with(|| path.to_vec());
            }
        }
    }
    Ok(stand_ins)
}

impl FilesRestorer {
    /// Restores into `scratch`, an empty private folder, compares and counts.
    pub(super) fn drill(&self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let Some(index) = artifact.index else {
            return Err(RestoreError::Damaged {
                member: artifact.member.to_owned(),
                reason: "it has no index to compare with".to_owned(),
            });
        };
        let index = spool(artifact.member, index, scratch)?;
        let place = scratch.join("restored");
        let folder = make_folder(&place)?;
        let kept = folder.try_clone().map_err(|error| target_failed(&place, error))?;
        let mut archive = ArchiveReader::new(artifact.body);
        let drilled = Extraction::new(artifact.member, &place, folder)
            .run(&mut archive)
            .and_then(|extracted| compare_all(artifact.member, &index, &extracted, &kept, &place));
        unlock(&kept).map_err(|errno| target_failed(&place, errno))?;
        drilled
    }

    /// Restores into the target, never over anything that is there.
    pub(super) fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Counts, RestoreError> {
        let refused = |error| RestoreError::Fetch { member: artifact.member.to_owned(), error };
        let mut include = Include::new(&target.include).map_err(refused)?;
        let stand_ins = match artifact.index {
            Some(index) if !target.include.is_empty() => stand_ins(artifact.member, index, &mut include)?,
            Some(_) | None => HashMap::new(),
        };
        let folder = empty_target(&target.folder)?;
        let mut extraction = Extraction::new(artifact.member, &target.folder, folder);
        extraction.include = include;
        extraction.stand_ins = stand_ins;
        let extracted = extraction.run(&mut ArchiveReader::new(artifact.body))?;
        if let Some(name) = extracted.unkept.first() {
            let reason = format!(
                "everything is restored, but this file system or user cannot keep the attribute `{}` ({} such names)",
                String::from_utf8_lossy(name),
                extracted.unkept.len()
            );
            return Err(target_failed(&target.folder, io::Error::new(io::ErrorKind::Unsupported, reason)));
        }
        Ok(extracted.counts())
    }
}

impl Restorer for FilesRestorer {
    fn begin<'a>(&self, _: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        Ok(Box::new(PlainDrill(|artifact, scratch| Self.drill(artifact, scratch))))
    }

    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        self.restore(artifact, target).map(Some)
    }
}
