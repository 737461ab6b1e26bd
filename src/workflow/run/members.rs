//! One member after the other: read once, stored everywhere, and what each destination has to show for it.

use super::report::MemberReport;
use super::session::Session;
use crate::declared::DestinationName;
use crate::diagnostic::{Diagnostic, causes};
use crate::format::{Counts, IndexObject, encode_name};
use crate::pipeline::{self, Lane, ProvenMember, Receipt, StoreError};
use crate::sources::{Complete, Desk, Member};
use crate::workflow::WorkflowError;
use crate::workflow::event::Event;
use crate::workflow::history::Site;
use crate::workflow::signal;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What the members of a run left at each destination.
pub struct Harvest {
    proven: BTreeMap<DestinationName, Result<Vec<ProvenMember>, Box<Diagnostic>>>,
    /// Bytes read from the source.
    pub read_bytes: u64,
}

impl Harvest {
    /// Nothing yet, at these destinations.
    pub fn new(destinations: impl Iterator<Item = DestinationName>) -> Self {
        Self { proven: destinations.map(|name| (name, Ok(Vec::new()))).collect(), read_bytes: 0 }
    }

    /// The members of a destination that has all of them; the reason where it has not.
    pub fn take(&mut self, destination: &DestinationName) -> Result<Vec<ProvenMember>, Box<Diagnostic>> {
        self.proven.remove(destination).unwrap_or_else(|| Ok(Vec::new()))
    }

    fn still_in(&self, destination: &DestinationName) -> bool {
        matches!(self.proven.get(destination), Some(Ok(_)))
    }

    fn drop_out(&mut self, destination: &DestinationName, diagnostic: Diagnostic) {
        self.proven.insert(destination.clone(), Err(Box::new(diagnostic)));
    }

    fn add(&mut self, destination: &DestinationName, member: ProvenMember) {
        if let Some(Ok(members)) = self.proven.get_mut(destination) {
            members.push(member);
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let below = causes(error);
    if below.is_empty() { error.to_string() } else { format!("{error}: {below}") }
}

fn not_stored(site: &Site, member: &Member, error: &StoreError) -> Diagnostic {
    Diagnostic::new(
        "destination not verified",
        format!("destination `{}`, member `{}`", site.name, member.name),
    )
    .why(chain(error))
    .fix("earlier snapshots there are untouched; mend the destination and run again")
}

/// Backs up one member. An error ends the whole run; a member that fails is in the report.
pub fn back_up(
    session: &Session<'_>,
    member: &Member,
    harvest: &mut Harvest,
) -> Result<MemberReport, WorkflowError> {
    let mut report = MemberReport {
        name: member.name.clone(),
        counts: Counts::default(),
        warnings: Vec::new(),
        failed: None,
    };
    let sites: Vec<&Site> = session
        .parties()
        .iter()
        .map(|party| &party.site)
        .filter(|site| harvest.still_in(&site.name))
        .collect();
    if sites.is_empty() {
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
    let lanes: Vec<Lane<'_>> = sites.iter().map(|site| lane(session, site, member)).collect();
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
                for site in sites {
                    let Some(Err(error)) = receipts.remove(&site.name) else { continue };
                    let diagnostic = not_stored(site, member, &error);
                    reasons.push(format!("`{}`: {}", site.name, chain(&error)));
                    listener(Event::Trouble(diagnostic.clone()));
                    harvest.drop_out(&site.name, diagnostic);
                }
            }
            report.failed = Some(reasons.join("; "));
            return Ok(report);
        }
    };
    report.counts = complete.counts().clone();
    report.warnings = complete.warnings().to_vec();
    for site in sites {
        let receipt = receipts.remove(&site.name).unwrap_or(Err(StoreError::NoDestinationLeft));
        match receipt.and_then(|receipt| companions(session, site, member, &complete, receipt, read_at)) {
            Ok(proven) => harvest.add(&site.name, proven),
            Err(error) => {
                let diagnostic = not_stored(site, member, &error);
                listener(Event::Trouble(diagnostic.clone()));
                harvest.drop_out(&site.name, diagnostic);
            }
        }
    }
    Ok(report)
}

fn lane<'a>(session: &Session<'_>, site: &'a Site, member: &Member) -> Lane<'a> {
    let (name, set) = session.set();
    let compression = session.plan().compression(set, &site.name);
    let object = format!(
        "{}.{}{}",
        encode_name(&member.name),
        session.source().extension(member),
        compression.extension()
    );
    Lane {
        destination: site.name.clone(),
        compression,
        target: &*site.target,
        key: site.layout.artifact(name, &session.snapshot(), &object),
    }
}

/// The sidecar, and the list of entries with its own.
fn companions(
    session: &Session<'_>,
    site: &Site,
    member: &Member,
    complete: &Complete,
    receipt: Receipt,
    read_at: Timestamp,
) -> Result<ProvenMember, StoreError> {
    let (host, target) = (session.host(), &*site.target);
    let key = receipt.key().clone();
    let sidecar = pipeline::sidecar(key.file_name(), &receipt.stored().sha256);
    pipeline::store_bytes(host, target, &key.with_suffix(crate::format::Layout::SIDECAR), &sidecar)?;
    let index = match complete.index() {
        None => None,
        Some(file) => {
            let object = format!("{}.index.jsonl.zst", encode_name(&member.name));
            let key = site.layout.artifact(session.set().0, &session.snapshot(), &object);
            let stored = pipeline::store_index(host, target, &key, file.path())?;
            let sidecar = pipeline::sidecar(&object, &stored.sha256);
            pipeline::store_bytes(host, target, &key.with_suffix(crate::format::Layout::SIDECAR), &sidecar)?;
            Some(IndexObject { object, stored })
        }
    };
    Ok(ProvenMember::new(complete, receipt, member.name.clone(), read_at, index))
}
