//! `HTTPMatchRequest` to an Envoy route match (istiod: `TranslateRouteMatch`; semantics: istio-networking 3.6).

use mesh_core::ids::Taint;
use mesh_core::ir::{
    HeaderCondition, HeaderMatcher, MetadataMatcher, PathMatch, QueryMatcher, RouteMatch, StringMatch,
    StringPattern, ValueMatch,
};

use super::RouteSemantics;
use crate::lower::Tools;
use crate::resource::http_match::{HttpMatchRequest, StringMatch as Written};
use crate::source::Span;

/// The header name that routes on a JWT claim instead of a header.
const CLAIM_HEADER: &str = "@request.auth.claims";

/// A match that could not be translated exactly matches everything and says why.
pub(super) struct Matched {
    pub matcher: RouteMatch,
    pub taints: Vec<Taint>,
}

/// The match of every path.
pub(crate) fn any_path() -> RouteMatch {
    RouteMatch {
        path: PathMatch::Prefix("/".into()),
        case_sensitive: true,
        headers: Vec::new(),
        query: Vec::new(),
        metadata: Vec::new(),
    }
}

/// The runtime part of a match; `gateways`, `port`, `sourceLabels` and `sourceNamespace` are consumed by the caller.
pub(super) fn translate(tools: &Tools, m: Option<&HttpMatchRequest>, semantics: RouteSemantics) -> Matched {
    let mut out = Matched { matcher: any_path(), taints: Vec::new() };
    let Some(m) = m else { return out };
    let cx = &mut Strings { tools, taints: &mut out.taints };
    let matcher = &mut out.matcher;
    for (name, value) in &m.headers {
        match claims(name) {
            Some(path) => matcher.metadata.extend(cx.claim(path, value, false)),
            None => matcher.headers.extend(cx.header(name, value)),
        }
    }
    for (name, value) in &m.without_headers {
        match claims(name) {
            Some(path) => matcher.metadata.extend(cx.claim(path, value, true)),
            None => matcher.headers.extend(cx.header(name, value).map(|header| HeaderMatcher {
                invert: true,
                // Envoy refuses it together with present_match.
                treat_missing_as_empty: !is_presence(value),
                ..header
            })),
        }
    }
    matcher.headers.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(uri) = &m.uri {
        matcher.path = cx.path(uri, semantics);
    }
    matcher.case_sensitive = !m.ignore_uri_case;
    for (name, value) in [(":method", &m.method), (":authority", &m.authority), (":scheme", &m.scheme)] {
        matcher.headers.extend(value.as_ref().and_then(|value| cx.header(name, value)));
    }
    for (name, value) in &m.query_params {
        matcher.query.extend(cx.query(name, value));
    }
    out
}

/// Whether the route takes every request (istiod: `IsCatchAllRoute`): exactly prefix `/` or regex `.*`, nothing else.
#[must_use]
pub fn is_catch_all(m: &RouteMatch) -> bool {
    let path = match &m.path {
        PathMatch::Prefix(p) | PathMatch::PathSeparatedPrefix(p) => p.as_ref() == "/",
        PathMatch::Regex(r) => r.source() == ".*",
        PathMatch::Path(_) => false,
    };
    path && m.headers.is_empty() && m.query.is_empty() && m.metadata.is_empty()
}

/// An empty match, and the regex `*` (no RE2 at all), ask for presence.
fn is_presence(m: &Written) -> bool {
    match m.regex.as_deref() {
        Some(regex) => regex == "*",
        None => m.exact.is_none() && m.prefix.is_none(),
    }
}

/// The claim path of `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`.
fn claims(header: &str) -> Option<Vec<&str>> {
    let (prefix, rest) = header.split_at_checked(CLAIM_HEADER.len())?;
    if !prefix.eq_ignore_ascii_case(CLAIM_HEADER) {
        return None;
    }
    if let Some(dotted) = rest.strip_prefix('.').filter(|r| !r.is_empty()) {
        return Some(dotted.split('.').collect());
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']').filter(|r| !r.is_empty())?;
    Some(inner.split("][").collect())
}

/// Translates single texts; what cannot be translated leaves a taint and no condition.
pub(super) struct Strings<'a> {
    pub tools: &'a Tools,
    pub taints: &'a mut Vec<Taint>,
}

impl Strings<'_> {
    fn refused(&mut self, pattern: &str, why: &str, span: Span) {
        let what = format!("regex `{pattern}`: {why}");
        self.taints.push(self.tools.origins.taint(what, span));
    }

    /// istiod: `ConvertToEnvoyMatch`; `None` for an empty match.
    pub(super) fn pattern(&mut self, m: &Written) -> Option<StringPattern> {
        if let Some(exact) = &m.exact {
            return Some(StringPattern::Exact(self.tools.names.get(exact)));
        }
        if let Some(prefix) = &m.prefix {
            return Some(StringPattern::Prefix(self.tools.names.get(prefix)));
        }
        let regex = m.regex.as_deref()?;
        match self.tools.regexes.get(regex) {
            Ok(compiled) => Some(StringPattern::Regex(compiled)),
            Err(why) => {
                self.refused(regex, &why, m.origin);
                None
            }
        }
    }

    fn path(&mut self, m: &Written, semantics: RouteSemantics) -> PathMatch {
        if let Some(prefix) = m.prefix.as_deref().filter(|_| m.exact.is_none()) {
            if semantics != RouteSemantics::VirtualService && prefix != "/" {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                return PathMatch::PathSeparatedPrefix(self.tools.names.get(prefix));
            }
            return PathMatch::Prefix(self.tools.names.get(prefix));
        }
        match self.pattern(m) {
            Some(StringPattern::Exact(text)) => PathMatch::Path(text),
            Some(StringPattern::Regex(regex)) => PathMatch::Regex(regex),
            _ => PathMatch::Prefix("/".into()),
        }
    }

    fn header(&mut self, name: &str, m: &Written) -> Option<HeaderMatcher> {
        let condition = if is_presence(m) {
            HeaderCondition::Present(true)
        } else {
            HeaderCondition::Value(StringMatch::new(self.pattern(m)?))
        };
        let name = self.tools.names.get(&name.to_ascii_lowercase());
        Some(HeaderMatcher { name, condition, invert: false, treat_missing_as_empty: false })
    }

    fn query(&mut self, name: &str, m: &Written) -> Option<QueryMatcher> {
        let value = if is_presence(m) { None } else { Some(StringMatch::new(self.pattern(m)?)) };
        Some(QueryMatcher { name: self.tools.names.get(name), value, absent: false })
    }

    fn claim(&mut self, path: Vec<&str>, m: &Written, invert: bool) -> Option<MetadataMatcher> {
        let Some(pattern) = self.pattern(m) else {
            // istiod emits a matcher without value here, which Envoy refuses.
            self.taints.push(self.tools.origins.taint("a JWT claim match without value", m.origin));
            return None;
        };
        let value = ValueMatch::String(StringMatch::new(pattern));
        Some(MetadataMatcher {
            filter: "envoy.filters.http.jwt_authn".into(),
            path: std::iter::once("payload").chain(path).map(Into::into).collect(),
            value: ValueMatch::Or(vec![ValueMatch::ListOneOf(Box::new(value.clone())), value]),
            invert,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Written {
        Written { exact: Some(text.into()), ..Written::default() }
    }

    fn regex(text: &str) -> Written {
        Written { regex: Some(text.into()), ..Written::default() }
    }

    #[test]
    fn claims_are_named_with_dots_or_brackets() {
        assert_eq!(claims("@request.auth.claims.a.b"), Some(vec!["a", "b"]));
        assert_eq!(claims("@Request.Auth.Claims[a.b][c]"), Some(vec!["a.b", "c"]));
        assert_eq!(claims("@request.auth.claims"), None);
        assert_eq!(claims("x-claims"), None);
    }

    #[test]
    fn headers_are_sorted_and_pseudo_headers_come_last() {
        let tools = Tools::default();
        let m = HttpMatchRequest {
            headers: [("Z".into(), Box::new(exact("1"))), ("a".into(), Box::default())].into(),
            without_headers: [("m".into(), Box::new(regex("*"))), ("n".into(), Box::new(exact("x")))].into(),
            method: Some(Box::new(exact("GET"))),
            ..HttpMatchRequest::default()
        };
        let got = translate(&tools, Some(&m), RouteSemantics::VirtualService);
        let names: Vec<_> = got.matcher.headers.iter().map(|h| (h.name.as_ref(), h.invert)).collect();
        assert_eq!(names, [("a", false), ("m", true), ("n", true), ("z", false), (":method", false)]);
        let missing: Vec<_> = got.matcher.headers.iter().map(|h| h.treat_missing_as_empty).collect();
        assert_eq!(missing, [false, false, true, false, false]);
        assert!(got.taints.is_empty());
    }

    #[test]
    fn only_two_spellings_are_a_catch_all() {
        let tools = Tools::default();
        for (m, want) in [
            (HttpMatchRequest::default(), true),
            (HttpMatchRequest { uri: Some(regex(".*")), ..HttpMatchRequest::default() }, true),
            (HttpMatchRequest { uri: Some(regex("/.*")), ..HttpMatchRequest::default() }, false),
            (HttpMatchRequest { method: Some(Box::new(exact("GET"))), ..HttpMatchRequest::default() }, false),
        ] {
            let got = translate(&tools, Some(&m), RouteSemantics::VirtualService);
            assert_eq!(is_catch_all(&got.matcher), want, "{m:?}");
        }
    }

    #[test]
    fn a_refused_regex_taints_instead_of_matching_less() {
        let tools = Tools::default();
        let m = HttpMatchRequest { uri: Some(regex("(")), ..HttpMatchRequest::default() };
        let got = translate(&tools, Some(&m), RouteSemantics::VirtualService);
        assert_eq!(got.matcher.path, PathMatch::Prefix("/".into()));
        assert_eq!(got.taints.len(), 1);
    }
}
