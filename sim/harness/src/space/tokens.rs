//! The tokens that tell requests apart: none, and per issuer a valid one with every combination of claims that rules
//! look at, a forged one, and one for somebody else.

use std::collections::BTreeMap;

use mesh_core::Str;
use mesh_core::cx::{TokenStatus, Tokens as _};
use mesh_core::ir::{Jwks, JwtProvider, MetadataMatcher, StringMatch, ValueMatch};
use mesh_core::matching::string_matches;
use serde_json::{Map, Value};

use super::texts::{Alphabet, Automata, of_string};
use crate::tokens::{Audience, JwtReader, JwtSpec, mint};

/// Most combinations of claims per issuer.
const MAX_CLAIMS: usize = 48;

/// Where a token travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Carrier {
    /// `authorization: Bearer …`
    Authorization,
    /// Another header, with what stands before the token.
    Header(String, String),
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// One token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) spec: JwtSpec,
    pub(super) carrier: Carrier,
}

/// The tokens, and what is missing.
pub(super) fn tokens(
    providers: &[JwtProvider],
    claims: &[&MetadataMatcher],
    known: &mut Automata,
) -> (Vec<Token>, Vec<String>) {
    let (mut all, mut gaps) = (Vec::new(), Vec::new());
    for provider in providers {
        let carrier = carrier(provider);
        let base = JwtSpec {
            iss: (!provider.issuer.is_empty()).then(|| provider.issuer.to_string()),
            sub: Some("mesh-sim".to_owned()),
            aud: provider.audiences.first().map(|a| Audience::One(a.to_string())),
            key: key(provider),
            ..JwtSpec::default()
        };
        if let Jwks::Inline(jwks) = &provider.jwks
            && JwtReader.verify(&mint(&base), jwks) != TokenStatus::Verified
        {
            gaps.push(format!("no token of issuer `{}` can be made for its keys", provider.issuer));
        }
        let mut specs = vec![base.clone()];
        for (path, values) in values(claims, &mut gaps, known) {
            let mut next = Vec::new();
            for spec in &specs {
                next.extend(values.iter().map(|v| with_claim(spec, &path, v.as_deref())));
            }
            specs = next;
            if specs.len() > MAX_CLAIMS {
                specs.truncate(MAX_CLAIMS);
                gaps.push(format!("claims of issuer `{}` combine to too many tokens", provider.issuer));
            }
        }
        specs.push(JwtSpec { valid: false, ..base.clone() });
        if !provider.audiences.is_empty() {
            let aud = Some(Audience::One("mesh-sim-other".to_owned()));
            specs.push(JwtSpec { aud, ..base.clone() });
        }
        all.extend(specs.into_iter().map(|spec| Token { spec, carrier: carrier.clone() }));
    }
    if let Some(first) = providers.first() {
        let spec = JwtSpec { iss: Some("https://mesh-sim.example".to_owned()), ..JwtSpec::default() };
        all.push(Token { spec, carrier: carrier(first) });
    }
    gaps.dedup();
    (all, gaps)
}

fn carrier(provider: &JwtProvider) -> Carrier {
    let bearer =
        |(name, prefix): &&(Str, Str)| name.as_ref() == "authorization" && prefix.as_ref() == "Bearer ";
    if provider.from_headers.iter().find(bearer).is_some() {
        return Carrier::Authorization;
    }
    if let Some((name, prefix)) = provider.from_headers.first() {
        return Carrier::Header(name.to_string(), prefix.to_string());
    }
    if let Some(name) = provider.from_params.first() {
        return Carrier::Query(name.to_string());
    }
    provider.from_cookies.first().map_or(Carrier::Authorization, |name| Carrier::Cookie(name.to_string()))
}

/// The first key's id.
fn key(provider: &JwtProvider) -> String {
    let document = match &provider.jwks {
        Jwks::Inline(text) => serde_json::from_str::<Value>(text).ok(),
        Jwks::Remote(_) | Jwks::Unreachable => None,
    };
    let first = document.as_ref().and_then(|d| d.get("keys")).and_then(|k| k.get(0));
    first.and_then(|k| k.get("kid")).and_then(Value::as_str).unwrap_or("k1").to_owned()
}

/// Values of every claim that rules look at; `None` = absent. The issuer is the provider's.
fn values(
    claims: &[&MetadataMatcher],
    gaps: &mut Vec<String>,
    known: &mut Automata,
) -> BTreeMap<Vec<String>, Vec<Option<String>>> {
    let mut texts: BTreeMap<Vec<String>, Vec<&StringMatch>> = BTreeMap::new();
    for claim in claims {
        let path: Vec<String> = claim.path.iter().skip(1).map(ToString::to_string).collect();
        if path.is_empty() || path.as_slice() == ["iss"] {
            continue;
        }
        strings(&claim.value, texts.entry(path).or_default());
    }
    texts
        .into_iter()
        .map(|(path, list)| {
            let found = known.telling_apart(
                &list.iter().map(|m| of_string(m)).collect::<Vec<_>>(),
                &[""],
                Alphabet::Value,
            );
            if !found.complete {
                gaps.push(format!("values of claim `{}` are not all told apart", path.join(".")));
            }
            let mut values: Vec<Option<String>> = vec![None];
            values.extend(readable(&list, found.texts).into_iter().map(Some));
            (path, values)
        })
        .collect()
}

fn strings<'a>(value: &'a ValueMatch, out: &mut Vec<&'a StringMatch>) {
    match value {
        ValueMatch::String(text) => {
            if !out.contains(&text) {
                out.push(text);
            }
        }
        ValueMatch::ListOneOf(one) => strings(one, out),
        ValueMatch::Or(any) => any.iter().for_each(|v| strings(v, out)),
        ValueMatch::Present => {}
    }
}

/// The written words themselves where they fall into the same class as a made-up text.
pub(super) fn readable(matchers: &[&StringMatch], made: Vec<String>) -> Vec<String> {
    use mesh_core::ir::StringPattern::{Contains, Exact, Prefix, Regex, Suffix};
    let word = |m: &&StringMatch| match &m.pattern {
        Exact(text) | Prefix(text) | Suffix(text) | Contains(text) => Some(text.to_string()),
        Regex(_) => None,
    };
    let words: Vec<String> =
        matchers.iter().filter_map(word).filter(|w| !w.is_empty()).chain(["other".to_owned()]).collect();
    let class = |text: &str| matchers.iter().map(|m| string_matches(m, text)).collect::<Vec<bool>>();
    let mut seen = std::collections::BTreeSet::new();
    // An empty value comes last: only where a condition sees the difference.
    words.into_iter().chain(made).chain([String::new()]).filter(|text| seen.insert(class(text))).collect()
}

fn with_claim(spec: &JwtSpec, path: &[String], value: Option<&str>) -> JwtSpec {
    let mut spec = spec.clone();
    match path {
        [name] if name == "sub" => spec.sub = value.map(str::to_owned),
        [name] if name == "aud" => spec.aud = value.map(|v| Audience::One(v.to_owned())),
        _ => {
            if let Some(value) = value {
                insert(&mut spec.claims, path, value);
            }
        }
    }
    spec
}

fn insert(claims: &mut Map<String, Value>, path: &[String], value: &str) {
    match path {
        [] => {}
        [last] => {
            claims.insert(last.clone(), Value::from(value));
        }
        [first, rest @ ..] => {
            let below = claims.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// The shorthand as JSON, as `explain --jwt` takes it; defaults are left out.
#[must_use]
pub fn shorthand(spec: &JwtSpec) -> String {
    let mut members = Map::new();
    let mut member = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    if let Some(iss) = &spec.iss {
        member("iss", iss.as_str().into());
    }
    if let Some(sub) = &spec.sub {
        member("sub", sub.as_str().into());
    }
    match &spec.aud {
        Some(Audience::One(aud)) => member("aud", aud.as_str().into()),
        Some(Audience::Many(list)) => member("aud", list.clone().into()),
        None => {}
    }
    if !spec.claims.is_empty() {
        member("claims", Value::Object(spec.claims.clone()));
    }
    for (name, given) in [("valid", !spec.valid), ("expired", spec.expired)] {
        if given {
            member(name, Value::Bool(name == "expired"));
        }
    }
    if spec.key != "k1" {
        member("key", spec.key.as_str().into());
    }
    Value::Object(members).to_string()
}
