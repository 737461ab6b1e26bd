//! What a schema consists of, and how many of each there are: asked in the same words at backup time and after a
//! restore.
//!
//! Never here: `information_schema.TABLE_ROWS`, which is an estimate.

use super::client::{Ask, Rows};
use super::words::{identifier, literal};
use crate::format::Counts;
use crate::host::pulse;
use crate::sources::SourceError;
use std::collections::BTreeMap;

/// Schemas that the server makes for itself.
pub(super) const OF_THE_SERVER: [&str; 4] = ["information_schema", "performance_schema", "sys", "mysql"];

/// What kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    /// With rows of its own.
    Base,
    /// With rows and their history.
    Versioned,
    /// A view.
    View,
    /// A sequence of `MariaDB`'s.
    Sequence,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    pub kind: TableKind,
    pub engine: String,
}

/// Engines whose rows lie elsewhere: dumps leave them out (mysqldump's `check_if_ignore_table()`, and what stores
/// nothing).
const ROWS_ELSEWHERE: [&str; 8] =
    ["MRG_MYISAM", "MRG_ISAM", "FEDERATED", "CONNECT", "OQGRAPH", "SPIDER", "SPHINX", "BLACKHOLE"];
/// Engines whose rows a transaction's snapshot holds still.
const IN_SNAPSHOT: [&str; 2] = ["INNODB", "ROCKSDB"];

impl Table {
    /// Whether a dump has its rows.
    pub fn has_rows(&self) -> bool {
        match self.kind {
            TableKind::Base | TableKind::Versioned => {
                !ROWS_ELSEWHERE.contains(&self.engine.to_uppercase().as_str())
            }
            TableKind::View | TableKind::Sequence => false,
        }
    }

    /// Whether a transaction's snapshot holds its rows still.
    pub fn in_snapshot(&self) -> bool {
        IN_SNAPSHOT.contains(&self.engine.to_uppercase().as_str())
    }

    /// Whether it is a table that is written out as one.
    pub fn is_table(&self) -> bool {
        matches!(self.kind, TableKind::Base | TableKind::Versioned)
    }
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Catalogue {
    /// Its default character set.
    pub charset: String,
    /// Its default collation.
    pub collation: String,
    /// Its tables and views, by name.
    pub tables: Vec<Table>,
    /// How many objects of each kind there are.
    pub objects: BTreeMap<String, u64>,
}

impl Catalogue {
    /// Reads it; a schema that does not exist is [`SourceError::Missing`].
    pub fn read(ask: &mut dyn Ask, schema: &str) -> Result<Self, SourceError> {
        let answers = ask.ask(&questions(schema))?;
        let [about, tables, columns, indexes, foreign, triggers, events, routines]: [Rows; 8] =
            answers.try_into().map_err(|_| odd(schema))?;
        let Some([charset, collation]) = about.first().map(Vec::as_slice) else {
            return Err(SourceError::Missing { object: schema.to_owned() });
        };
        let tables: Vec<Table> = tables.iter().map(|row| table(row, schema)).collect::<Result<_, _>>()?;
        let mut objects = BTreeMap::new();
        let of = |kinds: &[TableKind]| tables.iter().filter(|it| kinds.contains(&it.kind)).count() as u64;
        objects.insert("tables".to_owned(), of(&[TableKind::Base, TableKind::Versioned]));
        objects.insert("views".to_owned(), of(&[TableKind::View]));
        objects.insert("sequences".to_owned(), of(&[TableKind::Sequence]));
        let real = |name: &str| tables.iter().any(|it| it.is_table() && it.name == name);
        let sum = |rows: &Rows| {
            let numbers =
                rows.iter().filter(|row| row.first().is_some_and(|it| real(it))).map(|row| number(row, 1));
            numbers.sum::<Option<u64>>().ok_or_else(|| odd(schema))
        };
        objects.insert("columns".to_owned(), sum(&columns)?);
        objects.insert("indexes".to_owned(), sum(&indexes)?);
        let one = |rows: &Rows| rows.first().and_then(|row| number(row, 0)).ok_or_else(|| odd(schema));
        objects.insert("foreign keys".to_owned(), one(&foreign)?);
        objects.insert("triggers".to_owned(), one(&triggers)?);
        objects.insert("events".to_owned(), one(&events)?);
        for kind in ["procedures", "functions", "packages", "package bodies"] {
            objects.insert(kind.to_owned(), 0);
        }
        for row in &routines {
            let kind = match row.first().map(String::as_str) {
                Some("PROCEDURE") => "procedures",
                Some("FUNCTION") => "functions",
                Some("PACKAGE") => "packages",
                Some("PACKAGE BODY") => "package bodies",
                Some(_) | None => return Err(odd(schema)),
            };
            objects.insert(kind.to_owned(), number(row, 1).ok_or_else(|| odd(schema))?);
        }
        Ok(Self { charset: charset.clone(), collation: collation.clone(), tables, objects })
    }

    /// Whether a table has a history of its rows.
    pub fn has_history(&self) -> bool {
        self.tables.iter().any(|table| table.kind == TableKind::Versioned)
    }

    /// The counts of objects, and the schema's collation, which has no other place to be compared in.
    pub fn counts(&self, history: bool) -> BTreeMap<String, u64> {
        let mut counts = self.objects.clone();
        if history {
            let versioned = self.tables.iter().filter(|it| it.kind == TableKind::Versioned);
            counts.insert(HISTORIES.to_owned(), versioned.count() as u64);
        }
        counts.insert(format!("collation {}", self.collation), 1);
        counts
    }
}

/// The name of a count of rows.
pub(super) fn rows_key(table: &str) -> String {
    format!("table:{table}")
}

/// The name of a count of rows with their history.
pub(super) fn history_key(table: &str) -> String {
    format!("history:{table}")
}

/// The count of histories, which is there exactly where they are in the dump.
const HISTORIES: &str = "histories";

/// Whether what was counted so had the history of system-versioned tables with it.
pub(super) fn with_history(counts: &Counts) -> bool {
    counts.0.contains_key(HISTORIES)
}

/// The questions that count a table's rows; with the history where that is wanted.
pub(super) fn count_questions(schema: &str, table: &Table, history: bool) -> Vec<(String, String)> {
    let name = format!("{}.{}", identifier(schema), identifier(&table.name));
    let mut questions = vec![(rows_key(&table.name), format!("SELECT COUNT(*) FROM {name}"))];
    if history && table.kind == TableKind::Versioned {
        let question = format!("SELECT COUNT(*) FROM {name} FOR SYSTEM_TIME ALL");
        questions.push((history_key(&table.name), question));
    }
    questions
}

/// Counts rows of tables. Inside of a transaction with a savepoint, no table stays locked against ALTER behind its
/// count.
pub(super) fn count_rows<'a>(
    ask: &mut dyn Ask,
    schema: &str,
    tables: impl Iterator<Item = &'a Table>,
    history: bool,
) -> Result<BTreeMap<String, u64>, SourceError> {
    let mut counts = BTreeMap::new();
    for table in tables {
        for (key, question) in count_questions(schema, table, history) {
            let rows = ask.rows(&question)?;
            let count = rows.first().and_then(|row| number(row, 0)).ok_or_else(|| odd(schema))?;
            counts.insert(key, count);
            pulse::beat();
        }
    }
    Ok(counts)
}

/// Everything about a schema that can be counted: objects and rows.
pub(super) fn count_everything(
    ask: &mut dyn Ask,
    schema: &str,
    history: bool,
) -> Result<Counts, SourceError> {
    let catalogue = Catalogue::read(ask, schema)?;
    let mut counts = catalogue.counts(history);
    let tables = catalogue.tables.iter().filter(|table| table.has_rows());
    counts.extend(count_rows(ask, schema, tables, history)?);
    Ok(Counts(counts))
}

/// The schemas that are members.
pub(super) const SCHEMATA: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME";

/// How the server shows a folder of its data folder whose name it would never have given to a schema's.
const FOREIGN_FOLDER: &str = "#mysql50#";
/// What `fsck` keeps in the root of a file system, where that is the data folder. It is no schema, and was none: a schema
/// `lost+found` lies in `lost@002bfound`, and before the server wrote names so, this folder was taken as well.
const LOST_AND_FOUND: &str = "#mysql50#lost+found";

/// Whether it is a folder that the server takes for a schema, and has not made as one. It may be one of a server before
/// 5.1, so it is no less a member; but whoever put it there must say.
pub(super) fn is_foreign_folder(name: &str) -> bool {
    name.starts_with(FOREIGN_FOLDER)
}

/// The names of an answer to [`SCHEMATA`] without those of the server, and without `lost+found`.
pub(super) fn members(rows: &Rows) -> Vec<String> {
    let of_server =
        |name: &str| OF_THE_SERVER.contains(&name.to_lowercase().as_str()) || name == LOST_AND_FOUND;
    rows.iter().filter_map(|row| row.first()).filter(|name| !of_server(name)).cloned().collect()
}

fn questions(schema: &str) -> Vec<String> {
    let schema = literal(schema);
    let from = |what: &str, table: &str, column: &str, behind: &str| {
        format!("SELECT {what} FROM information_schema.{table} WHERE {column} = {schema} {behind}")
    };
    vec![
        from("DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME", "SCHEMATA", "SCHEMA_NAME", ""),
        from("TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, '')", "TABLES", "TABLE_SCHEMA", "ORDER BY TABLE_NAME"),
        from("TABLE_NAME, COUNT(*)", "COLUMNS", "TABLE_SCHEMA", "GROUP BY TABLE_NAME"),
        from("TABLE_NAME, COUNT(DISTINCT INDEX_NAME)", "STATISTICS", "TABLE_SCHEMA", "GROUP BY TABLE_NAME"),
        from("COUNT(*)", "REFERENTIAL_CONSTRAINTS", "CONSTRAINT_SCHEMA", ""),
        from("COUNT(*)", "TRIGGERS", "TRIGGER_SCHEMA", ""),
        from("COUNT(*)", "EVENTS", "EVENT_SCHEMA", ""),
        from("ROUTINE_TYPE, COUNT(*)", "ROUTINES", "ROUTINE_SCHEMA", "GROUP BY ROUTINE_TYPE"),
    ]
}

fn table(row: &[String], schema: &str) -> Result<Table, SourceError> {
    let [name, kind, engine] = row else { return Err(odd(schema)) };
    let kind = match kind.as_str() {
        "BASE TABLE" => TableKind::Base,
        "SYSTEM VERSIONED" => TableKind::Versioned,
        "VIEW" => TableKind::View,
        "SEQUENCE" => TableKind::Sequence,
        _ => return Err(odd(schema)),
    };
    Ok(Table { name: name.clone(), kind, engine: engine.clone() })
}

fn number(row: &[String], column: usize) -> Option<u64> {
    row.get(column)?.parse().ok()
}

fn odd(schema: &str) -> SourceError {
    SourceError::Server {
        server: format!("schema `{schema}`"),
        reason: "its catalogue holds what this bkp does not know".into(),
    }
}
