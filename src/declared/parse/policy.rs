//! The values that sets, destinations and defaults share: schedules, retention, proofs, compression, secrets.

use super::decoder::{Decoder, Fields, nearest};
use super::node::{Content, Node};
use super::problem::{Fault, Problem};
use crate::declared::{
    Compression, DestinationName, ProvePolicy, Require, RetentionBy, RetentionPolicy, Schedule,
    ScheduleError, SecretRef, SetRetention, TimeZoneName,
};
use std::collections::{BTreeMap, BTreeSet};

const RETENTION_KEYS: [&str; 8] = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "by"];
const SCHEDULE_WORDS: [&str; 6] = ["hourly", "every", "daily", "weekly", "monthly", "cron"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Decoder<'_> {
    pub fn schedule(&mut self, node: &Node) -> Option<Schedule> {
        let text = self.text(node, "a schedule")?;
        match text.parse() {
            Ok(schedule) => Some(schedule),
            Err(_) if mended(text).is_some() => {
                let fix = format!("did you mean `{}`?", mended(text).unwrap_or_default());
                self.note(Fault::BadValue, format!("`{text}` is not a schedule"), node.place, fix);
                None
            }
            Err(ScheduleError::BadCron(fields, why)) => {
                let what = format!("`{fields}` is not a cron expression of five fields: {why}");
                let fix = "write `cron MINUTE HOUR DAY MONTH WEEKDAY`, such as `cron 0 3 * * 1-5`";
                self.note(Fault::BadValue, what, node.place, fix);
                None
            }
            Err(error) => self.parsed(node, "a schedule", "write one that comes true", |_| Err(error)),
        }
    }

    pub fn timezone(&mut self, node: &Node) -> Option<TimeZoneName> {
        let text = self.text(node, "a time zone")?;
        let Err(error) = TimeZoneName::try_from(text.to_owned()) else {
            return TimeZoneName::try_from(text.to_owned()).ok();
        };
        let known: Vec<String> = jiff::tz::db().available().map(|it| it.as_str().to_owned()).collect();
        match nearest(text, known.iter().map(String::as_str)) {
            Some(name) => {
                let what = format!("`{text}` is not a time zone");
                self.note(Fault::BadValue, what, node.place, format!("did you mean `{name}`?"));
                None
            }
            None => self.parsed(node, "a time zone", "write an IANA name", |_| Err::<TimeZoneName, _>(error)),
        }
    }

    pub fn compression(&mut self, node: &Node) -> Option<Compression> {
        let words = [Compression::Zstd, Compression::Gzip, Compression::None].map(|it| (it.word(), it));
        self.word(node, "a compression", &words, &[])
    }

    pub fn prove(&mut self, node: &Node) -> Option<ProvePolicy> {
        let before = self.problems.len();
        let fields = self.fields(node, "`prove`", &["intact", "restored"], &[])?;
        let intact = fields.get("intact").and_then(|it| self.span(it, "`intact`"));
        let restored = fields.get("restored").and_then(|it| self.span(it, "`restored`"));
        (self.problems.len() == before).then_some(ProvePolicy { intact, restored })
    }

    pub fn require(&mut self, node: &Node) -> Option<Require> {
        let before = self.problems.len();
        let fields = self.fields(node, "`require`", &["copies", "off_host"], &[])?;
        let copies = fields.get("copies").and_then(|it| self.count(it, "`copies`"));
        let off_host = fields.get("off_host").and_then(|it| self.count(it, "`off_host`"));
        if copies.or(off_host).is_none() && self.problems.len() == before {
            let what = "`require` asks for nothing";
            self.note(Fault::Empty, what, node.place, "write `require: { copies: 2, off_host: 1 }`");
        }
        (self.problems.len() == before).then_some(Require { copies, off_host })
    }

    pub fn retention(&mut self, node: &Node) -> Option<RetentionPolicy> {
        let before = self.problems.len();
        let fix = "write a map such as `{ last: 7 }`";
        self.map(node, "`retention`", fix)?;
        let fields = self.fields(node, "`retention`", &RETENTION_KEYS, &[])?;
        let mut count =
            |key: &str| fields.get(key).and_then(|it| self.count(it, &format!("`{key}` of a retention")));
        let mut policy = RetentionPolicy {
            last: count("last"),
            hourly: count("hourly"),
            daily: count("daily"),
            weekly: count("weekly"),
            monthly: count("monthly"),
            yearly: count("yearly"),
            within: None,
            by: None,
        };
        policy.within = fields.get("within").and_then(|it| self.span(it, "`within`"));
        let words = [("provider", RetentionBy::Provider), ("pruner", RetentionBy::Pruner)];
        policy.by = fields.get("by").and_then(|it| self.word(it, "who removes what is old", &words, &[]));
        if policy.by.is_some() && node.entries().len() > 1 {
            let what = "`by` says that others remove what is old, and rules of bkp's stand beside it";
            self.note(Fault::Conflict, what, node.place, "keep `by` alone, or remove it");
        }
        if self.problems.len() != before {
            return None;
        }
        if policy.is_empty() {
            let what = "a retention that keeps nothing";
            let fix = "write what to keep, such as `{ last: 7 }`, or remove `retention` to keep all";
            self.note(Fault::Empty, what, node.place, fix);
            return None;
        }
        Some(policy)
    }

    /// A policy, or a map of policies by destination: that is what its values tell apart.
    pub fn set_retention(&mut self, node: &Node, used: &Used<'_>) -> Option<SetRetention> {
        let by_destination = node.entries().iter().any(|it| matches!(it.node.content, Content::Map(_)));
        if !by_destination {
            return self.retention(node).map(SetRetention::Every);
        }
        let mut policies = BTreeMap::new();
        let before = self.problems.len();
        for entry in node.entries() {
            let policy = self.retention(&entry.node);
            let name = DestinationName::try_from(entry.key.clone());
            if !used.has(&entry.key) {
                let what = format!("`{}` is not a destination of this set", entry.key);
                self.note(Fault::Dangling, what, entry.key_place, used.suggestion(&entry.key));
            } else if let (Ok(name), Some(policy)) = (name, policy) {
                policies.insert(name, policy);
            }
        }
        (self.problems.len() == before).then_some(SetRetention::ByDestination(policies))
    }

    /// A reference to what is no secret, and is handed on like one.
    pub fn reference(&mut self, node: &Node, name: &str) -> Option<SecretRef> {
        if let Content::Text(text) = &node.content {
            let path = if text.starts_with(['/', '~', '.']) { text } else { "PATH" };
            let what = format!("`{name}` is a reference to a file, and not the file's path or its text");
            self.note(Fault::BadValue, what, node.place, format!("write `{name}: {{ file: {path} }}`"));
            return None;
        }
        self.secret(node, name)
    }

    /// A reference to a secret. A literal is refused, and not quoted.
    pub fn secret(&mut self, node: &Node, name: &str) -> Option<SecretRef> {
        const KEYS: [&str; 4] = ["file", "credential", "command", "env"];
        let fix = "write `{ file: PATH }`, `{ credential: NAME }`, `{ command: [argv] }` or `{ env: NAME }`";
        if !matches!(node.content, Content::Map(_)) {
            self.problems.hide(node.place);
            let what = format!("the secret `{name}` is written out here, and plan files hold no secrets");
            self.note(
                Fault::LiteralSecret,
                what,
                node.place,
                format!("{fix}, and change the secret: it was exposed"),
            );
            return None;
        }
        let before = self.problems.len();
        let fields = self.fields(node, "a secret's reference", &KEYS, &[])?;
        if self.problems.len() != before {
            return None;
        }
        if node.entries().len() != 1 {
            let what = format!("the secret `{name}` has {} references, and needs one", node.entries().len());
            self.note(Fault::Conflict, what, node.place, fix);
            return None;
        }
        self.secret_reference(&fields)
    }

    fn secret_reference(&mut self, fields: &Fields<'_>) -> Option<SecretRef> {
        if let Some(node) = fields.get("file") {
            return self.path(node, "a secret's file").map(SecretRef::File);
        }
        if let Some(node) = fields.get("command") {
            return self.argv(node, "a secret's command").map(SecretRef::Command);
        }
        if let Some(node) = fields.get("credential") {
            let name = self.text(node, "a credential's name")?;
            if name.contains('/') || matches!(name, "." | "..") {
                let what = format!("`{name}` is not the name of a credential");
                self.note(
                    Fault::BadValue,
                    what,
                    node.place,
                    "write a name without `/`, as in systemd.exec(5)",
                );
                return None;
            }
            return Some(SecretRef::Credential(name.to_owned()));
        }
        let node = fields.get("env")?;
        let name = self.text(node, "a variable's name")?;
        if name.contains('=') || name.contains(char::is_whitespace) {
            let what = "the name of an environment variable with `=` or a space in it";
            self.note(Fault::BadValue, what, node.place, "write the name alone, such as `DB_PASSWORD`");
            return None;
        }
        Some(SecretRef::Env(name.to_owned()))
    }

    /// A program and its arguments. A program with a `/` is a path like any other; without one it is looked up in
    /// the job's PATH.
    pub fn argv(&mut self, node: &Node, subject: &str) -> Option<Vec<String>> {
        let fix = "write a list: the program and its arguments, such as `[systemctl, stop, app]`";
        let before = self.problems.len();
        let items = self.list(node, subject, fix)?;
        let mut argv: Vec<String> = items.iter().filter_map(|it| self.argument(it, subject)).collect();
        if self.problems.len() != before {
            return None;
        }
        let program = argv.first_mut()?;
        if program.trim().is_empty() {
            self.note(Fault::Empty, format!("{subject} has an empty program"), items[0].place, fix);
            return None;
        }
        if program.contains('/') {
            let path = self.absolute(program, "a program", items[0].place)?;
            if let Some(path) = path.to_str() {
                path.clone_into(program);
            }
        }
        Some(argv)
    }

    fn argument(&mut self, node: &Node, subject: &str) -> Option<String> {
        match &node.content {
            Content::Text(text) if text.contains('\0') => {
                let what = format!("an argument of {subject} holds a zero byte");
                self.note(Fault::BadValue, what, node.place, "no program can be given one");
                None
            }
            Content::Text(text) => Some(text.clone()),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::List(_) | Content::Map(_) => {
                let what = format!("an argument of {subject} is text, and this is {}", node.kind());
                self.note(Fault::WrongKind, what, node.place, "put it in quotes");
                None
            }
        }
    }

    /// A list of destinations, each declared and each once. `None` where nothing usable was written.
    pub fn destination_names(
        &mut self,
        node: &Node,
        declared: &BTreeSet<String>,
    ) -> Option<Vec<DestinationName>> {
        let before = self.problems.len();
        let items = self.list(node, "`destinations`", "name at least one destination")?;
        let mut names = Vec::new();
        let mut seen = BTreeMap::new();
        for item in items {
            let Some(text) = self.text(item, "a destination's name") else { continue };
            if let Some(earlier) = seen.insert(text, item.place) {
                let problem = Problem::new(
                    Fault::Duplicate,
                    format!("destination `{text}` is named twice"),
                    item.place,
                )
                .also(earlier, "first named here");
                self.problems.add(problem.fix("name it once"));
            }
            // Where there are no destinations at all, that has been said.
            if !declared.contains(text) && !declared.is_empty() {
                let known: Vec<&str> = declared.iter().map(String::as_str).collect();
                let what = format!("no destination is called `{text}`");
                self.note(Fault::Dangling, what, item.place, super::decoder::suggestion(text, &known));
            } else if let Ok(name) = DestinationName::try_from(text.to_owned()) {
                names.push(name);
            }
        }
        (self.problems.len() == before).then_some(names)
    }
}

/// The destinations that a set goes to, for judging what is said about them. Nothing where they were not understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used<'a>(pub Option<&'a [DestinationName]>);

impl Used<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.is_none_or(|names| names.iter().any(|it| it.as_str() == name))
    }

    fn suggestion(&self, name: &str) -> String {
        let names: Vec<&str> = self.0.unwrap_or_default().iter().map(DestinationName::as_str).collect();
        super::decoder::suggestion(name, &names)
    }
}

/// A schedule with a misspelt word put right, where that makes it one.
fn mended(text: &str) -> Option<String> {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let first = words.first()?;
    nearest(first, SCHEDULE_WORDS)?.clone_into(&mut words[0]);
    if words[0] == "weekly"
        && let Some(day) = words.get_mut(1)
    {
        let short: String = day.chars().take(3).collect();
        nearest(&short, WEEKDAYS)?.clone_into(day);
    }
    if matches!(words[0].as_str(), "daily" | "weekly" | "monthly")
        && let Some(time) = words.last_mut()
        && time.len() == 4
        && time.as_bytes()[1] == b':'
    {
        time.insert(0, '0');
    }
    let candidate = words.join(" ");
    candidate.parse::<Schedule>().ok().map(|_| candidate)
}
