//! A `MariaDB` server of its own for each test: on a socket in a temporary folder, and on a free loopback port where a
//! test asks for one. It is killed with its value, also when the test panics.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that a server may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that runs.
pub struct Server {
    folder: TempDir,
    child: Option<Child>,
    port: Option<u16>,
    binary_log: bool,
}

impl Server {
    /// A new and empty one, without a network.
    pub fn new() -> Self {
        Self::start_new(None, false)
    }

    /// One that also listens on a free port of the loopback address.
    pub fn with_port() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        Self::start_new(Some(port), false)
    }

    /// One that writes a binary log, for replicas.
    pub fn with_binary_log() -> Self {
        Self::start_new(None, true)
    }

    fn start_new(port: Option<u16>, binary_log: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("bkp-my.").tempdir_in("/tmp").expect("a folder");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--user=root", "--skip-name-resolve", "--innodb-log-file-size=4M"])
            .arg(format!("--datadir={}", folder.path().join("data").display()))
            .arg(format!("--tmpdir={}", folder.path().display()))
            .output()
            .expect("mariadb-install-db, of mariadb-server, which these tests need");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, child: None, port, binary_log };
        server.start();
        server
    }

    /// Starts it again.
    pub fn start(&mut self) {
        let mut command = Command::new("mariadbd");
        command
            .args(["--no-defaults", "--user=root", "--skip-name-resolve"])
            .args(if self.binary_log {
                ["--log-bin=log", "--server-id=7"]
            } else {
                ["--skip-log-bin", "--server-id=7"]
            })
            .args(["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=32M"])
            .args([
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-use-native-aio=0",
                "--max-allowed-packet=64M",
            ])
            .arg(format!("--datadir={}", self.path("data").display()))
            .arg(format!("--tmpdir={}", self.folder.path().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.path("pid").display()))
            .arg(format!("--log-error={}", self.path("log").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match self.port {
            Some(port) => command.args(["--bind-address=127.0.0.1".to_owned(), format!("--port={port}")]),
            None => command.arg("--skip-networking"),
        };
        self.child = Some(command.spawn().expect("mariadbd, which these tests need"));
        let deadline = Instant::now() + PATIENCE;
        while !self.try_sql("SELECT 1").status.success() {
            assert!(
                Instant::now() < deadline,
                "{}",
                fs::read_to_string(self.path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already is what was wanted.
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.expect("a server with a port")
    }

    /// A client of root's.
    pub fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command
            .args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"])
            .arg(format!("--socket={}", self.socket().display()));
        command
    }

    fn try_sql(&self, sql: &str) -> Output {
        let mut child = self
            .client()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mariadb, which these tests need");
        // One that cannot log in reads nothing, and says why.
        let _written = child.stdin.take().expect("its input").write_all(sql.as_bytes());
        child.wait_with_output().expect("its end")
    }

    /// Carries out statements as root.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        let output = self.try_sql(sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// An account for backups with every right that they can use, and the file of its password.
    pub fn account(&self, rights: &str, secret: &str, file: &Path) {
        let quoted = secret.replace('\\', "\\\\").replace('\'', "\\'");
        self.sql(&format!(
            "CREATE USER bkp@localhost IDENTIFIED BY '{quoted}'; CREATE USER bkp@'127.0.0.1' IDENTIFIED BY '{quoted}'; \
             GRANT {rights} ON *.* TO bkp@localhost; GRANT {rights} ON *.* TO bkp@'127.0.0.1';"
        ));
        fs::write(file, secret).expect("a file");
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    }

    /// A schema with an object of every kind.
    pub fn shop(&self, schema: &str) {
        self.sql(&SHOP.replace("SHOP", schema));
    }

    /// Starts to insert without end, each row in a transaction of its own and a trigger's row with it.
    pub fn writer(&self, schema: &str) -> Writer {
        let sql = format!(
            "DELIMITER //\nUSE {schema}//\nCREATE OR REPLACE PROCEDURE mysql.write_on() BEGIN \
             WHILE TRUE DO INSERT INTO {schema}.orders (what) VALUES ('written while it was read'); \
             DO SLEEP(0.001); END WHILE; END//\nCALL mysql.write_on()//\n"
        );
        let mut child = self.client().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("mariadb");
        child.stdin.take().expect("its input").write_all(sql.as_bytes()).expect("written");
        let before = self.sql(&format!("SELECT COUNT(*) FROM {schema}.orders"));
        let deadline = Instant::now() + PATIENCE;
        while self.sql(&format!("SELECT COUNT(*) FROM {schema}.orders")) == before {
            assert!(Instant::now() < deadline, "the writer writes nothing");
        }
        Writer(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A writer, which ends with its value.
pub struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

const SHOP: &str = r#"
CREATE DATABASE `SHOP` CHARACTER SET latin1 COLLATE latin1_german1_ci;
USE `SHOP`;
DELIMITER //
CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(100), KEY by_what (what)) ENGINE=InnoDB//
CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, of_order INT, body LONGBLOB,
  CONSTRAINT kept FOREIGN KEY (of_order) REFERENCES orders (id)) ENGINE=InnoDB//
CREATE TABLE log (at INT AUTO_INCREMENT PRIMARY KEY, line TEXT) ENGINE=InnoDB//
CREATE TRIGGER noted AFTER INSERT ON orders FOR EACH ROW INSERT INTO log (line) VALUES (NEW.what)//
CREATE VIEW open_orders AS SELECT id, what FROM orders//
CREATE PROCEDURE tidy() BEGIN
 -- DROP TABLE orders; CREATE TABLE `x` (
 DELETE FROM log WHERE at < 0; -- INSERT INTO `orders` VALUES (1);
END//
CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM log WHERE at < 0//
CREATE EVENT weekly ON SCHEDULE EVERY 7 DAY DO DELETE FROM log WHERE at < 0//
CREATE SEQUENCE numbers START WITH 5//
CREATE TABLE priced (id INT, price INT, twice INT AS (price * 2) STORED) WITH SYSTEM VERSIONING//
INSERT INTO priced (id, price) VALUES (1, 10), (2, 20)//
UPDATE priced SET price = 11 WHERE id = 1//
INSERT INTO orders (what) VALUES ('it''s (a) "quote";'), ('back\\slash'), (CONCAT('two', CHAR(10), 'lines),(')), (NULL)//
INSERT INTO notes (of_order, body) VALUES (1, CONCAT(CHAR(0), CHAR(255), "');(")), (2, REPEAT('x', 70000))//
ALTER DATABASE `SHOP` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin//
DELIMITER ;
"#;
