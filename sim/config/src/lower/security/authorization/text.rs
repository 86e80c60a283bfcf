//! The value syntax of AuthorizationPolicy (`*`, `*abc`, `abc*`, `abc`) as Envoy matchers (semantics: istio-security 4.4, 5.4).

use mesh_core::ir::{HeaderCondition, HeaderMatcher, StringMatch, StringPattern};
use mesh_core::re2::Regex;

use super::condition::Problem;

const SPIFFE: &str = "spiffe://";

/// Any non-empty text.
pub(super) fn any_text() -> Result<StringMatch, Problem> {
    regex(".+")
}

/// A regular expression for the whole text.
pub(super) fn regex(pattern: &str) -> Result<StringMatch, Problem> {
    let regex = Regex::new(pattern).map_err(|why| Problem::Unmatchable(format!("`{pattern}`: {why}")))?;
    Ok(StringMatch::new(StringPattern::Regex(regex)))
}

/// The default algorithm.
pub(super) fn text(value: &str) -> Result<StringMatch, Problem> {
    if value == "*" {
        return any_text();
    }
    Ok(StringMatch::new(star_pattern(value)))
}

/// A value without the lone star: the first star found wins, other ones are literal.
fn star_pattern(value: &str) -> StringPattern {
    if let Some(suffix) = value.strip_prefix('*') {
        StringPattern::Suffix(suffix.into())
    } else if let Some(prefix) = value.strip_suffix('*') {
        StringPattern::Prefix(prefix.into())
    } else {
        StringPattern::Exact(value.into())
    }
}

/// A header condition; for headers a lone star is "present", even when empty.
pub(super) fn header(name: &str, value: &str, ignore_case: bool) -> HeaderMatcher {
    let condition = if value == "*" {
        HeaderCondition::Present(true)
    } else {
        HeaderCondition::Value(StringMatch { pattern: star_pattern(value), ignore_case })
    };
    HeaderMatcher {
        name: name.to_ascii_lowercase().into(),
        condition,
        invert: false,
        treat_missing_as_empty: false,
    }
}

/// `principals`: the value without `spiffe://`, as a matcher of the whole id.
pub(super) fn principal(value: &str) -> Result<StringMatch, Problem> {
    if value == "*" {
        return any_text();
    }
    if let Some(suffix) = value.strip_prefix('*') {
        return regex(&format!("{SPIFFE}.*{}", quote(suffix)));
    }
    Ok(StringMatch::new(match value.strip_suffix('*') {
        Some(prefix) => StringPattern::Prefix(format!("{SPIFFE}{prefix}").into()),
        None => StringPattern::Exact(format!("{SPIFFE}{value}").into()),
    }))
}

/// `namespaces`: stars anywhere.
pub(super) fn namespace(value: &str) -> Result<StringMatch, Problem> {
    let parts: Vec<String> = value.split('*').map(quote).collect();
    regex(&format!(".*/ns/{}/.*", parts.join(".*")))
}

/// `serviceAccounts`: `name` in the policy's namespace, or `namespace/name`; extra pairs may stand in between.
pub(super) fn service_account(policy_namespace: &str, value: &str) -> Result<StringMatch, Problem> {
    let (namespace, account) = value.split_once('/').unwrap_or((policy_namespace, value));
    regex(&format!("{SPIFFE}.+/ns/{}/(.+/|)sa/{}(/.+)?", quote(namespace), quote(account)))
}

/// `trustDomains`: one star, anywhere; it stops at the next slash.
pub(super) fn trust_domain(value: &str) -> Result<StringMatch, Problem> {
    match value.split_once('*') {
        None => Ok(StringMatch::new(StringPattern::Prefix(format!("{SPIFFE}{value}/").into()))),
        Some(("", "")) => Ok(StringMatch::new(StringPattern::Prefix(SPIFFE.into()))),
        Some((before, after)) => regex(&format!("{SPIFFE}{}[^/]*{}/.*", quote(before), quote(after))),
    }
}

/// Go's `regexp.QuoteMeta`.
fn quote(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    for c in literal.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kind:text` of a matcher.
    fn shown(matcher: Result<StringMatch, Problem>) -> String {
        match matcher {
            Err(problem) => format!("{problem:?}"),
            Ok(m) => match m.pattern {
                StringPattern::Exact(s) => format!("exact:{s}"),
                StringPattern::Prefix(s) => format!("prefix:{s}"),
                StringPattern::Suffix(s) => format!("suffix:{s}"),
                StringPattern::Contains(s) => format!("contains:{s}"),
                StringPattern::Regex(r) => format!("regex:{}", r.source()),
            },
        }
    }

    #[test]
    fn values_become_istios_matchers() {
        // The examples of semantics: istio-security 4.4 and 5.4.
        for (got, want) in [
            (text("*"), "regex:.+"),
            (text("*abc*"), "suffix:abc*"),
            (text("abc*"), "prefix:abc"),
            (text("a*c"), "exact:a*c"),
            (principal("*"), "regex:.+"),
            (principal("*/sa/x"), "regex:spiffe://.*/sa/x"),
            (principal("td/ns/a*"), "prefix:spiffe://td/ns/a"),
            (principal("td/ns/a/sa/b"), "exact:spiffe://td/ns/a/sa/b"),
            (namespace("team-*"), "regex:.*/ns/team-.*/.*"),
            (namespace("a.b"), r"regex:.*/ns/a\.b/.*"),
            (service_account("foo", "sa-1"), "regex:spiffe://.+/ns/foo/(.+/|)sa/sa-1(/.+)?"),
            (service_account("foo", "bar/x"), "regex:spiffe://.+/ns/bar/(.+/|)sa/x(/.+)?"),
            (trust_domain("*"), "prefix:spiffe://"),
            (trust_domain("td"), "prefix:spiffe://td/"),
            (trust_domain("*.corp"), r"regex:spiffe://[^/]*\.corp/.*"),
        ] {
            assert_eq!(shown(got), want);
        }
        assert_eq!(header("X-A", "*", false).condition, HeaderCondition::Present(true));
        assert_eq!(header("X-A", "v", false).name.as_ref(), "x-a");
    }
}
