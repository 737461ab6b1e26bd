//! `local`: a folder on this host, be it a disk or something mounted.
//!
//! The root carries a marker, so that a file system which is not mounted is never taken for an empty destination.
//! Nothing is ever written outside the root or without the marker, nothing replaces anything, and a partial object
//! is only ever under a temporary name.

mod folder;
mod give;
mod medium;
mod upload;
mod walk;

use super::marker::{MARKER, Marker};
use super::{Access, Capabilities, Destination, DestinationError, Object, key_parts as parts, prefix_parts};
use crate::format::{Key, Prefix};
use crate::host::{Space, stat_number};
use folder::{Entry, EntryKind, Folder, is_absent};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use upload::{Fault, TEMPORARY, Upload};
use walk::{collect, is_ours, sweep_below};

/// What mkfs leaves at the top of a file system; it is nobody's data.
const LOST_AND_FOUND: &str = "lost+found";
/// How often a folder that another process removes meanwhile is made again.
const ATTEMPTS_MAX: u32 = 8;

/// A folder that holds snapshots.
#[derive(Debug)]
pub struct LocalDestination {
    root: PathBuf,
    access: Access,
    /// Other things may lie there too.
    shared: bool,
}

/// What the system said, with the object it concerns.
fn system(object: &str, during: &'static str, error: io::Error) -> DestinationError {
    let object = object.to_owned();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => DestinationError::Full { object, error },
        Some(Errno::ACCESS | Errno::PERM) => DestinationError::Denied { object, error },
        _ => DestinationError::Io { object, during, error },
    }
}

fn at<'a>(object: &'a str, during: &'static str) -> impl Fn(io::Error) -> DestinationError + 'a {
    move |error| system(object, during, error)
}

impl LocalDestination {
    /// A destination below `root`. Nothing is touched yet.
    pub fn new(root: PathBuf, access: Access) -> Self {
        Self { root, access, shared: false }
    }

    /// As [`Self::new`], where other things may lie beside what bkp keeps.
    pub fn shared(root: PathBuf, access: Access) -> Self {
        Self { root, access, shared: true }
    }

    fn not_prepared(&self) -> DestinationError {
        DestinationError::NotPrepared { root: self.location() }
    }

    /// The root, if its marker is there.
    fn marked_root(&self) -> Result<Option<Folder>, DestinationError> {
        let root = match Folder::open(&self.root) {
            Ok(root) => root,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(system(&self.location(), "opening it", error)),
        };
        let marked = root.has(MARKER).map_err(at(&self.location(), "looking for its marker"))?;
        Ok(marked.then_some(root))
    }

    fn marker(&self) -> Result<Option<Marker>, DestinationError> {
        let Some(root) = self.marked_root()? else { return Ok(None) };
        let read = || {
            let mut bytes = Vec::new();
            let mut file = root.file(MARKER)?.ok_or(io::ErrorKind::NotFound)?;
            file.read_to_end(&mut bytes)?;
            Marker::parse(&bytes)
        };
        read().map(Some).map_err(at(&self.location(), "reading its marker"))
    }

    fn readable_root(&self) -> Result<Folder, DestinationError> {
        self.marked_root()?.ok_or_else(|| self.not_prepared())
    }

    fn changeable_root(&self, object: &str) -> Result<Folder, DestinationError> {
        self.changeable(object)?;
        self.readable_root()
    }

    fn changeable(&self, object: &str) -> Result<(), DestinationError> {
        match self.access {
            Access::Look => Err(DestinationError::ReadOnly { object: object.to_owned() }),
            Access::Change => Ok(()),
        }
    }

    /// Creates the root, for its owner only, and its parents as usual folders.
    fn make_root(&self) -> io::Result<()> {
        let missing: Vec<&Path> =
            self.root.ancestors().take_while(|path| matches!(path.try_exists(), Ok(false))).collect();
        for path in missing.iter().rev() {
            let mode = if *path == self.root { 0o700 } else { 0o755 };
            match rustix::fs::mkdir(*path, mode.into()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            if let Some(parent) = path.parent() {
                Folder::open(parent)?.sync()?;
            }
        }
        Ok(())
    }

    /// The nearest folder that exists: the root, or where it would be made.
    fn nearest(&self) -> io::Result<Folder> {
        for path in self.root.ancestors() {
            match Folder::open(path) {
                Err(error) if is_absent(&error) => {}
                other => return other,
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn write_marker(root: Folder, object: &str) -> Result<(), DestinationError> {
        let bytes = Marker::new().render();
        let mut upload = Upload::begin(root).map_err(at(object, "creating its marker"))?;
        match upload.fill(&mut bytes.as_slice()).and_then(|()| upload.publish(MARKER)) {
            // Another process prepared it at the same time.
            Ok(()) | Err(Fault::Exists) => Ok(()),
            Err(Fault::Body(error)) => Err(system(object, "writing its marker", error)),
            Err(Fault::System { during, error }) => Err(system(object, during, error)),
        }
    }
}

/// Begins an upload in the folder that `names` lead to, made where it is missing. Another process that empties a
/// folder may remove it under our hands: then it is made again.
fn begin(root: &Folder, names: &[&str]) -> io::Result<Upload> {
    let try_once = || {
        let mut folder = root.descend(&[])?.ok_or(io::ErrorKind::NotFound)?;
        for name in names {
            folder.make_folder(name)?;
            folder = folder.folder(name)?;
        }
        Upload::begin(folder)
    };
    let mut attempts = 1;
    loop {
        match try_once() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS_MAX => attempts += 1,
            other => return other,
        }
    }
}

/// Removes the folders that `names` lead to, from the innermost outwards, as far as they are empty.
fn remove_empty(root: &Folder, names: &[&str]) -> io::Result<()> {
    for length in (0..names.len()).rev() {
        let Some(parent) = root.descend(&names[..length])? else { continue };
        if !parent.remove_empty_folder(names[length])? {
            return Ok(());
        }
        parent.sync()?;
    }
    Ok(())
}

impl Destination for LocalDestination {
    fn capabilities(&self) -> Capabilities {
        Capabilities { put_without_replacing: true, space: true }
    }

    fn prepared(&self) -> Result<bool, DestinationError> {
        Ok(self.marker()?.is_some())
    }

    fn id(&self) -> Result<Option<String>, DestinationError> {
        Ok(self.marker()?.map(|marker| marker.id().to_owned()))
    }

    fn prepare(&self) -> Result<(), DestinationError> {
        let object = self.location();
        self.changeable(&object)?;
        if self.prepared()? {
            return Ok(());
        }
        self.make_root().map_err(at(&object, "creating it"))?;
        let root = Folder::open(&self.root).map_err(at(&object, "opening it"))?;
        let foreign = |entry: &Entry| {
            let leftover = entry.name.to_str().is_some_and(|name| name.starts_with(TEMPORARY));
            !(leftover || entry.name == LOST_AND_FOUND)
        };
        let entries = root.entries().map_err(at(&object, "listing it"))?;
        if let Some(entry) = entries.iter().find(|entry| !self.shared && foreign(entry)) {
            let text = format!("it holds `{}` and was not made by bkp", entry.name.to_string_lossy());
            let error = io::Error::new(io::ErrorKind::DirectoryNotEmpty, text);
            return Err(DestinationError::Io { object, during: "preparing it", error });
        }
        Self::write_marker(root, &object)
    }

    fn put_new(&self, key: &Key, body: &mut dyn Read) -> Result<(), DestinationError> {
        let object = key.as_str();
        let parts = parts(object)?;
        let root = self.changeable_root(object)?;
        if root.has(object).map_err(at(object, "looking whether it exists"))? {
            return Err(DestinationError::Exists { key: key.clone() });
        }
        let (name, folders) = parts.split_last().expect("a text that is split has a last part");
        let mut upload = begin(&root, folders).map_err(at(object, "creating a file for it"))?;
        let outcome = match upload.fill(body) {
            Ok(()) => upload.publish(name),
            Err(fault) => {
                drop(upload);
                Err(fault)
            }
        };
        outcome.map_err(|fault| {
            // A folder that stays holds no object, and is swept later.
            let _best_effort = remove_empty(&root, folders);
            match fault {
                Fault::Body(error) => DestinationError::BodyAborted { key: key.clone(), error },
                Fault::Exists => DestinationError::Exists { key: key.clone() },
                Fault::System { during, error } => system(object, during, error),
            }
        })
    }

    fn get(&self, key: &Key) -> Result<Box<dyn Read + Send>, DestinationError> {
        let object = key.as_str();
        parts(object)?;
        let root = self.readable_root()?;
        match root.file(object).map_err(at(object, "opening it"))? {
            Some(file) => Ok(Box::new(match self.access {
                // A proof is written down at the destination, so whoever only looks can make none.
                Access::Look => medium::MediumReader::cached(file),
                Access::Change => medium::MediumReader::new(file),
            })),
            None => Err(DestinationError::NotFound { key: key.clone() }),
        }
    }

    fn list(&self, prefix: &Prefix) -> Result<Vec<Object>, DestinationError> {
        let names = prefix_parts(prefix)?;
        let root = self.readable_root()?;
        let mut objects = Vec::new();
        let mut list = || match root.descend(&names)? {
            Some(folder) => collect(&folder, prefix.as_str(), names.len(), &mut objects),
            None => Ok(()),
        };
        list().map_err(at(&self.below(prefix), "listing it"))?;
        objects.sort_unstable();
        Ok(objects)
    }

    fn folders(&self, prefix: &Prefix) -> Result<Vec<String>, DestinationError> {
        let names = prefix_parts(prefix)?;
        let root = self.readable_root()?;
        let list = || {
            let mut found = Vec::new();
            let Some(folder) = root.descend(&names)? else { return Ok(found) };
            for Entry { name, kind } in folder.entries()? {
                let is_folder = match kind {
                    EntryKind::Folder => true,
                    EntryKind::Link => folder
                        .status(&name)?
                        .is_some_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Directory),
                    EntryKind::File | EntryKind::Special => false,
                };
                if is_folder {
                    found.extend(name.into_string().ok().filter(|name| is_ours(name, names.is_empty())));
                }
            }
            found.sort_unstable();
            Ok(found)
        };
        list().map_err(at(&self.below(prefix), "listing it"))
    }

    fn delete(&self, key: &Key) -> Result<(), DestinationError> {
        let object = key.as_str();
        let parts = parts(object)?;
        let root = self.changeable_root(object)?;
        let (name, folders) = parts.split_last().expect("a text that is split has a last part");
        let delete = || {
            let Some(folder) = root.descend(folders)? else { return Err(io::ErrorKind::NotFound.into()) };
            folder.remove_file(name)?;
            folder.sync()?;
            remove_empty(&root, folders)
        };
        delete().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => DestinationError::NotFound { key: key.clone() },
            _ => system(object, "removing it", error),
        })
    }

    fn sweep(&self, prefix: &Prefix) -> Result<(), DestinationError> {
        let object = self.below(prefix);
        let names = prefix_parts(prefix)?;
        let root = self.changeable_root(&object)?;
        let sweep = || match root.descend(&names)? {
            Some(folder) => sweep_below(&folder, names.is_empty(), names.len()),
            None => Ok(()),
        };
        sweep().map_err(at(&object, "sweeping it"))
    }

    fn give(&self, prefix: &Prefix, owner: (u32, u32)) -> Result<(), DestinationError> {
        let object = self.below(prefix);
        let names = prefix_parts(prefix)?;
        let root = self.changeable_root(&object)?;
        give::give(&root, MARKER, &names, owner).map_err(at(&object, "giving it to its user"))
    }

    fn space(&self) -> Result<Option<Space>, DestinationError> {
        let ask = || Ok(rustix::fs::fstatvfs(self.nearest()?)?);
        let status = ask().map_err(at(&self.location(), "asking for its room"))?;
        Ok(Some(Space {
            free_bytes: status.f_bavail.saturating_mul(status.f_frsize),
            total_bytes: status.f_blocks.saturating_mul(status.f_frsize),
        }))
    }

    fn device(&self) -> Option<u64> {
        let folder = self.nearest().ok()?;
        rustix::fs::fstat(folder).ok().map(|status| stat_number(status.st_dev))
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }
}

impl LocalDestination {
    /// How an error names a folder below the root.
    fn below(&self, prefix: &Prefix) -> String {
        self.root.join(prefix.as_str()).display().to_string()
    }
}

#[cfg(test)]
mod tests;
