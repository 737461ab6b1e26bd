//! Jobs that `bkp daemon` starts, where no init system runs: one file for each job, read by the daemon.
//!
//! The loop itself is not here. That a daemon lives is asked of the kernel, by its lock, never of a file's age.

mod daemon;
mod job_file;

pub use daemon::{daemon_facts, daemon_paths};
pub use job_file::{EmbeddedJob, LoadedJobs, load_jobs};

use super::{Job, JobOutcome, Places, RenderedFile, Scheduler, SchedulerError};
use crate::diagnostic::Diagnostic;
use crate::host::{Host, pause};
use crate::observed::{
    DaemonFacts, Enablement, InstalledFile, InstalledJob, JobName, Observed, SchedulerFacts, SchedulerKind,
    ServiceState, TimerState,
};
use job_file::{enabled_path, job_path, jobs_folder};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often a caller is told that time passes.
const STEP: Duration = Duration::from_millis(200);
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// The embedded scheduler of one scope.
#[derive(Debug)]
pub struct Embedded {
    places: Places,
}

impl Embedded {
    /// The scheduler whose files lie in these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> SchedulerError {
    let path = path.to_owned();
    move |error| SchedulerError::File { path: path.clone(), error }
}

fn remove_file(host: &dyn Host, path: &Path) -> Result<(), SchedulerError> {
    match host.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Scheduler for Embedded {
    fn kind(&self) -> SchedulerKind {
        SchedulerKind::Embedded
    }

    fn render(&self, job: &Job) -> Vec<RenderedFile> {
        vec![RenderedFile { path: job_path(&self.places, &job.name), text: job_file::render(job) }]
    }

    fn observe(&self, host: &dyn Host) -> Observed<SchedulerFacts> {
        let jobs = job_file::read_all(host, &self.places);
        let daemon = daemon::living(host, &self.places);
        match jobs.and_then(|jobs| Ok((jobs, daemon?))) {
            Ok((jobs, daemon)) => {
                let jobs = jobs.into_iter().map(|job| self.installed(job, daemon.as_ref())).collect();
                Observed::Present(SchedulerFacts { jobs, lingers: None })
            }
            Err(error) => Observed::Unknown(
                Diagnostic::from_error("embedded jobs could not be read", &error)
                    .fix("see that this user may read the file, and look again"),
            ),
        }
    }

    fn install(&self, host: &dyn Host, job: &Job) -> Result<(), SchedulerError> {
        let folder = jobs_folder(&self.places);
        host.create_dir_all(&folder, FOLDER_MODE).map_err(file_error(&folder))?;
        for file in self.render(job) {
            host.write_atomic(&file.path, file.text.as_bytes(), FILE_MODE).map_err(file_error(&file.path))?;
        }
        Ok(())
    }

    fn enable(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        job_file::read(host, &self.places, job)?;
        let path = enabled_path(&self.places, job);
        host.write_atomic(&path, b"", FILE_MODE).map_err(file_error(&path))
    }

    fn start_and_wait(
        &self,
        host: &dyn Host,
        job: &JobName,
        limit: Duration,
        tick: &mut dyn FnMut(),
    ) -> Result<JobOutcome, SchedulerError> {
        let job = job_file::read(host, &self.places, job)?;
        let mut command = job.command(host);
        command.time_limit = limit.min(command.time_limit);
        let output = std::thread::scope(|scope| {
            let run = scope.spawn(|| host.run(&command));
            while !run.is_finished() {
                tick();
                pause(STEP);
            }
            run.join().expect("running a command does not panic")
        });
        let output = match output {
            Ok(output) => output,
            Err(error) => return Ok(JobOutcome::NotStarted(format!("`{}`: {error}", command.display()))),
        };
        Ok(match (output.timed_out, output.status) {
            (true, _) => JobOutcome::Failed("it was ended at its time limit".to_owned()),
            (false, Some(status)) => JobOutcome::Exited(status),
            (false, None) => JobOutcome::Failed("it was ended by a signal".to_owned()),
        })
    }

    fn remove(&self, host: &dyn Host, job: &JobName) -> Result<(), SchedulerError> {
        remove_file(host, &enabled_path(&self.places, job))?;
        remove_file(host, &job_path(&self.places, job))
    }
}

impl Embedded {
    fn installed(&self, file: job_file::Read, daemon: Option<&DaemonFacts>) -> InstalledJob {
        let name = file.name.to_string();
        let loaded = daemon.and_then(|daemon| daemon.loaded.get(&name));
        let current = loaded == Some(&file.digest);
        let job = file.job.as_ref().ok();
        let timer = job.and_then(|job| job.calendar.as_ref()).map(|_| TimerState {
            loaded: loaded.is_some(),
            enablement: if file.enabled { Enablement::Enabled } else { Enablement::Disabled },
            active: current && file.enabled,
            next_elapse: daemon
                .filter(|_| current && file.enabled)
                .and_then(|daemon| daemon.next_elapse.get(&name).copied()),
        });
        InstalledJob {
            scheduler: SchedulerKind::Embedded,
            scope: self.places.scope,
            marker: job.map(|job| job.marker.clone()),
            timer,
            service: ServiceState {
                loaded: job.is_some(),
                masked: false,
                running: false,
                condition_failed_at: None,
                needs_reload: loaded.is_some() && !current,
                drop_ins: Vec::new(),
                command: job.map(|job| job.argv.clone()).unwrap_or_default(),
            },
            files: vec![InstalledFile { path: file.path, text: Some(file.text) }],
            name: file.name,
        }
    }
}

#[cfg(test)]
mod tests;
