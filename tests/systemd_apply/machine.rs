//! A booted machine with the program installed, data to back up, and a second file system to keep it on.

use crate::bed::{Bed, Inside};
use bkp::host::{Command, Host, Output, pause};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Where the program lies on every machine.
pub const PROGRAM: &str = "/usr/local/bin/bkp";
/// The plan file that most tests write.
pub const PLAN: &str = "/root/plan.yaml";
/// The longest that a command may take here; a whole `apply` with several sets.
const COMMAND_LIMIT: Duration = Duration::from_mins(3);

/// Waits until something is so, for a bounded time; then it is told what was waited for.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        pause(Duration::from_millis(200));
    }
}

/// How a run of the program ended.
pub struct Ran {
    line: String,
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    fn of(args: &[&str], output: &Output) -> Self {
        Self {
            line: format!("bkp {}", args.join(" ")),
            status: output.status.unwrap_or(-1),
            out: output.text(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Demands an exit status.
    #[track_caller]
    pub fn ended(self, status: i32) -> Self {
        let Self { line, status: found, out, err } = &self;
        assert_eq!(*found, status, "`{line}` ended with {found}, not {status}\n{out}\n{err}");
        self
    }

    /// Standard output and standard error.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Demands that a text was said.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.said().contains(text), "`{}` does not say `{text}`:\n{}", self.line, self.said());
        self
    }
}

/// One finding of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its code.
    pub code: String,
    /// Its set, or nothing.
    pub set: String,
    /// What it is about.
    pub object: String,
    /// What was seen.
    pub evidence: String,
}

/// What an audit came to.
#[derive(Debug)]
pub struct Audit {
    /// Its exit status.
    pub status: i32,
    /// Its findings.
    pub findings: Vec<Found>,
}

impl Audit {
    /// Demands that nothing was found.
    #[track_caller]
    pub fn is_clean(&self) {
        assert!(self.status == 0 && self.findings.is_empty(), "{self:?}");
    }

    /// Demands a finding about a set, and the exit status that goes with findings.
    #[track_caller]
    pub fn names(&self, code: &str, set: &str) -> &Found {
        assert_eq!(self.status, 2, "{self:?}");
        let found = self.findings.iter().find(|it| it.code == code && it.set == set);
        found.unwrap_or_else(|| panic!("no `{code}` of `{set}`: {self:#?}"))
    }

    /// Demands that a finding is no more.
    #[track_caller]
    pub fn is_clean_of(&self, code: &str) {
        assert!(self.findings.iter().all(|it| it.code != code), "{self:#?}");
    }
}

/// The machine as one of its users has it.
pub struct Machine {
    bed: Bed,
}

impl Machine {
    /// Boots one, with the program in `/usr/local/bin`, and `/mnt/backup` on a device of its own.
    pub fn boot(purpose: &str) -> Self {
        let bed = Bed::start(purpose);
        let carried = bed.shared_folder().join("bkp");
        let copied = bkp::host::RealHost::new()
            .run(&Command::change(["cp", env!("CARGO_BIN_EXE_bkp"), &carried.to_string_lossy()]))
            .expect("cp runs");
        assert!(copied.succeeded(), "{}", copied.explain());
        bed.sh(&format!(
            "install -m 0755 {}/bkp {PROGRAM}; rm {0}/bkp; rm -rf /etc/bkp /var/lib/bkp /root/.config/bkp /root/.local/state/bkp; mkdir -p /mnt/backup; \
             mount -t tmpfs -o mode=755 backup /mnt/backup",
            Bed::SHARED_INSIDE
        ));
        Self { bed }
    }

    /// Its root.
    pub fn root(&self) -> Inside {
        self.bed.host()
    }

    /// A new user.
    pub fn user(&self, name: &str, lingers: bool) -> Inside {
        self.bed.user(name, lingers)
    }

    /// Runs a shell line as root.
    pub fn sh(&self, line: &str) -> String {
        self.bed.sh(line)
    }

    /// A database in WAL mode with a WAL beside it, and a folder, all of a user `app`, below `/srv/app`.
    pub fn with_data(self) -> Self {
        self.sh("useradd -M app; install -d -o app -g app -m 0750 /srv/app /srv/app/files; cd /srv/app; \
             echo one >files/one; echo two >files/two; chown -R app:app files; \
             runuser -u app -- sqlite3 app.db 'PRAGMA journal_mode=wal' '.filectrl persist_wal 1' \
               'CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT)' \
               \"INSERT INTO orders (what) VALUES ('tea'), ('bread')\"; \
             chmod 0600 app.db; test -s app.db-wal");
        self
    }

    /// Writes root's plan file.
    pub fn write_plan(&self, text: &str) {
        self.write(PLAN, text);
    }

    /// Writes a file as root.
    pub fn write(&self, path: &str, text: &str) {
        self.root().write_atomic(path.as_ref(), text.as_bytes(), 0o644).expect("a file is written inside");
    }

    /// Runs the program as root.
    pub fn bkp(&self, args: &[&str]) -> Ran {
        bkp(&self.root(), args)
    }

    /// Runs the program as root, whose clock is wrong by so much.
    pub fn bkp_later(&self, shift: Duration, args: &[&str]) -> Ran {
        let mut command = command(PROGRAM, args);
        command.env.insert("BKP_TEST_CLOCK_SHIFT_SECONDS".into(), shift.as_secs().to_string().into());
        Ran::of(args, &self.root().run(&command).expect("nsenter runs"))
    }

    /// Applies root's plan file.
    pub fn apply(&self) -> Ran {
        self.bkp(&["apply", PLAN, "--yes"])
    }

    /// Applies root's plan file, which must converge, and demands that nothing is left to do.
    #[track_caller]
    pub fn converge(&self) -> Ran {
        let applied = self.apply().ended(0);
        self.bkp(&["plan", PLAN, "--detailed-exitcode"]).ended(0);
        applied
    }

    /// Audits all that is installed.
    pub fn audit(&self) -> Audit {
        audit(&self.bkp(&["audit", "--format", "json"]))
    }

    /// Snapshots of a set, oldest first, as `bkp snapshots --format json` tells them.
    pub fn snapshots(&self, set: &str) -> Vec<Value> {
        snapshots(&self.root(), set)
    }

    /// The digest of everything below some paths: names, modes and contents.
    pub fn fingerprint(&self, paths: &str) -> String {
        self.sh(&format!(
            "find {paths} \\( -type f -printf '%p %m %U ' -exec sha256sum {{}} \\; \\) -o -printf '%p %m %U %l\\n' | sort"
        ))
    }

    /// Demands that no trial's unit is left, neither as a file nor in the manager's memory.
    #[track_caller]
    pub fn has_no_trial(&self) {
        let units = self.sh("systemctl list-units --all --no-legend --plain 'bkp-try-*'; ls /etc/systemd/system /run/systemd/system /etc/bkp/plans/*.d");
        assert!(!units.contains("try-"), "{units}");
    }

    /// What a unit says of one of its properties.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.sh(&format!("systemctl show -p {name} --value {unit}")).trim().to_owned()
    }
}

/// A command line with a limit of its own.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::change(std::iter::once(program).chain(args.iter().copied()));
    command.time_limit = COMMAND_LIMIT;
    command
}

/// Runs the program as some user.
pub fn bkp(host: &Inside, args: &[&str]) -> Ran {
    Ran::of(args, &host.run(&command(PROGRAM, args)).expect("nsenter runs"))
}

/// Reads what `bkp audit --format json` printed.
#[track_caller]
pub fn audit(ran: &Ran) -> Audit {
    let document: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.said()));
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let findings = document["findings"].as_array().expect("findings").iter().map(|it| Found {
        code: text(it, "code"),
        set: text(it, "set"),
        object: text(it, "object"),
        evidence: text(it, "evidence"),
    });
    Audit { status: ran.status, findings: findings.collect() }
}

/// Snapshots of a set as some user sees them.
#[track_caller]
pub fn snapshots(host: &Inside, set: &str) -> Vec<Value> {
    let ran = bkp(host, &["snapshots", set, "--format", "json"]).ended(0);
    let document: Value = serde_json::from_str(&ran.out).expect("JSON");
    document["snapshots"].as_array().expect("snapshots").clone()
}

/// Why a snapshot's run was made; nothing where it has no complete manifest.
pub fn trigger(snapshot: &Value) -> &str {
    let manifest = &snapshot["snapshot"]["state"]["sealed"]["manifest"];
    if manifest["complete"] == Value::Bool(true) {
        manifest["trigger"].as_str().unwrap_or_default()
    } else {
        ""
    }
}

/// A snapshot's name.
pub fn id(snapshot: &Value) -> &str {
    snapshot["snapshot"]["id"].as_str().expect("a name")
}

/// A plan for root with a destination on the second file system; the sets are given as YAML, two blanks deep.
pub fn plan(name: &str, schedule: &str, sets: &str) -> String {
    format!(
        "version: 1\nname: {name}\nscope: system\nscheduler: systemd\ndefaults:\n  schedule: {schedule}\n  destinations: [second]\n  \
         retention: {{ last: 9 }}\ndestinations:\n  second: {{ type: local, path: /mnt/backup/{name} }}\nsets:\n{sets}"
    )
}

/// The two sets of [`Machine::with_data`].
pub const APP_SETS: &str =
    "  orders: { type: sqlite, path: /srv/app/app.db }\n  files: { type: files, paths: [/srv/app/files] }\n";
