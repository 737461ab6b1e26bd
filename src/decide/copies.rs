//! How many copies of a set there are, counted honestly: two that would be lost together are one.
//!
//! Only what is fresh and was read back counts. What could not be looked at is neither counted nor held against the plan:
//! that it is unknown is a finding of its destination.

use super::coverage::CoverageRow;
use super::world::World;
use crate::declared::{DestinationKind, DestinationName, Require, SetName};
use crate::format::Level;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Why two destinations are one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// They lie on one device.
    Device,
    /// They lie on this host.
    Host,
    /// They are at one server.
    Server(String),
    /// They are in one account, bucket or container; in words.
    Account(String),
    /// One secret opens both; the key that holds it.
    Credentials(&'static str),
    /// The plan says so.
    Domain(String),
}

impl Tie {
    fn words(&self) -> String {
        match self {
            Self::Device => "lie on one device".to_owned(),
            Self::Host => "are on this host".to_owned(),
            Self::Server(server) => format!("are at server `{server}`"),
            Self::Account(words) => format!("are in {words}"),
            Self::Credentials(key) => format!("are opened by the same `{key}`"),
            Self::Domain(domain) => format!("are in failure domain `{domain}`"),
        }
    }
}

/// Two destinations that are one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shared {
    /// The one.
    pub one: DestinationName,
    /// The other.
    pub other: DestinationName,
    /// Why.
    pub tie: Tie,
}

impl Shared {
    /// Such as: `` `near` and `far` lie on one device ``.
    pub fn words(&self) -> String {
        format!("`{}` and `{}` {}", self.one, self.other, self.tie.words())
    }
}

/// How many copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Destinations.
    pub copies: usize,
    /// Places that they are in.
    pub places: usize,
    /// Places that are on no disk of this host.
    pub off_host: usize,
}

impl Count {
    /// Such as: `2 copies in 1 place`.
    pub fn words(&self) -> String {
        let of =
            |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        if self.copies == 0 {
            return "no fresh verified copy".to_owned();
        }
        format!("{} in {}", of(self.copies, "copy", "copies"), of(self.places, "place", "places"))
    }
}

/// The copies of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCopies {
    /// The set.
    pub set: SetName,
    /// Those that are fresh and were read back.
    pub verified: Count,
    /// As many as there could be, would everything that is unknown be well.
    pub at_most: Count,
    /// As many as there could be, would every destination be well.
    pub declared: Count,
    /// The destinations that are one place, each pair once.
    pub shared: Vec<Shared>,
    /// What the plan asks for.
    pub require: Option<Require>,
}

impl SetCopies {
    /// What a count lacks of what the plan asks for: places, and places off this host.
    pub fn lacking(&self, count: Count) -> (Option<u32>, Option<u32>) {
        let lacks = |asked: Option<u32>, there: usize| asked.filter(|asked| there < *asked as usize);
        let require = self.require.unwrap_or(Require { copies: None, off_host: None });
        (lacks(require.copies, count.places), lacks(require.off_host, count.off_host))
    }

    /// What is one place, on one line; none where nothing is.
    pub fn why(&self) -> Option<String> {
        (!self.shared.is_empty()).then(|| together(&self.shared))
    }

    /// One line for people, such as: `2 copies in 1 place; `require` asks for 2`.
    pub fn words(&self) -> String {
        let mut line = self.verified.words();
        let (places, off_host) = self.lacking(self.verified);
        if let Some(asked) = places {
            let _ = write!(line, "; `require` asks for {asked}");
        }
        if let Some(asked) = off_host {
            let off_host = self.verified.off_host;
            let _ = write!(line, "; {off_host} off this host, and `require` asks for {asked}");
        }
        line
    }
}

/// Pairs in words, those with one reason together: `` `a`, `b` and `c` are on this host ``.
pub(super) fn together<'a>(pairs: impl IntoIterator<Item = &'a Shared>) -> String {
    let pairs: Vec<&Shared> = pairs.into_iter().collect();
    let mut declared: Vec<&DestinationName> = Vec::new();
    for name in pairs.iter().flat_map(|pair| [&pair.one, &pair.other]) {
        if !declared.contains(&name) {
            declared.push(name);
        }
    }
    let mut groups: Vec<(&Tie, BTreeSet<&DestinationName>)> = Vec::new();
    for Shared { one, other, tie } in pairs {
        let of_both = |(known, names): &&mut (&Tie, BTreeSet<&DestinationName>)| {
            *known == tie && (names.contains(one) || names.contains(other))
        };
        match groups.iter_mut().find(of_both) {
            Some((_, names)) => names.extend([one, other]),
            None => groups.push((tie, BTreeSet::from([one, other]))),
        }
    }
    let words = |(tie, names): (&Tie, BTreeSet<&DestinationName>)| {
        let in_order = declared.iter().filter(|name| names.contains(*name));
        let mut names: Vec<String> = in_order.map(|name| format!("`{name}`")).collect();
        let last = names.pop().unwrap_or_default();
        format!("{} and {last} {}", names.join(", "), tie.words())
    };
    groups.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// Counts the copies of every set that has more than one destination or that asks for a number of them.
pub fn copies(world: &World<'_>, rows: &[CoverageRow]) -> Vec<SetCopies> {
    let mut all = Vec::new();
    for (name, set) in &world.plan.sets {
        let (names, require) = (world.plan.destinations_of(set), world.plan.require(set));
        if names.len() < 2 && require.is_none() {
            continue;
        }
        let places = Places::new(world, names);
        let row_of =
            |it: &DestinationName| rows.iter().find(|row| row.set == *name && row.destination == *it);
        let levels =
            |it: &DestinationName| row_of(it).map(|row| [row.level(Level::Stored), row.level(Level::Intact)]);
        let verified =
            |it: &DestinationName| levels(it).is_some_and(|all| all.iter().all(|it| it.is_proven()));
        let possible = |it: &DestinationName| {
            levels(it).is_some_and(|all| all.iter().all(|it| it.is_proven() || it.is_unknown()))
        };
        all.push(SetCopies {
            set: name.clone(),
            verified: places.count(world, verified),
            at_most: places.count(world, possible),
            declared: places.count(world, |_| true),
            shared: places.shared,
            require,
        });
    }
    all
}

/// Destinations with the place that each is in.
struct Places<'a> {
    /// Each with the number of its place.
    numbered: Vec<(&'a DestinationName, usize)>,
    shared: Vec<Shared>,
}

impl<'a> Places<'a> {
    fn new(world: &World<'_>, names: &'a [DestinationName]) -> Self {
        let mut numbered: Vec<_> = names.iter().enumerate().map(|(number, name)| (name, number)).collect();
        let mut shared = Vec::new();
        for (index, one) in names.iter().enumerate() {
            for (other_index, other) in names.iter().enumerate().skip(index + 1) {
                let Some(tie) = tie(world, one, other) else { continue };
                let (kept, joined) = (numbered[index].1, numbered[other_index].1);
                // What is one with one of them is one with both.
                for (_, number) in numbered.iter_mut().filter(|(_, number)| *number == joined) {
                    *number = kept;
                }
                shared.push(Shared { one: one.clone(), other: other.clone(), tie });
            }
        }
        Self { numbered, shared }
    }

    fn count(&self, world: &World<'_>, counts: impl Fn(&DestinationName) -> bool) -> Count {
        let counted: Vec<_> = self.numbered.iter().filter(|(name, _)| counts(name)).collect();
        let places: BTreeSet<usize> = counted.iter().map(|(_, number)| *number).collect();
        let off_host: BTreeSet<usize> = counted
            .iter()
            .filter(|(name, _)| !on_this_host(world, name))
            .map(|(_, number)| *number)
            .collect();
        Count { copies: counted.len(), places: places.len(), off_host: off_host.len() }
    }
}

fn on_this_host(world: &World<'_>, name: &DestinationName) -> bool {
    match world.plan.destinations.get(name).map(|it| &it.kind) {
        None => false,
        Some(DestinationKind::Local(_)) => true,
        Some(DestinationKind::Remote(remote)) => remote.server().is_some_and(|server| {
            let host = world.facts.host.name.to_lowercase();
            let short = host.split('.').next().unwrap_or_default();
            server == "localhost"
                || server.starts_with("127.")
                || server == "::1"
                || server == host
                || server == short
        }),
    }
}

/// The nearest reason why two destinations are one place.
fn tie(world: &World<'_>, one: &DestinationName, other: &DestinationName) -> Option<Tie> {
    let device = |name| world.facts.destinations.get(name)?.observed.present()?.device;
    if device(one).is_some_and(|it| Some(it) == device(other)) {
        return Some(Tie::Device);
    }
    if on_this_host(world, one) && on_this_host(world, other) {
        return Some(Tie::Host);
    }
    let (one, other) = (world.plan.destinations.get(one)?, world.plan.destinations.get(other)?);
    let domain = || {
        let domain = one.failure_domain.as_ref()?;
        (other.failure_domain.as_ref() == Some(domain)).then(|| Tie::Domain(domain.clone()))
    };
    let (DestinationKind::Remote(first), DestinationKind::Remote(second)) = (&one.kind, &other.kind) else {
        return domain();
    };
    let server = || first.server().filter(|it| Some(it) == second.server().as_ref()).map(Tie::Server);
    let account = || {
        let same =
            first.protocol == second.protocol && first.setting("provider") == second.setting("provider");
        // Where servers are named, an account's or a bucket's name means something at that server alone.
        let named = first.server().is_some() || second.server().is_some();
        first.account().filter(|it| same && !named && Some(it) == second.account().as_ref()).map(Tie::Account)
    };
    let credentials = || {
        first.credentials().find_map(|(key, secret)| {
            second.credentials().any(|(_, it)| it == secret).then_some(Tie::Credentials(key))
        })
    };
    server().or_else(account).or_else(credentials).or_else(domain)
}

#[cfg(test)]
mod tests;
