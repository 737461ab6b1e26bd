//! Commands as sources, from end to end: programs that fail in every way that programs fail.
#![expect(clippy::disallowed_methods, reason = "a test looks at the files that a user would look at")]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Bench, assert_same, flip_byte, picture, set_mode, text, wait_until};

/// A complete output.
const GOOD: &str = "printf 'one\\ntwo\\n# end\\n'";

/// A bench whose set `tree` runs `bin/dump`, with more of the set's keys.
fn bench(more: &str) -> Bench {
    let bench = Bench::new();
    bench.script("bin/dump", GOOD);
    plan(&bench, more);
    bench
}

fn plan(bench: &Bench, more: &str) {
    let program = bench.path("bin/dump").display().to_string();
    bench.plan(&format!("  tree: {{ type: command, command: [{program}, -v], extension: ldif{more} }}\n"));
}

fn member(bench: &Bench) -> Value {
    let manifest: Value =
        serde_json::from_str(&text(&bench.newest("tree").join("manifest.json"))).expect("a manifest");
    assert_eq!(manifest["complete"], true);
    manifest["members"][0].clone()
}

/// Demands that a run of this program fails with these words, publishes nothing and leaves the old snapshot whole.
#[track_caller]
fn fails(bench: &Bench, program: &str, words: &[&str]) {
    bench.script("bin/dump", program);
    let ids = bench.ids("tree");
    let stored = || {
        let all = picture(&bench.store()).into_iter();
        all.filter(|line| line.contains("/tree/") && line.contains(".ldif")).collect::<Vec<_>>()
    };
    let before = stored();
    let mut outcome = bench.bkp("run tree").exits(1);
    for word in words {
        outcome = outcome.says(word);
    }
    assert_eq!(bench.ids("tree"), ids);
    assert_same(&before, &stored());
    bench.bkp("verify tree").exits(0);
    assert!(bench.codes().contains(&"run-failed".to_owned()), "{:?}", bench.codes());
}

#[test]
fn output_is_stored_counted_drilled_and_given_back() {
    let bench = bench(", end_mark: \"# end\", min_bytes: 10");
    bench.apply("plan");
    let member = member(&bench);
    assert_eq!(member["counts"], json!({ "bytes": 14 }));
    assert_eq!((&member["name"], &member["object"]), (&json!("tree"), &json!("tree.ldif.zst")));
    bench.bkp("drill tree").exits(0);
    assert_eq!(bench.codes(), ["drill-unjudged"], "no program has judged it: {:#?}", bench.findings());
    bench.run(["restore", "tree", "--to", &bench.path("back").display().to_string()]).exits(0);
    assert_eq!(text(&bench.path("back/tree.out")), "one\ntwo\n# end\n");
    assert_eq!(bench.bkp("restore tree --stdout").exits(0).out, "one\ntwo\n# end\n");
    bench.bkp("restore tree --member tree --as other").exits(1).says("--stdout | PROGRAM");
}

#[test]
fn plan_never_runs_the_program_and_misses_it() {
    let bench = bench(", drill: [no-such-judge]");
    bench.script("bin/dump", &format!("touch {}\n{GOOD}", bench.path("ran").display()));
    bench.bkp("plan plan.yaml").exits(1).says("no-such-judge");
    assert!(!bench.path("ran").exists());
    fs::remove_file(bench.path("bin/dump")).expect("a script");
    bench.bkp("plan plan.yaml").exits(1).says("bin/dump` is not on the job's PATH");
}

#[test]
fn program_that_fails_publishes_nothing() {
    let bench = bench("");
    bench.apply("plan");
    fails(&bench, &format!("{GOOD}; echo 'disk on fire' >&2; exit 3"), &["exit status 3", "disk on fire"]);
    fails(&bench, &format!("{GOOD}; kill -9 $$"), &["ended by a signal"]);
    // It closes its output, and only then fails.
    fails(&bench, &format!("{GOOD}; exec >&-; exec sh -c 'sleep 0.3; exit 4'"), &["exit status 4"]);
    fails(&bench, "exit 0", &["it has 0 bytes"]);
    fs::remove_file(bench.path("bin/dump")).expect("a script");
    bench.bkp("run tree").exits(1).says("bin/dump` is not in");
}

#[test]
fn end_mark_and_least_size_are_demanded() {
    let bench = bench(", end_mark: \"# end\", min_bytes: 10");
    bench.apply("plan");
    fails(&bench, "printf 'one\\ntwo\\nthree\\n'", &["its end mark `# end` is not in its last lines"]);
    fails(&bench, "echo '# end'; head -c 9000 /dev/zero", &["its end mark"]);
    fails(&bench, "echo '# end'", &["it has 6 bytes, and a complete one has at least 10"]);
}

#[test]
fn output_that_somebody_else_holds_open_is_not_complete() {
    let bench = bench("");
    bench.apply("plan");
    fails(
        &bench,
        &format!("{GOOD}; sleep 60 &"),
        &["has ended, and something that it started still holds its output"],
    );
    // One that goes on writing.
    fails(
        &bench,
        &format!("{GOOD}; yes x &"),
        &["has ended, and something that it started still holds its output"],
    );
}

#[test]
fn flood_on_stderr_stops_nothing() {
    let bench = bench("");
    bench.apply("plan");
    bench.script("bin/dump", &format!("head -c 5000000 /dev/zero >&2; {GOOD}"));
    bench.bkp("run tree").exits(0);
}

#[test]
fn program_that_hangs_is_ended_with_all_it_started() {
    let bench = bench(", stall_limit: 1s");
    bench.apply("plan");
    let pids = bench.path("pids");
    let hang = format!(
        "echo $$ >{0}; (trap '' TERM; echo $BASHPID; exec sleep 400) & echo $! >>{0}; wait; sleep 400",
        pids.display()
    );
    fails(&bench, &hang, &["nothing moved for 1s"]);
    for pid in text(&pids).split_whitespace() {
        let gone =
            || !fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains("sleep"));
        wait_until("the end of the whole group", gone);
    }
}

#[test]
fn program_that_ignores_its_end_is_killed_at_the_time_limit() {
    let bench = bench(", time_limit: 1s");
    bench.apply("plan");
    fails(&bench, "trap '' TERM; while :; do echo x; sleep 0.1; done", &["time limit of 1s"]);
}

#[test]
fn secrets_come_by_file_and_are_taken_out_of_what_the_program_says() {
    let bench = Bench::new();
    let secret = ["pa55", "word-", "of-the-tree"].concat();
    set_mode(&bench.write("token", format!("{secret}\n")), 0o600);
    let token = bench.path("token").display().to_string();
    bench.script("bin/dump", "cat \"$BKP_SECRET_TOKEN_FILE\"; env; echo \"$BKP_SET\"");
    plan(&bench, &format!(", secrets: {{ TOKEN: {{ file: {token} }} }}"));
    bench.apply("plan");
    let out = bench.bkp("restore tree --stdout").exits(0).out;
    assert!(out.starts_with(&format!("{secret}\n")) && out.ends_with("\ntree\n"), "{out}");
    let names: Vec<&str> = out.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in names {
        let given = ["PATH", "HOME", "BKP_SET", "BKP_SECRET_TOKEN_FILE", "PWD", "SHLVL", "_", "OLDPWD"];
        assert!(given.contains(&name), "{name} is in its environment");
    }
    bench.script("bin/dump", "echo \"refused: $(cat \"$BKP_SECRET_TOKEN_FILE\")\" >&2; exit 1");
    let outcome = bench.bkp("run tree").exits(1).says("refused: [redacted]");
    assert!(!outcome.out.contains(&secret) && !outcome.err.contains(&secret));
    assert!(!bench.bkp("audit").out.contains(&secret));
}

#[test]
fn drills_program_judges_the_whole_artifact() {
    let bench = bench("");
    bench.script("bin/judge", "test -z \"$(ls -A)\" || exit 9\ngrep -c . >/dev/null");
    plan(&bench, &format!(", drill: [{}]", bench.path("bin/judge").display()));
    bench.apply("plan");
    bench.bkp("drill tree").exits(0);
    bench.script("bin/judge", "cat >/dev/null; echo 'no such entry' >&2; exit 1");
    bench.bkp("drill tree").exits(2).says("exit status 1: no such entry");
    bench.script("bin/judge", "exit 0");
    bench.bkp("drill tree").exits(2).says("did not take everything (0 bytes taken)");
    bench.script("bin/judge", "exec dd bs=1 count=3 of=/dev/null status=none");
    bench.bkp("drill tree").exits(2).says("did not take everything (3 bytes taken)");
    // What cannot be run has not judged.
    bench.script("bin/judge", "exec no-such-program");
    bench.bkp("drill tree").exits(1).says("127");
    fs::remove_file(bench.path("bin/judge")).expect("a script");
    bench.bkp("drill tree").exits(1).says("bin/judge` is not in");
}

#[test]
fn byte_flipped_at_rest_is_disproven_with_and_without_a_program() {
    for more in ["", ", drill: [cat]"] {
        let bench = bench(&format!("{more}, compression: none"));
        bench.apply("plan");
        flip_byte(&bench.newest("tree").join("tree.ldif"));
        bench.bkp("drill tree").exits(2);
        bench.bkp("verify tree").exits(2);
    }
}
