//! One destination looked at: what lies there, and what keeps it from being looked at.

use super::Scope;
use crate::declared::{DestinationDeclaration, DestinationName, Plan, SetName};
use crate::destinations::{Access, DestinationError};
use crate::diagnostic::Diagnostic;
use crate::host::Host;
use crate::observed::{
    DestinationFacts, Fact, Observed, SnapshotFacts, SnapshotState, StorageRules, Trouble,
};
use crate::workflow::history::{all_looked_into, newest_and_restored};
use crate::workflow::site::{Copy, Site, node_of};
use std::collections::BTreeMap;
use std::io::Read;

/// Looks at all destinations at once: one that does not answer holds up no other.
pub(super) fn all(
    host: &dyn Host,
    plan: &Plan,
    scope: Scope,
    orphans: &[SetName],
) -> BTreeMap<DestinationName, Fact<DestinationFacts>> {
    std::thread::scope(|threads| {
        let look = |declared| move || destination(host, plan, declared, scope, orphans);
        let looks: Vec<_> =
            plan.destinations.iter().map(|declared| (declared.0, threads.spawn(look(declared)))).collect();
        let seen = |look: std::thread::ScopedJoinHandle<'_, _>| {
            look.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        looks.into_iter().map(|(name, look)| (name.clone(), seen(look))).collect()
    })
}

fn destination(
    host: &dyn Host,
    plan: &Plan,
    (name, declaration): (&DestinationName, &DestinationDeclaration),
    scope: Scope,
    orphans: &[SetName],
) -> Fact<DestinationFacts> {
    let site = Site::open(host, name, declaration, node_of(host, plan), Access::Look);
    if let Some(trouble) = site.keys.trouble() {
        let observed = Observed::Unknown(trouble.clone());
        return Fact::new(host.now(), format!("keys of `{name}` tried"), observed)
            .because(Some(Trouble::Unopened));
    }
    seen(host, plan, &site, declaration.is_remote(), scope, orphans)
}

/// What is seen of an opened destination; `remote` where it is reached by a protocol.
fn seen(
    host: &dyn Host,
    plan: &Plan,
    site: &Site,
    remote: bool,
    scope: Scope,
    orphans: &[SetName],
) -> Fact<DestinationFacts> {
    let (observed, trouble) = match look(host, plan, site, remote, scope, orphans) {
        Ok(facts) => (Observed::Present(facts), None),
        Err(error) => {
            // On a disk of this host a refusal is about the user who looks, and not about credentials.
            let trouble = error.trouble().filter(|_| remote).map(|trouble| match trouble {
                Trouble::Clock { .. } => Trouble::Clock { offset_seconds: clock_offset(host, site) },
                other => other,
            });
            let summary = trouble.map_or("destination not readable", Trouble::summary);
            let fix = error
                .remedy(trouble)
                .unwrap_or_else(|| format!("check {} as user {}", site.target.location(), host.user().name));
            (Observed::Unknown(Diagnostic::from_error(summary, &error).fix(fix)), trouble)
        }
    };
    Fact::new(host.now(), format!("listed {}", site.target.location()), observed).because(trouble)
}

/// The server's clock minus the host's, in seconds. A server that does not say it is no less looked at.
fn clock_offset(host: &dyn Host, site: &Site) -> Option<i64> {
    let clock = site.target.clock().ok().flatten()?;
    Some(clock.duration_since(host.now()).as_secs())
}

/// What the service does by itself, as far as it shows it; that it does not is nothing against the destination.
fn rules(site: &Site) -> StorageRules {
    site.target.rules().unwrap_or_else(|error| StorageRules::not_shown(&error.to_string()))
}

fn look(
    host: &dyn Host,
    plan: &Plan,
    site: &Site,
    remote: bool,
    scope: Scope,
    orphans: &[SetName],
) -> Result<DestinationFacts, DestinationError> {
    let prepared = site.target.prepared()?;
    let mut sets = BTreeMap::new();
    if prepared {
        for (name, set) in &plan.sets {
            if !plan.destinations_of(set).contains(&site.name) {
                continue;
            }
            let mut snapshots = match scope {
                Scope::Newest => newest_and_restored(site, name, &plan.moved)?,
                Scope::Everything => all_looked_into(site, name, &plan.moved)?,
            };
            if remote && site.target.has_tiers() {
                probe(site, &mut snapshots)?;
            }
            if !snapshots.is_empty() {
                sets.insert(name.clone(), snapshots);
            }
        }
    }
    if prepared {
        for name in orphans {
            let copies = site.copies(name, &BTreeMap::new())?;
            let named = |copy: Copy| SnapshotFacts {
                id: copy.id,
                stored_as: copy.stored_as,
                state: SnapshotState::NotRead,
            };
            sets.insert(name.clone(), copies.into_iter().map(named).collect());
        }
    }
    let space = if prepared { site.target.space()? } else { None };
    Ok(DestinationFacts {
        prepared,
        space,
        device: site.target.device(),
        clock_offset_seconds: clock_offset(host, site),
        rules: remote.then(|| rules(site)),
        sets,
    })
}

/// Reads one byte of the newest complete snapshot's first artifact: a listing does not say that an object can be read
/// at once. One that is not there is what the listing has told.
fn probe(site: &Site, snapshots: &mut [SnapshotFacts]) -> Result<(), DestinationError> {
    for snapshot in snapshots.iter_mut().rev() {
        let SnapshotState::Sealed(sealed) = &mut snapshot.state else { continue };
        let Some(member) = sealed.manifest.members.first().filter(|_| sealed.manifest.complete) else {
            continue;
        };
        let key = site.layout.artifact(&snapshot.stored_as, &snapshot.id, &member.object);
        let read = site.target.get_from(&key, 0).and_then(|mut body| {
            let read = body.read(&mut [0]);
            let during = "reading its first byte";
            read.map_err(|error| DestinationError::Io { object: key.to_string(), during, error })
        });
        return match read {
            Ok(_) | Err(DestinationError::NotFound { .. }) => Ok(()),
            Err(DestinationError::Archived { .. }) => {
                sealed.archived.push(member.object.clone());
                Ok(())
            }
            Err(error) => Err(error),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{Scene, at, local, manifest, set};
    use crate::destinations::memory::{Faults, MemoryDestination};
    use crate::format::Layout;
    use crate::host::{FakeHost, RealHost};
    use crate::workflow::keyring::Keyring;
    use std::io::{self, Write};

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn looked(faults: Faults, remote: bool, with_artifact: bool) -> Fact<DestinationFacts> {
        let mut scene = Scene::healthy();
        let place = MemoryDestination::prepared("far").with(faults);
        let layout = Layout::new("observatory".parse().expect("a name"));
        let ids: Vec<_> = scene.snapshots().iter().map(|it| it.id).collect();
        for id in ids {
            place.replace(&layout.manifest(&set(), &id), manifest(id, id.started_at(), None).render());
            if with_artifact {
                place.replace(&layout.artifact(&set(), &id, "orders.db.zst"), vec![0; 1024]);
            }
        }
        let (name, keys) = (local(), Keyring::Open);
        let site = Site {
            name,
            target: Box::new(place),
            layout,
            keys,
            encrypted: false,
            template: None,
            opened_at: at(NOW),
        };
        seen(&FakeHost::at(at(NOW)), &scene.plan, &site, remote, Scope::Everything, &[])
    }

    fn archived(fact: &Fact<DestinationFacts>) -> Vec<Vec<String>> {
        let facts = fact.observed.present().expect("looked at");
        let of = |snapshot: &SnapshotFacts| match &snapshot.state {
            SnapshotState::Sealed(sealed) => sealed.archived.clone(),
            other => panic!("not sealed: {other:?}"),
        };
        facts.sets[&set()].iter().map(of).collect()
    }

    fn error() -> io::Error {
        io::Error::other("the server's own words")
    }

    #[test]
    fn what_a_remote_destination_says_is_recorded_as_a_word_and_in_full() {
        let object = || "s3://b".to_owned();
        let cases: [(fn() -> DestinationError, Trouble); 5] = [
            (|| DestinationError::Denied { object: "s3://b".into(), error: error() }, Trouble::Refused),
            (|| DestinationError::NoPlace { object: "s3://b".into(), error: error() }, Trouble::PlaceMissing),
            (|| DestinationError::Stranger { object: "s3://b".into(), error: error() }, Trouble::Stranger),
            (|| DestinationError::Archived { object: "s3://b".into(), error: error() }, Trouble::Archived),
            (
                || DestinationError::Clock { object: "s3://b".into(), error: error() },
                Trouble::Clock { offset_seconds: Some(-1200) },
            ),
        ];
        for (says, trouble) in cases {
            let clock = Some(at("2026-11-20T11:40:00Z"));
            let fact = looked(Faults { says: Some(says), clock, ..Faults::default() }, true, true);
            assert_eq!(fact.trouble, Some(trouble));
            let diagnostic = fact.observed.unknown().expect("unknown");
            assert_eq!(diagnostic.summary, trouble.summary());
            let sentence = diagnostic.sentence();
            assert!(
                sentence.contains(&object()) && sentence.contains("the server's own words"),
                "{sentence}"
            );
        }
        let says = || DestinationError::Unopened {
            root: "destination far".into(),
            reason: "no key".into(),
            remedy: "put it there".into(),
        };
        let fact = looked(Faults { says: Some(says), ..Faults::default() }, true, true);
        assert_eq!(fact.trouble, Some(Trouble::Unopened));
        assert_eq!(fact.observed.unknown().and_then(|it| it.fix.as_deref()), Some("put it there"));
    }

    #[test]
    fn refusal_of_a_local_folder_is_about_the_user_who_looks() {
        let says = || DestinationError::Denied { object: "/mnt/b".into(), error: error() };
        let fact = looked(Faults { says: Some(says), ..Faults::default() }, false, true);
        assert_eq!(fact.trouble, None);
        let diagnostic = fact.observed.unknown().expect("unknown");
        assert_eq!(diagnostic.summary, "destination not readable");
    }

    #[test]
    fn clock_is_compared_with_the_hosts_and_one_that_fails_hides_nothing() {
        let offset = |clock: Option<&str>| {
            let clock = clock.map(at);
            let fact = looked(Faults { clock, ..Faults::default() }, true, true);
            fact.observed.present().expect("looked at").clock_offset_seconds
        };
        assert_eq!(offset(Some("2026-11-20T12:20:00Z")), Some(1200));
        assert_eq!(offset(Some("2026-11-20T11:59:59Z")), Some(-1));
        assert_eq!(offset(None), None);
    }

    #[test]
    fn newest_artifact_of_a_remote_destination_is_tried_and_an_archived_one_is_named() {
        let none: [Vec<String>; 3] = Default::default();
        let faults = || Faults { archived: Some("orders.db.zst"), ..Faults::default() };
        let newest = [Vec::new(), Vec::new(), vec!["orders.db.zst".to_owned()]];
        assert_eq!(archived(&looked(faults(), true, true)), newest);
        assert_eq!(archived(&looked(faults(), false, true)), none, "no disk has tiers");
        assert_eq!(archived(&looked(Faults::default(), true, true)), none);
        // A blob that is gone is told by the listing, and hides nothing else.
        assert_eq!(archived(&looked(Faults::default(), true, false)), none);
    }

    #[test]
    fn facts_of_older_versions_are_still_read() {
        let mut scene = Scene::healthy();
        let facts = scene.destination().clone();
        let mut value = serde_json::to_value(&facts).expect("JSON");
        for key in ["clock_offset_seconds", "rules"] {
            assert!(value.get(key).is_none(), "what nobody saw is not written");
        }
        assert_eq!(serde_json::from_value::<DestinationFacts>(value.take()).expect("facts"), facts);
        let fact = Fact::new(scene.now, "looked", Observed::<u8>::Absent).because(Some(Trouble::Refused));
        let text = serde_json::to_string(&fact).expect("JSON");
        assert_eq!(serde_json::from_str::<Fact<u8>>(&text).expect("a fact"), fact);
        let older = text.replace(",\"trouble\":\"refused\"", "");
        assert_eq!(serde_json::from_str::<Fact<u8>>(&older).expect("a fact").trouble, None);
    }

    /// A server that refuses everybody, once as many have come at once.
    fn refuses_together(count: usize) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let together = std::sync::Arc::new(std::sync::Barrier::new(count));
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let together = std::sync::Arc::clone(&together);
                std::thread::spawn(move || {
                    let _came = client.read(&mut [0; 4096]);
                    together.wait();
                    let _gone = client.write_all(
                        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                });
            }
        });
        port
    }

    #[test]
    fn destinations_are_looked_at_at_once() {
        let port = refuses_together(3);
        let folder = tempfile::tempdir().expect("a folder");
        RealHost.write_atomic(&folder.path().join("pw"), b"x", 0o600).expect("room");
        let one = |name: &str| {
            format!(
                "  {name}: {{ type: webdav, url: 'http://127.0.0.1:{port}', path: {name}, user: u, password: {{ file: pw }}, \
                 timeout: 20s, retries: 1 }}\n"
            )
        };
        let text = format!(
            "version: 1\nname: three\nscope: user\nscheduler: embedded\ndestinations:\n{}{}{}sets:\n  s: {{ type: files, \
             paths: [/etc], schedule: daily 03:00, destinations: [a, b, c] }}\n",
            one("a"),
            one("b"),
            one("c")
        );
        let plan = crate::declared::parse_text("plan.yaml", &text, folder.path(), folder.path());
        let plan = plan.expect("a plan").plan;
        let seen = all(&RealHost, &plan, Scope::Newest, &[]);
        for (name, fact) in &seen {
            assert_eq!(fact.trouble, Some(Trouble::Refused), "{name}: {fact:?}");
        }
        assert_eq!(seen.len(), 3);
    }
}
