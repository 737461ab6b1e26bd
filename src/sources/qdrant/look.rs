//! What plan and audit see of a Qdrant server: members, rights, versions, the place for drills, open doors.
//!
//! Never here: something is made, changed or removed on a server, or something that could not be seen is left out.

use super::cluster::{self, Servers, api, refused};
use super::http::HttpError;
use super::names::Part;
use super::{Census, QdrantSource, doors, drill};
use crate::declared::QdrantDeclaration;
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::sources::SourceError;

/// The facts of a declaration.
pub(super) fn look(source: &QdrantSource, host: &dyn Host) -> SourceFacts {
    let declaration = &source.declaration;
    if let Err(SourceError::Secret(error)) = cluster::key(host, declaration) {
        let diagnostic = Diagnostic::from_error("secret not available", &error).fix(error.remedy());
        let mut facts = SourceFacts::new(Observed::Unknown(diagnostic.clone()), Vec::new());
        if error.only_in_a_run() {
            facts.deferred = Some(error.to_string());
        } else {
            facts.requirements.push(requirement("secret", "api_key", Some(diagnostic)));
        }
        doors::look(declaration, host, &mut facts);
        return facts;
    }
    let mut requirements = Vec::new();
    let servers = asked(declaration, host, &mut requirements);
    let census = servers.and_then(|servers| Ok((source.census(&servers)?, servers)));
    let mut facts = match census {
        Ok((census, servers)) => {
            requirements.push(requirement("catalogue", &declaration.url, None));
            rights(&servers, &mut requirements);
            requirements.extend(absent(&census, &declaration.url));
            present(&census, &servers)
        }
        Err(error) => {
            let diagnostic =
                Diagnostic::from_error("server not asked", &error).fix(remedy(&error, declaration));
            if matches!(error, SourceError::Partial { .. }) {
                requirements.push(requirement("catalogue", &declaration.url, Some(diagnostic.clone())));
            }
            SourceFacts::new(Observed::Unknown(diagnostic), Vec::new())
        }
    };
    requirements.extend(place_for_drills(declaration, host));
    facts.requirements = requirements;
    doors::look(declaration, host, &mut facts);
    facts
}

pub(super) fn requirement(kind: &str, object: &str, unmet: Option<Diagnostic>) -> RequirementFacts {
    RequirementFacts { kind: kind.into(), object: object.into(), unmet }
}

/// Asks every declared server: that it answers, and that it knows the key.
fn asked(
    declaration: &QdrantDeclaration,
    host: &dyn Host,
    requirements: &mut Vec<RequirementFacts>,
) -> Result<Servers, SourceError> {
    let trust = cluster::trust(host, declaration)?;
    let key = cluster::key(host, declaration)?;
    for url in std::iter::once(&declaration.url).chain(&declaration.nodes) {
        let server = api(url, key.clone(), &trust)?;
        let version = server.version();
        let unmet = version.as_ref().err().map(|error| unreachable(url, error));
        requirements.push(requirement("server", url, unmet));
        version.map_err(|error| refused(url, &error))?;
        let known = server.collections();
        let unmet = known.as_ref().err().map(|error| {
            let fix = if error.is_denied() {
                format!("set `api_key` to the key of {url} (`service.api_key` of its configuration)")
            } else {
                format!("look at the log of {url}")
            };
            Diagnostic::from_error("login refused", error).fix(fix)
        });
        requirements.push(requirement("login", url, unmet));
        known.map_err(|error| refused(url, &error))?;
    }
    Servers::of(declaration, host)
}

fn unreachable(url: &str, error: &HttpError) -> Diagnostic {
    Diagnostic::from_error("server not reachable", error)
        .fix(format!("start it, or correct its URL; `curl {url}/` must give its version"))
}

fn rights(servers: &Servers, requirements: &mut Vec<RequirementFacts>) {
    let all: Vec<_> = match servers {
        Servers::Alone(server) => vec![server],
        Servers::Cluster(peers) => peers.values().collect(),
    };
    for server in all {
        let unmet = match server.may_manage() {
            Ok(true) => None,
            Ok(false) => Some(no_manage(server.url())),
            Err(error) => {
                Some(Diagnostic::from_error("rights not known", &error).fix("look at the server's log"))
            }
        };
        requirements.push(requirement("grant", &format!("manage at {}", server.url()), unmet));
    }
}

fn no_manage(url: &str) -> Diagnostic {
    Diagnostic::new("right missing", format!("the API key of {url} can only read"))
        .why("making a snapshot, and recovering from one, takes the global manage right")
        .fix("set it to `service.api_key` of the server's configuration, or to a token with `access: m`")
}

fn absent(census: &Census, url: &str) -> Vec<RequirementFacts> {
    let unmet = |name: &String| {
        let what = format!("collection `{name}` is listed, and {url} has none of this name");
        let diagnostic = Diagnostic::new("collection missing", what)
            .fix("create it, correct its name in `collections:`, or take it out of the list");
        requirement("readable", name, Some(diagnostic))
    };
    census.missing.iter().map(unmet).collect()
}

fn present(census: &Census, servers: &Servers) -> SourceFacts {
    // The API gives no sizes.
    let facts = |name: String| MemberFacts { name, size_bytes: None };
    let members = census.parts(servers).iter().map(Part::member).map(facts).collect();
    let mut facts_of_all = SourceFacts::new(Observed::Present(members), Vec::new());
    facts_of_all.uncovered = census.uncovered.iter().cloned().map(facts).collect();
    facts_of_all
}

fn remedy(error: &SourceError, declaration: &QdrantDeclaration) -> String {
    match error {
        SourceError::Partial { .. } => "give bkp a key that sees everything, and every node's URL".into(),
        SourceError::Read { object, .. } => format!("let the user that runs the job read `{object}`"),
        SourceError::Missing { .. }
        | SourceError::Denied { .. }
        | SourceError::Changed { .. }
        | SourceError::Database { .. }
        | SourceError::Scratch { .. }
        | SourceError::ToolMissing { .. }
        | SourceError::Tool { .. }
        | SourceError::Server { .. }
        | SourceError::Incomplete { .. }
        | SourceError::LinkedAway { .. }
        | SourceError::Secret(_)
        | SourceError::Pattern { .. } => {
            format!("see that {} runs, and that the key is its own", declaration.url)
        }
    }
}

/// Where drills restore to: a server of its own, or the same one when it stands alone.
fn place_for_drills(declaration: &QdrantDeclaration, host: &dyn Host) -> Vec<RequirementFacts> {
    let url = declaration.drill_url.as_ref().unwrap_or(&declaration.url);
    let server = match drill::server(host, declaration) {
        Ok(server) => server,
        Err(SourceError::Secret(error)) if error.only_in_a_run() => return Vec::new(),
        Err(error) => {
            let diagnostic = Diagnostic::from_error("place for drills not known", &error)
                .fix("correct `drill_url` and `drill_api_key`");
            return vec![requirement("server", url, Some(diagnostic))];
        }
    };
    let mut requirements = Vec::new();
    if declaration.drill_url.is_some() {
        requirements.push(compatible(declaration, host, url));
    }
    // The declared server's own rights are asked for above.
    let is_cluster =
        matches!(server.membership(), Ok(super::api::Membership::Peer { peers, .. }) if peers.len() > 1);
    if declaration.drill_url.is_none() && !is_cluster {
        return requirements;
    }
    let unmet = drill::unfit(&server).map(|reason| {
        Diagnostic::new("no place for drills", reason)
            .fix("name a server that stands alone with `drill_url`, and its key with `drill_api_key`")
    });
    requirements.push(requirement("server", &format!("drills at {url}"), unmet));
    requirements
}

/// A snapshot is compatible within the same minor version, and one patch up.
fn compatible(declaration: &QdrantDeclaration, host: &dyn Host, drill_url: &str) -> RequirementFacts {
    let versions = || -> Result<(String, String), String> {
        let trust = cluster::trust(host, declaration).map_err(|error| error.to_string())?;
        let version = |url: &str| {
            let server = api(url, None, &trust).map_err(|error| error.to_string())?;
            server.version().map_err(|error| format!("{url}: {error}"))
        };
        Ok((version(&declaration.url)?, version(drill_url)?))
    };
    let unmet = match versions() {
        Ok((ours, theirs)) if takes(&theirs, &ours) => None,
        Ok((ours, theirs)) => Some(
            Diagnostic::new(
                "versions do not fit",
                format!("{drill_url} is {theirs}, and the snapshots are of {ours}"),
            )
            .why("a snapshot is compatible within one minor version, and one patch up")
            .fix(format!("run Qdrant {ours} at {drill_url}")),
        ),
        Err(reason) => Some(
            Diagnostic::new("versions not known", reason)
                .fix(format!("`curl {drill_url}/` must give its version")),
        ),
    };
    requirement("version", drill_url, unmet)
}

/// Whether a server of version `server` takes snapshots of version `snapshot`.
fn takes(server: &str, snapshot: &str) -> bool {
    let parts = |version: &str| -> Option<(u64, u64, u64)> {
        let mut parts = version.split(['.', '-']).map(|it| it.parse().ok());
        Some((parts.next()??, parts.next()??, parts.next()??))
    };
    match (parts(server), parts(snapshot)) {
        (Some((major, minor, patch)), Some((of_major, of_minor, of_patch))) => {
            (major, minor) == (of_major, of_minor) && (patch == of_patch || patch == of_patch + 1)
        }
        (None, _) | (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn snapshot_fits_the_same_minor_version_and_one_patch_up() {
        assert!(takes("1.19.0", "1.19.0") && takes("1.19.1", "1.19.0"));
        for other in ["1.19.2", "1.18.0", "1.20.0", "2.19.0", "unknown", ""] {
            assert!(!takes(other, "1.19.0"), "{other}");
        }
        assert!(!takes("1.19.0", "1.19.1"), "a patch down");
    }
}
