//! Findings about timers, jobs, the daemon, pauses and the installed plan.

use super::{could_not_look, not_looked};
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::review::why_removed;
use crate::decide::scheduled::examine;
use crate::decide::world::{Seen, World};
use crate::declared::Scope;
use crate::observed::{JobName, Observed, SchedulerKind};
use std::collections::BTreeSet;

pub(super) fn findings(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for wanted in world.jobs {
        let state = examine(world, wanted);
        for fault in state.faults {
            let object = match fault.code {
                // One daemon serves all jobs: its finding is told once.
                Code::DaemonNotRunning | Code::DaemonStale => "bkp daemon".to_owned(),
                _ => wanted.name.to_string(),
            };
            let of_daemon = object == "bkp daemon";
            let mut finding = Finding::new(fault.code, object, fault.evidence);
            // Why the scheduler could not be asked comes with what helps.
            if let (Code::CouldNotLook, Seen::Unknown(diagnostic)) =
                (fault.code, world.scheduler(wanted.scheduler))
                && let Some(fix) = &diagnostic.fix
            {
                finding = finding.remedy(fix.clone());
            }
            if let Some(remedy) = of_cron(wanted.scheduler, fault.code) {
                finding = finding.remedy(remedy);
            }
            findings.push(match &wanted.set {
                Some(set) if !of_daemon => finding.of(set),
                Some(_) | None => finding,
            });
        }
        if !state.lingers {
            let user = &world.facts.host.user;
            let finding =
                Finding::new(Code::LingerOff, user.clone(), format!("user `{user}` does not linger"));
            findings.push(finding.remedy(format!("run `loginctl enable-linger {user}`")));
        }
    }
    let with_job: BTreeSet<_> = world.jobs.iter().filter_map(|job| job.set.as_ref()).collect();
    for set in world.plan.sets.keys().filter(|set| !with_job.contains(set)) {
        findings.push(not_looked(format!("bkp-{set}")).of(set));
    }
    for job in world.own_jobs() {
        if let Some(reason) = why_removed(world, job) {
            let finding = Finding::new(Code::JobOrphaned, job.name.to_string(), reason);
            findings.push(match &job.name {
                JobName::Set(set) | JobName::Trial(set) => finding.of(set),
                JobName::Audit(_) => finding,
            });
        }
    }
    for (name, set) in &world.plan.sets {
        if let Some(pause) = &set.pause
            && world.paused(set).is_none()
        {
            let evidence = format!("paused until {}: {}", pause.until, pause.reason);
            findings.push(Finding::new(Code::PauseExpired, name.to_string(), evidence).of(name));
        }
    }
    // Another scheduler than the wanted one is asked too: what it runs may be ours.
    let wanted_kinds: BTreeSet<SchedulerKind> = world.jobs.iter().map(|job| job.scheduler).collect();
    for (kind, fact) in world.facts.schedulers.iter().filter(|(kind, _)| !wanted_kinds.contains(kind)) {
        if let Seen::Unknown(diagnostic) = Seen::of(Some(fact)) {
            findings.push(could_not_look(kind.word(), diagnostic));
        }
    }
    findings
}

/// What mends a job of cron's, where the catalogue speaks of timers.
fn of_cron(kind: SchedulerKind, code: Code) -> Option<&'static str> {
    match (kind, code) {
        (SchedulerKind::Cron, Code::TimerInactive) => Some(
            "start the cron daemon and see that it starts at boot, such as by `systemctl enable --now cron`",
        ),
        (SchedulerKind::Cron, Code::TimerDisabled) => {
            Some("run `bkp apply`: it takes the comment signs away")
        }
        (SchedulerKind::Cron, Code::TimerMissing) => Some(
            "run `bkp apply`; cron reads only a file of root's that nobody else may write and nobody execute",
        ),
        _ => None,
    }
}

/// Findings about the installed plan and the binary that it is run with.
pub(super) fn plan_findings(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let object = format!("plan {}", world.plan.name);
    match Seen::of(world.facts.plans.get(&world.plan.name)) {
        Seen::Absent | Seen::NotSupplied => {
            let evidence = "it is not among the installed plans";
            findings.push(Finding::new(Code::PlanMissing, object, evidence));
        }
        Seen::Unknown(diagnostic) => findings.push(could_not_look(object, diagnostic)),
        Seen::Present(installed) => {
            if let Some(diagnostic) = &installed.damaged {
                findings.push(could_not_look(object.clone(), diagnostic));
            }
            if let Some(origin) = &installed.origin {
                let path = origin.path.display();
                match &installed.origin_sha256_now {
                    Observed::Present(now) if *now == origin.sha256 => {}
                    Observed::Absent => {}
                    Observed::Present(_) => {
                        let evidence = format!("`{path}` is not what was applied");
                        let remedy = format!("run `bkp plan {path}`, then `bkp apply {path}`");
                        findings.push(Finding::new(Code::PlanEdited, object, evidence).remedy(remedy));
                    }
                    Observed::Unknown(why) => {
                        let evidence = format!(
                            "`{path}` cannot be read, so whether it was edited cannot be told: {}",
                            why.sentence()
                        );
                        let remedy = "apply the plan from where its file stays";
                        findings.push(Finding::new(Code::CouldNotLook, object, evidence).remedy(remedy));
                    }
                }
            }
        }
    }
    let host = &world.facts.host.name;
    // Docker and Podman cut the container's id to twelve digits.
    let random =
        host.len() == 12 && host.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    if random && world.plan.node.is_none() {
        let evidence = format!("the host is called `{host}`, and the plan names no `node`");
        findings.push(Finding::new(Code::NodeUnstable, host.clone(), evidence));
    }
    let binary = &world.facts.host.binary;
    if world.scope() == Scope::System && (binary.in_build_folder || binary.in_home) {
        let place = if binary.in_build_folder { "a build folder" } else { "a home directory" };
        let path = binary.path.display();
        let remedy =
            format!("run `install -m 0755 {path} /usr/local/bin/bkp`, then `/usr/local/bin/bkp apply`");
        let finding = Finding::new(Code::BinaryMisplaced, path.to_string(), format!("it lies in {place}"));
        findings.push(finding.remedy(remedy));
    }
    findings
}
