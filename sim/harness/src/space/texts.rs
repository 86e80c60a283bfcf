//! Texts that tell patterns apart: one shortest text for every set of patterns that can match together.
//!
//! All patterns become one automaton that reports every pattern that matches (`MatchKind::All`); a breadth-first walk
//! over its states meets every set of patterns that any text can match. So the partition is exact, not sampled. This
//! is the one file of the harness that knows `regex-automata` and `regex-syntax`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mesh_core::ir::{PathMatch, StringMatch, StringPattern};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Dot, Hir, Look, Repetition};

/// Most states that a walk visits, and most bytes an automaton may take.
const MAX_STATES: usize = 30_000;
const MAX_BYTES: usize = 8 << 20;

/// What texts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Paths without escapes and without what path normalization would change.
    Path,
    /// Values of headers, parameters and claims; never empty.
    Value,
}

/// In order of preference: texts are for people.
const PREFERRED: &[u8] = b"xabcdefghijklmnopqrstuvwyz0123456789-_/.ABCDEFGHIJKLMNOPQRSTUVWXYZ~:@=+,;!$&'()*";
/// Only in values.
const MORE: &[u8] = b" ?#%\"<>[]\\^`{|}";

impl Alphabet {
    fn bytes(self) -> impl Iterator<Item = u8> {
        let more: &[u8] = if self == Alphabet::Value { MORE } else { &[] };
        PREFERRED.iter().chain(more).copied()
    }

    /// Whether `byte` may follow a text that ends with `last`.
    fn allows(self, last: Option<u8>, byte: u8) -> bool {
        match self {
            Alphabet::Path => last != Some(b'/') || !matches!(byte, b'/' | b'.'),
            Alphabet::Value => byte != b' ' || last.is_some(),
        }
    }
}

/// What a walk found.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// One text per set of patterns, shortest first.
    pub(super) texts: Vec<String>,
    /// No set is missing.
    pub(super) complete: bool,
}

/// A pattern without anchors.
pub(super) type Pattern = Hir;

/// The texts that `matcher` accepts.
pub(super) fn of_string(matcher: &StringMatch) -> Pattern {
    let fold = matcher.ignore_case;
    match &matcher.pattern {
        StringPattern::Exact(text) => literal(text, fold),
        StringPattern::Prefix(text) => Hir::concat(vec![literal(text, fold), anything()]),
        StringPattern::Suffix(text) => Hir::concat(vec![anything(), literal(text, fold)]),
        StringPattern::Contains(text) => Hir::concat(vec![anything(), literal(text, fold), anything()]),
        StringPattern::Regex(regex) => regex.hir().clone(),
    }
}

/// The paths that a route's condition accepts.
pub(super) fn of_path(condition: &PathMatch, case_sensitive: bool) -> Pattern {
    let fold = !case_sensitive;
    match condition {
        PathMatch::Path(text) => literal(text, fold),
        PathMatch::Prefix(text) => Hir::concat(vec![literal(text, fold), anything()]),
        PathMatch::PathSeparatedPrefix(text) => Hir::concat(vec![
            literal(text, fold),
            Hir::alternation(vec![Hir::empty(), Hir::concat(vec![Hir::literal(b"/".to_vec()), anything()])]),
        ]),
        PathMatch::Regex(regex) => regex.hir().clone(),
    }
}

/// The paths that a `{*}`/`{**}` template accepts (as `mesh_core::matching::template_matches`).
pub(super) fn of_template(template: &str) -> Pattern {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let wild = [("{**}", true), ("{*}", false), ("**", true), ("*", false)];
        if let Some((word, any)) = wild.into_iter().find(|(word, _)| rest.starts_with(word)) {
            parts.push(repeated(path_bytes(any), u32::from(!any)));
            rest = rest.get(word.len()..).unwrap_or("");
        } else {
            let length = first.len_utf8();
            parts.push(literal(rest.get(..length).unwrap_or(""), false));
            rest = rest.get(length..).unwrap_or("");
        }
    }
    Hir::concat(parts)
}

/// RFC 3986 path characters of URI templates.
fn path_bytes(slash: bool) -> Hir {
    let single = b"-._~%!$&'()+,;:@=".iter().chain(slash.then_some(&b'/'));
    let ranges = [(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')];
    let all = ranges.into_iter().chain(single.map(|b| (*b, *b)));
    Hir::class(Class::Bytes(ClassBytes::new(all.map(|(a, b)| ClassBytesRange::new(a, b)))))
}

fn anything() -> Hir {
    repeated(Hir::dot(Dot::AnyByte), 0)
}

fn repeated(sub: Hir, min: u32) -> Hir {
    Hir::repetition(Repetition { min, max: None, greedy: true, sub: Box::new(sub) })
}

fn literal(text: &str, fold: bool) -> Hir {
    if !fold {
        return Hir::literal(text.as_bytes().to_vec());
    }
    let either = |byte: &u8| {
        let both = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
        Hir::class(Class::Bytes(ClassBytes::new(both.map(|b| ClassBytesRange::new(b, b)))))
    };
    Hir::concat(text.as_bytes().iter().map(either).collect())
}

/// Texts by what they were made for: the same conditions are met at many places, and automata take long.
#[derive(Debug, Default)]
pub(super) struct Automata(BTreeMap<String, Texts>);

impl Automata {
    /// One text for every set of patterns that can match at the same time. A text is what follows each of `starts`; with
    /// several starts (a path and what it is rewritten to) the sets of all of them are told apart together.
    pub(super) fn telling_apart(
        &mut self,
        patterns: &[Pattern],
        starts: &[&str],
        alphabet: Alphabet,
    ) -> Texts {
        let key = format!("{patterns:?} {starts:?} {alphabet:?}");
        self.0.entry(key).or_insert_with(|| telling_apart(patterns, starts, alphabet)).clone()
    }
}

fn telling_apart(patterns: &[Pattern], starts: &[&str], alphabet: Alphabet) -> Texts {
    let Some(dfa) = automaton(patterns) else { return Texts::default() };
    let begin = start::Config::new().anchored(Anchored::Yes);
    let Ok(initial) = dfa.start_state(&begin) else { return Texts::default() };
    let after = |text: &&str| text.bytes().fold(initial, |at, byte| dfa.next_state(at, byte));
    let first: Vec<StateID> = starts.iter().map(after).collect();
    let last = starts.first().and_then(|s| s.bytes().last());
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    let mut out = Texts { texts: Vec::new(), complete: true };
    let mut queue = VecDeque::from([(first, last, String::new())]);
    while let Some((states, last, text)) = queue.pop_front() {
        let empty = alphabet == Alphabet::Value && text.is_empty();
        if !empty && found.insert(matching(&dfa, &states)) {
            out.texts.push(text.clone());
        }
        if !text.is_empty() && states.iter().all(|s| dfa.is_dead_state(*s)) {
            continue;
        }
        for byte in alphabet.bytes().filter(|b| alphabet.allows(last, *b)) {
            let next: Vec<StateID> = states.iter().map(|s| dfa.next_state(*s, byte)).collect();
            // What may follow depends on the last byte.
            let key = (next.clone(), byte == b'/', text.is_empty() && byte == b' ');
            if seen.insert(key) {
                queue.push_back((next, Some(byte), format!("{text}{}", char::from(byte))));
            }
        }
        if seen.len() > MAX_STATES {
            out.complete = false;
            break;
        }
    }
    out
}

/// The patterns that match if the text ends here, per start.
fn matching(dfa: &dense::DFA<Vec<u32>>, states: &[StateID]) -> Vec<Vec<usize>> {
    let at = |state: &StateID| {
        let end = dfa.next_eoi_state(*state);
        if !dfa.is_match_state(end) {
            return Vec::new();
        }
        let mut all: Vec<usize> =
            (0..dfa.match_len(end)).map(|i| dfa.match_pattern(end, i).as_usize()).collect();
        all.sort_unstable();
        all
    };
    states.iter().map(at).collect()
}

fn automaton(patterns: &[Pattern]) -> Option<dense::DFA<Vec<u32>>> {
    let whole: Vec<Hir> = patterns
        .iter()
        .map(|p| Hir::concat(vec![Hir::look(Look::Start), p.clone(), Hir::look(Look::End)]))
        .collect();
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&whole).ok()?;
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(MAX_BYTES))
        .determinize_size_limit(Some(2 * MAX_BYTES));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_core::re2::Regex;

    fn regex(text: &str) -> Pattern {
        of_string(&StringMatch::new(StringPattern::Regex(Regex::new(text).expect("pattern"))))
    }

    fn texts(patterns: &[Pattern], starts: &[&str], alphabet: Alphabet) -> Vec<String> {
        let found = telling_apart(patterns, starts, alphabet);
        assert!(found.complete);
        found.texts
    }

    #[test]
    fn every_set_of_patterns_has_its_shortest_text() {
        let prefix = of_path(&PathMatch::Prefix("/api".into()), true);
        let exact = of_path(&PathMatch::Path("/api/v1".into()), true);
        assert_eq!(texts(&[prefix, exact], &["/"], Alphabet::Path), ["", "api", "api/v1"]);
        let separated = of_path(&PathMatch::PathSeparatedPrefix("/a".into()), true);
        let prefix = of_path(&PathMatch::Prefix("/a".into()), true);
        assert_eq!(texts(&[separated, prefix], &["/"], Alphabet::Path), ["", "a", "ax"]);
    }

    #[test]
    fn overlaps_of_expressions_are_met() {
        let cookie = regex("^(.*?;)?(user=jason)(;.*)?$");
        assert_eq!(texts(&[cookie], &[""], Alphabet::Value), ["x", "user=jason"]);
        let both = texts(&[regex("a.*"), regex(".*z")], &[""], Alphabet::Value);
        assert_eq!(both, ["x", "a", "z", "az"]);
    }

    #[test]
    fn what_is_written_before_and_after_a_rewrite_counts() {
        // `/api` becomes `/`; the server knows `/admin`.
        let route = of_path(&PathMatch::Prefix("/api/".into()), true);
        let server = of_path(&PathMatch::Path("/admin".into()), true);
        assert_eq!(texts(&[route, server], &["/api/", "/"], Alphabet::Path), ["", "api/", "admin"]);
    }

    #[test]
    fn templates_are_those_of_the_core() {
        for (template, path) in [
            ("/a/{*}", "/a/b"),
            ("/a/{*}", "/a/b/c"),
            ("/a/{**}", "/a/b/c"),
            ("/a/{**}/z", "/a/z"),
            ("/{*}/z", "/q/z"),
        ] {
            let dfa = automaton(&[of_template(template)]).expect("automaton");
            let begin = start::Config::new().anchored(Anchored::Yes);
            let initial = dfa.start_state(&begin).expect("start");
            let end = path.bytes().fold(initial, |at, b| dfa.next_state(at, b));
            let ours = dfa.is_match_state(dfa.next_eoi_state(end));
            assert_eq!(ours, mesh_core::matching::template_matches(template, path), "{template} {path}");
        }
    }
}
