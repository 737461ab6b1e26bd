//! One backup of one set: from the lock to the journal's last line.
//!
//! Nothing here may seal a snapshot that was not read back, remove one before its successor is verified, or leave
//! without saying what happened.

mod arrival;
mod copying;
mod members;
mod placement;
mod report;
mod session;

pub use placement::folder_of;
pub use report::{DestinationReport, MemberReport, RunReport};

use super::condition::{self, Due};
use super::event::{Event, Listener};
use super::hooks::Hooks;
use super::watchdog::Watch;
use super::{LoadedPlan, WorkflowError, journal, lock, scratch::Scratch, secrets};
use crate::declared::{Pause, Plan, SetDeclaration, SetName};
use crate::diagnostic::Diagnostic;
use crate::exit_code::ExitCode;
use crate::format::{SnapshotId, Trigger};
use crate::host::Host;
use crate::observed::{JournalEvent, RunOutcome};
use crate::schedulers::Places;
use session::Session;
pub use session::identity_of as session_identity;
use std::path::Path;

/// What a run is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct RunRequest {
    /// Why it runs.
    pub trigger: Trigger,
    /// Takes a source whose mount changed for the new truth.
    pub accept_source: bool,
}

/// What came of it.
#[derive(Debug)]
pub enum RunResult {
    /// It ran.
    Ran(Box<RunReport>),
    /// It is paused.
    Paused(Pause),
    /// A condition of the plan keeps it from beginning now; in words.
    Held(String),
    /// Another run holds the lock.
    Locked {
        /// Who.
        holder: String,
    },
}

/// The pause in force for a set now: the plan's or `bkp pause`'s.
pub fn pause_in_force(host: &dyn Host, loaded: &LoadedPlan, name: &SetName) -> Option<Pause> {
    let set = loaded.plan.sets.get(name)?;
    let zone = loaded.plan.timezone(set).zone();
    let today = zone.to_datetime(host.now()).date();
    let by_hand = super::pause::read(host, &loaded.places, name);
    [set.pause.clone(), by_hand].into_iter().flatten().find(|pause| today < pause.until)
}

/// Makes one backup. An error means that it could not begin; everything later is in the report.
pub fn run(
    host: &dyn Host,
    loaded: &LoadedPlan,
    name: &SetName,
    request: RunRequest,
    listener: Listener<'_>,
) -> Result<RunResult, WorkflowError> {
    let (plan, places) = (&loaded.plan, &loaded.places);
    let set = plan.sets.get(name).ok_or_else(|| {
        Diagnostic::new("unknown set", format!("plan `{}` declares no set `{name}`", plan.name))
    })?;
    // Whoever asks for a run through its job waits for nothing, as by hand.
    let requested = super::request::take(host, &places.state, name);
    let by_scheduler = request.trigger == Trigger::Schedule && !requested;
    if by_scheduler && let Some(pause) = pause_in_force(host, loaded, name) {
        return Ok(RunResult::Paused(pause));
    }
    if by_scheduler && let Some(reason) = condition::held(host, loaded, name) {
        journal::write(host, &places.state, name, JournalEvent::Held { reason: reason.clone() })?;
        return Ok(RunResult::Held(reason));
    }
    let _lock = match lock::set(host, &places.state, name, &format!("run {name}")) {
        Ok(lock) => lock,
        Err(WorkflowError::Locked { holder, .. }) => {
            journal::write(host, &places.state, name, JournalEvent::Skipped { holder: holder.clone() })?;
            return Ok(RunResult::Locked { holder });
        }
        Err(error) => return Err(error),
    };
    let waiting = || listener(Event::Phase("waiting for another set's run to end (`max_parallel`)".into()));
    let count = plan.max_parallel.unwrap_or(1);
    let patience = plan.time_limit(set).duration() / 2;
    let began = std::time::Instant::now();
    let given_up = || super::signal::told_to_end() || began.elapsed() > patience;
    let place = lock::place(host, &places.state, count, &waiting, &given_up)?;
    if super::signal::told_to_end() {
        return Err(Diagnostic::new("told to end", format!("set `{name}`: it had not begun")).into());
    }
    if place.is_none() {
        // Whoever holds the places for so long does not keep others from being backed up.
        listener(Event::Phase(format!(
            "no place became free for {} s: beginning all the same",
            patience.as_secs()
        )));
    }
    let policy = plan.job_policy(set);
    nice(policy.nice(), request.trigger);
    let watch = Watch {
        host,
        state: &places.state,
        set: name,
        time_limit: plan.time_limit(set),
        stall_limit: policy.stall_limit(),
        listener,
    };
    let last = |reason: &str| hung(host, &places.state, name, reason);
    let work = || locked(host, plan, places, (name, set), request, listener);
    let report = watch.over(&last, work)?;
    Ok(RunResult::Ran(Box::new(report)))
}

/// Whether a run is due, asked no longer than a run may stand still: a destination may not answer.
pub fn due_under_watch(
    host: &dyn Host,
    loaded: &LoadedPlan,
    name: &SetName,
    trigger: Trigger,
) -> Result<Due, WorkflowError> {
    let (plan, state) = (&loaded.plan, &loaded.places.state);
    let Some(set) = plan.sets.get(name) else { return Ok(Due::Yes) };
    let limit = plan.job_policy(set).stall_limit();
    let watch = Watch { host, state, set: name, time_limit: limit, stall_limit: limit, listener: &|_| () };
    watch
        .over(&|reason: &str| hung(host, state, name, reason), || condition::due(host, loaded, name, trigger))
}

/// Gives way to others, where the scheduler does not see to it: a scheduled run does, and its trial.
fn nice(wanted: u8, trigger: Trigger) {
    match trigger {
        Trigger::Manual => {}
        Trigger::Schedule | Trigger::Trial => {
            let now = rustix::process::getpriority_process(None).unwrap_or(0);
            if now < i32::from(wanted) {
                // A run that does not give way is no worse a backup.
                let _as_it_was = rustix::process::setpriority_process(None, i32::from(wanted));
            }
        }
    }
}

/// What the journal is told of a run that cannot even be told to end.
fn hung(host: &dyn Host, state: &Path, name: &SetName, reason: &str) -> JournalEvent {
    let entries = journal::of_set(host, state, name).unwrap_or_default();
    let highest = entries.iter().filter_map(|entry| entry.event.snapshot()).max();
    let next = SnapshotId::new(host.now(), highest.map_or(1, |snapshot| snapshot.sequence() + 1));
    let now = host.now();
    // A run that hangs before its first line has no name yet, and must not be taken for the one before.
    let (began, snapshot) = journal::open_run(&entries).unwrap_or((now, next));
    JournalEvent::Finished {
        snapshot,
        outcome: RunOutcome::Failed,
        read_bytes: 0,
        stored_bytes: 0,
        duration_milliseconds: u64::try_from(now.duration_since(began).as_millis()).unwrap_or(0),
        reason: Some(format!("{reason}, and it did not come back from what it was doing")),
    }
}

fn locked(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    (name, set): (&SetName, &SetDeclaration),
    request: RunRequest,
    listener: Listener<'_>,
) -> Result<RunReport, WorkflowError> {
    let started_at = host.now();
    // It holds the secrets' files too, so it stays until the last hook has run.
    let scratch = Scratch::new(host, &places.state, name, Some(&set.source))?;
    for trouble in scratch.left() {
        listener(Event::Trouble(trouble.clone()));
    }
    let hooks = Hooks {
        host,
        state: &places.state,
        name,
        set,
        variables: secrets::hand_out(host, set, scratch.path())?,
        time_limit: plan.time_limit(set).duration(),
    };
    if hooks.left_pending() {
        listener(Event::Phase("running the `after` hooks that a killed run left".into()));
        for failure in hooks.after() {
            listener(Event::Trouble(failure));
        }
    }
    let mut session =
        Session::begin(host, plan, places, (name, set), request, (&scratch, &hooks.variables), listener)?;
    let snapshot = session.snapshot();
    let (trigger, identity) = (request.trigger, session.identity().to_vec());
    journal::write(host, &places.state, name, JournalEvent::Started { snapshot, trigger, identity })?;
    let outcome = hooks.before().and_then(|()| session.back_up());
    session.take_back();
    let mut report = session.report(started_at);
    if let Err(error) = outcome {
        report.failures.push(error.diagnostic());
    }
    report.failures.extend(hooks.after());
    if let Some(reason) = super::signal::given_up() {
        let what = format!("set `{name}`: {reason}");
        report.failures.insert(0, Diagnostic::new("run given up", what).fix("see what it waited for"));
    }
    report.finished_at = host.now();
    let event = JournalEvent::Finished {
        snapshot,
        outcome: report.outcome(),
        read_bytes: report.read_bytes,
        stored_bytes: report.stored_bytes(),
        duration_milliseconds: report.duration_milliseconds(),
        reason: report.first_failure(),
    };
    // The snapshot is what it is; that the journal does not know it is one more thing that went wrong.
    if let Err(error) = journal::write(host, &places.state, name, event) {
        report.failures.push(error.diagnostic());
    }
    Ok(report)
}

/// Notes in the journal that a job ended without saying so itself: the scheduler killed it, could not set up its
/// environment, or it could not begin.
pub fn note_failure(host: &dyn Host, loaded: &LoadedPlan, name: &SetName) -> Result<(), WorkflowError> {
    let state = &loaded.places.state;
    let ending = Ending::of(host);
    if ending.status == Some(i32::from(ExitCode::Locked.status())) {
        // The run has noted that it was skipped; the one that is going on is another's.
        return Ok(());
    }
    let entries = journal::of_set(host, state, name)?;
    let last = entries.iter().rev().find_map(|entry| match &entry.event {
        JournalEvent::Finished { outcome, .. } => Some(Last::Ended(*outcome)),
        JournalEvent::Started { snapshot, .. } => Some(Last::Open(*snapshot)),
        JournalEvent::Sealed { .. }
        | JournalEvent::Skipped { .. }
        | JournalEvent::Held { .. }
        | JournalEvent::Removing { .. }
        | JournalEvent::Proved { .. } => None,
    });
    let unnamed = || {
        let started = entries.iter().filter_map(|entry| match &entry.event {
            JournalEvent::Started { snapshot, .. } => Some(snapshot.sequence()),
            JournalEvent::Finished { .. }
            | JournalEvent::Sealed { .. }
            | JournalEvent::Skipped { .. }
            | JournalEvent::Held { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Proved { .. } => None,
        });
        SnapshotId::new(host.now(), started.max().unwrap_or(0) + 1)
    };
    let snapshot = match last {
        _ if ending.never_began() => unnamed(),
        // A lock that is held shows that the open run is another's, and goes on.
        Some(Last::Open(snapshot)) if !lock::is_held(state, name) => snapshot,
        Some(Last::Open(_)) | None => unnamed(),
        Some(Last::Ended(RunOutcome::Complete)) if ending.could_not_begin() => unnamed(),
        // A run that wrote its own last line has said more than the scheduler knows.
        Some(Last::Ended(RunOutcome::Complete | RunOutcome::Incomplete | RunOutcome::Failed)) => {
            return Ok(());
        }
    };
    let event = JournalEvent::Finished {
        snapshot,
        outcome: RunOutcome::Failed,
        read_bytes: 0,
        stored_bytes: 0,
        duration_milliseconds: 0,
        reason: Some(format!("the scheduler saw the job fail: {}", ending.words)),
    };
    journal::write(host, state, name, event)
}

/// What the journal says last of a set's runs.
enum Last {
    Ended(RunOutcome),
    Open(SnapshotId),
}

/// How the scheduler says that a job ended (systemd.exec(5), `$MONITOR_SERVICE_RESULT`).
struct Ending {
    resources: bool,
    status: Option<i32>,
    words: String,
}

impl Ending {
    fn of(host: &dyn Host) -> Self {
        let said = |variable: &str| host.env(variable).map(|value| format!("{variable}={value}"));
        let words: Vec<String> = ["MONITOR_SERVICE_RESULT", "MONITOR_EXIT_CODE", "MONITOR_EXIT_STATUS"]
            .into_iter()
            .filter_map(said)
            .collect();
        let exited = host.env("MONITOR_EXIT_CODE").is_some_and(|code| code == "exited");
        let status = host.env("MONITOR_EXIT_STATUS").and_then(|status| status.parse().ok());
        Self {
            resources: host.env("MONITOR_SERVICE_RESULT").is_some_and(|result| result == "resources"),
            status: status.filter(|_| exited),
            words: words.join(" "),
        }
    }

    /// Whether the program was not even executed: systemd's own statuses (systemd.exec(5), "Process exit codes").
    fn never_began(&self) -> bool {
        self.resources || self.status.is_some_and(|status| (200..=245).contains(&status))
    }

    /// Whether the run ended before it could write a line of its own.
    fn could_not_begin(&self) -> bool {
        let before_a_line = [ExitCode::Failed, ExitCode::Usage, ExitCode::Panic];
        before_a_line.iter().any(|code| self.status == Some(i32::from(code.status())))
    }
}
