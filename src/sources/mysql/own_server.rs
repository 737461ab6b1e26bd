//! A server of a drill's own: new, empty, without a network, and gone with the drill.
//!
//! Never here: a server that anybody else can reach. It listens on a socket alone, in a folder that only this user can
//! pass through.

use super::accounts::OF_THE_DRILL;
use super::catalogue::{SCHEMATA, members};
use super::client::{Ask, Client, OneLogin};
use super::facts::server_version;
use super::feed::bench;
use super::version::{Family, Version};
use super::words::{identifier, literal};
use crate::declared::MysqlDeclaration;
use crate::host::{Command, Host, ServerChild, pause, pulse};
use crate::sources::{Bench, RestoreError, SourceError, Trace, find_tool, leave_trace, tool_search_path};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The server, under both of its names.
const SERVER: [&str; 2] = ["mariadbd", "mysqld"];
/// What makes `MariaDB`'s first files, under both of its names.
const INSTALL: [&str; 2] = ["mariadb-install-db", "mysql_install_db"];
/// Folders that distributions keep servers in and that are on nobody's PATH.
const MORE_FOLDERS: [&str; 4] =
    ["/usr/libexec", "/usr/local/libexec", "/usr/local/mysql/bin", "/opt/homebrew/bin"];
/// Longest socket path, in bytes; the system takes 107 on Linux and 103 on a Mac.
const SOCKET_BYTES_MAX: usize = 100;
/// Longest that a server may take until it answers.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Between two looks at whether it does.
const POLL: Duration = Duration::from_millis(50);
/// Beginning of the folder for a socket whose own folder has too long a path.
const SHORT_FOLDER: &str = "/tmp/bkp-mysql.";

/// The programs of a server.
pub(super) struct Programs {
    search_path: String,
    server: PathBuf,
    install: Option<PathBuf>,
    version: Version,
}

impl Programs {
    /// Finds them, beside the declared tools first.
    pub fn find(host: &dyn Host, declaration: Option<&MysqlDeclaration>) -> Result<Self, SourceError> {
        let rest = tool_search_path(None, &MORE_FOLDERS.map(PathBuf::from));
        let declared = declaration.and_then(|it| it.tools.as_ref());
        let search_path = declared.map_or(rest.clone(), |it| format!("{}:{rest}", it.display()));
        let server = find_tool(host, &SERVER, &search_path)?;
        let version = Version::of_program(host, &server)?;
        let install = match version.family {
            Family::Mariadb => Some(find_tool(host, &INSTALL, &search_path)?),
            Family::Mysql => None,
        };
        Ok(Self { search_path, server, install, version })
    }
}

/// A server that runs; it ends, and its files go, with this value.
pub(super) struct OwnServer<'a> {
    host: &'a dyn Host,
    /// Ends first: fields are dropped in this order.
    _server: ServerChild,
    pub client: Client,
    pub version: Version,
    short_folder: Option<PathBuf>,
}

impl Drop for OwnServer<'_> {
    fn drop(&mut self) {
        if let Some(folder) = &self.short_folder {
            // What is left is an empty socket, which the next run sweeps by its trace.
            let _gone = self.host.remove_dir_all(folder);
        }
    }
}

impl<'a> OwnServer<'a> {
    /// Makes it, starts it, and proves that it is empty.
    pub fn start(bench_of: Bench<'a>, programs: &Programs) -> Result<Self, RestoreError> {
        let host = bench_of.host;
        let home = bench_of.folder.join("mysql");
        let (data, files) = (home.join("data"), home.join("tmp"));
        for folder in [&home, &files] {
            host.create_dir_all(folder, 0o700).map_err(target(folder))?;
        }
        let root = host.user().is_root();
        make_data(host, programs, (&data, &files), root)?;
        let (socket, short_folder) = socket_place(bench_of)?;
        let server = serve(programs, (&data, &files, &socket), root)?;
        leave_trace(host, bench_of.folder, &Trace::Process { pid: server.pid() })
            .map_err(target(bench_of.folder))?;
        let (server, version) = wait_for(host, programs, &socket, server, &home)?;
        let client = settle(host, programs, &socket, version).map_err(|error| bench(&error))?;
        Ok(Self { host, _server: server, client, version, short_folder })
    }

    /// Answers to questions.
    pub fn ask(&self) -> OneLogin<'_> {
        OneLogin { host: self.host, client: &self.client }
    }
}

fn target(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_path_buf();
    move |error| RestoreError::Target { path, error }
}

fn failed(programs: &Programs, reason: String) -> RestoreError {
    RestoreError::Bench { tool: programs.server.display().to_string(), reason }
}

/// The end of a text that a program wrote, on one line.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

fn make_data(
    host: &dyn Host,
    programs: &Programs,
    (data, files): (&Path, &Path),
    root: bool,
) -> Result<(), RestoreError> {
    let datadir = format!("--datadir={}", data.display());
    let mut argv: Vec<String> = match &programs.install {
        Some(install) => vec![
            install.display().to_string(),
            "--no-defaults".into(),
            "--auth-root-authentication-method=normal".into(),
            "--skip-test-db".into(),
            "--skip-name-resolve".into(),
            "--innodb-log-file-size=16M".into(),
        ],
        None => vec![
            programs.server.display().to_string(),
            "--no-defaults".into(),
            "--initialize-insecure".into(),
        ],
    };
    argv.push(datadir);
    // A server that starts removes every temporary table that it finds in its folder: in /tmp, those of other servers.
    argv.push(format!("--tmpdir={}", files.display()));
    argv.extend(root.then(|| "--user=root".to_owned()));
    let mut command = Command::change(argv);
    command.env.insert("PATH".into(), programs.search_path.clone().into());
    let excuse = pulse::Excuse::begin();
    let output = host.run(&command).map_err(|error| failed(programs, error.to_string()))?;
    drop(excuse);
    if output.succeeded() {
        return Ok(());
    }
    let said = format!("{}\n{}", output.text(), String::from_utf8_lossy(&output.stderr));
    Err(failed(programs, format!("its first files could not be made: {}", tail(&said))))
}

/// Where the socket goes: beside the data, or, where that path is too long, into a folder of its own below /tmp.
fn socket_place(bench_of: Bench<'_>) -> Result<(PathBuf, Option<PathBuf>), RestoreError> {
    let beside = bench_of.folder.join("s");
    if beside.as_os_str().len() <= SOCKET_BYTES_MAX {
        return Ok((beside, None));
    }
    let number = bench_of.host.now().as_nanosecond();
    let folder = PathBuf::from(format!("{SHORT_FOLDER}{}.{number:x}", std::process::id()));
    let trace = Trace::Place { kind: "mysql".into(), name: format!("folder:{}", folder.display()) };
    leave_trace(bench_of.host, bench_of.folder, &trace).map_err(target(bench_of.folder))?;
    // Not with its parents: what is there already is somebody else's.
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(target(&folder))?;
    Ok((folder.join("s"), Some(folder)))
}

/// Whether a swept name is a folder of [`socket_place`].
pub(super) fn short_folder(name: &str) -> Option<PathBuf> {
    let path = name.strip_prefix("folder:")?;
    let rest = path.strip_prefix(SHORT_FOLDER)?;
    (!rest.is_empty() && !rest.contains('/')).then(|| PathBuf::from(path))
}

fn serve(
    programs: &Programs,
    (data, files, socket): (&Path, &Path, &Path),
    root: bool,
) -> Result<ServerChild, RestoreError> {
    let log = files.with_file_name("log");
    let mut argv: Vec<String> = vec![programs.server.display().to_string(), "--no-defaults".into()];
    argv.extend([
        format!("--datadir={}", data.display()),
        format!("--tmpdir={}", files.display()),
        format!("--socket={}", socket.display()),
        format!("--pid-file={}", files.with_file_name("pid").display()),
        format!("--log-error={}", log.display()),
    ]);
    let settings = [
        "--skip-networking",
        "--skip-log-bin",
        "--event-scheduler=OFF",
        "--performance-schema=OFF",
        "--local-infile=0",
        "--max-allowed-packet=1G",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--innodb-use-native-aio=0",
    ];
    argv.extend(settings.map(str::to_owned));
    argv.extend(match programs.version.family {
        Family::Mariadb => vec!["--innodb-log-file-size=16M".to_owned()],
        Family::Mysql => vec!["--mysqlx=OFF".to_owned()],
    });
    argv.extend(root.then(|| "--user=root".to_owned()));
    let mut command = Command::change(argv);
    command.env.insert("PATH".into(), programs.search_path.clone().into());
    ServerChild::start(&command).map_err(|error| failed(programs, error.to_string()))
}

/// Waits until it answers.
fn wait_for(
    host: &dyn Host,
    programs: &Programs,
    socket: &Path,
    mut server: ServerChild,
    home: &Path,
) -> Result<(ServerChild, Version), RestoreError> {
    let client =
        Client::at_socket(host, &programs.search_path, socket, "root").map_err(|error| bench(&error))?;
    let deadline = Instant::now() + START_LIMIT;
    let log = || {
        let text = host.read(&home.join("log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text))
    };
    loop {
        pulse::beat();
        if !server.alive() {
            return Err(failed(programs, format!("it ended while it started: {}", log())));
        }
        if host.status(socket).is_ok() {
            match server_version(&mut OneLogin { host, client: &client }) {
                Ok(version) => return Ok((server, version)),
                Err(error) if Instant::now() > deadline => return Err(bench(&error)),
                Err(_) => {}
            }
        }
        if Instant::now() > deadline {
            return Err(failed(programs, format!("it did not answer in time: {}", log())));
        }
        pause(POLL);
    }
}

/// Proves that there are no schemas, and leaves one account: the drill's. Those that were backed up come in new.
fn settle(
    host: &dyn Host,
    programs: &Programs,
    socket: &Path,
    version: Version,
) -> Result<Client, SourceError> {
    let root = Client::at_socket(host, &programs.search_path, socket, "root")?;
    let mut ask = OneLogin { host, client: &root };
    let schemas = members(&ask.rows(SCHEMATA)?);
    if !schemas.is_empty() {
        let reason = format!("it is new, and has schemas: {}", schemas.join(", "));
        return Err(SourceError::Server { server: "the drill's own server".into(), reason });
    }
    let ours = format!("{OF_THE_DRILL}@localhost");
    let anybody = match version.family {
        Family::Mariadb => "''@'%'",
        Family::Mysql => "''@''",
    };
    root.change(
        host,
        &format!(
            "CREATE USER {ours}; GRANT ALL PRIVILEGES ON *.* TO {ours} WITH GRANT OPTION; \
             GRANT PROXY ON {anybody} TO {ours} WITH GRANT OPTION;"
        ),
    )?;
    let client = Client::at_socket(host, &programs.search_path, socket, OF_THE_DRILL)?;
    let accounts = OneLogin { host, client: &client }.rows("SELECT User, Host FROM mysql.user")?;
    let mut drops = String::new();
    for row in &accounts {
        let [user, from] = row.as_slice() else { continue };
        let servers = user.starts_with("mysql.") || user == "mariadb.sys" || user == OF_THE_DRILL;
        if servers || user == "PUBLIC" {
            continue;
        }
        let statement = match from.as_str() {
            "" => format!(
                "DROP ROLE {};
",
                identifier(user)
            ),
            from => format!(
                "DROP USER {}@{};
",
                literal(user),
                literal(from)
            ),
        };
        drops.push_str(&statement);
    }
    client.change(host, &drops)?;
    Ok(client)
}
