//! Compiled regular expressions, each text once: the same VirtualService is translated for every port and proxy.

use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;
use mesh_core::re2::Regex;
use rustc_hash::FxBuildHasher;

/// Patterns met so far. What RE2 or we refuse is remembered too.
#[derive(Debug, Default)]
pub struct Regexes {
    known: Mutex<IndexMap<String, Result<Regex, String>, FxBuildHasher>>,
}

impl Regexes {
    /// The compiled pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern, in words.
    pub fn get(&self, pattern: &str) -> Result<Regex, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(pattern) {
            return found.clone();
        }
        let compiled = Regex::new(pattern);
        known.insert(pattern.to_owned(), compiled.clone());
        compiled
    }
}

/// Go's `regexp.QuoteMeta`.
pub(crate) fn quote_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
