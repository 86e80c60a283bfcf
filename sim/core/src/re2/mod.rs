//! Regular expressions as Envoy understands them: RE2 syntax, whole-string match, Latin-1 bytes.
//!
//! RE2 and the `regex` family disagree on what is a pattern and on what matches (research: ecosystem, "RE2 vs the
//! regex crate"), so the front end is our own: `parse` reads RE2's grammar into the HIR of `regex-syntax`, and
//! `regex-automata` runs it. Since 1.40 Envoy compiles patterns in Latin-1 mode: a pattern is a sequence of bytes, `.`
//! is one byte, classes range over 0x00–0xFF (semantics: envoy-routing 2.2).

mod classes;
mod escapes;
mod groups;
#[cfg(test)]
mod oracle;
mod parse;
mod rewrite;
mod size;

use std::sync::{Arc, OnceLock};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look};

use crate::ids::Str;

/// `re2.max_program_size.error_level` that Istio sets; Envoy refuses larger programs.
const MAX_PROGRAM_SIZE: u64 = 32_768;

/// A fully built DFA may take this much; larger ones are built lazily while matching.
const DFA_BYTES: usize = 64 << 10;

/// A compiled regular expression; equal when the source text is equal.
#[derive(Clone)]
pub struct Regex {
    source: Str,
    program: Arc<Program>,
}

/// What a pattern compiles to.
struct Program {
    hir: Hir,
    full: FullMatcher,
    search: OnceLock<Option<meta::Regex>>,
}

/// The whole-string matcher.
enum FullMatcher {
    /// Small patterns: no cache, no allocation, one table look-up per byte.
    Dense(Box<dense::DFA<Vec<u32>>>),
    /// Patterns whose DFA would be large.
    Lazy(Box<meta::Regex>),
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
        let program = Program::compile(source.as_bytes())?;
        Ok(Regex { source: source.into(), program: Arc::new(program) })
    }

    /// The pattern text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// RE2 `FullMatch`.
    #[must_use]
    pub fn is_full_match(&self, text: &[u8]) -> bool {
        self.program.full.matches(text)
    }

    /// RE2 `GlobalReplace`: every match replaced, `\0` to `\9` in `substitution` are the match and its groups. A
    /// substitution that names a group the pattern lacks leaves the text as it is.
    #[must_use]
    pub fn replace_all(&self, text: &str, substitution: &str) -> String {
        self.program.replace_all(text, substitution)
    }

    /// The pattern as the automata see it, without anchors; for tools that compare patterns.
    #[must_use]
    pub fn hir(&self) -> &Hir {
        &self.program.hir
    }

    /// Literal bytes every match begins and ends with, for an index; empty when there are none.
    #[must_use]
    pub(crate) fn literal_ends(&self) -> (Vec<u8>, Vec<u8>) {
        size::literal_ends(&self.program.hir)
    }
}

impl Program {
    fn compile(pattern: &[u8]) -> Result<Program, String> {
        let hir = parse::parse(pattern)?;
        let size = size::program_size(&hir);
        if size > MAX_PROGRAM_SIZE {
            return Err(format!("program size of {size} > max program size of {MAX_PROGRAM_SIZE}"));
        }
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir.clone(), Hir::look(Look::End)]);
        Ok(Program { full: FullMatcher::new(&whole)?, hir, search: OnceLock::new() })
    }

    fn replace_all(&self, text: &str, substitution: &str) -> String {
        match self.search.get_or_init(|| searcher(&self.hir).ok()) {
            Some(regex) => rewrite::global_replace(regex, text, substitution),
            None => text.to_owned(),
        }
    }
}

impl FullMatcher {
    fn matches(&self, text: &[u8]) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes);
        match self {
            // a dense DFA without quit bytes cannot fail
            FullMatcher::Dense(dfa) => dfa.try_search_fwd(&input).is_ok_and(|found| found.is_some()),
            FullMatcher::Lazy(regex) => regex.is_match(input),
        }
    }

    fn new(whole: &Hir) -> Result<FullMatcher, String> {
        let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(whole);
        let nfa = nfa.map_err(|e| e.to_string())?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(DFA_BYTES))
            .determinize_size_limit(Some(4 * DFA_BYTES));
        match dense::Builder::new().configure(config).build_from_nfa(&nfa) {
            Ok(dfa) => Ok(FullMatcher::Dense(Box::new(dfa))),
            Err(_) => Ok(FullMatcher::Lazy(Box::new(searcher(whole)?))),
        }
    }
}

fn searcher(hir: &Hir) -> Result<meta::Regex, String> {
    let config = meta::Config::new().utf8_empty(false);
    meta::Builder::new().configure(config).build_from_hir(hir).map_err(|e| e.to_string())
}
