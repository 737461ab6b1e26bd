//! `sets`: one source each, plus its policy.

use super::decoder::{Decoder, Fields, blank};
use super::job_policy::JOB_POLICY;
use super::node::{Content, Entry, Node};
use super::policy::Used;
use super::problem::Fault;
use super::server;
use crate::declared::{
    ChangedPolicy, DestinationName, FilesDeclaration, Hook, Pause, SecretRef, SetDeclaration, SetName,
    SourceDeclaration, Span, SqliteDeclaration,
};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that the design has and this version does not.
const LATER: [&str; 1] = ["docker-volumes"];
const COMMON: [&str; 14] = [
    "type",
    "schedule",
    "timezone",
    "destinations",
    "retention",
    "compression",
    "prove",
    "require",
    "time_limit",
    "grace",
    "before",
    "after",
    "secrets",
    "pause",
];
const FILES: [&str; 5] = ["paths", "exclude", "one_file_system", "exclude_caches", "changed"];
const SQLITE: [&str; 3] = ["path", "files", "max_lock"];

/// What sets fall back to, as far as judging a set needs it.
#[derive(Debug)]
pub(super) struct Fallback<'a> {
    /// Names under `destinations`, well declared or not.
    pub declared: &'a BTreeSet<String>,
    /// Whether `defaults` has a schedule, well written or not.
    pub schedule: bool,
    /// Whether `defaults` has destinations, well written or not.
    pub destinations: bool,
    /// Those of `defaults`, where they were understood.
    pub names: Option<&'a [DestinationName]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Files,
    Sqlite,
    Postgres,
    Mysql,
    Mongodb,
    Redis,
    Qdrant,
    Command,
}

impl Kind {
    const WORDS: [(&'static str, Self); 8] = [
        ("files", Self::Files),
        ("sqlite", Self::Sqlite),
        ("postgres", Self::Postgres),
        ("mysql", Self::Mysql),
        ("mongodb", Self::Mongodb),
        ("redis", Self::Redis),
        ("qdrant", Self::Qdrant),
        ("command", Self::Command),
    ];

    /// What its errors call it, and its own keys.
    fn keys(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Files => ("a `files` set", &FILES),
            Self::Sqlite => ("an `sqlite` set", &SQLITE),
            Self::Postgres => ("a `postgres` set", &server::POSTGRES),
            Self::Mysql => ("a `mysql` set", &server::MYSQL),
            Self::Mongodb => ("a `mongodb` set", &server::MONGODB),
            Self::Redis => ("a `redis` set", &server::REDIS),
            Self::Qdrant => ("a `qdrant` set", &server::QDRANT),
            Self::Command => ("a `command` set", &server::COMMAND),
        }
    }
}

impl Decoder<'_> {
    pub fn set(&mut self, entry: &Entry, fallback: &Fallback<'_>) -> Option<(SetName, SetDeclaration)> {
        let before = self.problems.len();
        let name = self.name(entry, SetName::try_from);
        let node = &entry.node;
        self.map(node, "a set", "write `{ type: files, paths: [...] }` or `{ type: sqlite, path: ... }`")?;
        let kind = match node.entry("type") {
            None => {
                let what = format!("set `{}` has no `type`", entry.key);
                self.note(Fault::Missing, what, entry.key_place, "add `type: files` or `type: sqlite`");
                None
            }
            Some(kind) => self.kind(&kind.node),
        }?;
        let (subject, own) = kind.keys();
        let known: Vec<&str> = COMMON.iter().chain(&JOB_POLICY).chain(own).copied().collect();
        let fields = self.fields(node, subject, &known, &["max_parallel"])?;
        let source = match kind {
            Kind::Files => self.files(&fields).map(SourceDeclaration::Files),
            Kind::Sqlite => self.sqlite(&fields, &entry.key).map(SourceDeclaration::Sqlite),
            Kind::Postgres => self.postgres(&fields).map(SourceDeclaration::Postgres),
            Kind::Mysql => self.mysql(&fields).map(SourceDeclaration::Mysql),
            Kind::Mongodb => self.mongodb(&fields).map(SourceDeclaration::Mongodb),
            Kind::Redis => self.redis(&fields).map(SourceDeclaration::Redis),
            Kind::Qdrant => self.qdrant(&fields).map(SourceDeclaration::Qdrant),
            Kind::Command => self.command(&fields).map(SourceDeclaration::Command),
        };
        let declaration = self.policy(&fields, entry, source, fallback);
        if self.problems.len() != before {
            return None;
        }
        Some((name?, declaration?))
    }

    /// The type; other names of the same servers are answered with ours.
    fn kind(&mut self, node: &Node) -> Option<Kind> {
        if let Content::Text(text) = &node.content {
            let ours = match text.as_str() {
                "mariadb" => Some("mysql"),
                "postgresql" => Some("postgres"),
                "valkey" => Some("redis"),
                "mongo" => Some("mongodb"),
                _ => None,
            };
            if let Some(ours) = ours {
                let what = format!("`{text}` is not a type of set");
                self.note(Fault::UnknownWord, what, node.place, format!("write `{ours}`: it is for both"));
                return None;
            }
        }
        self.word(node, "a type of set", &Kind::WORDS, &LATER)
    }

    fn policy(
        &mut self,
        fields: &Fields<'_>,
        entry: &Entry,
        source: Option<SourceDeclaration>,
        fallback: &Fallback<'_>,
    ) -> Option<SetDeclaration> {
        if !fields.has("schedule") && !fallback.schedule {
            let what = format!("set `{}` has no schedule, and `defaults` has none", entry.key);
            self.note(
                Fault::Missing,
                what,
                entry.key_place,
                "add `schedule: daily 03:00` to the set or to `defaults`",
            );
        }
        if !fields.has("destinations") && !fallback.destinations {
            let what = format!("set `{}` has no destinations, and `defaults` has none", entry.key);
            self.note(
                Fault::Missing,
                what,
                entry.key_place,
                "add `destinations: [NAME]` to the set or to `defaults`",
            );
        }
        let schedule = fields.get("schedule").and_then(|it| self.schedule(it));
        let timezone = fields.get("timezone").and_then(|it| self.timezone(it));
        let destinations =
            fields.get("destinations").and_then(|it| self.destination_names(it, fallback.declared));
        let used = if fields.has("destinations") { destinations.as_deref() } else { fallback.names };
        let retention = fields.get("retention").and_then(|it| self.set_retention(it, &Used(used)));
        let compression = fields.get("compression").and_then(|it| self.compression(it));
        let prove = fields.get("prove").and_then(|it| self.prove(it));
        let require = fields.get("require").and_then(|it| self.require(it));
        let time_limit = fields.get("time_limit").and_then(|it| self.span(it, "`time_limit`"));
        let grace = fields.get("grace").and_then(|it| self.span(it, "`grace`"));
        let job = self.job_policy(fields);
        let before = fields.get("before").map(|it| self.hooks(it, "before")).unwrap_or_default();
        let after = fields.get("after").map(|it| self.hooks(it, "after")).unwrap_or_default();
        let secrets = fields.get("secrets").map(|it| self.secrets(it)).unwrap_or_default();
        let pause = fields.get("pause").and_then(|it| self.pause(it));
        Some(SetDeclaration {
            source: source?,
            schedule,
            timezone,
            destinations,
            retention,
            compression,
            prove,
            require,
            time_limit,
            grace,
            job,
            before,
            after,
            secrets,
            pause,
        })
    }

    fn files(&mut self, fields: &Fields<'_>) -> Option<FilesDeclaration> {
        let before = self.problems.len();
        let fix = "write a list such as `[/srv/app]`";
        let paths = self.required(fields, "paths", "a `files` set", "add `paths: [/srv/app]`");
        let paths = paths.and_then(|it| self.list(it, "`paths`", fix)).unwrap_or_default();
        let paths = paths.iter().filter_map(|it| self.pattern(it, "a path")).collect();
        let exclude =
            fields.get("exclude").and_then(|it| self.list(it, "`exclude`", "remove it, or write globs"));
        let exclude = exclude.unwrap_or_default().iter().filter_map(|it| self.exclusion(it)).collect();
        let words = [("warn", ChangedPolicy::Warn), ("fail", ChangedPolicy::Fail)];
        let changed = fields.get("changed").and_then(|it| self.word(it, "what `changed` does", &words, &[]));
        let mut flag =
            |key: &str| fields.get(key).and_then(|it| self.flag(it, &format!("`{key}`"))).unwrap_or_default();
        let (one_file_system, exclude_caches) = (flag("one_file_system"), flag("exclude_caches"));
        let declaration = FilesDeclaration {
            paths,
            exclude,
            one_file_system,
            exclude_caches,
            changed: changed.unwrap_or_default(),
        };
        let globs = fields.get("paths").into_iter().chain(fields.get("exclude"));
        self.check_globs(globs);
        (self.problems.len() == before).then_some(declaration)
    }

    /// A pattern of what is left out: without a `/` it is a name, with a leading `*` it matches anywhere.
    fn exclusion(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "an exclusion")?;
        if !text.contains('/') && text != "~" || text.starts_with('*') {
            return Some(text.to_owned());
        }
        self.pattern(node, "an exclusion")
    }

    fn check_globs<'n>(&mut self, lists: impl Iterator<Item = &'n Node>) {
        for node in lists {
            let Content::List(items) = &node.content else { continue };
            for item in items {
                let Content::Text(text) = &item.content else { continue };
                if let Err(error) = globset::Glob::new(text) {
                    let what = format!("`{text}` is not a glob: {}", error.kind());
                    let fix = "put `[` and `]` around a character that is meant as itself, such as `[[]`";
                    self.note(Fault::BadValue, what, item.place, fix);
                }
            }
        }
    }

    fn sqlite(&mut self, fields: &Fields<'_>, set: &str) -> Option<SqliteDeclaration> {
        let before = self.problems.len();
        let mut files = BTreeMap::new();
        match (fields.has("path"), fields.has("files")) {
            (true, true) => {
                let what = "an `sqlite` set has `path` or `files`, and this one has both";
                self.note(
                    Fault::Conflict,
                    what,
                    fields.place,
                    "move the path into `files`, under a name of its own",
                );
            }
            (false, false) if !fields.meant("path") && !fields.meant("files") => {
                let what = "an `sqlite` set has no `path` and no `files`";
                self.note(Fault::Missing, what, fields.place, "add `path: /srv/app/app.db`");
            }
            _ => {}
        }
        if let Some(path) = fields.get("path").and_then(|it| self.path(it, "`path`")) {
            files.insert(set.to_owned(), path);
        }
        if let Some(node) = fields.get("files") {
            let entries = self.map(node, "`files`", "write a map of names to paths").unwrap_or_default();
            if matches!(&node.content, Content::Map(entries) if entries.is_empty()) {
                self.note(Fault::Empty, "`files` is empty", node.place, "name at least one database");
            }
            for entry in entries {
                self.member_name(entry);
                if let Some(path) = self.path(&entry.node, "a member's path") {
                    files.insert(entry.key.clone(), path);
                }
            }
        }
        let max_lock = fields.get("max_lock").and_then(|it| self.span(it, "`max_lock`"));
        let default = Span::from_seconds(SqliteDeclaration::MAX_LOCK_DEFAULT_SECONDS);
        let declaration = SqliteDeclaration { files, max_lock: max_lock.unwrap_or(default) };
        (self.problems.len() == before).then_some(declaration)
    }

    fn member_name(&mut self, entry: &Entry) {
        let bad = blank(&entry.key) || entry.key.chars().any(char::is_control);
        if bad {
            let what = "a member's name is empty or holds a control character";
            self.note(Fault::Empty, what, entry.key_place, "give it a name");
        }
    }

    fn hooks(&mut self, node: &Node, key: &str) -> Vec<Hook> {
        let subject = format!("a hook of `{key}`");
        let fix =
            format!("write `{key}: [[systemctl, stop, app]]`: a list of commands, each a list of arguments");
        let Some(items) = self.list(node, &format!("`{key}`"), &fix) else { return Vec::new() };
        let mut hooks = Vec::new();
        for item in items {
            if matches!(item.content, Content::Text(_)) {
                let what = format!("{subject} is a list of arguments, and this is text: no shell reads it");
                self.note(Fault::WrongKind, what, item.place, &fix);
                // One mistake, and the other words of the same command are the same one.
                return Vec::new();
            }
            hooks.extend(self.argv(item, &subject));
        }
        hooks
    }

    fn secrets(&mut self, node: &Node) -> BTreeMap<String, SecretRef> {
        let entries = self.map(node, "`secrets`", "write `NAME: { file: PATH }`").unwrap_or_default();
        if matches!(&node.content, Content::Map(entries) if entries.is_empty()) {
            self.note(Fault::Empty, "`secrets` is empty", node.place, "name a secret, or remove the key");
        }
        let mut secrets = BTreeMap::new();
        for entry in entries {
            let key = &entry.key;
            let rest = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
            if !key.starts_with(|it: char| it.is_ascii_uppercase()) || !key.bytes().all(rest) {
                let what = format!("`{key}` is not the name of a secret");
                let fix =
                    "use A-Z, 0-9 and `_`, and begin with a letter: hooks find it in `BKP_SECRET_NAME_FILE`";
                self.note(Fault::BadValue, what, entry.key_place, fix);
            }
            if let Some(secret) = self.secret(&entry.node, key) {
                secrets.insert(key.clone(), secret);
            }
        }
        secrets
    }

    fn pause(&mut self, node: &Node) -> Option<Pause> {
        let fields = self.fields(node, "`pause`", &["until", "reason"], &[])?;
        let until =
            self.required(&fields, "until", "a pause", "add `until: 2027-01-31`, the day runs start again");
        let reason =
            self.required(&fields, "reason", "a pause", "add `reason:`, for whoever reads the audit");
        let until = until.and_then(|it| {
            self.parsed(it, "`until`", "write a date", |text| {
                let wrong =
                    || format!("`{text}` is not a date: write year, month and day, such as `2027-01-31`");
                // jiff also reads a date with a time behind it, and the time would be lost.
                let date = text.parse::<jiff::civil::Date>().ok().filter(|it| it.to_string() == text);
                date.ok_or_else(wrong)
            })
        });
        let reason = reason.and_then(|it| self.text(it, "`reason`"));
        Some(Pause { until: until?, reason: reason?.to_owned() })
    }
}
