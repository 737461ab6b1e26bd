//! Statements about a database itself, taken apart and written anew for another name.
//!
//! Never here: text of an archive handed on. A tenant chooses names, and a name may look like the rest of a statement;
//! so each statement is read as the server would read it, and every part is quoted again.

use super::login::{identifier, literal};

/// Why a statement cannot be written anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StatementError {
    /// Text that no `pg_dump` writes there.
    #[error("the archive's statement about its database is not understood at `{0}`")]
    Foreign(String),
    /// An option of `CREATE DATABASE`.
    #[error("the archive's CREATE DATABASE has the option `{0}`, which is not known here")]
    Option(String),
    /// A statement that would still be about another database.
    #[error("a setting of the database `{0}` could not be given to another name")]
    Name(String),
}

/// One part of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A keyword, a number, or a name without quotes.
    Word(String),
    /// A name in quotes, as it is meant.
    Name(String),
    /// A string, as it is meant.
    Text(String),
    Sign(char),
}

impl Part {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(it) if it.eq_ignore_ascii_case(word))
    }

    /// As a name: what has no quotes is folded, as the server does.
    fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_lowercase()),
            Self::Name(name) => Some(name.clone()),
            Self::Text(_) | Self::Sign(_) => None,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Name(name) => identifier(name),
            Self::Text(text) => literal(text),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

/// Reads up to the closing quote, of which two are one; how many bytes that were, and what is meant.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<(usize, String)> {
    let mut meant = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            it if it == quote => {
                if letters.next_if(|(_, next)| *next == quote).is_none() {
                    return Some((at + 1, meant));
                }
                meant.push(quote);
            }
            // In `E'...'` pg_dump doubles backslashes, and writes no other escape.
            '\\' if escapes => {
                letters.next_if(|(_, next)| *next == '\\')?;
                meant.push('\\');
            }
            letter => meant.push(letter),
        }
    }
    None
}

/// Takes a text apart into statements.
fn statements(text: &str) -> Result<Vec<Vec<Part>>, StatementError> {
    let foreign = |at: &str| StatementError::Foreign(at.chars().take(40).collect());
    let (mut all, mut one, mut rest) = (Vec::new(), Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let inner = &rest[first.len_utf8()..];
        let taken = match first {
            '"' => quoted(inner, '"', false).map(|(length, it)| (length + 1, Part::Name(it))),
            '\'' => quoted(inner, '\'', false).map(|(length, it)| (length + 1, Part::Text(it))),
            'E' if inner.starts_with('\'') => {
                quoted(&inner[1..], '\'', true).map(|(length, it)| (length + 2, Part::Text(it)))
            }
            '=' | ',' | ';' => Some((1, Part::Sign(first))),
            it if it.is_alphanumeric() || matches!(it, '_' | '-') => {
                let end = inner.find(|it: char| !(it.is_alphanumeric() || matches!(it, '_' | '$' | '.')));
                let length = end.unwrap_or(inner.len()) + first.len_utf8();
                Some((length, Part::Word(rest[..length].to_owned())))
            }
            _ => None,
        };
        let (length, part) = taken.ok_or_else(|| foreign(rest))?;
        rest = rest[length..].trim_start();
        if part == Part::Sign(';') {
            all.push(std::mem::take(&mut one));
        } else {
            one.push(part);
        }
    }
    if one.is_empty() { Ok(all) } else { Err(foreign(&one[0].written())) }
}

/// Options of `CREATE DATABASE` whose value is a string.
const STRINGS: &[&str] =
    &["ENCODING", "LOCALE", "LC_COLLATE", "LC_CTYPE", "ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE"];
/// Those that are about one server (its tablespaces, the version of its libraries), or are given to it later.
const LEFT_OUT: &[&str] =
    &["TEMPLATE", "TABLESPACE", "STRATEGY", "OID", "COLLATION_VERSION", "IS_TEMPLATE", "ALLOW_CONNECTIONS"];

/// `CREATE DATABASE` as it was, for another name; without its tablespace, which another server need not have.
pub(super) fn create(was: Option<&str>, name: &str) -> Result<String, StatementError> {
    let mut made = format!("create database {} template template0", identifier(name));
    let Some(was) = was else { return Ok(made) };
    let foreign = || StatementError::Foreign(was.chars().take(40).collect());
    let all = statements(was)?;
    let [one] = all.as_slice() else { return Err(foreign()) };
    let [create, database, named, options @ ..] = one.as_slice() else { return Err(foreign()) };
    if !create.is("CREATE") || !database.is("DATABASE") || named.name().is_none() {
        return Err(foreign());
    }
    let mut options = options.iter().filter(|it| **it != Part::Sign('=')).peekable();
    options.next_if(|it| it.is("WITH"));
    while let Some(option) = options.next() {
        let Part::Word(word) = option else { return Err(foreign()) };
        let word = word.to_ascii_uppercase();
        if word == "CONNECTION" && options.next_if(|it| it.is("LIMIT")).is_none() {
            return Err(foreign());
        }
        let value = options.next().ok_or_else(foreign)?;
        match value {
            Part::Text(text) if STRINGS.contains(&word.as_str()) => {
                made.extend([" ", &word.to_ascii_lowercase(), " ", &literal(text)]);
            }
            Part::Word(provider)
                if word == "LOCALE_PROVIDER" && matches!(provider.as_str(), "libc" | "icu" | "builtin") =>
            {
                made.extend([" locale_provider ", provider]);
            }
            _ if word == "CONNECTION" || LEFT_OUT.contains(&word.as_str()) => {}
            _ => return Err(StatementError::Option(word)),
        }
    }
    Ok(made)
}

/// Where a statement about a database's own settings or rights names it; none for another statement.
fn place(one: &[Part]) -> Option<usize> {
    let [first, second, third, fourth, ..] = one else { return None };
    if first.is("ALTER") && second.is("DATABASE") {
        return Some(2);
    }
    if first.is("ALTER") && second.is("ROLE") && third.name().is_some() && fourth.is("IN") {
        return one.get(4).is_some_and(|it| it.is("DATABASE")).then_some(5);
    }
    if first.is("GRANT") || first.is("REVOKE") {
        return one.windows(2).position(|it| it[0].is("ON") && it[1].is("DATABASE")).map(|at| at + 2);
    }
    None
}

/// Settings and rights of the database `was` for the database `name`.
pub(super) fn renamed(text: &str, was: &str, name: &str) -> Result<String, StatementError> {
    let mut made = String::new();
    for mut one in statements(text)? {
        // Whose grant it is: `SET SESSION AUTHORIZATION owner`, and back.
        let grantor = match one.as_slice() {
            [set, session, of, role] => {
                set.is("SET") && session.is("SESSION") && of.is("AUTHORIZATION") && *role != Part::Sign(',')
            }
            [reset, session, of] => reset.is("RESET") && session.is("SESSION") && of.is("AUTHORIZATION"),
            _ => false,
        };
        if !grantor {
            let at = place(&one).filter(|at| one.get(*at).and_then(Part::name).as_deref() == Some(was));
            let at = at.ok_or_else(|| StatementError::Name(was.to_owned()))?;
            one[at] = Part::Name(name.to_owned());
        }
        let parts: Vec<String> = one.iter().map(Part::written).collect();
        made.push_str(&parts.join(" "));
        made.push_str(";\n");
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_is_made_anew_with_its_encoding_and_without_its_tablespace() {
        let was = "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc \
                   LOCALE = 'C' TABLESPACE = fast CONNECTION LIMIT = 3;\n\n\n";
        assert_eq!(
            create(Some(was), "new").as_deref(),
            Ok(
                "create database \"new\" template template0 encoding 'LATIN1' locale_provider libc locale 'C'"
            )
        );
        assert_eq!(create(None, "new").as_deref(), Ok("create database \"new\" template template0"));
    }

    #[test]
    fn what_stands_in_a_name_is_no_part_of_the_statement() {
        let was = "CREATE DATABASE \"x WITH TEMPLATE = template0; drop role \"\"a\"\" --\" WITH TEMPLATE = template0 \
                   ENCODING = 'it''s';";
        assert_eq!(
            create(Some(was), "n").as_deref(),
            Ok("create database \"n\" template template0 encoding 'it''s'")
        );
        for text in
            ["CREATE DATABASE a; DROP ROLE b;", "CREATE DATABASE a WITH ENCODING = 'x", "DROP ROLE b;"]
        {
            assert!(matches!(create(Some(text), "n"), Err(StatementError::Foreign(_))), "{text}");
        }
        let unknown = create(Some("CREATE DATABASE a WITH COLOUR = 'red';"), "n");
        assert_eq!(unknown, Err(StatementError::Option("COLOUR".into())));
    }

    #[test]
    fn database_is_renamed_with_and_without_quotes_and_nothing_else_is() {
        let text = "ALTER DATABASE \"user\" SET \"x.y\" TO 'DATABASE user ', E'a\\\\b';\n\
                    ALTER ROLE app IN DATABASE \"user\" SET work_mem TO '6MB';\n\
                    GRANT CREATE,CONNECT ON DATABASE \"user\" TO \"ON DATABASE x\";\n";
        assert_eq!(
            renamed(text, "user", "new").as_deref(),
            Ok("ALTER DATABASE \"new\" SET \"x.y\" TO 'DATABASE user ' , E'a\\\\b';\n\
                ALTER ROLE app IN DATABASE \"new\" SET work_mem TO '6MB';\n\
                GRANT CREATE , CONNECT ON DATABASE \"new\" TO \"ON DATABASE x\";\n")
        );
        assert_eq!(
            renamed("ALTER DATABASE shop CONNECTION LIMIT = -1;", "shop", "new").as_deref(),
            Ok("ALTER DATABASE \"new\" CONNECTION LIMIT = -1;\n")
        );
        for text in
            ["ALTER DATABASE other SET a TO 'b';", "ALTER ROLE evil SUPERUSER;", "DROP DATABASE shop;"]
        {
            assert_eq!(renamed(text, "shop", "new"), Err(StatementError::Name("shop".into())), "{text}");
        }
    }
}
