//! Findings about who else can read secrets or change what runs.

use super::could_not_look;
use crate::decide::finding::{Finding, FindingCode as Code};
use crate::decide::world::World;
use crate::declared::Scope;
use crate::observed::{Observed, PathFacts};

const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ANYTHING: u32 = 0o077;

pub(super) fn findings(world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fact in &world.facts.paths {
        let finding = match &fact.observed {
            Observed::Present(path) => judge(world, path),
            // A thing that has to be there is a requirement of its set, or the plan itself; others can do nothing
            // with what is not there.
            Observed::Absent => None,
            Observed::Unknown(diagnostic) => Some(could_not_look(fact.how.clone(), diagnostic)),
        };
        findings.extend(finding);
    }
    findings
}

/// What a set's user may own: what that user's job alone reads or runs.
fn of_the_job(role: &str) -> bool {
    role == "secret" || role == "hook"
}

/// The user as whom the job of a path's set runs, where that is known.
fn runner(world: &World<'_>, path: &PathFacts) -> Option<u32> {
    let set = world.plan.sets.get(path.set.as_ref()?)?;
    let user = world.plan.job_policy(set).run_as?;
    Some(world.facts.host.users.get(&user)?.present()?.uid)
}

fn judge(world: &World<'_>, path: &PathFacts) -> Option<Finding> {
    let (code, forbidden) = match path.role.as_str() {
        "secret" => (Code::SecretReadable, OTHERS_ANYTHING),
        "plan" => (Code::PlanWritable, OTHERS_WRITE),
        "hook" => (Code::HookWritable, OTHERS_WRITE),
        "binary" => (Code::BinaryWritable, OTHERS_WRITE),
        "job" => (Code::JobWritable, OTHERS_WRITE),
        role => {
            let evidence = format!("bkp does not know what `{role}` paths may allow");
            return Some(Finding::new(Code::CouldNotLook, path.path.display().to_string(), evidence));
        }
    };
    let shown = path.path.display();
    let trusted_owner = match world.scope() {
        Scope::System => path.uid == 0 || (of_the_job(&path.role) && runner(world, path) == Some(path.uid)),
        Scope::User => path.uid == 0 || path.uid == world.facts.host.uid,
    };
    let (evidence, remedy) = if path.mode & forbidden != 0 {
        let mode = path.mode & !forbidden & 0o7777;
        (format!("its mode is {:04o}", path.mode), format!("run `chmod {mode:04o} {shown}`"))
    } else if !trusted_owner {
        let owner = if world.scope() == Scope::System { "root" } else { world.facts.host.user.as_str() };
        (format!("it belongs to user id {}", path.uid), format!("run `chown {owner} {shown}`"))
    } else if let Some(folder) = &path.writable_folder {
        let folder = folder.display();
        (format!("others can write to its folder `{folder}`"), format!("run `chmod go-w {folder}`"))
    } else {
        return None;
    };
    let finding = Finding::new(code, shown.to_string(), evidence).remedy(remedy);
    Some(match &path.set {
        Some(set) => finding.of(set),
        None => finding,
    })
}
