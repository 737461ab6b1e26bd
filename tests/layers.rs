//! The rules of the house, held against the source itself: layers, lengths, words, dependencies.
//!
//! The table of layers is the one in `src/lib.rs`; nothing is said twice. Code that exists only in tests is exempt.
#![expect(clippy::disallowed_methods, reason = "the source is read as files")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Longest file, in lines, its tests apart.
const FILE_LINES_MAX: usize = 450;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 100;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = |list: &syn::MetaList| list.tokens.to_string();
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| text(list) == "test")
    })
}

/// One file of `src/`.
struct Source {
    /// Below `src/`, such as `workflow/run/session.rs`.
    name: String,
    /// Such as `["workflow", "run", "session"]`.
    module: Vec<String>,
    text: String,
    syntax: syn::File,
}

impl Source {
    fn layer(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }
}

/// What a file declares as `mod NAME;` under `#[cfg(test)]`.
fn test_modules(source: &Source) -> Vec<Vec<String>> {
    let declared = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => {
            let path = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
            let renamed = path.and_then(|attribute| match &attribute.meta.require_name_value().ok()?.value {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                    Some(text.value().trim_end_matches(".rs").to_owned())
                }
                _ => None,
            });
            let mut full = source.module.clone();
            match renamed {
                // `#[path]` is relative to the file's folder, not to the module.
                Some(file) => {
                    let is_folder = source.name.ends_with("mod.rs");
                    full.truncate(full.len() - usize::from(!is_folder));
                    full.push(file);
                }
                None => full.push(module.ident.to_string()),
            }
            Some(full)
        }
        _ => None,
    });
    declared.collect()
}

/// `src/` without what exists only in tests.
fn sources() -> Vec<Source> {
    let all: Vec<Source> = rust_files("src")
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let below = path.strip_prefix(root().join("src")).expect("a file of src").to_path_buf();
            let stem = below.with_extension("");
            let mut module: Vec<String> =
                stem.iter().map(|part| part.to_str().expect("a plain name").to_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Source { name: below.display().to_string(), module, text, syntax }
        })
        .collect();
    let tests: Vec<Vec<String>> = all.iter().flat_map(test_modules).collect();
    let (kept, _): (Vec<Source>, Vec<Source>) =
        all.into_iter().partition(|source| !tests.iter().any(|test| source.module.starts_with(test)));
    assert!(kept.len() > 100, "only {} files were found: the search is broken", kept.len());
    kept
}

/// Each layer with the words of its line in the table of `src/lib.rs`: layers, or `bottom` for those of the bottom.
fn written_table() -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| *line != "//! ```text")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//!").split_whitespace().collect())
        .collect();
    let names: BTreeSet<&str> = lines.iter().filter_map(|words| words.first().copied()).collect();
    let bottom: BTreeSet<String> = lines
        .iter()
        .find(|words| words.starts_with(&["bottom", "="]))
        .expect("the table says what the bottom is")
        .iter()
        .skip(2)
        .map(|word| (*word).to_owned())
        .collect();
    let rules = lines.iter().filter(|words| words[0] != "bottom").map(|words| {
        let may_use = words[1..].iter().take_while(|word| names.contains(**word));
        (words[0].to_owned(), may_use.map(|word| (*word).to_owned()).collect())
    });
    (rules.collect(), bottom)
}

/// Each layer with the layers that it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let (mut table, bottom) = written_table();
    for may_use in table.values_mut() {
        if may_use.remove("bottom") {
            may_use.extend(bottom.iter().cloned());
        }
    }
    table
}

/// Calls `each` with every path in code that is not only in tests: `use` trees spelled out, paths, and what looks
/// like one inside of macros and attributes.
struct Paths<'a> {
    each: &'a mut dyn FnMut(Vec<String>),
}

impl Paths<'_> {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => (self.each)(with(&name.ident)),
            syn::UseTree::Rename(name) => (self.each)(with(&name.ident)),
            syn::UseTree::Glob(_) => (self.each)(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
        }
    }

    fn tokens(&mut self, tokens: &TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens.clone() {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(&group.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end(&mut path);
                    colons = 0;
                }
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            (self.each)(std::mem::take(path));
        }
        path.clear();
    }
}

/// Items that exist only in tests are not visited.
macro_rules! skip_tests {
    ($($name:ident: $type:ty),+ $(,)?) => {
        $(fn $name(&mut self, item: &'ast $type) {
            if !is_test(&item.attrs) {
                syn::visit::$name(self, item);
            }
        })+
    };
}

impl<'ast> Visit<'ast> for Paths<'_> {
    skip_tests!(
        visit_item_mod: syn::ItemMod, visit_item_fn: syn::ItemFn, visit_impl_item_fn: syn::ImplItemFn,
        visit_item_impl: syn::ItemImpl, visit_item_struct: syn::ItemStruct, visit_item_const: syn::ItemConst,
    );

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        (self.each)(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(&item.tokens);
        syn::visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let Ok(list) = attribute.meta.require_list() {
            self.tokens(&list.tokens);
        }
        syn::visit::visit_attribute(self, attribute);
    }
}

fn paths(source: &Source) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    Paths { each: &mut |path| found.push(path) }.visit_file(&source.syntax);
    found
}

/// The layer that a path of this crate leads to; none where it stays in its own module or leaves the crate.
fn layer_of(source: &Source, path: &[String]) -> Option<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => path.get(1).cloned(),
        "super" if ups >= source.module.len() => path.get(ups).cloned(),
        _ => None,
    }
}

#[test]
fn imports_point_downward_as_the_table_says() {
    let table = table();
    let mut wrong = BTreeSet::new();
    for source in
        sources().iter().filter(|source| source.name.contains('/') || table.contains_key(source.layer()))
    {
        let may_use =
            table.get(source.layer()).unwrap_or_else(|| panic!("no layer in the table: {}", source.name));
        for layer in paths(source).iter().filter_map(|path| layer_of(source, path)) {
            if table.contains_key(&layer) && layer != source.layer() && !may_use.contains(&layer) {
                wrong.insert(format!("{} uses {layer}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "the table in src/lib.rs does not allow: {wrong:#?}");
}

#[test]
fn every_permission_of_the_table_is_needed() {
    let (table, bottom) = written_table();
    let mut unused: BTreeSet<(String, String)> = table
        .into_iter()
        .flat_map(|(layer, may_use)| may_use.into_iter().map(move |used| (layer.clone(), used)))
        .collect();
    for source in sources() {
        for layer in paths(&source).iter().filter_map(|path| layer_of(&source, path)) {
            let via_bottom =
                bottom.contains(&layer).then(|| (source.layer().to_owned(), "bottom".to_owned()));
            unused.remove(&(source.layer().to_owned(), layer));
            via_bottom.map(|pair| unused.remove(&pair));
        }
    }
    assert!(unused.is_empty(), "the table in src/lib.rs allows what nobody does: {unused:?}");
}

#[test]
fn kinds_never_know_each_other() {
    let adapters = ["sources", "destinations", "schedulers"];
    let all = sources();
    let kinds: BTreeSet<Vec<String>> = all
        .iter()
        .filter(|source| adapters.contains(&source.layer()) && source.module.len() > 1)
        .map(|source| source.module[..2].to_vec())
        // What finds the programs of every kind that runs some.
        .filter(|module| *module != ["sources", "tool"])
        // What destinations behind a network have in common.
        .filter(|module| !["remote", "runtime", "marker"].iter().any(|it| *module == ["destinations", *it]))
        .collect();
    assert!(kinds.len() >= 5, "only {kinds:?} were found");
    for source in all.iter().filter(|source| adapters.contains(&source.layer()) && source.module.len() > 1) {
        for path in paths(source) {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let full: Vec<String> = match path.first().map(String::as_str) {
                Some("crate") => path[1..].to_vec(),
                Some("super") if ups <= source.module.len() => {
                    [&source.module[..source.module.len() - ups], &path[ups..]].concat()
                }
                _ => continue,
            };
            let other = kinds.iter().find(|kind| full.starts_with(kind) && !source.module.starts_with(kind));
            assert!(other.is_none(), "{} knows the kind {other:?}", source.name);
        }
    }
}

#[test]
fn pipeline_and_decide_open_nothing() {
    let opening = [["sources", "source"], ["sources", "restorer"], ["destinations", "open"]];
    for source in sources().iter().filter(|source| ["pipeline", "decide"].contains(&source.layer())) {
        for path in paths(source) {
            let opens = path.windows(2).any(|pair| opening.iter().any(|it| pair == it));
            assert!(!opens, "{}: {} belongs to the workflow", source.name, path.join("::"));
        }
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = std::fs::read_to_string(&path).expect("a source file");
        assert!(text.starts_with("//! "), "{} does not open with `//!`", path.display());
    }
}

#[test]
fn files_and_functions_are_short() {
    struct Lengths<'a> {
        file: &'a str,
        wrong: Vec<String>,
    }
    impl Lengths<'_> {
        fn function(&mut self, name: &syn::Ident, span: proc_macro2::Span) {
            let lines = span.end().line + 1 - span.start().line;
            if lines > FUNCTION_LINES_MAX {
                self.wrong.push(format!("{}: `{name}` has {lines} lines", self.file));
            }
        }
    }
    impl<'ast> Visit<'ast> for Lengths<'_> {
        skip_tests!(visit_item_mod: syn::ItemMod);
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.function(&item.sig.ident, item.block.span());
            syn::visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.function(&item.sig.ident, item.block.span());
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
    let mut wrong = Vec::new();
    for source in sources() {
        let tests = source.syntax.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) if is_test(&module.attrs) => {
                Some(module.span().end().line + 1 - module.span().start().line)
            }
            _ => None,
        });
        let lines = source.text.lines().count() - tests.sum::<usize>();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{} has {lines} lines", source.name));
        }
        let mut lengths = Lengths { file: &source.name, wrong: Vec::new() };
        lengths.visit_file(&source.syntax);
        wrong.extend(lengths.wrong);
    }
    assert!(wrong.is_empty(), "too long: {wrong:#?}");
}

#[test]
fn nothing_gives_up_outside_of_tests() {
    struct GivingUp(Vec<String>);
    impl<'ast> Visit<'ast> for GivingUp {
        skip_tests!(
            visit_item_mod: syn::ItemMod, visit_item_fn: syn::ItemFn, visit_impl_item_fn: syn::ImplItemFn,
            visit_item_impl: syn::ItemImpl,
        );
        fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
            if ["unwrap", "unwrap_err"].contains(&call.method.to_string().as_str()) {
                self.0.push(format!("`{}` in line {}", call.method, call.method.span().start().line));
            }
            syn::visit::visit_expr_method_call(self, call);
        }
        fn visit_macro(&mut self, item: &'ast syn::Macro) {
            let name = item.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default();
            let last_resorts = ["panic", "todo", "unimplemented", "unreachable", "dbg", "print", "eprint"];
            if last_resorts.contains(&name.trim_end_matches("ln")) {
                self.0.push(format!("`{name}!` in line {}", item.span().start().line));
            }
            if inside(&item.tokens, "unwrap") {
                self.0.push(format!("`unwrap` in a macro in line {}", item.span().start().line));
            }
        }
        fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
            if attribute.path().is_ident("allow") {
                self.0.push(format!("`#[allow]` in line {}", attribute.span().start().line));
            }
        }
    }
    let mut wrong = BTreeMap::new();
    for source in sources() {
        let mut giving_up = GivingUp(Vec::new());
        giving_up.visit_file(&source.syntax);
        if !giving_up.0.is_empty() {
            wrong.insert(source.name, giving_up.0);
        }
    }
    assert!(wrong.is_empty(), "return an error, or `expect` an invariant and say which: {wrong:#?}");
}

fn inside(tokens: &TokenStream, word: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(name) => name == word,
        TokenTree::Group(group) => group.delimiter() != Delimiter::None && inside(&group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[test]
fn no_file_is_named_after_nothing() {
    let empty = ["util", "utils", "helper", "helpers", "manager", "data", "info", "misc", "common"];
    for path in rust_files("src") {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        assert!(!empty.contains(&stem), "{} says nothing of what is in it", path.display());
    }
}

/// The dependencies of a table of `Cargo.toml`, each with the rest of its line.
fn dependencies(table: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let found: BTreeMap<String, String> = text
        .lines()
        .skip_while(|line| *line != format!("[{table}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| {
            let (name, rest) = line.split_once('=')?;
            Some((name.trim().to_owned(), rest.to_owned()))
        })
        .collect();
    assert!(!found.is_empty(), "Cargo.toml has no [{table}]");
    found
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    for table in ["dependencies", "dev-dependencies"] {
        for (name, rest) in dependencies(table) {
            let reason = rest.split_once('#').map_or("", |(_, reason)| reason.trim());
            assert!(reason.len() > 5, "[{table}] {name}: say why it is here, behind `#` in its line");
        }
    }
}

#[test]
fn every_dependency_is_used() {
    let firsts = |paths: Vec<Vec<String>>| paths.into_iter().filter_map(|path| path.into_iter().next());
    let shipped: BTreeSet<String> = sources().iter().flat_map(|source| firsts(paths(source))).collect();
    let unused = |table: &str, used: &dyn Fn(&str) -> bool| -> Vec<String> {
        dependencies(table).into_keys().filter(|name| !used(&name.replace('-', "_"))).collect()
    };
    let missing = unused("dependencies", &|name| shipped.contains(name));
    assert!(missing.is_empty(), "the program uses none of {missing:?}: take them out of Cargo.toml");
    let in_tests: Vec<String> = rust_files("src")
        .into_iter()
        .chain(rust_files("tests"))
        .map(|path| std::fs::read_to_string(path).expect("a source file"))
        .collect();
    let missing = unused("dev-dependencies", &|name| {
        let path = format!("{name}::");
        in_tests.iter().any(|text| text.contains(&path))
    });
    assert!(missing.is_empty(), "no test uses {missing:?}: take them out of Cargo.toml");
}
