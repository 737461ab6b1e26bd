//! The aliases of the collections taken: a snapshot of a collection leaves them out.
//!
//! Never here: an alias of a collection that is not taken, which would lead nowhere after a restore.

use super::api::{Alias, Api};
use super::cluster::refused;
use crate::declared::{MemberChoice, Standing};
use crate::format::Counts;
use crate::sources::{Complete, RestoreError, SourceError, SourceStream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};

/// Most bytes of the document.
const BYTES_MAX: u64 = 64 << 20;

/// The document: the same words as the answer to `GET /aliases`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    aliases: Vec<Alias>,
}

/// The document as a stream.
pub(super) struct AliasStream {
    document: Cursor<Vec<u8>>,
    counts: Counts,
}

fn count(aliases: &[Alias]) -> Counts {
    Counts([("aliases".to_owned(), aliases.len() as u64)].into())
}

/// Asks for the aliases of the collections taken.
pub(super) fn open(api: &Api, choice: &MemberChoice) -> Result<AliasStream, SourceError> {
    let all = api.aliases().map_err(|error| refused(api.url(), &error))?;
    let aliases: Vec<Alias> =
        all.into_iter().filter(|it| choice.standing(&it.collection_name) == Standing::Taken).collect();
    let counts = count(&aliases);
    let mut document =
        serde_json::to_vec_pretty(&Document { aliases }).expect("a document of names has only string keys");
    document.push(b'\n');
    Ok(AliasStream { document: Cursor::new(document), counts })
}

impl Read for AliasStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.document.read(buffer)
    }
}

impl SourceStream for AliasStream {
    fn finish(self: Box<Self>) -> Result<Complete, SourceError> {
        let whole = self.document.get_ref().len() as u64;
        if self.document.position() != whole {
            let reason = format!("{} of {whole} bytes were read", self.document.position());
            return Err(SourceError::Incomplete { producer: "qdrant's aliases".into(), reason });
        }
        Ok(Complete { counts: self.counts, bounds: BTreeMap::new(), warnings: Vec::new(), index: None })
    }
}

/// Reads the document, and counts; each alias must lead to one of `collections`, where they are known.
pub(super) fn counted(
    member: &str,
    body: &mut dyn Read,
    collections: Option<&BTreeSet<String>>,
) -> Result<Counts, RestoreError> {
    read(member, body, collections).map(|(_, counts)| counts)
}

/// The document's bytes too.
pub(super) fn read(
    member: &str,
    body: &mut dyn Read,
    collections: Option<&BTreeSet<String>>,
) -> Result<(Vec<u8>, Counts), RestoreError> {
    let member = || member.to_owned();
    let mut bytes = Vec::new();
    body.take(BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| RestoreError::Fetch { member: member(), error })?;
    let document: Document = serde_json::from_slice(&bytes)
        .map_err(|error| RestoreError::Damaged { member: member(), reason: error.to_string() })?;
    let lost = |it: &&Alias| collections.is_some_and(|known| !known.contains(&it.collection_name));
    if let Some(alias) = document.aliases.iter().find(lost) {
        let reason = format!(
            "alias `{}` leads to collection `{}`, which did not come back",
            alias.alias_name, alias.collection_name
        );
        return Err(RestoreError::Differs { member: member(), reason });
    }
    Ok((bytes, count(&document.aliases)))
}
