//! The stand-in server, started for one test and gone with it, and the tools that talk to it.

use mongodb::bson::{Document, doc};
use mongodb::sync::Client;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The password of every user that these tests make. It must come to light nowhere.
pub const PASSWORD: &str = "s3cret-äö\"x";

/// Where the tools of mongo-tools themselves are, for who has them; else these tests use stand-ins of them.
const REAL_TOOLS: &str = "BKP_TEST_MONGO_TOOLS";

fn stand_in(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mongodb_stand_in").join(name)
}

/// A server that stands in for mongod: it keeps what it is given until it goes.
pub struct Mongo {
    child: Child,
    pub port: u16,
    auth: bool,
}

impl Drop for Mongo {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Mongo {
    /// One that asks nobody for a login, on loopback.
    pub fn open() -> Self {
        Self::start(&[])
    }

    /// One that knows `root`, `bkp` (roles `backup` and `restore`) and asks for a login.
    pub fn closed() -> Self {
        Self::closed_at("127.0.0.1")
    }

    /// The same at another address.
    pub fn closed_at(address: &str) -> Self {
        let mongo = Self::start(&["--auth", "--bind_ip", address]);
        mongo
            .stranger()
            .database("admin")
            .run_command(user("root", &["root"]))
            .run()
            .expect("the first user");
        mongo.run("admin", user("bkp", &["backup", "restore"]));
        mongo
    }

    /// One with other options.
    pub fn start(options: &[&str]) -> Self {
        let mut child = Command::new("python3")
            .arg("-B")
            .arg(stand_in("mongod.py"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, which the stand-in is written in");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its port");
        let port = line.trim().parse().expect("its port");
        Self { child, port, auth: options.contains(&"--auth") }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    fn stranger(&self) -> Client {
        Client::with_uri_str(self.url()).expect("a client")
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        if !self.auth {
            return self.stranger();
        }
        let mut options = mongodb::options::ClientOptions::parse(self.url()).run().expect("options");
        options.credential = Some(
            mongodb::options::Credential::builder()
                .username("root".to_owned())
                .password(PASSWORD.to_owned())
                .source("admin".to_owned())
                .build(),
        );
        Client::with_options(options).expect("a client")
    }

    /// Runs a command as root.
    pub fn run(&self, database: &str, command: Document) -> Document {
        self.client().database(database).run_command(command).run().expect("the command")
    }

    /// What is to go wrong from now on.
    pub fn fault(&self, fault: Document) {
        self.run("admin", doc! { "standIn": fault });
    }

    /// Adds documents with these numbers as `_id`.
    pub fn insert(&self, database: &str, collection: &str, numbers: std::ops::Range<i32>) {
        let documents: Vec<Document> =
            numbers.map(|it| doc! { "_id": it, "what": format!("order {it}"), "price": 1.5 }).collect();
        let place = self.client().database(database).collection::<Document>(collection);
        place.insert_many(documents).run().expect("documents");
    }

    /// A shop: two collections, one with an index and a validator, a view, and a time series.
    pub fn fill_shop(&self) {
        self.run("shop", doc! { "create": "orders", "validator": { "what": { "$exists": true } } });
        self.insert("shop", "orders", 0..350);
        self.run(
            "shop",
            doc! { "createIndexes": "orders", "indexes": [{ "key": { "what": 1 }, "name": "what_1" }] },
        );
        self.insert("shop", "customers", 0..5);
        self.run("shop", doc! { "create": "dear", "viewOn": "orders", "pipeline": [] });
    }

    /// The names of all databases that have something.
    pub fn databases(&self) -> Vec<String> {
        self.client().list_database_names().run().expect("names")
    }

    /// How many documents a collection has.
    pub fn count(&self, database: &str, collection: &str) -> usize {
        let place = self.client().database(database).collection::<Document>(collection);
        place.find(doc! {}).run().expect("documents").count()
    }
}

/// The command that makes a user.
pub fn user(name: &str, roles: &[&str]) -> Document {
    doc! { "createUser": name, "pwd": PASSWORD, "roles": roles.to_vec() }
}

/// Puts `mongodump` and `mongorestore` into a folder: stand-ins, or the real ones where `BKP_TEST_MONGO_TOOLS` names
/// their folder.
pub fn tools(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for name in ["mongodump", "mongorestore"] {
        let call = match std::env::var_os(REAL_TOOLS) {
            Some(real) => format!("exec '{}'", Path::new(&real).join(name).display()),
            None => format!("exec python3 -B '{}'", stand_in(&format!("{name}.py")).display()),
        };
        script(&folder.join(name), &format!("{call} \"$@\""));
    }
}

/// Writes an executable shell script.
pub fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
