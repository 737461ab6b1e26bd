//! The script of roles and tablespaces on its way into a drill's server.
//!
//! Never here: a tablespace made where the script says. Its folder is the live server's.

use super::RestoreError;
use super::cluster::Cluster;
use super::globals::{counts, counts_sql, has_end_mark};
use super::refill::bench;
use super::session::Session;
use crate::format::Counts;
use crate::host::{Command, Host};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

/// Longer than any server's roles; they are held in memory.
const SCRIPT_BYTES_MAX: u64 = 1 << 30;
/// Longest that a script may take.
const LIMIT: Duration = Duration::from_mins(30);

/// Reads a whole script; `first` is what was read of it already.
pub(super) fn script(member: &str, first: Vec<u8>, body: &mut dyn Read) -> Result<Vec<u8>, RestoreError> {
    let damaged = |reason: &str| RestoreError::Damaged { member: member.to_owned(), reason: reason.into() };
    let mut text = first;
    body.take(SCRIPT_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| RestoreError::Fetch { member: member.to_owned(), error })?;
    if text.len() as u64 >= SCRIPT_BYTES_MAX {
        return Err(damaged("it is longer than any script of roles"));
    }
    if !has_end_mark(&text) {
        return Err(damaged("it does not end as a script of pg_dumpall"));
    }
    Ok(text)
}

/// The script with each tablespace in a folder of the drill's own.
fn with_own_folders(cluster: &Cluster<'_>, text: &[u8]) -> Result<Vec<u8>, RestoreError> {
    let mut made = Vec::with_capacity(text.len());
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let location = line
            .starts_with(b"CREATE TABLESPACE ")
            .then(|| line.windows(11).rposition(|it| it == b" LOCATION '"))
            .flatten();
        match location {
            None => made.extend_from_slice(line),
            Some(at) => {
                let folder = cluster.make_folder(&format!("space-{number}"))?;
                made.extend_from_slice(&line[..at]);
                made.extend_from_slice(format!(" LOCATION '{}';\n", folder.display()).as_bytes());
            }
        }
    }
    Ok(made)
}

/// Runs the script on a drill's server and counts what it made there.
pub(super) fn rehearse(
    host: &dyn Host,
    cluster: &Cluster<'_>,
    member: &str,
    text: &[u8],
) -> Result<Counts, RestoreError> {
    let psql = cluster.toolbox.path("psql");
    let mut command = cluster.login.equip(Command::change(cluster.login.psql(&psql, "postgres")));
    command.stdin = Some(with_own_folders(cluster, text)?);
    command.time_limit = LIMIT;
    let tool = |reason: String| RestoreError::Bench { tool: "psql".into(), reason };
    let output = host.run(&command).map_err(|error| tool(error.to_string()))?;
    if !output.succeeded() {
        let reason = format!("psql: {}", cluster.login.reason(&output));
        return Err(RestoreError::Damaged { member: member.to_owned(), reason });
    }
    let mut session = Session::open(&cluster.login, &psql, "postgres").map_err(|error| bench(&error))?;
    let rows = session.rows(&counts_sql(super::cluster::ROLE)).map_err(|error| bench(&error))?;
    session.close().map_err(|error| bench(&error))?;
    counts(&rows).ok_or_else(|| tool("the counts of roles did not come back".into()))
}

/// What a script would make, counted in its text: where roles can be made on no server, that is all that can be told.
pub(super) fn written(text: &[u8]) -> Counts {
    let text = String::from_utf8_lossy(text);
    let begins = |word: &str| text.lines().filter(|line| line.starts_with(word)).count() as u64;
    let mut in_memberships = false;
    let mut memberships = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("-- ") {
            in_memberships = title == "Role memberships";
        }
        if in_memberships && line.starts_with("GRANT ") {
            let pair = [" WITH ", " GRANTED BY ", ";"].iter().filter_map(|it| line.find(it)).min();
            memberships.insert(&line[..pair.unwrap_or(line.len())]);
        }
    }
    Counts(BTreeMap::from([
        ("roles".to_owned(), begins("CREATE ROLE ")),
        ("tablespaces".to_owned(), begins("CREATE TABLESPACE ")),
        ("memberships".to_owned(), memberships.len() as u64),
    ]))
}

/// The roles that a script makes.
pub(super) fn roles_in(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let named = text.lines().filter_map(|line| line.strip_prefix("CREATE ROLE ")?.strip_suffix(';'));
    named
        .map(|name| match name.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => name.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_a_script_are_named_as_they_are() {
        let script = b"CREATE ROLE app;\nALTER ROLE app WITH LOGIN;\nCREATE ROLE \"Odd \"\"One\";\n";
        assert_eq!(roles_in(script), ["app", "Odd \"One"]);
    }
}
