//! Where things lie on this host, and what starts jobs on it.

use super::WorkflowError;
use crate::declared::{Plan, PlanName, SchedulerChoice, Scope, SetName};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::SchedulerKind;
use crate::schedulers::{self, Places};
use std::path::{Path, PathBuf};

/// Whose jobs those of a plan file are that a command was handed, perhaps by a job that runs as a user.
pub fn scope_of_handed(
    host: &dyn Host,
    plan: &Plan,
    state_dir: Option<&Path>,
) -> Result<Scope, WorkflowError> {
    if super::runner::works_for_system(host, plan, state_dir) {
        return Ok(Scope::System);
    }
    scope_of(host, plan)
}

/// Whose jobs a plan's are: as declared, else the system's for root and the user's for anyone else.
pub fn scope_of(host: &dyn Host, plan: &Plan) -> Result<Scope, WorkflowError> {
    let root = host.user().is_root();
    match plan.scope {
        Some(Scope::System) if !root => Err(Diagnostic::new(
            "plan needs root",
            format!("plan `{}` has `scope: system`, and this is user `{}`", plan.name, host.user().name),
        )
        .fix("run the command as root, or set `scope: user`")
        .into()),
        Some(scope) => Ok(scope),
        None if root => Ok(Scope::System),
        None => Ok(Scope::User),
    }
}

/// The folders of a scope on this host. `state_dir` overrides the state folder alone.
pub fn places(host: &dyn Host, scope: Scope, state_dir: Option<&Path>) -> Places {
    let mut places = places_of(scope, &host.user().home, state_dir);
    let base = |variable: &str| host.env(variable).filter(|value| value.starts_with('/')).map(PathBuf::from);
    if scope == Scope::User {
        if let Some(config) = base("XDG_CONFIG_HOME") {
            places.config = config.join("bkp");
            places.units = config.join("systemd/user");
        }
        if let (Some(state), None) = (base("XDG_STATE_HOME"), state_dir) {
            places.state = state.join("bkp");
        }
    }
    places
}

/// The folders of a scope for a user with this home, where the environment says nothing else.
pub fn places_of(scope: Scope, home: &Path, state_dir: Option<&Path>) -> Places {
    let (config, state, units) = match scope {
        Scope::System => ("/etc/bkp".into(), "/var/lib/bkp".into(), "/etc/systemd/system".into()),
        Scope::User => {
            (home.join(".config/bkp"), home.join(".local/state/bkp"), home.join(".config/systemd/user"))
        }
    };
    let agents = match scope {
        Scope::System => "/Library/LaunchDaemons".into(),
        Scope::User => home.join("Library/LaunchAgents"),
    };
    Places {
        agents,
        cron: "/etc/cron.d".into(),
        scope,
        config,
        state: state_dir.map_or(state, Path::to_path_buf),
        units,
    }
}

/// What starts a plan's jobs on this host.
pub fn scheduler_kind(host: &dyn Host, plan: &Plan, scope: Scope) -> SchedulerKind {
    match plan.scheduler {
        SchedulerChoice::Systemd => SchedulerKind::Systemd,
        SchedulerChoice::Launchd => SchedulerKind::Launchd,
        SchedulerChoice::Cron => SchedulerKind::Cron,
        SchedulerChoice::Embedded => SchedulerKind::Embedded,
        SchedulerChoice::Auto if schedulers::systemd_runs(host, scope) => SchedulerKind::Systemd,
        SchedulerChoice::Auto if schedulers::launchd_runs(host) => SchedulerKind::Launchd,
        SchedulerChoice::Auto if schedulers::cron_runs(host, scope) => SchedulerKind::Cron,
        SchedulerChoice::Auto => SchedulerKind::Embedded,
    }
}

/// The plan as applied.
pub fn installed_plan(places: &Places, plan: &PlanName) -> PathBuf {
    places.config.join("plans").join(format!("{plan}.yaml"))
}

/// What a set's job runs.
pub fn job_plan(places: &Places, plan: &PlanName, set: &SetName) -> PathBuf {
    places.config.join("plans").join(format!("{plan}.d")).join(format!("{set}.yaml"))
}

/// What a set's trial runs.
pub fn trial_plan(places: &Places, plan: &PlanName, set: &SetName) -> PathBuf {
    places.config.join("plans").join(format!("{plan}.d")).join(format!("try-{set}.yaml"))
}
