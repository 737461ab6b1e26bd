//! Keys that say under which conditions a job runs: the same in `defaults` and in a set.

use super::decoder::{Decoder, Fields};
use super::node::{Content, Node};
use super::problem::Fault;
use crate::declared::{ByteSize, IoClass, JobPolicy, QuietHours, UserName};
use jiff::civil::{Date, DateTime};

pub(super) const JOB_POLICY: [&str; 8] = [
    "run_as",
    "stall_limit",
    "memory_limit",
    "nice",
    "io_class",
    "require_ac_power",
    "quiet_hours",
    "not_before",
];

/// Most that nice(2) knows.
const NICE_MAX: u32 = 19;

impl Decoder<'_> {
    pub fn job_policy(&mut self, fields: &Fields<'_>) -> JobPolicy {
        let words = [("best-effort", IoClass::BestEffort), ("idle", IoClass::Idle)];
        JobPolicy {
            run_as: fields.get("run_as").and_then(|it| {
                self.parsed(it, "`run_as`", "write the name of a user of this system", UserName::try_from)
            }),
            stall_limit: fields.get("stall_limit").and_then(|it| self.span(it, "`stall_limit`")),
            memory_limit: fields
                .get("memory_limit")
                .and_then(|it| self.parsed(it, "`memory_limit`", "write `512MiB`", ByteSize::try_from)),
            nice: fields.get("nice").and_then(|it| self.nice(it)),
            io_class: fields.get("io_class").and_then(|it| self.word(it, "an I/O class", &words, &[])),
            require_ac_power: fields
                .get("require_ac_power")
                .and_then(|it| self.flag(it, "`require_ac_power`")),
            quiet_hours: fields.get("quiet_hours").and_then(|it| self.quiet_hours(it)),
            not_before: fields.get("not_before").and_then(|it| self.not_before(it)),
        }
    }

    fn nice(&mut self, node: &Node) -> Option<u8> {
        let count = self.count(node, "`nice`")?;
        if count > NICE_MAX {
            let what = format!("`nice: {count}` is more than there is");
            self.note(Fault::BadValue, what, node.place, "write 0 to 19; 19 gives way to everybody");
            return None;
        }
        u8::try_from(count).ok()
    }

    /// One range of hours, or a list of them.
    fn quiet_hours(&mut self, node: &Node) -> Option<Vec<QuietHours>> {
        let single = std::slice::from_ref(node);
        let items = match &node.content {
            Content::List(_) => self.list(node, "`quiet_hours`", "write hours such as `08:00-18:00`")?,
            _ => single,
        };
        let read = |it: &Node| self.parsed(it, "quiet hours", "write `08:00-18:00`", QuietHours::try_from);
        Some(items.iter().filter_map(read).collect())
    }

    fn not_before(&mut self, node: &Node) -> Option<DateTime> {
        self.parsed(node, "`not_before`", "write a date", |text| {
            let date = text.parse::<Date>().ok().filter(|it| it.to_string() == text).map(DateTime::from);
            let time = || text.parse::<DateTime>().ok().filter(|_| text.contains('T') && text.is_ascii());
            date.or_else(time).ok_or_else(|| {
                format!("`{text}` is not a local time: write `2027-01-31` or `2027-01-31T18:00`")
            })
        })
    }
}
