//! What INFO says (<https://redis.io/docs/latest/commands/info/>).

use super::rdb::{Keys, LIBRARIES, keys_of};
use crate::format::Counts;
use std::collections::BTreeMap;

/// The answer, by its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Vitals(BTreeMap<String, String>);

impl Vitals {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// One value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The keys of each database that has some: `db0:keys=2,expires=1,avg_ttl=0`.
    pub(super) fn databases(&self) -> BTreeMap<u64, Keys> {
        let database = |(name, value): (&String, &String)| {
            let number = name.strip_prefix("db")?.parse().ok()?;
            let field = |wanted: &str| {
                let mut fields = value.split(',').filter_map(|it| it.split_once('='));
                fields.find(|(name, _)| *name == wanted)?.1.parse().ok()
            };
            Some((number, Keys { all: field("keys")?, fading: field("expires")? }))
        };
        self.0.iter().filter_map(database).collect()
    }

    /// What a server holds, in the words of a dump's counts.
    pub(super) fn counts(&self) -> Counts {
        let keys = self.databases().into_iter().map(|(database, keys)| (keys_of(database), keys.all));
        // A server that is older than libraries has none.
        let libraries = self.number("number_of_libraries").unwrap_or(0);
        Counts(keys.chain([(LIBRARIES.to_owned(), libraries)]).collect())
    }

    /// Why a dump of the server as it is now would prove nothing; none where it would.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        if self.get("loading") == Some("1") || self.get("async_loading") == Some("1") {
            return Some("it is still loading its data");
        }
        if self.get("role") == Some("slave") && self.get("master_link_status") != Some("up") {
            return Some(
                "it is a replica whose link to its master is down, so its data may be old or not there",
            );
        }
        if self.get("redis_mode") == Some("sentinel") {
            return Some("it is a sentinel, which holds no data");
        }
        if self.get("redis_mode") == Some("cluster") {
            return Some(
                "it is one node of a cluster and holds a part of the data; clusters are not in this version of bkp",
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\r\n# Persistence\r\nloading:0\r\n\
                        # Replication\r\nrole:master\r\nnumber_of_libraries:2\r\n\r\n# Keyspace\r\n\
                        db0:keys=10,expires=3,avg_ttl=7\r\ndb11:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n";

    #[test]
    fn keyspace_is_counted_by_database() {
        let info = Vitals::parse(TEXT);
        let expected = [("keys db0", 10), ("keys db11", 1), ("libraries", 2)];
        assert_eq!(info.counts(), Counts(expected.map(|(k, v)| (k.to_owned(), v)).into()));
        assert_eq!(info.databases()[&0], Keys { all: 10, fading: 3 });
        assert_eq!(info.unfit(), None);
    }

    #[test]
    fn server_that_has_not_its_data_is_unfit() {
        for (said, part) in [
            ("loading:1", "still loading"),
            ("role:slave\nmaster_link_status:down", "replica"),
            ("role:slave", "replica"),
            ("redis_mode:sentinel", "sentinel"),
            ("redis_mode:cluster", "one node of a cluster"),
        ] {
            let why = Vitals::parse(said).unfit().expect("unfit");
            assert!(why.contains(part), "{said}: {why}");
        }
        assert_eq!(Vitals::parse("role:slave\nmaster_link_status:up").unfit(), None);
    }
}
