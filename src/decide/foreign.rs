//! Backups that are not bkp's, each with what is to be said of it. They are no changes and no findings.

use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::observed::{CalledProgram, CalledState, ForeignBackup, ForeignKind, LastRun, Started};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A backup that is not bkp's, as plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignNote {
    /// Its name: a unit, a label, a path, of a crontab with the line.
    pub name: String,
    /// What would start it.
    pub kind: ForeignKind,
    /// The file that it was read from.
    pub path: PathBuf,
    /// When, as its scheduler writes it.
    pub schedule: Option<String>,
    /// The tools that make it look like a backup.
    pub tools: Vec<String>,
    /// What is to be said of it, a line each; never none.
    pub verdicts: Vec<String>,
}

impl ForeignNote {
    /// Its key under `discover.ignore`.
    pub fn key(&self) -> String {
        format!("backup:{}", self.name)
    }
}

/// What is to be said of the backups that are not bkp's.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// Those that are not ignored, sorted.
    pub(super) notes: Vec<ForeignNote>,
    /// Places, and parts of them, that could not be looked at.
    pub(super) gaps: Vec<Diagnostic>,
}

/// Every foreign backup of the facts that no plan ignores.
pub(super) fn foreign(world: &World<'_>) -> Foreign {
    let plans = || std::iter::once(world.plan).chain(world.installed_others);
    let ignored = |object: &str| {
        let key = format!("backup:{object}");
        plans().any(|plan| plan.discover.ignore.contains_key(&key))
    };
    let mut foreign = Foreign::default();
    let mut notes = BTreeSet::new();
    for (place, fact) in &world.facts.foreign {
        let part = place.split_once(':').map(|(_, part)| part);
        if let Some(diagnostic) = fact.observed.unknown()
            && !ignored(part.unwrap_or(place))
        {
            foreign.gaps.push(diagnostic.clone());
        }
        let backups = fact.observed.present().into_iter().flatten();
        let kept = backups.filter(|it| !ignored(&it.name) && !ignored(&it.path.display().to_string()));
        notes.extend(kept.map(note));
    }
    foreign.notes = notes.into_iter().collect();
    foreign
}

fn note(backup: &ForeignBackup) -> ForeignNote {
    ForeignNote {
        name: backup.name.clone(),
        kind: backup.kind,
        path: backup.path.clone(),
        schedule: backup.schedule.clone(),
        tools: backup.tools.clone(),
        verdicts: verdicts(backup),
    }
}

fn verdicts(backup: &ForeignBackup) -> Vec<String> {
    let mut verdicts = Vec::new();
    let why = |it: &Diagnostic| it.why.clone().unwrap_or_else(|| it.what.clone());
    let starts = match &backup.started {
        Started::ByScheduler => true,
        Started::Disabled(how) => {
            verdicts.push(format!("disabled: {how}"));
            false
        }
        Started::ByNothing(how) => {
            verdicts.push(format!("nothing starts it: {how}"));
            false
        }
        Started::Unknown(diagnostic) => {
            verdicts.push(format!("whether something starts it could not be told: {}", why(diagnostic)));
            false
        }
    };
    let calls: Vec<String> = backup.calls.iter().filter_map(called).collect();
    let sound = calls.is_empty();
    verdicts.extend(calls);
    let until = "bkp does not replace it until its data is in a set";
    match (&backup.last_run, starts && sound) {
        (LastRun::Never, _) => {
            verdicts.push(
                "no run is known: systemd remembers no start in this boot, and its timer has left no stamp"
                    .to_owned(),
            );
        }
        (LastRun::At(at), true) => verdicts.push(format!("runs, last started at {at}; {until}")),
        (LastRun::At(at), false) => verdicts.push(format!("last started at {at}")),
        (LastRun::Unknown(_), true) => {
            verdicts.push(format!("its scheduler starts it; when it ran last could not be told; {until}"));
        }
        (LastRun::Unknown(_), false) => {}
    }
    verdicts
}

/// What is wrong with a program that it calls; none where it was found.
fn called(call: &CalledProgram) -> Option<String> {
    let program = &call.program;
    let via = call.via.as_ref().map_or_else(String::new, |via| format!(" from {}", via.display()));
    match &call.state {
        CalledState::Found(_) => None,
        CalledState::Missing => Some(format!("calls `{program}`{via}, which does not exist")),
        CalledState::NotExecutable(_) => Some(format!("calls `{program}`{via}, which is not executable")),
        CalledState::NotOnPath(folders) => {
            Some(format!("calls `{program}`{via}, which is not on its PATH: {folders}"))
        }
        CalledState::Unknown(diagnostic) => {
            let why = diagnostic.why.as_deref().unwrap_or("its PATH is not known");
            Some(format!("calls `{program}`{via}, and whether it finds it could not be told: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scene;
    use super::*;
    use crate::observed::{Fact, Observed};

    fn backup() -> ForeignBackup {
        ForeignBackup {
            kind: ForeignKind::SystemdTimer,
            name: "restic.timer".to_owned(),
            path: "/etc/systemd/system/restic.timer".into(),
            line: None,
            schedule: Some("daily".to_owned()),
            command: vec!["restic".to_owned()],
            calls: vec![called_as(CalledState::Found("/usr/bin/restic".into()))],
            tools: vec!["restic".to_owned()],
            started: Started::ByScheduler,
            last_run: LastRun::At("2026-11-20T03:00:00Z".parse().expect("a time")),
        }
    }

    fn called_as(state: CalledState) -> CalledProgram {
        CalledProgram { program: "restic".to_owned(), state, via: Some("/opt/x.sh".into()) }
    }

    fn of(change: impl FnOnce(&mut ForeignBackup)) -> Vec<String> {
        let mut backup = backup();
        change(&mut backup);
        verdicts(&backup)
    }

    fn unknown() -> Diagnostic {
        Diagnostic::new("unknown", "it").why("no bus")
    }

    #[test]
    fn only_what_was_seen_to_be_started_and_to_find_its_programs_runs() {
        assert_eq!(
            of(|_| {}),
            [
                "runs, last started at 2026-11-20T03:00:00Z; bkp does not replace it until its data is in a set"
            ]
        );
        let states = [
            CalledState::Missing,
            CalledState::NotExecutable("/x".into()),
            CalledState::NotOnPath("/bin".to_owned()),
            CalledState::Unknown(unknown()),
        ];
        for state in states {
            let said = of(|it| it.calls = vec![called_as(state.clone())]);
            assert!(said.iter().all(|it| !it.starts_with("runs")), "{state:?}: {said:?}");
        }
        let starts = [
            Started::Disabled("masked".to_owned()),
            Started::ByNothing("no timer".to_owned()),
            Started::Unknown(unknown()),
        ];
        for started in starts {
            let said = of(|it| it.started = started.clone());
            assert!(said.iter().all(|it| !it.starts_with("runs")), "{started:?}: {said:?}");
        }
    }

    #[test]
    fn each_fault_has_its_words() {
        assert_eq!(
            of(|it| {
                it.started = Started::ByNothing("no timer".to_owned());
                it.calls = vec![called_as(CalledState::NotOnPath("/usr/bin:/bin".to_owned()))];
                it.last_run = LastRun::Never;
            }),
            [
                "nothing starts it: no timer",
                "calls `restic` from /opt/x.sh, which is not on its PATH: /usr/bin:/bin",
                "no run is known: systemd remembers no start in this boot, and its timer has left no stamp",
            ]
        );
        let said = of(|it| it.last_run = LastRun::Unknown(unknown()));
        assert!(said[0].contains("when it ran last could not be told"), "{said:?}");
    }

    #[test]
    fn ignored_by_name_or_path_is_not_shown_and_what_could_not_be_looked_at_is() {
        let mut scene = Scene::healthy();
        let fact = |observed| Fact::new(scene.now, "read", observed);
        let foreign_facts = [
            ("systemd".to_owned(), fact(Observed::Present(vec![backup()]))),
            ("systemd:/etc/x".to_owned(), fact(Observed::Unknown(unknown()))),
            ("crontab".to_owned(), fact(Observed::Unknown(unknown()))),
            ("launchd".to_owned(), fact(Observed::Absent)),
        ];
        scene.facts.foreign = foreign_facts.into();
        let seen = foreign(&scene.world());
        assert_eq!((seen.notes.len(), seen.gaps.len()), (1, 2));
        for key in ["restic.timer", "/etc/systemd/system/restic.timer", "/etc/x", "crontab"] {
            scene.plan.discover.ignore.insert(format!("backup:{key}"), "known".to_owned());
        }
        let seen = foreign(&scene.world());
        assert_eq!((seen.notes.len(), seen.gaps.len()), (0, 0));
    }
}
