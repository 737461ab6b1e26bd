//! Plan from end to end: it changes nothing, its exit statuses, its formats, recorded facts, saved plans; and what the
//! command line promises of itself.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

mod support;

use std::fs;
use support::{Bench, DAY, assert_same, picture, sh, text, tool};

/// Everything that a command could touch.
fn everything(bench: &Bench) -> Vec<String> {
    let mut all = picture(bench.root());
    all.extend(picture(&bench.other_device("")));
    all
}

/// A bench whose database is in WAL mode and whose writer is still there, with rows that only the WAL has.
fn with_wal() -> (Bench, rusqlite::Connection) {
    let bench = Bench::with_two_sets();
    let writer = rusqlite::Connection::open(bench.path("shop.db")).expect("a database");
    let mode: String =
        writer.query_row("pragma journal_mode=wal", [], |row| row.get(0)).expect("a journal mode");
    assert_eq!(mode, "wal");
    writer.execute("insert into orders (what) values ('in the wal')", []).expect("a row");
    (bench, writer)
}

const LOOKING: [&str; 16] = [
    "validate plan.yaml",
    "plan plan.yaml",
    "plan plan.yaml --format json",
    "plan plan.yaml --format markdown",
    "plan plan.yaml --detailed-exitcode",
    "facts plan.yaml",
    "facts plan.yaml --everything",
    "audit --plan plan.yaml",
    "audit --plan plan.yaml --format prometheus",
    "status --plan plan.yaml",
    "snapshots --plan plan.yaml",
    "ls shop --plan plan.yaml",
    "prune --dry-run --plan plan.yaml",
    "verify --dry-run --plan plan.yaml",
    "drill --dry-run --plan plan.yaml",
    "uninstall --dry-run --plan plan.yaml",
];

#[test]
fn looking_changes_nothing_before_and_after_apply() {
    let (bench, writer) = with_wal();
    let before = everything(&bench);
    for command in LOOKING {
        let _outcome = bench.bkp(command);
        assert_same(&before, &everything(&bench));
    }
    assert!(!bench.store().exists());
    bench.apply("plan");
    bench.bkp("run shop").exits(0);
    // What is planned next has everything in it: a new set, a changed one, one that leaves.
    bench.plan("  shop: { type: sqlite, path: shop.db, before: [[touch, hook-ran]] }\n  new: { type: files, paths: [docs] }\n");
    let before = everything(&bench);
    for command in LOOKING {
        let _outcome = bench.bkp(command);
        assert_same(&before, &everything(&bench));
    }
    drop(writer);
}

#[test]
fn looking_at_a_wal_database_without_a_writer_makes_no_wal_and_no_shm() {
    let (bench, writer) = with_wal();
    drop(writer);
    assert!(!bench.path("shop.db-wal").exists(), "the last writer took it away");
    for command in LOOKING {
        let _outcome = bench.bkp(command);
        assert!(!bench.path("shop.db-wal").exists() && !bench.path("shop.db-shm").exists(), "{command}");
    }
}

#[test]
fn read_only_commands_open_nothing_for_writing() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    for command in ["plan plan.yaml", "audit", "status", "facts plan.yaml", "validate plan.yaml", "snapshots"]
    {
        let trace = bench.path("tmp/trace");
        let script = format!(
            "HOME={} BKP_TEST_HOST_NAME=testhost strace -f -qq -o {} -e trace=openat,open,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchownat,utimensat,truncate,ftruncate,setxattr {} {command} >/dev/null || true",
            bench.home().display(),
            trace.display(),
            bench.binary.display()
        );
        sh(&script, bench.root());
        let traced = text(&trace);
        assert!(traced.contains("plan.yaml"), "{command}: nothing was traced");
        for line in traced.lines().filter(|line| !line.contains("/dev/null")) {
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag));
            let opens = line.contains("openat(") || line.contains("open(");
            assert!(opens && !writes || line.contains("+++") || line.contains("---"), "{command}: {line}");
        }
        fs::remove_file(trace).expect("a trace");
    }
}

#[test]
fn detailed_exitcode_tells_changes_from_none() {
    let bench = Bench::with_two_sets();
    bench.bkp("plan plan.yaml").exits(0).says("create job `bkp-shop`");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(2);
    bench.apply("plan");
    bench.bkp("plan plan.yaml").exits(0).says("No changes.");
    bench.bkp("plan plan.yaml --detailed-exitcode").exits(0);
    bench.write("bad.yaml", "version: 1\nsets: 5\n");
    bench.bkp("plan bad.yaml --detailed-exitcode").exits(1);
}

#[test]
fn recorded_facts_give_the_same_plan_on_another_host() {
    let mut bench = Bench::with_two_sets();
    for _ in 0..2 {
        let facts = bench.bkp("facts plan.yaml").exits(0).out;
        bench.write("facts.json", facts);
        let mut here = bench.bkp("plan plan.yaml --format json").exits(0).json();
        bench.host_name = "review-machine".to_owned();
        let mut there = bench.bkp("plan plan.yaml --format json --facts facts.json").exits(0).json();
        bench.host_name = "testhost".to_owned();
        without_times(&mut here);
        without_times(&mut there);
        assert_eq!(here, there);
        // The next round looks at a host on which there is something.
        if !bench.store().exists() {
            bench.apply("plan");
        }
    }
    bench.bkp("plan plan.yaml --facts missing.json").exits(1).says("facts not readable");
}

fn without_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.remove("observed_at");
            map.remove("at");
            map.values_mut().for_each(without_times);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn json_is_what_the_schemas_say_and_the_schemas_are_what_the_binary_prints() {
    let bench = Bench::with_two_sets();
    let schema = |name: &str| -> serde_json::Value {
        let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&text(path.as_ref())).expect("a schema")
    };
    for (which, file) in [("plan", "plan"), ("plan-output", "plan-output"), ("audit", "audit")] {
        assert_eq!(bench.bkp(&format!("schema {which}")).exits(0).json(), schema(file), "{which}");
    }
    let holds = |file: &str, document: &serde_json::Value| {
        let validator = jsonschema::validator_for(&schema(file)).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{file}");
        let wrong = serde_json::json!({"surprise": 1});
        assert!(!validator.is_valid(&wrong), "{file} takes anything");
    };
    holds("plan-output", &bench.bkp("plan plan.yaml --format json").exits(0).json());
    holds("audit", &bench.bkp("audit --plan plan.yaml --format json").exits(2).json());
    bench.apply("plan");
    holds("plan-output", &bench.bkp("plan plan.yaml --format json").exits(0).json());
    holds("audit", &bench.bkp("audit --format json").exits(2).json());
}

#[test]
fn markdown_and_github_show_the_changes() {
    let bench = Bench::with_two_sets();
    let markdown = bench.bkp("plan plan.yaml --format markdown").exits(0).out;
    assert!(markdown.contains("bkp-shop") && markdown.contains('#'), "{markdown}");
    assert!(!markdown.contains('\x1b'));
    bench.bkp("plan plan.yaml --format github").exits(0).says("bkp-shop");
}

#[test]
fn every_format_of_audit_says_the_same_codes() {
    let mut bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.shift_seconds = 3 * DAY;
    let codes = ["daemon-not-running", "set-stale"];
    for format in ["text", "json", "markdown", "prometheus", "junit"] {
        let said = bench.bkp(&format!("audit --format {format}")).exits(2);
        for code in codes {
            assert!(said.out.contains(code), "{format} does not name {code}:\n{}", said.out);
        }
    }
    let nagios = bench.bkp("audit --format nagios").exits(2);
    assert!(nagios.out.contains("CRITICAL"), "{}", nagios.out);
    let junit = bench.write("junit.xml", bench.bkp("audit --format junit").exits(2).out);
    let check = "import sys,xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    tool("python3", &["-c".as_ref(), check.as_ref(), junit.as_os_str()], bench.root());
}

#[test]
fn saved_plan_is_applied_and_a_stale_one_is_refused_with_the_difference() {
    let bench = Bench::with_two_sets();
    bench.bkp("plan plan.yaml --out saved.plan").exits(0);
    assert!(!bench.store().exists());
    let plan = text(&bench.path("plan.yaml"));
    bench.write("plan.yaml", plan.replace("last: 7", "last: 5"));
    bench.bkp("apply saved.plan").exits(1).says("saved plan is stale").says("last: 7").says("last: 5");
    assert!(!bench.store().exists());
    bench.write("plan.yaml", plan);
    bench.bkp("apply saved.plan").exits(0);
    assert_eq!(bench.ids("shop").len(), 1);
    // What it would do is done: the steps differ.
    bench.bkp("apply saved.plan").exits(1).says("saved plan is stale").says("the steps changed");
    bench.bkp("apply plan.yaml --yes").exits(0);
    bench.write("not.plan", "{}");
    bench.bkp("apply not.plan").exits(1).says("not a saved plan");
}

#[test]
fn plan_file_is_found_and_a_missing_one_is_told() {
    let bench = Bench::with_two_sets();
    bench.bkp("plan").exits(1).says("no plan file");
    fs::copy(bench.path("plan.yaml"), bench.path("bkp.yaml")).expect("a copy");
    bench.bkp("validate").exits(0).says("2 sets, 1 destination");
    bench.bkp("validate no-such.yaml").exits(1).says("no-such.yaml");
}

#[test]
fn all_errors_of_a_file_come_in_one_report() {
    let bench = Bench::new();
    bench.write(
        "bad.yaml",
        "version: 1\nsets:\n  a: { type: sqlit, path: /x }\n  b: { type: files, paths: [/y], schedul: hourly }\ndestinations:\n  near: { type: local, path: /z }\n",
    );
    let said = bench.bkp("validate bad.yaml").exits(1).says("sqlite").says("schedule");
    assert!(said.err.contains("did you mean"), "{}", said.err);
}

#[test]
fn usage_errors_exit_64_and_help_lists_every_command() {
    let bench = Bench::new();
    for wrong in
        ["", "no-such-command", "plan --no-such-flag", "run", "restore shop", "status --format xml", "pause"]
    {
        bench.bkp(wrong).exits(64);
    }
    let commands = [
        "validate",
        "plan",
        "apply",
        "run",
        "status",
        "snapshots",
        "ls",
        "diff",
        "verify",
        "drill",
        "restore",
        "prune",
        "delete",
        "audit",
        "facts",
        "pause",
        "uninstall",
        "daemon",
        "schema",
        "explain",
        "completions",
        "man",
    ];
    let help = bench.bkp("--help").exits(0).out;
    for command in commands {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {help}"
        );
        let own = bench.bkp(&format!("{command} --help")).exits(0).out;
        assert!(own.contains("Exit status"), "the help of `{command}` has no exit status:\n{own}");
    }
    bench.bkp("--version").exits(0).says(env!("CARGO_PKG_VERSION"));
    assert!(!help.contains("note-failure"));
}

#[test]
fn completions_and_manual_pages_are_made() {
    let bench = Bench::new();
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete -c bkp")] {
        let script = bench.bkp(&format!("completions {shell}")).exits(0).out;
        assert!(script.contains(word) && script.contains("snapshots"), "{shell}");
        if shell == "bash" {
            let path = bench.write("bkp.bash", script);
            tool("bash", &["-n".as_ref(), path.as_os_str()], bench.root());
        }
    }
    assert!(bench.bkp("man").exits(0).out.contains(".TH"));
    bench.bkp("man --out pages").exits(0);
    for page in ["bkp.1", "bkp-apply.1", "bkp-restore.1"] {
        assert!(text(&bench.path("pages").join(page)).contains(".TH"), "{page}");
    }
    assert!(!bench.path("pages/bkp-note-failure.1").exists());
}

#[test]
fn explain_knows_every_code_and_guesses_at_others() {
    let bench = Bench::new();
    let listed = bench.bkp("explain").exits(0).out;
    let page = text(format!("{}/docs/FINDINGS.md", env!("CARGO_MANIFEST_DIR")).as_ref());
    let mut count = 0;
    for code in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        bench.bkp(&format!("explain {code}")).exits(0).says("Meaning:").says("Cause:").says("Remedy:");
        assert!(page.contains(&format!("\n## {code}\n")), "docs/FINDINGS.md has no {code}");
        count += 1;
    }
    assert_eq!(count, page.matches("\n## ").count());
    bench.bkp("explain set-stal").exits(1).says("did you mean `set-stale`");
}

#[test]
fn commands_without_an_installed_plan_say_so() {
    let bench = Bench::new();
    for command in
        ["status", "audit", "snapshots", "run shop", "verify", "drill", "prune --dry-run", "uninstall"]
    {
        bench.bkp(command).exits(1).says("no plan is installed");
    }
    assert!(!bench.config("").exists() && !bench.state("").exists());
}

#[test]
fn unknown_set_is_told_with_the_nearest_name() {
    let bench = Bench::with_two_sets();
    bench.apply("plan");
    bench.bkp("run shp").exits(1).says("did you mean `shop`");
    bench.bkp("plan plan.yaml --only shp").exits(1).says("unknown set");
}
