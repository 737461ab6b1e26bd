//! Events of a dump, switched off before they are played in on a server that people use.
//!
//! The server starts an enabled event as soon as it is made. Never here: an event of a restored copy that runs beside
//! the one it was copied from, or one whose status could not be found and was let through.

use super::words::identifier;

/// An event that was enabled in a dump, and was played in disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// `DEFINER=...`, as the server wrote it.
    definer: String,
    name: String,
}

impl Event {
    /// The statement that enables it again. Whoever alters an event becomes its definer, so that must be said too
    /// (`MySQL` reference manual, "ALTER EVENT Statement").
    pub fn enabling(&self, schema: &str) -> String {
        let Self { definer, name } = self;
        format!("ALTER {definer}EVENT {}.{} ENABLE;", identifier(schema), identifier(name))
    }
}

/// What became of the line that makes an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// It is disabled in the dump already, here or wherever it is a replica's.
    Already,
    /// It was enabled; the line as it must be played in.
    Now(Vec<u8>, Event),
}

/// Switches off the event that a line makes. None where the line does not say its status where the server writes it:
/// `EVENT name ON SCHEDULE ... ON COMPLETION [NOT] PRESERVE status ...`, names in quotes.
pub(super) fn switched_off(line: &[u8]) -> Option<Off> {
    let event = behind(line, 0, b" EVENT ")?;
    let schedule = behind(line, event, b" ON SCHEDULE ")?;
    let completion = behind(line, schedule, b" ON COMPLETION ")?;
    let rest = &line[completion..];
    let rest = rest.strip_prefix(b"NOT ").unwrap_or(rest).strip_prefix(b"PRESERVE ")?;
    if rest.starts_with(b"DISABLE") {
        return Some(Off::Already);
    }
    let after = rest.strip_prefix(b"ENABLE").filter(|it| it.starts_with(b" "))?;
    let mut out = line[..line.len() - rest.len()].to_vec();
    out.extend_from_slice(b"DISABLE");
    out.extend_from_slice(after);
    let name = unquoted(&line[event..schedule - b" ON SCHEDULE ".len()])?;
    let definer = behind(line, 0, b" DEFINER=").filter(|at| *at < event).and_then(|at| {
        let end = behind(line, at, b"*/")?;
        Some(format!("DEFINER={} ", String::from_utf8_lossy(&line[at..end - 2]).trim_end()))
    });
    Some(Off::Now(out, Event { definer: definer.unwrap_or_default(), name }))
}

/// Where a word ends that stands outside of quotes. Before an event's status only names and times are quoted, and a
/// backslash escapes in neither.
fn behind(line: &[u8], from: usize, word: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in line.iter().enumerate().skip(from) {
        match (quote, byte) {
            (Some(open), byte) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, _)
                if line[at..].len() >= word.len() && line[at..at + word.len()].eq_ignore_ascii_case(word) =>
            {
                return Some(at + word.len());
            }
            (None, b'\'' | b'"' | b'`') => quote = Some(*byte),
            (None, _) => {}
        }
    }
    None
}

fn unquoted(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name.trim_ascii()).ok()?;
    let quote = name.chars().next().filter(|it| ['`', '"'].contains(it))?;
    let inner = name.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, status: &str) -> String {
        format!(
            "/*!50106 CREATE*/ /*!50117 DEFINER=`ro EVENT ot`@`%`*/ /*!50106 EVENT {name} ON SCHEDULE EVERY 1 DAY STARTS \
             '2026-01-01 00:00:00' ON COMPLETION {status} COMMENT 'it''s ON COMPLETION PRESERVE ENABLE ' DO DELETE FROM t \
             */ ;;\n"
        )
    }

    #[test]
    fn enabled_event_is_played_in_disabled_and_nothing_else_of_it_changes() {
        for (quoted, name) in [
            ("`a`", "a"),
            ("`a`` ON COMPLETION PRESERVE ENABLE '`", "a` ON COMPLETION PRESERVE ENABLE '"),
            ("\"b\"", "b"),
        ] {
            for kept in ["NOT PRESERVE", "PRESERVE"] {
                let Some(Off::Now(out, event)) =
                    switched_off(line(quoted, &format!("{kept} ENABLE")).as_bytes())
                else {
                    panic!("{quoted}");
                };
                assert_eq!(String::from_utf8(out).expect("text"), line(quoted, &format!("{kept} DISABLE")));
                let enabling =
                    format!("ALTER DEFINER=`ro EVENT ot`@`%` EVENT `it`.{} ENABLE;", identifier(name));
                assert_eq!(event.enabling("it"), enabling);
            }
        }
    }

    #[test]
    fn event_that_is_disabled_stays_so_and_one_without_a_status_is_not_let_through() {
        for status in ["PRESERVE DISABLE", "NOT PRESERVE DISABLE ON SLAVE"] {
            assert_eq!(switched_off(line("`a`", status).as_bytes()), Some(Off::Already));
        }
        assert_eq!(switched_off(line("`a`", "PRESERVE ENABLED").as_bytes()), None);
        assert_eq!(switched_off(b"/*!50106 CREATE*/ /*!50106 EVENT `a\n"), None);
    }
}
