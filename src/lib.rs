//! bkp: backups declared in YAML, compared with what really exists, and proven by restoring them.
//!
//! The map of the house; imports point downward only, and `tests/layers.rs` holds this table:
//!
//! ```text
//! cli           workflow render decide destinations schedulers bottom   one file per command
//! workflow      decide pipeline sources destinations schedulers bottom           where it all meets
//! render        decide bottom                                text, json, markdown, nagios ...
//! decide        declared observed format diagnostic exit_code PURE: data and a clock reading in, data out
//! pipeline      sources destinations bottom                  digest, compress, fan out, read back, seal
//! sources       bottom                                       one file or folder per kind, like the next two
//! destinations  bottom
//! schedulers    bottom
//! secrets       declared host                               references resolved, never shown
//! observed      declared format diagnostic host              facts: what was seen, when and how
//! format        declared                                     what lies at a destination
//! declared      format diagnostic host encryption            the plan file
//! encryption    -                                            age: sealing and opening
//! host          -                                            the operating system and the clock
//! diagnostic    -                                            summary, what, why, fix
//! exit_code     -                                            what a process tells its caller
//! bottom     =  host declared encryption secrets observed format diagnostic exit_code
//! ```

pub mod cli;
pub mod decide;
pub mod declared;
pub mod destinations;
pub mod diagnostic;
pub mod encryption;
pub mod exit_code;
pub mod format;
pub mod host;
pub mod observed;
pub mod pipeline;
pub mod render;
pub mod schedulers;
pub mod secrets;
pub mod sources;
pub mod workflow;
