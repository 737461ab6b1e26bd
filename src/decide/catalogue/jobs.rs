//! Findings about jobs and what starts them.

use super::Explanation;
use super::entries::entry;
use crate::decide::finding::{FindingCode as Code, Severity};

pub(super) static JOBS: [Explanation; 11] = [
    entry(
        Code::TimerMissing,
        Severity::Critical,
        "No timer starts the set",
        "The plan declares a schedule, and the scheduler knows no timer for it. Nothing will run.",
        "`apply` was never run or failed for this set, or somebody removed the timer.",
        "Run `bkp apply`.",
    ),
    entry(
        Code::TimerDisabled,
        Severity::Critical,
        "The timer is disabled",
        "The timer's file is there, and after the next reboot nothing starts it.",
        "Somebody ran `systemctl disable` or `launchctl disable`, commented cron's lines out, or copied the job by hand. An old `Result=success` of a service says nothing.",
        "Run `bkp apply`, or `systemctl enable --now` on the timer.",
    ),
    entry(
        Code::TimerInactive,
        Severity::Critical,
        "The timer is not active",
        "The timer is enabled and does not wait: nothing starts the job before the next reboot.",
        "Somebody ran `systemctl stop` on the timer, or it was enabled without being started. With cron: no cron daemon runs.",
        "Run `bkp apply`, or `systemctl start` on the timer.",
    ),
    entry(
        Code::TimerDead,
        Severity::Critical,
        "The timer is active and never elapses",
        "The scheduler calls the timer active, but it has no next elapse ahead.",
        "A schedule that lies only in the past, or a timer whose trigger was lost.",
        "Run `bkp apply`; if it stays, restart the timer.",
    ),
    entry(
        Code::TimerMasked,
        Severity::Critical,
        "The timer is masked",
        "The timer is linked to /dev/null and cannot be started.",
        "Somebody ran `systemctl mask`.",
        "Run `bkp apply`, or `systemctl unmask` on the timer.",
    ),
    entry(
        Code::TimerStatic,
        Severity::Critical,
        "The timer is lost at reboot",
        "The timer has no [Install] section: it cannot be enabled, and after a reboot nothing starts it.",
        "The timer's file was edited or made by hand.",
        "Run `bkp apply`.",
    ),
    entry(
        Code::ServiceMasked,
        Severity::Critical,
        "The service is masked",
        "The timer elapses, and what it should start cannot be started.",
        "Somebody ran `systemctl mask` on the service.",
        "Run `bkp apply`, or `systemctl unmask` on the service.",
    ),
    entry(
        Code::JobDrifted,
        Severity::Warning,
        "The installed job differs from the declared one",
        "What the scheduler would execute is not what the plan says: a file was edited, a drop-in changes it, the scheduler has not read it again, or it runs another binary or plan.",
        "An edit on the host, a drop-in, a new version of bkp, or a plan that was changed and not applied.",
        "Look at the difference with `bkp plan`, then run `bkp apply`.",
    ),
    entry(
        Code::JobOrphaned,
        Severity::Warning,
        "A job of this plan is no longer declared",
        "The job still runs, for a set that the plan does not have.",
        "A set was removed or renamed, and `apply` did not run since.",
        "Run `bkp apply`; snapshots are kept. For a rename say `moved: { old: new }`.",
    ),
    entry(
        Code::JobWritable,
        Severity::Critical,
        "Others can change a job's file",
        "Whoever can write a job's file decides what runs in the name of its user.",
        "Loose permissions on the file or on a folder above it.",
        "Take the permission away, as the finding says.",
    ),
    entry(
        Code::PauseExpired,
        Severity::Warning,
        "A pause is over and still declared",
        "The set runs again, but the plan still says that it is paused.",
        "The end date has passed, and nobody removed the pause.",
        "Remove `pause` from the set and run `bkp apply`.",
    ),
];
