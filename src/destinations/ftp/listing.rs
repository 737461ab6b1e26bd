//! What servers say of a folder. A line that is not understood is an error: an object that is not listed would be taken for
//! one that is not there.

use suppaftp::list::{File, ListParser};

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// With its size in bytes, where the line says it.
    File(Option<u64>),
    /// Something that must be asked for.
    Link,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub kind: Kind,
}

fn entry(name: &str, kind: Kind) -> Option<Entry> {
    // A name with a `/` is the folder itself, as some servers write it.
    let own = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    own.then(|| Entry { name: name.to_owned(), kind })
}

/// A line of `MLSD` (RFC 3659, section 7.2): facts, each with a `;` behind it, a space, and the name. None for the folder
/// itself and the one above.
pub(super) fn machine_line(line: &str) -> Result<Option<Entry>, String> {
    let unclear = || format!("a line of its listing is not understood: {line:?}");
    let (facts, name) = match line.strip_prefix(' ') {
        Some(name) => ("", name),
        None => line.split_once("; ").ok_or_else(unclear)?,
    };
    let fact = |wanted: &str| {
        let mut pairs = facts.split(';').filter_map(|fact| fact.split_once('='));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    };
    let size = fact("size").map(|it| it.parse().map_err(|_| unclear())).transpose()?;
    let kind = match fact("type").map(str::to_ascii_lowercase).as_deref() {
        Some("cdir" | "pdir") => return Ok(None),
        Some("dir") => Kind::Folder,
        Some("file") => Kind::File(size),
        Some(_) | None => Kind::Link,
    };
    Ok(entry(name, kind))
}

/// A line of `LIST`, as most servers write it: that of `ls -l`, or that of Windows. None for what names nothing.
pub(super) fn people_line(line: &str) -> Result<Option<Entry>, String> {
    let is_sum = line.strip_prefix("total ").is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_digit()));
    if is_sum || line.trim().is_empty() {
        return Ok(None);
    }
    let parsed = ListParser::parse_posix(line).or_else(|_| ListParser::parse_dos(line));
    let file: File = parsed.map_err(|_| format!("a line of its listing is not understood: {line:?}"))?;
    let kind = if file.is_directory() {
        Kind::Folder
    } else if file.is_symlink() {
        Kind::Link
    } else {
        Kind::File(Some(file.size() as u64))
    };
    Ok(entry(file.name(), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, kind: Kind) -> Option<Entry> {
        Some(Entry { name: name.to_owned(), kind })
    }

    #[test]
    fn machines_lines_are_understood_whatever_the_facts() {
        let read = |line| machine_line(line).expect("a good line");
        assert_eq!(
            read("type=file;size=12;modify=20261120030000; a; b"),
            named("a; b", Kind::File(Some(12)))
        );
        assert_eq!(read("Type=dir;Modify=20261120030000.123;UNIX.mode=0755; x"), named("x", Kind::Folder));
        assert_eq!(read("type=OS.unix=slink:/srv;size=3; l"), named("l", Kind::Link));
        assert_eq!(read("Type=file; unsized"), named("unsized", Kind::File(None)));
        assert_eq!(read("type=cdir;perm=el; /srv/x"), None);
        assert_eq!(read("type=pdir; .."), None);
        for line in ["nonsense", "type=file;size=many; a"] {
            assert!(machine_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn peoples_lines_are_understood_or_an_error() {
        let read = |line| people_line(line).expect("a good line");
        assert_eq!(
            read("-rw-r--r--   1 ftp      ftp            12 Nov 20 03:00 .bkp-tmp-1"),
            named(".bkp-tmp-1", Kind::File(Some(12)))
        );
        assert_eq!(read("drwxr-xr-x 2 0 0 4096 Nov 20 2018 a b"), named("a b", Kind::Folder));
        assert_eq!(read("lrwxrwxrwx 1 0 0 4 Nov 20 2018 l -> /srv"), named("l", Kind::Link));
        assert_eq!(read("04-08-14  03:09PM  8192 omar.txt"), named("omar.txt", Kind::File(Some(8192))));
        assert_eq!(read("total 12"), None);
        assert_eq!(read("drwxr-xr-x 2 0 0 4096 Nov 20 2018 .."), None);
        assert!(people_line("?????????? omar.txt").is_err());
    }
}
