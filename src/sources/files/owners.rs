//! Names of users and groups, read once. They are a courtesy in tar headers: the numbers count.

use crate::host::Host;
use std::collections::HashMap;
use std::path::Path;

/// Names by number.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

/// Reads a file of lines `name:password:number:...` (passwd(5), group(5)); nothing when there is none.
fn names(host: &dyn Host, path: &str) -> HashMap<u32, String> {
    let text = host.read(Path::new(path)).unwrap_or_default();
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

impl Owners {
    /// Reads the host's.
    pub fn read(host: &dyn Host) -> Self {
        Self { users: names(host, "/etc/passwd"), groups: names(host, "/etc/group") }
    }

    /// A user's name; empty where there is none.
    pub fn user(&self, number: u32) -> String {
        self.users.get(&number).cloned().unwrap_or_default()
    }

    /// A group's name; empty where there is none.
    pub fn group(&self, number: u32) -> String {
        self.groups.get(&number).cloned().unwrap_or_default()
    }
}
