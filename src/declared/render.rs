//! A plan written again as YAML: what jobs run, and what identifies a set's declaration.
//!
//! Equal plans give equal text, and the text read again gives an equal plan. Nothing here is meant to keep the user's
//! comments or layout.

mod destination;
mod source;

use super::{
    DestinationDeclaration, DestinationName, JobPolicy, Plan, ProvePolicy, QuietHours, Require, RetentionBy,
    RetentionPolicy, SchedulerChoice, Scope, SecretRef, SetDeclaration, SetName, SetRetention, Span,
};
use crate::format::Digest;
use destination::destination;
use serde_yaml::{Mapping, Value};
use source::source;
use std::path::Path;

/// Writes a plan as YAML with absolute paths; [`super::parse_text`] gives an equal plan back.
#[expect(clippy::missing_panics_doc, reason = "every plan is made of what YAML can hold")]
pub fn render(plan: &Plan) -> String {
    let mut map = Map::default();
    map.put("version", 1);
    map.put("name", plan.name.as_str());
    map.put_some("host", plan.hosts.as_ref().map(|it| texts(it)));
    map.put_some("node", plan.node.as_ref().map(|it| it.as_str().into()));
    map.put("scheduler", scheduler_word(plan.scheduler));
    map.put_some("scope", plan.scope.map(|it| scope_word(it).into()));
    map.put_some("max_parallel", plan.max_parallel.map(Into::into));
    let defaults = defaults(plan);
    if !defaults.0.is_empty() {
        map.put("defaults", defaults);
    }
    let destinations = plan.destinations.iter().map(|(name, it)| (name.as_str(), destination(it)));
    map.put("destinations", named(destinations));
    map.put("sets", named(plan.sets.iter().map(|(name, it)| (name.as_str(), set(it)))));
    match &plan.audit {
        Some(audit) => map.put("audit", named([("schedule", audit.schedule.to_string().into())])),
        None => map.put("audit", false),
    }
    let mut discover = Map::default();
    if !plan.discover.sqlite.is_empty() {
        let folders: Vec<String> = plan.discover.sqlite.iter().map(|it| path(it)).collect();
        discover.put("sqlite", texts(&folders));
    }
    if !plan.discover.scripts.is_empty() {
        let folders: Vec<String> = plan.discover.scripts.iter().map(|it| path(it)).collect();
        discover.put("scripts", texts(&folders));
    }
    if !plan.discover.ignore.is_empty() {
        let reasons = plan.discover.ignore.iter();
        discover.put("ignore", named(reasons.map(|(object, it)| (object.as_str(), it.as_str().into()))));
    }
    if !discover.0.is_empty() {
        map.put("discover", discover);
    }
    if !plan.moved.is_empty() {
        map.put("moved", named(plan.moved.iter().map(|(old, new)| (old.as_str(), new.as_str().into()))));
    }
    serde_yaml::to_string(&Value::from(map)).expect("maps, lists, text and numbers are YAML")
}

/// A destination's map as YAML: what [`super::load_destination`] reads again.
#[expect(clippy::missing_panics_doc, reason = "every destination is made of what YAML can hold")]
pub fn render_destination(declaration: &DestinationDeclaration) -> String {
    serde_yaml::to_string(&destination(declaration)).expect("maps, lists, text and numbers are YAML")
}

/// What identifies a set's declaration: the digest of the plan with that set alone, every default put in.
pub fn set_digest(plan: &Plan, set: &SetName) -> Option<Digest> {
    plan.only(set).map(|it| Digest::of(render(&it).as_bytes()))
}

/// A map in the order written.
#[derive(Debug, Default)]
struct Map(Mapping);

impl Map {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    fn put_some(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Mapping(map.0)
    }
}

fn named<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut map = Map::default();
    for (key, value) in entries {
        map.put(key, value);
    }
    map.into()
}

fn texts(items: &[String]) -> Value {
    items.iter().map(|it| Value::from(it.as_str())).collect::<Vec<_>>().into()
}

fn names(items: &[DestinationName]) -> Value {
    items.iter().map(|it| Value::from(it.as_str())).collect::<Vec<_>>().into()
}

fn path(path: &Path) -> String {
    path.to_str().expect("paths of a plan come from UTF-8 text").to_owned()
}

fn span(span: Span) -> Value {
    span.to_string().into()
}

fn scheduler_word(scheduler: SchedulerChoice) -> &'static str {
    match scheduler {
        SchedulerChoice::Auto => "auto",
        SchedulerChoice::Systemd => "systemd",
        SchedulerChoice::Launchd => "launchd",
        SchedulerChoice::Cron => "cron",
        SchedulerChoice::Embedded => "embedded",
    }
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::User => "user",
    }
}

fn retention(policy: &RetentionPolicy) -> Value {
    let mut map = Map::default();
    let counts = [
        ("last", policy.last),
        ("hourly", policy.hourly),
        ("daily", policy.daily),
        ("weekly", policy.weekly),
        ("monthly", policy.monthly),
        ("yearly", policy.yearly),
    ];
    for (key, count) in counts {
        map.put_some(key, count.map(Into::into));
    }
    map.put_some("within", policy.within.map(span));
    let word = |by: RetentionBy| match by {
        RetentionBy::Provider => "provider",
        RetentionBy::Pruner => "pruner",
    };
    map.put_some("by", policy.by.map(|it| word(it).into()));
    map.into()
}

fn prove(policy: ProvePolicy) -> Value {
    let mut map = Map::default();
    map.put_some("intact", policy.intact.map(span));
    map.put_some("restored", policy.restored.map(span));
    map.into()
}

fn require(policy: Require) -> Value {
    let mut map = Map::default();
    map.put_some("copies", policy.copies.map(Into::into));
    map.put_some("off_host", policy.off_host.map(Into::into));
    map.into()
}

fn job_policy(map: &mut Map, policy: &JobPolicy) {
    map.put_some("run_as", policy.run_as.as_ref().map(|it| it.as_str().into()));
    map.put_some("stall_limit", policy.stall_limit.map(span));
    map.put_some("memory_limit", policy.memory_limit.map(|it| it.to_string().into()));
    map.put_some("nice", policy.nice.map(Into::into));
    map.put_some("io_class", policy.io_class.map(|it| it.word().into()));
    map.put_some("require_ac_power", policy.require_ac_power.map(Into::into));
    let hours = |hours: &Vec<QuietHours>| hours.iter().map(ToString::to_string).collect::<Vec<_>>();
    map.put_some("quiet_hours", policy.quiet_hours.as_ref().map(|it| texts(&hours(it))));
    map.put_some("not_before", policy.not_before.map(|it| it.to_string().into()));
}

fn defaults(plan: &Plan) -> Map {
    let defaults = &plan.defaults;
    let mut map = Map::default();
    map.put_some("schedule", defaults.schedule.as_ref().map(|it| it.to_string().into()));
    map.put_some("timezone", defaults.timezone.as_ref().map(|it| it.as_str().into()));
    map.put_some("destinations", defaults.destinations.as_deref().map(names));
    map.put_some("retention", defaults.retention.as_ref().map(retention));
    map.put_some("compression", defaults.compression.map(|it| it.word().into()));
    map.put_some("prove", defaults.prove.map(prove));
    map.put_some("require", defaults.require.map(require));
    map.put_some("time_limit", defaults.time_limit.map(span));
    map.put_some("grace", defaults.grace.map(span));
    job_policy(&mut map, &defaults.job);
    map
}

fn secret(reference: &SecretRef) -> Value {
    match reference {
        SecretRef::File(file) => named([("file", path(file).into())]),
        SecretRef::Credential(name) => named([("credential", name.as_str().into())]),
        SecretRef::Command(argv) => named([("command", texts(argv))]),
        SecretRef::Env(name) => named([("env", name.as_str().into())]),
    }
}

fn set(declaration: &SetDeclaration) -> Value {
    let mut map = Map::default();
    map.put("type", declaration.source.word());
    source(&declaration.source, &mut map);
    map.put_some("schedule", declaration.schedule.as_ref().map(|it| it.to_string().into()));
    map.put_some("timezone", declaration.timezone.as_ref().map(|it| it.as_str().into()));
    map.put_some("destinations", declaration.destinations.as_deref().map(names));
    let policies = |policies: &SetRetention| match policies {
        SetRetention::Every(policy) => retention(policy),
        SetRetention::ByDestination(policies) => {
            named(policies.iter().map(|(name, policy)| (name.as_str(), retention(policy))))
        }
    };
    map.put_some("retention", declaration.retention.as_ref().map(policies));
    map.put_some("compression", declaration.compression.map(|it| it.word().into()));
    map.put_some("prove", declaration.prove.map(prove));
    map.put_some("require", declaration.require.map(require));
    map.put_some("time_limit", declaration.time_limit.map(span));
    map.put_some("grace", declaration.grace.map(span));
    job_policy(&mut map, &declaration.job);
    for (key, hooks) in [("before", &declaration.before), ("after", &declaration.after)] {
        if !hooks.is_empty() {
            map.put(key, hooks.iter().map(|argv| texts(argv)).collect::<Vec<_>>());
        }
    }
    if !declaration.secrets.is_empty() {
        map.put("secrets", named(declaration.secrets.iter().map(|(name, it)| (name.as_str(), secret(it)))));
    }
    if let Some(pause) = &declaration.pause {
        let entries = [("until", pause.until.to_string().into()), ("reason", pause.reason.as_str().into())];
        map.put("pause", named(entries));
    }
    map.into()
}
