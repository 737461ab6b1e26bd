//! Texts of a plan file as schemas: what each looks like, for editors.

use super::NAME;
use crate::declared::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

const QUIET: &str = "^\\s*[0-9]{2}:[0-9]{2}\\s*-\\s*[0-9]{2}:[0-9]{2}\\s*$";

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: a number and s, m, h, d or w.",
            "pattern": "^[0-9]+[smhdw]$",
            "examples": ["30d", "12h", "90m"],
        })
    }
}

written_schema!(NameText, "Name", |_| json_schema!({
    "type": "string",
    "description": "1 to 63 of a-z, 0-9 and `-`; begins with a letter or a digit.",
    "pattern": NAME,
}));
written_schema!(Line, "Line", |_| json_schema!({
    "type": "string",
    "description": "Text on one line.",
    "pattern": "^[^\\u0000-\\u001f\\u007f]*\\S[^\\u0000-\\u001f\\u007f]*$",
}));
written_schema!(PathText, "Path", |_| json_schema!({
    "type": "string",
    "description": "A path: absolute, from the home (`~/`), or from the plan file's folder.",
    "pattern": "^(~$|~/|[^~])[^\\u0000-\\u001f\\u007f]*$",
}));
written_schema!(ScheduleText, "Schedule", |_| json_schema!({
    "type": "string",
    "description": "`hourly`, `every 4h`, `daily 03:00`, `weekly sun 03:00`, `monthly 1 03:00` or `cron 0 3 * * *`.",
    "pattern": "^\\s*(hourly|every\\s+[0-9]+[smhdw]|daily\\s+[0-9]{2}:[0-9]{2}|\
        weekly\\s+(sun|mon|tue|wed|thu|fri|sat)\\s+[0-9]{2}:[0-9]{2}|monthly\\s+[0-9]{1,2}\\s+[0-9]{2}:[0-9]{2}|\
        cron(\\s+\\S+){5})\\s*$",
    "examples": ["daily 03:00", "every 4h", "weekly sun 03:00", "monthly 1 03:00", "hourly", "cron 0 3 * * 1-5"],
}));
written_schema!(UserText, "User", |_| json_schema!({
    "type": "string",
    "description": "The name of a user of the system.",
    "pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,31}$",
}));
written_schema!(SizeText, "Size", |_| json_schema!({
    "type": "string",
    "description": "A size: a whole number and MiB or GiB.",
    "pattern": "^[0-9]+(MiB|GiB)$",
    "examples": ["512MiB", "2GiB"],
}));
written_schema!(LocalTime, "LocalTime", |_| json_schema!({
    "type": "string",
    "description": "A local date, or date and time.",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+)?$",
    "examples": ["2027-01-31", "2027-01-31T18:00"],
}));
written_schema!(QuietHoursChoice, "QuietHours", |_| json_schema!({
    "description": "Hours of every day, over midnight where the second time is the earlier one.",
    "anyOf": [
        { "type": "string", "pattern": QUIET },
        { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": QUIET } },
    ],
    "examples": ["08:00-18:00"],
}));
written_schema!(Version, "Version", |_| json_schema!({
    "const": 1,
    "description": "The plan file's version.",
}));
