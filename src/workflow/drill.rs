//! Data brought back into a scratch place and compared: the level `restored`.

use super::lock;
use super::scratch::Scratch;
use super::site::{Copy, Depth, Site};
use super::verify::{self, Shown, Unproven, chain, conclude, sealed_of, unproven};
use crate::declared::{SetName, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::encryption::Opener;
use crate::format::{Counts, IndexObject, Level, Manifest, ManifestMember};
use crate::host::Host;
use crate::observed::SealedFacts;
use crate::pipeline::{self, ArtifactReader};
use crate::schedulers::Places;
use crate::sources::{self, Artifact, Bench, Drill, RestoreError};
use std::collections::BTreeMap;
use std::path::Path;

/// Restores every member of a snapshot into a scratch place and compares; the proof, or what disproves it, is
/// written beside the manifest.
pub fn one(
    host: &dyn Host,
    places: &Places,
    site: &Site,
    (set, declaration): (&SetName, Option<&SourceDeclaration>),
    copy: &Copy,
) -> Result<(), Box<Diagnostic>> {
    let (sealed, outcome) = match attempt(host, places, site, (set, declaration), copy) {
        Ok((sealed, shown)) => (Some(sealed), Ok(shown)),
        Err((sealed, unproven)) => (sealed, Err(unproven)),
    };
    let subject = (site, set, copy);
    if let (Err(Unproven::BytesDiffer(reason)), Some(sealed)) = (&outcome, &sealed) {
        // It was found out on the way to a restore, and is true without one.
        let differ = Err(Unproven::BytesDiffer(reason.clone()));
        let _told_below = conclude(host, places, subject, Level::Intact, Some(sealed), differ);
    }
    conclude(host, places, subject, Level::Restored, sealed.as_ref(), outcome)
}

type Attempt = Result<(SealedFacts, Shown), (Option<SealedFacts>, Unproven)>;

fn attempt(
    host: &dyn Host,
    places: &Places,
    site: &Site,
    (set, declaration): (&SetName, Option<&SourceDeclaration>),
    copy: &Copy,
) -> Attempt {
    let could_not_tell = |why: String| (None, Unproven::CouldNotTell(why));
    let _lock = lock::snapshot_shared(host, &places.state, set, &copy.id)
        .map_err(|error| could_not_tell(error.diagnostic().sentence()))?;
    let sealed = sealed_of(site.look(copy, Depth::Manifest))?;
    let restorer =
        sources::restorer(&sealed.manifest.source).map_err(|error| could_not_tell(chain(&error)))?;
    let scratch = Scratch::new(host, &places.state, set, declaration)
        .map_err(|error| could_not_tell(error.diagnostic().sentence()))?;
    if sealed.manifest.is_concealed() {
        let unproven = concealed(site, copy, set, &sealed);
        return Err((Some(sealed), unproven));
    }
    let needed: u64 = sealed.manifest.plain_bytes().max().unwrap_or(0);
    if let Ok(space) = host.space(scratch.path())
        && space.free_bytes < needed
    {
        let why = format!(
            "the drill needs {needed} bytes in {}, and {} are free",
            scratch.path().display(),
            space.free_bytes
        );
        return Err((None, Unproven::CouldNotTell(why)));
    }
    let bench = Bench { host, folder: scratch.path(), set, declaration };
    let mut drill = restorer.begin(bench).map_err(|error| (None, restore_unproven(&error)))?;
    let mut members: Vec<_> = sealed.manifest.members.iter().enumerate().collect();
    members.sort_by_key(|(_, member)| restorer.rank(&member.name));
    let mut counts = BTreeMap::new();
    for (number, member) in members {
        let folder = scratch
            .empty(host, &format!("member-{number}"))
            .map_err(|error| could_not_tell(error.diagnostic().sentence()))?;
        match drill_member(&mut *drill, (site, &sealed.manifest), copy, member, &folder) {
            Ok(restored) => {
                counts.insert(member.name.clone(), restored);
            }
            Err(unproven) => return Err((Some(sealed.clone()), unproven)),
        }
        // Only room is at stake: the scratch folder goes with this attempt.
        let _kept = host.remove_dir_all(&folder);
    }
    Ok((sealed, Shown { counts, limits: drill.limits() }))
}

/// Why a snapshot whose details were not opened is not drilled: they are not the bytes that were made, or the key is not
/// here.
fn concealed(site: &Site, copy: &Copy, set: &SetName, sealed: &SealedFacts) -> Unproven {
    if let (Some(encryption), Some(_)) = (&sealed.manifest.encryption, site.keys.opener()) {
        let details = &encryption.details;
        let key = site.layout.artifact(&copy.stored_as, &copy.id, &details.object);
        return match pipeline::read_back(&*site.target, &key, &details.stored) {
            Err(error) => unproven(&error),
            Ok(()) => Unproven::CouldNotTell(format!(
                "`{key}` is as it was made, and the key here does not open it: bring one that it is for, `--identity FILE`"
            )),
        };
    }
    let why = site.keys.closed();
    Unproven::CouldNotTell(format!(
        "{why}; drill it where the key is: `bkp drill {set} --from DESTINATION-FILE --host NAME --identity FILE`"
    ))
}

/// What opens the artifacts of a snapshot; none where they are not encrypted.
pub fn opener_for<'a>(site: &'a Site, manifest: &Manifest) -> Option<&'a Opener> {
    manifest.encryption.as_ref().and_then(|_| site.keys.opener())
}

/// Opens a member's artifact and its list of entries.
pub fn open_member(
    (site, manifest): (&Site, &Manifest),
    copy: &Copy,
    member: &ManifestMember,
) -> Result<(ArtifactReader, Option<ArtifactReader>), pipeline::ReadBackError> {
    let key = site.layout.artifact(&copy.stored_as, &copy.id, &member.object);
    let body = pipeline::open_artifact(
        &*site.target,
        &key,
        (member.compression, opener_for(site, manifest)),
        &member.stored,
        member.plain.as_ref(),
    )?;
    let index = member.index.as_ref().map(|index| open_index((site, manifest), copy, index)).transpose()?;
    Ok((body, index))
}

/// Opens a list of entries; its uncompressed size is not in the manifest.
pub fn open_index(
    (site, manifest): (&Site, &Manifest),
    copy: &Copy,
    index: &IndexObject,
) -> Result<ArtifactReader, pipeline::ReadBackError> {
    let key = site.layout.artifact(&copy.stored_as, &copy.id, &index.object);
    let packed = (crate::declared::Compression::Zstd, opener_for(site, manifest));
    pipeline::open_artifact(&*site.target, &key, packed, &index.stored, None)
}

fn drill_member(
    drill: &mut dyn Drill,
    from: (&Site, &Manifest),
    copy: &Copy,
    member: &ManifestMember,
    folder: &Path,
) -> Result<Counts, Unproven> {
    let (mut body, mut index) = open_member(from, copy, member).map_err(|error| unproven(&error))?;
    let artifact = Artifact {
        member: &member.name,
        body: &mut body,
        index: index.as_mut().map(|index| index as &mut dyn std::io::Read),
        counts: &member.counts,
    };
    let restored = drill.member(artifact, folder);
    // The digests come first: they say better than the format's own parser what is wrong with the bytes.
    let bytes = body.finish().and_then(|()| index.map_or(Ok(()), ArtifactReader::finish));
    if let Err(error) = &bytes
        && let differ @ Unproven::BytesDiffer(_) = verify::unproven(error)
    {
        return Err(differ);
    }
    let restored = restored.map_err(|error| restore_unproven(&error))?;
    bytes.map_err(|error| unproven(&error))?;
    let differences = member.differences(&restored);
    if differences.is_empty() {
        return Ok(restored);
    }
    Err(Unproven::Disproven(format!("member `{}`: {}", member.name, differences.join("; "))))
}

fn restore_unproven(error: &RestoreError) -> Unproven {
    match error {
        RestoreError::Damaged { .. } | RestoreError::Differs { .. } | RestoreError::Escapes { .. } => {
            Unproven::Disproven(chain(error))
        }
        RestoreError::TargetNotEmpty { .. }
        | RestoreError::Target { .. }
        | RestoreError::Fetch { .. }
        | RestoreError::Bench { .. }
        | RestoreError::NotByName { .. }
        | RestoreError::PlaceTaken { .. }
        | RestoreError::UnknownKind { .. } => Unproven::CouldNotTell(chain(error)),
    }
}
