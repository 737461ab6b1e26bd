//! The real operating system.
#![expect(clippy::disallowed_methods, reason = "this is the one place that Host stands for")]

use super::{Command, FileKind, FileStatus, Host, Mount, Output, Space, User};
use jiff::Timestamp;
use rustix::fs::{Access, AtFlags, CWD};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Standard output kept of a child, in bytes.
const STDOUT_KEPT_BYTES: usize = 16 << 20;
/// Standard error kept of a child (its end), in bytes.
const STDERR_KEPT_BYTES: usize = 64 << 10;

/// Time for a child that is past its limit to end in order before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes read at once of a file that is read by lines.
const LINES_BUFFER_BYTES: usize = 256 << 10;

/// Process groups of running children, so that a signal to bkp can end them too.
static LIVE_GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Tells every running child's process group to end; called when bkp itself is told to end. A child that is a bkp
/// tells its own, so that a job's hooks end with it.
pub fn tell_children_to_end() {
    signal_children(rustix::process::Signal::TERM);
}

/// Ends every running child's process group that has not done as it was told.
pub fn kill_children() {
    signal_children(rustix::process::Signal::KILL);
}

fn signal_children(signal: rustix::process::Signal) {
    let groups = LIVE_GROUPS.lock().map(|groups| groups.clone()).unwrap_or_default();
    for group in groups {
        signal_group(group, signal);
    }
}

fn signal_group(group: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw) {
        // A group that is already gone is what was wanted.
        let _gone = rustix::process::kill_process_group(pid, signal);
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

/// Undoes the octal escapes that mountinfo uses for blanks (proc(5)).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\' && tail.len() >= 3)
            .then(|| std::str::from_utf8(&tail[..3]).ok().and_then(|text| u8::from_str_radix(text, 8).ok()))
            .flatten();
        if let Some(byte) = octal {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

fn mount_in(mountinfo: &[u8], path: &Path) -> Option<Mount> {
    let mut best: Option<Mount> = None;
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let Some(dash) = fields.iter().position(|field| *field == b"-") else { continue };
        let (Some(point), Some(kind), Some(source)) =
            (fields.get(4), fields.get(dash + 1), fields.get(dash + 2))
        else {
            continue;
        };
        let point = PathBuf::from(OsStr::from_bytes(&unescape(point)));
        let deeper = |best: &Mount| point.as_os_str().len() >= best.point.as_os_str().len();
        if path.starts_with(&point) && best.as_ref().is_none_or(deeper) {
            best = Some(Mount {
                point,
                source: String::from_utf8_lossy(&unescape(source)).into_owned(),
                kind: String::from_utf8_lossy(kind).into_owned(),
            });
        }
    }
    best
}

/// Reads to the end, keeping at most `kept` bytes: the first ones, or the last ones when `tail`.
fn drain(mut reader: impl Read, kept: usize, tail: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = [0_u8; 16 << 10];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        if tail {
            out.extend_from_slice(&buffer[..count]);
            if out.len() > 2 * kept {
                out.drain(..out.len() - kept);
            }
        } else if out.len() < kept {
            let room = kept - out.len();
            out.extend_from_slice(&buffer[..count.min(room)]);
        }
    }
    if tail && out.len() > kept {
        out.drain(..out.len() - kept);
    }
    out
}

fn expression(command: &Command) -> io::Result<duct::Expression> {
    let (program, arguments) = command
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "empty argv"))?;
    let mut expression = duct::cmd(program, arguments);
    if command.clear_env {
        let variables = command.env.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        expression = expression.full_env(variables);
    } else {
        for (name, value) in &command.env {
            expression = expression.env(name, value);
        }
    }
    if let Some(directory) = &command.directory {
        expression = expression.dir(directory);
    }
    expression = match &command.stdin {
        Some(bytes) => expression.stdin_bytes(bytes.clone()),
        None => expression.stdin_null(),
    };
    Ok(expression.unchecked().before_spawn(|child| {
        child.process_group(0);
        Ok(())
    }))
}

fn run_bounded(command: &Command) -> io::Result<Output> {
    let (stdout_reader, stdout_writer) = io::pipe()?;
    let (stderr_reader, stderr_writer) = io::pipe()?;
    let handle = expression(command)?.stdout_file(stdout_writer).stderr_file(stderr_writer).start()?;
    let groups = handle.pids();
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.extend(&groups);
    }
    let stdout = std::thread::spawn(move || drain(stdout_reader, STDOUT_KEPT_BYTES, false));
    let stderr = std::thread::spawn(move || drain(stderr_reader, STDERR_KEPT_BYTES, true));
    let ended = handle.wait_timeout(command.time_limit)?.map(|output| output.status.code());
    let timed_out = ended.is_none();
    if timed_out {
        // A child that is a bkp has children of its own, which it alone knows.
        for group in &groups {
            signal_group(*group, rustix::process::Signal::TERM);
        }
        handle.wait_timeout(END_PATIENCE)?;
    }
    // What the child left running in its group holds the pipes open and would make us wait for ever.
    for group in &groups {
        signal_group(*group, rustix::process::Signal::KILL);
    }
    if timed_out {
        handle.wait()?;
    }
    if let Ok(mut live) = LIVE_GROUPS.lock() {
        live.retain(|group| !groups.contains(group));
    }
    // The expression keeps its ends of the pipes until it is dropped.
    drop(handle);
    Ok(Output {
        status: ended.flatten(),
        timed_out,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

impl Host for RealHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_lines(&self, path: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut file = io::BufReader::with_capacity(LINES_BUFFER_BYTES, std::fs::File::open(path)?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
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
        let path = std::fs::canonicalize(path)?;
        let mountinfo = std::fs::read("/proc/self/mountinfo")?;
        mount_in(&mountinfo, &path)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no mount holds this path"))
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
        run_bounded(command)
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
    fn child_that_hangs_is_ended_with_its_group() {
        let mut command = Command::look(["/bin/sh", "-c", "sleep 60 & sleep 60"]);
        command.time_limit = Duration::from_millis(200);
        let started = std::time::Instant::now();
        let output = RealHost.run(&command).expect("sh starts");
        assert!(output.timed_out && !output.succeeded());
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn line_after_a_torn_one_stands_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        std::fs::write(&path, "whole\nto").expect("written");
        RealHost.append_line(&path, "next").expect("appended");
        RealHost.append_line(&path, "last").expect("appended");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "whole\nto\nnext\nlast\n");
    }

    #[test]
    fn flood_on_stderr_is_drained_and_bounded() {
        let output = RealHost
            .run(&Command::look(["/bin/sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"]))
            .expect("sh starts");
        assert!(output.succeeded());
        assert_eq!(output.text(), "done\n");
        assert!(output.stderr.len() <= STDERR_KEPT_BYTES);
    }

    #[test]
    fn mountinfo_gives_the_deepest_mount() {
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 8:2 / /srv/my\\040data rw shared:1 - xfs /dev/sdb1 rw\n";
        let mount = mount_in(text, Path::new("/srv/my data/file")).expect("a mount");
        assert_eq!((mount.source.as_str(), mount.kind.as_str()), ("/dev/sdb1", "xfs"));
        assert_eq!(mount_in(text, Path::new("/etc")).expect("root").source, "/dev/sda1");
    }
}
