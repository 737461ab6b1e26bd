//! What keeps a Mac from building bkp, looked for in the source: names that only Linux has.
//!
//! No Mac compiles this project in its tests, so the names are listed here, from rustix's own `cfg`s. The list can only
//! know what somebody put into it; `cargo check --target aarch64-apple-darwin` knows the rest, types too.
#![expect(clippy::disallowed_methods, reason = "the source is read as files")]

use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};
use syn::visit::Visit;

/// Names that rustix or std has on Linux and not on a Mac.
const LINUX_ONLY: &[&str] = &[
    "Advice",
    "RawDir",
    "copy_file_range",
    "fadvise",
    "getrandom",
    "inotify",
    "memfd_create",
    "mkfifoat",
    "mknodat",
    "mount",
    "openat2",
    "pipe_with",
    "preadv2",
    "prctl",
    "pwritev2",
    "sendfile",
    "statx",
    "sync_file_range",
    "syncfs",
    "tgkill",
    "timerfd",
    "eventfd",
    "epoll",
    "pidfd_open",
    "unmount",
    "unshare",
    "linux",
];
/// The same, where the last word alone says nothing. `NODATA` exists on a Mac and means something else there.
const LINUX_ONLY_OF: &[(&str, &str)] = &[
    ("OFlags", "PATH"),
    ("OFlags", "TMPFILE"),
    ("OFlags", "NOATIME"),
    ("OFlags", "DIRECT"),
    ("Errno", "NODATA"),
    ("AtFlags", "EMPTY_PATH"),
    ("AtFlags", "NO_AUTOMOUNT"),
];
/// Names from the first list that are our own too, so that only rustix's count.
const OURS_TOO: &[&str] = &["mount", "linux", "Advice"];
/// Paths that only Linux has.
const LINUX_PATHS: &[&str] = &["/proc/self"];

fn is_guard(attribute: &syn::Attribute) -> bool {
    let words = || attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
    attribute.path().is_ident("cfg") && ["test", "target_os = \"linux\""].contains(&words().as_str())
}

fn is_guarded(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(is_guard)
}

/// The names in a file that a Mac lacks, each with its line.
#[derive(Default)]
struct Lacking(Vec<String>);

impl Lacking {
    fn in_file(file: &syn::File) -> Vec<String> {
        let mut lacking = Self::default();
        if !is_guarded(&file.attrs) {
            lacking.visit_file(file);
        }
        lacking.0
    }

    fn path(&mut self, path: &[&syn::Ident]) {
        let words: Vec<String> = path.iter().map(ToString::to_string).collect();
        let of_system = ["rustix", "std"].contains(&words.first().map_or("", String::as_str));
        for (word, ident) in words.iter().zip(path) {
            let ours = OURS_TOO.contains(&word.as_str()) && !of_system;
            if LINUX_ONLY.contains(&word.as_str()) && !ours && !Self::is_our_own(&words) {
                self.0.push(format!("`{word}` in line {}", ident.span().start().line));
            }
        }
        for (pair, ident) in words.windows(2).zip(path) {
            if LINUX_ONLY_OF.iter().any(|(of, word)| pair == [*of, *word]) {
                self.0.push(format!("`{}` in line {}", pair.join("::"), ident.span().start().line));
            }
        }
    }

    fn is_our_own(words: &[String]) -> bool {
        ["crate", "self", "super", "Self"].contains(&words[0].as_str())
    }

    fn tree<'a>(&mut self, before: &[&'a syn::Ident], tree: &'a syn::UseTree) {
        let with = |ident: &'a syn::Ident| [before, &[ident]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.path(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(before, item)),
        }
    }

    fn text(&mut self, text: &str, line: usize) {
        if LINUX_PATHS.iter().any(|path| text.contains(path)) {
            self.0.push(format!("{text} in line {line}"));
        }
    }

    fn tokens(&mut self, tokens: &TokenStream) {
        for token in tokens.clone() {
            match token {
                TokenTree::Group(group) => self.tokens(&group.stream()),
                TokenTree::Literal(literal) => self.text(&literal.to_string(), literal.span().start().line),
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

/// Items that only Linux, or only a test, compiles are not visited.
macro_rules! skip_guarded {
    ($($name:ident: $type:ty),+ $(,)?) => {
        $(fn $name(&mut self, item: &'ast $type) {
            if !is_guarded(&item.attrs) {
                syn::visit::$name(self, item);
            }
        })+
    };
}

impl<'ast> Visit<'ast> for Lacking {
    skip_guarded!(
        visit_item_mod: syn::ItemMod, visit_item_fn: syn::ItemFn, visit_impl_item_fn: syn::ImplItemFn,
        visit_item_impl: syn::ItemImpl, visit_item_struct: syn::ItemStruct, visit_item_const: syn::ItemConst,
        visit_item_static: syn::ItemStatic, visit_local: syn::Local, visit_expr_block: syn::ExprBlock,
        visit_arm: syn::Arm,
    );

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_guarded(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<&syn::Ident> = path.segments.iter().map(|segment| &segment.ident).collect();
        self.path(&words);
        syn::visit::visit_path(self, path);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.text(&format!("{:?}", text.value()), text.span().start().line);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(&item.tokens);
        syn::visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, _attribute: &'ast syn::Attribute) {
        // Comments may name what they explain.
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            // Files of tests, which are declared under `#[cfg(test)]`.
            let of_tests = stem.ends_with("tests") || stem == "testing";
            if path.is_dir() && !of_tests {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && !of_tests {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn nothing_that_only_linux_has_is_used_unguarded() {
    let files = rust_files();
    assert!(files.len() > 100, "only {} files were found: the search is broken", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        wrong.extend(Lacking::in_file(&file).into_iter().map(|it| format!("{}: {it}", path.display())));
    }
    assert!(
        wrong.is_empty(),
        "a Mac has none of these: guard the item with `#[cfg(target_os = \"linux\")]` and say what is true elsewhere: \
         {wrong:#?}"
    );
}

#[test]
fn search_finds_what_it_is_for_and_lets_guarded_items_pass() {
    let lacking = |text: &str| Lacking::in_file(&syn::parse_str(text).expect("Rust")).len();
    for text in [
        "use rustix::fs::{AtFlags, RawDir};",
        "use std::os::linux::fs::MetadataExt;",
        "fn f() { rustix::fs::mknodat(a, b, c, d, e); }",
        "const FLAGS: OFlags = OFlags::PATH;",
        "fn f() { match e { Err(Errno::NODATA) => {} _ => {} } }",
        "fn f() { rustix::mount::mount(a); }",
        "fn f() { let path = format!(\"/proc/self/fd/{}\", 3); }",
        "fn f() { std::fs::read(\"/proc/self/mountinfo\"); }",
    ] {
        assert!(lacking(text) > 0, "{text}");
        assert_eq!(lacking(&format!("#[cfg(target_os = \"linux\")] {text}")), 0, "{text}");
        assert!(lacking(&format!("#[cfg(not(target_os = \"linux\"))] {text}")) > 0, "{text}");
    }
    for fine in
        ["fn mount() { host.mount(path); mount_of(path); }", "/// As /proc/self/mountinfo.\nfn f() {}"]
    {
        assert_eq!(lacking(fine), 0, "{fine}");
    }
}
