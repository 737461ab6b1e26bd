//! Installed plans: the copies that jobs and the other commands read.

use super::{WorkflowError, places};
use crate::declared::{self, Plan, Scope, SetName};
use crate::diagnostic::Diagnostic;
use crate::format::Digest;
use crate::host::{Host, read_text};
use crate::observed::{Fact, InstalledPlan, Observed, PlanOrigin};
use crate::schedulers::Places;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const MARK: &str = "# bkp-plan: ";

/// The first line of an installed plan.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    origin: PlanOrigin,
}

/// The text of an installed plan: a header that says where it came from, and the plan, normalised.
pub fn install_text(plan: &Plan, origin: &PlanOrigin) -> String {
    let header = Header { origin: origin.clone() };
    let header = serde_json::to_string(&header).expect("a header has only string keys");
    format!(
        "{MARK}{header}\n# Installed by `bkp apply`. Change the plan file it came from and apply again.\n{}",
        declared::render(plan)
    )
}

/// Reads a plan from a text that bkp wrote itself.
pub fn plan_of_text(host: &dyn Host, path: &Path, text: &str) -> Result<Plan, Diagnostic> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    declared::parse_text(&path.display().to_string(), text, folder, &host.user().home)
        .map(|loaded| loaded.plan)
        .map_err(|errors| {
            Diagnostic::new("installed plan damaged", path.display().to_string())
                .why(errors.diagnostics().iter().map(Diagnostic::sentence).collect::<Vec<_>>().join("; "))
                .fix("run `bkp apply` with the plan file again")
        })
}

fn origin_of(text: &str) -> Option<PlanOrigin> {
    let header = text.lines().next()?.strip_prefix(MARK)?;
    serde_json::from_str::<Header>(header).ok().map(|header| header.origin)
}

fn origin_now(host: &dyn Host, path: &Path) -> Observed<Digest> {
    if host.status(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Observed::Absent;
    }
    let unread = || Diagnostic::new("plan file not readable", path.display().to_string());
    declared::text_digest(host, path).map_or_else(|| Observed::Unknown(unread()), Observed::Present)
}

fn facts_of(host: &dyn Host, path: &Path) -> Observed<InstalledPlan> {
    let bytes = match host.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Observed::Absent,
        Err(error) => {
            return Observed::Unknown(
                Diagnostic::new("installed plan not readable", path.display().to_string())
                    .why(error.to_string()),
            );
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = plan_of_text(host, path, &text);
    let origin = origin_of(&text);
    let now = origin.as_ref().map_or(Observed::Absent, |origin| origin_now(host, &origin.path));
    let sets = |plan: &Plan| {
        let digests =
            plan.sets.keys().filter_map(|set| Some((set.clone(), declared::set_digest(plan, set)?)));
        digests.collect()
    };
    Observed::Present(InstalledPlan {
        path: path.to_path_buf(),
        sha256: Digest::of(&bytes),
        origin,
        origin_sha256_now: now,
        sets: parsed.as_ref().map(sets).unwrap_or_default(),
        damaged: parsed.err(),
        text,
    })
}

/// Paths of the installed plans of a scope.
fn paths_in(host: &dyn Host, places: &Places) -> io::Result<Vec<PathBuf>> {
    let folder = places.config.join("plans");
    let names = match host.list_dir(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let yaml = names.into_iter().filter(|name| Path::new(name).extension().is_some_and(|it| it == "yaml"));
    Ok(yaml.map(|name| folder.join(name)).collect())
}

/// The installed plans of a scope as facts, by the name in their file's name.
pub fn observe(
    host: &dyn Host,
    places: &Places,
) -> Result<BTreeMap<declared::PlanName, Fact<InstalledPlan>>, Diagnostic> {
    let paths = paths_in(host, places).map_err(|error| {
        Diagnostic::new("installed plans not readable", places.config.display().to_string())
            .why(error.to_string())
    })?;
    let named = paths.into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.parse().ok()?;
        Some((name, Fact::new(host.now(), format!("read {}", path.display()), facts_of(host, &path))))
    });
    Ok(named.collect())
}

/// A plan that commands work on, with its folders.
pub struct LoadedPlan {
    /// The plan.
    pub plan: Plan,
    /// Its folders.
    pub places: Places,
    /// The file that it was read from.
    pub path: PathBuf,
}

/// The plans that a command works on: the installed ones, or the file that `--plan` names.
pub struct InstalledSets {
    /// In order of scope and name.
    pub plans: Vec<LoadedPlan>,
}

impl InstalledSets {
    /// Reads them. Root sees the system's and its own; others see their own, else the system's.
    pub fn load(
        host: &dyn Host,
        plan: Option<&Path>,
        state_dir: Option<&Path>,
    ) -> Result<Self, WorkflowError> {
        if let Some(path) = plan {
            let loaded = declared::load(host, path, &host.user().home).map_err(|errors| {
                let all =
                    errors.diagnostics().iter().map(Diagnostic::sentence).collect::<Vec<_>>().join("; ");
                Diagnostic::new("plan file not usable", path.display().to_string())
                    .why(all)
                    .fix(format!("run `bkp validate {}`", path.display()))
            })?;
            let scope = places::scope_of_handed(host, &loaded.plan, state_dir)?;
            let places = places::places(host, scope, state_dir);
            return Ok(Self {
                plans: vec![LoadedPlan { plan: loaded.plan, places, path: path.to_path_buf() }],
            });
        }
        let own = Self::of_scope(host, Scope::User, state_dir)?;
        if host.user().is_root() {
            let mut plans = Self::of_scope(host, Scope::System, state_dir)?;
            plans.extend(own);
            return Ok(Self { plans });
        }
        if own.is_empty() {
            return Ok(Self { plans: Self::of_scope(host, Scope::System, state_dir)? });
        }
        Ok(Self { plans: own })
    }

    fn of_scope(
        host: &dyn Host,
        scope: Scope,
        state_dir: Option<&Path>,
    ) -> Result<Vec<LoadedPlan>, WorkflowError> {
        let places = places::places(host, scope, state_dir);
        let paths = paths_in(host, &places).map_err(|error| {
            Diagnostic::new("installed plans not readable", places.config.display().to_string())
                .why(error.to_string())
        })?;
        let mut plans = Vec::new();
        for path in paths {
            let text = read_text(host, &path).map_err(|error| {
                Diagnostic::new("installed plan not readable", path.display().to_string())
                    .why(error.to_string())
            })?;
            let plan = plan_of_text(host, &path, &text)?;
            let places = super::runner::as_seen_by(host, &plan, &places);
            plans.push(LoadedPlan { plan, places, path });
        }
        Ok(plans)
    }

    /// Demands that there is a plan at all.
    pub fn demand_some(&self) -> Result<(), WorkflowError> {
        if self.plans.is_empty() {
            return Err(Diagnostic::new(
                "no plan is installed",
                "this host has no installed plan for this user",
            )
            .fix("run `bkp apply PLAN.yaml`, or name a plan file with `--plan`")
            .into());
        }
        Ok(())
    }

    /// The plan that declares a set.
    pub fn plan_of(&self, set: &SetName) -> Result<&LoadedPlan, WorkflowError> {
        self.demand_some()?;
        let found = self.plans.iter().find(|loaded| loaded.plan.sets.contains_key(set));
        found.ok_or_else(|| {
            let known: Vec<&str> =
                self.plans.iter().flat_map(|it| it.plan.sets.keys().map(SetName::as_str)).collect();
            let near = known.iter().min_by_key(|name| strsim::levenshtein(name, set.as_str()));
            // More than a third of a name mistyped is another name.
            let near = near.filter(|name| strsim::levenshtein(name, set.as_str()) * 3 <= name.len());
            let fix = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the sets are: {}", known.join(", ")),
            };
            Diagnostic::new("unknown set", format!("no installed plan declares a set `{set}`"))
                .fix(fix)
                .into()
        })
    }
}

/// The other plans among installed ones that can be read.
pub fn others(host: &dyn Host, facts: &crate::observed::Facts, own: &declared::PlanName) -> Vec<Plan> {
    let other =
        facts.plans.iter().filter(|(name, _)| *name != own).filter_map(|(_, fact)| fact.observed.present());
    other.filter_map(|installed| plan_of_text(host, &installed.path, &installed.text).ok()).collect()
}
