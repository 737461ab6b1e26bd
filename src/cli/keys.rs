//! `bkp keys`: keys for encrypted destinations, and a sheet of paper for the day when they are needed.

use super::context::{Context, Failure};
use crate::declared::{
    DestinationDeclaration, DestinationName, Encryption, Identity, Lock, Plan, render_destination,
};
use crate::diagnostic::Diagnostic;
use crate::encryption::{new_key, recipients_of};
use crate::exit_code::ExitCode;
use crate::host::Host;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// Makes keys for encrypted destinations, and a recovery sheet to print
///
/// Exit status: 0, 1.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Makes an age key: the identity into a new file that only you can read, the recipient to standard output
    New {
        /// The file of the identity; nothing is replaced
        #[arg(long, value_name = "FILE", env = "BKP_OUT")]
        out: PathBuf,
    },
    /// Writes a recovery sheet: what is encrypted where, for whom, and the commands that bring it back without bkp
    Sheet {
        /// Puts the identity in this file onto the sheet: print it, and keep it where you keep passports
        #[arg(long, value_name = "FILE", env = "BKP_IDENTITY")]
        identity: Option<PathBuf>,
    },
}

pub fn keys(context: &Context<'_>, args: &KeysArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        KeysCommand::New { out } => new(context, out),
        KeysCommand::Sheet { identity } => sheet(context, identity.as_deref()),
    }
}

fn new(context: &Context<'_>, out: &std::path::Path) -> Result<ExitCode, Failure> {
    let not_written = |why: String| Diagnostic::new("key not written", out.display().to_string()).why(why);
    let (identity, recipient) = new_key();
    // Written beside it, for its owner only, and given the name only while nothing has it.
    let folder = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| not_written(error.to_string()))?;
    let written = file.write_all(identity.expose().as_bytes()).and_then(|()| file.as_file().sync_all());
    written.map_err(|error| not_written(error.to_string()))?;
    file.persist_noclobber(out).map_err(|error| {
        let fix = "name a file that does not exist: what is encrypted for a key that was replaced is lost";
        not_written(error.error.to_string()).fix(fix)
    })?;
    context.print(&format!("{recipient}\n"));
    super::context::say(&format!(
        "The identity is in {}. Whoever loses it cannot read the backups: keep a copy of it elsewhere (`bkp keys sheet \
         --identity {}` makes one to print). In the plan file:\n  encryption:\n    type: age\n    recipients: \
         [\"{recipient}\"]\n    identity: {{ file: {} }}\n",
        out.display(),
        out.display(),
        out.display()
    ));
    Ok(ExitCode::Ok)
}

fn sheet(context: &Context<'_>, identity: Option<&std::path::Path>) -> Result<ExitCode, Failure> {
    let plans = context.plans()?;
    let brought = identity.map(|file| Brought::read(context.host, file)).transpose()?;
    if let Some(brought) = &brought {
        let all = plans.plans.iter().flat_map(|loaded| loaded.plan.destinations.values());
        let mut locks = all.filter_map(|it| it.encryption.as_ref()).map(|it| &it.lock);
        if !locks.any(|lock| brought.fits(lock)) {
            return Err(Diagnostic::new("identity not usable", "no destination is encrypted for it")
                .fix("bring the one whose recipient the plan declares")
                .into());
        }
    }
    let mut text = String::new();
    for loaded in &plans.plans {
        for (name, declaration) in &loaded.plan.destinations {
            let Some(encryption) = &declaration.encryption else { continue };
            write_one(&mut text, &loaded.plan, (name, declaration), encryption, brought.as_ref());
        }
    }
    if text.is_empty() {
        return Err(Diagnostic::new(
            "nothing is encrypted",
            "no destination of an installed plan declares it",
        )
        .fix("add `encryption:` to a destination, and run `bkp apply`")
        .into());
    }
    let host = context.host.host_name();
    let day = context.host.now().strftime("%Y-%m-%d");
    context.print(&format!("RECOVERY SHEET of {host}, {day}\n\n{text}{HOW}"));
    Ok(ExitCode::Ok)
}

/// An identity that goes onto the sheet.
struct Brought {
    lines: Vec<String>,
    recipients: Vec<String>,
}

impl Brought {
    /// Whether it opens what is locked so.
    fn fits(&self, lock: &Lock) -> bool {
        match lock {
            Lock::Recipients(recipients) => self.recipients.iter().any(|it| recipients.contains(it)),
            Lock::Passphrase(_) => false,
        }
    }

    fn read(host: &dyn Host, file: &std::path::Path) -> Result<Self, Diagnostic> {
        let unusable =
            |why: String| Diagnostic::new("identity not usable", file.display().to_string()).why(why);
        let bytes = host.read(file).map_err(|error| unusable(error.to_string()))?;
        let recipients = recipients_of(&bytes);
        if recipients.is_empty() {
            return Err(unusable("it holds no age identity; an SSH key is too long for a sheet".to_owned()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")).map(str::to_owned);
        Ok(Self { lines: lines.collect(), recipients })
    }
}

fn write_one(
    text: &mut String,
    plan: &Plan,
    (name, declaration): (&DestinationName, &DestinationDeclaration),
    encryption: &Encryption,
    brought: Option<&Brought>,
) {
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes everything");
    line(format!("Destination `{name}` of plan `{}` ({})", plan.name, declaration.kind.word()));
    line("  its map, as DESTINATION.yaml wants it (the files of secrets are new ones of yours):".to_owned());
    for yaml in render_destination(declaration).lines() {
        line(format!("    {yaml}"));
    }
    let sets = plan.sets.iter().filter(|(_, set)| plan.destinations_of(set).contains(name));
    line(format!("  sets: {}", sets.map(|(set, _)| set.to_string()).collect::<Vec<_>>().join(", ")));
    match &encryption.lock {
        Lock::Passphrase(_) => line("  opened by: the passphrase".to_owned()),
        Lock::Recipients(recipients) => {
            for recipient in recipients {
                line(format!("  encrypted for: {recipient}"));
            }
            let fits = brought.filter(|it| it.fits(&encryption.lock));
            match (&encryption.identity, fits) {
                (_, Some(brought)) => {
                    for secret in &brought.lines {
                        line(format!("  identity (SECRET): {secret}"));
                    }
                }
                (Identity::Elsewhere(reason), None) => line(format!("  identity: elsewhere, {reason}")),
                (Identity::Here(_) | Identity::Passphrase, None) => {
                    line("  identity: on the host itself; it goes with the host, so keep a copy".to_owned());
                }
            }
        }
    }
    line(String::new());
}

const HOW: &str = "\
To bring data back with bkp on any machine (DESTINATION.yaml holds the destination's map from the plan file):
  bkp restore --from DESTINATION.yaml --identity IDENTITY.txt
  bkp restore SET --from DESTINATION.yaml --host HOST --identity IDENTITY.txt --to FOLDER

Without bkp: fetch <host>/<set>/<newest snapshot>/, then with the identity's line in IDENTITY.txt
  age --decrypt -i IDENTITY.txt details.json.age          which object is which member, and its counts
  sha256sum -c 1.db.zst.age.sha256                        the bytes are the ones that were stored
  age --decrypt -i IDENTITY.txt 1.db.zst.age | zstd -d > 1.db     a database
  age --decrypt -i IDENTITY.txt 1.tar.zst.age | zstd -d | tar -x  files
Where the map has a `layout`, the artifacts lie under its names, and manifest.json has each one's path.
A passphrase is asked for where there is one: leave `-i IDENTITY.txt` away.
";
