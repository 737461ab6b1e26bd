//! Servers that run on this host and that nobody declared: found by their processes and sockets.
//!
//! The tests start servers of their own on unusual ports, and look only for those: this machine may have others.

#![expect(clippy::disallowed_methods, reason = "a test starts servers and writes files as a user would")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{Bench, wait_until};

/// A server that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn redis(folder: &Path) -> Running {
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--unixsocket", "r.sock", "--save", "", "--dir", "."]);
    let child = command.current_dir(folder).stdout(Stdio::null()).spawn().expect("redis-server starts");
    let running = Running(child);
    wait_until("the socket", || folder.join("r.sock").exists());
    running
}

fn uncovered(bench: &Bench) -> Vec<String> {
    let output = bench
        .command(["plan", "plan.yaml", "--format", "json"])
        .env_remove("BKP_TEST_PROC")
        .output()
        .expect("bkp");
    let said = String::from_utf8_lossy(&output.stderr);
    let plan: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let list = plan["uncovered"].as_array().expect("a list");
    list.iter().map(|it| it["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn server_that_nobody_declared_is_uncovered_until_it_is_ignored_or_declared() {
    let bench = Bench::with_two_sets();
    let folder = bench.path("redis");
    std::fs::create_dir(&folder).expect("a folder");
    let _running = redis(&folder);
    let key = format!("redis:unix:{}", folder.join("r.sock").display());
    assert!(uncovered(&bench).contains(&key), "its socket was bound by a relative name");

    let sets = "  docs: { type: files, paths: [docs] }\n  shop: { type: sqlite, path: shop.db }\n";
    bench.plan(&format!("{sets}  cache: {{ type: redis, socket: redis/r.sock }}\n"));
    assert!(!uncovered(&bench).contains(&key), "a set reads it");

    bench.plan(sets);
    let plan = std::fs::read_to_string(bench.path("plan.yaml")).expect("the plan");
    let ignored = format!("{plan}discover: {{ ignore: {{ \"{key}\": \"a cache\" }} }}\n");
    std::fs::write(bench.path("plan.yaml"), ignored).expect("written");
    assert!(!uncovered(&bench).contains(&key), "it is ignored with a reason");
}

#[test]
fn server_on_an_unusual_port_is_found_by_its_process() {
    let bench = Bench::with_two_sets();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("its address").port()
    };
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", "."]);
    let child = command.current_dir(bench.root()).stdout(Stdio::null()).spawn().expect("redis-server starts");
    let _running = Running(child);
    let key = format!("redis:tcp:127.0.0.1:{port}");
    wait_until("the server", || uncovered(&bench).contains(&key));
}
