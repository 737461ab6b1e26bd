//! What can be seen of a server before a run: its members, what a run needs, and what it lacks.
//!
//! Only looks: it logs in, reads catalogues, and writes nothing. What could not be asked is unknown, never fine.

use super::catalogue::{self, Database, GLOBALS, Server};
use super::cluster::server_tools;
use super::{PostgresSource, Reached, collision, doors, grants, missing};
use crate::declared::{DrillPlace, RolePolicy, Standing};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::sources::SourceError;

pub(super) fn requirement(
    kind: &str,
    object: impl Into<String>,
    unmet: Option<Diagnostic>,
) -> RequirementFacts {
    RequirementFacts { kind: kind.into(), object: object.into(), unmet }
}

/// Everything, in one go.
pub(super) fn look(source: &PostgresSource, host: &dyn Host) -> SourceFacts {
    let reached = match source.reach(host) {
        Ok(reached) => reached,
        Err(error) => return unreached(source, &error),
    };
    let databases = match source.databases(host, &reached) {
        Ok(databases) => databases,
        Err(error) => return unreached(source, &error),
    };
    let mut facts = SourceFacts::new(Observed::Absent, Vec::new());
    let Reached { login, toolbox, server } = &reached;
    let name = login.server().to_owned();
    let needs = &mut facts.requirements;
    for kind in ["server", "login"] {
        needs.push(requirement(kind, &name, None));
    }
    for tool in super::TOOLS {
        let unmet = toolbox.find(host, tool).err().map(|error| unmet(&error));
        needs.push(requirement("tool", *tool, unmet));
    }
    needs.push(requirement("version", "pg_dump", too_old(toolbox.major, server)));
    let mut members = Vec::new();
    if source.takes_globals() {
        members.push(MemberFacts { name: GLOBALS.into(), size_bytes: None });
        needs.push(requirement("grant", format!("{name}, roles"), hashes(source, server)));
    }
    for database in &databases {
        let member = MemberFacts { name: database.name.clone(), size_bytes: database.size_bytes };
        match source.standing(host, &reached, database) {
            Some(Standing::Taken) => {
                let unmet = not_dumpable(source, database);
                let dumpable = unmet.is_none();
                needs.push(requirement("catalogue", format!("{name}, database `{}`", database.name), unmet));
                if dumpable {
                    needs.push(grants::of_database(host, &reached, &database.name));
                }
                members.push(member);
            }
            Some(Standing::Uncovered) => facts.uncovered.push(member),
            Some(Standing::Ignored(_)) | None => {}
        }
    }
    for listed in missing(&source.declaration, &databases) {
        let diagnostic = Diagnostic::new("database missing", format!("`{listed}` does not exist on {name}"))
            .fix("create it, correct its name under `databases`, or take it out");
        needs.push(requirement("readable", format!("{name}, database `{listed}`"), Some(diagnostic)));
        members.push(MemberFacts { name: listed.clone(), size_bytes: None });
    }
    needs.push(drill_place(source, host, server));
    facts.members = Observed::Present(members);
    facts.addresses = doors::addresses(&source.declaration, server);
    let doors::Seen { doors, unseen } = doors::doors(host, &reached, source.maintenance());
    (facts.doors, facts.unseen) = (doors, unseen);
    facts
}

/// What mends an error.
fn unmet(error: &SourceError) -> Diagnostic {
    let diagnostic = Diagnostic::from_error("source not usable", error);
    match error {
        SourceError::ToolMissing { .. } => {
            diagnostic.fix("install postgresql-client, or name the folder of its programs with `tools:`")
        }
        SourceError::Secret(secret) => diagnostic.fix(secret.remedy()),
        SourceError::Server { reason, .. } if is_login(reason) => {
            diagnostic.fix("check `user` and the password; the server's pg_hba.conf says who may come in how")
        }
        SourceError::Server { reason, .. } if reason.contains("permission denied") => {
            diagnostic.fix("grant the role what is refused, then look again")
        }
        SourceError::Server { .. } => diagnostic.fix("see that the server runs, and check `host` and `port`"),
        SourceError::Missing { .. }
        | SourceError::Denied { .. }
        | SourceError::Read { .. }
        | SourceError::Changed { .. }
        | SourceError::Database { .. }
        | SourceError::Scratch { .. }
        | SourceError::Tool { .. }
        | SourceError::Partial { .. }
        | SourceError::Incomplete { .. }
        | SourceError::LinkedAway { .. }
        | SourceError::Pattern { .. } => diagnostic,
    }
}

/// Whether the server answered and did not let us in.
fn is_login(reason: &str) -> bool {
    [
        "authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
        "pg_hba.conf rejects",
        "role \"",
    ]
    .iter()
    .any(|word| reason.contains(word))
}

/// Nothing is known of the members of a server that could not be asked.
fn unreached(source: &PostgresSource, error: &SourceError) -> SourceFacts {
    let diagnostic = unmet(error);
    let name = super::login::server_name(&source.declaration);
    let (kind, object) = match error {
        SourceError::ToolMissing { tool, .. } => ("tool", tool.clone()),
        SourceError::Secret(_) => ("secret", "password".to_owned()),
        SourceError::Server { reason, .. } if is_login(reason) => ("login", name),
        SourceError::Partial { .. } => ("catalogue", name),
        SourceError::Server { .. }
        | SourceError::Missing { .. }
        | SourceError::Denied { .. }
        | SourceError::Read { .. }
        | SourceError::Changed { .. }
        | SourceError::Database { .. }
        | SourceError::Scratch { .. }
        | SourceError::Tool { .. }
        | SourceError::Incomplete { .. }
        | SourceError::LinkedAway { .. }
        | SourceError::Pattern { .. } => ("server", name),
    };
    let members = Observed::Unknown(diagnostic.clone());
    if let SourceError::Secret(secret) = error
        && secret.only_in_a_run()
    {
        let mut facts = SourceFacts::new(members, Vec::new());
        facts.deferred = Some(secret.to_string());
        return facts;
    }
    SourceFacts::new(members, vec![requirement(kind, object, Some(diagnostic))])
}

fn too_old(tool_major: u32, server: &Server) -> Option<Diagnostic> {
    let wanted = server.major();
    (tool_major < wanted).then(|| {
        Diagnostic::new("tool too old", format!("pg_dump is of version {tool_major}, the server of {wanted}"))
            .why("pg_dump refuses a server that is newer than itself")
            .fix(format!("install postgresql-client-{wanted}, or name its folder with `tools:`"))
    })
}

/// Password hashes lie in a catalogue that few may read.
fn hashes(source: &PostgresSource, server: &Server) -> Option<Diagnostic> {
    match source.declaration.roles {
        RolePolicy::WithPasswords if !server.reads_hashes => {
            let what = format!("role `{}` may not read pg_authid, where password hashes are", server.role);
            let fix = "say `roles: without-passwords`, or log in as a superuser";
            Some(Diagnostic::new("right missing", what).fix(fix))
        }
        RolePolicy::WithPasswords | RolePolicy::WithoutPasswords | RolePolicy::None => None,
    }
}

/// A database that exists and that nobody can dump is never passed over.
fn not_dumpable(source: &PostgresSource, database: &Database) -> Option<Diagnostic> {
    let name = &database.name;
    let quoted = super::login::identifier(name);
    if source.takes_globals() && name == GLOBALS {
        return Some(Diagnostic::new("two members of one name", collision()));
    }
    let ignore = format!("or say why it needs no backup: `ignore: {{ {name}: REASON }}`");
    if database.invalid {
        let what = format!("database `{name}` is what an interrupted DROP DATABASE left");
        return Some(
            Diagnostic::new("database not dumpable", what)
                .fix(format!("run: DROP DATABASE {quoted}; {ignore}")),
        );
    }
    if !database.connects {
        let what = format!("database `{name}` lets nobody connect");
        return Some(
            Diagnostic::new("database not dumpable", what)
                .why("pg_dumpall would pass over it without a word")
                .fix(format!("run: ALTER DATABASE {quoted} ALLOW_CONNECTIONS true; {ignore}")),
        );
    }
    None
}

/// Where drills restore to must be there too.
fn drill_place(source: &PostgresSource, host: &dyn Host, server: &Server) -> RequirementFacts {
    let tools = server_tools(host, source.declaration.tools.as_deref());
    let enough = tools.as_ref().is_some_and(|tools| tools.major >= server.major());
    let major = server.major();
    let on_server = || {
        let unmet = (!server.create_db).then(|| {
            let role = super::login::identifier(&server.role);
            Diagnostic::new("right missing", format!("role `{}` may not make a scratch database", server.role))
                .fix(format!(
                    "install postgresql-{major} for drills on a server of their own, or run: ALTER ROLE {role} CREATEDB"
                ))
        });
        requirement("grant", format!("{}, drills", super::login::server_name(&source.declaration)), unmet)
    };
    match (source.declaration.drill, tools.is_some(), enough) {
        (DrillPlace::Auto | DrillPlace::Own, _, true) => requirement("tool", "postgres", None),
        (DrillPlace::Own, _, false) | (DrillPlace::Auto, true, false) => {
            let what = format!("no programs of a server of version {major} are installed for drills");
            let fix = format!("install postgresql-{major}, or say `drill: server`");
            requirement("tool", "postgres", Some(Diagnostic::new("tool missing", what).fix(fix)))
        }
        (DrillPlace::Auto, false, false) | (DrillPlace::Server, _, _) => on_server(),
    }
}

/// The members alone, as a run finds them.
pub(super) fn enumerate(source: &PostgresSource, host: &dyn Host) -> Result<Vec<super::Member>, SourceError> {
    let reached = source.reach(host)?;
    let databases: Vec<Database> = source.databases(host, &reached)?;
    let mut names: Vec<String> = Vec::new();
    for database in &databases {
        if source.standing(host, &reached, database) == Some(Standing::Taken) {
            names.push(database.name.clone());
        }
    }
    if source.takes_globals() {
        if names.iter().any(|name| name == catalogue::GLOBALS) {
            return Err(reached.login.refused(collision()));
        }
        names.insert(0, GLOBALS.to_owned());
    }
    names.extend(missing(&source.declaration, &databases).into_iter().cloned());
    Ok(names.into_iter().map(|name| super::Member { name }).collect())
}
