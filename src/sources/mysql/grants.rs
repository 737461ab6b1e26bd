//! What an account may do, as `SHOW GRANTS` says it.
//!
//! The server hides what an account may not see, and dumps leave it out with exit status 0: so a right that is missing
//! is a failure before anything is read, never a shorter dump.

use super::version::{Family, Version};
use super::words::{identifier, literal};

/// What a right is given on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// `*.*`.
    Global,
    /// A schema, as a pattern with `%` and `_`.
    Schema(String),
    /// A table, by its schema and name.
    Table(String, String),
}

/// One line.
#[derive(Debug, Clone)]
struct Grant {
    rights: Vec<String>,
    scope: Scope,
}

/// The rights of an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    given: Vec<Grant>,
    account: String,
    revoked: bool,
}

/// What a dump of any schema reads.
const DUMP_RIGHTS: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

impl Grants {
    /// Reads the lines; `account` is `CURRENT_USER()`.
    pub fn parse(account: &str, lines: impl IntoIterator<Item = String>) -> Self {
        let mut grants = Self { account: account.to_owned(), ..Self::default() };
        for line in lines {
            grants.revoked |= line.starts_with("REVOKE ");
            grants.given.extend(grant(&line));
        }
        grants
    }

    fn has(&self, right: &str, fits: impl Fn(&Scope) -> bool) -> bool {
        self.given.iter().any(|grant| {
            fits(&grant.scope) && grant.rights.iter().any(|it| it == right || it == "ALL PRIVILEGES")
        })
    }

    /// Whether it is given on everything.
    pub fn global(&self, right: &str) -> bool {
        self.has(right, |scope| *scope == Scope::Global)
    }

    /// Whether it is given on a schema.
    pub fn on(&self, right: &str, schema: &str) -> bool {
        self.has(right, |scope| match scope {
            Scope::Global => true,
            Scope::Schema(pattern) => like(pattern, schema),
            Scope::Table(..) => false,
        })
    }

    fn on_table(&self, right: &str, schema: &str, table: &str) -> bool {
        self.on(right, schema)
            || self.has(right, |scope| *scope == Scope::Table(schema.to_owned(), table.to_owned()))
    }

    /// Whether every schema is shown: SHOW DATABASES and SELECT on everything show them all
    /// (`MySQL` reference manual, "SHOW DATABASES Statement"); partial revokes hide again.
    pub fn sees_every_schema(&self) -> bool {
        !self.revoked && (self.global("SELECT") || self.global("SHOW DATABASES"))
    }

    /// Whether the server gives the text of routines that others have made.
    fn reads_routines(&self, schema: &str, server: Version) -> bool {
        let table = self.on_table("SELECT", "mysql", "proc");
        let newer = match server.family {
            // Since MariaDB 11.3; before, not even every right on a schema shows what others have made.
            Family::Mariadb => {
                (server.major, server.minor) >= (11, 3) && self.on("SHOW CREATE ROUTINE", schema)
            }
            Family::Mysql => self.global("SHOW_ROUTINE"),
        };
        self.global("SELECT") || newer || (server.family == Family::Mariadb || server.major < 8) && table
    }

    /// What a dump of a schema lacks, each with the statement that mends it.
    pub fn missing(&self, schema: &str, server: Version) -> Vec<(String, String)> {
        let to = self.quoted_account();
        let mut missing: Vec<(String, String)> = DUMP_RIGHTS
            .iter()
            .filter(|right| !self.on(right, schema))
            .map(|right| ((*right).to_owned(), format!("GRANT {right} ON {}.* TO {to};", identifier(schema))))
            .collect();
        if !self.reads_routines(schema, server) {
            let (right, mends) = match server.family {
                Family::Mysql if server.major >= 8 => {
                    ("SHOW_ROUTINE".to_owned(), format!("GRANT SHOW_ROUTINE ON *.* TO {to};"))
                }
                Family::Mysql | Family::Mariadb => {
                    ("SELECT on mysql.proc".to_owned(), format!("GRANT SELECT ON mysql.proc TO {to};"))
                }
            };
            missing.push((right, mends));
        }
        missing
    }

    /// What lets nobody commit while a dump begins lacks, with the statement that mends it. Without such a lock rows are
    /// counted before and after the dump, and a dump of a schema that is written to may fall between the two counts.
    pub fn missing_lock(&self, schema: &str) -> Option<(String, String)> {
        // `FLUSH TABLES WITH READ LOCK` takes RELOAD, or in MySQL FLUSH_TABLES beside it.
        (!self.global("RELOAD") && !self.on("LOCK TABLES", schema)).then(|| {
            let to = self.quoted_account();
            ("LOCK TABLES".to_owned(), format!("GRANT LOCK TABLES ON {}.* TO {to};", identifier(schema)))
        })
    }

    /// Whether accounts and their rights may be read.
    pub fn reads_accounts(&self) -> bool {
        self.on("SELECT", "mysql")
    }

    /// The statement that lets accounts be read.
    pub fn for_accounts(&self) -> String {
        format!("GRANT SELECT ON mysql.* TO {};", self.quoted_account())
    }

    /// The statement that gives everything that a backup of every schema can use.
    pub fn for_everything(&self) -> String {
        format!(
            "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, SHOW DATABASES, RELOAD ON *.* TO {};",
            self.quoted_account()
        )
    }

    fn quoted_account(&self) -> String {
        let (user, host) = self.account.rsplit_once('@').unwrap_or((&self.account, "%"));
        format!("{}@{}", literal(user), literal(host))
    }
}

/// Tables that statements give rights on, with the columns that they name.
pub(super) fn tables_named(statements: &str) -> Vec<(String, String, Vec<String>)> {
    let table = |line: &str| {
        let Scope::Table(schema, table) = grant(line)?.scope else { return None };
        let rights = line.split_once(" ON ")?.0;
        let brackets = rights.split('(').skip(1).filter_map(|it| it.split_once(')')).map(|it| it.0);
        let names = brackets.flat_map(|it| it.split(", ")).map(|it| it.trim_matches('`').replace("``", "`"));
        let columns: std::collections::BTreeSet<String> = names.collect();
        Some((schema, table, columns.into_iter().collect()))
    };
    statements.lines().filter_map(table).collect()
}

fn grant(line: &str) -> Option<Grant> {
    let rest = line.strip_prefix("GRANT ")?;
    let (rights, rest) = rest.split_once(" ON ")?;
    let object = rest.split(" TO ").next()?.trim();
    let scope = if object == "*.*" {
        Scope::Global
    } else {
        let (schema, table) = quoted_pair(object)?;
        if table == "*" { Scope::Schema(schema) } else { Scope::Table(schema, table) }
    };
    // A right on columns alone, `SELECT (a, b)`, is none on the table.
    let rights = rights.split(", ").filter(|it| !it.contains('(') && !it.contains(')'));
    Some(Grant { rights: rights.map(|it| it.trim().to_owned()).collect(), scope })
}

/// `` `schema`.`table` `` or `` `schema`.* `` without the quotes.
fn quoted_pair(object: &str) -> Option<(String, String)> {
    let body = object.strip_prefix('`')?;
    let mut end = 0;
    let bytes = body.as_bytes();
    loop {
        end += body.get(end..)?.find('`')?;
        if bytes.get(end + 1) != Some(&b'`') {
            break;
        }
        end += 2;
    }
    let table = body[end + 1..].strip_prefix('.')?;
    Some((body[..end].replace("``", "`"), table.trim_matches('`').replace("``", "`")))
}

/// SQL's LIKE, in which a backslash escapes.
fn like(pattern: &str, text: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = characters.as_str();
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| like(rest, &text[at..]))
        }
        Some(wanted) => {
            let (wanted, any) = match wanted {
                '\\' => (characters.next().unwrap_or('\\'), false),
                '_' => ('_', true),
                other => (other, false),
            };
            let mut text = text.chars();
            text.next().is_some_and(|it| any || it == wanted) && like(characters.as_str(), text.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Grants {
        Grants::parse("bkp@localhost", lines.iter().map(|it| (*it).to_owned()))
    }

    fn server() -> Version {
        Version::parse("10.11.2-MariaDB").expect("a version")
    }

    #[test]
    fn every_right_that_a_dump_silently_does_without_is_asked_for() {
        let all = of(&["GRANT SELECT, SHOW VIEW, EVENT, TRIGGER ON *.* TO `bkp`@`localhost`"]);
        assert_eq!(all.missing("shop", server()), []);
        assert!(all.sees_every_schema());
        let mends = "GRANT LOCK TABLES ON `shop`.* TO 'bkp'@'localhost';";
        assert_eq!(all.missing_lock("shop"), Some(("LOCK TABLES".to_owned(), mends.to_owned())));
        assert_eq!(of(&["GRANT RELOAD ON *.* TO `u`@`%`"]).missing_lock("shop"), None);
        let no_trigger = of(&["GRANT SELECT, SHOW VIEW, EVENT ON *.* TO `bkp`@`localhost`"]);
        let mends = "GRANT TRIGGER ON `shop`.* TO 'bkp'@'localhost';";
        assert_eq!(no_trigger.missing("shop", server()), [("TRIGGER".to_owned(), mends.to_owned())]);
        let one = of(&[
            "GRANT USAGE ON *.* TO `bkp`@`localhost` IDENTIFIED BY PASSWORD '*AA'",
            "GRANT ALL PRIVILEGES ON `shop`.* TO `bkp`@`localhost`",
        ]);
        let missing: Vec<_> = one.missing("shop", server()).into_iter().map(|it| it.0).collect();
        assert_eq!(missing, ["SELECT on mysql.proc"], "routines of others are not in the schema's rights");
        assert!(!one.sees_every_schema());
        assert!(!one.reads_accounts());
    }

    #[test]
    fn patterns_of_schemas_and_columns_are_told_from_names() {
        let one =
            of(&["GRANT SELECT ON `my\\_shop%`.* TO `u`@`%`", "GRANT SELECT (`a`) ON `b`.`c` TO `u`@`%`"]);
        assert!(one.on("SELECT", "my_shop_2"));
        assert!(!one.on("SELECT", "myxshop"));
        assert!(!one.on_table("SELECT", "b", "c"), "a right on columns is none on the table");
        let proc = of(&["GRANT SELECT ON `mysql`.`proc` TO `u`@`%`"]);
        assert!(proc.reads_routines("shop", server()));
    }

    #[test]
    fn partial_revoke_hides_schemas() {
        let some = of(&["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `hidden`.* FROM `u`@`%`"]);
        assert!(!some.sees_every_schema());
    }
}
