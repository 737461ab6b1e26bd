//! Data given back onto the declared server: under a new name, or over what is there when that is named in full.

use super::drill::open_member;
use super::look::{Chosen, member};
use super::scratch::Scratch;
use super::site::Site;
use super::verify::{DISPROVEN, chain};
use super::{WorkflowError, lock};
use crate::declared::{SetDeclaration, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Counts;
use crate::host::Host;
use crate::pipeline::ReadBackError;
use crate::sources::{self, Artifact, Bench, LivePlace, RestoreError, Restorer};
use std::io::Read;
use std::path::Path;

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A name that nothing has yet.
    As(String),
    /// What is there is replaced; the server and the name in full.
    Over(String),
}

/// What was restored, and where to.
#[derive(Debug)]
pub struct Restored {
    /// The place, named in full.
    pub place: String,
    /// What came back.
    pub counts: Counts,
    /// What to know or to do afterwards.
    pub told: Vec<Diagnostic>,
}

/// Restores one member onto the server that the set declares. What came back is counted there; differences from the
/// counts at backup time are an error.
pub fn to_server(
    host: &dyn Host,
    state: &Path,
    site: &Site,
    chosen: &Chosen,
    (name, set): (&SetName, &SetDeclaration),
    (wanted, wish): (Option<&str>, &Wish),
) -> Result<Restored, WorkflowError> {
    let _lock = lock::snapshot_shared(host, state, &chosen.copy.stored_as, &chosen.copy.id)?;
    let manifest = &chosen.sealed.manifest;
    if manifest.source != set.source.word() {
        let what = format!("snapshot {} is of type `{}`", chosen.copy.id, manifest.source);
        return Err(Diagnostic::new("another type of source", what)
            .why(format!("set `{name}` is declared as `{}` now", set.source.word()))
            .fix("restore it into a folder with `--to`")
            .into());
    }
    let restorer = sources::restorer(&manifest.source)
        .map_err(|error| Diagnostic::from_error("cannot restore", &error))?;
    let member = member(manifest, wanted)?;
    let place = live_place(&*restorer, set, &member.name, wish)?;
    super::restore::demand_opened(site, &chosen.sealed.manifest)?;
    let from = (site, &chosen.sealed.manifest);
    let scratch = Scratch::new(host, state, name, Some(&set.source))?;
    let bench = Bench { host, folder: scratch.path(), set: name, declaration: Some(&set.source) };
    let what = format!("member `{}` of snapshot {}", member.name, chosen.copy.id);
    let unreadable = |error: &ReadBackError| Diagnostic::from_error("artifact not readable", error);
    if matches!(place, LivePlace::Over(_)) {
        // Nothing is replaced by bytes that have not been proven.
        let (body, _index) = open_member(from, &chosen.copy, member).map_err(|error| unreadable(&error))?;
        body.finish().map_err(|error| {
            Diagnostic::new(DISPROVEN, what.clone()).why(chain(&error)).fix("restore another snapshot")
        })?;
    }
    let (mut body, mut index) =
        open_member(from, &chosen.copy, member).map_err(|error| unreadable(&error))?;
    let artifact = Artifact {
        member: &member.name,
        body: &mut body,
        index: index.as_mut().map(|index| index as &mut dyn Read),
        counts: &member.counts,
    };
    let mut told = Vec::new();
    let counts = restorer
        .restore_live_saying(bench, artifact, &place, &mut told)
        .map_err(|error| refused(&what, &error))?;
    body.finish().map_err(|error| {
        Diagnostic::new(DISPROVEN, what.clone()).why(chain(&error)).fix("restore another snapshot")
    })?;
    let (LivePlace::New(live) | LivePlace::Over(live)) = &place;
    let differences = member.differences(&counts);
    if !differences.is_empty() {
        return Err(Diagnostic::new(DISPROVEN, what)
            .why(differences.join("; "))
            .fix(format!("look at `{live}` on the server before anybody uses it"))
            .into());
    }
    let place = restorer.live_name(&set.source, live).unwrap_or_else(|| live.clone());
    Ok(Restored { place, counts, told })
}

fn refused(what: &str, error: &RestoreError) -> WorkflowError {
    let diagnostic = Diagnostic::new("not restored", what.to_owned()).why(chain(error));
    match error {
        RestoreError::PlaceTaken { place } => diagnostic
            .fix(format!("choose another name with `--as`; to replace what is there, `--over '{place}'`")),
        _ => diagnostic,
    }
    .into()
}

/// What a wish means on the declared server. To replace something its name must be typed with its server: a name alone
/// is too easily the wrong server's.
fn live_place(
    restorer: &dyn Restorer,
    set: &SetDeclaration,
    member: &str,
    wish: &Wish,
) -> Result<LivePlace, WorkflowError> {
    let typed = match wish {
        Wish::As(name) => return Ok(LivePlace::New(name.clone())),
        Wish::Over(typed) => typed,
    };
    let full = |name: &str| restorer.live_name(&set.source, name);
    let names = typed.match_indices('/').map(|(at, _)| &typed[at + 1..]);
    for name in names.filter(|name| !name.is_empty()) {
        if full(name).as_deref() == Some(typed.as_str()) {
            return Ok(LivePlace::Over(name.to_owned()));
        }
    }
    let diagnostic = Diagnostic::new("not named in full", format!("`{typed}`"));
    Err(match full(member) {
        Some(full) => diagnostic
            .why("what is there would be replaced, so its server and its name must both be typed")
            .fix(format!("to replace the live `{member}`, write `--over '{full}'`")),
        None => diagnostic
            .why(format!("a `{}` member has no place by name on its server", set.source.word()))
            .fix("restore it into a folder with `--to`"),
    }
    .into())
}
