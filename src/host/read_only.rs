//! A host that refuses to change anything: what `plan` runs on.

use super::{Command, FileKind, FileStatus, Host, Mount, Output, Purpose, Space, User};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Wraps a host and turns every change into an error.
pub struct ReadOnlyHost<'a> {
    inner: &'a dyn Host,
    credentials: BTreeMap<String, Vec<u8>>,
}

/// Where credentials that were handed on seem to lie; nothing is there.
const HANDED_ON: &str = "/dev/null/handed-on";

impl<'a> ReadOnlyHost<'a> {
    /// Wraps `inner`.
    pub fn new(inner: &'a dyn Host) -> Self {
        Self { inner, credentials: BTreeMap::new() }
    }

    /// The same with credentials that somebody with more rights has read, by name: as a scheduler hands them on
    /// (systemd.exec(5), `LoadCredential`).
    pub fn with_credentials(inner: &'a dyn Host, credentials: BTreeMap<String, Vec<u8>>) -> Self {
        Self { inner, credentials }
    }

    fn credential(&self, path: &Path) -> Option<&Vec<u8>> {
        self.credentials.get(path.strip_prefix(HANDED_ON).ok()?.to_str()?)
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        format!("this command changes nothing, and refused to {what}"),
    )
}

impl Host for ReadOnlyHost<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.credential(path).map_or_else(|| self.inner.read(path), |bytes| Ok(bytes.clone()))
    }
    fn read_lines(&self, path: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.inner.read_lines(path, each)
    }
    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        if let Some(bytes) = self.credential(path) {
            let (kind, modified_at) = (FileKind::File, self.now());
            let size_bytes = bytes.len() as u64;
            let (mode, uid, gid, device, inode) = (0o400, self.user().uid, 0, 0, 0);
            return Ok(FileStatus { kind, size_bytes, mode, uid, gid, device, inode, modified_at });
        }
        self.inner.status(path)
    }
    fn link_status(&self, path: &Path) -> io::Result<FileStatus> {
        self.inner.link_status(path)
    }
    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.read_link(path)
    }
    fn list_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list_dir(path)
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }
    fn may_read(&self, path: &Path) -> io::Result<()> {
        self.inner.may_read(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
    fn mount(&self, path: &Path) -> io::Result<Mount> {
        self.inner.mount(path)
    }
    fn write_atomic(&self, path: &Path, _content: &[u8], _mode: u32) -> io::Result<()> {
        Err(refused(&format!("write {}", path.display())))
    }
    fn append_line(&self, path: &Path, _line: &str) -> io::Result<()> {
        Err(refused(&format!("append to {}", path.display())))
    }
    fn create_dir_all(&self, path: &Path, _mode: u32) -> io::Result<()> {
        Err(refused(&format!("create {}", path.display())))
    }
    fn own_folder(&self, path: &Path, _owner: Option<(u32, u32)>, _mode: u32) -> io::Result<()> {
        Err(refused(&format!("give {} away", path.display())))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        Err(refused(&format!("remove {}", path.display())))
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        Err(refused(&format!("remove {}", path.display())))
    }
    fn rename(&self, from: &Path, _to: &Path) -> io::Result<()> {
        Err(refused(&format!("rename {}", from.display())))
    }
    fn run(&self, command: &Command) -> io::Result<Output> {
        match command.purpose {
            Purpose::Look => self.inner.run(command),
            Purpose::Change => Err(refused(&format!("run {}", command.display()))),
        }
    }
    fn find_tool(&self, tool: &str, search_path: &str) -> Option<PathBuf> {
        self.inner.find_tool(tool, search_path)
    }
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    fn env(&self, name: &str) -> Option<String> {
        if name == "CREDENTIALS_DIRECTORY" && !self.credentials.is_empty() {
            return Some(HANDED_ON.to_owned());
        }
        self.inner.env(name)
    }
    fn time_zone(&self) -> Option<String> {
        self.inner.time_zone()
    }
    fn host_name(&self) -> String {
        self.inner.host_name()
    }
    fn user(&self) -> User {
        self.inner.user()
    }
    fn binary(&self) -> io::Result<PathBuf> {
        self.inner.binary()
    }
}
