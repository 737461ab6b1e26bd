//! What an artifact says of itself before it is restored: whose it is, what it needs, how its database was made.

use super::RestoreError;
use super::archive::ArchiveReader;
use super::toc::{ArchiveError, Entry, Head};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The head of a dump.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The database's name when it was dumped.
    pub database: String,
    /// The major version of the server that it is of; none where the archive's format is not known here.
    pub server_major: Option<u32>,
    /// Roles that it names: owners, and those who were granted something.
    pub roles: BTreeSet<String>,
    /// Rights given beforehand (`ALTER DEFAULT PRIVILEGES`), one for each row of the catalogue's.
    pub default_privileges: u64,
    /// Extensions that it makes.
    pub extensions: BTreeSet<String>,
    /// `CREATE DATABASE ...`, as it was made.
    pub create: Option<String>,
    /// `ALTER DATABASE ...` and `GRANT ... ON DATABASE ...`: settings and rights of the database itself.
    pub properties: Vec<String>,
    /// The bytes that were read to know it.
    pub bytes: Vec<u8>,
    /// The folder that it was unpacked to, where it is one.
    pub folder: Option<PathBuf>,
}

impl Contents {
    /// Takes what the head says.
    pub fn take_head(&mut self, head: &Head) {
        self.database.clone_from(&head.database);
        let major = head.server_version.split(|it: char| !it.is_ascii_digit()).next();
        self.server_major = major.and_then(|it| it.parse().ok());
    }

    /// Takes an entry.
    pub fn add(&mut self, entry: Entry) {
        if !entry.owner.is_empty() {
            self.roles.insert(entry.owner);
        }
        self.default_privileges += u64::from(entry.kind == "DEFAULT ACL");
        match entry.kind.as_str() {
            "ACL" | "DEFAULT ACL" => self.roles.extend(granted(&entry.definition)),
            "POLICY" => self.roles.extend(of_policy(&entry.definition)),
            "EXTENSION" => {
                self.extensions.insert(entry.tag.clone());
            }
            "DATABASE" => self.create = Some(entry.definition.clone()),
            "DATABASE PROPERTIES" => self.properties.push(entry.definition.clone()),
            _ => {}
        }
        if entry.kind == "ACL" && entry.tag.starts_with("DATABASE ") {
            self.properties.push(entry.definition);
        }
    }
}

/// An identifier at the beginning of a text, unquoted.
fn leading_identifier(text: &str) -> Option<String> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('"') {
        let (mut name, mut left) = (String::new(), rest.chars().peekable());
        while let Some(letter) = left.next() {
            match letter {
                '"' if left.peek() == Some(&'"') => {
                    left.next();
                    name.push('"');
                }
                '"' => return Some(name),
                letter => name.push(letter),
            }
        }
        return None;
    }
    let end = text.find(|it: char| !(it.is_alphanumeric() || it == '_' || it == '$')).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Roles in the statements of an access list, one on a line, as `pg_dump` writes them.
fn granted(definition: &str) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for line in definition.lines() {
        for word in [" TO ", " FROM ", " FOR ROLE ", " GRANTED BY ", "SESSION AUTHORIZATION "] {
            let name = line.rfind(word).and_then(|at| leading_identifier(&line[at + word.len()..]));
            roles.extend(name.filter(|it| it != "PUBLIC" && it != "DEFAULT"));
        }
    }
    roles
}

/// Roles of `CREATE POLICY ... TO a, b USING (...)`.
fn of_policy(definition: &str) -> BTreeSet<String> {
    let Some(at) = definition.find(" TO ") else { return BTreeSet::new() };
    let list = &definition[at + 4..];
    let end =
        [" USING (", " WITH CHECK (", ";"].iter().filter_map(|it| list.find(it)).min().unwrap_or(list.len());
    let names = list[..end].split(',').filter_map(leading_identifier);
    names
        .filter(|it| !matches!(it.to_ascii_uppercase().as_str(), "PUBLIC" | "CURRENT_USER" | "SESSION_USER"))
        .collect()
}

/// Whether an artifact is a custom-format archive; its first bytes are in `first`.
pub(super) fn is_archive(first: &[u8]) -> bool {
    first.starts_with(b"PGDMP")
}

/// Reads the first piece of an artifact.
pub(super) fn first_piece(member: &str, body: &mut dyn Read) -> Result<Vec<u8>, RestoreError> {
    let fetch = |error| RestoreError::Fetch { member: member.to_owned(), error };
    let mut bytes = Vec::new();
    body.take(BUFFER_BYTES as u64).read_to_end(&mut bytes).map_err(fetch)?;
    Ok(bytes)
}

/// Reads an archive's table of contents; `first` is what was read of it already.
pub(super) fn of_archive(
    member: &str,
    first: Vec<u8>,
    body: &mut dyn Read,
) -> Result<Contents, RestoreError> {
    let damaged = |reason: String| RestoreError::Damaged { member: member.to_owned(), reason };
    let mut contents = Contents::default();
    let mut reader = ArchiveReader::default();
    let mut piece = first;
    loop {
        let fed = reader.feed(&piece, &mut |entry| contents.add(entry));
        let ended = piece.is_empty();
        contents.bytes.append(&mut piece);
        match fed {
            Ok(()) => {}
            // Its own pg_restore may know more; what it needs is then not known beforehand.
            Err(ArchiveError::Unknown { .. }) => return Ok(contents),
            Err(error) => return Err(damaged(error.to_string())),
        }
        if reader.past_contents() {
            contents.take_head(reader.head());
            return Ok(contents);
        }
        if ended {
            return Err(damaged("it ends within its table of contents".into()));
        }
        piece = first_piece(member, body)?;
    }
}

/// The archive from its beginning: what was read of it, and the rest.
pub(super) fn whole<'a>(bytes: &'a [u8], body: &'a mut dyn Read) -> impl Read + 'a {
    io::Cursor::new(bytes).chain(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_found_in_grants_and_policies() {
        let text = "REVOKE ALL ON TABLE public.t FROM app;\nGRANT SELECT ON TABLE public.t TO \"odd \"\"one\";\n\
                    GRANT ALL ON TABLE public.t TO PUBLIC;\n\
                    ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT SELECT ON TABLES TO reader;\n";
        let names: Vec<_> = granted(text).into_iter().collect();
        assert_eq!(names, ["app", "odd \"one", "owner", "reader"]);
        let policy = "CREATE POLICY p ON public.t FOR SELECT TO alice, \"Bob\" USING ((a = 1));\n";
        assert_eq!(of_policy(policy).into_iter().collect::<Vec<_>>(), ["Bob", "alice"]);
        assert!(of_policy("CREATE POLICY p ON public.t USING ((a = 1));\n").is_empty());
    }
}
