//! A STAND-IN for a Qdrant server (`tests/qdrant_stand_in/server.py`, which says what it was read from), on free loopback
//! ports, ended with its value. Asked here by plain HTTP, as any client of Qdrant would.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

use crate::support::{SEARCH_PATH, wait_until};

/// A server, or as many peers of a cluster.
pub struct StandIn {
    folder: TempDir,
    child: Child,
    ports: Vec<u16>,
    key: Option<String>,
}

impl StandIn {
    /// A server without keys.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A server with options of its own.
    pub fn with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("bkp-qdrant.").tempdir().expect("a folder");
        let options: Vec<String> = options.iter().map(|it| (*it).to_owned()).collect();
        let key = options.iter().position(|it| it == "--api-key").map(|at| options[at + 1].clone());
        let (child, ports) = start(&folder, &options);
        Self { folder, child, ports, key }
    }

    /// Its URL, or its first peer's.
    pub fn url(&self) -> String {
        self.url_of(0)
    }

    /// A peer's URL.
    pub fn url_of(&self, peer: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[peer])
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Ends it, as a crash does.
    pub fn stop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Sets its faults.
    pub fn faults(&self, faults: &Value) {
        let path = self.folder.path().join("faults.json");
        fs::write(path.with_extension("new"), faults.to_string()).expect("a file");
        fs::rename(path.with_extension("new"), path).expect("renamed");
    }

    /// Whether a request is held by the fault of this name.
    pub fn is_held(&self, fault: &str) -> bool {
        self.folder.path().join(format!("{fault}.held")).exists()
    }

    /// Whether anybody has sent it a key.
    pub fn was_sent_a_key(&self) -> bool {
        self.folder.path().join("keyed").exists()
    }

    /// Waits until a request is held by the fault of this name.
    pub fn wait_held(&self, fault: &str) {
        wait_until(fault, || self.is_held(fault));
    }

    /// Asks it, and gives the result of a good answer.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut curl = Curl::new(method, &format!("{}{path}", self.url()));
        if let Some(key) = &self.key {
            curl.header("api-key", key);
        }
        let (status, answer) = curl.send(body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["result"].clone()
    }

    /// A collection with one unnamed vector, one payload index and so many points.
    pub fn collection(&self, name: &str, points: u64) {
        let config = json!({
            "vectors": { "size": 2, "distance": "Dot" },
            "payload_schema": { "city": "keyword" },
        });
        self.ask("PUT", &format!("/collections/{name}"), Some(&config));
        self.points(name, 0, points);
    }

    /// Adds points with the ids from `first` on.
    pub fn points(&self, name: &str, first: u64, count: u64) {
        let point =
            |id: u64| json!({ "id": id, "vector": [0.5, 0.25], "payload": { "city": format!("c{id}") } });
        let points: Vec<Value> = (first..first + count).map(point).collect();
        self.ask("PUT", &format!("/collections/{name}/points?wait=true"), Some(&json!({ "points": points })));
    }

    /// Gives a collection another name.
    pub fn alias(&self, alias: &str, collection: &str) {
        let create = json!({ "alias_name": alias, "collection_name": collection });
        let actions = json!({ "actions": [{ "create_alias": create }] });
        self.ask("POST", "/collections/aliases", Some(&actions));
    }

    /// The collections, sorted.
    pub fn collections(&self) -> Vec<String> {
        let answer = self.ask("GET", "/collections", None);
        let mut names: Vec<String> = answer["collections"]
            .as_array()
            .expect("collections")
            .iter()
            .map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    }

    /// The exact number of points.
    pub fn count(&self, name: &str) -> u64 {
        let answer =
            self.ask("POST", &format!("/collections/{name}/points/count"), Some(&json!({ "exact": true })));
        answer["count"].as_u64().expect("a count")
    }

    /// Every snapshot file that lies on the server's disk.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open: Vec<PathBuf> = vec![self.folder.path().join("snapshots")];
        while let Some(path) = open.pop() {
            for entry in fs::read_dir(path).into_iter().flatten().map(|it| it.expect("an entry").path()) {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    found.push(entry.file_name().expect("a name").to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn start(folder: &TempDir, options: &[String]) -> (Child, Vec<u16>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qdrant_stand_in/server.py");
    let child = Command::new("python3")
        .args(["-B", script, "--dir"])
        .arg(folder.path())
        .args(options)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 is needed for the stand-in");
    let ports = folder.path().join("ports");
    wait_until("the stand-in's ports", || ports.exists());
    let file = fs::File::open(ports).expect("its ports");
    let line = |line: std::io::Result<String>| line.expect("a line").parse().expect("a port");
    (child, BufReader::new(file).lines().map(line).collect())
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One question of a client that is not bkp.
struct Curl {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
}

impl Curl {
    fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new() }
    }

    fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn send(&self, body: Option<&Value>) -> (u16, Value) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        let mut request = ureq::http::Request::builder().method(self.method.as_str()).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(body.map(Value::to_string).unwrap_or_default()).expect("a request");
        let answer = agent.run(request).expect("the stand-in answers");
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string().expect("its answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
