//! The keys of sets whose source is a server or a program.

use super::decoder::{Decoder, Fields, blank};
use super::node::{Content, Node};
use super::problem::Fault;
use crate::declared::{
    CommandDeclaration, DrillPlace, MemberChoice, MongodbDeclaration, MysqlDeclaration, PostgresDeclaration,
    QdrantDeclaration, RedisDeclaration, RolePolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(super) const POSTGRES: [&str; 17] = [
    "host",
    "port",
    "user",
    "database",
    "service",
    "service_file",
    "pass_file",
    "password",
    "ssl_mode",
    "ssl_root_cert",
    "databases",
    "ignore",
    "roles",
    "parallel",
    "lock_wait",
    "drill",
    "tools",
];
pub(super) const MYSQL: [&str; 12] = [
    "host",
    "port",
    "socket",
    "user",
    "password",
    "defaults_file",
    "ssl_ca",
    "databases",
    "ignore",
    "lock_wait",
    "drill",
    "tools",
];
pub(super) const MONGODB: [&str; 8] =
    ["url", "user", "password", "auth_source", "databases", "ignore", "drill_url", "tools"];
pub(super) const REDIS: [&str; 6] = ["host", "port", "socket", "user", "password", "tools"];
pub(super) const QDRANT: [&str; 8] =
    ["url", "nodes", "api_key", "ca", "collections", "ignore", "drill_url", "drill_api_key"];
pub(super) const COMMAND: [&str; 5] = ["command", "extension", "end_mark", "min_bytes", "drill"];

/// libpq's words (`PostgreSQL` documentation, "SSL Mode Descriptions").
const SSL_MODES: [(&str, &str); 6] = [
    ("disable", "disable"),
    ("allow", "allow"),
    ("prefer", "prefer"),
    ("require", "require"),
    ("verify-ca", "verify-ca"),
    ("verify-full", "verify-full"),
];

impl Decoder<'_> {
    pub fn postgres(&mut self, fields: &Fields<'_>) -> Option<PostgresDeclaration> {
        let before = self.problems.len();
        let parallel = fields.get("parallel").and_then(|it| {
            let count = self.count(it, "`parallel`")?;
            if !(1..=64).contains(&count) {
                let what = format!("`parallel: {count}` is not a number of workers");
                self.note(Fault::BadValue, what, it.place, "write 1 to 64, or remove the key");
            }
            Some(count)
        });
        let modes = fields.get("ssl_mode").and_then(|it| self.word(it, "an SSL mode", &SSL_MODES, &[]));
        let declaration = PostgresDeclaration {
            host: self.line(fields, "host"),
            port: self.port(fields),
            user: self.line(fields, "user"),
            database: self.line(fields, "database"),
            service: self.line(fields, "service"),
            service_file: self.file(fields, "service_file"),
            pass_file: self.file(fields, "pass_file"),
            password: fields.get("password").and_then(|it| self.secret(it, "password")),
            ssl_mode: modes.map(str::to_owned),
            ssl_root_cert: self.file(fields, "ssl_root_cert"),
            databases: self.choice(fields, "databases"),
            roles: fields.get("roles").and_then(|it| self.roles(it)).unwrap_or_default(),
            parallel,
            lock_wait: fields.get("lock_wait").and_then(|it| self.span(it, "`lock_wait`")),
            drill: self.drill_place(fields),
            tools: self.file(fields, "tools"),
        };
        self.one_secret(fields, "password", "pass_file");
        (self.problems.len() == before).then_some(declaration)
    }

    pub fn mysql(&mut self, fields: &Fields<'_>) -> Option<MysqlDeclaration> {
        let before = self.problems.len();
        self.one_way(fields);
        let declaration = MysqlDeclaration {
            host: self.line(fields, "host"),
            port: self.port(fields),
            socket: self.file(fields, "socket"),
            user: self.line(fields, "user"),
            password: fields.get("password").and_then(|it| self.secret(it, "password")),
            defaults_file: self.file(fields, "defaults_file"),
            ssl_ca: self.file(fields, "ssl_ca"),
            databases: self.choice(fields, "databases"),
            lock_wait: fields.get("lock_wait").and_then(|it| self.span(it, "`lock_wait`")),
            drill: self.drill_place(fields),
            tools: self.file(fields, "tools"),
        };
        self.one_secret(fields, "password", "defaults_file");
        (self.problems.len() == before).then_some(declaration)
    }

    pub fn mongodb(&mut self, fields: &Fields<'_>) -> Option<MongodbDeclaration> {
        let before = self.problems.len();
        let url = self.required(fields, "url", "a `mongodb` set", "add `url: mongodb://127.0.0.1:27017`");
        let schemes = ["mongodb://", "mongodb+srv://"];
        let declaration = MongodbDeclaration {
            url: url.and_then(|it| self.url(it, "`url`", &schemes)).unwrap_or_default(),
            user: self.line(fields, "user"),
            password: fields.get("password").and_then(|it| self.secret(it, "password")),
            auth_source: self.line(fields, "auth_source"),
            databases: self.choice(fields, "databases"),
            drill_url: fields.get("drill_url").and_then(|it| self.url(it, "`drill_url`", &schemes)),
            tools: self.file(fields, "tools"),
        };
        if fields.has("user") != fields.has("password") {
            let what = "`user` and `password` belong together";
            self.note(Fault::Missing, what, fields.place, "write both, or neither");
        }
        (self.problems.len() == before).then_some(declaration)
    }

    pub fn redis(&mut self, fields: &Fields<'_>) -> Option<RedisDeclaration> {
        let before = self.problems.len();
        self.one_way(fields);
        let declaration = RedisDeclaration {
            host: self.line(fields, "host"),
            port: self.port(fields),
            socket: self.file(fields, "socket"),
            user: self.line(fields, "user"),
            password: fields.get("password").and_then(|it| self.secret(it, "password")),
            tools: self.file(fields, "tools"),
        };
        if fields.has("user") && !fields.has("password") {
            let what = "a `redis` set with a `user` needs its `password`";
            self.note(Fault::Missing, what, fields.place, "add `password: { file: PATH }`");
        }
        (self.problems.len() == before).then_some(declaration)
    }

    pub fn qdrant(&mut self, fields: &Fields<'_>) -> Option<QdrantDeclaration> {
        let before = self.problems.len();
        let schemes = ["http://", "https://"];
        let url = self.required(fields, "url", "a `qdrant` set", "add `url: http://127.0.0.1:6333`");
        let nodes = fields.get("nodes").and_then(|it| self.list(it, "`nodes`", "write a list of URLs"));
        let nodes = nodes.unwrap_or_default();
        let declaration = QdrantDeclaration {
            url: url.and_then(|it| self.url(it, "`url`", &schemes)).unwrap_or_default(),
            nodes: nodes.iter().filter_map(|it| self.url(it, "a node", &schemes)).collect(),
            api_key: fields.get("api_key").and_then(|it| self.secret(it, "api_key")),
            ca: self.file(fields, "ca"),
            collections: self.choice(fields, "collections"),
            drill_url: fields.get("drill_url").and_then(|it| self.url(it, "`drill_url`", &schemes)),
            drill_api_key: fields.get("drill_api_key").and_then(|it| self.secret(it, "drill_api_key")),
        };
        if fields.has("drill_api_key") && !fields.has("drill_url") {
            let what = "`drill_api_key` is of another server, and no `drill_url` names one";
            self.note(Fault::Missing, what, fields.place, "add `drill_url`, or remove the key");
        }
        (self.problems.len() == before).then_some(declaration)
    }

    pub fn command(&mut self, fields: &Fields<'_>) -> Option<CommandDeclaration> {
        let before = self.problems.len();
        let command =
            self.required(fields, "command", "a `command` set", "add `command: [slapcat, -n, \"1\"]`");
        let declaration = CommandDeclaration {
            command: command.and_then(|it| self.argv(it, "`command`")).unwrap_or_default(),
            extension: fields.get("extension").map_or(Some("out".to_owned()), |it| self.extension(it))?,
            end_mark: self.line(fields, "end_mark"),
            bytes_min: fields
                .get("min_bytes")
                .and_then(|it| self.count(it, "`min_bytes`"))
                .map_or(1, u64::from),
            drill: fields.get("drill").and_then(|it| self.argv(it, "`drill`")),
        };
        (self.problems.len() == before).then_some(declaration)
    }

    pub(super) fn line(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        fields.get(key).and_then(|it| self.text(it, &format!("`{key}`"))).map(str::to_owned)
    }

    pub(super) fn file(&mut self, fields: &Fields<'_>, key: &str) -> Option<PathBuf> {
        fields.get(key).and_then(|it| self.path(it, &format!("`{key}`")))
    }

    pub(super) fn port(&mut self, fields: &Fields<'_>) -> Option<u16> {
        let node = fields.get("port")?;
        let count = self.count(node, "`port`")?;
        let port = u16::try_from(count).ok().filter(|it| *it != 0);
        if port.is_none() {
            self.note(Fault::BadValue, format!("`{count}` is not a port"), node.place, "write 1 to 65535");
        }
        port
    }

    fn roles(&mut self, node: &Node) -> Option<RolePolicy> {
        let words = [RolePolicy::WithoutPasswords, RolePolicy::WithPasswords, RolePolicy::None];
        self.word(node, "what `roles` does", &words.map(|it| (it.word(), it)), &[])
    }

    fn drill_place(&mut self, fields: &Fields<'_>) -> DrillPlace {
        let words = [DrillPlace::Auto, DrillPlace::Own, DrillPlace::Server].map(|it| (it.word(), it));
        let node = fields.get("drill");
        node.and_then(|it| self.word(it, "a place for drills", &words, &[])).unwrap_or_default()
    }

    /// A URL without credentials: a plan file may be read by everybody.
    pub(super) fn url(&mut self, node: &Node, subject: &str, schemes: &[&str]) -> Option<String> {
        let text = self.text(node, subject)?;
        let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        match host {
            Some(host) if host.contains('@') => {
                self.problems.hide(node.place);
                let what = format!("{subject} holds credentials, and plan files hold no secrets");
                let fix = "take them out, write a reference to the secret, and change it: it was exposed";
                self.note(Fault::LiteralSecret, what, node.place, fix);
                None
            }
            Some(host) if !blank(host) && !text.contains(char::is_whitespace) => {
                Some(text.trim_end_matches('/').to_owned())
            }
            Some(_) | None => {
                let what = format!("{subject} is not a URL of that kind of server");
                self.note(Fault::BadValue, what, node.place, format!("write `{}HOST:PORT`", schemes[0]));
                None
            }
        }
    }

    fn extension(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "`extension`")?;
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
        let dots = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        if text.len() > 16 || dots || !text.bytes().all(fine) {
            let what = format!("`{text}` is not an extension");
            self.note(
                Fault::BadValue,
                what,
                node.place,
                "write a-z and 0-9, such as `ldif`, without the dot",
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn one_secret(&mut self, fields: &Fields<'_>, one: &str, other: &str) {
        if fields.has(one) && fields.has(other) {
            let what = format!("`{one}` and `{other}` both say where the password is");
            self.note(Fault::Conflict, what, fields.place, "keep one of them");
        }
    }

    fn one_way(&mut self, fields: &Fields<'_>) {
        if fields.has("socket") && (fields.has("host") || fields.has("port")) {
            let what = "`socket` and `host` are two ways to one server";
            self.note(Fault::Conflict, what, fields.place, "keep one of them");
        }
    }

    /// `all`, or a list of names; and what is left out.
    fn choice(&mut self, fields: &Fields<'_>, key: &str) -> MemberChoice {
        let listed = fields.get(key).and_then(|node| match &node.content {
            Content::Text(text) if text == "all" => None,
            _ => {
                let fix = format!("write `{key}: all`, or a list of names");
                let items = self.list(node, &format!("`{key}`"), &fix)?;
                let names = items.iter().filter_map(|it| Some((self.text(it, "a member's name")?, it)));
                let names: Vec<_> = names.collect();
                let mut seen = BTreeSet::new();
                for (name, item) in &names {
                    if !seen.insert(*name) {
                        let what = format!("`{name}` stands in `{key}` twice");
                        self.note(Fault::Conflict, what, item.place, "remove one of them");
                    }
                }
                Some(names.into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
            }
        });
        let mut ignore = BTreeMap::new();
        if let Some(node) = fields.get("ignore") {
            let fix = "write a map: each name with the reason why it needs no backup";
            let entries = self.map(node, "`ignore`", fix).unwrap_or_default();
            for entry in entries {
                let reason = self.text(&entry.node, "a reason").map(str::to_owned);
                if listed.as_ref().is_some_and(|listed| listed.contains(&entry.key)) {
                    let what = format!("`{}` is both listed and ignored", entry.key);
                    self.note(Fault::Conflict, what, entry.key_place, "remove one of the two");
                }
                if let Some(reason) = reason {
                    ignore.insert(entry.key.clone(), reason);
                }
            }
        }
        MemberChoice { listed, ignore }
    }
}
