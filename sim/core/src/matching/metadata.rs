//! Dynamic metadata: the payload that the JWT filter leaves (semantics: istio-security 3.5 to 3.7).

use crate::cx::Claim;
use crate::ids::Str;
use crate::ir::{MetadataMatcher, ValueMatch};
use crate::matching::string_matches;

const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";
const PAYLOAD_KEY: &str = "payload";

/// Whether the matcher holds. `payload` is the verified token's payload, if any; other filters leave no metadata.
#[must_use]
pub fn metadata_matches(matcher: &MetadataMatcher, payload: Option<&Claim>) -> bool {
    let value = match matcher.path.split_first() {
        Some((first, rest)) if matcher.filter.as_ref() == JWT_FILTER && first.as_ref() == PAYLOAD_KEY => {
            payload.and_then(|payload| claim_at(payload, rest))
        }
        _ => None,
    };
    value.is_some_and(|value| value_matches(&matcher.value, value)) != matcher.invert
}

/// The claim that a path of keys leads to.
#[must_use]
pub fn claim_at<'c>(claim: &'c Claim, path: &[Str]) -> Option<&'c Claim> {
    path.iter().try_fold(claim, |at, key| match at {
        Claim::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
        _ => None,
    })
}

fn value_matches(matcher: &ValueMatch, value: &Claim) -> bool {
    match matcher {
        ValueMatch::String(text) => matches!(value, Claim::String(s) if string_matches(text, s)),
        ValueMatch::ListOneOf(one) => {
            matches!(value, Claim::List(items) if items.iter().any(|item| value_matches(one, item)))
        }
        ValueMatch::Or(any) => any.iter().any(|one| value_matches(one, value)),
        ValueMatch::Present => true,
    }
}
