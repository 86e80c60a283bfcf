//! String, header, query and metadata matchers. Data only; `crate::matching` evaluates them.

use crate::ids::Str;
use crate::re2::Regex;

/// Envoy's `StringMatcher`. Byte comparison; `ignore_case` folds ASCII.
#[derive(Debug, Clone, PartialEq)]
pub struct StringMatch {
    /// The pattern.
    pub pattern: StringPattern,
    /// ASCII case folding (never for regexes).
    pub ignore_case: bool,
}

impl StringMatch {
    /// A case-sensitive matcher.
    #[must_use]
    pub fn new(pattern: StringPattern) -> Self {
        StringMatch { pattern, ignore_case: false }
    }
}

/// The kinds of `StringMatcher`.
#[derive(Debug, Clone, PartialEq)]
pub enum StringPattern {
    /// Equal.
    Exact(Str),
    /// Starts with.
    Prefix(Str),
    /// Ends with.
    Suffix(Str),
    /// Contains.
    Contains(Str),
    /// RE2, whole string.
    Regex(Regex),
}

/// Envoy's `HeaderMatcher` (semantics: envoy-routing 2.3). `:method`, `:authority`, `:scheme`, `:path` are headers.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatcher {
    /// Lower-case name.
    pub name: Str,
    /// The condition.
    pub condition: HeaderCondition,
    /// `invert_match`
    pub invert: bool,
    /// `treat_missing_header_as_empty`
    pub treat_missing_as_empty: bool,
}

/// Condition of a header matcher.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderCondition {
    /// `present_match`
    Present(bool),
    /// `string_match`
    Value(StringMatch),
    /// `range_match`, start inclusive, end exclusive.
    Range(i64, i64),
}

/// Envoy's `QueryParameterMatcher` (semantics: envoy-routing 2.4).
#[derive(Debug, Clone, PartialEq)]
pub struct QueryMatcher {
    /// Case-sensitive name.
    pub name: Str,
    /// `None` = present.
    pub value: Option<StringMatch>,
    /// `present_match: false`
    pub absent: bool,
}

/// A matcher of dynamic metadata: `filter` and `path` select a value (JWT payload claims).
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataMatcher {
    /// `envoy.filters.http.jwt_authn`
    pub filter: Str,
    /// Keys from the top.
    pub path: Vec<Str>,
    /// Condition of the value.
    pub value: ValueMatch,
    /// `invert`
    pub invert: bool,
}

/// Envoy's `ValueMatcher`.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueMatch {
    /// The value is a string that matches.
    String(StringMatch),
    /// The value is a list with one element that matches.
    ListOneOf(Box<ValueMatch>),
    /// Any of them.
    Or(Vec<ValueMatch>),
    /// Present at all.
    Present,
}
