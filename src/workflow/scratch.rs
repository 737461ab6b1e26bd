//! Private folders for copies and drills. What a killed process left is removed by the next one.

use super::verify::chain;
use super::{WorkflowError, lock};
use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::host::{Host, end_process, servers_in, works_in};
use crate::sources::{self, Bench, Trace};
use std::fs::File;
use std::io;
use std::path::Path;

/// A private folder, removed with this value.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    left: Vec<Diagnostic>,
    _lock: Option<File>,
}

impl Scratch {
    /// Makes one for a set below `<state>/scratch`, and removes what killed processes left for that set: here, and
    /// what their drills left elsewhere. Without a declaration nothing can be removed from servers.
    pub fn new(
        host: &dyn Host,
        state: &Path,
        set: &SetName,
        declaration: Option<&SourceDeclaration>,
    ) -> Result<Self, WorkflowError> {
        let root = state.join("scratch");
        let trouble = |error: io::Error| {
            WorkflowError::from(
                Diagnostic::new("scratch folder not usable", root.display().to_string())
                    .why(error.to_string()),
            )
        };
        host.create_dir_all(&root, 0o700).map_err(trouble)?;
        let left = sweep(host, &root, set, declaration).map_err(trouble)?;
        let folder =
            tempfile::Builder::new().prefix(&format!("{set}.")).tempdir_in(&root).map_err(trouble)?;
        let held = lock::folder(folder.path()).map_err(trouble)?;
        Ok(Self { folder, left, _lock: held })
    }

    /// What killed drills left on servers and could not be removed now; the next run tries again.
    pub fn left(&self) -> &[Diagnostic] {
        &self.left
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

/// Removes a set's folders that no living process has locked. One whose traces could not be removed stays, and is told.
fn sweep(
    host: &dyn Host,
    root: &Path,
    set: &SetName,
    declaration: Option<&SourceDeclaration>,
) -> io::Result<Vec<Diagnostic>> {
    let mut left = Vec::new();
    for name in host.list_dir(root)? {
        if !name.to_string_lossy().starts_with(&format!("{set}.")) {
            continue;
        }
        let path = root.join(&name);
        match lock::folder(&path) {
            Ok(Some(_unused)) => {
                let bench = Bench { host, folder: &path, set, declaration };
                match sweep_outside(bench)? {
                    None => host.remove_dir_all(&path)?,
                    Some(diagnostic) => left.push(diagnostic),
                }
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

/// Removes what a killed drill made outside its folder; why not, where it could not.
fn sweep_outside(bench: Bench<'_>) -> io::Result<Option<Diagnostic>> {
    let folder = bench.folder.display().to_string();
    for pid in servers_in(bench.host, bench.folder) {
        end_process(bench.host, pid);
    }
    for trace in sources::traces(bench.host, bench.folder)? {
        let (what, why) = match trace {
            Trace::Process { pid } => {
                if !works_in(bench.host, pid, bench.folder) || end_process(bench.host, pid) {
                    continue;
                }
                (format!("process {pid}"), "it does not end".to_owned())
            }
            Trace::Place { kind, name } => {
                let swept = sources::restorer(&kind).and_then(|restorer| restorer.sweep(bench, &name));
                let Err(error) = swept else { continue };
                (format!("`{name}`"), chain(&error))
            }
        };
        let set = bench.set;
        let diagnostic =
            Diagnostic::new("a killed drill's place is still there", format!("set `{set}`: {what}"))
                .why(why)
                .fix(format!("the next run tries again; or remove it, and {folder}"));
        return Ok(Some(diagnostic));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command as HostCommand, RealHost, ServerChild};
    use crate::sources::leave_trace;

    fn set() -> SetName {
        "vectors".parse().expect("a name")
    }

    /// A folder that a killed drill has left, with a trace.
    fn left(state: &Path, trace: &Trace) -> std::path::PathBuf {
        let folder = state.join("scratch/vectors.killed");
        RealHost.create_dir_all(&folder, 0o700).expect("a folder");
        leave_trace(&RealHost, &folder, trace).expect("a trace");
        folder
    }

    #[test]
    fn server_of_a_killed_drill_is_ended_and_its_folder_removed() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("scratch/vectors.killed");
        RealHost.create_dir_all(&folder, 0o700).expect("a folder");
        RealHost.write_atomic(&folder.join("log"), b"", 0o600).expect("a file");
        let follow = HostCommand::look(["tail".into(), "-f".into(), folder.join("log").into_os_string()]);
        let mut server = ServerChild::start(&follow).expect("tail");
        // The kernel shows a program's arguments a moment after it has begun.
        while crate::host::command_line(&RealHost, server.pid()).is_none() {
            crate::host::pause(std::time::Duration::from_millis(1));
        }
        left(state.path(), &Trace::Process { pid: server.pid() });
        let scratch = Scratch::new(&RealHost, state.path(), &set(), None).expect("scratch");
        assert_eq!(scratch.left(), []);
        assert!(!server.alive() && !folder.exists());
    }

    #[test]
    fn server_that_was_not_yet_written_down_is_ended_too() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("scratch/vectors.killed");
        RealHost.create_dir_all(&folder, 0o700).expect("a folder");
        let mut command =
            HostCommand::look(["redis-server", "--port", "0", "--unixsocket", "s", "--save", ""]);
        command.directory = Some(folder.clone());
        let mut server = ServerChild::start(&command).expect("redis-server");
        let socket = folder.join("s");
        while !socket.exists() {
            assert!(server.alive());
            crate::host::pause(std::time::Duration::from_millis(10));
        }
        Scratch::new(&RealHost, state.path(), &set(), None).expect("scratch");
        assert!(!server.alive() && !folder.exists());
    }

    #[test]
    fn process_that_only_has_the_number_is_left_alone() {
        let state = tempfile::tempdir().expect("a folder");
        let mut stranger = ServerChild::start(&HostCommand::look(["sleep", "60"])).expect("sleep");
        let folder = left(state.path(), &Trace::Process { pid: stranger.pid() });
        Scratch::new(&RealHost, state.path(), &set(), None).expect("scratch");
        assert!(stranger.alive() && !folder.exists());
    }

    #[test]
    fn place_that_cannot_be_removed_stays_written_down_and_is_told() {
        let state = tempfile::tempdir().expect("a folder");
        let folder =
            left(state.path(), &Trace::Place { kind: "of-later".into(), name: "bkp-drill-x".into() });
        let scratch = Scratch::new(&RealHost, state.path(), &set(), None).expect("scratch");
        let [told] = scratch.left() else { panic!("one: {:?}", scratch.left()) };
        assert!(told.sentence().contains("bkp-drill-x") && folder.exists(), "{told:?}");
    }
}
