//! A secret on its way to a tool that wants a file: never in argv, never in an environment, and on Linux never on a
//! disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that only this user's processes can read, gone with this value.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    _memory: std::fs::File,
    #[cfg(not(target_os = "linux"))]
    _file: tempfile::NamedTempFile,
}

impl PrivateFile {
    /// Holds `content` in memory (`memfd_create(2)`), under a path of this process that its children can open
    /// (proc(5), `/proc/PID/fd`). `name` is what `/proc` shows.
    #[cfg(target_os = "linux")]
    pub fn new(name: &str, content: &[u8]) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
        use std::os::fd::AsRawFd;
        let descriptor = memfd_create(name, MemfdFlags::CLOEXEC)?;
        fchmod(&descriptor, Mode::RUSR | Mode::WUSR)?;
        let mut memory = std::fs::File::from(descriptor);
        memory.write_all(content)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        Ok(Self { path: path.into(), _memory: memory })
    }

    /// Writes `content` to a temporary file with mode 0600: there is no other way here.
    #[cfg(not(target_os = "linux"))]
    pub fn new(name: &str, content: &[u8]) -> io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix(name).tempfile()?;
        file.write_all(content)?;
        file.flush()?;
        Ok(Self { path: file.path().to_path_buf(), _file: file })
    }

    /// Its path, for a tool of this user.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command, Host, RealHost};

    #[test]
    fn private_file_is_readable_by_a_child_and_gone_with_its_value() {
        let file = PrivateFile::new("pass", b"s3cret\n").expect("memory");
        let path = file.path().to_path_buf();
        let shown = RealHost.run(&Command::look(["cat".into(), path.clone().into_os_string()])).expect("cat");
        assert_eq!(shown.text(), "s3cret\n");
        let mode = RealHost.status(&path).expect("a file").mode;
        assert_eq!(mode, 0o600);
        drop(file);
        let gone = RealHost.run(&Command::look(["cat".into(), path.into_os_string()])).expect("cat");
        assert!(!gone.succeeded());
    }
}
