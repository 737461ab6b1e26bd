//! Whether a role may read all of a database: `pg_dump` fails at the first table that it may not.
//!
//! Only looks, and says the exact command that mends what is missing.

use super::Reached;
use super::login::identifier;
use super::look::requirement;
use super::session::ask;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::RequirementFacts;
use serde_json::Value;

/// The first few that are missing are named.
const NAMED: usize = 3;

/// What a dump reads and this role may not, each with the word for what is missing.
const MISSING: &str = "\
select json_build_array('usage', n.nspname, '') from pg_catalog.pg_namespace n \
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not has_schema_privilege(n.oid, 'usage') \
    and exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid) \
union all select json_build_array('select', n.nspname, c.relname) from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'S') \
    and not case c.relkind when 'S' then has_sequence_privilege(c.oid, 'select') \
    else has_table_privilege(c.oid, 'select') end \
union all select json_build_array('row security', n.nspname, c.relname) from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname !~ '^pg_' and c.relkind in ('r', 'p') and c.relrowsecurity \
    and not (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user) \
    and (c.relforcerowsecurity or not pg_has_role(c.relowner, 'usage')) \
union all select json_build_array('large object', '', m.oid::text) from pg_catalog.pg_largeobject_metadata m \
    where not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) \
    and not pg_has_role(m.lomowner, 'usage') \
    and not exists (select from aclexplode(m.lomacl) a where a.privilege_type = 'SELECT' \
    and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))";

/// The rights on one database.
pub(super) fn of_database(host: &dyn Host, reached: &Reached, database: &str) -> RequirementFacts {
    let Reached { login, toolbox, server } = reached;
    let object = format!("{}, database `{database}`", login.server());
    let rows = match ask(host, login, &toolbox.path("psql"), database, MISSING) {
        Ok(rows) => rows,
        Err(error) => {
            let role = identifier(&server.role);
            let diagnostic = Diagnostic::from_error("database not looked at", &error)
                .fix(format!("run: GRANT CONNECT ON DATABASE {} TO {role}", identifier(database)));
            return requirement("login", object, Some(diagnostic));
        }
    };
    requirement("grant", object, missing(&rows, &server.role, server.version, database))
}

fn missing(rows: &[Value], role: &str, version: u32, database: &str) -> Option<Diagnostic> {
    let of = |word: &str| -> Vec<String> {
        let fits = rows.iter().filter(|row| row[0].as_str() == Some(word));
        fits.map(|row| {
            let part = |at: usize| row[at].as_str().unwrap_or_default().to_owned();
            let parts: Vec<String> = [part(1), part(2)].into_iter().filter(|it| !it.is_empty()).collect();
            parts.iter().map(|it| identifier(it)).collect::<Vec<_>>().join(".")
        })
        .collect()
    };
    let quoted = identifier(role);
    let few = |names: &[String]| {
        let more = names.len().saturating_sub(NAMED);
        let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if more == 0 { shown } else { format!("{shown} and {more} more") }
    };
    let (schemas, tables, secured, objects) =
        (of("usage"), of("select"), of("row security"), of("large object"));
    let (mut lacks, mut mends) = (Vec::new(), Vec::new());
    if !schemas.is_empty() || !tables.is_empty() {
        lacks.push(format!("it may not read {}", few(&[schemas, tables.clone()].concat())));
        if version >= 140_000 {
            mends.push(format!("GRANT pg_read_all_data TO {quoted}"));
        } else {
            mends.push(format!(
                "GRANT SELECT ON {} TO {quoted} (in database `{database}`)",
                tables.join(", ")
            ));
        }
    }
    if !secured.is_empty() {
        lacks.push(format!("row security hides rows of {} from it", few(&secured)));
        mends.push(format!("ALTER ROLE {quoted} BYPASSRLS"));
    }
    if !objects.is_empty() {
        lacks.push(format!("it may not read {} large objects, such as {}", objects.len(), few(&objects)));
        mends.push(format!("ALTER ROLE {quoted} SUPERUSER (or GRANT SELECT ON LARGE OBJECT for each)"));
    }
    if lacks.is_empty() {
        return None;
    }
    let what = format!("role `{role}` cannot dump database `{database}`: {}", lacks.join("; "));
    Some(Diagnostic::new("right missing", what).fix(format!("run: {}", mends.join("; "))))
}
