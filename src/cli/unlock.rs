//! An identity that people bring to where it is not kept.

use super::context::{Context, Failure};
use crate::workflow::Site;
use clap::Args;
use std::path::PathBuf;

/// What opens encrypted snapshots here.
#[derive(Debug, Args)]
pub struct Unlock {
    /// Opens encrypted snapshots with the identity in this file: age's, or an SSH private key
    #[arg(long, value_name = "FILE", env = "BKP_IDENTITY")]
    identity: Option<PathBuf>,
}

impl Unlock {
    /// Gives the identity, where one was brought, to destinations that are encrypted.
    pub fn sites(&self, context: &Context<'_>, sites: Vec<Site>) -> Result<Vec<Site>, Failure> {
        sites.into_iter().map(|site| self.site(context, site)).collect()
    }

    /// As [`Self::sites`], of one.
    pub fn site(&self, context: &Context<'_>, mut site: Site) -> Result<Site, Failure> {
        if let Some(file) = &self.identity {
            site.keys = site.keys.with_identity(context.host, file)?;
        }
        Ok(site)
    }

    /// The option, as a set's user is handed it.
    pub fn word(&self) -> Option<String> {
        self.identity.as_ref().map(|file| format!("--identity={}", file.display()))
    }
}
