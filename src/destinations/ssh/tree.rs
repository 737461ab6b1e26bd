//! Walks below the root, many folders at a time: each costs several answers, and those may come from far away.

use super::session::{Answer, AnswerKind, Failure, Named, Session};
use super::sftp::SftpStore;
use crate::destinations::remote::store::Found;
use futures::future::try_join_all;

/// Folders that are listed at a time.
pub(super) const FOLDERS_AT_ONCE: usize = 16;
/// Folders below the root; deeper is a loop of links.
const DEPTH_MAX: usize = 32;
/// What mkfs leaves at the top of a file system; it is nobody's data.
const LOST_AND_FOUND: &str = "lost+found";

/// Everything below a folder.
#[derive(Default)]
pub(super) struct Tree {
    pub files: Vec<Found>,
    /// Paths below the root, without a `/` at the end.
    pub folders: Vec<String>,
}

impl SftpStore {
    /// What is in a folder (`""`, or with a `/` at its end).
    pub(super) async fn entries(&self, session: &Session, folder: &str) -> Result<Vec<Named>, Failure> {
        match session.entries(&self.at(folder)).await {
            Ok(mut entries) => {
                entries.retain(|it| !(folder.is_empty() && it.name == LOST_AND_FOUND));
                Ok(entries)
            }
            // What goes away meanwhile is not there.
            Err(Failure::Answer(answer)) if answer.is(AnswerKind::NoSuchFile) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// Everything below a folder (`""`, or with a `/` at its end).
    pub(super) async fn tree(&self, session: &Session, folder: &str) -> Result<Tree, Failure> {
        let mut tree = Tree::default();
        let mut level = vec![folder.to_owned()];
        for _ in 0..DEPTH_MAX {
            let mut below = Vec::new();
            for some in level.chunks(FOLDERS_AT_ONCE) {
                let listed = try_join_all(some.iter().map(|folder| self.entries(session, folder))).await?;
                for (folder, entries) in some.iter().zip(listed) {
                    for Named { name, metadata } in entries {
                        let path = format!("{folder}{name}");
                        match metadata.file_type() {
                            Some(it) if it.is_dir() => {
                                below.push(format!("{path}/"));
                                tree.folders.push(path);
                            }
                            Some(it) if !it.is_file() => {}
                            Some(_) | None => {
                                tree.files.push(Found { path, size_bytes: metadata.len().unwrap_or(0) });
                            }
                        }
                    }
                }
            }
            if below.is_empty() {
                return Ok(tree);
            }
            level = below;
        }
        let text = "its folders are nested too deep: perhaps a link leads back".to_owned();
        Err(Failure::Answer(Answer { kind: AnswerKind::Failure, text }))
    }

    /// Whether a file is anywhere below a folder.
    pub(super) async fn holds(&self, session: &Session, folder: &str) -> Result<bool, Failure> {
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for Named { name, metadata } in self.entries(session, &folder).await? {
                match metadata.file_type() {
                    Some(it) if it.is_dir() => open.push(format!("{folder}{name}/")),
                    Some(it) if it.is_file() => return Ok(true),
                    Some(_) | None => {}
                }
            }
            if folder.matches('/').count() > DEPTH_MAX {
                return Ok(false);
            }
        }
        Ok(false)
    }
}
