//! A run that has its lock: its destinations, its name, and what follows once the members are stored.

mod sealing;

use super::arrival;
use super::members::{self, Harvest};
use super::report::{DestinationReport, MemberReport, RunReport};
use super::{RunRequest, WorkflowError};
use crate::decide::{newest_identity, not_what_it_was};
use crate::declared::{DestinationName, Plan, SetDeclaration, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::format::{Level, SnapshotId, SourceIdentity, Trigger};
use crate::host::{FileKind, Host};
use crate::observed::JournalEvent;
use crate::schedulers::Places;
use crate::sources::{self, Source};
use crate::workflow::event::{Event, Listener};
use crate::workflow::history::{History, newest_complete};
use crate::workflow::keyring::NOT_USABLE;
use crate::workflow::scratch::Scratch;
use crate::workflow::site::{Copy, Site, node_of};
use crate::workflow::{drill, journal, prune, signal, verify};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Room that must stay free in the scratch folder's file system, in bytes.
const SCRATCH_RESERVE_BYTES: u64 = 16 << 20;

/// A destination that takes part, with what it holds.
pub struct Party {
    /// The destination.
    pub site: Site,
    /// The set's snapshots there.
    pub history: History,
}

/// One run.
pub struct Session<'a> {
    host: &'a dyn Host,
    plan: &'a Plan,
    places: &'a Places,
    name: &'a SetName,
    set: &'a SetDeclaration,
    request: RunRequest,
    listener: Listener<'a>,
    scratch: &'a Scratch,
    variables: &'a BTreeMap<String, OsString>,
    source: Box<dyn Source>,
    snapshot: SnapshotId,
    parties: Vec<Party>,
    identity: Vec<SourceIdentity>,
    reports: BTreeMap<DestinationName, DestinationReport>,
    members: Vec<MemberReport>,
    read_bytes: u64,
}

/// What the paths of a source are mounted from; a path that does not exist (yet) is left to the source's own words.
pub fn identity_of(host: &dyn Host, source: &dyn Source) -> Vec<SourceIdentity> {
    let mounted = |path: std::path::PathBuf| {
        // A link to a file is kept as a link, and a file is no mount point that could be empty.
        let is_link = host.link_status(&path).is_ok_and(|it| it.kind == FileKind::Symlink);
        let is_file = || host.status(&path).is_ok_and(|it| it.kind != FileKind::Directory);
        let looked_at = path.parent().filter(|_| is_link && is_file()).unwrap_or(&path);
        let mount = host.mount(looked_at).ok()?;
        Some(SourceIdentity {
            path,
            mount_point: mount.point,
            mount_source: mount.source,
            file_system: mount.kind,
            file_system_uuid: mount.uuid,
        })
    };
    source.paths().into_iter().filter_map(mounted).collect()
}

impl<'a> Session<'a> {
    /// Opens the destinations, chooses the snapshot's name and clears what killed runs left.
    pub fn begin(
        host: &'a dyn Host,
        plan: &'a Plan,
        places: &'a Places,
        (name, set): (&'a SetName, &'a SetDeclaration),
        request: RunRequest,
        (scratch, variables): (&'a Scratch, &'a BTreeMap<String, OsString>),
        listener: Listener<'a>,
    ) -> Result<Self, WorkflowError> {
        let mut reports = BTreeMap::new();
        let mut parties = Vec::new();
        let node = node_of(host, plan);
        let entries = journal::of_set(host, &places.state, name)?;
        for destination in plan.destinations_of(set) {
            let report: &mut DestinationReport = reports.entry(destination.clone()).or_default();
            let Some(declaration) = plan.destinations.get(destination) else { continue };
            let site = Site::open(host, destination, declaration, node.clone(), Access::Change);
            if let Some(trouble) = site.keys.trouble() {
                listener(Event::Trouble(trouble.clone()));
                report.failures.push(trouble.clone());
                // A backup that cannot be drilled is better than none; one that nothing was proven of yet is not begun.
                if site.keys.sealer().is_none() || request.trigger == Trigger::Trial {
                    continue;
                }
            }
            if site.encrypted && site.keys.sealer().is_none() {
                let what = format!("destination `{destination}`");
                let diagnostic = Diagnostic::new(NOT_USABLE, what).why(site.keys.closed());
                listener(Event::Trouble(diagnostic.clone()));
                report.failures.push(diagnostic);
                continue;
            }
            match arrival::admit_patiently(&site, name, plan, request.trigger) {
                Ok(history) => match arrival::one_place(&parties, &site).or_else(|| {
                    let accepted = request.accept_source;
                    arrival::another_plans(plan, name, &site, history.snapshots(), &entries)
                        .filter(|_| !accepted)
                }) {
                    None => parties.push(Party { site, history }),
                    Some(diagnostic) => {
                        listener(Event::Trouble(diagnostic.clone()));
                        report.failures.push(diagnostic);
                    }
                },
                Err(diagnostic) => {
                    listener(Event::Trouble(diagnostic.clone()));
                    report.failures.push(diagnostic);
                }
            }
        }
        let of_party =
            |party: &Party| party.history.snapshots().last().map_or(0, |snapshot| snapshot.id.sequence());
        let at_destinations = parties.iter().map(of_party).max().unwrap_or(0);
        let in_journal = entries.iter().filter_map(|entry| match &entry.event {
            JournalEvent::Started { snapshot, .. } => Some(snapshot.sequence()),
            JournalEvent::Sealed { .. }
            | JournalEvent::Finished { .. }
            | JournalEvent::Skipped { .. }
            | JournalEvent::Held { .. }
            | JournalEvent::Removing { .. }
            | JournalEvent::Proved { .. } => None,
        });
        let sequence = at_destinations.max(in_journal.max().unwrap_or(0)) + 1;
        let source = sources::source(name, &set.source);
        for party in &parties {
            // What a killed run left is no reason to make no backup; that it stays is said, and the run is not clean.
            let policy = plan.retention(set, &party.site.name);
            match prune::clear_leftovers(&party.site, name, party.history.snapshots(), &entries, policy) {
                Ok(left) => {
                    for id in left {
                        let words =
                            format!("{id} at `{}` was never sealed, and others remove it", party.site.name);
                        listener(Event::Phase(words));
                    }
                }
                Err(error) => {
                    let diagnostic = Diagnostic::from_error("leftovers not cleared", &error);
                    listener(Event::Trouble(diagnostic.clone()));
                    reports.entry(party.site.name.clone()).or_default().failures.push(diagnostic);
                }
            }
        }
        Ok(Self {
            host,
            plan,
            places,
            name,
            set,
            request,
            listener,
            scratch,
            variables,
            identity: identity_of(host, &*source),
            source,
            snapshot: SnapshotId::new(host.now(), sequence),
            parties,
            reports,
            members: Vec::new(),
            read_bytes: 0,
        })
    }

    /// Variables that name the files of the set's own secrets.
    pub fn variables(&self) -> &BTreeMap<String, OsString> {
        self.variables
    }

    /// What the paths of the source are mounted from.
    pub fn identity(&self) -> &[SourceIdentity] {
        &self.identity
    }

    /// The snapshot's name.
    pub fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// The report of what was done so far.
    pub fn report(self, started_at: Timestamp) -> RunReport {
        RunReport {
            set: self.name.clone(),
            snapshot: self.snapshot,
            trigger: self.request.trigger,
            started_at,
            finished_at: started_at,
            read_bytes: self.read_bytes,
            members: self.members,
            destinations: self.reports,
            failures: Vec::new(),
        }
    }

    /// Checks the ground, stores the members, seals, proves, and lets retention follow.
    pub fn back_up(&mut self) -> Result<(), WorkflowError> {
        if self.parties.is_empty() {
            return Err(Diagnostic::new("no destination can be used", format!("set `{}`", self.name))
                .why(
                    self.reports
                        .values()
                        .flat_map(|it| &it.failures)
                        .map(Diagnostic::sentence)
                        .collect::<Vec<_>>()
                        .join("; "),
                )
                .fix("mend one of them; `bkp plan` shows each")
                .into());
        }
        self.check_identity()?;
        self.check_scratch()?;
        (self.listener)(Event::Phase("enumerating the members".into()));
        let members = arrival::enumerate_patiently(&*self.source, self.host, self.request.trigger)
            .map_err(|error| error.diagnostic(self.name))?;
        if members.is_empty() {
            return Err(
                Diagnostic::new("source is empty", format!("set `{}` has no members", self.name)).into()
            );
        }
        let mut harvest = Harvest::new(self.parties.iter().map(|party| party.site.name.clone()));
        for (number, member) in members.iter().enumerate() {
            let report = members::back_up(self, (member, number + 1), &mut harvest)?;
            self.members.push(report);
            if signal::told_to_end() {
                return Err(Diagnostic::new(
                    "told to end",
                    format!("set `{}`: the run was interrupted", self.name),
                )
                .into());
            }
        }
        self.read_bytes = harvest.read_bytes;
        self.seal(harvest, &members);
        self.prove_and_prune()
    }

    /// Takes back what was stored where no snapshot was sealed. What cannot be removed now goes with the next run.
    pub fn take_back(&self) {
        let unsealed =
            |party: &&Party| self.reports.get(&party.site.name).is_none_or(|it| it.sealed.is_none());
        for party in self.parties.iter().filter(unsealed) {
            let copy = Copy { id: self.snapshot, stored_as: self.name.clone() };
            let _next_run = prune::remove_objects(&party.site, &copy);
        }
    }

    fn check_identity(&self) -> Result<(), WorkflowError> {
        if self.request.accept_source {
            return Ok(());
        }
        let newest = self.parties.iter().filter_map(|party| newest_complete(party.history.snapshots()));
        let complete = newest.map(|(it, sealed)| (it.id, &sealed.manifest));
        let journal = journal::of_set(self.host, &self.places.state, self.name)?;
        let Some(before) = newest_identity(complete, &journal) else { return Ok(()) };
        match not_what_it_was(self.name, before, &self.identity) {
            Some(diagnostic) => Err(diagnostic.into()),
            None => Ok(()),
        }
    }

    fn check_scratch(&self) -> Result<(), WorkflowError> {
        let needed = self.source.scratch_bytes(self.host).saturating_add(SCRATCH_RESERVE_BYTES);
        let Ok(space) = self.host.space(self.scratch.path()) else { return Ok(()) };
        if space.free_bytes >= needed {
            return Ok(());
        }
        let folder = self.places.state.join("scratch");
        Err(Diagnostic::new("scratch folder too small", folder.display().to_string())
            .why(format!("the run needs about {needed} bytes there, and {} are free", space.free_bytes))
            .fix("make room, or put the state folder elsewhere with `--state-dir`")
            .into())
    }

    fn prove_and_prune(&mut self) -> Result<(), WorkflowError> {
        for party in &mut self.parties {
            let Some(report) = self.reports.get_mut(&party.site.name) else { continue };
            if report.sealed.is_none() || self.members.iter().any(|member| member.failed.is_some()) {
                continue;
            }
            let copy = Copy { id: self.snapshot, stored_as: self.name.clone() };
            let Party { site, history } = party;
            if let Err(error) = history.look_into_all(site, self.name, &self.plan.moved) {
                report.failures.push(Diagnostic::from_error("history not readable", &error));
                continue;
            }
            let due = verify::Due::of(
                self.host.now(),
                self.plan,
                self.set,
                (&site.name, history.snapshots()),
                self.request.trigger,
            );
            // What nothing here opens is drilled where its key is; until then it is not `restored`.
            let openable = site.keys.sealer().is_none() || site.keys.opener().is_some();
            if due.drill && openable {
                (self.listener)(Event::Phase(format!("drilling at `{}`", site.name)));
                match drill::one(self.host, self.places, site, (self.name, Some(&self.set.source)), &copy) {
                    Ok(()) => {
                        report.drilled = true;
                        (self.listener)(Event::Proven {
                            set: self.name.clone(),
                            destination: site.name.clone(),
                            snapshot: self.snapshot,
                            level: Level::Restored,
                        });
                    }
                    Err(diagnostic) => {
                        report.failures.push(*diagnostic);
                        // What was just disproven must not push out what was proven before.
                        continue;
                    }
                }
            }
            for copy in &due.read_again {
                match verify::one(self.host, self.places, site, self.name, copy) {
                    Ok(()) => report.read_again.push(copy.id),
                    Err(diagnostic) => report.failures.push(*diagnostic),
                }
            }
            // Without its key nothing can be drilled any more: what is new must not push out what came back once.
            if site.keys.trouble().is_some() {
                continue;
            }
            // With the proofs that were just made.
            if let Err(error) = history.look_into_all(site, self.name, &self.plan.moved) {
                report.failures.push(Diagnostic::from_error("retention stopped", &error));
                continue;
            }
            let pruned = prune::one(
                self.host,
                self.plan,
                self.places,
                (self.name, self.set),
                (site, history.snapshots()),
                prune::Mode::Remove,
            );
            match pruned {
                Ok(verdicts) => {
                    for verdict in verdicts.into_iter().filter(|verdict| verdict.removed) {
                        (self.listener)(Event::Removed {
                            set: self.name.clone(),
                            destination: site.name.clone(),
                            snapshot: verdict.verdict.id,
                            reason: verdict.verdict.reasons.join(", "),
                        });
                        report.removed.push(verdict.verdict.id);
                    }
                }
                Err(error) => report.failures.push(error.diagnostic()),
            }
        }
        Ok(())
    }

    pub(super) fn host(&self) -> &'a dyn Host {
        self.host
    }

    pub(super) fn source(&self) -> &dyn Source {
        &*self.source
    }

    pub(super) fn scratch(&self) -> &Scratch {
        self.scratch
    }

    pub(super) fn parties(&self) -> &[Party] {
        &self.parties
    }

    pub(super) fn plan(&self) -> &Plan {
        self.plan
    }

    pub(super) fn set(&self) -> (&SetName, &SetDeclaration) {
        (self.name, self.set)
    }

    pub(super) fn listener(&self) -> Listener<'a> {
        self.listener
    }
}
