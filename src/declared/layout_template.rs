//! Where artifacts lie when they do not lie beside their manifest.

use std::fmt;

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutTemplateError {
    /// It leads nowhere, or out of the destination.
    #[error(
        "`{0}` is no path below the destination: write names with `/` between them, such as `sqlite/{{date}}/{{set}}.db.gz`"
    )]
    NoPath(String),
    /// A part that would lie among the folders of hosts.
    #[error("`{0}` begins with a placeholder: begin with a folder of its own, such as `blobs/{{date}}/...`")]
    NoFolder(String),
    /// Unknown placeholder.
    #[error(
        "`{0}` is no placeholder: there are {{date}}, {{time}}, {{node}}, {{set}}, {{member}} and {{snapshot}}"
    )]
    Unknown(String),
}

/// What stands for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `2026-11-20`, in UTC.
    Date,
    /// `030000`, in UTC.
    Time,
    /// The host's name in keys.
    Node,
    /// The set.
    Set,
    /// The member.
    Member,
    /// The snapshot's name.
    Snapshot,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// To be put in.
    Placeholder(Placeholder),
}

/// A template such as `sqlite/{date}/{set}.db.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutTemplate {
    text: String,
    pieces: Vec<Piece>,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 6] = [
        ("date", Self::Date),
        ("time", Self::Time),
        ("node", Self::Node),
        ("set", Self::Set),
        ("member", Self::Member),
        ("snapshot", Self::Snapshot),
    ];
}

impl LayoutTemplate {
    /// Its pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether it has a placeholder.
    pub fn has(&self, wanted: Placeholder) -> bool {
        self.pieces.contains(&Piece::Placeholder(wanted))
    }

    /// The text behind its last placeholder and last `/`, such as `.db.gz`.
    pub fn ending(&self) -> &str {
        let end = self.text.rsplit(['/', '}']).next();
        end.unwrap_or_default()
    }
}

impl TryFrom<String> for LayoutTemplate {
    type Error = LayoutTemplateError;

    fn try_from(text: String) -> Result<Self, LayoutTemplateError> {
        let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "._-/{}".contains(it);
        let part = |it: &str| !it.is_empty() && !it.starts_with('.');
        if text.len() > 200 || !text.chars().all(plain) || !text.split('/').all(part) {
            return Err(LayoutTemplateError::NoPath(text));
        }
        let first = text.split('/').next().unwrap_or_default();
        if first.contains('{') || first == text {
            return Err(LayoutTemplateError::NoFolder(text));
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let unknown = |word: &str| LayoutTemplateError::Unknown(format!("{{{word}}}"));
            let (word, after) = behind.split_once('}').ok_or_else(|| unknown(behind))?;
            let known = Placeholder::ALL.iter().find(|(name, _)| *name == word);
            let (_, placeholder) = known.ok_or_else(|| unknown(word))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Placeholder(*placeholder));
            rest = after;
        }
        if rest.contains('}') || pieces.iter().any(|it| matches!(it, Piece::Text(text) if text.contains('}')))
        {
            return Err(LayoutTemplateError::NoPath(text));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { text, pieces })
    }
}

impl fmt::Display for LayoutTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_that_leads_out_or_is_not_understood_is_refused() {
        for text in ["", "/a/b", "a//b", "../a", "a/.b", "{set}/x", "a", "a/{day}", "a/{set", "a/set}", "A/b"]
        {
            assert!(LayoutTemplate::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn ending_is_what_stands_behind_the_last_placeholder() {
        let template = LayoutTemplate::try_from("sqlite/{date}/{set}.db.gz".to_owned()).expect("a template");
        assert_eq!(template.ending(), ".db.gz");
        assert!(template.has(Placeholder::Date) && !template.has(Placeholder::Time));
    }
}
