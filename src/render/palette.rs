//! Colours, or none.

use owo_colors::{OwoColorize, Style};

/// Whether texts are coloured. What a colour says is always said in words or symbols too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Palette {
    /// ANSI colours are written.
    pub coloured: bool,
}

impl Palette {
    /// No colours.
    pub const PLAIN: Self = Self { coloured: false };

    fn paint(self, text: &str, style: Style) -> String {
        if self.coloured { text.style(style).to_string() } else { text.to_owned() }
    }

    /// Something new or proven.
    pub fn good(self, text: &str) -> String {
        self.paint(text, Style::new().green())
    }

    /// Something that changes, or a warning.
    pub fn warn(self, text: &str) -> String {
        self.paint(text, Style::new().yellow())
    }

    /// Something that goes, fails or is blocked.
    pub fn bad(self, text: &str) -> String {
        self.paint(text, Style::new().red())
    }

    /// What stands out.
    pub fn strong(self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    /// What may be passed over.
    pub fn faint(self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }
}
