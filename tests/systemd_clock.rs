//! A real systemd whose clock is set: over both changes of daylight saving time, back, and far ahead.
//!
//! Timers fire by themselves here; the clock is only ever set to shortly before or to after the time that they wait for.

#[path = "bed_vm/mod.rs"]
mod bed_vm;

use bed_vm::VirtualMachine;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Instant;

const PLAN: &str = "\
version: 1
name: home
scope: system
scheduler: systemd
defaults:
  schedule: cron 30 2 * * *
  timezone: Europe/Berlin
  destinations: [second]
  retention: { within: 30d }
destinations:
  second: { type: local, path: /mnt/backup/home }
sets:
  notes: { type: files, paths: [/srv/notes] }
";

/// `RandomizedDelaySec` of a daily job, and what a run needs to begin on a busy machine.
const DELAY_MAX: SignedDuration = SignedDuration::from_secs(600 + 60);

/// Waits until the timer waits for a time that is less than 26 hours ahead, and the job does not run; prints that time.
const SETTLE: &str = "\
for i in $(seq 120); do
  elapse=$(TZ=UTC systemctl show -p NextElapseUSecRealtime --value bkp-notes.timer)
  states=$(echo $(systemctl show -p SubState --value bkp-notes.timer bkp-notes.service))
  now=$(date +%s)
  if [ \"$states\" = 'waiting dead' ] && [ -n \"$elapse\" ]; then
    next=$(date +%s -d \"$elapse\")
    if [ $next -gt $now ] && [ $next -lt $((now + 93600)) ]; then
      echo $next
      exit 0
    fi
  fi
  sleep 0.2
done
echo \"now $(date -u), next elapse $elapse, timer and service $states\" >&2
systemctl status --no-pager --full bkp-notes.service bkp-notes.timer >&2
exit 1";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A snapshot as `bkp snapshots --format json` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    id: String,
    sequence: u64,
    started_at: Timestamp,
    /// By the timer, and complete.
    scheduled: bool,
}

impl Snapshot {
    fn of(value: &Value) -> Self {
        let id = value["snapshot"]["id"].as_str().expect("a name").to_owned();
        let (time, sequence) = id.split_once('-').expect("a time and a sequence");
        let manifest = &value["snapshot"]["state"]["sealed"]["manifest"];
        let started_at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).expect("a time");
        Self {
            sequence: sequence.parse().expect("a number"),
            started_at: started_at.to_zoned(TimeZone::UTC).expect("UTC has no gaps").timestamp(),
            scheduled: manifest["complete"] == Value::Bool(true) && manifest["trigger"] == "schedule",
            id,
        }
    }
}

/// A machine with the set `notes`, backed up by its timer at 02:30 in Berlin.
struct Notes {
    machine: VirtualMachine,
    began: Instant,
}

impl Notes {
    /// Boots it, sets its clock and applies the plan.
    fn applied(at: &str) -> Self {
        let began = Instant::now();
        let machine = VirtualMachine::boot();
        let mut notes = Self { machine, began };
        notes.tell("booted");
        notes.machine.sh(&format!("date -u -s {at}"));
        // Another file system than the notes', else they would have no second copy.
        notes
            .machine
            .sh("mkdir /srv/notes; echo one >/srv/notes/one; mount -t tmpfs -o mode=755 backup /mnt/backup");
        notes.machine.sh(&format!("cat >/root/plan.yaml <<'END'\n{PLAN}END"));
        notes.machine.sh("bkp apply /root/plan.yaml --yes");
        notes.machine.sh("bkp plan /root/plan.yaml --detailed-exitcode");
        notes.tell("applied");
        notes
    }

    /// For whoever looks at how long it took.
    fn tell(&self, what: &str) {
        eprintln!("{:>6.1?} s {} {what}", self.began.elapsed().as_secs_f32(), self.machine.accelerator);
    }

    /// Waits until nothing runs; hands back when the timer will elapse.
    #[track_caller]
    fn settled(&mut self) -> Timestamp {
        let next = self.machine.sh(SETTLE);
        Timestamp::from_second(next.trim().parse().expect("seconds")).expect("a time")
    }

    fn set_clock(&mut self, to: Timestamp) {
        self.machine.sh(&format!("date -u -s @{}", to.as_second()));
    }

    /// Sets the clock and waits until what is due by then has run.
    /// Sets the clock and waits until what is due by then has run, after its delay too. Nothing else may be due soon.
    #[track_caller]
    fn jump(&mut self, to: &str) {
        self.set_clock(at(to));
        let next = loop {
            let next = self.settled();
            let now: i64 = self.machine.sh("date +%s").trim().parse().expect("seconds");
            if next.as_second() - now > DELAY_MAX.as_secs() {
                break next;
            }
            self.pass(next);
        };
        self.tell(&format!("at {to}; the timer waits for {next}"));
    }

    /// Lets the timer elapse by itself, which must be within its delay after a time.
    #[track_caller]
    fn elapses(&mut self, due: &str) {
        let due = at(due);
        let next = self.settled();
        let delay = next.duration_since(due);
        assert!(!delay.is_negative() && delay <= DELAY_MAX, "the timer waits for {next}, not for {due}");
        // systemd takes a due time that lies before its own start for one of a boot, by the clock as it is now, and adds
        // the delay to the start: so the start must stay before the due time.
        let up = self.machine.sh("cut -d . -f 1 /proc/uptime").trim().parse().expect("seconds");
        let latest = due + SignedDuration::from_secs(up) - SignedDuration::from_secs(5);
        self.set_clock(latest.min(next - SignedDuration::from_secs(2)));
        self.pass(next);
        let after = self.settled();
        let last =
            "TZ=UTC date +%s -d \"$(TZ=UTC systemctl show -p LastTriggerUSec --value bkp-notes.timer)\"";
        let last: i64 = self.machine.sh(last).trim().parse().expect("seconds");
        let late = last - next.as_second();
        assert!(after > next && (0..60).contains(&late), "elapsed {late} s after {next}; next {after}");
        self.tell(&format!("elapsed at {next}; the timer waits for {after}"));
    }

    /// Waits for a time to come: nothing else shows that a timer fires by itself.
    fn pass(&mut self, time: Timestamp) {
        let wait = format!(
            "for i in $(seq 600); do [ $(date +%s) -gt {} ] && exit; sleep 0.2; done",
            time.as_second()
        );
        while self.machine.run(&wait).status != 0 {}
    }

    /// Snapshots, oldest first.
    fn snapshots(&mut self) -> Vec<Snapshot> {
        let document: Value =
            serde_json::from_str(&self.machine.sh("bkp snapshots notes --format json")).expect("JSON");
        document["snapshots"].as_array().expect("snapshots").iter().map(Snapshot::of).collect()
    }

    /// Demands that one run, and one only, was made by the timer on a day in Berlin, within its delay after a time.
    #[track_caller]
    fn one_run(&mut self, day: &str, due: &str) {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let all = self.snapshots();
        let of_day: Vec<_> = all
            .iter()
            .filter(|it| it.scheduled && zone.to_datetime(it.started_at).date().to_string() == day)
            .collect();
        assert_eq!(of_day.len(), 1, "{day} in Berlin: {all:#?}");
        let delay = of_day[0].started_at.duration_since(at(due));
        assert!(!delay.is_negative() && delay <= DELAY_MAX, "{day}, due {due}: {:?}", of_day[0]);
        // Runs that failed have no snapshot, and would be runs all the same.
        let errors = self.machine.sh("journalctl -q -o cat -u bkp-notes.service | grep -c 'error' || true");
        assert_eq!(errors.trim(), "0", "{}", self.machine.sh("journalctl -u bkp-notes.service --no-pager"));
    }

    /// The audit's exit status, and its findings.
    fn audit(&mut self) -> (i32, Vec<(String, String)>) {
        let said = self.machine.run("bkp audit --format json");
        let document: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let findings = document["findings"].as_array().expect("findings").iter();
        (said.status, findings.map(|it| (text(it, "code"), text(it, "evidence"))).collect())
    }
}

#[test]
fn half_past_two_comes_once_a_day_also_when_clocks_change() {
    let mut notes = Notes::applied("2026-03-21T22:00:00Z");
    // A Sunday in March on which nothing is skipped: the line for the gap's end starts the job once more, in vain.
    notes.elapses("2026-03-22T01:30:00Z");
    notes.elapses("2026-03-22T02:00:00Z");
    notes.one_run("2026-03-22", "2026-03-22T01:30:00Z");

    notes.jump("2026-03-27T12:00:00Z");
    notes.elapses("2026-03-28T01:30:00Z");
    notes.one_run("2026-03-28", "2026-03-28T01:30:00Z");
    notes.set_clock(at("2026-03-29T00:55:00Z"));
    notes.elapses("2026-03-29T01:00:00Z");
    for hour in ["01:59:58", "02:15:00", "06:00:00", "12:00:00", "18:00:00", "21:59:00", "23:00:00"] {
        notes.jump(&format!("2026-03-29T{hour}Z"));
    }
    notes.one_run("2026-03-29", "2026-03-29T01:00:00Z");
    notes.elapses("2026-03-30T00:30:00Z");
    notes.jump("2026-03-30T20:00:00Z");
    notes.one_run("2026-03-30", "2026-03-30T00:30:00Z");

    notes.jump("2026-10-23T12:00:00Z");
    notes.elapses("2026-10-24T00:30:00Z");
    notes.one_run("2026-10-24", "2026-10-24T00:30:00Z");
    notes.elapses("2026-10-25T00:30:00Z");
    // The hour from two to three comes again.
    for hour in ["01:00:00", "01:29:58", "01:45:00"] {
        notes.jump(&format!("2026-10-25T{hour}Z"));
    }
    notes.machine.sh("systemctl restart bkp-notes.timer");
    notes.settled();
    notes.machine.sh("systemctl start bkp-notes.service");
    for hour in ["02:30:00", "06:00:00", "12:00:00", "18:00:00", "22:59:00"] {
        notes.jump(&format!("2026-10-25T{hour}Z"));
    }
    notes.one_run("2026-10-25", "2026-10-25T00:30:00Z");
    notes.elapses("2026-10-26T01:30:00Z");
    notes.jump("2026-10-26T20:00:00Z");
    notes.one_run("2026-10-26", "2026-10-26T01:30:00Z");
    assert_eq!(notes.audit(), (0, Vec::new()));
}

/// Demands that nothing was removed, and that one snapshot came, which is the newest by its sequence.
#[track_caller]
fn one_more(before: &[Snapshot], after: &[Snapshot]) {
    assert_eq!(after.len(), before.len() + 1, "{before:#?} {after:#?}");
    assert_eq!(&after[..before.len()], before);
    assert!(after.is_sorted_by(|one, next| one.sequence < next.sequence), "{after:#?}");
    assert!(after[before.len()].scheduled, "{after:#?}");
}

#[test]
fn clock_that_is_set_back_or_far_ahead_costs_no_snapshot_and_no_run() {
    let mut notes = Notes::applied("2026-10-20T22:00:00Z");
    for day in 21..=23 {
        notes.elapses(&format!("2026-10-{day}T00:30:00Z"));
    }
    let made = notes.snapshots();
    assert_eq!(made.len(), 4, "{made:#?}");

    notes.jump("2026-10-21T03:00:00Z");
    let (status, findings) = notes.audit();
    assert!(
        status != 0 && findings.iter().any(|(_, it)| it.contains("in the future")),
        "{status} {findings:#?}"
    );
    notes.elapses("2026-10-22T00:30:00Z");
    let back = notes.snapshots();
    one_more(&made, &back);
    assert!(back[4].started_at < back[3].started_at, "{back:#?}");
    assert_eq!(notes.audit(), (0, Vec::new()));

    notes.jump("2027-10-22T12:00:00Z");
    let ahead = notes.snapshots();
    one_more(&back, &ahead);
    assert_eq!(notes.audit(), (0, Vec::new()));

    // Set right again, the newest snapshot lies a year ahead; that is no reason to make none until then.
    notes.jump("2026-10-22T12:00:00Z");
    let (status, findings) = notes.audit();
    assert!(
        status != 0 && findings.iter().any(|(_, it)| it.contains("in the future")),
        "{status} {findings:#?}"
    );
    notes.elapses("2026-10-23T00:30:00Z");
    let right = notes.snapshots();
    one_more(&ahead, &right);
    notes.machine.sh("bkp verify notes");
}
