//! Servers and their members: what a set takes, what another takes, and what nobody does.

use super::*;
use crate::decide::testing::{Scene, declaration, seen, set};
use crate::declared::{MemberChoice, QdrantDeclaration, RedisDeclaration};
use crate::observed::{Fact, MemberFacts, Observed};

fn vectors(url: &str, listed: Option<&[&str]>) -> SetDeclaration {
    let listed = listed.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let collections = MemberChoice { listed, ..MemberChoice::default() };
    let source = QdrantDeclaration { url: url.to_owned(), collections, ..QdrantDeclaration::default() };
    SetDeclaration { source: SourceDeclaration::Qdrant(source), ..declaration("/unused") }
}

/// Set `orders` takes four of five collections.
fn four_of_five() -> Scene {
    let mut scene = Scene::healthy();
    let listed = vectors("http://localhost:6333", Some(&["a", "b", "c", "d"]));
    *scene.declaration() = listed;
    scene.source().uncovered = vec![MemberFacts { name: "fifth".to_owned(), size_bytes: None }];
    scene
}

fn objects(scene: &Scene) -> Vec<String> {
    uncovered(&scene.world()).into_iter().map(|it| it.key()).collect()
}

#[test]
fn fifth_collection_is_named() {
    let mut scene = four_of_five();
    let found = uncovered(&scene.world());
    assert_eq!(objects(&scene), ["qdrant:orders/fifth"]);
    assert!(found[0].remedy.contains("add `fifth` to `collections` of set `orders`"), "{found:?}");
    scene.plan.discover.ignore.insert("qdrant:orders/fifth".to_owned(), "a trial".to_owned());
    assert_eq!(objects(&scene), Vec::<String>::new());
}

#[test]
fn member_that_another_set_of_the_same_server_takes_is_covered() {
    let mut scene = four_of_five();
    let other: SetName = "rest".parse().expect("a name");
    scene.plan.sets.insert(other.clone(), vectors("http://127.0.0.1:6333", Some(&["fifth"])));
    assert_eq!(objects(&scene), Vec::<String>::new());
    scene.plan.sets.insert(other.clone(), vectors("http://10.0.0.9:6333", Some(&["fifth"])));
    assert_eq!(objects(&scene), ["qdrant:orders/fifth"], "another server's collection of that name");
    scene.plan.sets.insert(other, vectors("http://127.0.0.1:6333", None));
    assert_eq!(objects(&scene), Vec::<String>::new(), "`all` takes it");
}

fn server(kind: &str, addresses: &[&str]) -> Found {
    let addresses: Vec<String> = addresses.iter().map(|it| (*it).to_owned()).collect();
    Found { kind: kind.to_owned(), object: addresses[0].clone(), size_bytes: None, path: None, addresses }
}

#[test]
fn server_that_no_set_reads_is_uncovered_until_one_does_or_it_is_ignored() {
    let mut scene = Scene::healthy();
    let found = vec![server("redis", &["tcp:127.0.0.1:6379", "unix:/run/redis.sock"])];
    scene.facts.discovered.insert("servers".to_owned(), seen(scene.now, found));
    assert_eq!(objects(&scene), ["redis:tcp:127.0.0.1:6379"]);
    let redis =
        RedisDeclaration { socket: Some("/var/run/redis.sock".into()), ..RedisDeclaration::default() };
    let mut covered = scene.clone();
    covered.declaration().source = SourceDeclaration::Redis(redis);
    assert_eq!(objects(&covered), Vec::<String>::new());
    scene.plan.discover.ignore.insert("redis:tcp:127.0.0.1:6379".to_owned(), "a cache".to_owned());
    assert_eq!(objects(&scene), Vec::<String>::new());
}

#[test]
fn server_is_also_known_by_the_addresses_that_it_named_itself() {
    let mut scene = Scene::healthy();
    let found = vec![server("postgres", &["unix:/srv/pg/.s.PGSQL.5999"])];
    scene.facts.discovered.insert("servers".to_owned(), seen(scene.now, found));
    scene.declaration().source = SourceDeclaration::Postgres(crate::declared::PostgresDeclaration {
        service: Some("shop".to_owned()),
        ..crate::declared::PostgresDeclaration::default()
    });
    assert_eq!(objects(&scene), ["postgres:unix:/srv/pg/.s.PGSQL.5999"]);
    scene.source().addresses = vec!["unix:/srv/pg/.s.PGSQL.5999".to_owned()];
    assert_eq!(objects(&scene), Vec::<String>::new());
}

#[test]
fn member_of_a_set_that_was_not_looked_at_is_not_told() {
    let mut scene = four_of_five();
    let unknown = Observed::Unknown(crate::diagnostic::Diagnostic::new("not reachable", "refused"));
    scene.facts.sources.insert(set(), Fact::new(scene.now, "asked", unknown));
    assert_eq!(objects(&scene), Vec::<String>::new());
}
