//! Documentation that cannot lie: its commands are run, its names looked up, its links followed.
//!
//! A `console` block holds commands behind `$ ` and lines of their output below. Each such line must come, in that
//! order; others may come between. Snapshots' times, ages and sizes may differ. A command ends with 0, or as a
//! comment behind it says: `# exit status 2`. A block below `<!-- file: NAME -->` is written to that file first.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is run, and its documentation read, from outside"
)]

use bkp::declared::{KeyForm, Protocol};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A fenced block.
#[derive(Debug)]
struct Block {
    language: String,
    line: usize,
    /// From the comment above it.
    file: Option<String>,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let text = read(document);
    let mut blocks: Vec<Block> = Vec::new();
    let mut file = None;
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, Some(language)) => {
                let language = language.to_owned();
                open = Some(Block { language, line: number, file: file.take(), text: String::new() });
            }
            (None, None) => {
                let named = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
                file = named.map(str::to_owned).or(file);
            }
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    assert!(!blocks.is_empty(), "{document} has no blocks");
    blocks
}

/// `20261120T222321Z`: the time in a snapshot's name.
fn is_snapshot_time(bytes: &[u8]) -> bool {
    let shape = |(index, byte): (usize, &u8)| match index {
        8 => *byte == b'T',
        15 => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    bytes.len() == 16 && bytes.iter().enumerate().all(shape)
}

/// Output with what differs from run to run taken out.
fn steady(line: &str) -> String {
    let mut line = line.replace("just now", "0 s ago");
    while let Some(at) = line.as_bytes().windows(16).position(is_snapshot_time) {
        line.replace_range(at..at + 16, "<time>");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut out: Vec<&str> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let unit = words.get(index + 1).map(|next| next.trim_end_matches(','));
        let measured = matches!(unit, Some("B" | "KiB" | "MiB" | "s" | "min")) && word.parse::<f64>().is_ok();
        out.push(if measured { "<number>" } else { word });
    }
    out.join(" ")
}

fn matches(expected: &str, line: &str) -> bool {
    let (expected, line) = (steady(expected), steady(line));
    match expected.strip_suffix("...") {
        Some(start) => line.starts_with(start.trim_end()),
        None => line == expected,
    }
}

/// A machine for a walk: an empty folder, a home, and the program on the PATH.
struct Walk {
    folder: tempfile::TempDir,
}

impl Walk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["home", "work"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self { folder }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Standard output and error in one, as on a terminal, and the exit status.
    fn run(&self, command: &str) -> (String, i32) {
        let bin = Path::new(env!("CARGO_BIN_EXE_bkp")).parent().expect("a folder").display().to_string();
        let output = Command::new("bash")
            .arg("-c")
            .arg(format!("exec 2>&1\n{command}"))
            .env_clear()
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", self.folder.path())
            .env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin"))
            .env("BKP_TEST_HOST_NAME", "shop-1")
            .env("BKP_TEST_PROC", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quiet-proc"))
            .current_dir(self.work())
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (text, output.status.code().unwrap_or(-1))
    }

    fn console(&self, document: &str, block: &Block) -> usize {
        let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in block.text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command, Vec::new())),
                None => commands.last_mut().expect("a block begins with a command").1.push(line),
            }
        }
        for (command, expected) in &commands {
            let status = command
                .split_once("# exit status ")
                .map_or(0, |(_, status)| status.trim().parse().expect("a number behind `# exit status`"));
            let (output, code) = self.run(command);
            let place = format!("{document}, block in line {}: `{command}`", block.line);
            assert_eq!(code, status, "{place} ended with {code}:\n{output}");
            let mut lines = output.lines();
            for wanted in expected {
                let found = lines.any(|line| matches(wanted, line));
                assert!(found, "{place} did not print, or not in this order:\n{wanted}\nbut:\n{output}");
            }
        }
        commands.len()
    }
}

fn walk(document: &str, commands_min: usize) {
    let walk = Walk::new();
    let mut commands = 0;
    for block in blocks(document) {
        if let Some(name) = &block.file {
            std::fs::write(walk.work().join(name), &block.text).expect("a file of the walk");
        }
        match block.language.as_str() {
            "console" => commands += walk.console(document, &block),
            // tests/readme runs the first and the last of these, tests/run is the second.
            "sh" => {
                assert_eq!(
                    document, "README.md",
                    "{document}: nothing runs the block in line {}",
                    block.line
                );
            }
            "yaml" | "json" | "text" => {}
            other => panic!("{document}, line {}: what is `{other}`?", block.line),
        }
    }
    assert!(commands >= commands_min, "{document}: only {commands} commands were found");
}

#[test]
fn readme_walk_does_what_it_says() {
    walk("README.md", 20);
}

#[test]
fn snapshots_are_restored_by_hand_as_format_says() {
    walk("docs/FORMAT.md", 15);
}

#[test]
fn a_walk_sees_wrong_output_and_wrong_status() {
    assert!(matches(
        "  set shop: newest 20261120T222426Z-000002 (shop)",
        " set shop: newest 20270101T000000Z-000002 (shop)"
    ));
    assert!(!matches("shop at disk: 20261120T222426Z-000002", "shop at disk: 20261120T222426Z-000003"));
    assert!(!matches("  table:orders 2", "  table:orders 3"));
    assert!(!matches("2", "3"));
    assert!(matches("yes, just now", "yes, 3 s ago"));
    assert!(!matches("yes, just now", "no, 3 s ago"));
    assert!(matches("letters complete ...", "letters complete 1 411 B"));
    assert!(!matches("letters complete ...", "letters incomplete 1"));
    assert_eq!(Walk::new().run("echo said; exit 3"), ("said\n".to_owned(), 3));
}

#[test]
fn shell_blocks_of_readme_are_those_that_the_scripts_run() {
    let shell: Vec<String> = blocks("README.md")
        .into_iter()
        .filter(|block| block.language == "sh")
        .map(|block| block.text.trim().to_owned())
        .collect();
    let [first, second, install] = shell.as_slice() else {
        panic!("README.md has other `sh` blocks: {shell:?}")
    };
    assert_eq!(first, "cargo run -- apply plans/quickstart.yaml --yes");
    assert_eq!(second, "bash tests/run");
    assert_eq!(
        install,
        "cargo build --release && sudo install -m 0755 target/release/bkp /usr/local/bin/bkp"
    );
    assert!(read("tests/run").contains("bash tests/readme"), "tests/run does not run tests/readme");
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bkp"))
        .args(words)
        .arg("--help")
        .env_clear()
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "bkp {words:?} --help: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn commands() -> Vec<String> {
    let all = help(&[]);
    let listed =
        all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 20, "only {names:?} were found");
    names
}

const COMMON: &str = "\nOptions of every command:\n";

/// docs/COMMANDS.md as it should be.
fn commands_page() -> String {
    let whole = |text: &str| {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    };
    let mut page = String::from(
        "# Commands\n\nMade from the program's own help by `UPDATE_EXPECTED=1 cargo test --test docs`; the tests \
         compare it.\nWhere `[env: BKP_...]` stands beside an option, it can be given as that environment variable \
         too.\n",
    );
    let section = |name: &str, text: &str| format!("\n## {name}\n\n```text\n{}\n```\n", whole(text));
    page += &section("bkp", &help(&[]));
    let main = help(&[]);
    let (_, common) = main.split_once(COMMON).expect("the main help has the common options");
    let options = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('-')).count();
    let common_options = options(common.split("\n\nExit status").next().unwrap_or_default());
    for name in commands() {
        let text = help(&[&name]);
        let (own, rest) = text.split_once(COMMON).expect("each help has the common options");
        assert_eq!(options(rest), common_options, "`bkp {name}` has its own options among the common ones");
        page += &section(&format!("bkp {name}"), own);
    }
    page
}

#[test]
fn commands_page_is_the_program_s_help() {
    let page = commands_page();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(root().join("docs/COMMANDS.md"), &page).expect("docs/COMMANDS.md");
    }
    assert!(
        page == read("docs/COMMANDS.md"),
        "the help has changed: `UPDATE_EXPECTED=1 cargo test --test docs` writes docs/COMMANDS.md anew"
    );
}

#[test]
fn readme_names_every_command_and_no_other() {
    let text = read("README.md");
    let rows = text.lines().filter(|line| line.starts_with("| `bkp "));
    let named: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`'))
        .filter_map(|part| part.strip_prefix("bkp ").map(str::to_owned))
        .collect();
    assert_eq!(named, commands().into_iter().collect());
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == ending)
}

fn documents() -> Vec<String> {
    let pages = std::fs::read_dir(root().join("docs")).expect("docs");
    let mut names: Vec<String> = pages
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| has_ending(name, "md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    names.extend(["README.md".to_owned(), "CHANGELOG.md".to_owned()]);
    names.sort();
    names
}

#[test]
fn every_link_leads_to_a_file() {
    let mut links = 0;
    for document in documents() {
        let text = read(&document);
        let folder = root().join(&document).parent().expect("a folder").to_path_buf();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{document}: `{link}` leads nowhere");
            links += 1;
        }
    }
    assert!(links > 10, "only {links} links were found");
}

#[test]
fn documents_are_reached_from_the_readme() {
    let readme = read("README.md");
    for document in documents().iter().filter(|name| *name != "README.md") {
        assert!(readme.contains(&format!("({document})")), "README.md does not lead to {document}");
    }
}

#[test]
fn architecture_names_only_files_and_functions_that_exist() {
    let text = read("docs/ARCHITECTURE.md");
    let files: Vec<String> = source_files();
    let all: String = files.iter().map(|name| read(name)).collect();
    let mut names = 0;
    for word in text.split('`').skip(1).step_by(2).filter(|word| !word.contains([' ', '\n'])) {
        if let Some(function) = word.strip_suffix("()") {
            let last = function.rsplit("::").next().unwrap_or(function);
            assert!(
                all.contains(&format!("fn {last}(")) || all.contains(&format!("fn {last}<")),
                "no function `{word}`"
            );
            names += 1;
        } else if has_ending(word, "rs") {
            let wanted = [format!("src/{word}"), word.to_owned()];
            assert!(wanted.iter().any(|name| root().join(name).exists()), "no file `{word}`");
            names += 1;
        } else if word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.chars().all(char::is_alphanumeric)
            && word.chars().any(char::is_lowercase)
        {
            let kinds = ["struct", "enum", "trait"].map(|kind| format!("{kind} {word}"));
            let variant = [format!("{word},"), format!("{word}("), format!("{word} {{")];
            let known = kinds.iter().chain(&variant).any(|text| all.contains(text));
            assert!(known, "no type or variant `{word}`");
            names += 1;
        }
    }
    assert!(names > 60, "only {names} names were found");
}

fn source_files() -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec!["src".to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder of src") {
            let entry = entry.expect("an entry");
            let name = format!("{folder}/{}", entry.file_name().into_string().expect("a plain name"));
            if entry.path().is_dir() {
                open.push(name);
            } else if has_ending(&name, "rs") {
                found.push(name);
            }
        }
    }
    found
}

/// The names under which a struct's fields, or an enum's variants and their fields, are written.
fn written_names(file: &str, wanted: &str) -> Vec<String> {
    let syntax = syn::parse_file(&read(file)).expect("Rust");
    let of = |fields: &syn::Fields| -> Vec<String> {
        fields.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string())).collect()
    };
    let snake = |name: &str| {
        let mut out = String::new();
        for (index, letter) in name.chars().enumerate() {
            if letter.is_uppercase() && index > 0 {
                out.push('_');
            }
            out.extend(letter.to_lowercase());
        }
        out
    };
    let found = syntax.items.iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == wanted => Some(of(&item.fields)),
        syn::Item::Enum(item) if item.ident == wanted => Some(
            item.variants
                .iter()
                .flat_map(|variant| [vec![snake(&variant.ident.to_string())], of(&variant.fields)].concat())
                .collect(),
        ),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{file} has no `{wanted}`"))
}

#[test]
fn format_page_describes_every_field_that_is_written() {
    let text = read("docs/FORMAT.md");
    let formats = [
        (
            "Manifest",
            "src/format/manifest.rs",
            vec!["Manifest", "ManifestMember", "StoredSize", "IndexObject"],
        ),
        ("Manifest", "src/format/manifest.rs", vec!["FailedMember", "SourceIdentity", "Trigger"]),
        ("Proofs", "src/format/proof.rs", vec!["ProofRecord", "Outcome"]),
        ("Index", "src/format/index.rs", vec!["Line", "Head", "DeviceNumber", "EntryKind"]),
        ("Journal", "src/observed/journal.rs", vec!["JournalEntry", "JournalEvent", "RunOutcome"]),
        ("Destination's marker", "src/destinations/marker.rs", vec!["Marker"]),
        (
            "Encrypted destinations",
            "src/format/details.rs",
            vec!["ManifestEncryption", "Details", "MemberDetails"],
        ),
        ("Objects in parts", "src/destinations/service/parts.rs", vec!["PartList"]),
        ("Installed plan", "src/observed/facts.rs", vec!["PlanOrigin"]),
        ("Installed plan", "src/workflow/installed.rs", vec!["Header"]),
    ];
    for (section, file, types) in formats {
        let (_, part) =
            text.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no `{section}`"));
        let part = part.split("\n## ").next().unwrap_or_default();
        for (wanted, name) in
            types.iter().flat_map(|it| written_names(file, it).into_iter().map(move |n| (it, n)))
        {
            assert!(
                part.contains(&format!("`{name}`")),
                "docs/FORMAT.md, {section}: `{name}` of {wanted} is missing"
            );
        }
    }
}

/// The keys of every protocol, as docs/DESTINATIONS.md has them.
fn keys_of_protocols() -> String {
    let mut text = String::new();
    for protocol in Protocol::ALL {
        let (word, title) = (protocol.word(), protocol.title());
        text.extend([format!("### `type: {word}`\n\n{title}\n\n| key | what it is |\n|---|---|\n")]);
        for key in protocol.keys() {
            let name = if key.required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
            let secret = match key.form {
                KeyForm::Secret => "A secret. ",
                KeyForm::Reference => "Written as `{ file: PATH }`. ",
                _ => "",
            };
            text.extend([format!("| {name} | {secret}{} |\n", key.help)]);
        }
        text.push('\n');
    }
    format!("Keys in bold must be there.\n\n{}", text.trim_end())
}

#[test]
fn destinations_page_has_the_keys_of_every_protocol() {
    let page = read("docs/DESTINATIONS.md");
    let (head, rest) = page.split_once("<!-- keys -->\n").expect("a mark");
    let (_, tail) = rest.split_once("<!-- /keys -->").expect("a second mark");
    let wanted = format!("{head}<!-- keys -->\n{}\n<!-- /keys -->{tail}", keys_of_protocols());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(root().join("docs/DESTINATIONS.md"), &wanted).expect("docs/DESTINATIONS.md");
    }
    assert!(
        wanted == read("docs/DESTINATIONS.md"),
        "the keys have changed: `UPDATE_EXPECTED=1 cargo test --test docs` writes docs/DESTINATIONS.md anew"
    );
    // What was proven against what is said of each.
    for word in Protocol::ALL.map(Protocol::word) {
        assert!(
            page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{word}`"))),
            "{word}"
        );
    }
}

#[test]
fn changelog_begins_with_this_version() {
    let text = read("CHANGELOG.md");
    let newest = text.lines().find_map(|line| line.strip_prefix("## ")).expect("a version");
    assert_eq!(newest.split_whitespace().next(), Some(env!("CARGO_PKG_VERSION")));
}
