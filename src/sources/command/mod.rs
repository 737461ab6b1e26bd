//! A program of the user's whose standard output is the backup: one member, named after the set.
//!
//! Never here: an output that is called complete because it ended. Its program must have ended with status 0, must have
//! written its end mark and enough bytes, and must have left nobody behind who could still write.

mod mark;
mod restore;
mod stream;

pub(super) use restore::CommandRestorer;

use super::{Desk, Member, Needs, Source, SourceError, SourceStream, find_tool, tool_requirement};
use crate::declared::{CommandDeclaration, SecretRef, SetName};
use crate::host::{ChildReader, Command, Host, SEARCH_PATH};
use crate::observed::{MemberFacts, Observed, RequirementFacts, SourceFacts};
use crate::secrets;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stream::OutputStream;

/// Longest from the end of its output to its own end. A run that no longer moves is ended by its own limit long before.
const END_PATIENCE: Duration = Duration::from_hours(24);
/// The word under which the size is counted.
const BYTES: &str = "bytes";

/// One program.
#[derive(Debug, Clone)]
pub(super) struct CommandSource {
    set: SetName,
    declaration: CommandDeclaration,
}

impl CommandSource {
    /// The live side of a declaration.
    pub(super) fn new(set: &SetName, declaration: CommandDeclaration) -> Self {
        Self { set: set.clone(), declaration }
    }

    fn member(&self) -> Member {
        Member { name: self.set.to_string() }
    }
}

/// A program of the plan file in an environment that is the same by hand and in a job: its first word looked up on the
/// job's PATH, and no variables but these.
fn program(
    host: &dyn Host,
    argv: &[String],
    home: &Path,
    variables: BTreeMap<String, OsString>,
) -> Result<Command, SourceError> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let path = find_tool(host, &[name], SEARCH_PATH)?;
    let words = argv.iter().skip(1).map(OsString::from);
    let mut command = Command::change(std::iter::once(path.into_os_string()).chain(words));
    command.clear_env = true;
    command.env = variables;
    command.env.insert("PATH".into(), SEARCH_PATH.into());
    command.env.insert("HOME".into(), home.into());
    Ok(command)
}

fn requirement(host: &dyn Host, argv: &[String]) -> Option<RequirementFacts> {
    let name = argv.first()?;
    Some(tool_requirement(host, &[name], SEARCH_PATH, &format!("`{name}` (or correct its path)")))
}

impl Source for CommandSource {
    fn enumerate(&self, _: &dyn Host) -> Result<Vec<Member>, SourceError> {
        Ok(vec![self.member()])
    }

    /// Never runs the program: what it would say only a run can show.
    fn look(&self, host: &dyn Host) -> SourceFacts {
        let member = MemberFacts { name: self.set.to_string(), size_bytes: None };
        let programs = [Some(&self.declaration.command), self.declaration.drill.as_ref()];
        let requirements =
            programs.into_iter().flatten().filter_map(|argv| requirement(host, argv)).collect();
        SourceFacts::new(Observed::Present(vec![member]), requirements)
    }

    fn scratch_bytes(&self, _: &dyn Host) -> u64 {
        0
    }

    fn open(&self, desk: &Desk<'_>, member: &Member) -> Result<Box<dyn SourceStream>, SourceError> {
        if *member != self.member() {
            return Err(SourceError::Missing { object: member.name.clone() });
        }
        let mut variables = desk.variables.clone();
        variables.insert("BKP_SET".into(), self.set.as_str().into());
        let home = desk.host.user().home;
        let mut command = program(desk.host, &self.declaration.command, &home, variables)?;
        command.time_limit = END_PATIENCE;
        let name = self.declaration.command[0].clone();
        let hidden = hidden(desk)?;
        let child =
            ChildReader::start(&command).map_err(|error| SourceError::Tool { tool: name.clone(), error })?;
        Ok(Box::new(OutputStream::new(name, child, &self.declaration, hidden)))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn writable_paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn needs(&self) -> Needs {
        Needs { any_program: true, ..Needs::default() }
    }

    fn extension(&self, _: &Member) -> String {
        self.declaration.extension.clone()
    }
}

/// The set's secrets, to be taken out of what the program says of its own failure.
fn hidden(desk: &Desk<'_>) -> Result<Vec<secrets::Secret>, SourceError> {
    let read = |(name, path): (&String, &OsString)| {
        secrets::resolve(desk.host, name, &SecretRef::File(PathBuf::from(path)))
    };
    desk.variables.iter().map(read).collect::<Result<_, _>>().map_err(SourceError::from)
}
