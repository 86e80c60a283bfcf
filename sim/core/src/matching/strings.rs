//! `StringMatcher` (semantics: envoy-routing 2.3).

use crate::ir::{StringMatch, StringPattern};

/// Whether `value` satisfies the matcher. Bytes are compared; `ignore_case` folds ASCII and never applies to regexes.
#[must_use]
pub fn string_matches(matcher: &StringMatch, value: &str) -> bool {
    let (value, fold) = (value.as_bytes(), matcher.ignore_case);
    match &matcher.pattern {
        StringPattern::Exact(text) => same(value, text.as_bytes(), fold),
        StringPattern::Prefix(text) => {
            value.get(..text.len()).is_some_and(|head| same(head, text.as_bytes(), fold))
        }
        StringPattern::Suffix(text) => value
            .len()
            .checked_sub(text.len())
            .and_then(|at| value.get(at..))
            .is_some_and(|tail| same(tail, text.as_bytes(), fold)),
        StringPattern::Contains(text) => contains(value, text.as_bytes(), fold),
        StringPattern::Regex(regex) => regex.is_full_match(value),
    }
}

fn same(a: &[u8], b: &[u8], fold: bool) -> bool {
    if fold { a.eq_ignore_ascii_case(b) } else { a == b }
}

fn contains(value: &[u8], text: &[u8], fold: bool) -> bool {
    text.is_empty() || value.windows(text.len()).any(|window| same(window, text, fold))
}
