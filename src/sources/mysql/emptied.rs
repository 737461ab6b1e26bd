//! A live schema emptied, once it lies copied beside itself.
//!
//! Between a copy's moment and the removal of what was copied, people write. Never here: a table that goes before all of
//! them are locked against writing, and have been found to be what was copied.

use super::catalogue::{Catalogue, Table, TableKind, count_everything, count_rows, with_history};
use super::client::Ask;
use super::words::identifier;
use crate::format::Counts;
use crate::sources::SourceError;
use std::collections::BTreeMap;

/// How long the lock is waited for, in seconds.
const LOCK_SECONDS: u64 = 10;

/// What has become of a schema.
#[derive(Debug)]
pub(super) enum Emptied {
    /// It has no table any more.
    Whole,
    /// Nothing of it was removed, for this reason.
    Untouched(String),
    /// Something of it may have been removed, and not all of it, for this reason.
    Partly(String),
}

/// The server's check sums of each table's rows. Counts alone do not show a row that was changed.
pub(super) fn checksums(ask: &mut dyn Ask, schema: &str) -> Result<BTreeMap<String, String>, SourceError> {
    let catalogue = Catalogue::read(ask, schema)?;
    let mut sums = BTreeMap::new();
    for table in catalogue.tables.iter().filter(|table| table.has_rows()) {
        let sum = match table.kind {
            // A sum that changes by itself where there is a history; but there every change adds to one of these counts,
            // or takes from it.
            TableKind::Versioned => format!("{:?}", count_rows(ask, schema, std::iter::once(table), true)?),
            TableKind::Base | TableKind::View | TableKind::Sequence => {
                let rows = ask.rows(&format!("CHECKSUM TABLE {}", full(schema, table)))?;
                rows.first().and_then(|row| row.get(1)).cloned().unwrap_or_default()
            }
        };
        sums.insert(table.name.clone(), sum);
        crate::host::pulse::beat();
    }
    Ok(sums)
}

fn full(schema: &str, table: &Table) -> String {
    format!("{}.{}", identifier(schema), identifier(&table.name))
}

/// Locks every table of a schema against everybody, finds that its rows and objects are those that were there `before`
/// its copy and that the copy has, and removes the tables under that same lock.
pub(super) fn emptied(
    session: &mut dyn Ask,
    schema: &str,
    before: &BTreeMap<String, String>,
    copied: &Counts,
) -> Result<Emptied, SourceError> {
    session.rows(&format!("SET SESSION lock_wait_timeout={LOCK_SECONDS}, SESSION foreign_key_checks=0"))?;
    let tables: Vec<Table> =
        Catalogue::read(session, schema)?.tables.into_iter().filter(Table::is_table).collect();
    let names: Vec<String> = tables.iter().map(|table| full(schema, table)).collect();
    if !names.is_empty() {
        let locks: Vec<String> = names.iter().map(|name| format!("{name} WRITE")).collect();
        session.rows(&format!("LOCK TABLES {}", locks.join(", ")))?;
    }
    let now = count_everything(session, schema, with_history(copied))?;
    let other = |(key, count): &(&String, &u64)| now.0.get(*key) != Some(*count);
    let changed =
        copied.0.iter().find(other).or_else(|| now.0.iter().find(|(key, _)| !copied.0.contains_key(*key)));
    if let Some((key, _)) = changed {
        let count = |counts: &Counts| counts.0.get(key).map_or("none".to_owned(), u64::to_string);
        return Ok(Emptied::Untouched(format!(
            "it was changed while it was copied: {key}: {} in the copy, {} now",
            count(copied),
            count(&now)
        )));
    }
    let sums = checksums(session, schema)?;
    if let Some((name, _)) = sums.iter().find(|(name, sum)| before.get(*name) != Some(sum)) {
        return Ok(Emptied::Untouched(format!("it was changed while it was copied: rows of `{name}`")));
    }
    let mut remove = || {
        if !names.is_empty() {
            session.rows(&format!("DROP TABLE {}", names.join(", ")))?;
            session.rows("UNLOCK TABLES")?;
        }
        Ok::<_, SourceError>(Catalogue::read(session, schema)?.objects)
    };
    Ok(match remove() {
        Err(error) => Emptied::Partly(error.to_string()),
        Ok(left) if left.get("tables").is_some_and(|count| *count > 0) => {
            Emptied::Partly("a table was made while the others were removed".into())
        }
        Ok(_) => Emptied::Whole,
    })
}
