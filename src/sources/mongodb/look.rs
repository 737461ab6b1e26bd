//! What can be seen of a server without a run: one login, a few questions, and the ways in that need none.
//!
//! Never here: anything written, on the server or on a disk.

use super::catalogue::Database;
use super::connection::{Access, Connection, ConnectionError};
use super::doors::open_doors;
use super::grants::Grants;
use super::{DUMP, MongodbSource, PACKAGE, RESTORE};
use crate::declared::{SourceDeclaration, Standing};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::sources::tool;

/// The rest of the facts, for which nothing had to be asked.
fn nothing_known(source: &MongodbSource, host: &dyn Host, why: Diagnostic) -> SourceFacts {
    let search_path = source.search_path();
    let tools = [DUMP, RESTORE].map(|name| tool::requirement(host, &[name], &search_path, PACKAGE));
    let mut facts = SourceFacts::new(Observed::Unknown(why), tools.into());
    facts.addresses = SourceDeclaration::Mongodb(source.declaration.clone()).addresses();
    facts
}

fn requirement(kind: &str, object: &str, unmet: Option<Diagnostic>) -> RequirementFacts {
    RequirementFacts { kind: kind.into(), object: object.to_owned(), unmet }
}

/// Everything that can be seen.
pub(super) fn look(source: &MongodbSource, host: &dyn Host) -> SourceFacts {
    let access = match Access::of(host, &source.declaration) {
        Ok(access) => access,
        Err(error) => {
            let diagnostic = Diagnostic::from_error("secret not available", &error).fix(error.remedy());
            let mut facts = nothing_known(source, host, diagnostic.clone());
            if error.only_in_a_run() {
                facts.deferred = Some(error.to_string());
            } else {
                facts.requirements.push(requirement("secret", "password", Some(diagnostic)));
            }
            return facts;
        }
    };
    let server = access.server();
    let waiting = Diagnostic::new("server not asked", server.clone());
    let mut facts = nothing_known(source, host, waiting);
    let connection = match Connection::new(access) {
        Ok(connection) => connection,
        Err(error) => {
            refused(&mut facts, source, &server, &error);
            return facts;
        }
    };
    match connection.databases() {
        Ok(databases) => {
            for kind in ["server", "login", "catalogue"] {
                facts.requirements.push(requirement(kind, &server, None));
            }
            members(&mut facts, source, &connection, &databases);
        }
        Err(error) => refused(&mut facts, source, &server, &error),
    }
    if !matches!(facts.requirements.last(), Some(it) if it.kind == "server" && it.unmet.is_some()) {
        facts.doors = open_doors(host, &connection);
    }
    facts
}

fn refused(facts: &mut SourceFacts, source: &MongodbSource, server: &str, error: &ConnectionError) {
    let user = source.declaration.user.as_deref();
    let (kind, summary, fix) = match error {
        ConnectionError::Login { .. } => {
            let user = user.unwrap_or_default();
            let fix = format!(
                "write the password of `{user}` to the secret's file; to set it: {}.changeUserPassword(\"{user}\", \
                 passwordPrompt())",
                database(source)
            );
            ("login", "login refused", fix)
        }
        ConnectionError::Unauthorized { .. } if user.is_none() => (
            "login",
            "login refused",
            "declare `user` and `password`: the server asks for a login".to_owned(),
        ),
        ConnectionError::Unauthorized { .. } => {
            ("catalogue", "the list of databases may not be complete", grant(source))
        }
        ConnectionError::Url { .. } => ("server", "server not reachable", "mend `url`".to_owned()),
        ConnectionError::Unreachable { .. }
        | ConnectionError::Failed { .. }
        | ConnectionError::Silent { .. } => {
            let fix = "start the server, or mend `url`; `systemctl status mongod` says how it is".to_owned();
            ("server", "server not reachable", fix)
        }
    };
    let diagnostic = Diagnostic::new(summary, server).why(error.to_string()).fix(fix);
    facts.members = Observed::Unknown(diagnostic.clone());
    facts.requirements.push(requirement(kind, server, Some(diagnostic)));
}

/// The database that knows the user, in the shell's words.
fn database(source: &MongodbSource) -> String {
    let name = source.declaration.auth_source.as_deref().unwrap_or("admin");
    format!("db.getSiblingDB({})", serde_json::Value::from(name))
}

/// The command that gives the login what a dump needs.
fn grant(source: &MongodbSource) -> String {
    let user = source.declaration.user.as_deref().unwrap_or_default();
    let user = serde_json::Value::from(user);
    format!("{}.grantRolesToUser({user}, [{{ role: \"backup\", db: \"admin\" }}])", database(source))
}

fn members(facts: &mut SourceFacts, source: &MongodbSource, connection: &Connection, databases: &[Database]) {
    let sizes: std::collections::BTreeMap<_, _> =
        databases.iter().map(|it| (it.name.clone(), it.size_bytes)).collect();
    let member =
        |name: &str| MemberFacts { name: name.to_owned(), size_bytes: sizes.get(name).copied().flatten() };
    let choice = &source.declaration.databases;
    let uncovered = databases.iter().filter(|it| choice.standing(&it.name) == Standing::Uncovered);
    facts.uncovered = uncovered.map(|it| member(&it.name)).collect();
    let taken = source.taken(databases.iter().map(|it| it.name.clone()));
    for name in taken.iter().map(|it| it.name.as_str()).filter(|name| !sizes.contains_key(*name)) {
        let diagnostic = Diagnostic::new("source not readable", format!("database `{name}`"))
            .why(format!("`{name}` does not exist at {}", connection.server()))
            .fix("mend `databases`, or create it");
        facts.requirements.push(requirement("readable", name, Some(diagnostic)));
    }
    facts.members = Observed::Present(taken.iter().map(|it| member(&it.name)).collect());
    let object = format!("what mongodump needs at {}", connection.server());
    let unmet = match Grants::of(connection) {
        Ok(grants) => {
            let missing: Vec<String> = taken.iter().flat_map(|member| grants.missing(&member.name)).collect();
            (!missing.is_empty()).then(|| {
                Diagnostic::new("right missing", object.clone())
                    .why(format!("the login may not {}", missing.join(", ")))
                    .fix(grant(source))
            })
        }
        Err(error) => Some(
            Diagnostic::new("rights not known", object.clone()).why(error.to_string()).fix(grant(source)),
        ),
    };
    facts.requirements.push(requirement("grant", &object, unmet));
}
