//! A world made of data, for tests: files in memory, answers to commands, a clock that is set.
//!
//! It keeps state (what is written can be read again) and records every change that was asked for.

use super::{Command, FileKind, FileStatus, Host, Mount, Output, Space, User};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One file in the fake world.
#[derive(Debug, Clone)]
struct FakeFile {
    content: Vec<u8>,
    mode: u32,
}

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<PathBuf, FakeFile>,
    folders: BTreeSet<PathBuf>,
    answers: BTreeMap<String, Output>,
    changes: Vec<String>,
    now: Timestamp,
}

/// A fake host. It is not a machine: nothing it says proves anything about one.
#[derive(Debug, Default)]
pub struct FakeHost {
    world: Mutex<World>,
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not in the fake world", path.display()))
}

impl FakeHost {
    /// An empty world at the given time.
    pub fn at(now: Timestamp) -> Self {
        let host = Self::default();
        host.with(|world| world.now = now);
        host
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, content: &str, mode: u32) -> Self {
        self.with(|world| {
            world.files.insert(PathBuf::from(path), FakeFile { content: content.as_bytes().to_vec(), mode });
        });
        self
    }

    /// Answers a command line with a status and text.
    #[must_use]
    pub fn answer(self, command: &str, status: i32, stdout: &str) -> Self {
        self.with(|world| {
            let output = Output {
                status: Some(status),
                timed_out: false,
                stdout: stdout.as_bytes().to_vec(),
                stderr: Vec::new(),
            };
            world.answers.insert(command.to_owned(), output);
        });
        self
    }

    /// Sets the clock.
    pub fn set_now(&self, now: Timestamp) {
        self.with(|world| world.now = now);
    }

    /// Every change that was asked for, in order.
    pub fn changes(&self) -> Vec<String> {
        self.with(|world| world.changes.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().expect("no test panics while it holds the fake world"))
    }
}

impl Host for FakeHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|world| {
            world.files.get(path).map(|file| file.content.clone()).ok_or_else(|| not_found(path))
        })
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        self.with(|world| {
            let folder =
                world.folders.contains(path) || world.files.keys().any(|file| file.starts_with(path));
            let (kind, size, mode) = match world.files.get(path) {
                Some(file) => (FileKind::File, file.content.len() as u64, file.mode),
                None if folder => (FileKind::Directory, 0, 0o755),
                None => return Err(not_found(path)),
            };
            Ok(FileStatus {
                kind,
                size_bytes: size,
                mode,
                uid: 0,
                gid: 0,
                device: 1,
                inode: 1,
                modified_at: world.now,
            })
        })
    }

    fn link_status(&self, path: &Path) -> io::Result<FileStatus> {
        self.status(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        Err(not_found(path))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.with(|world| {
            let below = world
                .files
                .keys()
                .chain(world.folders.iter())
                .filter_map(|entry| entry.strip_prefix(path).ok());
            let names: BTreeSet<OsString> =
                below.filter_map(|rest| rest.iter().next().map(std::borrow::ToOwned::to_owned)).collect();
            let known = !names.is_empty() || world.folders.contains(path);
            if known { Ok(names.into_iter().collect()) } else { Err(not_found(path)) }
        })
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.status(path).map(|_| path.to_path_buf())
    }

    fn may_read(&self, path: &Path) -> io::Result<()> {
        self.status(path).map(|_| ())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(Space { free_bytes: 1 << 40, total_bytes: 1 << 41 })
    }

    fn mount(&self, path: &Path) -> io::Result<Mount> {
        self.status(path).map(|_| Mount {
            point: "/".into(),
            source: "fake".into(),
            kind: "fake".into(),
            uuid: None,
        })
    }

    fn write_atomic(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("write {}", path.display()));
            world.files.insert(path.to_path_buf(), FakeFile { content: content.to_vec(), mode });
        });
        Ok(())
    }

    fn append_line(&self, path: &Path, line: &str) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("append {}", path.display()));
            let file = world
                .files
                .entry(path.to_path_buf())
                .or_insert(FakeFile { content: Vec::new(), mode: 0o600 });
            file.content.extend_from_slice(line.as_bytes());
            file.content.push(b'\n');
        });
        Ok(())
    }

    fn create_dir_all(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("create {}", path.display()));
            world.folders.insert(path.to_path_buf());
        });
        Ok(())
    }

    fn own_folder(&self, path: &Path, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("own {} {owner:?} {mode:o}", path.display()));
            world.folders.insert(path.to_path_buf());
        });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("remove {}", path.display()));
            world.files.remove(path).map(|_| ()).ok_or_else(|| not_found(path))
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("remove {}", path.display()));
            world.files.retain(|file, _| !file.starts_with(path));
            world.folders.retain(|folder| !folder.starts_with(path));
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|world| {
            world.changes.push(format!("rename {}", from.display()));
            let file = world.files.remove(from).ok_or_else(|| not_found(from))?;
            world.files.insert(to.to_path_buf(), file);
            Ok(())
        })
    }

    fn run(&self, command: &Command) -> io::Result<Output> {
        let line = command.display();
        self.with(|world| {
            if command.purpose == super::Purpose::Change {
                world.changes.push(format!("run {line}"));
            }
            world
                .answers
                .get(&line)
                .cloned()
                .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no answer for `{line}`")))
        })
    }

    fn find_tool(&self, tool: &str, search_path: &str) -> Option<PathBuf> {
        search_path
            .split(':')
            .map(|folder| Path::new(folder).join(tool))
            .find(|path| self.with(|world| world.files.contains_key(path)))
    }

    fn now(&self) -> Timestamp {
        self.with(|world| world.now)
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn time_zone(&self) -> Option<String> {
        Some("UTC".to_owned())
    }

    fn host_name(&self) -> String {
        "fake".into()
    }

    fn user(&self) -> User {
        User { uid: 0, name: "root".into(), home: "/root".into() }
    }

    fn binary(&self) -> io::Result<PathBuf> {
        Ok("/usr/local/bin/bkp".into())
    }
}
