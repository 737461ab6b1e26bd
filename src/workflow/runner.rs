//! The user as whom a set's job runs, and the folders that are that user's.
//!
//! Root never writes into a user's folders by name: what it has to do for a set there, the user does.

use super::{LoadedPlan, WorkflowError, scheduler_kind};
use crate::declared::{JobPolicy, Plan, Scope, SecretRef, SetName, UserName};
use crate::diagnostic::Diagnostic;
use crate::host::{Account, Host, account};
use crate::observed::SchedulerKind;
use crate::schedulers::Places;
use std::path::{Path, PathBuf};

/// Mode of the folders above a user's own: to be passed through, not to be read.
const PASSING_MODE: u32 = 0o711;
/// What a folder needs to be passed through by everybody.
const PASSING_BITS: u32 = 0o011;
const OWN_MODE: u32 = 0o700;
const SHARED_MODE: u32 = 0o755;
/// Below the state folder: one folder for each user that sets run as.
const USERS: &str = "users";
/// Below the state folder: the places for runs, which all users share.
const SLOTS: &str = "slots";

/// The user as whom a job runs who is not the owner of its scope; a user's own jobs run as that user.
pub fn named(policy: &JobPolicy, scope: Scope) -> Option<&UserName> {
    match scope {
        Scope::System => policy.run_as.as_ref().filter(|user| user.as_str() != "root"),
        Scope::User => None,
    }
}

/// As [`named`], for a set of a plan.
pub fn of(plan: &Plan, set: &SetName, scope: Scope) -> Option<UserName> {
    named(&plan.job_policy(plan.sets.get(set)?), scope).cloned()
}

fn own_state(state: &Path, user: &UserName) -> PathBuf {
    let below = Path::new(USERS).join(user.as_str());
    // The user's own process was told so by its command line already.
    if state.ends_with(&below) { state.to_path_buf() } else { state.join(below) }
}

/// The folders that a set's job works with: those of its scope, with the state of the user as whom it runs.
pub fn places_of(plan: &Plan, set: &SetName, places: &Places) -> Places {
    match of(plan, set, places.scope) {
        Some(user) => Places { state: own_state(&places.state, &user), ..places.clone() },
        None => places.clone(),
    }
}

/// The state folder of the scope: a user's own lies below it.
pub fn shared_state(state: &Path) -> &Path {
    state.parent().filter(|parent| parent.ends_with(USERS)).and_then(Path::parent).unwrap_or(state)
}

/// The folder of the places for runs. Those of root's own runs are root's alone: a lock needs no right but to read, and
/// nobody else is to hold root's runs up. The users that sets run as share theirs where root has made them.
pub fn slots(host: &dyn Host, state: &Path) -> PathBuf {
    let base = shared_state(state);
    let shared = (base != state).then(|| base.join(SLOTS)).filter(|folder| host.status(folder).is_ok());
    shared.unwrap_or_else(|| state.join("locks"))
}

/// A user's account. An error says why it is not known, or that there is no such user.
pub fn account_of(host: &dyn Host, user: &UserName) -> Result<Account, Diagnostic> {
    match account(host, user.as_str()) {
        Ok(Some(account)) if account.uid == 0 => {
            let what = format!("`run_as: {user}` is another name of root");
            Err(Diagnostic::new("user is root", what)
                .fix("leave `run_as` out: without it the job runs as root"))
        }
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(no_such_user(user)),
        Err(error) => Err(Diagnostic::new("user could not be looked up", format!("`run_as: {user}`"))
            .why(error.to_string())
            .fix("run `id` with the user's name, and look again")),
    }
}

/// What is said of a user who does not exist.
pub fn no_such_user(user: &UserName) -> Diagnostic {
    Diagnostic::new("no such user", format!("`run_as: {user}`: this host has no user `{user}`"))
        .fix(format!("create it (`useradd --system {user}`), or correct `run_as`"))
}

/// Makes the folders that a user's runs need: the user's own state, the places for runs that all share, and a way to
/// the plans. Root only.
pub fn prepare(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    user: &UserName,
) -> Result<Account, WorkflowError> {
    let account = account_of(host, user)?;
    let state = own_state(&places.state, user);
    let users = places.state.join(USERS);
    let plans = places.config.join("plans");
    let copies = plans.join(format!("{}.d", plan.name));
    let pauses = places.config.join("pauses");
    let slots = places.state.join(SLOTS);
    let root = Some((0, 0));
    let folders = [
        (&places.state, None, PASSING_MODE),
        (&users, root, PASSING_MODE),
        (&state, Some((account.uid, account.gid)), OWN_MODE),
        (&slots, root, SHARED_MODE),
    ];
    let trouble = |path: &Path, error: std::io::Error| {
        Diagnostic::new("folder not usable", path.display().to_string()).why(error.to_string())
    };
    for path in [&places.state, &places.config] {
        host.create_dir_all(path, PASSING_MODE).map_err(|error| trouble(path, error))?;
    }
    for (path, owner, mode) in folders {
        host.own_folder(path, owner, mode).map_err(|error| trouble(path, error))?;
    }
    // What an administrator closed is opened no further than to be passed through.
    for path in [&places.config, &plans, &copies, &pauses] {
        host.create_dir_all(path, PASSING_MODE).map_err(|error| trouble(path, error))?;
        let mode = host.status(path).map_err(|error| trouble(path, error))?.mode;
        if mode & PASSING_BITS != PASSING_BITS {
            host.own_folder(path, None, mode | PASSING_BITS).map_err(|error| trouble(path, error))?;
        }
    }
    for number in 0..plan.max_parallel.unwrap_or(1) {
        super::lock::make_place(&slots, number).map_err(|error| trouble(&slots, error))?;
    }
    Ok(account)
}

/// Whether this process is the user as whom every set of a plan runs.
fn is_runner(host: &dyn Host, plan: &Plan) -> bool {
    let mut users = plan.sets.values().map(|set| plan.job_policy(set).run_as);
    let Some(Some(first)) = users.next() else { return false };
    let us = || account(host, first.as_str()).is_ok_and(|it| it.is_some_and(|it| it.uid == host.user().uid));
    users.all(|user| user.as_ref() == Some(&first)) && us()
}

/// Whether this process works for a job of the system as the job's user: it was handed that user's state folder there.
pub fn works_for_system(host: &dyn Host, plan: &Plan, state_dir: Option<&Path>) -> bool {
    let handed = |user: &UserName| state_dir.is_some_and(|dir| own_state(dir, user) == dir);
    let told = plan.sets.values().all(|set| plan.job_policy(set).run_as.as_ref().is_some_and(handed));
    plan.scope != Some(Scope::User) && !host.user().is_root() && told && is_runner(host, plan)
}

/// A system's plan as this process has it: a user's own sets have their state with that user.
pub fn as_seen_by(host: &dyn Host, plan: &Plan, places: &Places) -> Places {
    if host.user().is_root() {
        return places.clone();
    }
    let ours = |name: &SetName| {
        let user = of(plan, name, places.scope)?;
        let account = account(host, user.as_str()).ok().flatten()?;
        (account.uid == host.user().uid).then_some(user)
    };
    match plan.sets.keys().find_map(ours) {
        Some(user) => Places { state: own_state(&places.state, &user), ..places.clone() },
        None => places.clone(),
    }
}

/// The state folder in which a set's snapshots are locked while they are read, made for its user where it is missing.
pub fn state_to_read_in(
    host: &dyn Host,
    loaded: &LoadedPlan,
    set: &SetName,
) -> Result<PathBuf, WorkflowError> {
    if host.user().is_root()
        && let Some(user) = of(&loaded.plan, set, loaded.places.scope)
    {
        // Data comes back also when its user is gone with the machine; nobody then prunes what is read.
        if prepare(host, &loaded.plan, &loaded.places, &user).is_ok() {
            return Ok(own_state(&loaded.places.state, &user));
        }
    }
    Ok(loaded.places.state.clone())
}

/// A set's own plan in a file that its user can read, for one command by hand; gone with this value.
pub struct HandedPlan<'a> {
    host: &'a dyn Host,
    /// The file.
    pub path: PathBuf,
    /// The state folder of the user.
    pub state: PathBuf,
    /// The folder of the secrets that root hands on as systemd would, where it is systemd that starts the job.
    pub credentials: Option<PathBuf>,
}

impl<'a> HandedPlan<'a> {
    /// Writes it, and makes what the user's runs need.
    pub fn of(
        host: &'a dyn Host,
        loaded: &LoadedPlan,
        set: &SetName,
        user: &UserName,
    ) -> Result<Self, WorkflowError> {
        let account = prepare(host, &loaded.plan, &loaded.places, user)?;
        let only = loaded.plan.only(set).ok_or_else(|| Diagnostic::new("unknown set", set.to_string()))?;
        let folder = loaded.places.state.join("by-hand");
        let path = folder.join(format!("{set}.{}.yaml", std::process::id()));
        let text = crate::declared::render(&only);
        let written = host
            .own_folder(&folder, Some((0, 0)), PASSING_MODE)
            .and_then(|()| host.write_atomic(&path, text.as_bytes(), 0o644));
        written.map_err(|error| {
            Diagnostic::new("plan not handed on", path.display().to_string()).why(error.to_string())
        })?;
        let mut handed = Self { host, path, state: own_state(&loaded.places.state, user), credentials: None };
        if scheduler_kind(host, &loaded.plan, loaded.places.scope) == SchedulerKind::Systemd {
            handed.hand_on(&only, &account)?;
        }
        Ok(handed)
    }

    /// Hands on the secrets that lie in files, which root reads: the folder is the user's only when it is complete.
    fn hand_on(&mut self, only: &Plan, account: &Account) -> Result<(), WorkflowError> {
        let files =
            only.sets.values().flat_map(|set| only.every_secret(set)).filter_map(
                |(name, secret)| match secret {
                    SecretRef::File(path) => Some((crate::secrets::credential_name(&name), path)),
                    SecretRef::Credential(_) | SecretRef::Command(_) | SecretRef::Env(_) => None,
                },
            );
        let files: Vec<_> = files.collect();
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.path.with_extension("credentials");
        self.credentials = Some(folder.clone());
        let trouble = |error: std::io::Error| {
            Diagnostic::new("secret not handed on", folder.display().to_string()).why(error.to_string())
        };
        self.host.own_folder(&folder, Some((0, 0)), OWN_MODE).map_err(trouble)?;
        for (name, path) in files {
            let written =
                self.host.read(path).and_then(|it| self.host.write_atomic(&folder.join(name), &it, 0o444));
            written.map_err(trouble)?;
        }
        self.host.own_folder(&folder, Some((account.uid, account.gid)), 0o500).map_err(trouble)?;
        Ok(())
    }
}

impl Drop for HandedPlan<'_> {
    fn drop(&mut self) {
        // It holds no secret: one that stays does no harm.
        let _stays = self.host.remove_file(&self.path);
        if let Some(folder) = &self.credentials {
            // Only the user can read what stays, who was handed it anyway.
            let _stays = self.host.remove_dir_all(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserName {
        "app".parse().expect("a name")
    }

    #[test]
    fn state_of_a_user_is_that_users_however_often_it_is_asked_for() {
        let state = own_state(Path::new("/var/lib/bkp"), &user());
        assert_eq!(state, Path::new("/var/lib/bkp/users/app"));
        assert_eq!(own_state(&state, &user()), state);
    }

    #[test]
    fn root_and_a_users_own_scope_have_no_other_user() {
        let policy = |name: &str| JobPolicy { run_as: name.parse().ok(), ..JobPolicy::default() };
        assert_eq!(named(&policy("app"), Scope::System), Some(&user()));
        assert_eq!(named(&policy("root"), Scope::System), None);
        assert_eq!(named(&policy("app"), Scope::User), None);
    }

    #[test]
    fn users_share_the_places_that_root_made_and_root_has_its_own() {
        let host = crate::host::FakeHost::at(jiff::Timestamp::UNIX_EPOCH);
        let own = Path::new("/var/lib/bkp/users/app");
        assert_eq!(slots(&host, own), own.join("locks"));
        host.create_dir_all(Path::new("/var/lib/bkp/slots"), 0o755).expect("room");
        assert_eq!(slots(&host, own), Path::new("/var/lib/bkp/slots"));
        assert_eq!(slots(&host, Path::new("/var/lib/bkp")), Path::new("/var/lib/bkp/locks"));
    }
}
