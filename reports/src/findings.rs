//! Findings: diagnostics as reports show them, with the place taken apart.
//!
//! Who finds them is none of this module's business; how they look in SARIF and the like is in [`crate::render`].

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// A cluster would refuse it, or it cannot be read.
    #[default]
    Error,
    /// It probably does not do what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Finding {
    /// Stable code, such as `MS0102`.
    pub code: String,
    /// How bad.
    pub severity: Level,
    /// Where in the life of a document it shows (`parse`, `schema`, `webhook`, …).
    pub stage: String,
    /// One sentence.
    pub message: String,
    /// The file, as the user named it; empty when there is none.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// `Kind/namespace/name` it is about.
    pub object: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Further places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// A further place of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Related {
    /// `file:line:column`
    pub place: String,
    /// What is to be seen there; may be empty.
    pub text: String,
}

/// What a rule means, for formats that list rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'a> {
    /// Stable code.
    pub code: &'a str,
    /// A few words.
    pub title: &'a str,
    /// What it means and what to do.
    pub explanation: &'a str,
}

impl Finding {
    /// `file:line:column: code: message (help)`, as far as known.
    #[must_use]
    pub fn text(&self) -> String {
        let place = match (self.file.is_empty(), self.line) {
            (true, _) => String::new(),
            (false, 0) => format!("{}: ", self.file),
            (false, _) => format!("{}:{}:{}: ", self.file, self.line, self.column),
        };
        let help = self.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{place}{}: {}{help}", self.code, self.message)
    }
}
