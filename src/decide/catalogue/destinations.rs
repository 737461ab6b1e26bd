//! Findings about destinations behind a network, and about how many copies there are.

use super::Explanation;
use super::entries::entry;
use crate::decide::finding::{FindingCode as Code, Severity};

pub(super) static DESTINATIONS: [Explanation; 10] = [
    entry(
        Code::DestinationRefused,
        Severity::Critical,
        "The destination does not accept the credentials",
        "Nothing can be stored there, and what lies there cannot be looked at: every level at it is unknown until the \
         credentials are accepted again.",
        "A key or a token that has expired, was revoked or was replaced; a right that was taken away; an account that was \
         closed.",
        "Put credentials that are valid where the plan file says, and see `bkp plan`.",
    ),
    entry(
        Code::DestinationPlaceMissing,
        Severity::Critical,
        "The bucket, container or folder is not there",
        "The server answers, and the declared place does not exist at it: nothing can be stored, and no copy is there.",
        "A name that is misspelt or belongs to another account or region, or a place that somebody deleted, with everything \
         in it.",
        "Correct the name in the plan file and run `bkp apply`; if the place was deleted, make it again and find out who did it.",
    ),
    entry(
        Code::DestinationStranger,
        Severity::Critical,
        "The server is not the declared one",
        "Its host key or certificate is another than is trusted, so nothing was sent to it. Every level there is unknown.",
        "The server was set up again, its certificate has expired or was issued by another authority, or somebody stands \
         between.",
        "Find out from who runs the server whether its key was changed; only then replace it in `known_hosts`, or the authority \
         in `ca`.",
    ),
    entry(
        Code::ClockSkew,
        Severity::Warning,
        "The clocks of server and host differ",
        "They are more than 5 minutes apart, or the server refuses requests because of it. Signed requests are refused, ages \
         and retention are wrong by the difference, and one of the two clocks is wrong.",
        "No time synchronisation on this host or on the server, or a virtual machine that was suspended.",
        "Synchronise the clock of this host (`timedatectl set-ntp true`); if it is right, have the server's put right.",
    ),
    entry(
        Code::DestinationUnopened,
        Severity::Critical,
        "What opens the destination is missing",
        "A secret or a program that the destination needs is not there, so nobody could log in: every level there is unknown.",
        "A secret's file was moved or removed, or a program is not installed.",
        "Do what the evidence says, and see `bkp plan`.",
    ),
    entry(
        Code::ObjectArchived,
        Severity::Critical,
        "An object must be brought back before it can be read",
        "It lies in an archive tier. The snapshot is unverifiable: neither `intact` nor `restored` can be proven, and a \
         restore has to wait for hours.",
        "A lifecycle rule, a bucket whose default tier is an archive, or somebody who moved it.",
        "Bring it back at the service, remove the rule that archives it, and run `bkp verify SET`.",
    ),
    entry(
        Code::CopiesTooFew,
        Severity::Critical,
        "Fewer fresh verified copies than the plan asks for",
        "`require.copies` counts places in which a copy is fresh and was read back. Destinations on one device, on one host, \
         in one `failure_domain`, at one server or account, or opened by the same credentials are one place.",
        "A destination that is stale or unproven, or two that would be lost together.",
        "Mend the destination that the evidence names, or add one that fails on its own.",
    ),
    entry(
        Code::OffHostTooFew,
        Severity::Critical,
        "Fewer copies off this host than the plan asks for",
        "`require.off_host` counts fresh verified copies on no disk of this host. A folder of this host is never one, whatever \
         is mounted there.",
        "The destination off this host is stale or unproven, or there is none.",
        "Mend the destination that the evidence names, or add one on another machine.",
    ),
    entry(
        Code::SharedFate,
        Severity::Warning,
        "Two destinations of a set fail together",
        "What destroys one copy destroys the other, or who can open one can open the other: they are one copy.",
        "Two folders on one device, two places at one server or account, or one key for both.",
        "Move one of them, or give it credentials of its own. If it is meant so, say with `require` how many copies are asked for.",
    ),
    entry(
        Code::LifecycleTooEarly,
        Severity::Warning,
        "A rule of the service deletes or archives too early",
        "It removes snapshots that the plan still keeps, or moves them where they cannot be read back or restored before their \
         proofs are due.",
        "A rule that was made for other data in the same bucket, or a plan that was changed later.",
        "Change the rule at the service, or the plan: `retention: { by: provider }` says that the service removes what is old.",
    ),
];
