//! A `PostgreSQL` server of a test's own: on a socket in a temporary folder, gone with its value.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Not the default one.
pub const PORT: u16 = 6543;

/// A running server; its owner is the role `postgres`.
pub struct Server {
    folder: TempDir,
    child: Option<Child>,
    tools: PathBuf,
    ids: (u32, u32),
    port: u16,
    holder: Option<Child>,
}

fn tools() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's programs, from Debian's postgresql-15");
    let mut found: Vec<PathBuf> = versions.map(|it| it.expect("an entry").path().join("bin")).collect();
    found.retain(|it| it.join("postgres").exists());
    found.sort();
    found.pop().expect("a server's programs, from Debian's postgresql-15")
}

fn ids() -> (u32, u32) {
    let text = fs::read_to_string("/etc/passwd").expect("the users");
    let line = text.lines().find(|it| it.starts_with("postgres:")).expect("a user `postgres`");
    let number = |at: usize| line.split(':').nth(at).and_then(|it| it.parse().ok()).expect("a number");
    (number(2), number(3))
}

impl Server {
    /// A new one, which lets everybody in who can come to its socket.
    pub fn new() -> Self {
        Self::with("", &[])
    }

    /// With rules of `pg_hba.conf` before the last one, and settings.
    pub fn with(rules: &str, settings: &[&str]) -> Self {
        Self::on_port(rules, settings, PORT)
    }

    /// The same, on a port.
    pub fn on_port(rules: &str, settings: &[&str], port: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("bkp-pgt.").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let mut server = Self { folder, child: None, tools: tools(), ids: ids(), port, holder: None };
        for name in ["data", "s"] {
            server.owned_folder(name);
        }
        fs::set_permissions(server.path("data"), fs::Permissions::from_mode(0o700)).expect("a mode");
        let data = server.path("data").display().to_string();
        let made = server
            .tool("initdb")
            .args([
                "--no-sync",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-U",
                "postgres",
                "-D",
                &data,
            ])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(server.path("data/pg_hba.conf"), format!("{rules}\nlocal all all trust\n")).expect("rules");
        let mut more = String::new();
        for setting in settings {
            more.push_str(setting);
            more.push('\n');
        }
        let config = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nport = {port}\nfsync = off\nshared_buffers = 32MB\n{more}",
            server.path("s").display()
        );
        fs::write(server.path("data/postgresql.auto.conf"), config).expect("settings");
        server.start();
        server
    }

    /// A path below its folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A new folder that it owns.
    pub fn owned_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a folder");
        chown(&path, Some(self.ids.0), Some(self.ids.1)).expect("an owner");
        path
    }

    /// Leaves a session open in a transaction that has done something.
    pub fn hold(&mut self, database: &str, sql: &str) {
        let mut child = self.psql(database);
        let script = format!("begin;\n{sql};\nset application_name = 'holder';\n");
        child.stdin.as_mut().expect("a pipe").write_all(script.as_bytes()).expect("it reads");
        self.holder = Some(child);
        let began = Instant::now();
        while self.sql("postgres", "select count(*) from pg_stat_activity where application_name = 'holder'")
            == "0"
        {
            assert!(began.elapsed() < Duration::from_secs(20), "the session does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends that session.
    pub fn release(&mut self) {
        let Some(holder) = self.holder.take() else { return };
        holder.wait_with_output().expect("its end");
        let began = Instant::now();
        while self.sql("postgres", "select count(*) from pg_stat_activity where application_name = 'holder'")
            != "0"
        {
            assert!(began.elapsed() < Duration::from_secs(20), "the session does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The folder of its socket.
    pub fn socket(&self) -> String {
        self.path("s").display().to_string()
    }

    /// The folder of its programs.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.tools.join(name));
        command.uid(self.ids.0).gid(self.ids.1).current_dir("/").env_clear().stdin(Stdio::null());
        command
    }

    /// Starts it again.
    pub fn start(&mut self) {
        let data = self.path("data");
        let log = fs::File::create(self.path("log")).expect("a log");
        let child = self
            .tool("postgres")
            .arg("-D")
            .arg(data)
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("postgres starts");
        self.child = Some(child);
        let began = Instant::now();
        while !self.try_sql("postgres", "select 1").status.success() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(30), "the server does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let sent = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|it| it.success()), "it was running");
        child.wait().expect("its end");
    }

    fn psql(&self, database: &str) -> Child {
        let database = database.replace('\\', "\\\\").replace('\'', "\\'");
        self.tool("psql")
            .args([
                "-X",
                "-q",
                "-At",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-p",
                &self.port.to_string(),
            ])
            .args(["-h", &self.socket(), "-d", &format!("dbname='{database}'")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts")
    }

    /// `psql` as the role `postgres`.
    pub fn try_sql(&self, database: &str, sql: &str) -> Output {
        let mut child = self.psql(database);
        // A server that is not there yet makes psql end before it has read.
        let _read = child.stdin.take().expect("a pipe").write_all(sql.as_bytes());
        child.wait_with_output().expect("its end")
    }

    /// The same, which must succeed; gives what it printed.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.try_sql(database, sql);
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes a database with something of every kind.
    pub fn make_shop(&self, name: &str, rows: u32) {
        self.sql("postgres", &format!("create database {name}"));
        self.sql(name, &SHOP.replace("ROWS", &rows.to_string()));
    }

    /// The names of its databases.
    pub fn databases(&self) -> Vec<String> {
        let text = self.sql("postgres", "select datname from pg_database where not datistemplate order by 1");
        text.lines().map(str::to_owned).collect()
    }

    /// The source's lines in a plan.
    pub fn set(&self, more: &str) -> String {
        format!("{{ type: postgres, host: {}, port: {}, user: postgres{more} }}", self.socket(), self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _gone = holder.kill();
            let _reaped = holder.wait();
        }
        self.stop();
    }
}

const SHOP: &str = r#"
create schema sales;
create type sales.state as enum ('open', 'paid');
create domain sales.price as numeric check (value >= 0);
create table sales.orders (
    id bigint generated always as identity primary key,
    state sales.state not null default 'open',
    price sales.price,
    what text
);
create index on sales.orders (state);
create table sales.lines (id serial primary key, order_id bigint references sales.orders, note text);
create table sales.parts (id int, at date) partition by range (at);
create table sales.parts_2025 partition of sales.parts for values from ('2025-01-01') to ('2026-01-01');
create view sales.open as select * from sales.orders where state = 'open';
create materialized view sales.sums as select state, count(*) from sales.orders group by state;
create function sales.note() returns trigger language plpgsql as $$ begin new.what := coalesce(new.what, 'none'); return new; end $$;
create trigger note before insert on sales.orders for each row execute function sales.note();
create table public."odd name
with a newline" ("a""b" text);
insert into public."odd name
with a newline" values (E'a\nb\\c\td'), (null), ('\.');
insert into sales.orders (price, what) select n, 'order ' || n from generate_series(1, ROWS) n;
insert into sales.lines (order_id, note) select id, repeat('x', 50) from sales.orders;
insert into sales.parts select n, date '2025-01-01' + n from generate_series(1, 100) n;
select lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'));
select lo_from_bytea(0, '');
alter table sales.lines enable row level security;
create policy mine on sales.lines using (note <> '');
"#;

/// A port of the loopback address that nothing listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
