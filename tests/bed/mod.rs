//! A booted systemd for tests, and a `Host` that lives inside it. See `tests/bed/systemd`.
//!
//! Where none can be booted the tests fail and say why; they never pass over it.
#![expect(clippy::disallowed_methods, reason = "the bed is started and looked into from outside")]
#![cfg_attr(test, expect(dead_code, reason = "each test binary uses its own part of the bed"))]

use bkp::host::{Command, FileStatus, Host, Mount, Output, RealHost, Space, User};
use jiff::Timestamp;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bed/systemd");
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One booted machine.
pub struct Bed {
    /// Its name for `tests/bed/systemd exec NAME -- ...`.
    pub name: String,
    /// Its PID 1, as seen from outside.
    pub pid: u32,
    folder: PathBuf,
}

static SHARED: LazyLock<Bed> = LazyLock::new(|| Bed::start("tests"));

impl Bed {
    /// The one bed of this test binary; it ends with it.
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// Boots a bed that ends with this process.
    pub fn start(purpose: &str) -> Self {
        let owner = std::process::id();
        let name = format!("bkp-{purpose}-{owner}");
        let folder = PathBuf::from("/var/tmp").join(format!("{name}.bed"));
        let output = std::process::Command::new(SCRIPT)
            .args(["start", &name])
            .arg(&folder)
            .arg(owner.to_string())
            .output()
            .expect("bash runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "no systemd could be booted, and without one nothing is proven: {said}"
        );
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a process id");
        Self { name, pid, folder }
    }

    /// A folder that both sides see: its path outside. Inside it is [`Bed::SHARED_INSIDE`].
    pub fn shared_folder(&self) -> PathBuf {
        self.folder.join("shared")
    }

    /// Where the shared folder lies inside.
    pub const SHARED_INSIDE: &'static str = "/srv/shared";

    /// The machine as root sees it.
    pub fn host(&self) -> Inside {
        Inside { pid: self.pid, user: User { uid: 0, name: "root".into(), home: "/root".into() } }
    }

    /// Runs a shell line as root inside, which must succeed, and hands back what it printed.
    pub fn sh(&self, line: &str) -> String {
        self.host().sh(line)
    }

    /// Creates a user inside, who lingers or not.
    pub fn user(&self, name: &str, lingers: bool) -> Inside {
        self.sh(&format!("useradd -m -s /bin/bash {name}"));
        let uid: u32 = self.sh(&format!("id -u {name}")).trim().parse().expect("a user id");
        if lingers {
            let bus = format!("/run/user/{uid}/bus");
            self.sh(&format!(
                "loginctl enable-linger {name}; for i in $(seq 300); do test -S {bus} && exit 0; sleep 0.1; done; exit 1"
            ));
        }
        let user = User { uid, name: name.to_owned(), home: Path::new("/home").join(name) };
        Inside { pid: self.pid, user }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let stopped = std::process::Command::new(SCRIPT).args(["stop", &self.name]).status();
        assert!(stopped.is_ok_and(|status| status.success()), "bed {} could not be stopped", self.name);
    }
}

/// A `Host` inside the bed: commands run there, files are those of there.
#[derive(Debug, Clone)]
pub struct Inside {
    pid: u32,
    user: User,
}

impl Inside {
    /// Runs a shell line, which must succeed, and hands back what it printed.
    pub fn sh(&self, line: &str) -> String {
        let output = self.run(&Command::change(["/bin/bash", "-c", line])).expect("nsenter runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.succeeded(), "`{line}`: {}\n{}\n{complaint}", output.explain(), output.text());
        output.text()
    }

    fn outside(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").expect("an absolute path");
        Path::new(&format!("/proc/{}/root", self.pid)).join(below)
    }

    fn change(&self, argv: &[&str], path: &Path, stdin: Option<&[u8]>) -> io::Result<()> {
        let words = argv.iter().map(OsString::from).chain([path.as_os_str().to_owned()]);
        let mut command = Command::change(words);
        command.stdin = stdin.map(<[u8]>::to_vec);
        let output = self.run(&command)?;
        if output.succeeded() {
            return Ok(());
        }
        let missing = String::from_utf8_lossy(&output.stderr).contains("No such file");
        let kind = if missing { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
        Err(io::Error::new(kind, output.explain()))
    }
}

impl Host for Inside {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealHost.read(&self.outside(path))
    }
    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        RealHost.status(&self.outside(path))
    }
    fn link_status(&self, path: &Path) -> io::Result<FileStatus> {
        RealHost.link_status(&self.outside(path))
    }
    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        RealHost.read_link(&self.outside(path))
    }
    fn list_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealHost.list_dir(&self.outside(path))
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        let output = self.run(&Command::look([OsString::from("realpath"), "-e".into(), path.into()]))?;
        if output.succeeded() {
            Ok(output.text().trim_end().into())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    fn may_read(&self, path: &Path) -> io::Result<()> {
        RealHost.may_read(&self.outside(path))
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealHost.space(&self.outside(path))
    }
    fn mount(&self, path: &Path) -> io::Result<Mount> {
        RealHost.mount(&self.outside(path))
    }
    fn write_atomic(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let script = format!("cat >\"$0.new\" && chmod {mode:o} \"$0.new\" && mv -Tf \"$0.new\" \"$0\"");
        self.change(&["/bin/sh", "-c", &script], path, Some(content))
    }
    fn append_line(&self, path: &Path, line: &str) -> io::Result<()> {
        self.change(&["/bin/sh", "-c", "cat >>\"$0\""], path, Some(format!("{line}\n").as_bytes()))
    }
    fn create_dir_all(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.change(&["mkdir", "-p"], path, None)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(&["rm"], path, None)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(&["rm", "-r"], path, None)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let from = from.to_string_lossy().into_owned();
        self.change(&["mv", "-T", &from], to, None)
    }
    fn run(&self, command: &Command) -> io::Result<Output> {
        let mut argv: Vec<OsString> =
            ["nsenter", "-t", &self.pid.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
                .iter()
                .map(OsString::from)
                .collect();
        if !self.user.is_root() {
            let name = &self.user.name;
            argv.extend(["setpriv", "--reuid", name, "--regid", name, "--init-groups"].map(OsString::from));
        }
        argv.extend(["env", "-i"].map(OsString::from));
        argv.push(format!("PATH={SEARCH_PATH}").into());
        argv.push(format!("HOME={}", self.user.home.display()).into());
        for (name, value) in &command.env {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            argv.push(word);
        }
        argv.extend(command.argv.iter().cloned());
        RealHost.run(&Command { argv, env: std::collections::BTreeMap::new(), ..command.clone() })
    }
    fn find_tool(&self, tool: &str, search_path: &str) -> Option<PathBuf> {
        let candidates = search_path.split(':').map(|folder| Path::new(folder).join(tool));
        candidates.into_iter().find(|path| self.status(path).is_ok())
    }
    fn now(&self) -> Timestamp {
        RealHost.now()
    }
    fn env(&self, _name: &str) -> Option<String> {
        None
    }
    fn time_zone(&self) -> Option<String> {
        RealHost.time_zone()
    }

    fn host_name(&self) -> String {
        self.sh("hostname").trim().to_owned()
    }
    fn user(&self) -> User {
        self.user.clone()
    }
    fn binary(&self) -> io::Result<PathBuf> {
        RealHost.binary()
    }
}
