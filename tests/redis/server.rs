//! A Redis server of one test's own: on a socket in the test's folder, gone with its value.

use crate::support::{Bench, SEARCH_PATH, set_mode, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A server.
pub struct Server {
    child: Child,
    /// Its folder.
    pub folder: PathBuf,
}

impl Server {
    /// Starts one, with more of its options.
    pub fn start(bench: &Bench, options: &[&str]) -> Self {
        Self::start_in(bench.path("redis"), options)
    }

    /// Starts one in a folder of its own.
    pub fn start_in(folder: PathBuf, options: &[&str]) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let fixed =
            ["--port", "0", "--unixsocket", "s", "--save", "", "--appendonly", "no", "--logfile", "log"];
        let child = Command::new("redis-server")
            .arg("--dir")
            .arg(&folder)
            .args(fixed)
            .args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"])
            .args(options)
            .current_dir(&folder)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is needed (Debian: redis-server)");
        let mut server = Self { child, folder };
        wait_until("the server's socket", || {
            assert!(server.child.try_wait().expect("a status").is_none(), "{}", server.log());
            server.try_cli(&["PING"]).starts_with("PONG") || server.try_cli(&["PING"]).contains("NOAUTH")
        });
        server
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn try_cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(arguments)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .output()
            .expect("redis-cli is needed (Debian: redis-tools)");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Asks it, and demands that it does not refuse.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> String {
        let said = self.try_cli(arguments);
        for word in ["ERR", "NOPERM", "NOAUTH", "WRONG", "Could not"] {
            assert!(!said.starts_with(word), "{arguments:?}: {said}");
        }
        said
    }

    /// Sends it many commands.
    #[track_caller]
    pub fn pipe(&self, commands: &str) {
        let mut child = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli is needed (Debian: redis-tools)");
        child.stdin.take().expect("a pipe").write_all(commands.as_bytes()).expect("commands");
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("ERR") && !said.contains("WRONG"), "{said}");
    }

    /// A digest of every key and value of a database and all others (DEBUG DIGEST).
    pub fn digest(&self) -> String {
        let digest = self.cli(&["DEBUG", "DIGEST"]);
        assert_eq!(digest.len(), 40, "{digest}");
        digest
    }

    /// Values of every type and of every encoding that this server has, in two databases, and a function.
    pub fn fill(&self) {
        let long = "x".repeat(100);
        let each = |item: u32| {
            format!(
                "RPUSH list:long {long}{item}\nSADD set:long m{item}\nHSET hash:long f{item} {long}\n\
                 ZADD zset:long {item}.5 m{item}\nXADD stream:long * f{item} {long}\nSET key:{item} {item}\n"
            )
        };
        let mut all = (0..300).map(each).collect::<Vec<_>>().concat();
        all += "SET number 12345\nSET small 7\nSET large 123456789\nSET text ";
        all += &"abc".repeat(400);
        all += "\n";
        all += "RPUSH list:short a b c\nSADD set:ints 1 2 3\nSADD set:short a b\nHSET hash:short a 1\n";
        all += "ZADD zset:short 1 a -inf b\nPFADD log a b c\nSETBIT bits 10000 1\nGEOADD geo 13 38 P\n";
        all += "XGROUP CREATE stream:long group 0\nXREADGROUP GROUP group worker COUNT 5 STREAMS stream:long >\n";
        all += "SET soon 1 EX 100000\nSET later 2 EX 100000\nSELECT 11\nSET elsewhere 1\nHSET hash a b\n";
        self.pipe(&all);
        self.cli(&[
            "FUNCTION",
            "LOAD",
            "#!lua name=shop\nredis.register_function('f', function() return 1 end)",
        ]);
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Somebody who writes all the time, to database 5.
pub struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins to write.
    pub fn start(server: &Server) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut stream = UnixStream::connect(server.socket()).expect("a connection");
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            let mut answers = BufReader::new(stream.try_clone().expect("a connection"));
            let mut ask = |command: String| {
                stream.write_all(command.as_bytes()).expect("sent");
                let mut line = String::new();
                answers.read_line(&mut line).expect("an answer");
                assert!(line.starts_with('+'), "{line}");
            };
            ask("SELECT 5\r\n".into());
            while !stopped.load(Ordering::SeqCst) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                ask(format!("SET written:{number} {number}\r\n"));
            }
        });
        Self { stop, written, thread: Some(thread) }
    }

    /// How many keys it has written, or is about to.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the writer failed");
        }
    }
}

/// A password file of mode 0600.
pub fn password(bench: &Bench, name: &str, text: &str) -> PathBuf {
    let path = bench.write(name, text);
    set_mode(&path, 0o600);
    path
}

/// The processes that a process has started and that live.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether a process runs whose arguments hold a text.
pub fn runs(text: &Path) -> bool {
    let wanted = text.display().to_string();
    let own = std::process::id().to_string();
    fs::read_dir("/proc").expect("processes").filter_map(Result::ok).any(|entry| {
        let pid = entry.file_name();
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // A server writes its arguments anew; its folder stays, also when it is gone.
        let current = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        pid.to_string_lossy().bytes().all(|it| it.is_ascii_digit())
            && pid.to_string_lossy() != own
            && (String::from_utf8_lossy(&line).contains(&wanted) || current.starts_with(text))
    })
}
