//! Folders of other hosts behind `ssh`: by SFTP, and by rsync.
//!
//! `ssh` is the host's own program: its keys, its known hosts and its cryptography are those that the administrator
//! knows. Nothing is ever asked of a person, no secret is in argv, and a server whose key is not the declared one is never
//! talked to.

mod body;
mod client;
mod ended;
mod listing;
mod rsync;
mod session;
mod sftp;
mod shared;
mod tree;
mod turn;
mod upload;

use super::remote::store::Store;
use super::{Secrets, Unopenable};
use crate::declared::{Protocol, RemoteDeclaration};
use client::Client;

/// Opens a folder of another host. Nothing is asked of it yet.
pub(super) fn open(remote: &RemoteDeclaration, secrets: &Secrets) -> Result<Box<dyn Store>, Unopenable> {
    let unopenable = |reason: String| Unopenable { reason, remedy: "mend the destination's keys".to_owned() };
    let client = Client::new(remote, secrets).map_err(unopenable)?;
    if remote.protocol == Protocol::Rsync {
        return Ok(Box::new(rsync::RsyncStore::new(client, remote).map_err(unopenable)?));
    }
    Ok(Box::new(sftp::SftpStore::new(client, remote.setting("path"))))
}

#[cfg(test)]
mod tests;
