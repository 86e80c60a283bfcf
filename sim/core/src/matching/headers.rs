//! `HeaderMatcher` (semantics: envoy-routing 2.3).

use crate::ir::{HeaderCondition, HeaderMatcher};
use crate::matching::string_matches;
use crate::request::Headers;

/// Something that has header lines: a request as a proxy's filters see it, a response.
pub trait HeaderSource {
    /// Shows the lines of a header in order until `see` returns true. The name is lower-case.
    fn lines(&self, name: &str, see: &mut dyn FnMut(&str) -> bool);
}

impl HeaderSource for Headers {
    fn lines(&self, name: &str, see: &mut dyn FnMut(&str) -> bool) {
        let _ = self.all(name).any(see);
    }
}

/// Whether the matcher holds. Each line is tested on its own; `invert` comes after the "any"; an absent header fails
/// whatever `invert` says unless it counts as empty. Envoy: source/common/http/header_utility.cc.
#[must_use]
pub fn header_matches(matcher: &HeaderMatcher, source: &dyn HeaderSource) -> bool {
    let test: &dyn Fn(&str) -> bool = match &matcher.condition {
        HeaderCondition::Present(wanted) => {
            let present = matcher.treat_missing_as_empty || is_present(source, &matcher.name);
            return (present == *wanted) != matcher.invert;
        }
        HeaderCondition::Value(text) => &move |value: &str| string_matches(text, value),
        HeaderCondition::Range(start, end) => {
            &move |value: &str| value.parse::<i64>().is_ok_and(|v| *start <= v && v < *end)
        }
    };
    let (mut present, mut matched) = (false, false);
    source.lines(&matcher.name, &mut |value| {
        present = true;
        matched = test(value);
        matched
    });
    if !present {
        if !matcher.treat_missing_as_empty {
            return false;
        }
        matched = test("");
    }
    matched != matcher.invert
}

fn is_present(source: &dyn HeaderSource, name: &str) -> bool {
    let mut present = false;
    source.lines(name, &mut |_| {
        present = true;
        true
    });
    present
}
