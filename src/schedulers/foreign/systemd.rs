//! Units that look like backups: timers with their services, and services that no timer starts.
//!
//! The unit folders are read as they lie on disk; systemd is asked, in one call for each manager, only about what looks
//! like a backup. Nothing is started, and "success" is never believed (see `systemd/mod.rs`).

use super::entry::{Entry, Looked};
use super::programs::{Program, Surroundings, programs};
use super::tools;
use super::unit_file::UnitFile;
use super::words;
use crate::declared::Scope;
use crate::diagnostic::Diagnostic;
use crate::host::{FileKind, Host};
use crate::observed::{ForeignBackup, ForeignKind, LastRun, Started};
use crate::schedulers::{Places, ShownUnit, systemd_runs, systemd_show};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// PATH of a system service that sets none (systemd.exec(5), `$PATH`).
pub(super) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a unit of ours bears.
const OUR_MARKER: &str = "# bkp-job: ";

const COMMANDS: [&str; 3] = ["ExecStartPre", "ExecStart", "ExecStartPost"];

/// The units of one manager.
struct Units {
    scope: Scope,
    /// In order of precedence (systemd.unit(5)).
    folders: Vec<PathBuf>,
    /// Where its timers leave their stamps.
    stamps: PathBuf,
    by_name: BTreeMap<String, Unit>,
    /// Who starts or pulls in a unit, by its name: a folder of links, or another unit.
    wanted: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Unit {
    path: PathBuf,
    masked: bool,
    ours: bool,
    file: UnitFile,
}

/// Looks through the system's units and this user's.
pub(super) fn look(host: &dyn Host, places: &Places) -> Looked {
    let mut looked = Looked::new("unit folders read, and systemd asked about what looks like a backup");
    let home = host.user().home;
    for mut units in managers(places, &home) {
        units.read(host, &mut looked);
        let first = looked.backups.len();
        units.judge(host, &home, &mut looked);
        units.ask(host, &mut looked.backups[first..]);
    }
    looked
}

fn managers(places: &Places, home: &Path) -> [Units; 2] {
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let mut own = vec![home.join(".config/systemd/user")];
    if places.scope == Scope::User && !own.contains(&places.units) {
        own.insert(0, places.units.clone());
    }
    own.extend(paths(&["/etc/systemd/user", "/run/systemd/user"]));
    own.push(home.join(".local/share/systemd/user"));
    own.extend(paths(&["/usr/local/lib/systemd/user", "/usr/lib/systemd/user"]));
    let system = [
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ];
    let empty = |scope, folders, stamps| Units {
        scope,
        folders,
        stamps,
        by_name: BTreeMap::new(),
        wanted: BTreeMap::new(),
    };
    [
        empty(Scope::System, paths(&system), "/var/lib/systemd/timers".into()),
        empty(Scope::User, own, home.join(".local/share/systemd/timers")),
    ]
}

impl Units {
    fn read(&mut self, host: &dyn Host, looked: &mut Looked) {
        let mut drop_ins: Vec<(String, PathBuf)> = Vec::new();
        for folder in self.folders.clone() {
            for name in looked.names(host, &folder) {
                let path = folder.join(&name);
                match name.rsplit_once('.') {
                    Some((_, "wants" | "requires" | "upholds")) => {
                        for link in looked.names(host, &path) {
                            self.wanted.insert(link, name.clone());
                        }
                    }
                    Some((unit, "d")) => drop_ins.push((unit.to_owned(), path)),
                    Some((_, "service" | "timer" | "path" | "socket" | "target")) => {
                        self.unit(host, looked, name.clone(), path);
                    }
                    Some(_) | None => {}
                }
            }
        }
        for (name, folder) in drop_ins {
            let Some(unit) = self.by_name.get_mut(&name) else { continue };
            for file in looked.names(host, &folder).iter().filter(|file| kind(file) == "conf") {
                if let Some(text) = looked.text(host, &folder.join(file)) {
                    unit.file.read(&text);
                }
            }
        }
        for (name, unit) in &self.by_name {
            for started in unit.file.starts() {
                self.wanted.entry(started.to_owned()).or_insert_with(|| name.clone());
            }
            if let Some(stem) = name.strip_suffix(".path").or_else(|| name.strip_suffix(".socket")) {
                self.wanted.entry(format!("{stem}.service")).or_insert_with(|| name.clone());
            }
        }
        self.instantiate();
    }

    /// A template is no unit yet: what is enabled, or what a timer names, is an instance of it.
    fn instantiate(&mut self) {
        let add = |units: &mut BTreeMap<String, Unit>, name: &str| {
            let unit = units.get(&template(name)).filter(|_| !units.contains_key(name)).cloned();
            units.extend(unit.map(|unit| (name.to_owned(), unit)));
        };
        for name in self.wanted.keys() {
            add(&mut self.by_name, name);
        }
        let timers = self.by_name.iter().filter(|(name, _)| kind(name) == "timer" && !is_template(name));
        for target in timers.map(|(name, timer)| target(name, timer)).collect::<Vec<_>>() {
            add(&mut self.by_name, &target);
        }
    }

    /// Of one name the first counts; where that is a mask, the next says what is masked.
    fn unit(&mut self, host: &dyn Host, looked: &mut Looked, name: String, path: PathBuf) {
        if self.by_name.get(&name).is_some_and(|unit| !unit.masked || unit.file != UnitFile::default()) {
            return;
        }
        if host.link_status(&path).is_ok_and(|status| status.kind == FileKind::Symlink) {
            let leads_to = host.canonical(&path);
            if leads_to.as_ref().is_ok_and(|it| it == Path::new("/dev/null")) {
                self.by_name.insert(name, Unit { path, masked: true, ..Unit::default() });
                return;
            }
            let alias = leads_to.is_ok_and(|it| it.file_name().is_some_and(|file| *file != *name));
            if alias {
                return;
            }
        }
        let Some(text) = looked.text(host, &path) else { return };
        let mut file = UnitFile::default();
        file.read(&text);
        let ours = name.starts_with("bkp-") && text.lines().any(|line| line.starts_with(OUR_MARKER));
        let masked = self.by_name.get(&name).is_some_and(|unit| unit.masked);
        self.by_name.insert(name, Unit { path, masked, ours, file });
    }

    fn timers_of(&self, service: &str) -> Vec<(&String, &Unit)> {
        let timers = self.by_name.iter().filter(|(name, _)| kind(name) == "timer");
        timers.filter(|(name, timer)| !is_template(name) && target(name, timer) == service).collect()
    }

    fn judge(&self, host: &dyn Host, home: &Path, looked: &mut Looked) {
        for (name, service) in &self.by_name {
            let Some(stem) = name.strip_suffix(".service") else { continue };
            let of_the_distribution =
                service.path.starts_with("/usr/lib") || service.path.starts_with("/lib");
            let theirs = of_the_distribution && (is_template(name) || tools::is_of_the_distribution(stem));
            let instantiated = || self.by_name.keys().any(|it| it != name && template(it) == *name);
            if service.ours || theirs || (is_template(name) && instantiated()) {
                continue;
            }
            let entry = |kind, name: &str, unit: &Unit, schedule, started| Entry {
                kind,
                name: name.to_owned(),
                path: unit.path.clone(),
                line: None,
                schedule,
                programs: self.programs(service, home),
                started,
                last_run: LastRun::Unknown(not_asked(name)),
                of_the_distribution,
                bears_a_name: true,
            };
            let timers = self.timers_of(name);
            for (timer, unit) in &timers {
                let started = Started::Unknown(not_asked(timer));
                looked.add(
                    host,
                    home,
                    entry(ForeignKind::SystemdTimer, timer, unit, unit.file.schedule(), started),
                );
            }
            if timers.is_empty() {
                let started = match self.wanted.get(name) {
                    Some(by) => Started::Unknown(
                        Diagnostic::new("start not known", format!("unit `{name}`"))
                            .why(format!("`{by}` pulls it in")),
                    ),
                    None => Started::ByNothing("no timer and no other unit starts it".to_owned()),
                };
                looked.add(host, home, entry(ForeignKind::SystemdService, name, service, None, started));
            }
        }
        self.timers_of_nothing(looked);
    }

    /// Timers whose names say backup and whose services do not exist.
    fn timers_of_nothing(&self, looked: &mut Looked) {
        for (name, timer) in self.by_name.iter().filter(|(name, _)| kind(name) == "timer") {
            let service = target(name, timer);
            let exists = self.by_name.contains_key(&service);
            if timer.ours || exists || is_template(name) || !tools::is_named_backup(name) {
                continue;
            }
            looked.backups.push(ForeignBackup {
                kind: ForeignKind::SystemdTimer,
                name: name.clone(),
                path: timer.path.clone(),
                line: None,
                schedule: timer.file.schedule(),
                command: Vec::new(),
                calls: Vec::new(),
                tools: Vec::new(),
                started: Started::ByNothing(format!("its unit `{service}` has no file")),
                last_run: LastRun::Unknown(not_asked(name)),
            });
        }
    }

    fn programs(&self, service: &Unit, home: &Path) -> Vec<Program> {
        let path = match self.scope {
            Scope::System => Some(SYSTEM_PATH.to_owned()),
            // It follows the user's login, which is not looked at.
            Scope::User => None,
        };
        let mut surroundings = Surroundings::new(path, home);
        if !service.file.values("Service", "EnvironmentFile").is_empty() {
            surroundings.search_path = None;
        }
        for line in service.file.values("Service", "Environment") {
            for word in words::commands(line).into_iter().flatten() {
                if let Some(("PATH", value)) = words::assignment(&word) {
                    surroundings.search_path = Some(value.to_owned());
                }
            }
        }
        let lines = COMMANDS.iter().flat_map(|key| service.file.values("Service", key));
        let lines = lines.map(|line| line.trim_start_matches(['@', '-', ':', '+', '!', '|', ' ']));
        lines
            .flat_map(|line| programs(&line.replace("%h", &home.display().to_string()), &surroundings))
            .collect()
    }

    /// Puts in what the manager says of the units.
    fn ask(&self, host: &dyn Host, backups: &mut [ForeignBackup]) {
        let named: Vec<(usize, String, String)> = backups
            .iter()
            .enumerate()
            .filter(|(_, it)| !is_template(&it.name))
            .map(|(at, it)| {
                let service =
                    self.by_name.get(&it.name).map_or_else(|| it.name.clone(), |unit| target(&it.name, unit));
                (at, it.name.clone(), service)
            })
            .collect();
        if named.is_empty() {
            return;
        }
        let unknown =
            |it: &ForeignBackup, why: &str| Diagnostic::new("start not known", it.name.clone()).why(why);
        let names: Vec<String> =
            named.iter().flat_map(|(_, unit, service)| [unit.clone(), service.clone()]).collect();
        let shown = if systemd_runs(host, self.scope) {
            systemd_show(host, self.scope, &names).map_err(|error| error.to_string())
        } else {
            Err("no systemd of this scope answers here".to_owned())
        };
        match shown {
            Ok(shown) => {
                for ((at, name, _), pair) in named.iter().zip(shown.chunks(2)) {
                    if let ([unit, service], Some(backup)) = (pair, backups.get_mut(*at)) {
                        self.fill(host, backup, name, unit, service);
                    }
                }
            }
            Err(why) => {
                for (at, _, _) in &named {
                    let Some(backup) = backups.get_mut(*at) else { continue };
                    backup.last_run = LastRun::Unknown(unknown(backup, &why));
                    if !matches!(backup.started, Started::ByNothing(_)) {
                        backup.started = Started::Unknown(unknown(backup, &why));
                    }
                }
            }
        }
    }

    fn fill(
        &self,
        host: &dyn Host,
        backup: &mut ForeignBackup,
        name: &str,
        unit: &ShownUnit,
        service: &ShownUnit,
    ) {
        let file = self.by_name.get(name);
        backup.last_run = self.last_run(host, name, file, service);
        if matches!(backup.started, Started::ByNothing(_)) {
            return;
        }
        let masked = file.is_some_and(|unit| unit.masked);
        if masked || service.load_state == "masked" {
            backup.started = Started::Disabled("it is masked".to_owned());
        } else if kind(name) == "timer" {
            backup.started = timer_state(unit);
        } else if self.wanted.get(name).is_some_and(|by| matches!(kind(by), "wants" | "requires" | "upholds"))
        {
            backup.started = Started::ByScheduler;
        }
    }

    fn last_run(&self, host: &dyn Host, name: &str, file: Option<&Unit>, service: &ShownUnit) -> LastRun {
        let unknown =
            |why: String| LastRun::Unknown(Diagnostic::new("last run not known", name.to_owned()).why(why));
        match &service.main_started_at {
            Ok(Some(at)) => return LastRun::At(*at),
            Ok(None) => {}
            Err(error) => return unknown(error.to_string()),
        }
        let persistent = file
            .and_then(|unit| unit.file.value("Timer", "Persistent"))
            .is_some_and(|it| matches!(it.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1"));
        if !persistent {
            return unknown(
                "no start is recorded in this boot, and nothing is remembered of those before".to_owned(),
            );
        }
        let stamp = self.stamps.join(format!("stamp-{name}"));
        match host.status(&stamp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => LastRun::Never,
            Err(error) => unknown(error.to_string()),
            // A stamp is also written when a timer is first started.
            Ok(status) => unknown(format!(
                "no start is recorded in this boot; its timer's stamp is of {}, which proves no run",
                status.modified_at
            )),
        }
    }
}

/// What a timer starts.
fn target(name: &str, unit: &Unit) -> String {
    match name.strip_suffix(".timer") {
        Some(stem) => {
            unit.file.value("Timer", "Unit").map_or_else(|| format!("{stem}.service"), str::to_owned)
        }
        None => name.to_owned(),
    }
}

/// What is behind the last dot.
fn kind(unit: &str) -> &str {
    unit.rsplit_once('.').map_or("", |(_, kind)| kind)
}

/// `a@.service` of `a@b.service`; other names stay as they are.
fn template(unit: &str) -> String {
    match unit.split_once('@') {
        Some((stem, _)) => format!("{stem}@.{}", kind(unit)),
        None => unit.to_owned(),
    }
}

fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

fn not_asked(unit: &str) -> Diagnostic {
    Diagnostic::new("start not known", format!("unit `{unit}`")).why("systemd was not asked")
}

/// A timer starts its service when it is loaded, active, and has a next elapse ahead.
fn timer_state(timer: &ShownUnit) -> Started {
    if timer.load_state != "loaded" {
        return Started::Disabled(format!("systemd has it as `{}`", timer.load_state));
    }
    match (timer.active_state.as_str(), timer.elapses) {
        ("active", true) => Started::ByScheduler,
        ("active", false) => Started::Disabled("it is active and has no next elapse".to_owned()),
        (state, _) => Started::Disabled(format!("it is `{}` and {state}", timer.unit_file_state)),
    }
}
