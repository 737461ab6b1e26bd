//! Private folders for copies and drills. What a killed process left is removed by the next one.

use super::{WorkflowError, lock};
use crate::declared::SetName;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use std::fs::File;
use std::io;
use std::path::Path;

/// A private folder, removed with this value.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    _lock: Option<File>,
}

impl Scratch {
    /// Makes one for a set below `<state>/scratch`, and removes what killed processes left for that set.
    pub fn new(host: &dyn Host, state: &Path, set: &SetName) -> Result<Self, WorkflowError> {
        let root = state.join("scratch");
        let trouble = |error: io::Error| {
            WorkflowError::from(
                Diagnostic::new("scratch folder not usable", root.display().to_string())
                    .why(error.to_string()),
            )
        };
        host.create_dir_all(&root, 0o700).map_err(trouble)?;
        sweep(host, &root, &format!("{set}.")).map_err(trouble)?;
        let folder =
            tempfile::Builder::new().prefix(&format!("{set}.")).tempdir_in(&root).map_err(trouble)?;
        let held = lock::folder(folder.path()).map_err(trouble)?;
        Ok(Self { folder, _lock: held })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new empty folder in it.
    pub fn empty(&self, host: &dyn Host, name: &str) -> Result<std::path::PathBuf, WorkflowError> {
        let path = self.path().join(name);
        host.create_dir_all(&path, 0o700).map_err(|error| {
            WorkflowError::from(
                Diagnostic::new("scratch folder not usable", path.display().to_string())
                    .why(error.to_string()),
            )
        })?;
        Ok(path)
    }
}

/// Removes the folders with the prefix that no living process has locked.
fn sweep(host: &dyn Host, root: &Path, prefix: &str) -> io::Result<()> {
    for name in host.list_dir(root)? {
        if !name.to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = root.join(&name);
        match lock::folder(&path) {
            Ok(Some(_unused)) => host.remove_dir_all(&path)?,
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
