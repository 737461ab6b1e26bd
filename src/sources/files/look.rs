//! Looks whether what is declared is there and can be read, without reading it.

use super::super::{SourceError, privacy_remedy, refused};
use super::selection::{RootGlob, Selection};
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::RequirementFacts;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A failure to look at a declared path.
fn failed(object: &str, path: &Path, error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            SourceError::Missing { object: object.to_owned() }
        }
        io::ErrorKind::PermissionDenied => refused(path.display().to_string(), error),
        _ => SourceError::Read { object: path.display().to_string(), error },
    }
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Whether every declared path is there and every glob matches something.
pub fn roots(host: &dyn Host, selection: &Selection) -> Result<(), SourceError> {
    for number in 0..selection.literals.len() {
        literal(host, selection, number)?;
    }
    for number in 0..selection.globs.len() {
        glob(host, selection, number)?;
    }
    Ok(())
}

fn literal(host: &dyn Host, selection: &Selection, number: usize) -> Result<FileKind, SourceError> {
    let literal = &selection.literals[number];
    let path = path_of(&literal.path);
    let status = host.link_status(path).map_err(|error| failed(&literal.declared, path, error))?;
    if selection.excluded(&literal.path, status.kind == FileKind::Directory) {
        return Err(SourceError::Missing { object: format!("{} (left out by `exclude`)", literal.declared) });
    }
    if status.kind != FileKind::Symlink {
        return Ok(status.kind);
    }
    // A link to a file is kept as a link; of a folder's data nothing would be kept. What leads nowhere may lead to a file system
    // that is not mounted.
    let there = host.status(path).map_err(|error| failed(&literal.declared, path, error))?;
    if there.kind == FileKind::Directory {
        let target = host.canonical(path).map_err(|error| failed(&literal.declared, path, error))?;
        if !holds(host, selection, &target) {
            let target = target.display().to_string();
            return Err(SourceError::LinkedAway { object: literal.declared.clone(), target });
        }
    }
    Ok(status.kind)
}

/// Whether another declared path or a glob may bring in the folder that a link leads to. What only the walk can tell, such as
/// where another file system begins, the walk demands.
fn holds(host: &dyn Host, selection: &Selection, target: &Path) -> bool {
    let left_out = |path: &Path| selection.excluded(path.as_os_str().as_bytes(), true);
    // Excludes and globs speak of paths as they are declared.
    let way = |path: &Path| {
        let below = target.strip_prefix(host.canonical(path).ok()?).ok()?.to_owned();
        Some(if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) })
    };
    let literals = selection.literals.iter().map(|literal| path_of(&literal.path)).any(|path| {
        let is_link = host.link_status(path).is_ok_and(|status| status.kind == FileKind::Symlink);
        let taken =
            |way: &Path| way.ancestors().take_while(|it| it.starts_with(path)).all(|it| !left_out(it));
        !is_link && way(path).is_some_and(|way| taken(&way))
    });
    literals
        || selection.globs.iter().any(|glob| {
            let matched = |way: &Path| {
                let above = way.ancestors().take_while(|it| it.starts_with(&glob.prefix));
                let mut taken = above.take_while(|it| !left_out(it));
                taken.any(|it| glob.matches(it.as_os_str().as_bytes()))
            };
            way(&glob.prefix).is_some_and(|way| matched(&way))
        })
}

fn glob(host: &dyn Host, selection: &Selection, number: usize) -> Result<(), SourceError> {
    let glob = &selection.globs[number];
    if matches_below(host, selection, number, &glob.prefix, glob.prefix_depth)? {
        Ok(())
    } else {
        Err(SourceError::Missing { object: glob.declared.clone() })
    }
}

/// Looks for a first match; a folder that went away meanwhile holds none.
fn matches_below(
    host: &dyn Host,
    selection: &Selection,
    number: usize,
    folder: &Path,
    depth: usize,
) -> Result<bool, SourceError> {
    let root_glob: &RootGlob = &selection.globs[number];
    let names = match host.list_dir(folder) {
        Ok(names) => names,
        Err(error) if depth > root_glob.prefix_depth && error.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(error) => return Err(failed(&root_glob.declared, folder, error)),
    };
    let mut folders = Vec::new();
    for name in names {
        let path = folder.join(name);
        let bytes = path.as_os_str().as_bytes();
        let is_folder = || host.link_status(&path).is_ok_and(|status| status.kind == FileKind::Directory);
        let here = root_glob.matches(bytes);
        let below = root_glob.may_match_below(bytes, depth + 1);
        if !here && !below {
            continue;
        }
        let is_folder = is_folder();
        if selection.excluded(bytes, is_folder) {
            continue;
        }
        if here {
            return Ok(true);
        }
        if below && is_folder {
            folders.push(path);
        }
    }
    for path in folders {
        if matches_below(host, selection, number, &path, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Each declared path, and whether this user can read it.
pub fn requirements(host: &dyn Host, selection: &Selection) -> Vec<RequirementFacts> {
    let literals = (0..selection.literals.len()).map(|number| {
        let literal = &selection.literals[number];
        (
            &literal.declared,
            self::literal(host, selection, number).and_then(|kind| readable(host, &literal.path, kind)),
        )
    });
    let globs = (0..selection.globs.len())
        .map(|number| (&selection.globs[number].declared, glob(host, selection, number)));
    literals
        .chain(globs)
        .map(|(object, met)| {
            let linked_away = matches!(met, Err(SourceError::LinkedAway { .. }));
            let kind = if linked_away { "link" } else { "readable" };
            let unmet = met.err().map(|error| unmet(host, &error));
            RequirementFacts { kind: kind.to_owned(), object: object.clone(), unmet }
        })
        .collect()
}

fn readable(host: &dyn Host, path: &[u8], kind: FileKind) -> Result<(), SourceError> {
    let path = path_of(path);
    let looked = match kind {
        FileKind::File => host.may_read(path),
        FileKind::Directory => host.list_dir(path).map(|_| ()),
        FileKind::Symlink | FileKind::Special => Ok(()),
    };
    looked.map_err(|error| failed(&path.display().to_string(), path, error))
}

fn unmet(host: &dyn Host, error: &SourceError) -> Diagnostic {
    let summary = match error {
        SourceError::LinkedAway { .. } => "source is a link out of its set",
        _ => "source not readable",
    };
    let diagnostic = Diagnostic::from_error(summary, error);
    let user = host.user().name;
    match error {
        SourceError::Missing { .. } => {
            diagnostic.fix("correct the path in the plan file, or mount or make what it names")
        }
        SourceError::LinkedAway { target, .. } => {
            diagnostic.fix(format!("declare `{target}` in its place, or beside it"))
        }
        SourceError::Denied { object, error } => match privacy_remedy(error) {
            Some(remedy) => diagnostic.fix(remedy),
            // A Mac has no setfacl.
            None if cfg!(target_os = "macos") => diagnostic
                .fix(format!("let user {user} read `{object}`, or run bkp as a user who may read it")),
            None => diagnostic.fix(format!(
                "run `setfacl -R -m u:{user}:rX '{object}'`, or run bkp as a user who may read it"
            )),
        },
        SourceError::Pattern { .. } => diagnostic.fix("correct the glob in the plan file"),
        SourceError::Read { .. }
        | SourceError::Changed { .. }
        | SourceError::Database { .. }
        | SourceError::Scratch { .. }
        | SourceError::ToolMissing { .. }
        | SourceError::Tool { .. }
        | SourceError::Server { .. }
        | SourceError::Partial { .. }
        | SourceError::Incomplete { .. }
        | SourceError::Secret(_) => diagnostic,
    }
}
