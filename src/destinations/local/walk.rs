//! Walks below the root: the list of objects, and the sweep of what killed uploads left.
//!
//! A sweep never follows a link and never touches an object.

use super::Object;
use super::folder::{Entry, EntryKind, Folder, is_absent};
use super::upload::TEMPORARY;
use crate::format::Prefix;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::io;

/// Folders below the root; deeper is a loop of links.
const DEPTH_MAX: usize = 32;

/// The objects below a folder. What goes away meanwhile is not there; what no key can name is not ours.
pub(super) fn collect(
    folder: &Folder,
    path: &str,
    depth: usize,
    objects: &mut Vec<Object>,
) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::from(Errno::LOOP));
    }
    for Entry { name, kind } in folder.entries()? {
        let Some(text) = name.to_str().filter(|text| is_ours(text, path.is_empty())) else { continue };
        let (is_folder, size_bytes) = match kind {
            EntryKind::Folder => (true, 0),
            EntryKind::Special => continue,
            EntryKind::File | EntryKind::Link => match folder.status(text)? {
                None => continue,
                Some(status) => match FileType::from_raw_mode(status.st_mode) {
                    FileType::RegularFile => (false, u64::try_from(status.st_size).unwrap_or(0)),
                    FileType::Directory => (true, 0),
                    _ => continue,
                },
            },
        };
        let path = format!("{path}{text}");
        if is_folder {
            match folder.folder(text) {
                Ok(inner) => collect(&inner, &format!("{path}/"), depth + 1, objects)?,
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        } else {
            objects.push(Object { key: Prefix::root().listed_key(&path), size_bytes });
        }
    }
    Ok(())
}

/// Whether a name can be of bkp's making.
pub(super) fn is_ours(name: &str, at_root: bool) -> bool {
    let foreign = at_root && name == super::LOST_AND_FOUND;
    !foreign && !name.starts_with('.')
}

/// Removes temporary files and empty folders below a folder.
pub(super) fn sweep_below(folder: &Folder, at_root: bool, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::from(Errno::LOOP));
    }
    let mut changed = false;
    for Entry { name, kind } in folder.entries()? {
        let text = name.to_string_lossy();
        match kind {
            EntryKind::File if text.starts_with(TEMPORARY) => {
                folder.remove_file(&name)?;
                changed = true;
            }
            EntryKind::Folder if is_ours(&text, at_root) => {
                match folder.folder(&name) {
                    Ok(inner) => sweep_below(&inner, false, depth + 1)?,
                    Err(error) if is_absent(&error) => continue,
                    Err(error) => return Err(error),
                }
                changed |= folder.remove_empty_folder(&name)?;
            }
            EntryKind::File | EntryKind::Folder | EntryKind::Link | EntryKind::Special => {}
        }
    }
    if changed { folder.sync() } else { Ok(()) }
}
