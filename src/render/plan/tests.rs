//! What `plan` shows of hand-built worlds.

use super::*;
use crate::decide::review;
use crate::decide::testing::{Scene, compare_with_file};
use crate::diagnostic::Diagnostic;
use crate::observed::{Found, Observed};
use std::path::PathBuf;

fn shown(scene: &Scene) -> String {
    text(&review(&scene.world()), "shop", Palette::PLAIN)
}

#[test]
fn empty_plan_says_so_in_one_line() {
    assert_eq!(
        shown(&Scene::healthy()),
        "No changes. What exists is what the plan declares, and every set is proven.\n"
    );
}

#[test]
fn fresh_machine_shows_every_change_with_its_reason() {
    insta::assert_snapshot!(shown(&Scene::fresh()), @r#"
    bkp would make these changes for plan `shop`:

      + create
      > prove: back up, read back, restore and compare

      + prepare destination `local`
          it is not prepared yet
      + create plan `shop`
          it is not installed
      + create job `bkp-orders` (systemd)
          no such job is installed
      > prove set `orders`
          not stored at `local`: no snapshot
          (proven at apply: one backup through its job, read back and drilled)
      + create job `bkp-audit-shop` (systemd)
          no such job is installed

    Plan: 4 to add, 0 to change, 0 to remove, 1 to prove.
    "#);
}

#[test]
fn edited_unit_is_shown_as_a_diff() {
    let mut scene = Scene::healthy();
    scene.job().files[1].text = Some("[Unit]\nDescription=mine\n# timer\n".to_owned());
    insta::assert_snapshot!(shown(&scene), @r#"
    bkp would make these changes for plan `shop`:

      ~ update
      > prove: back up, read back, restore and compare

      ~ update job `bkp-orders` (systemd)
          `/etc/systemd/system/bkp-orders.timer` differs
          --- /etc/systemd/system/bkp-orders.timer (installed)
          +++ /etc/systemd/system/bkp-orders.timer (wanted)
          @@ -1,3 +1,3 @@
           [Unit]
          -Description=mine
          +Description=bkp-orders
           # timer
      > prove set `orders`
          its job changes
          (proven at apply: one backup through its job, read back and drilled)

    Plan: 0 to add, 1 to change, 0 to remove, 1 to prove.
    "#);
}

#[test]
fn blocked_unknown_and_uncovered_have_their_blocks() {
    let mut scene = Scene::healthy();
    scene.source().members = Observed::Unknown(
        Diagnostic::new("a source is missing", "`/srv/orders.db` does not exist").fix("restore it"),
    );
    scene.timer().active = false;
    let object = "/srv/stray.db".to_owned();
    let path = Some(PathBuf::from(&object));
    let found =
        Found { kind: "sqlite".to_owned(), object, size_bytes: Some(8192), path, addresses: Vec::new() };
    let fact = scene.facts.discovered.get_mut("sqlite:/srv").expect("srv");
    fact.observed = Observed::Present(vec![found]);
    let lost = Observed::Unknown(Diagnostic::new("a folder could not be listed", "`/var/lib`"));
    scene
        .facts
        .discovered
        .insert("sqlite:/var/lib".to_owned(), crate::observed::Fact::new(scene.now, "list", lost));
    insta::assert_snapshot!(shown(&scene), @r#"
    bkp would make these changes for plan `shop`:

      ! blocked
      ? unknown

      ! enable timer `bkp-orders` (systemd)
          the timer of `bkp-orders` is not active

    Blocked, and left out by apply:

      ! set `orders`
        a source is missing
          `/srv/orders.db` does not exist
          help: restore it

    Could not be told:

      ? a folder could not be listed
          `/var/lib`

    Uncovered: data that exists and that no set gives back:

      sqlite:/srv/stray.db (8.0 KiB)
          it is in no set

      Add a set for each, or a reason under `discover.ignore`; a member of a set's server can stand under its `ignore`.

    Plan: 0 to add, 0 to change, 0 to remove, 1 blocked.
    "#);
}

#[test]
fn json_is_what_its_schema_says() {
    for scene in [Scene::healthy(), Scene::fresh()] {
        let review = review(&scene.world());
        let document: serde_json::Value =
            serde_json::from_str(&json(&review, "shop", scene.now)).expect("JSON");
        assert!(jsonschema::is_valid(&schema(), &document), "{document}");
        assert_eq!(document["applyable"], !review.changes.is_empty());
        assert_eq!(document["complete"], true);
    }
}

#[test]
fn schema_in_the_repository_is_the_types_schema() {
    let mut schema = serde_json::to_string_pretty(&schema()).expect("JSON");
    schema.push('\n');
    compare_with_file("schemas/plan-output.schema.json", &schema);
}

#[test]
fn diff_cannot_close_its_fence() {
    let mut scene = Scene::healthy();
    scene.job().files[1].text = Some("````\n</details>\n".to_owned());
    let shown = markdown(&review(&scene.world()), "shop");
    assert!(shown.contains("`````diff\n"), "{shown}");
}

#[test]
fn annotations_are_one_line_each() {
    let scene = Scene::fresh();
    let review = review(&scene.world());
    let shown = github(&review, "shop");
    assert_eq!(shown.lines().filter(|line| line.starts_with("::")).count(), review.changes.len());
}

#[test]
fn colours_add_nothing_but_colours() {
    let review = review(&Scene::fresh().world());
    let coloured = text(&review, "shop", Palette { coloured: true });
    assert!(coloured.contains('\u{1b}'));
    let plain = anstream::adapter::strip_str(&coloured).to_string();
    assert_eq!(plain, text(&review, "shop", Palette::PLAIN));
}
