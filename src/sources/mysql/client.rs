//! The client programs: found, pointed at a server, and started.
//!
//! Never here: a password in argv or in an environment. `--defaults-extra-file` is the first option, because the
//! programs refuse it anywhere else; it lies in memory, or is the user's own file.

use super::session::Session;
use super::version::{Family, Version};
use super::words::{fields, option_value, said};
use crate::declared::MysqlDeclaration;
use crate::host::{Command, Host, Output, PrivateFile, SEARCH_PATH};
use crate::secrets::{self, Secret};
use crate::sources::{SourceError, find_tool, tool_search_path};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The client, under both of its names.
pub(super) const CLIENT: [&str; 2] = ["mariadb", "mysql"];
/// The dump program, under both of its names.
pub(super) const DUMP: [&str; 2] = ["mariadb-dump", "mysqldump"];
/// Longest that a connection may take to come about, in seconds.
const CONNECT_SECONDS: u32 = 10;
/// Longest that questions of a catalogue may take.
const ASK_LIMIT: Duration = Duration::from_mins(2);
/// What stands between two answers of one call.
const MARK: &str = "-- bkp: end of an answer --";

/// Lets a session write nothing to the server's binary log.
const UNLOGGED: &str = "--init-command=SET SESSION sql_log_bin=0";

/// The rows of an answer.
pub(super) type Rows = Vec<Vec<String>>;

/// Something that answers questions in SQL.
pub(super) trait Ask {
    /// Asks them one after the other; the first that fails ends it.
    fn ask(&mut self, questions: &[String]) -> Result<Vec<Rows>, SourceError>;

    /// Asks one.
    fn rows(&mut self, question: &str) -> Result<Rows, SourceError> {
        Ok(self.ask(&[question.to_owned()])?.pop().unwrap_or_default())
    }
}

/// The programs and how they come to a server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    program: PathBuf,
    dump: PathBuf,
    version: Version,
    first: Vec<OsString>,
    way: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    secret: Option<Secret>,
    server: String,
    /// Whether what it changes goes past the server's binary log.
    unlogged: bool,
    /// The option file, for as long as a program may read it.
    _file: Option<Arc<PrivateFile>>,
}

impl Client {
    /// To the declared server.
    pub fn declared(host: &dyn Host, declaration: &MysqlDeclaration) -> Result<Self, SourceError> {
        let path = tool_search_path(declaration.tools.as_deref(), &[]);
        let secret = declaration.password.as_ref().map(|it| secrets::resolve(host, "password", it));
        let secret = secret.transpose()?;
        let file = secret.as_ref().map(password_file).transpose()?;
        let first = match (&file, &declaration.defaults_file) {
            (Some(file), _) => vec![defaults(file.path())],
            (None, Some(path)) => vec![defaults(path)],
            (None, None) => Vec::new(),
        };
        let client = Self::found(host, &path, first, server_name(declaration))?;
        let way = way(declaration, client.version.family);
        Ok(Self { way, secret, _file: file.map(Arc::new), ..client })
    }

    /// To a server of a drill's own, by its socket and without a password.
    pub fn at_socket(
        host: &dyn Host,
        search_path: &str,
        socket: &Path,
        user: &str,
    ) -> Result<Self, SourceError> {
        let server = "the drill's own server".to_owned();
        let client = Self::found(host, search_path, vec!["--no-defaults".into()], server)?;
        let mut way: Vec<OsString> = vec!["--skip-password".into(), format!("--user={user}").into()];
        way.push(option("--socket=", socket));
        Ok(Self { way, ..client })
    }

    fn found(host: &dyn Host, path: &str, first: Vec<OsString>, server: String) -> Result<Self, SourceError> {
        let program = find_tool(host, &CLIENT, path)?;
        let dump = find_tool(host, &DUMP, path)?;
        let version = Version::of_program(host, &dump)?;
        let mut environment = BTreeMap::from([("PATH".to_owned(), OsString::from(SEARCH_PATH))]);
        environment.insert("LC_ALL".into(), "C.UTF-8".into());
        environment.insert("HOME".into(), host.user().home.into_os_string());
        let way = Vec::new();
        Ok(Self {
            program,
            dump,
            version,
            first,
            way,
            environment,
            secret: None,
            server,
            unlogged: false,
            _file: None,
        })
    }

    /// The server, as people know it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The family and version of the dump program.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The dump program's name, for messages.
    pub fn dump_name(&self) -> String {
        self.dump.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The client's path, to try a door with options of its own.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// An error of the server's, by what a program said; secrets and rows are taken out.
    pub fn error(&self, asked: &str, output: &Output) -> SourceError {
        let how = match (output.timed_out, output.status) {
            (true, _) => "was ended at its time limit".to_owned(),
            (false, Some(status)) => format!("exit status {status}"),
            (false, None) => "ended by a signal".to_owned(),
        };
        SourceError::Server {
            server: self.server.clone(),
            reason: format!("{asked}: {how}: {}", self.redacted(&said(&output.stderr))),
        }
    }

    fn redacted(&self, text: &str) -> String {
        self.secret.as_ref().map_or_else(|| text.to_owned(), |secret| secret.redact(text))
    }

    fn command(&self, program: &Path, options: &[&str]) -> Command {
        let mut argv = vec![program.as_os_str().to_owned()];
        argv.extend(self.first.iter().cloned());
        argv.extend(self.way.iter().cloned());
        argv.extend(options.iter().map(OsString::from));
        let mut command = Command::look(argv);
        command.env.clone_from(&self.environment);
        command.clear_env = true;
        command
    }

    fn client(&self, options: &[&str]) -> Command {
        let timeout = format!("--connect-timeout={CONNECT_SECONDS}");
        let mut all = vec!["--batch", "--skip-column-names", "--skip-force", "--skip-reconnect"];
        all.extend(["--default-character-set=utf8mb4", "--max-allowed-packet=1G", timeout.as_str()]);
        all.extend(options);
        self.command(&self.program, &all)
    }

    /// The environment and first words of a command that changes the server; its standard input is to be fed.
    pub fn loading(&self, schema: Option<&str>, options: &[&str]) -> Command {
        let database = schema.map(|name| format!("--database={name}"));
        let mut all = vec!["--binary-mode"];
        all.extend(database.as_deref());
        all.extend(options);
        all.extend(self.unlogged.then_some(UNLOGGED));
        let mut command = self.client(&all);
        command.purpose = crate::host::Purpose::Change;
        command.time_limit = Duration::from_hours(1);
        command
    }

    /// The same without the server's binary log, so that replicas repeat nothing of it; as it was where the account may
    /// not switch that log off for itself.
    pub fn without_binary_log(self, host: &dyn Host) -> Self {
        let silent = Self { unlogged: true, ..self.clone() };
        if silent.change(host, "DO 0;").is_ok() { silent } else { self }
    }

    /// Whether the client knows an option.
    pub fn knows(&self, host: &dyn Host, option: &str) -> bool {
        let command = Command::look([self.program.as_os_str(), "--no-defaults".as_ref(), "--help".as_ref()]);
        host.run(&command).is_ok_and(|output| output.text().contains(option))
    }

    /// The dump of one schema, without `--databases`, which would write the schema's name into it.
    pub fn dumping(&self, schema: &str, history: bool) -> Command {
        let mut options =
            vec!["--opt", "--comments", "--skip-compact", "--skip-force", "--single-transaction"];
        options.extend(["--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces"]);
        options.extend(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]);
        options.extend(history.then_some("--dump-history"));
        match self.version.family {
            Family::Mariadb => {}
            Family::Mysql => {
                options.push("--set-gtid-purged=OFF");
                options.extend((self.version.major >= 8).then_some("--column-statistics=0"));
            }
        }
        options.extend(["--", schema]);
        let mut command = self.command(&self.dump, &options);
        // It counts from the end of its output on.
        command.time_limit = Duration::from_mins(1);
        command
    }

    /// A session that stays open.
    pub fn session(&self) -> Result<Session, SourceError> {
        Session::start(self, &self.client(&["--unbuffered", "--quick"]))
    }

    /// An error of a program that could not be started.
    pub fn not_started(&self, error: std::io::Error) -> SourceError {
        SourceError::Tool { tool: self.program.display().to_string(), error }
    }

    /// Carries out statements that change the server.
    pub fn change(&self, host: &dyn Host, statements: &str) -> Result<(), SourceError> {
        let mut command = self.loading(None, &[]);
        command.stdin = Some(format!("{PREAMBLE}\n{statements}\n").into_bytes());
        let output = host.run(&command).map_err(|error| self.not_started(error))?;
        if output.succeeded() { Ok(()) } else { Err(self.error("a statement failed", &output)) }
    }
}

/// What every session begins with: literals are escaped by backslashes, and no limit of the server's cuts a count off.
pub(super) const PREAMBLE: &str = "SET SESSION sql_mode='', SESSION wait_timeout=28800; \
     /*M!100100 SET SESSION max_statement_time=0 */; /*!50708 SET SESSION max_execution_time=0 */;";

/// Questions asked in one login each call, on a host that may refuse to change anything.
pub(super) struct OneLogin<'a> {
    pub host: &'a dyn Host,
    pub client: &'a Client,
}

impl Ask for OneLogin<'_> {
    fn ask(&mut self, questions: &[String]) -> Result<Vec<Rows>, SourceError> {
        let mut script = format!("{PREAMBLE}\n");
        for question in questions {
            script.push_str(question);
            script.push_str(";\nSELECT '");
            script.push_str(MARK);
            script.push_str("';\n");
        }
        let mut command = self.client.client(&[]);
        command.stdin = Some(script.into_bytes());
        command.time_limit = ASK_LIMIT;
        let output = self.host.run(&command).map_err(|error| self.client.not_started(error))?;
        if !output.succeeded() {
            return Err(self.client.error("asked for its catalogue", &output));
        }
        let mut answers = vec![Rows::new()];
        for line in output.text().lines() {
            match answers.last_mut() {
                Some(_) if line == MARK => answers.push(Rows::new()),
                Some(rows) => rows.push(fields(line)),
                None => {}
            }
        }
        answers.pop();
        if answers.len() == questions.len() {
            return Ok(answers);
        }
        let reason = format!("{} of {} answers came", answers.len(), questions.len());
        Err(SourceError::Server { server: self.client.server.clone(), reason })
    }
}

fn option(name: &str, value: &Path) -> OsString {
    let mut word = OsString::from(name);
    word.push(value);
    word
}

fn defaults(path: &Path) -> OsString {
    option("--defaults-extra-file=", path)
}

fn password_file(secret: &Secret) -> Result<PrivateFile, SourceError> {
    let mut content = b"[client]\npassword=".to_vec();
    content.extend(option_value(secret.line()));
    content.push(b'\n');
    PrivateFile::new("bkp-mysql", &content)
        .map_err(|error| SourceError::Tool { tool: "a private option file".into(), error })
}

fn way(declaration: &MysqlDeclaration, family: Family) -> Vec<OsString> {
    let mut way: Vec<OsString> = Vec::new();
    way.extend(declaration.host.iter().map(|it| format!("--host={it}").into()));
    if let Some(port) = declaration.port {
        // With `localhost`, and with no host, the programs take the socket whatever the port.
        way.extend(["--protocol=tcp".into(), format!("--port={port}").into()]);
    }
    way.extend(declaration.socket.iter().map(|it| option("--socket=", it)));
    way.extend(declaration.user.iter().map(|it| format!("--user={it}").into()));
    if let Some(authority) = &declaration.ssl_ca {
        way.push(option("--ssl-ca=", authority));
        way.push(match family {
            Family::Mariadb => "--ssl-verify-server-cert".into(),
            Family::Mysql => "--ssl-mode=VERIFY_IDENTITY".into(),
        });
    }
    way
}

/// Where a declaration leads, for people: `mysql:ADDRESS`.
pub(super) fn server_name(declaration: &MysqlDeclaration) -> String {
    let host = declaration.host.as_deref().unwrap_or("localhost");
    match (&declaration.socket, declaration.port) {
        (Some(socket), _) => format!("mysql:{}", socket.display()),
        (None, Some(port)) => format!("mysql:{host}:{port}"),
        (None, None) => format!("mysql:{host}"),
    }
}
