//! The text of a systemd unit file (systemd.syntax(7)): sections, keys, continued lines. What is not understood is
//! left out.

/// A unit's assignments in order, its drop-ins' behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UnitFile {
    assignments: Vec<(String, String, String)>,
}

impl UnitFile {
    /// Reads a unit file, or a drop-in behind it.
    pub(super) fn read(&mut self, text: &str) {
        let mut section = String::new();
        let mut continued = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(more) = line.strip_suffix('\\') {
                continued.push_str(more);
                continued.push(' ');
                continue;
            }
            let whole = std::mem::take(&mut continued) + line;
            if let Some(name) = whole.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = whole.split_once('=') {
                self.assignments.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// Every value of a key; an empty one takes back those before it.
    pub(super) fn values<'u>(&'u self, section: &str, key: &str) -> Vec<&'u str> {
        let mut values: Vec<&str> = Vec::new();
        for (in_section, name, value) in &self.assignments {
            if in_section == section && name == key {
                if value.is_empty() {
                    values.clear();
                } else {
                    values.push(value);
                }
            }
        }
        values
    }

    /// The last value of a key.
    pub(super) fn value<'u>(&'u self, section: &str, key: &str) -> Option<&'u str> {
        self.values(section, key).pop()
    }

    /// When a timer elapses, as it is written.
    pub(super) fn schedule(&self) -> Option<String> {
        let keys = [
            "OnCalendar",
            "OnActiveSec",
            "OnBootSec",
            "OnStartupSec",
            "OnUnitActiveSec",
            "OnUnitInactiveSec",
        ];
        let parts: Vec<String> = keys
            .iter()
            .flat_map(|key| self.values("Timer", key).into_iter().map(move |value| (*key, value)))
            .map(|(key, value)| if key == "OnCalendar" { value.to_owned() } else { format!("{key}={value}") })
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The units that this one starts or pulls in.
    pub(super) fn starts(&self) -> impl Iterator<Item = &str> {
        let keys = ["Wants", "Requires", "Upholds", "BindsTo", "OnSuccess", "OnFailure", "Unit"];
        let names = self.assignments.iter().filter(move |(_, key, _)| keys.contains(&key.as_str()));
        names.flat_map(|(_, _, value)| value.split_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_in_adds_and_an_empty_value_takes_back() {
        let mut unit = UnitFile::default();
        unit.read("[Service]\nExecStart=/a \\\n  b\n# ExecStart=/c\nEnvironment=X=1\n");
        assert_eq!(unit.values("Service", "ExecStart"), ["/a  b"]);
        unit.read("[Service]\nExecStart=\nExecStart=/d\n");
        assert_eq!(unit.values("Service", "ExecStart"), ["/d"]);
        assert_eq!(unit.value("Service", "Environment"), Some("X=1"));
        assert_eq!(unit.value("Unit", "ExecStart"), None);
    }

    #[test]
    fn schedule_is_as_it_is_written() {
        let mut unit = UnitFile::default();
        unit.read("[Timer]\nOnCalendar=daily\nOnBootSec=5min\n");
        assert_eq!(unit.schedule().as_deref(), Some("daily; OnBootSec=5min"));
    }
}
