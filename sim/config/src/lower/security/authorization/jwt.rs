//! Conditions on a verified token: `requestPrincipals`, audiences, presenter and claims as metadata matchers
//! (semantics: istio-security 3.6, 3.7, 5.4).

use mesh_core::ids::Str;
use mesh_core::ir::{MetadataMatcher, Principal, StringMatch, StringPattern, ValueMatch};

use super::condition::Problem;
use super::text;

const FILTER: &str = "envoy.filters.http.jwt_authn";
const PAYLOAD: &str = "payload";

/// A matcher of one value under the token's payload.
fn payload(claims: &[&str], value: ValueMatch) -> Principal {
    let path: Vec<Str> = std::iter::once(PAYLOAD).chain(claims.iter().copied()).map(Into::into).collect();
    Principal::Metadata(MetadataMatcher { filter: FILTER.into(), path, value, invert: false })
}

/// One value of `requestPrincipals`: issuer and subject are matched apart, split at the last slash.
pub(super) fn request_principal(value: &str) -> Result<Principal, Problem> {
    let (issuer, subject) = match value.rsplit_once('/') {
        _ if value == "*" => (text::any_text()?, text::any_text()?),
        Some((issuer, subject)) if value.starts_with('*') => (text::text(issuer)?, exact(subject)),
        Some((issuer, subject)) if value.ends_with('*') => (exact(issuer), starred_subject(subject)?),
        Some((issuer, subject)) => (exact(issuer), exact(subject)),
        None if value.starts_with('*') => (text::any_text()?, text::text(value)?),
        None if value.ends_with('*') => (text::text(value)?, text::any_text()?),
        None => (exact(value), exact("")),
    };
    Ok(Principal::And(vec![
        payload(&["iss"], ValueMatch::String(issuer)),
        payload(&["sub"], ValueMatch::String(subject)),
    ]))
}

/// The subject of `iss/pre*`: the trailing star is the wildcard, a leading one would be literal.
fn starred_subject(subject: &str) -> Result<StringMatch, Problem> {
    match subject.strip_suffix('*') {
        Some("") | None => text::any_text(),
        Some(prefix) => Ok(StringMatch::new(StringPattern::Prefix(prefix.into()))),
    }
}

fn exact(value: &str) -> StringMatch {
    StringMatch::new(StringPattern::Exact(value.into()))
}

/// Values of a claim: the claim is a string that matches, or a list with one that does.
pub(super) fn claim(path: &[&str], values: &[&str]) -> Result<Principal, Problem> {
    let mut matches = Vec::new();
    for value in values {
        matches.push(ValueMatch::String(text::text(value)?));
    }
    let one = any_of(matches);
    Ok(payload(path, ValueMatch::Or(vec![ValueMatch::ListOneOf(Box::new(one.clone())), one])))
}

/// One value stands alone, several are ORed.
pub(super) fn any_of(mut values: Vec<ValueMatch>) -> ValueMatch {
    match values.pop() {
        Some(only) if values.is_empty() => only,
        Some(last) => {
            values.push(last);
            ValueMatch::Or(values)
        }
        None => ValueMatch::Or(values),
    }
}

/// `[a][b]` of `request.auth.claims[a][b]`; when the brackets do not nest evenly, the text between the outer ones is
/// one claim (`[a.b]`, `[a[b]`).
pub(super) fn claim_path(brackets: &str) -> Result<Vec<&str>, Problem> {
    let whole = || bracketed(brackets).map(|inner| vec![inner]);
    let mut rest = brackets;
    let mut path = Vec::new();
    while !rest.is_empty() {
        let Some(open) = rest.strip_prefix('[') else { return whole() };
        let Some((claim, after)) = open.split_once(']') else { return whole() };
        if claim.contains('[') {
            return whole();
        }
        path.push(claim);
        rest = after;
    }
    Ok(path)
}

/// `X` of `[X]`.
pub(super) fn bracketed(text: &str) -> Result<&str, Problem> {
    text.strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .ok_or_else(|| Problem::Malformed(format!("`{text}` is not of the form `[name]`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(matcher: &StringMatch) -> String {
        match &matcher.pattern {
            StringPattern::Exact(s) => format!("={s}"),
            StringPattern::Prefix(s) => format!("{s}.."),
            StringPattern::Suffix(s) => format!("..{s}"),
            StringPattern::Contains(s) => format!("~{s}"),
            StringPattern::Regex(r) => r.source().to_owned(),
        }
    }

    #[test]
    fn issuer_and_subject_are_split_at_the_last_slash() {
        // The table of semantics: istio-security 3.6.
        for (value, issuer, subject) in [
            ("*", ".+", ".+"),
            ("*suffix", ".+", "..suffix"),
            ("*/sub", ".+", "=sub"),
            ("*tail/sub", "..tail", "=sub"),
            ("iss/*", "=iss", ".+"),
            ("iss/pre*", "=iss", "pre.."),
            ("pre*", "pre..", ".+"),
            ("iss/sub", "=iss", "=sub"),
            ("word", "=word", "="),
            ("https://issuer*", "=https:/", "issuer.."),
            ("iss/a/b", "=iss/a", "=b"),
        ] {
            let Ok(Principal::And(parts)) = request_principal(value) else { panic!("{value}") };
            let texts: Vec<String> = parts
                .iter()
                .map(|part| match part {
                    Principal::Metadata(MetadataMatcher { value: ValueMatch::String(m), .. }) => shown(m),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(texts, [issuer, subject], "{value}");
        }
    }

    #[test]
    fn claim_paths_nest() {
        for (text, want) in [
            ("[a]", Some(vec!["a"])),
            ("[a][b]", Some(vec!["a", "b"])),
            ("[a.b]", Some(vec!["a.b"])),
            ("[a[b]", Some(vec!["a[b"])),
            ("[a]b]", Some(vec!["a]b"])),
            ("a", None),
            ("[a", None),
        ] {
            assert_eq!(claim_path(text).ok(), want, "{text}");
        }
    }
}
