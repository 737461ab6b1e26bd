//! The plan file's top level: what it holds besides destinations and sets, and how the parts are put together.

use super::decoder::{Decoder, Fields, blank, suggestion};
use super::job_policy::JOB_POLICY;
use super::node::{Content, Entry, Node};
use super::problem::{Fault, Place, Problem};
use super::set::Fallback;
use crate::declared::{
    AuditDeclaration, Defaults, DestinationDeclaration, DestinationName, DiscoverDeclaration, NodeName, Plan,
    PlanName, Schedule, SchedulerChoice, Scope, SetDeclaration, SetName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const KEYS: [&str; 13] = [
    "version",
    "name",
    "host",
    "node",
    "scheduler",
    "scope",
    "max_parallel",
    "defaults",
    "destinations",
    "sets",
    "audit",
    "discover",
    "moved",
];
const LATER: [&str; 1] = ["alerts"];
const DEFAULTS: [&str; 9] = [
    "schedule",
    "timezone",
    "destinations",
    "retention",
    "compression",
    "prove",
    "require",
    "time_limit",
    "grace",
];

/// What can be found and ignored.
const KINDS: [&str; 7] = ["sqlite", "backup", "postgres", "mysql", "mongodb", "redis", "qdrant"];

impl Decoder<'_> {
    /// The plan; its parts are only worth anything when no problem was noted.
    pub fn plan(&mut self, root: &Node, default_name: &PlanName) -> Option<Plan> {
        let fields = self.fields(root, "a plan file", &KEYS, &LATER)?;
        self.version(&fields);
        let name = fields
            .get("name")
            .and_then(|it| self.parsed(it, "`name`", "choose another name", PlanName::try_from));
        let hosts = fields.get("host").and_then(|it| self.hosts(it));
        let node = fields
            .get("node")
            .and_then(|it| self.parsed(it, "`node`", "write at most 255 bytes", NodeName::try_from));
        let schedulers = [
            ("auto", SchedulerChoice::Auto),
            ("systemd", SchedulerChoice::Systemd),
            ("launchd", SchedulerChoice::Launchd),
            ("cron", SchedulerChoice::Cron),
            ("embedded", SchedulerChoice::Embedded),
        ];
        let scheduler = fields.get("scheduler").and_then(|it| self.word(it, "a scheduler", &schedulers, &[]));
        let scopes = [("system", Scope::System), ("user", Scope::User)];
        let scope = fields.get("scope").and_then(|it| self.word(it, "a scope", &scopes, &[]));
        let max_parallel = fields.get("max_parallel").and_then(|it| self.max_parallel(it));
        let declared: BTreeSet<String> = fields
            .get("destinations")
            .map(|it| it.entries().iter().map(|entry| entry.key.clone()).collect())
            .unwrap_or_default();
        let defaults_node = fields.get("defaults");
        let defaults = defaults_node.map(|it| self.defaults(it, &declared)).unwrap_or_default();
        let destinations = self.destinations(&fields);
        let says = |key: &str| defaults_node.is_some_and(|it| it.entry(key).is_some());
        let fallback = Fallback {
            declared: &declared,
            schedule: says("schedule"),
            destinations: says("destinations"),
            names: defaults.destinations.as_deref(),
        };
        let sets = self.sets(&fields, &fallback);
        let audit = self.audit(fields.get("audit"));
        let discover = fields.get("discover").map(|it| self.discover(it)).unwrap_or_default();
        let moved = fields.get("moved").map(|it| self.moved(it, &fields)).unwrap_or_default();
        let plan = Plan {
            name: name.unwrap_or_else(|| default_name.clone()),
            hosts,
            node,
            scheduler: scheduler.unwrap_or_default(),
            scope,
            max_parallel,
            defaults,
            destinations,
            sets,
            audit,
            discover,
            moved,
        };
        self.check_destination_paths(&plan, root);
        self.check_copies(&plan, root);
        self.check_layouts(&plan, root);
        Some(plan)
    }

    fn max_parallel(&mut self, node: &Node) -> Option<u32> {
        let count = self.count(node, "`max_parallel`")?;
        if count == 0 {
            let what = "`max_parallel: 0` would let nothing run";
            self.note(
                Fault::BadValue,
                what,
                node.place,
                "write how many runs may go on at once, such as `1`",
            );
            return None;
        }
        Some(count)
    }

    fn version(&mut self, fields: &Fields<'_>) {
        let Some(node) =
            self.required(fields, "version", "a plan file", "add `version: 1` as its first line")
        else {
            return;
        };
        let one = matches!(&node.content, Content::Number(number) if number.as_u64() == Some(1));
        if !one {
            let what = "`version` is not one that this bkp reads";
            self.note(Fault::BadValue, what, node.place, "write `version: 1`");
        }
    }

    fn hosts(&mut self, node: &Node) -> Option<Vec<String>> {
        let single = std::slice::from_ref(node);
        let items = match &node.content {
            Content::List(_) => self.list(node, "`host`", "name a host, or write `\"*\"` for any")?,
            _ => single,
        };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            let Some(text) = self.text(item, "a host's name") else { continue };
            if text.contains(char::is_whitespace) || (text.contains('*') && text != "*") {
                let what = format!("`{text}` is not the name of a host");
                self.note(
                    Fault::BadValue,
                    what,
                    item.place,
                    "write its short name or FQDN, or `\"*\"` for any host",
                );
            } else if text == "*" && items.len() > 1 {
                let what = "`*` is any host, and names stand beside it";
                self.note(Fault::Conflict, what, item.place, "keep the names or the `*`");
            } else if names.iter().any(|it| it == text) {
                self.note(
                    Fault::Duplicate,
                    format!("host `{text}` is named twice"),
                    item.place,
                    "name it once",
                );
            } else {
                names.push(text.to_owned());
            }
        }
        (names != ["*"]).then_some(names)
    }

    fn defaults(&mut self, node: &Node, declared: &BTreeSet<String>) -> Defaults {
        let known: Vec<&str> = DEFAULTS.iter().chain(&JOB_POLICY).copied().collect();
        let Some(fields) = self.fields(node, "`defaults`", &known, &[]) else {
            return Defaults::default();
        };
        Defaults {
            schedule: fields.get("schedule").and_then(|it| self.schedule(it)),
            timezone: fields.get("timezone").and_then(|it| self.timezone(it)),
            destinations: fields.get("destinations").and_then(|it| self.destination_names(it, declared)),
            retention: fields.get("retention").and_then(|it| self.retention(it)),
            compression: fields.get("compression").and_then(|it| self.compression(it)),
            prove: fields.get("prove").and_then(|it| self.prove(it)),
            require: fields.get("require").and_then(|it| self.require(it)),
            time_limit: fields.get("time_limit").and_then(|it| self.span(it, "`time_limit`")),
            grace: fields.get("grace").and_then(|it| self.span(it, "`grace`")),
            job: self.job_policy(&fields),
        }
    }

    /// The entries of a map of declarations that must be there.
    fn declarations<'n>(&mut self, fields: &Fields<'n>, key: &str, fix: &str) -> &'n [Entry] {
        let Some(node) = self.required(fields, key, "a plan file", fix) else { return &[] };
        let entries = self.map(node, &format!("`{key}`"), fix);
        if entries.is_some_and(<[Entry]>::is_empty) {
            self.note(Fault::Empty, format!("`{key}` is empty"), node.place, fix);
        }
        entries.unwrap_or_default()
    }

    fn destinations(&mut self, fields: &Fields<'_>) -> BTreeMap<DestinationName, DestinationDeclaration> {
        let fix = "add `destinations:` with `local: { type: local, path: /var/backups/bkp }`";
        let entries = self.declarations(fields, "destinations", fix);
        entries.iter().filter_map(|it| self.destination(it)).collect()
    }

    fn sets(&mut self, fields: &Fields<'_>, fallback: &Fallback<'_>) -> BTreeMap<SetName, SetDeclaration> {
        let fix = "add `sets:` with `app: { type: files, paths: [/srv/app] }`";
        let entries = self.declarations(fields, "sets", fix);
        entries.iter().filter_map(|it| self.set(it, fallback)).collect()
    }

    fn audit(&mut self, node: Option<&Node>) -> Option<AuditDeclaration> {
        let Some(node) = node else {
            return Some(AuditDeclaration { schedule: Schedule::Hourly });
        };
        if let Content::Bool(wanted) = node.content {
            if wanted {
                let fix = "remove `audit` for an hourly one, or write `audit: { schedule: every 4h }`";
                self.note(Fault::WrongKind, "`audit` is `false` or a map", node.place, fix);
            }
            return None;
        }
        let fields = self.fields(node, "`audit`", &["schedule"], &["alerts"])?;
        let schedule = self.required(&fields, "schedule", "`audit`", "add `schedule: hourly`")?;
        self.schedule(schedule).map(|schedule| AuditDeclaration { schedule })
    }

    fn discover(&mut self, node: &Node) -> DiscoverDeclaration {
        let mut discover = DiscoverDeclaration::default();
        let Some(fields) = self.fields(node, "`discover`", &["sqlite", "scripts", "ignore"], &[]) else {
            return discover;
        };
        discover.sqlite = self.folders(&fields, "sqlite");
        discover.scripts = self.folders(&fields, "scripts");
        if let Some(node) = fields.get("ignore") {
            let fix = "write `\"sqlite:/path/to.db\": \"why it needs no backup\"`";
            for entry in self.map(node, "`discover.ignore`", fix).unwrap_or_default() {
                let reason = self.text(&entry.node, "the reason to ignore something").map(ToOwned::to_owned);
                let object = self.ignored(entry, fix);
                if let (Some(object), Some(reason)) = (object, reason)
                    && discover.ignore.insert(object, reason).is_some()
                {
                    let what = format!("`{}` is ignored twice", entry.key);
                    self.note(Fault::Duplicate, what, entry.key_place, "keep one of them");
                }
            }
        }
        discover
    }

    fn folders(&mut self, fields: &Fields<'_>, key: &str) -> Vec<PathBuf> {
        let Some(node) = fields.get(key) else { return Vec::new() };
        let what = format!("`discover.{key}`");
        let folders = self.list(node, &what, "name a folder, or remove the key").unwrap_or_default();
        folders.iter().filter_map(|it| self.path(it, "a folder to search")).collect()
    }

    fn ignored(&mut self, entry: &Entry, fix: &str) -> Option<String> {
        let Some((kind, object)) = entry.key.split_once(':') else {
            let what = format!("`{}` names nothing that could be found", entry.key);
            self.note(Fault::BadValue, what, entry.key_place, fix);
            return None;
        };
        if !KINDS.contains(&kind) {
            let what = format!("this bkp finds nothing of the kind `{kind}`");
            self.note(Fault::UnknownWord, what, entry.key_place, suggestion(kind, &KINDS));
            return None;
        }
        if blank(object) || object.chars().any(char::is_control) {
            let what = match kind {
                "sqlite" => "`sqlite:` without a path".to_owned(),
                kind => format!("`{kind}:` without a name"),
            };
            self.note(Fault::BadValue, what, entry.key_place, fix);
            return None;
        }
        // A server has an address, a unit or a label has a name; only what begins like one is a path.
        if kind != "sqlite" && !object.starts_with(['/', '~']) {
            return Some(format!("{kind}:{object}"));
        }
        let path = self.absolute(object, "an ignored path", entry.key_place)?;
        let Some(path) = path.to_str() else {
            let what = "an ignored path starts from a folder whose name is not UTF-8";
            self.note(Fault::BadValue, what, entry.key_place, "write an absolute path");
            return None;
        };
        Some(format!("{kind}:{path}"))
    }

    fn moved(&mut self, node: &Node, fields: &Fields<'_>) -> BTreeMap<SetName, SetName> {
        let sets: Vec<&str> = fields
            .get("sets")
            .map(|it| it.entries().iter().map(|entry| entry.key.as_str()).collect())
            .unwrap_or_default();
        let mut moved = BTreeMap::new();
        for entry in self.map(node, "`moved`", "write `old-name: new-name`").unwrap_or_default() {
            let old = self.name(entry, SetName::try_from);
            let Some(new) =
                self.parsed(&entry.node, "a set's new name", "choose another name", SetName::try_from)
            else {
                continue;
            };
            if sets.contains(&entry.key.as_str()) {
                let what = format!("`{}` was moved, and is a set still", entry.key);
                let fix = "remove the set, or the line under `moved`";
                self.note(Fault::Conflict, what, entry.key_place, fix);
            }
            if !sets.contains(&new.as_str()) {
                let what = format!("no set is called `{new}`");
                self.note(Fault::Dangling, what, entry.node.place, suggestion(new.as_str(), &sets));
            }
            if let Some(old) = old {
                moved.insert(old, new);
            }
        }
        moved
    }
}

/// Top-level keys whose maps are put together from several files.
const MERGED: [&str; 5] = ["defaults", "destinations", "sets", "discover", "moved"];

/// Several files as one.
pub(super) fn joined(roots: Vec<Node>, decoder: &mut Decoder<'_>) -> Option<Node> {
    let mut roots = roots.into_iter();
    let mut whole = roots.next()?;
    for root in roots {
        let Content::Map(additions) = root.content else {
            decoder.map(&root, "a plan file", "write `key: value` lines");
            continue;
        };
        let Content::Map(entries) = &mut whole.content else { continue };
        for addition in additions {
            let Some(entry) = entries.iter_mut().find(|it| it.key == addition.key) else {
                entries.push(addition);
                continue;
            };
            if MERGED.contains(&addition.key.as_str())
                && let (Content::Map(own), Content::Map(_)) =
                    (&mut entry.node.content, &addition.node.content)
            {
                join_maps(own, addition, decoder);
            } else if !entry.node.says_the_same(&addition.node) {
                given_twice(&addition.key, addition.key_place, entry.key_place, decoder);
            }
        }
    }
    Some(whole)
}

fn join_maps(own: &mut Vec<Entry>, addition: Entry, decoder: &mut Decoder<'_>) {
    // A destination or set belongs to one file; a default that two files give alike is no contradiction.
    let declares = matches!(addition.key.as_str(), "destinations" | "sets" | "moved");
    let Content::Map(additions) = addition.node.content else { return };
    for entry in additions {
        match own.iter().find(|it| it.key == entry.key) {
            None => own.push(entry),
            Some(earlier) if !declares && earlier.node.says_the_same(&entry.node) => {}
            Some(earlier) => given_twice(&entry.key, entry.key_place, earlier.key_place, decoder),
        }
    }
}

fn given_twice(key: &str, place: Place, earlier: Place, decoder: &mut Decoder<'_>) {
    let problem = Problem::new(Fault::Duplicate, format!("`{key}` is given twice, in two files"), place)
        .also(earlier, "first given here")
        .fix("keep one of them");
    decoder.problems.add(problem);
}
