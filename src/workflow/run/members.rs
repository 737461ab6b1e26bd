//! One member after the other: read once, stored everywhere, and what each destination has to show for it.

use super::copying::{self, Filled};
use super::placement::{Placement, placement, remember};
use super::report::MemberReport;
use super::session::{Party, Session};
use crate::declared::DestinationName;
use crate::destinations::DestinationError;
use crate::diagnostic::{Diagnostic, causes};
use crate::format::{Counts, IndexObject};
use crate::pipeline::{self, Lane, ProvenMember, ReadBackError, Receipt, StoreError};
use crate::sources::{Complete, Desk, Member};
use crate::workflow::WorkflowError;
use crate::workflow::event::Event;
use crate::workflow::signal;
use crate::workflow::site::Site;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the members of a run left at each destination.
pub struct Harvest {
    proven: BTreeMap<DestinationName, Result<Vec<ProvenMember>, Box<Diagnostic>>>,
    /// Destinations that failed for a reason that may be over already.
    pub passing: BTreeSet<DestinationName>,
    /// Destinations that did not give back what they had stored a moment ago.
    pub damaged: BTreeSet<DestinationName>,
    /// Bytes read from the source.
    pub read_bytes: u64,
}

/// Whether an error may be over already: a connection that was cut, and not a place that is full or forbidden.
fn passing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Destination(DestinationError::Io { .. })
            | StoreError::ReadBack(ReadBackError::Unreadable { .. })
    )
}

impl Harvest {
    /// Nothing yet, at these destinations.
    pub fn new(destinations: impl Iterator<Item = DestinationName>) -> Self {
        Self {
            proven: destinations.map(|name| (name, Ok(Vec::new()))).collect(),
            passing: BTreeSet::new(),
            damaged: BTreeSet::new(),
            read_bytes: 0,
        }
    }

    /// The members of a destination that has all of them; the reason where it has not.
    pub fn take(&mut self, destination: &DestinationName) -> Result<Vec<ProvenMember>, Box<Diagnostic>> {
        self.proven.remove(destination).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Whether a destination takes part.
    pub fn still_in(&self, destination: &DestinationName) -> bool {
        matches!(self.proven.get(destination), Some(Ok(_)))
    }

    /// A destination takes part no more.
    pub fn drop_out(&mut self, destination: &DestinationName, diagnostic: Diagnostic) {
        self.proven.insert(destination.clone(), Err(Box::new(diagnostic)));
    }

    /// A destination that failed takes part again, with nothing yet.
    pub fn try_again(&mut self, destination: &DestinationName) {
        self.proven.insert(destination.clone(), Ok(Vec::new()));
    }

    /// Adds a member that is proven at a destination.
    pub fn add(&mut self, destination: &DestinationName, member: ProvenMember) {
        if let Some(Ok(members)) = self.proven.get_mut(destination) {
            members.push(member);
        }
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let below = causes(error);
    if below.is_empty() { error.to_string() } else { format!("{error}: {below}") }
}

/// The summary of a destination that failed while a member was stored.
pub const NOT_STORED: &str = "destination not verified";

fn not_stored(site: &Site, member: &Member, error: &StoreError) -> Diagnostic {
    Diagnostic::new(NOT_STORED, format!("destination `{}`, member `{}`", site.name, member.name))
        .why(chain(error))
        .fix("earlier snapshots there are untouched; mend the destination and run again")
}

/// Backs up one member. An error ends the whole run; a member that fails is in the report.
pub fn back_up(
    session: &Session<'_>,
    (member, number): (&Member, usize),
    harvest: &mut Harvest,
) -> Result<MemberReport, WorkflowError> {
    let mut report = MemberReport {
        name: member.name.clone(),
        counts: Counts::default(),
        bounds: BTreeMap::new(),
        warnings: Vec::new(),
        failed: None,
    };
    let placed = placements(session, (member, number), harvest);
    if placed.is_empty() {
        report.failed = Some("no destination is left".to_owned());
        return Ok(report);
    }
    (session.listener())(Event::Phase(format!("backing up `{}`", member.name)));
    let read_at = session.host().now();
    let desk =
        Desk { host: session.host(), scratch: session.scratch().path(), variables: session.variables() };
    let stream = match session.source().open(&desk, member) {
        Ok(stream) => stream,
        Err(error) => {
            report.failed = Some(chain(&error));
            return Ok(report);
        }
    };
    let lanes: Vec<Lane<'_>> = placed.iter().map(|(site, place)| lane(site, place)).collect();
    let listener = session.listener();
    let progress = |bytes: u64| listener(Event::ReadBytes(bytes));
    let limit = session.plan().time_limit(session.set().1).signed();
    let deadline = read_at.saturating_add(limit).unwrap_or(Timestamp::MAX);
    let cancelled = || signal::told_to_end() || session.host().now() > deadline;
    let stored = pipeline::store(session.host(), stream, &lanes, &progress, &cancelled);
    harvest.read_bytes += stored.read_bytes;
    let mut receipts = stored.receipts;
    let complete = match stored.outcome {
        Ok(complete) => complete,
        Err(error) => {
            let mut reasons = vec![chain(&error)];
            if matches!(error, StoreError::NoDestinationLeft) {
                // Each of them has failed by itself, and none can be given the next member.
                for (site, _) in placed {
                    let Some(Err(error)) = receipts.remove(&site.name) else { continue };
                    reasons.push(format!("`{}`: {}", site.name, chain(&error)));
                    drop_out(session, site, member, &error, harvest);
                }
            }
            report.failed = Some(reasons.join("; "));
            return Ok(report);
        }
    };
    report.counts = complete.counts().clone();
    report.bounds = complete.bounds().clone();
    report.warnings = complete.warnings().to_vec();
    for (site, place) in placed {
        let receipt = receipts.remove(&site.name).unwrap_or(Err(StoreError::NoDestinationLeft));
        let proven = receipt.and_then(|receipt| {
            remember(session, site, number, &place)?;
            let companions = companions(session, (site, &place), &complete, &receipt)?;
            let names = (member.name.clone(), place.object.clone());
            Ok(ProvenMember::new(&complete, receipt, names, read_at, companions))
        });
        match proven {
            Ok(proven) => harvest.add(&site.name, proven),
            Err(error) => drop_out(session, site, member, &error, harvest),
        }
    }
    Ok(report)
}

fn lane<'a>(site: &'a Site, place: &Placement) -> Lane<'a> {
    Lane {
        destination: site.name.clone(),
        packing: place.packing.clone(),
        target: &*site.target,
        key: place.key.clone(),
    }
}

/// The places of a member's artifact; a destination that has none to give drops out.
fn placements<'a>(
    session: &'a Session<'_>,
    (member, number): (&Member, usize),
    harvest: &mut Harvest,
) -> Vec<(&'a Site, Placement)> {
    let by_source = |party: &&Party| copying::filled(session, party) == Filled::BySource;
    let parties = session.parties().iter().filter(by_source).map(|party| &party.site);
    let sites: Vec<&Site> = parties.filter(|site| harvest.still_in(&site.name)).collect();
    let mut placed = Vec::with_capacity(sites.len());
    for site in sites {
        match placement(session, site, member, number) {
            Ok(placement) => placed.push((site, placement)),
            Err(error) => drop_out(session, site, member, &error, harvest),
        }
    }
    placed
}

fn drop_out(session: &Session<'_>, site: &Site, member: &Member, error: &StoreError, harvest: &mut Harvest) {
    let diagnostic = not_stored(site, member, error);
    if passing(error) {
        harvest.passing.insert(site.name.clone());
    }
    (session.listener())(Event::Trouble(diagnostic.clone()));
    harvest.drop_out(&site.name, diagnostic);
}

/// The sidecar, and the list of entries with its own.
fn companions(
    session: &Session<'_>,
    (site, place): (&Site, &Placement),
    complete: &Complete,
    receipt: &Receipt,
) -> Result<Option<IndexObject>, StoreError> {
    let (host, target) = (session.host(), &*site.target);
    let key = receipt.key();
    let sidecar = pipeline::sidecar(key.file_name(), &receipt.stored().sha256);
    pipeline::store_bytes(host, target, &key.with_suffix(crate::format::Layout::SIDECAR), &sidecar)?;
    let Some(file) = complete.index() else { return Ok(None) };
    let object = place.index_object.clone();
    let key = site.layout.artifact(session.set().0, &session.snapshot(), &object);
    let stored = pipeline::store_index(host, target, &key, file.path(), place.packing.sealer.as_ref())?;
    let sidecar = pipeline::sidecar(&object, &stored.sha256);
    pipeline::store_bytes(host, target, &key.with_suffix(crate::format::Layout::SIDECAR), &sidecar)?;
    Ok(Some(IndexObject { object, stored }))
}
