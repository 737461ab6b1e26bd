//! The end of a run at each destination: its manifest, written once every member has its receipt, in the order in which
//! destinations are filled from one another.

use super::{Copy, Party, Session};
use crate::declared::{self, DestinationName};
use crate::diagnostic::Diagnostic;
use crate::format::{FailedMember, Manifest};
use crate::observed::{JournalEvent, SnapshotState};
use crate::pipeline::{self, ManifestDraft};
use crate::sources::Member;
use crate::workflow::event::Event;
use crate::workflow::run::copying::{self, Filled, NOT_FILLED};
use crate::workflow::run::members::{Harvest, NOT_STORED};
use crate::workflow::{journal, prune, signal, verify};
use std::collections::{BTreeMap, BTreeSet};

/// What was sealed in this run, by destination.
type Manifests = BTreeMap<DestinationName, Manifest>;

impl Session<'_> {
    /// Seals at every destination that has all members, those that are filled from another behind it.
    pub(super) fn seal(&mut self, mut harvest: Harvest, members: &[Member]) {
        let mut sealed = Manifests::new();
        for index in self.filling_order() {
            if let Filled::From(from) = copying::filled(self, &self.parties[index]) {
                self.fill(&self.parties[index], &from, &sealed, members, &mut harvest);
            }
            self.seal_at(index, &mut harvest, &mut sealed);
        }
        let mut saved = BTreeSet::new();
        for index in self.filling_order() {
            let party = &self.parties[index];
            let name = &party.site.name;
            let from = match copying::filled(self, party) {
                _ if sealed.contains_key(name) || signal::told_to_end() => None,
                Filled::From(from) => saved.contains(&from).then_some(from),
                Filled::BySource if harvest.passing.contains(name) => self.twin(name, &sealed),
                Filled::BySource => None,
            };
            let name = name.clone();
            if let Some(from) = from
                && self.second_attempt(index, &from, &mut sealed, members, &mut harvest)
            {
                saved.insert(name);
            }
        }
        self.look_again(&harvest.damaged);
    }

    /// What a copy found damaged at its origin is proven to be, and written down there: it must push out nothing.
    fn look_again(&mut self, damaged: &BTreeSet<DestinationName>) {
        for party in self.parties.iter().filter(|it| damaged.contains(&it.site.name)) {
            let copy = Copy { id: self.snapshot, stored_as: self.name.clone() };
            if let Err(diagnostic) = verify::one(self.host, self.places, &party.site, self.name, &copy) {
                self.reports.entry(party.site.name.clone()).or_default().failures.push(*diagnostic);
            }
        }
    }

    /// A destination where the bytes that another one lacks lie by now.
    fn twin(&self, name: &DestinationName, sealed: &Manifests) -> Option<DestinationName> {
        let packed = |name: &DestinationName| {
            let declared = self.plan.destinations.get(name);
            (self.plan.compression(self.set, name), declared.and_then(|it| it.encryption.clone()))
        };
        sealed.keys().find(|from| packed(from) == packed(name)).cloned()
    }

    /// What failed for a passing reason, or because its origin did, is tried once more, from where the bytes lie by now.
    /// Whether it is sealed.
    fn second_attempt(
        &mut self,
        index: usize,
        from: &DestinationName,
        sealed: &mut Manifests,
        members: &[Member],
        harvest: &mut Harvest,
    ) -> bool {
        let party = &self.parties[index];
        let name = party.site.name.clone();
        // What is left of the first attempt would be in the way; where it cannot be removed, that shows below.
        let copy = Copy { id: self.snapshot, stored_as: self.name.clone() };
        let _shown_below = prune::remove_objects(&party.site, &copy);
        harvest.try_again(&name);
        self.fill(party, from, sealed, members, harvest);
        let mut before = std::mem::take(&mut self.reports.entry(name.clone()).or_default().failures);
        self.seal_at(index, harvest, sealed);
        let saved = sealed.contains_key(&name);
        if saved {
            // Why it failed at first is over; what was told of it before that is not.
            before.retain(|it| it.summary != NOT_STORED && it.summary != NOT_FILLED);
        }
        self.reports.entry(name).or_default().failures.extend(before);
        saved
    }

    /// The parties, those that are filled from another behind it.
    fn filling_order(&self) -> Vec<usize> {
        let at = |name: &DestinationName| self.parties.iter().position(|party| party.site.name == *name);
        self.plan.filling_order(self.set).into_iter().filter_map(at).collect()
    }

    /// Fills a destination with what another one has of this run.
    fn fill(
        &self,
        party: &Party,
        from: &DestinationName,
        sealed: &Manifests,
        members: &[Member],
        harvest: &mut Harvest,
    ) {
        let origin = self.parties.iter().find(|party| party.site.name == *from);
        let Some((origin, manifest)) = origin.zip(sealed.get(from)) else {
            let what = format!("destination `{}`", party.site.name);
            let diagnostic = Diagnostic::new(NOT_FILLED, what)
                .why(format!("`{from}`, which it is filled from, has no snapshot of this run"))
                .fix(format!("mend `{from}`, and run `bkp run {}` again", self.name));
            return harvest.drop_out(&party.site.name, diagnostic);
        };
        (self.listener)(Event::Phase(format!("filling `{}` from `{from}`", party.site.name)));
        copying::copy(self, (&origin.site, manifest), &party.site, members, harvest);
    }

    /// Seals at one destination, and writes down that it is sealed.
    fn seal_at(&mut self, index: usize, harvest: &mut Harvest, manifests: &mut Manifests) {
        let failed = self.members.iter().filter_map(|member| {
            Some(FailedMember { name: member.name.clone(), reason: member.failed.clone()? })
        });
        let failed: Vec<FailedMember> = failed.collect();
        let party = &self.parties[index];
        let report = self.reports.entry(party.site.name.clone()).or_default();
        let proven = match harvest.take(&party.site.name) {
            Ok(proven) if proven.is_empty() => return,
            Ok(proven) => proven,
            Err(diagnostic) => return report.failures.push(*diagnostic),
        };
        let previous = party.history.snapshots().iter().rev().find_map(|snapshot| match &snapshot.state {
            SnapshotState::Sealed(sealed) => Some(sealed.manifest_sha256),
            SnapshotState::NotRead
            | SnapshotState::NeverRestored
            | SnapshotState::Unsealed
            | SnapshotState::Damaged(_) => None,
        });
        let draft = ManifestDraft {
            plan: self.plan.name.clone(),
            set: self.name.clone(),
            set_digest: declared::set_digest(self.plan, self.name).expect("the set is in the plan"),
            snapshot: self.snapshot,
            started_at: self.snapshot.started_at(),
            trigger: self.request.trigger,
            source: self.set.source.word().to_owned(),
            identity: self.identity.clone(),
            failed,
            previous,
        };
        let sealed = match pipeline::seal(self.host, &*party.site.target, &party.site.layout, draft, proven) {
            Ok(sealed) => sealed,
            Err(error) => {
                let fix = format!("run `bkp run {}` again; earlier snapshots are untouched", self.name);
                report.failures.push(Diagnostic::from_error("snapshot not sealed", &error).fix(fix));
                return;
            }
        };
        report.sealed = Some(sealed.digest());
        report.stored_bytes = sealed.manifest().stored_bytes();
        let event = JournalEvent::Sealed {
            snapshot: self.snapshot,
            destination: party.site.name.clone(),
            manifest_sha256: sealed.digest(),
            complete: sealed.manifest().complete,
        };
        if let Err(error) = journal::write(self.host, &self.places.state, self.name, event) {
            report.failures.push(error.diagnostic());
        }
        (self.listener)(Event::Sealed {
            set: self.name.clone(),
            destination: party.site.name.clone(),
            snapshot: self.snapshot,
            complete: sealed.manifest().complete,
        });
        manifests.insert(party.site.name.clone(), sealed.manifest().clone());
    }
}
