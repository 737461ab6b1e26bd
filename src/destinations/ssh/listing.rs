//! What `rsync --list-only` prints, read: one entry a line, as `-rw-r--r--  1,234 2026/11/20 03:00:00 name`
//! (generator.c, `list_file_entry`).

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Other,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: Kind,
    pub size_bytes: u64,
    pub name: String,
}

impl Entry {
    /// Reads a line; none where it is no entry's, or a name that no text can hold.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (permissions, rest) = line.split_once(' ')?;
        let kind = match permissions.as_bytes() {
            [b'-', others @ ..] if is_permissions(others) => Kind::File,
            [b'd', others @ ..] if is_permissions(others) => Kind::Folder,
            [_, others @ ..] if is_permissions(others) => Kind::Other,
            _ => return None,
        };
        let (size, rest) = rest.trim_start().split_once(' ')?;
        // Grouped by commas, dots or spaces of the locale where the remote side is an old one.
        let digits: String = size.chars().filter(|it| !matches!(it, ',' | '.' | '\'')).collect();
        let size_bytes = digits.parse().ok()?;
        let (date, rest) = rest.trim_start().split_once(' ')?;
        let (time, name) = rest.split_once(' ')?;
        let plausible = |text: &str, mark: char| text.chars().all(|it| it.is_ascii_digit() || it == mark);
        (plausible(date, '/') && plausible(time, ':')).then(|| unescape(name)).flatten().map(|name| Self {
            kind,
            size_bytes,
            name,
        })
    }
}

fn is_permissions(text: &[u8]) -> bool {
    text.len() >= 9 && text[..9].iter().all(|byte| b"rwxsStT-".contains(byte))
}

/// A name as it is: rsync writes what cannot be printed as `\#ooo`, in octal.
fn unescape(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 2..at + 5).filter(|_| bytes[at..].starts_with(b"\\#"));
        let byte = octal
            .and_then(|it| std::str::from_utf8(it).ok())
            .filter(|it| it.bytes().all(|digit| (b'0'..=b'7').contains(&digit)))
            .and_then(|it| u8::from_str_radix(it, 8).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 5 } else { 1 };
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str) -> Option<(Kind, u64, String)> {
        Entry::parse(line.as_bytes()).map(|it| (it.kind, it.size_bytes, it.name))
    }

    #[test]
    fn lines_of_a_list_are_read() {
        assert_eq!(
            entry("-rw-r--r--           3 2026/11/28 03:55:38 a/b/c"),
            Some((Kind::File, 3, "a/b/c".into()))
        );
        assert_eq!(
            entry("-rw-------   1,234,567 2026/11/28 03:55:38  two  spaces "),
            Some((Kind::File, 1_234_567, " two  spaces ".into()))
        );
        assert_eq!(
            entry("drwxr-xr-t        4096 2026/11/28 03:55:38 ."),
            Some((Kind::Folder, 4096, ".".into()))
        );
        assert_eq!(entry("lrwxrwxrwx           3 2026/11/28 03:55:38 x"), Some((Kind::Other, 3, "x".into())));
        assert_eq!(
            entry(r"-rw-r--r-- 9999999999999 2026/11/28 03:55:38 a\#012b\#134#101\#9"),
            Some((Kind::File, 9_999_999_999_999, "a\nb\\#101\\#9".into()))
        );
    }

    #[test]
    fn what_is_no_entry_is_none() {
        for line in [
            "",
            "skipping directory .",
            "created 3 directories for /x",
            "-rw-r--r-- many 2026/11/28 03:55:38 x",
        ] {
            assert_eq!(entry(line), None, "{line}");
        }
        // Not UTF-8.
        assert_eq!(entry(r"-rw-r--r-- 1 2026/11/28 03:55:38 \#377"), None);
    }
}
