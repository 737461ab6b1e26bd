//! The users of this machine, as its own tools tell them. Only looks.
//!
//! A user who could not be looked up is an error and never "no such user".

use super::{Command, Host, read_text};
use std::io;
use std::path::{Path, PathBuf};

/// A user of this machine (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// Looks a user up by name: in `/etc/passwd`, then wherever else the machine keeps its users (getent(1), on a Mac
/// dscl(1)); none when there is no such user.
pub fn account(host: &dyn Host, name: &str) -> io::Result<Option<Account>> {
    let listed = match read_text(host, Path::new("/etc/passwd")) {
        Ok(text) => text.lines().find_map(|line| passwd_line(line).filter(|it| it.name == name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if listed.is_some() {
        return Ok(listed);
    }
    match host.run(&Command::look(["getent", "passwd", name])) {
        // 2: one of the keys was not found (getent(1)).
        Ok(output) if output.status == Some(2) && !output.timed_out => Ok(None),
        Ok(output) if output.succeeded() => {
            let text = output.text();
            let found = text.lines().find_map(passwd_line);
            found.map(Some).ok_or_else(|| not_understood("getent", &text))
        }
        Ok(output) => Err(io::Error::other(format!("`getent passwd {name}`: {}", output.explain()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => directory_service(host, name),
        Err(error) => Err(error),
    }
}

fn directory_service(host: &dyn Host, name: &str) -> io::Result<Option<Account>> {
    let path = format!("/Users/{name}");
    let words = ["dscl", ".", "-read", &path, "UniqueID", "PrimaryGroupID", "NFSHomeDirectory"];
    let output = match host.run(&Command::look(words)) {
        Ok(output) => output,
        // Neither tool is there: `/etc/passwd` is all that this machine has.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !output.succeeded() {
        let said = format!("{} {}", output.text(), String::from_utf8_lossy(&output.stderr));
        if said.contains("eDSRecordNotFound") {
            return Ok(None);
        }
        return Err(io::Error::other(format!("`dscl . -read {path}`: {}", output.explain())));
    }
    let text = output.text();
    let value = |key: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned()))
    };
    let read = || {
        Some(Account {
            name: name.to_owned(),
            uid: value("UniqueID")?.parse().ok()?,
            gid: value("PrimaryGroupID")?.parse().ok()?,
            home: value("NFSHomeDirectory")?.into(),
        })
    };
    read().map(Some).ok_or_else(|| not_understood("dscl", &text))
}

/// The groups of a user, the primary one too, as numbers (id(1)).
pub fn groups(host: &dyn Host, name: &str) -> io::Result<Vec<u32>> {
    let output = host.run(&Command::look(["id", "-G", name]))?;
    if !output.succeeded() {
        return Err(io::Error::other(format!("`id -G {name}`: {}", output.explain())));
    }
    let text = output.text();
    let numbers: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
    numbers.ok().filter(|it| !it.is_empty()).ok_or_else(|| not_understood("id", &text))
}

fn not_understood(tool: &str, said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{tool}` said something else: {}", said.trim()))
}

fn passwd_line(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    Some(Account {
        name: (*fields.first()?).to_owned(),
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
        home: PathBuf::from(fields.get(5)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FakeHost;
    use jiff::Timestamp;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\napp:x:998:997::/srv/app:/usr/sbin/nologin\n";

    fn host() -> FakeHost {
        FakeHost::at(Timestamp::UNIX_EPOCH).file("/etc/passwd", PASSWD, 0o644)
    }

    fn named(host: &FakeHost, name: &str) -> io::Result<Option<Account>> {
        account(host, name)
    }

    #[test]
    fn user_is_found_in_the_file_and_in_the_directory() {
        let found = named(&host(), "app").expect("looked up").expect("there");
        assert_eq!((found.uid, found.gid, found.home.as_path()), (998, 997, Path::new("/srv/app")));
        let directory = host().answer("getent passwd ada", 0, "ada:*:4711:100:Ada:/home/ada:/bin/sh\n");
        assert_eq!(named(&directory, "ada").expect("looked up").expect("there").uid, 4711);
        let mac = host().answer(
            "dscl . -read /Users/ada UniqueID PrimaryGroupID NFSHomeDirectory",
            0,
            "NFSHomeDirectory: /Users/ada\nPrimaryGroupID: 20\nUniqueID: 501\n",
        );
        assert_eq!(named(&mac, "ada").expect("looked up").expect("there").uid, 501);
    }

    #[test]
    fn user_who_is_not_there_is_none_and_a_failed_lookup_is_an_error() {
        assert_eq!(named(&host().answer("getent passwd eve", 2, ""), "eve").expect("looked up"), None);
        assert_eq!(named(&host(), "eve").expect("the file is all there is"), None);
        assert!(named(&host().answer("getent passwd eve", 1, ""), "eve").is_err());
        assert!(named(&host().answer("getent passwd eve", 0, "?"), "eve").is_err());
    }

    #[test]
    fn groups_are_numbers() {
        let host = host().answer("id -G app", 0, "997 44\n").answer("id -G eve", 1, "");
        assert_eq!(groups(&host, "app").expect("groups"), [997, 44]);
        assert!(groups(&host, "eve").is_err());
    }
}
