//! String, header, query and metadata matchers as Envoy prints them.

use mesh_core::ir::{
    HeaderCondition, HeaderMatcher, MetadataMatcher, QueryMatcher, StringMatch, StringPattern, ValueMatch,
};
use serde_json::{Value, json};

use super::shape::{Object, list};

pub(super) fn string(matcher: &StringMatch) -> Value {
    let out = match &matcher.pattern {
        StringPattern::Exact(s) => Object::new().always("exact", s.as_ref()),
        StringPattern::Prefix(s) => Object::new().always("prefix", s.as_ref()),
        StringPattern::Suffix(s) => Object::new().always("suffix", s.as_ref()),
        StringPattern::Contains(s) => Object::new().always("contains", s.as_ref()),
        StringPattern::Regex(r) => Object::new().always("safeRegex", json!({"regex": r.source()})),
    };
    out.put("ignoreCase", matcher.ignore_case).done()
}

pub(super) fn header(matcher: &HeaderMatcher) -> Value {
    let out = Object::new().put("name", matcher.name.as_ref());
    let out = match &matcher.condition {
        HeaderCondition::Present(present) => out.always("presentMatch", *present),
        HeaderCondition::Value(value) => out.always("stringMatch", string(value)),
        HeaderCondition::Range(start, end) => out.always("rangeMatch", json!({"start": start, "end": end})),
    };
    out.put("invertMatch", matcher.invert)
        .put("treatMissingHeaderAsEmpty", matcher.treat_missing_as_empty)
        .done()
}

pub(super) fn query(matcher: &QueryMatcher) -> Value {
    let out = Object::new().put("name", matcher.name.as_ref());
    match &matcher.value {
        Some(value) => out.always("stringMatch", string(value)).done(),
        None => out.always("presentMatch", !matcher.absent).done(),
    }
}

pub(super) fn metadata(matcher: &MetadataMatcher) -> Value {
    Object::new()
        .put("filter", matcher.filter.as_ref())
        .put("path", list(&matcher.path, |key| json!({"key": key.as_ref()})))
        .put("value", value(&matcher.value))
        .put("invert", matcher.invert)
        .done()
}

fn value(matcher: &ValueMatch) -> Value {
    match matcher {
        ValueMatch::String(text) => json!({"stringMatch": string(text)}),
        ValueMatch::ListOneOf(one) => json!({"listMatch": {"oneOf": value(one)}}),
        ValueMatch::Or(any) => json!({"orMatch": {"valueMatchers": list(any, value)}}),
        ValueMatch::Present => json!({"presentMatch": true}),
    }
}
