//! The plan file as a user meets it: a corpus of good and bad files held against parser and schema, the report of each
//! bad one, and properties of what is written and read again.

#![expect(clippy::disallowed_methods, reason = "the corpus lies in files beside this one")]

use bkp::declared::{self, DestinationKind, PlanErrors, SourceDeclaration};
use bkp::host::{FakeHost, RealHost};
use std::path::{Path, PathBuf};

const BASE: &str = "/srv/plan";
const HOME: &str = "/home/ada";

fn corpus(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no plan", folder.display());
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("text"))).collect()
}

fn parse(path: &Path, text: &str) -> Result<declared::Loaded, PlanErrors> {
    let name = path.file_name().expect("a name").to_str().expect("UTF-8");
    declared::parse_text(name, text, Path::new(BASE), Path::new(HOME))
}

/// The document as the schema's validator sees it: merge keys applied, numbers and text as YAML has them.
fn as_json(text: &str) -> Option<serde_json::Value> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    while has_merge(&value) {
        value.apply_merge().ok()?;
    }
    serde_json::to_value(value).ok()
}

fn has_merge(value: &serde_yaml::Value) -> bool {
    match value {
        serde_yaml::Value::Mapping(map) => map.contains_key("<<") || map.values().any(has_merge),
        serde_yaml::Value::Sequence(items) => items.iter().any(has_merge),
        _ => false,
    }
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&declared::json_schema()).expect("the schema is one")
}

fn complaints(validator: &jsonschema::Validator, value: &serde_json::Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn valid_plans_pass_parser_and_schema_and_come_back_from_their_rendering() {
    let validator = validator();
    for (path, text) in corpus("tests/plans/valid") {
        let loaded = parse(&path, &text).unwrap_or_else(|errors| panic!("{}", errors.report(false)));
        let value = as_json(&text).expect("YAML");
        assert_eq!(complaints(&validator, &value), Vec::<String>::new(), "{}", path.display());
        let rendered = declared::render(&loaded.plan);
        let again = parse(&path, &rendered).unwrap_or_else(|errors| panic!("{}", errors.report(false)));
        assert_eq!(again.plan, loaded.plan, "{}\n{rendered}", path.display());
        assert_eq!(declared::render(&again.plan), rendered, "{}", path.display());
        let value = as_json(&rendered).expect("YAML");
        assert_eq!(complaints(&validator, &value), Vec::<String>::new(), "{}\n{rendered}", path.display());
    }
}

#[test]
fn invalid_plans_fail_the_parser_and_structural_faults_the_schema_too() {
    let validator = validator();
    let mut wrong = Vec::new();
    for (path, text) in corpus("tests/plans/invalid") {
        if parse(&path, &text).is_ok() {
            wrong.push(format!("{}: the parser accepts it", path.display()));
        }
        let accepted = as_json(&text).is_some_and(|value| validator.is_valid(&value));
        let expected = text.starts_with("# schema: accepts\n");
        if accepted != expected {
            wrong.push(format!("{}: the schema accepts it: {accepted}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_report_of_each_invalid_plan_is_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for (path, text) in corpus("tests/plans/invalid") {
        let Err(errors) = parse(&path, &text) else { panic!("{}: the parser accepts it", path.display()) };
        let report = errors.report(false);
        let expected_path = path.with_extension("expected");
        if update {
            std::fs::write(&expected_path, &report).expect("written");
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if report != expected {
            wrong.push(format!(
                "{}\n{}",
                path.display(),
                similar::TextDiff::from_lines(&expected, &report).unified_diff()
            ));
        }
    }
    let how = "UPDATE_EXPECTED=1 cargo test --test plan_file writes the reports anew";
    assert!(wrong.is_empty(), "{}\n{how}", wrong.join("\n"));
}

#[test]
fn the_schema_beside_the_code_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/plan.schema.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let generated = format!("{:#}\n", declared::json_schema());
    assert!(kept == generated, "run `bkp schema plan > schemas/plan.schema.json`");
}

#[test]
fn every_example_plan_is_valid_for_parser_and_schema() {
    let validator = validator();
    let host = RealHost::new();
    for (path, text) in corpus("plans") {
        let loaded = declared::load(&host, &path, Path::new(HOME))
            .unwrap_or_else(|errors| panic!("{}", errors.report(false)));
        assert_eq!(loaded.warnings, [], "{}", path.display());
        assert_eq!(Some(loaded.plan.name.as_str()), path.file_stem().and_then(|it| it.to_str()));
        let value = as_json(&text).expect("YAML");
        assert_eq!(complaints(&validator, &value), Vec::<String>::new(), "{}", path.display());
        assert!(
            text.starts_with("# yaml-language-server: $schema=../schemas/plan.schema.json\n"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_quick_start_names_what_it_ships() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("here");
    let path = root.join("plans/quickstart.yaml");
    let plan = declared::load(&RealHost::new(), &path, Path::new(HOME)).expect("a valid plan").plan;
    let DestinationKind::Local(local) = &plan.destinations[&"local".parse().expect("a name")].kind else {
        panic!("it is local")
    };
    assert_eq!(local.path, root.join("target/quickstart-backups"));
    let SourceDeclaration::Sqlite(shop) = &plan.sets[&"shop".parse().expect("a name")].source else {
        panic!("shop is a database")
    };
    let SourceDeclaration::Files(documents) = &plan.sets[&"documents".parse().expect("a name")].source else {
        panic!("documents are files")
    };
    assert_eq!(
        documents.paths.as_slice(),
        [root.join("plans/quickstart/documents").to_str().expect("UTF-8")]
    );
    let connection = rusqlite::Connection::open_with_flags(
        &shop.files["shop"],
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .expect("a database");
    let rows: i64 =
        connection.query_row("SELECT count(*) FROM order_lines", [], |row| row.get(0)).expect("rows");
    assert!(rows > 100, "{rows}");
}

fn folder(files: &[(&str, &str)]) -> FakeHost {
    files.iter().fold(FakeHost::default(), |host, (path, text)| host.file(path, text, 0o644))
}

fn load(host: &FakeHost, path: &str) -> Result<declared::Loaded, String> {
    declared::load(host, Path::new(path), Path::new(HOME)).map_err(|errors| errors.report(false))
}

const DESTINATIONS: &str = "version: 1\ndestinations: { local: { type: local, path: kept } }\n";
const DEFAULTS: &str = "defaults: { schedule: hourly, destinations: [local] }\n";

#[test]
fn a_folder_is_one_plan_in_the_order_of_names() {
    let host = folder(&[
        ("/etc/shop/a.yaml", DESTINATIONS),
        (
            "/etc/shop/b.yml",
            &format!("version: 1\n{DEFAULTS}sets: {{ one: {{ type: files, paths: [one] }} }}\n"),
        ),
        ("/etc/shop/c.yaml", "sets: { two: { type: sqlite, path: ../two.db } }\n"),
        ("/etc/shop/.hidden.yaml", "nonsense"),
        ("/etc/shop/notes.txt", "nonsense"),
    ]);
    let loaded = load(&host, "/etc/shop").expect("a plan");
    assert_eq!(loaded.plan.name.as_str(), "shop");
    let names: Vec<&str> = loaded.plan.sets.keys().map(declared::SetName::as_str).collect();
    assert_eq!(names, ["one", "two"]);
    let DestinationKind::Local(local) = &loaded.plan.destinations[&"local".parse().expect("a name")].kind
    else {
        panic!("it is local")
    };
    assert_eq!(local.path, Path::new("/etc/shop/kept"));
    let paths: Vec<&Path> = loaded.sources.iter().map(|it| it.path.as_path()).collect();
    assert_eq!(
        paths,
        [Path::new("/etc/shop/a.yaml"), Path::new("/etc/shop/b.yml"), Path::new("/etc/shop/c.yaml")]
    );
}

#[test]
fn a_name_declared_in_two_files_shows_both_places() {
    let host = folder(&[
        (
            "/etc/shop/a.yaml",
            &format!("{DESTINATIONS}{DEFAULTS}name: one\nsets: {{ app: {{ type: files, paths: [a] }} }}\n"),
        ),
        (
            "/etc/shop/b.yaml",
            "version: 1\nname: two\ndefaults: { schedule: daily 03:00 }\nsets: { app: { type: files, paths: [b] } }\n",
        ),
    ]);
    let report = load(&host, "/etc/shop").expect_err("declared twice");
    for expected in [
        "3 errors in /etc/shop",
        "`name` is given twice, in two files",
        "`schedule` is given twice, in two files",
        "`app` is given twice, in two files",
        "/etc/shop/a.yaml:5:9",
        "/etc/shop/b.yaml:4:9",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}

#[test]
fn errors_of_all_files_are_in_one_report() {
    let host = folder(&[
        ("/etc/shop/a.yaml", "version: 1\ndestinations: { local: { type: locl, path: kept } }\n"),
        ("/etc/shop/b.yaml", "sets: { app: { type: fils, paths: [a] } }\n"),
    ]);
    let report = load(&host, "/etc/shop").expect_err("two errors");
    assert!(
        report.contains("2 errors") && report.contains("a.yaml:2:") && report.contains("b.yaml:1:"),
        "{report}"
    );
    let host = folder(&[("/etc/shop/a.yaml", "a: ["), ("/etc/shop/b.yaml", "b: ]")]);
    let report = load(&host, "/etc/shop").expect_err("two errors");
    assert!(report.contains("2 errors"), "{report}");
}

#[test]
fn a_plan_without_a_name_is_called_after_its_file_or_folder() {
    let text = format!("{DESTINATIONS}{DEFAULTS}sets: {{ app: {{ type: files, paths: [a] }} }}\n");
    for (file, path, name) in [
        ("/etc/shop.yaml", "/etc/shop.yaml", "shop"),
        ("/srv/My Shop/bkp.yaml", "/srv/My Shop/bkp.yaml", "my-shop"),
        ("/srv/shop/bkp/a.yaml", "/srv/shop/bkp", "shop"),
        ("/srv/shop/b.yaml", "/srv/shop", "shop"),
        ("/srv/-_-.yaml", "/srv/-_-.yaml", "plan"),
        ("/bkp.yaml", "/bkp.yaml", "bkp"),
    ] {
        let loaded = load(&folder(&[(file, &text)]), path).expect("a plan");
        assert_eq!(loaded.plan.name.as_str(), name, "{path}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let large = "#".repeat(1 << 20) + "\n";
    let host = folder(&[("/etc/empty/notes.txt", ""), ("/etc/large.yaml", &large)]);
    for (path, expected) in [
        ("/etc/none.yaml", "/etc/none.yaml"),
        ("/etc/empty", "holds no `*.yaml` file"),
        ("/etc/large.yaml", "larger than 1048576 bytes"),
    ] {
        let report = load(&host, path).expect_err("unreadable");
        assert!(report.contains(expected), "{report}");
    }
    assert!(declared::parse_text("large.yaml", &large, Path::new(BASE), Path::new(HOME)).is_err());
}

#[test]
fn the_digest_changes_with_names_and_texts_only() {
    let text =
        format!("{DESTINATIONS}{DEFAULTS}name: shop\nsets: {{ app: {{ type: files, paths: [a] }} }}\n");
    let digest = |path: &str, text: &str| load(&folder(&[(path, text)]), path).expect("a plan").digest;
    assert_eq!(digest("/a/x.yaml", &text), digest("/b/x.yaml", &text));
    assert_ne!(digest("/a/x.yaml", &text), digest("/a/y.yaml", &text));
    assert_ne!(digest("/a/x.yaml", &text), digest("/a/x.yaml", &format!("{text}\n")));
}

#[test]
fn variables_are_kept_as_written_with_a_warning_outside_hooks() {
    let text = format!(
        "{DESTINATIONS}{DEFAULTS}sets:\n  app:\n    type: files\n    paths: [\"${{HOME}}/a\"]\n    \
         before: [[sh, -c, \"echo ${{HOME}}\"]]\n"
    );
    let loaded = parse(Path::new("x.yaml"), &text).expect("a plan");
    let SourceDeclaration::Files(files) = &loaded.plan.sets[&"app".parse().expect("a name")].source else {
        panic!("files")
    };
    assert_eq!(files.paths, ["/srv/plan/${HOME}/a"]);
    assert_eq!(loaded.warnings.len(), 1);
    let place = loaded.warnings[0].place.as_ref().expect("a place");
    assert_eq!(&text[place.start..place.start + place.length], "\"${HOME}/a\"");
}

#[test]
fn every_diagnostic_of_a_file_marks_a_place_in_it() {
    for (path, text) in corpus("tests/plans/invalid") {
        let Err(errors) = parse(&path, &text) else { panic!("{}: the parser accepts it", path.display()) };
        for diagnostic in errors.diagnostics() {
            let place =
                diagnostic.place.as_ref().unwrap_or_else(|| panic!("{}: {diagnostic}", path.display()));
            assert!(text.get(place.start..place.start + place.length).is_some(), "{}", path.display());
        }
    }
}

#[test]
fn a_folder_that_paths_start_from_is_taken_literally() {
    let text = format!("{DESTINATIONS}{DEFAULTS}sets: {{ app: {{ type: files, paths: [\"*.json\"] }} }}\n");
    let loaded =
        declared::parse_text("x.yaml", &text, Path::new("/srv/[a]*"), Path::new(HOME)).expect("a plan");
    let SourceDeclaration::Files(files) = &loaded.plan.sets[&"app".parse().expect("a name")].source else {
        panic!("files")
    };
    assert_eq!(files.paths, ["/srv/[[]a][*]/*.json"]);
}
