//! What a copy must be before it counts as the database: one file, undamaged, its rows counted.
//!
//! Never here: a live database. `integrity_check` says `ok` of an empty file, so the header is looked at first.

use super::copy::harden;
use super::header;
use crate::format::Counts;
use crate::host::pulse;
use rusqlite::{Connection, OpenFlags, Row};
use std::path::Path;

/// Problems that a message names at most.
const PROBLEMS_MAX: usize = 5;

/// What was found in an undamaged copy.
#[derive(Debug)]
pub(super) struct Checked {
    /// Rows of each table, and how many objects of each kind there are.
    pub(super) counts: Counts,
    /// What could not be checked or counted.
    pub(super) warnings: Vec<String>,
    /// The file's length.
    pub(super) bytes: u64,
}

/// Takes a copy out of WAL mode, so that the one file is all of it.
pub(super) fn make_self_contained(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    harden(&connection)?;
    connection.pragma_update(None, "synchronous", "off")?;
    // That it worked is read from the header afterwards.
    let _mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
    connection.close().map_err(|(_, error)| error)
}

/// Checks a copy's header and length, runs `integrity_check` over it, and counts. The error is what is wrong with it.
pub(super) fn check(path: &Path) -> Result<Checked, String> {
    let bytes = rustix::fs::stat(path).map_err(|error| error.to_string())?.st_size;
    let bytes = u64::try_from(bytes).map_err(|error| error.to_string())?;
    let header = header::read(path).map_err(|error| error.to_string())?;
    if header.is_wal() {
        return Err("it is in WAL mode, so it may not be all of the database".into());
    }
    if header.file_bytes() != bytes {
        return Err(format!("it has {bytes} bytes where its header says {}", header.file_bytes()));
    }
    let said = |error: rusqlite::Error| error.to_string();
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(said)?;
    harden(&connection).map_err(said)?;
    let mut warnings = Vec::new();
    integrity(&connection, &mut warnings)?;
    let counts = count(&connection, &mut warnings).map_err(said)?;
    Ok(Checked { counts, warnings, bytes })
}

/// An error that comes from what the application brings along (functions, collations, modules), not from damage.
fn is_foreign(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    [
        "no such function",
        "unknown function",
        "no such collation sequence",
        "no such module",
        "unknown tokenizer",
    ]
    .iter()
    .any(|phrase| text.contains(phrase))
}

fn problems(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let found = connection
        .prepare(pragma)?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(if found == ["ok"] { Vec::new() } else { found })
}

/// `integrity_check`. Where the schema uses what only the application has, it refuses as a whole: then each table is
/// checked alone, and those that refuse are read row by row instead, and named in a warning.
fn integrity(connection: &Connection, warnings: &mut Vec<String>) -> Result<(), String> {
    let _a_check_gives_no_sign = pulse::Excuse::begin();
    let found = match problems(connection, "PRAGMA integrity_check") {
        Err(error) if is_foreign(&error) => {
            warnings.push(format!("integrity_check ran table by table, because the whole refuses: {error}"));
            integrity_by_table(connection, warnings)
        }
        found => found,
    };
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Ok(());
    }
    let named = found.iter().take(PROBLEMS_MAX).cloned().collect::<Vec<_>>().join("; ");
    let more = found.len().saturating_sub(PROBLEMS_MAX);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(format!("integrity_check: {named}{rest}"))
}

fn integrity_by_table(connection: &Connection, warnings: &mut Vec<String>) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    for table in tables(connection)? {
        match problems(connection, &format!("PRAGMA integrity_check({})", quoted(&table))) {
            Ok(problems) => found.extend(problems),
            Err(error) if is_foreign(&error) => {
                warnings.push(format!("indexes and constraints of table `{table}` are not checked: {error}"));
                match read_rows(connection, &table) {
                    Err(error) if is_foreign(&error) => {
                        warnings.push(format!("rows of table `{table}` are not checked: {error}"));
                    }
                    read => read?,
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Reads every value of every row, which meets damaged and missing pages.
fn read_rows(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {} NOT INDEXED", quoted(table)))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        (0..columns).try_for_each(|column| row.get_ref(column).map(|_value| ()))?;
    }
    Ok(())
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect()
}

/// An identifier as SQL text; table names are data.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn number(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(0)?.unsigned_abs())
}

fn count(connection: &Connection, warnings: &mut Vec<String>) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for (key, kind) in [("tables", "table"), ("indexes", "index"), ("triggers", "trigger"), ("views", "view")]
    {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = ?1";
        counts.0.insert(key.into(), connection.query_row(sql, [kind], number)?);
    }
    let tables = tables(connection)?;
    if tables.is_empty() {
        warnings.push("the database has no tables".into());
    }
    for table in tables {
        let sql = format!("SELECT count(*) FROM {}", quoted(&table));
        match connection.query_row(&sql, [], number) {
            Ok(rows) => {
                counts.0.insert(format!("table:{table}"), rows);
            }
            Err(error) if is_foreign(&error) => {
                warnings.push(format!("table `{table}` could not be counted: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}
