//! Data given back, never over anything that is there.

use super::drill::open_member;
use super::look::{Chosen, member};
use super::site::{Site, small};
use super::verify::{DISPROVEN, chain};
use super::{WorkflowError, lock};
use crate::declared::{self, Encryption, NodeName, Plan, SetName};
use crate::destinations::Access;
use crate::diagnostic::Diagnostic;
use crate::format::{Counts, Key, Manifest, ManifestMember, Prefix, decode_name};
use crate::host::Host;
use crate::pipeline::{ArtifactReader, ReadBackError};
use crate::sources::{self, Artifact, Target};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// What is wanted back.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// One member; all where none is named.
    pub member: Option<String>,
    /// Globs of entries; all where there are none.
    pub include: Vec<String>,
}

/// Restores members of a snapshot into a folder that is empty or does not exist, and gives the counts of what came
/// back. Differences from the counts at backup time are an error, and what was restored is left for people to look at.
pub fn to_folder(
    host: &dyn Host,
    state: &Path,
    site: &Site,
    chosen: &Chosen,
    wanted: &Wanted,
    folder: &Path,
) -> Result<BTreeMap<String, Option<Counts>>, WorkflowError> {
    demand_empty(host, folder)?;
    let _lock = lock::snapshot_shared(host, state, &chosen.copy.stored_as, &chosen.copy.id)?;
    let manifest = &chosen.sealed.manifest;
    demand_opened(site, manifest)?;
    let restorer = sources::restorer(&manifest.source)
        .map_err(|error| Diagnostic::from_error("cannot restore", &error))?;
    let members: Vec<&ManifestMember> = match &wanted.member {
        Some(name) => vec![member(manifest, Some(name))?],
        None => manifest.members.iter().collect(),
    };
    let mut counts = BTreeMap::new();
    for member in members {
        let what = format!("member `{}` of snapshot {}", member.name, chosen.copy.id);
        let (mut body, mut index) = open_member((site, manifest), &chosen.copy, member)
            .map_err(|error| Diagnostic::from_error("artifact not readable", &error))?;
        let artifact = Artifact {
            member: &member.name,
            body: &mut body,
            index: index.as_mut().map(|index| index as &mut dyn Read),
            counts: &member.counts,
        };
        let target = Target { folder: folder.to_path_buf(), include: wanted.include.clone() };
        let before = host.list_dir(folder).unwrap_or_default();
        let restored = restorer.restore(artifact, &target);
        let intact = body.finish().and_then(|()| index.map_or(Ok(()), ArtifactReader::finish));
        if restored.is_err() || intact.is_err() {
            set_aside(host, folder, &before, &manifest.source);
        }
        // The digests say better than the format's own parser what is wrong with the bytes.
        let disproven = |error: &ReadBackError| {
            let fix =
                "restore another snapshot (`--snapshot`), or from another destination (`--destination`)";
            Diagnostic::new(DISPROVEN, what.clone()).why(chain(error)).fix(fix)
        };
        let restored = match (restored, intact) {
            (Ok(restored), Ok(())) => restored,
            (Ok(_), Err(error)) => return Err(disproven(&error).into()),
            (Err(_), Err(error @ ReadBackError::Differs { .. })) => return Err(disproven(&error).into()),
            (Err(error), _) => {
                return Err(Diagnostic::new("not restored", what).why(chain(&error)).into());
            }
        };
        // Without counts the artifact is as it was made, which its digest has just proven.
        let Some(restored) = restored else {
            counts.insert(member.name.clone(), None);
            continue;
        };
        let differences = member.differences(&restored);
        if wanted.include.is_empty() && !differences.is_empty() {
            return Err(Diagnostic::new(DISPROVEN, what)
                .why(differences.join("; "))
                .fix(format!("look at {}, and restore another snapshot elsewhere", folder.display()))
                .into());
        }
        counts.insert(member.name.clone(), Some(restored));
    }
    Ok(counts)
}

/// What is encrypted can be given back only where something opens it.
pub fn demand_opened(site: &Site, manifest: &Manifest) -> Result<(), WorkflowError> {
    if !manifest.is_concealed() {
        return Ok(());
    }
    Err(Diagnostic::new("encrypted, and not opened", format!("destination `{}`", site.name))
        .why(site.keys.closed())
        .fix("bring the key: `--identity FILE`; the `age` tool opens it too (docs/FORMAT.md)")
        .into())
}

/// Gives what a failed restore left a name that nobody takes for good data. A tree of files is left for people to look
/// at, as it is.
fn set_aside(host: &dyn Host, folder: &Path, before: &[std::ffi::OsString], source: &str) {
    if source == "files" {
        return;
    }
    let now = host.list_dir(folder).unwrap_or_default();
    for name in now.into_iter().filter(|name| !before.contains(name)) {
        let mut aside = name.clone();
        aside.push(".damaged");
        // Where it cannot be renamed, the exit status and the message are all that can say it.
        let _told_by_the_error = host.rename(&folder.join(&name), &folder.join(&aside));
    }
}

fn demand_empty(host: &dyn Host, folder: &Path) -> Result<(), WorkflowError> {
    let occupied = |why: String| {
        Diagnostic::new("target is not empty", folder.display().to_string())
            .why(why)
            .fix("name a folder that is empty or does not exist yet; bkp never restores over data")
    };
    match host.list_dir(folder) {
        Ok(names) if names.is_empty() => Ok(()),
        Ok(names) => {
            let first = names.first().map(|name| name.display().to_string()).unwrap_or_default();
            let others = match names.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            Err(occupied(format!("it holds `{first}`{others}")).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(occupied(error.to_string()).into()),
    }
}

/// Writes one member's plain bytes, as the source made them, to `out`. They are compared with the manifest on the
/// way, so a mismatch is known only at the end: the caller must say so by its exit status.
pub fn to_stream(
    host: &dyn Host,
    state: &Path,
    site: &Site,
    chosen: &Chosen,
    name: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), WorkflowError> {
    let _lock = lock::snapshot_shared(host, state, &chosen.copy.stored_as, &chosen.copy.id)?;
    let manifest = &chosen.sealed.manifest;
    demand_opened(site, manifest)?;
    let member = member(manifest, name)?;
    let (mut body, _index) = open_member((site, manifest), &chosen.copy, member)
        .map_err(|error| Diagnostic::from_error("artifact not readable", &error))?;
    let trouble = |why: String| Diagnostic::new("not restored", format!("member `{}`", member.name)).why(why);
    io::copy(&mut body, out).map_err(|error| trouble(error.to_string()))?;
    out.flush().map_err(|error| trouble(error.to_string()))?;
    body.finish().map_err(|error| {
        Diagnostic::new(DISPROVEN, format!("member `{}`", member.name)).why(chain(&error))
    })?;
    Ok(())
}

/// A destination that was named by a file of its own, for a machine that has nothing else.
pub struct Bare {
    /// The destination, opened for the host that was named, or for any to list hosts.
    pub site: Site,
}

impl Bare {
    /// The hosts that have something there.
    pub fn hosts(site: &Site) -> Result<Vec<String>, WorkflowError> {
        let folders = site.target.folders(&Prefix::root()).map_err(|error| unreadable(&error))?;
        Ok(folders.iter().filter_map(|name| decode_name(name)).collect())
    }

    /// The sets of the site's host.
    pub fn sets(site: &Site) -> Result<Vec<SetName>, WorkflowError> {
        let folders = site.target.folders(&site.layout.host()).map_err(|error| unreadable(&error))?;
        Ok(folders.iter().filter_map(|name| decode_name(name)?.parse().ok()).collect())
    }

    /// The plans whose copies lie there, with their texts.
    pub fn plans(site: &Site) -> Result<Vec<(String, String)>, WorkflowError> {
        let objects = site.target.list(&site.layout.plans()).map_err(|error| unreadable(&error))?;
        let read = |object: crate::destinations::Object| {
            let bytes = small(&*site.target, &object.key).map_err(|error| unreadable(&error))?;
            let name = object.key.file_name();
            let shown = match opened(site, &object.key, bytes) {
                Some(plain) => String::from_utf8_lossy(&plain).into_owned(),
                None => format!("# encrypted, and not opened here: {}\n", site.keys.closed()),
            };
            Ok((name.strip_suffix(Encryption::EXTENSION).unwrap_or(name).to_owned(), shown))
        };
        objects.into_iter().map(read).collect()
    }

    /// Opens the destination that a file describes: one destination's map, as under `destinations:` in a plan file.
    pub fn open(host: &dyn Host, file: &Path, node: NodeName, access: Access) -> Result<Self, WorkflowError> {
        let declaration = declared::load_destination(host, file, &host.user().home).map_err(|errors| {
            let why = errors.diagnostics().iter().map(Diagnostic::sentence).collect::<Vec<_>>().join("; ");
            Diagnostic::new("destination file not usable", file.display().to_string())
                .why(why)
                .fix("write one destination's map, such as `{ type: local, path: /mnt/backup }`")
        })?;
        let name = "bare".parse().expect("`bare` is a name");
        let site = Site::open(host, &name, &declaration, node, access);
        if !site.target.prepared().map_err(|error| unreadable(&error))? {
            return Err(Diagnostic::new("not a destination of bkp's", site.target.location())
                .why("its marker is missing")
                .fix("check the path, and that its file system is mounted")
                .into());
        }
        Ok(Self { site })
    }
}

fn unreadable(error: &crate::destinations::DestinationError) -> WorkflowError {
    Diagnostic::from_error("destination not readable", error).into()
}

/// A plan's copy as text, opened first where it is encrypted; none where nothing opens it.
fn opened(site: &Site, key: &Key, bytes: Vec<u8>) -> Option<Vec<u8>> {
    if !key.as_str().ends_with(Encryption::EXTENSION) {
        return Some(bytes);
    }
    site.keys.opener()?.open_bytes(&bytes).ok()
}

/// Keeps a copy of a plan at a destination: replaced whole, because it is a convenience and not a proof.
pub fn keep_plan_copy(host: &dyn Host, site: &Site, plan: &Plan) -> Result<(), WorkflowError> {
    let trouble = |why: String| {
        Diagnostic::new("plan copy not stored", format!("destination `{}`", site.name)).why(why)
    };
    let plain = declared::render(plan).into_bytes();
    let sealer = site.keys.sealer();
    if site.encrypted && sealer.is_none() {
        return Err(trouble(site.keys.closed()).into());
    }
    let key = site.layout.plan_copy(&plan.name, sealer.map_or("", |_| Encryption::EXTENSION));
    if small(&*site.target, &key).is_ok_and(|there| opened(site, &key, there) == Some(plain.clone())) {
        return Ok(());
    }
    let bytes = match sealer {
        Some(sealer) => sealer.seal_bytes(&plain).map_err(|error| trouble(error.to_string()))?,
        None => plain,
    };
    match site.target.delete(&key) {
        Ok(()) | Err(crate::destinations::DestinationError::NotFound { .. }) => {}
        Err(error) => return Err(trouble(chain(&error)).into()),
    }
    crate::pipeline::store_bytes(host, &*site.target, &key, &bytes)
        .map_err(|error| trouble(chain(&error)))?;
    // What was kept before the destination was encrypted says what encryption hides.
    if sealer.is_some() {
        match site.target.delete(&site.layout.plan_copy(&plan.name, "")) {
            Ok(()) | Err(crate::destinations::DestinationError::NotFound { .. }) => {}
            Err(error) => return Err(trouble(chain(&error)).into()),
        }
    }
    Ok(())
}
