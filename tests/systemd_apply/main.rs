//! The whole program on a real, booted systemd: from a plan file to backups that a timer makes, and back.
//!
//! Each test has a machine of its own, because one manager, one `/etc/bkp` and one journal concern all plans on it.

#[path = "../bed/mod.rs"]
mod bed;
mod broken;
mod conditions;
mod hooks;
mod hostile;
mod killed;
mod machine;
mod owners;
mod postgres;
mod remotes;
mod several;
mod timers;
mod trials;
mod uninstalled;
mod users;

use bkp::host::Host;
use machine::{Machine, until};
use std::time::Duration;
