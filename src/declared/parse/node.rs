//! A plan file's text as a tree of nodes, each of which knows where it was written.
//!
//! The text is read by two YAML readers, one that knows places and one that is widely used; a text that they read
//! differently is refused. Nothing here knows a key of the plan file.

use super::problem::{Fault, Place, Problem, Problems};
use super::reader::tree_of;
use serde_yaml::{Number, Value};

/// One node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it was written; for lists and maps in block style, where their key was.
    pub place: Place,
    /// What it holds.
    pub content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Any other scalar.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Vec<Entry>),
}

/// One key of a map, and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_place: Place,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry of a key, where this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::List(_) => {
                &[]
            }
        }
    }

    /// What it is, in a word or two.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// Whether two nodes say the same, wherever they were written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Null, Content::Null) => true,
            (Content::Bool(one), Content::Bool(two)) => one == two,
            (Content::Number(one), Content::Number(two)) => one == two,
            (Content::Text(one), Content::Text(two)) => one == two,
            (Content::List(one), Content::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.says_the_same(two))
            }
            (Content::Map(one), Content::Map(_)) => {
                let same =
                    |entry: &Entry| other.get(&entry.key).is_some_and(|it| it.says_the_same(&entry.node));
                one.len() == other.entries().len() && one.iter().all(same)
            }
            _ => false,
        }
    }
}

/// Reads a text. What is wrong with it is added to the problems; `None` where there is no tree at all.
pub(super) fn read(file: usize, text: &str, problems: &mut Problems) -> Option<Node> {
    let before = problems.len();
    let root = tree_of(file, text, problems)?;
    if problems.len() == before && !agrees(&root, text) {
        let what = "two YAML readers read this file differently".to_owned();
        let fix = "quote values that hold special characters, and write plain block style";
        problems.add(Problem::new(Fault::Ambiguous, what, root.place).fix(fix));
    }
    Some(merged(root, problems))
}

/// Whether the widely used reader sees the same tree.
fn agrees(root: &Node, text: &str) -> bool {
    serde_yaml::from_str::<Value>(text).is_ok_and(|value| same(root, &value))
}

fn same(node: &Node, value: &Value) -> bool {
    match (&node.content, value) {
        (Content::Null, Value::Null) => true,
        (Content::Bool(one), Value::Bool(two)) => one == two,
        (Content::Number(one), Value::Number(two)) => one == two,
        (Content::Text(one), Value::String(two)) => one == two,
        (Content::List(one), Value::Sequence(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Content::Map(one), Value::Mapping(two)) => {
            let found =
                |entry: &Entry| two.get(entry.key.as_str()).is_some_and(|value| same(&entry.node, value));
            one.len() == two.len() && one.iter().all(found)
        }
        _ => false,
    }
}

/// Puts the content of merge keys (`<<`) in place. Keys that the map has itself win, then the earlier of a list.
fn merged(node: Node, problems: &mut Problems) -> Node {
    let content = match node.content {
        Content::List(items) => Content::List(items.into_iter().map(|it| merged(it, problems)).collect()),
        Content::Map(entries) => {
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|entry| Entry { node: merged(entry.node, problems), ..entry })
                .collect();
            let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| entry.key == "<<");
            for merge in merges {
                let sources = match merge.node.content {
                    Content::List(items) => items,
                    content => vec![Node { place: merge.node.place, content }],
                };
                for source in sources {
                    take_over(&mut own, source, problems);
                }
            }
            Content::Map(own)
        }
        content => content,
    };
    Node { place: node.place, content }
}

fn take_over(own: &mut Vec<Entry>, source: Node, problems: &mut Problems) {
    let kind = source.kind();
    let Content::Map(entries) = source.content else {
        let what = format!("`<<` merges maps, and this is {kind}");
        problems.add(Problem::new(Fault::WrongKind, what, source.place).fix("write `<<: *anchor_of_a_map`"));
        return;
    };
    for entry in entries {
        if !own.iter().any(|it| it.key == entry.key) {
            own.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> Option<Node> {
        let mut problems = Problems::default();
        let root = read(0, text, &mut problems)?;
        problems.is_empty().then_some(root)
    }

    fn text_at(text: &str, place: Place) -> &str {
        text.get(place.start..place.end).expect("a place inside the text")
    }

    /// Every scalar's place holds text that reads as that scalar.
    fn check_places(text: &str, node: &Node) {
        match &node.content {
            Content::List(items) => items.iter().for_each(|it| check_places(text, it)),
            Content::Map(entries) => {
                for entry in entries {
                    let key: Value = serde_yaml::from_str(text_at(text, entry.key_place)).expect("a key");
                    assert_eq!(key, Value::String(entry.key.clone()));
                    check_places(text, &entry.node);
                }
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {
                let written = text_at(text, node.place);
                let value: Value = serde_yaml::from_str(written).expect("a scalar");
                assert!(same(node, &value), "{written:?} is not {node:?}");
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z]{0,6}", "[^\\p{Cc}]{0,8}", "[ -~]{0,8}"];
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            text.clone().prop_map(Value::String),
        ];
        scalar.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Sequence),
                proptest::collection::btree_map(text.clone(), inner, 0..5).prop_map(|map| {
                    let entries = map.into_iter().filter(|(key, _)| key != "<<");
                    Value::Mapping(entries.map(|(key, value)| (Value::String(key), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn places_hold_what_the_tree_says_and_both_readers_agree(value in value()) {
            let text = serde_yaml::to_string(&value).expect("YAML");
            let node = tree(&text).ok_or_else(|| TestCaseError::fail(text.clone()))?;
            prop_assert!(same(&node, &value), "{}", text);
            check_places(&text, &node);
        }
    }

    #[test]
    fn anchors_tags_and_comments_are_not_part_of_a_place() {
        let text = "a: &x one # comment\nb: \"two\"\nc: [ *x , 'three' ]\n";
        let node = tree(text).expect("a tree");
        let written = |keys: &[&str]| {
            text_at(text, keys.iter().fold(&node, |node, key| node.get(key).expect("a key")).place)
        };
        assert_eq!(written(&["a"]), "one");
        assert_eq!(written(&["b"]), "\"two\"");
        assert_eq!(written(&["c"]), "[ *x , 'three' ]");
        let Content::List(items) = &node.get("c").expect("c").content else { panic!("a list") };
        assert_eq!(text_at(text, items[0].place), "*x");
        assert!(matches!(&items[0].content, Content::Text(text) if text == "one"));
    }

    #[test]
    fn merge_keys_chain_and_own_keys_win() {
        let text = "a: &a { k: 1, l: 1 }\nb: &b { <<: *a, l: 2 }\nc: { <<: [*b, { l: 3, m: 3 }], n: 4 }\n";
        let node = tree(text).expect("a tree");
        let merged = tree("{ n: 4, l: 2, k: 1, m: 3 }").expect("a tree");
        assert!(node.get("c").expect("c").says_the_same(&merged));
    }

    #[test]
    fn a_text_that_two_readers_read_differently_is_refused() {
        // A line separator ends a line in YAML 1.1 and does not in YAML 1.2.
        let mut problems = Problems::default();
        read(0, "a: b\u{2028}c\n", &mut problems);
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn aliases_of_aliases_are_counted_before_they_are_copied() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..40 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text = format!("{text}a{level}: &a{level} [{below}]\n");
        }
        let mut problems = Problems::default();
        assert!(read(0, &text, &mut problems).is_none());
        assert_eq!(problems.len(), 1);
    }
}
