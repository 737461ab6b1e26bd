//! `MariaDB` from end to end: the real server, the real programs, the real binary.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod covered;
mod restored;
mod server;

use server::Server;
use support::Bench;

/// What a backup of everything can use.
pub const RIGHTS: &str = "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, SHOW DATABASES, RELOAD";
/// A password with everything that an option file gives a meaning to.
pub const SECRET: &str = "pa#55 \"wo'rd\\n";

/// A host with a server, a schema `shop`, and an account for its backups.
pub struct Scene {
    /// The host.
    pub bench: Bench,
    /// The server.
    pub server: Server,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// With everything that a backup can use.
    pub fn new() -> Self {
        Self::with(RIGHTS, "")
    }

    /// With other rights, and more keys of the set.
    pub fn with(rights: &str, more: &str) -> Self {
        Self::of(Server::new(), rights, more)
    }

    /// With a server of the test's.
    pub fn of(server: Server, rights: &str, more: &str) -> Self {
        let bench = Bench::new();
        server.account(rights, SECRET, &bench.path("pass"));
        server.shop("shop");
        let scene = Self { bench, server };
        scene.plan(more);
        scene
    }

    /// Writes the plan, with more keys of the set.
    pub fn plan(&self, more: &str) {
        self.bench.plan(&format!(
            "  db: {{ type: mysql, socket: {}, user: bkp, password: {{ file: {} }}{more} }}\n",
            self.server.socket().display(),
            self.bench.path("pass").display()
        ));
    }

    /// The manifest of the newest snapshot.
    pub fn manifest(&self) -> serde_json::Value {
        let text = support::text(&self.bench.newest("db").join("manifest.json"));
        serde_json::from_str(&text).expect("a manifest")
    }

    /// A member of the newest manifest.
    pub fn member(&self, name: &str) -> serde_json::Value {
        let manifest = self.manifest();
        let members = manifest["members"].as_array().expect("members").clone();
        members.into_iter().find(|it| it["name"] == name).expect("the member")
    }
}
