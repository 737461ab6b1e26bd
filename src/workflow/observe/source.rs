//! A set's source looked at as the user as whom its job runs.
//!
//! What root can read says nothing of what that user can: where the user's eyes cannot be had, the answer is unknown.

use crate::declared::{self, DestinationKind, Plan, Scope, SecretRef, SetDeclaration, SetName, UserName};
use crate::diagnostic::Diagnostic;
use crate::host::SEARCH_PATH;
use crate::host::{Command, Host};
use crate::observed::{Fact, Observed, RequirementFacts, SchedulerKind, SourceFacts};
use crate::schedulers::Places;
use crate::secrets::credential_name;
use crate::sources;
use crate::workflow::run::session_identity;
use crate::workflow::runner;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// The longest that looking at one source as another user may take: a folder may have many files.
const LOOK_LIMIT: Duration = Duration::from_mins(10);

/// Who reads the files that secrets lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// The job itself.
    ReadByJob,
    /// The scheduler, which hands them on.
    HandedOn,
}

/// What a child that has become the set's user is told, on its standard input.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookRequest {
    /// The plan with the one set.
    pub plan: String,
    /// The source's secrets that the scheduler hands on, by credential name: the user cannot read their files.
    pub credentials: BTreeMap<String, Vec<u8>>,
}

/// What a source is looked at with.
pub(super) struct Looker<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) plan: &'a Plan,
    pub(super) places: &'a Places,
    pub(super) kind: SchedulerKind,
}

/// Whose eyes a source is seen with.
enum Eyes {
    /// Our own.
    Ours,
    /// The user's, by a child of ours.
    Theirs(UserName),
    /// Nobody's: what is in the way is a requirement that is not met.
    Blocked(UserName, Diagnostic),
    /// Nobody's.
    Closed(Diagnostic),
}

impl Looker<'_> {
    pub(super) fn look(&self, name: &SetName) -> Option<Fact<SourceFacts>> {
        let set = self.plan.sets.get(name)?;
        let ours = &self.host.user().name;
        let (user, observed) = match self.eyes(set) {
            Eyes::Ours => {
                let facts = of_this_user(self.host, self.plan, name, Secrets::ReadByJob)?;
                (ours.clone(), Observed::Present(facts))
            }
            Eyes::Theirs(user) => (
                user.to_string(),
                self.through(name, set, &user).map_or_else(Observed::Unknown, Observed::Present),
            ),
            Eyes::Blocked(user, diagnostic) => (ours.clone(), Observed::Present(blocked(&user, diagnostic))),
            Eyes::Closed(diagnostic) => (ours.clone(), Observed::Unknown(diagnostic)),
        };
        let how = format!("paths of set `{name}` looked at as user {user}");
        Some(Fact::new(self.host.now(), how, observed))
    }

    fn eyes(&self, set: &SetDeclaration) -> Eyes {
        let Some(user) = self.plan.job_policy(set).run_as else { return Eyes::Ours };
        let account = match runner::account_of(self.host, &user) {
            Ok(account) => account,
            Err(diagnostic) if diagnostic == runner::no_such_user(&user) => {
                return Eyes::Blocked(user, diagnostic);
            }
            Err(diagnostic) => return Eyes::Closed(diagnostic),
        };
        let us = self.host.user();
        match self.places.scope {
            _ if account.uid == us.uid => Eyes::Ours,
            Scope::User => {
                let what = format!("`run_as: {user}`, and this is user `{}`", us.name);
                let blocked = Diagnostic::new("a user's jobs run as that user alone", what)
                    .fix("apply it as root with `scope: system`, or remove `run_as`");
                Eyes::Blocked(user, blocked)
            }
            Scope::System if us.is_root() => Eyes::Theirs(user),
            Scope::System => {
                let what = format!("its job runs as `{user}`, and this is user `{}`", us.name);
                Eyes::Closed(
                    Diagnostic::new("source not looked at", what)
                        .fix(format!("look as root, or as `{user}`")),
                )
            }
        }
    }

    /// The source's secrets that lie in files, as the scheduler will read them; one that cannot be read is told by the
    /// requirement for it.
    fn credentials(&self, set: &SetDeclaration) -> BTreeMap<String, Vec<u8>> {
        let read = |(name, reference): (&str, &SecretRef)| match reference {
            SecretRef::File(path) => Some((credential_name(name), self.host.read(path).ok()?)),
            SecretRef::Credential(_) | SecretRef::Command(_) | SecretRef::Env(_) => None,
        };
        set.source.secrets().into_iter().filter_map(read).collect()
    }

    /// Asks a child that has become the user.
    fn through(
        &self,
        name: &SetName,
        set: &SetDeclaration,
        user: &UserName,
    ) -> Result<SourceFacts, Diagnostic> {
        let trouble = |why: String| {
            Diagnostic::new("source not looked at", format!("set `{name}`, as user `{user}`"))
                .why(why)
                .fix(format!("see that user `{user}` may execute bkp, and look again"))
        };
        let binary = self.host.binary().map_err(|error| trouble(error.to_string()))?;
        let only = self.plan.only(name).ok_or_else(|| trouble("the plan has no such set".to_owned()))?;
        let binary = binary.into_os_string();
        let mut argv = vec![binary.clone(), "as-user".into(), user.as_str().into(), "--".into(), binary];
        argv.extend(["look-source".into(), name.as_str().into()]);
        let handed_on = self.kind == SchedulerKind::Systemd;
        argv.extend(handed_on.then(|| "--secrets-handed-on".into()));
        let mut command = Command::look(argv);
        let credentials = if handed_on { self.credentials(set) } else { BTreeMap::new() };
        let request = LookRequest { plan: declared::render(&only), credentials };
        command.stdin = Some(serde_json::to_vec(&request).map_err(|error| trouble(error.to_string()))?);
        command.time_limit = LOOK_LIMIT;
        let output = self.host.run(&command).map_err(|error| trouble(error.to_string()))?;
        if !output.succeeded() {
            return Err(trouble(output.explain()));
        }
        let facts: Result<SourceFacts, _> = serde_json::from_slice(&output.stdout);
        let mut facts = facts.map_err(|error| trouble(format!("its answer: {error}")))?;
        if handed_on {
            facts.requirements.extend(secret_files(self.host, &only, set));
        }
        Ok(facts)
    }
}

/// What is known of a source that its user cannot be asked about.
fn blocked(user: &UserName, diagnostic: Diagnostic) -> SourceFacts {
    let object = user.to_string();
    let requirement = RequirementFacts { kind: "user".into(), object, unmet: Some(diagnostic.clone()) };
    SourceFacts::new(Observed::Unknown(diagnostic), vec![requirement])
}

/// A set's source as this process's user sees it; none when the plan has no such set. Only looks.
pub fn of_this_user(host: &dyn Host, plan: &Plan, name: &SetName, secrets: Secrets) -> Option<SourceFacts> {
    let set = plan.sets.get(name)?;
    let source = sources::source(name, &set.source);
    let mut facts = source.look(host);
    let requirements = &mut facts.requirements;
    requirements
        .extend(set.before.iter().chain(&set.after).filter_map(|hook| Some(tool(host, hook.first()?))));
    requirements.extend(plan.every_secret(set).into_iter().filter_map(|(_, reference)| match reference {
        SecretRef::Command(argv) => Some(tool(host, argv.first()?)),
        // Only a run in the job's environment can show credentials and variables; files are below.
        SecretRef::File(_) | SecretRef::Credential(_) | SecretRef::Env(_) => None,
    }));
    match secrets {
        Secrets::ReadByJob => requirements.extend(secret_files(host, plan, set)),
        Secrets::HandedOn => {}
    }
    requirements.extend(reachable(host, plan, set));
    facts.devices =
        source.paths().iter().filter_map(|path| host.status(path).ok()).map(|status| status.device).collect();
    facts.identity = session_identity(host, &*source);
    Some(facts)
}

/// Local destinations that this user cannot come to. Whether they exist is asked elsewhere.
fn reachable(host: &dyn Host, plan: &Plan, set: &SetDeclaration) -> Vec<RequirementFacts> {
    let look = |name| {
        let DestinationKind::Local(local) = &plan.destinations.get(name)?.kind else { return None };
        let error =
            host.status(&local.path).err().filter(|it| it.kind() == io::ErrorKind::PermissionDenied)?;
        let path = local.path.display().to_string();
        let unmet = Diagnostic::new("destination out of reach", format!("destination `{name}` at {path}"))
            .why(format!("user {}: {error}", host.user().name))
            .fix("let that user pass through the folders above it (chmod o+x)");
        Some(RequirementFacts { kind: "destination".into(), object: path, unmet: Some(unmet) })
    };
    plan.destinations_of(set).iter().filter_map(look).collect()
}

/// A hook's or a secret command's program under the job's PATH.
fn tool(host: &dyn Host, program: &str) -> RequirementFacts {
    let found = host.find_tool(program, SEARCH_PATH).is_some();
    let unmet = (!found).then(|| {
        Diagnostic::new("tool missing", format!("`{program}` is not on the job's PATH"))
            .why(format!("PATH={SEARCH_PATH}"))
            .fix(format!("install `{program}`, or take it out of the plan file"))
    });
    RequirementFacts { kind: "tool".into(), object: program.to_owned(), unmet }
}

/// The files of a set's secrets, read by whoever this process is.
fn secret_files(host: &dyn Host, plan: &Plan, set: &SetDeclaration) -> Vec<RequirementFacts> {
    let file = |(name, reference): (String, &SecretRef)| match reference {
        SecretRef::File(path) => {
            let unmet = host.may_read(path).err().map(|error| {
                Diagnostic::new("secret not readable", format!("secret `{name}` at {}", path.display()))
                    .why(format!("user {}: {error}", host.user().name))
                    .fix(format!("write it to {} with mode 0600", path.display()))
            });
            Some(RequirementFacts { kind: "secret".into(), object: path.display().to_string(), unmet })
        }
        SecretRef::Command(_) | SecretRef::Credential(_) | SecretRef::Env(_) => None,
    };
    plan.every_secret(set).into_iter().filter_map(file).collect()
}
