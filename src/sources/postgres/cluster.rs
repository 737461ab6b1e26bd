//! A server of a drill's own: new, empty, and gone with it.
//!
//! Never here: an open door. It listens on no address, its socket lies in a folder that nobody else can enter, and
//! only this user may log in (`peer`), by a map that names nobody else. It refuses to run as root, as every server of its
//! kind, so root starts it as another user, in folders which that user can pass through.

use super::RestoreError;
use super::login::Login;
use super::session::Session;
use super::tools::{Toolbox, Toolboxes};
use crate::host::{Command, Host, ServerChild, account, pause};
use crate::sources::{Bench, Trace, leave_trace};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The role that initdb makes: no archive of a user's has one of this name.
pub(super) const ROLE: &str = "bkp_drill_owner";
/// Short, because a socket's path may have 107 bytes (unix(7)); the file is `.s.PGSQL.1`.
const PORT: u16 = 1;
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Longest that it may take to begin, and to end.
const START_LIMIT: Duration = Duration::from_mins(1);
const END_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(25);
/// What stands before the random part of a folder outside the bench.
pub(super) const OUTSIDE: &str = "bkp-pg.";

/// A running server.
pub(super) struct Cluster<'a> {
    host: &'a dyn Host,
    server: Option<ServerChild>,
    folder: PathBuf,
    /// The folder is not the bench's, and goes with this value.
    outside: Option<PathBuf>,
    /// The bench's folder, which its user can pass through as long as this value lives, and the mode it had.
    opened: Option<(PathBuf, u32)>,
    /// How to log in.
    pub login: Login,
    /// Its programs.
    pub toolbox: Toolbox,
    owner: Option<(u32, u32)>,
}

fn bench_error(tool: &str, reason: impl Into<String>) -> RestoreError {
    RestoreError::Bench { tool: tool.to_owned(), reason: reason.into() }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

/// Programs that can start a server: the newest there are, because an older server may not take what a newer one wrote.
pub(super) fn server_tools(host: &dyn Host, declared: Option<&Path>) -> Option<Toolbox> {
    const TOOLS: &[&str] = &["postgres", "initdb", "psql", "pg_restore"];
    let found = Toolboxes::look(host, declared, TOOLS).ok()?.highest().clone();
    TOOLS.iter().all(|tool| found.find(host, tool).is_ok()).then_some(found)
}

/// Whether a user who is nobody's can come into a folder: each folder above it lets others pass.
fn passable(host: &dyn Host, folder: &Path) -> bool {
    folder.ancestors().all(|it| host.status(it).is_ok_and(|status| status.mode & 0o001 != 0))
}

impl<'a> Cluster<'a> {
    /// Makes it and waits until it answers.
    pub fn start(bench: Bench<'a>, toolbox: Toolbox) -> Result<Self, RestoreError> {
        let host = bench.host;
        let owner = owner(host)?;
        let Site { folder, outside, opened } = place(bench, owner)?;
        let socket = folder.join("s");
        let mut cluster = Self {
            host,
            server: None,
            login: Login::to_socket(host, &socket, PORT, ROLE),
            toolbox,
            owner,
            folder,
            outside,
            opened,
        };
        host.own_folder(&socket, owner, 0o700).map_err(at(&socket))?;
        cluster.init()?;
        cluster.rules()?;
        cluster.serve(bench, &socket)?;
        Ok(cluster)
    }

    /// A folder that the server can write to, made new.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf, RestoreError> {
        let path = self.folder.join(name);
        self.host.own_folder(&path, self.owner, 0o700).map_err(at(&path))?;
        Ok(path)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn as_owner(&self, argv: Vec<OsString>) -> Command {
        let mut command = Command::change(argv);
        command.clear_env = true;
        command.env.insert("LC_ALL".into(), "C".into());
        command.env.insert("PATH".into(), crate::host::SEARCH_PATH.into());
        command.directory = Some(self.folder.clone());
        command.ids = self.owner;
        command
    }

    fn init(&self) -> Result<(), RestoreError> {
        let data = self.make_folder("data")?;
        let words =
            ["--no-sync", "--no-instructions", "--auth=reject", "-E", "UTF8", "--locale=C", "-U", ROLE, "-D"];
        let mut argv = vec![self.toolbox.path("initdb").into_os_string()];
        argv.extend(words.map(OsString::from));
        argv.push(data.into_os_string());
        let output =
            self.host.run(&self.as_owner(argv)).map_err(|error| bench_error("initdb", error.to_string()))?;
        if output.succeeded() { Ok(()) } else { Err(bench_error("initdb", self.login.reason(&output))) }
    }

    /// Who may log in: this user, through the socket, and nobody else.
    fn rules(&self) -> Result<(), RestoreError> {
        let user = self.host.user().name.replace('"', "\"\"");
        let rules = [
            ("hba.conf", "local all all peer map=drill\n".to_owned()),
            ("ident.conf", format!("drill \"{user}\" {ROLE}\n")),
        ];
        for (name, text) in rules {
            let path = self.folder.join(name);
            self.host.write_atomic(&path, text.as_bytes(), 0o644).map_err(at(&path))?;
        }
        Ok(())
    }

    fn serve(&mut self, bench: Bench<'_>, socket: &Path) -> Result<(), RestoreError> {
        let folder = self.folder.display();
        let settings = [
            "listen_addresses=".to_owned(),
            format!("port={PORT}"),
            format!("unix_socket_directories={}", socket.display()),
            "unix_socket_permissions=0700".to_owned(),
            format!("hba_file={folder}/hba.conf"),
            format!("ident_file={folder}/ident.conf"),
            // What is lost in a crash here is lost anyway.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "wal_level=minimal".to_owned(),
            "max_wal_senders=0".to_owned(),
            "autovacuum=off".to_owned(),
            "jit=off".to_owned(),
            "shared_buffers=32MB".to_owned(),
            "max_connections=20".to_owned(),
            // Whoever sweeps up after a killed drill knows the server by this (see `Trace::Process`).
            format!("bkp.drill={}", bench.folder.display()),
        ];
        let mut argv =
            vec![self.toolbox.path("postgres").into_os_string(), "-D".into(), self.data().into_os_string()];
        argv.extend(settings.into_iter().flat_map(|setting| [OsString::from("-c"), setting.into()]));
        let mut command = self.as_owner(argv);
        command.time_limit = END_LIMIT;
        let server =
            ServerChild::start(&command).map_err(|error| bench_error("postgres", error.to_string()))?;
        let pid = server.pid();
        self.server = Some(server);
        leave_trace(self.host, bench.folder, &Trace::Process { pid }).map_err(at(bench.folder))?;
        let deadline = self.host.now() + START_LIMIT;
        loop {
            match Session::open(&self.login, &self.toolbox.path("psql"), "postgres") {
                Ok(session) => {
                    // It was asked nothing; how its client ends says nothing.
                    let _ended = session.close();
                    return Ok(());
                }
                Err(error) if self.host.now() > deadline => {
                    return Err(bench_error("postgres", error.to_string()));
                }
                Err(_not_yet) => {}
            }
            if !self.server.as_mut().is_some_and(ServerChild::alive) {
                return Err(self.died());
            }
            pause(POLL);
        }
    }

    fn died(&mut self) -> RestoreError {
        let output = self.server.take().map(|server| server.end(Signal::QUIT));
        match output {
            Some(Ok(output)) => bench_error("postgres", self.login.reason(&output)),
            Some(Err(error)) => bench_error("postgres", error.to_string()),
            None => bench_error("postgres", "it is not running"),
        }
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Killed outright it would leave its shared memory behind; this is its own fastest way out.
            let _ended = server.end(Signal::QUIT);
        }
        if let Some(outside) = &self.outside {
            // What is left is swept by the next run, by its trace.
            let _gone = self.host.remove_dir_all(outside);
        }
        if let Some((folder, mode)) = &self.opened {
            // It goes soon, and its name can be read by nobody else.
            let _closed = self.host.own_folder(folder, None, *mode);
        }
    }
}

/// As whom root runs a server; none for everybody else. A dump holds code of its tenants' (functions of CHECK), which
/// runs in the drill: so never as the user that owns a live server, where there is a user who owns nothing.
fn owner(host: &dyn Host) -> Result<Option<(u32, u32)>, RestoreError> {
    if !host.user().is_root() {
        return Ok(None);
    }
    for name in ["nobody", "postgres"] {
        let found = account(host, name).map_err(|error| bench_error("postgres", error.to_string()))?;
        if let Some(found) = found {
            return Ok(Some((found.uid, found.gid)));
        }
    }
    Err(bench_error(
        "postgres",
        "it does not run as root, and there is neither a user `nobody` nor `postgres`",
    ))
}

/// Where a server's files lie.
struct Site {
    folder: PathBuf,
    outside: Option<PathBuf>,
    opened: Option<(PathBuf, u32)>,
}

/// The folder of the server: in the bench where its user can come there and the socket's path is short enough, else
/// one for temporary files, with a trace.
fn place(bench: Bench<'_>, owner: Option<(u32, u32)>) -> Result<Site, RestoreError> {
    let host = bench.host;
    let inside = bench.folder.join("pg");
    let short = inside.join("s/.s.PGSQL.1").as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
    if short && let Some(opened) = let_pass(bench, owner) {
        host.own_folder(&inside, owner, 0o700).map_err(at(&inside))?;
        return Ok(Site { folder: inside, outside: None, opened });
    }
    let word = bench.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unique = word.rsplit('.').next().unwrap_or_default().to_owned();
    let mut last = None;
    for root in ["/var/tmp", "/tmp"] {
        let outside = Path::new(root).join(format!("{OUTSIDE}{unique}.{}", std::process::id()));
        if host.link_status(&outside).is_ok() {
            continue;
        }
        let trace = Trace::Place { kind: "postgres".into(), name: outside.display().to_string() };
        leave_trace(host, bench.folder, &trace).map_err(at(bench.folder))?;
        match host.own_folder(&outside, owner, 0o700) {
            Ok(()) => return Ok(Site { folder: outside.clone(), outside: Some(outside), opened: None }),
            Err(error) => last = Some(at(&outside)(error)),
        }
    }
    Err(last.unwrap_or_else(|| bench_error("postgres", "there is no folder that its user can come to")))
}

/// Lets the server's user pass through the state folder, the folder of all scratch folders and the bench; none where it
/// could not come there all the same. The first two stay so, as they are where sets run as users (other drills may be
/// going on): nobody can list them, and what lies in them is closed by itself. The third is told with the mode it had.
/// What lies above is not bkp's to open.
#[expect(clippy::option_option, reason = "nothing to close again is not the same as no way there")]
fn let_pass(bench: Bench<'_>, owner: Option<(u32, u32)>) -> Option<Option<(PathBuf, u32)>> {
    if owner.is_none() {
        return Some(None);
    }
    let (host, folder) = (bench.host, bench.folder);
    let scratch = folder.parent()?;
    let state = scratch.parent()?;
    if !state.parent().is_some_and(|above| passable(host, above)) {
        return None;
    }
    let mode = |folder: &Path| Some(host.status(folder).ok()?.mode & 0o7777);
    let open = |folder: &Path| {
        let mode = mode(folder)?;
        let closed = mode & 0o001 == 0;
        (!closed || host.own_folder(folder, None, mode | 0o011).is_ok()).then_some(())
    };
    let before = mode(folder)?;
    [state, scratch, folder].into_iter().try_for_each(open)?;
    Some(Some((folder.to_path_buf(), before)))
}
