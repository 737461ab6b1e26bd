//! Why a workflow stopped.

use crate::declared::SetName;
use crate::diagnostic::Diagnostic;

/// Why a workflow stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// Another process holds the set's lock.
    #[error("set `{set}` is locked by {holder}")]
    Locked {
        /// The set.
        set: SetName,
        /// Who holds it, in words.
        holder: String,
    },
    /// A person has to do something.
    #[error("{}", .0.what)]
    Stopped(Box<Diagnostic>),
}

impl From<Diagnostic> for WorkflowError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Stopped(Box::new(diagnostic))
    }
}

impl WorkflowError {
    /// The diagnostic that people see.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Locked { .. } => Diagnostic::new("another run holds the lock", self.to_string())
                .fix("wait for it to end; the kernel releases the lock with the process"),
            Self::Stopped(diagnostic) => (**diagnostic).clone(),
        }
    }
}
