//! The outside world behind one trait: small files, processes, the clock, and who we are.
//!
//! Adapters that move bulk bytes may open files themselves; everything else goes through here, so that a dry run is
//! simply another [`Host`] and a test can hand in a world of its own. Nothing here decides anything.

mod account;
mod addresses;
mod another_user;
mod anothers;
mod children;
mod command;
mod fake;
mod fed;
mod mounts;
mod private_file;
mod process;
pub mod pulse;
mod read_only;
mod real;
mod stream;
mod wide_pipe;

pub use account::{Account, account, groups};
pub use addresses::addresses;
pub use another_user::{become_another, follow};
pub use anothers::open_anothers;
pub use children::{kill_children, kill_groups, tell_children_to_end, told_to_end};
pub use command::{Command, Output, Purpose};
pub use fake::FakeHost;
pub use fed::{Fed, feed_all};
pub use private_file::PrivateFile;
pub use process::{command_line, end_process, servers_in, works_in};
pub use read_only::ReadOnlyHost;
pub use real::{RealHost, open_plain, pause};
pub use stream::{ChildReader, ChildWriter, Dialogue, Ender, FeedError, PipedChild, ServerChild};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// PATH of every job; also where `plan` looks for the programs that a job runs.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A FIFO, socket or device.
    Special,
}

/// What stat says of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// What it is.
    pub kind: FileKind,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of the file system; changes at reboot, so it is only compared within one observation.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Last modification.
    pub modified_at: Timestamp,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Where a path is mounted, as `/proc/self/mountinfo` says (proc(5)); on a Mac, as statfs(2) does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The mount point that holds the path.
    pub point: PathBuf,
    /// What is mounted: a device, a remote export, a name.
    pub source: String,
    /// The file system's type, such as `ext4`.
    pub kind: String,
    /// The file system's own identifier, where udev knows it: the kernel gives a disk another name when disks come and go.
    pub uuid: Option<String>,
}

/// Who we run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Effective user id.
    pub uid: u32,
    /// Login name, or the number as text where none is known.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
}

impl User {
    /// Whether this is the superuser.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// The operating system and the clock.
///
/// Every method returns the operating system's own error; callers add the object it concerns.
pub trait Host: Send + Sync {
    /// Reads a whole small file (plan, unit, manifest).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads a file that may be long line by line, each without its newline.
    fn read_lines(&self, path: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let bytes = self.read(path)?;
        bytes
            .split_inclusive(|byte| *byte == b'\n')
            .for_each(|line| each(line.strip_suffix(b"\n").unwrap_or(line)));
        Ok(())
    }
    /// Status of what the path leads to.
    fn status(&self, path: &Path) -> io::Result<FileStatus>;
    /// Status of the path itself, a symbolic link not followed.
    fn link_status(&self, path: &Path) -> io::Result<FileStatus>;
    /// Target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a directory, sorted bytewise.
    fn list_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// The path without links and dots.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
    /// Whether this process's user may read the path (access(2) with effective ids).
    fn may_read(&self, path: &Path) -> io::Result<()>;
    /// Room on the file system of a path.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The mount that holds a path.
    fn mount(&self, path: &Path) -> io::Result<Mount>;

    /// Writes a small file: temporary name, fsync, rename, fsync of the folder.
    fn write_atomic(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    /// Appends a line in one write and syncs it.
    fn append_line(&self, path: &Path, line: &str) -> io::Result<()>;
    /// Creates a directory and its parents with the mode; an existing one is left as it is.
    fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Creates a folder where it is missing, and gives it an owner (user id, group id), where one is named, and a
    /// mode. Its parent must exist; a symbolic link is refused.
    fn own_folder(&self, path: &Path, _owner: Option<(u32, u32)>, _mode: u32) -> io::Result<()> {
        let text = format!("this host cannot give {} to anybody", path.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
    /// Removes a file or a symbolic link.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and what is in it, never following links.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames within one file system, replacing.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Runs a program to its end. A program that cannot be started is an error; a status that is not 0 is not.
    fn run(&self, command: &Command) -> io::Result<Output>;
    /// Absolute path of a tool looked up in `search_path` (colon-separated directories).
    fn find_tool(&self, tool: &str, search_path: &str) -> Option<PathBuf>;

    /// Now.
    fn now(&self) -> Timestamp;
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The IANA name of the zone of the host's clock; none where it cannot be told.
    fn time_zone(&self) -> Option<String>;
    /// The host's name as the kernel gives it.
    fn host_name(&self) -> String;
    /// Who we are.
    fn user(&self) -> User;
    /// Absolute path of the running binary.
    fn binary(&self) -> io::Result<PathBuf>;
}

/// A number of stat(2) as bkp keeps it: macOS has narrower types than Linux for most of them, and signed ones for
/// devices.
#[expect(clippy::missing_panics_doc, reason = "the rest of a division by 2^64 is below 2^64")]
pub fn stat_number(number: impl Into<i128>) -> u64 {
    u64::try_from(number.into().rem_euclid(1 << 64)).expect("it is below 2^64")
}

/// Reads a small file as UTF-8.
pub fn read_text(host: &dyn Host, path: &Path) -> io::Result<String> {
    let bytes = host.read(path)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
