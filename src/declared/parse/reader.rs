//! Turns a plan file's text into a tree, with the place of each node, in one pass over the parser's events.
//!
//! Limits are checked before memory is spent: aliases of aliases can stand for more than memory holds.

use super::node::{Content, Entry, Node};
use super::problem::{Fault, Place, Problem, Problems};
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};
use serde_yaml::Value;
use std::collections::HashMap;

/// How deep lists and maps may nest, aliases followed.
const DEPTH_MAX: usize = 64;
/// How many nodes a file may have, aliases followed.
const NODES_MAX: usize = 200_000;

/// The tree of a text, merge keys not yet applied. `None` where there is none; why has been noted.
pub(super) fn tree_of(file: usize, text: &str, problems: &mut Problems) -> Option<Node> {
    Reader { file, text, problems, frames: Vec::new(), anchors: HashMap::new(), nodes: 0 }.run()
}

/// The reading cannot go on; why has been noted.
#[derive(Debug, Clone, Copy)]
struct Stopped;

/// A scalar without quotes, as YAML 1.2's core schema reads it.
fn plain(text: &str) -> Content {
    let first = text.bytes().next();
    // Most words need no second reader: what is not text begins with a digit, a sign or a dot, or is `true`, `false`
    // or `null`.
    let letter = first.is_some_and(|byte| byte == b'/' || byte.is_ascii_alphabetic());
    if letter && (text.len() > "false".len() || !first.is_some_and(|byte| b"tTfFnN".contains(&byte))) {
        return Content::Text(text.to_owned());
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(Value::Null) => Content::Null,
        Ok(Value::Bool(bool)) => Content::Bool(bool),
        Ok(Value::Number(number)) => Content::Number(number),
        Ok(Value::String(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_)) | Err(_) => {
            Content::Text(text.to_owned())
        }
    }
}

/// A finished node, with how many nodes it holds and how deep they nest.
#[derive(Debug, Clone)]
struct Finished {
    node: Node,
    nodes: usize,
    height: usize,
    block: bool,
}

/// A list or a map that is still open.
struct Frame {
    start: Place,
    block: bool,
    anchor: usize,
    nodes: usize,
    height: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Place>, key: Option<(Option<String>, Place)> },
}

struct Reader<'a> {
    file: usize,
    text: &'a str,
    problems: &'a mut Problems,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Finished>,
    nodes: usize,
}

impl Reader<'_> {
    fn run(mut self) -> Option<Node> {
        let mut root = None;
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let offset = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
                    let place = Place { file: self.file, start: offset, end: offset };
                    let what = format!("this is not YAML: {}", error.info());
                    self.problems.add(Problem::new(Fault::Syntax, what, place));
                    return None;
                }
            };
            let range = span.byte_range().unwrap_or(0..0);
            let place = Place { file: self.file, start: range.start, end: range.end };
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents == 2 {
                    let what = "a plan file holds one YAML document, and here a second one begins".to_owned();
                    let problem = Problem::new(Fault::Syntax, what, place)
                        .fix("put it into a file of its own in a folder, and give bkp the folder");
                    self.problems.add(problem);
                    return None;
                }
            }
            let tag_place = span.tag_span().and_then(|it| it.byte_range());
            let tag_place = tag_place.map(|it| Place { file: self.file, start: it.start, end: it.end });
            if let Some(finished) = self.take(event, place, tag_place).ok()? {
                root = Some(finished);
            }
        }
        if root.is_none() {
            let place = Place { file: self.file, start: 0, end: 0 };
            let problem = Problem::new(Fault::Missing, "the plan file is empty".to_owned(), place);
            self.problems.add(problem.fix("the examples under `plans/` show what to write"));
        }
        root
    }

    /// Takes one event. `Some` is the document's root.
    fn take(
        &mut self,
        event: Event<'_>,
        place: Place,
        tag_place: Option<Place>,
    ) -> Result<Option<Node>, Stopped> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(tag_place.unwrap_or(place));
                }
                self.count(1, place)?;
                let content = match style {
                    ScalarStyle::Plain => plain(&text),
                    _ => Content::Text(text.into_owned()),
                };
                let node = Node { place, content };
                self.finish(Finished { node, nodes: 1, height: 1, block: false }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(nodes) = self.anchors.get(&anchor).map(|it| it.nodes) else {
                    let what = "an alias inside the node that it stands for".to_owned();
                    self.problems.add(Problem::new(Fault::Syntax, what, place));
                    return Err(Stopped);
                };
                // Before it is copied.
                self.count(nodes, place)?;
                let mut finished = self.anchors.get(&anchor).ok_or(Stopped)?.clone();
                finished.node.place = place;
                finished.block = false;
                self.finish(finished, 0)
            }
            Event::SequenceStart(style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(tag_place.unwrap_or(place));
                }
                self.open(place, style, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(tag_place.unwrap_or(place));
                }
                let inside = Inside::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.open(place, style, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place),
            _ => Ok(None),
        }
    }

    fn refuse_tag(&mut self, place: Place) {
        let problem = Problem::new(Fault::Syntax, "tags have no meaning in a plan file".to_owned(), place);
        self.problems.add(problem.fix("remove it; to write a number as text, put it in quotes"));
    }

    fn open(
        &mut self,
        start: Place,
        style: StructureStyle,
        anchor: usize,
        inside: Inside,
    ) -> Result<Option<Node>, Stopped> {
        let block = matches!(style, StructureStyle::Block);
        self.count(1, start)?;
        self.frames.push(Frame { start, block, anchor, nodes: 1, height: 1, inside });
        self.within(self.frames.len() <= DEPTH_MAX, start, || {
            format!("lists and maps nest deeper than {DEPTH_MAX}")
        })?;
        Ok(None)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Stopped> {
        self.nodes = self.nodes.saturating_add(nodes);
        let fits = self.nodes <= NODES_MAX;
        self.within(fits, place, || format!("more than {NODES_MAX} nodes, aliases followed"))
    }

    fn within(&mut self, fits: bool, place: Place, what: impl FnOnce() -> String) -> Result<(), Stopped> {
        if fits {
            return Ok(());
        }
        self.problems.add(Problem::new(Fault::TooLarge, what(), place));
        Err(Stopped)
    }

    fn close(&mut self, end: Place) -> Result<Option<Node>, Stopped> {
        let frame = self.frames.pop().expect("the parser closes only what it opened");
        let (content, first) = match frame.inside {
            Inside::List(items) => {
                let first = items.first().map(|it| it.place);
                (Content::List(items), first)
            }
            Inside::Map { entries, .. } => {
                let first = entries.first().map(|it| it.key_place);
                (Content::Map(entries), first)
            }
        };
        let place = if frame.block { first.unwrap_or(frame.start) } else { self.one_line(frame.start, end) };
        let node = Node { place, content };
        let finished = Finished { node, nodes: frame.nodes, height: frame.height, block: frame.block };
        self.finish(finished, frame.anchor)
    }

    /// From start to end, cut at the end of the first line.
    fn one_line(&self, start: Place, end: Place) -> Place {
        let whole = self.text.get(start.start..end.end).unwrap_or_default();
        let length = whole.find(['\n', '\r']).unwrap_or(whole.len());
        Place { end: start.start + length, ..start }
    }

    /// Hands a finished node to the list or map around it.
    fn finish(&mut self, finished: Finished, anchor: usize) -> Result<Option<Node>, Stopped> {
        if anchor != 0 {
            self.anchors.insert(anchor, finished.clone());
        }
        let fits = self.frames.len() + finished.height <= DEPTH_MAX + 1;
        self.within(fits, finished.node.place, || format!("lists and maps nest deeper than {DEPTH_MAX}"))?;
        let Some(frame) = self.frames.last_mut() else {
            return Ok(Some(finished.node));
        };
        frame.nodes = frame.nodes.saturating_add(finished.nodes);
        frame.height = frame.height.max(finished.height + 1);
        match &mut frame.inside {
            Inside::List(items) => items.push(finished.node),
            Inside::Map { entries, seen, key } => match key.take() {
                None => *key = Some((key_of(&finished.node, self.problems), finished.node.place)),
                Some((None, _)) => {}
                Some((Some(name), key_place)) => {
                    let mut node = finished.node;
                    if finished.block {
                        node.place = key_place;
                    }
                    if let Some(earlier) = seen.get(&name) {
                        self.problems.add(duplicate(&name, key_place, *earlier));
                    } else {
                        seen.insert(name.clone(), key_place);
                        entries.push(Entry { key: name, key_place, node });
                    }
                }
            },
        }
        Ok(None)
    }
}

fn duplicate(name: &str, place: Place, earlier: Place) -> Problem {
    Problem::new(Fault::Duplicate, format!("`{name}` is given twice"), place)
        .also(earlier, "first given here")
        .fix("keep one of them")
}

fn key_of(node: &Node, problems: &mut Problems) -> Option<String> {
    if let Content::Text(text) = &node.content {
        return Some(text.clone());
    }
    let what = format!("a key is text, and this is {}", node.kind());
    problems.add(Problem::new(Fault::WrongKind, what, node.place).fix("put it in quotes"));
    None
}
