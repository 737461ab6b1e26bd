//! What plan and audit see: one login, catalogues read, nothing changed.

use super::addresses;
use super::catalogue::is_foreign_folder;
use super::client::{Ask, CLIENT, Client, DUMP, OneLogin, server_name};
use super::doors;
use super::facts::ServerFacts;
use super::words::literal;
use super::{accounts, taken};
use crate::declared::{MysqlDeclaration, Standing};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::secrets::SecretError;
use crate::sources::{SourceError, tool_requirement, tool_search_path};
use std::collections::BTreeMap;

/// Bits of a mode that let everybody write.
const EVERYBODY_WRITES: u32 = 0o002;

/// Why the programs would pass over the declared option file, with no more than a warning.
pub(super) fn ignored_defaults_file(host: &dyn Host, declaration: &MysqlDeclaration) -> Option<String> {
    let path = declaration.defaults_file.as_ref()?;
    let status = host.status(path).ok()?;
    (status.mode & EVERYBODY_WRITES != 0).then(|| {
        format!(
            "everybody may write to {}, so the programs ignore it: chmod 600 {}",
            path.display(),
            path.display()
        )
    })
}

/// Looks.
pub(super) fn look(host: &dyn Host, declaration: &MysqlDeclaration) -> SourceFacts {
    let path = tool_search_path(declaration.tools.as_deref(), &[]);
    let package = "mariadb-client or mysql-client";
    let mut requirements =
        [CLIENT, DUMP].map(|names| tool_requirement(host, &names, &path, package)).to_vec();
    requirements.extend(defaults_file(host, declaration));
    let client = match Client::declared(host, declaration) {
        Ok(client) => client,
        Err(SourceError::Secret(error)) => return without_secret(requirements, &error),
        Err(error) => {
            let unmet = not_asked(declaration, &error);
            return SourceFacts::new(Observed::Unknown(unmet), requirements);
        }
    };
    let mut login = OneLogin { host, client: &client };
    let facts = match ServerFacts::read(&mut login) {
        Ok(facts) => facts,
        Err(error) => {
            let unmet = not_asked(declaration, &error);
            let kind = if refused_login(&error) { "login" } else { "server" };
            requirements.push(requirement(kind, client.server(), Some(unmet.clone())));
            return SourceFacts::new(Observed::Unknown(unmet), requirements);
        }
    };
    requirements.push(requirement("login", &format!("{} as {}", client.server(), facts.account), None));
    requirements.push(version(&client, &facts));
    requirements.push(catalogue(declaration, &facts));
    requirements.extend(grants(declaration, &facts));
    requirements.extend(foreign_folders(declaration, &facts));
    let (members, uncovered) = members(declaration, &facts, &mut login);
    let mut seen = SourceFacts::new(members, requirements);
    seen.uncovered = uncovered;
    seen.addresses = addresses::of(host, declaration, &facts);
    seen.doors = doors::look(host, declaration, &client, &facts, &mut login);
    seen
}

fn requirement(kind: &str, object: &str, unmet: Option<Diagnostic>) -> RequirementFacts {
    RequirementFacts { kind: kind.to_owned(), object: object.to_owned(), unmet }
}

fn without_secret(mut requirements: Vec<RequirementFacts>, error: &SecretError) -> SourceFacts {
    let unmet = Diagnostic::from_error("secret not available", error).fix(error.remedy());
    let only_in_a_run = error.only_in_a_run();
    if !only_in_a_run {
        requirements.push(requirement("secret", "password", Some(unmet.clone())));
    }
    let mut facts = SourceFacts::new(Observed::Unknown(unmet), requirements);
    facts.deferred = only_in_a_run.then(|| error.to_string());
    facts
}

/// Error 1045 and its kin: the server is there, and does not let the account in.
fn refused_login(error: &SourceError) -> bool {
    let text = error.to_string();
    ["ERROR 1045", "ERROR 1698", "ERROR 1130", "ERROR 1862", "ERROR 4151"].iter().any(|it| text.contains(it))
}

fn not_asked(declaration: &MysqlDeclaration, error: &SourceError) -> Diagnostic {
    let fix = if refused_login(error) {
        "check `user` and `password`, or let the server know the account".to_owned()
    } else {
        match error {
            SourceError::ToolMissing { .. } => {
                "install mariadb-client or mysql-client, or name its folder with `tools:`".to_owned()
            }
            _ => format!("start the server, or correct where it is: `{}`", server_name(declaration)),
        }
    };
    Diagnostic::from_error("server not asked", error).fix(fix)
}

fn defaults_file(host: &dyn Host, declaration: &MysqlDeclaration) -> Option<RequirementFacts> {
    let path = declaration.defaults_file.as_ref()?;
    let object = path.display().to_string();
    let what = format!("option file {object}");
    let unmet = match host.may_read(path) {
        Err(error) => Some(
            Diagnostic::new("option file not readable", what)
                .why(format!("user {}: {error}", host.user().name))
                .fix(format!("write it to {object} with mode 0600, for that user")),
        ),
        Ok(()) => ignored_defaults_file(host, declaration).map(|why| {
            Diagnostic::new("option file ignored", what).why(why).fix(format!("chmod 600 {object}"))
        }),
    };
    Some(requirement("readable", &object, unmet))
}

fn version(client: &Client, facts: &ServerFacts) -> RequirementFacts {
    let object = format!("{} {} for {}", client.dump_name(), client.version(), facts.version);
    let unmet = client.version().older_than(facts.version).then(|| {
        Diagnostic::new("client too old", format!("{} is of {}", client.dump_name(), client.version()))
            .why(format!("the server is {}", facts.version))
            .fix(format!(
                "install the client programs of {}, or name their folder with `tools:`",
                facts.version
            ))
    });
    requirement("version", &object, unmet)
}

/// Whether what the server shows is all that there is.
fn catalogue(declaration: &MysqlDeclaration, facts: &ServerFacts) -> RequirementFacts {
    let object = format!("schemas shown to {}", facts.account);
    let unmet = (!facts.grants.sees_every_schema()).then(|| {
        Diagnostic::new("the list of schemas may not be complete", server_name(declaration))
            .why(format!(
                "account {} is shown the schemas that it has rights on, and no other",
                facts.account
            ))
            .fix(facts.grants.for_everything())
    });
    requirement("catalogue", &object, unmet)
}

/// Folders of somebody's that the server takes for schemas.
fn foreign_folders(declaration: &MysqlDeclaration, facts: &ServerFacts) -> Vec<RequirementFacts> {
    let taken = taken(&declaration.databases, &facts.schemas);
    let folder = |name: String| {
        let unmet = Diagnostic::new("a folder that is no schema", format!("`{name}` of {}", server_name(declaration)))
            .why("somebody made it in the server's data folder; the server lists it, and may not be able to read it")
            .fix(format!(
                "take the folder away, or leave it out: `ignore: {{ \"{name}\": no schema }}`; where it is a schema of a \
                 server before 5.1: ALTER DATABASE `{name}` UPGRADE DATA DIRECTORY NAME"
            ));
        requirement("catalogue", &name, Some(unmet))
    };
    taken.into_iter().filter(|name| is_foreign_folder(name)).map(folder).collect()
}

/// The rights that each member takes.
fn grants(declaration: &MysqlDeclaration, facts: &ServerFacts) -> Vec<RequirementFacts> {
    let mut requirements = Vec::new();
    for name in taken(&declaration.databases, &facts.schemas) {
        let missing = if name == accounts::MEMBER {
            let missing = !facts.grants.reads_accounts();
            missing
                .then(|| ("SELECT".to_owned(), facts.grants.for_accounts()))
                .into_iter()
                .collect::<Vec<_>>()
        } else {
            facts.grants.missing(&name, facts.version)
        };
        let lock = (name != accounts::MEMBER).then(|| facts.grants.missing_lock(&name)).flatten();
        let object = format!("schema `{name}` for {}", facts.account);
        if missing.is_empty() && lock.is_none() {
            requirements.push(requirement("grant", &object, None));
        }
        let short = "a dump without it ends well, and lacks what the account may not see";
        let loose = "without it no count belongs to the dump's own moment, and rows that are written meanwhile can fail \
                     the run";
        let missing = missing.into_iter().map(|it| (it, short)).chain(lock.map(|it| (it, loose)));
        for ((right, mends), why) in missing {
            let unmet = Diagnostic::new(
                "right missing",
                format!("account {} lacks {right} for `{name}`", facts.account),
            )
            .why(why)
            .fix(mends);
            requirements.push(requirement("grant", &format!("{right} on {object}"), Some(unmet)));
        }
    }
    requirements
}

/// What is taken and what nobody said anything about, with sizes as the server estimates them.
fn members(
    declaration: &MysqlDeclaration,
    facts: &ServerFacts,
    ask: &mut dyn Ask,
) -> (Observed<Vec<MemberFacts>>, Vec<MemberFacts>) {
    let choice = &declaration.databases;
    let sizes = sizes(&facts.schemas, ask).unwrap_or_default();
    let fact = |name: &str| MemberFacts { name: name.to_owned(), size_bytes: sizes.get(name).copied() };
    let all = facts.schemas.iter().map(String::as_str).chain([accounts::MEMBER]);
    let uncovered = all.filter(|name| choice.standing(name) == Standing::Uncovered).map(fact).collect();
    let listed = choice.listed.iter().flatten();
    let known = |name: &String| name == accounts::MEMBER || facts.schemas.contains(name);
    let absent: Vec<&String> = listed.filter(|name| !known(name)).collect();
    if let Some(name) = absent.first() {
        let fix = format!(
            "create schema `{name}`, or take it out of the plan file: one that is listed is never skipped"
        );
        let unmet = Diagnostic::new("schema missing", format!("`{name}` of {}", server_name(declaration)));
        return (Observed::Unknown(unmet.fix(fix)), uncovered);
    }
    if choice.listed.is_none() && !facts.grants.sees_every_schema() {
        let unmet = Diagnostic::new("the list of schemas may not be complete", server_name(declaration));
        return (Observed::Unknown(unmet.fix(facts.grants.for_everything())), uncovered);
    }
    let members = taken(choice, &facts.schemas).iter().map(|name| fact(name)).collect();
    (Observed::Present(members), uncovered)
}

fn sizes(schemas: &[String], ask: &mut dyn Ask) -> Option<BTreeMap<String, u64>> {
    if schemas.is_empty() {
        return None;
    }
    let list: Vec<String> = schemas.iter().map(|it| literal(it)).collect();
    let question = format!(
        "SELECT TABLE_SCHEMA, CAST(SUM(COALESCE(DATA_LENGTH, 0)) AS UNSIGNED) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA IN ({}) GROUP BY TABLE_SCHEMA",
        list.join(", ")
    );
    let rows = ask.rows(&question).ok()?;
    let size = |row: &Vec<String>| Some((row.first()?.clone(), row.get(1)?.parse().ok()?));
    Some(rows.iter().filter_map(size).collect())
}
