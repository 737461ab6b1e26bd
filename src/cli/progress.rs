//! Progress as people see it: a bar on a terminal, plain lines or JSON under a journal.

use super::context::{Context, LogFormat, say};
use crate::diagnostic::Diagnostic;
use crate::workflow::event::Event;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

enum Kind {
    Silent,
    Lines,
    Json,
    Bar(ProgressBar),
}

/// Turns events into lines or a bar on standard error.
pub struct Progress {
    kind: Kind,
    verbose: bool,
}

impl Progress {
    /// Chooses by the options and by whether standard error is a terminal.
    pub fn new(context: &Context<'_>) -> Self {
        let global = &context.global;
        let kind = if global.quiet {
            Kind::Silent
        } else if global.log_format == LogFormat::Json {
            Kind::Json
        } else if std::io::stderr().is_terminal() && !global.no_progress {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            if let Ok(style) = ProgressStyle::with_template(
                "{spinner} {elapsed_precise} {bytes:>10} {bytes_per_sec:>12} {msg}",
            ) {
                bar.set_style(style);
            }
            Kind::Bar(bar)
        } else {
            Kind::Lines
        };
        Self { kind, verbose: global.verbose }
    }

    /// Takes an event.
    pub fn event(&self, event: Event) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Json => {
                if let Some(value) = as_json(&event) {
                    say(&format!("{value}\n"));
                }
            }
            Kind::Lines => {
                if let Some(line) = as_line(&event, self.verbose) {
                    say(&format!("{line}\n"));
                }
            }
            Kind::Bar(bar) => match event {
                Event::ReadBytes(bytes) => bar.inc(bytes),
                Event::Phase(phase) => bar.set_message(phase),
                Event::Tick => bar.tick(),
                Event::Sealed { .. } | Event::Proven { .. } | Event::Removed { .. } | Event::Trouble(_) => {
                    if let Some(line) = as_line(&event, self.verbose) {
                        bar.println(line);
                    }
                }
            },
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

fn trouble(diagnostic: &Diagnostic) -> String {
    format!("trouble: {}: {}", diagnostic.summary, diagnostic.sentence())
}

fn as_line(event: &Event, verbose: bool) -> Option<String> {
    match event {
        Event::Phase(phase) => Some(format!("... {phase}")),
        Event::ReadBytes(_) | Event::Tick => None,
        Event::Sealed { set, destination, snapshot, complete } => {
            let word = if *complete { "stored" } else { "stored incomplete" };
            Some(format!("{word}: {set} at {destination}: {snapshot}"))
        }
        Event::Proven { set, destination, snapshot, level } => {
            Some(format!("{level}: {set} at {destination}: {snapshot}"))
        }
        Event::Removed { set, destination, snapshot, reason } => {
            verbose.then(|| format!("removed: {set} at {destination}: {snapshot} ({reason})"))
        }
        Event::Trouble(diagnostic) => Some(trouble(diagnostic)),
    }
}

fn as_json(event: &Event) -> Option<serde_json::Value> {
    use serde_json::json;
    match event {
        Event::Phase(phase) => Some(json!({"event": "phase", "phase": phase})),
        Event::ReadBytes(_) | Event::Tick => None,
        Event::Sealed { set, destination, snapshot, complete } => Some(
            json!({"event": "stored", "set": set, "destination": destination, "snapshot": snapshot, "complete": complete}),
        ),
        Event::Proven { set, destination, snapshot, level } => Some(
            json!({"event": "proven", "set": set, "destination": destination, "snapshot": snapshot, "level": level}),
        ),
        Event::Removed { set, destination, snapshot, reason } => Some(
            json!({"event": "removed", "set": set, "destination": destination, "snapshot": snapshot, "reason": reason}),
        ),
        Event::Trouble(diagnostic) => Some(json!({"event": "trouble", "diagnostic": diagnostic})),
    }
}
