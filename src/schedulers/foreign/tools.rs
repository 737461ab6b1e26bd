//! Which commands are backups. What merely mentions a tool is none: the tool must be what is executed.

/// Tools that do nothing but back up, whatever their arguments.
const TOOLS: [&str; 23] = [
    "restic",
    "borg",
    "borgmatic",
    "resticprofile",
    "rustic",
    "autorestic",
    "duplicity",
    "kopia",
    "pg_dump",
    "pg_dumpall",
    "pg_basebackup",
    "mysqldump",
    "mariadb-dump",
    "mariadb-backup",
    "mariabackup",
    "xtrabackup",
    "mongodump",
    "rsnapshot",
    "bup",
    "duply",
    "backupninja",
    "snapper",
    "rsync",
];

/// Tools that are backups with some arguments only.
const SOMETIMES: [&str; 6] = ["rclone", "redis-cli", "sqlite3", "tar", "curl", "wget"];

/// Words that a thing which is a backup bears in its name or its text.
const SIGNS: [&str; 4] = ["backup", "dump", "snapshot", "archive"];

/// What the distribution brings and what is no backup of anybody's data, with the reason.
///
/// `dpkg`, `aptitude` and `passwd` keep copies of their own lists, and their packages look after them.
const OF_THE_DISTRIBUTION: [&str; 14] = [
    "apt-compat",
    "apt-daily",
    "apt-daily-upgrade",
    "aptitude",
    "dpkg",
    "dpkg-db-backup",
    "e2scrub_all",
    "e2scrub_reap",
    "fstrim",
    "logrotate",
    "man-db",
    "passwd",
    "plocate-updatedb",
    "rpmdb-rebuild",
];

/// The last part of a path.
pub(super) fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether the word names a tool that can be a backup.
pub(super) fn is_known(word: &str) -> bool {
    let name = base(word);
    TOOLS.contains(&name) || SOMETIMES.contains(&name)
}

/// Whether a name or a text bears a word of backups.
pub(super) fn says_backup(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// Whether a name alone makes a thing look like a backup: dumps and archives can be of anything.
pub(super) fn is_named_backup(name: &str) -> bool {
    name.to_ascii_lowercase().contains("backup")
}

/// Whether a unit or a file of `/etc/cron.daily` belongs to the distribution, by its name.
pub(super) fn is_of_the_distribution(name: &str) -> bool {
    OF_THE_DISTRIBUTION.contains(&name)
}

/// The tool that a command is a backup with. `signed` says that its name, or the text it stands in, bears a word of
/// backups.
pub(super) fn tool(words: &[String], signed: bool) -> Option<&'static str> {
    let (program, arguments) = words.split_first()?;
    if program.contains("/snapper/") {
        return Some("snapper");
    }
    let name = base(program);
    if let Some(tool) = TOOLS.into_iter().find(|tool| *tool == name) {
        let serves = tool == "rsync" && arguments.iter().any(|it| it == "--daemon");
        return (!serves).then_some(tool);
    }
    let tool = SOMETIMES.into_iter().find(|tool| *tool == name)?;
    let any = |test: &dyn Fn(&str) -> bool| arguments.iter().any(|it| test(it));
    match tool {
        "rclone" => any(&|it| matches!(it, "sync" | "copy" | "copyto" | "move" | "bisync")).then_some(tool),
        "redis-cli" => any(&|it| it == "--rdb" || it.eq_ignore_ascii_case("bgsave")).then_some(tool),
        "sqlite3" => {
            let saves = |it: &str| {
                it.contains(".backup")
                    || it.contains(".dump")
                    || it.to_ascii_lowercase().contains("vacuum into")
            };
            (signed || any(&saves)).then_some(tool)
        }
        "tar" => {
            let bundle = |it: &&String| !it.starts_with("--") && it.contains('c');
            let creates = arguments.first().as_ref().is_some_and(bundle)
                || any(&|it| it == "--create" || (is_bundle(it) && it.contains('c')));
            (signed && creates).then_some(tool)
        }
        _ => {
            let of_qdrant =
                |it: &str| it.contains("/snapshots") && (it.contains("qdrant") || it.contains(":6333"));
            any(&of_qdrant).then_some("qdrant")
        }
    }
}

/// Letters behind one dash.
fn is_bundle(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|it| it.is_ascii_alphabetic()))
}

/// The tools that a program in another language than the shell's names at the start of a quoted text, as in
/// `run(["pg_dump", "shop"])`.
pub(super) fn quoted(text: &str, signed: bool) -> Vec<&'static str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|line| line.split(['"', '\'', '`']).skip(1).step_by(2));
    let mut found: Vec<&'static str> = parts
        .filter_map(|part| {
            let words: Vec<String> = part.split_whitespace().map(str::to_owned).collect();
            let sure = words.first().is_some_and(|it| TOOLS.contains(&base(it)));
            (sure || words.len() > 1).then(|| tool(&words, signed)).flatten()
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str, signed: bool) -> Option<&'static str> {
        tool(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), signed)
    }

    #[test]
    fn tools_are_known_by_the_last_part_of_their_path() {
        assert_eq!(found("/usr/local/bin/restic backup /srv", false), Some("restic"));
        assert_eq!(found("/usr/bin/resticky", false), None);
    }

    #[test]
    fn tool_that_can_do_other_things_counts_only_when_it_backs_up() {
        let cases = [
            ("sqlite3 a.db .backup", false, Some("sqlite3")),
            ("sqlite3 a.db select", false, None),
            ("sqlite3 a.db select", true, Some("sqlite3")),
            ("tar -czf a.tgz b", true, Some("tar")),
            ("tar czf a.tgz b", true, Some("tar")),
            ("tar -C / -cf a.tar b", true, Some("tar")),
            ("tar -czf a.tgz b", false, None),
            ("tar -xzf a.tgz", true, None),
            ("redis-cli --rdb x", false, Some("redis-cli")),
            ("redis-cli BGSAVE", false, Some("redis-cli")),
            ("redis-cli ping", true, None),
            ("rclone mount a b", true, None),
            ("rclone sync a b:", false, Some("rclone")),
            ("rsync --daemon --no-detach", true, None),
            ("rsync -a a b", false, Some("rsync")),
            ("curl -X POST http://localhost:6333/collections/a/snapshots", false, Some("qdrant")),
            ("curl https://example.org/snapshots", false, None),
            ("/usr/lib/snapper/systemd-helper --timeline", false, Some("snapper")),
        ];
        for (line, signed, expected) in cases {
            assert_eq!(found(line, signed), expected, "{line}");
        }
    }

    #[test]
    fn other_languages_name_their_tools_in_quotes() {
        let text = "# \"restic\"\nrun([\"pg_dump\", \"shop\"])\nos.system('/usr/bin/rsync -a a b')\nsay('a restic')\n";
        assert_eq!(quoted(text, true), ["pg_dump", "rsync"]);
    }
}
