//! bkp: backups declared in YAML, compared with what really exists, and proven by restoring them.
//!
//! The map of the house; imports point downward only, and `tests/layers.rs` holds this table:
//!
//! ```text
//! cli        workflow render decide pipeline adapters bottom     one file per command
//! workflow   decide pipeline adapters bottom                      where it all meets
//! render     decide bottom                                        text, json, markdown, nagios ...
//! decide     declared observed format                             PURE: data and a clock reading in, data out
//! pipeline   sources destinations (traits) bottom                 digest, compress, fan out, read back, seal
//! adapters   sources, destinations, schedulers: bottom            never each other
//! bottom     host declared observed format diagnostic exit_code
//! ```

pub mod cli;
pub mod decide;
pub mod declared;
pub mod diagnostic;
pub mod exit_code;
pub mod format;
pub mod host;
pub mod observed;
pub mod pipeline;
pub mod render;
pub mod workflow;
