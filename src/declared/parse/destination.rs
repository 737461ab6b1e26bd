//! `destinations`: where snapshots are kept.

use super::decoder::Decoder;
use super::node::{Entry, Node};
use super::problem::Fault;
use crate::declared::{DestinationDeclaration, DestinationKind, DestinationName, LocalDeclaration};

/// Protocols that the design has and this version does not.
const LATER: [&str; 20] = [
    "sftp",
    "s3",
    "azblob",
    "gcs",
    "b2",
    "webdav",
    "ftp",
    "rsync",
    "rclone",
    "swift",
    "oss",
    "cos",
    "obs",
    "dropbox",
    "gdrive",
    "onedrive",
    "restic",
    "r2",
    "minio",
    "nextcloud",
];
const COMMON: [&str; 5] = ["type", "retention", "compression", "prove", "failure_domain"];

impl Decoder<'_> {
    pub fn destination(&mut self, entry: &Entry) -> Option<(DestinationName, DestinationDeclaration)> {
        let before = self.problems.len();
        let name = self.name(entry, DestinationName::try_from);
        let node = &entry.node;
        self.map(node, "a destination", "write `{ type: local, path: /var/backups/bkp }`")?;
        // The type comes first: what the other keys mean depends on it.
        let kind_node = node.entry("type");
        let kind = match kind_node {
            None => {
                let what = format!("destination `{}` has no `type`", entry.key);
                self.note(Fault::Missing, what, entry.key_place, "add `type: local`");
                None
            }
            Some(kind) => self.word(&kind.node, "a type of destination", &[("local", "local")], &LATER),
        };
        kind?;
        let mut known = COMMON.to_vec();
        known.push("path");
        let fields = self.fields(node, "a `local` destination", &known, &["encryption"])?;
        let path = self.required(
            &fields,
            "path",
            "a `local` destination",
            "add `path:`, the folder that keeps snapshots",
        );
        let path = path.and_then(|it| self.path(it, "`path`"));
        let declaration = DestinationDeclaration {
            kind: DestinationKind::Local(LocalDeclaration { path: path.unwrap_or_default() }),
            retention: fields.get("retention").and_then(|it| self.retention(it)),
            compression: fields.get("compression").and_then(|it| self.compression(it)),
            prove: fields.get("prove").and_then(|it| self.prove(it)),
            failure_domain: fields
                .get("failure_domain")
                .and_then(|it| self.text(it, "`failure_domain`"))
                .map(ToOwned::to_owned),
        };
        if self.problems.len() != before {
            return None;
        }
        Some((name?, declaration))
    }

    /// A key that is a name.
    pub fn name<T, E: std::fmt::Display>(
        &mut self,
        entry: &Entry,
        read: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let node = Node { place: entry.key_place, content: super::node::Content::Text(entry.key.clone()) };
        self.parsed(&node, "a name", "choose another name", read)
    }
}
