//! The plan file's JSON schema, for editors.
//!
//! It is generated, kept in `schemas/plan.schema.json` and compared in the tests. What a schema cannot say, such as
//! that a name is declared, only the parser checks.

use super::{
    ChangedPolicy, Compression, IoClass, ProvePolicy, Require, RetentionPolicy, SchedulerChoice, Scope, Span,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

const NAME: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

/// The JSON schema of plan files (draft 7, which editors know best).
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<PlanDocument>().to_value();
    schema["title"] = json!("bkp plan file");
    without_null(&mut schema);
    schema
}

/// The parser knows no null: a key is written with a value or not at all.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|it| it != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|it| it["type"] != "null");
                if let [only] = choices.as_slice() {
                    // draft 7 ignores what stands beside a `$ref`, and `allOf` keeps the description.
                    let only = only.clone();
                    map.remove("anyOf");
                    map.insert("allOf".to_owned(), json!([only]));
                }
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A schema written out, under a name that other parts of the schema refer to.
macro_rules! written_schema {
    ($(#[$meta:meta])* $type:ident, $name:literal, $schema:expr) => {
        $(#[$meta])*
        pub(super) struct $type;
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let written: fn(&mut SchemaGenerator) -> Schema = $schema;
                written(generator)
            }
        }
    };
}

macro_rules! document {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(JsonSchema)]
        #[schemars(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its shape is used")]
        struct $name { $($(#[$field_meta])* $field: $type,)* }
    };
}

mod destinations;
mod servers;
mod texts;

use destinations::{DestinationChoice, EncryptionChoice, LayoutText};
use texts::{
    Line, LocalTime, NameText, PathText, QuietHoursChoice, ScheduleText, SizeText, UserText, Version,
};

written_schema!(HostNames, "Hosts", |generator| {
    let line = generator.subschema_for::<Line>();
    json_schema!({
        "anyOf": [line, { "type": "array", "items": line, "minItems": 1, "uniqueItems": true }],
        "examples": ["*"],
    })
});
written_schema!(Audit, "Audit", |generator| {
    let schedule = generator.subschema_for::<ScheduleText>();
    json_schema!({
        "anyOf": [
            { "const": false },
            {
                "type": "object",
                "properties": { "schedule": schedule },
                "required": ["schedule"],
                "additionalProperties": false,
            },
        ],
    })
});
written_schema!(Retention, "Retention", |generator| {
    let policy = generator.subschema_for::<RetentionPolicy>();
    json_schema!({
        "description": "How many snapshots are kept; the last verified one always is.",
        "allOf": [policy, { "minProperties": 1 }],
    })
});
written_schema!(SetRetentionChoice, "SetRetention", |generator| {
    let policy = generator.subschema_for::<Retention>();
    json_schema!({
        "description": "A policy for every destination, or a map of policies by destination.",
        "anyOf": [
            policy,
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": NAME },
                "additionalProperties": policy,
            },
        ],
    })
});
written_schema!(Argv, "Argv", |_| json_schema!({
    "type": "array",
    "description": "A program and its arguments; no shell reads them.",
    "items": { "type": "string" },
    "minItems": 1,
}));
written_schema!(Hooks, "Hooks", |generator| {
    let argv = generator.subschema_for::<Argv>();
    json_schema!({ "type": "array", "items": argv, "minItems": 1 })
});
written_schema!(Secret, "SecretRef", |generator| {
    let (path, line) = (generator.subschema_for::<PathText>(), generator.subschema_for::<Line>());
    let argv = generator.subschema_for::<Argv>();
    json_schema!({
        "description": "Where a secret is kept. Plan files hold no secrets.",
        "type": "object",
        "properties": {
            "file": { "description": "A file that only its owner may read.", "allOf": [path] },
            "credential": { "description": "A credential that systemd has.", "allOf": [line] },
            "command": { "description": "A command whose standard output is the secret.", "allOf": [argv] },
            "env": { "description": "An environment variable; for runs by hand and embedded ones.", "allOf": [line] },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
});
written_schema!(Secrets, "Secrets", |generator| {
    let secret = generator.subschema_for::<Secret>();
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[A-Z][A-Z0-9_]*$" },
        "additionalProperties": secret,
        "minProperties": 1,
    })
});
written_schema!(Moved, "Moved", |generator| {
    let name = generator.subschema_for::<NameText>();
    json_schema!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": name })
});
written_schema!(Ignored, "Ignored", |generator| {
    let line = generator.subschema_for::<Line>();
    json_schema!({ "type": "object", "additionalProperties": line })
});
written_schema!(Members, "Members", |generator| {
    let path = generator.subschema_for::<PathText>();
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "\\S" },
        "additionalProperties": path,
        "minProperties": 1,
    })
});
written_schema!(SetChoice, "Set", |generator| {
    let common = keys_of::<SetCommon>(generator);
    let (files, sqlite) = (keys_of::<FilesKeys>(generator), keys_of::<SqliteKeys>(generator));
    let mut sqlite = with_type("sqlite", "SQLite databases.", &common, &sqlite);
    sqlite["oneOf"] = json!([{ "required": ["path"] }, { "required": ["files"] }]);
    let mut kinds = vec![with_type("files", "Files and folders.", &common, &files), sqlite];
    kinds.extend(
        servers::kinds(generator).into_iter().map(|(word, it, keys)| with_type(word, it, &common, &keys)),
    );
    json_schema!({ "oneOf": kinds })
});

/// A struct's own schema, not a reference to it.
fn keys_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

/// One kind of a map that `type:` tells apart: the common keys and its own.
fn with_type(word: &str, description: &str, common: &Value, own: &Value) -> Value {
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({ "const": word, "description": description }));
    let mut required = vec![json!("type")];
    for part in [own, common] {
        let entries = part["properties"].as_object().into_iter().flatten();
        properties.extend(entries.map(|(key, schema)| (key.clone(), schema.clone())));
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
    }
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

document!(
    /// What must be backed up, where to, how often and how well proven.
    PlanDocument {
        /// The plan file's version: 1.
        version: Version,
        /// Owns the plan's jobs. Default: the file's stem, or the folder's name.
        name: Option<NameText>,
        /// Hosts that may apply it, by short name or FQDN; `"*"` or nothing is any host.
        host: Option<HostNames>,
        /// The name of the host in keys. Default: the host's own name.
        node: Option<Line>,
        /// What starts the jobs. Default: `auto`: systemd where it runs, launchd on a Mac, else cron where it runs, else
        /// embedded.
        scheduler: Option<SchedulerChoice>,
        /// Whose jobs they are. Default: system for root, user for anyone else.
        scope: Option<Scope>,
        /// How many runs of this host's sets may go on at once. Default: 1.
        max_parallel: Option<std::num::NonZeroU32>,
        /// What sets fall back to.
        defaults: Option<DefaultsDocument>,
        /// Where snapshots are kept, by name.
        destinations: Named<DestinationChoice>,
        /// What is backed up, by name.
        sets: Named<SetChoice>,
        /// When the infrastructure is checked. Default: hourly; `false` for no audit job.
        audit: Option<Audit>,
        /// Where to look for data that nobody declared.
        discover: Option<DiscoverDocument>,
        /// Old set name to new one: a rename that keeps its history.
        moved: Option<Moved>,
    }
);

document!(
    /// What sets fall back to.
    DefaultsDocument {
        /// When sets are due.
        schedule: Option<ScheduleText>,
        /// The IANA name of the schedules' time zone. Default: UTC.
        timezone: Option<Line>,
        /// Where sets go.
        #[schemars(length(min = 1))]
        destinations: Option<Vec<NameText>>,
        /// How many snapshots are kept. Default: all.
        retention: Option<Retention>,
        /// How artifacts are compressed. Default: zstd.
        compression: Option<Compression>,
        /// The oldest that proofs may be. Default: 30d each.
        prove: Option<ProvePolicy>,
        /// How many copies there must be, and where. Default: no more than one.
        require: Option<Require>,
        /// A run is ended after this long. Default: 24h.
        time_limit: Option<Span>,
        /// How long after a due run a set counts as overdue. Default: half the schedule's shortest period, 10m to 12h.
        grace: Option<Span>,
        /// The user that the job runs as. Default: root. Jobs of the system only.
        run_as: Option<UserText>,
        /// A run that makes no progress for this long is ended. Default: 1h.
        stall_limit: Option<Span>,
        /// The most memory that a run may have. Default: no limit. Enforced by systemd.
        memory_limit: Option<SizeText>,
        /// Niceness. Default: 10.
        #[schemars(range(min = 0, max = 19))]
        nice: Option<u8>,
        /// Which share of the disks a run gets. Default: best-effort. Enforced by systemd and launchd.
        io_class: Option<IoClass>,
        /// Scheduled runs wait while the machine works on its battery. Default: false.
        require_ac_power: Option<bool>,
        /// Hours in which no scheduled run begins; what was due then begins at their end.
        quiet_hours: Option<QuietHoursChoice>,
        /// No scheduled run is due before this local time.
        not_before: Option<LocalTime>,
    }
);

document!(
    /// The keys of every destination.
    DestinationCommon {
        /// Overrides the defaults' retention.
        retention: Option<Retention>,
        /// Overrides the defaults' compression.
        compression: Option<Compression>,
        /// Overrides the defaults' proof ages.
        prove: Option<ProvePolicy>,
        /// Two destinations in one failure domain are one copy.
        failure_domain: Option<Line>,
        /// What is stored can be read by who has a key only.
        encryption: Option<EncryptionChoice>,
        /// Where artifacts lie. Default: beside their manifest.
        layout: Option<LayoutText>,
        /// The destination that it is filled from, once that one has its snapshot. Default: its sets fill it.
        copy_from: Option<NameText>,
    }
);

document!(
    /// The keys of a local destination.
    LocalKeys {
        /// The folder that keeps snapshots.
        path: PathText,
    }
);

document!(
    /// The keys of every set.
    SetCommon {
        /// When it is due.
        schedule: Option<ScheduleText>,
        /// The IANA name of the schedule's time zone.
        timezone: Option<Line>,
        /// Where it goes.
        #[schemars(length(min = 1))]
        destinations: Option<Vec<NameText>>,
        /// How many snapshots are kept: one policy, or a map of policies by destination.
        retention: Option<SetRetentionChoice>,
        /// Overrides the destinations' and the defaults' compression.
        compression: Option<Compression>,
        /// Overrides the destinations' and the defaults' proof ages.
        prove: Option<ProvePolicy>,
        /// How many copies there must be, and where. Default: no more than one.
        require: Option<Require>,
        /// A run is ended after this long.
        time_limit: Option<Span>,
        /// How long after a due run the set counts as overdue.
        grace: Option<Span>,
        /// The user that the job runs as. Default: root. Jobs of the system only.
        run_as: Option<UserText>,
        /// A run that makes no progress for this long is ended. Default: 1h.
        stall_limit: Option<Span>,
        /// The most memory that a run may have. Default: no limit. Enforced by systemd.
        memory_limit: Option<SizeText>,
        /// Niceness. Default: 10.
        #[schemars(range(min = 0, max = 19))]
        nice: Option<u8>,
        /// Which share of the disks a run gets. Default: best-effort. Enforced by systemd and launchd.
        io_class: Option<IoClass>,
        /// Scheduled runs wait while the machine works on its battery. Default: false.
        require_ac_power: Option<bool>,
        /// Hours in which no scheduled run begins; what was due then begins at their end.
        quiet_hours: Option<QuietHoursChoice>,
        /// No scheduled run is due before this local time.
        not_before: Option<LocalTime>,
        /// Commands that run before the source is read; one that fails fails the run.
        before: Option<Hooks>,
        /// Commands that run after it, whatever happened.
        after: Option<Hooks>,
        /// Secrets for the hooks: each gets the path of a private file in `BKP_SECRET_<NAME>_FILE`.
        secrets: Option<Secrets>,
        /// Suspends runs.
        pause: Option<PauseDocument>,
    }
);

document!(
    /// A pause.
    PauseDocument {
        /// The first day on which runs start again.
        #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
        until: String,
        /// Why.
        reason: Line,
    }
);

document!(
    /// The keys of a `files` set.
    FilesKeys {
        /// Paths or globs; a folder is taken whole. Each must match something, and a path that is a symbolic link to a folder needs that folder in the set too.
        #[schemars(length(min = 1))]
        paths: Vec<PathText>,
        /// Globs of what is left out: with a `/` matched against the whole path, without against the last name.
        #[schemars(length(min = 1))]
        exclude: Option<Vec<PathText>>,
        /// Does not cross into other file systems below a path. Default: false.
        one_file_system: Option<bool>,
        /// Leaves out the content of folders with a valid CACHEDIR.TAG. Default: false.
        exclude_caches: Option<bool>,
        /// What to do about a file that kept changing while it was read. Default: warn.
        changed: Option<ChangedPolicy>,
    }
);

document!(
    /// The keys of an `sqlite` set.
    SqliteKeys {
        /// One database.
        path: Option<PathText>,
        /// Databases by member name.
        files: Option<Members>,
        /// The longest that writers may be locked out. Default: 5s.
        max_lock: Option<Span>,
    }
);

document!(
    /// Where to look for data that nobody declared.
    DiscoverDocument {
        /// Folders searched for `SQLite` databases.
        #[schemars(length(min = 1))]
        sqlite: Option<Vec<PathText>>,
        /// Folders searched for scripts that look like backups, beside the usual ones.
        #[schemars(length(min = 1))]
        scripts: Option<Vec<PathText>>,
        /// What was found, to the reason why it is left alone: `sqlite:/var/lib/fwupd/pending.db`, `backup:restic.timer`.
        ignore: Option<Ignored>,
    }
);

/// A map whose keys are names.
struct Named<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}s", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": item,
            "minProperties": 1,
        })
    }
}
