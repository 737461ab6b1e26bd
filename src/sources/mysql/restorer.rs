//! Artifacts back into schemas: in a drill, into a folder, or onto the declared server.

use super::accounts::{Accounts, MEMBER};
use super::catalogue::{count_everything, with_history};
use super::client::{Client, OneLogin, server_name};
use super::feed::{Load, bench};
use super::grants::tables_named;
use super::live;
use super::own_server::{OwnServer, Programs, short_folder};
use super::words::identifier;
use crate::declared::{DrillPlace, MysqlDeclaration, SourceDeclaration};
use crate::diagnostic::Diagnostic;
use crate::format::{Counts, encode_name};
use crate::host::Host;
use crate::sources::{Artifact, Bench, Drill, LivePlace, RestoreError, Restorer, Target, Trace, leave_trace};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Beginning of the names of scratch schemas: nothing else is ever swept.
const SCRATCH: &str = "bkp_drill_";
/// Largest text of accounts, in bytes.
const ACCOUNTS_MAX_BYTES: u64 = 64 << 20;

/// The artifact side of `mysql`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MysqlRestorer;

/// The declaration of a bench, where there is one of this kind.
pub(super) fn declared(bench_of: Bench<'_>) -> Option<&MysqlDeclaration> {
    match bench_of.declaration {
        Some(SourceDeclaration::Mysql(declaration)) => Some(declaration),
        Some(
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Postgres(_)
            | SourceDeclaration::Mongodb(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Qdrant(_)
            | SourceDeclaration::Command(_),
        )
        | None => None,
    }
}

impl Restorer for MysqlRestorer {
    /// Rights on a table can be given once it is there; a view takes a definer that is not there yet.
    fn rank(&self, member: &str) -> u8 {
        u8::from(member == MEMBER)
    }

    fn begin<'a>(&self, bench_of: Bench<'a>) -> Result<Box<dyn Drill + 'a>, RestoreError> {
        let declaration = declared(bench_of);
        let programs = Programs::find(bench_of.host, declaration);
        let place = declaration.map_or(DrillPlace::Own, |it| it.drill);
        match (place, programs, declaration) {
            (DrillPlace::Auto | DrillPlace::Own, Ok(programs), _) => {
                Ok(Box::new(OwnDrill(OwnServer::start(bench_of, &programs)?)))
            }
            (DrillPlace::Own, Err(error), _) | (_, Err(error), None) => Err(bench(&error)),
            (DrillPlace::Auto | DrillPlace::Server, _, Some(declaration)) => {
                let client = Client::declared(bench_of.host, declaration).map_err(|error| bench(&error))?;
                let client = client.without_binary_log(bench_of.host);
                Ok(Box::new(ServerDrill { bench_of, client }))
            }
            (DrillPlace::Server, Ok(_), None) => Err(RestoreError::Bench {
                tool: "mysql".into(),
                reason: "there is no declared server to drill on".into(),
            }),
        }
    }

    fn restore(&self, mut artifact: Artifact<'_>, target: &Target) -> Result<Option<Counts>, RestoreError> {
        write_file(&mut artifact, &target.folder).map(|()| None)
    }

    fn restore_live(
        &self,
        bench_of: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
    ) -> Result<Counts, RestoreError> {
        self.restore_live_saying(bench_of, artifact, place, &mut Vec::new())
    }

    fn restore_live_saying(
        &self,
        bench_of: Bench<'_>,
        artifact: Artifact<'_>,
        place: &LivePlace,
        told: &mut Vec<Diagnostic>,
    ) -> Result<Counts, RestoreError> {
        live::restore(bench_of, artifact, place, told)
    }

    fn live_name(&self, declaration: &SourceDeclaration, name: &str) -> Option<String> {
        match declaration {
            SourceDeclaration::Mysql(declaration) => Some(format!("{}/{name}", server_name(declaration))),
            SourceDeclaration::Files(_)
            | SourceDeclaration::Sqlite(_)
            | SourceDeclaration::Postgres(_)
            | SourceDeclaration::Mongodb(_)
            | SourceDeclaration::Redis(_)
            | SourceDeclaration::Qdrant(_)
            | SourceDeclaration::Command(_) => None,
        }
    }

    fn sweep(&self, bench_of: Bench<'_>, name: &str) -> Result<(), RestoreError> {
        if let Some(folder) = short_folder(name) {
            return match bench_of.host.remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(RestoreError::Target { path: folder, error })
                }
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let ours = |reason: &str| RestoreError::Bench { tool: "mysql".into(), reason: reason.to_owned() };
        if !name.starts_with(SCRATCH) {
            return Err(ours("it is not the name of a scratch schema"));
        }
        let declaration =
            declared(bench_of).ok_or_else(|| ours("no declaration says on which server it is"))?;
        let client = Client::declared(bench_of.host, declaration).map_err(|error| bench(&error))?;
        drop_schema(bench_of.host, &client.without_binary_log(bench_of.host), name)
    }
}

/// Removes a schema.
pub(super) fn drop_schema(host: &dyn Host, client: &Client, name: &str) -> Result<(), RestoreError> {
    let statement = format!("DROP DATABASE IF EXISTS {};", identifier(name));
    client.change(host, &statement).map_err(|error| bench(&error))
}

/// Makes a schema, which must not exist.
pub(super) fn make_schema(host: &dyn Host, client: &Client, name: &str) -> Result<(), RestoreError> {
    client.change(host, &format!("CREATE DATABASE {};", identifier(name))).map_err(|error| bench(&error))
}

/// A drill on a server of its own.
struct OwnDrill<'a>(OwnServer<'a>);

impl Drill for OwnDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, _: &Path) -> Result<Counts, RestoreError> {
        let (server, host) = (&self.0, self.0.ask().host);
        let member = artifact.member;
        if member != MEMBER {
            make_schema(host, &server.client, member)?;
            Load { host, client: &server.client, member, schema: Some(member), live: false }
                .feed(artifact.body)?;
            return count_everything(&mut server.ask(), member, with_history(artifact.counts))
                .map_err(|error| bench(&error));
        }
        let mut text = String::new();
        artifact
            .body
            .take(ACCOUNTS_MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| RestoreError::Fetch { member: member.to_owned(), error })?;
        server.client.change(host, &stand_ins(&text)).map_err(|error| bench(&error))?;
        Load { host, client: &server.client, member, schema: None, live: false }
            .feed(&mut text.as_bytes())?;
        let accounts = Accounts::read(&mut server.ask(), server.version).map_err(|error| bench(&error))?;
        Ok(Counts(accounts.counts))
    }
}

/// Tables that rights are given on and that this drill does not have, because their schemas are no members.
fn stand_ins(statements: &str) -> String {
    let stand_in = |(schema, table, columns): (String, String, Vec<String>)| {
        let columns: Vec<String> = columns
            .iter()
            .map(|it| format!("{} INT", identifier(it)))
            .chain(["bkp_stand_in INT".into()])
            .collect();
        let (schema, table, columns) = (identifier(&schema), identifier(&table), columns.join(", "));
        format!(
            "CREATE DATABASE IF NOT EXISTS {schema}; CREATE TABLE IF NOT EXISTS {schema}.{table} ({columns});\n"
        )
    };
    tables_named(statements).into_iter().map(stand_in).collect()
}

/// A drill in scratch schemas of the declared server.
struct ServerDrill<'a> {
    bench_of: Bench<'a>,
    client: Client,
}

impl Drill for ServerDrill<'_> {
    fn member(&mut self, artifact: Artifact<'_>, _: &Path) -> Result<Counts, RestoreError> {
        let impossible =
            |reason: String| RestoreError::Bench { tool: "drill on the declared server".into(), reason };
        if artifact.member == MEMBER {
            return Err(impossible(
                "accounts can only be tried on a server of the drill's own: install the server's programs, or put \
                 `_accounts` under `ignore`"
                    .into(),
            ));
        }
        let Bench { host, folder, .. } = self.bench_of;
        let name = format!("{SCRATCH}{}_{:x}", std::process::id(), host.now().as_nanosecond());
        leave_trace(host, folder, &Trace::Place { kind: "mysql".into(), name: name.clone() })
            .map_err(|error| RestoreError::Target { path: folder.to_path_buf(), error })?;
        make_schema(host, &self.client, &name)?;
        let load =
            Load { host, client: &self.client, member: artifact.member, schema: Some(&name), live: true };
        let counted = load.feed(artifact.body).and_then(|_disabled| {
            let mut ask = OneLogin { host, client: &self.client };
            count_everything(&mut ask, &name, with_history(artifact.counts)).map_err(|error| bench(&error))
        });
        drop_schema(host, &self.client, &name)?;
        counted
    }
}

fn write_file(artifact: &mut Artifact<'_>, folder: &Path) -> Result<(), RestoreError> {
    let target = |path: &Path| {
        let path = path.to_path_buf();
        move |error| RestoreError::Target { path, error }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(target(folder))?;
    let path = folder.join(format!("{}.sql", encode_name(artifact.member)));
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(target(&path))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match artifact.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Fetch { member: artifact.member.to_owned(), error }),
        };
        out.write_all(&buffer[..count]).map_err(target(&path))?;
    }
    out.sync_all().map_err(target(&path))
}
