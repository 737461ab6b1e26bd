//! The only place where it all meets: observe, apply, run, verify, drill, restore, audit and the rest.
//!
//! Decisions are `decide`'s, bytes are `pipeline`'s; what stands here is the order of things. Nothing here prints.

pub mod apply;
pub mod compare;
pub mod condition;
pub mod daemon;
pub mod delete;
pub mod drill;
mod error;
pub mod event;
mod history;
mod hooks;
mod installed;
mod jobs;
mod journal;
pub mod keyring;
mod lock;
pub mod look;
pub mod observe;
pub mod pause;
mod places;
pub mod prune;
mod request;
pub mod restore;
pub mod restore_live;
pub mod run;
pub mod runner;
pub mod saved;
mod scratch;
mod secrets;
pub mod signal;
mod site;
pub mod survey;
pub mod uninstall;
pub mod verify;
mod watchdog;

pub use error::WorkflowError;
pub use history::History;
pub use installed::{InstalledSets, LoadedPlan, install_text, plan_of_text};
pub use jobs::{JobMaker, wanted_jobs};
pub use journal::remembers;
pub use lock::set as lock_set;
pub use places::{places, scheduler_kind, scope_of};
pub use site::{Copy, Depth, Site};
