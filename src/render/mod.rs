//! Renders what was decided: pure functions from values to text, for people, code review and monitors.
//!
//! Nothing here decides, and nothing here prints: the same value gives the same text everywhere.

pub mod audit;
mod audit_document;
pub mod escape;
mod palette;
pub mod plan;
mod plan_document;
pub mod status;

pub use palette::Palette;
