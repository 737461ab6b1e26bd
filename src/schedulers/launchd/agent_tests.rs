//! What is rendered is what is read back.

use super::super::testing::{job, places};
use super::*;
use proptest::prelude::*;

fn keys(text: &str) -> Dictionary {
    let value = Value::from_reader(std::io::Cursor::new(text.as_bytes())).expect("a property list");
    value.into_dictionary().expect("a dictionary")
}

proptest! {
    #[test]
    fn reading_what_was_rendered_gives_the_job_back(
        words in proptest::collection::vec("[^\\p{C}\\p{Zl}\\p{Zp}]{1,20}", 1..6),
        minute in 0..60_u8,
        nice in 0..20_u8,
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut job = job(&words);
        job.nice = nice;
        let schedule = format!("daily 04:{minute:02}").parse().expect("a schedule");
        job.calendar = Some(crate::declared::Calendar::plain(schedule, crate::declared::TimeZoneName::default()));
        let text = render(&places(), &job);
        prop_assert_eq!(&text, &render(&places(), &job), "the same job gives the same text");
        let agent = read(text.as_bytes()).expect("a property list");
        prop_assert_eq!(&agent.argv, &job.argv);
        prop_assert_eq!(serde_json::to_string(&agent.marker).expect("JSON"), marker(&job));
        let patterns = job.calendar.as_ref().expect("a calendar").clock_patterns(Some(&jiff::tz::TimeZone::UTC));
        prop_assert_eq!(agent.starts, Some(patterns));
        // Rendered again from what was read: not a byte is lost.
        prop_assert_eq!(xml(keys(&text)), text);
    }
}

#[test]
fn binary_property_list_is_read_too() {
    let text = render(&places(), &job(&["/bin/bkp", "run"]));
    let mut binary = Vec::new();
    Value::Dictionary(keys(&text)).to_writer_binary(&mut binary).expect("written");
    assert_eq!(read(&binary), read(text.as_bytes()));
    assert_eq!(read(b"garbage"), None);
    assert_eq!(read(&text.as_bytes()[..text.len() / 2]), None);
}

#[test]
fn digest_differs_with_everything_that_is_declared() {
    let digest = |job: &Job| read(render(&places(), job).as_bytes()).expect("read").digest.expect("a digest");
    let plain = job(&["/bin/bkp", "run"]);
    let mut others = vec![job(&["/bin/bkp", "audit"])];
    others.push(Job { nice: 3, ..plain.clone() });
    others.push(Job { calendar: None, ..plain.clone() });
    others.push(Job { home: "/elsewhere".into(), ..plain.clone() });
    others.push(Job { io_class: IoClass::Idle, ..plain.clone() });
    others.push(Job { run_as: Some("ada".parse().expect("a name")), ..plain.clone() });
    for other in others {
        assert_ne!(digest(&other), digest(&plain), "{other:?}");
    }
}

#[test]
fn trial_is_never_started_by_launchd_itself() {
    let trial = keys(&render(&places(), &Job { calendar: None, ..job(&["/bin/bkp"]) }));
    assert_eq!(trial.get("RunAtLoad"), Some(&Value::from(false)));
    assert_eq!(trial.get("StartCalendarInterval"), None);
    let set = keys(&render(&places(), &job(&["/bin/bkp"])));
    assert_eq!(set.get("RunAtLoad"), Some(&Value::from(true)));
}

#[test]
fn user_of_the_job_is_named_for_the_system_alone() {
    let mut job = job(&["/bin/bkp"]);
    job.run_as = Some("ada".parse().expect("a name"));
    assert_eq!(keys(&render(&places(), &job)).get("UserName"), Some(&Value::from("ada")));
    job.scope = Scope::User;
    assert_eq!(keys(&render(&places(), &job)).get("UserName"), None);
}

#[test]
fn no_secret_is_rendered() {
    let mut job = job(&["/bin/bkp"]);
    let secrets = [("a", crate::declared::SecretRef::File("/secret/file".into()))];
    job.credentials = secrets.into_iter().map(|(name, secret)| (name.to_owned(), secret)).collect();
    assert!(!render(&places(), &job).contains("/secret"), "the job reads the file itself");
}

#[test]
fn line_break_in_a_word_is_refused() {
    assert_eq!(inexpressible(&places(), &job(&["/bin/bkp", "run"])), None);
    assert!(inexpressible(&places(), &job(&["/bin/bkp", "a\nb"])).is_some());
    assert!(inexpressible(&places(), &Job { home: "/a\u{7}".into(), ..job(&["/bin/bkp"]) }).is_some());
}

#[test]
fn what_launchd_cannot_limit_is_said() {
    let limited = Job { memory_limit: "1GiB".parse().ok(), ..job(&["/bin/bkp"]) };
    assert!(limited.memory_limit.is_some() && note(&limited).contains("nor the memory limit"));
}
