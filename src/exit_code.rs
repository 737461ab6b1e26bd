//! The exit statuses, in one place. Every command's documentation names them by these words.

/// What a process tells its caller when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// The command did what it says, and proved it.
    Ok,
    /// Error, blocked, or it could not be told.
    Failed,
    /// `plan --detailed-exitcode`: changes; `audit`: findings; `verify` and `drill`: disproven.
    Findings,
    /// A run whose snapshot is incomplete, or that lacks a destination.
    Incomplete,
    /// Nagios UNKNOWN.
    NagiosUnknown,
    /// The command line could not be understood (sysexits `EX_USAGE`).
    Usage,
    /// A bug in bkp, with a report (sysexits `EX_SOFTWARE`).
    Panic,
    /// Another run holds the lock (sysexits `EX_TEMPFAIL`).
    Locked,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl ExitCode {
    /// The number the operating system sees.
    pub fn status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Findings => 2,
            Self::Incomplete | Self::NagiosUnknown => 3,
            Self::Usage => 64,
            Self::Panic => 70,
            Self::Locked => 75,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What a bkp that was a child of this one told by its status; none for a status that no bkp has.
    pub fn of_child(status: i32) -> Option<Self> {
        let told = [
            Self::Ok,
            Self::Failed,
            Self::Findings,
            Self::Incomplete,
            Self::Usage,
            Self::Panic,
            Self::Locked,
            Self::Interrupted,
            Self::Terminated,
        ];
        told.into_iter().find(|code| i32::from(code.status()) == status)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.status())
    }
}
