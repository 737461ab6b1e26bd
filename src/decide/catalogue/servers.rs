//! Findings about servers and their members.

use super::Explanation;
use super::entries::entry;
use crate::decide::finding::{FindingCode as Code, Severity};

pub(super) static SERVERS: [Explanation; 9] = [
    entry(
        Code::ToolTooOld,
        Severity::Critical,
        "A tool is older than the server that it reads",
        "Dump programs refuse a server that is newer than they are, or leave out what they do not know.",
        "The server was upgraded, and its client programs were not.",
        "Install the client programs of the server's version, or name their folder with `tools:`.",
    ),
    entry(
        Code::ServerUnreachable,
        Severity::Critical,
        "The server does not answer",
        "Nobody can be asked what there is to back up, and the next run will fail.",
        "It is stopped, listens elsewhere, or the job's user cannot come to its socket.",
        "Start it, or correct its address in the plan file.",
    ),
    entry(
        Code::LoginRefused,
        Severity::Critical,
        "The server refuses the login",
        "The job cannot log in, so the next run will fail.",
        "The password was changed, or the account was removed.",
        "Put the right password where the plan file says, and see `bkp plan`.",
    ),
    entry(
        Code::GrantMissing,
        Severity::Critical,
        "The login may not read everything",
        "A dump made with these rights fails, or silently leaves out what the login may not see.",
        "The account was made with fewer rights than a backup needs, or one was revoked.",
        "Run the command that the finding names.",
    ),
    entry(
        Code::CatalogueLimited,
        Severity::Critical,
        "The list of members may not be complete",
        "What the login cannot see it cannot back up, and nothing else would say so.",
        "Servers list only what an account may see, or refuse connections to single databases.",
        "Run the command that the finding names, or list the members in the plan file and ignore the rest by name.",
    ),
    entry(
        Code::MemberGone,
        Severity::Warning,
        "A member that was backed up no longer exists",
        "The newest snapshot has it, and the source does not. Retention will take the last copy in time.",
        "It was dropped, on purpose or not, or the set reads another server than before.",
        "Restore it from the snapshot; or, if it is gone on purpose, run `bkp run SET`.",
    ),
    entry(
        Code::MemberNotStored,
        Severity::Warning,
        "A member exists and is in no snapshot yet",
        "It was made after the newest snapshot. The set takes it, and until the next run there is no copy.",
        "It is new.",
        "Wait for the next run, or `bkp run SET`.",
    ),
    entry(
        Code::OpenDoor,
        Severity::Critical,
        "A server lets people in without a password",
        "A login without a password was tried from where others can come from, and it succeeded, or the server's own \
         rules allow it. Whoever can reach the server can read and destroy the data, whatever backups there are.",
        "Trust rules for a network (pg_hba.conf), accounts without a password, a server without authentication that \
         listens on more than the local socket.",
        "In this order, so that nothing stops working: (1) give every account or role that is in use a password \
         (ALTER ROLE name PASSWORD; ALTER USER; ACL SETUSER; db.changeUserPassword; an API key), while the open way \
         still works; (2) put the password into every consumer, also into this plan file by `password: { file: PATH }`, \
         and restart them one by one; (3) keep a copy of the server's configuration, whose return is the one-line \
         rollback (cp pg_hba.conf.before pg_hba.conf, then reload); (4) switch: replace trust by scram-sha-256, drop \
         the accounts without a password, turn authentication on, or bind to the loopback address; reload; (5) prove \
         that the old way fails: look again with `bkp audit`, which repeats the login; if a consumer fails, roll back \
         by the one line and begin again at (2).",
    ),
    entry(
        Code::DrillUnjudged,
        Severity::Warning,
        "Nothing judges what a command's backup means",
        "Its drill shows that the bytes come back as they were made, with their end mark and size. Whether they can be \
         used nobody has tried, so that `restored` says less here than elsewhere.",
        "A `command` set without `drill`.",
        "Give set SET a `drill`: a program that reads the backup and ends with 0 only if it is good.",
    ),
];
