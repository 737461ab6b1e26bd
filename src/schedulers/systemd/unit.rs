//! A job as unit files (systemd.service(5), systemd.timer(5)). Pure.
//!
//! No secret stands here: a unit's environment can be read by everyone (`systemctl show`).

use super::{quote, sandbox};
use crate::declared::{IoClass, Scope, SecretRef, Span};
use crate::observed::{JobMarker, JobName};
use crate::schedulers::{Job, RenderedFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a marker's line begins with.
const MARKER_PREFIX: &str = "# bkp-job: ";
/// Longest delay that is added to spread jobs, in seconds.
const DELAY_MAX_SECONDS: u64 = 600;
/// How long a job that is told to end may take to leave everything in order, in seconds.
const STOP_SECONDS: u64 = 90;
/// How long the note of a failure may take, alerts and their retries included, in seconds.
const NOTE_SECONDS: u64 = 600;

/// Name of a job's service.
pub(super) fn service(job: &JobName) -> String {
    format!("{job}.service")
}

/// Name of a job's timer.
pub(super) fn timer(job: &JobName) -> String {
    format!("{job}.timer")
}

/// The job that a service or timer belongs to, by its name; none for every other unit.
pub(super) fn job_of(unit: &str) -> Option<JobName> {
    let stem = unit.strip_suffix(".service").or_else(|| unit.strip_suffix(".timer"))?;
    JobName::parse(stem)
}

/// Name of the service that notes a set's failures. A set's name holds no dot, so no job can have it.
pub(super) fn failed(job: &JobName) -> String {
    format!("{job}.failed.service")
}

/// The files of a job.
pub(super) fn render(units: &Path, job: &Job) -> Vec<RenderedFile> {
    let note = note_argv(job);
    let on_failure = note.as_ref().map(|_| failed(&job.name));
    let file = |name: String, text: String| RenderedFile { path: units.join(name), text };
    let mut files = vec![file(
        service(&job.name),
        service_text(job, &description(job), &job.argv, job.time_limit, on_failure.as_deref()),
    )];
    if let Some(text) = timer_text(job) {
        files.push(file(timer(&job.name), text));
    }
    if let Some(argv) = note {
        let what = format!("bkp: notes a failure of `{}`", job.name);
        // What kept the job from being set up must not keep its failure from being noted.
        let note = Job { writable: Vec::new(), credentials: BTreeMap::new(), ..job.clone() };
        let mut text = service_text(&note, &what, &argv, Span::from_seconds(NOTE_SECONDS), None);
        if matches!(job.scope, Scope::System) {
            text.extend(job.writable.iter().map(|path| sandbox::writable_if_there(path) + "\n"));
        }
        files.push(file(failed(&job.name), text));
    }
    files
}

/// The command that notes a failure which the run itself could not note: killed, or its sandbox not set up.
fn note_argv(job: &Job) -> Option<Vec<String>> {
    match job.name {
        JobName::Set(_) => {}
        JobName::Trial(_) | JobName::Audit(_) => return None,
    }
    let run = job.argv.iter().skip(1).position(|word| word == "run")? + 1;
    let mut argv = job.argv.clone();
    "note-failure".clone_into(&mut argv[run]);
    // Whether a run was due is no question for a failure.
    argv.retain(|word| word != "--if-due");
    Some(argv)
}

fn description(job: &Job) -> String {
    match &job.name {
        JobName::Set(set) => format!("bkp: backup of set {set}"),
        JobName::Trial(set) => format!("bkp: trial of set {set}"),
        JobName::Audit(plan) => format!("bkp: audit of plan {plan}"),
    }
}

fn header(job: &Job) -> String {
    let marker = JobMarker {
        plan: job.plan.clone(),
        job: job.name.clone(),
        set_digest: job.set_digest,
        bkp_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = serde_json::to_string(&marker).expect("a marker is names and digests");
    format!(
        "{MARKER_PREFIX}{json}\n# Made by bkp from plan `{}`; to change it, change the plan file and run `bkp apply`.\n",
        job.plan
    )
}

/// Reads the marker of a file; none where it is missing or cannot be read.
pub(super) fn read_marker(text: &str) -> Option<JobMarker> {
    let json = text.lines().find_map(|line| line.strip_prefix(MARKER_PREFIX))?;
    serde_json::from_str(json).ok()
}

/// The command line of a file of ours; none where somebody changed its form.
pub(super) fn read_command(text: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let only = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    quote::read_command_line(only)
}

fn service_text(job: &Job, what: &str, argv: &[String], limit: Span, on_failure: Option<&str>) -> String {
    let mut lines = vec!["[Unit]".to_owned(), format!("Description={what}")];
    if matches!(job.scope, Scope::System) {
        lines.push("Wants=network-online.target".to_owned());
        lines.push("After=network-online.target".to_owned());
    }
    if let Some(unit) = on_failure {
        lines.push(format!("OnFailure={unit}"));
    }
    // A job that fails at once and is tried again by hand must not be locked out by the manager.
    lines.push("StartLimitIntervalSec=0".to_owned());
    lines.extend([String::new(), "[Service]".to_owned(), "Type=oneshot".to_owned()]);
    lines.push(format!("ExecStart={}", quote::command_line(argv)));
    lines.push(format!("TimeoutStartSec={}", limit.seconds()));
    lines.push(format!("TimeoutStopSec={STOP_SECONDS}"));
    lines.push("KillMode=control-group".to_owned());
    lines.push("UMask=0077".to_owned());
    // The primary group is the user's own.
    lines.extend(job.run_as.as_ref().map(|user| format!("User={user}")));
    let cache = job.cache().map(|cache| ("XDG_CACHE_HOME", cache.display().to_string()));
    let places = [("PATH", job.search_path.clone()), ("HOME", job.home.display().to_string())];
    for (name, value) in places.into_iter().chain(cache) {
        lines.push(format!("Environment={}", quote::quoted(&format!("{name}={value}"))));
    }
    lines.extend(credentials(job));
    lines.push(format!("Nice={}", job.nice));
    lines.push(format!("IOSchedulingClass={}", job.io_class.word()));
    if job.io_class == IoClass::BestEffort {
        lines.push("IOSchedulingPriority=7".to_owned());
    }
    lines.extend(job.memory_limit.map(|limit| format!("MemoryMax={}", limit.bytes())));
    match job.scope {
        Scope::System => lines.extend(sandbox::lines(job)),
        Scope::User => lines.push(
            "# No sandbox: a user's manager cannot set one up everywhere; the job may do what its user may do."
                .to_owned(),
        ),
    }
    format!("{}{}\n", header(job), lines.join("\n"))
}

fn credentials(job: &Job) -> Vec<String> {
    let lines = job.credentials.iter().filter_map(|(name, secret)| match secret {
        SecretRef::File(path) => {
            quote::bare(&path.to_string_lossy()).map(|path| format!("LoadCredential={name}:{path}"))
        }
        SecretRef::Credential(inherited) => {
            quote::bare(inherited).map(|inherited| format!("LoadCredential={name}:{inherited}"))
        }
        // The job asks the command itself; an environment variable is for runs by hand and embedded ones.
        SecretRef::Command(_) | SecretRef::Env(_) => None,
    });
    lines.collect()
}

/// What of a job cannot be written into a unit file: paths with characters that end a line.
pub(super) fn inexpressible(job: &Job) -> Option<String> {
    let files = job.credentials.values().filter_map(|secret| match secret {
        SecretRef::File(path) => Some(path.to_string_lossy().into_owned()),
        SecretRef::Credential(name) => Some(name.clone()),
        SecretRef::Command(_) | SecretRef::Env(_) => None,
    });
    let secret =
        files.filter(|path| quote::bare(path).is_none()).map(|path| format!("secret {path:?}")).next();
    let no_text = |path: &&PathBuf| path.to_str().is_none();
    secret
        .or_else(|| job.writable.iter().find(no_text).map(|path| format!("path {}", path.display())))
        .or_else(|| job.argv.iter().find(|word| word.contains('\0')).map(|word| format!("argument {word:?}")))
}

fn timer_text(job: &Job) -> Option<String> {
    let calendar = job.calendar.as_ref()?;
    let mut lines =
        vec!["[Unit]".to_owned(), format!("Description=when: {}", description(job)), String::new()];
    lines.push("[Timer]".to_owned());
    lines.extend(calendar.on_calendar().iter().map(|it| format!("OnCalendar={it}")));
    lines.push("Persistent=true".to_owned());
    lines.push("AccuracySec=1s".to_owned());
    let delay = (calendar.period_min().seconds() / 20).min(DELAY_MAX_SECONDS);
    if delay > 0 {
        lines.push(format!("RandomizedDelaySec={delay}s"));
        lines.push("FixedRandomDelay=true".to_owned());
    }
    lines.push(format!("Unit={}", service(&job.name)));
    lines.extend([String::new(), "[Install]".to_owned(), "WantedBy=timers.target".to_owned()]);
    Some(format!("{}{}\n", header(job), lines.join("\n")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::declared::{Calendar, IoClass, TimeZoneName};
    use crate::format::Digest;

    /// A job of the system, as a small plan makes it.
    pub(crate) fn job() -> Job {
        let argv = ["/usr/local/bin/bkp", "run", "ledger", "--plan", "/etc/bkp/plans/home.yaml"];
        Job {
            name: JobName::Set("ledger".parse().expect("a name")),
            plan: "home".parse().expect("a name"),
            scope: Scope::System,
            set_digest: Digest::of(b"set"),
            argv: argv.map(str::to_owned).to_vec(),
            search_path: "/usr/bin:/bin".to_owned(),
            home: "/root".into(),
            calendar: Some(Calendar::plain(
                "daily 03:00".parse().expect("a schedule"),
                TimeZoneName::default(),
            )),
            host_zone: Some(TimeZoneName::default()),
            run_as: None,
            memory_limit: None,
            nice: 10,
            io_class: IoClass::BestEffort,
            time_limit: Span::from_seconds(86_400),
            writable: vec!["/var/lib/bkp".into()],
            readable: vec!["/srv/ledger.db".into()],
            runs_programs: false,
            other_users: false,
            credentials: BTreeMap::new(),
        }
    }

    fn text(files: &[RenderedFile], name: &str) -> String {
        let file = files.iter().find(|file| file.path == Path::new("/units").join(name));
        file.map(|file| file.text.clone()).expect(name)
    }

    #[test]
    fn note_of_a_failure_does_not_ask_whether_a_run_was_due() {
        let mut job = job();
        job.argv.push("--if-due".to_owned());
        let note = text(&render(Path::new("/units"), &job), "bkp-ledger.failed.service");
        assert!(note.contains("\"note-failure\"") && !note.contains("--if-due"), "{note}");
    }

    #[test]
    fn set_has_a_service_a_timer_and_a_note_of_failure() {
        let files = render(Path::new("/units"), &job());
        assert_eq!(files.len(), 3);
        let service = text(&files, "bkp-ledger.service");
        assert!(service.contains("OnFailure=bkp-ledger.failed.service\n"), "{service}");
        assert!(service.contains("\nTimeoutStartSec=86400\n"), "{service}");
        let note = text(&files, "bkp-ledger.failed.service");
        assert!(note.contains("ExecStart=:\"/usr/local/bin/bkp\" \"note-failure\" \"ledger\" "), "{note}");
        assert!(!note.contains("OnFailure"), "{note}");
    }

    #[test]
    fn what_keeps_a_job_from_being_set_up_does_not_keep_its_failure_from_being_noted() {
        let mut job = job();
        job.credentials.insert("key".into(), SecretRef::File("/etc/bkp/key".into()));
        job.writable.push("/mnt/not there".into());
        let files = render(Path::new("/units"), &job);
        assert!(text(&files, "bkp-ledger.service").contains("ReadWritePaths=\"/mnt/not there\"\n"));
        let note = text(&files, "bkp-ledger.failed.service");
        assert!(note.contains("ReadWritePaths=\"-/mnt/not there\"\n"), "{note}");
        assert!(!note.contains("LoadCredential"), "{note}");
    }

    #[test]
    fn note_of_failure_is_no_job() {
        assert_eq!(job_of("bkp-x.failed.service"), None);
        assert_eq!(job_of("bkp-x-failed.timer"), JobName::parse("bkp-x-failed"));
        assert_eq!(job_of("bkp-x.socket"), None);
    }

    #[test]
    fn trial_has_a_service_alone() {
        let mut job = job();
        job.name = JobName::Trial("ledger".parse().expect("a name"));
        job.calendar = None;
        let files = render(Path::new("/units"), &job);
        assert_eq!(files.len(), 1);
        assert!(!files[0].text.contains("OnFailure"));
    }

    #[test]
    fn every_file_carries_its_marker_and_command() {
        let job = job();
        for file in render(Path::new("/units"), &job) {
            let marker = read_marker(&file.text).expect("a marker");
            assert_eq!(
                (marker.plan, marker.job, marker.set_digest),
                (job.plan.clone(), job.name.clone(), job.set_digest)
            );
        }
        let files = render(Path::new("/units"), &job);
        assert_eq!(read_command(&files[0].text), Some(job.argv));
    }

    #[test]
    fn delay_is_a_twentieth_of_the_period_and_ten_minutes_at_most() {
        let mut job = job();
        let delay = |job: &Job| {
            let timer = timer_text(job).expect("a timer");
            timer.lines().find_map(|line| line.strip_prefix("RandomizedDelaySec=").map(str::to_owned))
        };
        assert_eq!(delay(&job).as_deref(), Some("600s"));
        job.calendar =
            Some(Calendar::plain("every 30m".parse().expect("a schedule"), TimeZoneName::default()));
        assert_eq!(delay(&job).as_deref(), Some("90s"));
        job.calendar =
            Some(Calendar::plain("every 1m".parse().expect("a schedule"), TimeZoneName::default()));
        assert_eq!(delay(&job).as_deref(), Some("3s"));
    }

    #[test]
    fn secrets_are_references_and_environment_is_path_and_home() {
        let mut job = job();
        job.credentials.insert("key".into(), SecretRef::File("/etc/bkp/50%".into()));
        job.credentials.insert("token".into(), SecretRef::Credential("token".into()));
        job.credentials.insert("word".into(), SecretRef::Env("WORD".into()));
        let service = text(&render(Path::new("/units"), &job), "bkp-ledger.service");
        assert!(
            service.contains("\nLoadCredential=key:/etc/bkp/50%%\nLoadCredential=token:token\n"),
            "{service}"
        );
        assert!(!service.contains("WORD"));
        assert_eq!(
            service.matches("Environment=").count(),
            2,
            "there is no state folder in its command line"
        );
    }

    #[test]
    fn path_that_would_end_its_line_is_named_and_not_written() {
        let mut job = job();
        assert_eq!(inexpressible(&job), None);
        job.credentials.insert("key".into(), SecretRef::File("/etc/x\nExecStart=/bin/sh".into()));
        assert!(inexpressible(&job).is_some());
        assert!(!text(&render(Path::new("/units"), &job), "bkp-ledger.service").contains("/bin/sh"));
    }

    #[test]
    fn job_and_its_note_of_failure_run_as_the_sets_user() {
        let mut job = job();
        assert!(render(Path::new("/units"), &job).iter().all(|file| !file.text.contains("\nUser=")));
        job.run_as = "app".parse().ok();
        job.argv.extend(["--state-dir".to_owned(), "/var/lib/bkp/users/app".to_owned()]);
        let files = render(Path::new("/units"), &job);
        for name in ["bkp-ledger.service", "bkp-ledger.failed.service"] {
            let service = text(&files, name);
            assert!(service.contains("\nUser=app\n") && !service.contains("Group="), "{service}");
            assert!(service.contains("\nCapabilityBoundingSet=\n"), "{service}");
            let cache = "\nEnvironment=\"XDG_CACHE_HOME=/var/lib/bkp/users/app/cache\"\n";
            assert!(service.contains(cache), "{service}");
        }
    }

    #[test]
    fn user_units_have_no_sandbox_and_say_so() {
        let mut job = job();
        job.scope = Scope::User;
        let service = text(&render(Path::new("/units"), &job), "bkp-ledger.service");
        assert!(service.contains("# No sandbox"), "{service}");
        assert!(!service.contains("Protect") && !service.contains("network-online"), "{service}");
    }
}
