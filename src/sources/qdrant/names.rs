//! Members by name: a collection, one node's part of a collection, or the aliases.
//!
//! Never here: two things under one name.

/// The member that holds the aliases.
pub(super) const ALIASES: &str = "_aliases";
/// What the scratch collections of drills begin with. They are nobody's data.
pub(super) const DRILL_PREFIX: &str = "bkp-drill-";
/// A collection that nobody has: it is looked for among those that exist before it is asked for.
pub(super) const PROBE: &str = "bkp-rights-probe-which-nobody-has-7f0c5e2ad94b4f0f";

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The aliases of the collections taken.
    Aliases,
    /// A collection.
    Collection(String),
    /// A cluster's node's shards of a collection.
    OnPeer(String, u64),
}

impl Part {
    /// The member's name: `NAME`, `NAME@PEER` or `_aliases`.
    pub(super) fn member(&self) -> String {
        match self {
            Self::Aliases => ALIASES.to_owned(),
            Self::Collection(name) => name.clone(),
            Self::OnPeer(name, peer) => format!("{name}@{peer}"),
        }
    }

    /// What a name means. In a cluster every collection's member ends in its peer, so that a collection called `a@1` is
    /// never taken for a peer's part of `a`.
    pub(super) fn of(member: &str, in_cluster: bool) -> Self {
        if member == ALIASES {
            return Self::Aliases;
        }
        let on_peer = member.rsplit_once('@').filter(|_| in_cluster);
        match on_peer.and_then(|(name, peer)| Some((name, peer.parse().ok()?))) {
            Some((name, peer)) => Self::OnPeer(name.to_owned(), peer),
            None => Self::Collection(member.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_back_from_its_name() {
        let single = [Part::Aliases, Part::Collection("a".into()), Part::Collection("a@1".into())];
        for part in single {
            assert_eq!(Part::of(&part.member(), false), part);
        }
        let cluster = [Part::Aliases, Part::OnPeer("a".into(), 1), Part::OnPeer("a@1".into(), u64::MAX)];
        for part in cluster {
            assert_eq!(Part::of(&part.member(), true), part);
        }
    }
}
