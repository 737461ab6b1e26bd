//! The host and the destinations looked at, and written down as facts. Nothing here changes anything.

mod destination;
mod source;

pub use source::{LookRequest, Secrets, of_this_user};

use super::{WorkflowError, installed, journal, lock, runner};
use crate::declared::{Plan, SetName, TimeZoneName, UserName};
use crate::diagnostic::Diagnostic;
use crate::format::SnapshotId;
use crate::host::SEARCH_PATH;
use crate::host::{FileKind, Host, account};
use crate::observed::{
    BinaryFacts, DaemonFacts, DestinationFacts, Fact, Facts, HostFacts, InstalledFile, InstalledJob, JobName,
    JournalFacts, Observed, PathFacts, SchedulerFacts, SchedulerKind, UserFacts,
};
use crate::schedulers::{self, Places};
use crate::sources;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Names of all snapshots, and the newest complete one of each set: what `plan` and `apply` need. The journal can
    /// be long, and is read only where a destination has no marker: it knows whether one was there.
    Newest,
    /// Every snapshot's manifest, objects and proofs, and the journal: what `audit` needs.
    Everything,
}

/// Looks at everything that concerns a plan on this host.
pub fn observe(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    kind: SchedulerKind,
    scope: Scope,
) -> Result<Facts, WorkflowError> {
    let observed_at = host.now();
    let jobs = jobs(host, plan, places, kind);
    let orphans = orphans(plan, &jobs);
    let looker = source::Looker { host, plan, places, kind };
    let sources = plan.sets.keys().filter_map(|name| Some((name.clone(), looker.look(name)?))).collect();
    let destinations = destination::all(host, plan, scope, &orphans);
    let journal = journal_needed(scope, destinations.values()).then(|| journals(host, plan, places));
    let paths = paths(host, plan, places, &jobs);
    Ok(Facts {
        format: Facts::FORMAT,
        observed_at,
        bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host_facts(host, plan)?,
        schedulers: BTreeMap::from([(kind, jobs)]),
        plans: installed::observe(host, places)?,
        sources,
        destinations,
        discovered: discovered(host, plan, places),
        foreign: foreign(host, plan, places, scope),
        paths,
        journal,
        daemon: (kind == SchedulerKind::Embedded).then(|| daemon(host, places)),
    })
}

fn journal_needed<'a>(
    scope: Scope,
    mut destinations: impl Iterator<Item = &'a Fact<DestinationFacts>>,
) -> bool {
    let unprepared = |fact: &Fact<DestinationFacts>| match &fact.observed {
        Observed::Present(facts) => !facts.prepared,
        Observed::Absent => true,
        Observed::Unknown(_) => false,
    };
    scope == Scope::Everything || destinations.any(unprepared)
}

fn host_facts(host: &dyn Host, plan: &Plan) -> Result<HostFacts, WorkflowError> {
    let binary = host
        .binary()
        .map_err(|error| Diagnostic::new("own binary not found", "bkp").why(error.to_string()))?;
    let user = host.user();
    let build = binary.components().any(|part| part.as_os_str() == "target")
        && binary.components().any(|part| {
            part.as_os_str() == "debug" || part.as_os_str() == "release" || part.as_os_str() == "dist"
        });
    let homes = [Path::new("/home"), Path::new("/root"), user.home.as_path()];
    let in_home = homes.iter().any(|home| *home != Path::new("/") && binary.starts_with(home));
    Ok(HostFacts {
        name: host.host_name(),
        uid: user.uid,
        user: user.name,
        home: user.home,
        time_zone: host.time_zone().and_then(|name| TimeZoneName::try_from(name).ok()),
        users: users(host, plan),
        binary: BinaryFacts { in_build_folder: build, in_home, path: binary },
    })
}

/// The users that sets run as.
fn users(host: &dyn Host, plan: &Plan) -> BTreeMap<UserName, Observed<UserFacts>> {
    let named: BTreeSet<_> = plan.sets.values().filter_map(|set| plan.job_policy(set).run_as).collect();
    let look = |user: UserName| {
        let facts = match account(host, user.as_str()) {
            Ok(Some(account)) => Observed::Present(UserFacts { uid: account.uid, home: account.home }),
            Ok(None) => Observed::Absent,
            Err(error) => Observed::Unknown(
                Diagnostic::new("user could not be looked up", format!("`run_as: {user}`"))
                    .why(error.to_string()),
            ),
        };
        (user, facts)
    };
    named.into_iter().map(look).collect()
}

/// The journal of the scope, and those of the users that sets run as: in the order of time, each with its own sets
/// alone, because a user can write anything into a journal.
fn journals(host: &dyn Host, plan: &Plan, places: &Places) -> Fact<JournalFacts> {
    let mut all = journal::read(host, &places.state);
    let mut by_state: BTreeMap<PathBuf, BTreeSet<SetName>> = BTreeMap::new();
    for set in plan.sets.keys() {
        let state = runner::places_of(plan, set, places).state;
        by_state.entry(state).or_default().insert(set.clone());
    }
    let mut missing = BTreeMap::new();
    for (state, sets) in by_state {
        let path = journal::path(&state);
        let one = if state == places.state { None } else { Some(of_user(host, plan, &state, &sets)) };
        let observed = &one.as_ref().unwrap_or(&all).observed;
        if matches!(observed, Observed::Absent) {
            missing.extend(sets.into_iter().map(|set| (set, path.clone())));
        }
        all = match one {
            Some(one) => merged(all, one),
            None => all,
        };
    }
    if let Observed::Present(facts) = &mut all.observed {
        facts.missing = missing;
        let own = plan.sets.keys().filter(|set| runner::places_of(plan, set, places).state == places.state);
        facts.cut_short = own
            .filter_map(|set| {
                let (_, began) = journal::open_run(facts.entries.iter().filter(|entry| entry.set == *set))?;
                cut_short(host, &places.state, set, began).then(|| (set.clone(), began))
            })
            .collect();
    }
    all
}

/// Whether a run that has begun was killed, or the host went down under it: nobody holds the set's lock, and it has not ended.
fn cut_short(host: &dyn Host, state: &Path, set: &SetName, began: SnapshotId) -> bool {
    // A run that ended meanwhile had written its end before it let go.
    !lock::is_held(state, set)
        && journal::of_set(host, state, set)
            .is_ok_and(|entries| journal::open_run(&entries).is_some_and(|(_, still)| still == began))
}

/// The journal of a user, as far as it speaks of that user's sets.
fn of_user(host: &dyn Host, plan: &Plan, state: &Path, sets: &BTreeSet<SetName>) -> Fact<JournalFacts> {
    let path = journal::path(state);
    // A link or a pipe in its place would lead root elsewhere, or keep it waiting.
    let strange = host.link_status(&path).is_ok_and(|status| status.kind != FileKind::File);
    if strange {
        let what = Diagnostic::new("journal not readable", path.display().to_string());
        let observed = Observed::Unknown(what.why("it is no plain file"));
        return Fact::new(host.now(), format!("stat {}", path.display()), observed);
    }
    let mut fact = journal::read(host, state);
    if let Observed::Present(facts) = &mut fact.observed {
        facts.entries.retain(|entry| sets.contains(plan.moved.get(&entry.set).unwrap_or(&entry.set)));
    }
    fact
}

fn merged(one: Fact<JournalFacts>, other: Fact<JournalFacts>) -> Fact<JournalFacts> {
    let observed = match (one.observed, other.observed) {
        (unknown @ Observed::Unknown(_), _) | (_, unknown @ Observed::Unknown(_)) => unknown,
        (Observed::Absent, rest) | (rest, Observed::Absent) => rest,
        (Observed::Present(mut one), Observed::Present(mut other)) => {
            // Two damaged journals are told one after the other.
            if one.damaged_lines.is_empty() && !other.damaged_lines.is_empty() {
                (one.path, one.damaged_lines) = (other.path, other.damaged_lines);
            }
            one.entries.append(&mut other.entries);
            one.entries.sort_by_key(|entry| entry.at);
            Observed::Present(one)
        }
    };
    Fact::new(one.at, format!("{}; {}", one.how, other.how), observed)
}

fn jobs(host: &dyn Host, plan: &Plan, places: &Places, kind: SchedulerKind) -> Fact<SchedulerFacts> {
    let observed = schedulers::scheduler(kind, places).observe(host);
    let observed = match observed {
        Observed::Present(mut facts) => {
            match facts.jobs.iter_mut().try_for_each(|job| plan_copy(host, plan, places, job)) {
                Ok(()) => Observed::Present(facts),
                Err(diagnostic) => Observed::Unknown(diagnostic),
            }
        }
        other @ (Observed::Absent | Observed::Unknown(_)) => other,
    };
    Fact::new(host.now(), format!("{} was asked for its jobs", kind.word()), observed)
}

/// The sets that left the plan while their jobs stayed: how many snapshots they have is worth knowing.
fn orphans(plan: &Plan, jobs: &Fact<SchedulerFacts>) -> Vec<SetName> {
    let installed = jobs.observed.present().map(|facts| facts.jobs.as_slice()).unwrap_or_default();
    let ours =
        installed.iter().filter(|job| job.marker.as_ref().is_some_and(|marker| marker.plan == plan.name));
    let sets = ours.filter_map(|job| match &job.name {
        JobName::Set(set) if !plan.sets.contains_key(set) && !plan.moved.contains_key(set) => {
            Some(set.clone())
        }
        JobName::Set(_) | JobName::Trial(_) | JobName::Audit(_) => None,
    });
    sets.collect()
}

/// Adds the copy of the plan that a set's job runs to the job's files.
fn plan_copy(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    job: &mut InstalledJob,
) -> Result<(), Diagnostic> {
    let JobName::Set(set) = &job.name else { return Ok(()) };
    let owner = job.marker.as_ref().map_or(&plan.name, |marker| &marker.plan);
    let path = super::places::job_plan(places, owner, set);
    match host.read(&path) {
        // What is not text differs from any plan, and is shown as far as it can be.
        Ok(bytes) => {
            let text = Some(String::from_utf8_lossy(&bytes).into_owned());
            job.files.push(InstalledFile { path, text });
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(Diagnostic::new("plan of a job not readable", path.display().to_string())
                .why(error.to_string()))
        }
    }
}

fn discovered(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
) -> BTreeMap<String, Fact<Vec<crate::observed::Found>>> {
    let servers = sources::discover_servers(host, &places.state);
    let servers = Fact::new(host.now(), "processes and sockets looked at", servers);
    let roots = plan.discover.sqlite.iter();
    let mut discovered: BTreeMap<_, _> = roots
        .map(|root| {
            let place = format!("sqlite:{}", root.display());
            let fact = Fact::new(
                host.now(),
                format!("searched {}", root.display()),
                sources::discover_sqlite(host, root),
            );
            (place, fact)
        })
        .collect();
    discovered.insert("servers".to_owned(), servers);
    discovered
}

/// Backups that are not bkp's: for the plan's reader alone, since they are no finding.
fn foreign(
    host: &dyn Host,
    plan: &Plan,
    places: &Places,
    scope: Scope,
) -> BTreeMap<String, Fact<Vec<crate::observed::ForeignBackup>>> {
    match scope {
        Scope::Newest => {
            let mut folders = schedulers::default_script_folders(host);
            folders.extend(plan.discover.scripts.iter().cloned());
            schedulers::observe_foreign(host, places, &folders)
        }
        Scope::Everything => BTreeMap::new(),
    }
}

fn paths(host: &dyn Host, plan: &Plan, places: &Places, jobs: &Fact<SchedulerFacts>) -> Vec<Fact<PathFacts>> {
    let mut wanted: Vec<(PathBuf, &str, Option<SetName>)> = Vec::new();
    let installed = jobs.observed.present().into_iter().flat_map(|facts| &facts.jobs);
    for job in installed.filter(|job| job.marker.as_ref().is_some_and(|marker| marker.plan == plan.name)) {
        let set = match &job.name {
            JobName::Set(set) | JobName::Trial(set) => Some(set.clone()),
            JobName::Audit(_) => None,
        };
        // A mask is a link to /dev/null and judged as such; the copy of the plan is looked at as a plan.
        let copy = set.as_ref().map(|set| super::places::job_plan(places, &plan.name, set));
        let files = job.files.iter().filter(|file| file.text.is_some() && Some(&file.path) != copy.as_ref());
        wanted.extend(files.map(|file| (file.path.clone(), "job", set.clone())));
    }
    for (name, set) in &plan.sets {
        let secrets = plan.secret_files(set).into_iter();
        wanted.extend(secrets.map(|path| (path.to_owned(), "secret", Some(name.clone()))));
        wanted.extend(
            set.source.secret_files().into_iter().map(|it| (it.to_owned(), "secret", Some(name.clone()))),
        );
        for hook in set.before.iter().chain(&set.after) {
            if let Some(path) = hook.first().and_then(|program| host.find_tool(program, SEARCH_PATH)) {
                wanted.push((path, "hook", Some(name.clone())));
            }
        }
        wanted.push((super::places::job_plan(places, &plan.name, name), "plan", Some(name.clone())));
    }
    wanted.push((super::places::installed_plan(places, &plan.name), "plan", None));
    if let Ok(binary) = host.binary() {
        wanted.push((binary, "binary", None));
    }
    wanted.sort();
    wanted.dedup();
    wanted.into_iter().map(|(path, role, set)| path_fact(host, path, role, set)).collect()
}

fn path_fact(host: &dyn Host, path: PathBuf, role: &str, set: Option<SetName>) -> Fact<PathFacts> {
    let how = format!("stat {}", path.display());
    let observed = match host.status(&path) {
        Ok(status) => Observed::Present(PathFacts {
            writable_folder: writable_folder(host, &path, status.uid),
            path,
            role: role.to_owned(),
            set,
            uid: status.uid,
            mode: status.mode,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Observed::Absent,
        Err(error) => Observed::Unknown(
            Diagnostic::new("file not readable", path.display().to_string()).why(error.to_string()),
        ),
    };
    Fact::new(host.now(), how, observed)
}

/// The first folder above a path in which somebody else could replace it: writable by others and not sticky, or
/// owned by neither root, the file's owner nor us.
fn writable_folder(host: &dyn Host, path: &Path, owner: u32) -> Option<PathBuf> {
    let us = host.user().uid;
    path.ancestors().skip(1).find_map(|folder| {
        let status = host.status(folder).ok()?;
        if status.kind != FileKind::Directory {
            return None;
        }
        let open = status.mode & 0o022 != 0 && status.mode & 0o1000 == 0;
        let group_of_owner = status.mode & 0o002 == 0 && status.gid == status.uid;
        let foreign = status.uid != 0 && status.uid != owner && status.uid != us;
        ((open && !group_of_owner) || foreign).then(|| folder.to_path_buf())
    })
}

fn daemon(host: &dyn Host, places: &Places) -> Fact<DaemonFacts> {
    let (lock, heartbeat) = schedulers::daemon_paths(places);
    let how = format!("asked the kernel for {} and read {}", lock.display(), heartbeat.display());
    Fact::new(host.now(), how, schedulers::daemon_facts(host, places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn needed(scope: Scope, prepared: &[bool]) -> bool {
        let fact = |prepared: &bool| {
            let facts = DestinationFacts {
                prepared: *prepared,
                space: None,
                device: None,
                clock_offset_seconds: None,
                rules: None,
                sets: BTreeMap::new(),
            };
            Fact::new(Timestamp::UNIX_EPOCH, "a test".to_owned(), Observed::Present(facts))
        };
        let facts: Vec<_> = prepared.iter().map(fact).collect();
        journal_needed(scope, facts.iter())
    }

    #[test]
    fn journal_is_read_where_a_marker_is_missing_and_for_an_audit() {
        assert!(!needed(Scope::Newest, &[true, true]));
        assert!(needed(Scope::Newest, &[true, false]));
        assert!(needed(Scope::Everything, &[true, true]));
    }
}
