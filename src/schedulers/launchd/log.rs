//! The file that launchd appends a job's output to, kept bounded.
//!
//! launchd rotates nothing, and the Mac's newsyslog does not know our files. So the job itself does it, as it begins:
//! a log that has grown past its limit becomes `NAME.log.1`, in place of the one before. bkp's own record of runs is the
//! journal; a log holds what a run said before it could write there.

use super::agent::LOG_VARIABLE;
use crate::host::Host;
use std::io;
use std::path::PathBuf;

/// Longest log that is continued, in bytes.
const KEPT_BYTES: u64 = 1 << 20;

/// Moves the log of the job that this process is aside, where it has grown past 1 MiB; a process that is no job of
/// launchd's has none. This run's own output still goes to the file that was moved, the next run begins a new one.
pub fn bound_job_log(host: &dyn Host) -> io::Result<()> {
    let Some(log) = host.env(LOG_VARIABLE).map(PathBuf::from).filter(|log| log.is_absolute()) else {
        return Ok(());
    };
    match host.status(&log) {
        Ok(status) if status.size_bytes > KEPT_BYTES => {
            let mut old = log.clone().into_os_string();
            old.push(".1");
            host.rename(&log, &PathBuf::from(old))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
