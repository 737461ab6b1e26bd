//! `bkp plan` on recorded facts: each folder below `tests/plan/` holds a plan file, facts, and what must be printed.
//!
//! The facts were recorded with `bkp facts plan.yaml` in a home `/home/ada` beside `/srv/observatory`, after the steps
//! that the case's name tells; when a rendered job or the facts' format changes they have to be recorded anew.
//! `UPDATE_EXPECTED=1 cargo test --test plan_golden` writes the expectations anew; read the difference before you
//! commit it.
#![expect(clippy::disallowed_methods, reason = "a test runs the real binary on real files")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("tests/plan").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    cases
}

/// Runs plan on a case's facts in an empty environment, and gives its output with its exit status below.
fn plan(case: &Path, format: &str) -> String {
    let home = tempfile::tempdir().expect("a folder");
    // Facts grow old, and plan says so: the clock stands a minute after they were recorded.
    let facts = std::fs::read_to_string(case.join("facts.json")).expect("facts");
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("JSON");
    let recorded: jiff::Timestamp =
        facts["observed_at"].as_str().and_then(|it| it.parse().ok()).expect("a time");
    let shift = recorded.as_second() + 60 - jiff::Timestamp::now().as_second();
    let output = Command::new(env!("CARGO_BIN_EXE_bkp"))
        .env_clear()
        .env("HOME", home.path())
        .env("BKP_TEST_CLOCK_SHIFT_SECONDS", shift.to_string())
        .current_dir(case)
        .args(["plan", "plan.yaml", "--facts", "facts.json", "--detailed-exitcode", "--format", format])
        .output()
        .expect("bkp starts");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    let folder = case.display().to_string();
    format!("{stdout}{stderr}exit status {}\n", output.status.code().unwrap_or(-1)).replace(&folder, "CASE")
}

#[test]
fn recorded_facts_give_the_expected_plan() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 4, "the cases are gone");
    for case in &cases {
        for (format, file) in
            [("text", "expected.txt"), ("json", "expected.json.txt"), ("markdown", "expected.md")]
        {
            let (found, path) = (plan(case, format), case.join(file));
            if update {
                std::fs::write(&path, &found).expect("written");
            } else if std::fs::read_to_string(&path).unwrap_or_default() != found {
                wrong.push(format!("{}:\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECTED=1 writes these anew:\n{}", wrong.join("\n"));
}
