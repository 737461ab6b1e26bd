//! What a database holds, counted by the same SQL at backup time and after a restore.
//!
//! Only what `pg_dump` writes is counted: nothing of the system's schemas, nothing that an extension brings. Rows are
//! those of each table alone, without its children, because so they are dumped.

use super::SourceError;
use super::login::{Login, identifier, literal};
use super::session::Session;
use crate::format::Counts;
use crate::host::pulse;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tables asked for in one statement.
const TABLES_AT_ONCE: usize = 20;

/// A schema of the user's, as `pg_dump` sees it.
const SCHEMA: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'";

/// Objects that an extension (`e`) or another object (`i`) brings with it are not dumped by themselves.
fn own(class: &str, oid: &str) -> String {
    format!(
        "not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.{class}'::regclass \
         and d.objid = {oid} and d.deptype in ('e', 'i'))"
    )
}

fn not_of_an_extension(class: &str, oid: &str) -> String {
    own(class, oid).replace("('e', 'i')", "('e')")
}

/// Each kind with the SQL that counts it.
fn kinds(server_version: u32) -> Vec<(&'static str, String)> {
    let relation = |kinds: &str| {
        format!(
            "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where {SCHEMA} and c.relkind in ({kinds}) and {}",
            not_of_an_extension("pg_class", "c.oid")
        )
    };
    let named = |class: &str, schema: &str, more: &str| {
        format!(
            "select count(*) from pg_catalog.{class} o join pg_catalog.pg_namespace n on n.oid = o.{schema} \
             where {SCHEMA} and {}{more}",
            own(class, "o.oid")
        )
    };
    // An object without a schema is the user's when its number is above those of initdb (FirstNormalObjectId).
    let loose = |class: &str| {
        let own = own(class, "o.oid");
        format!("select count(*) from pg_catalog.{class} o where o.oid >= 16384 and {own}")
    };
    let on_table = |class: &str, table: &str, more: &str| {
        format!(
            "select count(*) from pg_catalog.{class} o join pg_catalog.pg_class c on c.oid = o.{table} \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace where {SCHEMA} and {}{more}",
            not_of_an_extension("pg_class", "c.oid")
        )
    };
    let mut kinds = vec![
        // A restore goes into a database that has `public` already.
        ("schemas", format!("select count(*) from pg_catalog.pg_namespace n where {SCHEMA} and n.nspname <> 'public' and {}", own("pg_namespace", "n.oid"))),
        ("tables", relation("'r', 'p'")),
        ("foreign tables", relation("'f'")),
        ("views", relation("'v'")),
        ("materialized views", relation("'m'")),
        ("sequences", relation("'S'")),
        ("indexes", on_table("pg_index", "indrelid", "")),
        // Kinds of constraint that every version keeps here.
        ("constraints", named("pg_constraint", "connamespace", " and o.contype in ('c', 'f', 'p', 'u', 'x')").replace("('e', 'i')", "('e')")),
        ("triggers", on_table("pg_trigger", "tgrelid", " and not o.tgisinternal")),
        ("rules", on_table("pg_rewrite", "ev_class", " and o.rulename <> '_RETURN'")),
        ("policies", on_table("pg_policy", "polrelid", "")),
        ("column defaults", on_table("pg_attrdef", "adrelid", "")),
        ("functions", named("pg_proc", "pronamespace", "")),
        ("types", named("pg_type", "typnamespace", " and o.typtype in ('b', 'd', 'e', 'r') and not exists (select from pg_catalog.pg_type e where e.typarray = o.oid)")),
        ("composite types", relation("'c'")),
        ("enum values", "select count(*) from pg_catalog.pg_enum o join pg_catalog.pg_type t on t.oid = o.enumtypid where o.oid >= 16384 and ".to_owned() + &own("pg_type", "t.oid")),
        ("operators", named("pg_operator", "oprnamespace", "")),
        ("operator classes", named("pg_opclass", "opcnamespace", "")),
        ("collations", named("pg_collation", "collnamespace", "")),
        ("conversions", named("pg_conversion", "connamespace", "")),
        ("statistics", named("pg_statistic_ext", "stxnamespace", "")),
        ("text search configurations", named("pg_ts_config", "cfgnamespace", "")),
        ("text search dictionaries", named("pg_ts_dict", "dictnamespace", "")),
        ("casts", loose("pg_cast")),
        ("languages", loose("pg_language")),
        ("foreign servers", loose("pg_foreign_server")),
        ("event triggers", loose("pg_event_trigger")),
        ("publications", loose("pg_publication")),
        ("default privileges", "select count(*) from pg_catalog.pg_default_acl".to_owned()),
        ("extensions", "select count(*) from pg_catalog.pg_extension where extname <> 'plpgsql'".to_owned()),
        ("large objects", "select count(*) from pg_catalog.pg_largeobject_metadata".to_owned()),
    ];
    kinds.retain(|(kind, _)| server_version >= 100_000 || !matches!(*kind, "publications" | "statistics"));
    kinds
}

/// Tables whose rows a dump holds: ordinary ones of the user's, the leaves of partitioned ones among them.
const TABLES: &str = "select json_build_array(n.nspname, c.relname) from pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and c.relpersistence <> 't'";

/// The key of a table's rows.
fn rows_key(table: &str) -> String {
    format!("rows {table}")
}

/// A table's name in a key: a part that holds a dot or a quote is in quotes, so that no two tables have one key.
pub(super) fn table_name(schema: &str, table: &str) -> String {
    let part = |name: &str| if name.contains(['.', '"']) { identifier(name) } else { name.to_owned() };
    format!("{}.{}", part(schema), part(table))
}

/// Whether a database holds anything of a user's: the number of its objects of every kind that is counted.
pub(super) fn holds_anything(server_version: u32) -> String {
    let all: Vec<String> = kinds(server_version).into_iter().map(|(_, sql)| format!("({sql})")).collect();
    format!("select json_build_array({})", all.join(" + "))
}

/// Counts everything, in the session's transaction. `stop` ends it between two tables.
pub(super) fn count(session: &mut Session, login: &Login, stop: &AtomicBool) -> Result<Counts, SourceError> {
    let wrong = |what: &Value| login.refused(format!("a count came back as `{what}`"));
    let mut counts = Counts::default();
    let version = session.rows("select json_build_array(current_setting('server_version_num')::int)")?;
    let version = version.first().and_then(|row| row[0].as_u64()).and_then(|it| u32::try_from(it).ok());
    let union = |queries: Vec<(String, String)>| {
        let one =
            |(key, sql): (String, String)| format!("select json_build_array({}, ({sql}))", literal(&key));
        queries.into_iter().map(one).collect::<Vec<_>>().join("\nunion all ")
    };
    let kinds = kinds(version.unwrap_or(0));
    let objects = kinds.into_iter().map(|(kind, sql)| (kind.to_owned(), sql)).collect();
    let mut tables = Vec::new();
    let filter = format!("{TABLES} and {SCHEMA} and {}", not_of_an_extension("pg_class", "c.oid"));
    for row in session.rows(&filter)? {
        let (Some(schema), Some(table)) = (row[0].as_str(), row[1].as_str()) else { return Err(wrong(&row)) };
        let sql = format!("select count(*) from only {}.{}", identifier(schema), identifier(table));
        tables.push((rows_key(&table_name(schema, table)), sql));
    }
    let batches = std::iter::once(objects).chain(tables.chunks(TABLES_AT_ONCE).map(<[_]>::to_vec));
    for batch in batches {
        if stop.load(Ordering::Relaxed) {
            return Err(login.refused("counting was given up"));
        }
        let asked = batch.len();
        let rows = session.rows(&union(batch))?;
        if rows.len() != asked {
            return Err(login.refused(format!("{} of {asked} counts came back", rows.len())));
        }
        for row in rows {
            let (Some(key), Some(count)) = (row[0].as_str(), row[1].as_u64()) else {
                return Err(wrong(&row));
            };
            counts.0.insert(key.to_owned(), count);
        }
        pulse::beat();
    }
    Ok(counts)
}
