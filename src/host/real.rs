//! The real operating system.
#![expect(clippy::disallowed_methods, reason = "this is the one place that Host stands for")]

use super::{Command, FileKind, FileStatus, Host, Mount, Output, Space, User, children, mounts};
use jiff::Timestamp;
use rustix::fs::{Access, AtFlags, CWD};
use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes read at once of a file that is read by lines.
const LINES_BUFFER_BYTES: usize = 256 << 10;

/// Longest file that is read by lines, in bytes.
const LINES_FILE_MAX_BYTES: u64 = 4 << 30;
/// Longest piece that is taken for a line, in bytes.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// Opens a file that may belong to somebody else: a pipe keeps nobody waiting, and a link leads nowhere.
pub fn open_plain(path: &Path) -> io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"))
    }
}

/// This machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealHost;

impl RealHost {
    /// This machine.
    pub fn new() -> Self {
        Self
    }
}

fn file_status(metadata: &std::fs::Metadata) -> FileStatus {
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Special
    };
    let nanoseconds = i32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    FileStatus {
        kind,
        size_bytes: metadata.len(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        device: metadata.dev(),
        inode: metadata.ino(),
        modified_at: Timestamp::new(metadata.mtime(), nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => std::fs::File::open(".")?.sync_all(),
    }
}

impl Host for RealHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_lines(&self, path: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let file = open_plain(path)?;
        if file.metadata()?.len() > LINES_FILE_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 4 GiB"));
        }
        let mut file = io::BufReader::with_capacity(LINES_BUFFER_BYTES, file);
        let mut line = Vec::new();
        while file.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line)? > 0 {
            each(line.strip_suffix(b"\n").unwrap_or(&line));
            line.clear();
        }
        Ok(())
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        std::fs::metadata(path).map(|metadata| file_status(&metadata))
    }

    fn link_status(&self, path: &Path) -> io::Result<FileStatus> {
        std::fs::symlink_metadata(path).map(|metadata| file_status(&metadata))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn may_read(&self, path: &Path) -> io::Result<()> {
        rustix::fs::accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).map_err(io::Error::from)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let status = rustix::fs::statvfs(path)?;
        Ok(Space {
            free_bytes: status.f_bavail.saturating_mul(status.f_frsize),
            total_bytes: status.f_blocks.saturating_mul(status.f_frsize),
        })
    }

    fn mount(&self, path: &Path) -> io::Result<Mount> {
        // What is mounted on demand is mounted when somebody looks into it (autofs(5)).
        let _only_to_look = std::fs::metadata(path.join("."));
        mounts::mount_of(&std::fs::canonicalize(path)?)
    }

    fn write_atomic(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".bkp-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        // The umask may have taken bits away at creation.
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder(path)
    }

    fn append_line(&self, path: &Path, line: &str) -> io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        // A line that a kill cut short must not take this one with it.
        let mut last = [b'\n'];
        let length = file.metadata()?.len();
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        let separator = if last == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{separator}{line}\n").as_bytes())?;
        file.sync_data()
    }

    fn create_dir_all(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), mode)
            .recursive(true)
            .create(path)
    }

    fn own_folder(&self, path: &Path, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
        super::anothers::own_folder(path, owner, mode)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn run(&self, command: &Command) -> io::Result<Output> {
        children::run_bounded(command)
    }

    fn find_tool(&self, tool: &str, search_path: &str) -> Option<PathBuf> {
        which::which_in(tool, Some(search_path), "/").ok()
    }

    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        #[cfg(debug_assertions)]
        if let Some(shift) =
            std::env::var("BKP_TEST_CLOCK_SHIFT_SECONDS").ok().and_then(|text| text.parse().ok())
        {
            return now + jiff::SignedDuration::from_secs(shift);
        }
        now
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn time_zone(&self) -> Option<String> {
        // TZ is this process's own affair: cron and launchd go by the system's clock.
        match std::fs::read_link("/etc/localtime") {
            Ok(link) => zone_below_zoneinfo(&link),
            // Without the file the clock shows UTC (localtime(5)).
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("UTC".to_owned()),
            // A copy instead of a link; Debian keeps its name beside it.
            Err(_) => {
                let named = std::fs::read_to_string("/etc/timezone").ok()?;
                Some(named.trim().to_owned()).filter(|name| !name.is_empty())
            }
        }
    }

    fn host_name(&self) -> String {
        #[cfg(debug_assertions)]
        if let Ok(name) = std::env::var("BKP_TEST_HOST_NAME") {
            return name;
        }
        gethostname::gethostname().to_string_lossy().into_owned()
    }

    fn user(&self) -> User {
        let uid = rustix::process::geteuid().as_raw();
        let known = passwd_entry(uid);
        let home = std::env::var("HOME").ok().filter(|home| home.starts_with('/')).map(PathBuf::from);
        let (name, passwd_home) = known.unwrap_or_else(|| (uid.to_string(), PathBuf::from("/")));
        User { uid, name, home: home.unwrap_or(passwd_home) }
    }

    fn binary(&self) -> io::Result<PathBuf> {
        std::env::current_exe()
    }
}

/// The zone that a link such as `/usr/share/zoneinfo/Europe/Berlin` names (localtime(5)).
fn zone_below_zoneinfo(link: &Path) -> Option<String> {
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    Some(name.to_owned())
}

/// Name and home of a user in `/etc/passwd` (passwd(5)).
fn passwd_entry(uid: u32) -> Option<(String, PathBuf)> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let matches = fields.get(2)?.parse::<u32>().ok()? == uid;
        matches.then(|| Some(((*fields.first()?).to_owned(), PathBuf::from(fields.get(5)?))))?
    })
}

/// Waits; the one place where bkp sleeps.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_after_a_torn_one_stands_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        std::fs::write(&path, "whole\nto").expect("written");
        RealHost.append_line(&path, "next").expect("appended");
        RealHost.append_line(&path, "last").expect("appended");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "whole\nto\nnext\nlast\n");
    }
}
