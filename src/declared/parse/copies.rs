//! What must hold between destinations: who is filled from whom, and where artifacts lie.

use super::decoder::{Decoder, suggestion};
use super::node::Node;
use super::problem::{Fault, Place};
use crate::declared::{
    DestinationName, Encryption, LayoutTemplate, MemberChoice, Placeholder, Plan, SetDeclaration, SetName,
    SourceDeclaration,
};

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;

impl Decoder<'_> {
    /// `copy_from` names a destination of the plan, leads round in no circle, and fits what each set says.
    pub fn check_copies(&mut self, plan: &Plan, root: &Node) {
        for (name, destination) in &plan.destinations {
            let Some(from) = &destination.copy_from else { continue };
            let place = place_of(root, &["destinations", name.as_str(), "copy_from"]);
            let Some(origin) = plan.destinations.get(from) else {
                let known: Vec<&str> = plan
                    .destinations
                    .keys()
                    .map(DestinationName::as_str)
                    .filter(|it| *it != name.as_str())
                    .collect();
                let what = format!("no destination is called `{from}`");
                self.note(Fault::Dangling, what, place, suggestion(from.as_str(), &known));
                continue;
            };
            if circle(plan, name) {
                let what = format!("`{name}` would be filled from itself");
                self.note(Fault::Conflict, what, place, "let one of the circle be filled by its sets");
                continue;
            }
            if origin.encryption != destination.encryption {
                let what =
                    format!("`{name}` is filled with what `{from}` keeps, which is encrypted otherwise");
                self.note(
                    Fault::Conflict,
                    what,
                    place,
                    "give both the same `encryption`, or remove `copy_from`",
                );
            }
        }
        for (name, set) in &plan.sets {
            self.check_copies_of(plan, (name, set), root);
        }
    }

    fn check_copies_of(&mut self, plan: &Plan, (name, set): (&SetName, &SetDeclaration), root: &Node) {
        let used = plan.destinations_of(set);
        let place = place_of(root, &["sets", name.as_str()]);
        for destination in used {
            let from = plan.destinations.get(destination).and_then(|it| it.copy_from.as_ref());
            let Some(from) = from.filter(|from| plan.destinations.contains_key(from)) else { continue };
            if !used.contains(from) {
                let what = format!(
                    "set `{name}` goes to `{destination}`, which is filled from `{from}`, and not to `{from}`"
                );
                self.note(Fault::Dangling, what, place, format!("add `{from}` to the set's destinations"));
            } else if plan.compression(set, from) != plan.compression(set, destination) {
                let what = format!(
                    "`{destination}` is filled with what `{from}` keeps of set `{name}`, and compressed otherwise"
                );
                self.note(Fault::Conflict, what, place, "give both destinations the same `compression`");
            }
        }
        let Some(require) = set.require.or(plan.defaults.require) else { return };
        let asked = require.copies.unwrap_or(0).max(require.off_host.unwrap_or(0));
        if asked as usize > used.len() && !used.is_empty() {
            let what = format!(
                "set `{name}` has {} destinations, and `require` asks for {asked} copies",
                used.len()
            );
            self.note(Fault::Conflict, what, place, "add a destination, or ask for fewer copies");
        }
    }

    /// A template names no artifact twice, and its ending says how the artifact is packed.
    pub fn check_layouts(&mut self, plan: &Plan, root: &Node) {
        for (name, destination) in &plan.destinations {
            let Some(template) = &destination.layout else { continue };
            let place = place_of(root, &["destinations", name.as_str(), "layout"]);
            let sets: Vec<_> =
                plan.sets.iter().filter(|(_, set)| plan.destinations_of(set).contains(name)).collect();
            if sets.len() > 1 && !template.has(Placeholder::Set) {
                let what = format!("{} sets would write to the same names: `{template}`", sets.len());
                self.note(Fault::Conflict, what, place, "add `{set}`");
            }
            if destination.encryption.is_some() && template.has(Placeholder::Member) {
                let what = "`{member}` would show the members' names, which encryption hides";
                self.note(Fault::Conflict, what, place, "remove `{member}`, or the `encryption`");
            }
            for (set_name, set) in sets {
                let compression = plan.compression(set, name);
                let encryption = destination.encryption.as_ref().map_or("", |_| Encryption::EXTENSION);
                let ending = format!("{}{encryption}", compression.extension());
                let packed = [".zst", ".gz", ".age"].iter().any(|it| template.ending().ends_with(it));
                if !template.ending().ends_with(&ending) || (ending.is_empty() && packed) {
                    let what =
                        format!("`{template}` does not end as set `{set_name}` is packed for it: `{ending}`");
                    self.note(
                        Fault::Conflict,
                        what,
                        place,
                        "end it so, or change `compression` or `encryption`",
                    );
                }
                self.check_layout(plan, template, (set_name, set), place);
            }
        }
    }

    fn check_layout(
        &mut self,
        plan: &Plan,
        template: &LayoutTemplate,
        (name, set): (&SetName, &SetDeclaration),
        place: Place,
    ) {
        let precise = template.has(Placeholder::Time) || template.has(Placeholder::Snapshot);
        let period = plan.calendar(set).period_min().seconds();
        if !precise && !template.has(Placeholder::Date) {
            let what = format!("`{template}` is the same name for every snapshot of set `{name}`");
            self.note(Fault::Conflict, what, place, "add `{date}`, or `{snapshot}`");
        } else if !precise && period < DAY_SECONDS {
            let what = format!("set `{name}` runs more than once a day, and `{template}` repeats within it");
            self.note(Fault::Conflict, what, place, "add `{time}`");
        }
        if !template.has(Placeholder::Member) && has_members(&set.source) {
            let what = format!("the members of set `{name}` would all be called `{template}`");
            self.note(Fault::Conflict, what, place, "add `{member}`");
        }
    }
}

fn place_of(root: &Node, keys: &[&str]) -> Place {
    keys.iter().try_fold(root, |node, key| node.get(key)).map_or(root.place, |node| node.place)
}

/// Whether following `copy_from` leads back to where it began.
fn circle(plan: &Plan, name: &DestinationName) -> bool {
    let mut at = name;
    for _ in 0..plan.destinations.len() {
        match plan.destinations.get(at).and_then(|it| it.copy_from.as_ref()) {
            Some(from) if from == name => return true,
            Some(from) => at = from,
            None => return false,
        }
    }
    // A circle that does not come back here is told where it does.
    false
}

/// Whether a set may have more than one member.
fn has_members(source: &SourceDeclaration) -> bool {
    let several = |choice: &MemberChoice| choice.listed.as_ref().is_none_or(|it| it.len() > 1);
    match source {
        SourceDeclaration::Files(_) | SourceDeclaration::Redis(_) | SourceDeclaration::Command(_) => false,
        SourceDeclaration::Sqlite(it) => it.files.len() > 1,
        // The roles are a member of their own.
        SourceDeclaration::Postgres(_) => true,
        SourceDeclaration::Mysql(it) => several(&it.databases),
        SourceDeclaration::Mongodb(it) => several(&it.databases),
        SourceDeclaration::Qdrant(it) => several(&it.collections),
    }
}
