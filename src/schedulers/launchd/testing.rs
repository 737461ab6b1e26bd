//! A job, its places and launchd's words, for the tests of this folder.

use crate::declared::{Calendar, IoClass, Scope, Span, TimeZoneName};
use crate::format::Digest;
use crate::observed::JobName;
use crate::schedulers::{Job, Places};
use std::collections::BTreeMap;

/// The places of a system whose state lies in `/state`.
pub(super) fn places() -> Places {
    Places {
        scope: Scope::System,
        config: "/config".into(),
        state: "/state".into(),
        units: "/nowhere/units".into(),
        agents: "/agents".into(),
        cron: "/nowhere/cron".into(),
    }
}

/// A set's job, daily at three in UTC.
pub(super) fn job(argv: &[&str]) -> Job {
    Job {
        name: JobName::Set("ledger".parse().expect("a name")),
        plan: "home".parse().expect("a name"),
        scope: Scope::System,
        set_digest: Digest::of(b"set"),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        search_path: "/usr/bin:/bin".to_owned(),
        home: "/Users/ada".into(),
        calendar: Some(Calendar::plain("daily 03:00".parse().expect("a schedule"), TimeZoneName::default())),
        host_zone: Some(TimeZoneName::default()),
        run_as: None,
        memory_limit: None,
        nice: 10,
        io_class: IoClass::BestEffort,
        time_limit: Span::from_seconds(30),
        writable: Vec::new(),
        readable: Vec::new(),
        runs_programs: false,
        other_users: false,
        credentials: BTreeMap::new(),
    }
}

/// What `launchctl print` says of a job that waits, with this file, command and digest.
pub(super) fn printed(path: &str, argv: &[&str], digest: &str) -> String {
    let words = argv.iter().fold(String::new(), |text, word| text + "\t\t" + word + "\n");
    format!(
        "system/io.bkp.ledger = {{\n\tactive count = 0\n\tpath = {path}\n\ttype = LaunchDaemon\n\tstate = not running\n\n\
         \tprogram = {}\n\targuments = {{\n{words}\t}}\n\n\tdefault environment = {{\n\t\tPATH => /usr/bin:/bin\n\t}}\n\n\
         \tenvironment = {{\n\t\tBKP_JOB_DIGEST => {digest}\n\t\tXPC_SERVICE_NAME => io.bkp.ledger\n\t}}\n\n\
         \tdomain = system\n\tminimum runtime = 10\n\truns = 4\n\tlast exit code = 0\n\n\tevent triggers = {{\n\
         \t\tio.bkp.ledger.1 => {{\n\t\t\tkeepalive = 0\n\t\t\tstate = 1\n\t\t}}\n\t}}\n\n\tspawn type = daemon (3)\n}}\n",
        argv[0]
    )
}
