//! An artifact back into a server: a drill's own, a scratch database, or under a name on the live one.
//!
//! Never here: a database that exists is written to or dropped. What is replaced is renamed, and only when the new one is
//! complete and counted.

use super::cluster::{Cluster, OUTSIDE, server_tools};
use super::contents::{Contents, first_piece, is_archive, whole};
use super::live;
use super::login::{Login, MAINTENANCE, server_name};
use super::refill::{Workshop, bench as as_bench};
use super::script::{rehearse, roles_in, script, written};
use super::tools::Toolbox;
use super::unpack::{contents, is_folder, unpack};
use super::{GLOBALS, RestoreError};
use crate::declared::{DrillPlace, PostgresDeclaration, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::format::{Counts, encode_name};
use crate::sources::{Artifact, Bench, Drill, LivePlace, Restorer, Target, Trace, leave_trace};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the name of a scratch database on a live server begins.
pub(super) const SCRATCH: &str = "bkp_drill_";

/// The artifact side of `postgres`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostgresRestorer;

/// A live server, as declared.
pub(super) struct Live {
    pub login: Login,
    pub toolbox: Toolbox,
    pub maintenance: String,
}

/// The declaration of a bench.
pub(super) fn declared<'a>(bench: &Bench<'a>) -> Option<&'a PostgresDeclaration> {
    match bench.declaration {
        Some(SourceDeclaration::Postgres(declaration)) => Some(declaration),
        Some(
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Mysql(_)
            | SourceDeclaration::Mongodb(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Qdrant(_)
            | SourceDeclaration::Command(_),
        )
        | None => None,
    }
}

impl Live {
    /// The declared server, with the tools that fit it.
    pub fn reach(bench: &Bench<'_>) -> Result<Self, RestoreError> {
        let declaration = declared(bench).ok_or_else(|| RestoreError::Bench {
            tool: "postgres".into(),
            reason: "no server is declared".into(),
        })?;
        let reached = super::PostgresSource::new(declaration.clone())
            .reach(bench.host)
            .map_err(|error| as_bench(&error))?;
        let maintenance = declaration.database.clone().unwrap_or_else(|| MAINTENANCE.to_owned());
        Ok(Self { login: reached.login, toolbox: reached.toolbox, maintenance })
    }

    /// As a place to make databases.
    pub fn workshop(&self) -> Workshop<'_> {
        Workshop {
            login: &self.login,
            toolbox: &self.toolbox,
            maintenance: &self.maintenance,
            makes_roles: false,
            owners: true,
            tablespaces: true,
        }
    }
}

enum Place<'a> {
    Own(Cluster<'a>),
    Server(Live),
}

struct PostgresDrill<'a> {
    bench: Bench<'a>,
    place: Place<'a>,
    made: u32,
    limits: Vec<String>,
}

impl PostgresDrill<'_> {
    fn database(
        &mut self,
        member: &str,
        contents: &Contents,
        body: &mut dyn Read,
    ) -> Result<Counts, RestoreError> {
        self.made += 1;
        let unique = self.bench.folder.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = format!("{SCRATCH}{unique}_{}_{}", std::process::id(), self.made);
        match &self.place {
            Place::Own(cluster) => {
                let workshop = Workshop {
                    login: &cluster.login,
                    toolbox: &cluster.toolbox,
                    maintenance: MAINTENANCE,
                    makes_roles: true,
                    owners: true,
                    tablespaces: false,
                };
                let counts = workshop.refill(member, contents, body, &name)?;
                // Its room is wanted for the next one; the server is gone soon in any case.
                workshop.drop(&name)?;
                Ok(counts)
            }
            Place::Server(live) => {
                let workshop = Workshop { owners: false, ..live.workshop() };
                if workshop.has(&name)? {
                    return Err(RestoreError::PlaceTaken { place: name });
                }
                let trace = Trace::Place { kind: "postgres".into(), name: name.clone() };
                let folder = self.bench.folder;
                leave_trace(self.bench.host, folder, &trace)
                    .map_err(|error| RestoreError::Target { path: folder.to_path_buf(), error })?;
                let counts = workshop.refill(member, contents, body, &name)?;
                workshop.drop(&name)?;
                Ok(counts)
            }
        }
    }
}

impl Drill for PostgresDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, scratch: &Path) -> Result<Counts, RestoreError> {
        let Artifact { member, body, .. } = artifact;
        let first = first_piece(member, body)?;
        if !is_archive(&first) && !is_folder(&first) {
            let text = script(member, first, body)?;
            return match &self.place {
                Place::Own(cluster) => rehearse(self.bench.host, cluster, member, &text),
                Place::Server(live) => {
                    self.limits = limits_on_server(live, &text)?;
                    Ok(written(&text))
                }
            };
        }
        let contents = contents(member, first, body, scratch)?;
        self.database(member, &contents, body)
    }

    fn limits(&self) -> Vec<String> {
        let mut limits = self.limits.clone();
        if matches!(self.place, Place::Server(_)) {
            limits.push(
                "owners and rights were not given back, because the drill was on the live server".to_owned(),
            );
        }
        limits
    }
}

/// What a drill on the live server cannot show of a script of roles: it must not be run there.
fn limits_on_server(live: &Live, text: &[u8]) -> Result<Vec<String>, RestoreError> {
    let missing = live.workshop().missing_roles(roles_in(text).iter())?;
    let lacks = if missing.is_empty() {
        "every role in it exists there".to_owned()
    } else {
        format!("the roles {} do not exist there now", missing.join(", "))
    };
    Ok(vec![format!(
        "the script of roles and tablespaces was read to its end, counted and not run, because the drill was on the live \
         server: {lacks}"
    )])
}

impl Restorer for PostgresRestorer {
    fn rank(&self, member: &str) -> u8 {
        u8::from(member != GLOBALS)
    }

    fn begin<'a>(&self, bench: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        let declaration = declared(&bench);
        let wanted = declaration.map_or(DrillPlace::Own, |it| it.drill);
        let tools = server_tools(bench.host, declaration.and_then(|it| it.tools.as_deref()));
        let place = match (wanted, tools) {
            (DrillPlace::Auto | DrillPlace::Own, Some(tools)) => Place::Own(Cluster::start(bench, tools)?),
            (DrillPlace::Auto | DrillPlace::Server, _) => Place::Server(Live::reach(&bench)?),
            (DrillPlace::Own, None) => {
                return Err(RestoreError::Bench {
                    tool: "initdb".into(),
                    reason: "no server's programs are installed; install postgresql, or say `drill: server`"
                        .into(),
                });
            }
        };
        Ok(Box::new(PostgresDrill { bench, place, made: 0, limits: Vec::new() }))
    }

    fn restore(&self, artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        let Artifact { member, body, .. } = artifact;
        let first = first_piece(member, body)?;
        if is_folder(&first) {
            let failed = |error| RestoreError::Target { path: target.folder.clone(), error };
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&target.folder).map_err(failed)?;
            unpack(member, &mut whole(&first, body), &target.folder.join(encode_name(member)))?;
            return Ok(None);
        }
        let extension = if is_archive(&first) { "dump" } else { "sql" };
        let path = target.folder.join(format!("{}.{extension}", encode_name(member)));
        give_back(member, &first, body, &target.folder, &path)?;
        Ok(None)
    }

    fn restore_live(
        &self,
        bench: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        self.restore_live_saying(bench, artifact, place, &mut Vec::new())
    }

    fn restore_live_saying(
        &self,
        bench: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
        told: &mut Vec<Diagnostic>,
    ) -> Result<Counts, RestoreError> {
        let Artifact { member, body, counts, .. } = artifact;
        let first = first_piece(member, body)?;
        if !is_archive(&first) && !is_folder(&first) {
            return Err(RestoreError::NotByName {
                kind: "postgres".into(),
                reason: "roles have no name of their own; restore them into a folder with `--to`, and run the script \
                         with psql"
                    .into(),
            });
        }
        let contents = contents(member, first, body, bench.folder)?;
        live::restore(&bench, member, &contents, body, counts, place, told)
    }

    fn live_name(&self, declaration: &SourceDeclaration, name: &str) -> Option<String> {
        match declaration {
            SourceDeclaration::Postgres(declaration) => {
                (name != GLOBALS).then(|| format!("{}/{name}", server_name(declaration)))
            }
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Mysql(_)
            | SourceDeclaration::Mongodb(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Qdrant(_)
            | SourceDeclaration::Command(_) => None,
        }
    }

    fn sweep(&self, bench: Bench<'_>, name: &str) -> Result<(), RestoreError> {
        let path = Path::new(name);
        if path.is_absolute() {
            let ours = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(OUTSIDE));
            if !ours || bench.host.link_status(path).is_err() {
                return Ok(());
            }
            let failed = |error| RestoreError::Target { path: path.to_path_buf(), error };
            return bench.host.remove_dir_all(path).map_err(failed);
        }
        if !name.starts_with(SCRATCH) {
            return Err(RestoreError::Bench {
                tool: "postgres".into(),
                reason: format!("`{name}` is no drill's"),
            });
        }
        Live::reach(&bench)?.workshop().drop(name)
    }
}

/// Writes the artifact as it was made: `pg_restore`, or `psql`, takes it.
fn give_back(
    member: &str,
    first: &[u8],
    body: &mut dyn Read,
    folder: &Path,
    path: &PathBuf,
) -> Result<(), RestoreError> {
    let failed = |error| RestoreError::Target { path: path.clone(), error };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut out = opened.map_err(failed)?;
    out.write_all(first).map_err(failed)?;
    loop {
        let piece = first_piece(member, body)?;
        if piece.is_empty() {
            return out.sync_all().map_err(failed);
        }
        out.write_all(&piece).map_err(failed)?;
        crate::host::pulse::beat();
    }
}
