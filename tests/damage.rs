//! What lies at rest is truncated, deleted, or one byte of it is flipped: no command's success hides it, audit gives
//! it its code, the next run works, and the earlier snapshots are as they were.
#![expect(clippy::disallowed_methods, reason = "damage is done from outside")]

mod support_faults;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support_faults::{Bed, names, said};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Truncate,
    Delete,
    Flip,
}

use Damage::{Delete, Flip, Truncate};

impl Damage {
    /// Truncates to a half, or flips the lowest bit of the byte at `flip_at`: where there is none a digit of the
    /// artifact's digest in a manifest, which stays one that can be read, and the middle byte of anything else.
    fn to(self, path: &Path, flip_at: Option<usize>) {
        let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match self {
            Self::Delete => return fs::remove_file(path).expect("a file"),
            Self::Truncate => bytes.truncate(bytes.len() / 2),
            Self::Flip => {
                let digit = path.ends_with(MANIFEST).then(|| digit_of_the_stored_digest(&bytes));
                let at = flip_at.or(digit).unwrap_or(bytes.len() / 2);
                bytes[at] ^= 1;
            }
        }
        fs::write(path, bytes).expect("a file");
    }
}

/// Where a digit lies that is still hexadecimal with its lowest bit flipped.
fn digit_of_the_stored_digest(manifest: &[u8]) -> usize {
    let text = std::str::from_utf8(manifest).expect("a manifest");
    let stored = text.find("\"stored\"").expect("a stored artifact");
    let digest = stored + text[stored..].find("\"sha256\": \"").expect("its digest") + "\"sha256\": \"".len();
    digest + text[digest..].find(|it: char| "0123456789bcde".contains(it)).expect("a digit")
}

/// A bed with two snapshots of `docs`, the newer one drilled, which can be put back as it was.
struct Shelf {
    bed: Bed,
    first: String,
    newest: String,
    /// What audit says of it undamaged.
    codes: BTreeSet<String>,
}

/// The live folders of a bed, as against its sources.
const LIVE: [&str; 2] = ["home", "destination"];

fn copy(from: &Path, to: &Path) {
    let said = said(Command::new("cp").args(["-a", "-T"]).args([from, to]));
    assert_eq!(said.code, Some(0), "{said:#?}");
}

fn codes(text: &str) -> BTreeSet<String> {
    let bracketed =
        text.lines().filter_map(|line| Some(line.strip_suffix(']')?.rsplit_once('[')?.1.to_owned()));
    bracketed.collect()
}

impl Shelf {
    fn new() -> Self {
        let bed = Bed::new("  retention: { last: 9 }", "", "");
        bed.demand(0, &["apply", "plan.yaml", "--yes"]);
        bed.demand(0, &["run", "docs"]);
        bed.demand(0, &["drill", "docs"]);
        let sealed = bed.sealed("docs");
        let [first, newest] = sealed.iter().collect::<Vec<_>>()[..] else {
            panic!("two snapshots: {sealed:?}")
        };
        let (first, newest) = (first.clone(), newest.clone());
        for name in LIVE {
            copy(&bed.path(name), &bed.path(&format!("shelf-{name}")));
        }
        let codes = codes(&bed.demand(2, &["audit"]).out);
        Self { bed, first, newest, codes }
    }

    fn restock(&self) {
        for name in LIVE {
            let live = self.bed.path(name);
            fs::remove_dir_all(&live).expect("a live folder");
            copy(&self.bed.path(&format!("shelf-{name}")), &live);
        }
    }

    /// A file of the newest snapshot.
    fn object(&self, name: &str) -> PathBuf {
        self.bed.set_folder("docs").join(&self.newest).join(name)
    }

    /// The codes that audit gives and did not give before the damage.
    fn new_codes(&self) -> BTreeSet<String> {
        let audit = self.bed.bkp(&["audit"]);
        assert!(matches!(audit.code, Some(1 | 2)), "{audit:#?}");
        codes(&audit.out).difference(&self.codes).cloned().collect()
    }
}

fn set_of(codes: &[&str]) -> BTreeSet<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// What each command has to say of a damaged file of the newest snapshot.
struct Case {
    object: &'static str,
    damage: Damage,
    /// Codes that audit gives at once, from its listing.
    audit: &'static [&'static str],
    /// Exit status of `verify`, and the codes that audit gives after it.
    verify: (i32, &'static [&'static str]),
    /// The same of `drill`.
    drill: (i32, &'static [&'static str]),
    /// Exit status of `restore` of the newest.
    restore: i32,
}

const ARTIFACT: &str = "docs.tar.zst";
const ARTIFACT_SIDECAR: &str = "docs.tar.zst.sha256";
const INDEX: &str = "docs.index.jsonl.zst";
const INDEX_SIDECAR: &str = "docs.index.jsonl.zst.sha256";
const MANIFEST: &str = "manifest.json";
const MANIFEST_SIDECAR: &str = "manifest.json.sha256";

const fn case(
    object: &'static str,
    damage: Damage,
    audit: &'static [&'static str],
    verify: (i32, &'static [&'static str]),
    drill: (i32, &'static [&'static str]),
    restore: i32,
) -> Case {
    Case { object, damage, audit, verify, drill, restore }
}

#[rustfmt::skip]
const CASES: [Case; 18] = [
    case(ARTIFACT, Truncate, &["object-wrong-size"], (2, &["digest-differs", "object-wrong-size"]), (2, &["digest-differs", "drill-differs", "object-wrong-size"]), 1),
    case(ARTIFACT, Delete, &["object-missing"], (2, &["digest-differs", "object-missing"]), (2, &["digest-differs", "drill-differs", "object-missing"]), 1),
    // No listing can see a flipped byte: reading it back must.
    case(ARTIFACT, Flip, &[], (2, &["digest-differs"]), (2, &["digest-differs", "drill-differs"]), 1),
    case(INDEX, Truncate, &["object-wrong-size"], (2, &["digest-differs", "object-wrong-size"]), (2, &["digest-differs", "drill-differs", "object-wrong-size"]), 1),
    case(INDEX, Delete, &["object-missing"], (2, &["digest-differs", "object-missing"]), (2, &["digest-differs", "drill-differs", "object-missing"]), 1),
    case(INDEX, Flip, &[], (2, &["digest-differs"]), (2, &["digest-differs", "drill-differs"]), 1),
    // The data comes back without its sidecar: a drill and a restore say so.
    case(ARTIFACT_SIDECAR, Truncate, &["object-wrong-size"], (2, &["digest-differs", "object-wrong-size"]), (0, &["object-wrong-size"]), 0),
    case(ARTIFACT_SIDECAR, Delete, &["object-missing"], (2, &["digest-differs", "object-missing"]), (0, &["object-missing"]), 0),
    case(ARTIFACT_SIDECAR, Flip, &[], (2, &["digest-differs"]), (0, &[]), 0),
    case(INDEX_SIDECAR, Truncate, &["object-wrong-size"], (2, &["digest-differs", "object-wrong-size"]), (0, &["object-wrong-size"]), 0),
    case(INDEX_SIDECAR, Delete, &["object-missing"], (2, &["digest-differs", "object-missing"]), (0, &["object-missing"]), 0),
    case(INDEX_SIDECAR, Flip, &[], (2, &["digest-differs"]), (0, &[]), 0),
    // An older one is proven and restored instead: that is said, and is no success of the proof.
    case(MANIFEST, Truncate, &["snapshot-damaged"], (2, &["snapshot-damaged"]), (2, &["snapshot-damaged"]), 0),
    case(MANIFEST, Delete, &["snapshot-gone"], (2, &["snapshot-gone"]), (2, &["snapshot-gone"]), 0),
    case(MANIFEST, Flip, &["snapshot-changed"], (2, &["digest-differs", "snapshot-changed"]), (2, &["digest-differs", "drill-differs", "snapshot-changed"]), 1),
    case(MANIFEST_SIDECAR, Truncate, &["object-wrong-size"], (2, &["digest-differs", "object-wrong-size"]), (0, &["object-wrong-size"]), 0),
    case(MANIFEST_SIDECAR, Delete, &["object-missing"], (2, &["digest-differs", "object-missing"]), (0, &["object-missing"]), 0),
    case(MANIFEST_SIDECAR, Flip, &[], (2, &["digest-differs"]), (0, &[]), 0),
];

#[test]
fn damage_to_a_snapshot_is_named_by_audit_verify_and_drill() {
    let shelf = Shelf::new();
    for case in &CASES {
        let what = format!("{:?} of {}", case.damage, case.object);
        let damage = || {
            shelf.restock();
            case.damage.to(&shelf.object(case.object), None);
        };
        damage();
        assert_eq!(shelf.new_codes(), set_of(case.audit), "{what}: audit");
        for (command, (code, codes)) in [("verify", case.verify), ("drill", case.drill)] {
            damage();
            let said = shelf.bed.bkp(&[command, "docs"]);
            assert_eq!(said.code, Some(code), "{what}: {command}: {said:#?}");
            assert_eq!(shelf.new_codes(), set_of(codes), "{what}: audit after {command}");
        }
    }
}

#[test]
fn damaged_snapshot_is_never_restored_as_if_it_were_whole() {
    let shelf = Shelf::new();
    for case in &CASES {
        let what = format!("{:?} of {}", case.damage, case.object);
        shelf.restock();
        case.damage.to(&shelf.object(case.object), None);
        let to = shelf.bed.path("back");
        let target = to.display().to_string();
        let said = shelf.bed.bkp(&["restore", "docs", "--to", &target]);
        assert_eq!(said.code, Some(case.restore), "{what}: {said:#?}");
        if case.restore == 0 && case.object == MANIFEST {
            assert!(said.out.contains(&shelf.first), "{what}: {said:#?}");
            assert!(said.err.contains("a newer snapshot cannot be taken"), "{what}: {said:#?}");
            assert!(said.err.contains(&shelf.newest), "{what}: {said:#?}");
        }
        if to.exists() {
            fs::remove_dir_all(to).expect("a folder");
        }
        let earlier = shelf.bed.demand(0, &["restore", "docs", "--snapshot", &shelf.first, "--to", &target]);
        fs::remove_dir_all(shelf.bed.path("back"))
            .unwrap_or_else(|error| panic!("{what}: {error}: {earlier:#?}"));
    }
}

#[test]
fn next_run_works_beside_a_damaged_snapshot_and_leaves_the_earlier_ones_alone() {
    let shelf = Shelf::new();
    for case in &CASES {
        let what = format!("{:?} of {}", case.damage, case.object);
        shelf.restock();
        case.damage.to(&shelf.object(case.object), None);
        shelf.bed.demand(0, &["status"]);
        let verdicts = shelf.bed.demand(0, &["prune", "docs", "--dry-run"]);
        assert!(verdicts.out.contains(&shelf.first), "{what}: {verdicts:#?}");
        let before = names(&shelf.bed.set_folder("docs"));
        let run = shelf.bed.bkp(&["run", "docs"]);
        // 3: the run sealed, and read the damaged one again.
        assert!(matches!(run.code, Some(0 | 3)), "{what}: {run:#?}");
        let after = names(&shelf.bed.set_folder("docs"));
        assert!(after.is_superset(&before), "{what}: a damaged or earlier snapshot was removed: {run:#?}");
        let new = after.difference(&before).next().unwrap_or_else(|| panic!("{what}: {run:#?}")).clone();
        for id in [&shelf.first, &new] {
            shelf.bed.demand(0, &["verify", "docs", "--snapshot", id]);
        }
        let again = shelf.bed.bkp(&["run", "docs"]);
        assert!(matches!(again.code, Some(0 | 3)), "{what}: the second run: {again:#?}");
        shelf.bed.demand(2, &["verify", "docs", "--all"]);
    }
}

#[test]
fn proof_that_is_damaged_proves_nothing() {
    let shelf = Shelf::new();
    let folder = shelf.object("proofs");
    let [proof] = &names(&folder).into_iter().collect::<Vec<_>>()[..] else { panic!("one proof") };
    let path = folder.join(proof);
    let text = fs::read_to_string(&path).expect("a proof");
    // Of a time that was changed, its name knows better.
    let in_time = text.find("\"at\": \"").expect("a time") + "\"at\": \"".len() + 3;
    for (damage, flip_at) in [(Truncate, None), (Delete, None), (Flip, None), (Flip, Some(in_time))] {
        shelf.restock();
        // The older one's drill proves the data too: without it nothing does.
        fs::remove_dir_all(shelf.bed.set_folder("docs").join(&shelf.first)).expect("the earlier snapshot");
        damage.to(&path, flip_at);
        let codes = shelf.new_codes();
        assert!(codes.contains("drill-missing"), "{damage:?} of a proof at {flip_at:?}: {codes:?}");
        shelf.bed.demand(0, &["drill", "docs"]);
        assert!(!shelf.new_codes().contains("drill-missing"), "{damage:?}: the next drill proves it");
    }
}

#[test]
fn job_or_its_copy_of_the_plan_that_is_damaged_is_drift_and_apply_mends_it() {
    let shelf = Shelf::new();
    let job = ".config/bkp/jobs/bkp-docs.json";
    let plan = ".config/bkp/plans/bed.d/docs.yaml";
    for (file, damage, code) in [
        (job, Truncate, "job-drifted"),
        (job, Delete, "timer-missing"),
        (job, Flip, "job-drifted"),
        (plan, Truncate, "job-drifted"),
        (plan, Delete, "job-drifted"),
        (plan, Flip, "job-drifted"),
    ] {
        shelf.restock();
        damage.to(&shelf.bed.path("home").join(file), None);
        let codes = shelf.new_codes();
        assert!(codes.contains(code), "{damage:?} of {file}: {codes:?}");
        shelf.bed.demand(2, &["plan", "plan.yaml", "--detailed-exitcode"]);
        shelf.bed.demand(0, &["run", "docs"]);
        shelf.bed.demand(0, &["apply", "plan.yaml", "--yes"]);
        shelf.bed.demand(0, &["plan", "plan.yaml", "--detailed-exitcode"]);
        assert!(!shelf.new_codes().contains(code), "{damage:?} of {file}: apply does not mend it");
    }
}

#[test]
fn installed_plan_that_is_damaged_stops_every_command_until_it_is_applied_again() {
    let shelf = Shelf::new();
    for damage in [Truncate, Delete, Flip] {
        shelf.restock();
        damage.to(&shelf.bed.path("home/.config/bkp/plans/bed.yaml"), None);
        let before = shelf.bed.sealed("docs");
        for command in
            [&["verify"][..], &["drill"], &["audit"], &["status"], &["run", "docs"], &["prune", "--dry-run"]]
        {
            let said = shelf.bed.demand(1, command);
            assert!(said.err.contains("bkp apply"), "{damage:?}: {said:#?}");
        }
        assert_eq!(shelf.bed.sealed("docs"), before);
        shelf.bed.demand(0, &["apply", "plan.yaml", "--yes"]);
        shelf.bed.demand(0, &["run", "docs"]);
        shelf.bed.demand(0, &["plan", "plan.yaml", "--detailed-exitcode"]);
    }
}

#[test]
fn damaged_journal_is_a_finding_and_costs_no_snapshot() {
    let shelf = Shelf::new();
    for (damage, code) in [(Truncate, "state-damaged"), (Delete, "state-missing"), (Flip, "state-damaged")] {
        shelf.restock();
        let journal = shelf.bed.path("home/.local/state/bkp/journal.jsonl");
        // A line that is none any more. A digit that became another is a digest of something else: `snapshot-changed`.
        let text = fs::read_to_string(&journal).expect("a journal");
        let line = text[..text.len() / 2].rfind('\n').expect("more than one line") + 1;
        damage.to(&journal, Some(line));
        let codes = shelf.new_codes();
        assert!(codes.contains(code), "{damage:?} of the journal: {codes:?}");
        for command in [&["verify"][..], &["drill"], &["run", "docs"], &["run", "docs"], &["verify", "--all"]]
        {
            shelf.bed.demand(0, command);
        }
        let text = fs::read_to_string(&journal).expect("a journal");
        let broken =
            text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).count();
        assert!(broken <= 1, "{damage:?}: the lines after the damaged one are damaged too: {text}");
        assert!(shelf.bed.sealed("docs").len() >= 4, "{damage:?}");
    }
}

/// A process that ends with this value.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then the test has already failed for it.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn heartbeat_that_is_damaged_is_never_a_sign_of_life() {
    let shelf = Shelf::new();
    let heartbeat = shelf.bed.path("home/.local/state/bkp/daemon.json");
    let start = || {
        let mut daemon = shelf.bed.command(&[], &["daemon", "--quiet"]);
        let daemon = Running(daemon.spawn().expect("a daemon"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !heartbeat.exists() {
            assert!(Instant::now() < deadline, "the daemon gives no sign of life");
            std::thread::yield_now();
        }
        daemon
    };
    for damage in [Truncate, Delete, Flip] {
        shelf.restock();
        drop(start());
        damage.to(&heartbeat, Some(3));
        let codes = codes(&shelf.bed.demand(2, &["audit"]).out);
        let said = ["could-not-look", "daemon-not-running"].iter().any(|code| codes.contains(*code));
        assert!(said, "{damage:?} of the heartbeat: {codes:?}");
        for command in [&["verify"][..], &["status"], &["run", "docs"]] {
            shelf.bed.demand(0, command);
        }
    }
}

#[test]
fn folder_that_no_run_has_sealed_is_a_leftover_and_disproves_nothing() {
    let shelf = Shelf::new();
    let begun = shelf.bed.set_folder("docs").join("20200101T000000Z-000099");
    fs::create_dir(&begun).expect("a folder");
    fs::write(begun.join(ARTIFACT), "half").expect("a file");
    shelf.bed.demand(0, &["verify", "docs", "--all"]);
    shelf.bed.demand(0, &["verify", "docs"]);
    assert_eq!(shelf.new_codes(), set_of(&["leftover"]));
}
