//! Outputs of launchctl, whole and damaged.

use super::super::testing;
use super::*;

const TARGET: &str = "system/io.bkp.ledger";

fn text() -> String {
    testing::printed("/agents/io.bkp.ledger.plist", &["/bin/bkp", "run", "a = {", "}"], "abc")
}

#[test]
fn loaded_job_is_read() {
    let loaded = job(&text(), TARGET).expect("read");
    assert_eq!(loaded.path, PathBuf::from("/agents/io.bkp.ledger.plist"));
    assert_eq!(loaded.argv, ["/bin/bkp", "run", "a = {", "}"]);
    assert_eq!(loaded.environment["BKP_JOB_DIGEST"], "abc");
    assert_eq!((loaded.activity, loaded.runs), (Activity::Idle, 4), "nothing inside a block counts");
    assert_eq!(loaded.last_exit, LastExit::Status(0, None));
}

#[test]
fn words_that_are_not_known_are_never_read_as_fine() {
    let changed = |from: &str, to: &str| {
        assert!(text().contains(from), "{from}");
        job(&text().replacen(from, to, 1), TARGET)
    };
    for (from, to) in [
        ("state = not running", "state = dreaming"),
        ("state = not running", "status = not running"),
        ("state = not running", "state = not running\n\tpid = 4"),
        ("runs = 4", "runs = many"),
        ("runs = 4", ""),
        ("last exit code = 0", ""),
        ("\tpath = /agents", "\tfile = /agents"),
        ("arguments = {", "argument list = {"),
        (TARGET, "system/io.bkp.other"),
    ] {
        assert!(changed(from, to).is_err(), "{from} -> {to}");
    }
    assert_eq!(
        changed("state = not running", "state = running\n\tpid = 4").expect("read").activity,
        Activity::Running
    );
    assert_eq!(changed("not running", "spawn scheduled").expect("read").activity, Activity::Starting);
    for garbage in ["", "}", "{\"state\": \"not running\"}"] {
        assert!(job(garbage, TARGET).is_err(), "{garbage:?}");
    }
}

#[test]
fn output_that_breaks_off_is_not_read() {
    let text = text();
    let whole = job(&text, TARGET).expect("read");
    for length in 0..text.trim_end().len() {
        let part = job(&text[..length], TARGET);
        assert!(part.is_err(), "{length} bytes were read as {part:?} instead of {whole:?}");
    }
    assert!(job(&format!("{text}more"), TARGET).is_err());
}

#[test]
fn end_of_a_run_is_zero_only_where_launchd_says_zero() {
    let exit =
        |words: &str| job(&text().replace("last exit code = 0", words), TARGET).expect("read").last_exit;
    assert_eq!(exit("last exit code = 3"), LastExit::Status(3, None));
    assert_eq!(exit("last exit code = 78: EX_CONFIG"), LastExit::Status(78, Some("EX_CONFIG".to_owned())));
    assert_eq!(exit("last exit code = (never exited)"), LastExit::Never);
    for words in ["last exit code = fine", "last exit code = 0 or so"] {
        assert!(matches!(exit(words), LastExit::Otherwise(_)), "{words}");
    }
    let killed = exit("last exit code = 0\n\tlast terminating signal = Killed: 9");
    assert!(matches!(killed, LastExit::Otherwise(words) if words.contains("Killed: 9")));
}

#[test]
fn domain_is_listed() {
    let domain = "gui/501 = {\n\ttype = login\n\tservices = {\n\t\t     412      - \tcom.apple.Finder\n\t\t       0      \
                  0 \tio.bkp.ledger\n\t}\n}\n";
    assert_eq!(labels(domain, "gui/501").expect("read"), ["com.apple.Finder", "io.bkp.ledger"]);
    assert!(labels(domain, "system").is_err());
    assert!(labels(&domain.replace("services", "things"), "gui/501").is_err());
}

#[test]
fn overrides_of_both_releases_are_read() {
    for (disabled, enabled) in [("true", "false"), ("disabled", "enabled")] {
        let text = format!(
            "\n\tdisabled services = {{\n\t\t\"io.bkp.a\" => {disabled}\n\t\t\"io.bkp.b\" => {enabled}\n\t}}\n\tlogin \
             item associations = {{\n\t}}\n"
        );
        let found = overrides(&text).expect("read");
        assert_eq!((found["io.bkp.a"], found["io.bkp.b"]), (true, false));
    }
    for wrong in
        ["", "disabled services = {\n\"a\" => maybe\n}", "disabled services = {\n\"a\" => true\n", "none"]
    {
        assert!(overrides(wrong).is_err(), "{wrong}");
    }
}
